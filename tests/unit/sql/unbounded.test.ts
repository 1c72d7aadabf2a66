// Which expressions and queries may run where nobody can stop them.

import { describe, expect, test } from '@jest/globals';
import { sqlType } from '../../../ledger/type.ts';
import type { Datum } from '../../../ledger/type.ts';
import { EMPTY_SELECT } from '../../../sql/empty-select.ts';
import type { Query, RangeEntry, Scalar } from '../../../sql/ir.ts';
import { isSmall, mayRunLong, multiplies } from '../../../sql/unbounded.ts';

const text = sqlType('text');
const constant = (value: Datum): Scalar => ({ kind: 'const', type: text, value });
const given: Scalar = { kind: 'param', type: text, number: 1 };

function call(name: string, symbol: string, args: readonly Scalar[], returnsSet = false): Scalar {
  const fn = { oid: 0, name, symbol, volatility: 'immutable' as const, strict: true, returnsSet };
  return { kind: 'call', type: text, fn, args, variadic: false, format: 'call' };
}

describe('expressions', () => {
  test('whose time follows from the length of their arguments are quick', () => {
    for (const scalar of [
      constant('a'),
      call('upper', 'upper', [given]),
      call('repeat', 'repeat', [constant('ab'), constant(32_768n)]),
      call('lpad', 'lpad', [given, constant(10n), constant('0')]),
      call('rpad', 'rpad', [given, constant(10n)]),
      call('replace', 'replace_text', [given, constant('--'), constant('-')]),
      call('format', 'text_format', [constant('%s and %s'), given, given]),
    ])
      expect(mayRunLong(scalar)).toBe(false);
  });

  test('that backtrack, grow or read other rows may take long', () => {
    for (const scalar of [
      call('regexp_replace', 'textregexreplace_noopt', [given, constant('a'), constant('b')]),
      call('textregexeq', 'textregexeq', [given, constant('a')]),
      call('repeat', 'repeat', [constant('ab'), constant(32_769n)]),
      call('repeat', 'repeat', [given, constant(2n)]),
      call('lpad', 'lpad', [constant('a'), given]),
      call('lpad', 'lpad', [constant('a'), constant(65_537n)]),
      call('replace', 'replace_text', [given, constant('-'), constant('--')]),
      call('format', 'text_format', [constant('%1$s%1$s'), given]),
      call('upper', 'upper', [call('repeat', 'repeat', [given, given])]),
      { kind: 'subquery', type: text, link: 'scalar', query: EMPTY_SELECT, test: null } as Scalar,
    ])
      expect(mayRunLong(scalar)).toBe(true);
  });
});

describe('queries', () => {
  const values: RangeEntry = { kind: 'values', alias: 'v', rows: [], types: [], columns: [] };
  const oneOf = (entry: RangeEntry): Query => ({
    ...EMPTY_SELECT,
    entries: [entry],
    from: [{ kind: 'ref', entry: 1 }],
  });
  const series = call('generate_series', 'generate_series_int4', [], true);
  const target = (expression: Scalar) => ({
    expression,
    name: '',
    hidden: false,
    relation: 0,
    column: 0,
    assign: 0,
  });

  test('over what is written in them, once, are small', () => {
    expect(isSmall(EMPTY_SELECT)).toBe(true);
    expect(isSmall(oneOf(values))).toBe(true);
    expect(multiplies(oneOf(values))).toBe(false);
  });

  test('that join, recur or call functions that return sets are not', () => {
    const joined: Query = {
      ...EMPTY_SELECT,
      entries: [values, values],
      from: [
        { kind: 'ref', entry: 1 },
        { kind: 'ref', entry: 2 },
      ],
    };
    const sets: Query = { ...EMPTY_SELECT, targets: [target(series)] };
    for (const query of [joined, sets]) {
      expect(isSmall(query)).toBe(false);
      expect(multiplies(query)).toBe(true);
    }
    expect(
      isSmall({ ...EMPTY_SELECT, where: call('textregexeq', 'textregexeq', [given, given]) }),
    ).toBe(false);
  });
});
