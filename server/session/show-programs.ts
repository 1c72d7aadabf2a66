// A row program runs when it is applied, on whatever row is there then. As soon as the transaction looks at
// its result, the row is locked, read again, and its version pinned: the program becomes an image. Shell.

import { SqlError } from '../../ledger/error.ts';
import type { Table } from '../../ledger/catalog.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { keyIndex } from '../../sql/compile/point-read.ts';
import type { StoredRow } from '../../storage/table-shape.ts';
import type { SessionContext } from './context.ts';
import { compileEdge } from './edge-expression.ts';
import type { EdgeExpression } from './edge-expression.ts';
import { EdgeTables } from './edge-table.ts';
import type { EdgeTable } from './edge-table.ts';
import type { OpenTransaction, UnseenProgram } from './open-transaction.ts';
import type { ReadPlan } from './plan.ts';
import { rowLockKey } from './transaction-commands.ts';
import { updateImage } from './write-rows.ts';

/** Before a read: makes images of the programs whose results it may see. Undefined when there are none. */
export function showPrograms(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): Promise<void> | undefined {
  const transaction = session.transaction!;
  const tables = plan.compiled.tables.filter((relation) => transaction.hasPrograms(relation));
  if (tables.length === 0) return undefined;
  // A key that takes long to compute is not computed here.
  if (plan.compiled.pointRead === null || !plan.compiled.bounded)
    return showProgramsOf(session, transaction, tables);
  const edge = edgeTable(session, tables[0]!);
  const rowId = keyedRow(session, plan, edge, parameters);
  if (rowId === null) return undefined;
  const programs = transaction.takePrograms(edge.table.id, rowId);
  return programs.length === 0 ? undefined : show(session, transaction, edge, programs);
}

/** Makes images of every unseen program of some tables. */
export async function showProgramsOf(
  session: SessionContext,
  transaction: OpenTransaction,
  tables: readonly number[],
): Promise<void> {
  for (const relation of tables) {
    const programs = transaction.takePrograms(relation);
    if (programs.length > 0)
      await show(session, transaction, edgeTable(session, relation), programs);
  }
}

/** One row as the transaction sees it, locked, with its unseen programs run; null when it is gone. */
export async function showRow(
  session: SessionContext,
  transaction: OpenTransaction,
  edge: EdgeTable,
  rowId: bigint,
): Promise<StoredRow | null> {
  const programs = transaction.takePrograms(edge.table.id, rowId);
  const mode = programs.length > 0 ? 'pin' : 'update';
  await session.lock(rowLockKey(edge.table.id, rowId), mode);
  await session.services.locks.unlocked.settled(edge.table.id);
  if (programs.length > 0) await show(session, transaction, edge, programs);
  return edge.row(rowId);
}

function edgeTable(session: SessionContext, relation: number): EdgeTable {
  const table = session.catalog.relations.get(relation);
  if (table?.kind !== 'table')
    throw new SqlError(SQLSTATE.undefinedTable, `table ${relation} is gone`);
  return new EdgeTables(session).table(table);
}

/** The newest version of the row that a point read finds, as the transaction sees it. */
export function pointRow(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): StoredRow | null {
  const edge = edgeTable(session, plan.compiled.pointRead!.relation);
  const rowId = keyedRow(session, plan, edge, parameters);
  return rowId === null ? null : edge.row(rowId);
}

/** The row that a point read will find. */
function keyedRow(
  session: SessionContext,
  plan: ReadPlan,
  edge: EdgeTable,
  parameters: readonly Datum[],
): bigint | null {
  const match = keyOfPlan(session, plan, edge.table);
  const index = match === null ? undefined : edge.index(match.index);
  if (match === null || index === undefined) return null;
  const key = match.parts.map((part) => part.evaluate({ session, parameters }));
  if (key.includes(null)) return null;
  const known = session.transaction?.programRow(edge.table.id, match.index, key);
  return known ?? edge.find(index, index.keyOf(key));
}

/** The index by which a plan finds its row, and the parts of the key; plans live as long as their catalog. */
type PlanKey = { readonly index: number; readonly parts: readonly EdgeExpression[] };

const planKeys = new WeakMap<ReadPlan, PlanKey | null>();

function keyOfPlan(session: SessionContext, plan: ReadPlan, table: Table): PlanKey | null {
  let key = planKeys.get(plan);
  if (key === undefined) {
    const item = plan.query.from[0];
    const match = item?.kind === 'ref' ? keyIndex(table, item.entry, plan.query.where) : null;
    const scope = { catalog: session.catalog, entry: 0 };
    key = match && {
      index: match.index.id,
      parts: match.keys.map((part) => compileEdge(part, scope)),
    };
    planKeys.set(plan, key);
  }
  return key;
}

async function show(
  session: SessionContext,
  transaction: OpenTransaction,
  edge: EdgeTable,
  programs: readonly UnseenProgram[],
): Promise<void> {
  const byRow = new Map<bigint, UnseenProgram[]>();
  for (const program of programs) {
    const list = byRow.get(program.rowId);
    if (list === undefined) byRow.set(program.rowId, [program]);
    else list.push(program);
  }
  for (const [rowId, list] of byRow) {
    await session.lock(rowLockKey(edge.table.id, rowId), 'pin');
    await session.services.locks.unlocked.settled(edge.table.id);
    const { row: tried, since } = list[0]!.trial;
    const own = transaction.overlay.row(edge.table.id, rowId) !== undefined;
    const same = !own && session.services.appliedStamp() === since;
    let row = same ? tried : edge.row(rowId);
    for (const { operation: at, trial } of list) {
      if (row === null) {
        throw new SqlError(
          SQLSTATE.serializationFailure,
          'could not serialize access due to concurrent delete',
        );
      }
      const values: Datum[] = trial.run(row.values);
      transaction.replace(at, updateImage(edge.table, [{ row, values }]));
      const shown = { rowId, version: 0n, values };
      transaction.overlay.put(at, edge.table.id, { ...shown, deleted: false });
      row = shown;
    }
  }
}
