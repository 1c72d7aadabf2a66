// Statement texts of transactions, read out of the blocks. Shell: opens block files when first asked.

import { decodeBody, decodeTransaction } from '../../ledger/encoding.ts';
import { heightOf, positionOf } from '../../ledger/operation.ts';
import { BlockStore } from '../../storage/block-store.ts';

/**
 * A function that finds the text of a transaction by its stamp: null when it has been erased, or when there
 * is no such transaction.
 */
export function statementTexts(dataDirectory: string): (stamp: bigint) => string | null {
  let blocks: BlockStore | null = null;
  let height = -1;
  /** Encoded transactions of that block, in order. */
  let transactions: readonly Uint8Array[] = [];
  return (stamp) => {
    if (heightOf(stamp) !== height) {
      height = heightOf(stamp);
      blocks ??= new BlockStore(dataDirectory, { readonly: true });
      if (blocks.tip < height) blocks.refresh(height);
      const stored = height === 0 ? null : blocks.read(height);
      const bundles = stored === null ? [] : decodeBody(stored.body).bundles;
      transactions = bundles.flatMap((bundle) => bundle.transactions);
    }
    const bytes = transactions[positionOf(stamp)];
    const text = bytes === undefined ? null : decodeTransaction(bytes).text;
    return text === null ? null : new TextDecoder().decode(text.value);
  };
}
