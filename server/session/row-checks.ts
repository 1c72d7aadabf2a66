// Rows against a schema change, inside a transaction block. Shell.
//
// What a change demands of rows is checked when it is applied (storage/schema-change.ts). In a block that is
// at COMMIT; here the client hears of it by the statement that asks for it, as in Postgres.

import type { Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Row } from '../../ledger/type.ts';
import type { DdlAnalysis, RowCheck } from '../../sql/analysis.ts';
import {
  comparableKey,
  containsNulls,
  duplicated,
  violatedBySomeRow,
} from '../../storage/constraints.ts';
import { checkReference } from '../../storage/foreign-keys.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { BLOCK_CHECK_ROWS_MAX } from '../limits.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import { EdgeTables } from './edge-table.ts';
import { readValues } from './execute-read.ts';

/** Looks at one row; throws what is wrong with it. */
type Test = (row: Row) => void;

/** @throws SqlError 23502, 23503, 23505, 23514 */
export async function checkRows(
  session: SessionContext,
  { rowChecks }: DdlAnalysis,
): Promise<void> {
  const tables = new EdgeTables(session);
  for (const relation of new Set(rowChecks.map((check) => check.relation))) {
    const table = session.catalog.relations.get(relation);
    if (table?.kind !== 'table') continue;
    const own = rowChecks.filter((check) => check.relation === relation);
    const tests = own.flatMap((check) => testOf(session, tables, table, check) ?? []);
    if (tests.length === 0) continue;
    const rows = await rowsOf(session, table);
    if (rows.length > BLOCK_CHECK_ROWS_MAX) continue;
    for (const row of rows) for (const test of tests) test(row);
  }
}

function testOf(
  session: SessionContext,
  tables: EdgeTables,
  table: Table,
  check: RowCheck,
): Test | undefined {
  const { catalog } = session;
  const edge = tables.table(table);
  switch (check.kind) {
    case 'notNull': {
      const position = edge.position(check.column)!;
      return (row) => {
        if (row[position] === null)
          throw containsNulls(catalog, table, table.columns[position]!.name);
      };
    }
    case 'check': {
      const { name, expression } = table.checks.find(({ id }) => id === check.check)!;
      const holds = edge.compile(expression);
      return (row) => {
        if (holds(row) === 0n) throw violatedBySomeRow(catalog, table, name);
      };
    }
    case 'unique': {
      const index = edge.index(check.index)!;
      const seen = new Set<string>();
      return (row) => {
        const key = comparableKey(index.key(row));
        if (key !== null && seen.has(key)) throw duplicated(catalog, edge, index, row);
        if (key !== null) seen.add(key);
      };
    }
    case 'foreignKey': {
      const foreignKey = table.foreignKeys.find(({ id }) => id === check.foreignKey)!;
      return (row) => checkReference(tables, edge, foreignKey, row);
    }
    case 'fill':
    case 'rewrite':
      return undefined;
  }
}

/** The rows as the transaction sees them, up to one more than the limit. */
async function rowsOf(session: SessionContext, table: Table): Promise<Row[]> {
  const schema = session.catalog.schemas.get(table.schema)!.name;
  const text = `SELECT * FROM ${quoted(schema)}.${quoted(table.name)} LIMIT ${BLOCK_CHECK_ROWS_MAX + 1}`;
  const analysis = await session.services.analyst.analyse(text, [], session.analysisContext());
  const { query } = analysis;
  if (query === null) throw new SqlError(SQLSTATE.internalError, 'a table has no rows to check');
  const compiled = compileQuery(query, compileOptions(session.catalog, 'current', new Set()));
  return readValues(session, { kind: 'read', query, analysis, compiled, variants: new Map() }, []);
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
