// PREPARE, EXECUTE, DEALLOCATE: the protocol's named statements, from SQL. Shell.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { bracketed } from '../../sql/inner-statement.ts';
import type { ParsedStatement, RawNode } from '../../sql/parse.ts';
import { STATEMENTS_PER_SESSION_MAX } from '../limits.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import type { Outcome } from './execute.ts';
import { execute } from './execute.ts';
import { requireRoom } from './held-objects.ts';
import { prepareInner } from './prepare-inner.ts';
import type { Session } from './session.ts';

export async function prepareNamed(session: Session, statement: ParsedStatement): Promise<string> {
  const { context } = session;
  const name = statement.tree['name'] as string;
  if (session.statements.has(name)) {
    throw new SqlError(
      SQLSTATE.duplicatePreparedStatement,
      `prepared statement "${name}" already exists`,
    );
  }
  requireRoom(session.statements, name, 'prepared statements', STATEMENTS_PER_SESSION_MAX);
  const types = (statement.tree['argtypes'] as readonly RawNode[] | undefined) ?? [];
  const oids =
    types.length === 0
      ? []
      : await context.services.analyst.typeOids(
          bracketed(statement.text),
          context.analysisContext(),
        );
  const prepared = await prepareInner(context, statement, oids);
  session.statements.set(name, prepared);
  return 'PREPARE';
}

export async function executePrepared(
  session: Session,
  statement: ParsedStatement,
  formats: readonly number[],
  sink: ResultSink,
): Promise<Outcome> {
  const name = statement.tree['name'] as string;
  const known = session.statements.get(name);
  if (known === undefined) {
    throw new SqlError(
      SQLSTATE.invalidSqlStatementName,
      `prepared statement "${name}" does not exist`,
    );
  }
  const prepared = await session.current(name, known);
  const params = (statement.tree['params'] as readonly RawNode[] | undefined) ?? [];
  // Postgres does not look at arguments that nothing asks for.
  const wanted = prepared.parameterTypes.length;
  if (wanted > 0 && params.length !== wanted) {
    throw new SqlError(
      SQLSTATE.syntaxError,
      `wrong number of parameters for prepared statement "${name}"`,
      {
        detail: `Expected ${wanted} parameters but got ${params.length}.`,
      },
    );
  }
  const values =
    wanted === 0 ? [] : await argumentValues(session, statement, prepared.parameterOids);
  const outcome = await execute(session, prepared, values, formats, sink);
  if (outcome.kind !== 'rows') return outcome;
  return { ...outcome, columns: outcome.columns ?? prepared.columns };
}

/** EXECUTE's arguments are expressions; they are evaluated as a SELECT with the parameters' types. */
async function argumentValues(
  session: Session,
  statement: ParsedStatement,
  oids: readonly number[],
): Promise<readonly Datum[]> {
  const { context } = session;
  const list = bracketed(statement.text).join(', ');
  return context.services.analyst.evaluate(list, oids, context.analysisContext());
}

export function deallocate(session: Session, tree: RawNode): string {
  const name = tree['name'] as string | undefined;
  if (name === undefined || tree['isall'] === true) {
    for (const each of [...session.statements.keys()])
      if (each !== '') session.statements.delete(each);
    return 'DEALLOCATE ALL';
  }
  if (!session.statements.has(name)) {
    throw new SqlError(
      SQLSTATE.invalidSqlStatementName,
      `prepared statement "${name}" does not exist`,
    );
  }
  session.statements.delete(name);
  return 'DEALLOCATE';
}
