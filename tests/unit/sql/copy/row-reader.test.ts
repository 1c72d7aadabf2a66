import { describe, expect, test } from '@jest/globals';
import { concat, utf8 } from '../../../../ledger/bytes.ts';
import { sqlType } from '../../../../ledger/type.ts';
import { faultOf, INT_AND_TEXT, rowsIn } from './copy-fixture.ts';

describe('text', () => {
  test('has fields, nulls and escapes', () => {
    const data = '1\ta\\tb\\\\\n2\t\\N\n3\t\n-4\t\\x41\\102\\q\n5\ta\\\nb\n';
    expect(rowsIn(data)).toEqual([
      [1n, 'a\tb\\'],
      [2n, null],
      [3n, ''],
      [-4n, 'ABq'],
      [5n, 'a\nb'],
    ]);
  });

  test('has lines of one kind, the last of which may lack its end', () => {
    const rows = [
      [1n, 'a'],
      [2n, 'b'],
    ];
    for (const end of ['\n', '\r\n', '\r']) {
      expect(rowsIn(`1\ta${end}2\tb${end}`)).toEqual(rows);
      expect(rowsIn(`1\ta${end}2\tb`)).toEqual(rows);
    }
    expect(faultOf(() => rowsIn('1\ta\n2\tb\r\n'))).toBe(
      '22P04 literal carriage return found in data [COPY t, line 2]',
    );
    expect(faultOf(() => rowsIn('1\ta\r\n2\tb\n'))).toBe(
      '22P04 literal newline found in data [COPY t, line 2]',
    );
  });

  test('ends at its marker', () => {
    expect(rowsIn('1\ta\n\\.\nnonsense')).toEqual([[1n, 'a']]);
    expect(rowsIn('\\.\n')).toEqual([]);
    expect(rowsIn('1\ta\\.\nnonsense')).toEqual([[1n, 'a']]);
    expect(faultOf(() => rowsIn('1\t\\.x\n'))).toBe(
      '22P04 end-of-copy marker corrupt [COPY t, line 1]',
    );
  });

  test('is the same in whatever pieces it comes', () => {
    const data = '1\tä\\\\b\r\n22\t\\N\r\n333\tlonger than any piece of it\r\n\\.\r\nrest';
    const whole = rowsIn(data);
    expect(whole).toHaveLength(3);
    for (let size = 1; size < 20; size += 1)
      expect(rowsIn(data, '', INT_AND_TEXT, size)).toEqual(whole);
  });

  test.each([
    ['x\ta\n', '22P02 invalid input syntax for type integer: "x" [COPY t, line 1, column a: "x"]'],
    ['1\n', '22P04 missing data for column "b" [COPY t, line 1: "1"]'],
    ['1\ta\n1\ta\tb\n', '22P04 extra data after last expected column [COPY t, line 2: "1\ta\tb"]'],
    [
      '99999999999\ta\n',
      '22003 value "99999999999" is out of range for type integer [COPY t, line 1, column a: "99999999999"]',
    ],
    [
      '1\t\\xff\n',
      '22021 invalid byte sequence for encoding "UTF8": 0xff [COPY t, line 1: "1\t\\xff"]',
    ],
    ['1\ta\0b\n', '22021 invalid byte sequence for encoding "UTF8": 0x00 [COPY t, line 1]'],
  ])('%j is refused with its place', (data, fault) => {
    expect(faultOf(() => rowsIn(data))).toBe(fault);
  });

  test('decimals are read as their input function does', () => {
    const type = sqlType('numeric', ((6 << 16) | 2) + 4);
    const texts = [
      '12.5',
      '-0.07',
      '5.',
      '.5',
      '-0',
      '0012.3',
      '1.005',
      '1e2',
      ' 7 ',
      '+3',
      '9999.99',
    ];
    const read = rowsIn(texts.map((text) => `${text}\n`).join(''), '', [type]);
    expect(read.flat()).toEqual([
      1250n,
      -7n,
      500n,
      50n,
      0n,
      1230n,
      101n,
      10000n,
      700n,
      300n,
      999999n,
    ]);
    for (const text of ['1.2.3', '-', '.', '1-', '10000', '9999.995', '']) {
      expect(faultOf(() => rowsIn(`${text}\n`, '', [type]))).toMatch(/^22(P02|003) /);
    }
  });

  test('a text is the same whatever stands around it', () => {
    const texts = ['plain and long enough', 'žluťoučký kůň', 'tab\\tbed and long enough', 'last'];
    const read = rowsIn(texts.map((text) => `1\t${text}\n`).join(''));
    expect(read.map(([, text]) => text)).toEqual(texts.map((text) => text.replace('\\t', '\t')));
  });

  test('shows a hundred bytes of a long value', () => {
    const long = 'ä'.repeat(80);
    expect(faultOf(() => rowsIn(`${long}\ta\n`))).toBe(
      `22P02 invalid input syntax for type integer: "${long}" [COPY t, line 1, column a: "${'ä'.repeat(50)}..."]`,
    );
  });

  test('applies typmods as input functions do', () => {
    const types = [
      sqlType('bpchar', 7),
      sqlType('varchar', 7),
      sqlType('numeric', ((5 << 16) | 2) + 4),
    ];
    expect(rowsIn('ab \tabc\t1.005\n', '', types)).toEqual([['ab', 'abc', 101n]]);
    expect(faultOf(() => rowsIn('abcd\tx\t1\n', '', types))).toBe(
      '22001 value too long for type character(3) [COPY t, line 1, column a: "abcd"]',
    );
  });
});

describe('csv', () => {
  test('has quotes, and an empty field is NULL', () => {
    expect(rowsIn('1,a\n2,\n3,""\n4,"a ""b"", c"\n5,x"y,z"w\n', 'csv')).toEqual([
      [1n, 'a'],
      [2n, null],
      [3n, ''],
      [4n, 'a "b", c'],
      [5n, 'xy,zw'],
    ]);
  });

  test('has lines inside quotes, and counts them', () => {
    const data = '1,a\n2,"b\nc"\n3,d,e\n';
    expect(rowsIn('1,a\n2,"b\r\nc"\n', 'csv')).toEqual([
      [1n, 'a'],
      [2n, 'b\r\nc'],
    ]);
    expect(faultOf(() => rowsIn(data, 'csv'))).toBe(
      '22P04 extra data after last expected column [COPY t, line 4: "3,d,e"]',
    );
    expect(faultOf(() => rowsIn('1,"a\n2,b\n', 'csv'))).toBe(
      '22P04 unterminated CSV quoted field [COPY t, line 1: "1,"a\n2,b\n"]',
    );
  });

  test('has an escape character of its own, and forced columns', () => {
    const words =
      "(format csv, quote '!', escape '^', null 'nil', force_null (b), force_not_null (a))";
    const types = [sqlType('text'), sqlType('text')];
    expect(rowsIn('nil,!nil!\n!a^!b^^!,nil\n', words, types)).toEqual([
      ['nil', null],
      ['a!b^', null],
    ]);
  });

  test('is the same in whatever pieces it comes', () => {
    const data = 'a,b\r\n1,"x ""y""\r\nz"\r\n2,plain\r\n3,""\r\n\\.\r\n';
    const whole = rowsIn(data, '(format csv, header match)');
    expect(whole).toHaveLength(3);
    for (let size = 1; size < 20; size += 1) {
      expect(rowsIn(data, '(format csv, header match)', INT_AND_TEXT, size)).toEqual(whole);
    }
  });

  test('checks its header when asked to', () => {
    const words = '(format csv, header match)';
    expect(faultOf(() => rowsIn('a,c\n', words))).toBe(
      '22P04 column name mismatch in header line field 2: got "c", expected "b" [COPY t, line 1: "a,c"]',
    );
    expect(faultOf(() => rowsIn('a\n', words))).toBe(
      '22P04 wrong number of fields in header line: got 1, expected 2 [COPY t, line 1: "a"]',
    );
    expect(rowsIn('what,ever,it is\n1,a\n', '(format csv, header)')).toEqual([[1n, 'a']]);
  });
});

describe('binary', () => {
  const head = concat(utf8('PGCOPY\n'), Uint8Array.of(0xff, 0x0d, 0x0a, 0), new Uint8Array(8));
  const row = Uint8Array.of(0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff);
  const other = Uint8Array.of(0, 2, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 2, 0x61, 0x62);
  const end = Uint8Array.of(0xff, 0xff);

  test('has lengths and values, in whatever pieces', () => {
    const data = concat(head, row, other, end);
    for (const size of [1, 2, 3, 5, 8, 13, Infinity]) {
      expect(rowsIn(data, 'binary', INT_AND_TEXT, size)).toEqual([
        [7n, null],
        [-2n, 'ab'],
      ]);
    }
    expect(rowsIn(concat(head, row), 'binary')).toEqual([[7n, null]]);
  });

  test.each([
    ['no signature', utf8('PGCOPX\n'), '22P04 COPY file signature not recognized'],
    ['half a row', concat(head, row.subarray(0, 8)), '22P04 unexpected EOF in COPY data'],
    ['a wrong count', concat(head, Uint8Array.of(0, 3)), '22P04 row field count is 3, expected 2'],
    ['more than its end', concat(head, end, row), '22P04 received copy data after EOF marker'],
    [
      'a wrong length',
      concat(head, Uint8Array.of(0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 7, 0, 0, 0, 0)),
      '22P03 incorrect binary data format',
    ],
  ])('with %s is refused', (_, data, fault) => {
    expect(faultOf(() => rowsIn(data, 'binary'))).toContain(fault);
  });
});
