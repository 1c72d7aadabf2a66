// Whether a block may take long to execute, so that the main thread should not. Pure.
//
// It may be wrong either way without harm: a heavy block executed at once holds the others up, and a light one
// executed elsewhere costs two wake-ups of a thread.

import type { Operation } from '../ledger/operation.ts';
import type { DecodedTransaction } from './apply.ts';
import type { StateStore } from './state-store.ts';

/** Rows of a block beyond which it is heavy: some 10 ms. */
const ROWS_MAX = 2_000;

/** @param transactions of one block */
export function isHeavy(store: StateStore, transactions: readonly DecodedTransaction[]): boolean {
  let rows = 0;
  for (const { transaction } of transactions) {
    for (const operation of transaction?.operations ?? []) {
      if (isUnbounded(store, operation)) return true;
      rows += 'rows' in operation ? operation.rows.length : 1;
    }
  }
  return rows > ROWS_MAX;
}

/** Chunks have rows of their own; a change of the catalog may read all rows, as a check without an index may. */
function isUnbounded(store: StateStore, operation: Operation): boolean {
  switch (operation.kind) {
    case 'chunks':
    case 'catalog':
    case 'truncate':
      return true;
    case 'delete':
      return store.incoming(operation.relation).length > 0;
    case 'update':
      return touchesReferenced(store, operation.relation, operation.columns);
    case 'program':
      return operation.set === null
        ? store.incoming(operation.relation).length > 0
        : touchesReferenced(
            store,
            operation.relation,
            operation.set.map(({ column }) => column),
          );
    default:
      return false;
  }
}

function touchesReferenced(
  store: StateStore,
  relation: number,
  columns: readonly number[],
): boolean {
  return store
    .incoming(relation)
    .some(({ foreignKey }) => foreignKey.referencedColumns.some((id) => columns.includes(id)));
}
