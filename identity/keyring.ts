// The secrets of the roles that this node hosts: `identity.sqlite` in the data directory. Shell.
//
// Ed25519 seeds of roles and SCRAM verifiers, each sealed under the master key. The chain holds what they
// answer to: a role's public key, and a salted commitment to its verifier. So entries are found by exactly
// that, never by a name: whoever swaps or edits an entry makes one that answers to nothing on the chain.
//
// (1) A key is on disk when `makeKey` returns: it may go on the chain.
// (2) Seeds in the clear are in memory only, and only the most recently used ones.
// (3) The commitment is SHA-256(tag ‖ salt ‖ verifier's text form); the salt is drawn once per verifier.

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { concat, equal, hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { SEED_BYTES } from '../ledger/crypto.ts';
import { assert, StorageError } from '../ledger/error.ts';
import { guard, openDatabase } from '../storage/sqlite.ts';
import type { Database } from '../storage/sqlite.ts';
import { formatVerifier, tryParseVerifier } from './password.ts';
import type { ScramVerifier } from './password.ts';
import { seal, unseal } from './sealed-box.ts';

/** A hosted role's key: what the gateway signs with. */
export interface HostedKey {
  readonly publicKey: Uint8Array;
  readonly seed: Uint8Array;
}

const FORMAT_VERSION = 1;
const COMMITMENT_TAG = new TextEncoder().encode('trustsql scram verifier commitment v1\n');
const COMMITMENT_SALT_BYTES = 16;

/** Seeds kept unsealed; opening one costs some 10 µs. */
const SEEDS_CACHED_MAX = 1_024;

const SCHEMA = `
  CREATE TABLE about (format INTEGER NOT NULL, probe BLOB NOT NULL) STRICT;
  CREATE TABLE role_keys (public_key BLOB PRIMARY KEY, box BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE verifiers (
    commitment BLOB PRIMARY KEY, salt BLOB NOT NULL, box BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/** As SQLite keeps them. */
const TABLES = SCHEMA.split(';')
  .map((text) => text.trim())
  .filter((text) => text !== '');

export class Keyring {
  readonly #database: Database;
  readonly #path: string;
  readonly #crypto: Crypto;
  #masterKey: Uint8Array;
  readonly #seeds = new Map<string, HostedKey>();

  /** Use `create` or `open`. */
  private constructor(database: Database, path: string, crypto: Crypto, masterKey: Uint8Array) {
    this.#database = database;
    this.#path = path;
    this.#crypto = crypto;
    this.#masterKey = masterKey;
  }

  /**
   * Makes the keyring of a new data directory.
   *
   * @throws StorageError foreign when there is one: it may hold the only copy of keys
   */
  static create(directory: string, crypto: Crypto, masterKey: Uint8Array): Keyring {
    const path = keyringFile(directory);
    if (existsSync(path)) throw new StorageError('foreign', `${path}: there are keys here already`);
    // Made before SQLite opens it, so that at no moment others may read it.
    closeSync(openSync(path, 'wx', 0o600));
    const database = openDatabase(path, { synchronous: 'FULL' });
    const probe = seal(masterKey, contextOf('probe'), new Uint8Array(0));
    guard(path, () => {
      database.exec('BEGIN');
      database.exec(SCHEMA);
      database.prepare('INSERT INTO about VALUES (?, ?)').run(BigInt(FORMAT_VERSION), probe);
      database.exec('COMMIT');
    });
    return new Keyring(database, path, crypto, masterKey);
  }

  /**
   * @throws StorageError io when it is missing, foreign for another format, damaged when `masterKey` is not
   *   the one it was made with
   */
  static open(directory: string, crypto: Crypto, masterKey: Uint8Array): Keyring {
    const path = keyringFile(directory);
    if (!existsSync(path)) throw new StorageError('io', `${path}: the keys are missing`);
    chmodSync(path, 0o600);
    const database = openDatabase(path, { mustExist: true, synchronous: 'FULL' });
    try {
      const about = guard(path, () => database.prepare('SELECT format, probe FROM about').get());
      const { format, probe } = (about ?? {}) as { format?: bigint; probe?: Uint8Array };
      if (format !== BigInt(FORMAT_VERSION) || probe === undefined) {
        throw new StorageError('foreign', `${path}: format ${String(format)} is unknown`);
      }
      unseal(masterKey, contextOf('probe'), probe, path);
      return new Keyring(database, path, crypto, masterKey);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** A new key for a role; its public key, 32 bytes. Durable when this returns. */
  makeKey(): Uint8Array {
    const seed = new Uint8Array(randomBytes(SEED_BYTES));
    const publicKey = this.#crypto.publicKeyOf(seed);
    this.#putKey({ publicKey, seed });
    return publicKey;
  }

  #putKey({ publicKey, seed }: HostedKey): void {
    const box = seal(this.#masterKey, contextOf('role key', publicKey), seed);
    this.#run('INSERT INTO role_keys VALUES (?, ?)', publicKey, box);
  }

  /** Puts a key that is kept here into another keyring as well, so that both nodes host its role. */
  shareKey(publicKey: Uint8Array, other: Keyring): void {
    const key = this.keyOf(publicKey);
    assert(key !== undefined, 'a key that is shared is kept here');
    other.#putKey(key);
  }

  /**
   * The key that answers to `publicKey`, or undefined if it is not hosted here.
   *
   * @throws StorageError damaged when the entry was altered
   */
  keyOf(publicKey: Uint8Array): HostedKey | undefined {
    const name = hex(publicKey);
    let key = this.#seeds.get(name);
    if (key === undefined) {
      const box = this.#boxOf('SELECT box FROM role_keys WHERE public_key = ?', publicKey);
      if (box === undefined) return undefined;
      const place = `${this.#path}: key ${name}`;
      const seed = unseal(this.#masterKey, contextOf('role key', publicKey), box, place);
      if (!equal(this.#crypto.publicKeyOf(seed), publicKey)) {
        throw new StorageError('damaged', `${place}: the seed is another key's`);
      }
      key = { publicKey: publicKey.slice(), seed };
    } else this.#seeds.delete(name);
    // A Map keeps the order of insertion: the first entry is the one used longest ago.
    this.#seeds.set(name, key);
    if (this.#seeds.size > SEEDS_CACHED_MAX) {
      this.#seeds.delete(this.#seeds.keys().next().value!);
    }
    return key;
  }

  /** Forgets a key: what it signed stays valid, it signs nothing more. */
  removeKey(publicKey: Uint8Array): void {
    this.#seeds.delete(hex(publicKey));
    this.#run('DELETE FROM role_keys WHERE public_key = ?', publicKey);
  }

  /** Keeps a verifier; its commitment for the chain, 32 bytes. Durable when this returns. */
  putVerifier(verifier: ScramVerifier): Uint8Array {
    return this.#putVerifier(verifier, randomBytes(COMMITMENT_SALT_BYTES));
  }

  #putVerifier(verifier: ScramVerifier, salt: Uint8Array): Uint8Array {
    const text = new TextEncoder().encode(formatVerifier(verifier));
    const commitment = commitmentOf(salt, text);
    const box = seal(this.#masterKey, contextOf('verifier', commitment), text);
    this.#run('INSERT INTO verifiers VALUES (?, ?, ?)', commitment, salt, box);
    return commitment;
  }

  /** Puts a verifier that is kept here into another keyring as well, under the same commitment. */
  shareVerifier(commitment: Uint8Array, other: Keyring): void {
    const entry = this.#verifierEntry(commitment);
    assert(entry !== undefined, 'a verifier that is shared is kept here');
    other.#putVerifier(entry.verifier, entry.salt);
  }

  /**
   * The verifier that the chain committed to, or undefined if it is not kept here.
   *
   * @throws StorageError damaged when the entry is not the one that was committed to
   */
  verifierOf(commitment: Uint8Array): ScramVerifier | undefined {
    return this.#verifierEntry(commitment)?.verifier;
  }

  #verifierEntry(
    commitment: Uint8Array,
  ): { readonly verifier: ScramVerifier; readonly salt: Uint8Array } | undefined {
    const row = guard(this.#path, () =>
      this.#database
        .prepare('SELECT salt, box FROM verifiers WHERE commitment = ?')
        .get(commitment),
    ) as { salt: Uint8Array; box: Uint8Array } | undefined;
    if (row === undefined) return undefined;
    const place = `${this.#path}: verifier ${hex(commitment)}`;
    const text = unseal(this.#masterKey, contextOf('verifier', commitment), row.box, place);
    const verifier = tryParseVerifier(new TextDecoder().decode(text));
    if (verifier === undefined || !equal(commitmentOf(row.salt, text), commitment)) {
      throw new StorageError('damaged', `${place}: not the one the chain committed to`);
    }
    return { verifier, salt: row.salt };
  }

  removeVerifier(commitment: Uint8Array): void {
    this.#run('DELETE FROM verifiers WHERE commitment = ?', commitment);
  }

  /**
   * Checks every entry: each opens and answers to its name, in tables that are as they were made.
   *
   * @returns one sentence for each that does not; empty when all is well
   */
  check(): readonly string[] {
    const faults: string[] = [];
    const tables = this.#column(
      'SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid',
    );
    if (tables.join() !== TABLES.join()) faults.push(`${this.#path}: its tables are other ones`);
    const attempt = (work: () => unknown): void => {
      try {
        work();
      } catch (error) {
        faults.push((error as Error).message);
      }
    };
    for (const key of this.#names('SELECT public_key FROM role_keys')) {
      this.#seeds.delete(hex(key));
      attempt(() => this.keyOf(key));
    }
    for (const commitment of this.#names('SELECT commitment FROM verifiers')) {
      attempt(() => this.verifierOf(commitment));
    }
    return faults;
  }

  /** Seals every entry anew under another master key, all or none. */
  changeMasterKey(masterKey: Uint8Array): void {
    const old = this.#masterKey;
    const reseal = (kind: string, name: Uint8Array, box: Uint8Array): Uint8Array => {
      const context = contextOf(kind, name);
      return seal(masterKey, context, unseal(old, context, box, this.#path));
    };
    const database = this.#database;
    guard(this.#path, () =>
      database.transaction(() => {
        for (const key of this.#names('SELECT public_key FROM role_keys')) {
          const box = this.#boxOf('SELECT box FROM role_keys WHERE public_key = ?', key)!;
          const update = 'UPDATE role_keys SET box = ? WHERE public_key = ?';
          database.prepare(update).run(reseal('role key', key, box), key);
        }
        for (const name of this.#names('SELECT commitment FROM verifiers')) {
          const box = this.#boxOf('SELECT box FROM verifiers WHERE commitment = ?', name)!;
          const update = 'UPDATE verifiers SET box = ? WHERE commitment = ?';
          database.prepare(update).run(reseal('verifier', name, box), name);
        }
        const probe = seal(masterKey, contextOf('probe'), new Uint8Array(0));
        database.prepare('UPDATE about SET probe = ?').run(probe);
      })(),
    );
    this.#masterKey = masterKey;
  }

  close(): void {
    this.#seeds.clear();
    guard(this.#path, () => this.#database.pragma('wal_checkpoint(TRUNCATE)'));
    this.#database.close();
  }

  #run(sql: string, ...values: readonly Uint8Array[]): void {
    guard(this.#path, () => this.#database.prepare(sql).run(...values));
  }

  #boxOf(sql: string, name: Uint8Array): Uint8Array | undefined {
    const row = guard(this.#path, () => this.#database.prepare(sql).get(name));
    return (row as { box: Uint8Array } | undefined)?.box;
  }

  #names(sql: string): readonly Uint8Array[] {
    return this.#column(sql) as Uint8Array[];
  }

  #column(sql: string): readonly unknown[] {
    return guard(this.#path, () => this.#database.prepare(sql).pluck().all());
  }
}

export function keyringFile(directory: string): string {
  return join(directory, 'identity.sqlite');
}

function commitmentOf(salt: Uint8Array, text: Uint8Array): Uint8Array {
  const input = concat(COMMITMENT_TAG, salt, text);
  return new Uint8Array(createHash('sha256').update(input).digest());
}

function contextOf(kind: string, name: Uint8Array = new Uint8Array(0)): Uint8Array {
  return concat(new TextEncoder().encode(`trustsql ${kind}\n`), name);
}
