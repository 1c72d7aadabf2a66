// A resolved SELECT → one SQLite SELECT. Pure.
//
// (1) The result has the visible targets in order, named c1, c2 …, in the representations of their types.
// (2) What SQLite lacks is built by wrapping: DISTINCT ON and WITH TIES by window functions, GROUPING SETS by
//     UNION ALL, INTERSECT ALL and EXCEPT ALL by numbering equal rows, DISTINCT over values whose bytes
//     differ by GROUP BY over their keys.

import { assert } from '../../ledger/error.ts';
import { storedKey } from './call.ts';
import { commonTables } from './cte.ts';
import { fromText } from './from.ts';
import { partByPart } from './part-by-part.ts';
import { pointRead } from './point-read.ts';
import { call } from './registered.ts';
import { equalityKey, plainEquality, represent, sortKey } from './representation.ts';
import { condition, scalar, typed } from './scalar.ts';
import { contains, openScope, startCompilation } from './scope.ts';
import { setReturningFrom } from './set-returning.ts';
import { setOperationText } from './set-operation.ts';
import { isSmall, isUnboundedCall } from '../unbounded.ts';
import { direction, notOrdinal } from './window.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Query, Scalar, SortRef, Target } from '../ir.ts';
import type { CompiledQuery } from '../query.ts';
import type { Compilation, CompileOptions, Scope, Typed } from './scope.ts';

/** @throws SqlError 0A000 for what SQLite cannot be made to do */
export function compileQuery(query: Query, options: CompileOptions): CompiledQuery {
  const shared = startCompilation(options);
  const text = selectText(query, null, shared);
  return finish(query, text, shared, visibleTargets(query));
}

/** The compiled form around a finished text. */
export function finish(
  query: Query,
  text: string,
  shared: Compilation,
  targets: readonly Target[],
): CompiledQuery {
  const point = pointRead(query, shared.options);
  return {
    text,
    parameters: [...shared.parameters],
    catalogVersion: shared.options.catalog.version,
    columns: targets.map(({ name, expression, relation, column }) => ({
      name,
      type: expression.type,
      relation,
      column,
    })),
    tables: [...shared.tables],
    spread: shared.spread,
    pointRead: point,
    bounded: point === null ? isSmall(query) : !contains(query, isUnboundedCall),
    sessionFunctions: [...shared.sessionFunctions],
  };
}

export function visibleTargets(query: Query): readonly Target[] {
  return query.targets.filter((target) => !target.hidden);
}

/** SELECT text of a query nested in `parent`, or of a whole statement. */
export function selectText(query: Query, parent: Scope | null, shared = parent?.shared): string {
  assert(shared !== undefined, 'a nested query has a scope around it');
  const scope = openScope(shared, query, parent);
  const ctes = commonTables(scope);
  return ctes + bodyText(scope);
}

function bodyText(scope: Scope): string {
  const { query } = scope;
  if (query.set !== null) return wrapped(setOperationText(query.set, scope), scope);
  if (query.groupingSets !== null) return wrapped(groupingSetsText(scope), scope);
  if (needsWrapper(query)) return wrapped(plainSelect(scope, query.targets, ''), scope);
  const distinct = query.distinct.length > 0 ? 'DISTINCT ' : '';
  const select = plainSelect(scope, visibleTargets(query), distinct);
  // One row needs no order.
  const sorted = oneGroup(scope, visibleTargets(query)) ? [] : query.sort;
  const order = sorted.map((ref) => {
    const target = query.targets[ref.target]!;
    return `${sortTerm(target, ref.target, scope)} ${sortDirection(ref, target, scope)}`;
  });
  const orderBy = order.length === 0 ? '' : ` ORDER BY ${order.join(', ')}`;
  return select + orderBy + limitText(scope);
}

function needsWrapper(query: Query): boolean {
  if (query.withTies || query.distinctOn) return true;
  const returnsSet = query.targets.some((target) => target.hidden && containsSet(target));
  return (
    returnsSet ||
    (query.distinct.length > 0 &&
      query.targets.some((target) => target.hidden || !plainEquality(target.expression.type)))
  );
}

function containsSet(target: Target): boolean {
  return contains(
    target.expression,
    (node) => 'kind' in node && node.kind === 'call' && node.fn.returnsSet,
  );
}

/** A visible column sorts by its number, so that SQLite computes it once. */
function sortTerm(target: Target, position: number, scope: Scope): string {
  const { catalog } = scope.shared.options;
  const { type } = target.expression;
  if (!target.hidden && sortKey({ text: 'c', type }, catalog) === 'c') return String(position + 1);
  const value = typed(target.expression, scope);
  return notOrdinal(storedKey(value, scope) ?? sortKey(value, catalog));
}

/** NULLS LAST is left out where no NULL can be: SQLite then sorts by an index in one pass. */
function sortDirection(ref: SortRef, target: Target, scope: Scope): string {
  const { expression } = target;
  const { query } = scope;
  if (expression.kind === 'var' && query.from.length === 1 && query.from[0]!.kind === 'ref') {
    const table = scope.sources.get(expression.entry)?.table;
    const column = table?.columns.find((item) => item.id === expression.column);
    if (column?.notNull === true) return ref.descending ? 'DESC' : 'ASC';
  }
  return direction(ref);
}

/** SELECT … FROM … WHERE … GROUP BY … HAVING of one query without set operation. */
export function plainSelect(scope: Scope, targets: readonly Target[], distinct: string): string {
  const { query } = scope;
  const joined = partByPart(scope);
  const from = joined ?? fromText(scope);
  const list = targets.map((target, at) => `${scalar(target.expression, scope)} AS c${at + 1}`);
  if (list.length === 0) list.push('NULL AS c1');
  const filtered = query.where === null || joined !== null;
  const where = filtered ? '' : ` WHERE ${condition(query.where, scope)}`;
  const sources = [from, setReturningFrom(scope)].filter((item) => item !== '').join(', ');
  const tail = `${sources === '' ? '' : ` FROM ${sources}`}${where}${groupText(scope)}`;
  if (!oneGroup(scope, targets)) return `SELECT ${distinct}${list.join(', ')}${tail}`;
  // One row for all rows, also for none: SQLite wants to see an aggregate among the columns for that.
  const names = targets.map((_, at) => `c${at + 1}`).join(', ');
  return `SELECT ${names} FROM (SELECT ${[...list, 'count(*) AS n'].join(', ')}${tail})`;
}

/** Whether all rows are one group by what the columns do not show: HAVING, GROUP BY (), an aggregate in a hidden one. */
function oneGroup(scope: Scope, targets: readonly Target[]): boolean {
  const { query } = scope;
  const keys = scope.grouping === null ? query.group.length : scope.grouping.size;
  if (keys > 0) return false;
  if (query.having !== null || scope.grouping !== null) return true;
  if (!query.aggregates) return false;
  return !targets.some(({ expression }) =>
    contains(expression, (node) => 'kind' in node && node.kind === 'aggregate'),
  );
}

function groupText(scope: Scope): string {
  const { query } = scope;
  let text = '';
  const keys = query.group.flatMap((ref, at) => {
    if (scope.grouping !== null && !scope.grouping.has(at + 1)) return [];
    return [notOrdinal(equalityKey(typed(query.targets[ref.target]!.expression, scope)))];
  });
  if (keys.length > 0) text = ` GROUP BY ${keys.join(', ')}`;
  if (query.having !== null) {
    text += ` HAVING ${condition(query.having, scope)}`;
  }
  return text;
}

/** One SELECT for each grouping set, all of them joined. Columns left out are NULL. */
function groupingSetsText(scope: Scope): string {
  const { query } = scope;
  const sets = query.groupingSets!;
  const seen = new Set<string>();
  const parts: string[] = [];
  for (const set of sets) {
    const columns = set.map((target) => query.group.findIndex((ref) => ref.target === target) + 1);
    const name = [...columns].sort((left, right) => left - right).join();
    if (query.groupDistinct && seen.has(name)) continue;
    seen.add(name);
    const own = { ...scope, sources: new Map(), selectSets: [], grouping: new Set(columns) };
    parts.push(plainSelect(own, query.targets, ''));
  }
  return parts.join(' UNION ALL ');
}

/** DISTINCT, ORDER BY and LIMIT around a SELECT that gives all targets, hidden ones too, as c1 …. */
function wrapped(inner: string, scope: Scope): string {
  const { query } = scope;
  const { catalog } = scope.shared.options;
  const column = (ref: SortRef): Typed => ({
    text: `c${ref.target + 1}`,
    type: query.targets[ref.target]!.expression.type,
  });
  const list = query.targets.map((_, at) => `c${at + 1}`).join(', ');
  const order = query.sort.map((ref) => `${sortKey(column(ref), catalog)} ${direction(ref)}`);
  const orderBy = order.length === 0 ? '' : ` ORDER BY ${order.join(', ')}`;
  let rows = inner;
  if (query.distinctOn) {
    const keys = query.distinct.map((ref) => equalityKey(column(ref))).join(', ');
    const numbered = `SELECT *, row_number() OVER (PARTITION BY ${keys}${orderBy}) AS n FROM (${rows})`;
    rows = `SELECT ${list} FROM (${numbered}) WHERE n = 1`;
  } else if (query.distinct.length > 0) {
    const keys = query.distinct.map((ref) => equalityKey(column(ref))).join(', ');
    rows = `SELECT ${list} FROM (${rows}) GROUP BY ${keys}`;
  }
  const visible = visibleTargets(query)
    .map((_, at) => `c${at + 1}`)
    .join(', ');
  if (query.withTies) return withTies(rows, visible, orderBy, scope);
  const limit = limitText(scope);
  const plain = orderBy === '' && limit === '' && visible === list;
  return plain ? rows : `SELECT ${visible} FROM (${rows})${orderBy}${limit}`;
}

function withTies(rows: string, visible: string, orderBy: string, scope: Scope): string {
  const { limit, offset } = scope.query;
  const window = `OVER (${orderBy.trim()})`;
  const skipped = offset === null ? '0' : call('row_offset', [scalar(offset, scope)]);
  const ranked = `SELECT *, row_number() ${window} AS n, rank() ${window} AS r FROM (${rows})`;
  const taken =
    limit === null ? '' : ` AND r <= ${skipped} + ${call('row_limit', [scalar(limit, scope)])}`;
  return `SELECT ${visible} FROM (${ranked}) WHERE n > ${skipped}${taken} ORDER BY n`;
}

function limitText(scope: Scope): string {
  const { limit, offset } = scope.query;
  const limited = limit !== null && !(limit.kind === 'const' && limit.value === null);
  if (!limited && offset === null) return '';
  const count = (name: string, node: Scalar): string => {
    const constant = constantInteger(node);
    return constant !== null && constant >= 0n
      ? String(constant)
      : call(name, [scalar(node, scope)]);
  };
  const rows = limited ? count('row_limit', limit) : '-1';
  return ` LIMIT ${rows}${offset === null ? '' : ` OFFSET ${count('row_offset', offset)}`}`;
}

/** A constant that stands alone or under a widening cast, as in LIMIT 1; else null. */
export function constantInteger(node: Scalar): bigint | null {
  if (node.kind === 'call' && WIDENING.has(node.fn.symbol)) return constantInteger(node.args[0]!);
  return node.kind === 'const' && typeof node.value === 'bigint' ? node.value : null;
}

const WIDENING = new Set(['int48', 'int28']);

/** A SELECT of c1 … whose columns are brought from one list of types to another. */
export function convertColumns(
  text: string,
  from: readonly SqlType[],
  to: readonly SqlType[],
): string {
  const columns = from.map((type, at) => represent({ text: `c${at + 1}`, type }, to[at]!));
  if (columns.every((column, at) => column === `c${at + 1}`)) return text;
  const list = columns.map((column, at) => `${column} AS c${at + 1}`);
  return `SELECT ${list.join(', ')} FROM (${text})`;
}
