// What a write with RETURNING answers. Shell.

import type { Datum, Row } from '../../ledger/type.ts';
import { rulesOf } from '../../storage/constraints.ts';
import { dataRowEncoder } from '../../sql/value/data-row.ts';
import { BufferedRows } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import { valuesOf } from './edge-expression.ts';
import { EdgeTables } from './edge-table.ts';
import type { Outcome } from './execute.ts';
import type { InsertPlan } from './plan-insert.ts';
import type { Prepared } from './plan.ts';
import { valueContext } from './value-context.ts';

export function returningOutcome(
  session: SessionContext,
  prepared: Prepared,
  formats: readonly number[],
  rows: readonly Row[],
  tag: string,
): Outcome {
  const columns = prepared.columnTypes.map((type, i) => ({ type, format: formats[i] ?? 0 }));
  const encoder = dataRowEncoder(columns, valueContext(session));
  for (const row of rows) encoder.append(row);
  return {
    kind: 'rows',
    columns: null,
    source: new BufferedRows(encoder.take(), rows.length),
    tag: () => tag,
  };
}

/**
 * Values of an INSERT's RETURNING, row by row. It must be asked before the rows are written: it sees the tables as they
 * were, and what fails fails the statement.
 *
 * @param rows  full ones; their generated columns are filled in
 * @param updates  those of them that DO UPDATE has made
 */
export async function returnedRows(
  session: SessionContext,
  plan: InsertPlan,
  parameters: readonly Datum[],
  rows: readonly Datum[][],
  updates: ReadonlySet<Row> = new Set(),
): Promise<Row[]> {
  if (plan.returning.length === 0) return [];
  const rules = rulesOf(new EdgeTables(session).table(plan.table), session.catalog);
  const position = new Map(plan.table.columns.map((column, i) => [column.id, i]));
  const returned: Row[] = [];
  for (const row of rows) {
    rules.complete(row);
    const values = valuesOf(updates.has(row) ? plan.returningUpdated : plan.returning, {
      session,
      parameters,
      row: (id) => row[position.get(id)!] ?? null,
    });
    returned.push(values instanceof Promise ? await values : values);
  }
  return returned;
}
