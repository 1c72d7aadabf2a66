// Canonical bytes of what nodes ask one another to repair their files, or to have all parts of a block. Pure, browser-safe.
// docs/formats/repair.md describes them.
//
// An answer proves nothing by itself: who asked checks it against hashes and certificates that he has.

import { blob, hash, integer, list, nullable, record, uint, uint63, variants } from './codec.ts';
import { decodeWith, encodeWith } from './codec.ts';
import type { Codec } from './codec.ts';
import { LIMITS } from './limits.ts';

const VERSION = 1;

/** Leaves that one question may name. */
export const REPAIR_LEAVES_MAX = 1_000;

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
    }
  /** Part of a large transaction, by its hash. */
  | { readonly kind: 'chunk'; readonly hash: Uint8Array };

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
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'nothing' };

const version = integer(VERSION, VERSION);

const question = message<RepairQuestion>(
  variants<RepairQuestion, 'kind'>('kind', {
    block: [0, { height: uint }],
    receipts: [1, { height: uint }],
    versions: [2, { from: uint63, to: uint63, leaves: list(hash, REPAIR_LEAVES_MAX) }],
    chunk: [3, { hash }],
  }),
);

const answer = message<RepairAnswer>(
  variants<RepairAnswer, 'kind'>('kind', {
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
    chunk: [4, { bytes: blob(1, LIMITS.chunkBytesMax) }],
  }),
);

/** Content behind the version of these messages. */
function message<T>(content: Codec<T>): Codec<{ readonly version: number; readonly content: T }> {
  return record<{ readonly version: number; readonly content: T }>({ version, content });
}

export function encodeQuestion(content: RepairQuestion): Uint8Array {
  return encodeWith(question, { version: VERSION, content });
}

/** @throws FormatError */
export function decodeQuestion(encoded: Uint8Array): RepairQuestion {
  return decodeWith(question, encoded).content;
}

export function encodeAnswer(content: RepairAnswer): Uint8Array {
  return encodeWith(answer, { version: VERSION, content });
}

/** @throws FormatError */
export function decodeAnswer(encoded: Uint8Array): RepairAnswer {
  return decodeWith(answer, encoded).content;
}
