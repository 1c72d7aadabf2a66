// Bytes of messages, statements, evidence and durable records. Pure.
//
// The rules are those of ledger/encoding.ts: one encoding of everything, FormatError for everything else. Lists
// are bounded before anything is read into them.

import {
  blob,
  bool,
  bytes,
  decodeWith,
  encodeWith,
  hash,
  list,
  nullable,
  oneOf,
  record,
  uint,
  variants,
} from '../../ledger/codec.ts';
import type { Codec } from '../../ledger/codec.ts';
import { SIGNATURE_BYTES } from '../../ledger/crypto.ts';
import {
  memberIndex,
  modeCodec,
  voteCertificateCodec,
  voteCodec,
} from '../../ledger/encoding-vote.ts';
import { FormatError } from '../../ledger/error.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';
import type {
  CertifiedBlock,
  Evidence,
  Health,
  Message,
  NewTerm,
  Report,
  SignedBlock,
  SignedHeader,
  Suspicion,
} from './message.ts';
import type { DurableRecord, LastVote } from './durable.ts';

const HEADER_BYTES_MAX = 1_024;

const signature = bytes(SIGNATURE_BYTES);
const headerBytes = blob(1, HEADER_BYTES_MAX);
const bodyBytes = blob(1, LIMITS.blockBodyBytesMax);
const certificate = voteCertificateCodec;

const signedHeader = record<SignedHeader>({ header: headerBytes, signature });
const signedBlock = record<SignedBlock>({ header: headerBytes, body: bodyBytes, signature });
const certifiedBlock = record<CertifiedBlock>({
  header: headerBytes,
  body: bodyBytes,
  certificate: blob(1, LIMITS.nodesMax * 128),
});

const reportFields = {
  epoch: uint,
  term: uint,
  member: memberIndex,
  highest: certificate,
  tail: list(signedHeader, LIMITS.windowMax),
  wantBft: bool,
} as const;
const reportCodec: Codec<Report> = record<Report>({ ...reportFields, signature });
const unsignedReport = record<Omit<Report, 'signature'>>(reportFields);

const newTermFields = {
  epoch: uint,
  term: uint,
  reports: list(reportCodec, LIMITS.nodesMax),
  height: uint,
  hash,
  mode: modeCodec,
} as const;
const newTermCodec: Codec<NewTerm> = record<NewTerm>({ ...newTermFields, signature });
const unsignedNewTerm = record<Omit<NewTerm, 'signature'>>(newTermFields);

const healthFields = {
  epoch: uint,
  member: memberIndex,
  height: uint,
  hash,
  receiptsRoot: hash,
} as const;
const healthCodec: Codec<Health> = record<Health>({ ...healthFields, signature });
const unsignedHealth = record<Omit<Health, 'signature'>>(healthFields);

const suspicionFields = {
  epoch: uint,
  member: memberIndex,
  peer: memberIndex,
  reason: oneOf(['silent', 'unwell']),
  height: uint,
} as const;
const suspicionCodec: Codec<Suspicion> = record<Suspicion>({ ...suspicionFields, signature });
const unsignedSuspicion = record<Omit<Suspicion, 'signature'>>(suspicionFields);

const messageCodec: Codec<Message> = variants<Message, 'kind'>('kind', {
  block: [
    0,
    { block: signedBlock, highest: nullable(certificate), confirming: nullable(certificate) },
  ],
  vote: [1, { vote: voteCodec }],
  certificate: [2, { certificate }],
  wish: [3, { epoch: uint, term: uint, wantBft: bool }],
  report: [4, { report: reportCodec }],
  newTerm: [5, { newTerm: newTermCodec }],
  status: [6, { epoch: uint, term: uint, height: uint, highest: nullable(certificate) }],
  fetch: [7, { hash }],
  sync: [8, { height: uint }],
  blocks: [9, { blocks: list(certifiedBlock, CONSENSUS_LIMITS.syncBlocksMax) }],
  probe: [10, { nonce: uint }],
  floor: [11, { nonce: uint, epoch: uint, term: uint, height: uint }],
  evidence: [12, { evidence: blob(1, CONSENSUS_LIMITS.evidenceBytesMax) }],
  health: [13, { health: healthCodec }],
  suspicion: [14, { suspicion: suspicionCodec }],
});

const evidenceCodec: Codec<Evidence> = variants<Evidence, 'kind'>('kind', {
  proposals: [0, { first: signedHeader, second: signedHeader }],
  votes: [1, { first: voteCodec, second: voteCodec }],
  report: [
    2,
    { vote: voteCodec, headers: list(headerBytes, LIMITS.windowMax, 1), report: reportCodec },
  ],
  newTerm: [3, { newTerm: newTermCodec }],
  health: [
    4,
    {
      health: healthCodec,
      headers: list(headerBytes, LIMITS.certificateSpanMax, 1),
      certificate,
    },
  ],
  block: [5, { block: signedBlock, vote: nullable(voteCodec) }],
});

const lastVote = record<LastVote>({
  term: uint,
  mode: modeCodec,
  height: uint,
  hash,
});

const durableCodec: Codec<DurableRecord> = variants<DurableRecord, 'kind'>('kind', {
  state: [
    0,
    {
      epoch: uint,
      term: uint,
      led: nullable(uint),
      highest: certificate,
      lastAck: nullable(lastVote),
      tail: nullable(hash),
      wantBft: bool,
      recovering: bool,
    },
  ],
  block: [1, { block: signedBlock }],
});

/** @throws FormatError for a message that no honest node would send */
export function encodeMessage(message: Message): Uint8Array {
  return encodeWith(messageCodec, message);
}

export function decodeMessage(encoded: Uint8Array): Message {
  if (encoded.length > CONSENSUS_LIMITS.messageBytesMax)
    throw new FormatError('message is too long');
  return decodeWith(messageCodec, encoded);
}

/** What the signature of a report is over. */
export function encodeUnsignedReport(report: Omit<Report, 'signature'>): Uint8Array {
  return encodeWith(unsignedReport, report);
}

export function encodeUnsignedNewTerm(newTerm: Omit<NewTerm, 'signature'>): Uint8Array {
  return encodeWith(unsignedNewTerm, newTerm);
}

export function encodeUnsignedHealth(health: Omit<Health, 'signature'>): Uint8Array {
  return encodeWith(unsignedHealth, health);
}

export function encodeHealth(health: Health): Uint8Array {
  return encodeWith(healthCodec, health);
}

export function decodeHealth(encoded: Uint8Array): Health {
  return decodeWith(healthCodec, encoded);
}

export function encodeUnsignedSuspicion(suspicion: Omit<Suspicion, 'signature'>): Uint8Array {
  return encodeWith(unsignedSuspicion, suspicion);
}

export function encodeSuspicion(suspicion: Suspicion): Uint8Array {
  return encodeWith(suspicionCodec, suspicion);
}

export function decodeSuspicion(encoded: Uint8Array): Suspicion {
  return decodeWith(suspicionCodec, encoded);
}

export function encodeEvidence(evidence: Evidence): Uint8Array {
  return encodeWith(evidenceCodec, evidence);
}

export function decodeEvidence(encoded: Uint8Array): Evidence {
  return decodeWith(evidenceCodec, encoded);
}

export function encodeDurable(durable: DurableRecord): Uint8Array {
  return encodeWith(durableCodec, durable);
}

export function decodeDurable(encoded: Uint8Array): DurableRecord {
  return decodeWith(durableCodec, encoded);
}
