// Chunks that a session has stored ahead of its transaction. Shell.
//
// Each is held until a transaction that names it is on its way, or until none will be: then it is taken back, so
// that what was rolled back takes no room. What cannot be taken back goes when the node starts (storage/
// unnamed-chunks.ts).

import { hex } from '../../ledger/bytes.ts';
import type { Operation } from '../../ledger/operation.ts';
import type { NodeServices } from './services.ts';

/** Chunks taken back in one step of the writer, which has others waiting: 0.15 ms each. */
const DROPPED_AT_ONCE = 32;

type ChunkServices = Pick<NodeServices, 'putChunk' | 'dropChunks'>;

export class HeldChunks {
  readonly #services: ChunkServices;
  #stored: Promise<Uint8Array>[] = [];

  constructor(services: ChunkServices) {
    this.#services = services;
  }

  /** Makes a chunk durable; resolves to its hash. */
  readonly put = (bytes: Uint8Array): Promise<Uint8Array> => {
    const stored = this.#services.putChunk(bytes);
    this.#stored.push(stored);
    return stored;
  };

  /** A transaction of these operations is on its way: what it names is its own, the rest is taken back. */
  settle(operations: readonly Operation[]): void {
    if (this.#stored.length === 0) return;
    const named = operations.flatMap((each) => (each.kind === 'chunks' ? each.hashes : []));
    this.#takeBack(new Set(named.map((hash) => hex(hash))));
  }

  /** No transaction will name any of them. */
  release(): void {
    if (this.#stored.length > 0) this.#takeBack(new Set());
  }

  #takeBack(named: ReadonlySet<string>): void {
    const stored = this.#stored;
    this.#stored = [];
    const drop = async (): Promise<void> => {
      const settled = await Promise.allSettled(stored);
      const hashes = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      const unused = hashes.filter((hash) => !named.has(hex(hash)));
      for (let at = 0; at < unused.length; at += DROPPED_AT_ONCE) {
        await this.#services.dropChunks(unused.slice(at, at + DROPPED_AT_ONCE));
      }
    };
    // Nobody waits for it.
    drop().catch(() => undefined);
  }
}
