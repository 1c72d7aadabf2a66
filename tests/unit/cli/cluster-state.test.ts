import { describe, expect, test } from '@jest/globals';
import { stateLine } from '../../../cli/cluster-state.ts';
import type { NodeState } from '../../../cli/cluster-state.ts';

function up(key: string, leader: string | null, height: number, term = 0): NodeState {
  return { kind: 'up', view: { key, mode: 'raft', epoch: 2, term, leader, height } };
}

describe('the line of a demo', () => {
  test('says who leads by its key, whatever place it has among the members', () => {
    // Node 1 was taken out: the member in the first place is node 2.
    expect(stateLine([up('a', 'b', 3), up('b', 'b', 9), { kind: 'ended' }])).toBe(
      'raft mode, term 0 of epoch 2 | node 1: block 3 | node 2: block 9, leads | node 3: ended',
    );
  });

  test('names none of them when a node elsewhere leads', () => {
    expect(stateLine([up('a', 'e', 9), up('b', 'e', 9)])).not.toContain('leads');
  });

  test('believes the node that knows the newest term', () => {
    expect(stateLine([up('a', 'a', 9), up('b', 'b', 9, 1)])).toContain('node 2: block 9, leads');
  });
});
