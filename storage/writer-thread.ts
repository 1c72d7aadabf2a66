// The writer's worker thread: recovers the ledger, then does for storage/writer.ts what takes long. Shell.
//
// It executes blocks that are too big for the main thread, stores the chunks of large transactions, and folds logs
// into their files. Requests are answered in their order. It holds connections of its own; who writes to the state at a
// time, it or the main thread, is the main thread's to say.

import { parentPort, workerData } from 'node:worker_threads';
import { chunksIn } from '../ledger/chunks.ts';
import { decodeBody } from '../ledger/encoding.ts';
import { assert, isStorageError } from '../ledger/error.ts';
import { chunkHash } from '../ledger/hash.ts';
import { decodeTransactions } from './apply.ts';
import { BlockStore } from './block-store.ts';
import { ChainWriter } from './chain-writer.ts';
import { readDataDirectory, shardFile } from './data-directory.ts';
import { Executor } from './executor.ts';
import { foldState } from './fold.ts';
import { nativeCrypto } from './native-crypto.ts';
import { storageErrorOf } from './sqlite.ts';
import { checkAtStart } from './start-check.ts';
import { StateStore } from './state-store.ts';
import { UnnamedChunks } from './unnamed-chunks.ts';
import type { UnnamedChunk } from './unnamed-chunks.ts';
import type { StorageFault } from '../ledger/error.ts';
import type { AppliedBlock } from './apply.ts';
import type { DataDirectory } from './data-directory.ts';

export interface WriterThreadData {
  readonly directory: string;
  /** Public key of this node. */
  readonly node: Uint8Array;
}

/** What the thread needs of a block. */
export interface BlockAway {
  readonly height: number;
  readonly timeMs: number;
  readonly body: Uint8Array;
  /** Of its idempotency keys those that blocks before it have taken, as storage/idempotency.ts has them. */
  readonly taken: Uint8Array;
  /** Whether the logs are long: after the block they can begin anew, because nobody else writes. */
  readonly fold: boolean;
}

export type WriterRequest =
  | { readonly id: number; readonly kind: 'execute'; readonly block: BlockAway }
  | { readonly id: number; readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly id: number; readonly kind: 'unnamed' }
  | { readonly id: number; readonly kind: 'drop'; readonly hashes: readonly Uint8Array[] }
  | { readonly id: number; readonly kind: 'adopt' }
  | { readonly id: number; readonly kind: 'fold' }
  | { readonly id: number; readonly kind: 'close' };

/**
 * Encoded receipts back to back, and where each ends: a byte array of its own for each would cost the two threads
 * more than the rest of the message.
 */
export interface PackedReceipts {
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
}

/** A failure as it crosses the thread: `fault` is null when it is not a StorageError. */
export interface WriterFailure {
  readonly fault: StorageFault | null;
  readonly message: string;
}

export type WriterReply =
  | { readonly kind: 'recovered' }
  | {
      readonly kind: 'executed';
      readonly id: number;
      readonly receipts: PackedReceipts;
      readonly receiptsRoot: Uint8Array;
    }
  | { readonly kind: 'chunk'; readonly id: number; readonly hash: Uint8Array }
  | { readonly kind: 'unnamed'; readonly id: number; readonly any: boolean }
  | {
      readonly kind: 'adopted';
      readonly id: number;
      readonly chunks: readonly UnnamedChunk[];
    }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number | null; readonly failure: WriterFailure };

const port = parentPort;
assert(port !== null, 'storage/writer-thread.ts runs as a worker');

function reply(message: WriterReply): void {
  port!.postMessage(message);
}

function failureOf(error: unknown): WriterFailure {
  if (isStorageError(error)) return { fault: error.fault, message: error.message };
  const message = Error.isError(error) ? (error.stack ?? error.message) : String(error);
  return { fault: null, message };
}

/** The connections of this thread, each opened when it is first needed. */
class Hand {
  readonly #data: DataDirectory;
  readonly #chunks: UnnamedChunks;
  #blocks: BlockStore | null = null;
  #executor: Executor | null = null;

  constructor(data: DataDirectory) {
    this.#data = data;
    this.#chunks = new UnnamedChunks(data.path);
  }

  /** Executes a durable block and commits. The main thread has committed what it has executed before. */
  execute({ height, timeMs, body, taken, fold }: BlockAway): AppliedBlock {
    const executor = this.#executorNow();
    const { state } = executor;
    const { bundles } = decodeBody(body);
    try {
      state.catchUp(taken);
      state.begin();
      const transactions = decodeTransactions(nativeCrypto, bundles);
      const applied = executor.apply({ height, timeMs, bundles, transactions });
      this.#chunks.name(chunksIn(transactions));
      state.commit(height);
      if (fold) foldState(state.database, this.#data);
      return applied;
    } catch (error) {
      state.rollback();
      throw storageErrorOf(error, shardFile(this.#data.path, 0));
    } finally {
      // Whoever executes most of the blocks, the main thread, keeps them in memory.
      state.idempotency.forgetAll();
    }
  }

  putChunk(bytes: Uint8Array): Uint8Array {
    const hash = chunkHash(nativeCrypto, bytes);
    this.#chunks.put(hash, bytes);
    return hash;
  }

  get hasUnnamedChunks(): boolean {
    return this.#chunks.any;
  }

  dropChunks(hashes: readonly Uint8Array[]): void {
    this.#chunks.drop(hashes);
  }

  adoptChunks(): UnnamedChunk[] {
    return this.#chunks.adopt();
  }

  fold(): void {
    this.#chunks.fold();
    foldState(this.#executorNow().state.database, this.#data);
  }

  close(): void {
    this.#chunks.close();
    this.#blocks?.close();
    this.#executor?.state.close();
  }

  #executorNow(): Executor {
    this.#blocks ??= new BlockStore(this.#data.path, { readonly: true });
    const blocks = this.#blocks;
    this.#executor ??= new Executor(StateStore.open(this.#data), nativeCrypto, (hash) =>
      blocks.chunk(hash),
    );
    return this.#executor;
  }
}

function work(hand: Hand, request: WriterRequest): void {
  const { id } = request;
  try {
    reply(answer(hand, request));
  } catch (error) {
    reply({ kind: 'failed', id, failure: failureOf(error) });
  }
  if (request.kind === 'close') port!.close();
}

function answer(hand: Hand, request: WriterRequest): WriterReply {
  const { id, kind } = request;
  switch (kind) {
    case 'execute': {
      const { transactions, receiptsRoot } = hand.execute(request.block);
      const receipts = packed(transactions.map(({ encoded }) => encoded));
      return { kind: 'executed', id, receipts, receiptsRoot };
    }
    case 'chunk':
      return { kind, id, hash: hand.putChunk(request.bytes) };
    case 'unnamed':
      return { kind, id, any: hand.hasUnnamedChunks };
    case 'drop':
      hand.dropChunks(request.hashes);
      return { kind: 'done', id };
    case 'adopt':
      return { kind: 'adopted', id, chunks: hand.adoptChunks() };
    case 'fold':
      hand.fold();
      return { kind: 'done', id };
    case 'close':
      hand.close();
      return { kind: 'done', id };
    default:
      return request satisfies never;
  }
}

function packed(receipts: readonly Uint8Array[]): PackedReceipts {
  const ends = new Uint32Array(receipts.length);
  let length = 0;
  receipts.forEach((receipt, i) => (ends[i] = length += receipt.length));
  const bytes = new Uint8Array(length);
  receipts.forEach((receipt, i) => bytes.set(receipt, ends[i]! - receipt.length));
  return { bytes, ends };
}

try {
  const { directory, node } = workerData as WriterThreadData;
  // The main thread holds the directory's lock.
  ChainWriter.open(directory, { crypto: nativeCrypto, node }, false).close();
  checkAtStart(directory, nativeCrypto);
  const hand = new Hand(readDataDirectory(directory));
  port.on('message', (request: WriterRequest) => work(hand, request));
  reply({ kind: 'recovered' });
} catch (error) {
  reply({ kind: 'failed', id: null, failure: failureOf(error) });
  port.close();
}
