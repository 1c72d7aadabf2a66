// Who has got the same results: what is told, what is waited for, and what is said of those who keep silent or differ.

import { describe, expect, test } from '@jest/globals';
import { Agreement, encodeResult, tryDecodeResult } from '../../../consensus/agreement.ts';
import { CONSENSUS_LIMITS } from '../../../consensus/limits.ts';

const root = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const others = new Map([
  ['a', 0],
  ['c', 2],
  ['d', 3],
]);

/** A node that has executed block 5. */
function waiting(needed: number) {
  const agreement = new Agreement([{ height: 5, receiptsRoot: root(1) }]);
  const wait = agreement.wait({ height: 5, others, needed, untilMs: 100 });
  return { agreement, wait };
}

/** The detail of the error that a wait ends with. */
function detailOf(wait: Promise<void>): Promise<unknown> {
  return wait.then(
    () => 'agreed',
    (error: { sqlstate: string; fields: { detail: string } }) => [
      error.sqlstate,
      error.fields.detail,
    ],
  );
}

test('messages come back as they were, and nothing else is one', () => {
  for (const message of [
    { height: 2 ** 40 + 7, receiptsRoot: null },
    { height: 0, receiptsRoot: root(3) },
  ]) {
    expect(tryDecodeResult(encodeResult(message.height, message.receiptsRoot))).toEqual(message);
  }
  for (const length of [0, 7, 9, 39, 41]) {
    expect(tryDecodeResult(new Uint8Array(length))).toBeNull();
  }
  expect(tryDecodeResult(new Uint8Array(8).fill(255))).toBeNull();
});

describe('a wait', () => {
  test('ends when so many others have got the same', async () => {
    const { agreement, wait } = waiting(2);
    expect(agreement.open).toEqual([5]);
    agreement.told('a', 5, root(1));
    agreement.told('a', 5, root(1));
    agreement.told('x', 5, root(1));
    agreement.told('c', 4, root(1));
    expect(agreement.open).toEqual([5]);
    agreement.told('c', 5, root(1));
    expect(agreement.open).toEqual([]);
    expect(await detailOf(wait)).toBe('agreed');
  });

  test('names those who have kept silent when its time is up', async () => {
    const { agreement, wait } = waiting(3);
    agreement.told('c', 5, root(1));
    agreement.expire(99);
    expect(agreement.open).toEqual([5]);
    agreement.expire(100);
    expect(await detailOf(wait)).toEqual(['40003', 'No word of members 0, 3 of ledger.nodes.']);
  });

  test('ends at once when too many differ, each of which is told of once', async () => {
    const { agreement, wait } = waiting(2);
    expect(agreement.told('d', 5, root(2))).toBe(3);
    expect(agreement.told('d', 5, root(2))).toBeNull();
    expect(agreement.open).toEqual([5]);
    expect(agreement.told('a', 5, root(9))).toBe(0);
    expect(await detailOf(wait)).toEqual([
      '40003',
      'No word of members 2 of ledger.nodes. Other results at members 0, 3 of ledger.nodes.',
    ]);
  });
});

describe('who asks', () => {
  test('is told at once, or when the block is executed, once', () => {
    const agreement = new Agreement([{ height: 5, receiptsRoot: root(1) }]);
    expect(agreement.asked('a', 5)).toEqual(root(1));
    expect(agreement.asked('a', 6)).toBeNull();
    expect(agreement.asked('c', 7)).toBeNull();
    expect(agreement.executed(6, root(2))).toEqual(['a']);
    expect(agreement.executed(7, root(3))).toEqual(['c']);
    expect(agreement.asked('d', 6)).toEqual(root(2));
  });

  test('makes a node hold no more than the limit, and crowds nobody else out', () => {
    const agreement = new Agreement([]);
    const { resultsMax, resultsAskedMax } = CONSENSUS_LIMITS;
    agreement.asked('c', 1);
    for (let height = 1; height <= resultsAskedMax + 1; height++) agreement.asked('a', height);
    expect(agreement.executed(1, root(1))).toEqual(['c']);
    expect(agreement.executed(2, root(1))).toEqual(['a']);
    for (let height = 3; height <= resultsMax + 1; height++) agreement.executed(height, root(1));
    expect(agreement.asked('d', 1)).toBeNull();
    expect(agreement.asked('d', 2)).toEqual(root(1));
  });
});
