// Where the rows of a cursor come from, and where it stands among them. Pure.
//
// (1) A cursor stands before its first row, on a row, or after its last.
// (2) FETCH n returns the next n rows and stands on the last of them; when there are fewer, after the last
//     row. Backward likewise, down to before the first.

import { concat } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { RowBatch, RowSource } from '../readers/row-source.ts';

/** Of FETCH and MOVE. NEXT, PRIOR, FIRST and LAST are written with these. */
export type Direction = 'forward' | 'backward' | 'absolute' | 'relative';

/** Rows for FETCH … ALL. */
export const FETCH_ALL = Number.MAX_SAFE_INTEGER;

const NO_ROWS: RowBatch = { bytes: new Uint8Array(0), count: 0, done: true };

export interface CursorRows extends RowSource {
  /** @throws SqlError 55000 for a move that this cursor cannot make */
  fetch(direction: Direction, count: number): RowBatch | Promise<RowBatch>;
}

/** Reads a source once, from its beginning to its end. */
export class ForwardRows implements CursorRows {
  readonly #source: RowSource;
  /** Rows read. */
  #position = 0;
  #ended = false;

  constructor(source: RowSource) {
    this.#source = source;
  }

  async read(rowsMax: number): Promise<RowBatch> {
    const batch = await this.#source.read(rowsMax);
    this.#position += batch.count;
    this.#ended = batch.done;
    return batch;
  }

  async fetch(direction: Direction, count: number): Promise<RowBatch> {
    const onRow = this.#position > 0 && !this.#ended;
    const steps = direction === 'absolute' ? count - this.#position : count;
    if (count === 0 && !onRow) return NO_ROWS;
    if (direction === 'backward' || steps <= 0) throw forwardOnly();
    if (direction === 'forward') return this.#next(steps);
    const skipped = steps === 1 ? NO_ROWS : await this.#next(steps - 1);
    return skipped.count < steps - 1 ? NO_ROWS : this.#next(1);
  }

  async #next(count: number): Promise<RowBatch> {
    const parts: Uint8Array[] = [];
    let read = 0;
    while (read < count && !this.#ended) {
      const batch = await this.read(count === FETCH_ALL ? 0 : count - read);
      parts.push(batch.bytes);
      read += batch.count;
    }
    return { bytes: concat(...parts), count: read, done: this.#ended };
  }

  close(): void {
    this.#source.close();
  }
}

/** Rows that are all there, to be read in any direction. */
export class ScrollRows implements CursorRows {
  readonly #bytes: Uint8Array;
  /** Where each row begins, and where the last one ends. */
  readonly #offsets: readonly number[];
  /** 0: before the first row; the number of rows plus one: after the last. */
  #position = 0;

  /** @param bytes  DataRow messages, back to back */
  constructor(bytes: Uint8Array) {
    const offsets = [0];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let offset = 0; offset < bytes.length; offsets.push(offset)) {
      offset += 1 + view.getInt32(offset + 1);
    }
    this.#bytes = bytes;
    this.#offsets = offsets;
  }

  read(rowsMax: number): RowBatch {
    const batch = this.#forward(rowsMax === 0 ? FETCH_ALL : rowsMax);
    return { ...batch, done: this.#position > this.#count };
  }

  fetch(direction: Direction, count: number): RowBatch {
    switch (direction) {
      case 'forward':
        return count < 0 ? this.#backward(-count) : this.#forward(count);
      case 'backward':
        return count < 0 ? this.#forward(-count) : this.#backward(count);
      case 'relative':
        return this.#at(this.#position + count);
      case 'absolute':
        return this.#at(count < 0 ? this.#count + 1 + count : count);
    }
  }

  close(): void {}

  get #count(): number {
    return this.#offsets.length - 1;
  }

  #forward(count: number): RowBatch {
    if (count === 0) return this.#at(this.#position);
    const from = Math.min(this.#position, this.#count);
    const to = Math.min(from + count, this.#count);
    this.#position = from + count > this.#count ? this.#count + 1 : to;
    return this.#rows(from, to);
  }

  #backward(count: number): RowBatch {
    if (count === 0) return this.#at(this.#position);
    const from = this.#position - 1;
    const to = Math.max(from - count, 0);
    this.#position = Math.max(this.#position - count, 0);
    const rows: Uint8Array[] = [];
    for (let row = from; row > to; row -= 1) rows.push(this.#rows(row - 1, row).bytes);
    return { bytes: concat(...rows), count: rows.length, done: to === 0 };
  }

  /** Moves to a row and gives it. */
  #at(position: number): RowBatch {
    this.#position = Math.min(Math.max(position, 0), this.#count + 1);
    const onRow = this.#position > 0 && this.#position <= this.#count;
    return onRow ? this.#rows(this.#position - 1, this.#position) : NO_ROWS;
  }

  /** Rows `from` (counted from 0) up to, not including, `to`. */
  #rows(from: number, to: number): RowBatch {
    const bytes = this.#bytes.subarray(this.#offsets[from], this.#offsets[to]);
    return { bytes, count: to - from, done: to === this.#count };
  }
}

function forwardOnly(): SqlError {
  return new SqlError(SQLSTATE.objectNotInPrerequisiteState, 'cursor can only scan forward', {
    hint: 'Declare it with SCROLL option to enable backward scan.',
  });
}
