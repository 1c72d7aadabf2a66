// Whether a certificate confirms a block. Pure, browser-safe.
//
// (1) The signatures are those of distinct members of the epoch, as many as its quorums ask for.
// (2) A certificate that names the block itself is enough alone. One that names a later block confirms this
//     one because every block up to the named one has it too, each the parent of the next: `checkCovered` of
//     each of them carries that from the first to the last, which is checked as in the first case.
// (3) Acknowledgements confirm only a block of the very term they are of, in raft mode: one of a tip that a
//     new term takes over says nothing of what others will take over after it.

import type { Header } from './block.ts';
import { equal } from './bytes.ts';
import type { Crypto } from './crypto.ts';
import { LIMITS } from './limits.ts';
import type { EpochConfig } from './epoch.ts';
import { quorumsOf } from './epoch.ts';
import { verifyHeader, verifyVote } from './signing.ts';
import type { Certificate, VoteCertificate } from './vote.ts';
import { votesOf } from './vote.ts';

export interface CertificateContext {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  /** Of the epoch of the block. */
  readonly config: EpochConfig;
}

/** Signatures that a certificate of this kind needs. */
export function signaturesNeeded(config: EpochConfig, kind: VoteCertificate['kind']): number {
  const { fast, report } = quorumsOf(config);
  return kind === 'fast' ? fast : report;
}

/** @returns what is wrong with the signatures, or null: the votes were cast, whatever they are about */
export function checkVotes(
  { crypto, chainId, config }: CertificateContext,
  certificate: VoteCertificate,
): string | null {
  const { kind, epoch, mode, signatures } = certificate;
  if (config.policy === 'solo') return 'votes where one node signs alone';
  if (epoch !== config.epoch) return `certificate of epoch ${epoch}, not ${config.epoch}`;
  if (kind === 'fast' && mode !== 'raft') return 'fast certificate outside raft mode';
  const needed = signaturesNeeded(config, kind);
  if (signatures.length !== needed) return `${signatures.length} signatures, ${needed} needed`;
  let before = -1;
  for (const { member } of signatures) {
    if (member <= before) return 'signatures are not ascending by member';
    if (member >= config.members.length) return `no member ${member}`;
    before = member;
  }
  const vote = { ...certificate, kind: votesOf(kind) };
  for (const { member, signature } of signatures) {
    const { publicKey } = config.members[member]!;
    if (!verifyVote(crypto, publicKey, chainId, { ...vote, member, signature })) {
      return `signature of member ${member} is not valid`;
    }
  }
  return null;
}

/** @returns what keeps votes from confirming the block they name; their signatures aside */
export function checkConfirms(certificate: VoteCertificate, header: Header): string | null {
  const { kind, epoch, term, mode } = certificate;
  if (kind === 'quorum') return 'acknowledgements of a quorum confirm nothing';
  if (header.epoch !== epoch) return 'certificate of another epoch';
  if (header.term > term) return 'certificate of an earlier term';
  if (kind === 'fast' && (header.term !== term || header.mode !== 'raft' || mode !== 'raft')) {
    return 'fast certificate for a block of another term or mode';
  }
  return null;
}

/** Whether a certificate is about a block after `header`. */
export function isOfLater(certificate: Certificate, { height }: Header): boolean {
  return certificate.kind !== 'proposer' && certificate.height > height;
}

/**
 * @param hash  of `header`
 * @returns     what is wrong, or null; of a certificate that names a later block, what can be seen here
 */
export function checkCertificateOf(
  context: CertificateContext,
  header: Header,
  hash: Uint8Array,
  certificate: Certificate,
): string | null {
  const { config } = context;
  if (certificate.kind === 'proposer') {
    if (config.policy !== 'solo' && header.height > 0) return 'members have not voted';
    const { crypto, chainId } = context;
    return verifyHeader(crypto, header.proposer, certificate.signature, chainId, hash)
      ? null
      : 'signature of a node is not valid';
  }
  if (certificate.height < header.height) return 'certificate of an earlier block';
  if (certificate.height > header.height) {
    if (certificate.height - header.height >= LIMITS.certificateSpanMax) {
      return 'certificate of a far block';
    }
    if (certificate.kind === 'quorum') return 'acknowledgements of a quorum confirm nothing';
    if (header.epoch !== certificate.epoch) return 'certificate of another epoch';
  } else {
    if (!equal(certificate.hash, hash)) return 'certificate of another block';
    const wrong = checkConfirms(certificate, header);
    if (wrong !== null) return wrong;
  }
  return checkVotes(context, certificate);
}

/** @returns what is wrong in a block whose parent's certificate names a later block; null where it does not */
export function checkCovered(
  parent: Header,
  parentCertificate: Certificate,
  certificate: Certificate,
): string | null {
  if (parentCertificate.kind === 'proposer' || !isOfLater(parentCertificate, parent)) return null;
  const same =
    certificate.kind === parentCertificate.kind &&
    certificate.height === parentCertificate.height &&
    certificate.term === parentCertificate.term &&
    equal(certificate.hash, parentCertificate.hash);
  return same ? null : `certificate of block ${parent.height} is not the one of its descendants`;
}
