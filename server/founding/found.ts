// Founding a cluster: keys before there is a ledger, the genesis record of all parts, and joining it, then or later. Shell.
//
//   every organisation    prepareNode   keys, and a part without secrets
//   the first one         foundCluster  parts → block 0, signed, and the ledger of it
//   each other one        joinCluster   block 0, checked → the ledger of it
//   one that lost its     returnToCluster   its keys, kept → the ledger of block 0, and a log that says what was forgotten
//
// (1) A part is written last: keys without one were promised to nobody, and may be made anew.
// (2) Nothing is written into a data directory before all that the operator has given was checked.

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Keyring } from '../../identity/keyring.ts';
import { defaultMasterKeyFile, readMasterKey } from '../../identity/master-key.ts';
import { isNodeKeyUsed, openNodeKey } from '../../identity/node-key.ts';
import type { NodeKey } from '../../identity/node-key.ts';
import { generatePassword } from '../../identity/password.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { encodeGenesis } from '../../ledger/encoding.ts';
import { StorageError } from '../../ledger/error.ts';
import { chainIdOf } from '../../ledger/hash.ts';
import { installLedger, makeGenesisBlock } from '../../storage/create-ledger.ts';
import { isDataDirectory, readDataDirectory } from '../../storage/data-directory.ts';
import { syncFolder } from '../../storage/durable-file.ts';
import { readBlockZero } from '../../storage/epochs.ts';
import type { Clock } from '../clock.ts';
import { ConfigError } from '../config.ts';
import type { Config } from '../config.ts';
import {
  keepMasterKey,
  loadTlsOf,
  makeSecrets,
  masterKeyFileOf,
  newAdministrator,
  onDisk,
  PART_ENDING,
  readAdminUrl,
  writeAdminUrl,
} from '../initialise.ts';
import { makeForgottenLog } from '../../storage/vote-log.ts';
import { isPeerAddress } from '../peer-options.ts';
import {
  checkFirstCatalog,
  checkInvitation,
  checkRunning,
  DATABASE,
  makeGenesis,
  membersOf,
} from './genesis.ts';
import type { ClusterConsensus, Foundation } from './genesis.ts';
import { formatGenesis, parseGenesis } from './genesis-file.ts';
import type { GenesisBlock } from './genesis-file.ts';
import { formatPart, isPlainName, parsePart, roleOfOrganisation } from './part.ts';
import type { Part } from './part.ts';

const NAME_FORM = 'a lower-case letter, then up to 39 such letters, digits and underscores';

export interface Prepared {
  readonly part: Part;
  readonly partFile: string;
  readonly masterKeyFile: string;
}

/**
 * Makes the keys of an organisation's node and administrator, and the part that others need of them.
 *
 * @param address  `host:port` for peers, or empty
 * @throws ConfigError for a name or address that cannot be; StorageError as initialise
 */
export function prepareNode(
  config: Config,
  crypto: Crypto,
  clock: Clock,
  name: string,
  address: string,
): Prepared {
  if (!isPlainName(name)) {
    throw new ConfigError(`--name: "${name}" cannot be: ${NAME_FORM}`);
  }
  if (address !== '' && !isPeerAddress(address)) {
    throw new ConfigError(`--address: "${address}" is not <host>:<port>`);
  }
  const password = generatePassword();
  const { nodeKey, masterKey, administrator } = makeSecrets(config, crypto, (keyring) =>
    newAdministrator(keyring, password),
  );
  const { publicKey } = nodeKey;
  const masterKeyFile = keepMasterKey(config, defaultMasterKeyFile(publicKey), masterKey);
  const role = roleOfOrganisation(name);
  writeAdminUrl(config, { role, password, database: DATABASE, port: config.port });
  loadTlsOf(config, clock);
  const part: Part = {
    name,
    nodeKey: publicKey,
    address,
    role,
    roleKey: administrator.publicKey,
    verifierCommitment: administrator.verifierCommitment,
  };
  const partFile = join(config.data, `${name}${PART_ENDING}`);
  const text = formatPart(crypto, nodeKey.seed, part);
  writeOnce(partFile, text);
  return { part, partFile, masterKeyFile };
}

export interface ClusterOptions {
  readonly consensus: ClusterConsensus;
  readonly database: string;
}

/**
 * Makes block 0 of the parts, in their order, and the ledger of the first of them, whose keys lie in `config.data`.
 *
 * @param partFiles  the node's own among them, as the first
 * @param out        where the block is written to for the others
 * @throws ConfigError when the parts cannot make a cluster; StorageError for a part that is not sound, or as initialise
 */
export function foundCluster(
  config: Config,
  crypto: Crypto,
  clock: Clock,
  options: ClusterOptions & { readonly partFiles: readonly string[]; readonly out: string },
): GenesisBlock {
  const { consensus, database, partFiles, out } = options;
  checkDatabase(database);
  const own = openPrepared(config, crypto);
  const parts = partFiles.map((file) => parsePart(crypto, readText(file), file));
  if (parts[0] === undefined || !equal(parts[0].nodeKey, own.nodeKey.publicKey)) {
    throw new ConfigError(
      `the first part must be the one of ${config.data}, whose node signs block 0: ${own.file}`,
    );
  }
  const made = makeBlock(crypto, own.nodeKey, {
    ...membersOf(parts),
    database,
    consensus,
    stateShards: config.stateShards,
    createdMs: clock.now(),
    nonce: new Uint8Array(randomBytes(32)),
  });
  checkInvitation(made.genesis, own.part, out);
  writeOnce(out, formatGenesis(made));
  install(config, made);
  return made;
}

/** @throws ConfigError */
export function checkDatabase(name: string): void {
  if (!isPlainName(name)) throw new ConfigError(`--database: "${name}" cannot be: ${NAME_FORM}`);
}

/** Block 0 of a foundation, signed by its first node. */
export function makeBlock(crypto: Crypto, nodeKey: NodeKey, foundation: Foundation): GenesisBlock {
  const genesis = makeGenesis(foundation);
  const block = makeGenesisBlock(crypto, genesis, nodeKey.seed);
  return { block, genesis, chainId: chainIdOf(crypto, encodeGenesis(genesis)) };
}

/**
 * Writes block 0 of a ledger for nodes that are to be added to it.
 *
 * @param directory  of the ledger, whose node may run
 * @param out        where to
 * @throws StorageError when there is none, or when it cannot be written
 */
export function inviteTo(directory: string, out: string): GenesisBlock {
  const { chainId } = readDataDirectory(directory);
  const found = { ...readBlockZero(directory), chainId };
  writeOnce(out, formatGenesis(found));
  return found;
}

/**
 * Makes the ledger of another organisation's block 0 with the keys in `config.data`.
 *
 * @param file      genesis.json
 * @param chainId   the only chain to join, when known from elsewhere
 * @param newcomer  it may have no place for this node, which is to be added
 * @param show      called with what was found before anything is written
 * @throws StorageError when the file is not sound or has no place for this node, or as initialise
 */
export function joinCluster(
  config: Config,
  crypto: Crypto,
  options: {
    readonly file: string;
    readonly chainId: Uint8Array | null;
    /** The cluster runs, and does not know this node yet. */
    readonly newcomer: boolean;
    readonly show: (found: GenesisBlock) => void;
  },
): GenesisBlock {
  const { file, chainId, newcomer, show } = options;
  if (isNodeKeyUsed(config.data)) {
    const why = `the key of ${config.data} has been in use, and may have voted for what is lost`;
    throw new StorageError('foreign', `${why}: --returning lets it recover before it votes`);
  }
  const own = openPrepared(config, crypto);
  const found = readBlock(crypto, file, chainId);
  (newcomer ? checkRunning : checkInvitation)(found.genesis, own.part, file);
  show(found);
  install(config, found);
  return found;
}

/**
 * Makes the ledger of a member anew whose data are lost but for its keys. It gets the blocks from the others, and votes
 * again when what it has voted for, and forgotten, is known to be past.
 *
 * @param options  as of joinCluster
 * @throws StorageError io or damaged when its keys are not whole, or as joinCluster
 */
export function returnToCluster(
  config: Config,
  crypto: Crypto,
  options: Omit<Parameters<typeof joinCluster>[2], 'newcomer'>,
): GenesisBlock {
  const { data } = config;
  if (isDataDirectory(data)) {
    throw new StorageError('foreign', `${data}: there is a ledger here already`);
  }
  const found = readBlock(crypto, options.file, options.chainId);
  checkFirstCatalog(found.genesis, options.file);
  const masterKey = readMasterKey(masterKeyFileOf(config, found.chainId));
  openNodeKey(data, crypto, masterKey);
  Keyring.open(data, crypto, masterKey).close();
  options.show(found);
  // Before the marker, without which the directory is no ledger.
  makeForgottenLog(data);
  install(config, found);
  return found;
}

/** @throws StorageError io when there is such a file: others may have taken up what it holds */
function writeOnce(path: string, text: string): void {
  onDisk(path, () => {
    writeFileSync(path, text, { flag: 'wx', flush: true });
    syncFolder(dirname(path));
  });
}

/** @throws StorageError when the file is not sound, or of another chain than the one asked for */
function readBlock(crypto: Crypto, file: string, chainId: Uint8Array | null): GenesisBlock {
  const found = parseGenesis(crypto, readText(file), file);
  if (chainId === null || equal(chainId, found.chainId)) return found;
  throw new StorageError(
    'foreign',
    `${file}: chain ${hex(found.chainId)} is not the one asked for`,
  );
}

/** Makes the ledger, and says in admin.url how its database is called. */
function install(config: Config, { block, genesis: { database } }: GenesisBlock): void {
  const login = readAdminUrl(config);
  if (login !== null) writeAdminUrl(config, { ...login, database, port: config.port });
  installLedger(config.data, block);
}

/**
 * The part of a data directory, and its node's key: both must be what `prepareNode` has made.
 *
 * @throws StorageError foreign without a part there, io or damaged when keys are missing or others
 */
function openPrepared(
  config: Config,
  crypto: Crypto,
): { readonly part: Part; readonly file: string; readonly nodeKey: NodeKey } {
  const { data } = config;
  if (isDataDirectory(data)) {
    throw new StorageError('foreign', `${data}: there is a ledger here already`);
  }
  const file = partFileIn(data);
  const part = parsePart(crypto, readText(file), file);
  const masterKeyFile = config.keyFile === '' ? defaultMasterKeyFile(part.nodeKey) : config.keyFile;
  const masterKey = readMasterKey(masterKeyFile);
  const nodeKey = openNodeKey(data, crypto, masterKey);
  const keyring = Keyring.open(data, crypto, masterKey);
  try {
    const whole =
      equal(nodeKey.publicKey, part.nodeKey) &&
      keyring.keyOf(part.roleKey) !== undefined &&
      keyring.verifierOf(part.verifierCommitment) !== undefined;
    if (whole) return { part, file, nodeKey };
    throw new StorageError('damaged', `${file}: the keys that it offers are not in ${data}`);
  } finally {
    keyring.close();
  }
}

function partFileIn(directory: string): string {
  const names = onDisk(directory, () => readdirSync(directory)).filter((name) =>
    name.endsWith(PART_ENDING),
  );
  if (names.length === 1) return join(directory, names[0]!);
  const what = names.length === 0 ? 'no keys for a cluster here' : 'several parts here';
  throw new StorageError('foreign', `${directory}: ${what}; trustsql cluster key makes one`);
}

function readText(file: string): string {
  return onDisk(file, () => readFileSync(file, 'utf8'));
}
