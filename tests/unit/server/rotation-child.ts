// Run by key-rotation.test.ts in a home of its own: rotates a node key whose master key is named after the node.
//
// Prints the names of the master keys at each step, relative to their folder.

import { readdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { defaultMasterKeyFile } from '../../../identity/master-key.ts';
import { newNodeKey } from '../../../identity/node-key.ts';
import { fromHex, hex } from '../../../ledger/bytes.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import { systemClock } from '../../../server/clock.ts';
import { readConfig } from '../../../server/config.ts';
import { initialise, openSecrets } from '../../../server/initialise.ts';
import { keepRotation, rotatedKey } from '../../../server/key-rotation.ts';
import { makeLog } from '../../../server/log.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';

const data = process.argv[2]!;
const config = readConfig({ flags: { data }, environment: {}, file: null });
const log = makeLog({ level: 'error', format: 'json', clock: systemClock, write: () => undefined });
const made = initialise(config, crypto, systemClock);
const named = defaultMasterKeyFile(fromHex(made.nodeKey));
renameSync(made.masterKeyFile, named);
const next = newNodeKey(crypto);

const steps: Record<string, readonly string[]> = {};
const step = (name: string): void => {
  const { nodeKey, keyring } = openSecrets(config, crypto, systemClock);
  keyring.close();
  steps[name] = [hex(nodeKey.publicKey), ...readdirSync(dirname(named)).sort()];
};
const start = (publicKey: Uint8Array): void => {
  const { nodeKey, keyring } = openSecrets(config, crypto, systemClock);
  keyring.close();
  const nodes = [{ publicKey, address: '' }];
  const rules = genesisConfig({ nodes, consensus: 'raft', catalog: [], createdMs: 0 });
  rotatedKey(config, crypto, nodeKey, rules, log);
};

step('before');
keepRotation(config, next);
start(fromHex(made.nodeKey));
step('waiting');
start(next.publicKey);
step('after');
process.stdout.write(JSON.stringify({ old: made.nodeKey, next: hex(next.publicKey), steps }));
