// Byte strings whose order is Postgres' order of arrays and of jsonb values. Pure.

import { concat, utf8 } from '../../ledger/bytes.ts';
import { decodeArray, isNested } from '../../ledger/array-value.ts';
import {
  isJsonArray,
  isJsonNumber,
  isJsonObject,
  parseJson,
  compareKeys,
} from '../../ledger/jsonb.ts';
import { encodeNumeric, numericKey, parseNumeric } from '../../ledger/numeric.ts';
import { foldKey } from '../../storage/names.ts';
import { sqlType } from '../../ledger/type.ts';
import type { ArrayValue } from '../../ledger/array-value.ts';
import type { JsonValue } from '../../ledger/jsonb.ts';
import type { BaseType, Datum } from '../../ledger/type.ts';

const END = 0x00;
const VALUE = 0x01;
const NULL = 0x02;

/** Arrays compare element by element, NULL above all; the shorter of two equal beginnings is smaller. */
export function arrayKey(text: string, base: BaseType): Uint8Array {
  const parts: Uint8Array[] = [];
  pushElements(decodeArray(text, base), base, parts);
  parts.push(Uint8Array.of(END));
  return concat(...parts);
}

function pushElements(values: ArrayValue, base: BaseType, parts: Uint8Array[]): void {
  for (const value of values) {
    if (isNested(value)) pushElements(value, base, parts);
    else if (value === null) parts.push(Uint8Array.of(NULL));
    else parts.push(Uint8Array.of(VALUE), scalarKey(value, base));
  }
}

function scalarKey(value: Exclude<Datum, null>, base: BaseType): Uint8Array {
  if (typeof value === 'bigint') return integerKey(value);
  if (base === 'float4' || base === 'float8') return floatKey(value as number | 'NaN');
  if (base === 'jsonb') return jsonbKey(value as string);
  if (typeof value === 'string') return terminated(utf8(value));
  return terminated(foldKey(value as Uint8Array, sqlType(base)) as Uint8Array);
}

function integerKey(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value) ^ (1n << 63n));
  return bytes;
}

function floatKey(value: number | 'NaN'): Uint8Array {
  if (value === 'NaN') return new Uint8Array(8).fill(0xff);
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value === 0 ? 0 : value);
  const bits = view.getBigUint64(0);
  view.setBigUint64(0, bits >> 63n === 1n ? ~bits : bits | (1n << 63n));
  return new Uint8Array(view.buffer);
}

/** Bytes with an end that sorts before any continuation: 00 becomes 00 ff, the end is 00 00. */
function terminated(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (const byte of bytes) {
    out.push(byte);
    if (byte === 0) out.push(0xff);
  }
  out.push(0, 0);
  return Uint8Array.from(out);
}

/**
 * Object > array > boolean > number > string > null; larger containers above smaller ones. An empty array is below
 * everything at the top, for historical reasons.
 */
export function jsonbKey(text: string): Uint8Array {
  const value = parseJson(text);
  if (isJsonArray(value) && value.length === 0) return Uint8Array.of(ORDER.emptyAtTop);
  const parts: Uint8Array[] = [];
  pushJson(value, parts);
  return concat(...parts);
}

const ORDER = {
  emptyAtTop: 0,
  null: 1,
  string: 2,
  number: 3,
  boolean: 4,
  array: 5,
  object: 6,
} as const;

function pushJson(value: JsonValue, parts: Uint8Array[]): void {
  if (value === null) parts.push(Uint8Array.of(ORDER.null));
  else if (typeof value === 'string')
    parts.push(Uint8Array.of(ORDER.string), terminated(utf8(value)));
  else if (typeof value === 'boolean') parts.push(Uint8Array.of(ORDER.boolean, value ? 1 : 0));
  else if (isJsonArray(value)) {
    parts.push(Uint8Array.of(ORDER.array), integerKey(BigInt(value.length)));
    for (const item of value) pushJson(item, parts);
  } else if (isJsonNumber(value)) {
    parts.push(Uint8Array.of(ORDER.number), numericKey(encodeNumeric(parseNumeric(value.number))));
  } else if (isJsonObject(value)) {
    parts.push(Uint8Array.of(ORDER.object), integerKey(BigInt(value.size)));
    for (const key of [...value.keys()].sort(compareKeys)) {
      parts.push(terminated(utf8(key)));
      pushJson(value.get(key)!, parts);
    }
  }
}
