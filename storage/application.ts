// One transaction while it is applied: what it has written, what it owes, and how it is undone. Shell.
//
// (1) All or nothing: an abort leaves rows, history, counters and catalog as they were.
// (2) A savepoint costs as much as a write, so a transaction that can only fail before its one write has
//     none; `protect` opens it where that is not so.
// (3) A row version is hashed when it is written. The leaf carries the table's schema version at the end of
//     the transaction; a schema change in it makes the leaves of that table anew.

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';
import { VersionHasher } from '../ledger/version-hasher.ts';
import { isUniqueViolation } from './sqlite.ts';
import { uniqueError } from './constraints.ts';
import { ForeignKeyChecks } from './foreign-keys.ts';
import { InsertedRows, WrittenRows } from './written-rows.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Catalog, Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';
import type { StateStore, TableCounters } from './state-store.ts';
import type { TableStore } from './table-store.ts';
import type { StoredRow } from './table-shape.ts';

/** A check that a schema change leaves for the end of the transaction. */
export type Validation = () => void;

export class Application {
  readonly store: StateStore;
  readonly stamp: bigint;
  readonly author: number;
  readonly written = new WrittenRows();
  readonly inserted = new InsertedRows();
  readonly foreignKeys = new ForeignKeyChecks();
  readonly validations: Validation[] = [];
  readonly #crypto: Crypto;
  readonly #catalog: Catalog;
  readonly #counters = new Map<number, TableCounters>();
  readonly #reshaped = new Set<number>();
  #protected = false;

  constructor(store: StateStore, crypto: Crypto, stamp: bigint, author: number) {
    this.store = store;
    this.stamp = stamp;
    this.author = author;
    this.#crypto = crypto;
    this.#catalog = store.catalog;
  }

  /** From here on everything can be undone. */
  protect(): void {
    if (this.#protected) return;
    this.store.protect();
    this.#protected = true;
  }

  /** Runs the checks that wait for the end. @throws SqlError */
  finish(): void {
    for (const validation of this.validations) validation();
    this.foreignKeys.run(this.store);
    if (this.#reshaped.size > 0) this.#hashAgain();
    if (this.#protected) this.store.unprotect();
  }

  abort(): void {
    if (this.#protected) this.store.undo();
    this.store.catalog = this.#catalog;
    for (const [relation, { nextRow, written }] of this.#counters) {
      const counters = this.store.counters(relation);
      counters.nextRow = nextRow;
      counters.written = written;
    }
  }

  /** Says that the shape of a table has changed: leaves written before are made anew at the end. */
  reshaped(relation: number): void {
    this.#reshaped.add(relation);
  }

  /** The row as an operation names it: `-n` is the n-th that this transaction inserted. */
  rowIdOf(relation: number, rowId: bigint): bigint {
    if (rowId > 0n) return rowId;
    const found = this.inserted.rowId(relation, -rowId);
    if (found === null) throw conflict();
    return found;
  }

  /**
   * The row of that id, if it still is what the edge saw.
   *
   * @param version stamp, or 0 for "written by this transaction"
   * @throws SqlError 40001
   */
  expect(table: TableStore, rowId: bigint, version: bigint): StoredRow {
    const row = table.row(this.rowIdOf(table.table.id, rowId));
    if (row === null || row.version !== (version === 0n ? this.stamp : version)) throw conflict();
    return row;
  }

  /** Stamp of the last transaction before this one that wrote to a table; 0 for none. */
  writtenBefore(relation: number): bigint {
    return (this.#counters.get(relation) ?? this.store.counters(relation)).written;
  }

  insertRow(table: TableStore, values: Datum[]): bigint {
    const rowId = this.store.counters(table.table.id).nextRow;
    this.insertRows(table, [values]);
    return rowId;
  }

  /** Inserts rows, complete as their rules want them. */
  insertRows(table: TableStore, rows: readonly Datum[][]): void {
    const { id } = table.table;
    const counters = this.#touch(id);
    const firstRowId = counters.nextRow;
    try {
      table.insertAll(firstRowId, this.stamp, rows);
    } catch (error) {
      throw this.#explain(error, table, rows, firstRowId);
    }
    const hasher = this.#hasher(table.table);
    let rowId = firstRowId;
    for (const values of rows) {
      this.inserted.add(id, rowId);
      this.written.add(id, rowId, hasher.hash(rowId, this.stamp, values));
      this.foreignKeys.rowWritten(this.store, table, rowId, null, values);
      rowId += 1n;
    }
    counters.nextRow = rowId;
  }

  updateRow(table: TableStore, row: StoredRow, values: Datum[]): void {
    const { rowId } = row;
    this.#touch(table.table.id);
    const changed = table.changes(row.values, values);
    const collides = table.indexes.some(
      ({ index, positions }) => index.unique && changed.some((at) => positions.has(at)),
    );
    if (collides) this.protect();
    const again = row.version === this.stamp;
    if (!again) table.close(row, this.stamp);
    try {
      table.update(row, this.stamp, values, changed);
    } catch (error) {
      throw this.#explain(error, table, [values], rowId);
    }
    this.#wrote(table.table, rowId, values, again);
    this.foreignKeys.rowWritten(this.store, table, rowId, row.values, values);
  }

  deleteRow(table: TableStore, row: StoredRow): void {
    this.#touch(table.table.id);
    const again = row.version === this.stamp;
    if (!again) table.close(row, this.stamp);
    table.delete(row);
    this.#wrote(table.table, row.rowId, null, again);
    this.foreignKeys.rowDeleted(this.store, table, row.values);
  }

  #wrote(table: Table, rowId: bigint, values: readonly Datum[] | null, again: boolean): void {
    const leaf = this.#leaf(table, rowId, values);
    if (again) this.written.replace(table.id, rowId, leaf);
    else this.written.add(table.id, rowId, leaf);
  }

  #touch(relation: number): TableCounters {
    const counters = this.store.counters(relation);
    if (!this.#counters.has(relation)) {
      this.#counters.set(relation, { ...counters });
      this.store.touch(relation);
    }
    counters.written = this.stamp;
    return counters;
  }

  #leaf(table: Table, rowId: bigint, values: readonly Datum[] | null): Uint8Array {
    return this.#hasher(table).hash(rowId, this.stamp, values);
  }

  #hasher(table: Table): VersionHasher {
    let known = hashers.get(table);
    if (known === undefined) {
      const { id: relation, schemaVersion } = table;
      const columns = table.columns.map(({ id }) => id);
      known = new VersionHasher(this.#crypto, { relation, schemaVersion, columns });
      hashers.set(table, known);
    }
    return known;
  }

  #hashAgain(): void {
    for (const { relation, rowId } of this.written.rows()) {
      const table = this.#reshaped.has(relation)
        ? this.store.catalog.relations.get(relation)
        : null;
      if (table?.kind !== 'table') continue;
      const row = this.store.table(table).row(rowId);
      this.written.replace(relation, rowId, this.#leaf(table, rowId, row?.values ?? null));
    }
  }

  /** The error for the first of the rows, with ids from `firstRowId`, whose key another row has. */
  #explain(
    error: unknown,
    table: TableStore,
    rows: readonly Datum[][],
    firstRowId: bigint,
  ): unknown {
    if (!isUniqueViolation(error)) return error;
    for (const [i, values] of rows.entries()) {
      const found = uniqueError(table, this.store.catalog, values, firstRowId + BigInt(i));
      if (found !== null) return found;
    }
    return error;
  }
}

const hashers = new WeakMap<Table, VersionHasher>();

/** Somebody else was faster: the edge may try again. */
export function conflict(): SqlError {
  return new SqlError(
    SQLSTATE.serializationFailure,
    'could not serialize access due to concurrent update',
  );
}
