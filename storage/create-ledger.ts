// Makes a new ledger in an empty directory: block 0 and the marker. Shell.
//
// The marker is written last: a directory without it is no ledger, and creating starts over.

import { decodeGenesis, decodeHeader, encodeGenesis, encodeHeader } from '../ledger/encoding.ts';
import { encodeCertificate } from '../ledger/encoding-vote.ts';
import { genesisHeader } from '../ledger/genesis.ts';
import { headerHash } from '../ledger/hash.ts';
import { signHeader } from '../ledger/signing.ts';
import { StorageError } from '../ledger/error.ts';
import { BlockStore } from './block-store.ts';
import type { StoredBlock } from './block-store.ts';
import { makeFolders, markDataDirectory } from './data-directory.ts';
import { STATE_SHARDS_MAX } from './state-store.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Genesis } from '../ledger/block.ts';

/**
 * Makes block 0 and the ledger of it.
 *
 * @param nodeSeed secret of the node that signs block 0; its public key is in `genesis.nodes`
 * @returns        the chain id
 * @throws StorageError foreign when there is a ledger already; full or io
 */
export function createLedger(
  directory: string,
  genesis: Genesis,
  crypto: Crypto,
  nodeSeed: Uint8Array,
): Uint8Array {
  return installLedger(directory, makeGenesisBlock(crypto, genesis, nodeSeed));
}

/** Block 0, signed by the node of `nodeSeed`. */
export function makeGenesisBlock(
  crypto: Crypto,
  genesis: Genesis,
  nodeSeed: Uint8Array,
): StoredBlock {
  const body = encodeGenesis(genesis);
  const header = genesisHeader(crypto, genesis, body, crypto.publicKeyOf(nodeSeed));
  const bytes = encodeHeader(header);
  const signature = signHeader(crypto, nodeSeed, header.chainId, headerHash(crypto, bytes));
  const certificate = encodeCertificate({ kind: 'proposer', signature });
  return { height: 0, header: bytes, body, certificate };
}

/**
 * Makes the ledger of a block 0 that has been checked, also of one that another node has signed.
 *
 * @returns the chain id
 * @throws StorageError foreign when there is a ledger already; full or io
 */
export function installLedger(directory: string, block: StoredBlock): Uint8Array {
  const { stateShards } = decodeGenesis(block.body);
  const { chainId } = decodeHeader(block.header);
  if (stateShards > STATE_SHARDS_MAX) {
    throw new StorageError('io', `at most ${STATE_SHARDS_MAX} state shards are possible`);
  }
  makeFolders(directory);
  const blocks = new BlockStore(directory);
  try {
    if (blocks.tip > 0) throw new StorageError('foreign', `${directory}: there are blocks here`);
    blocks.replaceGenesis(block);
  } finally {
    blocks.close();
  }
  markDataDirectory({ path: directory, chainId, stateShards });
  return chainId;
}
