// Chunks in the open block file that no block names yet, and how they go when none ever will. Shell.
//
// A chunk is stored before the transaction that names it is ordered, and that may never be: its session rolls
// back, or dies. So the file lists chunks without a block (`unnamed`), in the same SQLite transactions that store
// them and that append the block which names them.
//
// (1) What a block names is not in the list, and only what is in the list is ever removed.
// (2) Equal chunks of two transactions are stored once: the chunk goes when all that stored it have dropped it.
// (3) After a crash nobody holds a chunk: all that are listed go.

import { decodeTransaction } from '../ledger/encoding.ts';
import { hex } from '../ledger/bytes.ts';
import { isFormatError } from '../ledger/error.ts';
import type { Bundle, Transaction } from '../ledger/transaction.ts';
import type { Database, Statement } from './sqlite.ts';

/** `chunk` is the id of a chunk that no block names. */
export const UNNAMED_TABLE = 'CREATE TABLE IF NOT EXISTS unnamed (chunk INTEGER PRIMARY KEY);';

export class UnnamedChunks {
  readonly #database: Database;
  readonly #put: Statement;
  readonly #list: Statement;
  readonly #find: Statement;
  readonly #strike: Statement;
  readonly #delete: Statement;
  /** How often each was stored, by its hash in hexadecimal. */
  readonly #holders = new Map<string, number>();

  /** @param database the open block file */
  constructor(database: Database) {
    this.#database = database;
    this.#put = database.prepare(
      'INSERT INTO chunk(hash, bytes) VALUES(?,?) ON CONFLICT(hash) DO NOTHING',
    );
    this.#list = database.prepare('INSERT INTO unnamed VALUES(?)');
    const chunk = '(SELECT id FROM chunk WHERE hash=?)';
    this.#find = database.prepare(`SELECT 1 FROM unnamed WHERE chunk=${chunk}`);
    this.#strike = database.prepare(`DELETE FROM unnamed WHERE chunk=${chunk}`);
    this.#delete = database.prepare('DELETE FROM chunk WHERE hash=?');
  }

  /** How many there are. */
  get size(): number {
    return this.#holders.size;
  }

  /** Removes what a process before has left. */
  clear(): void {
    this.#database.transaction(() => {
      this.#database.exec('DELETE FROM chunk WHERE id IN (SELECT chunk FROM unnamed)');
      this.#database.exec('DELETE FROM unnamed');
    })();
  }

  put(hash: Uint8Array, bytes: Uint8Array): void {
    const listed = this.#database.transaction(() => {
      const { changes, lastInsertRowid } = this.#put.run(hash, bytes);
      if (changes === 1) this.#list.run(lastInsertRowid);
      return changes === 1 || this.#find.get(hash) !== undefined;
    })();
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
    this.#database.transaction(() => {
      for (const hash of dropped) {
        this.#strike.run(hash);
        this.#delete.run(hash);
      }
    })();
  }

  /** Runs `append`, which appends the block that names these chunks, and takes them from the list. */
  name(hashes: readonly Uint8Array[], append: () => void): void {
    this.#database.transaction(() => {
      append();
      for (const hash of hashes) this.#strike.run(hash);
    })();
    for (const hash of hashes) this.#holders.delete(hex(hash));
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

/** Hashes of the chunks that a block's transactions name; a malformed transaction names none. */
export function chunksNamedBy(bundles: readonly Bundle[]): Uint8Array[] {
  return bundles.flatMap(({ transactions }) =>
    transactions.flatMap((bytes) =>
      operationsOf(bytes).flatMap((operation) =>
        operation.kind === 'chunks' ? operation.hashes : [],
      ),
    ),
  );
}

function operationsOf(transaction: Uint8Array): Transaction['operations'] {
  try {
    return decodeTransaction(transaction).operations;
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return [];
  }
}
