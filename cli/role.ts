// `trustsql role`: a new password for a role, by whoever owns the data directory; and a role for the administrator of an
// organisation that comes later. Shell.
//
// For a password the node must be stopped: this process takes its place, signs the change with the node's own means and
// leaves. So a lost admin password needs no back door in a running node.

import { readFileSync } from 'node:fs';
import { hex } from '../ledger/bytes.ts';
import type { Config } from '../server/config.ts';
import { generatePassword } from '../identity/password.ts';
import { parsePart } from '../server/founding/part.ts';
import { resetPassword } from '../server/node.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { connect } from './connect.ts';
import { jsonText } from './json.ts';

/** Prints the new password, generated unless one is given. */
export async function runResetPassword(
  role: string,
  config: Config,
  options: { readonly password?: string; readonly json?: boolean },
): Promise<void> {
  const password = options.password ?? generatePassword();
  await resetPassword(config, role, password);
  if (options.json === true) process.stdout.write(`${JSON.stringify({ role, password })}\n`);
  else process.stdout.write(`The password of ${role} is now: ${password}\n`);
}

export interface AdmitFlags {
  readonly data: string;
  readonly url?: string;
  readonly superuser?: boolean;
  readonly json?: boolean;
}

/** Creates the role of a part: its key and password stay at the node that has made the part. */
export async function runAdmit(file: string, flags: AdmitFlags): Promise<void> {
  const part = parsePart(nativeCrypto, readFileSync(file, 'utf8'), file);
  const { role, roleKey, verifierCommitment } = part;
  const rights = flags.superuser === true ? 'SUPERUSER CREATEDB CREATEROLE' : '';
  const onNotice = (notice: string): void => void process.stderr.write(`${notice}\n`);
  const connection = await connect({ ...flags, url: flags.url, onNotice });
  try {
    // The name in a part is a plain one: nothing in it could end the statement.
    await connection.query(
      `BEGIN; SET LOCAL ledger.role_key = '${hex(roleKey)}:${hex(verifierCommitment)}';` +
        ` CREATE ROLE ${role} LOGIN ${rights}; COMMIT`,
    );
  } finally {
    await connection.close();
  }
  if (flags.json === true) process.stdout.write(jsonText({ role, publicKey: roleKey }));
  else process.stdout.write(`${role} can log in at the node of "${part.name}".\n`);
}
