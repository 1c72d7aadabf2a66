// Row operations, each as ledger/operation.ts defines it. Shell.

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';
import { conflict } from './application.ts';
import { rulesOf } from './constraints.ts';
import { conforms } from './conform.ts';
import { demandTable } from './privileges.ts';
import type {
  OperationCounts,
  OperationOf,
  ConflictClause,
  Assignment,
} from '../ledger/operation.ts';
import type { Table } from '../ledger/catalog.ts';
import type { Datum, Row } from '../ledger/type.ts';
import type { Application } from './application.ts';
import type { RowRules } from './constraints.ts';
import type { TableStore } from './table-store.ts';
import type { RowExpression, StoredRow } from './table-shape.ts';

export const NOTHING: OperationCounts = { inserted: 0, updated: 0, deleted: 0 };

/** Rows of a truncated table read at a time. */
const TRUNCATE_BATCH_ROWS = 1_000;

/**
 * The table of an operation.
 *
 * @param schemaVersion the one the edge saw, or null when the operation does not depend on it
 * @throws SqlError 40001 when it was changed or dropped meanwhile
 */
function tableOf(app: Application, relation: number, schemaVersion: number | null): TableStore {
  const table = app.store.catalog.relations.get(relation);
  if (table?.kind !== 'table') throw conflict();
  if (schemaVersion !== null && table.schemaVersion !== schemaVersion) throw conflict();
  return app.store.table(table);
}

function refuseAppendOnly(table: Table): void {
  if (!table.appendOnly) return;
  throw new SqlError(
    SQLSTATE.objectNotInPrerequisiteState,
    `table "${table.name}" is append-only`,
    { hint: 'Rows of this table cannot be updated or deleted.' },
  );
}

export function applyInsert(app: Application, operation: OperationOf<'insert'>): OperationCounts {
  const store = tableOf(app, operation.relation, operation.schemaVersion);
  const { table } = store;
  demandTable(app.store.catalog, app.author, table, 'a', operation.columns);
  const positions = insertPositions(store, operation.columns);
  const rules = rulesOf(store, app.store.catalog);
  const rows = operation.rows.map((row) => arranged(row, positions, table.columns.length));
  if (operation.conflict !== null) {
    return upsertRows(new Upsert(app, store, operation.conflict), app, store, rules, rows);
  }
  let done = 0;
  try {
    for (; done < rows.length; done++) rules.complete(rows[done]!);
  } catch (error) {
    // The first row that cannot be written decides, and one before this may have a key that is taken.
    if (done > 0) app.insertRows(store, rows.slice(0, done));
    throw error;
  }
  if (rows.length > 0) app.insertRows(store, rows);
  return { inserted: rows.length, updated: 0, deleted: 0 };
}

/** The values of a row at their positions; null for the columns that are generated. */
function arranged(row: Row, positions: readonly number[], width: number): Datum[] {
  const values = new Array<Datum>(width);
  for (let i = 0; i < width; i++) values[i] = null;
  for (let i = 0; i < positions.length; i++) values[positions[i]!] = row[i]!;
  return values;
}

function upsertRows(
  upsert: Upsert,
  app: Application,
  store: TableStore,
  rules: RowRules,
  rows: readonly Datum[][],
): OperationCounts {
  let inserted = 0;
  let updated = 0;
  for (const values of rows) {
    rules.complete(values);
    const outcome = upsert.resolve(values);
    if (outcome === 'insert') {
      upsert.wrote(app.insertRow(store, values));
      inserted++;
    } else if (outcome === 'updated') {
      updated++;
    }
  }
  return { inserted, updated, deleted: 0 };
}

/** Positions of the operation's columns, which must be all but the generated ones. */
function insertPositions(store: TableStore, columns: readonly number[]): readonly number[] {
  const positions = writablePositions(store, columns);
  const expected = store.table.columns.filter(({ generated }) => generated === null).length;
  if (positions.length !== expected) throw malformed(store.table);
  return positions;
}

function writablePositions(store: TableStore, columns: readonly number[]): readonly number[] {
  const positions = columns.map((id) => store.position(id) ?? -1);
  const valid = positions.every((at) => store.table.columns[at]?.generated === null);
  if (!valid || new Set(positions).size !== positions.length) throw malformed(store.table);
  return positions;
}

/** No edge of ours makes such an operation. */
function malformed(table: Table): SqlError {
  return new SqlError(
    SQLSTATE.invalidColumnReference,
    `operation does not fit the columns of table "${table.name}"`,
  );
}

/** ON CONFLICT of one insert operation. */
class Upsert {
  readonly #app: Application;
  readonly #store: TableStore;
  readonly #arbiters: TableStore['indexes'];
  readonly #where: RowExpression | null;
  readonly #set: CompiledSet | null;
  /** Rows that this operation has written: it may not write them twice. */
  readonly #rows = new Set<bigint>();

  constructor(app: Application, store: TableStore, clause: ConflictClause) {
    this.#app = app;
    this.#store = store;
    const { index, update } = clause;
    this.#arbiters = store.indexes.filter((candidate) =>
      index === null ? candidate.index.unique : candidate.index.id === index,
    );
    if (index !== null && this.#arbiters[0]?.index.unique !== true) throw conflict();
    if (index === null && update !== null) throw malformed(store.table);
    const where = update?.where ?? null;
    this.#where = where === null ? null : store.compile(where);
    if (update !== null) {
      refuseAppendOnly(store.table);
      const columns = update.set.map(({ column }) => column);
      demandTable(app.store.catalog, app.author, store.table, 'w', columns);
    }
    this.#set = update === null ? null : compileSet(store, update.set);
  }

  wrote(rowId: bigint): void {
    if (this.#set !== null) this.#rows.add(rowId);
  }

  resolve(values: readonly Datum[]): 'insert' | 'updated' | 'nothing' {
    const existing = this.#existing(values);
    if (existing === null) return 'insert';
    if (this.#set === null) return 'nothing';
    if (this.#rows.has(existing.rowId)) {
      throw new SqlError(
        SQLSTATE.cardinalityViolation,
        'ON CONFLICT DO UPDATE command cannot affect row a second time',
        {
          hint: 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.',
        },
      );
    }
    if (this.#where !== null && this.#where(existing.values, values) !== 1n) return 'nothing';
    const after = assigned(this.#set, existing.values, values);
    rulesOf(this.#store, this.#app.store.catalog).complete(after);
    this.#app.updateRow(this.#store, existing, after);
    this.#rows.add(existing.rowId);
    return 'updated';
  }

  #existing(values: readonly Datum[]): StoredRow | null {
    for (const arbiter of this.#arbiters) {
      const key = arbiter.key(values);
      const rowId = key === null ? null : this.#store.find(arbiter, key);
      if (rowId !== null) return this.#store.row(rowId);
    }
    return null;
  }
}

type CompiledSet = readonly { readonly position: number; readonly value: RowExpression }[];

function compileSet(store: TableStore, set: readonly Assignment[]): CompiledSet {
  const positions = writablePositions(
    store,
    set.map(({ column }) => column),
  );
  return set.map(({ value }, i) => ({ position: positions[i]!, value: store.compile(value) }));
}

/** The row after SET; every expression sees the row before. */
function assigned(
  set: CompiledSet,
  before: readonly Datum[],
  excluded?: readonly Datum[],
): Datum[] {
  const after = before.slice();
  for (const { position, value } of set) after[position] = value(before, excluded);
  return after;
}

export function applyProgram(app: Application, operation: OperationOf<'program'>): OperationCounts {
  const { catalog } = app.store;
  const store = tableOf(app, operation.relation, operation.schemaVersion);
  refuseAppendOnly(store.table);
  const columns = operation.set?.map(({ column }) => column) ?? [];
  demandTable(catalog, app.author, store.table, operation.set === null ? 'd' : 'w', columns);
  const index = store.index(operation.index);
  if (index?.index.unique !== true) throw conflict();
  const { keys } = index.index;
  const fits = operation.key.every((value, i) => i < keys.length && conforms(value, keys[i]!.type));
  if (!fits || operation.key.length !== keys.length) throw malformed(store.table);
  const rowId = store.find(index, index.keyOf(operation.key));
  const row = rowId === null ? null : store.row(rowId);
  const where = operation.where === null ? null : store.compile(operation.where);
  if (row === null || (where !== null && where(row.values) !== 1n)) {
    if (operation.required) throw conflict();
    return NOTHING;
  }
  if (operation.set === null) {
    app.deleteRow(store, row);
    return { inserted: 0, updated: 0, deleted: 1 };
  }
  const after = assigned(compileSet(store, operation.set), row.values);
  rulesOf(store, catalog).complete(after);
  app.updateRow(store, row, after);
  return { inserted: 0, updated: 1, deleted: 0 };
}

export function applyUpdate(app: Application, operation: OperationOf<'update'>): OperationCounts {
  const { catalog } = app.store;
  const store = tableOf(app, operation.relation, operation.schemaVersion);
  refuseAppendOnly(store.table);
  demandTable(catalog, app.author, store.table, 'w', operation.columns);
  const positions = writablePositions(store, operation.columns);
  const rules = rulesOf(store, catalog);
  for (const image of operation.rows) {
    const row = app.expect(store, image.rowId, image.version);
    const after = row.values.slice();
    for (let i = 0; i < positions.length; i++) after[positions[i]!] = image.values[i]!;
    rules.complete(after);
    app.updateRow(store, row, after);
  }
  return { inserted: 0, updated: operation.rows.length, deleted: 0 };
}

export function applyDelete(app: Application, operation: OperationOf<'delete'>): OperationCounts {
  const store = tableOf(app, operation.relation, null);
  refuseAppendOnly(store.table);
  demandTable(app.store.catalog, app.author, store.table, 'd', []);
  for (const { rowId, version } of operation.rows) {
    app.deleteRow(store, app.expect(store, rowId, version));
  }
  return { inserted: 0, updated: 0, deleted: operation.rows.length };
}

export function applyRequire(app: Application, operation: OperationOf<'require'>): OperationCounts {
  const store = tableOf(app, operation.relation, null);
  for (const { rowId, version } of operation.rows) app.expect(store, rowId, version);
  return NOTHING;
}

export function applyRequireTable(
  app: Application,
  operation: OperationOf<'requireTable'>,
): OperationCounts {
  tableOf(app, operation.relation, null);
  if (app.writtenBefore(operation.relation) > operation.stamp) throw conflict();
  return NOTHING;
}

export function applyTruncate(
  app: Application,
  operation: OperationOf<'truncate'>,
): OperationCounts {
  let deleted = 0;
  for (const relation of operation.relations) {
    const store = tableOf(app, relation, null);
    const { table } = store;
    refuseAppendOnly(table);
    demandTable(app.store.catalog, app.author, table, 'D', []);
    for (const { child } of app.store.incoming(relation)) {
      if (operation.relations.includes(child.id)) continue;
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        'cannot truncate a table referenced in a foreign key constraint',
        {
          detail: `Table "${child.name}" references "${table.name}".`,
          hint: `Truncate table "${child.name}" at the same time, or use TRUNCATE ... CASCADE.`,
        },
      );
    }
    deleted += truncateRows(app, store);
  }
  return { inserted: 0, updated: 0, deleted };
}

function truncateRows(app: Application, store: TableStore): number {
  let deleted = 0;
  for (;;) {
    const rowIds = store.rowIdsAfter(0n, TRUNCATE_BATCH_ROWS);
    if (rowIds.length === 0) return deleted;
    for (const rowId of rowIds) app.deleteRow(store, store.row(rowId)!);
    deleted += rowIds.length;
  }
}
