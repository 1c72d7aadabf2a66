// Proofs that a member has lied, which everybody can check. Pure.
//
//   proposals   one leader signed two blocks for one place
//   votes       one member voted for two blocks at one place
//   report      a member acknowledged a block of a term, and entering a later term said it had not
//   newTerm     a leader opened a term with something else than follows from the reports it gives
//   block       a leader proposed a body that everybody can see to be wrong, or a member acknowledged it
//   health      a member signed that it has another block or result at a height than is confirmed
//
// None can be made against a member that follows the protocol and keeps its disk.
//
// (1) A proof is of one epoch, and is judged by the members and rules of that one: so all say the same of it.
// (2) It counts in that epoch and in the next one, against whoever is still a member under the same key. Later it counts no
//     more: who was taken out and is back is not accused again of what it was taken out for.

import { equal } from '../../ledger/bytes.ts';
import { checkConfirms, checkVotes } from '../../ledger/certificate-check.ts';
import type { CertificateContext } from '../../ledger/certificate-check.ts';
import { decodeBody } from '../../ledger/encoding.ts';
import { isFormatError, tryDecode } from '../../ledger/error.ts';
import { leaderOf, memberOf, quorumsOf } from '../../ledger/epoch.ts';
import { bodyHash, headerHash } from '../../ledger/hash.ts';
import { verifyHeader, verifyVote } from '../../ledger/signing.ts';
import type { Vote, VoteCertificate } from '../../ledger/vote.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';
import { decodeEvidence, encodeEvidence, encodeUnsignedNewTerm } from './codec.ts';
import type { ReplicaOptions } from './context.ts';
import { verifyStatement } from './context.ts';
import { isHealth } from './health.ts';
import type { Evidence, NewTerm, Report, SignedHeader } from './message.ts';
import type { OpenReport } from './select.ts';
import { openReport, select, tryDecodeHeader } from './select.ts';
import type { State } from './state.ts';
import { suspect } from './term-change.ts';

type EvidenceContext = CertificateContext & Pick<ReplicaOptions, 'bodyIsSound'>;

/** @returns the index of the member that the evidence proves a liar, or null: it proves nothing */
export function accusedBy(
  context: EvidenceContext,
  anchor: VoteCertificate,
  evidence: Evidence,
): number | null {
  switch (evidence.kind) {
    case 'proposals':
      return twoProposals(context, evidence.first, evidence.second);
    case 'votes':
      return twoVotes(context, evidence.first, evidence.second);
    case 'report':
      return falseReport(context, anchor, evidence);
    case 'newTerm':
      return falseNewTerm(context, anchor, evidence.newTerm);
    case 'health':
      return falseHealth(context, evidence);
    case 'block':
      return unsoundBlock(context, evidence);
  }
}

/** @returns the place in the epoch of now of a member that has lied in it or in the one before; null: nothing is proven */
export function accusedNow(s: State, evidence: Evidence): number | null {
  const accused = accusedBy(s.context, s.anchor, evidence);
  if (accused !== null || s.before === null) return accused;
  const { config, anchor } = s.before;
  // What a node does that orders alone is not undone by taking it out.
  if (config.policy === 'solo') return null;
  const before = accusedBy({ ...s.context, config }, anchor, evidence);
  const member = before === null ? -1 : memberOf(s.config, config.members[before]!.publicKey);
  return member < 0 ? null : member;
}

function twoProposals(
  { crypto, chainId, config }: CertificateContext,
  first: SignedHeader,
  second: SignedHeader,
): number | null {
  const [a, b] = [tryDecodeHeader(first.header), tryDecodeHeader(second.header)];
  if (a === null || b === null || equal(first.header, second.header)) return null;
  if (a.epoch !== config.epoch || b.epoch !== config.epoch) return null;
  if (a.term !== b.term || a.height !== b.height) return null;
  const accused = leaderOf(config, a.term);
  const { publicKey } = config.members[accused]!;
  const signed = [first, second].every(({ header, signature }) =>
    verifyHeader(crypto, publicKey, signature, chainId, headerHash(crypto, header)),
  );
  return signed ? accused : null;
}

function isVote({ crypto, chainId, config }: CertificateContext, vote: Vote): boolean {
  if (vote.epoch !== config.epoch || vote.member >= config.members.length) return false;
  return verifyVote(crypto, config.members[vote.member]!.publicKey, chainId, vote);
}

function twoVotes(context: CertificateContext, first: Vote, second: Vote): number | null {
  const contradict =
    first.member === second.member &&
    first.kind === second.kind &&
    first.term === second.term &&
    first.height === second.height &&
    !equal(first.hash, second.hash);
  if (!contradict || !isVote(context, first) || !isVote(context, second)) return null;
  return first.member;
}

function falseReport(
  context: CertificateContext,
  anchor: VoteCertificate,
  { vote, headers, report }: Extract<Evidence, { kind: 'report' }>,
): number | null {
  const header = tryDecodeHeader(headers.at(-1)!);
  if (header === null || !equal(headerHash(context.crypto, headers.at(-1)!), vote.hash))
    return null;
  // Acknowledged in the term of the block, in raft mode: so it must be in the tail until a certificate covers it.
  const acknowledged = vote.kind === 'ack' && vote.mode === 'raft' && header.term === vote.term;
  if (!acknowledged || vote.member !== report.member || vote.term >= report.term) return null;
  if (!isVote(context, vote)) return null;
  const opened = openReport(context, anchor, report);
  if (opened === null || admits(opened, vote)) return null;
  const { highest } = report;
  // A block that does not follow the certificate was given up when the certificate was learnt.
  if (highest.term === vote.term && !lead(context, highest.hash, headers)) return null;
  return vote.member;
}

/** Whether encoded headers lead from the child of a block on, each to the next. */
function lead(
  { crypto }: CertificateContext,
  from: Uint8Array,
  headers: readonly Uint8Array[],
): boolean {
  let parent = from;
  for (const encoded of headers) {
    const header = tryDecodeHeader(encoded);
    if (header === null || !equal(header.parent, parent)) return false;
    parent = headerHash(crypto, encoded);
  }
  return true;
}

/** Whether a report does not deny an acknowledgement of a block of its own term in raft mode. */
export function admits({ report, tail }: OpenReport, { term, height, hash }: Vote): boolean {
  const { highest } = report;
  if (highest.term !== term) return highest.term > term;
  return height <= highest.height || tail.some((block) => equal(block.hash, hash));
}

function falseNewTerm(
  context: CertificateContext,
  anchor: VoteCertificate,
  newTerm: NewTerm,
): number | null {
  const accused = leaderOf(context.config, newTerm.term);
  if (newTerm.epoch !== context.config.epoch || !isSigned(context, newTerm)) return null;
  const reports = openReports(context, anchor, newTerm.term, newTerm.reports);
  // Reports that nobody could have sent are as good a proof as a wrong conclusion.
  return reports !== null && followsFrom(context, newTerm, reports) ? null : accused;
}

export function isSigned(context: CertificateContext, newTerm: NewTerm): boolean {
  const { publicKey } = context.config.members[leaderOf(context.config, newTerm.term)]!;
  const encoded = encodeUnsignedNewTerm(newTerm);
  return verifyStatement(context, publicKey, 'new term', encoded, newTerm.signature);
}

/** @returns null unless they are the good reports of a quorum of distinct members */
export function openReports(
  context: CertificateContext,
  anchor: VoteCertificate,
  term: number,
  reports: readonly Report[],
): OpenReport[] | null {
  if (reports.length !== quorumsOf(context.config).report) return null;
  const members = new Set(reports.map(({ member }) => member));
  if (members.size !== reports.length) return null;
  const opened: OpenReport[] = [];
  for (const report of reports) {
    const each = report.term === term ? openReport(context, anchor, report) : null;
    if (each === null) return null;
    opened.push(each);
  }
  return opened;
}

export function followsFrom(
  { config }: CertificateContext,
  { height, hash, mode }: NewTerm,
  reports: readonly OpenReport[],
): boolean {
  const selection = select(config, reports);
  return (
    !('excluded' in selection) &&
    selection.height === height &&
    selection.mode === mode &&
    equal(selection.hash, hash)
  );
}

/** Whoever signs health has seen the same height confirmed, and compared it with its own. */
function falseHealth(
  context: CertificateContext,
  { health, headers, certificate }: Extract<Evidence, { kind: 'health' }>,
): number | null {
  const [first, last] = [tryDecodeHeader(headers[0]!), tryDecodeHeader(headers.at(-1)!)];
  if (first === null || last === null || !isHealth(context, health)) return null;
  const otherBlock =
    first.height === health.height && !equal(headerHash(context.crypto, headers[0]!), health.hash);
  const otherResult =
    first.executed.height === health.height &&
    !equal(first.executed.receiptsRoot, health.receiptsRoot);
  if (!otherBlock && !otherResult) return null;
  if (!lead(context, first.parent, headers)) return null;
  const named = equal(headerHash(context.crypto, headers.at(-1)!), certificate.hash);
  if (!named || checkConfirms(certificate, last) !== null) return null;
  return checkVotes(context, certificate) === null ? health.member : null;
}

/** What the leader has signed is the hash of the body: another body beside its header shows nothing. */
function unsoundBlock(
  context: EvidenceContext,
  { block, vote }: Extract<Evidence, { kind: 'block' }>,
): number | null {
  const { crypto, chainId, config } = context;
  const header = tryDecodeHeader(block.header);
  if (header === null || header.epoch !== config.epoch) return null;
  const hash = headerHash(crypto, block.header);
  const leader = leaderOf(config, header.term);
  const { publicKey } = config.members[leader]!;
  if (!verifyHeader(crypto, publicKey, block.signature, chainId, hash)) return null;
  if (!equal(header.bodyHash, bodyHash(crypto, block.body))) return null;
  const body = tryDecode(() => decodeBody(block.body));
  if (body !== null && context.bodyIsSound({ header, ...body })) return null;
  if (vote === null) return leader;
  const acknowledged = vote.kind === 'ack' && equal(vote.hash, hash);
  return acknowledged && isVote(context, vote) ? vote.member : null;
}

/** Keeps and spreads a proof that was found here. */
export function accuse(s: State, evidence: Evidence): void {
  const accused = accusedNow(s, evidence);
  if (accused !== null) keep(s, accused, encodeEvidence(evidence));
}

export function onEvidence(s: State, encoded: Uint8Array): void {
  if (s.proven.size >= CONSENSUS_LIMITS.evidenceMax) return;
  let evidence: Evidence;
  try {
    evidence = decodeEvidence(encoded);
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return;
  }
  const accused = accusedNow(s, evidence);
  if (accused !== null) keep(s, accused, encoded);
}

function keep(s: State, accused: number, encoded: Uint8Array): void {
  if (s.proven.has(accused) || s.config.suspended.includes(accused)) return;
  if (encoded.length > CONSENSUS_LIMITS.evidenceBytesMax) return;
  s.proven.set(accused, encoded);
  s.alarm('fraud', `member ${accused} has lied`);
  s.broadcast({ kind: 'evidence', evidence: encoded });
  if (accused === s.leader) suspect(s, true);
}
