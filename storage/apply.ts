// Applying a block: every transaction in order, each all or nothing. Shell.
//
// (1) Deterministic: receipts are a function of the chain up to here. Only a SqlError can be an outcome; any
//     other error stops the node before anything is committed.
// (2) A transaction that is refused or aborts leaves its receipt, and its idempotency key once it was valid.

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError, StorageError, isSqlError } from '../ledger/error.ts';
import { decodeIdentified, decodeOperations, encodeReceipt } from '../ledger/encoding.ts';
import { chunkHash, receiptHash } from '../ledger/hash.ts';
import { merkleRoot, packedMerkleRoot } from '../ledger/merkle.ts';
import { stampOf } from '../ledger/operation.ts';
import { equal, hex } from '../ledger/bytes.ts';
import { Application, conflict } from './application.ts';
import { NOTHING, applyDelete, applyInsert, applyProgram, applyRequire } from './apply-rows.ts';
import { applyRequireTable, applyTruncate, applyUpdate } from './apply-rows.ts';
import { applyCatalog } from './schema-change.ts';
import { demandSequence } from './privileges.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Operation, OperationCounts, OperationOf } from '../ledger/operation.ts';
import type { SqlErrorFields } from '../ledger/error.ts';
import type { Abort, Bundle, Receipt, Transaction } from '../ledger/transaction.ts';
import type { StateStore } from './state-store.ts';

/** The longest validity a transaction may ask for: 24 hours and room for clocks that differ. */
export const VALIDITY_MS_MAX = 25 * 3_600_000;

/** Characters kept of each text of an abort; receipts are small. */
const ABORT_CHARACTERS_MAX = 4_096;

const NO_BYTES = new Uint8Array(0);

export interface BlockToApply {
  readonly height: number;
  readonly timeMs: number;
  readonly bundles: readonly Bundle[];
  readonly transactions: readonly DecodedTransaction[];
}

export interface DecodedTransaction {
  readonly id: Uint8Array;
  /** Null for one that is malformed. */
  readonly transaction: Transaction | null;
}

/** The transactions of all bundles, in order. */
export function decodeTransactions(
  crypto: Crypto,
  bundles: readonly Bundle[],
): DecodedTransaction[] {
  return bundles.flatMap(({ transactions }) =>
    transactions.map((bytes) => decodeIdentified(crypto, bytes)),
  );
}

/** Where operations of large transactions come from. @throws StorageError when a chunk is missing */
export type ChunkSource = (hash: Uint8Array) => Uint8Array;

export interface AppliedTransaction {
  readonly stamp: bigint;
  readonly author: number;
  readonly receipt: Receipt;
  /** The receipt encoded, as it is stored and hashed. */
  readonly encoded: Uint8Array;
}

export interface AppliedBlock {
  readonly transactions: readonly AppliedTransaction[];
  readonly receiptsRoot: Uint8Array;
}

/** Applies a block inside the store's open SQLite transaction. */
export function applyBlock(
  store: StateStore,
  crypto: Crypto,
  block: BlockToApply,
  chunks: ChunkSource,
): AppliedBlock {
  const transactions: AppliedTransaction[] = [];
  const leaves: Uint8Array[] = [];
  for (const bundle of block.bundles) {
    const bundleAbort = checkAuthor(store, bundle);
    for (let i = 0; i < bundle.transactions.length; i++) {
      const stamp = stampOf(block.height, transactions.length);
      const step = { store, crypto, chunks, bundle, stamp, timeMs: block.timeMs };
      const decoded = block.transactions[transactions.length]!;
      transactions.push(applyTransaction(step, decoded, bundleAbort, leaves));
    }
  }
  store.writeReceipts(transactions, leaves);
  const hashes = transactions.map(({ encoded }) => receiptHash(crypto, encoded));
  return { transactions, receiptsRoot: merkleRoot(crypto, hashes) };
}

/** Whether the bundle's author may write at all, and with that key. */
function checkAuthor(store: StateStore, { author, publicKey }: Bundle): Abort | null {
  const role = store.catalog.roles.get(author);
  if (role === undefined) return abortOf('28000', `role ${author} does not exist`);
  if (role.publicKey === null || !equal(role.publicKey, publicKey)) {
    return abortOf('28000', `the key of the bundle is not that of role "${role.name}"`);
  }
  return null;
}

interface Step {
  readonly store: StateStore;
  readonly crypto: Crypto;
  readonly chunks: ChunkSource;
  readonly bundle: Bundle;
  readonly stamp: bigint;
  readonly timeMs: number;
}

/** Appends the hashes of the row versions that it has written, back to back, to `leavesOfAll`. */
function applyTransaction(
  step: Step,
  { id, transaction }: DecodedTransaction,
  bundleAbort: Abort | null,
  leavesOfAll: Uint8Array[],
): AppliedTransaction {
  const { crypto, bundle, stamp } = step;
  let abort = bundleAbort;
  let counts: readonly OperationCounts[] = [];
  let leaves: Uint8Array = NO_BYTES;
  if (abort === null) {
    abort =
      transaction === null ? abortOf('22P03', 'malformed transaction') : admit(step, transaction);
    if (abort === null && transaction !== null) {
      const outcome = execute(step, transaction);
      if ('sqlstate' in outcome) abort = outcome;
      else ({ counts, leaves } = outcome);
    }
  }
  const receipt: Receipt = {
    transactionId: id,
    abort,
    counts,
    versionsRoot: packedMerkleRoot(crypto, leaves),
    versionCount: leaves.length / 32,
  };
  leavesOfAll.push(leaves);
  return { stamp, author: bundle.author, receipt, encoded: encodeReceipt(receipt) };
}

/** Validity and idempotency; takes the key when all is well. */
function admit(step: Step, transaction: Transaction): Abort | null {
  const { store, bundle, timeMs } = step;
  const { author, validUntilMs, idempotencyKey } = transaction;
  if (!equal(transaction.chainId, store.data.chainId)) {
    return abortOf(SQLSTATE.invalidParameterValue, 'transaction is for another chain');
  }
  if (author !== bundle.author) {
    return abortOf('28000', 'transaction is not by the author of its bundle');
  }
  if (validUntilMs < timeMs) {
    return abortOf(SQLSTATE.serializationFailure, 'transaction expired before it was ordered');
  }
  if (validUntilMs > timeMs + VALIDITY_MS_MAX) {
    return abortOf(SQLSTATE.invalidParameterValue, 'transaction is valid for too long');
  }
  if (!store.idempotency.take(author, idempotencyKey, validUntilMs, timeMs)) {
    return abortOf(
      SQLSTATE.duplicateTransaction,
      'transaction with this idempotency key has been ordered before',
    );
  }
  return null;
}

function execute(
  { store, crypto, chunks, stamp }: Step,
  transaction: Transaction,
): Abort | { counts: OperationCounts[]; leaves: Uint8Array } {
  const app = new Application(store, crypto, stamp, transaction.author);
  const counts: OperationCounts[] = [];
  try {
    if (!failsBeforeWriting(store, transaction.operations)) app.protect();
    for (const operation of transaction.operations) {
      if (operation.kind === 'chunks') applyChunks(app, crypto, operation, chunks, counts);
      else counts.push(applyOperation(app, operation));
    }
    app.finish();
    return { counts, leaves: app.written.hashes };
  } catch (error) {
    if (!isSqlError(error)) throw error;
    app.abort();
    return abortOf(error.sqlstate, error.message, error.fields);
  }
}

/** Whether the transaction writes at most one row, and checks everything before it does. */
function failsBeforeWriting(store: StateStore, operations: readonly Operation[]): boolean {
  const operation = operations[0];
  if (operation === undefined) return true;
  if (operations.length > 1) return false;
  const single =
    operation.kind === 'program' ||
    ((operation.kind === 'insert' || operation.kind === 'update' || operation.kind === 'delete') &&
      operation.rows.length === 1);
  if (!single) return false;
  const table = store.catalog.relations.get(operation.relation);
  if (table?.kind !== 'table') return true;
  return table.foreignKeys.length === 0 && store.incoming(table.id).length === 0;
}

function applyOperation(
  app: Application,
  operation: Exclude<Operation, { kind: 'chunks' }>,
): OperationCounts {
  switch (operation.kind) {
    case 'insert':
      return applyInsert(app, operation);
    case 'program':
      return applyProgram(app, operation);
    case 'update':
      return applyUpdate(app, operation);
    case 'delete':
      return applyDelete(app, operation);
    case 'require':
      return applyRequire(app, operation);
    case 'requireTable':
      return applyRequireTable(app, operation);
    case 'truncate':
      return applyTruncate(app, operation);
    case 'sequence':
      return applySequence(app, operation);
    case 'catalog':
      return applyCatalog(app, operation);
    default:
      return operation satisfies never;
  }
}

function applyChunks(
  app: Application,
  crypto: Crypto,
  { hashes }: OperationOf<'chunks'>,
  chunks: ChunkSource,
  counts: OperationCounts[],
): void {
  for (const hash of hashes) {
    const bytes = chunks(hash);
    if (!equal(chunkHash(crypto, bytes), hash)) {
      throw new StorageError('damaged', `chunk ${hex(hash)} has other content`);
    }
    for (const operation of decodeChunk(bytes)) {
      // So the schema's history can be read without the chunks.
      if (operation.kind === 'chunks' || operation.kind === 'catalog') {
        const message = `a chunk holds an operation of kind ${operation.kind}`;
        throw new SqlError(SQLSTATE.invalidBinaryRepresentation, message);
      }
      counts.push(applyOperation(app, operation));
    }
  }
}

function decodeChunk(bytes: Uint8Array): readonly Operation[] {
  try {
    return decodeOperations(bytes);
  } catch (error) {
    if (!Error.isError(error) || error.name !== 'FormatError') throw error;
    throw new SqlError(SQLSTATE.invalidBinaryRepresentation, 'malformed chunk');
  }
}

function applySequence(app: Application, operation: OperationOf<'sequence'>): OperationCounts {
  const { catalog } = app.store;
  const sequence = catalog.relations.get(operation.sequence);
  if (sequence?.kind !== 'sequence') throw conflict();
  demandSequence(catalog, app.author, sequence);
  const { from, last, called } = operation;
  if (from !== null) {
    const state = app.store.sequence(sequence.id) ?? { last: sequence.start, called: false };
    if (state.last !== from.last || state.called !== from.called) throw conflict();
  }
  if (last < sequence.min || last > sequence.max) {
    throw new SqlError(
      SQLSTATE.numericValueOutOfRange,
      `setval: value ${last} is out of bounds for sequence "${sequence.name}" (${sequence.min}..${sequence.max})`,
    );
  }
  app.store.setSequence(sequence.id, app.stamp, { last, called });
  return NOTHING;
}

function abortOf(sqlstate: string, message: string, fields: SqlErrorFields = {}): Abort {
  const short = Object.entries(fields).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'string' ? value.slice(0, ABORT_CHARACTERS_MAX) : value,
  ]);
  return {
    sqlstate,
    message: message.slice(0, ABORT_CHARACTERS_MAX),
    fields: Object.fromEntries(short) as SqlErrorFields,
  };
}

/** Leaf hashes that lie back to back. */
export function split(leaves: Uint8Array): Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < leaves.length; at += 32) hashes.push(leaves.subarray(at, at + 32));
  return hashes;
}
