// The file of a shard on another disk, and its free pages given back, while no node runs. Shell.
//
// (1) A link in `state/` says where the file is. SQLite follows it, and keeps the log beside the file.
// (2) The file that counts is replaced by one rename, of a whole copy that is on disk: before it the old one is in force,
//     after it the new one. Whatever was interrupted can be given again.

import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { realpathSync, renameSync, rmSync, statSync, statfsSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StorageError, isStorageError } from '../ledger/error.ts';
import { lockDataDirectory, onDisk, readDataDirectory, shardFile } from './data-directory.ts';
import { replaceFile, syncFile, syncFolder } from './durable-file.ts';
import { copyDatabase, guard, openDatabase } from './sqlite.ts';
import { removeDatabase, requireTarget } from './state-files.ts';
import type { DataDirectory } from './data-directory.ts';

/** What a move would do, or has done. */
export interface ShardMove {
  readonly shard: number;
  /** The files themselves, no links. */
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  /** On the disk that it goes to. */
  readonly freeBytes: number;
}

/** What there is to give back in a file, or was. */
export interface ShardVacuum {
  readonly shard: number;
  readonly file: string;
  readonly bytes: number;
  readonly freeBytes: number;
}

/** Runs work on a directory that no node runs on. @throws StorageError locked, with what to do */
export function whileStopped<T>(directory: string, work: (data: DataDirectory) => T): T {
  const data = readDataDirectory(directory);
  let lock;
  try {
    lock = lockDataDirectory(directory);
  } catch (error) {
    if (!isStorageError(error) || error.fault !== 'locked') throw error;
    throw new StorageError('locked', `${directory}: a node runs here; stop it first`);
  }
  let result: T;
  try {
    result = work(data);
  } catch (error) {
    lock.release();
    throw error;
  }
  if (!(result instanceof Promise)) {
    lock.release();
    return result;
  }
  return result.finally(() => lock.release()) as T;
}

/** @throws StorageError io: no such folder; foreign: something else has the name there; full: no room */
export function planShardMove(data: DataDirectory, shard: number, folder: string): ShardMove {
  const link = shardFile(data.path, shard);
  requireTarget(link);
  return onDisk(link, () => {
    if (!existsSync(folder) || !statSync(folder).isDirectory()) {
      throw new StorageError('io', `${folder}: no such directory; is the disk mounted?`);
    }
    const [from, to] = [realpathSync(link), join(realpathSync(folder), basename(link))];
    const { bavail, bsize } = statfsSync(folder);
    const move = { shard, from, to, bytes: statSync(from).size, freeBytes: bavail * bsize };
    if (from === to) return move;
    if (existsSync(to) && to !== linkItself(link)) requireOurs(data, shard, to);
    if (move.bytes <= move.freeBytes) return move;
    const message = `${folder}: ${move.bytes} bytes are to go here, and ${move.freeBytes} are free`;
    throw new StorageError('full', message);
  });
}

/** Carries a plan out. Inside `whileStopped`. */
export function moveShard(data: DataDirectory, { shard, from, to }: ShardMove): void {
  const link = shardFile(data.path, shard);
  onDisk(link, () => {
    clearLeftOver(link);
    if (from !== to) {
      foldLog(from);
      // Whoever repeats an interrupted move must know which file is left over.
      replaceFile(leftOverFile(link), from);
      copyWhole(from, to);
      if (to !== linkItself(link)) {
        rmSync(`${link}.new`, { force: true });
        symlinkSync(to, `${link}.new`);
        renameSync(`${link}.new`, link);
      }
      syncFolder(dirname(link));
    }
    clearLeftOver(link);
  });
}

/** Of a shard whose node is stopped. */
export function planVacuum(data: DataDirectory, shard: number): ShardVacuum {
  const file = shardFile(data.path, shard);
  requireTarget(file);
  const database = openDatabase(file, { mustExist: true });
  try {
    const number = (name: string): number => Number(database.pragma(name, { simple: true }));
    const [pages, free, size] = ['page_count', 'freelist_count', 'page_size'].map(number);
    return { shard, file, bytes: pages! * size!, freeBytes: free! * size! };
  } finally {
    database.close();
  }
}

/** Gives the free pages of a file back. Inside `whileStopped`. @returns bytes that it has less */
export function vacuumShard({ file, bytes }: ShardVacuum): number {
  return onDisk(file, () => {
    const real = realpathSync(file);
    foldLog(real);
    const copy = `${real}.new`;
    removeDatabase(copy);
    copyDatabase(real, copy);
    syncFile(copy);
    renameSync(copy, real);
    syncFolder(dirname(real));
    return bytes - statSync(real).size;
  });
}

/** The path of a shard without following the link that it may be. */
function linkItself(link: string): string {
  return join(realpathSync(dirname(link)), basename(link));
}

function leftOverFile(link: string): string {
  return `${link}.moved-from`;
}

/** Removes the file that an earlier move has left, unless it is the one in force. */
function clearLeftOver(link: string): void {
  const note = leftOverFile(link);
  if (!existsSync(note)) return;
  const old = readFileSync(note, 'utf8');
  if (old !== realpathSync(link) && old !== linkItself(link)) removeDatabase(old);
  rmSync(note);
  syncFolder(dirname(note));
}

/** @throws StorageError foreign when a file is not the shard of this ledger that an interrupted move has copied */
function requireOurs(data: DataDirectory, shard: number, file: string): void {
  const refusal = new StorageError('foreign', `${file}: there is another file of this name`);
  try {
    const database = openDatabase(file, { readonly: true });
    try {
      const meta = database.prepare('SELECT value FROM _meta WHERE key=?').pluck();
      const chain = meta.get('chain') as Uint8Array;
      if (Buffer.compare(chain, data.chainId) === 0 && meta.get('shard') === BigInt(shard)) return;
    } finally {
      database.close();
    }
  } catch {
    throw refusal;
  }
  throw refusal;
}

/** All that was committed is in the file, and there is no log. */
function foldLog(file: string): void {
  const database = openDatabase(file, { mustExist: true });
  try {
    guard(file, () => database.pragma('wal_checkpoint(TRUNCATE)'));
  } finally {
    database.close();
  }
  syncFile(file);
}

function copyWhole(from: string, to: string): void {
  const draft = `${to}.new`;
  copyFileSync(from, draft);
  syncFile(draft);
  renameSync(draft, to);
  syncFolder(dirname(to));
}
