// Proof bundles: everything needed to show that a row had these values, in one file. Pure, browser-safe.
//
// A row version hangs on its transaction's receipt, the receipt on the receipts root of a later header, the
// transaction itself on the transactions root of its own header, and both headers on the history root of
// one anchor, a header that nodes have signed. Names and types of columns, and who held the author's key,
// are read from the definitions of table and role, which are proven the same way: no name is believed.
//
// Who the nodes are that had to sign follows from the genesis record (ledger/epoch-check.ts), and so from the
// chain id alone.
//
// What a bundle shows is that the version was written, when, and by whom: not that no later one exists.
//
// ledger/proof-check.ts checks bundles. Described in docs/formats/proof.md.

import type { Block } from './block.ts';
import type { Crypto } from './crypto.ts';
import { decodeHeader, transactionIdOf } from './encoding.ts';
import type { EpochsProof } from './epoch-check.ts';
import { assert } from './error.ts';
import { receiptHash } from './hash.ts';
import type { NodeAt } from './history-tree.ts';
import { consistencyPath, inclusionPath } from './history-tree.ts';
import { merklePath } from './merkle.ts';

/** Place of a leaf in a Merkle tree of `count` leaves, with the sibling hashes from leaf to root. */
export interface LeafPath {
  readonly index: number;
  readonly count: number;
  readonly siblings: readonly Uint8Array[];
}

/** A transaction, that its author signed it, where it stands, and what came of it. */
export interface TransactionProof {
  readonly height: number;
  /** Encoded transaction; its statement text may be erased. */
  readonly transaction: Uint8Array;
  /** In the transactions root of the header of `height`. */
  readonly inBlock: LeafPath;
  /** Signature over the author's bundle, and the transaction's place in it. */
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
  readonly inBundle: LeafPath;
  /** Encoded receipt, in the receipts root of the block: the same index and count as in the block. */
  readonly receipt: Uint8Array;
  readonly receiptSiblings: readonly Uint8Array[];
  /** Height of a header whose `executed` is this block. */
  readonly executedIn: number;
}

/** Where a definition comes from: a catalog operation, or the genesis record. */
export type DefinitionProof =
  | { readonly kind: 'transaction'; readonly proof: TransactionProof }
  | { readonly kind: 'genesis'; readonly record: Uint8Array };

/** An encoded header; `siblings` lead from it to the history root of the anchor. */
export interface HeaderProof {
  readonly header: Uint8Array;
  readonly siblings: readonly Uint8Array[];
}

export interface RowProof {
  /** Encoded row version, and its place among the versions of the transaction's receipt. */
  readonly row: Uint8Array;
  readonly inReceipt: LeafPath;
  readonly transaction: TransactionProof;
  /** Definition of the table with the schema version of the row; null leaves names unproven. */
  readonly table: DefinitionProof | null;
  /** Definition of the author's role with the key that signed; null leaves name and custody unproven. */
  readonly author: DefinitionProof | null;
  /** Every header used but the anchor, in order of height. */
  readonly headers: readonly HeaderProof[];
  /** Encoded header that the nodes' signatures are for, and its encoded certificate: of its own, no later one's. */
  readonly anchor: { readonly header: Uint8Array; readonly certificate: Uint8Array };
  /** Up to the anchor's epoch; null leaves it to the reader to know the nodes' keys. */
  readonly epochs: EpochsProof | null;
  /** Shows that the history tree of the anchor and that of a checkpoint are one; null without a checkpoint. */
  readonly consistency: { readonly size: number; readonly hashes: readonly Uint8Array[] } | null;
}

function leafPath(crypto: Crypto, leaves: readonly Uint8Array[], index: number): LeafPath {
  return { index, count: leaves.length, siblings: merklePath(crypto, leaves, index) };
}

/**
 * The proof of one transaction.
 *
 * @param position    place of the transaction in the block
 * @param receipts    encoded receipts of the block, in order
 * @param executedIn  height of a header whose `executed` is this block
 */
export function proveTransaction(
  crypto: Crypto,
  block: Block,
  position: number,
  receipts: readonly Uint8Array[],
  executedIn: number,
): TransactionProof {
  const ids = block.bundles.map(({ transactions }) =>
    transactions.map((bytes) => transactionIdOf(crypto, bytes)),
  );
  let inBundle = position;
  let place = 0;
  while (place < ids.length && inBundle >= ids[place]!.length) inBundle -= ids[place++]!.length;
  const bundle = block.bundles[place];
  assert(bundle !== undefined && position < receipts.length, 'no such transaction');
  const receiptLeaves = receipts.map((bytes) => receiptHash(crypto, bytes));
  return {
    height: block.header.height,
    transaction: bundle.transactions[inBundle]!,
    inBlock: leafPath(crypto, ids.flat(), position),
    publicKey: bundle.publicKey,
    signature: bundle.signature,
    inBundle: leafPath(crypto, ids[place]!, inBundle),
    receipt: receipts[position]!,
    receiptSiblings: merklePath(crypto, receiptLeaves, position),
    executedIn,
  };
}

/** What `proveRow` is made from. */
export interface RowProofPieces {
  /** Encoded row version, hashes of all versions of its receipt, and its place among them. */
  readonly row: Uint8Array;
  readonly versionHashes: readonly Uint8Array[];
  readonly versionIndex: number;
  readonly transaction: TransactionProof;
  readonly table: DefinitionProof | null;
  readonly author: DefinitionProof | null;
  /** Encoded header of a height. */
  readonly headerAt: (height: number) => Uint8Array;
  /** Height of the anchor, at least every `executedIn`, and its encoded certificate. */
  readonly anchorHeight: number;
  readonly certificate: Uint8Array;
  readonly epochs: EpochsProof | null;
  /** Subtrees of the history tree. */
  readonly nodeAt: NodeAt;
  /** Size of the tree of a checkpoint the proof shall stand on as well, or null. */
  readonly checkpointSize: number | null;
}

/** Heights of the headers that a transaction proof stands on. */
function heightsOf(definition: DefinitionProof | null): number[] {
  return definition?.kind === 'transaction'
    ? [definition.proof.height, definition.proof.executedIn]
    : [];
}

export function proveRow(crypto: Crypto, pieces: RowProofPieces): RowProof {
  const { transaction, table, author, anchorHeight, nodeAt, checkpointSize } = pieces;
  const used = [
    transaction.height,
    transaction.executedIn,
    ...heightsOf(table),
    ...heightsOf(author),
  ];
  const heights = [...new Set(used)].filter((height) => height !== anchorHeight);
  const header = pieces.headerAt(anchorHeight);
  assert(decodeHeader(header).height === anchorHeight, 'a header of another height');
  return {
    row: pieces.row,
    inReceipt: leafPath(crypto, pieces.versionHashes, pieces.versionIndex),
    transaction,
    table,
    author,
    headers: heights
      .sort((a, b) => a - b)
      .map((height) => ({
        header: pieces.headerAt(height),
        siblings: inclusionPath(crypto, nodeAt, height, anchorHeight),
      })),
    anchor: { header, certificate: pieces.certificate },
    epochs: pieces.epochs,
    consistency:
      checkpointSize === null ? null : consistent(crypto, nodeAt, anchorHeight, checkpointSize),
  };
}

function consistent(
  crypto: Crypto,
  nodeAt: NodeAt,
  anchorHeight: number,
  size: number,
): NonNullable<RowProof['consistency']> {
  const [from, to] = [Math.min(anchorHeight, size), Math.max(anchorHeight, size)];
  return { size, hashes: consistencyPath(crypto, nodeAt, from, to) };
}
