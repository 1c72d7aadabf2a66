// Orders of the types, and the comparison functions made of them. Pure.
//
// (1) Text is compared by code points, which is the order of its UTF-8 bytes: collation "C".
// (2) An enum has no order here, since that is its catalog's; equality is that of labels.

import { compare as compareBytes } from './bytes.ts';
import {
  DATE_INFINITY,
  DATE_MINUS_INFINITY,
  MICROS_PER_DAY,
  TIMESTAMP_INFINITY,
  TIMESTAMP_MINUS_INFINITY,
} from './datetime.ts';
import { SqlError } from './error.ts';
import type { Float } from './float.ts';
import { compareFloat } from './float.ts';
import type { FunctionDefinition, FunctionTable, Value } from './function.ts';
import { define, toBool } from './function.ts';
import { compareJson } from './jsonb-operation.ts';
import { compareNumeric } from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';
import type { BaseType } from './type.ts';

type Compare = (left: never, right: never) => number;

/** UTF-16 units in the order of the code points they stand for. */
export function compareText(left: string, right: string): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    const a = left.charCodeAt(at);
    const b = right.charCodeAt(at);
    if (a === b) continue;
    // Surrogates stand for what lies above U+FFFF.
    if (a >= 0xd800 && b >= 0xd800) return rank(a) - rank(b);
    return a - b;
  }
  return left.length - right.length;
}

function rank(unit: number): number {
  return unit < 0xe000 ? unit + 0x10000 : unit;
}

function compareBigint(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The first 16 bytes of an interval decide. */
function compareInterval(left: Uint8Array, right: Uint8Array): number {
  return compareBytes(left.subarray(0, 16), right.subarray(0, 16));
}

/** Trailing blanks of a bpchar do not count. */
function compareBlank(left: string, right: string): number {
  return compareText(left.replace(/ +$/, ''), right.replace(/ +$/, ''));
}

function dateMicros(days: bigint): bigint {
  if (days === DATE_INFINITY) return TIMESTAMP_INFINITY;
  return days === DATE_MINUS_INFINITY ? TIMESTAMP_MINUS_INFINITY : days * MICROS_PER_DAY;
}

/** Negative, zero or positive; both values of this base type and not NULL. @throws SqlError 0A000 for enums */
export function compareValues(base: BaseType, left: Value, right: Value): number {
  return (comparison(base) as (left: Value, right: Value) => number)(left, right);
}

/** The order of a base type. */
export function comparison(base: BaseType): Compare {
  switch (base) {
    case 'float4':
    case 'float8':
      return compareFloat;
    case 'numeric':
      return compareNumeric;
    case 'text':
    case 'varchar':
    case 'name':
    case 'unknown':
    case 'json':
    case 'record':
    case 'void':
      return compareText; // prettier-ignore
    case 'char':
    case 'bpchar':
      return compareBlank;
    case 'bytea':
    case 'uuid':
    case 'timetz':
      return compareBytes;
    case 'interval':
      return compareInterval;
    case 'jsonb':
      return compareJson;
    case 'enum':
      return () => {
        throw new SqlError(SQLSTATE.featureNotSupported, 'enums have no order in a constraint');
      };
    default:
      return compareBigint;
  }
}

const TESTS: readonly ((order: number) => boolean)[] = [
  (order) => order === 0,
  (order) => order !== 0,
  (order) => order < 0,
  (order) => order <= 0,
  (order) => order > 0,
  (order) => order >= 0,
];

/** eq ne lt le gt ge, in this order, and cmp. */
function family(
  left: BaseType,
  right: BaseType,
  names: string,
  compare: Compare = comparison(left),
): [string, FunctionDefinition][] {
  const order = compare as (left: Value, right: Value) => number;
  return names.split(' ').map((name, at) => {
    const test = TESTS[at];
    const definition =
      test === undefined
        ? define([left, right], 'int4', (a: Value, b: Value) => BigInt(Math.sign(order(a, b))))
        : define([left, right], 'bool', (a: Value, b: Value) => toBool(test(order(a, b))));
    return [name, definition];
  });
}

const SUFFIXES = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'];

function named(prefix: string, cmp = ''): string {
  return SUFFIXES.map((suffix) => prefix + suffix).join(' ') + (cmp === '' ? '' : ' ' + cmp);
}

const INTEGERS: readonly BaseType[] = ['int2', 'int4', 'int8'];

function integerFamilies(): [string, FunctionDefinition][] {
  return INTEGERS.flatMap((left) =>
    INTEGERS.flatMap((right) => {
      const digits = left === right ? left.slice(3) : left.slice(3) + right.slice(3);
      return family(left, right, named(`int${digits}`, `btint${digits}cmp`));
    }),
  );
}

function floatFamilies(): [string, FunctionDefinition][] {
  const compare: Compare = (left: Float, right: Float) => compareFloat(left, right);
  return [
    ...family('float4', 'float4', named('float4', 'btfloat4cmp'), compare),
    ...family('float8', 'float8', named('float8', 'btfloat8cmp'), compare),
    ...family('float4', 'float8', named('float48', 'btfloat48cmp'), compare),
    ...family('float8', 'float4', named('float84', 'btfloat84cmp'), compare),
  ];
}

const dateToTimestamp: Compare = (left: bigint, right: bigint) =>
  compareBigint(dateMicros(left), right);
const timestampToDate: Compare = (left: bigint, right: bigint) =>
  compareBigint(left, dateMicros(right));

export const COMPARISON_FUNCTIONS: FunctionTable = Object.fromEntries([
  ...integerFamilies(),
  ...floatFamilies(),
  ...family('bool', 'bool', named('bool', 'btboolcmp')),
  ...family('oid', 'oid', named('oid', 'btoidcmp')),
  ...family('numeric', 'numeric', named('numeric_', 'numeric_cmp')),
  ...family('text', 'text', 'texteq textne text_lt text_le text_gt text_ge bttextcmp'),
  ...family(
    'text',
    'text',
    '- - text_pattern_lt text_pattern_le text_pattern_gt text_pattern_ge bttext_pattern_cmp',
  ).slice(2),
  ...family('bpchar', 'bpchar', named('bpchar', 'bpcharcmp')),
  ...family('name', 'name', named('name', 'btnamecmp')),
  ...family(
    'name',
    'text',
    'nameeqtext namenetext namelttext nameletext namegttext namegetext btnametextcmp',
  ),
  ...family(
    'text',
    'name',
    'texteqname textnename textltname textlename textgtname textgename bttextnamecmp',
  ),
  ...family('char', 'char', named('char', 'btcharcmp'), compareText),
  ...family('bytea', 'bytea', named('bytea', 'byteacmp')),
  ...family('uuid', 'uuid', named('uuid_', 'uuid_cmp')),
  ...family('date', 'date', named('date_', 'date_cmp')),
  ...family('time', 'time', named('time_', 'time_cmp')),
  ...family('timetz', 'timetz', named('timetz_', 'timetz_cmp')),
  ...family('timestamp', 'timestamp', named('timestamp_', 'timestamp_cmp')),
  ...family(
    'date',
    'timestamp',
    SUFFIXES.map((suffix) => `date_${suffix}_timestamp`).join(' '),
    dateToTimestamp,
  ),
  ...family(
    'timestamp',
    'date',
    SUFFIXES.map((suffix) => `timestamp_${suffix}_date`).join(' '),
    timestampToDate,
  ),
  ...family('interval', 'interval', named('interval_', 'interval_cmp')),
  ...family('jsonb', 'jsonb', named('jsonb_', 'jsonb_cmp')),
  ...family('enum', 'enum', 'enum_eq enum_ne', compareText),
]);
