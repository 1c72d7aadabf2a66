// Carries out a prepared statement, by the kind of its plan. Shell.

import type { Table } from '../../ledger/catalog.ts';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type { ColumnDescription, ResultSink } from '../pgwire/backend.ts';
import type { RowSource } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import { executeCatalogQuery } from './execute-catalog.ts';
import { executeInsert } from './execute-insert.ts';
import { executeModify } from './execute-modify.ts';
import { executeRead } from './execute-read.ts';
import { executeWith } from './execute-with.ts';
import { RETRIES_MAX } from '../limits.ts';
import type { Prepared } from './plan.ts';
import type { Session } from './session.ts';
import { runEffects } from './sql-functions.ts';
import { executeUtility } from './utility.ts';

/** What a statement gives. */
export type Outcome =
  | {
      readonly kind: 'rows';
      /** null: as the statement was described. */
      readonly columns: readonly ColumnDescription[] | null;
      readonly source: RowSource;
      readonly tag: (count: number) => string;
    }
  | { readonly kind: 'complete'; readonly tag: string }
  /** Talks to the client by itself (COPY); gives the tag. */
  | { readonly kind: 'talk'; readonly run: (sink: ResultSink) => Promise<string> };

export function isWrite(prepared: Prepared): boolean {
  const kind = prepared.plan?.kind;
  return kind === 'insert' || kind === 'modify' || kind === 'with';
}

/**
 * @param formats  format code of each column of the answer
 * @throws SqlError
 */
export function execute(
  session: Session,
  prepared: Prepared,
  parameters: readonly Datum[],
  formats: readonly number[],
  sink: ResultSink,
): Outcome | Promise<Outcome> {
  const { context } = session;
  context.sink = sink;
  if (context.transaction !== null && prepared.plan?.kind !== 'utility')
    context.transaction.queried = true;
  context.effects.length = 0;
  return attempt(session, prepared, parameters, formats, sink, 1);
}

/** The client hears of the answer when what its functions have begun is done. */
function afterEffects(context: SessionContext, outcome: Outcome): Outcome | Promise<Outcome> {
  return context.effects.length === 0 ? outcome : runEffects(context).then(() => outcome);
}

/** Runs a plan; one that was made for files that have changed since is made anew. */
function attempt(
  session: Session,
  prepared: Prepared,
  parameters: readonly Datum[],
  formats: readonly number[],
  sink: ResultSink,
  attempts: number,
): Outcome | Promise<Outcome> {
  const { context } = session;
  const again = async (error: unknown): Promise<Outcome> => {
    const changed = isSqlError(error) && error.sqlstate === SQLSTATE.catalogChanged;
    if (!changed || attempts >= RETRIES_MAX) throw error;
    await context.services.catalogSettled();
    const fresh = await context.services.planner.prepare(
      prepared.text,
      prepared.parameterOids,
      context,
    );
    if (!sameColumns(prepared.columns, fresh.columns)) {
      throw new SqlError(SQLSTATE.featureNotSupported, 'cached plan must not change result type');
    }
    return attempt(session, fresh, parameters, formats, sink, attempts + 1);
  };
  let outcome: Outcome | Promise<Outcome>;
  try {
    outcome = run(session, prepared, parameters, formats, sink);
  } catch (error) {
    return again(error);
  }
  if (!(outcome instanceof Promise)) return afterEffects(context, outcome);
  return outcome.then((done) => afterEffects(context, done), again);
}

function run(
  session: Session,
  prepared: Prepared,
  parameters: readonly Datum[],
  formats: readonly number[],
  sink: ResultSink,
): Outcome | Promise<Outcome> {
  const { plan } = prepared;
  const { context } = session;
  switch (plan?.kind) {
    case 'read':
      return executeRead(context, plan, parameters, formats);
    case 'catalog':
      return executeCatalogQuery(context, prepared, plan, parameters, formats);
    case 'insert':
      return underTableLock(context, plan.table, () =>
        executeInsert(context, prepared, plan, parameters, formats),
      );
    case 'modify':
      return underTableLock(context, plan.table, () =>
        executeModify(context, prepared, plan, parameters, formats),
      );
    case 'with':
      return executeWith(context, prepared, plan, parameters, formats);
    case 'utility':
      return executeUtility(session, plan.statement, formats, sink);
    case undefined:
      throw new SqlError(SQLSTATE.internalError, 'an empty statement has nothing to execute');
  }
}

/** A write waits for LOCK TABLE and TRUNCATE of others. When nobody holds any lock there is nothing to wait for. */
function underTableLock(
  session: SessionContext,
  table: Table,
  work: () => Outcome | Promise<Outcome>,
): Outcome | Promise<Outcome> {
  const { locks } = session.services;
  if (locks.empty) return work();
  const key = `table:${table.id}`;
  const wait = session.lock(key, 'keyShare');
  if (session.transaction !== null) return wait instanceof Promise ? wait.then(work) : work();
  return (async () => {
    try {
      await wait;
      return await work();
    } finally {
      if (session.transaction === null) locks.release(session, key, 'keyShare');
    }
  })();
}

/** Whether a client that was told of the one can read the other. */
export function sameColumns(
  a: readonly ColumnDescription[] | null,
  b: readonly ColumnDescription[] | null,
): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.length === b.length &&
    a.every((column, i) => column.typeOid === b[i]!.typeOid && column.name === b[i]!.name)
  );
}
