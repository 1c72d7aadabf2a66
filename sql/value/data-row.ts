// DataRow messages: the hot path from rows to the wire. Pure but for the buffer it owns.
//
// A message is 'D', int32 length (itself included), int16 columns, then for each column int32 length (-1 for
// NULL) and the value. One closure per column knows its type and format, so that a row costs no decisions.
//
// (1) `append` writes whole messages only; `take` hands over what was written and begins a new buffer, so the
//     bytes taken never change; but both lie in one ArrayBuffer, so copy before a transfer to a thread.

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

/** Bytes of a new buffer; it doubles when a row does not fit. */
const BUFFER_BYTES = 16_384;
const MESSAGE_DATA_ROW = 0x44;
/** Shorter ASCII text is written byte by byte, which beats a call into the encoder (measured: up to about 24). */
const SHORT_TEXT = 24;

const encoder = new TextEncoder();

type Write = (buffer: DataRowEncoder, value: Exclude<Datum, null>) => void;

/** An encoder of rows with these columns. @param userOid  OIDs of user types, for binary arrays of them */
export function dataRowEncoder(
  columns: readonly DataRowColumn[],
  context: ValueContext,
  userOid?: UserOid,
): DataRowEncoder {
  return new DataRowEncoder(
    columns.map((column) => writerOf(column.type, column.format, context, userOid)),
  );
}

export class DataRowEncoder {
  readonly #writers: readonly Write[];
  #bytes = new Uint8Array(BUFFER_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;

  constructor(writers: readonly Write[]) {
    this.#writers = writers;
  }

  /** Bytes written and not yet taken. */
  get size(): number {
    return this.#end;
  }

  /** Appends one DataRow. @param row  as many values as there are columns */
  append(row: Row): void {
    const writers = this.#writers;
    const start = this.#end;
    this.#reserve(7);
    this.#bytes[start] = MESSAGE_DATA_ROW;
    this.#view.setInt16(start + 5, writers.length);
    this.#end = start + 7;
    try {
      for (let at = 0; at < writers.length; at++) {
        const value = row[at]!;
        if (value === null) this.int32(-1);
        else writers[at]!(this, value);
      }
    } catch (error) {
      this.#end = start;
      throw error;
    }
    this.#view.setInt32(start + 1, this.#end - start - 1);
  }

  /** What was written since the last call. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#end);
    const left = this.#bytes.length - this.#end;
    // The rest of the buffer serves the next rows: a point read must not cost a new one.
    const rest =
      left >= BUFFER_BYTES / 8 ? this.#bytes.subarray(this.#end) : new Uint8Array(BUFFER_BYTES);
    this.#use(rest);
    this.#end = 0;
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
    const needed = this.#end + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, needed, BUFFER_BYTES));
    grown.set(this.#bytes.subarray(0, this.#end));
    this.#use(grown);
  }

  #use(bytes: Uint8Array<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

function writerOf(
  type: SqlType,
  format: number,
  context: ValueContext,
  userOid: UserOid | undefined,
): Write {
  return format === 1 ? binaryWriter(type, userOid) : textWriter(type, context);
}

function textWriter(type: SqlType, context: ValueContext): Write {
  if (type.array) return (buffer, value) => buffer.text(formatText(value, type, context));
  switch (type.base) {
    case 'int2':
    case 'int4':
    case 'int8':
    case 'oid':
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
      return (buffer, value) =>
        buffer.text(
          typeof value === 'bigint'
            ? formatScaled(value, scale)
            : formatNumeric(decodeNumeric(value as Uint8Array)),
        );
    }
    default:
      return (buffer, value) => buffer.text(formatText(value, type, context));
  }
}

function binaryWriter(type: SqlType, userOid: UserOid | undefined): Write {
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
