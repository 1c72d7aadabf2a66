// How the compiler sees this node: tables, overlays, the views of the ledger schema and history. Pure.

import type { Catalog, Table } from '../../ledger/catalog.ts';
import type { CompileOptions } from '../../sql/compile/scope.ts';
import { ledgerViewSource, historySource } from '../../sql/ledger-source.ts';
import type { Retypings } from '../../storage/retyped.ts';
import type { Visibility } from '../../sql/query.ts';

const NONE: Retypings = new Map();

/** @param retypings  needed where the past is read: views of history, and as of a height */
export function compileOptions(
  catalog: Catalog,
  visibility: Visibility,
  overlay: ReadonlySet<number>,
  retypings: Retypings = NONE,
): CompileOptions {
  return {
    catalog,
    visibility,
    overlay,
    ledgerView: (relation) => ledgerViewSource(relation, catalog),
    retyped: (relation) => retypings.get(relation),
    historyView: (table: Table) => historySource(table, retypings.get(table.id)),
  };
}
