// `trustsql digest`: the signed digest of the whole ledger, to be kept where nobody can change both. Shell.

import { writeFileSync } from 'node:fs';
import { parseCheckpoint } from '../ledger/checkpoint.ts';
import { connect } from './connect.ts';
import { jsonText } from './json.ts';

export interface DigestOptions {
  readonly data: string;
  readonly url?: string;
  /** File to write; standard output when absent. */
  readonly out?: string;
  readonly json?: boolean;
}

/** Writes a C2SP tlog-checkpoint note, as it is; as JSON beside what it says. --digest takes the note alone. */
export async function runDigest(options: DigestOptions): Promise<void> {
  const onNotice = (): void => undefined;
  const connection = await connect({ url: options.url, data: options.data, onNotice });
  try {
    const [answer] = await connection.query('SELECT ledger.digest()');
    const note = `${answer!.rows[0]![0]!.trimEnd()}\n`;
    const text = options.json === true ? jsonText(said(note)) : note;
    if (options.out === undefined) process.stdout.write(text);
    else writeFileSync(options.out, text);
  } finally {
    await connection.close();
  }
}

function said(note: string): object {
  const { chainId, size, root, signatures } = parseCheckpoint(note);
  return { chainId, size, root, signatures, note };
}
