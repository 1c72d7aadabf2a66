// Statements with INSERT, UPDATE or DELETE in WITH: their parts run one after the other. Shell.
//
// (1) All parts see the tables as they were before the statement, with what the transaction had written by then;
//     what a part writes is known to others by its RETURNING alone. Constraints look at what is there by now;
//     foreign keys act and are checked when all parts are done.
// (2) Every part runs to its end, whether others read its rows or not.
// (3) At READ COMMITTED the statement runs again, as a whole, while others get in between.
// (4) A row that two parts would write is written by the first of them only, as in Postgres.

import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, Row } from '../../ledger/type.ts';
import { RETRIES_MAX, WITH_BYTES_MAX } from '../limits.ts';
import type { OverlayImage } from '../readers/query-runner.ts';
import { allRows } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import type { Outcome } from './execute.ts';
import { insertInside } from './execute-insert.ts';
import { modifyInside, retried } from './execute-modify.ts';
import { executeRead, readValues } from './execute-read.ts';
import { locked, takesLocks } from './lock-rows.ts';
import type { OpenTransaction } from './open-transaction.ts';
import { nextRevision } from './overlay.ts';
import type { Prepared } from './plan.ts';
import type { InsertPlan } from './plan-insert.ts';
import type { ModifyPlan } from './plan-modify.ts';
import type { PartPlan, WithPart, WithPlan } from './plan-with.ts';
import { returningOutcome } from './returning.ts';
import { showProgramsOf } from './show-programs.ts';
import { inOwnTransaction } from './transaction-commands.ts';
import { turns } from './turns.ts';
import { refuseAppendOnly } from './write-rows.ts';

/** What a part has done. */
interface Done {
  readonly count: number;
  /** Its rows, or values of RETURNING. */
  readonly rows: readonly Row[];
}

export async function executeWith(
  session: SessionContext,
  prepared: Prepared,
  plan: WithPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Promise<Outcome> {
  session.checkWritable(plan.query.command.toUpperCase());
  const parts = [
    ...plan.before.map((part) => part.plan),
    plan.main,
    ...plan.after.map((part) => part.plan),
  ];
  for (const part of parts) if (part.kind === 'modify') refuseAppendOnly(part.table);
  const run = (transaction: OpenTransaction): Promise<Outcome> =>
    atomically(session, transaction, plan, () =>
      runParts(session, transaction, prepared, plan, parameters, formats),
    );
  const { transaction } = session;
  if (transaction === null) return retried(() => inOwnTransaction(session, prepared.text, run));
  transaction.texts.push(prepared.text);
  return run(transaction);
}

/** Does all of it or nothing. */
async function atomically(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: WithPlan,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  for (const { id } of plan.written) await session.lock(`table:${id}`, 'keyShare');
  await showProgramsOf(session, transaction, plan.tables);
  const readCommitted = transaction.isolation === 'read committed';
  for (let attempt = 1; ; attempt += 1) {
    const fixed = readCommitted && plan.severalRead;
    transaction.beginParts(fixed ? session.services.appliedStamp() : null);
    try {
      const outcome = await work();
      await transaction.constraints.settlePostponed(turns(session));
      transaction.endParts(false);
      return outcome;
    } catch (error) {
      transaction.endParts(true);
      const again = isSqlError(error) && error.sqlstate === SQLSTATE.serializationFailure;
      if (!again || !readCommitted || attempt >= RETRIES_MAX) throw error;
    }
  }
}

async function runParts(
  session: SessionContext,
  transaction: OpenTransaction,
  prepared: Prepared,
  plan: WithPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Promise<Outcome> {
  const give = async (part: WithPart): Promise<void> => {
    const { rows } = await runPart(session, transaction, part.plan, parameters);
    transaction.parts!.given.push(imageOf(part, rows));
  };
  for (const part of plan.before) await give(part);
  const outcome = await runMain(session, transaction, prepared, plan.main, parameters, formats);
  for (const part of plan.after) await give(part);
  return outcome;
}

async function runMain(
  session: SessionContext,
  transaction: OpenTransaction,
  prepared: Prepared,
  plan: PartPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Promise<Outcome> {
  if (plan.kind === 'read') return shown(await executeRead(session, plan, parameters, formats));
  const { count, rows } = await write(session, transaction, plan, parameters);
  const tag = `${TAGS[plan.query.command]} ${count}`;
  return plan.query.returning.length === 0
    ? { kind: 'complete', tag }
    : returningOutcome(session, prepared, formats, rows, tag);
}

const TAGS = { select: 'SELECT', insert: 'INSERT 0', update: 'UPDATE', delete: 'DELETE' } as const;

async function runPart(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: PartPlan,
  parameters: readonly Datum[],
): Promise<Done> {
  if (plan.kind !== 'read') return write(session, transaction, plan, parameters);
  const source = takesLocks(plan.query) ? await locked(session, plan, parameters) : plan;
  const rows = await readValues(session, source, parameters);
  return { count: rows.length, rows };
}

async function write(
  session: SessionContext,
  transaction: OpenTransaction,
  plan: InsertPlan | ModifyPlan,
  parameters: readonly Datum[],
): Promise<Done> {
  if (plan.kind === 'modify') {
    const { count, returned } = await modifyInside(session, transaction, plan, parameters);
    return { count, rows: returned };
  }
  const { count, returned } = await insertInside(session, transaction, plan, parameters);
  return { count, rows: returned };
}

/** Rows of a part as they are laid beside the queries that read them. */
export function imageOf({ relation, width }: WithPart, rows: readonly Row[]): OverlayImage {
  return {
    relation,
    revision: nextRevision(),
    truncated: false,
    columns: Array.from({ length: width }, (_, i) => i + 1),
    rows: rows.map((values, i) => ({ rowId: BigInt(i + 1), version: 0n, deleted: false, values })),
  };
}

/** The rows of the main query, all of them: what fails must do so while everything can be undone. */
async function shown(outcome: Outcome): Promise<Outcome> {
  if (outcome.kind !== 'rows') return outcome;
  return { ...outcome, source: await allRows(outcome.source, WITH_BYTES_MAX, tooLarge) };
}

function tooLarge(): SqlError {
  return new SqlError(
    SQLSTATE.programLimitExceeded,
    `a statement that writes in WITH may return at most ${WITH_BYTES_MAX} bytes of rows`,
    { hint: 'Write first, then read, in one transaction.' },
  );
}
