// Chunks in the open block file that no block names yet, and how they go when none ever will. Shell.
//
// A chunk is stored before the transaction that names it is ordered, and that may never be: its session rolls
// back, or dies. So the file lists chunks without a block (`unnamed`), in the same SQLite transactions that store
// them; a block that names them takes them from the list when it is executed.
//
// (1) What a block in the block files names is not in the list, and only what is in the list is ever removed.
// (2) Equal chunks of two transactions are stored once: the chunk goes when all that stored it have dropped it.
// (3) A chunk is stored in the newest file, under its write lock, under which that file is sealed too: it is listed there
//     before the file would be sealed, or goes into the next.
// (4) After a crash nobody holds a chunk: on a node alone those go that are listed and that no block in the journal
//     names. In a cluster they stay, held by whoever adopts them: this node may have voted for a block that names them.

import { decodeBody } from '../ledger/encoding.ts';
import { hex } from '../ledger/bytes.ts';
import { chunksNamedBy } from '../ledger/chunks.ts';
import { tryDecode } from '../ledger/error.ts';
import { blockFile, blockFiles } from './data-directory.ts';
import { guard, openDatabase } from './sqlite.ts';
import type { Database, Statement } from './sqlite.ts';

/** `chunk` is the id of a chunk that no block names. */
export const UNNAMED_TABLE = 'CREATE TABLE IF NOT EXISTS unnamed (chunk INTEGER PRIMARY KEY);';

/** Whether a block file, which has its tables, holds chunks that no block names. */
export function hasUnnamed(database: Database): boolean {
  return database.prepare('SELECT EXISTS (SELECT 1 FROM unnamed)').pluck().get() === 1n;
}

/** A listed chunk, and its length. */
export interface UnnamedChunk {
  readonly hash: Uint8Array;
  readonly bytes: number;
}

/** Statements on the open block file. */
interface OpenFile {
  readonly firstHeight: number;
  readonly path: string;
  readonly database: Database;
  readonly put: Statement;
  readonly list: Statement;
  readonly find: Statement;
  readonly strike: Statement;
  readonly delete: Statement;
}

export class UnnamedChunks {
  readonly #directory: string;
  #file: OpenFile | null = null;
  /** How often each was stored, by its hash in hexadecimal. */
  readonly #holders = new Map<string, number>();

  /** @param directory of a ledger; its newest block file is opened, by a connection of its own, when it is needed */
  constructor(directory: string) {
    this.#directory = directory;
  }

  get #newest(): number {
    return blockFiles(this.#directory).at(-1) ?? 0;
  }

  /** The newest block file: one that holds unnamed chunks is not sealed. */
  get #open(): OpenFile {
    const firstHeight = this.#newest;
    if (this.#file?.firstHeight === firstHeight) return this.#file;
    this.#file?.database.close();
    const path = blockFile(this.#directory, firstHeight);
    // FULL: a chunk is durable when it is stored.
    const database = openDatabase(path, { mustExist: true, synchronous: 'FULL' });
    const chunk = '(SELECT id FROM chunk WHERE hash=?)';
    this.#file = {
      firstHeight,
      path,
      database,
      put: database.prepare(
        'INSERT INTO chunk(hash, bytes) VALUES(?,?) ON CONFLICT(hash) DO NOTHING',
      ),
      list: database.prepare('INSERT INTO unnamed VALUES(?)'),
      find: database.prepare(`SELECT 1 FROM unnamed WHERE chunk=${chunk}`),
      strike: database.prepare(`DELETE FROM unnamed WHERE chunk=${chunk}`),
      delete: database.prepare('DELETE FROM chunk WHERE hash=?'),
    };
    return this.#file;
  }

  /** Runs `work` in a transaction of the open file. @throws StorageError */
  #change<T>(work: (file: OpenFile) => T): T {
    for (;;) {
      const file = this.#open;
      const { database, firstHeight, path } = file;
      const change = database.transaction(() => {
        // It may have been sealed before it was locked.
        return this.#newest === firstHeight ? { result: work(file) } : null;
      });
      const done = guard(path, () => change.immediate());
      if (done !== null) return done.result;
    }
  }

  /** Whether any chunk is listed. */
  get any(): boolean {
    const { path, database } = this.#open;
    return guard(path, () => hasUnnamed(database));
  }

  /** Removes what a process before has left. */
  clear(): void {
    this.#change(({ database }) => {
      database.exec('DELETE FROM chunk WHERE id IN (SELECT chunk FROM unnamed)');
      database.exec('DELETE FROM unnamed');
    });
  }

  /** Holds all that is listed once, as after a start nobody does. */
  adopt(): UnnamedChunk[] {
    const { path, database } = this.#open;
    const found = guard(path, () =>
      database
        .prepare(
          'SELECT hash, length(bytes) AS bytes FROM chunk WHERE id IN (SELECT chunk FROM unnamed)',
        )
        .all(),
    ) as { hash: Uint8Array; bytes: bigint }[];
    for (const { hash } of found) this.#holders.set(hex(hash), 1);
    return found.map(({ hash, bytes }) => ({ hash, bytes: Number(bytes) }));
  }

  /** Stores a chunk of a transaction to come; durable when it returns. */
  put(hash: Uint8Array, bytes: Uint8Array): void {
    const listed = this.#change(({ put, list, find }) => {
      const { changes, lastInsertRowid } = put.run(hash, bytes);
      if (changes === 1) list.run(lastInsertRowid);
      return changes === 1 || find.get(hash) !== undefined;
    });
    // Any other has been named before.
    if (!listed) return;
    const name = hex(hash);
    this.#holders.set(name, (this.#holders.get(name) ?? 0) + 1);
  }

  /** Whoever stored these chunks will not name them; one that was stored twice is given twice. */
  drop(hashes: readonly Uint8Array[]): void {
    const dropped = hashes.filter((hash) => {
      const name = hex(hash);
      const holders = this.#holders.get(name);
      if (holders === undefined) return false;
      if (holders === 1) this.#holders.delete(name);
      else this.#holders.set(name, holders - 1);
      return holders === 1;
    });
    if (dropped.length === 0) return;
    this.#change((file) => {
      for (const hash of dropped) {
        file.strike.run(hash);
        file.delete.run(hash);
      }
    });
  }

  /** A durable block names these chunks: they stay. */
  name(hashes: readonly Uint8Array[]): void {
    if (hashes.length === 0) return;
    this.#change(({ strike }) => {
      for (const hash of hashes) strike.run(hash);
    });
    for (const hash of hashes) this.#holders.delete(hex(hash));
  }

  /** Folds the log of the open file into it, as far as readers let it. */
  fold(): void {
    const { database, path } = this.#open;
    guard(path, () => database.pragma('wal_checkpoint(PASSIVE)'));
  }

  close(): void {
    this.#file?.database.close();
    this.#file = null;
  }
}

/** Hashes of the listed chunks in hexadecimal; a chunk that is missing counts as ''. A file of before has no list. */
export function unnamedIn(database: Database): ReadonlySet<string> {
  const listed = database.prepare("SELECT count(*) FROM sqlite_schema WHERE name='unnamed'");
  if (listed.pluck().get() === 0n) return new Set();
  const hashes = database
    .prepare(
      "SELECT coalesce(lower(hex(hash)), '') FROM unnamed LEFT JOIN chunk ON chunk.id=unnamed.chunk",
    )
    .pluck()
    .all() as string[];
  return new Set(hashes);
}

/** Hashes of the chunks that a block's encoded body names; the genesis record names none. */
export function chunksNamedIn(body: Uint8Array): Uint8Array[] {
  return chunksNamedBy(tryDecode(() => decodeBody(body))?.bundles ?? []);
}
