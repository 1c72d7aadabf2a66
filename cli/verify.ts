// `trustsql verify`: checks a data directory from its chain alone, offline. Shell.

import { readFileSync } from 'node:fs';
import { verifyLedger } from '../storage/verify.ts';
import { systemClock } from '../server/clock.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';
import { Progress } from './progress.ts';

export interface VerifyOptions {
  readonly data: string;
  /** File with a digest that was kept elsewhere. */
  readonly digest?: string;
  readonly json?: boolean;
}

/** @throws CommandError 1 when damage was found, after it was printed */
export async function runVerify(options: VerifyOptions): Promise<void> {
  const write = (text: string): void => void process.stderr.write(text);
  const progress = new Progress({
    clock: systemClock,
    write,
    terminal: process.stderr.isTTY,
  });
  const digest = options.digest === undefined ? undefined : readFileSync(options.digest, 'utf8');
  const result = await verifyLedger(options.data, {
    ...(digest === undefined ? {} : { digest }),
    onProgress: ({ stage, done, total }) => progress.update(stage, done, total),
  });
  progress.finish();
  if (options.json === true) {
    process.stdout.write(jsonText(result));
  } else {
    process.stdout.write(result.ok ? soundText(result) : damageText(result));
  }
  if (!result.ok) throw new CommandError(EXIT.negative, 'the ledger is damaged');
}
