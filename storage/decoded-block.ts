// A block with its parts decoded, on its way into the ledger. Pure.

import { decodeBody, decodeHeader } from '../ledger/encoding.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { StorageError } from '../ledger/error.ts';
import { headerHash } from '../ledger/hash.ts';
import { decodeTransactions } from './apply.ts';
import type { Bundle } from '../ledger/transaction.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { SystemRecord } from '../ledger/system.ts';
import type { Certificate } from '../ledger/vote.ts';
import type { Header } from '../ledger/block.ts';
import type { DecodedTransaction } from './apply.ts';
import type { StoredBlock } from './block-store.ts';
import type { Frontier } from './chain-index.ts';

/** A block with its parts decoded. */
export interface DecodedBlock {
  readonly stored: StoredBlock;
  readonly header: Header;
  /** Of the header. */
  readonly hash: Uint8Array;
  readonly bundles: readonly Bundle[];
  readonly system: readonly SystemRecord[];
  readonly certificate: Certificate;
  readonly transactions: readonly DecodedTransaction[];
}

/** A block that follows the one admitted before it. */
export interface AdmittedBlock extends DecodedBlock {
  /** The history tree over the headers before this one, as the index keeps it; null where it keeps none. */
  readonly frontier: Frontier | null;
}

/** @param file where the block lies. @throws StorageError damaged */
export function decodeBlock(crypto: Crypto, stored: StoredBlock, file: string): DecodedBlock {
  const { height } = stored;
  const { bundles, system } = decoded(() => decodeBody(stored.body), file, height);
  return {
    stored,
    header: decoded(() => decodeHeader(stored.header), file, height),
    hash: headerHash(crypto, stored.header),
    bundles,
    system,
    certificate: decoded(() => decodeCertificate(stored.certificate), file, height),
    transactions: decoded(() => decodeTransactions(crypto, bundles), file, height),
  };
}

/** Decodes a part of a block; bytes that do not decode are damage, named by file and height. */
export function decoded<T>(decode: () => T, file: string, height: number): T {
  try {
    return decode();
  } catch (error) {
    if (!Error.isError(error) || error.name !== 'FormatError') throw error;
    throw new StorageError('damaged', `${file}: block ${height}: ${error.message}`);
  }
}
