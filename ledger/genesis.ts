// Block 0. Pure, browser-safe.
//
// Its body is the genesis record, whose hash is the chain id; it has no transactions and no parent. The first
// of its nodes makes and signs it, also where many are members: the others are given block 0 as it is.

import type { Genesis, Header } from './block.ts';
import { FORMAT_VERSION } from './block.ts';
import type { Crypto } from './crypto.ts';
import { HASH_BYTES } from './crypto.ts';
import { bodyHash, chainIdOf } from './hash.ts';
import { emptyRoot } from './merkle.ts';
import { faultsMax, quorums } from './quorum.ts';

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
    epoch: 0,
    term: 0,
    mode: genesis.consensus === 'bft' ? 'bft' : 'raft',
    newTermHash: new Uint8Array(HASH_BYTES),
  };
}

/** The fewest signatures that confirm a block of epoch 0. */
export function quorumOf(genesis: Pick<Genesis, 'consensus' | 'nodes'>): number {
  const n = genesis.nodes.length;
  const { report, fast } = quorums(n, faultsMax(n));
  switch (genesis.consensus) {
    case 'solo':
      return 1;
    case 'raft':
      return fast;
    case 'bft':
    case 'adaptive':
      return report;
  }
}
