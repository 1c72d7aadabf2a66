// Takes what only the session can answer out of a query, so that a reader process can run the rest. Pure.
//
// (1) What depends on no row (current_setting('a'), currval('s'), a FROM-less subquery that calls nextval) is
//     answered before, once, and becomes a parameter.
// (2) Elsewhere in the select list, and in conditions of WHERE, the reader delivers what such an expression is
//     made of, and the session works it out for each row it shows.
// (3) Anywhere else it is refused: 0A000.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import { SESSION } from '../../sql/functions/session.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { Query, Scalar, Target } from '../../sql/ir.ts';
import { mayRunLong } from '../../sql/unbounded.ts';
import { mapScalar } from './map-scalar.ts';

/** Parameters above those of clients and of rows at hand stand for answers. */
export const ANSWER_PARAMETERS = 10_000_000;

/** The range table entry whose columns, from 1 on, are those that the reader delivers. */
export const DELIVERED_ENTRY = -1;

export interface SplitQuery {
  /** Without session functions. */
  readonly query: Query;
  /** The values of parameters ANSWER_PARAMETERS + 1 …; they read no row. */
  readonly answers: readonly Scalar[];
  /** What is left to be done with each row delivered; null: it is shown as it is. */
  readonly work: RowWork | null;
}

/** Scalars over DELIVERED_ENTRY. */
export interface RowWork {
  /** A row is shown when all of them are true. */
  readonly conditions: readonly Scalar[];
  /** The columns shown. */
  readonly columns: readonly Scalar[];
  /** Of the rows shown, where the reader cannot count them; they read no row. */
  readonly offset: Scalar | null;
  readonly limit: Scalar | null;
  /** What a query around makes of the columns, which are its row; null: they are shown. */
  readonly shown: readonly Scalar[] | null;
}

/** @throws SqlError 0A000 */
export function splitQuery(query: Query): SplitQuery {
  const answers: Scalar[] = [];
  const answered = (node: Scalar): Scalar => {
    // What may take long is a query of its own, whose answer the session's function is given.
    answers.push(node.kind === 'call' ? { ...node, args: node.args.map(each) } : node);
    return { kind: 'param', type: node.type, number: ANSWER_PARAMETERS + answers.length };
  };
  const each = (arg: Scalar): Scalar => (mayRunLong(arg) ? answered(arg) : arg);
  const acts =
    query.from.length > 0 && query.targets.some(({ expression }) => contains(expression, isEffect));
  const rewritten = rewrite(query, (node, at) => {
    if (!isSessionNode(node)) return undefined;
    // What the select list does, the rest of it sees.
    if (acts && at.query === query && at.field === 'targets') return undefined;
    const once = isRunOnce(at, query);
    return readsRows(node) || (!once && contains(node, isEffect)) ? undefined : answered(node);
  });
  const inner = wrapped(rewritten);
  if (inner !== null && asksSession(inner.query)) return wrapping(rewritten, inner, answers);
  const left = rewritten.where === null ? [] : conjuncts(rewritten.where).filter(asksSession);
  const worked = rewritten.targets.some(({ expression }) => asksSession(expression));
  if (!worked && left.length === 0) {
    if (asksSession(rewritten)) throw misplaced(rewritten);
    return { query: rewritten, answers, work: null };
  }
  return { ...delivered(rewritten, left), answers };
}

interface Wrapped {
  readonly entry: number;
  readonly query: Query;
}

/** The subquery that a query shows row by row, as INSERT … SELECT does; null for any other query. */
function wrapped(query: Query): Wrapped | null {
  const [item, ...more] = query.from;
  if (item?.kind !== 'ref' || more.length > 0 || query.where !== null) return null;
  const entry = query.entries[item.entry - 1];
  if (entry?.kind !== 'subquery' || query.targets.some(({ hidden }) => hidden)) return null;
  const clauses = [query.group, query.distinct, query.sort, query.windows, query.ctes];
  const counted = query.limit !== null || query.offset !== null || query.groupingSets !== null;
  if (clauses.some(({ length }) => length > 0) || counted || query.aggregates) return null;
  return query.set === null && query.having === null
    ? { entry: item.entry, query: entry.query }
    : null;
}

/** The subquery's rows are worked on, then shown as the query around it says. */
function wrapping(query: Query, { entry, query: inner }: Wrapped, answers: Scalar[]): SplitQuery {
  const split = splitQuery(inner);
  // Parameters of the subquery's own answers would be named again.
  if (split.work === null || split.answers.length > 0 || split.work.shown !== null)
    throw misplaced(query);
  const shown = query.targets.map(({ expression }) =>
    mapScalar(expression, (node, depth) =>
      node.kind === 'var' && node.entry === entry && node.levelsUp === depth
        ? { ...node, entry: DELIVERED_ENTRY }
        : undefined,
    ),
  );
  if (shown.some(needsReader)) throw misplaced(query);
  return { query: split.query, answers, work: { ...split.work, shown } };
}

/** The query that delivers what the session's own work on each row needs. */
function delivered(query: Query, left: readonly Scalar[]): Omit<SplitQuery, 'answers'> {
  const filters = left.length > 0;
  const kept = query.where === null ? [] : conjuncts(query.where).filter((at) => !asksSession(at));
  const rest: Query = {
    ...query,
    where: kept.length === 0 ? null : { kind: 'and', type: sqlType('bool'), args: kept },
    targets: query.targets.map((target) =>
      asksSession(target.expression) ? { ...target, expression: NOTHING } : target,
    ),
    ...(filters ? { offset: null, limit: null } : {}),
  };
  if (asksSession(rest) || !isRowByRow(query, filters)) throw misplaced(query);
  const visible = query.targets.filter(({ hidden }) => !hidden);
  const pieces: Target[] = [];
  const column = (type: Scalar['type'], position: number): Scalar => ({
    kind: 'var',
    type,
    entry: DELIVERED_ENTRY,
    column: position,
    levelsUp: 0,
  });
  const inPieces = (scalar: Scalar): Scalar =>
    mapScalar(scalar, (node) => {
      if (isTransparent(node) || contains(node, keepsItsPlace)) return undefined;
      pieces.push({ ...VISIBLE, expression: node });
      return column(node.type, visible.length + pieces.length);
    });
  const columns = visible.map(({ expression }, i) =>
    asksSession(expression) ? inPieces(expression) : column(expression.type, i + 1),
  );
  const conditions = left.map(inPieces);
  if ([...columns, ...conditions].some(needsReader)) throw misplaced(query);
  const work = {
    conditions,
    columns,
    offset: filters ? query.offset : null,
    limit: filters ? query.limit : null,
    shown: null,
  };
  return { query: { ...rest, targets: [...rest.targets, ...pieces] }, work };
}

const NOTHING: Scalar = { kind: 'const', type: sqlType('int4'), value: null };

const VISIBLE: Omit<Target, 'expression'> = {
  name: '',
  hidden: false,
  relation: 0,
  column: 0,
  assign: 0,
};

/** Whether the rows delivered are, one by one, those that are shown; conditions must come before the rest. */
function isRowByRow(query: Query, filters: boolean): boolean {
  const windows = query.windows.flatMap(({ partition, order }) => [...partition, ...order]);
  const refs = [...query.group, ...query.distinct, ...query.sort, ...windows];
  if (refs.some(({ target }) => asksSession(query.targets[target]!.expression))) return false;
  if (query.set !== null || query.groupingSets !== null || query.withTies) return false;
  if (query.distinct.length > 0) return false;
  if (!filters) return true;
  return query.group.length === 0 && !query.aggregates && query.windows.length === 0;
}

function conjuncts(where: Scalar): readonly Scalar[] {
  return where.kind === 'and' ? where.args.flatMap(conjuncts) : [where];
}

// ── Looking at scalars ───────────────────────────────────────────────────────────────────────────

const EFFECT = /^(nextval|setval|set_config|pg_(try_)?advisory|pg_sleep|pg_cancel|pg_terminate)/;

function isSessionNode(node: Scalar | Query): boolean {
  if ('command' in node) return false;
  if (node.kind === 'session') return Object.hasOwn(SESSION, node.name.replace(/\s*\(.*$/, ''));
  if (node.kind !== 'call') return false;
  return Object.hasOwn(SESSION, node.fn.symbol) || Object.hasOwn(SESSION, node.fn.name);
}

/** A session function that does something, or gives another value at each call. */
function isEffect(node: Scalar | Query): boolean {
  return isSessionNode(node) && 'fn' in node && EFFECT.test((node.fn as { name: string }).name);
}

function asksSession(root: Scalar | Query): boolean {
  return contains(root, isSessionNode);
}

/** Whether there is something in it that only a row, or the place it stands in, can tell. */
function readsRows(scalar: Scalar): boolean {
  return contains(
    scalar,
    (node) =>
      'command' in node || ROW_KINDS.has(node.kind) || (node.kind === 'call' && node.fn.returnsSet),
  );
}

const ROW_KINDS: ReadonlySet<string> = new Set([
  'var',
  'aggregate',
  'window',
  'grouping',
  'caseValue',
  'subParam',
]);

/** What the session evaluates as well as the reader. */
function isTransparent(node: Scalar): boolean {
  return node.kind === 'const' || node.kind === 'param' || node.kind === 'session';
}

/** Rows that a session function would be called for are the reader's: those of a subquery, an aggregate, a set. */
function needsReader(scalar: Scalar): boolean {
  return contains(
    scalar,
    (node) =>
      'command' in node ||
      node.kind === 'aggregate' ||
      node.kind === 'window' ||
      (node.kind === 'call' && node.fn.returnsSet),
  );
}

/** Parts of a scalar that mean nothing outside of it, and what the session must evaluate itself. */
function keepsItsPlace(node: Scalar | Query): boolean {
  if (isSessionNode(node)) return true;
  return 'kind' in node && (node.kind === 'caseValue' || node.kind === 'subParam');
}

/**
 * Whether what stands there is evaluated once, if it reads no row: in FROM, and in a query without FROM, as
 * long as nothing refers to the query around.
 */
function isRunOnce({ query, field }: Place, whole: Query): boolean {
  if (field !== 'entries' && (query.from.length > 0 || query.set !== null)) return false;
  if (query === whole) return true;
  return !contains(query, (node) => 'kind' in node && node.kind === 'var' && node.levelsUp > 0);
}

// ── Rewriting ────────────────────────────────────────────────────────────────────────────────────

interface Place {
  readonly query: Query;
  /** The field of the query. */
  readonly field: string;
}

/** The query with every scalar that `replace` answers for replaced, in subqueries too. */
function rewrite(query: Query, replace: (node: Scalar, at: Place) => Scalar | undefined): Query {
  const visit = (value: unknown, at: Place): unknown => {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map((item) => visit(item, at));
    if ('kind' in value && 'type' in value) {
      const other = replace(value as Scalar, at);
      if (other !== undefined) return other;
    }
    const inner = 'command' in value ? (value as Query) : null;
    const fields = Object.entries(value).map(([field, item]) => [
      field,
      visit(item, inner === null ? at : { query: inner, field }),
    ]);
    return Object.fromEntries(fields) as unknown;
  };
  return visit(query, { query, field: '' }) as Query;
}

function misplaced(query: Query): SqlError {
  let name = 'a session function';
  contains(query, (node) => {
    if (isSessionNode(node)) name = 'fn' in node ? `${(node.fn as { name: string }).name}()` : name;
    return false;
  });
  return new SqlError(
    SQLSTATE.featureNotSupported,
    `${name} is not supported in this part of a query`,
    {
      hint: 'It can be called in the select list and in WHERE of the outermost query, without DISTINCT, UNION, or sorting by it.',
    },
  );
}
