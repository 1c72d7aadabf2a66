// How long the next block had better wait for more. Pure.
//
// A block costs every node as much as some forty transactions, whatever is in it. Clients who have heard of a block come
// back with their next statements, those of the other nodes a little later: many of them are worth a wait.

import type { PooledBundle } from './bundle-pool.ts';

/** A block that is on its way or not executed keeps the next one waiting so long, in ms, unless so many transactions wait for it. */
const UNDERWAY_MS = 50;
const UNDERWAY_TRANSACTIONS = 500;
/** After a block is executed, those who were in one of the last few are awaited so long, in ms, if so many are missing. */
const RETURN_MS = 8;
const RETURN_TRANSACTIONS_MIN = 8;
const RETURN_BLOCKS = 4;

/** What a node had in the newest block with something of it. */
interface Share {
  transactions: number;
  block: number;
}

export class Gathering {
  readonly #shares = new Map<string | null, Share>();
  /** Blocks so far that were not empty. */
  #blocks = 0;
  #proposedMs = -Infinity;
  #executedMs = -Infinity;

  proposed(nowMs: number): void {
    this.#proposedMs = nowMs;
  }

  /** @param bundles  of the block, those that were in the pool */
  confirmed(bundles: readonly PooledBundle[]): void {
    if (bundles.length === 0) return;
    this.#blocks += 1;
    for (const { from, ids } of bundles) {
      const share = this.#shares.get(from);
      if (share?.block === this.#blocks) share.transactions += ids.length;
      else this.#shares.set(from, { transactions: ids.length, block: this.#blocks });
    }
  }

  executed(nowMs: number): void {
    this.#executedMs = nowMs;
  }

  /**
   * Milliseconds that the next block should wait, unless more comes; at most 0 for now.
   *
   * @param waiting   bundles that are in no block yet
   * @param underway  a block is on its way, or confirmed and not executed
   */
  waitMs(nowMs: number, waiting: readonly PooledBundle[], underway: boolean): number {
    if (underway) {
      const count = waiting.reduce((sum, { ids }) => sum + ids.length, 0);
      return count >= UNDERWAY_TRANSACTIONS ? 0 : this.#proposedMs + UNDERWAY_MS - nowMs;
    }
    const isWorthIt = waiting.length > 0 && this.#missing(waiting) >= RETURN_TRANSACTIONS_MIN;
    return isWorthIt ? this.#executedMs + RETURN_MS - nowMs : 0;
  }

  /** Transactions of the nodes that have been in one of the last blocks and are not back yet. */
  #missing(waiting: readonly PooledBundle[]): number {
    const back = new Set(waiting.map(({ from }) => from));
    let missing = 0;
    for (const [from, { transactions, block }] of this.#shares) {
      if (!back.has(from) && block > this.#blocks - RETURN_BLOCKS) missing += transactions;
    }
    return missing;
  }
}
