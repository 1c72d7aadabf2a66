// What tells objects of the catalog apart: their values, not how they came about.

import { expect, test } from '@jest/globals';
import { stable } from '../../../../sql/analyst/resolver.ts';

test('objects read back from the chain are the same as those made here', () => {
  const made = { id: 1, grants: [], columns: [{ id: 1, missing: 5n }] };
  const decoded = { columns: [{ missing: 5n, id: 1 }], id: 1, grants: [] };
  expect(stable(decoded)).toBe(stable(made));
});

test('the order of a list counts', () => {
  expect(stable({ labels: ['a', 'b'] })).not.toBe(stable({ labels: ['b', 'a'] }));
});

test('integers and their texts differ', () => {
  expect(stable({ missing: 5n })).not.toBe(stable({ missing: '5' }));
});
