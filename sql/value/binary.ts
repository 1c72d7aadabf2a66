// The binary form of values: Postgres' send and receive functions. Pure.
//
// (1) Bytes are exactly those of PostgreSQL 15, so that any driver's binary codec reads them.
// (2) What a client sends is checked as Postgres checks it: 22P03 for the wrong number of bytes, the type's own
//     errors for values out of range.

import type { ArrayValue } from '../../ledger/array-value.ts';
import {
  decodeArray,
  dimensions,
  encodeArray,
  flatten,
  unflatten,
} from '../../ledger/array-value.ts';
import { concat, uint32, utf8 } from '../../ledger/bytes.ts';
import * as datetime from '../../ledger/datetime.ts';
import { SqlError } from '../../ledger/error.ts';
import type { Float } from '../../ledger/float.ts';
import { checkJson, normalizeJsonb } from '../../ledger/jsonb.ts';
import type { Decimal } from '../../ledger/numeric.ts';
import {
  decodeNumeric,
  encodeNumeric,
  formatNumeric,
  NUMERIC_SCALE_MAX,
  parseNumeric,
} from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { BaseType, Datum, SqlType } from '../../ledger/type.ts';
import { numericScale, sqlType } from '../../ledger/type.ts';
import { oidOf, typeFromOid, typeName } from './oid.ts';
import { padBlank } from './text.ts';
import { applyTypmod } from '../../ledger/typmod.ts';

/** OID of an enum or domain, or of the array over it, by catalog id; only arrays of them need it. */
export type UserOid = (id: number, array: boolean) => number;

const NO_USER_OID: UserOid = () => 0;
const NUMERIC_SIGN_NEGATIVE = 0x4000;
const NUMERIC_NAN = 0xc000;
const NUMERIC_INFINITY = 0xd000;
const NUMERIC_MINUS_INFINITY = 0xf000;
/** What Postgres reads as the display scale of its infinities; it means nothing. */
const INFINITY_SCALE = 0x20;
const ARRAY_DIMENSIONS_MAX = 6;
/** Elements of an array that a client may announce (Postgres' MaxAllocSize over a pointer). */
const ARRAY_ELEMENTS_MAX = 134_217_727;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A value's binary form; never called with NULL. */
export function toBinary(value: Datum, type: SqlType, userOid: UserOid = NO_USER_OID): Uint8Array {
  if (type.array) return arrayBytes(value as string, type, userOid);
  switch (type.base) {
    case 'bool':
      return Uint8Array.of(value === 1n ? 1 : 0);
    case 'int2':
      return fixed(2, (view) => view.setInt16(0, Number(value)));
    case 'int4':
    case 'date':
      return fixed(4, (view) => view.setInt32(0, Number(value)));
    case 'oid':
    case 'regclass':
    case 'regtype':
    case 'regproc':
    case 'regnamespace':
    case 'regrole':
      return fixed(4, (view) => view.setUint32(0, Number(value)));
    case 'int8':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return fixed(8, (view) => view.setBigInt64(0, value as bigint));
    case 'float4':
      return fixed(4, (view) => view.setFloat32(0, Number(value)));
    case 'float8':
      return fixed(8, (view) => view.setFloat64(0, Number(value)));
    case 'numeric':
      return numericBytes(
        typeof value === 'bigint'
          ? { coefficient: value, scale: numericScale(type) ?? 0 }
          : decodeNumeric(value as Uint8Array),
      );
    case 'timetz':
      return timeTzBytes(value as Uint8Array);
    case 'interval':
      return (value as Uint8Array).slice(16);
    case 'bytea':
    case 'uuid':
      return value as Uint8Array;
    case 'jsonb':
      return concat(Uint8Array.of(1), utf8(value as string));
    case 'bpchar':
      return utf8(padBlank(value as string, type.typmod));
    case 'void':
      return new Uint8Array(0);
    case 'record':
      throw new SqlError(SQLSTATE.featureNotSupported, 'binary output of records is not supported');
    default:
      return utf8(String(value));
  }
}

function fixed(size: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size);
  write(new DataView(bytes.buffer));
  return bytes;
}

function timeTzBytes(value: Uint8Array): Uint8Array {
  const { micros, west } = datetime.decodeTimeTz(value);
  return fixed(12, (view) => {
    view.setBigInt64(0, micros);
    view.setInt32(8, west);
  });
}

/** int16 digits, int16 weight, uint16 sign, uint16 scale, then base-10000 digits. */
function numericBytes(value: Decimal): Uint8Array {
  if (typeof value === 'string') {
    const sign =
      value === 'NaN'
        ? NUMERIC_NAN
        : value === 'Infinity'
          ? NUMERIC_INFINITY
          : NUMERIC_MINUS_INFINITY;
    return fixed(8, (view) => {
      view.setUint16(4, sign);
      view.setUint16(6, value === 'NaN' ? 0 : INFINITY_SCALE);
    });
  }
  const negative = value.coefficient < 0n;
  const text = (negative ? -value.coefficient : value.coefficient).toString();
  const digits: number[] = [];
  let weight = 0;
  if (value.coefficient !== 0n) {
    const integer = text.length - value.scale;
    weight = Math.ceil(integer / 4) - 1;
    const aligned = '0'.repeat((weight + 1) * 4 - integer) + text;
    for (let at = 0; at < aligned.length; at += 4) {
      digits.push(Number(aligned.slice(at, at + 4).padEnd(4, '0')));
    }
    while (digits.at(-1) === 0) digits.pop();
  }
  return fixed(8 + 2 * digits.length, (view) => {
    view.setInt16(0, digits.length);
    view.setInt16(2, weight);
    view.setUint16(4, negative ? NUMERIC_SIGN_NEGATIVE : 0);
    view.setUint16(6, value.scale);
    digits.forEach((digit, at) => view.setInt16(8 + 2 * at, digit));
  });
}

/** int32 dimensions, int32 has-null, uint32 element OID, per dimension int32 length and lower bound, elements. */
function arrayBytes(text: string, type: SqlType, userOid: UserOid): Uint8Array {
  const values = decodeArray(text, type.base);
  const lengths = dimensions(values);
  const element = elementType(type);
  const flat = flatten(values);
  const hasNull = flat.includes(null) ? 1 : 0;
  const parts = [uint32(lengths.length), uint32(hasNull), uint32(oidOf(element, userOid))];
  for (const length of lengths) parts.push(uint32(length), uint32(1));
  for (const value of flat) {
    if (value === null) {
      parts.push(uint32(0xffff_ffff));
      continue;
    }
    const bytes = toBinary(value, element, userOid);
    parts.push(uint32(bytes.length), bytes);
  }
  return concat(...parts);
}

function elementType(type: SqlType): SqlType {
  return sqlType(type.base, type.typmod, false, type.userType);
}

/**
 * A value from its binary form; the typmod is applied as a receive function does.
 *
 * @throws SqlError 22P03, 22021 for text that is not UTF-8, 22003, 22008, 22P02
 */
export function fromBinary(bytes: Uint8Array, type: SqlType): Datum {
  if (type.array) return arrayValue(bytes, type);
  const value = baseValue(bytes, type.base);
  return type.typmod < 0 ? value : applyTypmod(value, type, false);
}

function baseValue(bytes: Uint8Array, base: BaseType): Datum {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (base) {
    case 'bool':
      return sized(bytes, 1)[0] === 0 ? 0n : 1n;
    case 'int2':
      return BigInt((sized(bytes, 2), view.getInt16(0)));
    case 'int4':
      return BigInt((sized(bytes, 4), view.getInt32(0)));
    case 'oid':
    case 'regclass':
    case 'regtype':
    case 'regproc':
    case 'regnamespace':
    case 'regrole':
      return BigInt((sized(bytes, 4), view.getUint32(0)));
    case 'int8':
      return (sized(bytes, 8), view.getBigInt64(0));
    case 'float4':
      return float((sized(bytes, 4), view.getFloat32(0)));
    case 'float8':
      return float((sized(bytes, 8), view.getFloat64(0)));
    case 'numeric':
      return encodeNumeric(numericValue(bytes, view));
    case 'date':
      return dateValue((sized(bytes, 4), view.getInt32(0)));
    case 'time':
      return timeValue((sized(bytes, 8), view.getBigInt64(0)));
    case 'timestamp':
    case 'timestamptz':
      return timestampValue((sized(bytes, 8), view.getBigInt64(0)));
    case 'timetz':
      sized(bytes, 12);
      return timeTzValue(view.getBigInt64(0), view.getInt32(8));
    case 'interval':
      sized(bytes, 16);
      return datetime.encodeInterval({
        micros: view.getBigInt64(0),
        days: view.getInt32(8),
        months: view.getInt32(12),
      });
    case 'uuid':
      return sized(bytes, 16).slice();
    case 'bytea':
      return bytes.slice();
    case 'json':
      return checkJson(textValue(bytes));
    case 'jsonb':
      return jsonbValue(bytes);
    case 'bpchar':
      return textValue(bytes).replace(/ +$/, '');
    case 'void':
    case 'record':
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        `binary input of type ${base} is not supported`,
      );
    default:
      return textValue(bytes);
  }
}

function sized(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length < size) {
    throw new SqlError(SQLSTATE.protocolViolation, 'insufficient data left in message');
  }
  if (bytes.length > size) throw incorrect('bind parameter');
  return bytes;
}

function incorrect(what: string): SqlError {
  return new SqlError(
    SQLSTATE.invalidBinaryRepresentation,
    `incorrect binary data format in ${what}`,
  );
}

function float(value: number): Float {
  return Number.isNaN(value) ? 'NaN' : value;
}

function textValue(bytes: Uint8Array): string {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new SqlError(
      SQLSTATE.characterNotInRepertoire,
      'invalid byte sequence for encoding "UTF8"',
    );
  }
  if (text.includes('\0')) {
    throw new SqlError(
      SQLSTATE.characterNotInRepertoire,
      'invalid byte sequence for encoding "UTF8": 0x00',
    );
  }
  return text;
}

function jsonbValue(bytes: Uint8Array): string {
  if (bytes[0] !== 1) {
    throw new SqlError(SQLSTATE.internalError, `unsupported jsonb version number ${bytes[0] ?? 0}`);
  }
  return normalizeJsonb(textValue(bytes.subarray(1)));
}

function numericValue(bytes: Uint8Array, view: DataView): Decimal {
  const invalid = (what: string): SqlError =>
    new SqlError(
      SQLSTATE.invalidBinaryRepresentation,
      `invalid ${what} in external "numeric" value`,
    );
  if (bytes.length < 8) sized(bytes, 8);
  const count = view.getUint16(0);
  const weight = view.getInt16(2);
  const sign = view.getUint16(4);
  const scale = view.getUint16(6);
  sized(bytes, 8 + 2 * count);
  if (sign === NUMERIC_NAN) return 'NaN';
  if (sign === NUMERIC_INFINITY) return 'Infinity';
  if (sign === NUMERIC_MINUS_INFINITY) return '-Infinity';
  if (sign !== 0 && sign !== NUMERIC_SIGN_NEGATIVE) throw invalid('sign');
  if (scale > NUMERIC_SCALE_MAX) throw invalid('scale');
  let digits = '';
  for (let at = 0; at < count; at++) {
    const digit = view.getInt16(8 + 2 * at);
    if (digit < 0 || digit > 9999) throw invalid('digit');
    digits += String(digit).padStart(4, '0');
  }
  // Digits beyond the display scale are cut off, as numeric_recv does.
  const exponent = (weight + 1) * 4 - digits.length;
  const value = parseNumeric(`${digits === '' ? '0' : digits}e${digits === '' ? 0 : exponent}`);
  const wide = value as { coefficient: bigint; scale: number };
  const text = formatNumeric({ coefficient: wide.coefficient, scale: wide.scale });
  const [whole = '0', fraction = ''] = text.split('.');
  const cut = fraction.slice(0, scale).padEnd(scale, '0');
  return parseNumeric(`${sign === 0 ? '' : '-'}${whole}${scale > 0 ? '.' + cut : ''}`);
}

function dateValue(days: number): bigint {
  const value = BigInt(days);
  if (datetime.isInfiniteDate(value) || datetime.dateInRange(days)) return value;
  throw datetime.outOfRange('date');
}

function timeValue(micros: bigint): bigint {
  if (micros < 0n || micros > datetime.MICROS_PER_DAY) throw datetime.outOfRange('time');
  return micros;
}

function timestampValue(micros: bigint): bigint {
  if (datetime.isInfiniteTimestamp(micros) || datetime.timestampInRange(micros)) return micros;
  throw datetime.outOfRange('timestamp');
}

/** 15:59:59 either way. */
const DISPLACEMENT_SECONDS_MAX = 57_599;

function timeTzValue(micros: bigint, west: number): Uint8Array {
  timeValue(micros);
  if (Math.abs(west) > DISPLACEMENT_SECONDS_MAX) {
    throw new SqlError(
      SQLSTATE.invalidTimeZoneDisplacementValue,
      'time zone displacement out of range',
    );
  }
  return datetime.encodeTimeTz({ micros, west });
}

function arrayValue(bytes: Uint8Array, type: SqlType): string {
  const reader = new ArrayReader(bytes);
  const count = reader.int32();
  if (count < 0 || count > ARRAY_DIMENSIONS_MAX) {
    throw new SqlError(
      SQLSTATE.programLimitExceeded,
      `number of array dimensions (${count}) exceeds the maximum allowed (${ARRAY_DIMENSIONS_MAX})`,
    );
  }
  const flags = reader.int32();
  if (flags !== 0 && flags !== 1) {
    throw new SqlError(SQLSTATE.invalidBinaryRepresentation, 'invalid array flags');
  }
  checkElementOid(reader.int32() >>> 0, type);
  const lengths: number[] = [];
  for (let at = 0; at < count; at++) {
    lengths.push(reader.int32());
    if (reader.int32() !== 1) {
      throw new SqlError(
        SQLSTATE.featureNotSupported,
        'array lower bounds other than 1 are not supported',
      );
    }
  }
  const total = count === 0 ? 0 : lengths.reduce((product, length) => product * length, 1);
  if (lengths.some((length) => length < 0) || total > ARRAY_ELEMENTS_MAX) {
    throw new SqlError(
      SQLSTATE.programLimitExceeded,
      `array size exceeds the maximum allowed (${ARRAY_ELEMENTS_MAX})`,
    );
  }
  const element = elementType(type);
  const flat: Datum[] = [];
  for (let at = 0; at < total; at++) flat.push(reader.element(element));
  reader.end();
  const values: ArrayValue = total === 0 ? [] : unflatten(flat, lengths);
  return encodeArray(values, type.base);
}

function checkElementOid(oid: number, type: SqlType): void {
  const sent = typeFromOid(oid);
  if (type.userType !== null || sent === undefined || sent.base === type.base) return;
  throw new SqlError(
    SQLSTATE.datatypeMismatch,
    `binary data has array element type ${oid} (${typeName(sent.base)}) instead of expected ` +
      `${oidOf(elementType(type), NO_USER_OID)} (${typeName(type.base)})`,
  );
}

class ArrayReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  int32(): number {
    if (this.#at + 4 > this.#bytes.length) sized(new Uint8Array(0), 4);
    this.#at += 4;
    return this.#view.getInt32(this.#at - 4);
  }

  /** One element; a numeric stays in the general form (ledger/array-value.ts). */
  element(type: SqlType): Datum {
    const length = this.int32();
    if (length === -1) return null;
    if (length < 0 || this.#at + length > this.#bytes.length) {
      throw new SqlError(SQLSTATE.invalidBinaryRepresentation, 'insufficient data left in message');
    }
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    const value = fromBinary(bytes, type);
    const scale = numericScale(type);
    return scale !== null && typeof value === 'bigint'
      ? encodeNumeric({ coefficient: value, scale })
      : value;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw incorrect('bind parameter');
  }
}
