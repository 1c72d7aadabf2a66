// Scalars → the ledger's expression language, for row programs, CHECK, generated columns, indexes and upserts.
// Pure.
//
// What does not fit gives null, and the caller chooses: a row image instead of a program, 0A000 for a
// constraint or an index.

import { supports } from '../ledger/functions.ts';
import { numericScale } from '../ledger/type.ts';
import type { Expression } from '../ledger/expression.ts';
import type { Datum, SqlType } from '../ledger/type.ts';
import type { Scalar, ScalarOf } from './ir.ts';

/** The value of $n, or undefined when it is not known. */
export type BindParameter = (parameter: number) => Datum | undefined;

/** Which range table entries the expression may read; the row at hand is every other. */
export interface ExpressionPlaces {
  /** Entry that means EXCLUDED, 0 for none. */
  readonly excluded: number;
  /** The only entry that may be read as the row at hand; 0: any. */
  readonly row: number;
  /** Asked first for every scalar: its expression, null when it does not fit, undefined to go on. */
  readonly leaf?: (scalar: Scalar) => Expression | null | undefined;
  /** now(), current_date and the like, evaluated by the caller; undefined: does not fit. */
  readonly session?: (scalar: Scalar) => Datum | undefined;
}

const ANYWHERE: ExpressionPlaces = { excluded: 0, row: 0 };

/** The expression, or null when it does not fit the language. */
export function toExpression(
  scalar: Scalar,
  bind: BindParameter,
  places: ExpressionPlaces = ANYWHERE,
): Expression | null {
  return new Reader(bind, places).read(scalar, null);
}

/** The expression, where the caller answers for what is not the row at hand; see ExpressionPlaces.leaf. */
export function ledgerExpression(
  scalar: Scalar,
  leaf: (scalar: Scalar) => Expression | null | undefined,
): Expression | null {
  return toExpression(scalar, () => undefined, { ...ANYWHERE, leaf });
}

class Reader {
  readonly #bind: BindParameter;
  readonly #places: ExpressionPlaces;

  constructor(bind: BindParameter, places: ExpressionPlaces) {
    this.#bind = bind;
    this.#places = places;
  }

  /** @param operand  what `caseValue` stands for */
  read(scalar: Scalar, operand: Expression | null): Expression | null {
    const given = this.#places.leaf?.(scalar);
    if (given !== undefined) return given;
    switch (scalar.kind) {
      case 'const':
        return { kind: 'const', type: scalar.type, value: scalar.value };
      case 'param': {
        const value = this.#bind(scalar.number);
        return value === undefined ? null : { kind: 'const', type: scalar.type, value };
      }
      case 'var':
        return this.#column(scalar);
      case 'call':
        return this.#call(scalar, operand);
      case 'relabel':
        return this.#relabel(scalar, operand);
      case 'and':
      case 'or':
      case 'coalesce':
      case 'greatest':
      case 'least':
        return this.#list(scalar.kind, scalar.type, scalar.args, operand);
      case 'not':
      case 'isNull':
      case 'isNotNull':
      case 'isTrue':
      case 'isNotTrue':
      case 'isFalse':
      case 'isNotFalse':
        return this.#test(scalar.kind, scalar.type, scalar.arg, operand);
      case 'isUnknown':
        return this.#test('isNull', scalar.type, scalar.arg, operand);
      case 'isNotUnknown':
        return this.#test('isNotNull', scalar.type, scalar.arg, operand);
      case 'distinct':
      case 'nullIf':
        return this.#pair(scalar, operand);
      case 'anyOf':
        return this.#anyOf(scalar, operand);
      case 'case':
        return this.#case(scalar, operand);
      case 'caseValue':
        return operand;
      case 'session': {
        const value = this.#places.session?.(scalar);
        return value === undefined ? null : { kind: 'const', type: scalar.type, value };
      }
      default:
        return null;
    }
  }

  #column(scalar: ScalarOf<'var'>): Expression | null {
    const { type, column, entry } = scalar;
    // Entry 0, column 0 is VALUE of a domain's check.
    if (entry === 0 && column === 0) return { kind: 'column', type, column };
    if (scalar.levelsUp !== 0 || column <= 0) return null;
    if (entry === this.#places.excluded) return { kind: 'excluded', type, column };
    const own = this.#places.row === 0 || entry === this.#places.row;
    return own ? { kind: 'column', type, column } : null;
  }

  #call(scalar: ScalarOf<'call'>, operand: Expression | null): Expression | null {
    const { fn } = scalar;
    if (fn.volatility !== 'immutable' || fn.returnsSet || scalar.variadic || !supports(fn.symbol)) {
      const value = this.#places.session?.(scalar);
      return value === undefined ? null : { kind: 'const', type: scalar.type, value };
    }
    const args = this.#all(scalar.args, operand);
    return args && { kind: 'call', type: scalar.type, name: fn.symbol, args };
  }

  /** The same value under another type. */
  #relabel(scalar: ScalarOf<'relabel'>, operand: Expression | null): Expression | null {
    const arg = this.read(scalar.arg, operand);
    return arg && fitted(arg, scalar.type);
  }

  #fitted(scalar: Scalar, type: SqlType, operand: Expression | null): Expression | null {
    const expression = this.read(scalar, operand);
    return expression && fitted(expression, type);
  }

  #all(scalars: readonly Scalar[], operand: Expression | null): Expression[] | null {
    const list = scalars.map((scalar) => this.read(scalar, operand));
    return list.every((item) => item !== null) ? list : null;
  }

  #list(
    kind: 'and' | 'or' | 'coalesce' | 'greatest' | 'least',
    type: SqlType,
    scalars: readonly Scalar[],
    operand: Expression | null,
  ): Expression | null {
    const list = this.#all(scalars, operand);
    const args = kind === 'and' || kind === 'or' ? list : list && allFitted(list, type);
    return args && { kind, type, args };
  }

  #test(
    kind: 'not' | 'isNull' | 'isNotNull' | 'isTrue' | 'isNotTrue' | 'isFalse' | 'isNotFalse',
    type: SqlType,
    scalar: Scalar,
    operand: Expression | null,
  ): Expression | null {
    if (scalar.type.base === 'record') return null;
    const arg = this.read(scalar, operand);
    return arg && { kind, type, arg };
  }

  #pair(scalar: ScalarOf<'distinct' | 'nullIf'>, operand: Expression | null): Expression | null {
    const { kind, type, equal } = scalar;
    const left = this.read(scalar.left, operand);
    const right = this.read(scalar.right, operand);
    if (left === null || right === null || !supports(equal.symbol)) return null;
    return { kind, type, equal: equal.symbol, left, right };
  }

  #anyOf(scalar: ScalarOf<'anyOf'>, operand: Expression | null): Expression | null {
    const { any, array, fn, type } = scalar;
    if (array.kind !== 'array' || array.nested || !supports(fn.symbol)) return null;
    const arg = this.read(scalar.arg, operand);
    const list = this.#all(array.elements, operand);
    return arg && list && { kind: 'anyOf', type, any, name: fn.symbol, arg, list };
  }

  #case(scalar: ScalarOf<'case'>, operand: Expression | null): Expression | null {
    const inner = scalar.operand === null ? operand : this.read(scalar.operand, operand);
    if (scalar.operand !== null && inner === null) return null;
    const whens = scalar.whens.map(({ when, then }) => ({
      when: this.read(when, inner),
      then: this.#fitted(then, scalar.type, operand),
    }));
    const otherwise =
      scalar.otherwise === null ? null : this.#fitted(scalar.otherwise, scalar.type, operand);
    if (scalar.otherwise !== null && otherwise === null) return null;
    const fits = (pair: (typeof whens)[number]): pair is { when: Expression; then: Expression } =>
      pair.when !== null && pair.then !== null;
    return whens.every(fits) ? { kind: 'case', type: scalar.type, whens, otherwise } : null;
  }
}

/**
 * The expression in the representation of `type`. A scaled numeric becomes general as an argument of unary
 * plus; the other way needs a cast, which the tree has where Postgres puts one.
 */
function fitted(expression: Expression, type: SqlType): Expression | null {
  const from = numericScale(expression.type);
  const to = numericScale(type);
  if (expression.type.base !== 'numeric' || from === to) return { ...expression, type };
  if (to !== null || !supports('numeric_uplus')) return null;
  return { kind: 'call', type, name: 'numeric_uplus', args: [expression] };
}

function allFitted(
  expressions: readonly Expression[],
  type: SqlType,
): readonly Expression[] | null {
  const list = expressions.map((expression) => fitted(expression, type));
  return list.every((item) => item !== null) ? list : null;
}
