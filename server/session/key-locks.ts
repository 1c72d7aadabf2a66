// Locks on keys, so that sessions wait for each other where Postgres lets them: for a value of a unique key
// that somebody has inserted, changed or deleted and not yet committed, and for the row that a foreign key
// refers to. Shell.
//
// (1) A transaction takes at most KEY_LOCKS_MAX of them. What it writes beyond is found at COMMIT: 40001.
// (2) Tables that the transaction has made itself are nobody else's: no locks.

import { hex } from '../../ledger/bytes.ts';
import type { Table } from '../../ledger/catalog.ts';
import type { Datum } from '../../ledger/type.ts';
import { rulesOf } from '../../storage/constraints.ts';
import type { IndexShape, StoredRow } from '../../storage/table-shape.ts';
import { KEY_LOCKS_MAX } from '../limits.ts';
import type { SessionContext } from './context.ts';
import { EdgeTables, sameDatum } from './edge-table.ts';
import type { EdgeTable } from './edge-table.ts';
import { rowLockKey } from './transaction-commands.ts';

/** Before rows are inserted: their unique keys, and the rows they refer to. Generated columns are filled in. */
export async function lockInserted(
  session: SessionContext,
  table: Table,
  rows: readonly Datum[][],
): Promise<void> {
  if (!isShared(session, table) || rows.length > KEY_LOCKS_MAX) return;
  const tables = new EdgeTables(session);
  const edge = tables.table(table);
  if (!edge.indexes.some(({ index }) => index.unique) && table.foreignKeys.length === 0) return;
  const rules = rulesOf(edge, session.catalog);
  const generates = table.columns.some((column) => column.generated !== null);
  for (const values of rows) {
    if (generates) rules.complete(values);
    for (const key of uniqueKeys(edge, values)) await session.lock(key, 'update');
    await lockParents(session, tables, edge, null, values);
  }
  await session.services.locks.unlocked.settled(table.id);
}

/** Before a row is updated (`values`) or deleted (null): keys it gives up and takes, rows it will refer to. */
export async function lockChanged(
  session: SessionContext,
  tables: EdgeTables,
  edge: EdgeTable,
  row: StoredRow,
  values: readonly Datum[] | null,
): Promise<void> {
  if (!isShared(session, edge.table)) return;
  const before = uniqueKeys(edge, row.values);
  const after = values === null ? [] : uniqueKeys(edge, values);
  for (const key of before) if (!after.includes(key)) await session.lock(key, 'update');
  const taken = after.filter((key) => !before.includes(key));
  for (const key of taken) await session.lock(key, 'update');
  if (taken.length > 0) await session.services.locks.unlocked.settled(edge.table.id);
  if (values !== null) await lockParents(session, tables, edge, row.values, values);
}

/** A table that others can see. */
function isShared(session: SessionContext, table: Table): boolean {
  return session.services.catalog().relations.has(table.id) && session.keyLocks < KEY_LOCKS_MAX;
}

/** Names of the unique keys of a row; keys with nulls collide with none. */
export function uniqueKeys(
  edge: EdgeTable,
  values: readonly Datum[],
  indexes: readonly IndexShape[] = edge.indexes,
): string[] {
  return indexes.flatMap((index) => {
    if (!index.index.unique) return [];
    const key = index.key(values);
    if (key === null || key.includes(null)) return [];
    return `key${index.index.id}:${key.map(keyText).join()}`;
  });
}

function keyText(value: Datum): string {
  if (value instanceof Uint8Array) return hex(value);
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

async function lockParents(
  session: SessionContext,
  tables: EdgeTables,
  edge: EdgeTable,
  before: readonly Datum[] | null,
  values: readonly Datum[],
): Promise<void> {
  for (const { columns, references, referencedColumns } of edge.table.foreignKeys) {
    const positions = columns.map((id) => edge.position(id)!);
    const key = positions.map((at) => values[at] ?? null);
    const same =
      before !== null && positions.every((at, i) => sameDatum(before[at] ?? null, key[i]!));
    const parent = session.catalog.relations.get(references);
    if (same || key.includes(null) || parent?.kind !== 'table' || !isShared(session, parent))
      continue;
    for (const { rowId } of tables.table(parent).committedWhere(referencedColumns, key)) {
      await session.lock(rowLockKey(parent.id, rowId), 'keyShare');
    }
  }
}
