// COPY's text format, read. Pure.
//
// Fields are separated by the delimiter, rows by line ends; a backslash takes away the meaning of what
// follows it, or gives it one. `\.` on a line of its own ends the data.

import { utf8 } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { CopyOptions } from './options.ts';
import { END, Fields, INCOMPLETE, isLineEnd, LineEnds, sameBytes } from './scanner.ts';
import type { RowScanner } from './scanner.ts';

const PLAIN = 0;
const DELIMITER = 1;
const LINE_END = 2;
const BACKSLASH = 3;

/** What stands behind a backslash for a control character. */
const CONTROLS = new Map([
  [0x62, 8],
  [0x66, 12],
  [0x6e, 10],
  [0x72, 13],
  [0x74, 9],
  [0x76, 11],
]);

export class TextScanner implements RowScanner {
  readonly fields = new Fields();
  readonly #lineEnds = new LineEnds(false);
  readonly #null: Uint8Array;
  /** The meaning of each byte. */
  readonly #meaning = new Uint8Array(256);

  constructor({ delimiter, nullText }: Pick<CopyOptions, 'delimiter' | 'nullText'>) {
    this.#null = utf8(nullText);
    this.#meaning[0x0a] = LINE_END;
    this.#meaning[0x0d] = LINE_END;
    this.#meaning[0x5c] = BACKSLASH;
    this.#meaning[delimiter] = DELIMITER;
  }

  scan(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const { fields } = this;
    const meaning = this.#meaning;
    fields.clear();
    let from = start;
    let escaped = false;
    for (let at = start; at < end; at += 1) {
      const what = meaning[bytes[at]!]!;
      if (what === PLAIN) continue;
      if (what === DELIMITER) {
        this.#close(bytes, from, at, escaped);
        from = at + 1;
        escaped = false;
      } else if (what === LINE_END) {
        const next = this.#lineEnds.skip(bytes, at, end, last);
        if (next !== INCOMPLETE) this.#closeLine(bytes, from, at, escaped);
        return next;
      } else {
        if (at + 1 === end && !last) return INCOMPLETE;
        if (bytes[at + 1] === 0x2e && at + 1 < end)
          return this.#marker(bytes, start, from, at, end, last, escaped);
        escaped = true;
        at += 1;
      }
    }
    if (!last) return INCOMPLETE;
    if (start === end) return END;
    this.#closeLine(bytes, from, end, escaped);
    return end;
  }

  #close(bytes: Uint8Array, start: number, end: number, escaped: boolean): void {
    const { fields } = this;
    // The text for NULL is looked for before escapes are undone.
    if (sameBytes(bytes, start, end, this.#null)) fields.add(bytes, start, -1);
    else if (escaped) {
      const plain = unescaped(bytes, start, end);
      fields.add(plain, 0, plain.length);
    } else fields.add(bytes, start, end);
  }

  #closeLine(bytes: Uint8Array, start: number, end: number, escaped: boolean): void {
    this.#close(bytes, start, end, escaped);
    this.fields.lineEnd = end;
  }

  /** `\.` at `at`: what is before it on the line is the last row. */
  #marker(
    bytes: Uint8Array,
    start: number,
    from: number,
    at: number,
    end: number,
    last: boolean,
    escaped: boolean,
  ): number {
    if (at + 2 === end && !last) return INCOMPLETE;
    if (at + 2 < end && !isLineEnd(bytes[at + 2])) {
      throw new SqlError(SQLSTATE.badCopyFileFormat, 'end-of-copy marker corrupt');
    }
    if (at === start) return END;
    this.#closeLine(bytes, from, at, escaped);
    this.fields.last = true;
    return end;
  }
}

function isOctal(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x37;
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  const digit = parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(digit) ? -1 : digit;
}

function unescaped(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const plain = new Uint8Array(end - start);
  const byteAt = (at: number) => (at < end ? bytes[at] : undefined);
  let size = 0;
  for (let at = start; at < end;) {
    let byte = bytes[at]!;
    at += 1;
    if (byte === 0x5c) {
      // A backslash at the very end of the data means nothing.
      if (at === end) break;
      byte = bytes[at]!;
      at += 1;
      if (isOctal(byte)) {
        byte -= 0x30;
        for (let digits = 1; digits < 3 && isOctal(byteAt(at)); digits += 1) {
          byte = byte * 8 + bytes[at]! - 0x30;
          at += 1;
        }
        byte &= 0xff;
      } else if (byte === 0x78 && hexDigit(byteAt(at)) >= 0) {
        byte = 0;
        for (let digits = 0; digits < 2 && hexDigit(byteAt(at)) >= 0; digits += 1) {
          byte = byte * 16 + hexDigit(bytes[at]);
          at += 1;
        }
      } else byte = CONTROLS.get(byte) ?? byte;
    }
    plain[size] = byte;
    size += 1;
  }
  return plain.subarray(0, size);
}
