// The block index, `chain/index.sqlite`: headers by height, transactions by stamp and id. Shell.
//
// Derivable: what is missing is written again when blocks are replayed. It commits together with the state,
// over whose connection it is written (attached as `chain`). Ids are sorted in later, many at a time, from the
// receipts in the state.

import { HistoryTree } from '../ledger/history-tree.ts';
import { equal } from '../ledger/bytes.ts';
import { isFormatError } from '../ledger/error.ts';
import { STAMP_POSITIONS, heightOf, stampOf } from '../ledger/operation.ts';
import { idInReceipt } from './state-schema.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Header } from '../ledger/block.ts';
import type { Database, Statement } from './sqlite.ts';

export interface IndexedHeader {
  readonly height: number;
  readonly hash: Uint8Array;
  /** Encoded. */
  readonly header: Uint8Array;
}

/** Ids that wait at most; a search reads through those that do. */
const UNSORTED_MAX = 32_768;
/** Receipts whose ids are sorted in at a time: some 10 ms. */
const SORT_MAX = 8_192;
/** Blocks between two frontiers stored; who needs the history tree appends the headers since. */
const FRONTIER_BLOCKS = 64;

/** The history tree over as many headers as `size` says. */
export interface Frontier {
  readonly size: number;
  readonly hashes: Uint8Array;
}

/** The history tree as the index keeps it; null where it keeps none. */
export function frontierAt(history: HistoryTree): Frontier | null {
  const { size } = history;
  return size % FRONTIER_BLOCKS === 0 ? { size, hashes: history.serialise() } : null;
}

export class ChainIndex {
  readonly #block: Statement;
  readonly #frontier: Statement;
  readonly #database: Database;
  #unsorted: number;

  constructor(database: Database) {
    this.#database = database;
    const unsorted = `SELECT count(*) FROM main._receipt WHERE stamp>=${UNSORTED_FROM}`;
    this.#unsorted = Number(database.prepare(unsorted).pluck().get());
    this.#block = database.prepare('INSERT OR REPLACE INTO chain.block VALUES(?,?,?,?,?)');
    this.#frontier = database.prepare('INSERT OR REPLACE INTO chain.frontier VALUES(0,?,?)');
  }

  /** Height of the newest block indexed, -1 for none. */
  tip(): number {
    const height = this.#database.prepare('SELECT max(height) FROM chain.block').pluck().get();
    return height === null ? -1 : Number(height);
  }

  /** @param before the history tree over the headers before this one, where it is kept */
  put(header: Header, { hash, header: bytes }: IndexedHeader, before: Frontier | null): void {
    const { height, timeMs, transactionCount } = header;
    this.#block.run(BigInt(height), hash, BigInt(timeMs), BigInt(transactionCount), bytes);
    if (before !== null) this.#frontier.run(BigInt(before.size), before.hashes);
    this.#unsorted += transactionCount;
  }

  /** Whether ids enough wait for `sortIds`. */
  get unsorted(): boolean {
    return this.#unsorted >= UNSORTED_MAX;
  }

  /** Ids that wait to be sorted in. */
  get waiting(): number {
    return this.#unsorted;
  }

  /** The height up to which ids are to be sorted in next: some of those up to `height`, the oldest first. */
  someUpTo(height: number): number {
    const stamp = this.#database
      .prepare(
        `SELECT stamp FROM main._receipt WHERE stamp>=${UNSORTED_FROM} ORDER BY stamp LIMIT 1 OFFSET ${SORT_MAX}`,
      )
      .pluck()
      .get() as bigint | undefined;
    return stamp === undefined ? height : Math.min(height, heightOf(stamp));
  }

  /** Sorts in the ids of all transactions up to a height. */
  sortIds(height: number): void {
    const { changes } = this.#database
      .prepare(
        `INSERT INTO chain.transaction_id SELECT substr(${idInReceipt('receipt')}, 1, 8), stamp` +
          ` FROM main._receipt WHERE stamp>=${UNSORTED_FROM} AND stamp<? ORDER BY 1, 2`,
      )
      .run(stampOf(height + 1, 0));
    this.#database.prepare('UPDATE chain.sorted SET height=?').run(BigInt(height));
    // Nothing left to sort: the count was of ids that an index made anew has counted twice.
    this.#unsorted = changes === 0 ? 0 : Math.max(this.#unsorted - changes, 0);
  }

  header(height: number): IndexedHeader | null {
    const found = this.#database
      .prepare('SELECT hash, header FROM chain.block WHERE height=?')
      .get(BigInt(height)) as { hash: Uint8Array; header: Uint8Array } | undefined;
    return found === undefined ? null : { height, ...found };
  }

  /** The history tree before `header`, if what is stored fits its root; null to be built anew. */
  history(crypto: Crypto, header: Header): HistoryTree | null {
    const found = this.#database.prepare('SELECT size, hashes FROM chain.frontier').get() as
      { size: bigint; hashes: Uint8Array } | undefined;
    if (found === undefined || Number(found.size) > header.height) return null;
    const since = this.#database
      .prepare('SELECT hash FROM chain.block WHERE height>=? AND height<? ORDER BY height')
      .pluck()
      .all(found.size, BigInt(header.height)) as Uint8Array[];
    try {
      const tree = HistoryTree.restore(crypto, Number(found.size), found.hashes);
      for (const hash of since) tree.append(hash);
      const fits = tree.size === header.height && equal(tree.root(), header.historyRoot);
      return fits ? tree : null;
    } catch (error) {
      if (!isFormatError(error)) throw error;
      return null;
    }
  }

  /** Empties the index. */
  clear(): void {
    this.#database.exec(
      'DELETE FROM chain.block; DELETE FROM chain.frontier; DELETE FROM chain.transaction_id;' +
        ' UPDATE chain.sorted SET height=0',
    );
    this.#unsorted = 0;
  }
}

/** SQL for the first stamp whose id is not sorted in. */
const UNSORTED_FROM = `(SELECT (height + 1) * ${STAMP_POSITIONS} FROM chain.sorted)`;

/** The height up to which ids are sorted in, in the index that a connection has attached as `chain`; 0 if it says none. */
export function sortedTo(database: Database): number {
  const height = Number(database.prepare('SELECT height FROM chain.sorted').pluck().get());
  return Number.isSafeInteger(height) && height > 0 ? height : 0;
}

/** Stamp of the transaction with that id; null when there is none. The connection is one on the state. */
export function stampOfId(database: Database, id: Uint8Array): bigint | null {
  const sorted =
    'SELECT r.stamp FROM chain.transaction_id i JOIN main._receipt r ON r.stamp=i.stamp' +
    ` WHERE i.prefix=substr(@id, 1, 8) AND ${idInReceipt('r.receipt')}=@id`;
  const waiting =
    `SELECT stamp FROM main._receipt WHERE stamp>=${UNSORTED_FROM}` +
    ` AND ${idInReceipt('receipt')}=@id`;
  const found = database.prepare(`${sorted} UNION ALL ${waiting} LIMIT 1`).pluck().get({ id });
  return (found as bigint | undefined) ?? null;
}
