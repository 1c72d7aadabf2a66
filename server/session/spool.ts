// Operations that go ahead of their transaction, as chunks. Shell.
//
// What is too large for a block is stored first; the transaction names the chunks by their hashes (ledger/
// operation.ts). A spool takes operations one after another and holds no more than one chunk of them, and a few
// that are being stored meanwhile.

import { encodeOperations } from '../../ledger/encoding.ts';
import { SqlError } from '../../ledger/error.ts';
import { LIMITS } from '../../ledger/limits.ts';
import type { Operation, OperationOf } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { CHUNK_BYTES } from '../limits.ts';

/** Operations that travel in the transaction itself; more of them go ahead in chunks. */
const INLINE_OPERATIONS_MAX = 1_000;
/** Rows of an operation looked at together: more are cut into several operations. */
const ROWS_AT_A_TIME = 1_000;
/** Chunks on their way to the disk at a time. */
const CHUNKS_AHEAD_MAX = 4;
/** Bytes that an operation takes beside its rows, roughly. */
const OPERATION_BYTES = 256;

export class Spool {
  readonly #put: (chunk: Uint8Array) => Promise<Uint8Array>;
  /** Of all chunks, in their order. */
  #hashes: Promise<Uint8Array>[] = [];
  #bytes = 0;
  #pending: Operation[] = [];
  #weight = 0;

  /** @param put  makes a chunk durable and gives its hash */
  constructor(put: (chunk: Uint8Array) => Promise<Uint8Array>) {
    this.#put = put;
  }

  /** @param operation  of any kind but `catalog`, which chunks do not hold */
  async add(operation: Operation): Promise<void> {
    if (operation.kind === 'chunks') {
      await this.#flush();
      this.#hashes.push(...operation.hashes.map((hash) => Promise.resolve(hash)));
      this.#bytes += operation.bytes;
      return;
    }
    for (const piece of pieces(operation)) {
      this.#pending.push(piece);
      this.#weight += weightOf(piece);
      if (this.#weight >= CHUNK_BYTES) await this.#flush();
    }
  }

  /** The operation that stands for all that was added since the last call, or null when nothing was. */
  async take(): Promise<OperationOf<'chunks'> | null> {
    await this.#flush();
    if (this.#hashes.length === 0) return null;
    const hashes = await Promise.all(this.#hashes);
    const taken = { kind: 'chunks', hashes, bytes: this.#bytes } as const;
    this.#hashes = [];
    this.#bytes = 0;
    return taken;
  }

  async #flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const chunk = encodeOperations(this.#pending);
    this.#pending = [];
    this.#weight = 0;
    this.#bytes += chunk.length;
    if (this.#hashes.length === LIMITS.chunksMax) {
      throw new SqlError(SQLSTATE.programLimitExceeded, 'transaction is too large', {
        detail: `It may have at most ${LIMITS.chunksMax} chunks of ${CHUNK_BYTES} bytes.`,
      });
    }
    const stored = this.#put(chunk);
    // Whoever waits for it below or takes the chunks is told; nobody may.
    stored.catch(() => undefined);
    this.#hashes.push(stored);
    await this.#hashes.at(-CHUNKS_AHEAD_MAX);
  }
}

/** Spools operations; catalog operations stay, between the chunks of what is before and after them. */
export async function spooled(
  operations: readonly Operation[],
  put: (chunk: Uint8Array) => Promise<Uint8Array>,
): Promise<Operation[]> {
  const spool = new Spool(put);
  const travelling: Operation[] = [];
  const settle = async () => {
    const chunks = await spool.take();
    if (chunks !== null) travelling.push(chunks);
  };
  for (const operation of operations) {
    if (operation.kind !== 'catalog') await spool.add(operation);
    else {
      await settle();
      travelling.push(operation);
    }
  }
  await settle();
  return travelling;
}

/** Whether operations should be spooled rather than travel in their transaction. */
export function isHeavy(operations: readonly Operation[]): boolean {
  if (operations.length > INLINE_OPERATIONS_MAX) return true;
  let weight = 0;
  for (const operation of operations) {
    weight += weightOf(operation);
    if (weight > CHUNK_BYTES / 2) return true;
  }
  return false;
}

/** About how many bytes an operation takes, encoded. */
function weightOf(operation: Operation): number {
  let weight = OPERATION_BYTES;
  switch (operation.kind) {
    case 'insert':
      for (const row of operation.rows) weight += rowWeight(row);
      return weight;
    case 'update':
      for (const { values } of operation.rows) weight += 18 + rowWeight(values);
      return weight;
    case 'delete':
    case 'require':
      return weight + 18 * operation.rows.length;
    case 'chunks':
      return weight + 34 * operation.hashes.length;
    default:
      return weight;
  }
}

function rowWeight(row: readonly Datum[]): number {
  let weight = 1;
  for (const value of row) {
    const sized = typeof value === 'string' || (typeof value === 'object' && value !== null);
    weight += sized ? value.length + 5 : 9;
  }
  return weight;
}

function* pieces(operation: Operation): Generator<Operation> {
  const cut =
    operation.kind === 'insert' ||
    operation.kind === 'update' ||
    operation.kind === 'delete' ||
    operation.kind === 'require';
  if (!cut || operation.rows.length <= ROWS_AT_A_TIME) {
    yield operation;
    return;
  }
  for (let at = 0; at < operation.rows.length; at += ROWS_AT_A_TIME) {
    yield { ...operation, rows: operation.rows.slice(at, at + ROWS_AT_A_TIME) } as Operation;
  }
}
