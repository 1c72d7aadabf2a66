// SELECT … FOR UPDATE | SHARE: locks the rows before the query answers. Shell.
//
// The locks are the node's own (server/lock-table.ts). Inside a transaction the versions seen are also
// required when it is applied, so that a writer at another node cannot slip in between.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import type { Datum } from '../../ledger/type.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import type { FunctionRef, Query, Scalar, Target } from '../../sql/ir.ts';
import type { LockMode } from '../lock-table.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import { readValues } from './execute-read.ts';
import type { ReadPlan } from './plan.ts';
import { ROW_ID_ATTRIBUTE, VERSION_ATTRIBUTE } from './plan-modify.ts';
import { showProgramsOf } from './show-programs.ts';
import { rowLockKey } from './transaction-commands.ts';

/** Rows that SKIP LOCKED leaves out, by relation: the query must not show them. */
export type Skipped = ReadonlyMap<number, ReadonlySet<bigint>>;

/**
 * Locks what the query will show.
 *
 * @returns rows that are locked by others and must be left out (SKIP LOCKED)
 */
export async function lockRows(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): Promise<Skipped> {
  const { transaction } = session;
  if (transaction !== null) await showProgramsOf(session, transaction, plan.compiled.tables);
  const ids = idsQuery(plan, session);
  const skipped = new Map<number, Set<bigint>>();
  for (;;) {
    const rows = await readValues(session, ids.plan, parameters);
    let waited = false;
    for (const row of rows) {
      for (const [i, lock] of ids.locks.entries()) {
        const rowId = row[2 * i] as bigint | null;
        if (rowId === null || rowId < 0n) continue;
        const key = rowLockKey(lock.relation, rowId);
        if (lock.wait === 'block') waited = (await session.lock(key, lock.mode)) || waited;
        else if (!session.services.locks.tryAcquire(session, key, lock.mode)) {
          if (lock.wait === 'nowait') throw notAvailable(session, lock.relation);
          addTo(skipped, lock.relation, rowId);
        }
      }
    }
    if (waited && (transaction === null || transaction.isolation === 'read committed')) continue;
    if (transaction !== null) require(session, ids.locks, rows, skipped);
    return skipped;
  }
}

interface RowLock {
  readonly relation: number;
  readonly mode: LockMode;
  readonly wait: 'block' | 'nowait' | 'skip';
}

/** The query with the row ids and versions of the locked tables as its columns. */
function idsQuery(plan: ReadPlan, session: SessionContext): { plan: ReadPlan; locks: RowLock[] } {
  const { query } = plan;
  if (query.group.length > 0 || query.distinct.length > 0 || query.set !== null || query.aggregates) {
    throw new SqlError(SQLSTATE.featureNotSupported, 'FOR UPDATE is not allowed with this query');
  }
  const locks: RowLock[] = [];
  const targets: Target[] = [];
  for (const { entry: number, strength, wait } of query.locks) {
    const entry = query.entries[number - 1];
    if (entry?.kind !== 'relation' || entry.relationKind !== 'table') continue;
    locks.push({ relation: entry.relation, mode: strength, wait });
    for (const column of [ROW_ID_ATTRIBUTE, VERSION_ATTRIBUTE]) {
      targets.push({
        expression: { kind: 'var', type: sqlType('int8'), entry: number, column, levelsUp: 0 },
        name: '',
        hidden: false,
        relation: 0,
        column: 0,
        assign: 0,
      });
    }
  }
  // Sort keys refer to targets by position, so these come first and the old ones stay, hidden.
  const shift = targets.length;
  const ids: Query = {
    ...query,
    targets: [...targets, ...query.targets.map((target) => ({ ...target, hidden: true }))],
    sort: query.sort.map((ref) => ({ ...ref, target: ref.target + shift })),
    locks: [],
  };
  const compiled = compileQuery(ids, compileOptions(session.catalog, 'current', new Set()));
  return {
    plan: { kind: 'read', query: ids, analysis: plan.analysis, compiled, variants: new Map() },
    locks,
  };
}

function require(
  session: SessionContext,
  locks: readonly RowLock[],
  rows: readonly (readonly Datum[])[],
  skipped: Skipped,
): void {
  for (const [i, { relation }] of locks.entries()) {
    const seen = new Map<bigint, bigint>();
    for (const row of rows) {
      const [rowId, version] = [row[2 * i] as bigint | null, row[2 * i + 1] as bigint];
      if (rowId === null || version === 0n || skipped.get(relation)?.has(rowId) === true) continue;
      seen.set(rowId, version);
    }
    if (seen.size === 0) continue;
    const required = [...seen].map(([rowId, version]) => ({ rowId, version }));
    session.transaction!.push({ kind: 'require', relation, rows: required });
  }
}

function addTo(skipped: Map<number, Set<bigint>>, relation: number, rowId: bigint): void {
  const set = skipped.get(relation);
  if (set === undefined) skipped.set(relation, new Set([rowId]));
  else set.add(rowId);
}

function notAvailable(session: SessionContext, relation: number): SqlError {
  const name = session.catalog.relations.get(relation)?.name ?? '';
  return new SqlError(SQLSTATE.lockNotAvailable, `could not obtain lock on row in relation "${name}"`);
}

/** The query without the rows that SKIP LOCKED leaves out. */
export function withoutRows(plan: ReadPlan, session: SessionContext, skipped: Skipped): ReadPlan {
  const { query } = plan;
  const terms: Scalar[] = query.where === null ? [] : [query.where];
  query.entries.forEach((entry, i) => {
    const ids = entry.kind === 'relation' ? skipped.get(entry.relation) : undefined;
    if (ids === undefined || !query.locks.some((lock) => lock.entry === i + 1)) return;
    const int8 = sqlType('int8');
    const rowId: Scalar = { kind: 'var', type: int8, entry: i + 1, column: ROW_ID_ATTRIBUTE, levelsUp: 0 };
    for (const id of ids) {
      const args: Scalar[] = [rowId, { kind: 'const', type: int8, value: id }];
      terms.push({ kind: 'call', type: sqlType('bool'), fn: INT8_NOT_EQUAL, args, variadic: false, format: 'operator' });
    }
  });
  const only: Query = { ...query, where: { kind: 'and', type: sqlType('bool'), args: terms }, locks: [] };
  const compiled = compileQuery(only, compileOptions(session.catalog, 'current', new Set()));
  return { ...plan, query: only, compiled, variants: new Map() };
}

const INT8_NOT_EQUAL: FunctionRef = {
  oid: 468,
  name: 'int8ne',
  symbol: 'int8ne',
  volatility: 'immutable',
  strict: true,
  returnsSet: false,
};
