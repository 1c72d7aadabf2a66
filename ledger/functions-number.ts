// Functions of numbers: arithmetic, rounding, casts, bits. Pure.
//
// (1) An integer result outside its type is 22003, as Postgres' overflow checks say it.
// (2) Of the functions of floats only those are here that IEEE 754 defines exactly.

import { SqlError } from './error.ts';
import type { Float } from './float.ts';
import {
  floatResult,
  floatToInteger,
  formatFloat4,
  formatFloat8,
  narrowFloat,
  parseFloat4,
  parseFloat8,
  roundHalfEven,
  toFloat,
} from './float.ts';
import type { FunctionDefinition, FunctionTable } from './function.ts';
import { define, onDecimal, onDecimals, toBool } from './function.ts';
import { jsonBoolean, jsonNumber } from './jsonb-operation.ts';
import * as numeric from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';
import type { BaseType } from './type.ts';

type Integer = 'int2' | 'int4' | 'int8';

const INTEGERS: readonly Integer[] = ['int2', 'int4', 'int8'];
const NAMES: Readonly<Record<Integer, string>> = {
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
};
const BITS: Readonly<Record<Integer, number>> = { int2: 16, int4: 32, int8: 64 };

function outOfRange(type: Integer): SqlError {
  return new SqlError(SQLSTATE.numericValueOutOfRange, `${NAMES[type]} out of range`);
}

/** The value, if the type holds it. @throws SqlError 22003 */
function fit(value: bigint, type: Integer): bigint {
  if (BigInt.asIntN(BITS[type], value) !== value) throw outOfRange(type);
  return value;
}

function divisor(value: bigint): bigint {
  if (value === 0n) throw new SqlError(SQLSTATE.divisionByZero, 'division by zero');
  return value;
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function gcd(left: bigint, right: bigint): bigint {
  let [a, b] = [absolute(left), absolute(right)];
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

function lcm(left: bigint, right: bigint): bigint {
  return left === 0n || right === 0n ? 0n : absolute((left / gcd(left, right)) * right);
}

type Entries = [string, FunctionDefinition][];

/** int4pl, int48pl, …: the wider type is the result's. */
function integerArithmetic(): Entries {
  return INTEGERS.flatMap((left) =>
    INTEGERS.flatMap((right): Entries => {
      const result = BITS[left] >= BITS[right] ? left : right;
      const prefix = left === right ? left : left + right.slice(3);
      const operator = (impl: (a: bigint, b: bigint) => bigint): FunctionDefinition =>
        define([left, right], result, (a: bigint, b: bigint) => fit(impl(a, b), result));
      return [
        [`${prefix}pl`, operator((a, b) => a + b)],
        [`${prefix}mi`, operator((a, b) => a - b)],
        [`${prefix}mul`, operator((a, b) => a * b)],
        [`${prefix}div`, operator((a, b) => a / divisor(b))],
      ];
    }),
  );
}

function integerFunctions(type: Integer): Entries {
  const one = (impl: (value: bigint) => bigint): FunctionDefinition =>
    define([type], type, (value: bigint) => fit(impl(value), type));
  const two = (impl: (a: bigint, b: bigint) => bigint): FunctionDefinition =>
    define([type, type], type, (a: bigint, b: bigint) => fit(impl(a, b), type));
  const wrap = (value: bigint): bigint => BigInt.asIntN(BITS[type], value);
  // C shifts by the count's low bits; an int2 is shifted as an int.
  const mask = type === 'int8' ? 63n : 31n;
  const shift = (impl: (value: bigint, count: bigint) => bigint): FunctionDefinition =>
    define([type, 'int4'], type, (value: bigint, count: bigint) => wrap(impl(value, count & mask)));
  const entries: Entries = [
    [`${type}um`, one((value) => -value)],
    [`${type}up`, one((value) => value)],
    [`${type}abs`, one(absolute)],
    [`${type}mod`, two((a, b) => a % divisor(b))],
    [`${type}and`, two((a, b) => a & b)],
    [`${type}or`, two((a, b) => a | b)],
    [`${type}xor`, two((a, b) => a ^ b)],
    [`${type}not`, one((value) => ~value)],
    [`${type}shl`, shift((value, count) => value << count)],
    [`${type}shr`, shift((value, count) => value >> count)],
    [`${type}larger`, two((a, b) => (a > b ? a : b))],
    [`${type}smaller`, two((a, b) => (a < b ? a : b))],
    [
      `${type}_numeric`,
      define([type], 'numeric', (value: bigint) => numeric.widenNumeric(value, 0)),
    ],
    [
      `numeric_${type}`,
      define(['numeric'], type, (value: Uint8Array) =>
        integerOf(numeric.decodeNumeric(value), type),
      ),
    ],
    [`${type}out`, define([type], 'text', (value: bigint) => value.toString())],
    [
      `jsonb_${type}`,
      define(['jsonb'], type, (text: string) =>
        integerOf(numeric.parseNumeric(jsonNumber(text, NAMES[type])), type),
      ),
    ],
  ];
  if (type === 'int2') return entries;
  return [
    ...entries,
    [`${type}gcd`, two(gcd)],
    [`${type}lcm`, two(lcm)],
    [`${type}inc`, one((value) => value + 1n)],
  ];
}

function integerOf(value: numeric.Decimal, type: Integer): bigint {
  return numeric.decimalToInteger(value, NAMES[type], BITS[type]);
}

const INTEGER_CASTS: FunctionTable = {
  i2toi4: define(['int2'], 'int4', (value: bigint) => value),
  i4toi2: define(['int4'], 'int2', (value: bigint) => fit(value, 'int2')),
  int28: define(['int2'], 'int8', (value: bigint) => value),
  int48: define(['int4'], 'int8', (value: bigint) => value),
  int82: define(['int8'], 'int2', (value: bigint) => fit(value, 'int2')),
  int84: define(['int8'], 'int4', (value: bigint) => fit(value, 'int4')),
  i8tooid: define(['int8'], 'oid', (value: bigint) => {
    if (value < 0n || value > 0xffff_ffffn) {
      throw new SqlError(SQLSTATE.numericValueOutOfRange, 'OID out of range');
    }
    return value;
  }),
  oidtoi8: define(['oid'], 'int8', (value: bigint) => value),
  bool_int4: define(['bool'], 'int4', (value: bigint) => value),
  int4_bool: define(['int4'], 'bool', (value: bigint) => toBool(value !== 0n)),
  booltext: define(['bool'], 'text', (value: bigint) => (value === 1n ? 'true' : 'false')),
  jsonb_bool: define(['jsonb'], 'bool', (text: string) => toBool(jsonBoolean(text))),
  jsonb_numeric: define(['jsonb'], 'numeric', (text: string) =>
    numeric.encodeNumeric(numeric.parseNumeric(jsonNumber(text, 'numeric'))),
  ),
  to_hex32: define(['int4'], 'text', (value: bigint) => BigInt.asUintN(32, value).toString(16)),
  to_hex64: define(['int8'], 'text', (value: bigint) => BigInt.asUintN(64, value).toString(16)),
};

// ---- floats ----

type FloatOperator = (left: Float, right: Float) => Float;

const special = (value: Float): boolean => value === 'NaN' || Math.abs(value) === Infinity;

/** float8pl, float48pl, …; a float4 result is rounded before it is checked. */
function floatOperator(name: string, single: boolean): FloatOperator {
  const round = single ? Math.fround : (value: number): number => value;
  const infinite = (left: Float, right: Float): boolean => special(left) || special(right);
  return (left, right) => {
    if (name === 'div' && right === 0 && left !== 'NaN') {
      throw new SqlError(SQLSTATE.divisionByZero, 'division by zero');
    }
    const a = Number(left);
    const b = Number(right);
    const any = infinite(left, right);
    if (name === 'pl') return floatResult(round(a + b), any, true);
    if (name === 'mi') return floatResult(round(a - b), any, true);
    if (name === 'mul') return floatResult(round(a * b), any, a === 0 || b === 0);
    return floatResult(round(a / b), special(left), a === 0 || special(right));
  };
}

const FLOAT_PAIRS: readonly (readonly [string, BaseType, BaseType])[] = [
  ['float4', 'float4', 'float4'],
  ['float8', 'float8', 'float8'],
  ['float48', 'float4', 'float8'],
  ['float84', 'float8', 'float4'],
];

function floatArithmetic(): Entries {
  return FLOAT_PAIRS.flatMap(([prefix, left, right]) =>
    ['pl', 'mi', 'mul', 'div'].map((name): [string, FunctionDefinition] => [
      prefix + name,
      define(
        [left, right],
        prefix === 'float4' ? 'float4' : 'float8',
        floatOperator(name, prefix === 'float4'),
      ),
    ]),
  );
}

function onFloat(type: 'float4' | 'float8', impl: (value: number) => number): FunctionDefinition {
  return define([type], type, (value: Float) => (value === 'NaN' ? value : toFloat(impl(value))));
}

function floatFunctions(type: 'float4' | 'float8'): Entries {
  const digits = type === 'float4' ? 6 : 15;
  const round = type === 'float4' ? Math.fround : (value: number): number => value;
  return [
    [`${type}um`, onFloat(type, (value) => -value)],
    [`${type}up`, onFloat(type, (value) => value)],
    [`${type}abs`, onFloat(type, Math.abs)],
    [`${type}_numeric`, define([type], 'numeric', (value: Float) => numeric.encodeNumeric(numeric.doubleToDecimal(value, digits)))],
    [`numeric_${type}`, define(['numeric'], type, (value: Uint8Array) => {
      const decimal = numeric.decodeNumeric(value);
      return type === 'float4' ? parseFloat4(numeric.formatNumeric(decimal)) : numeric.decimalToDouble(decimal);
    })],
    [`${type}out`, define([type], 'text', type === 'float4' ? formatFloat4 : formatFloat8)],
    [`jsonb_${type}`, define(['jsonb'], type, (text: string) => {
      const number = jsonNumber(text, type === 'float4' ? 'real' : 'double precision');
      return type === 'float4' ? parseFloat4(number) : parseFloat8(number);
    })],
    [type === 'float4' ? 'i2tof' : 'i2tod', define(['int2'], type, (value: bigint) => round(Number(value)))],
    [type === 'float4' ? 'i4tof' : 'i4tod', define(['int4'], type, (value: bigint) => round(Number(value)))],
    [type === 'float4' ? 'i8tof' : 'i8tod', define(['int8'], type, (value: bigint) => round(Number(value)))],
    ...INTEGERS.map((integer): [string, FunctionDefinition] => [
      `${type === 'float4' ? 'ftoi' : 'dtoi'}${integer.slice(3)}`,
      define([type], integer, (value: Float) => floatToInteger(value, NAMES[integer], BITS[integer])),
    ]),
  ]; // prettier-ignore
}

const FLOAT_FUNCTIONS: FunctionTable = {
  ftod: define(['float4'], 'float8', (value: Float) => value),
  dtof: define(['float8'], 'float4', narrowFloat),
  dceil: onFloat('float8', Math.ceil),
  dfloor: onFloat('float8', Math.floor),
  dround: onFloat('float8', (value) =>
    Math.abs(value) === Infinity ? value : roundHalfEven(value),
  ),
  dtrunc: onFloat('float8', Math.trunc),
  dsign: define(['float8'], 'float8', (value: Float) =>
    value !== 'NaN' && value > 0 ? 1 : value !== 'NaN' && value < 0 ? -1 : 0,
  ),
  dsqrt: onFloat('float8', (value) => {
    if (value < 0) {
      throw new SqlError('2201F', 'cannot take square root of a negative number');
    }
    return Math.sqrt(value);
  }),
};

// ---- numeric ----

function placesOf(value: bigint): number {
  return Number(value);
}

function byPlaces(
  impl: (value: numeric.Decimal, places: number) => numeric.Decimal,
): FunctionDefinition {
  return define(
    ['numeric', 'int4'],
    'numeric',
    (value: Uint8Array, places: bigint = 0n) =>
      numeric.encodeNumeric(impl(numeric.decodeNumeric(value), placesOf(places))),
    1,
  );
}

/** Whole numbers as numerics of scale max(scale), for gcd and lcm. */
function onCoefficients(impl: (left: bigint, right: bigint) => bigint): FunctionDefinition {
  return onDecimals((left, right) => {
    if (typeof left === 'string' || typeof right === 'string') return 'NaN';
    const scale = Math.max(left.scale, right.scale);
    const a = left.coefficient * numeric.pow10(scale - left.scale);
    const b = right.coefficient * numeric.pow10(scale - right.scale);
    return { coefficient: impl(a, b), scale };
  });
}

function scaleOf(value: numeric.Decimal): bigint | null {
  return typeof value === 'string' ? null : BigInt(value.scale);
}

const NUMERIC_FUNCTIONS: FunctionTable = {
  numeric_add: onDecimals(numeric.addDecimal),
  numeric_sub: onDecimals(numeric.subtractDecimal),
  numeric_mul: onDecimals(numeric.multiplyDecimal),
  numeric_div: onDecimals(numeric.divideDecimal),
  numeric_div_trunc: onDecimals(numeric.divideTruncated),
  numeric_mod: onDecimals(numeric.remainderDecimal),
  numeric_uminus: onDecimal(numeric.negateDecimal),
  numeric_uplus: onDecimal((value) => value),
  numeric_abs: onDecimal(numeric.absoluteDecimal),
  numeric_sign: onDecimal(numeric.signDecimal),
  numeric_ceil: onDecimal(numeric.ceilDecimal),
  numeric_floor: onDecimal(numeric.floorDecimal),
  numeric_inc: onDecimal((value) => numeric.addDecimal(value, { coefficient: 1n, scale: 0 })),
  numeric_trim_scale: onDecimal(numeric.trimDecimal),
  numeric_round: byPlaces(numeric.roundDecimal),
  numeric_trunc: byPlaces(numeric.truncateDecimal),
  // round(numeric) and trunc(numeric) are SQL functions, whose symbol is their name.
  round: byPlaces(numeric.roundDecimal),
  trunc: byPlaces(numeric.truncateDecimal),
  numeric_gcd: onCoefficients(gcd),
  numeric_lcm: onCoefficients(lcm),
  numeric_scale: define(['numeric'], 'int4', (value: Uint8Array) =>
    scaleOf(numeric.decodeNumeric(value)),
  ),
  numeric_min_scale: define(['numeric'], 'int4', (value: Uint8Array) =>
    scaleOf(numeric.trimDecimal(numeric.decodeNumeric(value))),
  ),
  numeric_larger: define(
    ['numeric', 'numeric'],
    'numeric',
    (left: Uint8Array, right: Uint8Array) =>
      numeric.compareNumeric(left, right) > 0 ? left : right,
  ),
  numeric_smaller: define(
    ['numeric', 'numeric'],
    'numeric',
    (left: Uint8Array, right: Uint8Array) =>
      numeric.compareNumeric(left, right) < 0 ? left : right,
  ),
  numeric_out: define(['numeric'], 'text', (value: Uint8Array) =>
    numeric.formatNumeric(numeric.decodeNumeric(value)),
  ),
};

export const NUMBER_FUNCTIONS: FunctionTable = {
  ...Object.fromEntries([
    ...integerArithmetic(),
    ...INTEGERS.flatMap(integerFunctions),
    ...floatArithmetic(),
    ...floatFunctions('float4'),
    ...floatFunctions('float8'),
  ]),
  ...INTEGER_CASTS,
  ...FLOAT_FUNCTIONS,
  ...NUMERIC_FUNCTIONS,
};
