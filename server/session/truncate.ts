// TRUNCATE: one operation for all its tables; the deletes derive from it and are in every row's history. Shell.

import type { Catalog, Relation, Sequence, Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import type { Operation } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import { demandTable } from '../../storage/privileges.ts';
import { roleNamed } from './context.ts';
import type { SessionContext } from './context.ts';
import { releaseTransactionLocks, submit } from './transaction-commands.ts';
import { refuseAppendOnly } from './write-rows.ts';

interface Named {
  readonly RangeVar: { readonly schemaname?: string; readonly relname: string };
}

/**
 * Runs a TruncateStmt; gives its command tag.
 *
 * @throws SqlError 42P01, 42809, 42501, 0A000 for a table that others refer to, 55000 for an append-only one
 */
export async function truncate(
  session: SessionContext,
  statement: ParsedStatement,
): Promise<string> {
  session.checkWritable('TRUNCATE TABLE');
  const { tree } = statement;
  const { analyst } = session.services;
  const context = session.analysisContext();
  const named: Table[] = [];
  for (const { RangeVar } of tree['relations'] as readonly Named[]) {
    const id = await analyst.relationId(RangeVar.schemaname, RangeVar.relname, context);
    named.push(tableOf(session.catalog.relations.get(id), RangeVar.relname));
  }
  const tables = withReferencing(session, named, tree['behavior'] === 'DROP_CASCADE');
  for (const table of tables) check(session, table);
  for (const { id } of tables) await session.lock(`table:${id}`, 'update');
  const restarted = tree['restart_seqs'] === true ? sequencesOf(session.catalog, tables) : [];
  const relations = tables.map(({ id }) => id);
  const { transaction } = session;
  if (transaction !== null) {
    transaction.texts.push(statement.text);
    for (const id of relations) transaction.overlay.truncate(transaction.tag, id);
    transaction.push({ kind: 'truncate', relations });
    for (const { id, start } of restarted) {
      transaction.moveSequence(id, { last: start, called: false });
    }
    return 'TRUNCATE TABLE';
  }
  const operations: Operation[] = restarted.map(({ id, start }) => ({
    kind: 'sequence',
    sequence: id,
    from: null,
    last: start,
    called: false,
  }));
  try {
    await submit(session, [{ kind: 'truncate', relations }, ...operations], statement.text);
  } finally {
    releaseTransactionLocks(session);
  }
  for (const { id } of restarted) session.services.sequences.forget(id);
  return 'TRUNCATE TABLE';
}

function tableOf(relation: Relation | undefined, name: string): Table {
  if (relation?.kind === 'table') return relation;
  if (relation === undefined) {
    throw new SqlError(
      SQLSTATE.insufficientPrivilege,
      `permission denied: "${name}" is a system catalog`,
    );
  }
  throw new SqlError(SQLSTATE.wrongObjectType, `"${name}" is not a table`);
}

/** The tables, and with CASCADE all that refer to them; without, such tables must be among them. */
function withReferencing(
  session: SessionContext,
  named: readonly Table[],
  cascade: boolean,
): Table[] {
  const tables = new Map(named.map((table) => [table.id, table]));
  for (const table of tables.values()) {
    for (const other of session.catalog.relations.values()) {
      if (other.kind !== 'table' || tables.has(other.id)) continue;
      if (!other.foreignKeys.some(({ references }) => references === table.id)) continue;
      if (!cascade) throw referenced(table, other);
      session.notice('NOTICE', '00000', `truncate cascades to table "${other.name}"`);
      tables.set(other.id, other);
    }
  }
  return [...tables.values()];
}

function referenced(table: Table, by: Table): SqlError {
  return new SqlError(
    SQLSTATE.featureNotSupported,
    'cannot truncate a table referenced in a foreign key constraint',
    {
      detail: `Table "${by.name}" references "${table.name}".`,
      hint: `Truncate table "${by.name}" at the same time, or use TRUNCATE ... CASCADE.`,
    },
  );
}

function check(session: SessionContext, table: Table): void {
  const role = roleNamed(session.catalog, session.currentRole);
  if (role !== undefined) demandTable(session.catalog, role.id, table, 'D', []);
  refuseAppendOnly(table);
}

function sequencesOf(catalog: Catalog, tables: readonly Table[]): Sequence[] {
  const ids = new Set(tables.map(({ id }) => id));
  return [...catalog.relations.values()].filter(
    (relation) =>
      relation.kind === 'sequence' &&
      relation.ownedBy !== null &&
      ids.has(relation.ownedBy.relation),
  ) as Sequence[];
}
