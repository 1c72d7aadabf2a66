import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { encodeNumeric, parseNumeric } from '../../../ledger/numeric.ts';
import { sqlType } from '../../../ledger/type.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import {
  INT4,
  TEXT,
  TestLedger,
  USER,
  USER_SEED,
  column,
  genesis,
  index,
  table,
} from './ledger-fixture.ts';
import type { Expression } from '../../../ledger/expression.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { Table } from '../../../ledger/catalog.ts';
import type { Datum, Row, SqlType } from '../../../ledger/type.ts';

const INT8 = sqlType('int8');
const NUMERIC = sqlType('numeric');
const BOOL = sqlType('bool');

const things = table(
  200,
  'things',
  [column(1, 'id', INT4, { notNull: true }), column(2, 'name', TEXT), column(3, 'size', INT4)],
  [index(201, 'things_pkey', [[1, INT4]], { primary: true })],
);

let ledger: TestLedger;
/** The table as the catalog has it now. */
let current: Table;

beforeEach(() => {
  ledger = new TestLedger(genesis([{ put: 'relation', object: things }]));
  current = things;
  ledger.run([insert([1n, 'one', 10n], [2n, 'two', 10n], [3n, null, null])]);
});

afterEach(async () => {
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  ledger.destroy();
});

function insert(...rows: Row[]): Operation {
  const columns = current.columns.filter(({ generated }) => generated === null).map(({ id }) => id);
  const { id: relation, schemaVersion } = current;
  return { kind: 'insert', relation, schemaVersion, columns, rows, conflict: null };
}

/** Alters the table in one transaction with further operations; returns the SQLSTATE or null. */
function alter(
  change: Partial<Table>,
  ...more: Operation[]
): ReturnType<TestLedger['run']>['abort'] {
  const object = { ...current, ...change, schemaVersion: current.schemaVersion + 1 };
  const { abort } = ledger.run([ledger.catalog({ put: 'relation', object }), ...more]);
  if (abort === null) current = object;
  return abort;
}

function rows(): Datum[][] {
  const reader = StateReader.open(ledger.directory);
  const names = current.columns.map(({ id }) => `c${id}`).join();
  const found = reader.database.prepare(`SELECT ${names} FROM r200 ORDER BY _id`).raw().all();
  reader.close();
  return found as Datum[][];
}

function images(...values: [bigint, bigint, Row][]): Operation {
  return {
    kind: 'update',
    relation: 200,
    schemaVersion: current.schemaVersion + 1,
    columns: [3],
    rows: values.map(([rowId, version, row]) => ({ rowId, version, values: row })),
  };
}

test.each<[SqlType, Datum]>([
  [INT8, -(1n << 63n)],
  [INT8, (1n << 63n) - 1n],
  [TEXT, "it's; --"],
  [sqlType('float8'), 1],
  [sqlType('float8'), -1.5e-300],
  [sqlType('float8'), -Infinity],
  [sqlType('float8'), 'NaN'],
  [sqlType('bytea'), new Uint8Array([0, 255])],
])('an added column of %j shows %p in rows written before', (type, missing) => {
  expect(alter({ columns: [...current.columns, column(4, 'more', type, { missing })] })).toBeNull();
  const value = rows()[0]![3];
  expect(value instanceof Uint8Array ? new Uint8Array(value) : value).toEqual(missing);
  ledger.run([insert([4n, 'four', 1n, null])]);
  expect(rows()[3]![3]).toBeNull();
});

test('a dropped column is gone, its id too, and old rows can still be updated', () => {
  alter({ columns: current.columns.filter(({ id }) => id !== 2) });
  expect(rows()).toEqual([
    [1n, 10n],
    [2n, 10n],
    [3n, null],
  ]);
  expect(ledger.run([insert([4n, 5n])]).abort).toBeNull();
});

test.each<[string, Partial<Table>, string, string]>([
  [
    'NOT NULL',
    {
      columns: [things.columns[0]!, column(2, 'name', TEXT, { notNull: true }), things.columns[2]!],
    },
    '23502',
    'column "name" of relation "things" contains null values',
  ],
  [
    'an added column NOT NULL',
    { columns: [...things.columns, column(4, 'must', INT4, { notNull: true })] },
    '23502',
    'column "must" of relation "things" contains null values',
  ],
  [
    'UNIQUE',
    { indexes: [...things.indexes, index(204, 'things_size_key', [[3, INT4]])] },
    '23505',
    'could not create unique index "things_size_key"',
  ],
  [
    'CHECK',
    {
      checks: [
        {
          id: 205,
          name: 'small',
          expression: {
            kind: 'call',
            type: BOOL,
            name: 'int4lt',
            args: [
              { kind: 'column', type: INT4, column: 3 },
              { kind: 'const', type: INT4, value: 5n },
            ],
          },
        },
      ],
    },
    '23514',
    'check constraint "small" of relation "things" is violated by some row',
  ],
  [
    'a foreign key',
    {
      foreignKeys: [
        {
          id: 206,
          name: 'fk',
          columns: [3],
          references: 200,
          referencedColumns: [1],
          index: 201,
          onDelete: 'noAction',
          onUpdate: 'noAction',
          matchFull: false,
          deferrable: false,
          initiallyDeferred: false,
        },
      ],
    },
    '23503',
    'insert or update on table "things" violates foreign key constraint "fk"',
  ],
])('%s is checked against the rows that are there', (_, change, sqlstate, message) => {
  expect(alter(change)).toMatchObject({ sqlstate, message });
  expect(ledger.writer.catalog.version).toBe(1);
  expect(ledger.run([insert([4n, 'four', 1n])]).abort).toBeNull();
});

test('the detail of a duplicate names its key', () => {
  const abort = alter({ indexes: [...things.indexes, index(204, 'k', [[3, INT4]])] });
  expect(abort?.fields).toMatchObject({
    detail: 'Key (size)=(10) is duplicated.',
    constraint: 'k',
  });
});

test('a changed type comes with images; a row without one aborts', () => {
  const retyped = [things.columns[0]!, things.columns[1]!, column(3, 'size', TEXT)];
  const v = 65_536n;
  expect(alter({ columns: retyped }, images([1n, v, ['10']], [2n, v, ['10']]))).toBeNull();
  expect(rows().map((row) => row[2])).toEqual(['10', '10', null]);
  const back = [things.columns[0]!, things.columns[1]!, column(3, 'size', INT4)];
  expect(alter({ columns: back }, images([1n, 2n * v, [1n]]))?.sqlstate).toBe('40001');
  expect(rows()[0]![2]).toBe('10');
});

test('an index on a changed type is made again after the images', () => {
  alter({ indexes: [...things.indexes, index(204, 'by_size', [[3, INT4]], { unique: false })] });
  const columns = [things.columns[0]!, things.columns[1]!, column(3, 'size', TEXT)];
  const indexes = [things.indexes[0]!, index(204, 'by_size', [[3, TEXT]], { unique: true })];
  const v = 65_536n;
  expect(alter({ columns, indexes }, images([1n, v, ['a']], [2n, v, ['a']]))?.sqlstate).toBe(
    '23505',
  );
  expect(alter({ columns, indexes }, images([1n, v, ['a']], [2n, v, ['b']]))).toBeNull();
  expect(ledger.run([insert([5n, 'x', 'b'])]).abort?.fields.constraint).toBe('by_size');
});

test('rows written before and after a change of shape in one transaction', () => {
  const before = insert([4n, 'four', 4n]);
  const object = {
    ...current,
    schemaVersion: 2,
    columns: [...current.columns, column(4, 'more', INT4, { missing: 7n })],
  };
  const more: Operation = {
    ...before,
    schemaVersion: 2,
    columns: [1, 2, 3, 4],
    rows: [[5n, 'five', 5n, 5n]],
  } as Operation;
  const receipt = ledger.run([before, ledger.catalog({ put: 'relation', object }), more]);
  expect([receipt.abort, receipt.versionCount]).toEqual([null, 2]);
  current = object;
  expect(rows().map((row) => row[3])).toEqual([7n, 7n, 7n, 7n, 5n]);
});

test('unique indexes on expressions, on some rows, and with NULLS NOT DISTINCT', () => {
  const lower: Expression = {
    kind: 'call',
    type: TEXT,
    name: 'lower',
    args: [{ kind: 'column', type: TEXT, column: 2 }],
  };
  const key = { column: null, expression: lower, type: TEXT, descending: false, nullsFirst: false };
  const predicate: Expression = {
    kind: 'isNotNull',
    type: BOOL,
    arg: { kind: 'column', type: INT4, column: 3 },
  };
  const indexes = [
    ...things.indexes,
    { ...index(210, 'lower_key', []), keys: [key], predicate },
    index(211, 'nulls_key', [[2, TEXT]], { nullsNotDistinct: true }),
  ];
  expect(alter({ indexes })).toBeNull();
  expect(ledger.run([insert([4n, 'ONE', 1n])]).abort?.fields.constraint).toBe('lower_key');
  expect(ledger.run([insert([4n, 'ONE', null])]).abort).toBeNull();
  expect(ledger.run([insert([5n, null, 1n])]).abort?.fields.constraint).toBe('nulls_key');
});

test('numerics of one value and several scales are one key', () => {
  const numeric = (text: string): Datum => encodeNumeric(parseNumeric(text));
  const columns = [...things.columns, column(4, 'price', NUMERIC)];
  expect(
    alter({ columns, indexes: [...things.indexes, index(220, 'price_key', [[4, NUMERIC]])] }),
  ).toBeNull();
  expect(ledger.run([insert([4n, 'a', 1n, numeric('1.10')])]).abort).toBeNull();
  expect(ledger.run([insert([5n, 'b', 1n, numeric('1.1')])]).abort).toMatchObject({
    sqlstate: '23505',
    fields: { detail: 'Key (price)=(1.1) already exists.' },
  });
});

test('a stale catalog version, a stale schema version, and a role that may not', () => {
  const stale = ledger.catalog({ put: 'relation', object: { ...things, name: 'x' } });
  ledger.run([stale]);
  expect(ledger.run([stale]).abort?.sqlstate).toBe('40001');
  alter({ columns: [...current.columns, column(4, 'more', INT4)] });
  current = { ...current, schemaVersion: 1 };
  expect(ledger.run([insert([9n, 'x', 1n, 1n])]).abort?.sqlstate).toBe('40001');
  const drop = ledger.catalog({ drop: 'relation', id: 200 });
  expect(ledger.run([drop], { author: USER, seed: USER_SEED }).abort?.sqlstate).toBe('42501');
  expect(ledger.run([drop]).abort).toBeNull();
  expect(ledger.run([{ kind: 'truncate', relations: [200] }]).abort?.sqlstate).toBe('40001');
});
