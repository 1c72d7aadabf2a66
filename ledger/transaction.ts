// Transactions, bundles and receipts. Pure types; the bytes are ledger/encoding.ts.
//
// (1) The id of a transaction is the hash of its core. Content that may be erased later (the statement text,
//     for now) is in detachable parts: the core holds a salted commitment, the envelope holds salt and value.
// (2) Transactions of one author that leave together form a bundle. The author's key signs the bundle once,
//     over chain id, key and the Merkle root of the transaction ids, so each transaction keeps its own path.

import type { OperationCounts } from './operation.ts';
import type { SqlErrorFields } from './error.ts';
import type { Operation } from './operation.ts';

/** Who holds the key that signs: a node for its hosted roles, or the author alone. */
export type Custody = 'hosted' | 'own';

/** A detachable part: `commitment = H(part, salt, value)`. Erased: value and salt are gone, the commitment stays. */
export interface Part {
  /** 16 random bytes. */
  readonly salt: Uint8Array;
  readonly value: Uint8Array;
}

export interface Transaction {
  readonly chainId: Uint8Array;
  /** Role id of the author. */
  readonly author: number;
  /** 16 bytes, unique per author while valid. */
  readonly idempotencyKey: Uint8Array;
  /** Milliseconds since 1970; a block with a later header time refuses the transaction. */
  readonly validUntilMs: number;
  readonly operations: readonly Operation[];
  /** Statement text for human readers, UTF-8, secrets redacted; null once erased. */
  readonly text: Part | null;
  /** Commitment to `text`, 32 bytes; kept when the text is erased. */
  readonly textCommitment: Uint8Array;
}

/** A transaction as it was read from its bytes. */
export interface ReadTransaction {
  readonly id: Uint8Array;
  readonly transaction: Transaction;
}

export interface Bundle {
  readonly author: number;
  /** Ed25519 public key of the author at that time, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Over ledger/signing.ts bundleMessage(chainId, publicKey, count, root), 64 bytes. */
  readonly signature: Uint8Array;
  /** Encoded transactions (core and parts); bytes, because a node that only relays need not decode them. */
  readonly transactions: readonly Uint8Array[];
}

/** Why a transaction was not applied. Deterministic: the same on every node. */
export interface Abort {
  readonly sqlstate: string;
  readonly message: string;
  readonly fields: SqlErrorFields;
}

export interface Receipt {
  /** 32 bytes. */
  readonly transactionId: Uint8Array;
  /** null when committed. */
  readonly abort: Abort | null;
  readonly counts: readonly OperationCounts[];
  /** Merkle root over the hashes of the row versions written, in order of writing; of the empty tree if none. */
  readonly versionsRoot: Uint8Array;
  readonly versionCount: number;
}

/**
 * A row version as it is hashed into its receipt. `values` pairs column ids with values; a delete has none.
 * The same row written several times in one transaction gives one version: the last.
 */
export interface RowVersion {
  readonly relation: number;
  readonly schemaVersion: number;
  readonly rowId: bigint;
  readonly stamp: bigint;
  readonly deleted: boolean;
  readonly columns: readonly number[];
  readonly values: readonly import('./type.ts').Datum[];
}
