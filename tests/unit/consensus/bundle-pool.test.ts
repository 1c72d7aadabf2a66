// Bundles that wait: in order, once, bounded for each node they came from.

import { describe, expect, test } from '@jest/globals';
import { BundlePool, keyOfBundle } from '../../../consensus/bundle-pool.ts';
import type { PooledBundle } from '../../../consensus/bundle-pool.ts';
import { CONSENSUS_LIMITS } from '../../../consensus/limits.ts';
import { LIMITS } from '../../../ledger/limits.ts';

let next = 0;

function bundle(changes: Partial<PooledBundle> = {}): PooledBundle {
  next += 1;
  const signature = new Uint8Array(64);
  new DataView(signature.buffer).setUint32(0, next);
  const content = { author: 10, publicKey: new Uint8Array(32), signature, transactions: [] };
  return {
    bundle: content,
    key: keyOfBundle(content),
    ids: [new Uint8Array(32)],
    transactions: [],
    root: new Uint8Array(32),
    bytes: 100,
    from: null,
    arrivedMs: next,
    ...changes,
  };
}

const all = (): boolean => true;
const nothing = new Set<string>();

describe('a pool of bundles', () => {
  test('gives them in the order in which they came, without those that are taken or not good', () => {
    const pool = new BundlePool();
    const bundles = [bundle(), bundle({ from: 'a' }), bundle(), bundle({ from: 'b' })];
    for (const each of bundles) expect(pool.add(each)).toBe(true);
    expect(pool.take(nothing, all)).toEqual(bundles);
    expect(pool.take(new Set([bundles[1]!.key]), (each) => each !== bundles[2])).toEqual([
      bundles[0],
      bundles[3],
    ]);
    expect(pool.size).toBe(4);
  });

  test('gives no more than a block may hold, and always one', () => {
    const pool = new BundlePool();
    const half = Array.from({ length: LIMITS.blockTransactionsMax / 2 }, () => new Uint8Array(32));
    const bundles = [bundle({ ids: half }), bundle({ ids: half }), bundle()];
    for (const each of bundles) pool.add(each);
    expect(pool.take(nothing, all)).toEqual(bundles.slice(0, 2));
    const big = new BundlePool();
    const whole = bundle({ bytes: LIMITS.blockBodyBytesMax - 512 });
    for (const each of [whole, bundle()]) big.add(each);
    expect(big.take(nothing, all)).toEqual([whole]);
  });

  test('forgets what was confirmed, and does not take a late copy in', () => {
    const pool = new BundlePool();
    const [first, second] = [bundle(), bundle({ from: 'a' })];
    pool.add(first);
    pool.add(second);
    pool.confirmed([second.key, 'of a block that another node has proposed']);
    expect([pool.size, pool.has(second.key), pool.find(second.bundle)]).toEqual([
      1,
      true,
      undefined,
    ]);
    expect(pool.own()).toEqual([first]);
  });

  test('finds a bundle that is the same byte by byte', () => {
    const pool = new BundlePool();
    const one = bundle();
    const whole = { ...one.bundle, transactions: [new Uint8Array([1, 2])] };
    const pooled = { ...one, bundle: whole };
    pool.add(pooled);
    const copy = { ...whole, transactions: [new Uint8Array([1, 2])] };
    expect(pool.find(copy)).toBe(pooled);
    // The same signature over the same ids, with another part.
    expect(pool.find({ ...whole, transactions: [new Uint8Array([1, 3])] })).toBeUndefined();
    expect(pool.find({ ...whole, transactions: [] })).toBeUndefined();
    expect(pool.find({ ...whole, author: 11 })).toBeUndefined();
  });

  test('is bounded for each node, and makes room again', () => {
    const pool = new BundlePool();
    const bytes = CONSENSUS_LIMITS.poolBytesPerPeerMax / 2;
    const [first, second] = [bundle({ bytes, from: 'a' }), bundle({ bytes, from: 'a' })];
    expect([pool.add(first), pool.add(second)]).toEqual([true, true]);
    expect(pool.add(bundle({ from: 'a' }))).toBe(false);
    // Neither another node nor this one suffers from it.
    expect([pool.add(bundle({ from: 'b' })), pool.add(bundle())]).toEqual([true, true]);
    pool.confirmed([first.key]);
    expect(pool.add(bundle({ from: 'a' }))).toBe(true);
    expect(pool.expire(second.arrivedMs + 1)).toContain(second);
    expect(pool.add(bundle({ bytes, from: 'a' }))).toBe(true);
  });
});
