// The functions of the ledger against the answers of PostgreSQL 15 in tests/vectors/functions.json.

import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { isSqlError } from '../../../ledger/error.ts';
import { FUNCTIONS, supports } from '../../../ledger/functions.ts';
import type { Datum } from '../../../ledger/type.ts';
import { sqlType } from '../../../ledger/type.ts';
import { DEFAULT_CONTEXT } from '../../../sql/value/context.ts';
import { formatText, parseText } from '../../../sql/value/text.ts';

type Answer = string | null | readonly [sqlstate: string, message: string];
type Row = readonly [name: string, args: readonly string[], answer: Answer];

const file = new URL('../../vectors/functions.json', import.meta.url);
const rows = JSON.parse(readFileSync(file, 'utf8')) as readonly Row[];

/** Where we differ from Postgres, by function and one of its arguments, and why. */
const DIFFERENCES: ReadonlyMap<string, string> = new Map([
  ['lower Äbç', 'case is that of collation "C"'],
  ['upper Äbç', 'case is that of collation "C"'],
  ['initcap Äbç', 'case is that of collation "C"'],
  ['text_char Äbç', '"char" holds a character, not a byte'],
  ['text_char \u{1f600}x', '"char" holds a character, not a byte'],
  ['timestamp_age infinity', 'Postgres 15 computes nonsense with infinity'],
]);

function call(name: string, args: readonly string[]): Answer {
  const { args: bases, result, impl } = FUNCTIONS.get(name)!;
  try {
    const values = args.map((text, at) => parseText(text, sqlType(bases[at]!), DEFAULT_CONTEXT));
    const answer = (impl as unknown as (...values: Datum[]) => Datum)(...values);
    return answer === null ? null : formatText(answer, sqlType(result), DEFAULT_CONTEXT);
  } catch (error) {
    if (!isSqlError(error)) throw error;
    return [error.sqlstate, error.message];
  }
}

/** Postgres' three-way comparisons answer any number of the right sign. */
function comparable(name: string, answer: Answer): Answer {
  return name.endsWith('cmp') && typeof answer === 'string' ? String(Math.sign(+answer)) : answer;
}

describe('a function answers what PostgreSQL answers', () => {
  const names = [...new Set(rows.map(([name]) => name))];
  test.each(names)('%s', (name) => {
    const own = rows.filter(
      ([symbol, args]) => symbol === name && !args.some((arg) => DIFFERENCES.has(`${name} ${arg}`)),
    );
    const found = own.map(([, args]) => [name, args, call(name, args)]);
    expect(found).toEqual(own.map(([, args, answer]) => [name, args, comparable(name, answer)]));
  });
});

test('only what is in the registry is supported', () => {
  expect(supports('int4pl')).toBe(true);
  expect(supports('now')).toBe(false);
  expect(supports('dsin')).toBe(false);
  expect(supports('constructor')).toBe(false);
});
