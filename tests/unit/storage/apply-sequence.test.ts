// A sequence moves from where the operation says it stood, or from anywhere when it says nothing.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Sequence } from '../../../ledger/catalog.ts';
import type { Operation, SequenceState } from '../../../ledger/operation.ts';
import { OpenTransaction } from '../../../server/session/open-transaction.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { genesis, TestLedger } from './ledger-fixture.ts';

const SEQUENCE: Sequence = {
  kind: 'sequence',
  id: 210,
  schema: 20,
  name: 's',
  owner: 10,
  type: 'int8',
  start: 5n,
  increment: 1n,
  min: 1n,
  max: 1_000n,
  cycle: false,
  cache: 1n,
  ownedBy: null,
  grants: [],
};
const START = { last: 5n, called: false };

let ledger: TestLedger;

beforeEach(() => {
  ledger = new TestLedger(genesis([{ put: 'relation', object: SEQUENCE }]));
});
afterEach(() => ledger.destroy());

function move(from: SequenceState | null, last: bigint, called = true): Operation {
  return { kind: 'sequence', sequence: SEQUENCE.id, from, last, called };
}

function stands(): SequenceState | null {
  const reader = StateReader.open(ledger.directory);
  try {
    return reader.sequence(SEQUENCE.id);
  } finally {
    reader.close();
  }
}

test('of two reservations in one block from the same state the second conflicts', () => {
  const [first, second] = ledger.append([
    ledger.bundle([[move(START, 36n)]]),
    ledger.bundle([[move(START, 36n)]]),
  ]);
  expect(first!.abort).toBeNull();
  expect(second!.abort?.sqlstate).toBe('40001');
  expect(stands()).toEqual({ last: 36n, called: true });
  expect(ledger.run([move({ last: 36n, called: false }, 68n)]).abort?.sqlstate).toBe('40001');
  expect(ledger.run([move({ last: 36n, called: true }, 68n)]).abort).toBeNull();
});

test('a sequence that is set moves from anywhere, and what was computed before conflicts', () => {
  ledger.run([move(START, 36n)]);
  expect(ledger.run([move(null, 9n, false)]).abort).toBeNull();
  expect(stands()).toEqual({ last: 9n, called: false });
  expect(ledger.run([move({ last: 36n, called: true }, 68n)]).abort?.sqlstate).toBe('40001');
});

test('an open transaction that draws stands by what it saw; one that sets the sequence first does not', () => {
  const draws = new OpenTransaction('read committed', false, true, 0n);
  draws.drawSequence(SEQUENCE.id, START, { last: 5n, called: true });
  draws.drawSequence(SEQUENCE.id, { last: 5n, called: true }, { last: 6n, called: true });
  expect(draws.operations).toEqual([move(START, 6n)]);

  const sets = new OpenTransaction('read committed', false, true, 0n);
  sets.moveSequence(SEQUENCE.id, { last: 100n, called: false });
  sets.drawSequence(SEQUENCE.id, { last: 100n, called: false }, { last: 100n, called: true });
  expect(sets.operations).toEqual([move(null, 100n)]);

  ledger.run([move(START, 36n)]);
  expect(ledger.run(draws.operations).abort?.sqlstate).toBe('40001');
  expect(ledger.run(sets.operations).abort).toBeNull();
  expect(stands()).toEqual({ last: 100n, called: true });
});
