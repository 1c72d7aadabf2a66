// What a member checks of a proposed block before it votes for it, beside what the replica knows. Pure.
//
// Encodings, signatures, keys of authors as of the newest block executed here, and time. What needs the state at
// the block itself, as grants and idempotency, is for whoever executes, on all nodes alike.

import { checkBody, checkBundle } from '../ledger/block-check.ts';
import { equal } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { decodeTransaction } from '../ledger/encoding.ts';
import type { Bundle } from '../ledger/transaction.ts';
import type { Candidate } from './core/block-tree.ts';
import type { ReplicaOptions } from './core/context.ts';

export interface ValidationContext {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  readonly keyOf: (role: number) => Uint8Array | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** How far a block's time may be ahead of this node's clock, in ms. */
const DRIFT_MS_MAX = 5_000;

/**
 * The ids of a bundle's transactions; null for one that members would refuse in a block, or whose role is not known here.
 * A leader that proposed such a bundle would be taken for a liar, and so would the next.
 */
export function proposableIds(
  context: Omit<ValidationContext, 'now'>,
  bundle: Bundle,
): Uint8Array[] | null {
  const ids: Uint8Array[] = [];
  if (checkBundle(context, bundle, 0, ids) !== null) return null;
  return namesChunks(bundle) ? null : ids;
}

export function validator(context: ValidationContext): ReplicaOptions['validate'] {
  const { keyOf, now } = context;
  const isKnown = ({ author, publicKey }: Bundle): boolean => {
    const key = keyOf(author);
    return key !== null && equal(key, publicKey);
  };
  return ({ header, bundles, system }: Candidate) => {
    if (header.timeMs > now() + DRIFT_MS_MAX) return 'wait';
    // A role may have been made, or its key changed, in a block that is not executed here yet.
    if (!bundles.every(isKnown)) return 'wait';
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
