// Bundles that wait to be ordered: those of this node's sessions, and those that peers have sent. Pure.
//
// Every node holds every bundle, so any may lead, and all see when a leader leaves some out.
//
// (1) Bounded for each node they came from: nobody can fill it for others.
// (2) A bundle stays until a block with it is confirmed, or until it is too old to be valid.

import { equal, hex } from '../ledger/bytes.ts';
import { chunksIn } from '../ledger/chunks.ts';
import { LIMITS } from '../ledger/limits.ts';
import type { Bundle, ReadTransaction } from '../ledger/transaction.ts';
import type { Proposal } from './consensus.ts';
import { CONSENSUS_LIMITS } from './limits.ts';
import { RecentSet } from './recent-set.ts';

/** A signature is over everything in a bundle but parts: equal keys are equal bundles. */
export type BundleKey = string;

export function keyOfBundle({ signature }: Bundle): BundleKey {
  return hex(signature);
}

export interface PooledBundle extends Proposal {
  readonly key: BundleKey;
  readonly transactions: readonly ReadTransaction[];
  /** Of the encoded bundle. */
  readonly bytes: number;
  /** The node it came from; null for this one. */
  readonly from: string | null;
  readonly arrivedMs: number;
}

export class BundlePool {
  /** In order of arrival. */
  readonly #bundles = new Map<BundleKey, PooledBundle>();
  readonly #bytesFrom = new Map<string | null, number>();
  /** Of those confirmed a short while ago: late copies are not taken in again. */
  readonly #confirmed = new RecentSet(CONSENSUS_LIMITS.confirmedBundlesMax);

  get size(): number {
    return this.#bundles.size;
  }

  has(key: BundleKey): boolean {
    return this.#bundles.has(key) || this.#confirmed.has(key);
  }

  /** The one that is this bundle byte by byte: equal keys say nothing of parts. */
  find(bundle: Bundle): PooledBundle | undefined {
    const found = this.#bundles.get(keyOfBundle(bundle));
    const isIt = found !== undefined && (found.bundle === bundle || areEqual(found.bundle, bundle));
    return isIt ? found : undefined;
  }

  /** @returns false when there is no room for more of that node */
  add(bundle: PooledBundle): boolean {
    const held = this.#bytesFrom.get(bundle.from) ?? 0;
    if (bundle.from !== null && held + bundle.bytes > CONSENSUS_LIMITS.poolBytesPerPeerMax) {
      return false;
    }
    this.#bundles.set(bundle.key, bundle);
    this.#bytesFrom.set(bundle.from, held + bundle.bytes);
    return true;
  }

  /** In order of arrival, without those of `taken`. */
  waiting(taken: ReadonlySet<BundleKey>): PooledBundle[] {
    return [...this.#bundles.values()].filter(({ key }) => !taken.has(key));
  }

  /** As many as a block may hold, in order of arrival, without those of `taken`. */
  take(taken: ReadonlySet<BundleKey>, isGood: (bundle: PooledBundle) => boolean): PooledBundle[] {
    const found: PooledBundle[] = [];
    let bytes = 0;
    let transactions = 0;
    for (const bundle of this.waiting(taken)) {
      if (!isGood(bundle)) continue;
      bytes += bundle.bytes;
      transactions += bundle.ids.length;
      const full =
        bytes > LIMITS.blockBodyBytesMax / 2 || transactions > LIMITS.blockTransactionsMax;
      if (full && found.length > 0) break;
      found.push(bundle);
    }
    return found;
  }

  /** A block with these was confirmed. */
  confirmed(keys: Iterable<BundleKey>): void {
    for (const key of keys) {
      this.#confirmed.add(key);
      this.#delete(key);
    }
  }

  /** Those that came before that moment, which go. */
  expire(beforeMs: number): PooledBundle[] {
    const old = [...this.#bundles.values()].filter(({ arrivedMs }) => arrivedMs < beforeMs);
    for (const { key } of old) this.#delete(key);
    return old;
  }

  /** Hashes of the chunks that bundles of other nodes name; those of this node's bundles its sessions hold. */
  chunks(): Uint8Array[] {
    const others = [...this.#bundles.values()].filter(({ from }) => from !== null);
    return others.flatMap(({ transactions }) => chunksIn(transactions));
  }

  /** Those of this node, to be sent once more. */
  own(): PooledBundle[] {
    return [...this.#bundles.values()].filter(({ from }) => from === null);
  }

  #delete(key: BundleKey): void {
    const bundle = this.#bundles.get(key);
    if (bundle === undefined) return;
    this.#bundles.delete(key);
    this.#bytesFrom.set(bundle.from, this.#bytesFrom.get(bundle.from)! - bundle.bytes);
  }
}

function areEqual(a: Bundle, b: Bundle): boolean {
  return (
    a.author === b.author &&
    equal(a.publicKey, b.publicKey) &&
    a.transactions.length === b.transactions.length &&
    a.transactions.every((bytes, i) => equal(bytes, b.transactions[i]!))
  );
}
