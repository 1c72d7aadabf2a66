// Whether rows that have been locked are still as they were when they were read. Shell.
//
// A query sees the rows of one moment, and locks them in the next: in between others may have changed them
// and given back their locks.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { SessionContext } from './context.ts';
import { EdgeTables } from './edge-table.ts';
import { turns } from './turns.ts';

/** A row of the ledger as it was read; version 0: one that this transaction has written. */
export interface SeenRow {
  readonly rowId: bigint;
  readonly version: bigint;
}

/**
 * Looks again at rows that are locked by now.
 *
 * @param since  SessionContext.services.appliedStamp() from before they were read
 * @returns      false when somebody has changed or deleted one of them
 */
export async function areCurrent(
  session: SessionContext,
  relation: number,
  seen: readonly SeenRow[],
  since: bigint,
): Promise<boolean> {
  await session.services.locks.unlocked.settled(relation);
  const table = session.catalog.relations.get(relation);
  if (session.services.appliedStamp() === since || table?.kind !== 'table') return true;
  const edge = new EdgeTables(session).table(table);
  const pause = turns(session);
  for (const { rowId, version } of seen) {
    if (version === 0n || rowId < 0n) continue;
    if (edge.row(rowId)?.version !== version) return false;
    const wait = pause();
    if (wait !== undefined) await wait;
  }
  return true;
}

/** @throws SqlError 40001 when somebody else has changed or deleted one of the rows since they were seen */
export async function refuseChanged(
  session: SessionContext,
  relation: number,
  seen: readonly SeenRow[],
): Promise<void> {
  const table = session.catalog.relations.get(relation);
  if (table?.kind !== 'table') return;
  await session.services.locks.unlocked.settled(relation);
  const edge = new EdgeTables(session).table(table);
  const pause = turns(session);
  for (const { rowId, version } of seen) {
    const now = edge.row(rowId);
    if (now?.version === version) {
      const wait = pause();
      if (wait !== undefined) await wait;
      continue;
    }
    throw new SqlError(
      SQLSTATE.serializationFailure,
      `could not serialize access due to concurrent ${now === null ? 'delete' : 'update'}`,
    );
  }
}
