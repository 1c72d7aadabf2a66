// What a schedule is like, drawn from its seed before anything else: swarm testing. Pure.

import { faultsMax } from '../../ledger/quorum.ts';
import { Stream } from './random.ts';

/** How a member lies. `none`: it only crashes. */
export type Liar = 'none' | 'twin' | 'mutator' | 'adversary' | 'silent';

export interface Options {
  readonly seed: number;
  readonly n: number;
  readonly f: number;
  /** Nodes that are no members at first. */
  readonly spare: number;
  readonly window: number;
  readonly policy: 'raft' | 'bft' | 'adaptive';
  readonly ackFanout: boolean;
  /** Indexes of members that lie, at most f together with the three sorts that follow. */
  readonly liars: readonly number[];
  readonly liar: Liar;
  /** Members that lose their disk once. */
  readonly forgetful: readonly number[];
  /** Those whose stored votes rot now and then; counted as these. */
  readonly rotting: readonly number[];
  /** Those whose clocks are hours wrong now and then; counted as these. */
  readonly jumping: readonly number[];
  /** How far the clocks of all others are apart at most, in ms; they jump within that. */
  readonly clockSpreadMs: number;
  readonly loss: number;
  readonly duplication: number;
  readonly delayMs: number;
  readonly partitions: 'none' | 'uniform' | 'isolate' | 'one-way';
  readonly crashRate: number;
  readonly fsyncMs: number;
  readonly executeMs: number;
  /** Bundles put up for ordering, each second. */
  readonly load: number;
  readonly membershipChanges: boolean;
  /** Chance that clients of all members complain about the leader, each fifth of a second. */
  readonly complaints: number;
  /** Chance that a bundle names a chunk, which not all nodes are given. */
  readonly chunked: number;
  /** Members that get other results than they should, now and then, and do not know it; among the `f` as well. */
  readonly damaged: readonly number[];
  /** Of the rules: so many suspected members are borne in raft mode; null for what they say by themselves. */
  readonly faults: number | null;
  /** Chance that a silent liar keeps a message back. */
  readonly silence: number;
  readonly events: number;
  readonly realCrypto: boolean;
}

const SIZES = [4, 4, 4, 4, 4, 7, 7, 5, 3, 6, 1, 10];

export function optionsOf(seed: number, changes: Partial<Options> = {}): Options {
  const random = new Stream(seed, 'options');
  const n = changes.n ?? random.pick(SIZES);
  const f = faultsMax(n);
  const faulty = shuffled(random, n).slice(0, f);
  const forgets = random.below(4) === 0 ? random.below(f + 1) : 0;
  const liar: Liar = random.pick(['none', 'twin', 'mutator', 'adversary', 'adversary', 'silent']);
  const honest = liar === 'none' && changes.liar === undefined;
  const options: Omit<Options, keyof Weaknesses> & Partial<Weaknesses> = {
    seed,
    n,
    f,
    spare: random.chance(0.2) ? 2 : 0,
    window: random.pick([1, 2, 4, 4]),
    policy: n < 4 ? 'raft' : random.pick(['adaptive', 'adaptive', 'raft', 'bft']),
    ackFanout: random.chance(0.7),
    liars: liar === 'none' ? [] : faulty.slice(forgets),
    liar,
    forgetful: faulty.slice(0, forgets),
    loss: random.pick([0, 0, 0.02, 0.1, 0.3]),
    duplication: random.pick([0, 0.05, 0.3]),
    delayMs: random.pick([2, 10, 40, 120]),
    partitions: random.pick(['none', 'none', 'uniform', 'isolate', 'one-way']),
    crashRate: random.pick([0, 0, 0.001, 0.004]),
    fsyncMs: random.pick([0, 1, 5, 30]),
    executeMs: random.pick([0, 2, 20]),
    load: random.pick([5, 20, 60]),
    membershipChanges: random.chance(0.2),
    complaints: random.pick([0, 0, 0.1, 0.5]),
    chunked: random.pick([0, 0, 0.1, 0.4]),
    damaged: honest && random.chance(0.5) ? faulty.slice(forgets) : [],
    faults: random.chance(0.3) ? 0 : null,
    silence: random.pick([0.9, 1]),
    events: 1_500,
    realCrypto: false,
    ...changes,
  };
  return { ...options, ...weaknesses(options), ...changes };
}

type Weaknesses = Pick<Options, 'rotting' | 'jumping' | 'clockSpreadMs'>;

/** One member more has a bad disk or clock, where the rules bear it. Where nobody may lie, it is not that bad. */
function weaknesses(options: Omit<Options, keyof Weaknesses> & Partial<Weaknesses>): Weaknesses {
  const { seed, n, f, liars, forgetful, damaged, rotting = [], jumping = [] } = options;
  const random = new Stream(seed, 'weaknesses');
  const clockSpreadMs = random.pick([0, 0, 1_000, 4_000]);
  const faulty = [...liars, ...forgetful, ...damaged, ...rotting, ...jumping];
  const weak = random.below(n);
  const borne = faulty.length < Math.max(1, f) && !faulty.includes(weak);
  const rots = random.chance(0.2);
  const jumps = random.chance(0.2);
  return {
    rotting: borne && rots && n > 1 ? [weak] : [],
    jumping: borne && jumps ? [weak] : [],
    clockSpreadMs,
  };
}

function shuffled(random: Stream, n: number): number[] {
  const items = Array.from({ length: n }, (_, index) => index);
  for (let i = n - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
