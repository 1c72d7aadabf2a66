// Evaluates expressions of the ledger's language (ledger/expression.ts). Pure.
//
// An expression is compiled to closures once and run for every row.
//
// (1) Functions are strict and take numerics in the general form; a child whose numeric has another
//     representation than its parent's type is converted on the way.
// (2) AND, OR, COALESCE and CASE evaluate no more than they need, from the left, as Postgres does.
// (3) An unknown function is our own mistake: what is stored was checked with `supports` before.

import { AssertionError } from './error.ts';
import type { Expression } from './expression.ts';
import type { Value } from './function.ts';
import { compareValues } from './functions-comparison.ts';
import { FUNCTIONS } from './functions.ts';
import { decodeNumeric, numericModifier, scaleNumeric, widenNumeric } from './numeric.ts';
import type { Datum, SqlType } from './type.ts';
import { numericScale } from './type.ts';

/** A column's value by its id. */
export type ReadColumn = (column: number) => Datum;

export type Evaluator = (row: ReadColumn, excluded?: ReadColumn) => Datum;

/** Value of an expression for one row. @throws SqlError */
export function evaluate(expression: Expression, row: ReadColumn, excluded?: ReadColumn): Datum {
  return compileExpression(expression)(row, excluded);
}

/** The expression as a function of a row; `excluded` is read by upserts only. */
export function compileExpression(expression: Expression): Evaluator {
  switch (expression.kind) {
    case 'const': {
      const { value } = expression;
      return () => value;
    }
    case 'column': {
      const { column } = expression;
      return (row) => row(column);
    }
    case 'excluded': {
      const { column } = expression;
      return (_, excluded) => {
        if (excluded === undefined) throw new AssertionError('EXCLUDED outside of an upsert');
        return excluded(column);
      };
    }
    case 'call':
      return compileCall(expression);
    case 'and':
      return compileLogic(expression.args, 0n);
    case 'or':
      return compileLogic(expression.args, 1n);
    case 'coalesce':
      return compileCoalesce(expression);
    case 'greatest':
      return compileExtreme(expression, 1);
    case 'least':
      return compileExtreme(expression, -1);
    case 'not': {
      const arg = compileExpression(expression.arg);
      return (row, excluded) => {
        const value = arg(row, excluded);
        return value === null ? null : value === 0n ? 1n : 0n;
      };
    }
    case 'isNull':
      return compileTest(expression.arg, (value) => value === null);
    case 'isNotNull':
      return compileTest(expression.arg, (value) => value !== null);
    case 'isTrue':
      return compileTest(expression.arg, (value) => value === 1n);
    case 'isNotTrue':
      return compileTest(expression.arg, (value) => value !== 1n);
    case 'isFalse':
      return compileTest(expression.arg, (value) => value === 0n);
    case 'isNotFalse':
      return compileTest(expression.arg, (value) => value !== 0n);
    case 'distinct':
      return compileDistinct(expression);
    case 'nullIf':
      return compileNullIf(expression);
    case 'anyOf':
      return compileAnyOf(expression);
    case 'case':
      return compileCase(expression);
    default:
      return expression satisfies never;
  }
}

/** The member of the union that `K` is a kind of; some members have several kinds. */
type Of<K, E = Expression> = E extends { readonly kind: infer Kind }
  ? K extends Kind
    ? E
    : never
  : never;

/** A child in the representation of `type`: only numerics have two. */
function compileAs(expression: Expression, type: SqlType): Evaluator {
  const compiled = compileExpression(expression);
  if (expression.type.base !== 'numeric' || type.base !== 'numeric') return compiled;
  const from = numericScale(expression.type);
  const to = numericScale(type);
  if (from === to) return compiled;
  return (row, excluded) => {
    const value = compiled(row, excluded);
    if (value === null) return null;
    return narrow(typeof value === 'bigint' ? widenNumeric(value, from ?? 0) : value, type);
  };
}

/** A child as functions take it. */
function compileGeneral(expression: Expression): Evaluator {
  return compileAs(expression, { ...expression.type, typmod: -1 });
}

/** A general numeric as `type` holds it. @throws SqlError 22003, 0A000 */
function narrow(value: Datum, type: SqlType): Datum {
  if (numericScale(type) === null || !(typeof value === 'object' && value !== null)) return value;
  const { precision, scale } = numericModifier(type.typmod);
  return scaleNumeric(decodeNumeric(value), precision, scale);
}

function functionOf(name: string): (...args: Value[]) => Datum {
  const found = FUNCTIONS.get(name);
  if (found === undefined) throw new AssertionError(`unknown function ${name} in an expression`);
  return found.impl as unknown as (...args: Value[]) => Datum;
}

function compileCall(expression: Of<'call'>): Evaluator {
  const call = callOf(expression);
  return expression.args.every(({ kind }) => kind === 'const') ? once(call) : call;
}

/** Functions look at their arguments alone: of constants there is one result. What throws is tried again. */
function once(evaluator: Evaluator): Evaluator {
  let value: Datum | undefined;
  return (row, excluded) => {
    if (value === undefined) value = evaluator(row, excluded);
    return value;
  };
}

function callOf(expression: Of<'call'>): Evaluator {
  const impl = functionOf(expression.name);
  const args = expression.args.map(compileGeneral);
  const narrows = numericScale(expression.type) !== null;
  const finish = narrows
    ? (value: Datum): Datum => narrow(value, expression.type)
    : (value: Datum): Datum => value;
  // Calls of one and two arguments are nearly all there are, and need no array.
  const [first, second] = args;
  if (args.length === 1 && first !== undefined) {
    return (row, excluded) => {
      const value = first(row, excluded);
      return value === null ? null : finish(impl(value));
    };
  }
  if (args.length === 2 && first !== undefined && second !== undefined) {
    return (row, excluded) => {
      const left = first(row, excluded);
      const right = second(row, excluded);
      return left === null || right === null ? null : finish(impl(left, right));
    };
  }
  return (row, excluded) => {
    const values: Value[] = [];
    for (const arg of args) {
      const value = arg(row, excluded);
      if (value === null) return null;
      values.push(value);
    }
    return finish(impl(...values));
  };
}

/** AND stops at false (0), OR at true (1); NULL otherwise wins over the rest. */
function compileLogic(args: readonly Expression[], stop: bigint): Evaluator {
  const compiled = args.map(compileExpression);
  return (row, excluded) => {
    let unknown = false;
    for (const arg of compiled) {
      const value = arg(row, excluded);
      if (value === stop) return stop;
      unknown ||= value === null;
    }
    return unknown ? null : 1n - stop;
  };
}

function compileCoalesce(expression: Of<'coalesce'>): Evaluator {
  const args = expression.args.map((arg) => compileAs(arg, expression.type));
  return (row, excluded) => {
    for (const arg of args) {
      const value = arg(row, excluded);
      if (value !== null) return value;
    }
    return null;
  };
}

/** NULLs are left out. */
function compileExtreme(expression: Of<'greatest' | 'least'>, sign: 1 | -1): Evaluator {
  const { type } = expression;
  const args = expression.args.map((arg) => compileAs(arg, type));
  const scaled = numericScale(type) !== null;
  const compare = (left: Value, right: Value): number =>
    compareValues(scaled ? 'int8' : type.base, left, right);
  return (row, excluded) => {
    let best: Datum = null;
    for (const arg of args) {
      const value = arg(row, excluded);
      if (value === null) continue;
      if (best === null || compare(value, best) * sign > 0) best = value;
    }
    return best;
  };
}

function compileTest(arg: Expression, test: (value: Datum) => boolean): Evaluator {
  const compiled = compileExpression(arg);
  return (row, excluded) => (test(compiled(row, excluded)) ? 1n : 0n);
}

function compileDistinct(expression: Of<'distinct'>): Evaluator {
  const equal = functionOf(expression.equal);
  const left = compileGeneral(expression.left);
  const right = compileGeneral(expression.right);
  return (row, excluded) => {
    const a = left(row, excluded);
    const b = right(row, excluded);
    if (a === null || b === null) return a === b ? 0n : 1n;
    return equal(a, b) === 1n ? 0n : 1n;
  };
}

function compileNullIf(expression: Of<'nullIf'>): Evaluator {
  const equal = functionOf(expression.equal);
  const general = compileGeneral(expression.left);
  const left = compileAs(expression.left, expression.type);
  const right = compileGeneral(expression.right);
  return (row, excluded) => {
    const a = general(row, excluded);
    const b = right(row, excluded);
    if (a !== null && b !== null && equal(a, b) === 1n) return null;
    return left(row, excluded);
  };
}

/** Over an empty list ANY is false and ALL is true, even of NULL. */
function compileAnyOf(expression: Of<'anyOf'>): Evaluator {
  const test = functionOf(expression.name);
  const arg = compileGeneral(expression.arg);
  const list = expression.list.map(compileGeneral);
  const stop = expression.any ? 1n : 0n;
  return (row, excluded) => {
    if (list.length === 0) return 1n - stop;
    const value = arg(row, excluded);
    if (value === null) return null;
    let unknown = false;
    for (const item of list) {
      const element = item(row, excluded);
      const answer = element === null ? null : test(value, element);
      if (answer === stop) return stop;
      unknown ||= answer === null;
    }
    return unknown ? null : 1n - stop;
  };
}

function compileCase(expression: Of<'case'>): Evaluator {
  const { type } = expression;
  const whens = expression.whens.map(({ when, then }) => ({
    when: compileExpression(when),
    then: compileAs(then, type),
  }));
  const otherwise =
    expression.otherwise === null ? () => null : compileAs(expression.otherwise, type);
  return (row, excluded) => {
    for (const { when, then } of whens) {
      if (when(row, excluded) === 1n) return then(row, excluded);
    }
    return otherwise(row, excluded);
  };
}
