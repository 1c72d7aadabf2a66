import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { encodeRowVersion } from '../../../ledger/encoding.ts';
import { rowVersionHash } from '../../../ledger/hash.ts';
import { stampOf } from '../../../ledger/operation.ts';
import { sqlType } from '../../../ledger/type.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { INT4, TEXT, TestLedger, column, crypto } from './ledger-fixture.ts';
import { genesis, index, table } from './ledger-fixture.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { Row } from '../../../ledger/type.ts';

const people = table(
  200,
  'people',
  [
    column(1, 'id', INT4, { notNull: true }),
    column(2, 'name', TEXT),
    column(3, 'code', sqlType('bpchar', 9)),
  ],
  [
    index(201, 'people_pkey', [[1, INT4]], { primary: true }),
    // char is indexed by a hidden column.
    index(202, 'people_code_key', [[3, sqlType('bpchar', 9)]]),
  ],
);

let ledger: TestLedger;

beforeEach(() => {
  ledger = new TestLedger(genesis([{ put: 'relation', object: people }]));
});

afterEach(() => ledger.destroy());

function insert(rows: readonly Row[]): Operation {
  const conflict = null;
  return { kind: 'insert', relation: 200, schemaVersion: 1, columns: [1, 2, 3], rows, conflict };
}

/** Rows with ids from `first`. */
function ascending(first: number, count: number): Row[] {
  return Array.from({ length: count }, (_, i) => {
    const id = first + i;
    return [BigInt(id), `name ${id}`, id % 3 === 0 ? null : `c${id}`];
  });
}

function idsAndNames(): unknown[] {
  const reader = StateReader.open(ledger.directory);
  try {
    return reader.database.prepare('SELECT _id, c1 FROM r200 ORDER BY _id').raw().all();
  } finally {
    reader.close();
  }
}

test.each([1, 2, 16, 17, 18, 33, 100])('%i rows get the ids that follow', (count) => {
  ledger.run([insert(ascending(1, 5))]);
  expect(ledger.run([insert(ascending(101, count))]).abort).toBeNull();
  expect(ledger.run([insert(ascending(501, 1))]).abort).toBeNull();
  const expected = [...ascending(1, 5), ...ascending(101, count), ...ascending(501, 1)];
  expect(idsAndNames()).toEqual(expected.map(([id], i) => [BigInt(i + 1), id]));
});

test('the leaves are those of the rows, in their order', () => {
  const rows = ascending(1, 40);
  const receipt = ledger.run([insert(rows.slice(0, 20)), insert(rows.slice(20))]);
  const stamp = stampOf(1, 0);
  const leaves = rows.map((values, i) =>
    rowVersionHash(
      crypto,
      encodeRowVersion({
        relation: 200,
        schemaVersion: 1,
        rowId: BigInt(i + 1),
        stamp,
        deleted: false,
        columns: [1, 2, 3],
        values,
      }),
    ),
  );
  expect(receipt.versionCount).toBe(40);
  const reader = StateReader.open(ledger.directory);
  const stored = reader.database.prepare('SELECT leaves FROM _receipt WHERE stamp=?').pluck();
  expect(stored.get(stamp)).toEqual(Buffer.concat(leaves));
  reader.close();
});

test.each([0, 1, 7, 16, 17, 30, 39])(
  'a key that row %i has twice is named, nothing stays',
  (at) => {
    ledger.run([insert(ascending(1, 50))]);
    const rows = ascending(101, 40);
    rows[at] = [25n, 'again', null];
    const { abort } = ledger.run([insert(rows)]);
    expect(abort).toMatchObject({
      sqlstate: '23505',
      message: 'duplicate key value violates unique constraint "people_pkey"',
      fields: { detail: 'Key (id)=(25) already exists.' },
    });
    expect(idsAndNames()).toHaveLength(50);
  },
);

test('of two rows that collide the first is named, though a later one collides in an earlier index', () => {
  ledger.run([insert(ascending(1, 50))]);
  const rows = ascending(101, 40);
  rows[9] = [900n, 'taken code', 'c25'];
  rows[12] = [3n, 'taken id', null];
  const { abort } = ledger.run([insert(rows)]);
  expect(abort?.message).toContain('"people_code_key"');
});

test('a row that collides with one of the same statement', () => {
  const rows = ascending(1, 40);
  rows[22] = [20n, 'again', null];
  expect(ledger.run([insert(rows)]).abort?.fields).toMatchObject({
    detail: 'Key (id)=(20) already exists.',
  });
});

test('the first row at fault decides, whichever its fault', () => {
  ledger.run([insert(ascending(1, 50))]);
  const rows = ascending(101, 40);
  rows[20] = [25n, 'taken', null];
  rows[30] = [null, 'no id', null];
  expect(ledger.run([insert(rows)]).abort?.sqlstate).toBe('23505');
  rows[10] = [null, 'no id', null];
  expect(ledger.run([insert(rows)]).abort?.sqlstate).toBe('23502');
});
