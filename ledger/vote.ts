// Votes of members, and the certificates made of them. Pure types.
//
// A vote is for one block in one term. `ack`: I hold this block, have checked everything about it that needs
// no execution, and have acknowledged nothing else in this term that it does not follow. `commit`: I have seen
// a quorum acknowledge it in this term.
//
// The term of a vote may be later than the block's: a new term begins by voting again on the tip it takes over.

/** How a term agrees: in one round trip of a bigger quorum, or in two of a smaller one. */
export type Mode = 'raft' | 'bft';

/** What a vote and a certificate are about. */
export interface Ballot {
  readonly epoch: number;
  readonly term: number;
  readonly mode: Mode;
  readonly height: number;
  /** Hash of the block's header, 32 bytes. */
  readonly hash: Uint8Array;
}

export type VoteKind = 'ack' | 'commit';

export interface Vote extends Ballot {
  readonly kind: VoteKind;
  /** Index of the voter among the members of the epoch. */
  readonly member: number;
  readonly signature: Uint8Array;
}

export interface MemberSignature {
  readonly member: number;
  readonly signature: Uint8Array;
}

/**
 * Votes of many, one signature each, strictly ascending by member.
 *
 * - `quorum`: acknowledgements of `report` members; confirms nothing, used within consensus only
 * - `fast`: acknowledgements of `fast` members for a block of this very term in raft mode; confirms it
 * - `commit`: commits of `report` members; confirms it
 *
 * Whatever confirms a block confirms all its ancestors.
 */
export interface VoteCertificate extends Ballot {
  readonly kind: 'quorum' | 'fast' | 'commit';
  readonly signatures: readonly MemberSignature[];
}

/** The signature of the header's own proposer: all there is of solo, and of block 0. */
export interface ProposerCertificate {
  readonly kind: 'proposer';
  readonly signature: Uint8Array;
}

/**
 * Why a block is final. It may be the certificate of a later block, which confirms its ancestors with it: then
 * every block from here up to the one it names has the same certificate.
 */
export type Certificate = ProposerCertificate | VoteCertificate;

/** The kind of vote that a certificate is made of. */
export function votesOf(kind: VoteCertificate['kind']): VoteKind {
  return kind === 'commit' ? 'commit' : 'ack';
}
