// Rows written inside an open transaction: constraints, cascades, overlay, operations. Shell.
//
// Each function carries out one statement's worth of changes. After an error the statement's changes may lie
// half in the overlay: the transaction has failed then, and ROLLBACK TO takes them out.

import type { ForeignKey, Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { describeKey, rulesOf, tableFields, uniqueError } from '../../storage/constraints.ts';
import { checkReference } from '../../storage/foreign-keys.ts';
import type { StoredRow } from '../../storage/table-shape.ts';
import type { SessionContext } from './context.ts';
import { compileEdge, valueOf } from './edge-expression.ts';
import { EdgeTables, sameDatum } from './edge-table.ts';
import type { EdgeTable } from './edge-table.ts';
import { lockChanged } from './key-locks.ts';
import type { OpenTransaction } from './open-transaction.ts';
import { rowLockKey } from './transaction-commands.ts';
import { turns } from './turns.ts';

/** A row as a statement has left it; what it refers to is checked when the statement is done. */
interface WrittenRow {
  readonly edge: EdgeTable;
  readonly rowId: bigint;
  readonly values: readonly Datum[];
}

/** A row that is to change: its new values, or null to delete it. */
export interface RowChange {
  readonly row: StoredRow;
  readonly values: readonly Datum[] | null;
}

/**
 * Inserts rows.
 *
 * @param rows  full rows in column order; generated columns are filled in, in place
 * @param taken  words the error of the row whose key is taken
 */
export async function insertRows(
  session: SessionContext,
  transaction: OpenTransaction,
  table: Table,
  rows: readonly Datum[][],
  taken: (error: SqlError, row: number) => SqlError = (error) => error,
): Promise<void> {
  const tables = new EdgeTables(session);
  const edge = tables.table(table);
  const rules = rulesOf(edge, session.catalog);
  const ids: bigint[] = [];
  const pause = turns(session);
  for (const values of rows) {
    rules.complete(values);
    // Rows that were spooled cannot be looked at; duplicates are found at COMMIT.
    const duplicate = transaction.spooled.has(table.id)
      ? null
      : uniqueError(edge, session.catalog, values, null);
    if (duplicate !== null) throw taken(duplicate, ids.length);
    const rowId = transaction.nextInsertedId();
    edge.put(transaction, { rowId, version: 0n, deleted: false, values });
    ids.push(rowId);
    const wait = pause();
    if (wait !== undefined) await wait;
  }
  const columns = table.columns.flatMap((column, i) => (column.generated === null ? [i] : []));
  transaction.push({
    kind: 'insert',
    relation: table.id,
    schemaVersion: table.schemaVersion,
    columns: columns.map((i) => table.columns[i]!.id),
    rows: rows.map((values) => columns.map((i) => values[i]!)),
    conflict: null,
  });
  if (table.foreignKeys.length === 0) return;
  for (const [i, values] of rows.entries()) {
    checkReferences(session, transaction, edge, ids[i]!, values);
    const wait = pause();
    if (wait !== undefined) await wait;
  }
}

/** Updates and deletes rows of one table, with what follows from it in others. Rows are locked by the caller. */
export async function changeRows(
  session: SessionContext,
  transaction: OpenTransaction,
  table: Table,
  changes: readonly RowChange[],
): Promise<void> {
  const tables = new EdgeTables(session);
  const check = await following(session, transaction, (written, owed) =>
    changeTable(session, transaction, tables, table, changes, written, owed),
  );
  await check();
}

/** Writes rows; gives back what is left to be checked then. */
async function following(
  session: SessionContext,
  transaction: OpenTransaction,
  work: (written: WrittenRow[], owed: (() => Promise<void>)[]) => Promise<void>,
): Promise<() => Promise<void>> {
  const written: WrittenRow[] = [];
  const owed: (() => Promise<void>)[] = [];
  await work(written, owed);
  return async () => {
    for (const check of owed) await check();
    const pause = turns(session);
    for (const { edge, rowId, values } of written) {
      checkReferences(session, transaction, edge, rowId, values);
      const wait = pause();
      if (wait !== undefined) await wait;
    }
  };
}

async function changeTable(
  session: SessionContext,
  transaction: OpenTransaction,
  tables: EdgeTables,
  table: Table,
  changes: readonly RowChange[],
  written: WrittenRow[],
  owed: (() => Promise<void>)[],
): Promise<void> {
  if (changes.length === 0) return;
  refuseAppendOnly(table);
  const edge = tables.table(table);
  const rules = rulesOf(edge, session.catalog);
  const pause = turns(session);
  for (const { row, values } of changes) {
    const wait = pause();
    if (wait !== undefined) await wait;
    if (values !== null) rules.complete(values as Datum[]);
    await lockChanged(session, tables, edge, row, values);
    if (values === null) {
      edge.put(transaction, { ...row, deleted: true });
      continue;
    }
    const duplicate = uniqueError(edge, session.catalog, values, row.rowId);
    if (duplicate !== null) throw duplicate;
    edge.put(transaction, { rowId: row.rowId, version: 0n, deleted: false, values });
    written.push({ edge, rowId: row.rowId, values });
  }
  pushImages(transaction, table, changes);
  const follow = (rows: WrittenRow[], checks: (() => Promise<void>)[]): Promise<void> =>
    cascade(session, transaction, tables, edge, changes, rows, checks);
  const { constraints } = transaction;
  if (constraints.postponed) constraints.act(() => following(session, transaction, follow));
  else await follow(written, owed);
}

export function refuseAppendOnly(table: Table): void {
  if (!table.appendOnly) return;
  throw new SqlError(
    SQLSTATE.objectNotInPrerequisiteState,
    `table "${table.name}" is append-only`,
    {
      hint: 'Rows of a table WITH (ledger = append_only) can be inserted, not updated or deleted.',
    },
  );
}

/** The operations for changed rows: one for updates (columns that changed in any of them), one for deletes. */
function pushImages(
  transaction: OpenTransaction,
  table: Table,
  changes: readonly RowChange[],
): void {
  const updated = changes.filter((change) => change.values !== null);
  const deleted = changes.filter((change) => change.values === null);
  if (updated.length > 0) transaction.push(updateImage(table, updated));
  if (deleted.length > 0) {
    transaction.push({
      kind: 'delete',
      relation: table.id,
      rows: deleted.map(({ row }) => ({ rowId: row.rowId, version: row.version })),
    });
  }
}

/** The image operation for updated rows. */
export function updateImage(table: Table, updated: readonly RowChange[]) {
  const positions = table.columns.flatMap((column, i) => {
    if (column.generated !== null) return [];
    return updated.some(({ row, values }) => !sameDatum(row.values[i] ?? null, values![i] ?? null))
      ? [i]
      : [];
  });
  return {
    kind: 'update' as const,
    relation: table.id,
    schemaVersion: table.schemaVersion,
    columns: positions.map((i) => table.columns[i]!.id),
    rows: updated.map(({ row, values }) => ({
      rowId: row.rowId,
      version: row.version,
      values: positions.map((i) => values![i]!),
    })),
  };
}

/** A key that a changed row has given up. */
interface GivenUp {
  readonly key: readonly Datum[];
  /** What stands in its place; null: the row is gone. */
  readonly after: readonly Datum[] | null;
}

/** What foreign keys that refer to this table make of the change. */
async function cascade(
  session: SessionContext,
  transaction: OpenTransaction,
  tables: EdgeTables,
  parent: EdgeTable,
  changes: readonly RowChange[],
  written: WrittenRow[],
  owed: (() => Promise<void>)[],
): Promise<void> {
  for (const { child, foreignKey } of incoming(session, parent.table)) {
    const all = givenUp(parent, foreignKey, changes);
    const childChanges: RowChange[] = [];
    for (const [action, some] of [
      [foreignKey.onDelete, all.filter(({ after }) => after === null)],
      [foreignKey.onUpdate, all.filter(({ after }) => after !== null)],
    ] as const) {
      if (some.length === 0) continue;
      const keys = some.map(({ key }) => key);
      if (action === 'restrict') {
        await refuseReferenced(session, parent, tables.table(child), foreignKey, keys, action);
        continue;
      }
      // The default may be the very key that goes away.
      if (action === 'noAction' || action === 'setDefault') {
        owed.push(() => checkGivenUp(session, transaction, child, foreignKey, keys));
      }
      if (action === 'noAction') continue;
      childChanges.push(
        ...(await cascadedRows(session, tables.table(child), foreignKey, action, some)),
      );
    }
    await changeTable(session, transaction, tables, child, childChanges, written, owed);
  }
}

/** The referenced keys that the changes take away. */
function givenUp(
  parent: EdgeTable,
  { referencedColumns }: ForeignKey,
  changes: readonly RowChange[],
): GivenUp[] {
  const positions = referencedColumns.map((id) => parent.position(id)!);
  return changes.flatMap(({ row, values }) => {
    const key = positions.map((at) => row.values[at] ?? null);
    const after = values === null ? null : positions.map((at) => values[at] ?? null);
    const kept = after?.every((value, i) => sameDatum(value, key[i]!)) === true;
    return kept || key.includes(null) ? [] : [{ key, after }];
  });
}

/** The rows that refer to the keys, as the action leaves them. */
async function cascadedRows(
  session: SessionContext,
  child: EdgeTable,
  foreignKey: ForeignKey,
  action: 'cascade' | 'setNull' | 'setDefault',
  some: readonly GivenUp[],
): Promise<RowChange[]> {
  const changes: RowChange[] = [];
  const pause = turns(session);
  const found = await child.rowsWhereAny(
    foreignKey.columns,
    some.map(({ key }) => key),
  );
  for (const [i, rows] of found.entries()) {
    for (const { rowId } of rows) {
      const row = await lockedRow(session, child, rowId);
      if (row === null) continue;
      const source =
        action === 'setDefault'
          ? await defaultsOf(session, child.table, foreignKey)
          : some[i]!.after;
      changes.push({ row, values: cascaded(child.table, foreignKey, row, action, source) });
      const wait = pause();
      if (wait !== undefined) await wait;
    }
  }
  return changes;
}

/** @param source  the parent's new key; for SET DEFAULT the child's defaults, in column order */
function cascaded(
  child: Table,
  foreignKey: ForeignKey,
  row: StoredRow,
  action: 'cascade' | 'setNull' | 'setDefault',
  source: readonly Datum[] | null,
): readonly Datum[] | null {
  if (action === 'cascade' && source === null) return null;
  const values = [...row.values];
  foreignKey.columns.forEach((id, i) => {
    const at = child.columns.findIndex((column) => column.id === id);
    if (action === 'setNull') values[at] = null;
    else values[at] = source![action === 'cascade' ? i : at] ?? null;
  });
  return values;
}

/** Defaults of a foreign key's columns, at their places in the row. */
async function defaultsOf(
  session: SessionContext,
  table: Table,
  { columns }: ForeignKey,
): Promise<Datum[]> {
  const found = await session.services.analyst.defaults(table.id, session.analysisContext());
  const scope = { catalog: session.catalog, entry: 0 };
  const values: Datum[] = [];
  for (const column of table.columns) {
    const wanted = columns.includes(column.id);
    const scalar = wanted ? found.find((each) => each.column === column.id)?.expression : undefined;
    const edge = scalar === undefined ? null : compileEdge(scalar, scope);
    for (const id of edge?.sequences ?? []) {
      const sequence = session.catalog.relations.get(id);
      if (sequence?.kind === 'sequence') await session.reserve(sequence, 1);
    }
    values.push(edge === null ? null : await valueOf(edge, { session, parameters: [] }));
  }
  return values;
}

/** Locks a row and reads it again: null when it is gone. */
export async function lockedRow(
  session: SessionContext,
  edge: EdgeTable,
  rowId: bigint,
): Promise<StoredRow | null> {
  if (rowId > 0n) await session.lock(rowLockKey(edge.table.id, rowId), 'update');
  await session.services.locks.unlocked.settled(edge.table.id);
  return edge.row(rowId);
}

async function refuseReferenced(
  session: SessionContext,
  parent: EdgeTable,
  child: EdgeTable,
  foreignKey: ForeignKey,
  keys: readonly (readonly Datum[])[],
  action: 'noAction' | 'restrict',
): Promise<void> {
  const referring = await child.rowsWhereAny(foreignKey.columns, keys);
  const held = keys.filter((_, i) => referring[i]!.length > 0);
  if (held.length === 0) return;
  // Another row may have taken the key that one gave up.
  const taken =
    action === 'restrict' ? null : await parent.rowsWhereAny(foreignKey.referencedColumns, held);
  const key = held.find((_, i) => taken === null || taken[i]!.length === 0);
  if (key === undefined) return;
  const { name } = parent.table;
  throw new SqlError(
    SQLSTATE.foreignKeyViolation,
    `update or delete on table "${name}" violates foreign key constraint "${foreignKey.name}" on table "${child.table.name}"`,
    {
      detail: `Key ${describeKey(parent.table, foreignKey.referencedColumns, key)} is still referenced from table "${child.table.name}".`,
      ...tableFields(session.catalog, child.table),
      constraint: foreignKey.name,
    },
  );
}

/** Foreign keys that refer to a table. */
export function incoming(
  session: SessionContext,
  table: Table,
): { child: Table; foreignKey: ForeignKey }[] {
  const found: { child: Table; foreignKey: ForeignKey }[] = [];
  for (const relation of session.catalog.relations.values()) {
    if (relation.kind !== 'table') continue;
    for (const foreignKey of relation.foreignKeys) {
      if (foreignKey.references === table.id) found.push({ child: relation, foreignKey });
    }
  }
  return found;
}

/** What a row refers to must be there: now, or at COMMIT where the foreign key is deferred. */
function checkReferences(
  session: SessionContext,
  { constraints }: OpenTransaction,
  { table }: EdgeTable,
  rowId: bigint,
  values: readonly Datum[],
): void {
  const tables = new EdgeTables(session);
  for (const foreignKey of table.foreignKeys) {
    if (!constraints.isDeferred(foreignKey)) {
      checkReference(tables, tables.table(table), foreignKey, values);
      continue;
    }
    const run = (): void => {
      const now = current(session, table.id, foreignKey.id);
      const row = now === null ? null : now.child.row(rowId);
      if (row !== null) checkReference(tables, now!.child, now!.foreignKey, row.values);
    };
    constraints.owe({ foreignKey, run });
  }
}

/** No row may refer to keys that others gave up: now, or at COMMIT where the foreign key is deferred. */
async function checkGivenUp(
  session: SessionContext,
  { constraints }: OpenTransaction,
  child: Table,
  foreignKey: ForeignKey,
  keys: readonly (readonly Datum[])[],
): Promise<void> {
  const run = async (): Promise<void> => {
    const now = current(session, child.id, foreignKey.id);
    if (now === null) return;
    await refuseReferenced(session, now.parent, now.child, now.foreignKey, keys, 'noAction');
  };
  if (constraints.isDeferred(foreignKey)) constraints.owe({ foreignKey, run });
  else await run();
}

/** A foreign key and its tables as the transaction has them by now; null when it has dropped them. */
function current(
  session: SessionContext,
  table: number,
  id: number,
): { parent: EdgeTable; child: EdgeTable; foreignKey: ForeignKey } | null {
  const tables = new EdgeTables(session);
  const child = session.catalog.relations.get(table);
  const foreignKey =
    child?.kind === 'table' ? child.foreignKeys.find((each) => each.id === id) : undefined;
  const parent = session.catalog.relations.get(foreignKey?.references ?? 0);
  if (child?.kind !== 'table' || parent?.kind !== 'table' || foreignKey === undefined) return null;
  return { parent: tables.table(parent), child: tables.table(child), foreignKey };
}
