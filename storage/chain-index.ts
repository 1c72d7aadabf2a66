// The block index, `chain/index.sqlite`: headers by height, transactions by stamp and id. Shell.
//
// Derivable: what is missing is written again when blocks are replayed. It commits together with the state,
// over whose connection it is written (attached as `chain`).

import { HistoryTree } from '../ledger/history-tree.ts';
import { equal } from '../ledger/bytes.ts';
import { isFormatError } from '../ledger/error.ts';
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

export class ChainIndex {
  readonly #block: Statement;
  readonly #transaction: Statement;
  readonly #frontier: Statement;
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
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
      'DELETE FROM chain.block; DELETE FROM chain.transactions; DELETE FROM chain.frontier',
    );
  }
}
