// What a member checks of a proposed block before it votes for it, beside what the replica knows. Pure.
//
// Encodings, signatures and time: what all nodes say alike, whatever they have executed. A block that one honest member
// found valid and another did not would keep a term from opening. What needs the state, as whether a key is its
// author's, grants and idempotency, is for whoever executes. A block whose chunks are not here is not invalid: it waits.

import { checkBundle, checkIds } from '../ledger/block-check.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Bundle, ReadTransaction } from '../ledger/transaction.ts';
import type { BundlePool } from './bundle-pool.ts';
import { chunksIn } from '../ledger/chunks.ts';
import type { Chunks } from './chunks.ts';
import type { Candidate } from './core/block-tree.ts';
import type { ReplicaOptions } from './core/context.ts';

export interface ValidationContext {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
}

/** How far a block's time may be ahead of this node's clock, in ms. */
const DRIFT_MS_MAX = 5_000;

/**
 * The latest time that a block may have, in ms since 1970.
 *
 * That of the newest block in the ledger always is one: when clocks were ahead and are right again, blocks have its time
 * until they have caught up, and the ledger goes on.
 */
export function latestTimeMs(nowMs: number, tipMs: number): number {
  return Math.max(nowMs + DRIFT_MS_MAX, tipMs);
}

/** A bundle's transactions; null for one that members would refuse in a block. */
export function proposable(context: ValidationContext, bundle: Bundle): ReadTransaction[] | null {
  const read = checkBundle(context, bundle);
  return Array.isArray(read) ? read : null;
}

/**
 * @param pool      what is in it was found proposable, or made here
 * @param latestMs  see `latestTimeMs`
 */
export function validator(
  context: ValidationContext,
  pool: BundlePool,
  latestMs: () => number,
  chunks: Pick<Chunks, 'has' | 'want'>,
): ReplicaOptions['validate'] {
  /** Chunks that those name which wait for nothing else. */
  const sound = new WeakMap<Candidate, readonly Uint8Array[]>();
  return (block) => {
    const { header, bundles } = block;
    let named = sound.get(block);
    if (named === undefined) {
      if (header.timeMs > latestMs()) return 'wait';
      const all: ReadTransaction[] = [];
      for (const bundle of bundles) {
        const read = pool.find(bundle)?.transactions ?? proposable(context, bundle);
        if (read === null) return 'invalid';
        all.push(...read);
      }
      const ids = all.map(({ id }) => id);
      if (checkIds(context.crypto, header, ids) !== null) return 'invalid';
      named = chunksIn(all);
      sound.set(block, named);
    }
    if (chunks.has(named)) return 'valid';
    chunks.want(named, header.proposer);
    return 'wait';
  };
}
