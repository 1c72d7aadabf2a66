// Which chunks transactions name: what is too large for a block lies in chunks, stored before it. Pure, browser-safe.

import { decodeTransaction } from './encoding.ts';
import { tryDecode } from './error.ts';
import type { Operation } from './operation.ts';
import type { Bundle, Transaction } from './transaction.ts';

/** Hashes of the chunks that operations name, in order. */
export function chunksOf(operations: readonly Operation[]): Uint8Array[] {
  return operations.flatMap((each) => (each.kind === 'chunks' ? each.hashes : []));
}

/** The same of transactions that were read; a malformed one names none. */
export function chunksIn(
  transactions: readonly { readonly transaction: Transaction | null }[],
): Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (const { transaction } of transactions) {
    if (transaction !== null) hashes.push(...chunksOf(transaction.operations));
  }
  return hashes;
}

/** The same of transactions that were not read. */
export function chunksNamedBy(bundles: readonly Bundle[]): Uint8Array[] {
  const encoded = bundles.flatMap(({ transactions }) => transactions);
  return chunksIn(
    encoded.map((bytes) => ({ transaction: tryDecode(() => decodeTransaction(bytes)) })),
  );
}
