// The one interface of every consensus algorithm: propose, and later be told the order. Types only.
//
// propose → ordered, certified blocks → execute. A consensus hands each block to its Ledger in order of
// height, a next one perhaps before the last is executed, and learns the receipts root from the result.
// It never looks inside a transaction, and knows neither SQL nor SQLite.

import type { Block, Executed } from '../ledger/block.ts';
import type { HistoryTree } from '../ledger/history-tree.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { Bundle, ReadTransaction, Receipt } from '../ledger/transaction.ts';
import type { ApprovedRules } from './rules-change.ts';

/** The end of the chain as far as it is executed. */
export interface Tip {
  readonly height: number;
  /** Hash of the newest header. */
  readonly hash: Uint8Array;
  readonly timeMs: number;
  /** What the newest header says was executed. */
  readonly covered: Executed;
  /** What was executed after that, one result for each height up to this; a header says the next of them. */
  readonly uncovered: readonly Executed[];
  /** A block with receipts is executed that no header covers yet. */
  readonly unproved: boolean;
  /** Of the catalog after the newest block: another number after every change. */
  readonly catalogVersion: number;
}

/** A certified block, with the bytes that were hashed and signed. */
export interface OrderedBlock {
  readonly block: Block;
  readonly hash: Uint8Array;
  readonly headerBytes: Uint8Array;
  readonly bodyBytes: Uint8Array;
  /** Of all bundles, in order, as read from their bytes: what is executed is what every reader of the block will see. */
  readonly transactions: readonly ReadTransaction[];
}

/** A bundle put up for ordering. */
export interface Proposal {
  readonly bundle: Bundle;
  /** Of the bundle's transactions, in their order, and the Merkle root over them. */
  readonly ids: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/** A block made durable and executed. */
export interface ExecutedBlock {
  readonly block: Block;
  /** Of all bundles, in order; each has its receipt. */
  readonly transactions: readonly ReadTransaction[];
  readonly receipts: readonly Receipt[];
  readonly tip: Tip;
}

/** Where a consensus puts what it has ordered; the node's writer fits it. */
export interface Ledger {
  /** As the ledger was opened, or after the newest block executed. */
  readonly tip: Tip;
  /** Over all headers up to the tip at which the ledger was opened: whoever orders carries it on. */
  readonly history: HistoryTree;
  /**
   * Makes a certified block durable and executes it, after those that were handed over before it.
   *
   * @param onStored  called when it is durable, perhaps before it is executed
   * @throws StorageError: the disk failed. The consensus stops; the node with it.
   */
  append(block: OrderedBlock, onStored?: () => void): Promise<ExecutedBlock>;
}

/** What became of a bundle. */
export interface Outcome {
  readonly executed: ExecutedBlock;
  /** Of the bundle's transactions, in their order. */
  readonly receipts: readonly Receipt[];
  /** In the block, of the first of them. */
  readonly position: number;
}

/** How many nodes must have executed a block with the same results, besides the one that answers. */
export type Confirm = 'f+1' | 'all';

/** Everything asked of it may be refused as HandedOver (handover.ts). */
export interface Consensus {
  /**
   * Puts a bundle up for ordering. Resolves when its block is durable and executed, with the receipts of
   * the bundle's transactions in their order.
   *
   * @throws SqlError 57P03 when stopping, 40003 when the outcome is not known
   */
  propose(proposal: Proposal): Promise<Outcome>;
  /**
   * Puts new rules up. Resolves when the epoch with them has begun here.
   *
   * @param timeoutMs  to be waited; they may come into force later all the same
   * @throws SqlError 42501 when too few have approved them for this epoch, 55006 when others are on their way, 55000
   *   when another epoch has begun meanwhile, 40003 when nothing came of it in time, 25006 at a node without a part
   */
  changeRules(change: ApprovedRules, timeoutMs: number): Promise<EpochConfig>;
  /** Resolves when the newest executed results are covered by a block header: proofs need it. */
  prove(): Promise<void>;
  /**
   * Resolves when as many members, this node among them, have executed the block of `height`, which this node has,
   * with the same results. At once where there is one node.
   *
   * @throws SqlError 40003 that names the others, after a time; the block is confirmed in any case
   */
  agreed(height: number, confirm: Confirm): Promise<void>;
  /**
   * Resolves when this node has executed everything that was confirmed anywhere before the call: what is read then is
   * linearizable. At once where there is one node.
   *
   * @throws SqlError 57P03 when the members do not answer in time, or this node has no part among them
   */
  caughtUp(): Promise<void>;
  /** Finishes what was proposed, then stops. */
  stop(): Promise<void>;
}
