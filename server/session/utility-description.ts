// What columns a utility statement answers with. Shell: EXECUTE and FETCH look at the session's statements.

import type { ParsedStatement } from '../../sql/parse.ts';
import type { SessionContext } from './context.ts';
import { prepareInner } from './prepare-inner.ts';
import { textColumns } from './text-rows.ts';
import type { UtilityColumns } from './text-rows.ts';

/** null: no rows. */
export async function describeUtility(
  statement: ParsedStatement,
  session: SessionContext,
): Promise<UtilityColumns | null> {
  const { tree } = statement;
  switch (statement.kind) {
    case 'VariableShowStmt': {
      const name = tree['name'] as string;
      if (name === 'all') return textColumns('name', 'setting', 'description');
      return textColumns(session.settings.displayName(name));
    }
    case 'ExplainStmt':
      // Analysis finds what is wrong with the statement inside before anything else is said.
      return textColumns('QUERY PLAN');
    case 'ExecuteStmt':
      return columnsOf(session.statements.get(tree['name'] as string));
    case 'FetchStmt':
      if (tree['ismove'] === true) return null;
      return columnsOf(session.portals.get(tree['portalname'] as string)?.prepared);
    case 'DeclareCursorStmt':
      await prepareInner(session, statement);
      return null;
    default:
      return null;
  }
}

function columnsOf(
  prepared:
    { columns: UtilityColumns['columns'] | null; columnTypes: UtilityColumns['types'] } | undefined,
): UtilityColumns | null {
  if (prepared === undefined || prepared.columns === null) return null;
  return { columns: prepared.columns, types: prepared.columnTypes };
}
