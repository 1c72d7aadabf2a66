// Statements that are not queries: settings, transactions, prepared statements, cursors, DDL, COPY. Shell.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { positionOf } from '../../sql/copy/options.ts';
import { commandName } from '../../sql/parse.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import type { SessionContext } from './context.ts';
import { closeCursor, declareCursor, fetchCursor } from './cursor.ts';
import { executeCopy } from './copy.ts';
import { executeDdl, isDdl } from './ddl.ts';
import type { Outcome } from './execute.ts';
import { explain } from './explain.ts';
import { lockTables } from './lock-tables.ts';
import { deallocate, executePrepared, prepareNamed } from './prepared-statements.ts';
import type { Session } from './session.ts';
import { setConstraints } from './set-constraints.ts';
import { discardAll, setVariable, showVariable } from './set-show.ts';
import { runTransactionStatement } from './transaction-commands.ts';
import { truncate } from './truncate.ts';

const done = (tag: string): Outcome => ({ kind: 'complete', tag });

export function executeUtility(
  session: Session,
  statement: ParsedStatement,
  formats: readonly number[],
  sink: ResultSink,
): Outcome | Promise<Outcome> {
  if (statement.kind !== 'TransactionStmt') return carryOut(session, statement, formats, sink);
  const tag = runTransactionStatement(session.context, statement.tree);
  return tag instanceof Promise ? tag.then(done) : done(tag);
}

async function carryOut(
  session: Session,
  statement: ParsedStatement,
  formats: readonly number[],
  sink: ResultSink,
): Promise<Outcome> {
  const { context } = session;
  const { tree } = statement;
  switch (statement.kind) {
    case 'VariableSetStmt':
      return done(setVariable(context, tree));
    case 'VariableShowStmt':
      return showVariable(context, tree, formats);
    case 'DiscardStmt':
      return done(discardAll(session, tree));
    case 'PrepareStmt':
      return done(await prepareNamed(session, statement));
    case 'ExecuteStmt':
      return executePrepared(session, statement, formats, sink);
    case 'DeallocateStmt':
      return done(deallocate(session, tree));
    case 'DeclareCursorStmt':
      return done(await declareCursor(session, statement, sink));
    case 'FetchStmt':
      return fetchCursor(session, tree);
    case 'ClosePortalStmt':
      return done(closeCursor(session, tree));
    case 'ExplainStmt':
      return explain(session, statement, formats, sink);
    case 'CopyStmt':
      return executeCopy(session, statement);
    case 'TruncateStmt':
      return done(await truncate(context, statement));
    case 'LockStmt':
      return done(await lockTables(context, tree));
    case 'VacuumStmt':
    case 'CheckPointStmt':
      return done(await maintenance(context, statement));
    case 'ConstraintsSetStmt':
      return done(await setConstraints(context, tree));
    case 'ListenStmt':
    case 'NotifyStmt':
      throw notSupported(
        statement.kind === 'ListenStmt' ? 'LISTEN' : 'NOTIFY',
        'Poll ledger.transactions instead.',
      );
    case 'UnlistenStmt':
      return done('UNLISTEN');
    default:
      if (isDdl(statement.kind)) return executeDdl(session, statement);
      throw notSupported(commandName(statement), 'See docs/sql.md for what is supported.');
  }
}

export function notSupported(what: string, hint: string): SqlError {
  return new SqlError(SQLSTATE.featureNotSupported, `${what} is not supported`, { hint });
}

/**
 * VACUUM and ANALYZE: there are no dead rows and no planner statistics that a user would have to look after,
 * so there is nothing to do; what they name must exist.
 */
async function maintenance(session: SessionContext, statement: ParsedStatement): Promise<string> {
  if (statement.kind === 'CheckPointStmt') return 'CHECKPOINT';
  const vacuum = statement.tree['is_vacuumcmd'] === true;
  if (vacuum && session.transaction?.explicit === true) {
    throw new SqlError(
      SQLSTATE.activeSqlTransaction,
      'VACUUM cannot run inside a transaction block',
    );
  }
  checkOptions(statement, vacuum ? 'VACUUM' : 'ANALYZE');
  const rels = (statement.tree['rels'] as readonly VacuumRelation[] | undefined) ?? [];
  for (const { VacuumRelation } of rels) await checkMaintained(session, VacuumRelation);
  return vacuum ? 'VACUUM' : 'ANALYZE';
}

const MAINTENANCE_OPTIONS = {
  ANALYZE: ['verbose', 'skip_locked'],
  VACUUM: [
    ...['verbose', 'skip_locked', 'analyze', 'freeze', 'full', 'disable_page_skipping'],
    ...['index_cleanup', 'process_toast', 'truncate', 'parallel'],
  ],
};

interface MaintenanceOption {
  readonly DefElem: { readonly defname: string; readonly location?: number };
}

/** @throws SqlError 42601 */
function checkOptions(statement: ParsedStatement, command: 'VACUUM' | 'ANALYZE'): void {
  const options = (statement.tree['options'] as readonly MaintenanceOption[] | undefined) ?? [];
  for (const { DefElem } of options) {
    if (MAINTENANCE_OPTIONS[command].includes(DefElem.defname)) continue;
    throw new SqlError(
      SQLSTATE.syntaxError,
      `unrecognized ${command} option "${DefElem.defname}"`,
      { position: positionOf(statement, DefElem.location ?? 0) },
    );
  }
}

interface VacuumRelation {
  readonly VacuumRelation: {
    readonly relation: { readonly schemaname?: string; readonly relname: string };
    readonly va_cols?: readonly { readonly String: { readonly sval: string } }[];
  };
}

/** @throws SqlError 42P01, 42703 */
async function checkMaintained(
  session: SessionContext,
  { relation, va_cols: columns = [] }: VacuumRelation['VacuumRelation'],
): Promise<void> {
  const { schemaname, relname } = relation;
  const { analyst } = session.services;
  const id = await analyst.relationId(schemaname, relname, session.analysisContext());
  const found = session.catalog.relations.get(id);
  if (found?.kind !== 'table') return;
  for (const { String: name } of columns) {
    if (found.columns.some((column) => column.name === name.sval)) continue;
    throw new SqlError(
      SQLSTATE.undefinedColumn,
      `column "${name.sval}" of relation "${relname}" does not exist`,
    );
  }
}
