// sqrt, exp, ln, log and power of numerics. Pure.
//
// Results are rounded correctly to the scale that PostgreSQL chooses. The choice looks at a double's logarithm,
// whose last bit may differ between machines, so these functions are for the edge and never for the chain.

import { SqlError } from '../../ledger/error.ts';
import type { Decimal, FiniteDecimal } from '../../ledger/numeric.ts';
import {
  compareDecimal,
  decimalToInteger,
  divideRounded,
  formatNumeric,
  pow10,
  quotient,
  roundDecimal,
} from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';

const SIGNIFICANT_DIGITS_MIN = 16;
const DISPLAY_SCALE_MAX = 1000;
const RESULT_SCALE_MAX = 2000;
/** Digits computed beyond those of the result. */
const GUARD_DIGITS = 20;
const LOG10_E = 0.434294481903252;
const LN_10 = 2.302585092994046;

const ONE: FiniteDecimal = { coefficient: 1n, scale: 0 };
const overflow = (): SqlError =>
  new SqlError(SQLSTATE.numericValueOutOfRange, 'value overflows numeric format');

function finite(value: Decimal): value is FiniteDecimal {
  return typeof value !== 'string';
}

/** The scale that leaves 16 significant digits, and at least those of the arguments. */
function resultScale(weight: number, ...scales: number[]): number {
  return Math.min(Math.max(SIGNIFICANT_DIGITS_MIN - weight, ...scales, 0), DISPLAY_SCALE_MAX);
}

/** Base-10000 digits as numeric.c holds them: the value is 0.d0 d1 … × 10000^(weight + 1). */
function baseDigits(value: FiniteDecimal): { readonly weight: number; readonly digits: number[] } {
  const text = (value.coefficient < 0n ? -value.coefficient : value.coefficient).toString();
  if (text === '0') return { weight: 0, digits: [] };
  const integer = text.length - value.scale;
  const weight = Math.ceil(integer / 4) - 1;
  const aligned = '0'.repeat((weight + 1) * 4 - integer) + text;
  const digits = (aligned.match(/.{1,4}/g) ?? []).map((group) => Number(group.padEnd(4, '0')));
  while (digits.at(-1) === 0) digits.pop();
  return { weight, digits };
}

/** The value as an integer scaled by 10^precision. */
function fixed(value: FiniteDecimal, precision: number): bigint {
  return value.scale <= precision
    ? value.coefficient * pow10(precision - value.scale)
    : divideRounded(value.coefficient, pow10(value.scale - precision));
}

function rounded(value: bigint, precision: number, scale: number): FiniteDecimal {
  return { coefficient: divideRounded(value, pow10(precision - scale)), scale };
}

// ---- sqrt ----

function integerRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << BigInt(Math.ceil(value.toString(2).length / 2));
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** @throws SqlError 2201F */
export function sqrtDecimal(value: Decimal): Decimal {
  if (value === 'NaN' || value === 'Infinity') return value;
  if (value === '-Infinity' || value.coefficient < 0n) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForPower,
      'cannot take square root of a negative number',
    );
  }
  const { weight } = baseDigits(value);
  const scale = resultScale(Math.trunc(((weight + 1) * 4) / 2) - 1, value.scale);
  // One digit more decides the rounding; a root is never a tie.
  const root = integerRoot(fixed(value, 2 * (scale + 1)));
  return rounded(root, scale + 1, scale);
}

// ---- exp and ln on fixed-point integers ----

function expFixed(value: bigint, unit: bigint): bigint {
  // Halved until small, and squared as often afterwards.
  const halvings = Math.max(0, ((value < 0n ? -value : value) / unit).toString(2).length + 8);
  const extra = 1n << BigInt(halvings + 16);
  const scale = unit * extra;
  const reduced = (value * extra) >> BigInt(halvings);
  let term = scale;
  let sum = scale;
  for (let n = 1n; term !== 0n; n++) {
    term = (term * reduced) / scale / n;
    sum += term;
  }
  for (let at = 0; at < halvings; at++) sum = (sum * sum) / scale;
  return sum / extra;
}

/** 2 × atanh((value - 1) / (value + 1)), fast when the value is near 1. */
function lnNearOne(value: bigint, unit: bigint): bigint {
  const ratio = ((value - unit) * unit) / (value + unit);
  const square = (ratio * ratio) / unit;
  let power = ratio;
  let sum = 0n;
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += power / n;
    power = (power * square) / unit;
  }
  return 2n * sum;
}

const ROOTS = 6;

function lnFixed(value: bigint, unit: bigint): bigint {
  const shift = value.toString(2).length - unit.toString(2).length;
  let near = shift >= 0 ? value >> BigInt(shift) : value << BigInt(-shift);
  for (let at = 0; at < ROOTS; at++) near = integerRoot(near * unit);
  let two = 2n * unit;
  for (let at = 0; at < ROOTS; at++) two = integerRoot(two * unit);
  return (lnNearOne(near, unit) + BigInt(shift) * lnNearOne(two, unit)) << BigInt(ROOTS);
}

/** ln to `scale` digits, of a value above zero. */
function lnTo(value: FiniteDecimal, scale: number): FiniteDecimal {
  const lost = Math.max(0, value.scale - value.coefficient.toString().length);
  const precision = scale + GUARD_DIGITS + lost;
  return rounded(lnFixed(fixed(value, precision), pow10(precision)), precision, scale);
}

/** Weight of the first digit of ln(value). @see estimate_ln_dweight in numeric.c */
function lnWeight(value: FiniteDecimal): number {
  const low = { coefficient: 9n, scale: 1 };
  const high = { coefficient: 11n, scale: 1 };
  if (compareDecimal(value, low) >= 0 && compareDecimal(value, high) <= 0) {
    const difference = { ...value, coefficient: value.coefficient - pow10(value.scale) };
    const { weight, digits } = baseDigits(difference);
    return digits.length === 0 ? 0 : weight * 4 + Math.trunc(Math.log10(digits[0]!));
  }
  const { weight, digits } = baseDigits(value);
  const second = digits[1];
  const leading = second === undefined ? digits[0]! : digits[0]! * 10_000 + second;
  const exponent = weight * 4 - (second === undefined ? 0 : 4);
  return Math.trunc(Math.log10(Math.abs(Math.log(leading) + exponent * LN_10)));
}

function checkLogarithm(value: Decimal): void {
  const negative = value === '-Infinity' || (finite(value) && value.coefficient < 0n);
  if (negative) {
    throw new SqlError(
      SQLSTATE.invalidArgumentForLogarithm,
      'cannot take logarithm of a negative number',
    );
  }
  if (finite(value) && value.coefficient === 0n) {
    throw new SqlError(SQLSTATE.invalidArgumentForLogarithm, 'cannot take logarithm of zero');
  }
}

/** @throws SqlError 2201E */
export function lnDecimal(value: Decimal): Decimal {
  if (value === 'NaN') return value;
  checkLogarithm(value);
  if (!finite(value)) return 'Infinity';
  return lnTo(value, resultScale(lnWeight(value), value.scale));
}

/** Logarithm of `value` to `base`. @throws SqlError 2201E, 22012 for base 1 */
export function logDecimal(base: Decimal, value: Decimal): Decimal {
  if (base === 'NaN' || value === 'NaN') return 'NaN';
  if (base === '-Infinity' || value === '-Infinity') checkLogarithm('-Infinity');
  checkLogarithm(base);
  checkLogarithm(value);
  if (!finite(base)) return finite(value) ? { coefficient: 0n, scale: 0 } : 'NaN';
  if (!finite(value)) return 'Infinity';
  const scale = resultScale(lnWeight(value) - lnWeight(base), base.scale, value.scale);
  const digits = scale + GUARD_DIGITS + Math.abs(lnWeight(base)) + Math.abs(lnWeight(value));
  const divisor = lnTo(base, digits);
  if (divisor.coefficient === 0n) throw new SqlError(SQLSTATE.divisionByZero, 'division by zero');
  return quotient(lnTo(value, digits), divisor, scale);
}

/** e^value to `scale` digits; too large a result is 22003, too small a one is zero. */
function expTo(value: FiniteDecimal, scale: number): FiniteDecimal {
  const approximate = Number(formatNumeric(value));
  if (approximate >= RESULT_SCALE_MAX * 3) throw overflow();
  if (approximate <= -RESULT_SCALE_MAX * 3) return { coefficient: 0n, scale };
  const precision = scale + GUARD_DIGITS + Math.max(0, Math.ceil(approximate * LOG10_E));
  return rounded(expFixed(fixed(value, precision), pow10(precision)), precision, scale);
}

/** @throws SqlError 22003 */
export function expDecimal(value: Decimal): Decimal {
  if (!finite(value)) return value === '-Infinity' ? { coefficient: 0n, scale: 0 } : value;
  const weight = Number(formatNumeric(value)) * LOG10_E;
  const limited = Math.min(Math.max(weight, -RESULT_SCALE_MAX), RESULT_SCALE_MAX);
  return expTo(value, resultScale(Math.trunc(limited), value.scale));
}

// ---- power ----

function powerUndefined(message: string): SqlError {
  return new SqlError(SQLSTATE.invalidArgumentForPower, message);
}

function isInteger(value: FiniteDecimal): boolean {
  return value.coefficient % pow10(value.scale) === 0n;
}

/** @throws SqlError 2201F, 22003 */
export function powerDecimal(base: Decimal, exponent: Decimal): Decimal {
  if (!finite(base) || !finite(exponent)) return specialPower(base, exponent);
  if (base.coefficient === 0n && exponent.coefficient < 0n) {
    throw powerUndefined('zero raised to a negative power is undefined');
  }
  if (isInteger(exponent)) {
    const whole = decimalToInteger(exponent, 'bigint', 64);
    if (BigInt.asIntN(32, whole) === whole)
      return integerPower(base, Number(whole), exponent.scale);
  }
  if (base.coefficient === 0n) return { coefficient: 0n, scale: SIGNIFICANT_DIGITS_MIN };
  if (base.coefficient < 0n && !isInteger(exponent)) {
    throw powerUndefined('a negative number raised to a non-integer power yields a complex result');
  }
  const odd = (exponent.coefficient / pow10(exponent.scale)) % 2n !== 0n;
  const size = {
    ...base,
    coefficient: base.coefficient < 0n ? -base.coefficient : base.coefficient,
  };
  const rough = Number(formatNumeric(lnTo(size, 20))) * Number(formatNumeric(exponent));
  if (Math.abs(rough) > RESULT_SCALE_MAX * 3.01) {
    if (rough > 0) throw overflow();
    return { coefficient: 0n, scale: DISPLAY_SCALE_MAX };
  }
  const scale = resultScale(Math.trunc(rough * LOG10_E), base.scale, exponent.scale);
  const digits = scale + GUARD_DIGITS + Math.max(0, Math.ceil(rough * LOG10_E));
  const logarithm = lnTo(size, digits + exponent.coefficient.toString().length);
  const product = {
    coefficient: logarithm.coefficient * exponent.coefficient,
    scale: logarithm.scale + exponent.scale,
  };
  const result = expTo(product, scale);
  return base.coefficient < 0n && odd ? { ...result, coefficient: -result.coefficient } : result;
}

/** @see power_var_int in numeric.c */
function integerPower(base: FiniteDecimal, exponent: number, exponentScale: number): FiniteDecimal {
  const { weight, digits } = baseDigits(base);
  let leading = 0;
  let place = weight * 4 + 4;
  for (const digit of digits.slice(0, 4)) {
    leading = leading * 10_000 + digit;
    place -= 4;
  }
  const resultWeight = digits.length === 0 ? 0 : exponent * (Math.log10(leading) + place);
  if (resultWeight > (32_767 + 1) * 4) throw overflow();
  // PostgreSQL 15 gives whole powers 16 digits after the point, whatever their size.
  const scale = resultScale(0, base.scale, exponentScale);
  if (resultWeight + 1 < -scale) return { coefficient: 0n, scale };
  if (exponent >= 0) {
    const power = truncatedPower(base, exponent, scale, resultWeight);
    return roundDecimal(power, scale) as FiniteDecimal;
  }
  return quotient(ONE, truncatedPower(base, -exponent, scale, resultWeight), scale);
}

/** base^exponent with more digits than the result needs, but not all of them when they are very many. */
function truncatedPower(
  base: FiniteDecimal,
  exponent: number,
  scale: number,
  weight: number,
): FiniteDecimal {
  const digitsMax = scale + Math.abs(Math.trunc(weight)) * 2 + GUARD_DIGITS + 40;
  let result: FiniteDecimal = ONE;
  let factor = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = cut(result, factor, digitsMax);
    if (rest > 1) factor = cut(factor, factor, digitsMax);
  }
  return result;
}

function cut(left: FiniteDecimal, right: FiniteDecimal, digitsMax: number): FiniteDecimal {
  const coefficient = left.coefficient * right.coefficient;
  const scale = left.scale + right.scale;
  if (scale <= digitsMax) return { coefficient, scale };
  return { coefficient: divideRounded(coefficient, pow10(scale - digitsMax)), scale: digitsMax };
}

function specialPower(base: Decimal, exponent: Decimal): Decimal {
  if (finite(exponent) && exponent.coefficient === 0n) return ONE;
  if (finite(base) && compareDecimal(base, ONE) === 0) return ONE;
  if (base === 'NaN' || exponent === 'NaN') return 'NaN';
  const zero: FiniteDecimal = { coefficient: 0n, scale: 0 };
  if (finite(exponent)) {
    if (base === 'Infinity') return exponent.coefficient < 0n ? zero : 'Infinity';
    if (!isInteger(exponent)) {
      throw powerUndefined(
        'a negative number raised to a non-integer power yields a complex result',
      );
    }
    if (exponent.coefficient < 0n) return zero;
    const odd = (exponent.coefficient / pow10(exponent.scale)) % 2n !== 0n;
    return odd ? '-Infinity' : 'Infinity';
  }
  if (finite(base) && base.coefficient === 0n) {
    if (exponent === 'Infinity') return zero;
    throw powerUndefined('zero raised to a negative power is undefined');
  }
  const size = finite(base)
    ? compareDecimal(
        { ...base, coefficient: base.coefficient < 0n ? -base.coefficient : base.coefficient },
        ONE,
      )
    : 1;
  if (size === 0) return ONE;
  return size > 0 === (exponent === 'Infinity') ? 'Infinity' : zero;
}
