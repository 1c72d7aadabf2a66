// A column of a closed row version, as the column's type of today. Pure.

import type { Column } from '../../ledger/catalog.ts';
import { columnName, TO } from '../../storage/names.ts';
import type { Retyping } from '../../storage/retyped.ts';
import { call } from './registered.ts';
import { quote, typeCode } from './representation.ts';

/**
 * SQLite text. A value of a former type is read through its text; one that the type of today cannot hold is an
 * error when it is asked for, as a cast would be.
 *
 * @param prefix  alias of the history table with its dot, or ''
 */
export function closedColumn(
  prefix: string,
  column: Column,
  retyped: readonly Retyping[] | undefined,
): string {
  const name = `${prefix}${columnName(column.id)}`;
  if (retyped === undefined) return name;
  const cases = retyped.map(({ stamp, type }) => {
    const converted = call('via_text', [name, quote(typeCode(type)), quote(typeCode(column.type))]);
    return `WHEN ${prefix}${TO} <= ${stamp} THEN ${converted}`;
  });
  return `CASE ${cases.join(' ')} ELSE ${name} END`;
}
