// Binary forms against the bytes of PostgreSQL 15 in tests/vectors/binary.json.

import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { fromHex, hex } from '../../../../ledger/bytes.ts';
import { sqlType } from '../../../../ledger/type.ts';
import { fromBinary, toBinary } from '../../../../sql/value/binary.ts';
import { DEFAULT_CONTEXT } from '../../../../sql/value/context.ts';
import { parseText } from '../../../../sql/value/text.ts';
import { typeOfName } from './type-name.ts';

type Row = readonly [type: string, text: string, hexadecimal: string];

const file = new URL('../../../vectors/binary.json', import.meta.url);
const rows = JSON.parse(readFileSync(file, 'utf8')) as readonly Row[];

/** Binary "char" and json text differ by nothing; `record` and reg* have no vectors. */
const types = [...new Set(rows.map(([type]) => type))];

describe('a value is sent and received as PostgreSQL does', () => {
  test.each(types)('%s', (name) => {
    const type = typeOfName(name);
    for (const [, text, expected] of rows.filter(([each]) => each === name)) {
      const value = parseText(text, type, DEFAULT_CONTEXT);
      expect([text, hex(toBinary(value, type))]).toEqual([text, expected]);
      expect([text, fromBinary(fromHex(expected), type)]).toEqual([text, value]);
    }
  });
});

describe('what is no value of the type is refused', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['integer', '0000', 'insufficient data left in message'],
    ['integer', '0000000000', 'incorrect binary data format in bind parameter'],
    ['text', 'ff', 'invalid byte sequence for encoding "UTF8"'],
    ['numeric', '0001000012340000' + '0001', 'invalid sign in external "numeric" value'],
    ['numeric', '00010000000000002710', 'invalid digit in external "numeric" value'],
    ['time', 'ffffffffffffffff', 'time out of range'],
    ['timestamp', '7ffffffffffffffe', 'timestamp out of range'],
    ['integer[]', '000000010000000000000019000000010000000100000004' + '00000001', 'binary data has array element type 25 (text) instead of expected 23 (integer)'],
    ['integer[]', '00000007', 'number of array dimensions (7) exceeds the maximum allowed (6)'],
    ['jsonb', '027b7d', 'unsupported jsonb version number 2'],
  ]; // prettier-ignore
  test.each(cases)('%s %s', (name, bytes, message) => {
    expect(() => fromBinary(fromHex(bytes), typeOfName(name))).toThrow(message);
  });
});

test('an array of an enum carries the OID it is told', () => {
  const type = sqlType('enum', -1, true, 7);
  const bytes = toBinary('["a"]', type, (id, array) => (array ? 0 : 20_000 + id));
  expect(hex(bytes.subarray(8, 12))).toBe('00004e27');
});
