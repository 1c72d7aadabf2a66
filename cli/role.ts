// `trustsql role reset-password`: a new password for a role, by whoever owns the data directory. Shell.
//
// The node must be stopped: this process takes its place, signs the change with the node's own means and
// leaves. So a lost admin password needs no back door in a running node.

import type { Config } from '../server/config.ts';
import { generatePassword } from '../identity/password.ts';
import { resetPassword } from '../server/node.ts';

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
