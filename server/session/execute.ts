// Carries out a prepared statement, by the kind of its plan. Shell.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type { ColumnDescription, ResultSink } from '../pgwire/backend.ts';
import type { RowSource } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import { executeCatalogQuery } from './execute-catalog.ts';
import { executeInsert } from './execute-insert.ts';
import { executeModify } from './execute-modify.ts';
import { executeRead } from './execute-read.ts';
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
  return prepared.plan?.kind === 'insert' || prepared.plan?.kind === 'modify';
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
  if (context.transaction !== null && prepared.plan?.kind !== 'utility') context.transaction.queried = true;
  context.effects.length = 0;
  const outcome = run(session, prepared, parameters, formats, sink);
  if (outcome instanceof Promise) return outcome.then((done) => afterEffects(context, done));
  return afterEffects(context, outcome);
}

/** The client hears of the answer when what its functions have begun is done. */
function afterEffects(context: SessionContext, outcome: Outcome): Outcome | Promise<Outcome> {
  return context.effects.length === 0 ? outcome : runEffects(context).then(() => outcome);
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
      return executeRead(context, prepared, plan, parameters, formats);
    case 'catalog':
      return executeCatalogQuery(context, prepared, plan, parameters, formats);
    case 'insert':
      return executeInsert(context, prepared, plan, parameters, formats);
    case 'modify':
      return executeModify(context, prepared, plan, parameters, formats);
    case 'utility':
      return executeUtility(session, plan.statement, formats, sink);
    case undefined:
      throw new SqlError(SQLSTATE.internalError, 'an empty statement has nothing to execute');
  }
}
