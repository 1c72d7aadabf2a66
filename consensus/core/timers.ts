// What happens as time passes: heartbeats, things said again, suspicion. Pure.
//
// Timeouts grow by half with each term that came to nothing, up to a limit, and are as they were after the
// first confirmed block.

import { sendStatus } from './catch-up.ts';
import { sendProposal } from './proposing.ts';
import { retryProbes, retryReads } from './recovery.ts';
import type { State } from './state.ts';
import { saySuspicions, silentMs } from './suspicion.ts';
import { sendReport, sendWish, suspect } from './term-change.ts';
import { advance, sendVote } from './voting.ts';

/** What may have been lost is said again after so many heartbeats. */
const RESEND_HEARTBEATS = 4;
const GROWTH = 1.5;
/** Election timeouts after which a silent member is held faulty: some seconds, not a pause of its process. */
const FAULTY_TIMEOUTS = 12;

export function onTick(s: State, nowMs: number): void {
  const { times } = s;
  if (times.statusSent === -Infinity) startClock(s, nowMs);
  times.now = Math.max(times.now, nowMs);
  const { heartbeatMs } = s.config.timers;
  if (times.now - times.statusSent >= heartbeatMs) {
    times.statusSent = times.now;
    sendStatus(s, null);
  }
  if (times.now - times.resent >= heartbeatMs * RESEND_HEARTBEATS) {
    times.resent = times.now;
    resend(s);
  }
  retryReads(s);
  watch(s);
}

function startClock(s: State, nowMs: number): void {
  Object.assign(s.times, {
    now: nowMs,
    started: nowMs,
    enteredTerm: nowMs,
    opened: nowMs,
    leaderHeard: nowMs,
    confirmed: nowMs,
  });
  if (s.times.waiting !== null) s.times.waiting = nowMs;
}

function resend(s: State): void {
  if (s.recovering) retryProbes(s);
  advance(s);
  if (s.isMute) return;
  if (s.wish > s.term) sendWish(s);
  if (!s.open) {
    sendReport(s);
    if (s.leads && s.opened !== null) s.broadcast({ kind: 'newTerm', newTerm: s.opened.message });
  }
  if (s.ownAck !== null && s.ownAck.height >= s.root.height) sendVote(s, s.ownAck);
  if (s.ownCommit !== null && s.ownCommit.height > s.root.height) sendVote(s, s.ownCommit);
  if (s.leads) for (const block of ownProposals(s)) sendProposal(s, block);
  for (const evidence of s.proven.values()) s.broadcast({ kind: 'evidence', evidence });
  const health = s.health.get(s.self);
  if (health !== undefined) s.broadcast({ kind: 'health', health });
  saySuspicions(s);
}

function ownProposals(s: State) {
  const path = s.lastProposed === null ? null : s.tree.path(s.lastProposed);
  return (path ?? []).filter(({ header }) => header.term === s.term);
}

/** A timeout as long as it has grown. */
function grown(s: State, ms: number): number {
  return Math.min(ms * GROWTH ** s.failedTerms, Math.max(ms, s.config.timers.timeoutMaxMs));
}

/** Suspects the leader if it is silent, does not open its term, or does not get on. */
function watch(s: State): void {
  if (s.isMute) return;
  const { times, config } = s;
  const { electionMs, openMs, progressMs, fastMs } = config.timers;
  const since = (at: number) => times.now - at;
  if (!s.open) {
    if (since(times.enteredTerm) > grown(s, openMs)) suspect(s, false);
    return;
  }
  const silent = since(times.leaderHeard) > grown(s, electionMs);
  if (!s.isLeader && silent) return suspect(s, false);
  const waiting = times.waiting ?? times.unconfirmed;
  // Terms that changed while nodes were coming up, and nothing was asked of them, have not failed.
  if (waiting === null && since(times.enteredTerm) > grown(s, openMs)) s.failedTerms = 0;
  if (
    waiting !== null &&
    since(Math.max(waiting, times.confirmed, times.opened)) > grown(s, progressMs)
  ) {
    return suspect(s, !silent);
  }
  if (s.highest.mode === 'raft' && config.policy === 'adaptive' && tooManyFaulty(s)) {
    return suspect(s, true);
  }
  const slow = times.unconfirmed !== null && since(times.unconfirmed) > grown(s, fastMs);
  if (slow && s.highest.mode === 'raft') suspect(s, true);
}

/** More members are silent, or proven to lie, than the rules bear in raft mode. */
function tooManyFaulty(s: State): boolean {
  const { members, thresholds, timers } = s.config;
  const faultyMs = timers.electionMs * FAULTY_TIMEOUTS;
  const faulty = members.filter(
    (_, member) => member !== s.self && (silentMs(s, member) > faultyMs || s.proven.has(member)),
  );
  return faulty.length > thresholds.faults;
}

/** Anything from the leader of this term shows that it is there. */
export function onHeard(s: State, member: number): void {
  if (member < 0) return;
  s.times.heard.set(member, s.times.now);
}

export function onLeaderHeard(s: State, member: number, term: number): void {
  if (member === s.leader && term === s.term) s.times.leaderHeard = s.times.now;
}
