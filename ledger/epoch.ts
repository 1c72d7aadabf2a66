// Epochs: who the members are and by which rules they agree. Pure, browser-safe.
//
// Epoch 0 is that of the genesis record. A block with a system record that changes the configuration is a
// barrier: nothing is proposed on top of it until it is confirmed, then the next epoch begins with the same
// leader, without an election. So quorums of two epochs need not meet.
//
// (1) The configuration of an epoch is a function of the chain up to the barrier before it.
// (2) Numbers of members (`member`, `eligible`, `suspended`) are places in `members`.

import type { Genesis, Header } from './block.ts';
import { equal } from './bytes.ts';
import { faultsMax, quorums } from './quorum.ts';
import type { Quorums } from './quorum.ts';
import type { SystemRecord } from './system.ts';
import type { Mode } from './vote.ts';

export interface Member {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Where its peers reach it; opaque here, empty where that is configured on each node. */
  readonly address: string;
}

/** Durations in milliseconds. */
export interface Timers {
  readonly heartbeatMs: number;
  /** Without a word of the leader. */
  readonly electionMs: number;
  /** With something to confirm, and nothing confirmed. */
  readonly progressMs: number;
  /** From entering a term to its opening. */
  readonly openMs: number;
  /** With a quorum of acknowledgements, but not a fast one. */
  readonly fastMs: number;
  /** What they grow to, by half after each term that came to nothing. */
  readonly timeoutMaxMs: number;
  /** In bft mode at least this long and so many blocks before the return to raft mode. */
  readonly dwellMs: number;
  readonly dwellBlocks: number;
}

export interface Thresholds {
  /** Proven frauds that justify bft mode. */
  readonly fraud: number;
  /** Members silent or proven to lie: more than this many make a member wish for bft mode. */
  readonly faults: number;
  /** Complaints of distinct clients in one term that make a member wish for another leader. */
  readonly complaints: number;
}

/** What an administrator may change. */
export interface Rules {
  readonly members: readonly Member[];
  /** Nodes that receive blocks and do not vote: auditors, and members to be. */
  readonly observers: readonly Member[];
  readonly f: number;
  /** Modes that a term may have; `solo` is one node without votes. */
  readonly policy: 'solo' | 'raft' | 'bft' | 'adaptive';
  /** Blocks that may be proposed above the newest confirmed one. */
  readonly window: number;
  /** Keys that change the rules, and how many of them must sign. */
  readonly governance: { readonly keys: readonly Uint8Array[]; readonly needed: number };
  readonly thresholds: Thresholds;
  readonly timers: Timers;
}

export interface EpochConfig extends Rules {
  readonly epoch: number;
  /** Height of the block before the epoch: 0, or the barrier. */
  readonly start: number;
  /** The mode in which the epoch begins. */
  readonly mode: Mode;
  /** Who leads, in turn: `eligible[(base + term) mod length]`. */
  readonly eligible: readonly number[];
  readonly base: number;
  /** Proven frauds: no leaders, and no return to raft mode, until an administrator takes them out. */
  readonly suspended: readonly number[];
  /** The last change to bft mode, and how often it came soon after a return: dwelling doubles with it. */
  readonly switched: { readonly height: number; readonly timeMs: number; readonly level: number };
}

const TIMERS: Timers = {
  heartbeatMs: 50,
  electionMs: 400,
  progressMs: 1_000,
  openMs: 500,
  fastMs: 300,
  timeoutMaxMs: 10_000,
  dwellMs: 30_000,
  dwellBlocks: 200,
};

/** A return to raft mode shorter ago than this was too early: the level rises. */
const FLAPPING_MS = 600_000;
/** A level is forgotten for each hour without a change. */
const FORGET_MS = 3_600_000;
const LEVEL_MAX = 7;
const WINDOW = 4;

/** The rules of epoch 0. The superusers of the first catalog, any one of them, may change them. */
export function genesisConfig(
  genesis: Pick<Genesis, 'nodes' | 'consensus' | 'catalog' | 'createdMs'>,
): EpochConfig {
  const { nodes, consensus, catalog } = genesis;
  const f = consensus === 'solo' ? 0 : faultsMax(nodes.length);
  const keys = catalog.flatMap((change) =>
    'put' in change && change.put === 'role' && change.object.superuser && change.object.publicKey
      ? [change.object.publicKey]
      : [],
  );
  return {
    epoch: 0,
    start: 0,
    members: nodes,
    observers: [],
    f,
    policy: consensus,
    mode: consensus === 'bft' ? 'bft' : 'raft',
    window: WINDOW,
    eligible: nodes.map((_, index) => index),
    base: 0,
    suspended: [],
    governance: { keys, needed: 1 },
    thresholds: { fraud: 1, faults: quorums(nodes.length, f).silent, complaints: 3 },
    timers: TIMERS,
    switched: { height: 0, timeMs: 0, level: 0 },
  };
}

export function quorumsOf(config: Pick<EpochConfig, 'members' | 'f'>): Quorums {
  return quorums(config.members.length, config.f);
}

/** Index of the member that leads a term. */
export function leaderOf({ eligible, base }: EpochConfig, term: number): number {
  return eligible[(base + term) % eligible.length]!;
}

/** Index of a member, or -1. */
export function memberOf({ members }: Pick<Rules, 'members'>, publicKey: Uint8Array): number {
  return members.findIndex((member) => equal(member.publicKey, publicKey));
}

/**
 * Whether a node orders this ledger by itself: the header's signature is the whole certificate. Whoever else has the
 * blocks of such an epoch follows them without a vote.
 */
export function ordersAlone(config: Rules, publicKey: Uint8Array): boolean {
  return config.policy === 'solo' && memberOf(config, publicKey) === 0;
}

/**
 * What keeps rules from following others because one of the two is solo; null when nothing does.
 *
 * The kind of consensus changes at one member that nobody else votes or waits with: so no quorum is ever missing at that
 * block, and nodes come, go and catch up by the rules of a cluster alone.
 */
export function soloFault(before: Rules, after: Rules): string | null {
  if (before.policy !== 'solo' && after.policy !== 'solo') return null;
  if (after.policy === 'solo' && after.observers.length > 0) {
    return 'observers: solo is one node, with nobody who observes; policy=raft has room for others';
  }
  const same =
    before.members.length === 1 &&
    after.members.length === 1 &&
    equal(before.members[0]!.publicKey, after.members[0]!.publicKey);
  if (same) return null;
  return before.policy === 'solo'
    ? 'members: solo is one node, and stays that one; policy=raft has room for others'
    : 'policy: only a cluster of one member becomes solo; take the others out first';
}

/** Whether a node is a member or an observer: blocks come to it. */
export function isListed({ members, observers }: Rules, publicKey: Uint8Array): boolean {
  return [...members, ...observers].some((each) => equal(each.publicKey, publicKey));
}

/** Whether the epoch ends with a block of these records. */
export function isBarrier(system: readonly SystemRecord[]): boolean {
  return system.length > 0;
}

/**
 * The configuration after a block; the same one unless the block is a barrier.
 *
 * @param header  of a confirmed block of the epoch, whose records have been checked by the members
 */
export function nextConfig(
  config: EpochConfig,
  header: Header,
  system: readonly SystemRecord[],
): EpochConfig {
  if (!isBarrier(system)) return config;
  // The leader of the barrier leads term 0 of the next epoch.
  const leader = leaderOf(config, header.term);
  let next: EpochConfig = {
    ...config,
    epoch: config.epoch + 1,
    start: header.height,
    mode: header.mode,
  };
  for (const record of system) next = applied(next, header, record);
  if (config.mode !== 'bft' && next.mode === 'bft') next = switchedToBft(next, header);
  return led(config, next, leader);
}

function applied(config: EpochConfig, header: Header, record: SystemRecord): EpochConfig {
  switch (record.kind) {
    case 'evidence': {
      const { accused } = record;
      if (config.suspended.includes(accused)) return config;
      const suspended = [...config.suspended, accused].sort((a, b) => a - b);
      return { ...config, suspended };
    }
    case 'mode': {
      const { mode } = record;
      if (mode === 'bft') return { ...config, mode };
      // `timeMs` is that of the return from here on, until the next change to bft mode.
      return { ...config, mode, switched: { ...config.switched, timeMs: header.timeMs } };
    }
    case 'rules':
      return withRules(config, record.rules);
  }
}

function switchedToBft(config: EpochConfig, { height, timeMs }: Header): EpochConfig {
  const quiet = timeMs - config.switched.timeMs;
  const { level } = config.switched;
  const first = config.switched.height === 0;
  const risen = !first && quiet < FLAPPING_MS ? level + 1 : level;
  const kept = Math.max(0, risen - Math.floor(quiet / FORGET_MS));
  return { ...config, switched: { height, timeMs, level: Math.min(kept, LEVEL_MAX) } };
}

/** New rules; whoever is suspended stays so under the same key. */
function withRules(config: EpochConfig, rules: Rules): EpochConfig {
  const suspended = config.suspended
    .map((index) => memberOf(rules, config.members[index]!.publicKey))
    .filter((index) => index >= 0)
    .sort((a, b) => a - b);
  const mode = rules.policy === 'adaptive' ? config.mode : rules.policy === 'bft' ? 'bft' : 'raft';
  const { members, observers, f, policy, window, governance, thresholds, timers } = rules;
  const changed = { members, observers, f, policy, window, governance, thresholds, timers };
  return { ...config, ...changed, mode, suspended };
}

/** Eligible are those that are not suspended; `base` is so that the old leader leads, if it still may. */
function led(before: EpochConfig, config: EpochConfig, leader: number): EpochConfig {
  const all = config.members.map((_, index) => index);
  const sound = all.filter((index) => !config.suspended.includes(index));
  const eligible = sound.length > 0 ? sound : all;
  const index = memberOf(config, before.members[leader]!.publicKey);
  return { ...config, eligible, base: Math.max(0, eligible.indexOf(index)) };
}
