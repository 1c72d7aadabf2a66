// Values of sequences: handed out of ranges that the chain has set aside.

import { describe, expect, test } from '@jest/globals';
import type { Catalog, Sequence } from '../../../ledger/catalog.ts';
import { EMPTY_CATALOG } from '../../../ledger/catalog.ts';
import type { OperationOf } from '../../../ledger/operation.ts';
import { firstAfter, isNotReserved, Sequences } from '../../../server/sequences.ts';
import type { SequenceState } from '../../../server/sequences.ts';

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

/** Sequences over a chain that is a map. */
function chain(): { sequences: Sequences; moves: SequenceState[] } {
  const states = new Map<number, SequenceState>();
  const moves: SequenceState[] = [];
  const sequences = new Sequences({
    stateOf: (id) => states.get(id),
    submit: (_author, operation) => {
      const { sequence: id, last, called } = operation as OperationOf<'sequence'>;
      states.set(id, { last, called });
      moves.push({ last, called });
      return Promise.resolve();
    },
  });
  return { sequences, moves };
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
    const { sequences, moves } = chain();
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
    const { sequences } = chain();
    const s = sequence();
    for (let value = 1n; value <= 500n; value += 1n) {
      await sequences.ensure(s, 1, AUTHOR);
      expect(sequences.next(s)).toBe(value);
    }
  });

  test('start elsewhere after setval, and refuse values out of bounds', async () => {
    const { sequences } = chain();
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
    const { sequences, moves } = chain();
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
