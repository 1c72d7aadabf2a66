// What a replica is given once: its keys, its chain, what it may ask the shell. Pure.

import type { Block } from '../../ledger/block.ts';
import type { CertificateContext } from '../../ledger/certificate-check.ts';
import { checkVotes } from '../../ledger/certificate-check.ts';
import { equal } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { memberOf } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { statementHash } from '../../ledger/hash.ts';
import type { StatementKind } from '../../ledger/signing.ts';
import { statementMessage } from '../../ledger/signing.ts';
import type { VoteCertificate } from '../../ledger/vote.ts';
import type { Candidate } from './block-tree.ts';

export interface ReplicaOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  /** The node's key; it may be no member. */
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
  /**
   * Everything about a block that needs no execution and that this core does not know: encodings, signatures and
   * grants of authors, validity in time. `wait` when it cannot be said yet; asked again
   * when something has changed, at the latest after the event `available`.
   */
  readonly validate: (block: Candidate) => 'valid' | 'wait' | 'invalid';
  /**
   * Whether a body is as it should be, for all that its bytes and the header show: what everybody says alike, at any
   * time. Who proposes another has lied; `validate` finds such a block invalid too.
   */
  readonly bodyIsSound: (block: Omit<Block, 'certificate'>) => boolean;
  /** Acknowledgements of raft mode go to all, so that every node sees a block confirmed after one round trip. */
  readonly ackFanout: boolean;
  /** Any number; different after every start, so that answers to an earlier incarnation count for nothing. */
  readonly incarnation: number;
}

/** Blocks that a statement of a member may be older than the block that stands on it. */
export const STATEMENT_AGE_BLOCKS = 64;

/** Index of a node among the members that vote, or -1: in solo nobody does. */
export function voterOf(config: EpochConfig, publicKey: Uint8Array): number {
  return config.policy === 'solo' ? -1 : memberOf(config, publicKey);
}

/** Signs what is encoded without its signature. */
export function signStatement(
  { crypto, chainId, seed }: Pick<ReplicaOptions, 'crypto' | 'chainId' | 'seed'>,
  kind: StatementKind,
  encoded: Uint8Array,
): Uint8Array {
  return crypto.sign(seed, statementMessage(kind, chainId, statementHash(crypto, encoded)));
}

export function verifyStatement(
  { crypto, chainId }: Pick<ReplicaOptions, 'crypto' | 'chainId'>,
  publicKey: Uint8Array,
  kind: StatementKind,
  encoded: Uint8Array,
  signature: Uint8Array,
): boolean {
  const message = statementMessage(kind, chainId, statementHash(crypto, encoded));
  return crypto.verify(publicKey, message, signature);
}

/** What a member says under its signature, besides votes. */
interface Said {
  readonly epoch: number;
  readonly member: number;
  readonly signature: Uint8Array;
}

/** Whether a member of the epoch has said it. @param encoded  without the signature */
export function isSaid(
  context: CertificateContext,
  kind: StatementKind,
  { epoch, member, signature }: Said,
  encoded: Uint8Array,
): boolean {
  const { config } = context;
  if (epoch !== config.epoch || member >= config.members.length) return false;
  return verifyStatement(context, config.members[member]!.publicKey, kind, encoded, signature);
}

/** The block before an epoch, as the lowest certificate in it: nobody has to sign what is confirmed. */
export function anchorOf({ epoch, mode, start }: EpochConfig, hash: Uint8Array): VoteCertificate {
  return { kind: 'quorum', epoch, term: 0, mode, height: start, hash, signatures: [] };
}

/** What the evidence of an epoch is judged by. */
export interface EpochBefore {
  readonly config: EpochConfig;
  readonly anchor: VoteCertificate;
}

/** Whether a certificate is good in an epoch: the epoch's anchor, or votes of its members. */
export function isCertified(
  context: CertificateContext,
  certificate: VoteCertificate,
  anchor: VoteCertificate,
): boolean {
  return isAnchor(certificate, anchor) || checkVotes(context, certificate) === null;
}

function isAnchor(certificate: VoteCertificate, anchor: VoteCertificate): boolean {
  return (
    certificate.signatures.length === 0 &&
    certificate.kind === 'quorum' &&
    certificate.epoch === anchor.epoch &&
    certificate.term === 0 &&
    certificate.mode === anchor.mode &&
    certificate.height === anchor.height &&
    equal(certificate.hash, anchor.hash)
  );
}

/** Whether `a` is higher than `b`: by term, then by height. */
export function isHigher(a: VoteCertificate, b: VoteCertificate): boolean {
  return a.term !== b.term ? a.term > b.term : a.height > b.height;
}
