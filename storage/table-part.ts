// One part of a ledger table, in one shard file: prepared statements for its rows. Shell.
//
// Nothing here knows of other parts (storage/table-store.ts does). A physical row is the values of the table's
// columns, then those of the hidden ones.

import { FROM, ROW_ID, TO, VERSION, columnName, indexColumns, indexName } from './names.ts';
import { predicateName } from './names.ts';
import { assert } from '../ledger/error.ts';
import type { Datum } from '../ledger/type.ts';
import type { Part } from './parts.ts';
import type { Database, Statement } from './sqlite.ts';
import type { IndexShape, StoredRow, TableShape } from './table-shape.ts';

/** Rows that one statement inserts where there are enough: a call of SQLite costs as much as a row. */
const INSERT_ROWS = 16;
/** Parameters of one statement. SQLITE_MAX_VARIABLE_NUMBER. */
const PARAMETERS_MAX = 32_766;
/** Shapes of UPDATE kept prepared for one table. */
const UPDATE_SHAPES_MAX = 64;

export class TablePart {
  /** Qualified SQLite names of the current rows and of history. */
  readonly rows: string;
  readonly history: string;
  readonly #database: Database;
  readonly #shape: TableShape;
  readonly #physical: readonly string[];
  readonly #insert: Statement;
  #insertMore: Statement | null = null;
  #insertUnder: Statement | null = null;
  /** Rows that the two of them take. */
  readonly #more: number;
  readonly #byId: Statement;
  readonly #delete: Statement;
  readonly #close: Statement;
  readonly #updates = new Map<string, Statement>();
  readonly #probes = new Map<number, Statement>();

  constructor(database: Database, shape: TableShape, part: Part) {
    const { table, hidden } = shape;
    this.#database = database;
    this.#shape = shape;
    this.rows = `${part.schema}.${part.rows}`;
    this.history = `${part.schema}.${part.history}`;
    const columns = table.columns.map((column) => columnName(column.id));
    this.#physical = [...columns, ...hidden.map(({ name }) => name)];
    const names = [ROW_ID, VERSION, ...this.#physical];
    this.#insert = database.prepare(
      `INSERT INTO ${this.rows}(${names.join()}) VALUES${marks(names)}`,
    );
    this.#more = Math.min(INSERT_ROWS, Math.floor(PARAMETERS_MAX / names.length));
    const selected = [VERSION, ...columns].join();
    this.#byId = database.prepare(`SELECT ${selected} FROM ${this.rows} WHERE ${ROW_ID}=?`).raw();
    this.#delete = database.prepare(`DELETE FROM ${this.rows} WHERE ${ROW_ID}=?`);
    // History keeps every column that the table has ever had: the closed version may be older than a drop.
    const all = storedColumns(database, part).join();
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
   * @param firstRowId beyond every id that the part has ever had
   * @throws what SQLite throws; the rows before the one that it refuses stay
   */
  insertAll(firstRowId: bigint, stamp: bigint, rows: readonly (readonly Datum[])[]): void {
    this.insert(firstRowId, stamp, rows[0]!);
    const more = this.#more;
    let at = 1;
    for (; at + more <= rows.length; at += more) {
      const bound: Datum[] = [];
      for (let i = at; i < at + more; i++) this.#bind(bound, stamp, rows[i]!);
      const { lastInsertRowid } = (this.#insertMore ??= this.#prepareMore([])).run(bound);
      const last = firstRowId + BigInt(at + more - 1);
      assert(lastInsertRowid === last, `row ${last} was inserted as ${lastInsertRowid}`);
    }
    for (; at < rows.length; at++) this.insert(firstRowId + BigInt(at), stamp, rows[at]!);
  }

  /** Inserts rows under ids of their own. @throws as `insertAll` */
  insertUnder(rowIds: readonly bigint[], stamp: bigint, rows: readonly (readonly Datum[])[]): void {
    const more = this.#more;
    let at = 0;
    for (; at + more <= rows.length; at += more) {
      const bound: Datum[] = [];
      for (let i = at; i < at + more; i++) {
        bound.push(rowIds[i]!);
        this.#bind(bound, stamp, rows[i]!);
      }
      (this.#insertUnder ??= this.#prepareMore([ROW_ID])).run(bound);
    }
    for (; at < rows.length; at++) this.insert(rowIds[at]!, stamp, rows[at]!);
  }

  #bind(bound: Datum[], stamp: bigint, values: readonly Datum[]): void {
    const { hidden } = this.#shape;
    bound.push(stamp);
    for (let i = 0; i < values.length; i++) bound.push(values[i]!);
    for (let i = 0; i < hidden.length; i++) bound.push(hidden[i]!.value(values));
  }

  /**
   * Where it is not told the ids SQLite gives them itself, each one more than the greatest. OR FAIL lets rows stay
   * that precede a refused one: otherwise it would copy each page that a statement touches, to be able to undo it alone.
   */
  #prepareMore(id: readonly string[]): Statement {
    const names = [...id, VERSION, ...this.#physical];
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

  /** @param changed positions in the physical row */
  update(rowId: bigint, stamp: bigint, values: readonly Datum[], changed: readonly number[]): void {
    const { hidden } = this.#shape;
    const bound: Datum[] = [stamp];
    for (const at of changed) {
      bound.push(at < values.length ? values[at]! : hidden[at - values.length]!.value(values));
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

  /** Row id under a key of an index, which has no NULL. */
  find({ index }: IndexShape, key: readonly Datum[]): bigint | null {
    let statement = this.#probes.get(index.id);
    if (statement === undefined) {
      const conditions = indexColumns(index).map((name) => `${name}=?`);
      if (index.predicate !== null) conditions.push(`${predicateName(index.id)}=1`);
      const text = `SELECT ${ROW_ID} FROM ${this.rows} INDEXED BY ${indexName(index.id)}`;
      statement = this.#database.prepare(`${text} WHERE ${conditions.join(' AND ')}`).pluck();
      this.#probes.set(index.id, statement);
    }
    return (statement.get(key) as bigint | undefined) ?? null;
  }

  /** Fills hidden columns of a row that is there already. */
  fillHidden(rowId: bigint, hidden: readonly (readonly [name: string, value: Datum])[]): void {
    const set = hidden.map(([name]) => `${name}=?`).join();
    let statement = this.#updates.get(set);
    if (statement === undefined) {
      statement = this.#database.prepare(`UPDATE ${this.rows} SET ${set} WHERE ${ROW_ID}=?`);
      this.#updates.set(set, statement);
    }
    statement.run([...hidden.map(([, value]) => value), rowId]);
  }
}

/** A place for each name. */
function marks(names: readonly string[]): string {
  return `(${names.map(() => '?').join()})`;
}

/** Columns `c…` of a part as SQLite has them, dropped ones included. */
function storedColumns(database: Database, { schema, history }: Part): string[] {
  const rows = database.pragma(`${schema}.table_info(${history})`);
  return (rows as { name: string }[]).map(({ name }) => name).filter((name) => /^c\d/.test(name));
}
