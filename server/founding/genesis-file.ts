// Block 0 of a cluster as its founder sends it to the others: genesis.json. Pure.
//
//   {format, version, chainId, header, body, certificate}
//
// Bytes are hexadecimal. Everything in it is public; everything follows from the three parts of the block.

import { checkGenesis } from '../../ledger/block-check.ts';
import { FORMAT_VERSION } from '../../ledger/block.ts';
import type { Genesis } from '../../ledger/block.ts';
import { equal, hex, tryFromHex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { decodeGenesis, decodeHeader } from '../../ledger/encoding.ts';
import { decodeCertificate } from '../../ledger/encoding-vote.ts';
import { isFormatError, StorageError } from '../../ledger/error.ts';
import type { StoredBlock } from '../../storage/block-store.ts';
import { readJson } from './json-file.ts';

const FORMAT = 'trustsql genesis';

/** A block 0 that was found sound. */
export interface GenesisBlock {
  readonly block: StoredBlock;
  readonly genesis: Genesis;
  readonly chainId: Uint8Array;
}

/** The text of the file. */
export function formatGenesis({ block, chainId }: GenesisBlock): string {
  const fields = {
    format: FORMAT,
    version: FORMAT_VERSION,
    chainId: hex(chainId),
    header: hex(block.header),
    body: hex(block.body),
    certificate: hex(block.certificate),
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

/**
 * The block that a file holds, checked: signed by the first node of its record, and nothing in it contradicts another.
 *
 * @param place  the file, for messages
 * @throws StorageError foreign for another format or version, damaged for a block that is not sound
 */
export function parseGenesis(crypto: Crypto, content: string, place: string): GenesisBlock {
  const fields = readJson(content, place, FORMAT, FORMAT_VERSION);
  const bytesOf = (name: string): Uint8Array => {
    const value = fields[name];
    const found = typeof value === 'string' ? tryFromHex(value) : null;
    if (found !== null) return found;
    throw new StorageError('damaged', `${place}: ${name} is not hexadecimal`);
  };
  const block = {
    height: 0,
    header: bytesOf('header'),
    body: bytesOf('body'),
    certificate: bytesOf('certificate'),
  };
  try {
    const found = soundGenesis(crypto, block);
    if (typeof found === 'string') throw new StorageError('damaged', `${place}: ${found}`);
    if (equal(found.chainId, bytesOf('chainId'))) return found;
    throw new StorageError('damaged', `${place}: chainId is not the one of its block`);
  } catch (error) {
    if (!isFormatError(error)) throw error;
    throw new StorageError('damaged', `${place}: ${error.message}`, { cause: error });
  }
}

/** A block 0 with what it says, or what is wrong with it. @throws FormatError */
function soundGenesis(crypto: Crypto, block: StoredBlock): GenesisBlock | string {
  const genesis = decodeGenesis(block.body);
  const header = decodeHeader(block.header);
  const problem = checkGenesis(crypto, genesis, header, decodeCertificate(block.certificate));
  if (problem !== null) return problem.message;
  if (!equal(header.proposer, genesis.nodes[0]!.publicKey)) return 'not signed by its first node';
  return { block, genesis, chainId: header.chainId };
}
