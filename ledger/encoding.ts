// Bytes of everything that is hashed, signed or stored. Pure, browser-safe. Described in docs/formats/.
//
// (1) decode(encode(x)) equals x and encode(decode(b)) equals b: there is one encoding of everything.
// (2) Every decoder throws FormatError and nothing else, whatever the bytes; every encoder refuses what its
//     decoder would refuse.
// (3) Byte strings in decoded values are views of the bytes given: nothing is copied, nothing may be changed.
// (4) A transaction lies in its envelope as a byte string, and envelopes in a body likewise, so an id is
//     known and a signature checked without decoding what they hold.

import { equal } from './bytes.ts';
import type { Block, Body, Executed, Genesis, Header } from './block.ts';
import { FORMAT_VERSION } from './block.ts';
import type { Catalog, CatalogChange } from './catalog.ts';
import type { Codec } from './codec.ts';
import {
  blob,
  bool,
  bytes,
  checked,
  decodeWith,
  encodeWith,
  hash,
  int64,
  integer,
  list,
  nullable,
  oneOf,
  record,
  text,
  uint,
  uint63,
} from './codec.ts';
import type { Crypto } from './crypto.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from './crypto.ts';
import { catalogCodec, changesCodec } from './encoding-catalog.ts';
import { expressionCodec, name, row } from './encoding-expression.ts';
import { operationsCodec } from './encoding-operation.ts';
import {
  decodeCertificate,
  encodeCertificate,
  memberCodec,
  modeCodec,
  systemCodec,
} from './encoding-vote.ts';
import type { SqlErrorFields } from './error.ts';
import { FormatError, isFormatError } from './error.ts';
import type { Expression } from './expression.ts';
import { transactionId } from './hash.ts';
import { LIMITS } from './limits.ts';
import type { Operation, OperationCounts } from './operation.ts';
import type {
  Abort,
  Bundle,
  Part,
  ReadTransaction,
  Receipt,
  RowVersion,
  Transaction,
} from './transaction.ts';

const SALT_BYTES = 16;
const IDEMPOTENCY_KEY_BYTES = 16;

const version = integer(FORMAT_VERSION, FORMAT_VERSION);
const publicKey = bytes(PUBLIC_KEY_BYTES);
const signature = bytes(SIGNATURE_BYTES);

// Expressions, catalogs, operations.

export function encodeExpression(expression: Expression): Uint8Array {
  return encodeWith(expressionCodec, expression);
}

export function decodeExpression(encoded: Uint8Array): Expression {
  return decodeWith(expressionCodec, encoded);
}

export function encodeChanges(changes: readonly CatalogChange[]): Uint8Array {
  return encodeWith(changesCodec, changes);
}

export function decodeChanges(encoded: Uint8Array): readonly CatalogChange[] {
  return decodeWith(changesCodec, encoded);
}

export function encodeCatalog(catalog: Catalog): Uint8Array {
  return encodeWith(catalogCodec, catalog);
}

export function decodeCatalog(encoded: Uint8Array): Catalog {
  return decodeWith(catalogCodec, encoded);
}

/** The bytes of a chunk. @throws FormatError when it is longer than a chunk may be */
export function encodeOperations(operations: readonly Operation[]): Uint8Array {
  const encoded = encodeWith(operationsCodec, operations);
  if (encoded.length > LIMITS.chunkBytesMax) throw new FormatError('chunk is too long');
  return encoded;
}

export function decodeOperations(encoded: Uint8Array): readonly Operation[] {
  if (encoded.length > LIMITS.chunkBytesMax) throw new FormatError('chunk is too long');
  return decodeWith(operationsCodec, encoded);
}

// Transactions.

/** What the id of a transaction is the hash of. */
type Core = Omit<Transaction, 'text'> & { readonly version: number };

const coreCodec = record<Core>({
  version,
  chainId: hash,
  author: uint,
  idempotencyKey: bytes(IDEMPOTENCY_KEY_BYTES),
  validUntilMs: uint,
  operations: operationsCodec,
  textCommitment: hash,
});

const partCodec = record<Part>({
  salt: bytes(SALT_BYTES),
  value: blob(0, LIMITS.textPartBytesMax),
});

/** Core as a byte string, then the detachable parts. */
interface Envelope {
  readonly core: Uint8Array;
  readonly text: Part | null;
}

const envelopeCodec = record<Envelope>({
  core: blob(1, LIMITS.transactionBytesMax),
  text: nullable(partCodec),
});

/** A transaction encoded: its id, the bytes the id is the hash of, and the whole envelope. */
export interface EncodedTransaction {
  readonly id: Uint8Array;
  readonly core: Uint8Array;
  readonly bytes: Uint8Array;
}

/** @throws FormatError when it is longer than a block may hold: it must be sent as chunks */
export function encodeTransaction(crypto: Crypto, transaction: Transaction): EncodedTransaction {
  const core = encodeWith(coreCodec, { version: FORMAT_VERSION, ...transaction });
  const { text: part } = transaction;
  // What the envelope adds to core and text is salt, heads and nothing else.
  const room = core.length + (part?.value.length ?? 0) + 32;
  if (room > LIMITS.transactionBytesMax) throw new FormatError('transaction is too long');
  const encoded = encodeWith(envelopeCodec, { core, text: part });
  return { id: transactionId(crypto, core), core, bytes: encoded };
}

/** @param ids  of the bundle's transactions. @throws FormatError */
export function readTransactions(bundle: Bundle, ids: readonly Uint8Array[]): ReadTransaction[] {
  return bundle.transactions.map((bytes, i) => ({
    id: ids[i]!,
    transaction: decodeTransaction(bytes),
  }));
}

export function decodeTransaction(encoded: Uint8Array): Transaction {
  const { core, text: part } = decodeWith(envelopeCodec, encoded);
  const { version: _, ...fields } = decodeWith(coreCodec, core);
  return { ...fields, text: part };
}

/** A transaction with its id; null in place of one whose core is malformed. @throws FormatError without a core */
export function decodeIdentified(
  crypto: Crypto,
  encoded: Uint8Array,
): { readonly id: Uint8Array; readonly transaction: Transaction | null } {
  const { core, text } = decodeWith(envelopeCodec, encoded);
  return { id: transactionId(crypto, core), transaction: decodeCore(core, text) };
}

function decodeCore(core: Uint8Array, text: Part | null): Transaction | null {
  try {
    const { version: _, ...fields } = decodeWith(coreCodec, core);
    return { ...fields, text };
  } catch (error) {
    if (isFormatError(error)) return null;
    throw error;
  }
}

/** The core's bytes in an envelope: a view. */
export function coreOf(encoded: Uint8Array): Uint8Array {
  return decodeWith(envelopeCodec, encoded).core;
}

/** The id of an encoded transaction, without decoding its operations. */
export function transactionIdOf(crypto: Crypto, encoded: Uint8Array): Uint8Array {
  return transactionId(crypto, coreOf(encoded));
}

/** The same transaction without its statement text; its id stays. */
export function eraseText(encoded: Uint8Array): Uint8Array {
  return encodeWith(envelopeCodec, { core: coreOf(encoded), text: null });
}

// Blocks.

const bundleCodec = record<Bundle>({
  author: uint,
  publicKey,
  signature,
  transactions: list(blob(1, LIMITS.transactionBytesMax), LIMITS.blockTransactionsMax, 1),
});

const bodyCodec = record<Body>({
  bundles: list(bundleCodec, LIMITS.blockTransactionsMax),
  system: systemCodec,
});

export function encodeBundle(bundle: Bundle): Uint8Array {
  return encodeWith(bundleCodec, bundle);
}

export function decodeBundle(encoded: Uint8Array): Bundle {
  return decodeWith(bundleCodec, encoded);
}

export function encodeBody({ bundles, system }: Body): Uint8Array {
  const encoded = encodeWith(bodyCodec, { bundles, system });
  if (encoded.length > LIMITS.blockBodyBytesMax) throw new FormatError('block body is too long');
  return encoded;
}

/** With transactions that are views of `encoded`. */
export function decodeBody(encoded: Uint8Array): Body {
  if (encoded.length > LIMITS.blockBodyBytesMax) throw new FormatError('block body is too long');
  return decodeWith(bodyCodec, encoded);
}

const headerCodec = record<Header>({
  version,
  chainId: hash,
  height: uint,
  parent: hash,
  timeMs: uint,
  transactionsRoot: hash,
  transactionCount: integer(0, LIMITS.blockTransactionsMax),
  bodyHash: hash,
  executed: record<Executed>({ height: uint, receiptsRoot: hash }),
  historyRoot: hash,
  proposer: publicKey,
  epoch: uint,
  term: uint,
  mode: modeCodec,
  newTermHash: hash,
});

export function encodeHeader(header: Header): Uint8Array {
  return encodeWith(headerCodec, header);
}

export function decodeHeader(encoded: Uint8Array): Header {
  return decodeWith(headerCodec, encoded);
}

/** The three parts of a block, each as it is stored. */
interface BlockParts {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  readonly certificate: Uint8Array;
}

const blockCodec = record<BlockParts>({
  header: blob(1, 1_024),
  body: blob(1, LIMITS.blockBodyBytesMax),
  certificate: blob(1, LIMITS.nodesMax * 128),
});

/** A block of height 1 or more; block 0 is a genesis record with a header and a certificate. */
export function encodeBlock(block: Block): Uint8Array {
  return encodeWith(blockCodec, {
    header: encodeHeader(block.header),
    body: encodeBody(block),
    certificate: encodeCertificate(block.certificate),
  });
}

export function decodeBlock(encoded: Uint8Array): Block {
  const { header, body, certificate } = decodeWith(blockCodec, encoded);
  return {
    header: decodeHeader(header),
    ...decodeBody(body),
    certificate: decodeCertificate(certificate),
  };
}

const CONSENSUS = ['solo', 'raft', 'bft', 'adaptive'] as const;

function impossibleNodes({ nodes, consensus }: Genesis): string | null {
  const twice = nodes.some(({ publicKey: key }, at) =>
    nodes.slice(0, at).some((other) => equal(other.publicKey, key)),
  );
  if (twice) return 'a node is listed twice';
  return consensus === 'solo' && nodes.length > 1 ? 'solo is one node' : null;
}

const genesisCodec = checked(
  record<Genesis>({
    version,
    database: name,
    createdMs: uint,
    nonce: bytes(32),
    nodes: list(memberCodec, LIMITS.nodesMax, 1),
    consensus: oneOf(CONSENSUS),
    stateShards: integer(1, LIMITS.stateShardsMax),
    catalog: changesCodec,
  }),
  impossibleNodes,
);

export function encodeGenesis(genesis: Genesis): Uint8Array {
  return encodeWith(genesisCodec, genesis);
}

export function decodeGenesis(encoded: Uint8Array): Genesis {
  return decodeWith(genesisCodec, encoded);
}

// Results.

const message = text(LIMITS.messageBytesMax);

/** Every field or null, in a fixed order; a decoded record has only those that are present. */
const fieldsRecord = record<{ readonly [K in keyof SqlErrorFields]-?: SqlErrorFields[K] | null }>({
  detail: nullable(message),
  hint: nullable(message),
  position: nullable(uint),
  where: nullable(message),
  schema: nullable(message),
  table: nullable(message),
  column: nullable(message),
  dataType: nullable(message),
  constraint: nullable(message),
});

const fieldsCodec: Codec<SqlErrorFields> = {
  write(writer, value) {
    fieldsRecord.write(writer, {
      detail: value.detail ?? null,
      hint: value.hint ?? null,
      position: value.position ?? null,
      where: value.where ?? null,
      schema: value.schema ?? null,
      table: value.table ?? null,
      column: value.column ?? null,
      dataType: value.dataType ?? null,
      constraint: value.constraint ?? null,
    });
  },
  read(reader) {
    const present = Object.entries(fieldsRecord.read(reader)).filter(([, value]) => value !== null);
    return Object.fromEntries(present) as SqlErrorFields;
  },
};

const sqlstate = checked(text(5), (value) =>
  /^[0-9A-Z]{5}$/.test(value) ? null : `${value} is no SQLSTATE`,
);

const receiptCodec = record<Receipt>({
  transactionId: hash,
  abort: nullable(record<Abort>({ sqlstate, message, fields: fieldsCodec })),
  counts: list(record<OperationCounts>({ inserted: uint, updated: uint, deleted: uint })),
  versionsRoot: hash,
  versionCount: uint,
});

export function encodeReceipt(receipt: Receipt): Uint8Array {
  return encodeWith(receiptCodec, receipt);
}

export function decodeReceipt(encoded: Uint8Array): Receipt {
  return decodeWith(receiptCodec, encoded);
}

const rowVersionCodec = checked(
  record<RowVersion>({
    relation: uint,
    schemaVersion: uint,
    rowId: int64,
    stamp: uint63,
    deleted: bool,
    columns: list(uint, LIMITS.columnsMax),
    values: row,
  }),
  ({ columns, values, deleted }) =>
    columns.length !== values.length
      ? 'columns and values differ in number'
      : deleted && columns.length > 0
        ? 'a deleted row has no values'
        : null,
);

export function encodeRowVersion(value: RowVersion): Uint8Array {
  return encodeWith(rowVersionCodec, value);
}

export function decodeRowVersion(encoded: Uint8Array): RowVersion {
  return decodeWith(rowVersionCodec, encoded);
}
