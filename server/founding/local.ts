// A whole cluster on one machine, for one operator: to try, to develop, to measure. Shell.
//
//   <folder>/genesis.json               block 0, as `cluster genesis` writes it
//   <folder>/admin.url                  all nodes in one connection string, for clients that take several hosts
//   <folder>/node1 …                    data directories, each with its own keys and trustsql.config.json
//
// The administrator's key and verifier are in the keyring of every node: each of them hosts the role.

import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Keyring } from '../../identity/keyring.ts';
import { defaultMasterKeyFile } from '../../identity/master-key.ts';
import { generatePassword } from '../../identity/password.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { StorageError } from '../../ledger/error.ts';
import { installLedger } from '../../storage/create-ledger.ts';
import { makeFolder } from '../../storage/durable-file.ts';
import type { Clock } from '../clock.ts';
import { CONFIG_FILE, ConfigError, OPTIONS } from '../config.ts';
import type { Config } from '../config.ts';
import {
  hostOf,
  keepMasterKey,
  loadTlsOf,
  makeSecrets,
  newAdministrator,
  onDisk,
  writeAdminUrl,
  writeSecret,
} from '../initialise.ts';
import type { NewSecrets } from '../initialise.ts';
import { LOCAL_NODES_MAX } from '../limits.ts';
import { checkDatabase, makeBlock } from './found.ts';
import type { ClusterOptions } from './found.ts';
import { ADMIN } from './genesis.ts';
import { formatGenesis } from './genesis-file.ts';
import type { GenesisBlock } from './genesis-file.ts';

export interface LocalNode {
  readonly data: string;
  readonly configFile: string;
  readonly port: number;
  readonly peerPort: number;
}

export interface LocalCluster extends GenesisBlock {
  readonly nodes: readonly LocalNode[];
  readonly adminUrlFile: string;
}

/**
 * Makes the nodes' data directories below `config.data`, with ports from `config.port` and `config.peerPort` on.
 *
 * @throws ConfigError for a number of nodes or ports that cannot be; StorageError foreign when something is there
 */
export function makeLocalCluster(
  config: Config,
  crypto: Crypto,
  clock: Clock,
  options: ClusterOptions & { readonly nodes: number },
): LocalCluster {
  const { consensus, database } = options;
  checkPlan(config, options);
  const folder = resolve(config.data);
  onDisk(folder, () => {
    makeFolder(folder);
    if (readdirSync(folder).length === 0) return;
    throw new StorageError('foreign', `${folder}: not empty`);
  });
  const configs = Array.from({ length: options.nodes }, (_, index) => ({
    ...config,
    data: join(folder, `node${index + 1}`),
    port: config.port + index,
    peerPort: config.peerPort + index,
  }));
  const password = generatePassword();
  const secrets = makeAllSecrets(configs, crypto, password);
  const [{ nodeKey, administrator }] = secrets as [NewSecrets];
  const peerHost = hostOf({ ...config, host: config.peerHost });
  const made = makeBlock(crypto, nodeKey, {
    database,
    nodes: secrets.map((each, index) => ({
      publicKey: each.nodeKey.publicKey,
      address: `${peerHost}:${configs[index]!.peerPort}`,
    })),
    administrators: [{ name: ADMIN, ...administrator }],
    consensus,
    stateShards: config.stateShards,
    createdMs: clock.now(),
    nonce: new Uint8Array(randomBytes(32)),
  });
  const nodes = configs.map((each): LocalNode => {
    const { data, port, peerPort } = each;
    writeAdminUrl(each, { role: ADMIN, password, database, port });
    loadTlsOf(each, clock);
    installLedger(data, made.block);
    const configFile = join(data, CONFIG_FILE);
    onDisk(configFile, () => writeFileSync(configFile, configText(each), { flush: true }));
    return { data, configFile, port, peerPort };
  });
  const genesisFile = join(folder, 'genesis.json');
  onDisk(genesisFile, () => writeFileSync(genesisFile, formatGenesis(made), { flush: true }));
  const hosts = nodes.map(({ port }) => `${hostOf(config)}:${port}`).join(',');
  const mode = config.tls ? 'require' : 'disable';
  const adminUrlFile = join(folder, 'admin.url');
  // A node that has been taken out of the cluster still answers: it is passed over.
  const url = `postgresql://${ADMIN}:${password}@${hosts}/${database}?sslmode=${mode}&target_session_attrs=read-write`;
  writeSecret(adminUrlFile, `${url}\n`);
  return { ...made, nodes, adminUrlFile };
}

/** Keys of each node; the first makes the administrator and gives key and verifier to the others. */
function makeAllSecrets(
  configs: readonly Config[],
  crypto: Crypto,
  password: string,
): NewSecrets[] {
  const [config, ...others] = configs;
  const make = (each: Config, administer: Parameters<typeof makeSecrets>[2]): NewSecrets => {
    const made = makeSecrets(each, crypto, administer);
    keepMasterKey(each, defaultMasterKeyFile(made.nodeKey.publicKey), made.masterKey);
    return made;
  };
  const first = make(config!, (keyring) => newAdministrator(keyring, password));
  const { administrator } = first;
  const keyring = Keyring.open(config!.data, crypto, first.masterKey);
  try {
    const share = (other: Keyring): NewSecrets['administrator'] => {
      keyring.shareKey(administrator.publicKey, other);
      keyring.shareVerifier(administrator.verifierCommitment, other);
      return administrator;
    };
    return [first, ...others.map((each) => make(each, share))];
  } finally {
    keyring.close();
  }
}

/** @throws ConfigError for a number of nodes or ports that cannot be */
export function checkPlan(
  { port, peerPort }: Config,
  { nodes, database }: { readonly nodes: number; readonly database: string },
): void {
  checkDatabase(database);
  if (nodes === 1) {
    throw new ConfigError('one node is no cluster: trustsql init makes a ledger of one node');
  }
  if (!Number.isInteger(nodes) || nodes < 2 || nodes > LOCAL_NODES_MAX) {
    throw new ConfigError(`--nodes: a whole number from 2 to ${LOCAL_NODES_MAX} is expected`);
  }
  if (port === 0 || peerPort === 0) {
    throw new ConfigError('the nodes of a cluster must know their ports: 0 cannot be');
  }
  if (Math.max(port, peerPort) + nodes - 1 > 65_535) {
    throw new ConfigError(`there are not ${nodes} ports from ${Math.max(port, peerPort)} on`);
  }
  if (Math.abs(port - peerPort) < nodes) {
    throw new ConfigError(
      `ports for clients from ${port} on and for peers from ${peerPort} on overlap`,
    );
  }
}

/** The options of one node that are not what they would be without a file. */
function configText(config: Config): string {
  const own = ['data', 'port', 'peerPort'];
  const entries = Object.entries(config).filter(
    ([name, value]) =>
      own.includes(name) ||
      // It is written in the ledger itself.
      (name !== 'stateShards' && value !== OPTIONS[name as keyof Config].initial),
  );
  const options = Object.fromEntries(entries);
  // Relative paths of the operator's are relative to where the cluster was made, not to where a node is started.
  for (const name of ['keyFile', 'tlsCertificate', 'tlsKey']) {
    const path = options[name] as string | undefined;
    if (path !== undefined && existsSync(path)) options[name] = resolve(path);
  }
  return `${JSON.stringify(options, null, 2)}\n`;
}
