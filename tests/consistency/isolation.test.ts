// The checker of isolation levels finds what is planted, at the levels that promise better, and nothing else.

import { describe, expect, test } from '@jest/globals';
import { LEVELS } from './anomalies.ts';
import type { Level } from './anomalies.ts';
import type { Append, Step, Transaction } from './history.ts';
import { isolationFaults } from './isolation.ts';

/** `r a 1 2`: list a was read as 1 2; `a a 3`: 3 was appended to it; `u a 3`: that was undone. */
function step(text: string): Step {
  const [kind, list = '', ...numbers] = text.split(' ');
  const values = numbers.map(Number);
  if (kind === 'r') return { kind: 'read', reads: [{ list, values }] };
  const append: Append = { list, value: values[0]! };
  return kind === 'a' ? { kind: 'append', append } : { kind: 'undo', appends: [append] };
}

/** All at once, but for the last one, which reads everything afterwards. */
function history(...transactions: readonly (readonly string[])[]): Transaction[] {
  return transactions.map((texts, i) => {
    const late = i === transactions.length - 1 ? 20 : 0;
    const outcome = texts.includes('rollback') ? 'refused' : 'done';
    const steps = texts.filter((text) => text !== 'rollback').map(step);
    return { session: i + 1, invokedMs: late, returnedMs: late + 10, outcome, steps };
  });
}

const NEVER: readonly Level[] = LEVELS;
const SNAPSHOT: readonly Level[] = ['repeatable read', 'serializable'];
const SERIAL: readonly Level[] = ['serializable'];

describe('isolation', () => {
  test.each<[string, readonly Level[], Transaction[]]>([
    ['a history that is in order', [], history(['a a 1'], ['r a 1', 'a b 2'], ['r a 1', 'r b 2'])],
    [
      'reads of its own, and what it has undone',
      [],
      history(
        ['r a', 'a a 1', 'r a 1', 'a a 2', 'u a 2', 'r a 1', 'a a 3', 'r a 1 3'],
        ['a b 4', 'r b 4', 'rollback'],
        ['r a 1 3', 'r b'],
      ),
    ],
    ['a read of an older state', [], history(['a a 1'], ['r a', 'a b 2'], ['r a 1', 'r b 2'])],
    ['G1a, aborted read', NEVER, history(['a a 1', 'rollback'], ['r a 1'], ['r a'])],
    [
      'G1a, a read of what a savepoint took back',
      NEVER,
      history(['a a 1', 'u a 1'], ['r a 1'], ['r a']),
    ],
    ['G1b, intermediate read', NEVER, history(['a a 1', 'a a 2'], ['r a 1'], ['r a 1 2'])],
    [
      'G0, dirty write',
      NEVER,
      history(['a a 1', 'a b 1'], ['a a 2', 'a b 2'], ['r a 1 2', 'r b 2 1']),
    ],
    [
      'G1c, circular information flow',
      NEVER,
      history(['a a 1', 'r b 2'], ['a b 2', 'r a 1'], ['r a 1', 'r b 2']),
    ],
    ['a lost append', NEVER, history(['a a 1'], ['a a 2'], ['r a 2'])],
    ['a value from nowhere', NEVER, history(['a a 1'], ['r a 1 7'], ['r a 1'])],
    ['a list of two orders', NEVER, history(['a a 1'], ['a a 2'], ['r a 2'], ['r a 1 2'])],
    ['a read without its own value', NEVER, history(['a a 1', 'r a'], ['r a 1'])],
    ['P4, an update over another', NEVER, history(['r a', 'a a 1'], ['r a', 'a a 2'], ['r a 2'])],
    [
      'a read, and an append over another value than was read',
      SNAPSHOT,
      history(['a a 1'], ['r a', 'a a 2'], ['r a 1 2']),
    ],
    ['a fuzzy read', SNAPSHOT, history(['a a 1'], ['r a', 'r a 1'], ['r a 1'])],
    [
      'G-single, read skew',
      SNAPSHOT,
      history(['a a 1', 'a b 1'], ['r a', 'r b 1'], ['r a 1', 'r b 1']),
    ],
    ['G2, write skew', SERIAL, history(['r a', 'a b 1'], ['r b', 'a a 2'], ['r a 2', 'r b 1'])],
    [
      'G2, by way of a third',
      SERIAL,
      history(['r a', 'a b 1'], ['r b', 'a c 2'], ['r c', 'a a 3'], ['r a 3', 'r b 1', 'r c 2']),
    ],
  ])('%s', (_, forbidden, planted) => {
    for (const level of LEVELS) {
      expect([level, isolationFaults(planted, level).length > 0]).toEqual([
        level,
        forbidden.includes(level),
      ]);
    }
  });

  test('a read of less than was acknowledged before the transaction began', () => {
    const [first, second, last] = history(['a a 1'], ['r a'], ['r a 1']);
    const later = { ...second!, invokedMs: 12, returnedMs: 14 };
    for (const level of LEVELS) {
      expect(isolationFaults([first!, later, last!], level)).toHaveLength(1);
    }
  });
});
