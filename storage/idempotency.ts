// Idempotency keys that may not be taken again yet: in memory for the search, in shard 0 for the next start. Shell.
//
// A key is taken until the time of a block has passed its `until`. Every transaction asks, so the search is a Map,
// and what a block has taken is stored as one row. Whether a key is taken depends on the chain alone: memory only
// forgets what has expired.

import { concat } from '../ledger/bytes.ts';
import type { Database, Statement } from './sqlite.ts';

/** Author, key and `until`, as they lie in a row: 8, 16 and 8 bytes. */
const ENTRY_BYTES = 32;
const KEY_BYTES = 16;
/** Block time between two looks for what has expired, in milliseconds. */
const FORGET_AFTER_MS = 60_000;

export class IdempotencyKeys {
  readonly #insert: Statement;
  readonly #delete: Statement;
  readonly #database: Database;
  /** `until` by name of the key, of keys taken since the last look and before it. */
  #recent = new Map<string, number>();
  #older = new Map<string, number>();
  #nextLookMs = 0;
  /** What the block at hand has taken. */
  #entries = new Uint8Array(64 * ENTRY_BYTES);
  #count = 0;
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
    const name = nameOf(author, key);
    const taken = this.#untilOf(name);
    if (taken !== undefined && taken >= timeMs) return false;
    this.#recent.set(name, untilMs);
    this.#note(author, key, untilMs);
    return true;
  }

  /** Stores what the block has taken, in the open transaction. */
  store(height: number): void {
    if (this.#count === 0) return;
    const entries = this.#entries.subarray(0, this.#count * ENTRY_BYTES);
    this.#insert.run(BigInt(height), BigInt(this.#untilMax), entries);
    this.#count = 0;
    this.#untilMax = 0;
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
    this.#recent = new Map();
    this.#older = new Map();
    this.#nextLookMs = 0;
    this.#count = 0;
    this.#untilMax = 0;
  }

  /** Learns what a block has taken that another connection has applied. */
  follow(height: number): void {
    this.#read(height);
  }

  /** The entries of those among a block's keys that are in memory, for `learn`. */
  entriesOf(keys: Iterable<{ readonly author: number; readonly key: Uint8Array }>): Uint8Array {
    const entries: Uint8Array[] = [];
    for (const { author, key } of keys) {
      const until = this.#untilOf(nameOf(author, key));
      if (until !== undefined) entries.push(entryOf(author, key, until));
    }
    return concat(...entries);
  }

  /** Holds these in memory. */
  learn(entries: Uint8Array): void {
    const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
    for (let at = 0; at + ENTRY_BYTES <= entries.length; at += ENTRY_BYTES) {
      const key = entries.subarray(at + 8, at + 8 + KEY_BYTES);
      this.#recent.set(nameOf(view.getFloat64(at), key), view.getFloat64(at + 8 + KEY_BYTES));
    }
  }

  #read(fromHeight: number): void {
    const rows = this.#database
      .prepare('SELECT keys FROM main._idempotency WHERE height>=? ORDER BY height')
      .pluck()
      .iterate(BigInt(fromHeight)) as Iterable<Uint8Array>;
    for (const entries of rows) this.learn(entries);
  }

  #untilOf(name: string): number | undefined {
    return this.#recent.get(name) ?? this.#older.get(name);
  }

  #note(author: number, key: Uint8Array, untilMs: number): void {
    const at = this.#count * ENTRY_BYTES;
    if (at === this.#entries.length) {
      const grown = new Uint8Array(at * 2);
      grown.set(this.#entries);
      this.#entries = grown;
    }
    writeEntry(this.#entries.subarray(at, at + ENTRY_BYTES), author, key, untilMs);
    this.#count += 1;
    this.#untilMax = Math.max(this.#untilMax, untilMs);
  }

  /** Drops keys that had expired, of those taken before the last look. */
  #look(timeMs: number): void {
    for (const [name, untilMs] of this.#older) {
      if (untilMs >= timeMs && !this.#recent.has(name)) this.#recent.set(name, untilMs);
    }
    this.#older = this.#recent;
    this.#recent = new Map();
    this.#nextLookMs = timeMs + FORGET_AFTER_MS;
  }
}

function entryOf(author: number, key: Uint8Array, untilMs: number): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  writeEntry(entry, author, key, untilMs);
  return entry;
}

function writeEntry(entry: Uint8Array, author: number, key: Uint8Array, untilMs: number): void {
  const view = new DataView(entry.buffer, entry.byteOffset, ENTRY_BYTES);
  view.setFloat64(0, author);
  entry.set(key, 8);
  view.setFloat64(8 + KEY_BYTES, untilMs);
}

function nameOf(author: number, key: Uint8Array): string {
  const bytes = Buffer.from(key.buffer, key.byteOffset, KEY_BYTES);
  return `${author}:${bytes.toString('latin1')}`;
}
