// What the three formats of COPY data have in common when they are read. Pure.
//
// A scanner cuts one row at a time out of the bytes at hand and says where its fields lie; nothing is copied
// but fields with escapes. It remembers nothing of a row that is not complete: it will be given that row
// again, with more bytes.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';

/** The row goes on behind the bytes at hand. */
export const INCOMPLETE = -1;
/** There are no more rows. */
export const END = -2;

export interface RowScanner {
  readonly fields: Fields;
  /**
   * Reads the row at `start`.
   *
   * @param end   where the bytes at hand end
   * @param last  nothing follows them
   * @returns     where the next row begins, INCOMPLETE or END
   * @throws SqlError 22P04
   */
  scan(bytes: Uint8Array, start: number, end: number, last: boolean): number;
}

/** The fields of the row read last. */
export class Fields {
  count = 0;
  /** Each field is a range of bytes; its end is -1 for NULL. */
  readonly sources: Uint8Array[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** Where its line ends, without the line end itself; -1 as long as that is not known. */
  lineEnd = -1;
  /** Line ends inside quoted fields. */
  innerLines = 0;
  /** The end marker stood behind this row. */
  last = false;

  clear(): void {
    this.count = 0;
    this.lineEnd = -1;
    this.innerLines = 0;
    this.last = false;
  }

  add(source: Uint8Array, start: number, end: number): void {
    const at = this.count;
    this.sources[at] = source;
    this.starts[at] = start;
    this.ends[at] = end;
    this.count = at + 1;
  }
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Line ends of one kind: the first one decides. */
export class LineEnds {
  #style: 'unknown' | 'newline' | 'return' | 'both' = 'unknown';
  readonly #csv: boolean;

  constructor(csv: boolean) {
    this.#csv = csv;
  }

  /** The byte that counts as a line end inside quotes: as Postgres counts, which takes a line to learn. */
  get inner(): number {
    return this.#style === 'newline' ? NEWLINE : RETURN;
  }

  /** Where the next line begins, when a line end stands at `at`; INCOMPLETE when more must be seen. */
  skip(bytes: Uint8Array, at: number, end: number, last: boolean): number {
    if (bytes[at] === NEWLINE) {
      if (this.#style === 'return' || this.#style === 'both') throw this.#literal('newline', '\\n');
      this.#style = 'newline';
      return at + 1;
    }
    if (this.#style === 'newline') throw this.#literal('carriage return', '\\r');
    if (this.#style === 'return') return at + 1;
    if (at + 1 === end && !last) return INCOMPLETE;
    if (at + 1 < end && bytes[at + 1] === NEWLINE) {
      this.#style = 'both';
      return at + 2;
    }
    if (this.#style === 'both') throw this.#literal('carriage return', '\\r');
    this.#style = 'return';
    return at + 1;
  }

  #literal(what: string, escape: string): SqlError {
    const hint = this.#csv
      ? `Use quoted CSV field to represent ${what}.`
      : `Use "${escape}" to represent ${what}.`;
    const message = `${this.#csv ? 'unquoted' : 'literal'} ${what} found in data`;
    return new SqlError(SQLSTATE.badCopyFileFormat, message, { hint });
  }
}

export function isLineEnd(byte: number | undefined): boolean {
  return byte === NEWLINE || byte === RETURN;
}

/** Whether the bytes from `start` to `end` are `text`. */
export function sameBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  text: Uint8Array,
): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i += 1) if (bytes[start + i] !== text[i]) return false;
  return true;
}
