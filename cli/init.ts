// `trustsql init`: makes a data directory without starting a node. Shell.

import { join } from 'node:path';
import { systemClock } from '../server/clock.ts';
import type { Config } from '../server/config.ts';
import { initialise } from '../server/initialise.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { jsonText } from './json.ts';

/** Prints where things are; never the password, which is in admin.url. */
export function runInit(config: Config, json: boolean): void {
  const { chainId, nodeKey, masterKeyFile } = initialise(config, nativeCrypto, systemClock);
  const adminUrl = join(config.data, 'admin.url');
  const made = { data: config.data, chainId, nodeKey, masterKeyFile, adminUrl };
  if (json) {
    process.stdout.write(jsonText(made));
    return;
  }
  process.stdout.write(
    `A new ledger is in ${made.data}.\n` +
      `  chain       ${chainId}\n` +
      `  node key    ${nodeKey}\n` +
      `  master key  ${masterKeyFile}\n` +
      `  admin       ${adminUrl}\n` +
      'Back up the master key: without it the keys in the data directory are lost.\n' +
      'Start the node with: trustsql start\n',
  );
}
