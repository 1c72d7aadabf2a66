// LOCK TABLE. Shell.
//
// Modes that conflict with themselves exclude each other; the others need nothing, for readers block nobody.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { RawNode } from '../../sql/parse.ts';
import { demandAnyOf } from '../../storage/privileges.ts';
import { roleNamed } from './context.ts';
import type { SessionContext } from './context.ts';

/** Modes by their number, as in Postgres. */
const ACCESS_SHARE = 1;
const ROW_EXCLUSIVE = 3;
const SHARE_UPDATE_EXCLUSIVE = 4;

interface NamedTable {
  readonly RangeVar: { readonly schemaname?: string; readonly relname: string };
}

/** @throws SqlError 25P01, 42P01, 42501; 55P03 with NOWAIT */
export async function lockTables(session: SessionContext, tree: RawNode): Promise<string> {
  if (session.transaction?.explicit !== true) {
    throw new SqlError(
      SQLSTATE.noActiveSqlTransaction,
      'LOCK TABLE can only be used in transaction blocks',
    );
  }
  const mode = tree['mode'] as number;
  const { analyst, locks } = session.services;
  for (const { RangeVar } of tree['relations'] as readonly NamedTable[]) {
    const { schemaname, relname } = RangeVar;
    const id = await analyst.relationId(schemaname, relname, session.analysisContext());
    if (id === 0) {
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        `LOCK TABLE of system catalog "${relname}" is not supported`,
      );
    }
    demandLock(session, id, mode);
    if (mode < SHARE_UPDATE_EXCLUSIVE) continue;
    const key = `table:${id}`;
    if (tree['nowait'] !== true) await session.lock(key, 'update');
    else if (!locks.tryAcquire(session, key, 'update')) {
      throw new SqlError(
        SQLSTATE.lockNotAvailable,
        `could not obtain lock on relation "${relname}"`,
      );
    }
  }
  return 'LOCK TABLE';
}

/** @throws SqlError 42501 */
function demandLock({ catalog, currentRole }: SessionContext, id: number, mode: number): void {
  const relation = catalog.relations.get(id);
  const role = roleNamed(catalog, currentRole);
  if (relation === undefined || role === undefined) return;
  const letters = mode === ACCESS_SHARE ? 'r' : mode === ROW_EXCLUSIVE ? 'awdD' : 'wdD';
  demandAnyOf(catalog, role.id, relation, letters);
}
