// Answers of utility statements: rows of text, integers and the like, made here. Pure.

import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import { sqlType } from '../../ledger/type.ts';
import { baseOid, typeSize } from '../../sql/value/oid.ts';
import { dataRowEncoder } from '../../sql/value/data-row.ts';
import type { ColumnDescription } from '../pgwire/backend.ts';
import { BufferedRows } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import type { Outcome } from './execute.ts';
import { valueContext } from './value-context.ts';

export interface UtilityColumns {
  readonly columns: readonly ColumnDescription[];
  readonly types: readonly SqlType[];
}

/** Columns of type text. */
export function textColumns(...names: readonly string[]): UtilityColumns {
  const type = sqlType('text');
  return {
    columns: names.map((name) => ({
      name,
      tableOid: 0,
      columnNumber: 0,
      typeOid: baseOid('text'),
      typeSize: typeSize(type),
      typmod: -1,
    })),
    types: names.map(() => type),
  };
}

export function rowsOutcome(
  session: SessionContext,
  described: UtilityColumns,
  formats: readonly number[],
  rows: readonly Row[],
  tag: string,
): Outcome {
  const columns = described.types.map((type, i) => ({
    type,
    format: formats[i] === 1 ? (1 as const) : (0 as const),
  }));
  const encoder = dataRowEncoder(columns, valueContext(session));
  for (const row of rows) encoder.append(row as Datum[]);
  return {
    kind: 'rows',
    columns: described.columns,
    source: new BufferedRows(encoder.take(), rows.length),
    tag: () => tag,
  };
}
