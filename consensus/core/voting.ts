// Normal operation: proposals, acknowledgements, certificates, commits. Pure.
//
//   leader     proposal ──▶ all
//   members    ack ──▶ leader, or all           after the block and the acknowledgement are durable
//   raft       `fast` acks of a block of the term: confirmed
//   bft        `report` acks: certificate ──▶ commit ──▶ all; `report` commits: confirmed
//   openings and barriers take the second way in raft mode too
//
// (1) What a member acknowledges in one term is one chain: each block strictly extends the one before it, and
//     all of it stands on the certificate that opened the term.
// (2) Nothing is acknowledged on top of an unconfirmed barrier, nor beyond the window.
// (3) A commit is sent when its certificate is durable, and only in the term of the certificate.

import { equal } from '../../ledger/bytes.ts';
import { checkConfirms } from '../../ledger/certificate-check.ts';
import { nextConfig } from '../../ledger/epoch.ts';
import { tryDecode } from '../../ledger/error.ts';
import { headerHash } from '../../ledger/hash.ts';
import { signVote, verifyHeader, verifyVote } from '../../ledger/signing.ts';
import type { Ballot, Certificate, Vote, VoteCertificate, VoteKind } from '../../ledger/vote.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';
import type { Candidate } from './block-tree.ts';
import { decodeCandidate, keyOf } from './block-tree.ts';
import { askVoterForBlocks, fetchBlock, fetchMissing } from './catch-up.ts';
import { isCertified, isHigher } from './context.ts';
import { beginEpoch } from './epoch-change.ts';
import { markConfirmed } from './health.ts';
import { denounceVoter, judge } from './judge.ts';
import type { Message, SignedBlock } from './message.ts';
import { accuse } from './evidence.ts';
import { leaveAmnesia } from './recovery.ts';
import { tryDecodeHeader } from './select.ts';
import type { State } from './state.ts';
import { acknowledgeOpening, enterTerm, tryOpenings } from './term-change.ts';

export function onBlock(s: State, message: Extract<Message, { kind: 'block' }>): void {
  if (message.confirming !== null) onCertificate(s, message.confirming);
  if (message.highest !== null) onCertificate(s, message.highest);
  takeBlock(s, message.block);
}

/** A block that its leader has signed goes into the tree, and is acknowledged if it may be. */
function takeBlock(s: State, signed: SignedBlock): void {
  const header = tryDecodeHeader(signed.header);
  if (header === null || header.epoch !== s.config.epoch || header.height <= s.root.height) return;
  const { crypto, chainId } = s.options;
  const hash = headerHash(crypto, signed.header);
  if (s.tree.has(keyOf(hash))) return;
  if (header.height > s.root.height + 2 * s.config.window) return;
  const { eligible, base } = s.config;
  const leader = s.nodeOf(eligible[(base + header.term) % eligible.length]!);
  if (!equal(header.proposer, leader)) return;
  const siblings = s.tree.siblings(header);
  if (siblings.length >= CONSENSUS_LIMITS.siblingsMax && !isWanted(s, hash)) return;
  if (!verifyHeader(crypto, leader, signed.signature, chainId, hash)) return;
  const block = tryDecode(() => decodeCandidate(crypto, signed));
  if (block === null) {
    // A body that is none, if it is what the leader has signed.
    s.found.push({ kind: 'block', block: signed, vote: null });
    return;
  }
  if (siblings[0] !== undefined) {
    accuse(s, { kind: 'proposals', first: siblings[0].signed, second: signed });
  }
  if (!s.tree.add(block, (key) => s.isNeeded(key))) return;
  s.fetching.delete(block.key);
  advance(s);
}

/** A certificate, a report or a new term names it: it is taken in although there are siblings. */
function isWanted(s: State, hash: Uint8Array): boolean {
  return s.fetching.has(keyOf(hash));
}

/** Others acknowledge another block at the place of one that is here: with both it is proven that the leader lies. */
function compare(s: State, { kind, term, height, hash, member }: Vote): void {
  if (kind !== 'ack' || height <= s.root.height || s.tree.has(keyOf(hash))) return;
  if (s.tree.siblings({ height, term }).length > 0) fetchBlock(s, hash, s.nodeOf(member));
}

/** Does whatever has become possible with a new block, certificate or result. */
export function advance(s: State): void {
  for (const certificate of s.waiting.splice(0)) onCertificate(s, certificate);
  tryOpenings(s);
  acknowledgeOpening(s);
  acknowledge(s);
}

/** Acknowledges blocks of the open term, the lowest first. */
function acknowledge(s: State): void {
  if (s.isMute || !s.open) return;
  const blocks = [...s.tree.blocks()].filter(({ header }) => header.term === s.term);
  blocks.sort((a, b) => a.height - b.height);
  for (const block of blocks) {
    if (!mayAcknowledge(s, block)) continue;
    const { mode } = s.highest;
    const { height, hash } = block;
    s.lastAck = { term: s.term, mode, height, hash };
    if (mode === 'raft' && isAboveHighest(s, block)) s.tail = block.key;
    s.persist();
    s.ownAck = castVote(s, 'ack', s.lastAck);
    sendVote(s, s.ownAck);
  }
}

function isAboveHighest(s: State, block: Candidate): boolean {
  return block.height > s.highest.height && s.tree.extends(block.key, s.highestPosition);
}

function mayAcknowledge(s: State, block: Candidate): boolean {
  if (block.header.mode !== s.highest.mode) return false;
  if (block.height > s.root.height + s.config.window) return false;
  if (!s.tree.isLinked(block.key) || !extendsLastAck(s, block)) return false;
  const highest = s.highestPosition;
  const covered = s.tree.extends(highest.key, block);
  if (!covered && !isAboveHighest(s, block)) return false;
  const path = s.tree.path(block.key)!;
  // What an earlier term has left unconfirmed and this one has not taken over is not taken over by the way: a report
  // with it in its tail would be none, and with too few others no term would ever open.
  const above = path.filter(({ height }) => height > highest.height);
  if (above.some(({ header }) => header.term !== s.term)) return false;
  if (path.slice(0, -1).some(({ barrier }) => barrier)) return false;
  return isSound(s, path);
}

/** (1) In one term each acknowledged block is above the one before. */
function extendsLastAck(s: State, block: Candidate): boolean {
  const last = s.lastAck;
  if (last === null || last.term !== s.term) return true;
  if (block.height <= last.height) return false;
  return s.tree.extends(block.key, { ...last, key: keyOf(last.hash) });
}

/** Every block of a path is valid; those a certificate covers have been found so by a quorum. */
export function isSound(s: State, path: readonly Candidate[]): boolean {
  const highest = s.highestPosition;
  return path.every((block) => s.tree.extends(highest.key, block) || judge(s, block) === 'valid');
}

export function castVote(s: State, kind: VoteKind, ballot: Omit<Ballot, 'epoch'>): Vote {
  const { crypto, chainId, seed } = s.options;
  const { term, mode, height, hash } = ballot;
  const { epoch } = s.config;
  return signVote(crypto, seed, chainId, { kind, epoch, term, mode, height, hash, member: s.self });
}

export function sendVote(s: State, vote: Vote): void {
  const message: Message = { kind: 'vote', vote };
  if (s.fansOut(vote.mode)) {
    s.broadcast(message);
    s.sendSelf(message);
  } else {
    s.send(s.nodeOf(s.leader), message);
    // Its own certificate is one vote nearer.
    if (s.leader !== s.self) s.sendSelf(message);
  }
}

/** @param from  the member that sent it, -1 for others */
export function onVote(s: State, from: number, vote: Vote): void {
  const { config, quorums } = s;
  if (vote.epoch !== config.epoch || vote.member >= quorums.n || vote.term < s.term) return;
  let earlier = s.votes.earlier(vote);
  const same = earlier !== undefined && equal(earlier.hash, vote.hash);
  if (same && earlier!.mode === vote.mode) return compare(s, vote);
  if (earlier === undefined && from === vote.member && isLate(s, vote)) return s.votes.note(vote);
  if (!isCast(s, vote)) return;
  if (earlier !== undefined && !isCast(s, earlier)) {
    s.votes.forget(earlier);
    earlier = undefined;
  }
  if (earlier !== undefined) {
    // Two modes of one term are no contradiction that others could judge.
    if (!same) accuse(s, { kind: 'votes', first: earlier, second: vote });
    return;
  }
  s.votes.add(vote);
  compare(s, vote);
  const block = s.tree.get(keyOf(vote.hash));
  if (block !== undefined && vote.kind === 'ack') denounceVoter(s, block, vote);
  for (const certificate of certificatesWith(s, vote)) made(s, certificate);
}

/** In a term that is open, what is confirmed needs no vote more: it matters only if its member contradicts it. */
function isLate(s: State, { term, height }: Vote): boolean {
  return height <= s.root.height && term === s.highest.term;
}

function isCast(s: State, vote: Vote): boolean {
  const { crypto, chainId } = s.options;
  return verifyVote(crypto, s.nodeOf(vote.member), chainId, vote);
}

/** What the votes for the same thing make now; all of it first, since the first may end the epoch. */
function certificatesWith(s: State, vote: Vote): VoteCertificate[] {
  const { fast, report } = s.quorums;
  const found: (VoteCertificate | null)[] = [];
  if (vote.kind === 'commit') {
    found.push(s.votes.certificate(vote, 'commit', report));
  } else {
    const block = s.tree.get(keyOf(vote.hash));
    const quick = vote.mode === 'raft' ? s.votes.certificate(vote, 'fast', fast) : null;
    const confirms =
      quick !== null && (block === undefined || checkConfirms(quick, block.header) === null);
    found.push(confirms ? quick : null, s.votes.certificate(vote, 'quorum', report));
  }
  return found.filter((certificate) => certificate !== null);
}

/** A certificate made of votes here: where they go to the leader alone, nobody else can make it. */
function made(s: State, certificate: VoteCertificate): void {
  const news = isHigher(certificate, s.highest) || certificate.height > s.root.height;
  if (!news || certificate.epoch !== s.config.epoch) return;
  if (s.isLeader && !s.fansOut(certificate.mode)) {
    s.broadcast({ kind: 'certificate', certificate });
  }
  onCertificate(s, certificate);
}

/** Learns a certificate: it may be the highest, and may confirm. */
export function onCertificate(s: State, certificate: VoteCertificate): void {
  if (certificate.epoch !== s.config.epoch) return;
  const confirms = certificate.kind !== 'quorum' && certificate.height > s.root.height;
  if (!confirms && !isHigher(certificate, s.highest)) return;
  if (!isCertified(s.context, certificate, s.anchor)) return;
  if (certificate.term > s.term) enterTerm(s, certificate.term);
  const key = keyOf(certificate.hash);
  if (!s.tree.isLinked(key)) {
    waitForBlock(s, certificate);
    return;
  }
  raise(s, certificate);
  if (confirms) confirm(s, certificate);
}

function waitForBlock(s: State, certificate: VoteCertificate): void {
  const { height, hash } = certificate;
  if (height <= s.root.height) {
    const confirms = certificate.kind !== 'quorum' && height === s.root.height;
    if (confirms) s.alarm('fork', `another block ${height} is confirmed`);
    return;
  }
  const known = s.waiting.some(
    (other) =>
      other.kind === certificate.kind && other.term === certificate.term && equal(other.hash, hash),
  );
  if (!known) s.waiting.push(certificate);
  // The lowest goes: whatever confirms a later block confirms it too.
  if (s.waiting.length > CONSENSUS_LIMITS.waitingCertificatesMax) {
    s.waiting.sort((a, b) => (isHigher(a, b) ? -1 : 1)).pop();
  }
  fetchMissing(s, certificate);
}

/** Takes a certificate of a linked block as the highest, if it is. */
function raise(s: State, certificate: VoteCertificate): void {
  if (!isHigher(certificate, s.highest)) return;
  const { term, mode, height, hash } = certificate;
  const block = { height, hash, key: keyOf(hash) };
  const keeps =
    term === s.highest.term &&
    s.tail !== null &&
    s.tail !== block.key &&
    s.tree.extends(s.tail, block);
  if (!keeps) s.tail = null;
  if (term > s.highest.term) {
    s.times.opened = s.times.now;
    s.times.unconfirmed = null;
  }
  s.highest = certificate;
  if (s.recovering) leaveAmnesia(s);
  if (mode === 'bft') s.wantBft = true;
  if (height > s.root.height) s.times.unconfirmed ??= s.times.now;
  commit(s, certificate);
  advance(s);
}

/** In its term, what is not confirmed by acknowledgements is committed. */
function commit(s: State, certificate: VoteCertificate): void {
  if (s.isMute || certificate.term !== s.term) return;
  if (certificate !== s.highest || certificate.height <= s.root.height) return;
  const block = s.tree.get(keyOf(certificate.hash));
  if (block === undefined) return;
  const isOpening = block.header.term !== certificate.term;
  if (certificate.mode !== 'bft' && !isOpening && !block.barrier) return;
  s.persist();
  s.ownCommit = castVote(s, 'commit', certificate);
  sendVote(s, s.ownCommit);
}

/** Confirms a block and its ancestors, in order. */
function confirm(s: State, certificate: VoteCertificate): void {
  const path = s.tree.path(keyOf(certificate.hash));
  const block = path?.at(-1);
  if (path === null || block === undefined) return;
  if (checkConfirms(certificate, block.header) !== null) return;
  // Too many for one certificate: others have nearer ones for the first of them.
  if (path.length > LIMITS.certificateSpanMax) return askVoterForBlocks(s, certificate);
  s.confirming = certificate;
  for (const ancestor of path) confirmOne(s, ancestor, certificate);
  markConfirmed(s, path, certificate);
  s.failedTerms = 0;
  s.times.confirmed = s.times.now;
  s.times.unconfirmed = s.highest.height > s.root.height ? s.times.now : null;
  s.votes.prune(s.term, s.root.height);
  s.waiting = s.waiting.filter(({ height }) => height > s.root.height);
  if (block.barrier) beginEpoch(s, block);
  advance(s);
}

/** Confirms the linked block above the root of an epoch in solo: its proposer's signature is all there is. */
export function confirmSolo(s: State, block: Candidate, certificate: Certificate): void {
  confirmOne(s, block, certificate);
  s.times.confirmed = s.times.now;
  if (block.barrier) beginEpoch(s, block);
  advance(s);
}

function confirmOne(s: State, block: Candidate, certificate: Certificate): void {
  const { header, bundles, system, hash, signed } = block;
  s.tree.confirm(block, nextConfig(s.config, header, system));
  s.results = s.results.filter(({ height }) => height >= header.executed.height);
  const confirmed = { header, bundles, system, certificate };
  s.effects.push({ kind: 'confirmed', block: confirmed, hash, signed });
}

/** Answers a request for an unconfirmed block. */
export function onFetch(s: State, from: Uint8Array, hash: Uint8Array): void {
  const block = s.tree.get(keyOf(hash));
  if (block === undefined) return;
  s.send(from, { kind: 'block', block: block.signed, highest: null, confirming: null });
}

/** After a restart: what was signed before may not have arrived. */
export function resumeVotes(s: State): void {
  if (s.isMute) return;
  if (s.lastAck !== null && s.lastAck.term === s.term) s.ownAck = castVote(s, 'ack', s.lastAck);
  commit(s, s.highest);
}
