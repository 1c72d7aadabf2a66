// Literals are taken out only where a parameter means the same, and never by a guess about quotes.

import { describe, expect, test } from '@jest/globals';
import { normalise, sameButLiterals, templateOf, tryLiterals } from '../../../sql/normalise.ts';
import type { Normalised } from '../../../sql/normalise.ts';

function normalised(text: string): Normalised | null {
  const literals = tryLiterals(text);
  const template = literals === null ? null : templateOf(literals);
  return literals === null || template === null ? null : normalise(literals, template);
}

/** The text with single blanks. */
function shape(text: string): string | undefined {
  return normalised(text)?.text.replaceAll(/\s+/g, ' ').trim();
}

describe('places', () => {
  test.each([
    ['SELECT a FROM t WHERE id = 5;', 'SELECT a FROM t WHERE id = $1'],
    [
      "SELECT a FROM t WHERE b = 'x''y' AND c IN (1, 2)",
      'SELECT a FROM t WHERE b = $1 AND c IN ( $2 , $3 )',
    ],
    ['UPDATE t SET a = a + -4000 WHERE id = 1', 'UPDATE t SET a = a + $1 WHERE id = $2'],
    ['UPDATE t SET a = b -4000 WHERE id = 1', 'UPDATE t SET a = b - $1 WHERE id = $2'],
    [
      "INSERT INTO t VALUES (1, 'a'), (2, DEFAULT)",
      'INSERT INTO t VALUES ( $1 , $2 ), ( $3 , DEFAULT)',
    ],
    ["DELETE FROM t WHERE at < '2020-01-01'::date", 'DELETE FROM t WHERE at < $1 ::date'],
    ['SELECT a FROM t WHERE a BETWEEN 1 AND 2', 'SELECT a FROM t WHERE a BETWEEN $1 AND $2'],
  ])('%s', (text, expected) => expect(shape(text)).toBe(expected));

  test('a position, a limit, a type modifier and a select list keep their literals', () => {
    const text =
      "SELECT a, 7 FROM t WHERE b = 1 AND c = 'x'::varchar(3) GROUP BY 1, 2 ORDER BY 1 LIMIT 5";
    expect(shape(text)).toBe(text.replace('b = 1', 'b = $1'));
  });

  test.each([
    'SELECT 1',
    'SELECT a FROM t WHERE 1 = 1',
    "SELECT a FROM t WHERE a LIKE 'x%'",
    "SELECT a FROM t WHERE d > interval '1 day'",
    'SELECT a FROM t ORDER BY 1',
    'CREATE TABLE t (a varchar(3) DEFAULT 5)',
  ])('nothing is taken from %s', (text) => expect(normalised(text)).toBeNull());
});

describe('what the lexer leaves alone', () => {
  test.each([
    "SELECT a FROM t WHERE b = E'x' AND c = 1",
    "SELECT a FROM t WHERE b = U&'x' AND c = 1",
    "SELECT a FROM t WHERE b = 'x'\n 'y'",
    'SELECT a FROM t WHERE b = $$x$$ AND c = 1',
    'SELECT a FROM t WHERE b = $1 AND c = 1',
    'SELECT a FROM t WHERE b = 1 -- c',
    'SELECT a FROM t WHERE b = 1 /* c */',
    'SELECT a FROM t WHERE b = 1; DELETE FROM t',
    'SELECT a FROM t WHERE b = 0x1F',
    'SELECT a FROM t WHERE b = 1_000',
    'SELECT a FROM t WHERE b = 1or c = 2',
    'SELECT a FROM t WHERE b = .5',
    "SELECT a FROM t WHERE b = 'open",
  ])('%s', (text) => expect(tryLiterals(text)).toBeNull());

  test('quotes and digits in names are no literals', () => {
    expect(shape(`SELECT a1 FROM "t'2" WHERE "b""'" = 'x' AND c3 = 4`)).toBe(
      `SELECT a1 FROM "t'2" WHERE "b""'" = $1 AND c3 = $2`,
    );
  });

  test('places are found behind characters of several bytes', () => {
    expect(normalised("SELECT a FROM tä WHERE b = 'ü€😀' AND c = 5")).toEqual({
      text: 'SELECT a FROM tä WHERE b =  $1  AND c =  $2 ',
      oids: [0, 23],
      values: ['ü€😀', '5'],
    });
  });
});

test('numbers have the types that Postgres gives them', () => {
  const text =
    'INSERT INTO t VALUES (1, -2147483648, 2147483648, -9223372036854775808, 9223372036854775808, 1.5)';
  const { oids, values } = normalised(text)!;
  expect(oids).toEqual([23, 23, 20, 20, 1700, 1700]);
  expect(values[3]).toBe('-9223372036854775808');
});

test('texts with other literals of the same kinds have one key', () => {
  const key = (text: string) => tryLiterals(text)?.key;
  expect(key("UPDATE t SET a = 'x' WHERE b = 1;")).toBe(
    key("UPDATE t SET a = 'it''s' WHERE b = 22"),
  );
  expect(key('SELECT a FROM t WHERE b = 1')).not.toBe(key('SELECT a FROM t WHERE b = 2147483648'));
  expect(key('SELECT a FROM t WHERE b = 1')).not.toBe(key("SELECT a FROM t WHERE b = '1'"));
});

test('statements are the same only if every constant has a parameter of its type and value', () => {
  const type = { name: 'int4' };
  const constant = { args: [{ kind: 'const', type, value: 5n }] };
  const parameter = { args: [{ kind: 'param', type, number: 1 }] };
  expect(sameButLiterals(constant, parameter, [5n])).toBe(true);
  expect(sameButLiterals(constant, parameter, [6n])).toBe(false);
  expect(
    sameButLiterals(constant, { args: [{ kind: 'param', type: { name: 'int8' }, number: 1 }] }, [
      5n,
    ]),
  ).toBe(false);
  expect(sameButLiterals({ ...constant, limit: null }, parameter, [5n])).toBe(false);
  const named = { args: [{ kind: 'const', type, value: 5n, relation: 7 }] };
  expect(sameButLiterals(named, parameter, [5n])).toBe(false);
});
