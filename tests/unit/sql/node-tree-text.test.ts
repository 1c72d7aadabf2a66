// Postgres' node trees are taken apart, the bytes of constants as they are written.

import { describe, expect, test } from '@jest/globals';
import { parseTree } from '../../../sql/node-tree-text.ts';
import type { TreeNode } from '../../../sql/node-tree-text.ts';

function constant(text: string): unknown {
  const tree = parseTree(`{CONST :consttype 23 :constvalue ${text} :location -1}`) as TreeNode;
  expect(tree.fields.get('location')).toBe('-1');
  return tree.fields.get('constvalue');
}

describe('the bytes of a constant', () => {
  test('are signed numbers', () => {
    expect(constant('4 [ 1 0 0 0 ]')).toEqual(Uint8Array.of(1, 0, 0, 0));
    expect(constant('3 [ -1 -128 127 ]')).toEqual(Uint8Array.of(255, 128, 127));
  });

  test('may be more than the length says, since a value that is passed by value has a whole word', () => {
    expect(constant('1 [ 1 0 0 0 ]')).toEqual(Uint8Array.of(1, 0, 0, 0));
  });

  test('may be none, or null', () => {
    expect(constant('0 [ ]')).toEqual(new Uint8Array(0));
    expect(constant('<>')).toBeNull();
  });
});
