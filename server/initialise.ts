// Makes a data directory, and opens its secrets: where configuration, identity and storage come together. Shell.
//
// (1) Order is everything: keys, master key file, admin.url, certificate, and the marker of the directory last.
//     A directory without its marker is no ledger yet: whatever a crash has left there is made anew.
// (2) The admin's password exists in memory and in admin.url only.

import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Keyring, keyringFile } from '../identity/keyring.ts';
import {
  defaultMasterKeyFile,
  makeMasterKey,
  readMasterKey,
  writeMasterKey,
} from '../identity/master-key.ts';
import {
  isNodeKeyUsed,
  makeNodeKey,
  nodeKeyFile,
  openNodeKey,
  readNodePublicKey,
} from '../identity/node-key.ts';
import type { NodeKey } from '../identity/node-key.ts';
import { generatePassword, verifierOfPassword } from '../identity/password.ts';
import { hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { encodeGenesis } from '../ledger/encoding.ts';
import { isStorageError, StorageError } from '../ledger/error.ts';
import { chainIdOf } from '../ledger/hash.ts';
import { BlockStore } from '../storage/block-store.ts';
import { createLedger } from '../storage/create-ledger.ts';
import { isDataDirectory, readDataDirectory } from '../storage/data-directory.ts';
import type { DataDirectory } from '../storage/data-directory.ts';
import { makeFolder, replaceFile } from '../storage/durable-file.ts';
import { removeDatabase } from '../storage/state-files.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { ADMIN, DATABASE, makeGenesis } from './founding/genesis.ts';
import type { Administrator } from './founding/genesis.ts';
import { loadTls } from './tls.ts';
import type { TlsMaterial } from './tls.ts';

/** What an interrupted attempt may have left in the directory, and a node that has locked it first. */
const LEFTOVERS =
  /^(chain|state|keys|admin\.url(\.new)?|trustsql\.json\.new|(identity|lock)\.sqlite(-wal|-shm|-journal)?)$/;

/** Of the file that offers a node's public keys to a cluster: from then on they must not be lost. */
export const PART_ENDING = '.node.json';

export interface Initialised {
  /** Hexadecimal, as the next. */
  readonly chainId: string;
  /** The node's public key: what proofs are checked against. */
  readonly nodeKey: string;
  readonly masterKeyFile: string;
  /** The whole connection string with the password: for a terminal, never for a log. */
  readonly adminUrl: string;
}

/** What a node needs of its own to run. */
export interface NodeSecrets {
  readonly data: DataDirectory;
  readonly keyring: Keyring;
  readonly nodeKey: NodeKey;
  /** null when the configuration says no TLS. */
  readonly tls: TlsMaterial | null;
}

/** Secrets of a node that has no ledger yet; the master key and the password are nowhere on disk. */
export interface NewSecrets {
  readonly nodeKey: NodeKey;
  readonly masterKey: Uint8Array;
  readonly administrator: Omit<Administrator, 'name'>;
}

/**
 * Makes the data directory of a new ledger.
 *
 * @throws StorageError foreign when there is a ledger, or something else; io or full when it cannot be written
 */
export function initialise(config: Config, crypto: Crypto, clock: Clock): Initialised {
  const directory = config.data;
  const password = generatePassword();
  const { nodeKey, masterKey, administrator } = makeSecrets(config, crypto, (keyring) =>
    newAdministrator(keyring, password),
  );
  const genesis = makeGenesis({
    database: DATABASE,
    nodes: [{ publicKey: nodeKey.publicKey, address: '' }],
    administrators: [{ name: ADMIN, ...administrator }],
    consensus: 'solo',
    stateShards: config.stateShards,
    createdMs: clock.now(),
    nonce: new Uint8Array(randomBytes(32)),
  });
  const chainId = chainIdOf(crypto, encodeGenesis(genesis));
  const masterKeyFile = keepMasterKey(config, defaultMasterKeyFile(chainId), masterKey);
  const login = { role: ADMIN, password, database: DATABASE, port: config.port };
  const adminUrl = writeAdminUrl(config, login);
  loadTlsOf(config, clock);
  createLedger(directory, genesis, crypto, nodeKey.seed);
  return { chainId: hex(chainId), nodeKey: hex(nodeKey.publicKey), masterKeyFile, adminUrl };
}

/**
 * Makes the keys of a node in its data directory.
 *
 * @param administer  puts key and verifier of the administrator into the new keyring
 * @throws StorageError foreign when there is a ledger, or something else; io or full when it cannot be written
 */
export function makeSecrets(
  config: Config,
  crypto: Crypto,
  administer: (keyring: Keyring) => NewSecrets['administrator'],
): NewSecrets {
  const directory = config.data;
  if (isDataDirectory(directory)) {
    throw new StorageError('foreign', `${directory}: there is a ledger here already`);
  }
  clearLeftovers(directory);
  const masterKey = givesMasterKey(config) ? readMasterKey(config.keyFile) : makeMasterKey();
  const nodeKey = makeNodeKey(directory, crypto, masterKey);
  const keyring = Keyring.create(directory, crypto, masterKey);
  try {
    return { nodeKey, masterKey, administrator: administer(keyring) };
  } finally {
    keyring.close();
  }
}

/** A key and a password's verifier for an administrator. */
export function newAdministrator(keyring: Keyring, password: string): NewSecrets['administrator'] {
  const publicKey = keyring.makeKey();
  return { publicKey, verifierCommitment: keyring.putVerifier(verifierOfPassword(password)) };
}

/**
 * Writes the master key unless the operator has given it.
 *
 * @param file  where to, when the operator has not said that either
 * @returns     where it is
 */
export function keepMasterKey(config: Config, file: string, masterKey: Uint8Array): string {
  if (givesMasterKey(config)) return config.keyFile;
  const path = config.keyFile === '' ? file : config.keyFile;
  writeMasterKey(path, masterKey);
  return path;
}

function givesMasterKey({ keyFile }: Config): boolean {
  return keyFile !== '' && existsSync(keyFile);
}

/**
 * Opens the secrets of a data directory.
 *
 * @throws StorageError foreign without a ledger there, io when a key is missing, damaged when one was altered
 */
export function openSecrets(config: Config, crypto: Crypto, clock: Clock): NodeSecrets {
  const data = readDataDirectory(config.data);
  const masterKey = readMasterKey(masterKeyFileOf(config, data.chainId));
  const nodeKey = openNodeKey(config.data, crypto, masterKey);
  const tls = loadTlsOf(config, clock);
  return { data, nodeKey, tls, keyring: Keyring.open(config.data, crypto, masterKey) };
}

/** What admin.url says besides the node's own options. */
export interface AdminLogin {
  readonly role: string;
  readonly password: string;
  readonly database: string;
  /** The real one, when the configuration says 0. */
  readonly port: number;
}

/**
 * Writes `<data>/admin.url`, mode 0600, whole or not at all: the password is nowhere else.
 *
 * @returns     the connection string
 */
export function writeAdminUrl(config: Config, login: AdminLogin): string {
  const { role, password, database, port } = login;
  const mode = config.tls ? 'require' : 'disable';
  const url = `postgresql://${role}:${password}@${hostOf(config)}:${port}/${database}?sslmode=${mode}`;
  writeSecret(join(config.data, 'admin.url'), `${url}\n`);
  return url;
}

/** What `admin.url` says, or null: it is a convenience, and the owner may have removed it. */
export function readAdminUrl(config: Config): AdminLogin | null {
  try {
    const url = new URL(readFileSync(join(config.data, 'admin.url'), 'utf8').trim());
    return {
      role: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)),
      port: Number(url.port),
    };
  } catch {
    return null;
  }
}

/** The host by which clients on this machine reach the node, as a URL has it. */
export function hostOf({ host }: Config): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return name.includes(':') ? `[${name}]` : name;
}

/** Writes a file that only its owner may read, in the place of one that may be there. */
export function writeSecret(path: string, content: string): void {
  onDisk(path, () => replaceFile(path, content));
}

/**
 * Where the master key of a data directory lies: named after its chain, or after its node where the keys were made before
 * the chain (`trustsql cluster key`).
 */
export function masterKeyFileOf(config: Config, chainId: Uint8Array): string {
  if (config.keyFile !== '') return config.keyFile;
  const nodeKey = tryReadNodePublicKey(config.data);
  const ofNode = nodeKey === null ? null : defaultMasterKeyFile(nodeKey);
  return ofNode !== null && existsSync(ofNode) ? ofNode : defaultMasterKeyFile(chainId);
}

function tryReadNodePublicKey(directory: string): Uint8Array | null {
  try {
    return readNodePublicKey(directory);
  } catch (error) {
    // Whoever needs the key itself will say what is wrong with it.
    if (isStorageError(error)) return null;
    throw error;
  }
}

/** The certificate that the configuration names, or the node's own, made if it is not there yet. */
export function loadTlsOf(config: Config, clock: Clock): TlsMaterial | null {
  if (!config.tls) return null;
  const files = { certificate: config.tlsCertificate, key: config.tlsKey };
  const hosts = new Set(['localhost', '127.0.0.1', '::1', config.host]);
  for (const any of ['0.0.0.0', '::']) hosts.delete(any);
  return loadTls(config.data, files, [...hosts], clock.now());
}

/**
 * Keys that an interrupted attempt has left are removed: no chain knows them. Nothing else is ever removed.
 *
 * @throws StorageError foreign when anything but such an attempt is there
 */
function clearLeftovers(directory: string): void {
  onDisk(directory, () => {
    makeFolder(directory);
    const foreign = readdirSync(directory).find((name) => !LEFTOVERS.test(name));
    if (foreign?.endsWith(PART_ENDING)) {
      const what = `its keys are promised to a cluster (${foreign})`;
      const next = 'go on with trustsql cluster genesis or trustsql cluster join';
      throw new StorageError('foreign', `${directory}: ${what}; ${next}`);
    }
    if (foreign !== undefined) {
      throw new StorageError('foreign', `${directory}: not empty, and no ledger (${foreign})`);
    }
    if (isNodeKeyUsed(directory)) {
      const next = 'trustsql cluster join --returning brings it back';
      throw new StorageError('foreign', `${directory}: the key of a node of a cluster; ${next}`);
    }
    if (existsSync(join(directory, 'chain')) && tipOf(directory) > 0) {
      throw new StorageError('foreign', `${directory}: there are blocks here, but no marker file`);
    }
    removeDatabase(keyringFile(directory));
    rmSync(nodeKeyFile(directory), { force: true });
  });
}

function tipOf(directory: string): number {
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    return blocks.tip;
  } finally {
    blocks.close();
  }
}

/** Runs `work`; an error of the file system becomes a StorageError that names `path`. */
export function onDisk<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = Error.isError(error) ? (error as { code?: string }).code : undefined;
    if (code === undefined) throw error;
    const fault = code === 'ENOSPC' || code === 'EDQUOT' ? 'full' : 'io';
    throw new StorageError(fault, `${path}: ${(error as Error).message}`, { cause: error });
  }
}
