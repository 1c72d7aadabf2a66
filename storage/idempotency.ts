// Idempotency keys that may not be taken again yet: in memory for the search, in shard 0 for the next start. Shell.
//
// A key is taken until the time of a block has passed its `until`. Every transaction asks, so the search is in memory,
// and what a block has taken is stored as one row. Whether a key is taken depends on the chain alone: memory only
// forgets what has expired.

import { KEY_BYTES, TakenKeys } from './taken-keys.ts';
import type { Database, Statement } from './sqlite.ts';

/** Author, key and `until`, as they lie in a row: 8, 16 and 8 bytes. */
const ENTRY_BYTES = 32;
/** Block time between two looks for what has expired, in milliseconds. */
const FORGET_AFTER_MS = 60_000;

export class IdempotencyKeys {
  readonly #insert: Statement;
  readonly #delete: Statement;
  readonly #database: Database;
  /** Keys taken since the last look, and before it. */
  #recent = new TakenKeys();
  #older = new TakenKeys();
  #nextLookMs = 0;
  /** What the block at hand has taken. */
  readonly #block = new Entries();
  #untilMax = 0;

  /** @param database a connection whose main file is shard 0 */
  constructor(database: Database) {
    this.#database = database;
    this.#insert = database.prepare('INSERT INTO main._idempotency VALUES(?,?,?)');
    this.#delete = database.prepare('DELETE FROM main._idempotency WHERE until<?');
    this.reload();
  }

  /**
   * Takes a key.
   *
   * @param timeMs  time of the block
   * @returns false when it is taken
   */
  take(author: number, key: Uint8Array, untilMs: number, timeMs: number): boolean {
    if (timeMs >= this.#nextLookMs) this.#look(timeMs);
    const taken = this.#untilOf(author, key);
    if (taken !== undefined && taken >= timeMs) return false;
    this.#recent.set(author, key, untilMs);
    this.#block.add(author, key, untilMs);
    this.#untilMax = Math.max(this.#untilMax, untilMs);
    return true;
  }

  /** Stores what the block has taken, in the open transaction. */
  store(height: number): void {
    const entries = this.#block.bytes;
    if (entries.length === 0) return;
    this.#insert.run(BigInt(height), BigInt(this.#untilMax), entries);
    this.#forgetBlock();
  }

  /** Forgets rows all of whose keys had expired at `timeMs`. */
  forget(timeMs: number): void {
    this.#delete.run(BigInt(timeMs));
  }

  /** Reads again what is kept in memory. */
  reload(): void {
    this.forgetAll();
    this.#read(0);
  }

  /** Holds nothing in memory until the next `reload`. */
  forgetAll(): void {
    this.#recent = new TakenKeys();
    this.#older = new TakenKeys();
    this.#nextLookMs = 0;
    this.#forgetBlock();
  }

  #forgetBlock(): void {
    this.#block.clear();
    this.#untilMax = 0;
  }

  /** Learns what a block has taken that another connection has applied. */
  follow(height: number): void {
    this.#read(height);
  }

  /** The entries of those among a block's keys that are in memory, for `learn`. */
  entriesOf(keys: Iterable<{ readonly author: number; readonly key: Uint8Array }>): Uint8Array {
    const entries = new Entries();
    for (const { author, key } of keys) {
      const until = this.#untilOf(author, key);
      if (until !== undefined) entries.add(author, key, until);
    }
    return entries.bytes.slice();
  }

  /** Holds these in memory. */
  learn(entries: Uint8Array): void {
    const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
    for (let at = 0; at + ENTRY_BYTES <= entries.length; at += ENTRY_BYTES) {
      const key = entries.subarray(at + 8, at + 8 + KEY_BYTES);
      this.#recent.set(view.getFloat64(at), key, view.getFloat64(at + 8 + KEY_BYTES));
    }
  }

  #read(fromHeight: number): void {
    const rows = this.#database
      .prepare('SELECT keys FROM main._idempotency WHERE height>=? ORDER BY height')
      .pluck()
      .iterate(BigInt(fromHeight)) as Iterable<Uint8Array>;
    for (const entries of rows) this.learn(entries);
  }

  #untilOf(author: number, key: Uint8Array): number | undefined {
    return this.#recent.untilOf(author, key) ?? this.#older.untilOf(author, key);
  }

  /** Drops keys that had expired, of those taken before the last look. */
  #look(timeMs: number): void {
    this.#recent.addTaken(this.#older, timeMs);
    this.#older = this.#recent;
    // As many are to be expected until the next look.
    this.#recent = new TakenKeys(this.#older.size);
    this.#nextLookMs = timeMs + FORGET_AFTER_MS;
  }
}

/** Entries back to back. */
class Entries {
  #bytes = new Uint8Array(64 * ENTRY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** A view, good until the next change. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  add(author: number, key: Uint8Array, untilMs: number): void {
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#view.setFloat64(this.#length, author);
    this.#bytes.set(key, this.#length + 8);
    this.#view.setFloat64(this.#length + 8 + KEY_BYTES, untilMs);
    this.#length += ENTRY_BYTES;
  }

  clear(): void {
    this.#length = 0;
  }
}
