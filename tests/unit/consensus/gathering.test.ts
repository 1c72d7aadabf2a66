// When the next block waits: for the one underway, and for the many that are about to come back.

import { describe, expect, test } from '@jest/globals';
import type { PooledBundle } from '../../../consensus/bundle-pool.ts';
import { Gathering } from '../../../consensus/gathering.ts';

function bundle(from: string | null, transactions: number): PooledBundle {
  const content = { author: 10, publicKey: new Uint8Array(32), signature: new Uint8Array(64) };
  return {
    bundle: { ...content, transactions: [] },
    key: `${from} ${transactions}`,
    ids: Array.from({ length: transactions }, () => new Uint8Array(32)),
    transactions: [],
    root: new Uint8Array(32),
    bytes: 100,
    from,
    arrivedMs: 0,
  };
}

/** After a block proposed at 100 ms and executed at 110, in which these were. */
function after(...bundles: PooledBundle[]): Gathering {
  const gathering = new Gathering();
  gathering.proposed(100);
  gathering.confirmed(bundles);
  gathering.executed(110);
  return gathering;
}

describe('gathering', () => {
  test('a first block waits for nothing', () => {
    expect(new Gathering().waitMs(5, [bundle('a', 1)], false)).toBeLessThanOrEqual(0);
  });

  test('a block underway keeps the next one back for a while, unless very many wait', () => {
    const gathering = after(bundle('a', 1));
    expect(gathering.waitMs(120, [bundle('a', 1)], true)).toBe(30);
    expect(gathering.waitMs(150, [bundle('a', 1)], true)).toBeLessThanOrEqual(0);
    expect(gathering.waitMs(120, [bundle('a', 300), bundle('b', 200)], true)).toBe(0);
  });

  test('nodes that had many in the last block are awaited until they are back, or for a few milliseconds', () => {
    const gathering = after(bundle(null, 16), bundle('a', 10), bundle('a', 6));
    expect(gathering.waitMs(111, [bundle(null, 16)], false)).toBe(7);
    expect(gathering.waitMs(118, [bundle(null, 16)], false)).toBeLessThanOrEqual(0);
    expect(gathering.waitMs(111, [bundle(null, 9), bundle('a', 1)], false)).toBe(0);
    expect(gathering.waitMs(111, [], false)).toBe(0);
  });

  test('a few are not worth a wait', () => {
    const gathering = after(bundle(null, 16), bundle('a', 4), bundle('b', 3));
    expect(gathering.waitMs(111, [bundle(null, 16)], false)).toBe(0);
  });

  test('who has been in none of the last blocks is not awaited', () => {
    const gathering = after(bundle('a', 16));
    for (let block = 1; block < 4; block += 1) gathering.confirmed([bundle('b', 1)]);
    expect(gathering.waitMs(111, [bundle('b', 1)], false)).toBe(7);
    gathering.confirmed([]);
    expect(gathering.waitMs(111, [bundle('b', 1)], false)).toBe(7);
    gathering.confirmed([bundle('b', 1)]);
    expect(gathering.waitMs(111, [bundle('b', 1)], false)).toBe(0);
  });
});
