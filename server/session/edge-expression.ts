// Scalars evaluated at the edge, in the main thread: values of INSERT, defaults, keys, RETURNING. Shell only in
// that what does not fit the ledger's expression language is asked of SQLite.
//
// A scalar is translated once into the ledger's language and compiled to a closure; what only the session
// knows (parameters, now(), nextval, current_user) becomes a column with a negative id. What does not fit
// becomes a SELECT without FROM, the row at hand as further parameters: on the main thread's connection when
// it is sure to take few steps (sql/unbounded.ts), else in a reader process.

import { AssertionError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { compileExpression } from '../../ledger/evaluate.ts';
import type { Expression } from '../../ledger/expression.ts';
import type { Catalog } from '../../ledger/catalog.ts';
import type { Datum } from '../../ledger/type.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { Cte, Query, Scalar } from '../../sql/ir.ts';
import type { CompiledQuery } from '../../sql/query.ts';
import { EMPTY_SELECT } from '../../sql/empty-select.ts';
import { ledgerExpression } from '../../sql/to-expression.ts';
import { mayRunLong } from '../../sql/unbounded.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import { readValues, requestOf } from './execute-read.ts';
import { mapScalar } from './map-scalar.ts';
import type { ReadPlan } from './plan.ts';
import { randomUuid, sessionCast, sessionFunction } from './session-functions.ts';
import { ANSWER_PARAMETERS } from './split-read.ts';

/** What a scalar may look at: parameters, the session, and the row at hand, if any. */
export interface Surroundings {
  readonly session: SessionContext;
  readonly parameters: readonly Datum[];
  /** The row at hand, by column id; for `var`s of the entry given to `compileEdge`. */
  readonly row?: (column: number) => Datum;
}

export interface EdgeExpression {
  /** For expressions without a `query`; see `valueOf`. */
  evaluate(surroundings: Surroundings): Datum;
  /** The query that computes what may take long. */
  readonly query: ReadPlan | null;
  /** Sequences it draws from, by catalog id, one entry a call. */
  readonly sequences: readonly number[];
}

export interface EdgeScope {
  readonly catalog: Catalog;
  /** Range table entry whose columns the row at hand gives; 0 for none. */
  readonly entry: number;
  /** WITH of the statement, which its subqueries may name. */
  readonly ctes?: readonly Cte[];
}

type Source = (surroundings: Surroundings) => Datum;

export function compileEdge(scalar: Scalar, scope: EdgeScope): EdgeExpression {
  const direct = directly(scalar, scope.entry);
  if (direct !== null) return { evaluate: direct, query: null, sequences: [] };
  if (mayRunLong(scalar)) return { evaluate: refuse, query: far(scalar, scope), sequences: [] };
  const sequences = sequencesOf(scalar);
  const evaluate = closure(scalar, scope) ?? throughSqlite(scalar, scope);
  return { evaluate, query: null, sequences };
}

/** An expression that is always NULL. */
export const NULL_EXPRESSION: EdgeExpression = { evaluate: () => null, query: null, sequences: [] };

/** The value, at once where it can be. @throws SqlError; 57014 when the statement must stop */
export function valueOf(
  { evaluate, query }: EdgeExpression,
  surroundings: Surroundings,
): Datum | Promise<Datum> {
  return query === null ? evaluate(surroundings) : farValue(query, surroundings);
}

/** Values of several expressions, in turn; null stands for NULL. */
export function valuesOf(
  expressions: readonly (EdgeExpression | null)[],
  surroundings: Surroundings,
): Datum[] | Promise<Datum[]> {
  const values: Datum[] = [];
  for (const expression of expressions) {
    if (expression !== null && expression.query !== null)
      return valuesFrom(expressions, surroundings, values);
    values.push(expression === null ? null : expression.evaluate(surroundings));
  }
  return values;
}

/** The rest of them, some of which take time. */
async function valuesFrom(
  expressions: readonly (EdgeExpression | null)[],
  surroundings: Surroundings,
  values: Datum[],
): Promise<Datum[]> {
  for (const expression of expressions.slice(values.length))
    values.push(expression === null ? null : await valueOf(expression, surroundings));
  return values;
}

function refuse(): never {
  throw new AssertionError('an expression that may take long was evaluated on the main thread');
}

function far(scalar: Scalar, scope: EdgeScope): ReadPlan {
  const query = { ...constantQuery(overParameters(scalar, scope)), ctes: scope.ctes ?? [] };
  const compiled = compileQuery(query, compileOptions(scope.catalog, 'current', new Set()));
  const analysis = { parameters: [], columns: null, query, catalogOnly: false };
  return { kind: 'read', query, analysis, compiled, variants: new Map() };
}

async function farValue(
  query: ReadPlan,
  { session, parameters, row }: Surroundings,
): Promise<Datum> {
  const rows = await readValues(session, query, withRow(query.compiled, parameters, row));
  return rows[0]?.[0] ?? null;
}

/** Plain parameters, constants and columns need no evaluator. */
function directly(scalar: Scalar, entry: number): Source | null {
  if (scalar.kind === 'param') {
    const index = scalar.number - 1;
    return ({ parameters }) => parameters[index] ?? null;
  }
  if (scalar.kind === 'const') {
    const { value } = scalar;
    return () => value;
  }
  if (scalar.kind === 'var' && scalar.entry === entry && scalar.column > 0) {
    const { column } = scalar;
    return ({ row }) => row!(column);
  }
  return null;
}

function closure(scalar: Scalar, scope: EdgeScope): Source | null {
  const sources: Source[] = [];
  const outside = (source: Source, type: Scalar['type']): Expression => {
    sources.push(source);
    return { kind: 'column', type, column: -sources.length };
  };
  const leaf = (node: Scalar): Expression | undefined => {
    if (node.kind === 'param') {
      return outside(({ parameters }) => parameters[node.number - 1] ?? null, node.type);
    }
    if (node.kind === 'session') return fromSession(node.name, node);
    if (node.kind !== 'call') return undefined;
    const drawn = nextvalOf(node);
    if (drawn !== undefined) return outside(({ session }) => session.drawNext(drawn), node.type);
    if (node.fn.symbol === 'gen_random_uuid') return outside(randomUuid, node.type);
    const cast = sessionCast(node.fn.symbol);
    const instant = cast && closure(node.args[0]!, scope);
    if (cast && instant) {
      const local: Source = (surroundings) => {
        const value = instant(surroundings);
        return value === null ? null : cast(value as bigint, surroundings.session);
      };
      return outside(local, node.type);
    }
    return node.args.length === 0 ? fromSession(node.fn.name, node) : undefined;
  };
  const fromSession = (name: string, node: Scalar): Expression | undefined => {
    const value = sessionFunction(name);
    return value === undefined ? undefined : outside(({ session }) => value(session), node.type);
  };
  const expression = ledgerExpression(scalar, (node) => {
    if (node.kind === 'var' && (node.entry !== scope.entry || node.levelsUp !== 0)) return null;
    return leaf(node);
  });
  if (expression === null) return null;
  const evaluate = compileExpression(expression);
  return (surroundings) =>
    evaluate((column) =>
      column < 0 ? sources[-column - 1]!(surroundings) : surroundings.row!(column),
    );
}

/** Parameters above the client's stand for columns of the row at hand. */
const ROW_PARAMETERS = 100_000;

function throughSqlite(scalar: Scalar, scope: EdgeScope): Source {
  const compiled = compileQuery(
    constantQuery(overParameters(scalar, scope)),
    compileOptions(scope.catalog, 'current', new Set()),
  );
  return ({ session, parameters, row }) => {
    const request = requestOf(session, compiled, withRow(compiled, parameters, row), null);
    return session.services.inline.all(session, request)[0]?.[0] ?? null;
  };
}

/** The scalar with parameters for the columns of the row at hand. */
function overParameters(scalar: Scalar, { entry }: EdgeScope): Scalar {
  return mapScalar(scalar, (node, depth) => {
    if (node.kind !== 'var' || node.entry !== entry || node.levelsUp !== depth) return undefined;
    if (node.column < 0) {
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        'cannot retrieve a system column in this context',
      );
    }
    return { kind: 'param', type: node.type, number: ROW_PARAMETERS + node.column };
  });
}

/** The parameters, and those that stand for columns. */
function withRow(
  compiled: CompiledQuery,
  parameters: readonly Datum[],
  row: Surroundings['row'],
): readonly Datum[] {
  if (row === undefined) return parameters;
  const all = [...parameters];
  for (const name of compiled.parameters) {
    const number = Number(/^p(\d+)$/.exec(name)?.[1] ?? 0);
    if (number > ROW_PARAMETERS && number <= ANSWER_PARAMETERS)
      all[number - 1] = row(number - ROW_PARAMETERS);
  }
  return all;
}

/** SELECT <scalar>. */
function constantQuery(scalar: Scalar): Query {
  const value = { name: 'value', hidden: false, relation: 0, column: 0, assign: 0 };
  return { ...EMPTY_SELECT, targets: [{ ...value, expression: scalar }] };
}

function sequencesOf(scalar: Scalar): number[] {
  const sequences: number[] = [];
  contains(scalar, (node) => {
    if (!('command' in node) && node.kind === 'call') {
      const id = nextvalOf(node);
      if (id !== undefined) sequences.push(id);
    }
    return false;
  });
  return sequences;
}

function nextvalOf(node: Extract<Scalar, { kind: 'call' }>): number | undefined {
  if (node.fn.symbol !== 'nextval_oid') return undefined;
  const [argument] = node.args;
  return argument?.kind === 'const' ? argument.relation : undefined;
}
