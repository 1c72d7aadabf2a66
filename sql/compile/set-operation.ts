// UNION, INTERSECT, EXCEPT. Pure.
//
// SQLite's compound operators take no brackets, so every operand but a plain SELECT becomes a subquery.

import { assert } from '../../ledger/error.ts';
import { commonTables } from './cte.ts';
import { convertColumns, selectText, visibleTargets } from './query.ts';
import { equalityKey, plainEquality } from './representation.ts';
import { newAlias, notSupported, openScope } from './scope.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Query, SetOperation } from '../ir.ts';
import type { Scope } from './scope.ts';

type Compound = Exclude<SetOperation, { kind: 'ref' }>;

/** SELECT text whose columns c1 … have the types of the operation. */
export function setOperationText(operation: SetOperation, scope: Scope): string {
  if (operation.kind === 'ref') return operand(operation.entry, scope).text;
  const { all, types } = operation;
  const left = side(operation.left, types, scope);
  const right = side(operation.right, types, scope);
  const plain = types.every(plainEquality);
  const list = types.map((_, at) => `c${at + 1}`).join(', ');
  if (operation.kind === 'union') {
    const union = `SELECT ${list} FROM (${left}) UNION ALL SELECT ${list} FROM (${right})`;
    if (all) return union;
    if (plain) return `SELECT ${list} FROM (${left}) UNION SELECT ${list} FROM (${right})`;
    return `SELECT ${list} FROM (${union}) GROUP BY ${keys(types, '')}`;
  }
  if (!all && plain) {
    return `SELECT ${list} FROM (${left}) ${operation.kind.toUpperCase()} SELECT ${list} FROM (${right})`;
  }
  return numbered(operation, left, right, list, scope);
}

function keys(types: readonly SqlType[], prefix: string): string {
  return types.map((type, at) => equalityKey({ text: `${prefix}c${at + 1}`, type })).join(', ');
}

/** Equal rows are numbered on both sides; the n-th on the left stays if there is an n-th on the right, or not. */
function numbered(
  operation: Compound,
  left: string,
  right: string,
  list: string,
  scope: Scope,
): string {
  const { all, types } = operation;
  const number = `row_number() OVER (PARTITION BY ${keys(types, '')}) AS n`;
  const one = newAlias(scope.shared, 't');
  const other = newAlias(scope.shared, 't');
  const same = types.map((type, at) => {
    const key = (alias: string): string => equalityKey({ text: `${alias}.c${at + 1}`, type });
    return `${key(one)} IS ${key(other)}`;
  });
  if (all) same.push(`${one}.n = ${other}.n`);
  const found = `EXISTS (SELECT 1 FROM (SELECT *, ${number} FROM (${right})) AS ${other} WHERE ${same.join(' AND ')})`;
  const kept = operation.kind === 'intersect' ? found : `NOT ${found}`;
  const first = all ? '' : ` AND ${one}.n = 1`;
  return `SELECT ${list} FROM (SELECT *, ${number} FROM (${left})) AS ${one} WHERE ${kept}${first}`;
}

function side(operation: SetOperation, types: readonly SqlType[], scope: Scope): string {
  if (operation.kind !== 'ref') {
    return convertColumns(setOperationText(operation, scope), operation.types, types);
  }
  const { text, types: own } = operand(operation.entry, scope);
  return convertColumns(text, own, types);
}

function operand(number: number, scope: Scope): { text: string; types: readonly SqlType[] } {
  const entry = scope.query.entries[number - 1];
  assert(entry?.kind === 'subquery', 'an operand of a set operation is a subquery');
  const types = visibleTargets(entry.query).map((target) => target.expression.type);
  return { text: selectText(entry.query, scope), types };
}

/** A query whose targets are converted in place. */
function converted(query: Query, types: readonly SqlType[]): Query {
  const targets = query.targets.map((target, at) => {
    const type = target.hidden ? undefined : types[at];
    const { expression } = target;
    if (type === undefined) return target;
    return { ...target, expression: { kind: 'relabel' as const, type, arg: expression } };
  });
  return { ...query, targets };
}

/** A recursive query: SQLite wants its two terms bare, the recursive reference in the FROM of the second. */
export function recursiveText(query: Query, parent: Scope): string {
  const scope = openScope(parent.shared, query, parent);
  const ctes = commonTables(scope);
  const { set } = query;
  if (set?.kind !== 'union') throw notSupported('this form of recursive query');
  if (query.sort.length > 0 || query.limit !== null || query.offset !== null) {
    throw notSupported('ORDER BY or LIMIT in a recursive query');
  }
  const left = side(set.left, set.types, scope);
  if (set.right.kind !== 'ref') throw notSupported('more than one recursive term');
  const entry = scope.query.entries[set.right.entry - 1];
  assert(entry?.kind === 'subquery', 'an operand of a set operation is a subquery');
  const text = selectText(converted(entry.query, set.types), scope);
  return `${ctes}SELECT * FROM (${left}) UNION ${set.all ? 'ALL ' : ''}${text}`;
}
