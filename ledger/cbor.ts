// Deterministic CBOR (RFC 8949 §4.2.1) as a pair of cursors. Pure, browser-safe.
//
// (1) One value, one encoding: the writer gives the shortest form of every head and float, and the reader
//     refuses every other, so that bytes that were decoded encode to themselves.
// (2) Definite lengths only. No tags, no maps: records are arrays whose fields stand in a fixed order.
// (3) A declared length is compared with the bytes present before anything is allocated for it.
// (4) -0.0 is written as 0.0 and refused when read, because SQLite does not keep its sign; NaN does not
//     occur, because a Datum holds it as text.

import { asciiOf, fromUtf8, utf8Into } from './bytes.ts';
import { FormatError } from './error.ts';
import type { Datum } from './type.ts';

const UINT = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;

const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;
const FLOAT16 = 0xf9;
const FLOAT32 = 0xfa;
const FLOAT64 = 0xfb;

/** Room of a new writer, in bytes: most transactions fit. */
const BUFFER_BYTES = 1_024;

/** Biggest buffer a writer keeps for its next use, in bytes. */
const BUFFER_KEPT_BYTES_MAX = 1_048_576;

/** Texts up to this many characters are copied one by one, which beats the call of a TextEncoder. */
const SHORT_TEXT_CHARACTERS = 48;

/** From this many bytes on, texts are slices of all of them taken for ASCII (see CborReader). */
const SLICED_BYTES_MIN = 2_048;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/**
 * The bits of `value` as a half-precision float, or -1 if it has no exact one. `bits` is its exact
 * single-precision form.
 */
function float16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const fraction = bits & 0x7fffff;
  if (exponent === -127 && fraction === 0) return sign;
  if (exponent === 128) return fraction === 0 ? sign | 0x7c00 : -1;
  if (exponent >= -14 && exponent <= 15) {
    return (fraction & 0x1fff) === 0 ? sign | ((exponent + 15) << 10) | (fraction >> 13) : -1;
  }
  if (exponent < -24 || exponent > 15) return -1;
  const shift = -1 - exponent;
  const whole = fraction | 0x800000;
  return (whole & ((1 << shift) - 1)) === 0 ? sign | (whole >> shift) : -1;
}

function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Appends items; `finish` gives the bytes. */
export class CborWriter {
  /** Levels of nested values being written; whoever recurses keeps it (ledger/codec.ts). */
  depth = 0;
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = BUFFER_BYTES) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#use(grown);
  }

  #use(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  #head(major: number, argument: number): void {
    this.#room(9);
    const bytes = this.#bytes;
    const type = major << 5;
    if (argument < 24) {
      bytes[this.#length++] = type | argument;
    } else if (argument < 0x100) {
      bytes[this.#length++] = type | 24;
      bytes[this.#length++] = argument;
    } else if (argument < 0x10000) {
      bytes[this.#length++] = type | 25;
      this.#view.setUint16(this.#length, argument);
      this.#length += 2;
    } else if (argument < 0x100000000) {
      bytes[this.#length++] = type | 26;
      this.#view.setUint32(this.#length, argument);
      this.#length += 4;
    } else {
      bytes[this.#length++] = type | 27;
      this.#view.setUint32(this.#length, Math.floor(argument / 0x100000000));
      this.#view.setUint32(this.#length + 4, argument >>> 0);
      this.#length += 8;
    }
  }

  /** An integer from 0 to 2^53-1, or a bigint from 0 to 2^64-1. */
  uint(value: number | bigint): void {
    if (typeof value === 'bigint') {
      if (value < 0n || value >= 2n ** 64n) throw new FormatError(`${value} is out of range`);
      if (value <= 0xffffffffn) return this.#head(UINT, Number(value));
      this.#wide(UINT, value);
    } else {
      if (!Number.isSafeInteger(value) || value < 0)
        throw new FormatError(`${value} is out of range`);
      this.#head(UINT, value);
    }
  }

  #wide(major: number, argument: bigint): void {
    this.#room(9);
    this.#bytes[this.#length] = (major << 5) | 27;
    this.#view.setBigUint64(this.#length + 1, argument);
    this.#length += 9;
  }

  /** A safe integer, or a bigint of the int64 range. */
  int(value: number | bigint): void {
    if (typeof value === 'number') {
      if (!Number.isSafeInteger(value)) throw new FormatError(`${value} is out of range`);
      if (value >= 0) this.#head(UINT, value);
      else this.#head(NEGATIVE, -1 - value);
      return;
    }
    if (value < INT64_MIN || value > INT64_MAX) throw new FormatError(`${value} is out of range`);
    const major = value >= 0n ? UINT : NEGATIVE;
    const argument = value >= 0n ? value : -1n - value;
    if (argument <= 0xffffffffn) this.#head(major, Number(argument));
    else this.#wide(major, argument);
  }

  bytes(value: Uint8Array): void {
    this.#head(BYTES, value.length);
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** @throws FormatError on a lone surrogate: it has no UTF-8 */
  text(value: string): void {
    const start = this.#length;
    if (value.length <= SHORT_TEXT_CHARACTERS) {
      this.#head(TEXT, value.length);
      this.#room(value.length);
      const bytes = this.#bytes;
      let i = 0;
      for (; i < value.length; i++) {
        const unit = value.charCodeAt(i);
        if (unit > 0x7f) break;
        bytes[this.#length++] = unit;
      }
      if (i === value.length) return;
      this.#length = start;
    }
    if (!value.isWellFormed()) throw new FormatError('text has a lone surrogate');
    // The length of the head depends on the length in bytes: write the text behind the longest head first.
    this.#room(9 + value.length * 3);
    const size = utf8Into(value, this.#bytes.subarray(start + 9));
    this.#head(TEXT, size);
    this.#bytes.copyWithin(this.#length, start + 9, start + 9 + size);
    this.#length += size;
  }

  /** Head of an array; its `count` items follow. */
  array(count: number): void {
    this.#head(ARRAY, count);
  }

  null(): void {
    this.#room(1);
    this.#bytes[this.#length++] = NULL;
  }

  bool(value: boolean): void {
    this.#room(1);
    this.#bytes[this.#length++] = value ? TRUE : FALSE;
  }

  /** @throws FormatError on NaN */
  float(value: number): void {
    if (Number.isNaN(value)) throw new FormatError('NaN is held as text');
    this.#room(9);
    const at = this.#length;
    this.#view.setFloat32(at + 1, value === 0 ? 0 : value);
    if (this.#view.getFloat32(at + 1) !== value) {
      this.#bytes[at] = FLOAT64;
      this.#view.setFloat64(at + 1, value);
      this.#length = at + 9;
      return;
    }
    const half = float16Bits(this.#view.getUint32(at + 1));
    this.#bytes[at] = half < 0 ? FLOAT32 : FLOAT16;
    if (half >= 0) this.#view.setUint16(at + 1, half);
    this.#length = at + (half < 0 ? 5 : 3);
  }

  /** One value: null, integer (bigint), float (number), text or byte string. */
  datum(value: Datum): void {
    if (value === null) this.null();
    else if (typeof value === 'bigint') this.int(value);
    else if (typeof value === 'string') this.text(value);
    else if (typeof value === 'number') this.float(value);
    else this.bytes(value);
  }

  /** Appends bytes as they are: items encoded before. */
  raw(encoded: Uint8Array): void {
    this.#room(encoded.length);
    this.#bytes.set(encoded, this.#length);
    this.#length += encoded.length;
  }

  /** The bytes written: a view, good until the writer is used again. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The bytes written, in a place of their own. The writer may be used again. */
  finish(): Uint8Array {
    const bytes = allocate(this.#length);
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.reset();
    return bytes;
  }

  /** Forgets what was written; a buffer that one big value has blown up goes too. */
  reset(): void {
    this.#length = 0;
    this.depth = 0;
    if (this.#bytes.length > BUFFER_KEPT_BYTES_MAX) this.#use(new Uint8Array(BUFFER_BYTES));
  }
}

/** Small results lie side by side in slabs: a buffer of its own for each costs as much as to encode it (measured). */
const SLAB_BYTES = 65_536;
const SLAB_ITEM_BYTES_MAX = 2_048;
let slab = new ArrayBuffer(0);
let slabUsed = 0;

/** Bytes that nobody else has. They may be a view of a larger buffer. */
function allocate(length: number): Uint8Array {
  if (length > SLAB_ITEM_BYTES_MAX) return new Uint8Array(length);
  if (slabUsed + length > slab.byteLength) {
    slab = new ArrayBuffer(SLAB_BYTES);
    slabUsed = 0;
  }
  const bytes = new Uint8Array(slab, slabUsed, length);
  slabUsed += length;
  return bytes;
}

/** Reads items in the order they were written. Byte strings are views of the bytes given, not copies. */
export class CborReader {
  /** Levels of nested values being read; whoever recurses keeps it (ledger/codec.ts). */
  depth = 0;
  readonly #bytes: Uint8Array;
  /**
   * All the bytes taken for ASCII, once a text was asked for: a text that is ASCII is a slice of it, which takes
   * a tenth of decoding it by itself.
   */
  #ascii: string | null = null;
  #at = 0;
  /** High and low half of the argument last read. */
  #high = 0;
  #low = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Offset of the next item. */
  get offset(): number {
    return this.#at;
  }

  /** A FormatError at the item last begun. */
  fault(message: string): FormatError {
    return new FormatError(message, this.#at);
  }

  /** Reads a head and leaves its argument in #high and #low; gives the major type. */
  #head(): number {
    const at = this.#at;
    const first = this.#bytes[at];
    if (first === undefined) throw this.fault('truncated');
    const info = first & 31;
    this.#high = 0;
    if (info < 24) {
      this.#low = info;
      this.#at = at + 1;
      return first >> 5;
    }
    if (info > 27) throw this.fault('indefinite or reserved length');
    const size = 1 << (info - 24);
    if (at + 1 + size > this.#bytes.length) throw this.fault('truncated');
    if (size === 1) this.#low = this.#bytes[at + 1]!;
    else if (size === 2) this.#low = (this.#bytes[at + 1]! << 8) | this.#bytes[at + 2]!;
    else this.#low = this.#uint32(at + size - 3);
    if (size === 8) this.#high = this.#uint32(at + 1);
    const canonical =
      size === 8 ? this.#high > 0 : this.#low >= (size === 1 ? 24 : size === 2 ? 0x100 : 0x10000);
    if (!canonical) throw this.fault('not the shortest form');
    this.#at = at + 1 + size;
    return first >> 5;
  }

  /** Big-endian; without a DataView, which most records would be too short to pay for. */
  #uint32(at: number): number {
    const bytes = this.#bytes;
    const low = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    return bytes[at]! * 0x1000000 + low;
  }

  /** The argument last read as a number; throws beyond 2^53-1. */
  #argument(start: number): number {
    if (this.#high > 0x1fffff) throw new FormatError('integer out of range', start);
    return this.#high * 0x100000000 + this.#low;
  }

  /** Reads a head of `major`, refusing any other. */
  #expect(major: number, what: string): number {
    const start = this.#at;
    // Only heads of the right major type are parsed: floats and simple values have other rules.
    if (start < this.#bytes.length && this.#bytes[start]! >> 5 !== major) {
      throw this.fault(`${what} expected`);
    }
    this.#head();
    return this.#argument(start);
  }

  /** An integer from 0 to `max`. */
  uint(max: number = Number.MAX_SAFE_INTEGER): number {
    const start = this.#at;
    const value = this.#expect(UINT, 'unsigned integer');
    if (value > max) throw new FormatError(`${value} is more than ${max}`, start);
    return value;
  }

  /** An integer from `min` to `max`, both safe. */
  integer(min: number, max: number): number {
    const start = this.#at;
    if (start < this.#bytes.length && this.#bytes[start]! >> 5 > NEGATIVE) {
      throw this.fault('integer expected');
    }
    const major = this.#head();
    const argument = this.#argument(start);
    const value = major === UINT ? argument : -1 - argument;
    if (value < min || value > max) throw new FormatError(`${value} is out of range`, start);
    return value;
  }

  /** An integer of the int64 range. */
  int(): bigint {
    const start = this.#at;
    if (start < this.#bytes.length && this.#bytes[start]! >> 5 > NEGATIVE) {
      throw this.fault('integer expected');
    }
    const major = this.#head();
    if (this.#high >= 0x80000000) throw new FormatError('integer out of range', start);
    const argument =
      this.#high === 0 ? BigInt(this.#low) : (BigInt(this.#high) << 32n) | BigInt(this.#low);
    return major === UINT ? argument : -1n - argument;
  }

  /** Reads a string of at most `max` bytes and gives its length; it ends at #at. */
  #length(major: number, what: string, max: number): number {
    const start = this.#at;
    const length = this.#expect(major, what);
    if (length > max) throw new FormatError(`${length} bytes are more than ${max}`, start);
    if (length > this.#bytes.length - this.#at) throw new FormatError('truncated', start);
    this.#at += length;
    return length;
  }

  /** A byte string of at most `max` bytes: a view. */
  bytes(max: number = Number.MAX_SAFE_INTEGER): Uint8Array {
    const length = this.#length(BYTES, 'byte string', max);
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A text of at most `max` bytes. */
  text(max: number = Number.MAX_SAFE_INTEGER): string {
    const start = this.#at;
    const length = this.#length(TEXT, 'text', max);
    const end = this.#at;
    const from = end - length;
    const bytes = this.#bytes;
    if (bytes.length >= SLICED_BYTES_MIN) {
      let i = from;
      while (i < end && bytes[i]! < 0x80) i++;
      if (i === end) return (this.#ascii ??= asciiOf(bytes)).slice(from, end);
    } else if (length <= SHORT_TEXT_CHARACTERS) {
      let text = '';
      let i = from;
      for (; i < end && bytes[i]! < 0x80; i++) text += String.fromCharCode(bytes[i]!);
      if (i === end) return text;
    }
    try {
      return fromUtf8(bytes.subarray(from, end));
    } catch {
      throw new FormatError('invalid UTF-8', start);
    }
  }

  /** Head of an array of at most `max` items; every item takes at least one byte, so the bytes bound it too. */
  array(max: number = Number.MAX_SAFE_INTEGER): number {
    const start = this.#at;
    const count = this.#expect(ARRAY, 'array');
    if (count > max) throw new FormatError(`${count} items are more than ${max}`, start);
    if (count > this.#bytes.length - this.#at) throw new FormatError('truncated', start);
    return count;
  }

  /** Whether the next item is null; it is read if it is. */
  tryNull(): boolean {
    if (this.#bytes[this.#at] !== NULL) return false;
    this.#at++;
    return true;
  }

  /** Whether the next item is an array. */
  atArray(): boolean {
    return (this.#bytes[this.#at] ?? 0) >> 5 === ARRAY;
  }

  bool(): boolean {
    const first = this.#bytes[this.#at];
    if (first !== TRUE && first !== FALSE) throw this.fault('boolean expected');
    this.#at++;
    return first === TRUE;
  }

  float(): number {
    const start = this.#at;
    const first = this.#bytes[start];
    if (first !== FLOAT16 && first !== FLOAT32 && first !== FLOAT64)
      throw this.fault('float expected');
    const size = first === FLOAT16 ? 2 : first === FLOAT32 ? 4 : 8;
    if (start + 1 + size > this.#bytes.length) throw this.fault('truncated');
    const { buffer, byteOffset, byteLength } = this.#bytes;
    const view = new DataView(buffer, byteOffset, byteLength);
    const value =
      size === 2
        ? fromFloat16Bits(view.getUint16(start + 1))
        : size === 4
          ? view.getFloat32(start + 1)
          : view.getFloat64(start + 1);
    if (Number.isNaN(value) || Object.is(value, -0)) throw this.fault('NaN or negative zero');
    const canonical =
      size === 2 ||
      (size === 4 && float16Bits(view.getUint32(start + 1)) < 0) ||
      (size === 8 && Math.fround(value) !== value);
    if (!canonical) throw this.fault('not the shortest form');
    this.#at = start + 1 + size;
    return value;
  }

  datum(): Datum {
    const first = this.#bytes[this.#at];
    if (first === undefined) throw this.fault('truncated');
    const major = first >> 5;
    if (major <= NEGATIVE) return this.int();
    if (major === TEXT) return this.text();
    if (major === BYTES) return this.bytes();
    return this.tryNull() ? null : this.float();
  }

  /** @throws FormatError if bytes are left */
  end(): void {
    if (this.#at !== this.#bytes.length) throw this.fault('bytes after the end');
  }
}
