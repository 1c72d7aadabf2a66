// Makes a new ledger in an empty directory: block 0 and the marker. Shell.
//
// The marker is written last: a directory without it is no ledger, and creating starts over.

import { encodeGenesis, encodeHeader } from '../ledger/encoding.ts';
import { encodeCertificate } from '../ledger/encoding-vote.ts';
import { genesisHeader } from '../ledger/genesis.ts';
import { headerHash } from '../ledger/hash.ts';
import { signHeader } from '../ledger/signing.ts';
import { StorageError } from '../ledger/error.ts';
import { BlockStore } from './block-store.ts';
import { makeFolders, markDataDirectory } from './data-directory.ts';
import { STATE_SHARDS_MAX } from './state-store.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Genesis } from '../ledger/block.ts';

/**
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
  if (genesis.stateShards > STATE_SHARDS_MAX) {
    throw new StorageError('io', `at most ${STATE_SHARDS_MAX} state shards are possible`);
  }
  makeFolders(directory);
  const body = encodeGenesis(genesis);
  const node = crypto.publicKeyOf(nodeSeed);
  const header = genesisHeader(crypto, genesis, body, node);
  const bytes = encodeHeader(header);
  const { chainId } = header;
  const signature = signHeader(crypto, nodeSeed, chainId, headerHash(crypto, bytes));
  const blocks = new BlockStore(directory);
  try {
    if (blocks.tip > 0) throw new StorageError('foreign', `${directory}: there are blocks here`);
    blocks.replaceGenesis({
      height: 0,
      header: bytes,
      body,
      certificate: encodeCertificate({ kind: 'proposer', signature }),
    });
  } finally {
    blocks.close();
  }
  markDataDirectory({ path: directory, chainId, stateShards: genesis.stateShards });
  return chainId;
}
