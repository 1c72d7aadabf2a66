// UPDATE and DELETE: as a row program where the statement is one, else as row images. Shell.

import type { Table } from '../../ledger/catalog.ts';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import type { OperationOf } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, Row } from '../../ledger/type.ts';
import { rulesOf } from '../../storage/constraints.ts';
import type { StoredRow } from '../../storage/table-shape.ts';
import { IMAGE_ROWS_MAX, RETRIES_MAX } from '../limits.ts';
import type { SessionContext } from './context.ts';
import { EdgeTables } from './edge-table.ts';
import type { EdgeTable } from './edge-table.ts';
import { valuesOf } from './edge-expression.ts';
import type { Surroundings } from './edge-expression.ts';
import type { Outcome } from './execute.ts';
import { readValues } from './execute-read.ts';
import { locked, takesLocks } from './lock-rows.ts';
import type { OpenTransaction } from './open-transaction.ts';
import type { ModifyPlan, ProgramPlan } from './plan-modify.ts';
import type { Prepared } from './plan.ts';
import { returningOutcome } from './returning.ts';
import { areCurrent, refuseChanged } from './row-versions.ts';
import { showProgramsOf, showRow } from './show-programs.ts';
import type { Template } from './template.ts';
import {
  inOwnTransaction,
  releaseTransactionLocks,
  rowLockKey,
  submit,
} from './transaction-commands.ts';
import { turns } from './turns.ts';
import { changeRows, incoming, refuseAppendOnly, updateImage } from './write-rows.ts';
import type { RowChange } from './write-rows.ts';

export function executeModify(
  session: SessionContext,
  prepared: Prepared,
  plan: ModifyPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Outcome | Promise<Outcome> {
  const word = plan.query.command === 'update' ? 'UPDATE' : 'DELETE';
  session.checkWritable(word);
  refuseAppendOnly(plan.table);
  const { transaction } = session;
  const answered = ({ count, returned }: Modified): Outcome =>
    answer(session, plan, prepared, formats, word, count, returned);
  if (transaction === null)
    return retried(() => modifyAlone(session, prepared, plan, parameters)).then(answered);
  transaction.texts.push(prepared.text);
  const modified = modifyInside(session, transaction, plan, parameters);
  return modified instanceof Promise ? modified.then(answered) : answered(modified);
}

export interface Modified {
  readonly count: number;
  /** Values of RETURNING, row by row. */
  readonly returned: readonly Row[];
}

function answer(
  session: SessionContext,
  plan: ModifyPlan,
  prepared: Prepared,
  formats: readonly number[],
  word: string,
  count: number,
  returned: readonly Row[],
): Outcome {
  if (plan.returning.length === 0) return { kind: 'complete', tag: `${word} ${count}` };
  return returningOutcome(session, prepared, formats, returned, `${word} ${count}`);
}

/** Runs a statement of its own again while others get in between (40001). */
export function retried<T>(work: () => Promise<T>, attempts = 1): Promise<T> {
  return work().catch((error: unknown) => {
    const again = isSqlError(error) && error.sqlstate === SQLSTATE.serializationFailure;
    if (!again || attempts >= RETRIES_MAX) throw error;
    return retried(work, attempts + 1);
  });
}

// ── Alone ────────────────────────────────────────────────────────────────────────────────────────

async function modifyAlone(
  session: SessionContext,
  prepared: Prepared,
  plan: ModifyPlan,
  parameters: readonly Datum[],
): Promise<Modified> {
  if (plan.program !== null) return programAlone(session, prepared, plan, plan.program, parameters);
  if (incoming(session, plan.table).length > 0)
    return inOwnTransaction(session, prepared.text, async (transaction) =>
      modifyInside(session, transaction, plan, parameters),
    );
  try {
    const found = await findImages(session, plan, parameters);
    const { changes, returned } = found;
    if (changes.length === 0) return { count: 0, returned };
    const updated = changes.filter(({ values }) => values !== null);
    const operation =
      updated.length > 0
        ? updateImage(plan.table, updated)
        : {
            kind: 'delete' as const,
            relation: plan.table.id,
            rows: changes.map(({ row }) => ({ rowId: row.rowId, version: row.version })),
          };
    await submit(session, [operation], prepared.text);
    return { count: changes.length, returned };
  } finally {
    releaseTransactionLocks(session);
  }
}

async function programAlone(
  session: SessionContext,
  prepared: Prepared,
  plan: ModifyPlan,
  program: ProgramPlan,
  parameters: readonly Datum[],
): Promise<Modified> {
  const surroundings: Surroundings = { session, parameters };
  const key = program.key.map((part) => part.evaluate(surroundings));
  if (key.includes(null)) return { count: 0, returned: [] };
  const operation = programOperation(plan.table, program, key, surroundings);
  const { locks } = session.services;
  if (locks.empty) {
    return locks.unlocked.track(plan.table.id, submitProgram(session, operation, prepared.text));
  }
  const edge = new EdgeTables(session).table(plan.table);
  const index = edge.index(program.index)!;
  const rowId = edge.find(index, index.keyOf(key));
  if (rowId === null) return { count: 0, returned: [] };
  try {
    await session.lock(rowLockKey(plan.table.id, rowId), 'applying');
    return await submitProgram(session, operation, prepared.text);
  } finally {
    releaseTransactionLocks(session);
  }
}

async function submitProgram(
  session: SessionContext,
  operation: OperationOf<'program'>,
  text: string,
): Promise<Modified> {
  const { counts } = await submit(session, [operation], text);
  const { updated, deleted } = counts[0]!;
  return { count: updated + deleted, returned: [] };
}

function programOperation(
  table: Table,
  program: ProgramPlan,
  key: readonly Datum[],
  surroundings: Surroundings,
): OperationOf<'program'> {
  const { where, set } = program;
  return {
    kind: 'program',
    relation: table.id,
    schemaVersion: table.schemaVersion,
    index: program.index,
    key,
    where: where === null ? null : where.fill(where.values(surroundings)),
    set:
      set &&
      set.map(({ column, value }) => ({ column, value: value.fill(value.values(surroundings)) })),
    required: false,
  };
}

// ── Inside a transaction ─────────────────────────────────────────────────────────────────────────

export function modifyInside(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: ModifyPlan,
  parameters: readonly Datum[],
): Modified | Promise<Modified> {
  const { program } = plan;
  const unseen = transaction.isolation === 'read committed' && transaction.parts === null;
  if (program !== null && program.where === null && unseen) {
    return programInside(session, transaction, plan, program, parameters);
  }
  return imagesInside(session, transaction, plan, parameters);
}

async function imagesInside(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: ModifyPlan,
  parameters: readonly Datum[],
): Promise<Modified> {
  await showProgramsOf(session, transaction, plan.images.compiled.tables);
  const { changes, returned } = await findImages(session, plan, parameters);
  await changeRows(session, transaction, plan.table, changes);
  return { count: changes.length, returned };
}

/**
 * A program that only its key selects: the row must be there, nobody needs to know its values. It is tried on
 * the newest row, so that errors come now, and runs on whatever row is there when applied.
 */
function programInside(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: ModifyPlan,
  program: ProgramPlan,
  parameters: readonly Datum[],
): Modified | Promise<Modified> {
  const { table } = plan;
  const surroundings: Surroundings = { session, parameters };
  const key = program.key.map((part) => part.evaluate(surroundings));
  const edge = new EdgeTables(session).table(table);
  const index = edge.index(program.index)!;
  const since = session.services.appliedStamp();
  const row = key.includes(null) ? null : edge.findRow(index, index.keyOf(key));
  if (row === null) return { count: 0, returned: [] };
  const { rowId } = row;
  const own = transaction.overlay.row(table.id, rowId) !== undefined || rowId < 0n;
  if (program.set === null) return deleteInside(session, transaction, edge, row, own);
  const set = program.set.map(({ column, value }) => {
    return { column, value, holes: value.values(surroundings) };
  });
  const run = (before: readonly Datum[]): Datum[] => assign(edge, set, before);
  const values = run(row.values);
  if (own) return changeInside(session, transaction, table, { row, values });
  rulesOf(edge, session.catalog).complete(values);
  const wait = session.lock(rowLockKey(table.id, rowId), 'program');
  if (wait instanceof Promise) {
    return wait.then(() => programInside(session, transaction, plan, program, parameters));
  }
  const operation: OperationOf<'program'> = {
    kind: 'program',
    relation: table.id,
    schemaVersion: table.schemaVersion,
    index: program.index,
    key,
    where: null,
    set: set.map(({ column, value, holes }) => ({ column, value: value.fill(holes) })),
    required: true,
  };
  transaction.pushProgram(operation, { row, since, run });
  return { count: 1, returned: [] };
}

/** A deleted row must be gone for the rest of the transaction. */
async function deleteInside(
  session: SessionContext,
  transaction: OpenTransaction,
  edge: EdgeTable,
  row: StoredRow,
  own: boolean,
): Promise<Modified> {
  const pinned = own ? row : await showRow(session, transaction, edge, row.rowId);
  if (pinned === null) return { count: 0, returned: [] };
  return changeInside(session, transaction, edge.table, { row: pinned, values: null });
}

async function changeInside(
  session: SessionContext,
  transaction: OpenTransaction,
  table: Table,
  change: RowChange,
): Promise<Modified> {
  await changeRows(session, transaction, table, [change]);
  return { count: 1, returned: [] };
}

/** A column's new value, with what goes into the holes of its template. */
interface Assignment {
  readonly column: number;
  readonly value: Template;
  readonly holes: readonly Datum[];
}

function assign(edge: EdgeTable, set: readonly Assignment[], before: readonly Datum[]): Datum[] {
  const after = [...before];
  for (const { column, value, holes } of set) {
    after[edge.position(column)!] = value.evaluate((id) =>
      id < 0 ? holes[-id - 1]! : (before[edge.position(id)!] ?? null),
    );
  }
  return after;
}

// ── Images ───────────────────────────────────────────────────────────────────────────────────────

/**
 * The rows that the statement changes, locked. At READ COMMITTED a statement that had to wait for a lock runs
 * again on the rows as they are then; above it, a row that somebody else has changed is 40001.
 */
async function findImages(
  session: SessionContext,
  plan: ModifyPlan,
  parameters: readonly Datum[],
): Promise<{ changes: RowChange[]; returned: Row[] }> {
  const strict = session.transaction?.seesSnapshot === true;
  const mode = changesKeys(plan) ? 'update' : 'noKeyUpdate';
  for (;;) {
    const images = takesLocks(plan.query)
      ? await locked(session, plan.images, parameters)
      : plan.images;
    const since = session.services.appliedStamp();
    const found = firstOfEach(await readValues(session, images, parameters));
    const rows = unwritten(session, plan.table.id, found);
    if (rows.length > IMAGE_ROWS_MAX) throw tooManyRows();
    let waited = false;
    const pause = turns(session);
    for (const row of rows) {
      const rowId = row[0] as bigint;
      if (rowId > 0n)
        waited = (await session.lock(rowLockKey(plan.table.id, rowId), mode)) || waited;
      const wait = pause();
      if (wait !== undefined) await wait;
    }
    if (waited && !strict) continue;
    const seen = rows.map((row) => ({ rowId: row[0] as bigint, version: row[1] as bigint }));
    if (strict) await refuseChanged(session, plan.table.id, seen);
    else if (!(await areCurrent(session, plan.table.id, seen, since))) continue;
    for (const id of plan.assigned.flatMap(({ made }) => made?.sequences ?? [])) {
      const sequence = session.catalog.relations.get(id);
      if (sequence?.kind === 'sequence') await session.reserve(sequence, rows.length);
    }
    return imagesOf(session, plan, rows, parameters);
  }
}

/** Whether the statement deletes rows, or may change what foreign keys refer to. */
function changesKeys({ query, table, assigned }: ModifyPlan): boolean {
  if (query.command === 'delete') return true;
  return table.indexes.some(
    (index) =>
      index.unique &&
      index.keys.some(({ column }) => assigned.some((each) => each.column === column)),
  );
}

/** A target row that several rows of FROM match is changed once. */
function firstOfEach(rows: readonly Row[]): Row[] {
  const seen = new Set<Datum>();
  return rows.filter((row) => {
    const id = row[0]!;
    return seen.has(id) ? false : (seen.add(id), true);
  });
}

/** Rows that an earlier part of the same statement has written are left alone, as in Postgres. */
function unwritten({ transaction }: SessionContext, relation: number, rows: Row[]): Row[] {
  if (transaction === null || transaction.parts === null) return rows;
  const { overlay } = transaction;
  return rows.filter(([rowId]) => !overlay.writtenSince(relation, rowId as bigint));
}

async function imagesOf(
  session: SessionContext,
  plan: ModifyPlan,
  rows: readonly Row[],
  parameters: readonly Datum[],
): Promise<{ changes: RowChange[]; returned: Row[] }> {
  const { table, assigned } = plan;
  const edge = new EdgeTables(session).table(table);
  const rules = rulesOf(edge, session.catalog);
  const width = table.columns.length;
  const returned: Row[] = [];
  const changes: RowChange[] = [];
  const makers = assigned.map((each) => each.made);
  const asked = makers.filter((maker) => maker === null).length;
  const pause = turns(session);
  for (const found of rows) {
    const old = found.slice(2, 2 + width);
    const row = { rowId: found[0] as bigint, version: found[1] as bigint, values: old };
    let values: Datum[] | null = null;
    if (plan.query.command === 'update') {
      values = [...old];
      const before = (id: number): Datum => old[edge.position(id)!] ?? null;
      const waited = valuesOf(makers, { session, parameters, row: before });
      const made = waited instanceof Promise ? await waited : waited;
      let next = 2 + width;
      assigned.forEach(({ column }, i) => {
        values![edge.position(column)!] = makers[i] === null ? found[next++]! : made[i]!;
      });
      rules.complete(values);
    }
    changes.push({ row, values });
    if (plan.returning.length > 0) {
      const shown = values ?? old;
      const read = (id: number): Datum => shown[edge.position(id)!] ?? null;
      const extra = found.slice(2 + width + asked);
      const made = returningRow(plan, extra, { session, parameters, row: read });
      returned.push(made instanceof Promise ? await made : made);
    }
    const wait = pause();
    if (wait !== undefined) await wait;
  }
  return { changes, returned };
}

/** @param extra  the columns of `images` that RETURNING has asked for */
function returningRow(
  { returning }: ModifyPlan,
  extra: Row,
  surroundings: Surroundings,
): Row | Promise<Row> {
  const own = returning.map((item) => (typeof item === 'number' ? null : item));
  const filledIn = (values: Datum[]): Row =>
    returning.map((item, i) => (typeof item === 'number' ? extra[item]! : values[i]!));
  const made = valuesOf(own, surroundings);
  return made instanceof Promise ? made.then(filledIn) : filledIn(made);
}

function tooManyRows(): SqlError {
  return new SqlError(
    SQLSTATE.programLimitExceeded,
    `a statement may change at most ${IMAGE_ROWS_MAX} rows`,
    { hint: 'Split the statement by a condition on its key.' },
  );
}
