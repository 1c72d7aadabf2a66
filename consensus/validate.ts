// What a member checks of a proposed block before it votes for it, beside what the replica knows. Pure.
//
// Encodings, signatures and time: what all nodes say alike, whatever they have executed. A block that one honest member
// found valid and another did not would keep a term from opening. What needs the state, as whether a key is its
// author's, grants and idempotency, is for whoever executes. A block whose chunks are not here is not invalid: it waits.

import { checkBody, checkBundle } from '../ledger/block-check.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Bundle } from '../ledger/transaction.ts';
import { chunksIn } from './chunks.ts';
import type { Chunks } from './chunks.ts';
import type { Candidate } from './core/block-tree.ts';
import type { ReplicaOptions } from './core/context.ts';

export interface ValidationContext {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
}

/** How far a block's time may be ahead of this node's clock, in ms. */
const DRIFT_MS_MAX = 5_000;

/** The ids of a bundle's transactions; null for one that members would refuse in a block. */
export function proposableIds(context: ValidationContext, bundle: Bundle): Uint8Array[] | null {
  const ids: Uint8Array[] = [];
  return checkBundle(context, bundle, 0, ids) === null ? ids : null;
}

/** @param now milliseconds since 1970 */
export function validator(
  context: ValidationContext,
  now: () => number,
  chunks: Pick<Chunks, 'has' | 'want'>,
): ReplicaOptions['validate'] {
  /** Those that wait for nothing but their chunks. */
  const sound = new WeakSet<Candidate>();
  return (block) => {
    const { header, bundles, system } = block;
    if (!sound.has(block)) {
      if (header.timeMs > now() + DRIFT_MS_MAX) return 'wait';
      if (checkBody(context, { header, bundles, system }) !== null) return 'invalid';
      sound.add(block);
    }
    const named = chunksIn(bundles);
    if (chunks.has(named)) return 'valid';
    chunks.want(named, header.proposer);
    return 'wait';
  };
}
