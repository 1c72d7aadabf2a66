// Where a portal's rows come from. Types and the sources that hold their rows in memory. Pure.

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
    for (let row = 0; row < rowsMax; row += 1) this.#offset += 1 + int32At(this.#bytes, this.#offset + 1);
    this.#sent += rowsMax;
    return { bytes: this.#bytes.subarray(start, this.#offset), count: rowsMax, done: false };
  }

  close(): void {}
}

function int32At(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!
  );
}
