// Scalars evaluated at the edge, in the main thread: values of INSERT, defaults, keys, RETURNING. Shell only in
// that what does not fit the ledger's expression language is asked of SQLite.
//
// A scalar is translated once into the ledger's language and compiled to a closure; what only the session
// knows (parameters, now(), nextval, current_user) becomes a column with a negative id. What does not fit
// becomes a SELECT without FROM on the main thread's connection, the row at hand as further parameters.

import { compileExpression } from '../../ledger/evaluate.ts';
import type { Expression } from '../../ledger/expression.ts';
import type { Catalog } from '../../ledger/catalog.ts';
import type { Datum } from '../../ledger/type.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { Query, Scalar } from '../../sql/ir.ts';
import { ledgerExpression } from '../../sql/to-expression.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import { requestOf } from './execute-read.ts';
import { mapScalar } from './map-scalar.ts';
import { randomUuid, sessionFunction } from './session-functions.ts';

/** What a scalar may look at: parameters, the session, and the row at hand, if any. */
export interface Surroundings {
  readonly session: SessionContext;
  readonly parameters: readonly Datum[];
  /** The row at hand, by column id; for `var`s of the entry given to `compileEdge`. */
  readonly row?: (column: number) => Datum;
}

export interface EdgeExpression {
  evaluate(surroundings: Surroundings): Datum;
  /** Sequences it draws from, by catalog id, one entry a call. */
  readonly sequences: readonly number[];
}

export interface EdgeScope {
  readonly catalog: Catalog;
  /** Range table entry whose columns the row at hand gives; 0 for none. */
  readonly entry: number;
}

type Source = (surroundings: Surroundings) => Datum;

export function compileEdge(scalar: Scalar, scope: EdgeScope): EdgeExpression {
  const sequences = sequencesOf(scalar);
  const direct = directly(scalar, scope.entry);
  if (direct !== null) return { evaluate: direct, sequences };
  return { evaluate: closure(scalar, scope) ?? throughSqlite(scalar, scope), sequences };
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
  const bound = mapScalar(scalar, (node, depth) =>
    node.kind === 'var' && node.entry === scope.entry && node.levelsUp === depth
      ? { kind: 'param', type: node.type, number: ROW_PARAMETERS + node.column }
      : undefined,
  );
  const compiled = compileQuery(
    constantQuery(bound),
    compileOptions(scope.catalog, 'current', new Set()),
  );
  return ({ session, parameters, row }) => {
    const all = [...parameters];
    for (const name of compiled.parameters) {
      const number = /^p(\d+)$/.exec(name)?.[1];
      if (number === undefined || Number(number) <= ROW_PARAMETERS) continue;
      all[Number(number) - 1] = row!(Number(number) - ROW_PARAMETERS);
    }
    const request = requestOf(session, compiled, all, null);
    return session.services.inline.all(session, request)[0]?.[0] ?? null;
  };
}

/** SELECT <scalar>. */
function constantQuery(scalar: Scalar): Query {
  return {
    command: 'select',
    entries: [],
    target: 0,
    from: [],
    where: null,
    targets: [
      { expression: scalar, name: 'value', hidden: false, relation: 0, column: 0, assign: 0 },
    ],
    returning: [],
    group: [],
    groupDistinct: false,
    groupingSets: null,
    having: null,
    aggregates: false,
    windows: [],
    distinct: [],
    distinctOn: false,
    sort: [],
    offset: null,
    limit: null,
    withTies: false,
    set: null,
    ctes: [],
    locks: [],
    onConflict: null,
    overriding: 'none',
    privileges: [],
  };
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
