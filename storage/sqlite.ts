// The door of better-sqlite3: opens files with the pragmas of the house and translates its errors. Shell.
//
// (1) Integers come and go as bigint everywhere: a JS number binds as REAL and would change a value's type.
// (2) WAL everywhere. Files that can be rebuilt run synchronous=NORMAL: a commit is on disk after the next
//     checkpoint. Where a loss cannot be repaired it is FULL, or the log is synced by hand.
// (3) An error of the library leaves this directory as a StorageError, so nobody above knows SQLite's codes.

import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { StorageError } from '../ledger/error.ts';
import type { StorageFault } from '../ledger/error.ts';

export type Database = Sqlite.Database;
export type Statement = Sqlite.Statement<unknown[]>;

export interface OpenOptions {
  readonly readonly?: boolean;
  /** Fails when the file is absent; the default for readers. */
  readonly mustExist?: boolean;
  /** FULL: a commit is durable when it returns. NORMAL (default): durable after the next checkpoint. */
  readonly synchronous?: 'FULL' | 'NORMAL' | 'OFF';
  /**
   * A file that is written from beginning to end by one connection, and thrown away if that fails: it has no log, and can
   * be read where nobody can write. Whoever needs it on disk syncs it.
   */
  readonly once?: boolean;
}

/** A commit logs whole pages, most of them for one entry of an index: pages of 8 KiB cost twice as much. */
const PAGE_BYTES = 4096;
const MMAP_BYTES = 1 << 30;
/**
 * Files are mapped into memory, so the cache is for pages being changed only. A commit after a split of an index page
 * looks through all of it (pcache1TruncateUnsafe): with 64 MiB that was a tenth of the writer's time.
 */
const CACHE_KIB = 8_192;
const BUSY_TIMEOUT_MS = 5_000;

/**
 * Opens (and unless `mustExist` or `readonly`, creates) a database file.
 *
 * @throws StorageError damaged, foreign, locked, full or io; the message names the file
 */
export function openDatabase(path: string, options: OpenOptions = {}): Database {
  const readonly = options.readonly ?? false;
  return guard(path, () => {
    const database = new Sqlite(path, {
      readonly,
      fileMustExist: options.mustExist ?? readonly,
      timeout: BUSY_TIMEOUT_MS,
    });
    try {
      database.defaultSafeIntegers(true);
      database.pragma('trusted_schema = OFF');
      database.pragma(`cache_size = -${CACHE_KIB}`);
      database.pragma(`mmap_size = ${MMAP_BYTES}`);
      // Not MEMORY: the journal of a savepoint would be a linked list there, and a big delete quadratic.
      database.pragma('temp_store = FILE');
      if (!readonly) {
        database.pragma(`page_size = ${PAGE_BYTES}`);
        const once = options.once ?? false;
        database.pragma(`journal_mode = ${once ? 'OFF' : 'WAL'}`);
        database.pragma(`synchronous = ${once ? 'OFF' : (options.synchronous ?? 'NORMAL')}`);
        database.pragma('wal_autocheckpoint = 0');
      }
      // Touches the file, so that one which is no database is refused here and not at the first query.
      database.prepare('SELECT count(*) FROM sqlite_schema').get();
    } catch (error) {
      database.close();
      throw error;
    }
    return database;
  });
}

/**
 * Copies a database as it stands at this moment, while others may write to it.
 *
 * @param to  a file that is empty or missing; it has no log then
 * @throws StorageError
 */
export function copyDatabase(path: string, to: string): void {
  const database = openDatabase(path, { readonly: true });
  try {
    guard(path, () => database.prepare('VACUUM INTO ?').run(to));
  } finally {
    database.close();
  }
}

/** Attaches a further file under a schema name, with the same pragmas. */
export function attach(database: Database, path: string, name: string): void {
  guard(path, () => {
    database.prepare(`ATTACH ? AS ${name}`).run(path);
    database.pragma(`${name}.cache_size = -${CACHE_KIB}`);
    database.pragma(`${name}.mmap_size = ${MMAP_BYTES}`);
    if (database.readonly) return;
    database.pragma(`${name}.page_size = ${PAGE_BYTES}`);
    database.pragma(`${name}.journal_mode = WAL`);
    database.pragma(`${name}.synchronous = NORMAL`);
  });
}

/**
 * Opens a small file and locks it for this process, until it is closed or the process ends in whatever way.
 *
 * @throws StorageError locked when another process has it
 */
export function lockFile(path: string): Database {
  return guard(path, () => {
    const database = new Sqlite(path, { timeout: 0 });
    try {
      // Outside WAL an exclusive transaction holds the operating system's lock on the file itself.
      database.pragma('journal_mode = MEMORY');
      database.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      throw error;
    }
    return database;
  });
}

/**
 * Indexes of logs that were looked at. They stay open: a process that closes any handle of a file loses all its locks on
 * it (POSIX), those of SQLite too; the next process to open the database then takes itself for the first, empties the
 * index, and who has it mapped dies of SIGBUS.
 */
const indexes = new Map<string, { readonly file: number; readonly inode: number }>();

function indexOf(path: string): number {
  const { ino } = statSync(path);
  const known = indexes.get(path);
  if (known?.inode === ino) return known.file;
  // The file of before is gone, and with it whatever was locked.
  if (known !== undefined) closeSync(known.file);
  const file = openSync(path, 'r');
  indexes.set(path, { file, inode: ino });
  return file;
}

/** Where the index of a log says how many frames are in use, and how many of them are folded in (sqlite.org/walformat.html). */
const FRAMES_AT = 16;
const FOLDED_AT = 96;

/**
 * Bytes of a database's write-ahead log that wait to be folded in. The log itself keeps its length, because writing
 * over what is there costs half of what growing a file does (measured: ext4).
 *
 * @param path of a database that this process has open; to be called by one thread, which lives as long as it is
 */
export function logBytes(path: string): number {
  const head = Buffer.alloc(FOLDED_AT + 4);
  // Beside the file itself where the path is a link to it.
  readSync(indexOf(`${realpathSync(path)}-shm`), head, 0, head.length, 0);
  // In the byte order of the machine, which is little-endian wherever the node runs.
  return (head.readUInt32LE(FRAMES_AT) - head.readUInt32LE(FOLDED_AT)) * PAGE_BYTES;
}

/** Runs `work`; an error of SQLite in it becomes a StorageError that names `file`. */
export function guard<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storageErrorOf(error, file);
  }
}

/** `error` as a StorageError when it comes from SQLite, else itself. */
export function storageErrorOf(error: unknown, file: string): unknown {
  const code = sqliteCode(error);
  if (code === null) return error;
  const message = `${file}: ${(error as Error).message}`;
  return new StorageError(faultOf(code), message, { cause: error });
}

/** True for the violation of a unique index; no other constraint is ever declared in SQLite. */
export function isUniqueViolation(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY';
}

/** What SQLite would throw if its index saw all rows of a table that lie in several files. */
export function uniqueViolation(): Error {
  return new Sqlite.SqliteError('UNIQUE constraint failed', 'SQLITE_CONSTRAINT_UNIQUE');
}

function sqliteCode(error: unknown): string | null {
  if (!Error.isError(error) || error.name !== 'SqliteError') return null;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : null;
}

function faultOf(code: string): StorageFault {
  if (code.startsWith('SQLITE_CORRUPT')) return 'damaged';
  if (code.startsWith('SQLITE_NOTADB')) return 'foreign';
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) return 'locked';
  if (code.startsWith('SQLITE_FULL')) return 'full';
  return 'io';
}
