// Everything a replica knows, and the effects of the step it is in. Pure.
//
// Fields are changed by the files beside this one, each of which is about one part of the protocol. Which of
// them outlive a crash is said by `persist`: it writes the small state as a whole and the blocks it stands on.

import type { Executed } from '../../ledger/block.ts';
import { equal } from '../../ledger/bytes.ts';
import type { EpochConfig, Rules } from '../../ledger/epoch.ts';
import { leaderOf, quorumsOf } from '../../ledger/epoch.ts';
import type { Quorums } from '../../ledger/quorum.ts';
import type { Mode, Vote, VoteCertificate } from '../../ledger/vote.ts';
import type { Candidate, HashKey, Position, Root } from './block-tree.ts';
import { BlockTree, keyOf } from './block-tree.ts';
import { encodeDurable, encodeMessage } from './codec.ts';
import type { EpochBefore, ReplicaOptions } from './context.ts';
import { anchorOf, voterOf } from './context.ts';
import type { DurableState, LastVote } from './durable.ts';
import type { AlarmKind, Effect } from './event.ts';
import type { Mark } from './health.ts';
import type { Evidence, Health, Message, NewTerm, Suspicion } from './message.ts';
import type { OpenReport, Selection } from './select.ts';
import { Votes } from './votes.ts';

/** A checked NEWTERM of the current term. */
export interface OpenedTerm {
  readonly message: NewTerm;
  /** What the first block of the term names. */
  readonly hash: Uint8Array;
  readonly selection: Selection;
}

/** A question how far votes may have gone, and who has answered. */
export interface Probe {
  readonly nonce: number;
  readonly floors: Map<number, Floor>;
  readonly reads: number[];
  /** When members were asked last. */
  askedMs: number;
}

export interface Floor {
  readonly epoch: number;
  readonly term: number;
  readonly height: number;
}

/** Since when something has been so, on the clock of ticks. */
export interface Times {
  now: number;
  /** Of the first tick of this run. */
  started: number;
  enteredTerm: number;
  opened: number;
  leaderHeard: number;
  confirmed: number;
  /** Something waits to be confirmed; null when nothing does. */
  waiting: number | null;
  /** The highest certificate is of an unconfirmed block; null when it is not. */
  unconfirmed: number | null;
  statusSent: number;
  resent: number;
  readonly heard: Map<number, number>;
}

export class State {
  readonly options: ReplicaOptions;
  config: EpochConfig;
  quorums: Quorums;
  /** Index of this node among the members that vote, or -1. */
  self: number;
  anchor: VoteCertificate;
  /** null in epoch 0. */
  before: EpochBefore | null = null;
  tree: BlockTree;

  // Durable.
  term = 0;
  led: number | null = null;
  highest: VoteCertificate;
  lastAck: LastVote | null = null;
  tail: HashKey | null = null;
  wantBft: boolean;
  recovering = false;

  // Of the epoch.
  votes = new Votes();
  readonly wishes = new Map<number, { term: number; wantBft: boolean }>();
  wish = 0;
  readonly reports = new Map<number, Map<number, OpenReport>>();
  opened: OpenedTerm | null = null;
  /** Certificates of blocks that are not here yet. */
  waiting: VoteCertificate[] = [];
  /** Encoded evidence, by the member it proves a liar. */
  readonly proven = new Map<number, Uint8Array>();
  readonly health = new Map<number, Health>();
  /** The newest of each member, by the member that it names. */
  readonly suspicions = new Map<number, Map<number, Suspicion>>();
  /** The newest heights about which health is said, ascending. */
  readonly marks: Mark[] = [];
  complainers = new Set<string>();
  pendingRules: {
    rules: Rules;
    approvals: readonly { key: Uint8Array; signature: Uint8Array }[];
  } | null = null;

  // Of this run.
  /** This incarnation has opened or proposed in `led`; an earlier one may have proposed what it forgot. */
  leads = false;
  lastProposed: HashKey | null = null;
  askedFor = '';
  ownAck: Vote | null = null;
  ownCommit: Vote | null = null;
  /** The newest certificate that confirmed a block. */
  confirming: VoteCertificate | null = null;
  /** Own results that headers to come may name, ascending. */
  results: Executed[];
  failedTerms = 0;
  probe: Probe | null = null;
  nextReads: number[] = [];
  nonce: number;
  /** Floors by which it is known that what was forgotten is past; null unless recovering. */
  amnesia: Probe | null = null;
  /** Blocks asked for, by hash: when, and how often. */
  readonly fetching = new Map<HashKey, { readonly askedMs: number; readonly attempts: number }>();
  syncAskedMs = -Infinity;
  /** Newest confirmed height that each node has told of in this epoch, by its key in hexadecimal. */
  readonly heights = new Map<string, number>();
  /** Confirmed blocks on the root, ascending, whose certificate names a later one that is not here yet. */
  syncing: Candidate[] = [];
  /** The signed block of solo that was last said not to be valid. */
  unsound: HashKey | null = null;
  times: Times;

  // Of the step.
  /** Proofs found in the midst of something else, which an accusation could end: looked at after it. */
  readonly found: Evidence[] = [];
  effects: Effect[] = [];
  token = 0;
  /** The term of the newest record. */
  recordedTerm = -1;
  durableToken = 0;
  /** Messages to itself, which wait for what they stand on as those to others do. */
  loopback: { readonly after: number; readonly message: Message }[] = [];

  constructor(
    options: ReplicaOptions,
    root: Root,
    anchor: Uint8Array,
    config: EpochConfig,
    results: readonly Executed[],
  ) {
    this.options = options;
    this.config = config;
    this.quorums = quorumsOf(config);
    this.self = voterOf(config, options.publicKey);
    this.anchor = anchorOf(config, anchor);
    this.highest = this.anchor;
    this.wantBft = config.mode === 'bft';
    this.tree = new BlockTree(options.chainId, root, config);
    this.results = [...results];
    this.nonce = options.incarnation * 1_000_000;
    this.times = {
      now: 0,
      started: 0,
      enteredTerm: 0,
      opened: 0,
      leaderHeard: 0,
      confirmed: 0,
      waiting: null,
      unconfirmed: null,
      statusSent: -Infinity,
      resent: -Infinity,
      heard: new Map(),
    };
  }

  get root(): Root {
    return this.tree.root;
  }

  get context() {
    const { crypto, chainId, seed, bodyIsSound } = this.options;
    return { crypto, chainId, seed, bodyIsSound, config: this.config };
  }

  get leader(): number {
    return leaderOf(this.config, this.term);
  }

  get isLeader(): boolean {
    return this.self >= 0 && this.leader === this.self;
  }

  /**
   * Signs nothing: no member, has forgotten what it signed, or has lost in a crash the block whose votes have
   * confirmed its newest one.
   */
  get isMute(): boolean {
    return this.self < 0 || this.recovering || this.highest.height < this.root.height;
  }

  /** The current term has a certificate: blocks may be proposed and acknowledged in it. */
  get open(): boolean {
    return this.highest.term === this.term;
  }

  /** Of the current term, as far as it is known. */
  get mode(): Mode {
    if (this.open) return this.highest.mode;
    return this.opened?.selection.mode ?? (this.wantBft ? 'bft' : 'raft');
  }

  get highestPosition(): Position {
    const { height, hash } = this.highest;
    return { height, hash, key: keyOf(hash) };
  }

  /** Whether acknowledgements and commits go to all and not to the leader alone. */
  fansOut(mode: Mode): boolean {
    return mode === 'bft' || this.options.ackFanout;
  }

  nodeOf(member: number): Uint8Array {
    return this.config.members[member]!.publicKey;
  }

  /** To everybody else. */
  broadcast(message: Message): void {
    this.effects.push({ kind: 'send', to: null, bytes: encodeMessage(message), after: this.token });
  }

  send(to: Uint8Array, message: Message): void {
    if (equal(to, this.options.publicKey)) return this.sendSelf(message);
    this.effects.push({ kind: 'send', to, bytes: encodeMessage(message), after: this.token });
  }

  sendSelf(message: Message): void {
    this.loopback.push({ after: this.token, message });
  }

  alarm(alarm: AlarmKind, message: string): void {
    this.effects.push({ kind: 'alarm', alarm, message });
  }

  /** Makes the vote state durable, and the blocks that it names. */
  persist(): void {
    const records: Uint8Array[] = [];
    const ends = [keyOf(this.highest.hash), this.tail];
    if (this.lastAck !== null) ends.push(keyOf(this.lastAck.hash));
    for (const end of ends) {
      for (const block of (end === null ? null : this.tree.path(end)) ?? []) {
        if (block.durable) continue;
        block.durable = true;
        records.push(encodeDurable({ kind: 'block', block: block.signed }));
      }
    }
    records.push(encodeDurable(this.durable()));
    this.recordedTerm = this.term;
    this.token += 1;
    this.effects.push({ kind: 'persist', token: this.token, records });
  }

  durable(): DurableState {
    const { term, led, highest, lastAck, wantBft, recovering } = this;
    const tail = this.tail === null ? null : this.tree.get(this.tail)!.hash;
    const { epoch } = this.config;
    return { kind: 'state', epoch, term, led, highest, lastAck, tail, wantBft, recovering };
  }

  /** Blocks that must not make room for others. */
  isNeeded(key: HashKey): boolean {
    const ends = [keyOf(this.highest.hash), this.tail, this.lastProposed];
    if (this.lastAck !== null) ends.push(keyOf(this.lastAck.hash));
    if (this.opened !== null) ends.push(keyOf(this.opened.selection.hash));
    return ends.some(
      (end) => end !== null && (this.tree.path(end) ?? []).some((block) => block.key === key),
    );
  }
}
