// The answer of a write with RETURNING. Pure but for the codecs.

import type { Row } from '../../ledger/type.ts';
import { dataRowEncoder } from '../../sql/value/data-row.ts';
import { BufferedRows } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import type { Outcome } from './execute.ts';
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
