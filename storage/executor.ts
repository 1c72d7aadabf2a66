// Executing blocks into a state and its index, wherever they come from. Shell.
//
// The writer executes what it appends, recovery what was not committed, and verification the whole chain:
// all through here, so what verification rebuilds is what a node would have.

import { applyChanges, EMPTY_CATALOG } from '../ledger/catalog.ts';
import { applyBlock } from './apply.ts';
import { ChainIndex } from './chain-index.ts';
import { createTables } from './schema-change.ts';
import type { Bundle } from '../ledger/transaction.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Genesis, Header } from '../ledger/block.ts';
import type { AppliedBlock, BlockToApply, ChunkSource, DecodedTransaction } from './apply.ts';
import type { Frontier } from './chain-index.ts';
import type { StateStore } from './state-store.ts';

export interface BlockToExecute {
  readonly header: Header;
  /** Encoded header, and its hash. */
  readonly headerBytes: Uint8Array;
  readonly hash: Uint8Array;
  readonly bundles: readonly Bundle[];
  /** As `decodeTransactions` gives them. */
  readonly transactions: readonly DecodedTransaction[];
  /** The history tree over the headers before this one, where the index keeps it. */
  readonly frontier: Frontier | null;
}

export class Executor {
  readonly state: StateStore;
  readonly index: ChainIndex;
  readonly #crypto: Crypto;
  readonly #chunks: ChunkSource;

  constructor(state: StateStore, crypto: Crypto, chunks: ChunkSource) {
    this.state = state;
    this.index = new ChainIndex(state.database);
    this.#crypto = crypto;
    this.#chunks = chunks;
  }

  /** The state after block 0, inside the state's open transaction. */
  genesis(genesis: Genesis): void {
    const catalog = applyChanges(EMPTY_CATALOG, genesis.catalog);
    this.state.catalog = catalog;
    this.state.recordChanges(0n, genesis.catalog);
    createTables(this.state, catalog);
  }

  /** Inside the state's open transaction. Block 0 has nothing to apply and is only indexed. */
  execute(block: BlockToExecute): AppliedBlock {
    const { header, headerBytes, hash, frontier } = block;
    const { height, timeMs } = header;
    const applied = this.apply({ ...block, height, timeMs });
    this.index.put(header, { height, hash, header: headerBytes }, frontier);
    return applied;
  }

  /** The same without the index. */
  apply(block: BlockToApply): AppliedBlock {
    return applyBlock(this.state, this.#crypto, block, this.#chunks);
  }
}
