// Constants of Postgres' node trees: the bytes of a value in memory → Datum. Pure.
//
// The bytes are those of a 32-bit little-endian Postgres (WebAssembly): integers as they lie in memory,
// variable-length values with their length word, numeric, jsonb and arrays in their on-disk forms.
// See varatt.h, numeric.c, jsonb.h and array.h of Postgres.

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';
import { hex } from '../ledger/bytes.ts';
import { encodeInterval, encodeTimeTz } from '../ledger/datetime.ts';
import { encodeNumeric, formatNumeric, numericModifier, scaleNumeric } from '../ledger/numeric.ts';
import type { Decimal } from '../ledger/numeric.ts';
import { numericScale } from '../ledger/type.ts';
import type { BaseType, Datum, SqlType } from '../ledger/type.ts';

/** Label of an enum value by the OID that stands for it in the bytes. */
export type EnumLabel = (oid: number) => string;

const decoder = new TextDecoder();

/**
 * Decodes a constant.
 *
 * @throws SqlError 0A000 for a type whose constants are not read (records)
 */
export function decodeConstant(bytes: Uint8Array, type: SqlType, enumLabel: EnumLabel): Datum {
  const body = isVariable(type) ? variableBody(bytes) : bytes;
  return type.array ? decodeArray(body, type, enumLabel) : decodeScalar(body, type, enumLabel);
}

interface Layout {
  /** Bytes; -1 for variable length. */
  readonly size: number;
  readonly align: 1 | 2 | 4 | 8;
}

const VARIABLE: Layout = { size: -1, align: 4 };

// prettier-ignore
const LAYOUTS: Partial<Record<BaseType, Layout>> = {
  bool: { size: 1, align: 1 }, char: { size: 1, align: 1 }, name: { size: 64, align: 1 },
  uuid: { size: 16, align: 1 }, int2: { size: 2, align: 2 }, int4: { size: 4, align: 4 },
  oid: { size: 4, align: 4 }, float4: { size: 4, align: 4 }, date: { size: 4, align: 4 },
  enum: { size: 4, align: 4 }, regclass: { size: 4, align: 4 }, regtype: { size: 4, align: 4 },
  regproc: { size: 4, align: 4 }, regnamespace: { size: 4, align: 4 }, regrole: { size: 4, align: 4 },
  int8: { size: 8, align: 8 }, float8: { size: 8, align: 8 }, time: { size: 8, align: 8 },
  timestamp: { size: 8, align: 8 }, timestamptz: { size: 8, align: 8 },
  timetz: { size: 12, align: 8 }, interval: { size: 16, align: 8 }, unknown: { size: -2, align: 1 },
};

function layoutOf(base: BaseType): Layout {
  return LAYOUTS[base] ?? VARIABLE;
}

function isVariable(type: SqlType): boolean {
  return type.array || layoutOf(type.base).size === -1;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes of a variable-length value, its length word included. */
function variableSize(bytes: Uint8Array): number {
  const first = bytes[0] ?? 0;
  return (first & 1) === 1 ? first >> 1 : viewOf(bytes).getUint32(0, true) >>> 2;
}

function variableBody(bytes: Uint8Array): Uint8Array {
  const head = ((bytes[0] ?? 0) & 1) === 1 ? 1 : 4;
  return bytes.subarray(head, variableSize(bytes));
}

function decodeScalar(bytes: Uint8Array, type: SqlType, enumLabel: EnumLabel): Datum {
  const view = viewOf(bytes);
  switch (type.base) {
    case 'bool':
      return (bytes[0] ?? 0) === 0 ? 0n : 1n;
    case 'int2':
      return BigInt(view.getInt16(0, true));
    case 'int4':
    case 'date':
      return BigInt(view.getInt32(0, true));
    case 'oid':
    case 'regclass':
    case 'regtype':
    case 'regproc':
    case 'regnamespace':
    case 'regrole':
      return BigInt(view.getUint32(0, true));
    case 'int8':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return view.getBigInt64(0, true);
    case 'float4':
      return floatDatum(view.getFloat32(0, true));
    case 'float8':
      return floatDatum(view.getFloat64(0, true));
    case 'numeric':
      return numericDatum(decodeNumericBytes(bytes), type);
    case 'timetz':
      return encodeTimeTz({ micros: view.getBigInt64(0, true), west: view.getInt32(8, true) });
    case 'interval':
      return encodeInterval({
        micros: view.getBigInt64(0, true),
        days: view.getInt32(8, true),
        months: view.getInt32(12, true),
      });
    case 'name':
    case 'unknown':
    case 'char': {
      const end = bytes.indexOf(0);
      return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
    }
    case 'bpchar':
      return decoder.decode(bytes).replace(/ +$/, '');
    case 'text':
    case 'varchar':
    case 'json':
      return decoder.decode(bytes);
    case 'bytea':
    case 'uuid':
      return bytes.slice();
    case 'jsonb':
      return decodeJsonb(bytes);
    case 'enum':
      return enumLabel(view.getUint32(0, true));
    default:
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        `constants of type ${type.base} are not supported`,
      );
  }
}

function floatDatum(value: number): Datum {
  return Number.isNaN(value) ? 'NaN' : value;
}

function numericDatum(value: Decimal, type: SqlType): Datum {
  if (numericScale(type) === null) return encodeNumeric(value);
  const { precision, scale } = numericModifier(type.typmod);
  return scaleNumeric(value, precision, scale);
}

const NUMERIC_DIGITS = 4;

/** A numeric without its length word, in the short, long or special form. */
function decodeNumericBytes(bytes: Uint8Array): Decimal {
  const view = viewOf(bytes);
  const header = view.getUint16(0, true);
  if ((header & 0xc000) === 0xc000) {
    if ((header & 0xf000) === 0xd000) return 'Infinity';
    return (header & 0xf000) === 0xf000 ? '-Infinity' : 'NaN';
  }
  const short = (header & 0x8000) !== 0;
  const negative = (header & (short ? 0x2000 : 0x4000)) !== 0;
  const scale = short ? (header & 0x1f80) >> 7 : header & 0x3fff;
  const shortWeight = (header & 0x40) !== 0 ? (header & 0x3f) - 64 : header & 0x3f;
  const weight = short ? shortWeight : view.getInt16(2, true);
  let coefficient = 0n;
  let exponent = (weight + 1) * NUMERIC_DIGITS;
  for (let at = short ? 2 : 4; at < bytes.length; at += 2) {
    coefficient = coefficient * 10_000n + BigInt(view.getUint16(at, true));
    exponent -= NUMERIC_DIGITS;
  }
  // coefficient × 10^exponent, wanted as an integer × 10^-scale; the digits cut off are zeros.
  const shift = exponent + scale;
  coefficient =
    shift >= 0 ? coefficient * 10n ** BigInt(shift) : coefficient / 10n ** BigInt(-shift);
  return { coefficient: negative ? -coefficient : coefficient, scale };
}

const JSONB = { count: 0x0fff_ffff, scalar: 0x1000_0000, object: 0x2000_0000 } as const;
const ENTRY = { length: 0x0fff_ffff, type: 0x7000_0000, offset: 0x8000_0000 } as const;

/** A jsonb without its length word, as Postgres prints it. */
function decodeJsonb(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  const header = view.getUint32(0, true);
  const count = header & JSONB.count;
  const isObject = (header & JSONB.object) !== 0;
  const entries = isObject ? 2 * count : count;
  const base = 4 + 4 * entries;
  const parts: string[] = [];
  let offset = 0;
  for (let i = 0; i < entries; i += 1) {
    const entry = view.getUint32(4 + 4 * i, true);
    const length = entry & ENTRY.length;
    const end = (entry & ENTRY.offset) === 0 ? offset + length : length;
    parts.push(decodeJsonbEntry(entry & ENTRY.type, bytes.subarray(base), offset, end));
    offset = end;
  }
  if ((header & JSONB.scalar) !== 0) return parts[0] ?? 'null';
  if (!isObject) return `[${parts.join(', ')}]`;
  const pairs = Array.from({ length: count }, (_, i) => `${parts[i]}: ${parts[count + i]}`);
  return `{${pairs.join(', ')}}`;
}

function decodeJsonbEntry(type: number, data: Uint8Array, from: number, to: number): string {
  const aligned = (from + 3) & ~3;
  switch (type) {
    case 0x0000_0000:
      return JSON.stringify(decoder.decode(data.subarray(from, to)));
    case 0x1000_0000:
      return formatNumeric(decodeNumericBytes(variableBody(data.subarray(aligned, to))));
    case 0x2000_0000:
      return 'false';
    case 0x3000_0000:
      return 'true';
    case 0x4000_0000:
      return 'null';
    default:
      return decodeJsonb(data.subarray(aligned, to));
  }
}

/** An array without its length word → JSON text of its elements. */
function decodeArray(bytes: Uint8Array, type: SqlType, enumLabel: EnumLabel): string {
  const view = viewOf(bytes);
  const dimensions = view.getInt32(0, true);
  const dataOffset = view.getInt32(4, true);
  const sizes = Array.from({ length: dimensions }, (_, i) => view.getInt32(12 + 4 * i, true));
  const count = dimensions === 0 ? 0 : sizes.reduce((product, size) => product * size, 1);
  const nulls = 12 + 8 * dimensions;
  const element: SqlType = { ...type, array: false };
  const { size, align } = layoutOf(type.base);
  // Offsets and alignment count from the length word, 4 bytes before `bytes`.
  let at = dataOffset === 0 ? (nulls + 4 + 7) & ~7 : dataOffset;
  const items: string[] = [];
  for (let i = 0; i < count; i += 1) {
    if (dataOffset !== 0 && (((bytes[nulls + (i >> 3)] ?? 0) >> (i & 7)) & 1) === 0) {
      items.push('null');
      continue;
    }
    at = (at + align - 1) & -align;
    const rest = bytes.subarray(at - 4);
    const length = size === -1 ? variableSize(rest) : size;
    items.push(jsonOf(decodeConstant(rest.subarray(0, length), element, enumLabel)));
    at += length;
  }
  return nest(items, sizes);
}

/** An element as JSON; see ledger/type.ts. */
function jsonOf(value: Datum): string {
  if (ArrayBuffer.isView(value)) return JSON.stringify(hex(value));
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : `"${value}"`;
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function nest(items: readonly string[], sizes: readonly number[]): string {
  if (sizes.length <= 1) return `[${items.join(',')}]`;
  const [first = 0, ...rest] = sizes;
  const step = items.length / first;
  const rows = Array.from({ length: first }, (_, i) =>
    nest(items.slice(i * step, (i + 1) * step), rest),
  );
  return `[${rows.join(',')}]`;
}
