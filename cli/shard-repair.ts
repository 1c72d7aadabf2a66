// `trustsql shard repair`: damaged files of a node alone, while it is stopped. Shell.

import { repairOffline } from '../server/backup/repair.ts';
import { systemClock } from '../server/clock.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { whileStopped } from '../storage/shard-place.ts';
import { CommandError, EXIT } from './exit.ts';
import { jsonText } from './json.ts';
import { Progress } from './progress.ts';

export interface RepairFlags {
  readonly data: string;
  readonly from?: string;
  readonly json?: boolean;
}

/** @throws CommandError 1 when something is left, after it was printed; StorageError */
export async function runShardRepair({ data: directory, from, json }: RepairFlags): Promise<void> {
  const write = (text: string): void => void process.stderr.write(text);
  const progress = new Progress({ clock: systemClock, write, terminal: process.stderr.isTTY });
  const { done, verified, missing } = await whileStopped(directory, (data) =>
    repairOffline({
      data,
      from: from ?? null,
      crypto: nativeCrypto,
      clock: systemClock,
      onProgress: ({ stage, done, total }) => progress.update(stage, done, total),
    }),
  );
  progress.finish();
  const { ok, damage, height } = verified;
  if (json === true) process.stdout.write(jsonText({ ok, done, missing, damage, height }));
  else {
    for (const what of done) process.stdout.write(`${what}\n`);
    if (ok) process.stdout.write(`SOUND up to block ${height}\n`);
    else process.stdout.write(`DAMAGED: ${damage!.file}: ${damage!.message}\n  ${missing}\n`);
  }
  if (!ok) throw new CommandError(EXIT.negative, 'the ledger is damaged');
}
