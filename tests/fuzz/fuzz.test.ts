// A short round of each target; tests/slow/fuzz.ts goes on for as long as there is time.

import { expect, test } from '@jest/globals';
import { faultOf, fuzz } from './fuzz.ts';
import { targets } from './targets.ts';

const INPUTS = 300;

for (const target of targets()) {
  test(`${target.name}: what is whole is taken, anything else at most refused`, () => {
    for (const seed of target.seeds) expect(faultOf(target, seed)).toBe('taken');
    expect(fuzz(target, 20_261_201, INPUTS).fault).toBeNull();
  });
}
