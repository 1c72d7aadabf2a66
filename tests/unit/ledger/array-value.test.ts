// Arrays as JSON text: canonical, exact, and of one representation.

import { expect, test } from '@jest/globals';
import * as arrays from '../../../ledger/array-value.ts';
import type { ArrayValue } from '../../../ledger/array-value.ts';
import type { BaseType } from '../../../ledger/type.ts';

const CASES: readonly (readonly [BaseType, ArrayValue, string])[] = [
  ['int8', [9_223_372_036_854_775_807n, null, -1n], '[9223372036854775807,null,-1]'],
  ['bool', [1n, 0n, null], '[1,0,null]'],
  ['float8', [1.5, -0, 'NaN', Infinity, -Infinity, 1e21, null], '[1.5,-0,"NaN","Infinity","-Infinity",1e+21,null]'],
  ['text', ['', 'a"b\\', 'é\n', null, '[1]'], '["","a\\"b\\\\","é\\n",null,"[1]"]'],
  ['bytea', [Uint8Array.of(0, 255), null], '["00ff",null]'],
  ['int4', [[1n, 2n], [3n, null]], '[[1,2],[3,null]]'],
  ['text', [], '[]'],
]; // prettier-ignore

test.each(CASES)('%s arrays are written one way and read back', (base, values, text) => {
  expect(arrays.encodeArray(values, base)).toBe(text);
  expect(arrays.decodeArray(text, base)).toEqual(values);
});

test('dimensions, flattened and back', () => {
  const values = [
    [[1n], [2n]],
    [[3n], [4n]],
  ];
  expect(arrays.dimensions(values)).toEqual([2, 2, 1]);
  expect(arrays.flatten(values)).toEqual([1n, 2n, 3n, 4n]);
  expect(arrays.unflatten(arrays.flatten(values), [2, 2, 1])).toEqual(values);
  expect(arrays.dimensions([])).toEqual([]);
});

test('an element that could not be read back is not written', () => {
  expect(() => arrays.encodeArray([5n], 'numeric')).toThrow('is bytes');
  expect(() => arrays.encodeArray(['5'], 'int4')).toThrow('is an integer');
});

test('a text that no array has is damage', () => {
  for (const text of ['', '[', '[1', '[1]x', '1', '[1 2]', '[true]']) {
    expect(() => arrays.decodeArray(text, 'int4')).toThrow();
  }
});
