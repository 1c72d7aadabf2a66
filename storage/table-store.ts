// One ledger table in its shards: its shape and its parts. Shell.
//
// A TableStore belongs to one Table value of the catalog; after a schema change there is a new one. Rows are
// arrays of values in the order of `table.columns`; hidden columns are handled here and by nobody above.
//
// Whoever applies rows need not know that a table is spread. An index of SQLite sees one part only: where the
// column that decides the part is no key of a unique index, the other parts are asked before a row is written.

import { ROW_ID, VERSION, columnName, foldKey, indexColumns, nullKey } from './names.ts';
import { predicateName } from './names.ts';
import { partOfFolded, partsOf, shardColumn } from './parts.ts';
import { isUniqueViolation, uniqueViolation } from './sqlite.ts';
import { TablePart } from './table-part.ts';
import { TableShape } from './table-shape.ts';
import type { Index, Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';
import type { Database } from './sqlite.ts';
import type { IndexShape, StoredRow } from './table-shape.ts';

/** Rows that a scan reads at a time. */
const SCAN_BATCH_ROWS = 1_000;

export class TableStore extends TableShape {
  /** SQLite text, fit for FROM, of the current rows. */
  readonly rows: string;
  readonly parts: readonly TablePart[];
  readonly #database: Database;
  /** Value that decides the part of a row, folded; null for a table that lies whole. */
  readonly #deciding: ((values: readonly Datum[]) => Datum) | null;
  /** Unique indexes whose keys may be taken in another part. */
  readonly #scattered: readonly IndexShape[];

  constructor(database: Database, table: Table) {
    super(table);
    this.#database = database;
    this.parts = partsOf(table).map((part) => new TablePart(database, this, part));
    const all = this.parts.map(({ rows }) => `SELECT * FROM ${rows}`).join(' UNION ALL ');
    this.rows = this.parts.length === 1 ? this.parts[0]!.rows : `(${all})`;
    const column = shardColumn(table);
    const position = column === null ? -1 : this.position(column.id)!;
    this.#deciding =
      column === null ? null : (values) => foldKey(values[position] ?? null, column.type);
    this.#scattered = this.indexes.filter(
      ({ index }) => index.unique && this.parts.length > 1 && keyOfPart(table, index) < 0,
    );
  }

  insert(rowId: bigint, stamp: bigint, values: readonly Datum[]): void {
    const part = this.#partOf(values);
    this.#demandFree(part, values);
    part.insert(rowId, stamp, values);
  }

  /**
   * Inserts rows under consecutive ids.
   *
   * @param firstRowId beyond every id that the table has ever had
   * @throws what SQLite throws; the rows before the one that it refuses stay
   */
  insertAll(firstRowId: bigint, stamp: bigint, rows: readonly (readonly Datum[])[]): void {
    if (this.parts.length === 1) return this.parts[0]!.insertAll(firstRowId, stamp, rows);
    try {
      this.#insertByPart(firstRowId, stamp, rows);
    } catch (error) {
      if (!isUniqueViolation(error) || rows.length === 1) throw error;
      // The first row in order decides what is refused, and its part was not the first in turn.
      for (let i = 0n; i < rows.length; i++) {
        for (const part of this.parts) part.delete(firstRowId + i);
      }
      for (const [i, values] of rows.entries()) this.insert(firstRowId + BigInt(i), stamp, values);
    }
  }

  #insertByPart(firstRowId: bigint, stamp: bigint, rows: readonly (readonly Datum[])[]): void {
    const groups = Map.groupBy(rows.keys(), (at) => this.#partOf(rows[at]!));
    for (const [part, places] of groups) {
      const values = places.map((at) => rows[at]!);
      if (this.#scattered.length > 0) for (const row of values) this.#demandFree(part, row);
      part.insertUnder(
        places.map((at) => firstRowId + BigInt(at)),
        stamp,
        values,
      );
    }
  }

  #partOf(values: readonly Datum[]): TablePart {
    const { parts } = this;
    if (this.#deciding === null) return parts[0]!;
    return parts[partOfFolded(this.#deciding(values), parts.length)]!;
  }

  /** @throws as SQLite does when a unique key of the row is taken in another part than its own */
  #demandFree(own: TablePart, values: readonly Datum[]): void {
    for (const shape of this.#scattered) {
      const key = shape.key(values);
      if (key === null || key.includes(null)) continue;
      const taken = this.parts.some((part) => part !== own && part.find(shape, key) !== null);
      if (taken) throw uniqueViolation();
    }
  }

  row(rowId: bigint): StoredRow | null {
    for (const part of this.parts) {
      const row = part.row(rowId);
      if (row !== null) return row;
    }
    return null;
  }

  /** Copies a row as it stands into history, closed at `stamp`. */
  close({ rowId, values }: StoredRow, stamp: bigint): void {
    this.#partOf(values).close(rowId, stamp);
  }

  delete({ rowId, values }: StoredRow): void {
    this.#partOf(values).delete(rowId);
  }

  /** Positions in the physical row whose values differ; see `update` and `IndexShape.positions`. */
  changes(before: readonly Datum[], after: readonly Datum[]): number[] {
    const changed: number[] = [];
    for (let i = 0; i < after.length; i++) if (!same(before[i]!, after[i]!)) changed.push(i);
    this.hidden.forEach(({ value }, i) => {
      if (!same(value(before), value(after))) changed.push(after.length + i);
    });
    return changed;
  }

  /** Writes only what changed, where the row stays in its part: SQLite then leaves the indexes alone that do not. */
  update(
    before: StoredRow,
    stamp: bigint,
    values: readonly Datum[],
    changed: readonly number[],
  ): void {
    const { rowId } = before;
    const [from, to] = [this.#partOf(before.values), this.#partOf(values)];
    if (from !== to) {
      from.delete(rowId);
      this.#demandFree(to, values);
      to.insert(rowId, stamp, values);
      return;
    }
    const touched = this.#scattered.some(({ positions }) =>
      changed.some((at) => positions.has(at)),
    );
    if (touched) this.#demandFree(to, values);
    to.update(rowId, stamp, values, changed);
  }

  /** Row id under a key of an index, or null; `key` as `IndexShape.key` or `keyOf` gives it. */
  find(index: IndexShape, key: readonly Datum[]): bigint | null {
    if (key.includes(null)) return null;
    const { parts } = this;
    const position = parts.length === 1 ? -1 : keyOfPart(this.table, index.index);
    if (position >= 0) return parts[this.#partOfKey(index.index, key[position]!)]!.find(index, key);
    for (const part of parts) {
      const found = part.find(index, key);
      if (found !== null) return found;
    }
    return null;
  }

  #partOfKey({ nullsNotDistinct }: Index, value: Datum): number {
    const { type } = shardColumn(this.table)!;
    const isNull = nullsNotDistinct && same(value, nullKey(type));
    return partOfFolded(isNull ? null : value, this.parts.length);
  }

  /**
   * All rows in order of row id. Read in batches, so that no cursor is open in between: SQLite prepares
   * nothing and writes nothing while one is.
   */
  *scan(): IterableIterator<StoredRow> {
    const names = [ROW_ID, VERSION, ...this.table.columns.map((column) => columnName(column.id))];
    const batch = this.#database
      .prepare(
        `SELECT ${names.join()} FROM ${this.rows} WHERE ${ROW_ID}>? ORDER BY ${ROW_ID} LIMIT ?`,
      )
      .raw();
    let last = 0n;
    for (;;) {
      const rows = batch.all(last, SCAN_BATCH_ROWS) as [bigint, bigint, ...Datum[]][];
      for (const [rowId, version, ...values] of rows) yield { rowId, version, values };
      if (rows.length < SCAN_BATCH_ROWS) return;
      last = rows.at(-1)![0];
    }
  }

  /** Up to `limit` row ids after `rowId`, ascending. */
  rowIdsAfter(rowId: bigint, limit: number): bigint[] {
    const text = `SELECT ${ROW_ID} FROM ${this.rows} WHERE ${ROW_ID}>? ORDER BY ${ROW_ID} LIMIT ?`;
    return this.#database.prepare(text).pluck().all(rowId, BigInt(limit)) as bigint[];
  }

  /** Computes hidden columns of a row that is there already. */
  fillHidden({ rowId, values }: StoredRow, names: readonly string[]): void {
    const hidden = this.hiddenValues(values);
    const computed = names.map((name): [string, Datum] => [name, hidden.get(name) ?? null]);
    this.#partOf(values).fillHidden(rowId, computed);
  }

  /** Whether rows of different parts have one key of a unique index; those of one part cannot. */
  hasTakenTwice(indexId: number): boolean {
    const index = this.#scattered.find((shape) => shape.index.id === indexId)?.index;
    if (index === undefined) return false;
    const names = indexColumns(index);
    const conditions = names.map((name) => `${name} IS NOT NULL`);
    if (index.predicate !== null) conditions.push(`${predicateName(index.id)}=1`);
    const text =
      `SELECT 1 FROM ${this.rows} WHERE ${conditions.join(' AND ')}` +
      ` GROUP BY ${names.join()} HAVING count(*)>1 LIMIT 1`;
    return this.#database.prepare(text).get() !== undefined;
  }
}

/** Position among the keys of an index of the column that decides the part; -1 when it is none of them. */
function keyOfPart({ spread }: Table, { keys }: Index): number {
  return spread === null ? -1 : keys.findIndex(({ column }) => column === spread.column);
}

function same(a: Datum, b: Datum): boolean {
  if (a === b) return !(a === 0) || Object.is(a, b);
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return false;
  return Buffer.compare(a, b) === 0;
}
