import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeNumeric, parseNumeric } from '../../../ledger/numeric.ts';
import { sqlType } from '../../../ledger/type.ts';
import { BlockStore } from '../../../storage/block-store.ts';
import { shardFile } from '../../../storage/data-directory.ts';
import { ProofSource } from '../../../storage/proof-source.ts';
import { Scrub } from '../../../storage/scrub.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { checkAtStart } from '../../../storage/start-check.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { INT4, TEXT, TestLedger, column, crypto, genesis, index, table } from './ledger-fixture.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { Table } from '../../../ledger/catalog.ts';
import type { Datum, Row } from '../../../ledger/type.ts';

const NUMERIC = sqlType('numeric');
const number = (text: string): Datum => encodeNumeric(parseNumeric(text));

/** With a hidden key, and an index that is not unique. */
const things = table(
  200,
  'things',
  [column(1, 'id', INT4, { notNull: true }), column(2, 'name', TEXT), column(3, 'size', NUMERIC)],
  [
    index(201, 'things_pkey', [[1, INT4]], { primary: true }),
    index(202, 'things_size', [[3, NUMERIC]]),
    index(203, 'things_name', [[2, TEXT]], { unique: false, constraint: false }),
  ],
);

let ledger: TestLedger;
let current: Table;

beforeEach(() => {
  ledger = new TestLedger(genesis([{ put: 'relation', object: things }], 3));
  current = things;
  ledger.run([insert([1n, 'one', number('10')], [2n, 'two', number('2.50')], [3n, null, null])]);
  ledger.run([update(1n, 65_536n, 'uno')]);
  ledger.run([{ kind: 'delete', relation: 200, rows: [{ rowId: 2n, version: 65_536n }] }]);
});

afterEach(async () => {
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  ledger.destroy();
});

function insert(...rows: Row[]): Operation {
  const { id: relation, schemaVersion } = current;
  const columns = current.columns.map(({ id }) => id);
  return { kind: 'insert', relation, schemaVersion, columns, rows, conflict: null };
}

function update(rowId: bigint, version: bigint, name: string): Operation {
  const { id: relation, schemaVersion } = current;
  const rows = [{ rowId, version, values: [name] }];
  return { kind: 'update', relation, schemaVersion, columns: [2], rows };
}

function moved(shard: number, more: Partial<Table> = {}): Operation {
  current = { ...current, ...more, shard };
  return ledger.catalog({ put: 'relation', object: current });
}

/** Files in which SQLite has the table, its history and its indexes, and the names of those. */
function places(): Record<string, string[]> {
  const reader = StateReader.open(ledger.directory);
  const found: Record<string, string[]> = {};
  for (const schema of ['main', 's1', 's2']) {
    const names = reader.database
      .prepare(`SELECT name FROM ${schema}.sqlite_schema WHERE name GLOB '[rhi]2*' ORDER BY name`)
      .pluck()
      .all() as string[];
    const counters = reader.database.prepare(`SELECT count(*) FROM ${schema}._table`).pluck().get();
    if (names.length > 0 || counters !== 0n) found[schema] = names;
  }
  reader.close();
  return found;
}

function dump(schema: string): unknown[] {
  const reader = StateReader.open(ledger.directory);
  const all = ['r200', 'h200'].map((name) =>
    reader.database.prepare(`SELECT * FROM ${schema}.${name} ORDER BY 1, 2`).raw().all(),
  );
  reader.close();
  return all;
}

const ALL = ['h200', 'i201', 'i202', 'i203', 'r200'];

test('a table goes to another file with rows, history, indexes and counters, and is written there', () => {
  const before = dump('main');
  expect(ledger.run([moved(2)]).abort).toBeNull();
  expect(places()).toEqual({ s2: ALL });
  expect(dump('s2')).toEqual(before);
  expect(ledger.run([insert([4n, 'four', number('4')])]).abort).toBeNull();
  expect(ledger.run([update(1n, 2n * 65_536n, 'eins')]).abort).toBeNull();
  expect(ledger.run([insert([5n, 'five', number('10.0')])]).abort?.sqlstate).toBe('23505');
  expect(ledger.run([moved(0)]).abort).toBeNull();
  expect(places()).toEqual({ main: ALL });
  expect(ledger.run([insert([6n, 'six', number('6')])]).abort).toBeNull();
  const [rows] = dump('main') as [unknown[][], unknown[][]];
  expect(rows.map(([id]) => id)).toEqual([1n, 3n, 4n, 5n]);
});

test('it may be moved and altered at once, in the transaction that writes to it', () => {
  const columns = [...things.columns, column(4, 'more', TEXT, { missing: 'none' })];
  const write = insert([4n, 'four', number('4')]);
  const change = moved(1, { columns, schemaVersion: 2 });
  expect(ledger.run([write, change, insert([5n, 'five', null, 'some'])]).abort).toBeNull();
  expect(places()).toEqual({ s1: ALL });
  const [rows] = dump('s1') as [unknown[][], unknown[][]];
  expect(rows.map((row) => row.at(6))).toEqual(['none', 'none', 'none', 'some']);
});

test('a transaction that fails leaves it where it was', () => {
  const write = insert([1n, 'again', null]);
  expect(ledger.run([moved(1), write]).abort?.sqlstate).toBe('23505');
  current = things;
  expect(places()).toEqual({ main: ALL });
  expect(ledger.run([insert([4n, 'four', null])]).abort).toBeNull();
  expect(ledger.run([moved(3)]).abort).toMatchObject({
    sqlstate: '22023',
    message: 'shard 3 does not exist',
  });
  current = things;
});

test('what was written before is proved as it was, and checked by scrub and start', () => {
  ledger.run([moved(1)]);
  ledger.run([insert([4n, 'four', null])]);
  for (let i = 0; i < 2; i++) ledger.run([]);
  const reader = StateReader.open(ledger.directory);
  const blocks = new BlockStore(ledger.directory, { readonly: true });
  reader.begin();
  const proofs = new ProofSource(crypto, reader, blocks);
  for (const [rowId, height] of [
    [1n, 1n],
    [1n, 2n],
    [3n, 1n],
    [4n, 5n],
  ] as const) {
    expect(proofs.prove(current, rowId, height * 65_536n)).not.toBeNull();
  }
  reader.end();
  reader.close();
  blocks.close();
  checkAtStart(ledger.directory, crypto);
  const scrub = new Scrub({ directory: ledger.directory, crypto });
  expect(scrub.newest()).toEqual([]);
  scrub.close();
});

test.each([0, 1, 2])(
  'shard %i may be before a move that the others have: the state is made anew',
  (lost) => {
    const old = mkdtempSync(join(tmpdir(), 'trustsql-old-'));
    ledger.writer.close();
    cpSync(ledger.directory, old, { recursive: true });
    ledger.writer = new TestLedger(null, {}, ledger.directory).writer;
    ledger.run([moved(1)]);
    ledger.run([insert([4n, 'four', null])]);
    const { tip } = ledger.writer;
    ledger.writer.close();
    cpSync(shardFile(old, lost), shardFile(ledger.directory, lost));
    rmSync(old, { recursive: true });
    ledger.writer = new TestLedger(null, {}, ledger.directory).writer;
    expect(ledger.writer.tip).toEqual(tip);
    expect(places()).toEqual({ s1: ALL });
    expect(ledger.run([insert([5n, 'five', null])]).abort).toBeNull();
  },
);
