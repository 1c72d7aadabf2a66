// The writer's worker thread: owns the ChainWriter and answers storage/writer.ts. Shell.
//
// Requests are answered in their order; the files are put in order between them.

import { parentPort, workerData } from 'node:worker_threads';
import { assert, isStorageError } from '../ledger/error.ts';
import { ChainWriter } from './chain-writer.ts';
import { nativeCrypto } from './native-crypto.ts';
import { checkAtStart } from './start-check.ts';
import type { StoredBlock } from './block-store.ts';
import type { Tip } from './chain-writer.ts';
import type { Genesis } from '../ledger/block.ts';
import type { StorageFault } from '../ledger/error.ts';

export interface WriterThreadData {
  readonly directory: string;
  /** Public key of this node. */
  readonly node: Uint8Array;
}

export type WriterRequest =
  | { readonly id: number; readonly kind: 'append'; readonly block: StoredBlock }
  | { readonly id: number; readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly id: number; readonly kind: 'drop'; readonly hashes: readonly Uint8Array[] }
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
  | {
      readonly kind: 'open';
      readonly tip: Tip;
      readonly genesis: Genesis;
      /** Frontier of the history tree over all headers up to the tip's. */
      readonly frontier: Uint8Array;
    }
  | {
      readonly kind: 'appended';
      readonly id: number;
      readonly tip: Tip;
      readonly receipts: PackedReceipts;
    }
  | { readonly kind: 'chunk'; readonly id: number; readonly hash: Uint8Array }
  | { readonly kind: 'dropped'; readonly id: number }
  | { readonly kind: 'closed'; readonly id: number }
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

function serve(writer: ChainWriter): void {
  port!.on('message', (request: WriterRequest) => work(writer, request));
}

/** Answers a request, then puts the files in order, which so the answer does not wait for. */
function work(writer: ChainWriter, request: WriterRequest): void {
  const { id } = request;
  try {
    answer(writer, request);
  } catch (error) {
    return reply({ kind: 'failed', id, failure: failureOf(error) });
  }
  try {
    if (request.kind !== 'close' && writer.untidy) writer.tidy();
  } catch (error) {
    reply({ kind: 'failed', id: null, failure: failureOf(error) });
  }
}

function answer(writer: ChainWriter, request: WriterRequest): void {
  switch (request.kind) {
    case 'append': {
      const { tip, receipts } = writer.append(request.block);
      reply({ kind: 'appended', id: request.id, tip, receipts: packed(receipts) });
      return;
    }
    case 'chunk':
      reply({ kind: 'chunk', id: request.id, hash: writer.putChunk(request.bytes) });
      return;
    case 'drop':
      writer.dropChunks(request.hashes);
      reply({ kind: 'dropped', id: request.id });
      return;
    case 'close':
      writer.close();
      reply({ kind: 'closed', id: request.id });
      port!.close();
      return;
    default:
      request satisfies never;
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
  const writer = ChainWriter.open(directory, { crypto: nativeCrypto, node });
  try {
    checkAtStart(directory, nativeCrypto);
  } catch (error) {
    writer.close();
    throw error;
  }
  serve(writer);
  const { tip, genesis, history } = writer;
  reply({ kind: 'open', tip, genesis, frontier: history.serialise() });
} catch (error) {
  reply({ kind: 'failed', id: null, failure: failureOf(error) });
  port.close();
}
