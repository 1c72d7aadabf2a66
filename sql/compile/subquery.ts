// Subqueries in expressions. Pure.
//
// SQLite takes the first row of a scalar subquery that has several; Postgres raises 21000. So unless the
// subquery cannot give two rows it is wrapped in a count over at most two of them.

import { comparisonOf } from './call.ts';
import { quantified } from './array.ts';
import { call } from './registered.ts';
import { general, generalType, plainEquality, quote, typeCode } from './representation.ts';
import { constantInteger, selectText, visibleTargets } from './query.ts';
import { scalar } from './scalar.ts';
import { newAlias, notSupported } from './scope.ts';
import type { Query, Scalar } from '../ir.ts';
import type { Scope } from './scope.ts';

type Subquery = Extract<Scalar, { kind: 'subquery' }>;

export function subqueryTest(node: Subquery, scope: Scope): string {
  const { query } = node;
  switch (node.link) {
    case 'exists':
      return `EXISTS (${selectText(query, scope)})`;
    case 'scalar': {
      const text = selectText(query, scope);
      return atMostOneRow(query) ? `(${text})` : oneRow(text, 'c1', scope);
    }
    case 'array':
      return arrayOf(query, scope);
    case 'any':
    case 'all':
      return quantifiedTest(node, scope);
    case 'rowCompare': {
      const alias = newAlias(scope.shared, 't');
      const inner = { ...scope, subColumns: (column: number) => `${alias}.c${column}` };
      const test = scalar(node.test!, inner);
      const rows = `SELECT ${test} AS c1 FROM (${selectText(query, scope)}) AS ${alias}`;
      return oneRow(rows, 'c1', scope);
    }
  }
}

function oneRow(text: string, column: string, scope: Scope): string {
  const alias = newAlias(scope.shared, 't');
  const checked = `CASE WHEN count(*) > 1 THEN ${call('too_many_rows', [])} ELSE ${alias}.${column} END`;
  return `(SELECT ${checked} FROM (SELECT * FROM (${text}) LIMIT 2) AS ${alias})`;
}

function atMostOneRow(query: Query): boolean {
  if (query.set !== null || query.groupingSets !== null) return false;
  const limit = query.limit === null || query.withTies ? null : constantInteger(query.limit);
  if (limit !== null && limit <= 1n) return true;
  if (query.aggregates && query.group.length === 0) return true;
  return query.from.length === 0 && !query.targets.some((target) => returnsSet(target.expression));
}

function returnsSet(node: Scalar): boolean {
  return node.kind === 'call' && node.fn.returnsSet;
}

function arrayOf(query: Query, scope: Scope): string {
  const alias = newAlias(scope.shared, 't');
  const [target] = visibleTargets(query);
  const { type } = target!.expression;
  const value = general({ text: `${alias}.c1`, type });
  const code = quote(typeCode(generalType(type)));
  const collected = call('array_of', [code, call('collect', [value])]);
  return `coalesce((SELECT ${collected} FROM (${selectText(query, scope)}) AS ${alias}), '[]')`;
}

function quantifiedTest(node: Subquery, scope: Scope): string {
  const any = node.link === 'any';
  const left = membership(node);
  if (left !== null) {
    const values = left.map((part) => scalar(part, scope)).join(', ');
    const row = left.length === 1 ? values : `(${values})`;
    const word = any ? 'IN' : 'NOT IN';
    return `(${row} ${word} (${selectText(node.query, scope)}))`;
  }
  const alias = newAlias(scope.shared, 't');
  const inner = { ...scope, subColumns: (column: number) => `${alias}.c${column}` };
  if (node.test === null) throw notSupported('this comparison with a subquery');
  const test = scalar(node.test, inner);
  return quantified(any, test, `(${selectText(node.query, scope)}) AS ${alias}`);
}

/** Left sides of `(a, …) = ANY (subquery)` in the order of its columns, when bytes decide equality. */
function membership(node: Subquery): readonly Scalar[] | null {
  if (node.test === null) return null;
  const any = node.link === 'any';
  const tests = any && node.test.kind === 'and' ? node.test.args : [node.test];
  const lefts: Scalar[] = [];
  const columns = visibleTargets(node.query);
  for (const test of tests) {
    if (test.kind !== 'call' || comparisonOf(test.fn) !== (any ? '=' : '<>')) return null;
    const [left, right] = test.args;
    if (left === undefined || right?.kind !== 'subParam') return null;
    if (right.number !== lefts.length + 1 || !plainEquality(left.type)) return null;
    const column = columns[right.number - 1];
    if (left.type.base === 'numeric' && column?.expression.type.typmod !== left.type.typmod)
      return null;
    lefts.push(left);
  }
  return lefts.length === columns.length ? lefts : null;
}
