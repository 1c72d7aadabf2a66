// DataRow messages to COPY data. Pure but for the buffer it owns.
//
// The values are already in their text (binary) form, so only the frame changes. A binary row of COPY is a
// DataRow without its head.

import { utf8 } from '../../ledger/bytes.ts';
import { SIGNATURE } from './binary-scanner.ts';
import type { CopyOptions } from './options.ts';

/** Bytes of the buffer to begin with. */
const BUFFER_BYTES = 8_192;

const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
/** Letters of the control characters from backspace to carriage return: \b \t \n \v \f \r. */
const CONTROL_LETTERS = utf8('btnvfr');

/** The signature, no flags, no extension. */
const BINARY_HEADER = Uint8Array.of(...SIGNATURE, 0, 0, 0, 0, 0, 0, 0, 0);
/** In place of a number of fields. */
const BINARY_TRAILER = Uint8Array.of(0xff, 0xff);
const NOTHING = new Uint8Array(0);

/** Makes one line (or binary tuple) of COPY data from each DataRow. */
export class CopyWriter {
  readonly #options: CopyOptions;
  readonly #null: Uint8Array;
  readonly #forceQuote: readonly boolean[];
  /** csv: bytes that make a field need quotes. text: bytes that need a backslash, and what follows it. */
  readonly #special = new Uint8Array(256);
  #bytes = new Uint8Array(BUFFER_BYTES);
  #size = 0;
  /** binary: what the next piece of data has in front. Postgres sends it with the first row; psycopg counts on it. */
  #opening = BINARY_HEADER;

  /** @param columns  names, for the header and FORCE_QUOTE */
  constructor(options: CopyOptions, columns: readonly string[]) {
    this.#options = options;
    this.#null = utf8(options.nullText);
    this.#forceQuote = columns.map(
      (name) => options.forceQuote === '*' || options.forceQuote.includes(name),
    );
    if (options.format === 'csv') {
      for (const byte of [options.delimiter, options.quote, 0x0a, 0x0d]) this.#special[byte] = 1;
    } else {
      this.#special[options.delimiter] = options.delimiter;
      this.#special[BACKSLASH] = BACKSLASH;
      CONTROL_LETTERS.forEach((letter, i) => (this.#special[8 + i] = letter));
    }
  }

  /** What goes after the rows of binary data. */
  trailer(): Uint8Array {
    return this.#opened(BINARY_TRAILER);
  }

  /** The header line. The bytes are good until the next call. */
  header(columns: readonly string[]): Uint8Array {
    this.#size = 0;
    columns.forEach((name, i) => {
      if (i > 0) this.#byte(this.#options.delimiter);
      const bytes = utf8(name);
      if (this.#options.format === 'csv')
        this.#csvField(bytes, 0, bytes.length, false, columns.length === 1);
      else this.#textField(bytes, 0, bytes.length);
    });
    this.#byte(NEWLINE);
    return this.#bytes.subarray(0, this.#size);
  }

  /**
   * The COPY data of one DataRow. The bytes are good until the next call.
   *
   * @param at  where the message's fields begin, at their number
   * @param to  where it ends
   */
  row(message: Uint8Array, at: number, to: number): Uint8Array {
    if (this.#options.format === 'binary') return this.#opened(message.subarray(at, to));
    this.#size = 0;
    const csv = this.#options.format === 'csv';
    const count = (message[at]! << 8) | message[at + 1]!;
    let from = at + 2;
    for (let i = 0; i < count; i += 1) {
      if (i > 0) this.#byte(this.#options.delimiter);
      const size = int32At(message, from);
      from += 4;
      if (size === -1) {
        this.#copy(this.#null, 0, this.#null.length);
        continue;
      }
      if (csv)
        this.#csvField(message, from, from + size, this.#forceQuote[i] === true, count === 1);
      else this.#textField(message, from, from + size);
      from += size;
    }
    this.#byte(NEWLINE);
    return this.#bytes.subarray(0, this.#size);
  }

  #opened(piece: Uint8Array): Uint8Array {
    if (this.#opening.length === 0) return piece;
    const bytes = new Uint8Array(this.#opening.length + piece.length);
    bytes.set(this.#opening);
    bytes.set(piece, this.#opening.length);
    this.#opening = NOTHING;
    return bytes;
  }

  #textField(source: Uint8Array, start: number, end: number): void {
    this.#reserve(2 * (end - start));
    const special = this.#special;
    const bytes = this.#bytes;
    let size = this.#size;
    for (let at = start; at < end; at += 1) {
      const byte = source[at]!;
      const letter = special[byte]!;
      if (letter !== 0) {
        bytes[size] = BACKSLASH;
        bytes[size + 1] = letter;
        size += 2;
      } else {
        bytes[size] = byte;
        size += 1;
      }
    }
    this.#size = size;
  }

  #csvField(source: Uint8Array, start: number, end: number, force: boolean, alone: boolean): void {
    const { quote, escape } = this.#options;
    if (!force && !this.#needsQuotes(source, start, end, alone))
      return this.#copy(source, start, end);
    this.#reserve(2 * (end - start) + 2);
    this.#byte(quote);
    for (let at = start; at < end; at += 1) {
      const byte = source[at]!;
      if (byte === quote || byte === escape) this.#byte(escape);
      this.#byte(byte);
    }
    this.#byte(quote);
  }

  #needsQuotes(source: Uint8Array, start: number, end: number, alone: boolean): boolean {
    const length = end - start;
    if (length === this.#null.length && this.#null.every((byte, i) => source[start + i] === byte))
      return true;
    // It would end the data.
    if (alone && length === 2 && source[start] === BACKSLASH && source[start + 1] === 0x2e)
      return true;
    for (let at = start; at < end; at += 1) if (this.#special[source[at]!] !== 0) return true;
    return false;
  }

  #copy(source: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    this.#bytes.set(source.subarray(start, end), this.#size);
    this.#size += end - start;
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#size] = byte;
    this.#size += 1;
  }

  #reserve(count: number): void {
    const needed = this.#size + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
  }
}

/** Where the next DataRow begins in messages back to back, given where one begins. */
export function messageEnd(messages: Uint8Array, at: number): number {
  return at + 1 + int32At(messages, at + 1);
}

function int32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
