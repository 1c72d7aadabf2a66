// What a member checks of a proposed block before it votes for it, beside what the replica knows. Pure.
//
// Encodings, signatures and time: what all nodes say alike, whatever they have executed. A block that one honest member
// found valid and another did not would keep a term from opening. What needs the state, as whether a key is its
// author's, grants and idempotency, is for whoever executes.

import { checkBody, checkBundle } from '../ledger/block-check.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { decodeTransaction } from '../ledger/encoding.ts';
import type { Bundle } from '../ledger/transaction.ts';
import type { Candidate } from './core/block-tree.ts';
import type { ReplicaOptions } from './core/context.ts';

export interface ValidationContext {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
}

/** How far a block's time may be ahead of this node's clock, in ms. */
const DRIFT_MS_MAX = 5_000;

/**
 * The ids of a bundle's transactions; null for one that members would refuse in a block: a leader that proposed it would be
 * taken for a liar, and so would the next.
 */
export function proposableIds(context: ValidationContext, bundle: Bundle): Uint8Array[] | null {
  const ids: Uint8Array[] = [];
  if (checkBundle(context, bundle, 0, ids) !== null) return null;
  return namesChunks(bundle) ? null : ids;
}

/** @param now milliseconds since 1970 */
export function validator(
  context: ValidationContext,
  now: () => number,
): ReplicaOptions['validate'] {
  return ({ header, bundles, system }: Candidate) => {
    if (header.timeMs > now() + DRIFT_MS_MAX) return 'wait';
    if (checkBody(context, { header, bundles, system }) !== null) return 'invalid';
    return bundles.some(namesChunks) ? 'invalid' : 'valid';
  };
}

/** Chunks lie at the node that made them: a cluster orders only what travels with its transaction. */
function namesChunks({ transactions }: Bundle): boolean {
  return transactions.some((bytes) =>
    decodeTransaction(bytes).operations.some(({ kind }) => kind === 'chunks'),
  );
}
