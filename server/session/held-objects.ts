// What a session holds, for pg_prepared_statements and pg_cursors: the analyst knows no sessions. Pure.

import type { Portal } from './portal.ts';
import type { Prepared } from './plan.ts';

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
