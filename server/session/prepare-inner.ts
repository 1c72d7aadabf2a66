// Prepares the statement inside another: PREPARE, EXPLAIN, DECLARE. Shell: asks the analyst.

import { innerText } from '../../sql/inner-statement.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import type { SessionContext } from './context.ts';
import { shifted } from './error-position.ts';
import type { Prepared } from './plan.ts';

/**
 * @param oids  parameter types given
 * @throws SqlError with its position in the outer statement
 */
export async function prepareInner(
  session: SessionContext,
  statement: ParsedStatement,
  oids: readonly number[] = [],
): Promise<Prepared> {
  const { text, start } = innerText(statement);
  try {
    const prepared = await session.services.planner.prepare(text, oids, session);
    return { ...prepared, outer: { text: statement.text, start } };
  } catch (error) {
    throw shifted(error, start, statement.text);
  }
}
