// INSERT … ON CONFLICT: as a clause that is applied on the chain, or resolved here row by row. Shell.

import { SqlError } from '../../ledger/error.ts';
import type { ConflictClause } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, Row } from '../../ledger/type.ts';
import { rulesOf } from '../../storage/constraints.ts';
import type { IndexShape, StoredRow } from '../../storage/table-shape.ts';
import type { OnConflict, Scalar } from '../../sql/ir.ts';
import { ledgerExpression } from '../../sql/to-expression.ts';
import { mayRunLong } from '../../sql/unbounded.ts';
import type { SessionContext } from './context.ts';
import { compileEdge, NULL_EXPRESSION, valueOf } from './edge-expression.ts';
import type { Surroundings } from './edge-expression.ts';
import { EdgeTables } from './edge-table.ts';
import type { EdgeTable } from './edge-table.ts';
import type { Inserted } from './execute-insert.ts';
import { lockInserted, uniqueKeys } from './key-locks.ts';
import { mapScalar } from './map-scalar.ts';
import type { OpenTransaction } from './open-transaction.ts';
import type { InsertPlan } from './plan-insert.ts';
import { returnedRows } from './returning.ts';
import { spellRows, spellXmax, XMAX } from './whole-row.ts';
import { lockedRow, changeRows, insertRows } from './write-rows.ts';
import type { RowChange } from './write-rows.ts';

/** EXCLUDED's columns, where existing and proposed row must be told apart by number alone. */
const EXCLUDED_COLUMNS = 1_000_000;

/** The clause for the chain; null when an expression does not fit the ledger's language. */
export function conflictClause(
  plan: InsertPlan,
  surroundings: Surroundings,
): ConflictClause | null {
  const conflict = plan.conflict!;
  if (conflict.action === 'nothing') return { index: conflict.index, update: null };
  // What may take long must not do so where the row is applied.
  const long = [conflict.where, ...conflict.set.map((target) => target.expression)];
  if (long.some(mayRunLong)) return null;
  const translate = (scalar: Scalar) =>
    ledgerExpression(scalar, (node) => {
      if (node.kind === 'var' && node.levelsUp === 0) {
        if (node.entry === conflict.excluded)
          return { kind: 'excluded', type: node.type, column: node.column };
        return node.entry === plan.query.target ? undefined : null;
      }
      if (node.kind !== 'param' && node.kind !== 'session' && !isStable(node)) return undefined;
      const value = compileEdge(node, plan.scope).evaluate(surroundings);
      return { kind: 'const', type: node.type, value };
    });
  const set = [];
  for (const target of conflict.set) {
    const value = target.expression.kind === 'default' ? null : translate(target.expression);
    if (value === null) return null;
    set.push({ column: target.assign, value });
  }
  const where = conflict.where === null ? null : translate(conflict.where);
  if (where === null && conflict.where !== null) return null;
  return { index: conflict.index, update: { set, where } };
}

function isStable(node: Scalar): boolean {
  return node.kind === 'call' && node.fn.volatility === 'stable' && node.args.length === 0;
}

/**
 * Decides for each row whether it is inserted, updates another, or is left out, as the transaction sees them
 * before the statement; then does it.
 */
export async function resolveConflicts(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: InsertPlan,
  rows: readonly Datum[][],
  parameters: readonly Datum[],
): Promise<Inserted> {
  const { table } = plan;
  const conflict = plan.conflict!;
  const edge = new EdgeTables(session).table(table);
  const rules = rulesOf(edge, session.catalog);
  const arbiters = edge.indexes.filter(
    ({ index }) => index.unique && (conflict.index === null || index.id === conflict.index),
  );
  const touched = new Set<bigint | string>();
  const inserted: Datum[][] = [];
  const changes: RowChange[] = [];
  const shown: Datum[][] = [];
  const updates = new Set<Row>();
  for (const values of rows) {
    rules.complete(values);
    await lockInserted(session, table, [values]);
    const keys = uniqueKeys(edge, values, arbiters);
    const rowId = existing(edge, arbiters, values);
    const own = keys.some((key) => touched.has(key));
    if (rowId === null && !own) {
      for (const key of keys) touched.add(key);
      inserted.push(values);
      shown.push(values);
    } else if (conflict.action === 'nothing') {
      const row = rowId === null || own ? null : edge.row(rowId);
      if (row !== null) refuseUnseen(session, transaction, row);
    } else {
      if (rowId === null || touched.has(rowId)) throw secondTime();
      if (transaction.overlay.writtenSince(table.id, rowId)) throw secondTime();
      const row = await lockedRow(session, edge, rowId);
      if (row === null) throw deletedMeanwhile();
      refuseUnseen(session, transaction, row);
      const after = await updated(session, plan, conflict, edge, row.values, values, parameters);
      if (after === null) continue;
      touched.add(rowId);
      changes.push({ row, values: after });
      shown.push(after);
      updates.add(after);
    }
  }
  const returned = await returnedRows(session, plan, parameters, shown, updates);
  if (inserted.length > 0) await insertRows(session, transaction, table, inserted);
  await changeRows(session, transaction, table, changes);
  return { count: shown.length, returned };
}

/** What a transaction does above READ COMMITTED may not depend on a row that its snapshot has not, or has otherwise. */
function refuseUnseen(
  session: SessionContext,
  transaction: OpenTransaction,
  { version }: StoredRow,
): void {
  if (!transaction.seesSnapshot || version <= (session.visibleStamp() ?? version)) return;
  throw new SqlError(
    SQLSTATE.serializationFailure,
    'could not serialize access due to concurrent update',
  );
}

function deletedMeanwhile(): SqlError {
  return new SqlError(
    SQLSTATE.serializationFailure,
    'could not serialize access due to concurrent delete',
  );
}

function existing(
  edge: EdgeTable,
  arbiters: readonly IndexShape[],
  values: readonly Datum[],
): bigint | null {
  for (const index of arbiters) {
    const key = index.key(values);
    const found = key === null ? null : edge.find(index, key);
    if (found !== null) return found;
  }
  return null;
}

/** The existing row after DO UPDATE; null when its WHERE leaves it out. */
async function updated(
  session: SessionContext,
  plan: InsertPlan,
  conflict: OnConflict,
  edge: EdgeTable,
  before: readonly Datum[],
  proposed: readonly Datum[],
  parameters: readonly Datum[],
): Promise<Datum[] | null> {
  const { target } = plan.query;
  const evaluate = (scalar: Scalar): Datum | Promise<Datum> => {
    const taken = spellXmax(scalar, target, XMAX.taken);
    const spelt = spellRows(spellRows(taken, target, plan.table), conflict.excluded, plan.table);
    const merged = mapScalar(spelt, (node, depth) =>
      node.kind === 'var' && node.entry === conflict.excluded && node.levelsUp === depth
        ? { ...node, entry: target, column: EXCLUDED_COLUMNS + node.column }
        : undefined,
    );
    return valueOf(compileEdge(merged, { ...plan.scope, entry: target }), {
      session,
      parameters,
      row: (id) =>
        (id > EXCLUDED_COLUMNS
          ? proposed[edge.position(id - EXCLUDED_COLUMNS)!]
          : before[edge.position(id)!]) ?? null,
    });
  };
  if (conflict.where !== null && (await evaluate(conflict.where)) !== 1n) return null;
  const after = [...before];
  for (const assignment of conflict.set) {
    const { assign, expression } = assignment;
    const byDefault = plan.defaults.get(assign) ?? NULL_EXPRESSION;
    after[edge.position(assign)!] = await (expression.kind === 'default'
      ? valueOf(byDefault, { session, parameters })
      : evaluate(expression));
  }
  return after;
}

function secondTime(): SqlError {
  return new SqlError(
    SQLSTATE.cardinalityViolation,
    'ON CONFLICT DO UPDATE command cannot affect row a second time',
    {
      hint: 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.',
    },
  );
}
