// How the compiler sees this node: tables, overlays, the views of the ledger schema and history. Pure.

import type { Catalog, Table } from '../../ledger/catalog.ts';
import type { CompileOptions } from '../../sql/compile/scope.ts';
import { ledgerViewSource, historySource } from '../../sql/ledger-source.ts';
import type { Visibility } from '../../sql/query.ts';

export function compileOptions(
  catalog: Catalog,
  visibility: Visibility,
  overlay: ReadonlySet<number>,
): CompileOptions {
  return {
    catalog,
    visibility,
    overlay,
    ledgerView: (relation) => ledgerViewSource(relation, catalog),
    historyView: (table: Table) => historySource(table),
  };
}
