// Columns whose type was changed: how the closed versions of their rows are to be read. Shell.
//
// ALTER COLUMN … TYPE writes a new version of every row, and never touches an old one: a version that was
// closed by it or before holds the column as the former type does. Which transactions did so is in the record
// of catalog changes.

import { applyChanges, EMPTY_CATALOG } from '../ledger/catalog.ts';
import type { Catalog } from '../ledger/catalog.ts';
import { decodeChanges } from '../ledger/encoding.ts';
import type { SqlType } from '../ledger/type.ts';
import type { Database } from './sqlite.ts';

/** Versions with `_to` up to and including `stamp` hold the column as `type`. */
export interface Retyping {
  readonly stamp: bigint;
  readonly type: SqlType;
}

/** By relation and column id; the retypings of a column in order of stamp. */
export type Retypings = ReadonlyMap<number, ReadonlyMap<number, readonly Retyping[]>>;

/** @param database  a connection whose main file is shard 0 */
export function readRetypings(database: Database): Retypings {
  const rows = database
    .prepare('SELECT stamp, changes FROM main._catalog ORDER BY version')
    .raw()
    .all() as [bigint, Uint8Array][];
  const found = new Map<number, Map<number, Retyping[]>>();
  let catalog = EMPTY_CATALOG;
  for (const [stamp, encoded] of rows) {
    const after = applyChanges(catalog, decodeChanges(encoded));
    compare(catalog, after, stamp, found);
    catalog = after;
  }
  return found;
}

function compare(
  before: Catalog,
  after: Catalog,
  stamp: bigint,
  found: Map<number, Map<number, Retyping[]>>,
): void {
  for (const table of after.relations.values()) {
    const old = before.relations.get(table.id);
    if (table === old || table.kind !== 'table' || old?.kind !== 'table') continue;
    for (const { id, type } of table.columns) {
      const was = old.columns.find((column) => column.id === id)?.type;
      if (was === undefined || sameType(was, type)) continue;
      let columns = found.get(table.id);
      if (columns === undefined) found.set(table.id, (columns = new Map()));
      columns.set(id, [...(columns.get(id) ?? []), { stamp, type: was }]);
    }
  }
}

function sameType(a: SqlType, b: SqlType): boolean {
  return (
    a.base === b.base && a.typmod === b.typmod && a.array === b.array && a.userType === b.userType
  );
}
