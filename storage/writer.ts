// The main thread's side of the writer thread. Shell.
//
// Big blocks are transferred, not copied: the caller may not use the bytes afterwards.

import { Worker } from 'node:worker_threads';
import { AssertionError, StorageError } from '../ledger/error.ts';
import type { StoredBlock } from './block-store.ts';
import type { Appended, Tip } from './chain-writer.ts';
import type { Genesis } from '../ledger/block.ts';
import type { PackedReceipts, WriterFailure, WriterReply, WriterRequest } from './writer-thread.ts';

/** Below it a copy is cheaper: handing a buffer over costs 7 µs, whatever its size. */
const TRANSFER_BYTES_MIN = 32_768;

interface Waiting {
  resolve(reply: WriterReply): void;
  reject(error: Error): void;
}

export class Writer {
  readonly genesis: Genesis;
  /** Frontier of the history tree over all headers up to the tip at which the ledger was opened. */
  readonly frontier: Uint8Array;
  /** Of the newest block appended. */
  tip: Tip;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #failure: Error | null = null;
  readonly #onFailure: (error: Error) => void;

  /**
   * Starts the thread, which opens and recovers the ledger.
   *
   * @param node       public key of this node
   * @param onFailure  told once when the thread fails while nobody waits for it; the node must stop
   * @throws StorageError
   */
  static open(
    directory: string,
    node: Uint8Array,
    onFailure: (error: Error) => void,
  ): Promise<Writer> {
    const worker = new Worker(new URL('writer-thread.ts', import.meta.url), {
      workerData: { directory, node },
      name: 'writer',
    });
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (first: WriterReply) => {
        worker.off('error', reject);
        if (first.kind === 'open') resolve(new Writer(worker, first, onFailure));
        else reject(first.kind === 'failed' ? errorOf(first.failure) : unexpected(first));
      });
    });
  }

  private constructor(
    worker: Worker,
    { tip, genesis, frontier }: Extract<WriterReply, { kind: 'open' }>,
    onFailure: (error: Error) => void,
  ) {
    this.#worker = worker;
    this.tip = tip;
    this.genesis = genesis;
    this.frontier = frontier;
    this.#onFailure = onFailure;
    worker.on('message', (message: WriterReply) => this.#receive(message));
    worker.on('error', (error: Error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new StorageError('io', 'the writer thread has ended')));
  }

  /**
   * Appends and executes a block; see ChainWriter.append.
   *
   * @throws StorageError the block may or may not be durable; nothing more can be appended
   */
  async append(block: StoredBlock): Promise<Appended> {
    const transfer = [...new Set([block.header, block.body, block.certificate].map(wholeBuffer))];
    const message = await this.#ask({ kind: 'append', block }, transfer.filter(isPresent));
    if (message.kind !== 'appended') throw unexpected(message);
    return { tip: message.tip, receipts: unpacked(message.receipts) };
  }

  /** Stores a chunk of operations and resolves to its hash, when it is durable. */
  async putChunk(bytes: Uint8Array): Promise<Uint8Array> {
    const message = await this.#ask({ kind: 'chunk', bytes }, []);
    if (message.kind !== 'chunk') throw unexpected(message);
    return message.hash;
  }

  /** Takes back chunks that no transaction will name: each as often as it was put. */
  async dropChunks(hashes: readonly Uint8Array[]): Promise<void> {
    const message = await this.#ask({ kind: 'drop', hashes }, []);
    if (message.kind !== 'dropped') throw unexpected(message);
  }

  /** Finishes what was asked for, closes the files and ends the thread. */
  async close(): Promise<void> {
    if (this.#failure !== null) {
      // It may still hold its files and, with them, the process.
      await this.#worker.terminate();
      return;
    }
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    const closed = this.#ask({ kind: 'close' }, []);
    // Whoever asks from now on is refused, and the end of the thread is no failure.
    this.#failure = new StorageError('io', 'the writer is closed');
    await Promise.race([closed, ended]);
    await ended;
  }

  #ask(
    request:
      | { kind: 'append'; block: StoredBlock }
      | { kind: 'chunk'; bytes: Uint8Array }
      | { kind: 'drop'; hashes: readonly Uint8Array[] }
      | { kind: 'close' },
    transfer: readonly ArrayBuffer[],
  ): Promise<WriterReply> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...request } satisfies WriterRequest, transfer);
    });
  }

  #receive(message: WriterReply): void {
    if (message.kind === 'failed') {
      const error = errorOf(message.failure);
      if (message.id === null) return this.#fail(error);
      this.#waiting.get(message.id)?.reject(error);
      this.#waiting.delete(message.id);
      return;
    }
    if (message.kind === 'open') return;
    if (message.kind === 'appended') this.tip = message.tip;
    this.#waiting.get(message.id)?.resolve(message);
    this.#waiting.delete(message.id);
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
    if (waiting.length === 0) this.#onFailure(error);
  }
}

/** The buffer behind bytes that fill it, worth transferring; a small one or a view of a bigger one is copied. */
function wholeBuffer(bytes: Uint8Array): ArrayBuffer | null {
  const { buffer, byteLength } = bytes;
  if (byteLength < TRANSFER_BYTES_MIN) return null;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? buffer : null;
}

/** Views, one for each receipt. */
function unpacked({ bytes, ends }: PackedReceipts): Uint8Array[] {
  return Array.from(ends, (end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

function isPresent(buffer: ArrayBuffer | null): buffer is ArrayBuffer {
  return buffer !== null;
}

function errorOf({ fault, message }: WriterFailure): Error {
  return fault === null ? new AssertionError(message) : new StorageError(fault, message);
}

function unexpected(reply: WriterReply): Error {
  return new AssertionError(`the writer thread answered ${reply.kind}`);
}
