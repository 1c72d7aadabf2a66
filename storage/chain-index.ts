// The block index, `chain/index.sqlite`: headers by height, transactions by stamp and id. Shell.
//
// Derivable: what is missing is written again when blocks are replayed. It commits together with the state,
// over whose connection it is written (attached as `chain`). Ids are sorted in later, many at a time.

import { HistoryTree } from '../ledger/history-tree.ts';
import { equal } from '../ledger/bytes.ts';
import { StorageError, isFormatError } from '../ledger/error.ts';
import { rmSync } from 'node:fs';
import { attach, guard } from './sqlite.ts';
import { ID_PREFIX_BYTES, INDEX_LAYOUT, indexTables } from './state-schema.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Header } from '../ledger/block.ts';
import type { AppliedTransaction } from './apply.ts';
import type { Database, Statement } from './sqlite.ts';

export interface IndexedHeader {
  readonly height: number;
  readonly hash: Uint8Array;
  /** Encoded. */
  readonly header: Uint8Array;
}

/** Attaches the index as `chain` for writing; one that is missing or of another layout is made, empty. */
export function openIndex(database: Database, path: string): void {
  attach(database, path, 'chain');
  if (layoutOf(database, path) === INDEX_LAYOUT) return;
  guard(path, () => database.exec('DETACH chain'));
  for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true });
  attach(database, path, 'chain');
  guard(path, () => database.exec(`BEGIN; ${indexTables('chain')} COMMIT`));
}

/** Attaches the index as `chain` for reading. @throws StorageError foreign when it has another layout */
export function attachIndex(database: Database, path: string): void {
  attach(database, path, 'chain');
  if (layoutOf(database, path) === INDEX_LAYOUT) return;
  throw new StorageError(
    'foreign',
    `${path}: was made by another version; a node makes it anew when it starts`,
  );
}

function layoutOf(database: Database, path: string): number {
  return Number(guard(path, () => database.pragma('chain.user_version', { simple: true })));
}

/** Ids that wait at most; a search reads through those that do. */
const UNSORTED_MAX = 32_768;

export class ChainIndex {
  readonly #block: Statement;
  readonly #transaction: Statement;
  readonly #frontier: Statement;
  readonly #database: Database;
  #unsorted: number;

  constructor(database: Database) {
    this.#database = database;
    const unsorted = `SELECT count(*) FROM chain.transactions WHERE stamp>${sortedToSql('chain')}`;
    this.#unsorted = Number(database.prepare(unsorted).pluck().get());
    this.#block = database.prepare('INSERT OR REPLACE INTO chain.block VALUES(?,?,?,?,?)');
    this.#transaction = database.prepare(
      'INSERT OR REPLACE INTO chain.transactions VALUES(?,?,?,?)',
    );
    this.#frontier = database.prepare('INSERT OR REPLACE INTO chain.frontier VALUES(0,?,?)');
  }

  /** Height of the newest block indexed, -1 for none. */
  tip(): number {
    const height = this.#database.prepare('SELECT max(height) FROM chain.block').pluck().get();
    return height === null ? -1 : Number(height);
  }

  /** @param before the history tree over the headers before this one */
  put(
    header: Header,
    { hash, header: bytes }: IndexedHeader,
    transactions: readonly AppliedTransaction[],
    before: HistoryTree,
  ): void {
    const { height, timeMs, transactionCount } = header;
    this.#block.run(BigInt(height), hash, BigInt(timeMs), BigInt(transactionCount), bytes);
    for (const { stamp, receipt, author } of transactions) {
      const sqlstate = receipt.abort?.sqlstate ?? null;
      this.#transaction.run(stamp, receipt.transactionId, BigInt(author), sqlstate);
    }
    this.#frontier.run(BigInt(before.size), before.serialise());
    this.#unsorted += transactions.length;
  }

  /** Whether ids enough wait for `sortIds`. */
  get unsorted(): boolean {
    return this.#unsorted >= UNSORTED_MAX;
  }

  /** Sorts in the ids of all transactions up to a stamp. */
  sortIds(stamp: bigint): void {
    this.#database
      .prepare(
        `INSERT INTO chain.transaction_id SELECT substr(id, 1, ${ID_PREFIX_BYTES}), stamp FROM chain.transactions` +
          ` WHERE stamp>${sortedToSql('chain')} AND stamp<=? ORDER BY 1, 2`,
      )
      .run(stamp);
    this.#database.prepare('UPDATE chain.sorted SET stamp=?').run(stamp);
    this.#unsorted = 0;
  }

  header(height: number): IndexedHeader | null {
    const found = this.#database
      .prepare('SELECT hash, header FROM chain.block WHERE height=?')
      .get(BigInt(height)) as { hash: Uint8Array; header: Uint8Array } | undefined;
    return found === undefined ? null : { height, ...found };
  }

  /** The history tree before `header`, if the one stored fits its root; null to be built anew. */
  history(crypto: Crypto, header: Header): HistoryTree | null {
    const found = this.#database.prepare('SELECT size, hashes FROM chain.frontier').get() as
      { size: bigint; hashes: Uint8Array } | undefined;
    if (found === undefined || Number(found.size) !== header.height) return null;
    try {
      const tree = HistoryTree.restore(crypto, header.height, found.hashes);
      return equal(tree.root(), header.historyRoot) ? tree : null;
    } catch (error) {
      if (!isFormatError(error)) throw error;
      return null;
    }
  }

  /** Empties the index. */
  clear(): void {
    this.#database.exec(
      'DELETE FROM chain.block; DELETE FROM chain.transactions; DELETE FROM chain.frontier;' +
        ' DELETE FROM chain.transaction_id; UPDATE chain.sorted SET stamp=0',
    );
    this.#unsorted = 0;
  }
}

/** The stamp up to which ids are sorted in. */
export function sortedTo(database: Database, schema: string): bigint {
  return database
    .prepare(`SELECT ${sortedToSql(schema)}`)
    .pluck()
    .get() as bigint;
}

function sortedToSql(schema: string): string {
  return `(SELECT stamp FROM ${schema}.sorted)`;
}

/** Stamp of the transaction with that id in the index attached as `schema`; null when there is none. */
export function stampOfId(database: Database, schema: string, id: Uint8Array): bigint | null {
  const sorted =
    `SELECT t.stamp FROM ${schema}.transaction_id i JOIN ${schema}.transactions t ON t.stamp=i.stamp` +
    ` WHERE i.prefix=substr(?1, 1, ${ID_PREFIX_BYTES}) AND t.id=?1`;
  const waiting = `SELECT stamp FROM ${schema}.transactions WHERE stamp>${sortedToSql(schema)} AND id=?1`;
  const found = database.prepare(`${sorted} UNION ALL ${waiting} LIMIT 1`).pluck().get(id);
  return (found as bigint | undefined) ?? null;
}
