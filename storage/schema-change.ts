// Catalog operations: the new catalog, SQLite's tables changed to fit, the rows checked. Shell.
//
// (1) Adding a column is a constant default in SQLite: no row is touched. A dropped column stays in the file,
//     so that rows written before can be read as they were; a dropped table keeps its rows and history.
// (2) A changed type arrives with images of the rows, written by the edge, later in the same transaction (and
//     a `requireTable`, so that no other row slips in). Until its end the indexes on that column are away.
// (3) Rows are checked against new constraints at the end of the transaction, when images and fills are in.

import { applyChanges } from '../ledger/catalog.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { isSqlError, SqlError } from '../ledger/error.ts';
import { compileExpression } from '../ledger/evaluate.ts';
import { hex } from '../ledger/bytes.ts';
import { conflict } from './application.ts';
import { conforms } from './conform.ts';
import { comparableKey, containsNulls, duplicated } from './constraints.ts';
import { rulesOf, tableFields, violatedBySomeRow } from './constraints.ts';
import { checkReference } from './foreign-keys.ts';
import { moveTable, versionsIn } from './move-table.ts';
import { columnName, hiddenKeyName, indexName, keyIsHidden } from './names.ts';
import { FROM, ROW_ID, TO, VERSION, predicateName } from './names.ts';
import { partsOf, shardColumn, spreadsBy } from './parts.ts';
import { isUniqueViolation, uniqueViolation } from './sqlite.ts';
import { demandChange } from './privileges.ts';
import { NOTHING } from './apply-rows.ts';
import type { Application } from './application.ts';
import type { Catalog, Column, Index, Table } from '../ledger/catalog.ts';
import type { OperationCounts, OperationOf } from '../ledger/operation.ts';
import type { Datum } from '../ledger/type.ts';
import type { StateStore } from './state-store.ts';

/** Rows that one schema change may check, rewrite, index or move: it stops the chain meanwhile. */
export const SCHEMA_CHANGE_ROWS_MAX = 20_000_000;

/** @throws SqlError 40001, 42501, 0A000, 23xxx */
export function applyCatalog(app: Application, operation: OperationOf<'catalog'>): OperationCounts {
  const { store } = app;
  const before = store.catalog;
  if (before.version !== operation.base) throw conflict();
  for (const change of operation.changes) demandChange(before, app.author, change);
  const after = applyChanges(before, operation.changes);
  checkClosed(store, after);
  store.catalog = after;
  store.recordChanges(app.stamp, operation.changes);
  for (const [id, relation] of after.relations) {
    const old = before.relations.get(id);
    if (old === relation || relation.kind !== 'table') continue;
    if (old === undefined) createTable(store, relation);
    else if (old.kind === 'table') alterTable(app, old, relation);
    else throw malformed(`relation ${id} changes its kind`);
  }
  for (const [table, column] of narrowedColumns(before, after)) {
    app.validations.push(() => validateDomain(store, before, table, column));
  }
  return NOTHING;
}

/** The first catalog, at genesis. */
export function createTables(store: StateStore, catalog: Catalog): void {
  for (const relation of catalog.relations.values()) {
    if (relation.kind === 'table') createTable(store, relation);
  }
}

function malformed(what: string): SqlError {
  return new SqlError(SQLSTATE.invalidTableDefinition, `impossible catalog change: ${what}`);
}

/** Everything that is referred to must be there: apply relies on it from now on. */
function checkClosed(store: StateStore, catalog: Catalog): void {
  for (const relation of catalog.relations.values()) {
    if (!catalog.schemas.has(relation.schema)) throw malformed(`no schema ${relation.schema}`);
    if (!catalog.roles.has(relation.owner)) throw malformed(`no role ${relation.owner}`);
    if (relation.kind !== 'table') continue;
    if (relation.shard >= store.data.stateShards) {
      throw new SqlError(SQLSTATE.invalidParameterValue, `shard ${relation.shard} does not exist`);
    }
    checkSpread(store, relation);
    const ids = new Set(relation.columns.map(({ id }) => id));
    if (ids.size !== relation.columns.length) throw malformed('a column id is used twice');
    for (const { type, missing } of relation.columns) {
      if (type.userType !== null && !catalog.types.has(type.userType)) {
        throw malformed(`no type ${type.userType}`);
      }
      if (!conforms(missing, type)) throw malformed('a default for old rows is not of its type');
    }
    const keys = relation.indexes.flatMap((index) => index.keys);
    if (keys.some(({ column, expression }) => (column === null) === (expression === null))) {
      throw malformed('an index key is neither column nor expression');
    }
    const used = [
      ...keys.flatMap(({ column }) => (column === null ? [] : [column])),
      ...relation.foreignKeys.flatMap(({ columns }) => columns),
    ];
    if (used.some((id) => !ids.has(id))) throw malformed('a constraint is on no column');
    for (const { references, referencedColumns, index } of relation.foreignKeys) {
      const parent = catalog.relations.get(references);
      const target =
        parent?.kind === 'table' ? parent.indexes.find(({ id }) => id === index) : null;
      const same =
        target?.unique === true &&
        target.keys.length === referencedColumns.length &&
        target.keys.every(({ column }) => referencedColumns.includes(column ?? -1));
      if (!same) throw malformed('a foreign key refers to no unique index');
    }
  }
}

/** @throws SqlError 22023 for more parts than there are shards */
function checkSpread({ data }: StateStore, table: Table): void {
  const { spread } = table;
  if (spread === null) return;
  const column = shardColumn(table);
  if (column === null || !spreadsBy(column.type)) throw malformed('a table is spread by no column');
  if (spread.parts <= data.stateShards) return;
  throw new SqlError(SQLSTATE.invalidParameterValue, `shard ${spread.parts - 1} does not exist`);
}

function createTable(store: StateStore, table: Table): void {
  const columns = table.columns.map(({ id }) => `, ${columnName(id)}`).join('');
  const { database } = store;
  for (const { schema, rows, history } of partsOf(table)) {
    database.exec(
      `CREATE TABLE ${schema}.${rows} (${ROW_ID} INTEGER PRIMARY KEY, ${VERSION}${columns})`,
    );
    database.exec(
      `CREATE TABLE ${schema}.${history}` +
        ` (${ROW_ID}, ${FROM}, ${TO}${columns}, PRIMARY KEY (${ROW_ID}, ${FROM})) WITHOUT ROWID`,
    );
  }
  addHidden(store, table);
  for (const index of table.indexes) createIndex(store, table, index);
}

function alterTable(app: Application, old: Table, table: Table): void {
  const { store } = app;
  if (old.shard !== table.shard) {
    refuseTooMany(versionsIn(store.database, old, SCHEMA_CHANGE_ROWS_MAX));
    moveTable(store.database, old, table.shard);
  }
  if (old.spread?.column !== table.spread?.column || old.spread?.parts !== table.spread?.parts) {
    throw new SqlError(SQLSTATE.featureNotSupported, 'a table cannot be spread otherwise');
  }
  if (old.schemaVersion === table.schemaVersion) {
    if (shapeOf(old) !== shapeOf(table)) throw malformed('a new shape needs a new schema version');
    return;
  }
  app.reshaped(table.id);
  const known = new Map(old.columns.map((column) => [column.id, column]));
  const retyped = new Set<number>();
  for (const column of table.columns) {
    const former = known.get(column.id);
    if (former === undefined) addColumn(store, table, column);
    else if (JSON.stringify(former.type) !== JSON.stringify(column.type)) retyped.add(column.id);
  }
  if (retyped.has(table.spread?.column ?? -1)) throw malformed('rows would lie in wrong parts');
  const added = table.columns.filter(({ id }) => !known.has(id));
  addHidden(store, table);
  const kept = alterIndexes(app, old, table, retyped);
  const checks = rowChecks(old, table, known, retyped, added);
  const late = table.indexes.filter(({ id }) => !kept.has(id));
  if (late.length > 0 || checks) {
    app.validations.push(() => validate(app, table.id, old, late));
  }
}

/** Everything about a table that rows or files depend on. */
function shapeOf({ columns, indexes, checks, foreignKeys }: Table): string {
  const plain = (key: string, value: unknown): unknown => {
    if (key === 'grants' || key === 'name' || key === 'defaultText') return undefined;
    if (value instanceof Uint8Array) return hex(value);
    return typeof value === 'bigint' ? `${value}n` : value;
  };
  return JSON.stringify([columns, indexes, checks, foreignKeys], plain);
}

function addColumn(store: StateStore, table: Table, { id, missing }: Column): void {
  const value = missing === null ? '' : ` DEFAULT ${literal(missing)}`;
  for (const { schema, rows, history } of partsOf(table)) {
    for (const name of [rows, history]) {
      store.database.exec(`ALTER TABLE ${schema}.${name} ADD COLUMN ${columnName(id)}${value}`);
    }
  }
}

/** A value as SQLite text that reads back as exactly that value. */
function literal(value: Exclude<Datum, null>): string {
  switch (typeof value) {
    case 'bigint':
      return value.toString();
    case 'number':
      if (!Number.isFinite(value)) return value > 0 ? '9e999' : '-9e999';
      return Number.isInteger(value) ? `${value.toExponential()}` : String(value);
    case 'string':
      return `'${value.replaceAll("'", "''")}'`;
    default:
      return `X'${hex(value)}'`;
  }
}

/** Drops and makes indexes; returns the ids of those that are in place. */
function alterIndexes(
  app: Application,
  old: Table,
  table: Table,
  retyped: ReadonlySet<number>,
): ReadonlySet<number> {
  const { store } = app;
  const touches = (index: Index): boolean =>
    retyped.size > 0 &&
    (index.predicate !== null ||
      index.keys.some(({ column }) => column === null || retyped.has(column)));
  const inPlace = new Map(old.indexes.map((index) => [index.id, index]));
  for (const index of old.indexes) {
    const now = table.indexes.find(({ id }) => id === index.id);
    const same = now !== undefined && definitionOf(now) === definitionOf(index) && !touches(now);
    if (same) continue;
    for (const { schema } of partsOf(table)) {
      store.database.exec(`DROP INDEX ${schema}.${indexName(index.id)}`);
    }
    inPlace.delete(index.id);
  }
  for (const index of table.indexes) {
    if (inPlace.has(index.id) || touches(index)) continue;
    createIndex(store, table, index);
    inPlace.set(index.id, index);
  }
  return new Set(inPlace.keys());
}

function definitionOf({ unique, nullsNotDistinct, keys, predicate }: Index): string {
  const plain = (_: string, value: unknown): unknown => {
    if (value instanceof Uint8Array) return hex(value);
    return typeof value === 'bigint' ? `${value}n` : value;
  };
  return JSON.stringify([unique, nullsNotDistinct, keys, predicate], plain);
}

function hiddenColumns(index: Index): string[] {
  const names = index.keys.flatMap((key, i) =>
    keyIsHidden(index, key) ? [hiddenKeyName(index.id, i)] : [],
  );
  if (index.predicate !== null) names.push(predicateName(index.id));
  return names;
}

/** Adds the hidden columns that the table's indexes need, before any of them is made. */
function addHidden(store: StateStore, table: Table): void {
  for (const { schema, rows } of partsOf(table)) {
    const info = store.database.pragma(`${schema}.table_info(${rows})`) as { name: string }[];
    const present = new Set(info.map((column) => column.name));
    for (const hidden of table.indexes.flatMap(hiddenColumns)) {
      if (present.has(hidden)) continue;
      store.database.exec(`ALTER TABLE ${schema}.${rows} ADD COLUMN ${hidden}`);
    }
  }
}

/** @throws SqlError 23505 when rows collide */
function createIndex(store: StateStore, table: Table, index: Index): void {
  const { database } = store;
  const hidden = hiddenColumns(index);
  if (hidden.length > 0) fillHidden(store, table, hidden);
  const keys = index.keys.map((key, i) => {
    const name = keyIsHidden(index, key) ? hiddenKeyName(index.id, i) : columnName(key.column!);
    return key.descending ? `${name} DESC` : name;
  });
  const where = index.predicate === null ? '' : ` WHERE ${predicateName(index.id)}=1`;
  try {
    for (const { schema, rows } of partsOf(table)) {
      database.exec(
        `CREATE ${index.unique ? 'UNIQUE ' : ''}INDEX ${schema}.${indexName(index.id)}` +
          ` ON ${rows} (${keys.join(', ')})${where}`,
      );
    }
    if (table.spread !== null && index.unique && store.table(table).hasTakenTwice(index.id)) {
      throw uniqueViolation();
    }
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw duplicateError(store, table, index);
  }
}

/** Computes the hidden columns of the rows that are there already. */
function fillHidden(store: StateStore, table: Table, hidden: readonly string[]): void {
  const tableStore = store.table(table);
  let last = 0n;
  let count = 0;
  for (;;) {
    const batch = tableStore.rowIdsAfter(last, FILL_BATCH_ROWS);
    if (batch.length === 0) return;
    count += batch.length;
    refuseTooMany(count);
    for (const rowId of batch) tableStore.fillHidden(tableStore.row(rowId)!, hidden);
    last = batch.at(-1)!;
  }
}

const FILL_BATCH_ROWS = 1_000;

function refuseTooMany(rows: number): void {
  if (rows <= SCHEMA_CHANGE_ROWS_MAX) return;
  throw new SqlError(
    SQLSTATE.programLimitExceeded,
    `a schema change may not check or move more than ${SCHEMA_CHANGE_ROWS_MAX} rows`,
  );
}

function duplicateError(store: StateStore, table: Table, index: Index): SqlError {
  const tableStore = store.table(table);
  const indexStore = tableStore.index(index.id)!;
  const seen = new Set<string>();
  for (const { values } of tableStore.scan()) {
    const key = comparableKey(indexStore.key(values));
    if (key === null) continue;
    if (seen.has(key)) return duplicated(store.catalog, tableStore, indexStore, values);
    seen.add(key);
  }
  return duplicated(store.catalog, tableStore, indexStore, null);
}

/** Whether rows that were there before must be looked at. */
function rowChecks(
  old: Table,
  table: Table,
  known: ReadonlyMap<number, Column>,
  retyped: ReadonlySet<number>,
  added: readonly Column[],
): boolean {
  return (
    retyped.size > 0 ||
    added.some(
      ({ notNull, generated, type }) => notNull || generated !== null || type.userType !== null,
    ) ||
    table.columns.some(({ id, notNull }) => notNull && known.get(id)?.notNull === false) ||
    table.checks.some(({ id }) => !old.checks.some((check) => check.id === id)) ||
    table.foreignKeys.some(({ id }) => !old.foreignKeys.some((key) => key.id === id))
  );
}

/** At the end of the transaction: every row satisfies the table as it is now. */
function validate(app: Application, id: number, old: Table, late: readonly Index[]): void {
  const { store } = app;
  const table = store.catalog.relations.get(id);
  if (table?.kind !== 'table') return;
  const tableStore = store.table(table);
  const rules = rulesOf(tableStore, store.catalog);
  const foreignKeys = table.foreignKeys.filter(
    ({ id: key }) => !old.foreignKeys.some((known) => known.id === key),
  );
  const generated = table.columns.flatMap((column, position) =>
    column.generated !== null && !old.columns.some((known) => known.id === column.id)
      ? [position]
      : [],
  );
  let count = 0;
  for (const row of tableStore.scan()) {
    refuseTooMany(++count);
    for (const position of table.columns.keys()) {
      const { type, notNull, name } = table.columns[position]!;
      const value = row.values[position]!;
      // A row written by somebody else since the edge made its images.
      if (!conforms(value, type)) throw conflict();
      if (value === null && notNull) throw containsNulls(store.catalog, table, name);
    }
    const values = row.values.slice();
    try {
      rules.complete(values);
    } catch (error) {
      throw asOfSomeRow(error, store.catalog, table);
    }
    if (generated.some((position) => !identical(values[position]!, row.values[position]!))) {
      throw conflict();
    }
    for (const key of foreignKeys) checkReference(store, tableStore, key, row.values);
  }
  for (const index of late) {
    const now = table.indexes.find((candidate) => candidate.id === index.id);
    if (now !== undefined) createIndex(store, table, now);
  }
}

/** Ids of table and column, where the column's domain allows less than before. */
function* narrowedColumns(before: Catalog, after: Catalog): Generator<[number, number]> {
  for (const [id, domain] of after.types) {
    const old = before.types.get(id);
    if (domain === old || domain.kind !== 'domain' || old?.kind !== 'domain') continue;
    const narrower =
      (domain.notNull && !old.notNull) ||
      domain.checks.some((check) => !old.checks.some((known) => known.id === check.id));
    if (!narrower) continue;
    for (const relation of before.relations.values()) {
      if (relation.kind !== 'table') continue;
      for (const column of relation.columns) {
        if (column.type.userType === id && !column.type.array) yield [relation.id, column.id];
      }
    }
  }
}

/** At the end of the transaction: the values of a column satisfy its domain as it is now. */
function validateDomain(store: StateStore, before: Catalog, id: number, columnId: number): void {
  const table = store.catalog.relations.get(id);
  if (table?.kind !== 'table') return;
  const position = table.columns.findIndex((each) => each.id === columnId);
  const column = table.columns[position];
  const domain = store.catalog.types.get(column?.type.userType ?? -1);
  if (column === undefined || domain?.kind !== 'domain') return;
  const known = before.types.get(domain.id);
  const checks = domain.checks
    .filter(
      (check) => known?.kind !== 'domain' || !known.checks.some(({ id: old }) => old === check.id),
    )
    .map(({ expression }) => compileExpression(expression));
  const fields = { ...tableFields(store.catalog, table), column: column.name };
  let count = 0;
  for (const { values } of store.table(table).scan()) {
    refuseTooMany(++count);
    const value = values[position]!;
    if (value === null && domain.notNull) {
      const message = `column "${column.name}" of table "${table.name}" contains null values`;
      throw new SqlError(SQLSTATE.notNullViolation, message, fields);
    }
    if (checks.some((holds) => holds(() => value) === 0n)) {
      const message = `column "${column.name}" of table "${table.name}" contains values that violate the new constraint`;
      throw new SqlError(SQLSTATE.checkViolation, message, fields);
    }
  }
}

function identical(a: Datum, b: Datum): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return Object.is(a, b);
}

/** For rows that are there already, Postgres words a failed CHECK differently. */
function asOfSomeRow(error: unknown, catalog: Catalog, table: Table): unknown {
  if (!isSqlError(error)) return error;
  const { sqlstate, fields } = error;
  if (sqlstate !== SQLSTATE.checkViolation || fields.dataType !== undefined) return error;
  return violatedBySomeRow(catalog, table, fields.constraint ?? '');
}
