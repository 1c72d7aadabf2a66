// Chunks that a session has stored ahead of its transaction. Shell.
//
// Each is held until the outcome of a transaction that names it is known, or until there will be none: then it is taken
// back, so that what was rolled back takes no room. What a block has named stays whoever takes it back (storage/
// unnamed-chunks.ts).

import { hex } from '../../ledger/bytes.ts';
import { chunksOf } from '../../ledger/chunks.ts';
import type { Operation } from '../../ledger/operation.ts';
import type { NodeServices } from './services.ts';

type ChunkServices = Pick<NodeServices, 'putChunk' | 'dropChunks' | 'settleChunks'>;

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

  /**
   * A transaction of these operations is on its way: what it does not name is taken back.
   *
   * @returns what is to be called when its outcome is known
   */
  settle(operations: readonly Operation[]): () => void {
    const stored = this.#stored;
    this.#stored = [];
    if (stored.length === 0) return () => undefined;
    const named = new Set(chunksOf(operations).map(hex));
    const isNamed = (hash: Uint8Array): boolean => named.has(hex(hash));
    void this.#takeBack(stored, (hash) => !isNamed(hash));
    return () =>
      void settledOf(stored).then((hashes) => this.#services.settleChunks(hashes.filter(isNamed)));
  }

  /** No transaction will name any of them. */
  release(): void {
    const stored = this.#stored;
    this.#stored = [];
    if (stored.length > 0) void this.#takeBack(stored, () => true);
  }

  async #takeBack(
    stored: readonly Promise<Uint8Array>[],
    isUnused: (hash: Uint8Array) => boolean,
  ): Promise<void> {
    const unused = (await settledOf(stored)).filter(isUnused);
    try {
      await this.#services.dropChunks(unused);
    } catch {
      // Nobody waits for it.
    }
  }
}

async function settledOf(stored: readonly Promise<Uint8Array>[]): Promise<Uint8Array[]> {
  const settled = await Promise.allSettled(stored);
  return settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
}
