// The master key: one file of 32 bytes in hex, outside the data directory. Shell.
//
// It keeps a thief of the data directory, or of a backup of it, from using the keys inside. It does not stop
// one who takes both.

import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { hex, tryFromHex } from '../ledger/bytes.ts';
import { StorageError, isStorageError } from '../ledger/error.ts';
import { createFile, makeFolder } from '../storage/durable-file.ts';
import { MASTER_KEY_BYTES } from './sealed-box.ts';

/** Where the master key of a chain lies when the operator names no file. */
export function defaultMasterKeyFile(chainId: Uint8Array): string {
  return join(homedir(), '.config', 'trustsql', `${hex(chainId)}.key`);
}

export function makeMasterKey(): Uint8Array {
  return new Uint8Array(randomBytes(MASTER_KEY_BYTES));
}

/**
 * Writes the key, readable by its owner only; it is on disk, under its name, when this returns.
 *
 * @throws StorageError foreign when the file is there already: it may be the only copy of another key
 */
export function writeMasterKey(path: string, masterKey: Uint8Array): void {
  try {
    makeFolder(dirname(path));
    if (createFile(path, `${hex(masterKey)}\n`)) return;
    throw new StorageError('foreign', `${path}: there is a master key already`);
  } catch (error) {
    if (isStorageError(error)) throw error;
    throw new StorageError('io', `${path}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * @throws StorageError io when it cannot be read or others may read it, damaged when it is no key
 */
export function readMasterKey(path: string): Uint8Array {
  let text: string;
  try {
    // Windows has no such mode: its files belong to the user's own folders.
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
      throw new StorageError('io', `${path}: others may read the master key; set its mode to 0600`);
    }
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    const why = codeOf(error) === 'ENOENT' ? 'the master key is missing' : (error as Error).message;
    throw new StorageError('io', `${path}: ${why}`, { cause: error });
  }
  const key = tryFromHex(text);
  if (key?.length !== MASTER_KEY_BYTES) {
    throw new StorageError('damaged', `${path}: not a master key (64 hexadecimal digits)`);
  }
  return key;
}

function codeOf(error: unknown): string | undefined {
  return Error.isError(error) ? (error as { code?: string }).code : undefined;
}
