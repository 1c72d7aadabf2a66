// COPY's binary format, read. Pure.
//
// A signature, flags and an extension that is skipped; then for each row the number of its fields and for each
// field its length (-1 for NULL) and its bytes; -1 fields end the data.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { END, Fields, INCOMPLETE } from './scanner.ts';
import type { RowScanner } from './scanner.ts';

/** What binary COPY data begins with. */
export const SIGNATURE = Uint8Array.of(
  0x50,
  0x47,
  0x43,
  0x4f,
  0x50,
  0x59,
  0x0a,
  0xff,
  0x0d,
  0x0a,
  0,
);

export class BinaryScanner implements RowScanner {
  readonly fields = new Fields();
  readonly #columns: number;
  #begun = false;

  constructor(columns: number) {
    this.#columns = columns;
  }

  scan(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const { fields } = this;
    fields.clear();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = start;
    if (!this.#begun) {
      at = header(bytes, view, start, end, last);
      if (at === INCOMPLETE) return INCOMPLETE;
    }
    const more = (size: number): boolean => {
      if (at + size <= end) return true;
      if (last) throw malformed('unexpected EOF in COPY data');
      return false;
    };
    if (last && at === end) return END;
    if (!more(2)) return INCOMPLETE;
    const count = view.getInt16(at);
    at += 2;
    if (count === -1) {
      if (at < end) throw malformed('received copy data after EOF marker');
      return last ? END : INCOMPLETE;
    }
    if (count !== this.#columns) {
      throw malformed(`row field count is ${count}, expected ${this.#columns}`);
    }
    for (let i = 0; i < count; i += 1) {
      if (!more(4)) return INCOMPLETE;
      const size = view.getInt32(at);
      at += 4;
      if (size < -1) throw malformed('invalid field size');
      if (size > 0 && !more(size)) return INCOMPLETE;
      fields.add(bytes, at, size === -1 ? -1 : at + size);
      if (size > 0) at += size;
    }
    this.#begun = true;
    fields.lineEnd = at;
    return at;
  }
}

function header(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  last: boolean,
): number {
  for (let i = 0; i < SIGNATURE.length && start + i < end; i += 1) {
    if (bytes[start + i] !== SIGNATURE[i]) throw malformed('COPY file signature not recognized');
  }
  const fixed = start + SIGNATURE.length;
  if (fixed + 8 > end) {
    if (!last) return INCOMPLETE;
    if (fixed > end) throw malformed('COPY file signature not recognized');
    throw malformed(`invalid COPY file header (missing ${fixed + 4 > end ? 'flags' : 'length'})`);
  }
  const flags = view.getUint32(fixed);
  if ((flags & 0x10000) !== 0) throw malformed('invalid COPY file header (WITH OIDS)');
  if (flags >>> 16 !== 0) throw malformed('unrecognized critical flags in COPY file header');
  const extension = view.getInt32(fixed + 4);
  if (extension < 0) throw malformed('invalid COPY file header (missing length)');
  const at = fixed + 8 + extension;
  if (at <= end) return at;
  if (last) throw malformed('invalid COPY file header (wrong length)');
  return INCOMPLETE;
}

function malformed(message: string): SqlError {
  return new SqlError(SQLSTATE.badCopyFileFormat, message);
}
