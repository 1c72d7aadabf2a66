// The checker finds what is planted, and nothing in histories that are in order.

import { describe, expect, test } from '@jest/globals';
import { seeded } from '../end-to-end/crash-workload.ts';
import { anomalies } from './checker.ts';
import type { Operation } from './history.ts';

type Given = Partial<Operation>;

function operation(node: number, invokedMs: number, returnedMs: number, rest: Given): Operation {
  return {
    ...{ node, invokedMs, returnedMs, outcome: 'done', linearizable: false },
    ...{ reads: [], appends: [], ...rest },
  };
}

function append(node: number, from: number, to: number, value: number, rest: Given = {}) {
  return operation(node, from, to, { appends: [{ list: 'a', value }], ...rest });
}

function read(node: number, from: number, to: number, values: number[], rest: Given = {}) {
  return operation(node, from, to, { reads: [{ list: 'a', values }], ...rest });
}

const linearizable = { linearizable: true };

describe('a history that is in order', () => {
  test('of operations at once, in any order', () => {
    const history = [
      append(0, 0, 10, 1),
      append(1, 0, 10, 2),
      read(2, 5, 6, [2], linearizable),
      read(2, 11, 12, [2, 1], linearizable),
    ];
    expect(anomalies(history)).toEqual([]);
  });

  test('has stale reads at other nodes, if nobody asked for more', () => {
    expect(anomalies([append(0, 0, 1, 1), read(1, 2, 3, []), read(1, 4, 5, [1])])).toEqual([]);
  });

  test('has unknown outcomes that happen late, or never', () => {
    const late = append(0, 0, 1, 1, { outcome: 'unknown' });
    const never = append(0, 0, 1, 2, { outcome: 'unknown' });
    const reads = [read(1, 2, 3, [], linearizable), read(1, 8, 9, [1], linearizable)];
    expect(anomalies([late, never, ...reads])).toEqual([]);
  });

  test('is any history of one list that is changed at one moment within each operation', () => {
    const random = seeded(20_240_301);
    const values: number[] = [];
    const history = Array.from({ length: 2_000 }, (_, i) => {
      const begin = i - 20 * random();
      const end = i + 20 * random();
      const node = Math.floor(random() * 4);
      if (random() < 0.5) return read(node, begin, end, [...values], linearizable);
      values.push(i);
      return append(node, begin, end, i);
    });
    expect(anomalies(history)).toEqual([]);
    // The same with one read that is older than it may be.
    const at = history.findLastIndex(({ reads }) => reads.length > 0);
    const old = { ...history[at]!, reads: [{ list: 'a', values: values.slice(0, 100) }] };
    expect(anomalies(history.with(at, old))).toEqual([
      expect.stringContaining('did not read in a the value of'),
    ]);
  });
});

describe('what cannot be explained', () => {
  test.each<[string, Operation[], string]>([
    [
      'a lost append',
      [append(0, 0, 1, 1), append(0, 2, 3, 2), read(1, 4, 5, [1], linearizable)],
      'list a: 2, acknowledged by node 1, is lost',
    ],
    [
      'a lost append below one that is there',
      [append(0, 0, 1, 1), append(0, 2, 3, 2), read(1, 4, 5, [2], linearizable)],
      'list a: 1, acknowledged by node 1, is lost',
    ],
    [
      'an append that is there twice',
      [append(0, 0, 1, 1), read(1, 2, 3, [1, 1])],
      'node 2 read list a: 1 is there twice',
    ],
    [
      'a value that nobody has appended',
      [append(0, 0, 1, 1), read(1, 2, 3, [1, 7])],
      'node 2 read list a: 7, which nobody has appended to it',
    ],
    [
      'a value that was refused',
      [append(0, 0, 1, 1, { outcome: 'refused' }), read(1, 2, 3, [1])],
      'node 2 read list a: 1, which was refused',
    ],
    [
      'a read that is no prefix of another',
      [append(0, 0, 9, 1), append(0, 0, 9, 2), read(1, 2, 3, [2]), read(2, 2, 3, [1, 2])],
      'node 2 read list a: 2 where others read 1',
    ],
  ])('is %s', (_, history, fault) => {
    expect(anomalies(history)).toContain(fault);
  });

  test.each<[string, Operation[]]>([
    [
      'a linearizable read of less than was answered elsewhere',
      [append(0, 0, 1, 1), read(1, 2, 3, [], linearizable), read(2, 4, 5, [1])],
    ],
    [
      'a linearizable read of less than another one saw, of a write still under way',
      [append(0, 0, 9, 1), read(1, 2, 3, [1], linearizable), read(2, 4, 5, [], linearizable)],
    ],
    [
      'a linearizable read of less than a usual one saw before',
      [append(0, 0, 9, 1), read(1, 2, 3, [1]), read(2, 4, 5, [], linearizable)],
    ],
    [
      'writes in another order than that in which they were answered',
      [append(0, 0, 1, 1), append(1, 2, 3, 2), read(2, 4, 5, [2, 1])],
    ],
    [
      'a read that goes back at one node',
      [append(0, 0, 9, 1), read(1, 2, 3, [1]), read(1, 4, 5, [])],
    ],
    [
      'a read that does not see what its node has answered',
      [append(1, 0, 1, 1), read(1, 2, 3, []), read(2, 2, 3, [1])],
    ],
    ['a read from the future', [read(0, 0, 1, [1]), append(1, 2, 3, 1)]],
    [
      'an acknowledged append that nobody read, and a read at its node',
      [append(1, 0, 1, 1), read(1, 2, 3, [])],
    ],
  ])('is %s', (_, history) => {
    expect(anomalies(history)).toEqual([
      expect.stringMatching(/^no order explains: .*→ the first$/),
    ]);
  });

  test('is a transaction of which one half was seen', () => {
    const both = { appends: ['a', 'b'].map((list, value) => ({ list, value })) };
    const reads = [
      { list: 'a', values: [0] },
      { list: 'b', values: [] },
    ];
    const history = [
      operation(0, 0, 9, both),
      operation(1, 2, 3, { reads }),
      operation(2, 2, 3, { reads: [{ list: 'b', values: [1] }] }),
    ];
    expect(anomalies(history)).toHaveLength(1);
  });

  test('are transactions that each read what the other one was about to write', () => {
    const skewed = (read: string, written: string, value: number): Given => ({
      reads: [{ list: read, values: [] }],
      appends: [{ list: written, value }],
    });
    const all = ['a', 'b'].map((list, value) => ({ list, values: [value] }));
    const history = [
      operation(0, 0, 9, skewed('b', 'a', 0)),
      operation(1, 0, 9, skewed('a', 'b', 1)),
      operation(2, 10, 11, { reads: all, ...linearizable }),
    ];
    expect(anomalies(history)).toHaveLength(1);
  });

  test('is a read and a write of one list with another write between them', () => {
    const lost = (value: number): Given => ({
      reads: [{ list: 'a', values: [] }],
      appends: [{ list: 'a', value }],
    });
    const history = [
      operation(0, 0, 9, lost(1)),
      operation(1, 0, 9, lost(2)),
      read(2, 10, 11, [1, 2], linearizable),
    ];
    expect(anomalies(history)).toHaveLength(1);
  });
});
