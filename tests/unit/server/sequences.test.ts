// Values of sequences: handed out of ranges that the chain has set aside.

import { describe, expect, test } from '@jest/globals';
import type { Catalog, Sequence } from '../../../ledger/catalog.ts';
import { EMPTY_CATALOG } from '../../../ledger/catalog.ts';
import { SqlError } from '../../../ledger/error.ts';
import type { OperationOf, SequenceState } from '../../../ledger/operation.ts';
import { RETRIES_MAX } from '../../../server/limits.ts';
import { firstAfter, isNotReserved, Sequences } from '../../../server/sequences.ts';
import { Random } from '../ledger/random.ts';

const AUTHOR = 10;

function sequence(fields: Partial<Sequence> = {}): Sequence {
  return {
    kind: 'sequence',
    id: 100,
    schema: 20,
    name: 's',
    owner: AUTHOR,
    type: 'int8',
    start: 1n,
    increment: 1n,
    min: 1n,
    max: 1_000n,
    cycle: false,
    cache: 1n,
    ownedBy: null,
    grants: [],
    ...fields,
  };
}

interface Chain {
  readonly moves: SequenceState[];
  /**
   * The edge of one of its nodes. `delay` is how long an operation takes to be ordered, in turns; `executed` runs
   * between that and the answer, as the rest of its block.
   */
  node(delay?: () => number, executed?: () => void): Sequences;
  /** An operation of another node that looks at nothing. */
  set(state: SequenceState): OperationOf<'sequence'>;
}

/** A chain that knows one sequence, as ledger operations move it (storage/apply.ts). */
function chain(start = 1n): Chain {
  let state: SequenceState | undefined;
  const moves: SequenceState[] = [];
  const apply = ({ from, last, called }: OperationOf<'sequence'>): void => {
    const now = state ?? { last: start, called: false };
    if (from !== null && (from.last !== now.last || from.called !== now.called)) {
      throw new SqlError('40001', 'could not serialize access due to concurrent update');
    }
    state = { last, called };
    moves.push(state);
  };
  return {
    moves,
    node: (delay = () => 0, executed = () => {}) =>
      new Sequences({
        stateOf: () => state,
        submit: async (_author, operation) => {
          for (let turn = delay(); turn > 0; turn -= 1) await Promise.resolve();
          apply(operation as OperationOf<'sequence'>);
          executed();
        },
      }),
    set: (to) => {
      const operation = { kind: 'sequence', sequence: 100, from: null, ...to } as const;
      apply(operation);
      return operation;
    },
  };
}

describe('firstAfter', () => {
  test('is the start as long as nothing was handed out, then the next', () => {
    expect(firstAfter(sequence(), { last: 1n, called: false })).toBe(1n);
    expect(firstAfter(sequence({ increment: 5n }), { last: 6n, called: true })).toBe(11n);
  });

  test('ends, or begins again', () => {
    const state = { last: 1_000n, called: true };
    expect(() => firstAfter(sequence(), state)).toThrow(
      'nextval: reached maximum value of sequence "s" (1000)',
    );
    expect(firstAfter(sequence({ cycle: true, min: 3n }), state)).toBe(3n);
    const down = sequence({ increment: -1n, min: -5n, max: -1n });
    expect(() => firstAfter(down, { last: -5n, called: true })).toThrow('reached minimum value');
  });
});

describe('Sequences', () => {
  test('hand out only what the chain has set aside', async () => {
    const { node, moves } = chain();
    const sequences = node();
    const s = sequence();
    let failure: unknown;
    try {
      sequences.next(s);
    } catch (error) {
      failure = error;
    }
    expect(isNotReserved(failure)).toBe(true);
    await sequences.ensure(s, 3, AUTHOR);
    const drawn = [sequences.next(s), sequences.next(s), sequences.next(s)];
    expect(drawn).toEqual([1n, 2n, 3n]);
    expect(moves).toHaveLength(1);
    expect(moves[0]!.last).toBeGreaterThanOrEqual(3n);
  });

  test('go on without a gap when they reserve more', async () => {
    const sequences = chain().node();
    const s = sequence();
    for (let value = 1n; value <= 500n; value += 1n) {
      await sequences.ensure(s, 1, AUTHOR);
      expect(sequences.next(s)).toBe(value);
    }
  });

  test('start elsewhere after setval, and refuse values out of bounds', async () => {
    const sequences = chain().node();
    const s = sequence();
    await sequences.ensure(s, 1, AUTHOR);
    await sequences.set(s, 700n, false, AUTHOR);
    await sequences.ensure(s, 1, AUTHOR);
    expect(sequences.next(s)).toBe(700n);
    await expect(sequences.set(s, 2_000n, true, AUTHOR)).rejects.toMatchObject({
      sqlstate: '22003',
    });
  });

  test('keep their range through a change of other things only', async () => {
    const { node, moves } = chain();
    const sequences = node();
    const s = sequence();
    const catalogOf = (value: Sequence): Catalog => ({
      ...EMPTY_CATALOG,
      relations: new Map([[value.id, value]]),
    });
    await sequences.ensure(s, 1, AUTHOR);
    sequences.catalogChanged(catalogOf(s), catalogOf({ ...s }));
    await sequences.ensure(s, 1, AUTHOR);
    expect(moves).toHaveLength(1);
    sequences.catalogChanged(catalogOf(s), catalogOf({ ...s, increment: 2n }));
    await sequences.ensure(s, 1, AUTHOR);
    expect(moves).toHaveLength(2);
  });
});

describe('Sequences of several nodes', () => {
  test.each([
    ['upwards', sequence({ max: 1_000_000n })],
    ['downwards', sequence({ increment: -3n, start: -1n, min: -1_000_000n, max: -1n })],
  ])('never hand out a value twice, %s', async (_name, s) => {
    const random = new Random(7);
    const { node } = chain(s.start);
    const nodes = [0, 1, 2].map(() => node(() => random.below(4)));
    const drawn: bigint[] = [];
    const client = async (sequences: Sequences): Promise<void> => {
      for (let times = 0; times < 400; times += 1) {
        const count = 1 + random.below(40);
        await sequences.ensure(s, count, AUTHOR);
        for (let each = 0; each < count; each += 1) drawn.push(sequences.next(s));
      }
    };
    await Promise.all(nodes.map(client));
    expect(drawn.length).toBeGreaterThan(20_000);
    expect(new Set(drawn).size).toBe(drawn.length);
  });

  test('reserve behind the node that was quicker, whatever they believed before', async () => {
    const { node, moves } = chain();
    const s = sequence();
    const [one, two] = [node(() => 1), node(() => 2)];
    await Promise.all([one.ensure(s, 1, AUTHOR), two.ensure(s, 1, AUTHOR)]);
    expect([one.next(s), two.next(s)]).toEqual([1n, 33n]);
    expect(moves.map(({ last }) => last)).toEqual([32n, 64n]);
  });

  test('give up when others are always quicker', async () => {
    const { node, set } = chain();
    let turn = 0n;
    const sequences = node(() => {
      turn += 1n;
      set({ last: turn, called: true });
      return 0;
    });
    const failure = Promise.resolve(sequences.ensure(sequence(), 1, AUTHOR));
    await expect(failure).rejects.toMatchObject({ sqlstate: '40001' });
    expect(turn).toBe(BigInt(RETRIES_MAX));
  });

  test('forget what they hold when another node sets the sequence', async () => {
    const { node, set } = chain();
    const s = sequence();
    const sequences = node();
    await sequences.ensure(s, 1, AUTHOR);
    expect(sequences.next(s)).toBe(1n);
    sequences.follow([set({ last: 500n, called: false })]);
    await sequences.ensure(s, 1, AUTHOR);
    expect(sequences.next(s)).toBe(500n);
  });

  test('do not use what they reserved in the block in which another node set the sequence', async () => {
    const { node, set, moves } = chain();
    const s = sequence();
    const blocks = [() => sequences.follow([set({ last: 500n, called: false })])];
    const sequences = node(
      () => 0,
      () => blocks.pop()?.(),
    );
    await sequences.ensure(s, 1, AUTHOR);
    expect(sequences.next(s)).toBe(500n);
    expect(moves.map(({ last }) => last)).toEqual([32n, 500n, 531n]);
  });
});
