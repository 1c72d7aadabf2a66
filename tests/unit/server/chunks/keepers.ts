// Nodes that exchange chunks, without network, disk and clock.

import { hex } from '../../../../ledger/bytes.ts';
import { decodeQuestion, encodeAnswer } from '../../../../ledger/encoding-repair.ts';
import type { ChunkAnswer, ChunkQuestion } from '../../../../ledger/encoding-repair.ts';
import { StorageError } from '../../../../ledger/error.ts';
import { chunkHash } from '../../../../ledger/hash.ts';
import { ChunkKeeper } from '../../../../server/chunks/keeper.ts';
import type { ChunkKeeperOptions } from '../../../../server/chunks/keeper.ts';
import { PeerError } from '../../../../server/peers/requests.ts';
import type { Peers } from '../../../../server/peers/requests.ts';
import { crypto } from '../../storage/ledger-fixture.ts';

export const SWEEP_MS = 2;

/** What the writer keeps: each chunk as often as it was put, and those that a block names. */
export class Shelf {
  readonly holders = new Map<string, number>();
  readonly bytes = new Map<string, Uint8Array>();
  readonly named = new Set<string>();

  async putChunk(bytes: Uint8Array): Promise<Uint8Array> {
    await Promise.resolve();
    const hash = chunkHash(crypto, bytes);
    this.bytes.set(hex(hash), bytes);
    this.holders.set(hex(hash), (this.holders.get(hex(hash)) ?? 0) + 1);
    return hash;
  }

  async dropChunks(hashes: readonly Uint8Array[]): Promise<void> {
    await Promise.resolve();
    for (const name of hashes.map(hex)) {
      const holders = (this.holders.get(name) ?? 0) - 1;
      this.holders.set(name, holders);
      if (holders === 0 && !this.named.has(name)) this.bytes.delete(name);
    }
  }

  chunk(hash: Uint8Array): Uint8Array {
    const bytes = this.bytes.get(hex(hash));
    if (bytes === undefined) throw new StorageError('damaged', 'missing');
    return bytes;
  }

  isNamed(hash: Uint8Array): boolean {
    return this.named.has(hex(hash));
  }
}

export type Answer = (question: ChunkQuestion, from: string) => Promise<ChunkAnswer>;

/** All nodes by name; one that is not here is down. */
export class World {
  readonly nodes = new Map<string, Answer>();
  readonly asked: string[] = [];
  nowMs = 0;

  peersOf(own: string): Peers {
    return {
      connected: () => [...this.nodes.keys()].filter((key) => key !== own),
      request: async (key, bytes) => {
        const node = this.nodes.get(key);
        if (node === undefined) throw new PeerError('down');
        const question = decodeQuestion(bytes) as ChunkQuestion;
        this.asked.push(`${own} ${question.kind} ${key}`);
        return encodeAnswer(await node(question, own));
      },
    };
  }

  keeper(name: string, options: Partial<ChunkKeeperOptions> = {}) {
    const shelf = new Shelf();
    const used: Uint8Array[] = [];
    const state = { arrived: 0, starting: false };
    const keeper = new ChunkKeeper({
      crypto,
      storage: shelf,
      adopted: [],
      peers: this.peersOf(name),
      clock: { now: () => this.nowMs, elapsed: () => this.nowMs },
      log: { error: nothing, warn: nothing, info: nothing, debug: nothing },
      inUse: () => (state.starting ? null : used),
      onArrived: () => (state.arrived += 1),
      sweepMs: SWEEP_MS,
      ...options,
    });
    const signal = new AbortController().signal;
    this.nodes.set(name, (question, from) => keeper.answer(from, question, signal));
    return { keeper, shelf, used, state };
  }
}

function nothing(): void {
  // Nobody reads it.
}

/** A chunk of so many bytes. */
export function chunkOf(length: number, first: number): Uint8Array {
  return new Uint8Array(length).fill(first);
}

export const hashOf = (bytes: Uint8Array): Uint8Array => chunkHash(crypto, bytes);

/** Waits until something is so. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 2_000) throw new Error('it never is');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Some sweeps and answers later. */
export async function awhile(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 10 * SWEEP_MS));
}
