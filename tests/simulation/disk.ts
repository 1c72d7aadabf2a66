// A disk that keeps what was synced, and of the rest a beginning, perhaps torn. Pure.

import type { Block } from '../../ledger/block.ts';
import { decodeDurable } from '../../consensus/core/codec.ts';
import type { DurableRecord, DurableState } from '../../consensus/core/durable.ts';
import type { SignedBlock } from '../../consensus/core/message.ts';
import type { Stream } from './random.ts';

export type Entry =
  | { readonly kind: 'records'; readonly token: number; readonly records: readonly Uint8Array[] }
  | {
      readonly kind: 'block';
      readonly block: Block;
      readonly hash: Uint8Array;
      readonly signed: SignedBlock;
    };

export class Disk {
  readonly log: Entry[] = [];
  /** Entries that survive. */
  synced = 0;
  #token = 0;
  readonly #decoded = new WeakMap<Uint8Array, DurableRecord>();
  /** What no longer has its checksum. */
  readonly #rotten = new Set<Entry>();

  append(entry: Entry): void {
    this.log.push(entry);
  }

  /** @returns the greatest token among what is durable now */
  sync(upTo: number): number {
    for (const end = Math.min(upTo, this.log.length); this.synced < end; this.synced++) {
      const entry = this.log[this.synced]!;
      if (entry.kind === 'records') this.#token = entry.token;
    }
    return this.#token;
  }

  /** The process dies: of what was not synced some may be there, all before it too. */
  crash(random: Stream): void {
    const kept = this.synced + random.below(this.log.length - this.synced + 1);
    this.log.length = kept;
    this.synced = kept;
    this.#token = 0;
  }

  lose(): void {
    this.log.length = 0;
    this.synced = 0;
  }

  /**
   * Bytes of records change at rest, though not of the newest: those look torn, as if nothing had stood on them, and
   * their member counts among those that lie.
   *
   * @returns false when there is nothing to change
   */
  rot(random: Stream): boolean {
    const written = this.log.slice(0, this.synced).filter(({ kind }) => kind === 'records');
    if (written.length < 2) return false;
    this.#rotten.add(written[random.below(written.length - 1)]!);
    return true;
  }

  /** At a start. @returns whether the records were not to be trusted, and are gone */
  dropRotten(): boolean {
    if (!this.log.some((entry) => this.#rotten.has(entry))) return false;
    this.#rotten.clear();
    const blocks = [...this.blocks()];
    this.log.splice(0, this.log.length, ...blocks);
    this.synced = blocks.length;
    return true;
  }

  /** The newest durable vote state of an epoch. */
  state(epoch: number): DurableState | null {
    for (let at = this.synced - 1; at >= 0; at--) {
      const entry = this.log[at]!;
      if (entry.kind !== 'records') continue;
      const record = this.#decode(entry.records.at(-1)!);
      if (record.kind === 'state') return record.epoch === epoch ? record : null;
    }
    return null;
  }

  /** Asked for with every vote. */
  #decode(bytes: Uint8Array): DurableRecord {
    const known = this.#decoded.get(bytes);
    if (known !== undefined) return known;
    const record = decodeDurable(bytes);
    this.#decoded.set(bytes, record);
    return record;
  }

  /** Hashes of the durable blocks, as records or confirmed. */
  *records(): Iterable<Uint8Array> {
    for (const entry of this.log) if (entry.kind === 'records') yield* entry.records;
  }

  *blocks(): Iterable<Extract<Entry, { kind: 'block' }>> {
    for (const entry of this.log) if (entry.kind === 'block') yield entry;
  }
}
