// The one interface of every consensus algorithm: propose, and later be told the order. Shell-facing types.
//
// propose → ordered, certified blocks → execute. A consensus hands each block to its Ledger in order of
// height, never two at a time unless the Ledger says it may, and learns the receipts root from the result.
// It never looks inside a transaction, and knows neither SQL nor SQLite.

import type { Block } from '../ledger/block.ts';
import type { Bundle, Receipt } from '../ledger/transaction.ts';

/** A block made durable and executed. */
export interface ExecutedBlock {
  readonly block: Block;
  readonly hash: Uint8Array;
  readonly receipts: readonly Receipt[];
  readonly receiptsRoot: Uint8Array;
}

/** Where a consensus puts what it has ordered; the node's writer fits it. */
export interface Ledger {
  /**
   * Makes a certified block durable and executes it.
   *
   * @throws StorageError: the disk failed. The consensus stops; the node with it.
   */
  append(block: Block): Promise<ExecutedBlock>;
}

export interface Consensus {
  /**
   * Puts a bundle up for ordering. Resolves when its block is durable and executed, with the receipts of
   * the bundle's transactions in their order.
   *
   * @throws SqlError 57P03 when stopping, 40003 when the outcome is not known
   */
  propose(bundle: Bundle): Promise<{ readonly executed: ExecutedBlock; readonly receipts: readonly Receipt[] }>;
  /** Finishes what was proposed, then stops. */
  stop(): Promise<void>;
}
