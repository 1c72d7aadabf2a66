// One ledger table in its shard: prepared statements, and its expressions compiled. Shell.
//
// A TableStore belongs to one Table value of the catalog; after a schema change there is a new one. Rows are
// arrays of values in the order of `table.columns`. What is stored besides — hidden keys, predicates — is
// computed here from the row, so no caller ever handles it.

import { compileExpression } from '../ledger/evaluate.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';
import { ROW_ID, VERSION, FROM, TO, columnName, foldKey, historyTable } from './names.ts';
import { hiddenKeyName, indexColumns, indexName, keyIsHidden, nullKey } from './names.ts';
import { predicateName, rowTable, shardSchema } from './names.ts';
import type { Expression } from '../ledger/expression.ts';
import type { Index, Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';
import type { Database, Statement } from './sqlite.ts';

/** A current row. */
export interface StoredRow {
  readonly rowId: bigint;
  /** Stamp of the transaction that wrote it. */
  readonly version: bigint;
  readonly values: Datum[];
}

/** An expression over one row, and over the row proposed for insertion where there is one. */
export type RowExpression = (values: readonly Datum[], excluded?: readonly Datum[]) => Datum;

/** Shapes of UPDATE kept prepared for one table. */
const UPDATE_SHAPES_MAX = 64;

/** An index with its keys and predicate compiled. */
export interface IndexStore {
  readonly index: Index;
  /** Positions in the physical row of every column the index depends on. */
  readonly positions: ReadonlySet<number>;
  /** The values SQLite finds in the index for a row, or null when the row is not in it. */
  key(values: readonly Datum[]): Datum[] | null;
  /** The same for key values as the catalog's types hold them, in key order. */
  keyOf(values: readonly Datum[]): Datum[];
}

interface Hidden {
  readonly name: string;
  readonly value: RowExpression;
}

export class TableStore {
  readonly table: Table;
  readonly indexes: readonly IndexStore[];
  /** Qualified SQLite names of the current rows and of history. */
  readonly rows: string;
  readonly history: string;
  readonly #database: Database;
  readonly #position: number[] = [];
  readonly #hidden: readonly Hidden[];
  readonly #physical: readonly string[];
  readonly #insert: Statement;
  readonly #byId: Statement;
  readonly #delete: Statement;
  readonly #close: Statement;
  readonly #updates = new Map<string, Statement>();
  readonly #probes = new Map<number, Statement>();

  constructor(database: Database, table: Table) {
    this.table = table;
    this.#database = database;
    const schema = shardSchema(table.shard);
    this.rows = `${schema}.${rowTable(table.id)}`;
    this.history = `${schema}.${historyTable(table.id)}`;
    table.columns.forEach((column, position) => (this.#position[column.id] = position));
    const hidden: Hidden[] = [];
    this.indexes = table.indexes.map((index) => this.#compileIndex(index, hidden));
    this.#hidden = hidden;
    const columns = table.columns.map((column) => columnName(column.id));
    this.#physical = [...columns, ...hidden.map(({ name }) => name)];
    const names = [ROW_ID, VERSION, ...this.#physical];
    const marks = names.map(() => '?').join();
    this.#insert = database.prepare(`INSERT INTO ${this.rows}(${names.join()}) VALUES(${marks})`);
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

  /** Position of a column in a row; undefined for a column the table does not have. */
  position(column: number): number | undefined {
    return this.#position[column];
  }

  /** @throws SqlError also where the expression is none that an edge of ours would make */
  compile(expression: Expression): RowExpression {
    const evaluate = typed(() => compileExpression(expression));
    let values: readonly Datum[] = [];
    let excluded: readonly Datum[] = [];
    const position = this.#position;
    const column = (id: number): Datum => values[position[id]!] ?? null;
    const proposed = (id: number): Datum => excluded[position[id]!] ?? null;
    return (row, other) => {
      values = row;
      excluded = other ?? row;
      return typed(() => evaluate(column, proposed));
    };
  }

  insert(rowId: bigint, stamp: bigint, values: readonly Datum[]): void {
    this.#insert.run([rowId, stamp, ...values, ...this.#hidden.map(({ value }) => value(values))]);
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

  /** Positions in the physical row whose values differ; see `update` and `IndexStore.positions`. */
  changes(before: readonly Datum[], after: readonly Datum[]): number[] {
    const changed: number[] = [];
    for (let i = 0; i < after.length; i++) if (!same(before[i]!, after[i]!)) changed.push(i);
    this.#hidden.forEach(({ value }, i) => {
      if (!same(value(before), value(after))) changed.push(after.length + i);
    });
    return changed;
  }

  /** Writes only what changed: SQLite then leaves the indexes alone that do not. */
  update(rowId: bigint, stamp: bigint, values: readonly Datum[], changed: readonly number[]): void {
    const bound: Datum[] = [stamp];
    for (const at of changed) {
      bound.push(at < values.length ? values[at]! : this.#hidden[at - values.length]!.value(values));
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

  /** Row id under a key of an index, or null; `key` as `IndexStore.key` or `keyOf` gives it. */
  find(index: IndexStore, key: readonly Datum[]): bigint | null {
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

  index(id: number): IndexStore | undefined {
    return this.indexes.find(({ index }) => index.id === id);
  }

  /** All rows in order of row id; the caller may not write to the table meanwhile. */
  *scan(): IterableIterator<StoredRow> {
    const names = [ROW_ID, VERSION, ...this.table.columns.map((column) => columnName(column.id))];
    const statement = this.#database.prepare(
      `SELECT ${names.join()} FROM ${this.rows} ORDER BY ${ROW_ID}`,
    );
    for (const found of statement.raw().iterate() as Iterable<[bigint, bigint, ...Datum[]]>) {
      const [rowId, version, ...values] = found;
      yield { rowId, version, values };
    }
  }

  /** Up to `limit` row ids after `rowId`, ascending. */
  rowIdsAfter(rowId: bigint, limit: number): bigint[] {
    const text = `SELECT ${ROW_ID} FROM ${this.rows} WHERE ${ROW_ID}>? ORDER BY ${ROW_ID} LIMIT ?`;
    return this.#database.prepare(text).pluck().all(rowId, BigInt(limit)) as bigint[];
  }

  /** The stored hidden values of a row, by column name; what a schema change fills. */
  hiddenValues(values: readonly Datum[]): ReadonlyMap<string, Datum> {
    return new Map(this.#hidden.map(({ name, value }) => [name, value(values)]));
  }

  #compileIndex(index: Index, hidden: Hidden[]): IndexStore {
    const positions = new Set<number>();
    const width = this.table.columns.length;
    const parts = index.keys.map((key, position): RowExpression => {
      const plain = this.#position[key.column ?? -1] ?? -1;
      const expression = key.expression === null ? null : this.compile(key.expression);
      const value: RowExpression = (values) => expression?.(values) ?? values[plain] ?? null;
      if (!keyIsHidden(index, key)) {
        positions.add(plain);
        return value;
      }
      const filler = index.nullsNotDistinct ? nullKey(key.type) : null;
      const folded: RowExpression = (values) => foldKey(value(values), key.type) ?? filler;
      positions.add(width + hidden.length);
      hidden.push({ name: hiddenKeyName(index.id, position), value: folded });
      return folded;
    });
    let included: RowExpression | null = null;
    if (index.predicate !== null) {
      const predicate = this.compile(index.predicate);
      included = (values) => (predicate(values) === 1n ? 1n : null);
      positions.add(width + hidden.length);
      hidden.push({ name: predicateName(index.id), value: included });
    }
    return {
      index,
      positions,
      key: (values) =>
        included !== null && included(values) === null ? null : parts.map((part) => part(values)),
      keyOf: (values) =>
        index.keys.map(({ type }, i) => {
          const folded = foldKey(values[i] ?? null, type);
          return folded ?? (index.nullsNotDistinct ? nullKey(type) : null);
        }),
    };
  }
}

/**
 * Runs part of the evaluator. An expression signed elsewhere may call a function with arguments that it was
 * not made for; what JavaScript says then is an outcome like any other, not a fault of this node.
 */
function typed<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!Error.isError(error) || (error.name !== 'TypeError' && error.name !== 'RangeError')) {
      throw error;
    }
    throw new SqlError(SQLSTATE.datatypeMismatch, 'expression does not fit its arguments');
  }
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
