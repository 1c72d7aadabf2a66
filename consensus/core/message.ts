// Messages between nodes, and the statements that members sign. Pure types.
//
// Whoever receives a message knows from which node: the transport has authenticated it. What others must be
// able to check, blocks, votes, certificates, reports, new terms, health and suspicions, is signed besides.

import type { VoteCertificate, Vote, Mode } from '../../ledger/vote.ts';

/** An encoded header with the signature of its proposer. */
export interface SignedHeader {
  readonly header: Uint8Array;
  readonly signature: Uint8Array;
}

/** A proposed block. */
export interface SignedBlock extends SignedHeader {
  readonly body: Uint8Array;
}

/** A block as it is stored: all parts encoded. */
export interface CertifiedBlock {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  readonly certificate: Uint8Array;
}

/** What a member tells the leader of a term that it enters. */
export interface Report {
  readonly epoch: number;
  /** The term entered. */
  readonly term: number;
  readonly member: number;
  /** The highest certificate it holds by (term, height); without signatures the block before the epoch. */
  readonly highest: VoteCertificate;
  /** What it has acknowledged above that, in raft mode, in the term of `highest`; each the next one's parent. */
  readonly tail: readonly SignedHeader[];
  readonly wantBft: boolean;
  readonly signature: Uint8Array;
}

/** How the leader of a term opens it: reports of a quorum, and what follows from them. */
export interface NewTerm {
  readonly epoch: number;
  readonly term: number;
  readonly reports: readonly Report[];
  /** The block that the term takes over, and the mode it is in. */
  readonly height: number;
  readonly hash: Uint8Array;
  readonly mode: Mode;
  readonly signature: Uint8Array;
}

/** What a member has at a height, said when that is confirmed. */
export interface Health {
  readonly epoch: number;
  readonly member: number;
  readonly height: number;
  readonly hash: Uint8Array;
  readonly receiptsRoot: Uint8Array;
  readonly signature: Uint8Array;
}

/** A member holds another to be no help; a claim, no proof. */
export interface Suspicion {
  readonly epoch: number;
  readonly member: number;
  readonly peer: number;
  /** Nothing is heard of it; or it is there, and has not said for long that it has what is confirmed. */
  readonly reason: 'silent' | 'unwell';
  /** Newest confirmed height of the member when it said so. */
  readonly height: number;
  readonly signature: Uint8Array;
}

export type Message =
  | {
      readonly kind: 'block';
      readonly block: SignedBlock;
      /** The sender's highest certificate, and the newest that confirms: null in an answer to `fetch`. */
      readonly highest: VoteCertificate | null;
      readonly confirming: VoteCertificate | null;
    }
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'certificate'; readonly certificate: VoteCertificate }
  | {
      readonly kind: 'wish';
      readonly epoch: number;
      readonly term: number;
      readonly wantBft: boolean;
    }
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'newTerm'; readonly newTerm: NewTerm }
  /** Sent at every heartbeat: where the sender stands. */
  | {
      readonly kind: 'status';
      readonly epoch: number;
      readonly term: number;
      readonly height: number;
      readonly highest: VoteCertificate | null;
    }
  /** Asks for an unconfirmed block. */
  | { readonly kind: 'fetch'; readonly hash: Uint8Array }
  /** Asks for confirmed blocks from a height on. */
  | { readonly kind: 'sync'; readonly height: number }
  | { readonly kind: 'blocks'; readonly blocks: readonly CertifiedBlock[] }
  /** Asks how far votes may have gone. */
  | { readonly kind: 'probe'; readonly nonce: number }
  | {
      readonly kind: 'floor';
      readonly nonce: number;
      readonly epoch: number;
      readonly term: number;
      readonly height: number;
    }
  | { readonly kind: 'evidence'; readonly evidence: Uint8Array }
  | { readonly kind: 'health'; readonly health: Health }
  | { readonly kind: 'suspicion'; readonly suspicion: Suspicion };

/** Proof that a member has lied; `consensus/core/evidence.ts` says what each shows. */
export type Evidence =
  | { readonly kind: 'proposals'; readonly first: SignedHeader; readonly second: SignedHeader }
  | { readonly kind: 'votes'; readonly first: Vote; readonly second: Vote }
  | {
      readonly kind: 'report';
      readonly vote: Vote;
      /** Encoded, each the next one's parent: the last that of the vote, the first the child of `highest`. */
      readonly headers: readonly Uint8Array[];
      readonly report: Report;
    }
  | { readonly kind: 'newTerm'; readonly newTerm: NewTerm }
  | {
      readonly kind: 'health';
      readonly health: Health;
      /** Encoded, each the next one's parent: the first is of that height or carries its result, the last is certified. */
      readonly headers: readonly Uint8Array[];
      readonly certificate: VoteCertificate;
    }
  /** Against the leader, or against who has acknowledged the block. */
  | { readonly kind: 'block'; readonly block: SignedBlock; readonly vote: Vote | null };
