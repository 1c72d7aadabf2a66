// `trustsql digest`: the signed digest of the whole ledger, to be kept where nobody can change both. Shell.

import { writeFileSync } from 'node:fs';
import { connect } from './connect.ts';

export interface DigestOptions {
  readonly data: string;
  readonly url?: string;
  /** File to write; standard output when absent. */
  readonly out?: string;
}

/** Writes a C2SP tlog-checkpoint note, as it is. */
export async function runDigest(options: DigestOptions): Promise<void> {
  const onNotice = (): void => undefined;
  const connection = await connect({ url: options.url, data: options.data, onNotice });
  try {
    const [answer] = await connection.query('SELECT ledger.digest()');
    const note = `${answer!.rows[0]![0]!.trimEnd()}\n`;
    if (options.out === undefined) process.stdout.write(note);
    else writeFileSync(options.out, note);
  } finally {
    await connection.close();
  }
}
