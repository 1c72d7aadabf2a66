// From the bytes of a field to a value. Pure.
//
// One closure per column knows its type, so that a row costs no decisions; integers, decimals and ASCII texts,
// which most columns are, are read from the bytes without a detour.

import { asciiOf } from '../../ledger/bytes.ts';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { numericScale } from '../../ledger/type.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import { fromBinary } from '../value/binary.ts';
import type { ValueContext } from '../value/context.ts';
import { parseText } from '../value/text.ts';

/** Reads the value in `bytes` from `start` to `end`. @throws SqlError as the type's input function does */
export type FieldReader = (bytes: Uint8Array, start: number, end: number) => Datum;

/** Digits that a JavaScript number holds exactly, whatever they are. */
const EXACT_DIGITS = 15;

const INTEGER_BOUNDS = { int2: 0x7fff, int4: 0x7fffffff, int8: Number.MAX_SAFE_INTEGER } as const;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Fields as text. Of the data itself they are slices; a field with escapes has bytes of its own. */
export class FieldTexts {
  #data: Uint8Array | null = null;
  #ascii: string | null = null;

  /** Says what the next fields lie in. */
  begin(data: Uint8Array): void {
    this.#data = data;
    this.#ascii = null;
  }

  /**
   * UTF-8 as text.
   *
   * @throws SqlError 22021
   */
  read(bytes: Uint8Array, start: number, end: number): string {
    if (bytes !== this.#data) return decoded(bytes, start, end);
    let at = start;
    while (at < end && bytes[at]! < 0x80 && bytes[at] !== 0) at += 1;
    if (at < end) return decoded(bytes, start, end);
    this.#ascii ??= asciiOf(bytes);
    return this.#ascii.slice(start, end);
  }
}

/** A reader of the text form of a type. */
export function textField(type: SqlType, context: ValueContext, texts: FieldTexts): FieldReader {
  const general: FieldReader = (bytes, start, end) =>
    parseText(texts.read(bytes, start, end), type, context);
  if (type.array) return general;
  if (type.base === 'int2' || type.base === 'int4' || type.base === 'int8') {
    return integerField(INTEGER_BOUNDS[type.base], general);
  }
  const scale = numericScale(type);
  if (scale !== null) {
    return decimalField(((type.typmod - 4) >> 16) & 0xffff, scale, general);
  }
  // What cannot be too long needs no typmod; texts with a NUL are refused when they are decoded.
  if (type.base === 'text' || type.base === 'varchar') {
    const max = type.typmod < 0 ? Infinity : type.typmod - 4;
    return (bytes, start, end) =>
      end - start <= max ? texts.read(bytes, start, end) : general(bytes, start, end);
  }
  if (type.base === 'bpchar') {
    const max = type.typmod < 0 ? Infinity : type.typmod - 4;
    return (bytes, start, end) => {
      if (end - start > max) return general(bytes, start, end);
      let to = end;
      while (to > start && bytes[to - 1] === 0x20) to -= 1;
      return texts.read(bytes, start, to);
    };
  }
  return general;
}

/** A reader of the binary form of a type. */
export function binaryField(type: SqlType): FieldReader {
  return (bytes, start, end) => {
    try {
      return fromBinary(bytes.subarray(start, end), type);
    } catch (error) {
      if (!isSqlError(error)) throw error;
      const message = error.message.replace(/ in bind parameter.*$/, '');
      throw new SqlError(error.sqlstate, message, error.fields);
    }
  };
}

function integerField(max: number, general: FieldReader): FieldReader {
  return (bytes, start, end) => {
    const negative = bytes[start] === 0x2d;
    let at = negative ? start + 1 : start;
    if (at === end || end - at > EXACT_DIGITS) return general(bytes, start, end);
    let value = 0;
    for (; at < end; at += 1) {
      const digit = bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) return general(bytes, start, end);
      value = value * 10 + digit;
    }
    return value > max ? general(bytes, start, end) : BigInt(negative ? -value : value);
  };
}

/** Decimals of a fixed scale that need neither rounding nor more digits than a number holds exactly. */
function decimalField(precision: number, scale: number, general: FieldReader): FieldReader {
  return (bytes, start, end) => {
    const negative = bytes[start] === 0x2d;
    const first = negative ? start + 1 : start;
    if (first === end || end - first > EXACT_DIGITS) return general(bytes, start, end);
    let value = 0;
    let point = end;
    for (let at = first; at < end; at += 1) {
      const digit = bytes[at]! - 0x30;
      if (digit >= 0 && digit <= 9) value = value * 10 + digit;
      else if (bytes[at] === 0x2e && point === end && at > first) point = at;
      else return general(bytes, start, end);
    }
    const whole = point - first;
    const missing = scale - (point === end ? 0 : end - point - 1);
    const fits = missing >= 0 && whole <= precision - scale && whole + scale <= EXACT_DIGITS;
    if (!fits) return general(bytes, start, end);
    for (let i = 0; i < missing; i += 1) value *= 10;
    return BigInt(negative ? -value : value);
  };
}

function decoded(bytes: Uint8Array, start: number, end: number): string {
  try {
    const text = decoder.decode(bytes.subarray(start, end));
    if (!text.includes('\0')) return text;
  } catch {
    // Which bytes are wrong is found out below.
  }
  throw invalidUtf8(bytes.subarray(start, end));
}

function invalidUtf8(bytes: Uint8Array): SqlError {
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) {
    const size = characterSize(bytes[at]!);
    try {
      decoder.decode(bytes.subarray(at, at + size));
    } catch {
      break;
    }
    at += size;
  }
  const wrong = bytes.subarray(at, at + characterSize(bytes[at] ?? 0));
  const shown = [...wrong].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
  return new SqlError(
    SQLSTATE.characterNotInRepertoire,
    `invalid byte sequence for encoding "UTF8": ${shown}`,
  );
}

/** Bytes of a character that begins with `byte`. */
function characterSize(byte: number): number {
  if (byte >= 0xf0 && byte < 0xf8) return 4;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  return byte >= 0xc0 && byte < 0xe0 ? 2 : 1;
}
