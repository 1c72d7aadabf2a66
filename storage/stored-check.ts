// What can be seen of stored blocks and receipts without executing anything. Pure.

import { checkCertificateOf } from '../ledger/certificate-check.ts';
import { decodeBody, decodeHeader, decodeReceipt } from '../ledger/encoding.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { FormatError } from '../ledger/error.ts';
import { bodyHash, headerHash, receiptHash } from '../ledger/hash.ts';
import { merkleRoot, packedMerkleRoot } from '../ledger/merkle.ts';
import { equal } from '../ledger/bytes.ts';
import type { Body, Header } from '../ledger/block.ts';
import type { CertificateContext } from '../ledger/certificate-check.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Certificate } from '../ledger/vote.ts';
import type { StoredBlock } from './block-store.ts';

/** A stored block that is sound by itself. */
export interface SoundBlock {
  readonly header: Header;
  readonly hash: Uint8Array;
  readonly body: Body;
  readonly certificate: Certificate;
}

/** A stored receipt with the leaves of its transaction, back to back. */
export interface StoredReceipt {
  readonly receipt: Uint8Array;
  readonly leaves: Uint8Array;
}

/**
 * Checks a block by itself: encoding, height, certificate, body.
 *
 * @param certified  the certificate was checked before, for this header and in these very bytes
 * @throws FormatError what is wrong with it
 */
export function checkStored(
  context: Omit<CertificateContext, 'config'>,
  configFor: (header: Header) => CertificateContext['config'],
  stored: StoredBlock,
  certified = false,
): SoundBlock {
  const { crypto } = context;
  const hash = headerHash(crypto, stored.header);
  const header = decodeHeader(stored.header);
  const certificate = decodeCertificate(stored.certificate);
  if (header.height !== stored.height) throw new FormatError('does not follow the block before it');
  if (!certified) {
    const config = configFor(header);
    const problem = checkCertificateOf({ ...context, config }, header, hash, certificate);
    if (problem !== null) throw new FormatError(problem);
  }
  if (!equal(header.bodyHash, bodyHash(crypto, stored.body))) {
    throw new FormatError('has another body');
  }
  // The body of block 0 is the genesis record.
  const body = header.height === 0 ? { bundles: [], system: [] } : decodeBody(stored.body);
  return { header, hash, body, certificate };
}

/** Whether leaves are those that their receipts name. */
export function leavesAreSound(crypto: Crypto, receipts: readonly StoredReceipt[]): boolean {
  return receipts.every(({ receipt, leaves }) => {
    const expected = decodeReceipt(receipt).versionsRoot;
    return equal(expected, packedMerkleRoot(crypto, leaves));
  });
}

/** Root of all receipts of a block, as a later header says it. */
export function receiptsRootOf(crypto: Crypto, receipts: readonly StoredReceipt[]): Uint8Array {
  return merkleRoot(
    crypto,
    receipts.map(({ receipt }) => receiptHash(crypto, receipt)),
  );
}
