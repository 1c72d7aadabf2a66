// Which part of a spread table a row lies in. What these say holds for ever: rows on disk lie where they lie.

import { describe, expect, test } from '@jest/globals';
import { encodeNumeric, parseNumeric } from '../../../ledger/numeric.ts';
import { sqlType } from '../../../ledger/type.ts';
import { partOf, partOfRow, partsOf, spreadsBy } from '../../../storage/parts.ts';
import { INT4, TEXT, column, table } from './ledger-fixture.ts';
import type { Datum } from '../../../ledger/type.ts';

const INT8 = sqlType('int8');
const FLOAT8 = sqlType('float8');
const NUMERIC = sqlType('numeric');
const PARTS = 8;

const numeric = (text: string): Datum => encodeNumeric(parseNumeric(text));

test('the part of a value is the same for ever', () => {
  const values: [Datum, ReturnType<typeof sqlType>][] = [
    [0n, INT8],
    [1n, INT8],
    [-1n, INT8],
    [9_223_372_036_854_775_807n, INT8],
    ['', TEXT],
    ['abc', TEXT],
    ['ä', TEXT],
    [1.5, FLOAT8],
    ['NaN', FLOAT8],
    [new Uint8Array([0, 255]), sqlType('bytea')],
    [numeric('12.50'), NUMERIC],
  ];
  expect(values.map(([value, type]) => partOf(value, type, PARTS))).toEqual([
    6, 2, 0, 2, 0, 7, 2, 4, 3, 4, 0,
  ]);
});

describe('equal values lie in one part', () => {
  test('numerics of different scales', () => {
    expect(numeric('1.0')).not.toEqual(numeric('1.00'));
    for (const parts of [2, 3, 8]) {
      const found = ['7', '7.0', '7.000'].map((text) => partOf(numeric(text), NUMERIC, parts));
      expect(new Set(found).size).toBe(1);
    }
  });

  test('zero and minus zero, and integers of all widths', () => {
    expect(partOf(-0, FLOAT8, PARTS)).toBe(partOf(0, FLOAT8, PARTS));
    expect(partOf(77n, INT4, PARTS)).toBe(partOf(77n, INT8, PARTS));
  });
});

test('NULL lies in part 0, and everything in the only part', () => {
  expect(partOf(null, INT8, PARTS)).toBe(0);
  expect(partOf(5n, INT8, 1)).toBe(0);
});

test('values that follow each other are spread evenly', () => {
  for (const make of [(i: number): Datum => BigInt(i), (i: number): Datum => `user-${i}`]) {
    const counts = new Array<number>(PARTS).fill(0);
    for (let i = 0; i < 8_000; i++) counts[partOf(make(i), TEXT, PARTS)]!++;
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  }
});

test('a table that lies whole has one part, in its shard; one that is spread has its own names in each', () => {
  const columns = [column(1, 'id', INT8)];
  const whole = table(200, 't', columns, [], { shard: 3 });
  expect(partsOf(whole)).toEqual([{ shard: 3, schema: 's3', rows: 'r200', history: 'h200' }]);
  expect(partOfRow(whole, () => 5n)).toBe(0);
  const spread = table(200, 't', columns, [], { spread: { column: 1, parts: 2 } });
  expect(partsOf(spread)).toEqual([
    { shard: 0, schema: 'main', rows: 'r200', history: 'h200' },
    { shard: 1, schema: 's1', rows: 'r200_1', history: 'h200_1' },
  ]);
  expect(partOfRow(spread, () => 5n)).toBe(partOf(5n, INT8, 2));
});

test('types whose equal values differ in bytes are no key', () => {
  expect(spreadsBy(NUMERIC)).toBe(true);
  for (const type of [sqlType('jsonb'), sqlType('json'), sqlType('int4', -1, true)]) {
    expect(spreadsBy(type)).toBe(false);
  }
});
