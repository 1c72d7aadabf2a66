// How a node gets what it has missed: unconfirmed blocks one by one, confirmed ones in ranges. Pure.
//
// (1) A confirmed block is believed for the votes of its epoch's members, never for who sends it. In solo one node has
//     signed it, and nobody has checked that node: whoever catches up does what members do before a vote.
// (2) Blocks that votes for a later one confirm enter the tree together with that one, or not at all.

import type { Header } from '../../ledger/block.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import { checkBody } from '../../ledger/block-check.ts';
import { checkCertificateOf, checkConfirms } from '../../ledger/certificate-check.ts';
import { SIGNATURE_BYTES } from '../../ledger/crypto.ts';
import { decodeCertificate } from '../../ledger/encoding-vote.ts';
import { isFormatError, tryDecode } from '../../ledger/error.ts';
import { headerHash } from '../../ledger/hash.ts';
import { LIMITS } from '../../ledger/limits.ts';
import type { Certificate, VoteCertificate } from '../../ledger/vote.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';
import type { Candidate } from './block-tree.ts';
import { decodeCandidate, keyOf } from './block-tree.ts';
import { isCertified } from './context.ts';
import type { CertifiedBlock, Message } from './message.ts';
import { tryDecodeHeader } from './select.ts';
import type { State } from './state.ts';
import { checkSystem } from './system-check.ts';
import { confirmSolo, onCertificate } from './voting.ts';

/** Heartbeats after which a question is asked again, and without progress a node thinks itself behind. */
const PATIENCE_HEARTBEATS = 4;

function patienceMs(s: State): number {
  return s.config.timers.heartbeatMs * PATIENCE_HEARTBEATS;
}

/** Asks a node for an unconfirmed block, now and then. */
export function fetchBlock(s: State, hash: Uint8Array, from: Uint8Array): void {
  const key = keyOf(hash);
  const asked = s.fetching.get(key);
  if (asked !== undefined && s.times.now - asked.askedMs < patienceMs(s)) return;
  if (equal(from, s.options.publicKey)) return;
  if (s.fetching.size >= CONSENSUS_LIMITS.candidatesMax) s.fetching.clear();
  s.fetching.set(key, { askedMs: s.times.now, attempts: (asked?.attempts ?? 0) + 1 });
  s.send(from, { kind: 'fetch', hash });
}

/** Asks a voter for a certified block, or for its first ancestor that is missing. */
export function fetchMissing(s: State, certificate: VoteCertificate): void {
  let missing = certificate.hash;
  for (let at = s.tree.get(keyOf(missing)); at !== undefined; at = s.tree.get(at.parentKey)) {
    missing = at.header.parent;
  }
  if (equal(missing, s.root.hash)) return;
  const voters = certificate.signatures.filter(({ member }) => member !== s.self);
  const attempts = s.fetching.get(keyOf(missing))?.attempts ?? 0;
  const voter = voters[attempts % Math.max(1, voters.length)];
  if (voter !== undefined) fetchBlock(s, missing, s.nodeOf(voter.member));
}

export function onStatus(
  s: State,
  from: Uint8Array,
  message: Extract<Message, { kind: 'status' }>,
): void {
  const { epoch, height, highest } = message;
  s.heights.set(hex(from), height);
  if (highest !== null) onCertificate(s, highest);
  if (height > s.root.height && isBehind(s, message)) askForBlocks(s, from);
  // It may not know that it is to ask here.
  if (epoch < s.config.epoch) sendStatus(s, from);
}

/** Not merely a message late. */
function isBehind(s: State, { epoch, height }: { epoch: number; height: number }): boolean {
  return (
    epoch > s.config.epoch ||
    height > s.root.height + s.config.window ||
    s.times.now - s.times.confirmed > patienceMs(s)
  );
}

function askForBlocks(s: State, from: Uint8Array): void {
  if (s.times.now - s.syncAskedMs < s.config.timers.heartbeatMs) return;
  s.syncAskedMs = s.times.now;
  askForMore(s, from);
}

/** Not while many confirmed blocks wait to be executed: the next status of a node that is ahead asks again. */
function askForMore(s: State, from: Uint8Array): void {
  const executed = s.results.at(-1)?.height ?? s.root.header.executed.height;
  if (s.root.height - executed > CONSENSUS_LIMITS.unexecutedBlocksMax) return;
  s.send(from, { kind: 'sync', height: heightAsked(s) + 1 });
}

/** @param to null for all */
export function sendStatus(s: State, to: Uint8Array | null): void {
  const { config, term, root, highest } = s;
  const status: Message = {
    kind: 'status',
    epoch: config.epoch,
    term,
    height: root.height,
    highest: highest.signatures.length > 0 ? highest : null,
  };
  if (to === null) s.broadcast(status);
  else s.send(to, status);
}

/** Confirmed blocks from another node, ascending. Those whose certificate names a later one wait for that. */
export function onBlocks(s: State, from: Uint8Array, blocks: readonly CertifiedBlock[]): void {
  const before = heightAsked(s);
  for (const stored of blocks) {
    const block = openBlock(s, stored);
    if (block === null || !takeBlock(s, block.candidate, block.certificate)) break;
  }
  if (heightAsked(s) > before) askForMore(s, from);
}

/** @returns false when it does not fit what is here: whoever sent it is of no use, or what waits was wrong */
function takeBlock(s: State, candidate: Candidate, certificate: Certificate): boolean {
  if (candidate.height <= heightAsked(s)) return true;
  if (s.config.policy === 'solo') return takeSolo(s, candidate, certificate);
  const parent = s.syncing.at(-1) ?? s.root;
  const follows = candidate.height === parent.height + 1 && candidate.parentKey === parent.key;
  const isOfEpoch = candidate.header.epoch === s.config.epoch;
  const fits = follows && isOfEpoch && s.syncing.length < LIMITS.certificateSpanMax;
  if (!fits || certificate.kind === 'proposer') {
    s.syncing = [];
    return false;
  }
  s.syncing.push(candidate);
  if (!equal(certificate.hash, candidate.hash)) return true;
  const group = s.syncing.splice(0);
  const confirms = checkConfirms(certificate, candidate.header) === null;
  if (!confirms || !isCertified(s.context, certificate, s.anchor)) return false;
  for (const each of group) s.tree.add(each, (key) => s.isNeeded(key));
  onCertificate(s, certificate);
  return true;
}

/** A block of an epoch in solo. @returns as `takeBlock` */
function takeSolo(s: State, block: Candidate, certificate: Certificate): boolean {
  if (!isNextOfSolo(s, block.header, block.hash, certificate)) return false;
  const fault = soloBlockFault(s, block);
  if (fault !== null) {
    sayUnsound(s, block.header, block.hash, fault);
    return false;
  }
  confirmSolo(s, block, certificate);
  return true;
}

/** What the node that orders alone has not signed says nothing of the chain. */
function isNextOfSolo(
  s: State,
  header: Header,
  hash: Uint8Array,
  certificate: Certificate,
): boolean {
  const isNext = header.height === s.root.height + 1 && equal(header.proposer, s.nodeOf(0));
  return isNext && checkCertificateOf(s.context, header, hash, certificate) === null;
}

/** What is wrong with a signed block in its place; null when nothing is, and it is in the tree then. */
function soloBlockFault(s: State, block: Candidate): string | null {
  const { header, bundles, system } = block;
  const problem = checkBody(s.options, { header, bundles, system });
  if (problem !== null) return problem.message;
  if (checkSystem(s, block) !== 'valid') return 'system records are not justified';
  s.tree.add(block, (key) => s.isNeeded(key));
  return s.tree.isLinked(block.key) ? null : 'header does not follow from the one before';
}

/** Once for a block: it comes again and again, since this node gets no further. */
function sayUnsound(s: State, { height }: Header, hash: Uint8Array, fault: string): void {
  const key = keyOf(hash);
  if (s.unsound === key) return;
  s.unsound = key;
  s.alarm(
    'invalid',
    `block ${height}, ${hex(hash)}, is signed by the node that ordered alone, and not valid: ${fault}; ` +
      `this node stays at block ${s.root.height}`,
  );
}

/** Up to where blocks are here, confirmed or waiting for the certificate of a later one. */
function heightAsked(s: State): number {
  // Confirmed meanwhile in another way.
  if (s.syncing[0] !== undefined && s.syncing[0].parentKey !== s.root.key) s.syncing = [];
  return s.syncing.at(-1)?.height ?? s.root.height;
}

/** Asks one of those who have signed a certificate. */
export function askVoterForBlocks(s: State, { signatures }: VoteCertificate): void {
  const voter = signatures.find(({ member }) => member !== s.self);
  if (voter !== undefined) askForBlocks(s, s.nodeOf(voter.member));
}

function openBlock(
  s: State,
  stored: CertifiedBlock,
): { candidate: Candidate; certificate: Certificate } | null {
  const { header, body } = stored;
  const certificate = tryDecode(() => decodeCertificate(stored.certificate));
  if (certificate === null) return null;
  try {
    // Nobody asks for a proposer's signature once members have confirmed the block.
    const signature = new Uint8Array(SIGNATURE_BYTES);
    const candidate = decodeCandidate(s.options.crypto, { header, body, signature });
    return candidate === null ? null : { candidate, certificate };
  } catch (error) {
    if (!isFormatError(error)) throw error;
    onUndecodable(s, header, certificate, error.message);
    return null;
  }
}

/** Not the sender's fault where the header decodes and is signed: the body is the one that it names. */
function onUndecodable(
  s: State,
  encoded: Uint8Array,
  certificate: Certificate,
  fault: string,
): void {
  const header = tryDecodeHeader(encoded);
  if (header === null || s.config.policy !== 'solo') return;
  const hash = headerHash(s.options.crypto, encoded);
  if (isNextOfSolo(s, header, hash, certificate)) {
    sayUnsound(s, header, hash, `body cannot be decoded: ${fault}`);
  }
}
