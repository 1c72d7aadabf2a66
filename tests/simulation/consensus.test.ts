// Random schedules of the consensus core, as many as fit into some seconds, and those that once failed.
// tests/slow/consensus.ts runs more.

import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import type { Options } from './options.ts';
import { optionsOf } from './options.ts';
import { Simulation } from './simulation.ts';

interface Seed {
  readonly seed: number;
  readonly found: string;
  readonly options?: Partial<Options>;
}

const SEEDS = JSON.parse(
  readFileSync(new URL('seeds.json', import.meta.url), 'utf8'),
) as readonly Seed[];

/** Time for random schedules, and the fewest that must run in it on the slowest machine. */
const RANDOM_MS = 12_000;
const RUNS_MIN = 5;

test.each(SEEDS)('seed $seed: $found', ({ seed, options }) => {
  expect(new Simulation(optionsOf(seed, options)).run().failure).toBeNull();
});

describe('the same seed', () => {
  test('gives the same run', () => {
    const [first, second] = [1, 2].map(() => new Simulation(optionsOf(4)).run());
    expect(first).toEqual(second);
    expect(first!.height).toBeGreaterThan(0);
  });

  test('runs with real signatures', () => {
    const options = optionsOf(6, { n: 4, realCrypto: true, events: 400 });
    expect(new Simulation(options).run()).toMatchObject({ failure: null });
  });
});

test('random schedules', () => {
  const end = performance.now() + RANDOM_MS;
  let runs = 0;
  for (let seed = 1_000_000; runs < RUNS_MIN || performance.now() < end; seed++) {
    const { failure } = new Simulation(optionsOf(seed)).run();
    if (failure !== null) throw new Error(`seed ${seed}: ${failure}`);
    runs += 1;
  }
});

test('more liars than the members can bear are noticed', () => {
  const outcomes = Array.from({ length: 40 }, (_, seed) =>
    new Simulation(
      optionsOf(seed, { n: 4, liars: [0, 1], liar: 'adversary', forgetful: [], policy: 'raft' }),
    ).run(),
  );
  expect(outcomes.some(({ failure }) => failure !== null && !failure.includes('stuck'))).toBe(true);
});
