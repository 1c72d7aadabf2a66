// float4 and float8 as Postgres reads, prints and computes them. Pure.
//
// A float Datum is a number, or the string 'NaN' (ledger/type.ts). Only the operations that IEEE 754 defines
// exactly are here (+ - * / sqrt, rounding, conversions): they give the same bits on every machine.

import { SqlError } from './error.ts';
import { SQLSTATE } from './sqlstate.ts';

export type Float = number | 'NaN';

export function toFloat(value: number): Float {
  return Number.isNaN(value) ? 'NaN' : value;
}

/** NaN equals NaN and is above everything else. */
export function compareFloat(left: Float, right: Float): number {
  if (left === 'NaN') return right === 'NaN' ? 0 : 1;
  if (right === 'NaN') return -1;
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * Shortest decimal that reads back as the same float8, printed as Postgres 12+ prints it: one that lies half-way to a
 * neighbour does not count, because not every reader takes the even one of the two.
 */
export function formatFloat8(value: Float): string {
  if (value === 'NaN') return 'NaN';
  const size = Math.abs(value);
  let text = String(size);
  // Of smaller numbers no decimal of 17 digits is half-way.
  if (size >= 2 ** 53 && size < Infinity) {
    for (let digits = 16; isHalfWay8(size, text); digits++) text = size.toPrecision(digits);
  }
  return restyle(value, text);
}

/** As `formatFloat8` for a float4. */
export function formatFloat4(value: Float): string {
  if (value === 'NaN') return 'NaN';
  const single = Math.abs(Math.fround(value));
  if (single === Infinity || single === 0) return restyle(value, String(single));
  for (let digits = 1; digits < 9; digits++) {
    const rounded = single.toPrecision(digits);
    if (Math.fround(Number(rounded)) !== single) continue;
    const text = shortestForm(halfToEven(single, digits) ?? rounded);
    if (!isHalfWay4(single, text)) return restyle(value, text, 6);
  }
  return restyle(value, shortestForm(single.toPrecision(9)), 6);
}

const scratch = new DataView(new ArrayBuffer(8));

function isHalfWay4(single: number, text: string): boolean {
  const decimal = Number(text);
  if (decimal === single) return false;
  scratch.setFloat32(0, single);
  scratch.setUint32(0, scratch.getUint32(0) + (decimal > single ? 1 : -1));
  return decimal * 2 === single + scratch.getFloat32(0);
}

/** @param size  a whole number */
function isHalfWay8(size: number, text: string): boolean {
  const [decimal, exact] = [wholeNumber(text), BigInt(size)];
  if (decimal === exact) return false;
  scratch.setFloat64(0, size);
  scratch.setBigUint64(0, scratch.getBigUint64(0) + (decimal > exact ? 1n : -1n));
  const neighbour = scratch.getFloat64(0);
  return neighbour !== Infinity && decimal * 2n === exact + BigInt(neighbour);
}

function wholeNumber(text: string): bigint {
  const [mantissa = '', exponent = '0'] = text.split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  return BigInt((whole + fraction).padEnd(whole.length + Number(exponent), '0'));
}

/** The value to so many digits where it lies half-way and the digit below is even: toPrecision takes the one above. */
function halfToEven(value: number, digits: number): string | null {
  const [mantissa = '', exponent = ''] = value.toExponential(20).split('e');
  const [kept, rest] = [mantissa.slice(0, digits + 1), mantissa.slice(digits + 1)];
  const text = `${kept}e${exponent}`;
  const even = /^50*$/.test(rest) && /[02468]\.?$/.test(kept);
  return even && Math.fround(Number(text)) === value ? text : null;
}

function shortestForm(text: string): string {
  return String(Number(text));
}

/** Postgres writes exponents below -4 and from `wholeDigits` on, with at least two exponent digits. */
function restyle(value: number, text: string, wholeDigits = 15): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  if (text === 'Infinity') return sign + text;
  const [mantissa = '', written = '0'] = text.split('e');
  const point = mantissa.indexOf('.');
  const whole = point < 0 ? mantissa : mantissa.slice(0, point);
  const fraction = point < 0 ? '' : mantissa.slice(point + 1);
  const all = (whole + fraction).replace(/^0+/, '');
  if (all === '') return sign + '0';
  const leadingZeros = whole.length + fraction.length - all.length;
  const exponent = whole.length - leadingZeros - 1 + Number(written);
  const digits = all.replace(/0+$/, '');
  if (exponent < -4 || exponent >= wholeDigits) {
    const rest = digits.length > 1 ? '.' + digits.slice(1) : '';
    const size = Math.abs(exponent);
    return `${sign}${digits[0]}${rest}e${exponent < 0 ? '-' : '+'}${size < 10 ? '0' : ''}${size}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  if (digits.length <= exponent + 1) return sign + digits.padEnd(exponent + 1, '0');
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
}

const FLOAT = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const SPECIAL = /^([+-]?)(inf|infinity|nan)$/i;

/** @throws SqlError 22P02, 22003 */
export function parseFloat8(text: string): Float {
  return parseAs(text, 'double precision', (value) => value);
}

/** @throws SqlError 22P02, 22003 */
export function parseFloat4(text: string): Float {
  return parseAs(text, 'real', Math.fround);
}

function parseAs(text: string, typeName: string, narrow: (value: number) => number): Float {
  const trimmed = text.replace(/^[ \t\n\r\f\v]+|[ \t\n\r\f\v]+$/g, '');
  if (!FLOAT.test(trimmed)) {
    const special = SPECIAL.exec(trimmed);
    if (special === null) {
      throw new SqlError(
        SQLSTATE.invalidTextRepresentation,
        `invalid input syntax for type ${typeName}: "${text}"`,
      );
    }
    if (special[2]!.toLowerCase() === 'nan') return 'NaN';
    return special[1] === '-' ? -Infinity : Infinity;
  }
  const value = narrow(Number(trimmed));
  const vanished = value === 0 && /[1-9]/.test(trimmed.split(/e/i)[0]!);
  if (Math.abs(value) === Infinity || vanished) {
    throw new SqlError(
      SQLSTATE.numericValueOutOfRange,
      `"${trimmed}" is out of range for type ${typeName}`,
    );
  }
  return value;
}

/** Checks the result of an operation as Postgres' float8pl and friends do. @throws SqlError 22003 */
export function floatResult(value: number, infiniteAllowed: boolean, zeroAllowed: boolean): Float {
  if (Math.abs(value) === Infinity && !infiniteAllowed) {
    throw new SqlError(SQLSTATE.numericValueOutOfRange, 'value out of range: overflow');
  }
  if (value === 0 && !zeroAllowed) {
    throw new SqlError(SQLSTATE.numericValueOutOfRange, 'value out of range: underflow');
  }
  return toFloat(value);
}

/** float8 to float4. @throws SqlError 22003 */
export function narrowFloat(value: Float): Float {
  if (value === 'NaN') return value;
  const single = Math.fround(value);
  return floatResult(single, Math.abs(value) === Infinity, value === 0);
}

/** Half to even, as rint(). */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return rest === 0 ? value : floor === 0 && value < 0 ? -0 : floor;
  if (rest > 0.5) return floor + 1 === 0 ? -0 : floor + 1;
  const even = floor % 2 === 0 ? floor : floor + 1;
  return even === 0 && value < 0 ? -0 : even;
}

/** @throws SqlError 22003 */
export function floatToInteger(value: Float, typeName: string, bits: number): bigint {
  if (value === 'NaN' || Math.abs(value) === Infinity) {
    throw new SqlError(SQLSTATE.numericValueOutOfRange, `${typeName} out of range`);
  }
  const whole = BigInt(roundHalfEven(value));
  if (BigInt.asIntN(bits, whole) !== whole) {
    throw new SqlError(SQLSTATE.numericValueOutOfRange, `${typeName} out of range`);
  }
  return whole;
}
