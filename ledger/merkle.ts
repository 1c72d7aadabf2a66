// Merkle trees over lists that are known whole: transactions, receipts, row versions. Pure, browser-safe.
//
// The tree of RFC 6962 §2.1 (RFC 9162 §2.1) over leaf hashes: a tree of n > 1 leaves splits at the largest
// power of two below n. The leaf hashes come from ledger/hash.ts, each with the domain of its kind; nodes
// have a domain of their own, so a node cannot be passed off as a leaf.

import { equal } from './bytes.ts';
import type { Crypto } from './crypto.ts';
import { HASH_BYTES } from './crypto.ts';
import { assert } from './error.ts';
import { nodeHash, pairHash } from './hash.ts';
import { LIMITS } from './limits.ts';

/** Root of the empty tree: SHA-256 of nothing. */
export function emptyRoot(crypto: Crypto): Uint8Array {
  return crypto.sha256(new Uint8Array(0));
}

/** Joins neighbours; a last one without a neighbour rises as it is. */
function nextLevel(crypto: Crypto, level: readonly Uint8Array[]): Uint8Array[] {
  const next: Uint8Array[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const right = level[i + 1];
    next.push(right === undefined ? level[i]! : nodeHash(crypto, level[i]!, right));
  }
  return next;
}

/** Root over leaf hashes, 32 bytes each. */
export function merkleRoot(crypto: Crypto, leafHashes: readonly Uint8Array[]): Uint8Array {
  if (leafHashes.length === 0) return emptyRoot(crypto);
  let level = leafHashes;
  while (level.length > 1) level = nextLevel(crypto, level);
  return level[0]!;
}

/** Root over leaf hashes that lie back to back: a bulk write has millions, too many for an object each. */
export function packedMerkleRoot(crypto: Crypto, leafHashes: Uint8Array): Uint8Array {
  if (leafHashes.length === 0) return emptyRoot(crypto);
  const level = new Uint8Array(leafHashes);
  let size = level.length;
  while (size > HASH_BYTES) {
    let next = 0;
    for (let at = 0; at < size; at += 2 * HASH_BYTES) {
      const pair = level.subarray(at, Math.min(at + 2 * HASH_BYTES, size));
      level.set(pair.length === HASH_BYTES ? pair : pairHash(crypto, pair), next);
      next += HASH_BYTES;
    }
    size = next;
  }
  return level.slice(0, HASH_BYTES);
}

/**
 * Sibling hashes of the `index`-th leaf, from leaf to root.
 *
 * @throws AssertionError unless 0 <= index < leafHashes.length
 */
export function merklePath(
  crypto: Crypto,
  leafHashes: readonly Uint8Array[],
  index: number,
): Uint8Array[] {
  assert(Number.isInteger(index) && index >= 0 && index < leafHashes.length, 'no such leaf');
  const siblings: Uint8Array[] = [];
  let level = leafHashes;
  for (let at = index; level.length > 1; at = Math.floor(at / 2)) {
    const sibling = level[at % 2 === 0 ? at + 1 : at - 1];
    if (sibling !== undefined) siblings.push(sibling);
    level = nextLevel(crypto, level);
  }
  return siblings;
}

export function isHash(bytes: Uint8Array): boolean {
  return bytes.length === HASH_BYTES;
}

/**
 * The root above the `index`-th of `count` leaf hashes, given its path.
 *
 * @returns null when the path has the wrong length, or index and count are impossible
 * @see     RFC 9162 §2.1.3.2
 */
export function rootAbove(
  crypto: Crypto,
  leaf: Uint8Array,
  index: number,
  count: number,
  siblings: readonly Uint8Array[],
): Uint8Array | null {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(count)) return null;
  if (index < 0 || index >= count || siblings.length > LIMITS.pathHashesMax) return null;
  if (!isHash(leaf) || !siblings.every(isHash)) return null;
  let hash = leaf;
  let used = 0;
  // `at` and `last` are the places of the leaf and of the last leaf on the level at hand.
  for (let at = index, last = count - 1; last > 0;) {
    if (at % 2 === 1 || at < last) {
      const sibling = siblings[used++];
      if (sibling === undefined) return null;
      hash = at % 2 === 1 ? nodeHash(crypto, sibling, hash) : nodeHash(crypto, hash, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return used === siblings.length ? hash : null;
}

/**
 * Checks that `leaf` is the `index`-th of `count` leaf hashes under `expectedRoot`.
 *
 * @returns false on any mismatch, also when the path has the wrong length or index and count are impossible
 */
export function verifyMerklePath(
  crypto: Crypto,
  leaf: Uint8Array,
  index: number,
  count: number,
  siblings: readonly Uint8Array[],
  expectedRoot: Uint8Array,
): boolean {
  const root = rootAbove(crypto, leaf, index, count, siblings);
  return root !== null && equal(root, expectedRoot);
}
