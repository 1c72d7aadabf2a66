// SELECT … FOR UPDATE | SHARE: locks the rows before the query answers. Shell.
//
// The locks are the node's own (server/lock-table.ts). Inside a transaction the versions seen are also
// required when it is applied, so that a writer at another node cannot slip in between.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import type { Datum } from '../../ledger/type.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { FunctionRef, Query, Scalar, Target } from '../../sql/ir.ts';
import type { LockMode } from '../lock-table.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import { readValues } from './execute-read.ts';
import type { ReadPlan } from './plan.ts';
import { ROW_ID_ATTRIBUTE, VERSION_ATTRIBUTE } from './plan-modify.ts';
import { areCurrent, refuseChanged } from './row-versions.ts';
import type { SeenRow } from './row-versions.ts';
import { showProgramsOf } from './show-programs.ts';
import { rowLockKey } from './transaction-commands.ts';
import { turns } from './turns.ts';

/** Rows by relation. */
type RowSets = Map<number, Set<bigint>>;

/** Whether FOR UPDATE or SHARE stands somewhere in the query; asked at every execution, so remembered. */
export function takesLocks(query: Query): boolean {
  let known = KNOWN.get(query);
  if (known === undefined) {
    known = contains(query, (node) => 'command' in node && node.locks.length > 0);
    KNOWN.set(query, known);
  }
  return known;
}

const KNOWN = new WeakMap<Query, boolean>();

/** Locks what the query and its subqueries ask for, and gives the plan that shows what has been locked. */
export async function locked(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): Promise<ReadPlan> {
  const { query } = plan;
  session.checkWritable(`SELECT FOR ${WORDS[query.locks[0]?.strength ?? 'update']}`);
  const inner = await lockSubqueries(session, query, parameters);
  const outer = inner.locks.length === 0 ? inner : await lockRows(session, inner, parameters);
  return outer === query ? plan : planOf(session, outer);
}

const WORDS = {
  update: 'UPDATE',
  noKeyUpdate: 'NO KEY UPDATE',
  share: 'SHARE',
  keyShare: 'KEY SHARE',
} as const;

function planOf(session: SessionContext, query: Query): ReadPlan {
  const compiled = compileQuery(query, compileOptions(session.catalog, 'current', new Set()));
  const analysis = { parameters: [], columns: null, query, catalogOnly: false };
  return { kind: 'read', query, analysis, compiled, variants: new Map() };
}

/** Subqueries that lock run first: they may not depend on rows of the query around them. */
async function lockSubqueries(
  session: SessionContext,
  query: Query,
  parameters: readonly Datum[],
): Promise<Query> {
  const found = new Set<Query>();
  contains(query, (node) => {
    if ('command' in node && node !== query && node.locks.length > 0) found.add(node);
    return false;
  });
  const replaced = new Map<Query, Query>();
  for (const inner of found) {
    if (readsOutside(inner, 0)) {
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        'FOR UPDATE in a subquery that depends on its row is not supported',
        {
          hint: 'Lock the rows by a statement of their own.',
        },
      );
    }
    const shown = await lockRows(session, inner, parameters);
    replaced.set(inner, { ...shown, locks: [] });
  }
  return found.size === 0 ? query : (replaceQueries(query, replaced) as Query);
}

/** Whether something in there refers to a query more than `depth` levels up. */
function readsOutside(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false;
  if (Array.isArray(value)) return value.some((item) => readsOutside(item, depth));
  const { levelsUp } = value as { levelsUp?: number };
  if (levelsUp !== undefined && levelsUp > depth) return true;
  return Object.values(value).some((field: unknown) => {
    const nested = typeof field === 'object' && field !== null && 'command' in field;
    return readsOutside(field, nested ? depth + 1 : depth);
  });
}

function replaceQueries(value: unknown, replaced: ReadonlyMap<Query, Query>): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const other = replaced.get(value as Query);
  if (other !== undefined) return other;
  if (Array.isArray(value)) return value.map((item) => replaceQueries(item, replaced));
  const fields = Object.entries(value).map(([name, field]) => [
    name,
    replaceQueries(field, replaced),
  ]);
  return Object.fromEntries(fields) as unknown;
}

/**
 * Locks what a query will show.
 *
 * @returns the query; with SKIP LOCKED, one that shows only rows that are locked now
 */
async function lockRows(
  session: SessionContext,
  query: Query,
  parameters: readonly Datum[],
): Promise<Query> {
  const { transaction } = session;
  const strict = transaction?.seesSnapshot === true;
  const skipped: RowSets = new Map();
  for (;;) {
    const ids = idsQuery(session, restricted(query, skipped, INT8_NOT_EQUAL, 'and'));
    if (transaction !== null) await showProgramsOf(session, transaction, ids.plan.compiled.tables);
    const since = session.services.appliedStamp();
    const rows = await readValues(session, ids.plan, parameters);
    const taken: RowSets = new Map();
    let again = false;
    const pause = turns(session);
    for (const row of rows) {
      const wait = pause();
      if (wait !== undefined) await wait;
      for (const [i, lock] of ids.locks.entries()) {
        const rowId = row[2 * i] as bigint | null;
        if (rowId === null) continue;
        const key = rowLockKey(lock.relation, rowId);
        // Another part of the statement has written the row: it is left out, as in Postgres.
        if (transaction?.overlay.writtenSince(lock.relation, rowId) === true) {
          addTo(skipped, lock.relation, rowId);
          again = true;
          continue;
        }
        if (rowId < 0n || lock.wait !== 'block') {
          const free = rowId < 0n || session.services.locks.tryAcquire(session, key, lock.mode);
          if (!free && lock.wait === 'nowait') throw notAvailable(session, lock.relation);
          if (!free) again = true;
          addTo(free ? taken : skipped, lock.relation, rowId);
        } else {
          if (await session.lock(key, lock.mode)) again ||= !strict;
          addTo(taken, lock.relation, rowId);
        }
      }
    }
    // Rows have changed meanwhile, or others take the place of those that were skipped.
    const seen = seenRows(ids.locks, rows);
    if (again || (!strict && !(await allCurrent(session, seen, since)))) continue;
    if (transaction !== null) await require(session, seen, strict);
    const skips = skipped.size > 0 || query.locks.some(({ wait }) => wait === 'skip');
    return skips ? restricted(query, taken, INT8_EQUAL, 'or') : query;
  }
}

interface RowLock {
  readonly relation: number;
  readonly mode: LockMode;
  readonly wait: 'block' | 'nowait' | 'skip';
}

/** The query with the row ids and versions of the locked tables as its columns. */
function idsQuery(session: SessionContext, query: Query): { plan: ReadPlan; locks: RowLock[] } {
  if (
    query.group.length > 0 ||
    query.distinct.length > 0 ||
    query.set !== null ||
    query.aggregates
  ) {
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
  return { plan: planOf(session, ids), locks };
}

/** Rows of the ledger that were read, by relation and id. */
type SeenRows = ReadonlyMap<number, ReadonlyMap<bigint, SeenRow>>;

function seenRows(locks: readonly RowLock[], rows: readonly (readonly Datum[])[]): SeenRows {
  const found = new Map<number, Map<bigint, SeenRow>>();
  for (const [i, { relation }] of locks.entries()) {
    for (const row of rows) {
      const [rowId, version] = [row[2 * i] as bigint | null, row[2 * i + 1] as bigint];
      if (rowId === null || version === 0n) continue;
      const seen = found.get(relation) ?? new Map<bigint, SeenRow>();
      found.set(relation, seen.set(rowId, { rowId, version }));
    }
  }
  return found;
}

async function allCurrent(
  session: SessionContext,
  rows: SeenRows,
  since: bigint,
): Promise<boolean> {
  for (const [relation, seen] of rows) {
    if (!(await areCurrent(session, relation, [...seen.values()], since))) return false;
  }
  return true;
}

/** The versions that were seen must be there when the transaction is applied; above READ COMMITTED, also now. */
async function require(session: SessionContext, rows: SeenRows, strict: boolean): Promise<void> {
  for (const [relation, seen] of rows) {
    const required = [...seen.values()];
    if (strict) await refuseChanged(session, relation, required);
    session.transaction!.push({ kind: 'require', relation, rows: required });
  }
}

function addTo(sets: RowSets, relation: number, rowId: bigint): void {
  const set = sets.get(relation);
  if (set === undefined) sets.set(relation, new Set([rowId]));
  else set.add(rowId);
}

function notAvailable(session: SessionContext, relation: number): SqlError {
  const name = session.catalog.relations.get(relation)?.name ?? '';
  return new SqlError(
    SQLSTATE.lockNotAvailable,
    `could not obtain lock on row in relation "${name}"`,
  );
}

/** The query with a condition on the row ids of each table it locks. */
function restricted(query: Query, rows: RowSets, fn: FunctionRef, kind: 'and' | 'or'): Query {
  const bool = sqlType('bool');
  const int8 = sqlType('int8');
  if (kind === 'and' && rows.size === 0) return query;
  const terms: Scalar[] = query.where === null ? [] : [query.where];
  for (const { entry: number } of query.locks) {
    const entry = query.entries[number - 1];
    if (entry?.kind !== 'relation' || entry.relationKind !== 'table') continue;
    const rowId: Scalar = {
      kind: 'var',
      type: int8,
      entry: number,
      column: ROW_ID_ATTRIBUTE,
      levelsUp: 0,
    };
    const tests = [...(rows.get(entry.relation) ?? [])].map((id): Scalar => {
      const args: Scalar[] = [rowId, { kind: 'const', type: int8, value: id }];
      return { kind: 'call', type: bool, fn, args, variadic: false, format: 'operator' };
    });
    // The side of an outer join that has no row has nothing to lock.
    if (kind === 'or') tests.push({ kind: 'isNull', type: bool, arg: rowId });
    terms.push(tests.length === 1 ? tests[0]! : { kind, type: bool, args: tests });
  }
  return { ...query, where: { kind: 'and', type: bool, args: terms } };
}

const INT8_EQUAL: FunctionRef = {
  oid: 467,
  name: 'int8eq',
  symbol: 'int8eq',
  volatility: 'immutable',
  strict: true,
  returnsSet: false,
};
const INT8_NOT_EQUAL: FunctionRef = {
  oid: 468,
  name: 'int8ne',
  symbol: 'int8ne',
  volatility: 'immutable',
  strict: true,
  returnsSet: false,
};
