// Makes a data directory, and opens its secrets: where configuration, identity and storage come together. Shell.
//
// (1) Order is everything: keys, master key file, admin.url, certificate, and the marker of the directory last.
//     A directory without its marker is no ledger yet: whatever a crash has left there is made anew.
// (2) The admin's password exists in memory and in admin.url only.

import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Keyring, keyringFile } from '../identity/keyring.ts';
import {
  defaultMasterKeyFile,
  makeMasterKey,
  readMasterKey,
  writeMasterKey,
} from '../identity/master-key.ts';
import { makeNodeKey, nodeKeyFile, openNodeKey } from '../identity/node-key.ts';
import type { NodeKey } from '../identity/node-key.ts';
import { generatePassword, verifierOfPassword } from '../identity/password.ts';
import { FORMAT_VERSION } from '../ledger/block.ts';
import type { Genesis } from '../ledger/block.ts';
import { hex } from '../ledger/bytes.ts';
import { ID } from '../ledger/catalog.ts';
import type { CatalogChange } from '../ledger/catalog.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { encodeGenesis } from '../ledger/encoding.ts';
import { StorageError } from '../ledger/error.ts';
import { chainIdOf } from '../ledger/hash.ts';
import { BlockStore } from '../storage/block-store.ts';
import { createLedger } from '../storage/create-ledger.ts';
import { isDataDirectory, readDataDirectory, syncFolder } from '../storage/data-directory.ts';
import type { DataDirectory } from '../storage/data-directory.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import { loadTls } from './tls.ts';
import type { TlsMaterial } from './tls.ts';

/** Name of the database and of the role that a new ledger has. */
const DATABASE = 'ledger';
const ADMIN = 'admin';

/** What an interrupted attempt may have left in the directory, and a node that has locked it first. */
const LEFTOVERS =
  /^(chain|state|keys|admin\.url|trustsql\.json\.new|(identity|lock)\.sqlite(-wal|-shm|-journal)?)$/;

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

/**
 * Makes the data directory of a new ledger.
 *
 * @throws StorageError foreign when there is a ledger, or something else; io or full when it cannot be written
 */
export function initialise(config: Config, crypto: Crypto, clock: Clock): Initialised {
  const directory = config.data;
  if (isDataDirectory(directory)) {
    throw new StorageError('foreign', `${directory}: there is a ledger here already`);
  }
  clearLeftovers(directory);
  const given = config.keyFile !== '' && existsSync(config.keyFile);
  const masterKey = given ? readMasterKey(config.keyFile) : makeMasterKey();
  const nodeKey = makeNodeKey(directory, crypto, masterKey);
  const password = generatePassword();
  const keyring = Keyring.create(directory, crypto, masterKey);
  const genesis: Genesis = {
    version: FORMAT_VERSION,
    database: DATABASE,
    createdMs: clock.now(),
    nonce: new Uint8Array(randomBytes(32)),
    nodes: [{ publicKey: nodeKey.publicKey, address: '' }],
    consensus: 'solo',
    stateShards: config.stateShards,
    catalog: firstCatalog(keyring.makeKey(), keyring.putVerifier(verifierOfPassword(password))),
  };
  keyring.close();
  const chainId = chainIdOf(crypto, encodeGenesis(genesis));
  const masterKeyFile = masterKeyFileOf(config, chainId);
  if (!given) writeMasterKey(masterKeyFile, masterKey);
  const adminUrl = writeAdminUrl(config, config.port, password);
  loadTlsOf(config, clock);
  createLedger(directory, genesis, crypto, nodeKey.seed);
  return { chainId: hex(chainId), nodeKey: hex(nodeKey.publicKey), masterKeyFile, adminUrl };
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

/**
 * Writes `<data>/admin.url`, mode 0600, atomically enough for a file that can be written again.
 *
 * @param port  the real one, when the configuration says 0
 * @returns     the connection string
 */
export function writeAdminUrl(config: Config, port: number, password: string): string {
  const any = config.host === '0.0.0.0' || config.host === '::';
  const name = any ? '127.0.0.1' : config.host;
  const host = name.includes(':') ? `[${name}]` : name;
  const mode = config.tls ? 'require' : 'disable';
  const url = `postgresql://${ADMIN}:${password}@${host}:${port}/${DATABASE}?sslmode=${mode}`;
  const path = join(config.data, 'admin.url');
  onDisk(path, () => {
    writeFileSync(path, `${url}\n`, { mode: 0o600, flush: true });
    // The mode above counts for a new file only.
    chmodSync(path, 0o600);
    syncFolder(config.data);
  });
  return url;
}

/** Where the master key of this chain lies. */
export function masterKeyFileOf(config: Config, chainId: Uint8Array): string {
  return config.keyFile === '' ? defaultMasterKeyFile(chainId) : config.keyFile;
}

function loadTlsOf(config: Config, clock: Clock): TlsMaterial | null {
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
    if (foreign !== undefined) {
      throw new StorageError('foreign', `${directory}: not empty, and no ledger (${foreign})`);
    }
    if (existsSync(join(directory, 'chain')) && tipOf(directory) > 0) {
      throw new StorageError('foreign', `${directory}: there are blocks here, but no marker file`);
    }
    for (const suffix of ['', '-wal', '-shm']) {
      rmSync(`${keyringFile(directory)}${suffix}`, { force: true });
    }
    rmSync(nodeKeyFile(directory), { force: true });
  });
}

/** Its parents as well. Not in one recursive step: where nothing can be made, as in /proc, that never ends. */
function makeFolder(directory: string): void {
  const path = resolve(directory);
  if (existsSync(path) && statSync(path).isDirectory()) return;
  if (!existsSync(dirname(path))) makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

function tipOf(directory: string): number {
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    return blocks.tip;
  } finally {
    blocks.close();
  }
}

/** The admin role, and the schema `public` with PostgreSQL 15's privileges: everybody may use, the owner create. */
function firstCatalog(publicKey: Uint8Array, verifierCommitment: Uint8Array): CatalogChange[] {
  const grantor = ID.adminRole;
  return [
    {
      put: 'role',
      object: {
        id: ID.adminRole,
        name: ADMIN,
        superuser: true,
        login: true,
        inherit: true,
        createRole: true,
        createDatabase: true,
        connectionLimit: -1,
        validUntil: null,
        memberOf: [],
        publicKey,
        custody: 'hosted',
        verifierCommitment,
      },
    },
    {
      put: 'schema',
      object: {
        id: ID.publicSchema,
        name: 'public',
        owner: ID.adminRole,
        grants: [
          { grantee: ID.adminRole, grantor, privileges: 'CU', grantable: '' },
          { grantee: 0, grantor, privileges: 'U', grantable: '' },
        ],
      },
    },
  ];
}

/** Runs `work`; an error of the file system becomes a StorageError that names `path`. */
function onDisk(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    const code = Error.isError(error) ? (error as { code?: string }).code : undefined;
    if (code === undefined) throw error;
    const fault = code === 'ENOSPC' || code === 'EDQUOT' ? 'full' : 'io';
    throw new StorageError(fault, `${path}: ${(error as Error).message}`, { cause: error });
  }
}
