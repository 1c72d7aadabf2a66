// Where a portal's rows come from. Types and the sources that hold their rows in memory. Pure.

import { concat } from '../../ledger/bytes.ts';

/** Finished DataRow messages, back to back. */
export interface RowBatch {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** No rows follow. */
  readonly done: boolean;
}

export interface RowSource {
  /**
   * The next rows.
   *
   * @param rowsMax  at most that many; 0 for as many as make a good batch
   */
  read(rowsMax: number): RowBatch | Promise<RowBatch>;
  /** Takes the snapshot now, where the source would else wait for the first `read`. */
  open?(): Promise<void>;
  /** Lets go of what the source holds; may be called at any time, also twice. */
  close(): void;
}

/** Rows that are all there. */
export class BufferedRows implements RowSource {
  readonly #bytes: Uint8Array;
  readonly #count: number;
  #offset = 0;
  #sent = 0;

  constructor(bytes: Uint8Array, count: number) {
    this.#bytes = bytes;
    this.#count = count;
  }

  read(rowsMax: number): RowBatch {
    const left = this.#count - this.#sent;
    if (rowsMax === 0 || rowsMax >= left) {
      const bytes = this.#offset === 0 ? this.#bytes : this.#bytes.subarray(this.#offset);
      this.#offset = this.#bytes.length;
      this.#sent = this.#count;
      // Asked for exactly what is left, Postgres does not look whether more would come.
      return { bytes, count: left, done: rowsMax === 0 || rowsMax > left };
    }
    const start = this.#offset;
    for (let row = 0; row < rowsMax; row += 1)
      this.#offset += 1 + int32At(this.#bytes, this.#offset + 1);
    this.#sent += rowsMax;
    return { bytes: this.#bytes.subarray(start, this.#offset), count: rowsMax, done: false };
  }

  close(): void {}
}

/**
 * Reads a source to its end.
 *
 * @param tooLarge  the error for more than `bytesMax`
 */
export async function allRows(
  source: RowSource,
  bytesMax: number,
  tooLarge: () => Error,
): Promise<BufferedRows> {
  const parts: Uint8Array[] = [];
  let size = 0;
  let count = 0;
  try {
    for (;;) {
      const batch = await source.read(0);
      size += batch.bytes.length;
      if (size > bytesMax) throw tooLarge();
      // A reader's buffer may be used again for the next batch.
      parts.push(batch.bytes.slice());
      count += batch.count;
      if (batch.done) return new BufferedRows(concat(...parts), count);
    }
  } finally {
    source.close();
  }
}

/** Rows that were read before the portal asked for them, in order. */
export class RowQueue {
  readonly #batches: { bytes: Uint8Array; count: number }[] = [];
  /** Rows held. */
  count = 0;
  /** Their bytes. */
  bytes = 0;

  add({ bytes, count }: RowBatch): void {
    if (count === 0) return;
    this.#batches.push({ bytes, count });
    this.count += count;
    this.bytes += bytes.length;
  }

  clear(): void {
    this.#taken(this.#batches.length);
  }

  /**
   * The first `rowsMax` rows, or all if there are fewer.
   *
   * @param rowsMax  0: all
   * @param ended    no rows will come after those held
   */
  take(rowsMax: number, ended: boolean): RowBatch {
    if (rowsMax === 0) return { ...this.#taken(this.#batches.length), done: ended };
    let whole = 0;
    let count = 0;
    while (whole < this.#batches.length && count + this.#batches[whole]!.count <= rowsMax) {
      count += this.#batches[whole]!.count;
      whole += 1;
    }
    const next = this.#batches[whole];
    if (next !== undefined && count < rowsMax) this.#split(whole, rowsMax - count);
    // Asked for exactly what is left, Postgres does not look whether more would come.
    const taken = this.#taken(whole + (next !== undefined && count < rowsMax ? 1 : 0));
    return { ...taken, done: ended && taken.count < rowsMax };
  }

  /** Cuts a batch in two after `rows` rows. */
  #split(index: number, rows: number): void {
    const { bytes, count } = this.#batches[index]!;
    let offset = 0;
    for (let row = 0; row < rows; row += 1) offset += 1 + int32At(bytes, offset + 1);
    const first = { bytes: bytes.subarray(0, offset), count: rows };
    this.#batches.splice(index, 1, first, { bytes: bytes.subarray(offset), count: count - rows });
  }

  #taken(batches: number): { bytes: Uint8Array; count: number } {
    const taken = this.#batches.splice(0, batches);
    const bytes = taken.length === 1 ? taken[0]!.bytes : concat(...taken.map((each) => each.bytes));
    const count = taken.reduce((sum, each) => sum + each.count, 0);
    this.count -= count;
    this.bytes -= bytes.length;
    return { bytes, count };
  }
}

function int32At(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset]! << 24) |
    (bytes[offset + 1]! << 16) |
    (bytes[offset + 2]! << 8) |
    bytes[offset + 3]!
  );
}
