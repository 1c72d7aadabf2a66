// `trustsql init`: makes a data directory without starting a node. Shell.

import { join } from 'node:path';
import type { Config } from '../server/config.ts';
import { initNode } from '../server/node.ts';

/** Prints where things are; never the password, which is in admin.url. */
export async function runInit(config: Config, json: boolean): Promise<void> {
  const { chainId, nodeKey, masterKeyFile } = await initNode(config);
  const made = {
    data: config.data,
    chainId,
    nodeKey,
    masterKeyFile,
    adminUrl: join(config.data, 'admin.url'),
  };
  if (json) {
    process.stdout.write(`${JSON.stringify(made, null, 2)}\n`);
    return;
  }
  process.stdout.write(
    `A new ledger is in ${made.data}.\n` +
      `  chain       ${chainId}\n` +
      `  node key    ${nodeKey}\n` +
      `  master key  ${masterKeyFile}  (back it up; without it the keys in the data directory are lost)\n` +
      `  admin       ${made.adminUrl}\n` +
      'Start it with: trustsql start\n',
  );
}
