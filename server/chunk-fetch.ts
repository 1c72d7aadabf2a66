// Chunks of large transactions that a node alone has ordered, brought by a node that catches up with its blocks. Shell.
//
// A block names them by their hashes, and its node has them beside its blocks; in a cluster there are none. They are
// stored here before the block that names them is: so a block that is stored can be executed.

import { equal, hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { decodeAnswer, encodeQuestion } from '../ledger/encoding-repair.ts';
import { isFormatError, StorageError } from '../ledger/error.ts';
import { chunkHash } from '../ledger/hash.ts';
import { CHUNK_FETCH_MS_MAX, CHUNK_RETRY_MS, REPAIR_TIMEOUT_MS } from './limits.ts';
import type { Clock } from './clock.ts';
import { isPeerError } from './peers/requests.ts';
import type { RepairPeers } from './repair.ts';

export interface ChunkFetchOptions {
  readonly peers: RepairPeers;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** Makes a chunk durable. */
  readonly put: (bytes: Uint8Array) => Promise<unknown>;
}

export class ChunkFetch {
  readonly #options: ChunkFetchOptions;
  readonly #stopping = new AbortController();

  constructor(options: ChunkFetchOptions) {
    this.#options = options;
  }

  /**
   * Resolves when all chunks of these hashes are durable here.
   *
   * @throws StorageError io when no peer has one in time, or when this is stopped: the block cannot be executed
   */
  async bring(hashes: readonly Uint8Array[]): Promise<void> {
    for (const hash of hashes) await this.#options.put(await this.#fetch(hash));
  }

  /** What is still missing is given up. */
  stop(): void {
    this.#stopping.abort();
  }

  async #fetch(hash: Uint8Array): Promise<Uint8Array> {
    const { peers, clock } = this.#options;
    const end = clock.elapsed() + CHUNK_FETCH_MS_MAX;
    while (clock.elapsed() < end && !this.#stopping.signal.aborted) {
      for (const { key, connectedSinceMs } of peers.peers()) {
        const found = connectedSinceMs === null ? null : await this.#ask(key, hash);
        if (found !== null) return found;
      }
      await new Promise((resolve) => setTimeout(resolve, CHUNK_RETRY_MS));
    }
    const message = `no peer has given chunk ${hex(hash)} of a large transaction; start again when one is there`;
    throw new StorageError('io', message);
  }

  /** @returns null unless the peer has given what has this hash */
  async #ask(key: string, hash: Uint8Array): Promise<Uint8Array | null> {
    const { peers, crypto } = this.#options;
    const question = encodeQuestion({ kind: 'chunk', hash });
    try {
      const { signal } = this.#stopping;
      const answer = decodeAnswer(await peers.request(key, question, REPAIR_TIMEOUT_MS, signal));
      if (answer.kind !== 'chunk' || !equal(chunkHash(crypto, answer.bytes), hash)) return null;
      return answer.bytes;
    } catch (error) {
      if (isPeerError(error) || isFormatError(error)) return null;
      throw error;
    }
  }
}
