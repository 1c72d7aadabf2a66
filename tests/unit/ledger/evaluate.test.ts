// The evaluator: NULLs, stopping early, and numerics in two representations.

import { describe, expect, test } from '@jest/globals';
import { evaluate } from '../../../ledger/evaluate.ts';
import type { Expression } from '../../../ledger/expression.ts';
import {
  decodeNumeric,
  encodeNumeric,
  formatNumeric,
  parseNumeric,
} from '../../../ledger/numeric.ts';
import type { Datum, SqlType } from '../../../ledger/type.ts';
import { sqlType } from '../../../ledger/type.ts';

const bool = sqlType('bool');
const int4 = sqlType('int4');
const numeric = sqlType('numeric');
const money = sqlType('numeric', ((10 << 16) | 2) + 4);

const constant = (value: Datum, type: SqlType = bool): Expression => ({
  kind: 'const',
  type,
  value,
});
const call = (name: string, type: SqlType, ...args: Expression[]): Expression => ({
  kind: 'call',
  type,
  name,
  args,
});
const column = (id: number, type: SqlType): Expression => ({ kind: 'column', type, column: id });
const failing = call('int4div', int4, constant(1n, int4), constant(0n, int4));
const broken = call('int4eq', bool, failing, constant(1n, int4));
const run = (expression: Expression, row: readonly Datum[] = []): Datum =>
  evaluate(expression, (id) => row[id - 1] ?? null);

const [TRUE, FALSE, NULL] = [constant(1n), constant(0n), constant(null)];

describe('three-valued logic', () => {
  const list = (kind: 'and' | 'or', ...args: Expression[]): Datum =>
    run({ kind, type: bool, args });
  test('AND', () => {
    expect(list('and', TRUE, TRUE)).toBe(1n);
    expect(list('and', TRUE, NULL)).toBe(null);
    expect(list('and', NULL, FALSE)).toBe(0n);
    expect(list('and', FALSE, broken)).toBe(0n);
  });
  test('OR', () => {
    expect(list('or', FALSE, FALSE)).toBe(0n);
    expect(list('or', FALSE, NULL)).toBe(null);
    expect(list('or', NULL, TRUE)).toBe(1n);
    expect(list('or', TRUE, broken)).toBe(1n);
  });
  test('tests of truth and NOT', () => {
    const kinds = [
      'isNull',
      'isNotNull',
      'isTrue',
      'isNotTrue',
      'isFalse',
      'isNotFalse',
      'not',
    ] as const;
    const table = [TRUE, FALSE, NULL].map((arg) =>
      kinds.map((kind) => run({ kind, type: bool, arg })),
    );
    expect(table).toEqual([
      [0n, 1n, 1n, 0n, 0n, 1n, 0n],
      [0n, 1n, 0n, 1n, 1n, 0n, 1n],
      [1n, 0n, 0n, 1n, 0n, 1n, null],
    ]);
  });
  test('IN with NULLs', () => {
    const within = (any: boolean, name: string, values: readonly Datum[], value: Datum): Datum =>
      run({
        kind: 'anyOf',
        type: bool,
        any,
        name,
        arg: constant(value, int4),
        list: values.map((each) => constant(each, int4)),
      });
    expect(within(true, 'int4eq', [1n, 2n], 2n)).toBe(1n);
    expect(within(true, 'int4eq', [1n, null], 2n)).toBe(null);
    expect(within(false, 'int4ne', [1n, 3n], 2n)).toBe(1n);
    expect(within(false, 'int4ne', [1n, null], 1n)).toBe(0n);
    expect(within(true, 'int4eq', [], null)).toBe(0n);
    expect(within(false, 'int4ne', [], null)).toBe(1n);
  });
});

describe('special forms', () => {
  test('a strict function answers NULL without running', () => {
    expect(run(call('int4div', int4, constant(null, int4), constant(0n, int4)))).toBe(null);
    expect(() => run(failing)).toThrow('division by zero');
  });
  test('COALESCE and CASE stop at what they need', () => {
    expect(
      run({
        kind: 'coalesce',
        type: int4,
        args: [constant(null, int4), constant(5n, int4), failing],
      }),
    ).toBe(5n);
    const whens = [
      { when: NULL, then: failing },
      { when: TRUE, then: constant(2n, int4) },
      { when: broken, then: failing },
    ];
    expect(run({ kind: 'case', type: int4, whens, otherwise: failing })).toBe(2n);
    expect(
      run({ kind: 'case', type: int4, whens: [{ when: FALSE, then: failing }], otherwise: null }),
    ).toBe(null);
  });
  test('GREATEST and LEAST leave NULLs out', () => {
    const args = [constant(null, int4), constant(3n, int4), constant(-1n, int4)];
    expect(run({ kind: 'greatest', type: int4, args })).toBe(3n);
    expect(run({ kind: 'least', type: int4, args })).toBe(-1n);
    expect(run({ kind: 'least', type: int4, args: [constant(null, int4)] })).toBe(null);
  });
  test('DISTINCT and NULLIF', () => {
    const pair = (kind: 'distinct' | 'nullIf', left: Datum, right: Datum): Datum =>
      run({
        kind,
        type: kind === 'distinct' ? bool : int4,
        equal: 'int4eq',
        left: constant(left, int4),
        right: constant(right, int4),
      });
    expect([
      pair('distinct', 1n, 1n),
      pair('distinct', null, null),
      pair('distinct', 1n, null),
    ]).toEqual([0n, 0n, 1n]);
    expect([pair('nullIf', 1n, 1n), pair('nullIf', 1n, 2n), pair('nullIf', 1n, null)]).toEqual([
      null,
      1n,
      1n,
    ]);
  });
});

describe('numerics in two representations', () => {
  const general = (text: string): Uint8Array => encodeNumeric(parseNumeric(text));
  const shown = (value: Datum): string => formatNumeric(decodeNumeric(value as Uint8Array));
  test('a scaled argument is widened for a function', () => {
    const sum = call('numeric_add', numeric, column(1, money), constant(general('0.005'), numeric));
    expect(shown(run(sum, [1250n]))).toBe('12.505');
  });
  test('a scaled result is narrowed and checked', () => {
    const sum = call(
      'numeric',
      money,
      call('numeric_add', numeric, column(1, money), constant(general('0.005'), numeric)),
      constant(BigInt(money.typmod), int4),
    );
    expect(run(sum, [1250n])).toBe(1251n);
    expect(() => run(sum, [9_999_999_999n])).toThrow('numeric field overflow');
  });
  test('COALESCE of both is of its own type', () => {
    const either: Expression = {
      kind: 'coalesce',
      type: numeric,
      args: [column(1, money), constant(general('7'), numeric)],
    };
    expect(shown(run(either, [1250n]))).toBe('12.50');
    expect(shown(run(either, [null]))).toBe('7');
  });
  test('scaled values compare as they are', () => {
    const most: Expression = {
      kind: 'greatest',
      type: money,
      args: [column(1, money), column(2, money)],
    };
    expect(run(most, [99n, 100n])).toBe(100n);
  });
});

test('EXCLUDED is the row proposed', () => {
  const sum = call('int4pl', int4, column(1, int4), { kind: 'excluded', type: int4, column: 1 });
  expect(
    evaluate(
      sum,
      () => 1n,
      () => 10n,
    ),
  ).toBe(11n);
  expect(() => evaluate(sum, () => 1n)).toThrow('EXCLUDED outside of an upsert');
});
