// What a session holds: how much it may, and for pg_prepared_statements and pg_cursors: the analyst knows no sessions. Pure.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Portal } from './portal.ts';
import type { Prepared } from './plan.ts';

/** @throws SqlError 54000 for one more than `max`; the one without a name replaces the last of its kind */
export function requireRoom(
  held: ReadonlyMap<string, unknown>,
  name: string,
  what: string,
  max: number,
): void {
  if (name === '' || held.size < max) return;
  throw new SqlError(SQLSTATE.programLimitExceeded, `a session may hold at most ${max} ${what}`);
}

/** Settings of ours that carry it to the analyst; read by functions that sql/analyst/make-up.ts makes. */
export function heldObjects(
  statements: ReadonlyMap<string, Prepared>,
  portals: ReadonlyMap<string, Portal>,
): Map<string, string> {
  const prepared = [...statements].flatMap(([name, held]) => {
    const { text, parameterOids, columns } = held;
    const result_types = columns?.map(({ typeOid }) => typeOid) ?? [];
    return name === ''
      ? []
      : [{ name, statement: text, parameter_types: parameterOids, result_types }];
  });
  const cursors = [...portals].flatMap(
    ([
      name,
      {
        prepared: { text },
        hold,
        formats,
      },
    ]) => {
      const is_binary = formats.length > 0 && formats.every((format) => format === 1);
      return name === '' ? [] : [{ name, statement: text, is_holdable: hold, is_binary }];
    },
  );
  return new Map([
    ['trustsql.statements', JSON.stringify(prepared)],
    ['trustsql.cursors', JSON.stringify(cursors)],
  ]);
}
