// Makes a failing schedule smaller: one thing less at a time, as long as it still fails. Pure.

import type { Options } from './options.ts';
import { Simulation } from './simulation.ts';

const SIMPLER: readonly Partial<Options>[] = [
  { loss: 0 },
  { duplication: 0 },
  { partitions: 'none' },
  { crashRate: 0 },
  { complaints: 0 },
  { membershipChanges: false },
  { spare: 0 },
  { forgetful: [] },
  { rotting: [] },
  { jumping: [] },
  { clockSpreadMs: 0 },
  { fsyncMs: 0 },
  { executeMs: 0 },
  { delayMs: 2 },
  { load: 5 },
  { window: 1 },
];

/** Failures of one kind begin alike; numbers of members, heights and terms differ. */
function kindOf(failure: string | null): string | null {
  return failure === null ? null : failure.split('\n')[0]!.replaceAll(/\d+/g, '#');
}

/** @returns options that fail in the same way, with the fewest events found */
export function shrink(options: Options, failure: string): Options {
  const fails = (tried: Options): boolean =>
    kindOf(new Simulation(tried).run().failure) === kindOf(failure);
  let smallest = options;
  for (const change of SIMPLER) {
    const tried = { ...smallest, ...change };
    if (fails(tried)) smallest = tried;
  }
  for (let step = smallest.events; step >= 8; step = Math.floor(step / 2)) {
    const tried = { ...smallest, events: Math.max(1, smallest.events - step) };
    if (tried.events < smallest.events && fails(tried)) smallest = tried;
  }
  return smallest;
}
