// One member's part in the agreement: events in, effects out. Pure.
//
// No clock, randomness, I/O or waiting: the same events in the same order give the same effects, byte for byte.
// The protocol is described in docs/consensus.md; what a shell must do with the effects at the top of event.ts.

import { equal, hex } from '../../ledger/bytes.ts';
import type { Executed, Header } from '../../ledger/block.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { memberOf } from '../../ledger/epoch.ts';
import { isFormatError } from '../../ledger/error.ts';
import type { HistoryTree } from '../../ledger/history-tree.ts';
import type { Bundle } from '../../ledger/transaction.ts';
import type { Certificate } from '../../ledger/vote.ts';
import { CONSENSUS_LIMITS } from '../limits.ts';
import type { Candidate } from './block-tree.ts';
import { decodeCandidate, keyOf } from './block-tree.ts';
import { onBlocks, onStatus } from './catch-up.ts';
import { decodeDurable, decodeMessage } from './codec.ts';
import { anchorOf } from './context.ts';
import type { ReplicaOptions } from './context.ts';
import type { DurableState } from './durable.ts';
import type { Effect, ReplicaEvent } from './event.ts';
import { accuse, onEvidence } from './evidence.ts';
import { markExecuted, onHealth } from './health.ts';
import type { Message } from './message.ts';
import { askForContent, onPropose, pathAhead } from './proposing.ts';
import { beginAmnesia, onFloor, onProbe, onRead, restoreState, serveReads } from './recovery.ts';
import { State } from './state.ts';
import { onSuspicion } from './suspicion.ts';
import { isApproved } from './system-check.ts';
import { onNewTerm, onReport, onWish, suspect } from './term-change.ts';
import { onHeard, onLeaderHeard, onTick } from './timers.ts';
import { advance, onBlock, onCertificate, onFetch, onVote, resumeVotes } from './voting.ts';

/** The durable chain, and the records written since. */
export interface Restored {
  /** The newest block of the chain. */
  readonly header: Header;
  readonly hash: Uint8Array;
  /** Up to and with that block. */
  readonly history: HistoryTree;
  readonly certificate: Certificate;
  /** Hash of the block at `config.start`, the one before the epoch. */
  readonly anchor: Uint8Array;
  /** In force after that block. */
  readonly config: EpochConfig;
  /** The epoch before, and the hash of the block before that; null in epoch 0. */
  readonly before: { readonly config: EpochConfig; readonly anchor: Uint8Array } | null;
  /** Results of this node from `header.executed.height` on, as far as executed. */
  readonly results: readonly Executed[];
  /**
   * All records of `persist` effects in order, or at least the newest state and all blocks above the chain; null
   * when they were lost or are damaged. Empty for a member that has never run.
   */
  readonly records: readonly Uint8Array[] | null;
}

export class Replica {
  readonly #state: State;

  constructor(options: ReplicaOptions, restored: Restored) {
    const { header, hash, history, anchor, config, results } = restored;
    const root = { header, height: header.height, hash, key: keyOf(hash), history };
    const s = new State(options, root, anchor, config, results);
    this.#state = s;
    const { before } = restored;
    if (before !== null) {
      s.before = { config: before.config, anchor: anchorOf(before.config, before.anchor) };
    }
    const { certificate } = restored;
    if (certificate.kind !== 'proposer' && certificate.epoch === config.epoch) {
      if (equal(certificate.hash, hash)) {
        s.highest = certificate;
        s.term = certificate.term;
        s.confirming = certificate;
      } else {
        s.waiting.push(certificate);
      }
    }
    if (restored.records === null || !takeRecords(s, restored.records)) {
      s.alarm('amnesia', 'the records of votes were lost');
      beginAmnesia(s);
    }
    s.wantBft ||= s.highest.mode === 'bft';
    advance(s);
    resumeVotes(s);
  }

  /** The configuration in force. */
  get config(): EpochConfig {
    return this.#state.config;
  }

  /** For status pages and logs. */
  get status() {
    const { config, term, mode, root, self, leader, open, recovering, wantBft } = this.#state;
    const { epoch } = config;
    return { epoch, term, mode, height: root.height, self, leader, open, recovering, wantBft };
  }

  /** Newest confirmed height that each other node has told of in this epoch, by its key in hexadecimal. */
  get heights(): ReadonlyMap<string, number> {
    return this.#state.heights;
  }

  /** What the blocks hold that a next one would follow and that are not confirmed. */
  bundlesAhead(): readonly Bundle[] {
    return pathAhead(this.#state).flatMap(({ bundles }) => bundles);
  }

  /** The unconfirmed blocks that are known: all that this member has voted for and that may yet be confirmed are among them. */
  get candidates(): Iterable<Candidate> {
    return this.#state.tree.blocks();
  }

  /** What this replica believes, for the checks of a simulation. */
  get inspected(): State {
    return this.#state;
  }

  /** Runs to completion. @throws AssertionError only for a fault of this code, never for what a peer sends */
  step(event: ReplicaEvent): readonly Effect[] {
    const s = this.#state;
    handle(s, event);
    settle(s);
    for (const evidence of s.found.splice(0)) accuse(s, evidence);
    serveReads(s);
    askForContent(s);
    return s.effects.splice(0);
  }
}

function takeRecords(s: State, records: readonly Uint8Array[]): boolean {
  let state: DurableState | null = null;
  try {
    for (const bytes of records) {
      const record = decodeDurable(bytes);
      if (record.kind === 'state') state = record;
      else restoreBlock(s, record.block);
    }
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return false;
  }
  if (state === null) return true;
  const fits = restoreState(s, state);
  if (fits && s.recovering) beginAmnesia(s);
  return fits;
}

function restoreBlock(s: State, signed: Parameters<typeof decodeCandidate>[1]): void {
  const block = decodeCandidate(s.options.crypto, signed);
  if (block === null || block.header.epoch !== s.config.epoch) return;
  block.durable = true;
  s.tree.add(block, () => false);
}

function handle(s: State, event: ReplicaEvent): void {
  switch (event.kind) {
    case 'tick':
      return onTick(s, event.nowMs);
    case 'receive':
      return receive(s, event.from, event.bytes);
    case 'persisted':
      s.durableToken = Math.max(s.durableToken, event.token);
      return;
    case 'propose':
      return onPropose(s, event);
    case 'executed':
      return onExecuted(s, event.height, event.receiptsRoot);
    case 'available':
      return advance(s);
    case 'demand':
      s.times.waiting = event.waiting ? (s.times.waiting ?? s.times.now) : null;
      return;
    case 'complaint':
      return onComplaint(s, event.client, event.term);
    case 'rules':
      return onRules(s, event);
    case 'read':
      if (s.nextReads.length < CONSENSUS_LIMITS.readsMax) onRead(s, event.id);
      return;
  }
  event satisfies never;
}

/** Handles messages to itself whose records are durable, until there are none. */
function settle(s: State): void {
  while (s.loopback[0] !== undefined && s.loopback[0].after <= s.durableToken) {
    const { message } = s.loopback.shift()!;
    dispatch(s, s.options.publicKey, s.self, message);
  }
}

function receive(s: State, from: Uint8Array, bytes: Uint8Array): void {
  let message: Message;
  try {
    message = decodeMessage(bytes);
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return;
  }
  const member = memberOf(s.config, from);
  onHeard(s, member);
  dispatch(s, from, member, message);
}

function dispatch(s: State, from: Uint8Array, member: number, message: Message): void {
  switch (message.kind) {
    case 'block':
      onBlock(s, message);
      return onLeaderHeard(s, member, s.term);
    case 'vote':
      return onVote(s, member, message.vote);
    case 'certificate':
      return onCertificate(s, message.certificate);
    case 'wish':
      return onWish(s, member, message);
    case 'report':
      return onReport(s, message.report);
    case 'newTerm':
      return onNewTerm(s, message.newTerm);
    case 'status':
      onStatus(s, from, message);
      if (message.epoch === s.config.epoch) onLeaderHeard(s, member, message.term);
      return;
    case 'fetch':
      return onFetch(s, from, message.hash);
    case 'sync':
      if (message.height <= s.root.height) {
        s.effects.push({ kind: 'serve', to: from, height: message.height });
      }
      return;
    case 'blocks':
      return onBlocks(s, from, message.blocks);
    case 'probe':
      return onProbe(s, from, message.nonce);
    case 'floor':
      return onFloor(s, member, message);
    case 'evidence':
      return onEvidence(s, message.evidence);
    case 'health':
      return onHealth(s, message.health);
    case 'suspicion':
      return onSuspicion(s, message.suspicion);
  }
  message satisfies never;
}

function onExecuted(s: State, height: number, receiptsRoot: Uint8Array): void {
  s.results.push({ height, receiptsRoot });
  markExecuted(s, height, receiptsRoot);
  advance(s);
}

/** So many clients are heard by nobody but this node that the leader must be at fault. */
function onComplaint(s: State, client: Uint8Array, term: number): void {
  if (term !== s.term || s.complainers.size >= CONSENSUS_LIMITS.complaintsMax) return;
  s.complainers.add(hex(client));
  if (s.complainers.size >= s.config.thresholds.complaints) suspect(s, true);
}

function onRules(s: State, event: Extract<ReplicaEvent, { kind: 'rules' }>): void {
  const { rules, approvals } = event;
  if (isApproved(s.options, s.config, { rules, approvals })) s.pendingRules = { rules, approvals };
}
