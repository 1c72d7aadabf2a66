// The row versions that one transaction writes: their leaf hashes, in order of writing. Pure.
//
// A row written again keeps its place and gets a new hash. A transaction may write millions of rows, so
// neighbours are kept as runs and hashes in one buffer; an index by row is made only when it is needed.

import { assert } from '../ledger/error.ts';

const HASH_BYTES = 32;
const CAPACITY_MIN = 1;

interface Run {
  readonly relation: number;
  readonly firstRowId: bigint;
  /** Row id after its last one. */
  nextRowId: bigint;
  count: number;
  /** Place of its first leaf. */
  readonly leaf: number;
}

function extend(run: Pick<Run, 'nextRowId' | 'count'>): void {
  run.nextRowId += 1n;
  run.count++;
}

export class WrittenRows {
  #hashes = new Uint8Array(CAPACITY_MIN * HASH_BYTES);
  #count = 0;
  readonly #runs: Run[] = [];
  #places: Map<string, number> | null = null;

  get count(): number {
    return this.#count;
  }

  /** The leaf hashes back to back, 32 bytes each. */
  get hashes(): Uint8Array {
    return this.#hashes.subarray(0, this.#count * HASH_BYTES);
  }

  /** A row that this transaction has not written before. */
  add(relation: number, rowId: bigint, hash: Uint8Array): void {
    const place = this.#count++;
    if (this.#count * HASH_BYTES > this.#hashes.length) {
      const grown = new Uint8Array(this.#hashes.length * 2);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes.set(hash, place * HASH_BYTES);
    this.#places?.set(`${relation}:${rowId}`, place);
    const last = this.#runs.at(-1);
    if (last?.relation === relation && last.nextRowId === rowId) extend(last);
    else {
      const nextRowId = rowId + 1n;
      this.#runs.push({ relation, firstRowId: rowId, nextRowId, count: 1, leaf: place });
    }
  }

  /** A row that this transaction has written before. */
  replace(relation: number, rowId: bigint, hash: Uint8Array): void {
    if (this.#places === null) {
      this.#places = new Map();
      for (const row of this.rows()) this.#places.set(`${row.relation}:${row.rowId}`, row.place);
    }
    const place = this.#places.get(`${relation}:${rowId}`);
    assert(place !== undefined, `row ${rowId} of relation ${relation} was not written before`);
    this.#hashes.set(hash, place * HASH_BYTES);
  }

  *rows(): IterableIterator<{ relation: number; rowId: bigint; place: number }> {
    for (const run of this.#runs) {
      for (let i = 0; i < run.count; i++) {
        yield { relation: run.relation, rowId: run.firstRowId + BigInt(i), place: run.leaf + i };
      }
    }
  }
}

/** The rows that a transaction has inserted, by ordinal: an operation names the n-th of them -n. */
export class InsertedRows {
  readonly #runs: (Omit<Run, 'leaf'> & { readonly ordinal: number })[] = [];
  #count = 0;

  add(relation: number, rowId: bigint): void {
    this.#count++;
    const last = this.#runs.at(-1);
    if (last?.relation === relation && last.nextRowId === rowId) extend(last);
    else {
      const nextRowId = rowId + 1n;
      this.#runs.push({ relation, firstRowId: rowId, nextRowId, count: 1, ordinal: this.#count });
    }
  }

  /** Row id of the n-th inserted row (from 1), or null when there is none or it is another table's. */
  rowId(relation: number, n: bigint): bigint | null {
    const ordinal = Number(n);
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#runs[middle]!.ordinal <= ordinal) low = middle + 1;
      else high = middle;
    }
    const run = this.#runs[low - 1];
    if (run === undefined || run.relation !== relation) return null;
    const offset = ordinal - run.ordinal;
    return offset < run.count ? run.firstRowId + BigInt(offset) : null;
  }
}
