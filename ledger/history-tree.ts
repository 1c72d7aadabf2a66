// The history tree: a growing Merkle tree over the hashes of all headers. Pure, browser-safe.
//
// The tree of RFC 9162 §2.1 whose entry i is the header hash of height i. Every header carries the root over
// all headers before it, so any later signed header proves any earlier one, and two roots can be shown to
// belong to one chain (consistency).
//
// (1) Appending costs O(1) hashes on average and keeps O(log n) of them: the roots of the complete subtrees.
// (2) A complete subtree never changes. `NodeAt` names it by level (0 = leaves) and place on that level.

import { equal } from './bytes.ts';
import type { Crypto } from './crypto.ts';
import { HASH_BYTES } from './crypto.ts';
import { assert, FormatError } from './error.ts';
import { leafHash, nodeHash } from './hash.ts';
import { emptyRoot, isHash, verifyMerklePath } from './merkle.ts';
import { LIMITS } from './limits.ts';

/** Root of the complete subtree of 2^level leaves that begins at leaf `place` * 2^level. */
export type NodeAt = (level: number, place: number) => Uint8Array;

export class HistoryTree {
  readonly #crypto: Crypto;
  #size = 0;
  /** Roots of the complete subtrees of the size's binary digits, the biggest first. */
  #frontier: Uint8Array[] = [];
  #root: Uint8Array | null = null;

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  /** Number of header hashes appended. */
  get size(): number {
    return this.#size;
  }

  /** Appends the header hash of height `size`. */
  append(hash: Uint8Array): void {
    let node = leafHash(this.#crypto, hash);
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      node = nodeHash(this.#crypto, this.#frontier.pop()!, node);
    }
    this.#frontier.push(node);
    this.#size += 1;
    this.#root = null;
  }

  /** Root over everything appended so far. */
  root(): Uint8Array {
    if (this.#size === 0) return emptyRoot(this.#crypto);
    this.#root ??= this.#frontier.reduceRight((right, left) => nodeHash(this.#crypto, left, right));
    return this.#root;
  }

  /** The frontier as bytes: its hashes, one after the other. `restore` needs the size as well. */
  serialise(): Uint8Array {
    const bytes = new Uint8Array(this.#frontier.length * HASH_BYTES);
    this.#frontier.forEach((hash, at) => bytes.set(hash, at * HASH_BYTES));
    return bytes;
  }

  /** @throws FormatError when the frontier is not one of that size */
  static restore(crypto: Crypto, size: number, frontier: Uint8Array): HistoryTree {
    const tree = new HistoryTree(crypto);
    if (!Number.isSafeInteger(size) || size < 0) throw new FormatError('impossible tree size');
    let digits = 0;
    for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) digits += rest % 2;
    if (frontier.length !== digits * HASH_BYTES) throw new FormatError('frontier of another size');
    tree.#size = size;
    for (let at = 0; at < frontier.length; at += HASH_BYTES) {
      // Not `slice`, which for a Buffer is no copy.
      tree.#frontier.push(new Uint8Array(frontier.subarray(at, at + HASH_BYTES)));
    }
    return tree;
  }

  copy(): HistoryTree {
    return HistoryTree.restore(this.#crypto, this.#size, this.serialise());
  }
}

/** Levels whose nodes are remembered by `nodesOf`: from here up, so one in 256 headers costs 32 bytes. */
const CACHED_LEVEL_MIN = 8;

/**
 * Subtree roots computed from header hashes. The first use of a big subtree reads all its headers; its
 * parts are kept from then on.
 */
export function nodesOf(crypto: Crypto, headerHashAt: (height: number) => Uint8Array): NodeAt {
  const cache = new Map<string, Uint8Array>();
  const nodeAt: NodeAt = (level, place) => {
    if (level === 0) return leafHash(crypto, headerHashAt(place));
    const name = `${level}/${place}`;
    const known = cache.get(name);
    if (known !== undefined) return known;
    const hash = nodeHash(crypto, nodeAt(level - 1, place * 2), nodeAt(level - 1, place * 2 + 1));
    if (level >= CACHED_LEVEL_MIN) cache.set(name, hash);
    return hash;
  };
  return nodeAt;
}

/** Levels of the smallest complete tree that holds `count` leaves. */
function levelsFor(count: number): number {
  let levels = 0;
  for (let leaves = 1; leaves < count; leaves *= 2) levels++;
  return levels;
}

/** Root of the leaves from `start` to before `end`; `start` is a multiple of the biggest subtree in it. */
function rangeRoot(crypto: Crypto, nodeAt: NodeAt, start: number, end: number): Uint8Array {
  const levels = levelsFor(end - start);
  const full = 2 ** levels;
  if (full === end - start) return nodeAt(levels, start / full);
  const middle = start + full / 2;
  return nodeHash(
    crypto,
    rangeRoot(crypto, nodeAt, start, middle),
    rangeRoot(crypto, nodeAt, middle, end),
  );
}

/**
 * Sibling hashes, from leaf to root, of the header of height `index` in the tree of the first `size`.
 *
 * @see RFC 9162 §2.1.3.1
 */
export function inclusionPath(
  crypto: Crypto,
  nodeAt: NodeAt,
  index: number,
  size: number,
): Uint8Array[] {
  assert(index >= 0 && index < size, 'no such leaf');
  const siblings: Uint8Array[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + 2 ** (levelsFor(end - start) - 1);
    if (index < middle) {
      siblings.push(rangeRoot(crypto, nodeAt, middle, end));
      end = middle;
    } else {
      siblings.push(rangeRoot(crypto, nodeAt, start, middle));
      start = middle;
    }
  }
  return siblings.reverse();
}

/** Whether the header hash is the one of height `index` in a tree of `size` headers with that root. */
export function verifyInclusion(
  crypto: Crypto,
  headerHash: Uint8Array,
  index: number,
  size: number,
  siblings: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  return verifyMerklePath(crypto, leafHash(crypto, headerHash), index, size, siblings, root);
}

/**
 * Hashes which show that the tree of the first `from` headers is the beginning of the tree of `to`.
 * Empty when the sizes are the same or `from` is 0.
 *
 * @see RFC 9162 §2.1.4.1
 */
export function consistencyPath(
  crypto: Crypto,
  nodeAt: NodeAt,
  from: number,
  to: number,
): Uint8Array[] {
  assert(from >= 0 && from <= to, 'sizes out of order');
  if (from === 0 || from === to) return [];
  const hashes: Uint8Array[] = [];
  let [start, end, known] = [0, to, true];
  while (end !== from) {
    const middle = start + 2 ** (levelsFor(end - start) - 1);
    if (from <= middle) {
      hashes.push(rangeRoot(crypto, nodeAt, middle, end));
      end = middle;
    } else {
      hashes.push(rangeRoot(crypto, nodeAt, start, middle));
      [start, known] = [middle, false];
    }
  }
  // The verifier knows this subtree already when it is the whole old tree.
  if (!known) hashes.push(rangeRoot(crypto, nodeAt, start, end));
  return hashes.reverse();
}

/**
 * Checks that the tree of size `from` and root `fromRoot` is the beginning of the one of `to` and `toRoot`.
 *
 * @see RFC 9162 §2.1.4.2
 */
export function verifyConsistency(
  crypto: Crypto,
  from: number,
  fromRoot: Uint8Array,
  to: number,
  toRoot: Uint8Array,
  hashes: readonly Uint8Array[],
): boolean {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || from > to)
    return false;
  if (from === to) return hashes.length === 0 && equal(fromRoot, toRoot);
  if (from === 0) return hashes.length === 0 && equal(fromRoot, emptyRoot(crypto));
  if (hashes.length > 2 * LIMITS.pathHashesMax) return false;
  if (!isHash(fromRoot) || !hashes.every(isHash)) return false;
  let [node, last] = [from - 1, to - 1];
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  // A power of two is its own first hash.
  const path = node === 0 ? [fromRoot, ...hashes] : hashes;
  const first = path[0];
  if (first === undefined) return false;
  let [oldRoot, newRoot] = [first, first];
  let used = 1;
  for (; last > 0; [node, last] = [Math.floor(node / 2), Math.floor(last / 2)]) {
    if (node % 2 === 0 && node === last) continue;
    const hash = path[used++];
    if (hash === undefined) return false;
    if (node % 2 === 1) {
      oldRoot = nodeHash(crypto, hash, oldRoot);
      newRoot = nodeHash(crypto, hash, newRoot);
    } else {
      newRoot = nodeHash(crypto, newRoot, hash);
    }
  }
  return used === path.length && equal(oldRoot, fromRoot) && equal(newRoot, toRoot);
}
