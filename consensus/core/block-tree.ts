// The unconfirmed blocks that a replica knows, as a tree above the newest confirmed one. Pure.
//
// (1) The root is confirmed; whatever is at or below its height and not in its chain is gone for good.
// (2) A block is linked when its parents are here down to the root and its header fits the one before it.
//     Only linked blocks are ever voted for, taken over or confirmed.
// (3) At most CONSENSUS_LIMITS.candidatesMax blocks: the ones furthest from being used go first.

import type { Header } from '../../ledger/block.ts';
import type { CheckedParent } from '../../ledger/block-check.ts';
import { checkHeader } from '../../ledger/block-check.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { decodeBody, decodeHeader } from '../../ledger/encoding.ts';
import { isBarrier } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { bodyHash, headerHash } from '../../ledger/hash.ts';
import type { HistoryTree } from '../../ledger/history-tree.ts';
import type { SystemRecord } from '../../ledger/system.ts';
import type { Bundle } from '../../ledger/transaction.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';
import type { SignedBlock } from './message.ts';

/** A hash as a key of maps. */
export type HashKey = string;

export const keyOf: (hash: Uint8Array) => HashKey = hex;

/** A block by its place: enough to compare with others. */
export interface Position {
  readonly height: number;
  readonly hash: Uint8Array;
  readonly key: HashKey;
}

export interface Candidate extends Position {
  readonly header: Header;
  readonly signed: SignedBlock;
  readonly bundles: readonly Bundle[];
  readonly system: readonly SystemRecord[];
  readonly parentKey: HashKey;
  /** Nothing is put on top of it before it is confirmed. */
  readonly barrier: boolean;
  /** The history tree up to and with this block; null until it is linked. */
  history: HistoryTree | null;
  /** What the checks before a vote have found; `wait` may change. */
  verdict: 'wait' | 'valid' | 'invalid';
  /** Found invalid for its body alone: whoever has proposed or acknowledged it has lied. */
  unsound: boolean;
  /** In the durable records. */
  durable: boolean;
}

/** The newest confirmed block. */
export interface Root extends Position {
  readonly header: Header;
  /** Up to and with this block. */
  readonly history: HistoryTree;
}

/** @returns null when the body is not the header's. @throws FormatError unless both are encodings; the body is looked at last */
export function decodeCandidate(crypto: Crypto, signed: SignedBlock): Candidate | null {
  const header = decodeHeader(signed.header);
  if (!equal(header.bodyHash, bodyHash(crypto, signed.body))) return null;
  const { bundles, system } = decodeBody(signed.body);
  const hash = headerHash(crypto, signed.header);
  return {
    header,
    signed,
    bundles,
    system,
    height: header.height,
    hash,
    key: keyOf(hash),
    parentKey: keyOf(header.parent),
    barrier: isBarrier(system),
    history: null,
    verdict: 'wait',
    unsound: false,
    durable: false,
  };
}

export class BlockTree {
  readonly #chainId: Uint8Array;
  readonly #blocks = new Map<HashKey, Candidate>();
  #root: Root;
  #config: EpochConfig;

  constructor(chainId: Uint8Array, root: Root, config: EpochConfig) {
    this.#chainId = chainId;
    this.#root = root;
    this.#config = config;
  }

  get root(): Root {
    return this.#root;
  }

  get size(): number {
    return this.#blocks.size;
  }

  get(key: HashKey): Candidate | undefined {
    return this.#blocks.get(key);
  }

  has(key: HashKey): boolean {
    return key === this.#root.key || this.#blocks.has(key);
  }

  /** In order of arrival. */
  blocks(): Iterable<Candidate> {
    return this.#blocks.values();
  }

  /** Other blocks known at a height, of one term. */
  siblings({ height, term }: Pick<Header, 'height' | 'term'>): Candidate[] {
    return [...this.#blocks.values()].filter(
      (block) => block.height === height && block.header.term === term,
    );
  }

  /** @param needed what must not go when there are too many. @returns whether it was taken in */
  add(block: Candidate, needed: (key: HashKey) => boolean): boolean {
    if (this.has(block.key) || block.height <= this.#root.height) return false;
    if (this.#blocks.size >= CONSENSUS_LIMITS.candidatesMax) {
      const victim = [...this.#blocks.values()].find(({ key }) => !needed(key));
      if (victim === undefined) return false;
      this.#blocks.delete(victim.key);
    }
    this.#blocks.set(block.key, block);
    this.#link();
    return true;
  }

  /** Links whatever has a linked parent now; what does not fit its parent goes. */
  #link(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const block of this.#blocks.values()) {
        if (block.history !== null) continue;
        const parent = this.#linkedParent(block);
        if (parent === null) continue;
        changed = true;
        if (checkHeader({ chainId: this.#chainId }, parent, block.header) !== null) {
          this.#blocks.delete(block.key);
          continue;
        }
        block.history = parent.history.copy();
        block.history.append(block.hash);
      }
    }
  }

  #linkedParent(block: Candidate): Omit<CheckedParent, 'certificate'> | null {
    const parent =
      block.parentKey === this.#root.key ? this.#root : this.#blocks.get(block.parentKey);
    if (parent === undefined || parent.history === null) return null;
    const { header, hash, history } = parent;
    return { header, hash, history, config: this.#config };
  }

  isLinked(key: HashKey): boolean {
    return key === this.#root.key || (this.#blocks.get(key)?.history ?? null) !== null;
  }

  /** The blocks from above the root up to `key`, ascending; empty at the root, null unless linked. */
  path(key: HashKey): Candidate[] | null {
    if (!this.isLinked(key)) return null;
    const path: Candidate[] = [];
    for (let at = this.#blocks.get(key); at !== undefined; at = this.#blocks.get(at.parentKey)) {
      path.push(at);
    }
    return path.reverse();
  }

  /** Whether `key`, which is linked, is `other` or a descendant of it. What is below the root is an ancestor. */
  extends(key: HashKey, other: Position): boolean {
    if (other.height < this.#root.height) return true;
    if (other.key === this.#root.key) return this.isLinked(key);
    if (other.height === this.#root.height) return false;
    let at = this.#blocks.get(key);
    while (at !== undefined && at.height > other.height) at = this.#blocks.get(at.parentKey);
    return at !== undefined && at.key === other.key;
  }

  /** A block's header and place, the root's among them. */
  find(key: HashKey): Candidate | Root | undefined {
    return key === this.#root.key ? this.#root : this.#blocks.get(key);
  }

  /** Makes a linked block the root; what does not descend from it goes. @param config of the next block */
  confirm(block: Candidate, config: EpochConfig): void {
    const { header, height, hash, key } = block;
    this.#root = { header, height, hash, key, history: block.history! };
    this.#config = config;
    for (const other of this.#blocks.values()) {
      if (other.height <= height || (other.history !== null && !this.extends(other.key, block))) {
        this.#blocks.delete(other.key);
      }
    }
    this.#blocks.delete(key);
    this.#link();
  }
}
