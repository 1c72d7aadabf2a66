// One round of a target: mutated inputs, each taken or refused. Pure but for the target.

import { Random } from '../unit/ledger/random.ts';
import { mutated } from './mutate.ts';
import { isRefusal } from './targets.ts';
import type { Target } from './targets.ts';

/** Mutated inputs that were taken are the next ones' beginnings; as many are kept. */
const GROWN_MAX = 200;

export interface Fault {
  readonly input: Uint8Array;
  readonly error: unknown;
}

export interface Round {
  readonly taken: number;
  readonly fault: Fault | null;
}

/** What is wrong with how the target took an input; null when it took or refused it. */
export function faultOf(target: Target, input: Uint8Array): 'taken' | 'refused' | Fault {
  try {
    target.take(input);
    return 'taken';
  } catch (error) {
    return isRefusal(error) ? 'refused' : { input, error };
  }
}

/** @param each  called before each input, with its number */
export function fuzz(
  target: Target,
  seed: number,
  inputs: number,
  each?: (at: number) => void,
): Round {
  const random = new Random(seed);
  const seeds = [...target.seeds];
  const own = seeds.length;
  let taken = 0;
  for (let at = 0; at < inputs; at++) {
    each?.(at);
    const input = mutated(random, seeds);
    // A target that kept or changed what it was given would spoil the seeds.
    const found = faultOf(target, input.slice());
    if (typeof found === 'object') return { taken, fault: { input, error: found.error } };
    if (found !== 'taken') continue;
    taken += 1;
    if (seeds.length < own + GROWN_MAX) seeds.push(input);
    else seeds[own + random.below(GROWN_MAX)] = input;
  }
  return { taken, fault: null };
}
