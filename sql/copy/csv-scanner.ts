// COPY's csv format, read. Pure.
//
// A quote anywhere in a field opens a quoted part, where delimiters and line ends are data and the escape
// character protects itself and the quote. A field that was quoted is not NULL unless FORCE_NULL says so.

import { utf8 } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { CopyOptions } from './options.ts';
import { END, Fields, INCOMPLETE, isLineEnd, LineEnds, sameBytes } from './scanner.ts';
import type { RowScanner } from './scanner.ts';

export class CsvScanner implements RowScanner {
  readonly fields = new Fields();
  readonly #lineEnds = new LineEnds(true);
  readonly #options: CopyOptions;
  readonly #null: Uint8Array;
  readonly #forceNull: readonly boolean[];
  readonly #forceNotNull: readonly boolean[];
  /** The field read last: its bytes, whether it was quoted, where it ended. */
  #source = new Uint8Array(0) as Uint8Array;
  #start = 0;
  #end = 0;
  #quoted = false;

  /** @param columns  names, for FORCE_NULL and FORCE_NOT_NULL */
  constructor(options: CopyOptions, columns: readonly string[]) {
    this.#options = options;
    this.#null = utf8(options.nullText);
    this.#forceNull = columns.map((name) => options.forceNull.includes(name));
    this.#forceNotNull = columns.map((name) => options.forceNotNull.includes(name));
  }

  scan(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const { fields } = this;
    fields.clear();
    if (start === end) return last ? END : INCOMPLETE;
    if (bytes[start] === 0x5c) {
      if (end - start < 3 && !last) return INCOMPLETE;
      const marker = bytes[start + 1] === 0x2e && start + 1 < end;
      if (marker && (start + 2 >= end || isLineEnd(bytes[start + 2]))) return END;
    }
    for (let at = start; ;) {
      const stop = this.#field(bytes, at, end, last);
      if (stop === INCOMPLETE) return INCOMPLETE;
      const isDelimiter = stop < end && bytes[stop] === this.#options.delimiter;
      let next = stop;
      if (!isDelimiter && stop < end) {
        next = this.#lineEnds.skip(bytes, stop, end, last);
        if (next === INCOMPLETE) return INCOMPLETE;
      }
      fields.add(this.#source, this.#start, this.#isNull() ? -1 : this.#end);
      if (!isDelimiter) {
        fields.lineEnd = stop;
        return next;
      }
      at = stop + 1;
    }
  }

  #isNull(): boolean {
    const { count } = this.fields;
    if (this.#forceNotNull[count] === true) return false;
    if (this.#quoted && this.#forceNull[count] !== true) return false;
    return sameBytes(this.#source, this.#start, this.#end, this.#null);
  }

  /** Reads a field; gives the offset of the delimiter, line end or end behind it, or INCOMPLETE. */
  #field(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const { delimiter, quote } = this.#options;
    for (let at = start; ; at += 1) {
      if (at === end && !last) return INCOMPLETE;
      const byte = at === end ? delimiter : bytes[at]!;
      if (byte === quote) return this.#quotedField(bytes, start, at, end, last);
      if (byte !== delimiter && !isLineEnd(byte)) continue;
      this.#source = bytes;
      this.#start = start;
      this.#end = at;
      this.#quoted = false;
      return at;
    }
  }

  /** A field with a quoted part that opens at `at`. */
  #quotedField(bytes: Uint8Array, start: number, at: number, end: number, last: boolean): number {
    const { delimiter, quote, escape } = this.#options;
    const parts: Uint8Array[] = [bytes.subarray(start, at)];
    let from = at + 1;
    let inside = true;
    const lineEnd = this.#lineEnds.inner;
    let lines = 0;
    for (at = from; ; at += 1) {
      if (at >= end) {
        if (!last) return INCOMPLETE;
        if (!inside) break;
        this.fields.lineEnd = end;
        throw new SqlError(SQLSTATE.badCopyFileFormat, 'unterminated CSV quoted field');
      }
      const byte = bytes[at]!;
      if (inside) {
        if (byte === lineEnd) lines += 1;
        if (byte === escape) {
          if (at + 1 === end && !last) return INCOMPLETE;
          const protects = at + 1 < end && (bytes[at + 1] === escape || bytes[at + 1] === quote);
          if (protects) {
            parts.push(bytes.subarray(from, at));
            from = at + 1;
            at += 1;
            continue;
          }
        }
        if (byte !== quote) continue;
        parts.push(bytes.subarray(from, at));
        from = at + 1;
        inside = false;
      } else if (byte === quote) {
        parts.push(bytes.subarray(from, at));
        from = at + 1;
        inside = true;
      } else if (byte === delimiter || isLineEnd(byte)) break;
    }
    parts.push(bytes.subarray(from, at));
    this.#join(parts);
    this.#quoted = true;
    this.fields.innerLines += lines;
    return at;
  }

  #join(parts: readonly Uint8Array[]): void {
    const filled = parts.filter((part) => part.length > 0);
    if (filled.length === 1) {
      this.#source = filled[0]!;
    } else {
      this.#source = new Uint8Array(filled.reduce((sum, part) => sum + part.length, 0));
      let size = 0;
      for (const part of filled) {
        this.#source.set(part, size);
        size += part.length;
      }
    }
    this.#start = 0;
    this.#end = this.#source.length;
  }
}
