// Block 0. Pure, browser-safe.
//
// Its body is the genesis record, whose hash is the chain id; it has no transactions and no parent. It is
// signed like any other block, so that the first entry of the history tree is certified too.

import type { Genesis, Header } from './block.ts';
import { FORMAT_VERSION } from './block.ts';
import type { Crypto } from './crypto.ts';
import { HASH_BYTES } from './crypto.ts';
import { bodyHash, chainIdOf } from './hash.ts';
import { emptyRoot } from './merkle.ts';

/**
 * The header of block 0.
 *
 * @param genesisBytes  `genesis`, encoded
 * @param proposer      public key of the node that makes the chain
 */
export function genesisHeader(
  crypto: Crypto,
  genesis: Genesis,
  genesisBytes: Uint8Array,
  proposer: Uint8Array,
): Header {
  const empty = emptyRoot(crypto);
  return {
    version: FORMAT_VERSION,
    chainId: chainIdOf(crypto, genesisBytes),
    height: 0,
    parent: new Uint8Array(HASH_BYTES),
    timeMs: genesis.createdMs,
    transactionsRoot: empty,
    transactionCount: 0,
    bodyHash: bodyHash(crypto, genesisBytes),
    executed: { height: 0, receiptsRoot: empty },
    historyRoot: empty,
    proposer,
    term: 0,
  };
}

/** Signatures that a certificate needs. A chain whose consensus may change asks for the most. */
export function quorumOf(genesis: Pick<Genesis, 'consensus' | 'nodes'>): number {
  const nodes = genesis.nodes.length;
  switch (genesis.consensus) {
    case 'solo':
      return 1;
    case 'raft':
      return Math.floor(nodes / 2) + 1;
    case 'bft':
    case 'adaptive':
      return nodes - Math.floor((nodes - 1) / 3);
  }
}
