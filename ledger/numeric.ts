// Exact decimals: numeric as Postgres computes it. Pure.
//
// The general form of a numeric (ledger/type.ts) is a BLOB whose memcmp order is the order of the numbers,
// -Infinity < finite < Infinity < NaN, so that SQLite sorts, indexes and joins it without our help:
//
//   0x0f | 0x80 | 0xf0 | 0xff      -Infinity, zero, Infinity, NaN: the whole key
//   positive: H H H d … d 0x00     H = 0x814000 + X, big-endian, where the value is 0.DD DD DD… × 100^X with a
//                                  first pair that is not 00; d = pair + 1, trailing 00 pairs left out
//   negative                       the key of the absolute value, every bit inverted
//   then always 2 bytes            display scale, big-endian, 0 … 16383
//
// (1) Two numerics are equal iff their keys (all but the last two bytes) are. The terminating 0x00 keeps the
//     scale out of the comparison of different numbers; it only breaks ties.
// (2) A finite Decimal is coefficient × 10^-scale and its scale is the display scale, as in Postgres.
// (3) Result scales are those of PostgreSQL's numeric.c; results are rounded half away from zero.

import { SqlError } from './error.ts';
import { SQLSTATE } from './sqlstate.ts';

export interface FiniteDecimal {
  readonly coefficient: bigint;
  /** Digits after the point that are shown, 0 … 16383. */
  readonly scale: number;
}

export type Decimal = FiniteDecimal | 'NaN' | 'Infinity' | '-Infinity';

/** Decimal digits before the point that Postgres' own format can hold. */
const INTEGER_DIGITS_MAX = 131_072;
export const NUMERIC_SCALE_MAX = 16_383;
/** Digits that division keeps at least, and the scale it never exceeds (numeric.h). */
const SIGNIFICANT_DIGITS_MIN = 16;
const DISPLAY_SCALE_MAX = 1000;
const RESULT_SCALE_MAX = 2000;

const KEY_MINUS_INFINITY = 0x0f;
const KEY_ZERO = 0x80;
const KEY_INFINITY = 0xf0;
const KEY_NAN = 0xff;
const HEADER = 0x814000;

export const ZERO: FiniteDecimal = { coefficient: 0n, scale: 0 };

const POWERS: bigint[] = [1n];

/** 10^exponent, remembered for the small ones. */
export function pow10(exponent: number): bigint {
  if (exponent > 64) return 10n ** BigInt(exponent);
  for (let at = POWERS.length; at <= exponent; at++) POWERS.push(POWERS[at - 1]! * 10n);
  return POWERS[exponent]!;
}

function overflow(): SqlError {
  return new SqlError(SQLSTATE.numericValueOutOfRange, 'value overflows numeric format');
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value;
}

/** A decimal that Postgres could hold, or 22003. */
function checked(coefficient: bigint, scale: number): FiniteDecimal {
  if (scale > NUMERIC_SCALE_MAX) throw overflow();
  if (
    scale === 0 ||
    coefficient > 0xffff_ffff_ffff_ffffn ||
    coefficient < -0xffff_ffff_ffff_ffffn
  ) {
    if (integerDigits(coefficient, scale) > INTEGER_DIGITS_MAX) throw overflow();
  }
  return { coefficient, scale };
}

/** Position of the first digit that is not zero, counted from the point to the left; 12.3 → 2, 0.05 → -1. */
function integerDigits(coefficient: bigint, scale: number): number {
  if (coefficient === 0n) return 0;
  return magnitude(coefficient).toString().length - scale;
}

// ---- bytes ----

/** The general form. */
export function encodeNumeric(value: Decimal): Uint8Array {
  if (typeof value === 'string') {
    const key =
      value === 'NaN' ? KEY_NAN : value === 'Infinity' ? KEY_INFINITY : KEY_MINUS_INFINITY;
    return Uint8Array.of(key, 0, 0);
  }
  const { coefficient, scale } = value;
  const scaleHigh = scale >> 8;
  const scaleLow = scale & 0xff;
  if (coefficient === 0n) return Uint8Array.of(KEY_ZERO, scaleHigh, scaleLow);
  const negative = coefficient < 0n;
  let digits = (negative ? -coefficient : coefficient).toString();
  const integer = digits.length - scale;
  // Pairs are aligned to the point, so an odd number of integer digits needs a leading zero.
  const pairExponent = Math.ceil(integer / 2);
  if (integer % 2 !== 0) digits = '0' + digits;
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === 48) end--;
  const pairs = (end + 1) >> 1;
  const bytes = new Uint8Array(3 + pairs + 3);
  const header = HEADER + pairExponent;
  bytes[0] = header >> 16;
  bytes[1] = (header >> 8) & 0xff;
  bytes[2] = header & 0xff;
  for (let at = 0; at < pairs; at++) {
    const high = digits.charCodeAt(2 * at) - 48;
    const low = 2 * at + 1 < end ? digits.charCodeAt(2 * at + 1) - 48 : 0;
    bytes[3 + at] = high * 10 + low + 1;
  }
  const last = 3 + pairs;
  if (negative) for (let at = 0; at <= last; at++) bytes[at] = ~bytes[at]! & 0xff;
  bytes[last + 1] = scaleHigh;
  bytes[last + 2] = scaleLow;
  return bytes;
}

/** @throws SqlError XX001 when the bytes are no numeric */
export function decodeNumeric(bytes: Uint8Array): Decimal {
  const first = bytes[0];
  const scale = (bytes[bytes.length - 2]! << 8) | bytes[bytes.length - 1]!;
  if (first === KEY_ZERO) return { coefficient: 0n, scale };
  if (first === KEY_NAN) return 'NaN';
  if (first === KEY_INFINITY) return 'Infinity';
  if (first === KEY_MINUS_INFINITY) return '-Infinity';
  const pairs = bytes.length - 6;
  if (first === undefined || pairs < 1) {
    throw new SqlError(SQLSTATE.dataCorrupted, 'invalid numeric value in storage');
  }
  const flip = first < KEY_ZERO ? 0xff : 0;
  const pairExponent =
    (((first ^ flip) << 16) | ((bytes[1]! ^ flip) << 8) | (bytes[2]! ^ flip)) - HEADER;
  let coefficient: bigint;
  if (pairs <= 7) {
    let small = 0;
    for (let at = 0; at < pairs; at++) small = small * 100 + ((bytes[3 + at]! ^ flip) - 1);
    coefficient = BigInt(small);
  } else {
    let text = '';
    for (let at = 0; at < pairs; at++) {
      const pair = (bytes[3 + at]! ^ flip) - 1;
      text += pair < 10 ? '0' + pair : pair;
    }
    coefficient = BigInt(text);
  }
  const shift = 2 * (pairExponent - pairs) + scale;
  coefficient = shift >= 0 ? coefficient * pow10(shift) : coefficient / pow10(-shift);
  return { coefficient: flip === 0 ? coefficient : -coefficient, scale };
}

/** The part of a general numeric that decides order and equality. */
export function numericKey(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.length - 2);
}

/** Negative, zero or positive, as memcmp of the keys. */
export function compareNumeric(left: Uint8Array, right: Uint8Array): number {
  const leftEnd = left.length - 2;
  const rightEnd = right.length - 2;
  const end = Math.min(leftEnd, rightEnd);
  for (let at = 0; at < end; at++) {
    const difference = left[at]! - right[at]!;
    if (difference !== 0) return difference;
  }
  return leftEnd - rightEnd;
}

/** A scaled bigint (numericScale) in the general form. */
export function widenNumeric(scaled: bigint, scale: number): Uint8Array {
  return encodeNumeric({ coefficient: scaled, scale });
}

/**
 * A general numeric as bigint scaled by 10^scale.
 *
 * @throws SqlError 0A000 for NaN, which a column of at most 18 digits cannot hold here; 22003 for infinities
 */
export function scaleNumeric(value: Decimal, precision: number, scale: number): bigint {
  if (value === 'NaN') {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      `NaN is not supported in a column of type numeric(${precision},${scale})`,
      { hint: 'Use numeric without precision, or a precision above 18.' },
    );
  }
  const limited = limitNumeric(value, precision, scale);
  if (typeof limited === 'string') throw overflow();
  return limited.coefficient;
}

// ---- text ----

const NUMBER = /^([+-]?)(\d+\.?\d*|\.\d+)(?:e([+-]?\d+))?$/i;
const SPECIALS: Readonly<Record<string, Decimal>> = {
  nan: 'NaN',
  infinity: 'Infinity',
  '+infinity': 'Infinity',
  '-infinity': '-Infinity',
  inf: 'Infinity',
  '+inf': 'Infinity',
  '-inf': '-Infinity',
};

/** @throws SqlError 22P02, 22003 */
export function parseNumeric(text: string): Decimal {
  const trimmed = text.replace(/^[ \t\n\r\f\v]+|[ \t\n\r\f\v]+$/g, '');
  const match = NUMBER.exec(trimmed);
  if (match === null) {
    const special = SPECIALS[trimmed.toLowerCase()];
    if (special !== undefined) return special;
    throw new SqlError(
      SQLSTATE.invalidTextRepresentation,
      `invalid input syntax for type numeric: "${text}"`,
    );
  }
  const body = match[2]!;
  const point = body.indexOf('.');
  const digits = point < 0 ? body : body.slice(0, point) + body.slice(point + 1);
  const exponent = match[3] === undefined ? 0 : Number(match[3]);
  if (Math.abs(exponent) >= 1_073_741_823) {
    throw new SqlError(
      SQLSTATE.invalidTextRepresentation,
      `invalid input syntax for type numeric: "${text}"`,
    );
  }
  const scale = (point < 0 ? 0 : body.length - point - 1) - exponent;
  const significant = digits.replace(/^0+/, '');
  if (scale > NUMERIC_SCALE_MAX) throw overflow();
  if (significant === '') return { coefficient: 0n, scale: Math.max(scale, 0) };
  if (significant.length - scale > INTEGER_DIGITS_MAX) throw overflow();
  let coefficient = BigInt(significant);
  if (match[1] === '-') coefficient = -coefficient;
  return scale >= 0
    ? { coefficient, scale }
    : { coefficient: coefficient * pow10(-scale), scale: 0 };
}

export function formatNumeric(value: Decimal): string {
  return typeof value === 'string' ? value : formatScaled(value.coefficient, value.scale);
}

/** coefficient × 10^-scale with exactly `scale` digits after the point. */
export function formatScaled(coefficient: bigint, scale: number): string {
  if (scale === 0) return coefficient.toString();
  const negative = coefficient < 0n;
  const digits = (negative ? -coefficient : coefficient).toString().padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${negative ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`;
}

// ---- arithmetic ----

function isFinite(value: Decimal): value is FiniteDecimal {
  return typeof value !== 'string';
}

/** -1, 0, 1; for a special by its sign; NaN is 2. */
function signOf(value: Decimal): number {
  if (value === 'NaN') return 2;
  if (value === 'Infinity') return 1;
  if (value === '-Infinity') return -1;
  return value.coefficient > 0n ? 1 : value.coefficient < 0n ? -1 : 0;
}

export function addDecimal(left: Decimal, right: Decimal): Decimal {
  if (isFinite(left) && isFinite(right)) {
    if (left.scale === right.scale) {
      return checked(left.coefficient + right.coefficient, left.scale);
    }
    const scale = Math.max(left.scale, right.scale);
    return checked(rescaled(left, scale) + rescaled(right, scale), scale);
  }
  if (left === 'NaN' || right === 'NaN') return 'NaN';
  if (isFinite(left)) return right;
  if (isFinite(right)) return left;
  return left === right ? left : 'NaN';
}

export function negateDecimal(value: Decimal): Decimal {
  if (value === 'NaN') return value;
  if (value === 'Infinity') return '-Infinity';
  if (value === '-Infinity') return 'Infinity';
  return { coefficient: -value.coefficient, scale: value.scale };
}

export function subtractDecimal(left: Decimal, right: Decimal): Decimal {
  return addDecimal(left, negateDecimal(right));
}

export function multiplyDecimal(left: Decimal, right: Decimal): Decimal {
  if (isFinite(left) && isFinite(right)) {
    const scale = left.scale + right.scale;
    const product = left.coefficient * right.coefficient;
    if (scale <= NUMERIC_SCALE_MAX) return checked(product, scale);
    return checked(divideRounded(product, pow10(scale - NUMERIC_SCALE_MAX)), NUMERIC_SCALE_MAX);
  }
  if (left === 'NaN' || right === 'NaN') return 'NaN';
  const sign = signOf(left) * signOf(right);
  return sign === 0 ? 'NaN' : sign > 0 ? 'Infinity' : '-Infinity';
}

/** The weight and value of the first base-10000 digit, on which Postgres' result scales hang. */
function leadingDigit(value: FiniteDecimal): { readonly weight: number; readonly digit: number } {
  if (value.coefficient === 0n) return { weight: 0, digit: 0 };
  const digits = magnitude(value.coefficient).toString();
  const integer = digits.length - value.scale;
  const weight = Math.ceil(integer / 4) - 1;
  const length = integer - weight * 4;
  return { weight, digit: Number(digits.slice(0, length).padEnd(length, '0')) };
}

/** @see select_div_scale in PostgreSQL's numeric.c */
function divisionScale(left: FiniteDecimal, right: FiniteDecimal): number {
  const dividend = leadingDigit(left);
  const divisor = leadingDigit(right);
  let weight = dividend.weight - divisor.weight;
  if (dividend.digit <= divisor.digit) weight--;
  const scale = Math.max(SIGNIFICANT_DIGITS_MIN - weight * 4, left.scale, right.scale, 0);
  return Math.min(scale, DISPLAY_SCALE_MAX);
}

function divisionByZero(): SqlError {
  return new SqlError(SQLSTATE.divisionByZero, 'division by zero');
}

/** @throws SqlError 22012 */
export function divideDecimal(left: Decimal, right: Decimal): Decimal {
  if (left === 'NaN' || right === 'NaN') return 'NaN';
  if (!isFinite(left)) {
    if (!isFinite(right)) return 'NaN';
    if (right.coefficient === 0n) throw divisionByZero();
    return signOf(left) * signOf(right) > 0 ? 'Infinity' : '-Infinity';
  }
  if (!isFinite(right)) return ZERO;
  if (right.coefficient === 0n) throw divisionByZero();
  return quotient(left, right, divisionScale(left, right));
}

/** left / right rounded to `scale`. */
export function quotient(left: FiniteDecimal, right: FiniteDecimal, scale: number): FiniteDecimal {
  const shift = scale - left.scale + right.scale;
  const dividend = shift >= 0 ? left.coefficient * pow10(shift) : left.coefficient;
  const divisor = shift >= 0 ? right.coefficient : right.coefficient * pow10(-shift);
  return checked(divideRounded(dividend, divisor), scale);
}

/** Integer quotient without its fraction: Postgres' div(). */
export function divideTruncated(left: Decimal, right: Decimal): Decimal {
  if (!isFinite(left) || !isFinite(right)) return divideDecimal(left, right);
  if (right.coefficient === 0n) throw divisionByZero();
  const scale = Math.max(left.scale, right.scale);
  return { coefficient: rescaled(left, scale) / rescaled(right, scale), scale: 0 };
}

/** Remainder with the sign of the dividend. @throws SqlError 22012 */
export function remainderDecimal(left: Decimal, right: Decimal): Decimal {
  if (left === 'NaN' || right === 'NaN') return 'NaN';
  if (!isFinite(left)) {
    if (signOf(right) === 0) throw divisionByZero();
    return 'NaN';
  }
  if (!isFinite(right)) return left;
  if (right.coefficient === 0n) throw divisionByZero();
  const scale = Math.max(left.scale, right.scale);
  return { coefficient: rescaled(left, scale) % rescaled(right, scale), scale };
}

export function compareDecimal(left: Decimal, right: Decimal): number {
  if (isFinite(left) && isFinite(right)) {
    const scale = Math.max(left.scale, right.scale);
    const difference = rescaled(left, scale) - rescaled(right, scale);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }
  return compareNumeric(encodeNumeric(left), encodeNumeric(right));
}

/** Coefficient at another, not smaller, scale. */
function rescaled(value: FiniteDecimal, scale: number): bigint {
  return scale === value.scale ? value.coefficient : value.coefficient * pow10(scale - value.scale);
}

/** Quotient rounded half away from zero. */
export function divideRounded(dividend: bigint, divisor: bigint): bigint {
  const whole = dividend / divisor;
  const rest = magnitude(dividend % divisor) * 2n;
  if (rest < magnitude(divisor)) return whole;
  return dividend < 0n === divisor < 0n ? whole + 1n : whole - 1n;
}

export function roundDecimal(value: Decimal, places: number): Decimal {
  return atPlaces(value, places, divideRounded);
}

export function truncateDecimal(value: Decimal, places: number): Decimal {
  return atPlaces(value, places, (dividend, divisor) => dividend / divisor);
}

export function floorDecimal(value: Decimal): Decimal {
  return atPlaces(value, 0, (dividend, divisor) => {
    const whole = dividend / divisor;
    return dividend < 0n && dividend % divisor !== 0n ? whole - 1n : whole;
  });
}

export function ceilDecimal(value: Decimal): Decimal {
  return negateDecimal(floorDecimal(negateDecimal(value)));
}

function atPlaces(
  value: Decimal,
  places: number,
  divide: (dividend: bigint, divisor: bigint) => bigint,
): Decimal {
  if (!isFinite(value)) return value;
  const wanted = Math.min(Math.max(places, -RESULT_SCALE_MAX), RESULT_SCALE_MAX);
  const scale = Math.max(wanted, 0);
  if (wanted >= value.scale) return checked(rescaled(value, wanted), wanted);
  const cut = divide(value.coefficient, pow10(value.scale - wanted));
  return checked(wanted < 0 ? cut * pow10(-wanted) : cut, scale);
}

/** Without trailing zeros after the point, as trim_scale(). */
export function trimDecimal(value: Decimal): Decimal {
  if (!isFinite(value)) return value;
  let { coefficient, scale } = value;
  while (scale > 0 && coefficient % 10n === 0n) {
    coefficient /= 10n;
    scale--;
  }
  return { coefficient, scale };
}

export function signDecimal(value: Decimal): Decimal {
  return value === 'NaN' ? 'NaN' : { coefficient: BigInt(signOf(value)), scale: 0 };
}

export function absoluteDecimal(value: Decimal): Decimal {
  return signOf(value) === -1 ? negateDecimal(value) : value;
}

// ---- modifiers and other types ----

/** Precision and scale of a numeric typmod (≥ 4). Scales below zero are Postgres 15's own. */
export function numericModifier(typmod: number): {
  readonly precision: number;
  readonly scale: number;
} {
  const packed = typmod - 4;
  return { precision: (packed >> 16) & 0xffff, scale: ((packed & 0x7ff) ^ 1024) - 1024 };
}

/** Rounds to the scale and checks the precision. @throws SqlError 22003 numeric field overflow */
export function limitNumeric(value: Decimal, precision: number, scale: number): Decimal {
  if (value === 'NaN') return value;
  if (!isFinite(value)) {
    throw new SqlError(SQLSTATE.numericValueOutOfRange, 'numeric field overflow', {
      detail: `A field with precision ${precision}, scale ${scale} cannot hold an infinite value.`,
    });
  }
  const rounded = roundDecimal(value, scale) as FiniteDecimal;
  const digits = precision - scale;
  if (integerDigits(rounded.coefficient, rounded.scale) > digits && rounded.coefficient !== 0n) {
    const limit = digits === 0 ? '1' : `10^${digits}`;
    throw new SqlError(SQLSTATE.numericValueOutOfRange, 'numeric field overflow', {
      detail:
        `A field with precision ${precision}, scale ${scale} must round to an absolute value ` +
        `less than ${limit}.`,
    });
  }
  return rounded;
}

/** Rounded to a whole number. @throws SqlError 0A000 for a special, 22003 out of range */
export function decimalToInteger(value: Decimal, typeName: string, bits: number): bigint {
  if (!isFinite(value)) {
    const what = value === 'NaN' ? 'NaN' : 'infinity';
    throw new SqlError(SQLSTATE.featureNotSupported, `cannot convert ${what} to ${typeName}`);
  }
  const whole = divideRounded(value.coefficient, pow10(value.scale));
  if (BigInt.asIntN(bits, whole) !== whole) {
    throw new SqlError(SQLSTATE.numericValueOutOfRange, `${typeName} out of range`);
  }
  return whole;
}

/** @throws SqlError 22003 */
export function decimalToDouble(value: Decimal): number | 'NaN' {
  if (value === 'NaN') return value;
  if (!isFinite(value)) return value === 'Infinity' ? Infinity : -Infinity;
  const text = formatNumeric(value);
  const double = Number(text);
  if (Math.abs(double) === Infinity || (double === 0 && value.coefficient !== 0n)) {
    throw new SqlError(
      SQLSTATE.numericValueOutOfRange,
      `"${text}" is out of range for type double precision`,
    );
  }
  return double;
}

/** A float with the 15 (float8) or 6 (float4) digits that Postgres trusts in the cast. */
export function doubleToDecimal(value: number | 'NaN', digits: 15 | 6): Decimal {
  if (value === 'NaN') return 'NaN';
  if (value === Infinity) return 'Infinity';
  if (value === -Infinity) return '-Infinity';
  // Not by way of a number, which would make the digits of a subnormal one fewer.
  const text = value.toPrecision(digits);
  return parseNumeric(text.includes('.') ? text.replace(/\.?0*(?=e|$)/, '') : text);
}

export function integerToDecimal(value: bigint): FiniteDecimal {
  return { coefficient: value, scale: 0 };
}
