// Whether a value has the representation that its column's type demands. Pure.
//
// The edge makes the values; a transaction signed elsewhere may hold anything. What does not conform never
// reaches a table, so nobody downstream meets text in an integer column.

import { numericScale } from '../ledger/type.ts';
import type { Datum, SqlType } from '../ledger/type.ts';

const INT8_MAX = 9_223_372_036_854_775_807n;
const INT8_MIN = -INT8_MAX - 1n;
const MICROS_PER_DAY = 86_400_000_000n;

/** True for NULL: whether a column takes it is a constraint's business. */
export function conforms(value: Datum, type: SqlType): boolean {
  if (value === null) return true;
  if (type.array) return typeof value === 'string';
  switch (type.base) {
    case 'bool':
      return value === 0n || value === 1n;
    case 'int2':
      return between(value, -32_768n, 32_767n);
    case 'int4':
    case 'date':
      return between(value, -2_147_483_648n, 2_147_483_647n);
    case 'oid':
    case 'regclass':
    case 'regtype':
    case 'regproc':
    case 'regnamespace':
    case 'regrole':
      return between(value, 0n, 4_294_967_295n);
    case 'int8':
    case 'timestamp':
    case 'timestamptz':
      return between(value, INT8_MIN, INT8_MAX);
    case 'time':
      return between(value, 0n, MICROS_PER_DAY);
    case 'float4':
    case 'float8':
      return (typeof value === 'number' && !Number.isNaN(value)) || value === 'NaN';
    case 'numeric':
      return conformsToNumeric(value, type);
    case 'bytea':
      return value instanceof Uint8Array;
    case 'uuid':
      return bytesOf(value, 16);
    case 'timetz':
      return bytesOf(value, 12);
    case 'interval':
      return bytesOf(value, 32);
    case 'varchar':
    case 'bpchar':
      return typeof value === 'string' && fits(value, type.typmod);
    case 'text':
    case 'name':
    case 'char':
    case 'unknown':
    case 'json':
    case 'jsonb':
    case 'enum':
    case 'record':
      return typeof value === 'string';
    case 'void':
      return false;
    default:
      return type.base satisfies never;
  }
}

function between(value: Datum, min: bigint, max: bigint): boolean {
  return typeof value === 'bigint' && value >= min && value <= max;
}

function bytesOf(value: Datum, length: number): boolean {
  return value instanceof Uint8Array && value.length === length;
}

/** Of ten, as many as a scaled numeric has digits. */
const POWERS = Array.from({ length: 19 }, (_, digits) => 10n ** BigInt(digits));

/** Shortest general numeric: one byte of key, two of display scale. */
const NUMERIC_BYTES_MIN = 3;

function conformsToNumeric(value: Datum, type: SqlType): boolean {
  const scale = numericScale(type);
  if (scale === null) return value instanceof Uint8Array && value.length >= NUMERIC_BYTES_MIN;
  const end = POWERS[((type.typmod - 4) >> 16) & 0xffff]!;
  return typeof value === 'bigint' && value > -end && value < end;
}

/** `typmod` of varchar and char is its length in characters plus 4, or -1. */
function fits(value: string, typmod: number): boolean {
  if (typmod < 4 || value.length <= typmod - 4) return true;
  let characters = 0;
  for (const _ of value) characters++;
  return characters <= typmod - 4;
}
