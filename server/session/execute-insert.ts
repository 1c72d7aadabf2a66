// INSERT: rows are made at the edge, with all their values. Shell.

import type { Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { conflictClause, resolveConflicts } from './conflict.ts';
import type { OperationOf } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, Row } from '../../ledger/type.ts';
import type { SessionContext } from './context.ts';
import { valuesOf } from './edge-expression.ts';
import type { Surroundings } from './edge-expression.ts';
import type { Outcome } from './execute.ts';
import { retried } from './execute-modify.ts';
import { readValues } from './execute-read.ts';
import { lockInserted } from './key-locks.ts';
import { locked, takesLocks } from './lock-rows.ts';
import type { OpenTransaction } from './open-transaction.ts';
import type { InsertPlan } from './plan-insert.ts';
import type { Prepared } from './plan.ts';
import { returnedRows, returningOutcome } from './returning.ts';
import { showProgramsOf } from './show-programs.ts';
import { inOwnTransaction, submit } from './transaction-commands.ts';
import { insertRows } from './write-rows.ts';

export async function executeInsert(
  session: SessionContext,
  prepared: Prepared,
  plan: InsertPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Promise<Outcome> {
  session.checkWritable('INSERT');
  const { transaction } = session;
  if (transaction !== null) transaction.texts.push(prepared.text);
  const inserted = await (transaction === null
    ? retried(() => insertAlone(session, prepared, plan, parameters))
    : insertInside(session, transaction, plan, parameters));
  const tag = `INSERT 0 ${inserted.count}`;
  if (plan.returning.length === 0) return { kind: 'complete', tag };
  return returningOutcome(session, prepared, formats, inserted.returned, tag);
}

export interface Inserted {
  readonly count: number;
  /** What RETURNING makes of the rows inserted (or updated by ON CONFLICT): made before they are written, so that none is when it fails. */
  readonly returned: readonly Row[];
}

async function insertAlone(
  session: SessionContext,
  prepared: Prepared,
  plan: InsertPlan,
  parameters: readonly Datum[],
): Promise<Inserted> {
  const clause = plan.conflict === null ? null : conflictClause(plan, { session, parameters });
  const resolved = plan.conflict !== null && (clause === null || plan.returning.length > 0);
  // Somebody may have taken a key, or a row that this one refers to, and not yet committed.
  const contended = !session.services.locks.empty && isConstrained(plan.table);
  if (resolved || contended)
    return inOwnTransaction(session, prepared.text, (transaction) =>
      insertInside(session, transaction, plan, parameters),
    );
  const made = makeRows(session, plan, parameters);
  const rows = made instanceof Promise ? await made : made;
  if (rows.length === 0) return { count: 0, returned: [] };
  const returned =
    plan.returning.length > 0 ? await returnedRows(session, plan, parameters, rows) : [];
  const written = submit(session, [insertOperation(plan, rows, clause)], prepared.text);
  const { counts } = await session.services.locks.unlocked.track(plan.table.id, written);
  const count = counts.reduce((sum, { inserted, updated }) => sum + inserted + updated, 0);
  return { count, returned };
}

function isConstrained({ indexes, foreignKeys }: Table): boolean {
  return foreignKeys.length > 0 || indexes.some((index) => index.unique);
}

export async function insertInside(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: InsertPlan,
  parameters: readonly Datum[],
): Promise<Inserted> {
  // What it sees above READ COMMITTED is settled now, before it waits for keys that others have taken.
  session.visibleStamp();
  const made = makeRows(session, plan, parameters);
  const rows = made instanceof Promise ? await made : made;
  if (transaction.hasPrograms(plan.table.id))
    await showProgramsOf(session, transaction, [plan.table.id]);
  if (plan.conflict !== null) return resolveConflicts(session, transaction, plan, rows, parameters);
  await lockInserted(session, plan.table, rows);
  const returned = await returnedRows(session, plan, parameters, rows);
  if (rows.length > 0) await insertRows(session, transaction, plan.table, rows);
  return { count: rows.length, returned };
}

export function insertOperation(
  plan: Pick<InsertPlan, 'table'>,
  rows: readonly Row[],
  conflict: OperationOf<'insert'>['conflict'],
): OperationOf<'insert'> {
  const { table } = plan;
  const positions = table.columns.flatMap((column, i) => (column.generated === null ? [i] : []));
  const whole = positions.length === table.columns.length;
  return {
    kind: 'insert',
    relation: table.id,
    schemaVersion: table.schemaVersion,
    columns: positions.map((i) => table.columns[i]!.id),
    rows: whole ? rows : rows.map((row) => positions.map((i) => row[i]!)),
    conflict,
  };
}

/** Full rows in column order; generated columns are null until the rules fill them in. At once where they can be. */
function makeRows(
  session: SessionContext,
  plan: InsertPlan,
  parameters: readonly Datum[],
): Datum[][] | Promise<Datum[][]> {
  const { values } = plan;
  if (values === null) return rowsOfQuery(session, plan, parameters);
  const wait = reserve(session, plan, 1);
  return wait instanceof Promise
    ? wait.then(() => rowsOfValues(session, values, parameters))
    : rowsOfValues(session, values, parameters);
}

function rowsOfValues(
  session: SessionContext,
  values: NonNullable<InsertPlan['values']>,
  parameters: readonly Datum[],
): Datum[][] | Promise<Datum[][]> {
  const surroundings: Surroundings = { session, parameters };
  const rows: Datum[][] = [];
  for (const cells of values) {
    const row = valuesOf(cells, surroundings);
    if (row instanceof Promise) return remainingRows(rows, row, values, surroundings);
    rows.push(row);
  }
  return rows;
}

/** Goes on after `rows`, the next of which takes time. */
async function remainingRows(
  rows: Datum[][],
  next: Promise<Datum[]>,
  values: NonNullable<InsertPlan['values']>,
  surroundings: Surroundings,
): Promise<Datum[][]> {
  rows.push(await next);
  for (const cells of values.slice(rows.length)) {
    const row = valuesOf(cells, surroundings);
    rows.push(row instanceof Promise ? await row : row);
  }
  return rows;
}

async function rowsOfQuery(
  session: SessionContext,
  plan: InsertPlan,
  parameters: readonly Datum[],
): Promise<Datum[][]> {
  const surroundings: Surroundings = { session, parameters };
  const { read, columns } = plan.source!;
  const source = takesLocks(read.query) ? await locked(session, read, parameters) : read;
  const found = await readValues(session, source, parameters);
  await reserve(session, plan, found.length);
  const defaults = columns.map((source) => (typeof source === 'number' ? null : source));
  const rows: Datum[][] = [];
  for (const row of found) {
    const values = valuesOf(defaults, surroundings);
    const full = values instanceof Promise ? await values : values;
    columns.forEach((source, i) => {
      if (typeof source === 'number') full[i] = row[source]!;
    });
    rows.push(full);
  }
  return rows;
}

/** Makes sure that `times` rows will not lack values of sequences. */
export function reserve(
  session: SessionContext,
  plan: InsertPlan,
  times: number,
): void | Promise<void> {
  const waits: Promise<void>[] = [];
  for (const [id, draws] of plan.sequences) {
    const sequence = session.catalog.relations.get(id);
    if (sequence?.kind !== 'sequence') {
      throw new SqlError(SQLSTATE.undefinedTable, `sequence ${id} does not exist`);
    }
    const wait = session.reserve(sequence, draws * times);
    if (wait !== undefined) waits.push(wait);
  }
  return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
}
