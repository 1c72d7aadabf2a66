// The text form of values: Postgres' input and output functions. Pure but for time zones (time-zone.ts).
//
// (1) `formatText(parseText(t, type), type)` is what Postgres prints for t; where the text says nothing of the
//     session's settings it reads back to the same Datum.
// (2) The typmod is applied while reading, as an input function does: too long is an error, not cut.

import { decodeArray, encodeArray, formatArrayLiteral } from '../../ledger/array-value.ts';
import { fromHex, hex, utf8 } from '../../ledger/bytes.ts';
import { decodeInterval, encodeInterval } from '../../ledger/datetime.ts';
import { SqlError } from '../../ledger/error.ts';
import type { Float } from '../../ledger/float.ts';
import { formatFloat4, formatFloat8, parseFloat4, parseFloat8 } from '../../ledger/float.ts';
import { checkJson, normalizeJsonb } from '../../ledger/jsonb.ts';
import {
  decodeNumeric,
  encodeNumeric,
  formatNumeric,
  formatScaled,
  parseNumeric,
} from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { BaseType, Datum, SqlType } from '../../ledger/type.ts';
import { numericScale, sqlType } from '../../ledger/type.ts';
import { parseArrayLiteral } from './array-text.ts';
import { parseBytea, formatBytea } from './bytea-text.ts';
import type { ValueContext } from './context.ts';
import { parseDateTime } from './datetime-input.ts';
import {
  formatDate,
  formatTime,
  formatTimestamp,
  formatTimestamptz,
  formatTimeTz,
} from './datetime-output.ts';
import { formatInterval, parseInterval } from './interval-text.ts';
import { builtinTypeName, typeName } from './oid.ts';
import { applyTypmod } from '../../ledger/typmod.ts';

const NAME_BYTES_MAX = 63;

/**
 * A value from its text form.
 *
 * @throws SqlError 22P02, 22003, 22007, 22008, 22001 and what else the type's input function raises
 */
export function parseText(text: string, type: SqlType, context: ValueContext): Datum {
  if (type.array) {
    const element = sqlType(type.base, type.typmod, false, type.userType);
    const values = parseArrayLiteral(text, (item) => parseGeneral(item, element, context));
    return encodeArray(values, type.base);
  }
  const value = parseBase(text, type, context);
  return type.typmod < 0 ? value : applyTypmod(value, type, false);
}

/** An array's element: its typmod applied, but a numeric in the general form. */
function parseGeneral(text: string, type: SqlType, context: ValueContext): Datum {
  const value = parseText(text, type, context);
  const scale = numericScale(type);
  return scale !== null && typeof value === 'bigint'
    ? encodeNumeric({ coefficient: value, scale })
    : value;
}

function parseBase(text: string, type: SqlType, context: ValueContext): Datum {
  switch (type.base) {
    case 'bool':
      return parseBool(text);
    case 'int2':
      return parseInteger(text, 'smallint', 16);
    case 'int4':
      return parseInteger(text, 'integer', 32);
    case 'int8':
      return parseInteger(text, 'bigint', 64);
    case 'oid':
      return parseOid(text);
    case 'float4':
      return parseFloat4(text);
    case 'float8':
      return parseFloat8(text);
    case 'numeric':
      return encodeNumeric(parseNumeric(text));
    case 'bytea':
      return parseBytea(text);
    case 'uuid':
      return parseUuid(text);
    case 'date':
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return parseDateTime(text, type.base, context);
    case 'interval':
      return encodeInterval(parseInterval(text, type.typmod, context));
    case 'json':
      return checkJson(checkedString(text));
    case 'jsonb':
      return normalizeJsonb(checkedString(text));
    case 'enum':
      return parseEnum(text, type, context);
    case 'regclass':
    case 'regtype':
    case 'regproc':
    case 'regnamespace':
    case 'regrole':
      return parseRegistered(text, type.base, context);
    case 'bpchar':
      return checkedString(text).replace(/ +$/, '');
    case 'name':
      return truncateName(checkedString(text));
    case 'char':
      return [...checkedString(text)][0] ?? '';
    case 'void':
      return '';
    case 'text':
    case 'varchar':
    case 'unknown':
    case 'record':
      return checkedString(text);
    default:
      return type.base satisfies never;
  }
}

/** Text as UTF-8 in Postgres holds no NUL. */
function checkedString(text: string): string {
  if (text.includes('\0')) {
    throw new SqlError(
      SQLSTATE.characterNotInRepertoire,
      'invalid byte sequence for encoding "UTF8": 0x00',
    );
  }
  return text;
}

function invalidSyntax(base: BaseType, text: string): SqlError {
  return new SqlError(
    SQLSTATE.invalidTextRepresentation,
    `invalid input syntax for type ${typeName(base)}: "${text}"`,
  );
}

function parseBool(text: string): bigint {
  const word = text.trim().toLowerCase();
  if (word !== '') {
    if ('true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on' || word === '1')
      return 1n;
    if ('false'.startsWith(word) || 'no'.startsWith(word) || word === '0') return 0n;
    if (word === 'of' || word === 'off') return 0n;
  }
  throw invalidSyntax('bool', text);
}

/** Digits that a JavaScript number holds exactly, whatever they are. */
const EXACT_DIGITS = 15;

/** Nothing but a sign and few digits, which is what clients send; null for every other text. */
function plainInteger(text: string): bigint | null {
  const first = text.charCodeAt(0) === 0x2d ? 1 : 0;
  if (text.length === first || text.length - first > EXACT_DIGITS) return null;
  let value = 0;
  for (let i = first; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return BigInt(first === 1 ? -value : value);
}

const INTEGER = /^[ \t\n\r\f\v]*[+-]?\d+[ \t\n\r\f\v]*$/;

function parseInteger(text: string, name: string, bits: number): bigint {
  const value = plainInteger(text) ?? anyInteger(text, name);
  if (BigInt.asIntN(bits, value) !== value) throw integerOutOfRange(text, name);
  return value;
}

function anyInteger(text: string, name: string): bigint {
  if (!INTEGER.test(text)) {
    throw new SqlError(
      SQLSTATE.invalidTextRepresentation,
      `invalid input syntax for type ${name}: "${text}"`,
    );
  }
  const digits = text.trim();
  return BigInt(digits.startsWith('+') ? digits.slice(1) : digits);
}

function integerOutOfRange(text: string, name: string): SqlError {
  return new SqlError(
    SQLSTATE.numericValueOutOfRange,
    `value "${text}" is out of range for type ${name}`,
  );
}

function parseOid(text: string): bigint {
  if (!INTEGER.test(text)) throw invalidSyntax('oid', text);
  const value = BigInt(text.trim().replace(/^\+/, ''));
  // As strtoul: a negative number wraps around, if it is an int4.
  if (value > 0xffff_ffffn || value < -0x8000_0000n) throw integerOutOfRange(text, 'oid');
  return BigInt.asUintN(32, value);
}

function parseUuid(text: string): Uint8Array {
  const inner = /^\{.*\}$/s.test(text) ? text.slice(1, -1) : text;
  if (!/^(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}$/.test(inner)) throw invalidSyntax('uuid', text);
  return fromHex(inner.replaceAll('-', ''));
}

export function formatUuid(bytes: Uint8Array): string {
  const digits = hex(bytes);
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`;
}

function parseEnum(text: string, type: SqlType, context: ValueContext): string {
  const known = type.userType === null ? undefined : context.enumLabels?.(type.userType);
  if (known !== undefined && !known.labels.has(text)) {
    throw new SqlError(
      SQLSTATE.invalidTextRepresentation,
      `invalid input value for enum ${known.name}: "${text}"`,
    );
  }
  return checkedString(text);
}

function parseRegistered(text: string, base: BaseType, context: ValueContext): bigint {
  const trimmed = text.trim();
  if (trimmed === '-') return 0n;
  if (/^\d+$/.test(trimmed)) return parseOid(trimmed);
  if (context.objectOid !== undefined) return context.objectOid(base, trimmed);
  throw new SqlError(SQLSTATE.featureNotSupported, `names of type ${base} are not supported here`);
}

/** Cut at 63 bytes, never inside a character. */
function truncateName(text: string): string {
  const bytes = utf8(text);
  if (bytes.length <= NAME_BYTES_MAX) return text;
  let end = NAME_BYTES_MAX;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}

/** A value's text form; never called with NULL. */
export function formatText(value: Datum, type: SqlType, context: ValueContext): string {
  if (type.array) {
    const element = sqlType(type.base, type.typmod, false, type.userType);
    const values = decodeArray(value as string, type.base);
    return formatArrayLiteral(values, (item) => formatBase(item, element, context));
  }
  return formatBase(value, type, context);
}

function formatBase(value: Datum, type: SqlType, context: ValueContext): string {
  switch (type.base) {
    case 'bool':
      return value === 1n ? 't' : 'f';
    case 'float4':
      return formatFloat(value as Float, 6, context, formatFloat4);
    case 'float8':
      return formatFloat(value as Float, 15, context, formatFloat8);
    case 'numeric':
      return typeof value === 'bigint'
        ? formatScaled(value, numericScale(type) ?? 0)
        : formatNumeric(decodeNumeric(value as Uint8Array));
    case 'bytea':
      return formatBytea(value as Uint8Array, context.byteaOutput);
    case 'uuid':
      return formatUuid(value as Uint8Array);
    case 'date':
      return formatDate(value as bigint, context);
    case 'time':
      return formatTime(value as bigint);
    case 'timetz':
      return formatTimeTz(value as Uint8Array);
    case 'timestamp':
      return formatTimestamp(value as bigint, context);
    case 'timestamptz':
      return formatTimestamptz(value as bigint, context);
    case 'interval':
      return formatInterval(decodeInterval(value as Uint8Array), context);
    case 'bpchar':
      return padBlank(value as string, type.typmod);
    case 'regclass':
    case 'regtype':
    case 'regproc':
    case 'regnamespace':
    case 'regrole':
      if (value === 0n) return '-';
      return (
        context.objectName?.(type.base, value as bigint) ??
        (type.base === 'regtype' ? builtinTypeName(Number(value)) : undefined) ??
        String(value)
      );
    case 'void':
      return '';
    default:
      return String(value);
  }
}

function formatFloat(
  value: Float,
  digits: number,
  context: ValueContext,
  shortest: (value: Float) => string,
): string {
  if (context.extraFloatDigits > 0 || value === 'NaN' || !Number.isFinite(value)) {
    return shortest(value);
  }
  const precision = Math.max(digits + context.extraFloatDigits, 1);
  // Printed with %.<precision>g, whose exponent begins where the digits end.
  return formatFloat8(Number(value.toPrecision(precision)));
}

/** A bpchar with the blanks its typmod asks for; lengths are in characters. */
export function padBlank(text: string, typmod: number): string {
  if (typmod < 4) return text;
  let length = text.length;
  for (const character of text) length -= character.length - 1;
  return text + ' '.repeat(Math.max(typmod - 4 - length, 0));
}
