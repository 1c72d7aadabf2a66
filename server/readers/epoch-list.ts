// The epochs of the chain, for the views that show them. Shell: opens block files when first asked.

import { BlockStore } from '../../storage/block-store.ts';
import { epochsUpTo } from '../../storage/epochs.ts';
import type { Epoch } from '../../storage/epochs.ts';

/** A function that gives all epochs up to that of the block after a height; it remembers those it has found. */
export function epochList(dataDirectory: string): (height: number) => readonly Epoch[] {
  let blocks: BlockStore | null = null;
  let height = -1;
  let known: readonly Epoch[] = [];
  return (wanted) => {
    if (wanted > height) {
      blocks ??= new BlockStore(dataDirectory, { readonly: true });
      if (blocks.tip < wanted) blocks.refresh(wanted);
      known = epochsUpTo(blocks, wanted, known);
      height = wanted;
    }
    // Another snapshot may be older.
    return known.filter(({ from }) => from <= wanted + 1);
  };
}
