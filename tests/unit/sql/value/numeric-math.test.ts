// sqrt, ln, exp, power and log against PostgreSQL 15's answers in tests/vectors/numeric-math.json.

import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { isSqlError } from '../../../../ledger/error.ts';
import type { Decimal } from '../../../../ledger/numeric.ts';
import { formatNumeric, parseNumeric } from '../../../../ledger/numeric.ts';
import * as math from '../../../../sql/value/numeric-math.ts';

type Answer = string | readonly [sqlstate: string, message: string];

const file = new URL('../../../vectors/numeric-math.json', import.meta.url);
const rows = JSON.parse(readFileSync(file, 'utf8')) as readonly [
  string,
  readonly string[],
  Answer,
][];

const FUNCTIONS: Readonly<Record<string, (first: Decimal, second: Decimal) => Decimal>> = {
  sqrt: math.sqrtDecimal,
  ln: math.lnDecimal,
  exp: math.expDecimal,
  power: math.powerDecimal,
  log: math.logDecimal,
};

function answer(name: string, args: readonly string[]): Answer {
  const [first, second = '0'] = args;
  try {
    return formatNumeric(FUNCTIONS[name]!(parseNumeric(first!), parseNumeric(second)));
  } catch (error) {
    if (!isSqlError(error)) throw error;
    return [error.sqlstate, error.message];
  }
}

test.each(Object.keys(FUNCTIONS))('%s', (name) => {
  const own = rows.filter((row) => row[0] === name);
  expect(own.length).toBeGreaterThan(10);
  expect(own.map(([, args]) => [args, answer(name, args)])).toEqual(
    own.map(([, args, each]) => [args, each]),
  );
});
