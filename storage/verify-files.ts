// Comparing a state file with one rebuilt from the chain, value by value, in bounded memory. Shell.
//
// Both sides are read in key order, row beside row. The first difference is reported with everything that
// names it: table and column as the catalog calls them, primary key, version, block and transaction.

import { hex } from '../ledger/bytes.ts';
import { heightOf, positionOf } from '../ledger/operation.ts';
import { decodeReceipt } from '../ledger/encoding.ts';
import { describeValue } from './describe-value.ts';
import { FROM, ROW_ID, VERSION } from './names.ts';
import type { Catalog, Table } from '../ledger/catalog.ts';
import type { Database } from './sqlite.ts';
import type { Datum } from '../ledger/type.ts';

/** The first thing found wrong, as exactly as it can be named. */
export interface Damage {
  /** Path of the file. */
  readonly file: string;
  /** What is wrong, as a sentence without full stop. */
  readonly message: string;
  readonly height?: number;
  /** Transaction id in hexadecimal. */
  readonly transaction?: string;
  /** Table of the ledger, `schema.name`, or of SQLite where it is one of ours. */
  readonly table?: string;
  /** Values of the primary key, or the row id where there is none. */
  readonly key?: string;
  /** Stamp of the version as `block.position`. */
  readonly version?: string;
  readonly column?: string;
  readonly index?: string;
}

/** One file on either side. */
export interface Side {
  readonly database: Database;
  /** Name under which the file is attached. */
  readonly schema: string;
}

interface Comparison {
  readonly file: string;
  readonly live: Side;
  /** Rebuilt from the chain. */
  readonly sound: Side;
  /** As of the height compared. */
  readonly catalog: Catalog;
  /** Encoded receipt of a stamp, as rebuilt. */
  readonly receiptOf: (stamp: bigint) => Uint8Array | null;
  /** Milliseconds since 1970: idempotency keys that had expired by then may be gone. */
  readonly timeMs: number;
  readonly onRow: () => void;
}

/** Structural check of one file by SQLite: pages, order, indexes against tables. */
export function checkIntegrity(side: Side, file: string, catalog: Catalog | null): Damage | null {
  const answer = side.database.pragma(`${side.schema}.integrity_check(1)`, { simple: true });
  if (answer === 'ok') return null;
  const message = String(answer);
  const named = /index i(\d+)\b/.exec(message);
  const index = named === null ? null : indexOf(catalog, Number(named[1]));
  return { file, message: `SQLite finds the file damaged: ${message}`, ...index };
}

function indexOf(catalog: Catalog | null, id: number): { index: string; table: string } | null {
  for (const relation of catalog?.relations.values() ?? []) {
    if (relation.kind !== 'table') continue;
    const index = relation.indexes.find((candidate) => candidate.id === id);
    if (index !== undefined) return { index: index.name, table: nameOf(catalog!, relation) };
  }
  return null;
}

function nameOf(catalog: Catalog, table: Table): string {
  return `${catalog.schemas.get(table.schema)?.name ?? ''}.${table.name}`;
}

/** @returns the first difference, or null */
export function compareFile(comparison: Comparison): Damage | null {
  const tables = compareSchemas(comparison);
  if (!Array.isArray(tables)) return tables;
  for (const table of tables) {
    const damage = compareTable(comparison, table);
    if (damage !== null) return damage;
  }
  return null;
}

/** Tables, indexes and whatever else is declared must be the same; returns the names of the tables. */
function compareSchemas({ file, live, sound }: Comparison): Damage | string[] {
  const read = ({ database, schema }: Side): Map<string, string> =>
    new Map(
      database
        .prepare(
          `SELECT type || ' ' || name, coalesce(sql, '') FROM ${schema}.sqlite_schema` +
            " WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1",
        )
        .raw()
        .all() as [string, string][],
    );
  const found = read(live);
  const expected = read(sound);
  for (const [name, text] of expected) {
    if (!found.has(name)) return { file, message: `${name} is missing` };
    if (found.get(name) !== text) return { file, message: `${name} is declared otherwise` };
  }
  for (const name of found.keys()) {
    if (!expected.has(name)) return { file, message: `${name} does not belong here` };
  }
  return [...expected.keys()].flatMap((name) =>
    name.startsWith('table ') && !name.startsWith('table sqlite_') ? [name.slice(6)] : [],
  );
}

interface Shape {
  readonly columns: readonly string[];
  /** Positions of the key columns. */
  readonly key: readonly number[];
  readonly text: string;
}

/** Counters keep old rows for recovery only, so the newest of each are compared. */
const COUNTERS = '_table';
const IDEMPOTENCY = '_idempotency';

function shapeOf({ database, schema }: Side, table: string): Shape {
  const info = database.pragma(`${schema}.table_info(${table})`) as { name: string; pk: bigint }[];
  const columns = info.map(({ name }) => name);
  const keyed = info.filter(({ pk }) => pk > 0n).sort((a, b) => Number(a.pk - b.pk));
  const source =
    table === COUNTERS
      ? `(SELECT relation, max(height) AS height, next_row, written FROM ${schema}._table GROUP BY relation)`
      : `${schema}.${table}`;
  const names = keyed.map(({ name }) => name);
  return {
    columns,
    key: names.map((name) => columns.indexOf(name)),
    text: `SELECT ${columns.join()} FROM ${source} ORDER BY ${names.join()}`,
  };
}

function compareTable(comparison: Comparison, table: string): Damage | null {
  const { live, sound } = comparison;
  const liveShape = shapeOf(live, table);
  const shape = shapeOf(sound, table);
  const found = rowsOf(live, liveShape);
  const expected = rowsOf(sound, shape);
  try {
    let a: IteratorResult<Datum[], undefined> = found.next();
    let b: IteratorResult<Datum[], undefined> = expected.next();
    while (!a.done || !b.done) {
      comparison.onRow();
      const order = a.done ? 1 : b.done ? -1 : compareKeys(a.value, b.value, shape.key);
      if (!a.done && order < 0) {
        return damageOf(comparison, table, shape, a.value, null, 'does not belong here');
      }
      if (!b.done && order > 0) {
        if (!mayBeForgotten(comparison, table, shape, b.value)) {
          return damageOf(comparison, table, shape, b.value, null, 'is missing');
        }
        b = expected.next();
        continue;
      }
      const [row, wanted]: readonly [Datum[], Datum[]] = [a.value!, b.value!];
      const position = wanted.findIndex((value, i) => !sameDatum(value, row[i]!));
      if (position >= 0) return changed(comparison, table, shape, row, wanted, position);
      a = found.next();
      b = expected.next();
    }
    return null;
  } finally {
    found.return?.();
    expected.return?.();
  }
}

function rowsOf({ database }: Side, { text }: Shape): Iterator<Datum[], undefined> {
  return database.prepare(text).raw().iterate() as Iterator<Datum[], undefined>;
}

function mayBeForgotten(
  { timeMs }: Comparison,
  table: string,
  { columns }: Shape,
  row: readonly Datum[],
): boolean {
  return table === IDEMPOTENCY && (row[columns.indexOf('until')] as bigint) < BigInt(timeMs);
}

/** SQLite's order of storage classes: NULL, numbers, text, blobs. */
function classOf(value: Datum): number {
  if (value === null) return 0;
  if (typeof value === 'string') return 2;
  return value instanceof Uint8Array ? 3 : 1;
}

function compareKeys(a: readonly Datum[], b: readonly Datum[], key: readonly number[]): number {
  for (const at of key) {
    const order = compareData(a[at]!, b[at]!);
    if (order !== 0) return order;
  }
  return 0;
}

function compareData(a: Datum, b: Datum): number {
  const order = classOf(a) - classOf(b);
  if (order !== 0 || a === null || b === null) return order;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (typeof a === 'string' && typeof b === 'string') {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function sameDatum(a: Datum, b: Datum): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return Object.is(a, b);
}

function changed(
  comparison: Comparison,
  table: string,
  shape: Shape,
  found: readonly Datum[],
  expected: readonly Datum[],
  position: number,
): Damage {
  const name = shape.columns[position]!;
  const shown = `is ${raw(found[position]!)}, and the chain says ${raw(expected[position]!)}`;
  return damageOf(comparison, table, shape, expected, name, shown);
}

const SHOWN_CHARACTERS_MAX = 200;

function raw(value: Datum): string {
  if (value === null) return 'NULL';
  const text =
    value instanceof Uint8Array
      ? `x'${hex(value)}'`
      : typeof value === 'string'
        ? JSON.stringify(value)
        : String(value);
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

function damageOf(
  comparison: Comparison,
  table: string,
  shape: Shape,
  row: readonly Datum[],
  columnName: string | null,
  what: string,
): Damage {
  const { catalog, file } = comparison;
  const id = /^[rh](\d+)(?:_\d+)?$/.exec(table)?.[1];
  const relation = id === undefined ? undefined : catalog.relations.get(Number(id));
  const known = relation?.kind === 'table' ? relation : null;
  const at = (name: string): Datum => row[shape.columns.indexOf(name)] ?? null;
  const stamp = stampAt(at);
  const column = columnName === null ? null : (ledgerColumn(known, columnName) ?? columnName);
  const history = table.startsWith('h') && id !== undefined;
  const key =
    known === null ? shape.key.map((i) => raw(row[i]!)).join() : keyText(known, shape, row);
  const subject = column === null ? 'a row' : `the value of ${column}`;
  return {
    file,
    message: `${subject} ${what}${history ? ' (in history)' : ''}`,
    table: known === null ? table : nameOf(catalog, known),
    key,
    ...(column === null ? {} : { column }),
    ...(stamp === null ? {} : placeOf(comparison, stamp)),
  };
}

function stampAt(at: (name: string) => Datum): bigint | null {
  for (const name of [VERSION, FROM, 'stamp']) {
    const value = at(name);
    if (typeof value === 'bigint' && value >= 0n) return value;
  }
  return null;
}

function placeOf(
  { receiptOf }: Comparison,
  stamp: bigint,
): { height: number; version: string; transaction?: string } {
  const height = heightOf(stamp);
  const version = `${height}.${positionOf(stamp)}`;
  const receipt = receiptOf(stamp);
  if (receipt === null) return { height, version };
  return { height, version, transaction: hex(decodeReceipt(receipt).transactionId) };
}

function ledgerColumn(table: Table | null, name: string): string | null {
  const id = /^c(\d+)$/.exec(name)?.[1];
  return table?.columns.find((column) => column.id === Number(id))?.name ?? null;
}

function keyText(table: Table, shape: Shape, row: readonly Datum[]): string {
  const primary = table.indexes.find(({ primary }) => primary);
  const rowId = row[shape.columns.indexOf(ROW_ID)];
  if (primary === undefined) return `row ${String(rowId)}`;
  const parts = primary.keys.map(({ column }) => {
    const { name, type } = table.columns.find(({ id }) => id === column)!;
    const value = row[shape.columns.indexOf(`c${column}`)] ?? null;
    return `${name}=${describeValue(value, type)}`;
  });
  return parts.join(', ');
}
