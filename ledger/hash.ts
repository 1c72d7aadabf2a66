// Hashes with domain separation. Pure, browser-safe.
//
// Every hash is SHA-256 over one byte that names what is hashed, then the bytes; so bytes of one kind can
// never be passed off as another. 0x00 and 0x01 are leaf and node of RFC 6962 §2.1, so that any tool for
// transparency logs can check our trees.

import type { Crypto } from './crypto.ts';
import { assert } from './error.ts';

const DOMAIN = {
  leaf: 0x00,
  node: 0x01,
  genesis: 0x02,
  header: 0x03,
  body: 0x04,
  transaction: 0x05,
  part: 0x06,
  receipt: 0x07,
  rowVersion: 0x08,
  chunk: 0x09,
  statement: 0x0a,
} as const;

/** The byte before an encoded row version, for who hashes many (ledger/version-hasher.ts). */
export const ROW_VERSION_DOMAIN = DOMAIN.rowVersion;

/** Input of short hashes: one buffer for all, because an allocation costs as much as the hash (measured). */
const scratch = new Uint8Array(4_096);

const NOTHING: Uint8Array = new Uint8Array(0);

/** Hash of the domain, `bytes` and what follows them. */
function tagged(crypto: Crypto, domain: number, bytes: Uint8Array, more = NOTHING): Uint8Array {
  const length = 1 + bytes.length + more.length;
  const input = length <= scratch.length ? scratch.subarray(0, length) : new Uint8Array(length);
  input[0] = domain;
  input.set(bytes, 1);
  if (more.length > 0) input.set(more, 1 + bytes.length);
  return crypto.sha256(input);
}

/** Hash of a leaf of the history tree (RFC 6962); `data` is a header hash. */
export function leafHash(crypto: Crypto, data: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.leaf, data);
}

const nodeInput = new Uint8Array(65);
nodeInput[0] = DOMAIN.node;

/** Hash of an inner node of any Merkle tree; both children have 32 bytes. */
export function nodeHash(crypto: Crypto, left: Uint8Array, right: Uint8Array): Uint8Array {
  assert(left.length === 32 && right.length === 32, 'a node joins two hashes');
  nodeInput.set(left, 1);
  nodeInput.set(right, 33);
  return crypto.sha256(nodeInput);
}

/** The same of two hashes that lie back to back. */
export function pairHash(crypto: Crypto, pair: Uint8Array): Uint8Array {
  assert(pair.length === 64, 'a node joins two hashes');
  nodeInput.set(pair, 1);
  return crypto.sha256(nodeInput);
}

/** The chain id: hash of the encoded genesis record. */
export function chainIdOf(crypto: Crypto, genesisBytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.genesis, genesisBytes);
}

/** Hash of an encoded header: what nodes sign and children name as their parent. */
export function headerHash(crypto: Crypto, headerBytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.header, headerBytes);
}

/** Hash of an encoded body; at genesis, of the encoded genesis record. */
export function bodyHash(crypto: Crypto, bodyBytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.body, bodyBytes);
}

/** The id of a transaction: hash of its encoded core. Leaf of bundle root and transactions root. */
export function transactionId(crypto: Crypto, coreBytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.transaction, coreBytes);
}

/** Commitment to a detachable part. The salt has 16 random bytes, so the value cannot be guessed from it. */
export function partCommitment(crypto: Crypto, salt: Uint8Array, value: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.part, salt, value);
}

/** Hash of an encoded receipt: leaf of the receipts root. */
export function receiptHash(crypto: Crypto, receiptBytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.receipt, receiptBytes);
}

/** Hash of an encoded row version: leaf of a receipt's versions root. */
export function rowVersionHash(crypto: Crypto, versionBytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.rowVersion, versionBytes);
}

/** Hash of an encoded chunk of operations. */
export function chunkHash(crypto: Crypto, chunkBytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.chunk, chunkBytes);
}

/** Hash of an encoded statement of a member that is signed by its hash: a report, a new term, rules. */
export function statementHash(crypto: Crypto, bytes: Uint8Array): Uint8Array {
  return tagged(crypto, DOMAIN.statement, bytes);
}
