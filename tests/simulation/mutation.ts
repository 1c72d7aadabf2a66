// One way to break the consensus core: lines of its source, and what stands in their place. Pure.
//
// Each takes one rule away. A line must be in its file exactly once (mutations.test.ts), so that a mutation cannot
// quietly come to mean nothing.

import type { Options } from './options.ts';

export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** What schedules it needs; all sorts by default. */
  readonly options?: Partial<Options>;
  /** A test that kills it where schedules would take too long. */
  readonly test?: string;
}

/** Members whose disks and clocks are good. */
export const SOUND: Partial<Options> = { rotting: [], jumping: [], clockSpreadMs: 0 };
export const FOUR: Partial<Options> = {
  ...SOUND,
  n: 4,
  liar: 'adversary',
  liars: [0],
  forgetful: [],
  spare: 0,
};
export const LYING_RAFT: Partial<Options> = { ...FOUR, policy: 'raft', membershipChanges: false };

export function core(name: string, file: string, find: string, replace: string): Mutation {
  return { name, edits: [{ file: `consensus/core/${file}`, find, replace }] };
}

/** The same, in schedules of one sort. */
export function among(options: Partial<Options>, mutation: Mutation): Mutation {
  return { ...mutation, options };
}

/** @returns the changed files. @throws RangeError when a line is not there exactly once */
export function mutate(
  { name, edits }: Mutation,
  source: (file: string) => string,
): ReadonlyMap<string, string> {
  const changed = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const text = changed.get(file) ?? source(file);
    const count = text.split(find).length - 1;
    if (count !== 1) throw new RangeError(`${name}: ${count} times in ${file}: ${find}`);
    changed.set(
      file,
      text.replace(find, () => replace),
    );
  }
  return changed;
}
