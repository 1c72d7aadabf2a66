// Scalars → SQLite expressions. Pure.
//
// (1) The text's value has the representation of the scalar's own type; where an operand's type differs
//     (numerics of another scale) it is converted here.
// (2) Every operator is bracketed, so nothing depends on SQLite's precedence.

import { assert } from '../../ledger/error.ts';
import { sqlType } from '../../ledger/type.ts';
import { aggregate, grouping, windowCall } from './aggregate.ts';
import { anyOfArray, arrayCoerce, arrayLiteral, subscript } from './array.ts';
import { compare, functionCall } from './call.ts';
import { recordText } from './record.ts';
import { call } from './registered.ts';
import { literal, quote, represent, typeCode } from './representation.ts';
import { notSupported, outerScope, parameter } from './scope.ts';
import { sessionValue } from './session.ts';
import { subqueryTest } from './subquery.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Scalar, ScalarOf } from '../ir.ts';
import type { Scope, Typed } from './scope.ts';

type Of<K extends Scalar['kind']> = ScalarOf<K>;

/** The same value under another type. A text that becomes char(n) loses the blanks at its end, which do not count in one. */
function relabelled(value: Typed, type: SqlType): string {
  const text = represent(value, type);
  const trims = type.base === 'bpchar' && value.type.base !== 'bpchar' && !type.array;
  return trims ? `rtrim(${text}, ' ')` : text;
}

/** @throws SqlError 0A000 for what cannot be compiled */
export function scalar(node: Scalar, scope: Scope): string {
  switch (node.kind) {
    case 'const':
      return literal(node.value);
    case 'param':
      return parameter(scope.shared, `p${node.number}`);
    case 'var':
      return variable(node, scope);
    case 'call':
      return functionCall(node, scope);
    case 'viaText':
      return viaText(node, scope);
    case 'relabel':
      return relabelled(typed(node.arg, scope), node.type);
    case 'toDomain':
      return toDomain(node, scope);
    case 'and':
    case 'or':
      return junction(
        node.args.map((arg) => scalar(arg, scope)),
        node.kind === 'and' ? 'AND' : 'OR',
      );
    case 'not':
      return `(NOT ${scalar(node.arg, scope)})`;
    case 'isNull':
    case 'isNotNull':
      return nullTest(node, scope);
    case 'isTrue':
      return `(${scalar(node.arg, scope)} IS TRUE)`;
    case 'isNotTrue':
      return `(${scalar(node.arg, scope)} IS NOT TRUE)`;
    case 'isFalse':
      return `(${scalar(node.arg, scope)} IS FALSE)`;
    case 'isNotFalse':
      return `(${scalar(node.arg, scope)} IS NOT FALSE)`;
    case 'isUnknown':
      return `(${scalar(node.arg, scope)} IS NULL)`;
    case 'isNotUnknown':
      return `(${scalar(node.arg, scope)} IS NOT NULL)`;
    case 'coalesce':
      return coalesce(node, scope);
    case 'greatest':
    case 'least':
      return extreme(node, scope);
    case 'distinct':
      return distinct(node, scope);
    case 'nullIf':
      return nullIf(node, scope);
    case 'case':
      return caseText(node, scope);
    case 'caseValue':
      assert(scope.caseValue !== null, 'a CASE value stands outside its CASE');
      return represent(scope.caseValue, node.type);
    case 'anyOf':
      return anyOfArray(node, scope);
    case 'array':
      return arrayLiteral(node, scope);
    case 'arrayCoerce':
      return arrayCoerce(node, scope);
    case 'subscript':
      return subscript(node, scope);
    case 'row':
      return recordText(node, scope);
    case 'rowCompare':
      return rowCompare(node, scope);
    case 'field':
      return field(node, scope);
    case 'session':
      return sessionValue(node, scope);
    case 'aggregate':
      return aggregate(node, scope);
    case 'grouping':
      return grouping(node, scope);
    case 'window':
      return windowCall(node, scope);
    case 'subquery':
      return subqueryTest(node, scope);
    case 'subParam':
      assert(scope.subColumns !== null, 'a subquery column stands outside its test');
      return scope.subColumns(node.number);
    case 'default':
      // The edge fills it in.
      return 'NULL';
    default:
      return node satisfies never;
  }
}

export function typed(node: Scalar, scope: Scope): Typed {
  return { text: scalar(node, scope), type: node.type };
}

/** A condition of WHERE, ON, HAVING or FILTER, where NULL means the same as false. */
export function condition(node: Scalar, scope: Scope): string {
  if (node.kind === 'and') {
    return junction(
      node.args.map((arg) => condition(arg, scope)),
      'AND',
    );
  }
  return node.kind === 'anyOf' ? anyOfArray(node, scope, true) : scalar(node, scope);
}

/** The scalar in the representation of `type`. */
export function as(node: Scalar, type: SqlType, scope: Scope): string {
  return represent(typed(node, scope), type);
}

/** Terms joined as a balanced tree: SQLite bounds the depth of an expression, not its width. */
export function junction(terms: readonly string[], operator: 'AND' | 'OR'): string {
  if (terms.length === 1) return terms[0]!;
  const half = terms.length >> 1;
  const left = junction(terms.slice(0, half), operator);
  return `(${left} ${operator} ${junction(terms.slice(half), operator)})`;
}

function variable(node: Of<'var'>, scope: Scope): string {
  const owner = outerScope(scope, node.levelsUp);
  const entry = owner.query.entries[node.entry - 1];
  assert(entry !== undefined, 'a variable refers to no range table entry');
  if (node.column === 0) return recordText(node, scope);
  if (entry.kind === 'join') {
    const inner = entry.aliasVars[node.column - 1];
    assert(inner !== null && inner !== undefined, 'a column of a join is gone');
    return as(inner, node.type, owner);
  }
  if (entry.kind === 'group') {
    const expression = entry.expressions[node.column - 1];
    assert(expression !== undefined, 'a grouping column is gone');
    if (owner.grouping !== null && !owner.grouping.has(node.column)) return 'NULL';
    return as(expression, node.type, owner);
  }
  const source = owner.sources.get(node.entry);
  if (source === undefined) throw notSupported('a reference to a table that is not in FROM');
  return source.column(node.column);
}

function viaText(node: Of<'viaText'>, scope: Scope): string {
  const arg = typed(node.arg, scope);
  const from = node.arg.type;
  const textual = (type: SqlType): boolean =>
    !type.array &&
    ['text', 'varchar', 'bpchar', 'name', 'unknown', 'json', 'enum'].includes(type.base);
  if (textual(from) && ['text', 'varchar', 'name'].includes(node.type.base) && !node.type.array) {
    return arg.text;
  }
  return call('via_text', [arg.text, quote(typeCode(from)), quote(typeCode(node.type))]);
}

function toDomain(node: Of<'toDomain'>, scope: Scope): string {
  const value = represent(typed(node.arg, scope), node.type);
  return call('to_domain', [value, quote(String(node.type.userType))]);
}

function nullTest(node: Of<'isNull' | 'isNotNull'>, scope: Scope): string {
  const { arg } = node;
  if (arg.kind === 'row') {
    const parts = arg.args.map((part) => nullTest({ ...node, arg: part }, scope));
    return parts.length === 0 ? '1' : junction(parts, 'AND');
  }
  const test = node.kind === 'isNull' ? 'IS NULL' : 'IS NOT NULL';
  if (arg.type.base === 'record' && !arg.type.array) {
    const word = node.kind === 'isNull' ? 'all_null' : 'all_present';
    return call(word, [scalar(arg, scope)]);
  }
  return `(${scalar(arg, scope)} ${test})`;
}

function coalesce(node: Of<'coalesce'>, scope: Scope): string {
  const args = node.args.map((arg) => as(arg, node.type, scope));
  return args.length === 1 ? args[0]! : `coalesce(${args.join(', ')})`;
}

/** GREATEST and LEAST leave NULLs out. */
function extreme(node: Of<'greatest' | 'least'>, scope: Scope): string {
  const args = node.args.map((arg) => as(arg, node.type, scope));
  if (args.length === 1) return args[0]!;
  return call(node.kind, [quote(typeCode(node.type)), ...args]);
}

function distinct(node: Of<'distinct'>, scope: Scope): string {
  const equal = compare('IS', typed(node.left, scope), typed(node.right, scope), scope);
  return `(NOT ${equal})`;
}

function nullIf(node: Of<'nullIf'>, scope: Scope): string {
  const left = typed(node.left, scope);
  const equal = functionCall(
    {
      kind: 'call',
      type: sqlType('bool'),
      fn: node.equal,
      args: [node.left, node.right],
      variadic: false,
      format: 'operator',
    },
    scope,
  );
  return `(CASE WHEN ${equal} THEN NULL ELSE ${represent(left, node.type)} END)`;
}

function caseText(node: Of<'case'>, scope: Scope): string {
  const inner = node.operand === null ? scope : { ...scope, caseValue: typed(node.operand, scope) };
  const whens = node.whens.map(
    ({ when, then }) => `WHEN ${scalar(when, inner)} THEN ${as(then, node.type, scope)}`,
  );
  const otherwise = node.otherwise === null ? '' : ` ELSE ${as(node.otherwise, node.type, scope)}`;
  return `(CASE ${whens.join(' ')}${otherwise} END)`;
}

/** Row order: the first pair that differs decides; a NULL in it makes the answer NULL. */
function rowCompare(node: Of<'rowCompare'>, scope: Scope): string {
  const strict = node.op[0] as '<' | '>';
  let text = '';
  for (let at = node.left.length - 1; at >= 0; at -= 1) {
    const left = typed(node.left[at]!, scope);
    const right = typed(node.right[at]!, scope);
    if (text === '') {
      text = compare(node.op, left, right, scope);
      continue;
    }
    const equal = compare('=', left, right, scope);
    text = `(CASE WHEN ${equal} THEN ${text} ELSE ${compare(strict, left, right, scope)} END)`;
  }
  return text;
}

function field(node: Of<'field'>, scope: Scope): string {
  const part = node.arg.kind === 'row' ? node.arg.args[node.field - 1] : undefined;
  if (part !== undefined) return as(part, node.type, scope);
  if (node.arg.kind === 'var' && node.arg.column === 0) {
    return variable({ ...node.arg, type: node.type, column: node.field }, scope);
  }
  throw notSupported('selecting a field of a composite value');
}
