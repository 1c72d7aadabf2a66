// Square root of a numeric, with the digits Postgres gives. Pure.

import { SqlError } from '../../ledger/error.ts';
import { pow10 } from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Decimal } from '../../ledger/numeric.ts';

const SIGNIFICANT_DIGITS_MIN = 16;
const DISPLAY_SCALE_MAX = 1000;
const BASE_DIGITS = 4;

/** @param resultScale  of the result; without it, what numeric_sqrt chooses. @throws SqlError 2201F for a negative number */
export function squareRoot(value: Decimal, resultScale?: number): Decimal {
  if (value === '-Infinity' || (typeof value !== 'string' && value.coefficient < 0n)) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForPower,
      'cannot take square root of a negative number',
    );
  }
  if (typeof value === 'string') return value;
  const { coefficient, scale } = value;
  const digits = coefficient.toString().length - scale;
  // numeric_sqrt estimates the result's weight from that of the argument, in groups of four digits.
  const weight = coefficient === 0n ? 0 : Math.ceil(digits / BASE_DIGITS) - 1;
  const sweight = Math.trunc(((weight + 1) * BASE_DIGITS) / 2) - 1;
  const wanted = Math.max(SIGNIFICANT_DIGITS_MIN - sweight, scale, 0);
  const places = resultScale ?? Math.min(wanted, DISPLAY_SCALE_MAX);
  const exact = coefficient * pow10(2 * places + 2) * (scale % 2 === 0 ? 1n : 10n);
  const shifted = integerRoot(exact / pow10(scale % 2 === 0 ? scale : scale + 1));
  return { coefficient: (shifted + 5n) / 10n, scale: places };
}

function integerRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let guess = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (guess + value / guess) >> 1n;
    if (next >= guess) return guess;
    guess = next;
  }
}
