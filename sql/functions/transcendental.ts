// exp, ln, log and power of numerics, with the digits Postgres gives. Pure.
//
// Computed in fixed point on bigints with guard digits; the scale of a result follows numeric.c.

import { SqlError } from '../../ledger/error.ts';
import {
  divideDecimal,
  multiplyDecimal,
  pow10,
  roundDecimal,
  trimDecimal,
} from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Decimal, FiniteDecimal } from '../../ledger/numeric.ts';

const SIGNIFICANT_DIGITS_MIN = 16;
const DISPLAY_SCALE_MAX = 1000;
const GUARD_DIGITS = 12;
const LN10_DOUBLE = Math.LN10;
/** exp of more than this overflows the format. */
const EXPONENT_MAX = 302_000;

function clampScale(scale: number): number {
  return Math.min(Math.max(scale, 0), DISPLAY_SCALE_MAX);
}

/** The value times 10^digits. */
function toFixed({ coefficient, scale }: FiniteDecimal, digits: number): bigint {
  return scale <= digits
    ? coefficient * pow10(digits - scale)
    : coefficient / pow10(scale - digits);
}

function fromFixed(value: bigint, digits: number, scale: number): FiniteDecimal {
  return roundDecimal({ coefficient: value, scale: digits }, scale) as FiniteDecimal;
}

function approximate({ coefficient, scale }: FiniteDecimal): number {
  return Number(`${coefficient}e${-scale}`);
}

/** e^x in fixed point: halved until small, Taylor, squared back. */
function fixedExp(x: bigint, digits: number): bigint {
  const halvings = Math.max(0, x.toString(2).length - toBits(digits) + 8);
  const extra = digits + Math.ceil(halvings * 0.31) + GUARD_DIGITS;
  const one = pow10(extra);
  const small = (x * pow10(extra - digits)) >> BigInt(halvings);
  let term = one;
  let sum = one;
  for (let n = 1n; term !== 0n; n += 1n) {
    term = (term * small) / one / n;
    sum += term;
  }
  for (let step = 0; step < halvings; step += 1) sum = (sum * sum) / one;
  return sum / pow10(extra - digits);
}

function toBits(digits: number): number {
  return Math.ceil(digits * 3.3219281);
}

/** ln(x) in fixed point: a power of two taken out, then the series of artanh. */
function fixedLn(x: bigint, digits: number): bigint {
  const one = pow10(digits);
  const shift = x.toString(2).length - one.toString(2).length;
  const reduced = shift >= 0 ? x >> BigInt(shift) : x << BigInt(-shift);
  return artanhLn(reduced, one) + BigInt(shift) * artanhLn(2n * one, one);
}

function artanhLn(x: bigint, one: bigint): bigint {
  const ratio = ((x - one) * one) / (x + one);
  const square = (ratio * ratio) / one;
  let power = ratio;
  let sum = 0n;
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += power / n;
    power = (power * square) / one;
  }
  return 2n * sum;
}

function overflow(): SqlError {
  return new SqlError(SQLSTATE.numericValueOutOfRange, 'value overflows numeric format');
}

export function exponential(value: Decimal): Decimal {
  if (value === '-Infinity') return { coefficient: 0n, scale: 0 };
  if (typeof value === 'string') return value;
  const estimate = approximate(value) / LN10_DOUBLE;
  const scale = clampScale(Math.max(SIGNIFICANT_DIGITS_MIN - Math.trunc(estimate), value.scale));
  return exponentialTo(value, scale);
}

function exponentialTo(value: FiniteDecimal, scale: number): FiniteDecimal {
  const size = approximate(value);
  if (size > EXPONENT_MAX) throw overflow();
  if (size < -EXPONENT_MAX) return { coefficient: 0n, scale };
  const magnitude = Math.max(0, Math.ceil(size / LN10_DOUBLE));
  const digits = scale + magnitude + GUARD_DIGITS;
  return fromFixed(fixedExp(toFixed(value, digits), digits), digits, scale);
}

function checkLogarithm(value: Decimal): void {
  const negative = value === '-Infinity' || (typeof value !== 'string' && value.coefficient < 0n);
  if (negative) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForLogarithm,
      'cannot take logarithm of a negative number',
    );
  }
  if (typeof value !== 'string' && value.coefficient === 0n) {
    throw new SqlError(SQLSTATE.invalidArgumentForLogarithm, 'cannot take logarithm of zero');
  }
}

/** Decimal weight of ln(x), as estimate_ln_dweight. */
function lnWeight(value: FiniteDecimal): number {
  const digits = 40;
  const near =
    value.coefficient * 10n >= 9n * pow10(value.scale) &&
    value.coefficient * 10n <= 11n * pow10(value.scale);
  if (near) {
    const distance = trimDecimal({
      coefficient: value.coefficient - pow10(value.scale),
      scale: value.scale,
    }) as FiniteDecimal;
    if (distance.coefficient === 0n) return 0;
    const length = distance.coefficient.toString().replace('-', '').length;
    return length - 1 - distance.scale;
  }
  const fixed = fixedLn(toFixed(value, digits + value.scale), digits + value.scale);
  const ln = Math.abs(Number(fixed) / Number(pow10(digits + value.scale)));
  return Number.isFinite(ln) && ln > 0
    ? Math.trunc(Math.log10(ln))
    : Math.trunc(Math.log10(Math.abs(approximate(value)) || 1));
}

function lnTo(value: FiniteDecimal, scale: number): FiniteDecimal {
  const digits = scale + GUARD_DIGITS + Math.max(value.scale, 0);
  return fromFixed(fixedLn(toFixed(value, digits), digits), digits, scale);
}

export function naturalLogarithm(value: Decimal): Decimal {
  if (value === 'NaN') return value;
  checkLogarithm(value);
  if (typeof value === 'string') return value;
  return lnTo(value, clampScale(Math.max(SIGNIFICANT_DIGITS_MIN - lnWeight(value), value.scale)));
}

/** log of `value` to `base`. */
export function logarithm(base: Decimal, value: Decimal): Decimal {
  if (base === 'NaN' || value === 'NaN') return 'NaN';
  checkLogarithm(base);
  checkLogarithm(value);
  if (typeof value === 'string') return typeof base === 'string' ? 'NaN' : 'Infinity';
  if (typeof base === 'string') return { coefficient: 0n, scale: 0 };
  const weight = lnWeight(value) - lnWeight(base);
  const scale = clampScale(Math.max(SIGNIFICANT_DIGITS_MIN - weight, base.scale, value.scale));
  const digits = scale + GUARD_DIGITS + Math.max(base.scale, value.scale);
  const divisor = fixedLn(toFixed(base, digits), digits);
  if (divisor === 0n) throw new SqlError(SQLSTATE.divisionByZero, 'division by zero');
  const quotient = (fixedLn(toFixed(value, digits), digits) * pow10(digits)) / divisor;
  return fromFixed(quotient, digits, scale);
}

export function power(base: Decimal, exponent: Decimal): Decimal {
  const one: FiniteDecimal = { coefficient: 1n, scale: 0 };
  if (typeof exponent !== 'string' && exponent.coefficient === 0n) {
    return typeof base === 'string'
      ? one
      : roundedOne(Math.max(SIGNIFICANT_DIGITS_MIN, base.scale, exponent.scale));
  }
  if (base === 'NaN' || exponent === 'NaN') return isOne(base) ? one : 'NaN';
  if (typeof base === 'string' || typeof exponent === 'string')
    return infinitePower(base, exponent);
  if (base.coefficient === 0n) {
    if (exponent.coefficient < 0n) {
      throw new SqlError(
        SQLSTATE.invalidArgumentForPower,
        'zero raised to a negative power is undefined',
      );
    }
    return {
      coefficient: 0n,
      scale: clampScale(Math.max(SIGNIFICANT_DIGITS_MIN, base.scale, exponent.scale)),
    };
  }
  const whole = trimDecimal(exponent) as FiniteDecimal;
  if (whole.scale === 0 && absolute(whole.coefficient) < 2n ** 31n)
    return integerPower(base, whole.coefficient);
  if (base.coefficient < 0n) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForPower,
      'a negative number raised to a non-integer power yields a complex result',
    );
  }
  return realPower(base, exponent);
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function isOne(value: Decimal): boolean {
  return typeof value !== 'string' && value.coefficient === pow10(value.scale);
}

function roundedOne(scale: number): FiniteDecimal {
  const places = clampScale(scale);
  return { coefficient: pow10(places), scale: places };
}

function infinitePower(base: Decimal, exponent: Decimal): Decimal {
  const zero: FiniteDecimal = { coefficient: 0n, scale: 0 };
  if (isOne(base)) return { coefficient: 1n, scale: 0 };
  if (typeof base !== 'string') {
    const above = absolute(base.coefficient) > pow10(base.scale);
    if (absolute(base.coefficient) === pow10(base.scale)) return { coefficient: 1n, scale: 0 };
    return above === (exponent === 'Infinity') ? 'Infinity' : zero;
  }
  const negative =
    typeof exponent === 'string' ? exponent === '-Infinity' : exponent.coefficient < 0n;
  if (negative) return zero;
  const odd = typeof exponent !== 'string' && isOdd(exponent);
  return base === '-Infinity' && odd ? '-Infinity' : 'Infinity';
}

function isOdd(value: FiniteDecimal): boolean {
  const whole = trimDecimal(value) as FiniteDecimal;
  return whole.scale === 0 && whole.coefficient % 2n !== 0n;
}

/** power_var_int: by squaring, to 16 digits after the point at least, as PostgreSQL 15 does. */
function integerPower(base: FiniteDecimal, whole: bigint): Decimal {
  const size = Math.log10(Math.abs(approximate(base))) * Number(whole);
  if (size > 131_071) throw overflow();
  const scale = clampScale(Math.max(SIGNIFICANT_DIGITS_MIN, base.scale));
  if (size + scale < 0) return { coefficient: 0n, scale };
  const digits =
    scale + Math.max(0, Math.ceil(Math.abs(size))) + GUARD_DIGITS + String(whole).length;
  const one = pow10(digits);
  let result = one;
  let factor = toFixed(base, digits);
  for (let left = absolute(whole); left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * factor) / one;
    if (left > 1n) factor = (factor * factor) / one;
  }
  if (whole >= 0n) return fromFixed(result, digits, scale);
  const inverse = divideDecimal(
    { coefficient: one, scale: digits },
    { coefficient: result === 0n ? 1n : result, scale: digits },
  ) as FiniteDecimal;
  return inverse.scale >= scale + 2
    ? roundDecimal(inverse, scale)
    : fromFixed((one * one) / result, digits, scale);
}

function realPower(base: FiniteDecimal, exponent: FiniteDecimal): Decimal {
  const rough = Math.log(approximate(base)) * approximate(exponent);
  const weight = Math.trunc(rough / LN10_DOUBLE);
  if (rough > EXPONENT_MAX) throw overflow();
  const scale = clampScale(Math.max(SIGNIFICANT_DIGITS_MIN - weight, base.scale, exponent.scale));
  const ln = lnTo(base, scale + Math.max(0, weight) + 2 * GUARD_DIGITS);
  return exponentialTo(multiplyDecimal(ln, exponent) as FiniteDecimal, scale);
}
