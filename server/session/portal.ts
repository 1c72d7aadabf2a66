// A portal: a statement bound to its parameters, and how far it has been read. Pure.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type { ColumnDescription } from '../pgwire/backend.ts';
import type { Outcome } from './execute.ts';
import type { Prepared } from './plan.ts';

export interface Portal {
  readonly name: string;
  readonly prepared: Prepared;
  readonly parameters: readonly Datum[];
  /** One for each column. */
  readonly formats: readonly number[];
  outcome: Outcome | null;
  /** DECLARE … WITH HOLD: outlives its transaction. */
  hold: boolean;
  close(): void;
}

/** Format codes, one for each column, from what Bind says: none (text), one for all, or one each. */
export function formatsFor(
  given: readonly number[],
  columns: readonly ColumnDescription[] | null,
): readonly number[] {
  const count = columns?.length ?? 0;
  for (const format of given) {
    if (format !== 0 && format !== 1) {
      throw new SqlError(SQLSTATE.protocolViolation, `unsupported format code: ${format}`);
    }
  }
  if (given.length === count) return given;
  if (given.length <= 1) return new Array<number>(count).fill(given[0] ?? 0);
  if (columns === null) return [];
  throw new SqlError(
    SQLSTATE.protocolViolation,
    `bind message has ${given.length} result formats but query has ${count} columns`,
  );
}
