// The DDL of the chain, oldest first: what the analyst's mirror is rebuilt from. Shell.

import { positionOf, heightOf } from '../ledger/operation.ts';
import type { Operation } from '../ledger/operation.ts';
import { decodeBody, decodeTransaction } from '../ledger/encoding.ts';
import { StorageError } from '../ledger/error.ts';
import { BlockStore } from '../storage/block-store.ts';
import type { Inline } from './inline.ts';
import type { DdlRecord } from '../sql/analysis.ts';

/** @throws StorageError damaged when a block of the chain is missing */
export function ddlHistory(directory: string, inline: Inline): DdlRecord[] {
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    const stamps = inline.read(
      'SELECT DISTINCT stamp FROM main._catalog WHERE stamp > 0 ORDER BY stamp',
    );
    return stamps.flatMap(([stamp]) => recordsAt(blocks, stamp as bigint));
  } finally {
    blocks.close();
  }
}

function recordsAt(blocks: BlockStore, stamp: bigint): DdlRecord[] {
  const height = heightOf(stamp);
  const block = blocks.read(height);
  if (block === null)
    throw new StorageError('damaged', `${blocks.fileOf(height)}: block ${height} is missing`);
  const transactions = decodeBody(block.body).bundles.flatMap((bundle) => bundle.transactions);
  const bytes = transactions[positionOf(stamp)];
  if (bytes === undefined) throw new StorageError('damaged', `block ${height} lacks a transaction`);
  return ddlOf(decodeTransaction(bytes).operations);
}

/** The DDL among a transaction's operations. Chunks hold none. */
export function ddlOf(operations: readonly Operation[]): DdlRecord[] {
  return operations.flatMap((operation) => {
    if (operation.kind !== 'catalog') return [];
    const { role, searchPath, text } = operation;
    return [{ role, searchPath, text }];
  });
}
