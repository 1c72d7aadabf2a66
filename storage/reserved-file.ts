// Files of fixed length that records are written into: the journal, and the consensus's own log. Shell.

import { closeSync, fdatasync, fstatSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { StorageError } from '../ledger/error.ts';

/** Records begin at multiples of it: a sector holds parts of one record only. A disk writes it whole or not at all. */
export const SECTOR_BYTES = 512;

/** Made at full length, with bytes on disk: writing over them moves nothing and needs no room. */
export function openReserved(path: string, bytes: number): number {
  const file = openSync(path, 'a', 0o600);
  try {
    const missing = bytes - fstatSync(file).size;
    if (missing > 0) writeSync(file, new Uint8Array(missing));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return openSync(path, 'r+');
}

/** Resolves when what was written is on disk. @throws StorageError; nobody knows then what is, and may not try again */
export function syncSoon(file: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(file, (error) => {
      if (error === null) resolve();
      else reject(errorOf(path, error));
    });
  });
}

/** Runs `work`; an error of the file system becomes a StorageError that names `path`. */
export function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw errorOf(path, error);
  }
}

function errorOf(path: string, cause: unknown): unknown {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === undefined) return cause;
  return new StorageError(code === 'ENOSPC' ? 'full' : 'io', `${path}: ${message}`, { cause });
}
