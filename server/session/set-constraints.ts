// SET CONSTRAINTS: whether deferrable foreign keys are checked by statements or at COMMIT. Shell.

import type { Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { RawNode } from '../../sql/parse.ts';
import type { SessionContext } from './context.ts';
import { existingSchemas } from './name-lookup.ts';
import { turns } from './turns.ts';

interface ConstraintName {
  readonly schemaname?: string;
  readonly relname: string;
}

/** @throws SqlError 42704, 42809, 3F000; 23503 when IMMEDIATE finds what was left for COMMIT */
export async function setConstraints(session: SessionContext, tree: RawNode): Promise<string> {
  const { transaction } = session;
  const deferred = tree['deferred'] === true;
  const named = tree['constraints'] as readonly { RangeVar: ConstraintName }[] | undefined;
  if (transaction?.explicit !== true) {
    session.notice(
      'WARNING',
      SQLSTATE.noActiveSqlTransaction,
      'SET CONSTRAINTS can only be used in transaction blocks',
    );
  }
  const ids =
    named?.flatMap(({ RangeVar }) => deferrableNamed(session, RangeVar, deferred)) ?? null;
  transaction?.constraints.set(ids, deferred);
  if (!deferred) await transaction?.constraints.check(ids, turns(session));
  return 'SET CONSTRAINTS';
}

/**
 * Ids of the deferrable foreign keys of a name, from the first schema of the path with a constraint so named.
 * Tables of one schema may each have one.
 */
function deferrableNamed(
  session: SessionContext,
  { schemaname, relname }: ConstraintName,
  deferred: boolean,
): number[] {
  const { schemas, relations } = session.catalog;
  const known = [...schemas.values()];
  if (schemaname !== undefined && !known.some(({ name }) => name === schemaname)) {
    throw new SqlError(SQLSTATE.invalidSchemaName, `schema "${schemaname}" does not exist`);
  }
  for (const schema of schemaname === undefined ? existingSchemas(session) : [schemaname]) {
    const id = known.find(({ name }) => name === schema)?.id;
    const tables = [...relations.values()].filter((relation) => relation.kind === 'table');
    const here = tables.filter((table) => table.schema === id);
    const found = here.flatMap((table) => constraintsNamed(table, relname));
    if (found.length === 0) continue;
    if (deferred && found.includes(null)) {
      throw new SqlError(SQLSTATE.wrongObjectType, `constraint "${relname}" is not deferrable`);
    }
    return found.filter((each) => each !== null);
  }
  throw new SqlError(SQLSTATE.undefinedObject, `constraint "${relname}" does not exist`);
}

/** A table's constraints of a name: ids of deferrable ones, null for each that is not. */
function constraintsNamed(table: Table, wanted: string): (number | null)[] {
  const { foreignKeys, checks, indexes } = table;
  const fixed = [...checks, ...indexes.filter(({ constraint }) => constraint)];
  return [
    ...foreignKeys
      .filter(({ name }) => name === wanted)
      .map(({ id, deferrable }) => (deferrable ? id : null)),
    ...fixed.filter(({ name }) => name === wanted).map(() => null),
  ];
}
