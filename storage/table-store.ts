// One ledger table in its shard: its shape with prepared statements. Shell.
//
// A TableStore belongs to one Table value of the catalog; after a schema change there is a new one. Rows are
// arrays of values in the order of `table.columns`; hidden columns are handled here and by nobody above.

import {
  ROW_ID,
  VERSION,
  FROM,
  TO,
  columnName,
  historyTable,
  indexColumns,
  indexName,
} from './names.ts';
import { predicateName, rowTable, shardSchema } from './names.ts';
import { TableShape } from './table-shape.ts';
import { assert } from '../ledger/error.ts';
import type { Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';
import type { Database, Statement } from './sqlite.ts';
import type { IndexShape, StoredRow } from './table-shape.ts';

/** Rows that one statement inserts where there are enough: a call of SQLite costs as much as a row. */
const INSERT_ROWS = 16;
/** Parameters of one statement. SQLITE_MAX_VARIABLE_NUMBER. */
const PARAMETERS_MAX = 32_766;
/** Shapes of UPDATE kept prepared for one table. */
const UPDATE_SHAPES_MAX = 64;
/** Rows that a scan reads at a time. */
const SCAN_BATCH_ROWS = 1_000;

export class TableStore extends TableShape {
  /** Qualified SQLite names of the current rows and of history. */
  readonly rows: string;
  readonly history: string;
  readonly #database: Database;
  readonly #physical: readonly string[];
  readonly #insert: Statement;
  #insertMore: Statement | null = null;
  /** Rows that #insertMore takes. */
  readonly #more: number;
  readonly #byId: Statement;
  readonly #delete: Statement;
  readonly #close: Statement;
  readonly #updates = new Map<string, Statement>();
  readonly #probes = new Map<number, Statement>();

  constructor(database: Database, table: Table) {
    super(table);
    this.#database = database;
    const schema = shardSchema(table.shard);
    this.rows = `${schema}.${rowTable(table.id)}`;
    this.history = `${schema}.${historyTable(table.id)}`;
    const columns = table.columns.map((column) => columnName(column.id));
    this.#physical = [...columns, ...this.hidden.map(({ name }) => name)];
    const names = [ROW_ID, VERSION, ...this.#physical];
    this.#insert = database.prepare(
      `INSERT INTO ${this.rows}(${names.join()}) VALUES${marks(names)}`,
    );
    this.#more = Math.min(INSERT_ROWS, Math.floor(PARAMETERS_MAX / (names.length - 1)));
    const selected = [VERSION, ...columns].join();
    this.#byId = database.prepare(`SELECT ${selected} FROM ${this.rows} WHERE ${ROW_ID}=?`).raw();
    this.#delete = database.prepare(`DELETE FROM ${this.rows} WHERE ${ROW_ID}=?`);
    // History keeps every column that the table has ever had: the closed version may be older than a drop.
    const all = storedColumns(database, table).join();
    this.#close = database.prepare(
      `INSERT INTO ${this.history}(${ROW_ID},${FROM},${TO}${all && `,${all}`})` +
        ` SELECT ${ROW_ID},${VERSION},?${all && `,${all}`} FROM ${this.rows} WHERE ${ROW_ID}=?`,
    );
  }

  insert(rowId: bigint, stamp: bigint, values: readonly Datum[]): void {
    const bound: Datum[] = [rowId];
    this.#bind(bound, stamp, values);
    this.#insert.run(bound);
  }

  /**
   * Inserts rows under consecutive ids.
   *
   * @param firstRowId beyond every id that the table has ever had
   * @throws what SQLite throws; the rows before the one that it refuses stay
   */
  insertAll(firstRowId: bigint, stamp: bigint, rows: readonly (readonly Datum[])[]): void {
    this.insert(firstRowId, stamp, rows[0]!);
    const more = this.#more;
    let at = 1;
    for (; at + more <= rows.length; at += more) {
      const bound: Datum[] = [];
      for (let i = at; i < at + more; i++) this.#bind(bound, stamp, rows[i]!);
      const { lastInsertRowid } = (this.#insertMore ??= this.#prepareMore()).run(bound);
      const last = firstRowId + BigInt(at + more - 1);
      assert(lastInsertRowid === last, `row ${last} was inserted as ${lastInsertRowid}`);
    }
    for (; at < rows.length; at++) this.insert(firstRowId + BigInt(at), stamp, rows[at]!);
  }

  #bind(bound: Datum[], stamp: bigint, values: readonly Datum[]): void {
    bound.push(stamp);
    for (let i = 0; i < values.length; i++) bound.push(values[i]!);
    for (let i = 0; i < this.hidden.length; i++) bound.push(this.hidden[i]!.value(values));
  }

  /**
   * SQLite gives the ids itself, each one more than the greatest, and OR FAIL lets rows stay that precede a
   * refused one. Otherwise it would copy each page that a statement touches, to be able to undo it alone.
   */
  #prepareMore(): Statement {
    const names = [VERSION, ...this.#physical];
    const rows = Array.from({ length: this.#more }, () => marks(names)).join();
    return this.#database.prepare(
      `INSERT OR FAIL INTO ${this.rows}(${names.join()}) VALUES${rows}`,
    );
  }

  row(rowId: bigint): StoredRow | null {
    const found = this.#byId.get(rowId) as [bigint, ...Datum[]] | undefined;
    if (found === undefined) return null;
    const [version, ...values] = found;
    return { rowId, version, values };
  }

  /** Copies the current version of a row into history, closed at `stamp`. */
  close(rowId: bigint, stamp: bigint): void {
    this.#close.run(stamp, rowId);
  }

  delete(rowId: bigint): void {
    this.#delete.run(rowId);
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

  /** Writes only what changed: SQLite then leaves the indexes alone that do not. */
  update(rowId: bigint, stamp: bigint, values: readonly Datum[], changed: readonly number[]): void {
    const bound: Datum[] = [stamp];
    for (const at of changed) {
      bound.push(at < values.length ? values[at]! : this.hidden[at - values.length]!.value(values));
    }
    bound.push(rowId);
    this.#updateOf(changed).run(bound);
  }

  #updateOf(changed: readonly number[]): Statement {
    const shape = changed.join();
    let statement = this.#updates.get(shape);
    if (statement === undefined) {
      const set = [VERSION, ...changed.map((at) => this.#physical[at]!)].map((name) => `${name}=?`);
      statement = this.#database.prepare(`UPDATE ${this.rows} SET ${set.join()} WHERE ${ROW_ID}=?`);
      if (this.#updates.size >= UPDATE_SHAPES_MAX) this.#updates.clear();
      this.#updates.set(shape, statement);
    }
    return statement;
  }

  /** Row id under a key of an index, or null; `key` as `IndexShape.key` or `keyOf` gives it. */
  find(index: IndexShape, key: readonly Datum[]): bigint | null {
    if (key.includes(null)) return null;
    let statement = this.#probes.get(index.index.id);
    if (statement === undefined) {
      const conditions = indexColumns(index.index).map((name) => `${name}=?`);
      if (index.index.predicate !== null) conditions.push(`${predicateName(index.index.id)}=1`);
      const text = `SELECT ${ROW_ID} FROM ${this.rows} INDEXED BY ${indexName(index.index.id)}`;
      statement = this.#database.prepare(`${text} WHERE ${conditions.join(' AND ')}`).pluck();
      this.#probes.set(index.index.id, statement);
    }
    return (statement.get(key) as bigint | undefined) ?? null;
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
}

/** A place for each name. */
function marks(names: readonly string[]): string {
  return `(${names.map(() => '?').join()})`;
}

/** Columns `c…` of the table as SQLite has them, dropped ones included. */
function storedColumns(database: Database, table: Table): string[] {
  const schema = shardSchema(table.shard);
  const rows = database.pragma(`${schema}.table_info(${historyTable(table.id)})`);
  return (rows as { name: string }[]).map(({ name }) => name).filter((name) => /^c\d/.test(name));
}

function same(a: Datum, b: Datum): boolean {
  if (a === b) return !(a === 0) || Object.is(a, b);
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return false;
  return Buffer.compare(a, b) === 0;
}
