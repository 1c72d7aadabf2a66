// From one term to the next: another leader, perhaps another mode. Pure.
//
//   suspicion       wish ──▶ all, again and again; goes on taking part in the current term
//   `join` wishes   wishes so too
//   `report` wishes enters the term: durable, then report ──▶ its leader; nothing is signed for earlier terms
//   leader          reports of a quorum, all their blocks here and valid: newTerm ──▶ all
//   members         check it by the same function; durable, then ack of the block taken over
//   a quorum of those acks opens the term
//
// (1) Liars, f of them, can neither make an honest member enter a term nor keep it from it.
// (2) No member that is cut off raises the term of others.
// (3) Who has led a term and was restarted does not lead in it again: it may have proposed what it forgot.

import { equal } from '../../ledger/bytes.ts';
import { leaderOf } from '../../ledger/epoch.ts';
import { statementHash } from '../../ledger/hash.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';
import type { HashKey } from './block-tree.ts';
import { keyOf } from './block-tree.ts';
import { fetchBlock } from './catch-up.ts';
import { encodeUnsignedNewTerm, encodeUnsignedReport } from './codec.ts';
import { isHigher, signStatement } from './context.ts';
import { accuse, admits, followsFrom, isSigned, openReports } from './evidence.ts';
import type { Message, NewTerm, Report } from './message.ts';
import { judge } from './judge.ts';
import type { OpenReport } from './select.ts';
import { openReport, select } from './select.ts';
import type { State } from './state.ts';
import { castVote, isSound, onCertificate, sendVote } from './voting.ts';

/** A member unheard of for so many election timeouts is taken for dead. */
export const SILENT_TIMEOUTS = 3;

/** Wishes for another leader. @param bft  also for bft mode, if the rules let modes change */
export function suspect(s: State, bft: boolean): void {
  if (s.isMute) return;
  const before = s.wishes.get(s.self);
  if (bft && s.config.policy === 'adaptive') s.wantBft = true;
  if (s.wish <= s.term) s.wish = nextTerm(s);
  // What has been said is said again by the clock.
  if (before?.term === s.wish && before.wantBft === s.wantBft) return;
  sendWish(s);
  countWishes(s);
}

/** In raft mode members believed dead are passed over; liars can only make that less useful. */
function nextTerm(s: State): number {
  const next = s.term + 1;
  if (s.wantBft) return next;
  const silentMs = s.config.timers.electionMs * SILENT_TIMEOUTS;
  for (let term = next; term < next + s.quorums.n; term++) {
    const leader = leaderOf(s.config, term);
    const heard = s.times.heard.get(leader) ?? 0;
    if (leader === s.self || s.times.now - heard < silentMs) return term;
  }
  return next;
}

export function sendWish(s: State): void {
  s.wishes.set(s.self, { term: s.wish, wantBft: s.wantBft });
  s.broadcast({ kind: 'wish', epoch: s.config.epoch, term: s.wish, wantBft: s.wantBft });
}

export function onWish(
  s: State,
  member: number,
  message: Extract<Message, { kind: 'wish' }>,
): void {
  if (member < 0 || message.epoch !== s.config.epoch) return;
  const known = s.wishes.get(member);
  if (known !== undefined && known.term >= message.term && known.wantBft === message.wantBft)
    return;
  const term = Math.max(message.term, known?.term ?? 0);
  s.wishes.set(member, { term, wantBft: message.wantBft });
  countWishes(s);
}

function countWishes(s: State): void {
  if (s.isMute) return;
  const { join, report, n, f } = s.quorums;
  const wishes = [...s.wishes.values()];
  const wanting = wishes.filter(({ wantBft, term }) => wantBft && term > s.term).length;
  if (wanting >= f + 1 && s.config.policy === 'adaptive') s.wantBft = true;
  const terms = Array.from({ length: n }, (_, member) => s.wishes.get(member)?.term ?? 0);
  terms.sort((a, b) => b - a);
  const joined = terms[join - 1]!;
  if (joined > s.wish && joined > s.term) {
    s.wish = joined;
    sendWish(s);
    countWishes(s);
    return;
  }
  const entered = terms[report - 1]!;
  if (entered > s.term) enterTerm(s, entered);
}

/** From here on nothing is signed for earlier terms. */
export function enterTerm(s: State, term: number): void {
  s.term = term;
  s.opened = null;
  s.leads = false;
  s.lastProposed = null;
  s.ownAck = null;
  s.ownCommit = null;
  s.failedTerms += 1;
  s.complainers.clear();
  for (const old of s.reports.keys()) if (old < term) s.reports.delete(old);
  s.times.enteredTerm = s.times.now;
  s.times.leaderHeard = s.times.now;
  sendReport(s);
}

export function sendReport(s: State): void {
  if (s.isMute || s.term === 0) return;
  // It may have been entered while nothing could be said.
  if (s.recordedTerm !== s.term) s.persist();
  const path = s.tail === null ? [] : s.tree.path(s.tail)!;
  const unsigned = {
    epoch: s.config.epoch,
    term: s.term,
    member: s.self,
    highest: s.highest,
    tail: path
      .filter(({ height }) => height > s.highest.height)
      .map(({ signed: { header, signature } }) => ({ header, signature })),
    wantBft: s.wantBft,
  };
  const signature = signStatement(s.context, 'report', encodeUnsignedReport(unsigned));
  s.send(s.nodeOf(s.leader), { kind: 'report', report: { ...unsigned, signature } });
}

/** The leader of a term to come keeps reports. */
export function onReport(s: State, report: Report): void {
  const { term, member } = report;
  if (s.isMute || report.epoch !== s.config.epoch) return;
  if (term < s.term || term === 0 || term > s.term + CONSENSUS_LIMITS.reportTermsMax) return;
  if (leaderOf(s.config, term) !== s.self || (s.led !== null && s.led >= term)) return;
  const opened = openReport(s.context, s.anchor, report);
  if (opened === null) return;
  let reports = s.reports.get(term);
  if (reports === undefined) s.reports.set(term, (reports = new Map()));
  reports.set(member, opened);
  findDenial(s, opened);
  if (report.highest.signatures.length > 0) onCertificate(s, report.highest);
  tryOpenings(s);
}

/** A report that denies an acknowledgement seen here. */
function findDenial(s: State, opened: OpenReport): void {
  for (const vote of s.votes.acknowledgements(opened.report.member)) {
    if (vote.term >= opened.report.term || vote.mode !== 'raft' || admits(opened, vote)) continue;
    const block = s.tree.get(keyOf(vote.hash));
    if (block === undefined || block.header.term !== vote.term) continue;
    const { highest } = opened.report;
    const path = s.tree.path(block.key) ?? [];
    const above =
      highest.term === vote.term ? path.filter((each) => each.height > highest.height) : [block];
    if (above.length === 0 || above.length > s.config.window) continue;
    const headers = above.map(({ signed }) => signed.header);
    accuse(s, { kind: 'report', vote, headers, report: opened.report });
  }
}

export function tryOpenings(s: State): void {
  for (const term of s.reports.keys()) tryOpening(s, term);
}

/** Opens a term when a quorum of complete reports lets something follow. */
function tryOpening(s: State, term: number): void {
  if (term < s.term || (s.led !== null && s.led >= term) || s.highest.term >= term) return;
  const reports = [...s.reports.get(term)!.values()].filter((report) => isComplete(s, report));
  reports.sort((a, b) => order(a.report, b.report));
  const chosen = chooseReports(s, reports);
  if (chosen === null) return;
  const { height, hash, mode } = chosen.selection;
  if (term > s.term) enterTerm(s, term);
  s.led = term;
  s.leads = true;
  s.persist();
  const unsigned = {
    epoch: s.config.epoch,
    term,
    reports: chosen.reports.map(({ report }) => report),
    height,
    hash,
    mode,
  };
  const signature = signStatement(s.context, 'new term', encodeUnsignedNewTerm(unsigned));
  const newTerm: NewTerm = { ...unsigned, signature };
  s.broadcast({ kind: 'newTerm', newTerm });
  takeNewTerm(s, newTerm);
}

function order(a: Report, b: Report): number {
  if (isHigher(a.highest, b.highest)) return -1;
  return isHigher(b.highest, a.highest) ? 1 : a.member - b.member;
}

function chooseReports(s: State, reports: readonly OpenReport[]) {
  let left = reports;
  while (left.length >= s.quorums.report) {
    const chosen = left.slice(0, s.quorums.report);
    const selection = select(s.config, chosen);
    if (!('excluded' in selection)) return { selection, reports: chosen };
    left = left.filter(({ report }) => report.member !== selection.excluded);
  }
  return null;
}

/** Every block of the tail is here and valid: an honest member has acknowledged no other. */
function isComplete(s: State, { report, tail }: OpenReport): boolean {
  let complete = true;
  for (const { header, hash, key } of tail) {
    if (header.height <= s.root.height) continue;
    const block = s.tree.get(key);
    if (block === undefined) fetchBlock(s, hash, s.nodeOf(report.member));
    complete &&= block !== undefined && s.tree.isLinked(key) && judge(s, block) === 'valid';
  }
  return complete;
}

export function onNewTerm(s: State, newTerm: NewTerm): void {
  const { epoch, term } = newTerm;
  if (epoch !== s.config.epoch || term < s.term || term === 0 || s.isMute) return;
  if (s.highest.term >= term || (s.lastAck !== null && s.lastAck.term >= term)) return;
  if (s.opened !== null && s.opened.message.term === term) return;
  if (!isSigned(s.context, newTerm)) return;
  const reports = openReports(s.context, s.anchor, term, newTerm.reports);
  if (reports === null || !followsFrom(s.context, newTerm, reports)) {
    accuse(s, { kind: 'newTerm', newTerm });
    return;
  }
  if (term > s.term) enterTerm(s, term);
  takeNewTerm(s, newTerm);
}

function takeNewTerm(s: State, newTerm: NewTerm): void {
  const { height, hash, mode } = newTerm;
  const named = statementHash(s.options.crypto, encodeUnsignedNewTerm(newTerm));
  s.opened = { message: newTerm, hash: named, selection: { height, hash, mode } };
  for (const { highest } of newTerm.reports) {
    if (highest.signatures.length > 0) onCertificate(s, highest);
  }
  acknowledgeOpening(s);
}

/** Votes for the block that the new term takes over, once it is here. */
export function acknowledgeOpening(s: State): void {
  const { opened, term } = s;
  if (opened === null || s.isMute || opened.message.term !== term) return;
  if (s.open || (s.lastAck !== null && s.lastAck.term >= term)) return;
  const { height, hash, mode } = opened.selection;
  const key = keyOf(hash);
  if (height < s.root.height || (height === s.root.height && !equal(hash, s.root.hash))) {
    s.alarm('fork', `term ${term} takes over block ${height}, which is not the confirmed one`);
    return;
  }
  if (!s.tree.isLinked(key)) return fetchPath(s, key, hash);
  if (!isSound(s, s.tree.path(key)!)) return;
  if (mode === 'bft') s.wantBft = true;
  s.lastAck = { term, mode, height, hash };
  s.persist();
  s.ownAck = castVote(s, 'ack', s.lastAck);
  sendVote(s, s.ownAck);
}

/** Asks the leader for a block, or for the first of its ancestors that is missing. */
function fetchPath(s: State, key: HashKey, hash: Uint8Array): void {
  let [at, missing] = [s.tree.get(key), hash];
  while (at !== undefined) {
    missing = at.header.parent;
    at = s.tree.get(at.parentKey);
  }
  if (!equal(missing, s.root.hash)) fetchBlock(s, missing, s.nodeOf(s.leader));
}
