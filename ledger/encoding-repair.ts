// Canonical bytes of what nodes ask one another, to repair their files and for chunks of large transactions:
// docs/formats/repair.md. Pure, browser-safe.
//
// An answer proves nothing by itself: who asked checks it against hashes and certificates that he has.

import { blob, hash, integer, list, nullable, record, uint, uint63, variants } from './codec.ts';
import { decodeWith, encodeWith } from './codec.ts';
import type { Codec } from './codec.ts';
import { LIMITS } from './limits.ts';

const VERSION = 1;

/** Leaves that one question may name. */
export const REPAIR_LEAVES_MAX = 1_000;

/** Chunks that one question may name. */
export const HOLD_CHUNKS_MAX = 1_000;

/** Bytes of a chunk in one answer: most chunks are one part. */
export const CHUNK_PART_BYTES = 1_048_576;

/** Bytes of one encoded row version, and of the leaves of one transaction. */
const ROW_BYTES_MAX = 64 * 1024 * 1024;

export type RepairQuestion =
  | { readonly kind: 'block'; readonly height: number }
  /** Receipts of a block, with the leaves of each. */
  | { readonly kind: 'receipts'; readonly height: number }
  /** Row versions by the hash of each, which transactions from a stamp up to another have written. */
  | {
      readonly kind: 'versions';
      readonly from: bigint;
      readonly to: bigint;
      readonly leaves: readonly Uint8Array[];
    };

export type ChunkQuestion =
  /** Bytes of a chunk from an offset on, as many as an answer may hold. */
  | { readonly kind: 'chunk'; readonly hash: Uint8Array; readonly from: number }
  /** Asks to keep chunks for a transaction to come, and to get those that are missing from who asks. */
  | { readonly kind: 'hold'; readonly hashes: readonly Uint8Array[] };

export type PeerQuestion = RepairQuestion | ChunkQuestion;

export interface FoundReceipt {
  readonly receipt: Uint8Array;
  /** 32 bytes each, back to back. */
  readonly leaves: Uint8Array;
}

export interface FoundVersion {
  /** Encoded row version (docs/formats/receipt.md). */
  readonly version: Uint8Array;
  /** Stamp of the transaction that has closed it; null: it is current, or says that the row is deleted. */
  readonly closed: bigint | null;
}

export type RepairAnswer =
  | {
      readonly kind: 'block';
      readonly header: Uint8Array;
      readonly body: Uint8Array;
      readonly certificate: Uint8Array;
    }
  | { readonly kind: 'receipts'; readonly receipts: readonly FoundReceipt[] }
  /** Those that were found. */
  | { readonly kind: 'versions'; readonly versions: readonly FoundVersion[] }
  | { readonly kind: 'nothing' };

export type ChunkAnswer =
  /** `size` is that of the whole chunk, in bytes. */
  | { readonly kind: 'chunk'; readonly size: number; readonly part: Uint8Array }
  /** All that were named are durable. */
  | { readonly kind: 'held' }
  | { readonly kind: 'nothing' };

export type PeerAnswer = RepairAnswer | ChunkAnswer;

const version = integer(VERSION, VERSION);

const question = message<PeerQuestion>(
  variants<PeerQuestion, 'kind'>('kind', {
    block: [0, { height: uint }],
    receipts: [1, { height: uint }],
    versions: [2, { from: uint63, to: uint63, leaves: list(hash, REPAIR_LEAVES_MAX) }],
    chunk: [3, { hash, from: integer(0, LIMITS.chunkBytesMax) }],
    hold: [4, { hashes: list(hash, HOLD_CHUNKS_MAX, 1) }],
  }),
);

const answer = message<PeerAnswer>(
  variants<PeerAnswer, 'kind'>('kind', {
    block: [
      0,
      {
        header: blob(1, 1_024),
        body: blob(1, LIMITS.blockBodyBytesMax),
        certificate: blob(1, LIMITS.nodesMax * 128),
      },
    ],
    receipts: [
      1,
      {
        receipts: list(
          record<FoundReceipt>({ receipt: blob(1, ROW_BYTES_MAX), leaves: blob(0, ROW_BYTES_MAX) }),
          LIMITS.blockTransactionsMax,
        ),
      },
    ],
    versions: [
      2,
      {
        versions: list(
          record<FoundVersion>({ version: blob(1, ROW_BYTES_MAX), closed: nullable(uint63) }),
          REPAIR_LEAVES_MAX,
        ),
      },
    ],
    nothing: [3, {}],
    chunk: [4, { size: integer(1, LIMITS.chunkBytesMax), part: blob(1, CHUNK_PART_BYTES) }],
    held: [5, {}],
  }),
);

/** Content behind the version of these messages. */
function message<T>(content: Codec<T>): Codec<{ readonly version: number; readonly content: T }> {
  return record<{ readonly version: number; readonly content: T }>({ version, content });
}

export function encodeQuestion(content: PeerQuestion): Uint8Array {
  return encodeWith(question, { version: VERSION, content });
}

/** @throws FormatError */
export function decodeQuestion(encoded: Uint8Array): PeerQuestion {
  return decodeWith(question, encoded).content;
}

export function encodeAnswer(content: PeerAnswer): Uint8Array {
  return encodeWith(answer, { version: VERSION, content });
}

/** @throws FormatError */
export function decodeAnswer(encoded: Uint8Array): PeerAnswer {
  return decodeWith(answer, encoded).content;
}
