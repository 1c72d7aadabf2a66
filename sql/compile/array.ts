// Arrays: literals, subscripts, casts of elements, and `op ANY|ALL (array)`. Pure.
//
// An array is JSON text (ledger/array-value.ts); json_each of SQLite walks it, and its elements come back in
// the representation of their type. Numerics in arrays are always of the general form.

import { elementForm } from '../../ledger/array-value.ts';
import { sqlType } from '../../ledger/type.ts';
import { comparisonOf, functionCall } from './call.ts';
import { call } from './registered.ts';
import {
  general,
  generalType,
  plainEquality,
  quote,
  represent,
  typeCode,
} from './representation.ts';
import { junction, scalar, typed } from './scalar.ts';
import { newAlias } from './scope.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Scalar, ScalarOf } from '../ir.ts';
import type { Scope } from './scope.ts';

type Of<K extends Scalar['kind']> = ScalarOf<K>;

export function elementType(type: SqlType): SqlType {
  return { ...type, array: false };
}

export function arrayLiteral(node: Of<'array'>, scope: Scope): string {
  const elements = node.elements.map((element) => general(typed(element, scope)));
  return call('array', [
    quote(typeCode(elementType(node.type))),
    node.nested ? '1' : '0',
    ...elements,
  ]);
}

export function subscript(node: Of<'subscript'>, scope: Scope): string {
  const array = scalar(node.arg, scope);
  const bound = (item: Scalar | null | undefined): string =>
    item === null || item === undefined ? 'NULL' : scalar(item, scope);
  if (node.arg.type.base === 'jsonb' && !node.arg.type.array) {
    const path = node.upper.map((item) =>
      call('via_text', [bound(item), quote(typeCode(item!.type)), "'text'"]),
    );
    return call('jsonb_path', [array, ...path]);
  }
  if (node.slice) {
    const pairs = node.upper.flatMap((upper, at) => [
      (node.lower[at] ?? null) === null ? "''" : bound(node.lower[at]),
      upper === null ? "''" : bound(upper),
    ]);
    return call('array_slice', [array, quote(typeCode(elementType(node.arg.type))), ...pairs]);
  }
  const text = call('array_element', [
    array,
    quote(typeCode(elementType(node.arg.type))),
    ...node.upper.map(bound),
  ]);
  return represent({ text, type: generalType(node.type) }, node.type);
}

/** A cast of every element. The element cast is a scalar over `caseValue`. */
export function arrayCoerce(node: Of<'arrayCoerce'>, scope: Scope): string {
  const from = elementType(node.arg.type);
  const alias = newAlias(scope.shared, 't');
  const element = { text: elementText(alias, from), type: generalType(from) };
  const inner = { ...scope, caseValue: element };
  const cast = general({ text: scalar(node.element, inner), type: node.element.type });
  const array = scalar(node.arg, scope);
  const code = quote(typeCode(elementType(node.type)));
  const collected = `(SELECT ${call('array_of', [code, call('collect', [`${cast}`])])} FROM json_each(${array}) AS ${alias})`;
  return `(CASE WHEN ${array} IS NOT NULL THEN coalesce(${collected}, '[]') END)`;
}

/**
 * `x op ANY (array)`, `x op ALL (array)`.
 *
 * @param filter  only rows for which it is true matter: NULL may be false, and an index may serve it
 */
export function anyOfArray(node: Of<'anyOf'>, scope: Scope, filter = false): string {
  const elements = spelt(node.array);
  if (elements !== null) return overList(node, elements, scope);
  return overArray(node, scope, filter);
}

/** Elements of an array that is written out; null when it is a value of run time. */
function spelt(array: Scalar): readonly Scalar[] | null {
  if (array.kind === 'array' && !array.nested && array.elements.length > 0) return array.elements;
  if (
    array.kind === 'arrayCoerce' &&
    array.arg.kind === 'array' &&
    array.element.kind === 'relabel'
  ) {
    return spelt(array.arg);
  }
  return null;
}

function overList(node: Of<'anyOf'>, elements: readonly Scalar[], scope: Scope): string {
  const op = comparisonOf(node.fn);
  const member = node.any ? '=' : '<>';
  const plain =
    plainEquality(node.arg.type) && elements.every((element) => sameBytes(node.arg, element));
  if (op === member && plain) {
    const list = elements.map((element) => scalar(element, scope)).join(', ');
    return `(${scalar(node.arg, scope)} ${node.any ? 'IN' : 'NOT IN'} (${list}))`;
  }
  const terms = elements.map((element) => operatorCall(node, node.arg, element, scope));
  return junction(terms, node.any ? 'OR' : 'AND');
}

/** Whether the two have one representation, so that SQLite may compare them. */
function sameBytes(left: Scalar, right: Scalar): boolean {
  return left.type.base !== 'numeric' || left.type.typmod === right.type.typmod;
}

function operatorCall(node: Of<'anyOf'>, left: Scalar, right: Scalar, scope: Scope): string {
  return functionCall(
    {
      kind: 'call',
      type: sqlType('bool'),
      fn: node.fn,
      args: [left, right],
      variadic: false,
      format: 'operator',
    },
    scope,
  );
}

function overArray(node: Of<'anyOf'>, scope: Scope, filter: boolean): string {
  const element = elementType(node.array.type);
  const array = scalar(node.array, scope);
  const op = comparisonOf(node.fn);
  const alias = newAlias(scope.shared, 't');
  const nested = node.array.type.array ? call('flat', [array]) : array;
  const from = `json_each(${nested}) AS ${alias}`;
  const value = elementText(alias, element);
  if (
    op === (node.any ? '=' : '<>') &&
    plainEquality(node.arg.type) &&
    element.base !== 'numeric'
  ) {
    const word = node.any ? 'IN' : 'NOT IN';
    const test = `(${scalar(node.arg, scope)} ${word} (SELECT ${value} FROM ${from}))`;
    if (filter && node.any) return test;
    // A NULL array has no rows, which IN takes for false.
    return node.any
      ? `(${test} OR CASE WHEN ${array} IS NULL THEN NULL ELSE 0 END)`
      : `(${test} AND CASE WHEN ${array} IS NULL THEN NULL ELSE 1 END)`;
  }
  const inner: Scope = { ...scope, subColumns: () => value };
  const right: Scalar = { kind: 'subParam', type: generalType(element), number: 1 };
  const test = operatorCall(node, node.arg, right, inner);
  return `(CASE WHEN ${array} IS NOT NULL THEN ${quantified(node.any, test, from)} END)`;
}

/** ANY or ALL over the rows of `from`, with SQL's three values. */
export function quantified(any: boolean, test: string, from: string): string {
  const alias = 'q';
  const rows = `(SELECT ${test} AS ${alias} FROM ${from})`;
  const settled = any ? `max(${alias}) = 1 THEN 1` : `min(${alias}) = 0 THEN 0`;
  const otherwise = any ? '0' : '1';
  return `(SELECT CASE WHEN ${settled} WHEN count(*) > count(${alias}) THEN NULL ELSE ${otherwise} END FROM ${rows})`;
}

/** An element that json_each gives, in the representation of its type. */
export function elementText(alias: string, type: SqlType): string {
  const value = `${alias}.value`;
  switch (elementForm(type.base)) {
    case 'bytes':
      return `unhex(${value})`;
    case 'float':
      return `(CASE ${value} WHEN 'Infinity' THEN 9e999 WHEN '-Infinity' THEN -9e999 WHEN 'NaN' THEN 'NaN' ELSE CAST(${value} AS REAL) END)`;
    case 'integer':
    case 'string':
      return value;
  }
}
