// DataRow messages: the hot path from rows to the wire. Pure but for the buffers it owns.
//
// A message is 'D', int32 length (itself included), int16 columns, then for each column int32 length (-1 for
// NULL) and the value. One closure per column knows its type and format, so that a row costs no decisions.
//
// (1) `append` writes whole messages only; `take` hands over what was written and goes on behind it, so the
//     bytes taken never change; but many lie in one ArrayBuffer, so copy before a transfer to a thread.
// (2) A slab belongs to one encoder from its first row until `take`, and to the next encoder then: a point
//     read does not cost a buffer of its own.

import { decodeNumeric, formatNumeric, formatScaled } from '../../ledger/numeric.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import { numericScale } from '../../ledger/type.ts';
import type { UserOid } from './binary.ts';
import { toBinary } from './binary.ts';
import type { ValueContext } from './context.ts';
import { formatText } from './text.ts';

export interface DataRowColumn {
  readonly type: SqlType;
  /** 0 text, 1 binary */
  readonly format: number;
}

/** Bytes of a new slab; it doubles when a row does not fit. */
const BUFFER_BYTES = 16_384;
const MESSAGE_DATA_ROW = 0x44;
const MINUS = 0x2d;
const POINT = 0x2e;
/** Shorter ASCII text is written byte by byte, which beats a call into the encoder (measured: up to about 24). */
const SHORT_TEXT = 24;

const encoder = new TextEncoder();

/** Writes one column's value. */
export type RowWriter = (buffer: DataRowEncoder, value: Exclude<Datum, null>) => void;

/** Writers of rows with these columns; to be kept with a plan. @param userOid  OIDs of user types, for binary arrays of them */
export function rowWriters(
  columns: readonly DataRowColumn[],
  userOid?: UserOid,
): readonly RowWriter[] {
  return columns.map((column) => writerOf(column.type, column.format, userOid));
}

/** An encoder of rows with these columns. */
export function dataRowEncoder(
  columns: readonly DataRowColumn[],
  context: ValueContext,
  userOid?: UserOid,
): DataRowEncoder {
  return new DataRowEncoder(rowWriters(columns, userOid), context);
}

class Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Bytes that have been handed over. */
  used = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }
}

const NO_SLAB = new Slab(0);

/** A slab that no encoder writes to at the moment, if there is one. */
let spare: Slab | undefined;

export class DataRowEncoder {
  readonly context: ValueContext;
  readonly #writers: readonly RowWriter[];
  #slab = NO_SLAB;
  #bytes = NO_SLAB.bytes;
  #view = NO_SLAB.view;
  #end = 0;

  constructor(writers: readonly RowWriter[], context: ValueContext) {
    this.#writers = writers;
    this.context = context;
  }

  /** Bytes written and not yet taken. */
  get size(): number {
    return this.#end - this.#slab.used;
  }

  /** Appends one DataRow. @param row  as many values as there are columns */
  append(row: Row): void {
    const writers = this.#writers;
    this.#reserve(7);
    const offset = this.#end - this.#slab.used;
    this.#bytes[this.#end] = MESSAGE_DATA_ROW;
    this.#view.setInt16(this.#end + 5, writers.length);
    this.#end += 7;
    try {
      for (let at = 0; at < writers.length; at++) {
        const value = row[at]!;
        if (value === null) this.int32(-1);
        else writers[at]!(this, value);
      }
    } catch (error) {
      this.#end = this.#slab.used + offset;
      throw error;
    }
    // The row may have moved to another slab meanwhile.
    const start = this.#slab.used + offset;
    this.#view.setInt32(start + 1, this.#end - start - 1);
  }

  /** What was written since the last call. */
  take(): Uint8Array {
    const slab = this.#slab;
    const taken = slab.bytes.subarray(slab.used, this.#end);
    slab.used = this.#end;
    const left = slab.bytes.length - slab.used;
    // One that has grown goes with its rows.
    if (slab.bytes.length === BUFFER_BYTES && left >= BUFFER_BYTES / 8) spare = slab;
    this.#use(NO_SLAB);
    return taken;
  }

  int32(value: number): void {
    this.#reserve(4);
    this.#view.setInt32(this.#end, value);
    this.#end += 4;
  }

  /** Length and bytes. */
  bytes(value: Uint8Array): void {
    this.#reserve(4 + value.length);
    this.#view.setInt32(this.#end, value.length);
    this.#bytes.set(value, this.#end + 4);
    this.#end += 4 + value.length;
  }

  /** Length and UTF-8. */
  text(value: string): void {
    const length = value.length;
    this.#reserve(4 + 3 * length);
    const bytes = this.#bytes;
    const start = this.#end + 4;
    if (length <= SHORT_TEXT) {
      let at = 0;
      for (; at < length; at++) {
        const code = value.charCodeAt(at);
        if (code > 127) break;
        bytes[start + at] = code;
      }
      if (at === length) {
        this.#view.setInt32(start - 4, length);
        this.#end = start + length;
        return;
      }
    }
    const { written } = encoder.encodeInto(value, bytes.subarray(start));
    this.#view.setInt32(start - 4, written);
    this.#end = start + written;
  }

  /** Length and digits: of an integer, or of a decimal that is held times ten to the power of `scale`. */
  decimal(value: bigint, scale: number): void {
    let rest = Number(value);
    if (!Number.isSafeInteger(rest)) return this.text(formatScaled(value, scale));
    const negative = rest < 0;
    if (negative) rest = -rest;
    let digits = scale + 1;
    for (let end = 10 ** digits; rest >= end; end *= 10) digits += 1;
    const length = (negative ? 1 : 0) + digits + (scale > 0 ? 1 : 0);
    this.#reserve(4 + length);
    const bytes = this.#bytes;
    const start = this.#end + 4;
    if (negative) bytes[start] = MINUS;
    let at = start + length;
    for (let left = digits; left > 0; left -= 1) {
      if (left === digits - scale && scale > 0) bytes[--at] = POINT;
      const whole = Math.floor(rest / 10);
      bytes[--at] = 0x30 + (rest - whole * 10);
      rest = whole;
    }
    this.#view.setInt32(this.#end, length);
    this.#end = start + length;
  }

  fixed16(value: number): void {
    this.#reserve(6);
    this.#view.setInt32(this.#end, 2);
    this.#view.setInt16(this.#end + 4, value);
    this.#end += 6;
  }

  fixed32(value: number): void {
    this.#reserve(8);
    this.#view.setInt32(this.#end, 4);
    this.#view.setInt32(this.#end + 4, value);
    this.#end += 8;
  }

  fixed64(value: bigint): void {
    this.#reserve(12);
    this.#view.setInt32(this.#end, 8);
    this.#view.setBigInt64(this.#end + 4, value);
    this.#end += 12;
  }

  double(value: number): void {
    this.#reserve(12);
    this.#view.setInt32(this.#end, 8);
    this.#view.setFloat64(this.#end + 4, value);
    this.#end += 12;
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.#bytes.length) return;
    const { bytes, used } = this.#slab;
    const size = this.#end - used;
    if (size === 0 && spare !== undefined && spare.bytes.length - spare.used >= count) {
      this.#use(spare);
      spare = undefined;
      return;
    }
    const grown = new Slab(Math.max(size * 2, size + count, BUFFER_BYTES));
    grown.bytes.set(bytes.subarray(used, this.#end));
    this.#use(grown);
    this.#end = size;
  }

  #use(slab: Slab): void {
    this.#slab = slab;
    this.#bytes = slab.bytes;
    this.#view = slab.view;
    this.#end = slab.used;
  }
}

function writerOf(type: SqlType, format: number, userOid: UserOid | undefined): RowWriter {
  return format === 1 ? binaryWriter(type, userOid) : textWriter(type);
}

function textWriter(type: SqlType): RowWriter {
  if (type.array) return (buffer, value) => buffer.text(formatText(value, type, buffer.context));
  switch (type.base) {
    case 'int2':
    case 'int4':
    case 'int8':
    case 'oid':
      return (buffer, value) => {
        if (typeof value === 'bigint') buffer.decimal(value, 0);
        else buffer.text(String(value));
      };
    case 'text':
    case 'varchar':
    case 'name':
    case 'json':
    case 'jsonb':
    case 'enum':
    case 'unknown':
    case 'char':
      return (buffer, value) => buffer.text(String(value));
    case 'numeric': {
      const scale = numericScale(type) ?? 0;
      return (buffer, value) => {
        if (typeof value === 'bigint') buffer.decimal(value, scale);
        else buffer.text(formatNumeric(decodeNumeric(value as Uint8Array)));
      };
    }
    default:
      return (buffer, value) => buffer.text(formatText(value, type, buffer.context));
  }
}

function binaryWriter(type: SqlType, userOid: UserOid | undefined): RowWriter {
  if (type.array) return (buffer, value) => buffer.bytes(toBinary(value, type, userOid));
  switch (type.base) {
    case 'int2':
      return (buffer, value) => buffer.fixed16(Number(value));
    case 'int4':
    case 'date':
      return (buffer, value) => buffer.fixed32(Number(value));
    case 'int8':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return (buffer, value) => buffer.fixed64(value as bigint);
    case 'float8':
      return (buffer, value) => buffer.double(Number(value));
    case 'text':
    case 'varchar':
    case 'name':
    case 'json':
    case 'enum':
    case 'unknown':
    case 'char':
      return (buffer, value) => buffer.text(value as string);
    default:
      return (buffer, value) => buffer.bytes(toBinary(value, type, userOid));
  }
}
