// The mutations are still about lines that are there. tests/slow/mutations.ts runs them.

import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { mutate } from './mutation.ts';
import { MUTATIONS } from './mutations.ts';

const ROOT = new URL('../../', import.meta.url);

test.each(MUTATIONS)('$name', (mutation) => {
  const changed = mutate(mutation, (file) => readFileSync(new URL(file, ROOT), 'utf8'));
  expect(changed.size).toBeGreaterThan(0);
});

test('there are many, under names of their own', () => {
  expect(new Set(MUTATIONS.map(({ name }) => name)).size).toBe(MUTATIONS.length);
  expect(MUTATIONS.length).toBeGreaterThanOrEqual(40);
});
