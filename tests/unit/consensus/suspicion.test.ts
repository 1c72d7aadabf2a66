// Whether so many members are suspected that a block may change to bft mode, and that a leader makes such a block.

import { describe, expect, test } from '@jest/globals';
import { encodeSuspicion, encodeUnsignedSuspicion } from '../../../consensus/core/codec.ts';
import { STATEMENT_AGE_BLOCKS, signStatement } from '../../../consensus/core/context.ts';
import type { Suspicion } from '../../../consensus/core/message.ts';
import { areSuspected } from '../../../consensus/core/suspicion.ts';
import { optionsOf } from '../../simulation/options.ts';
import { Simulation } from '../../simulation/simulation.ts';

/** No faults but those that a test asks for; one suspected member is reason enough. */
const QUIET = {
  n: 4,
  liars: [],
  forgetful: [],
  damaged: [],
  liar: 'none',
  policy: 'adaptive',
  faults: 0,
  loss: 0,
  partitions: 'none',
  crashRate: 0,
  complaints: 0,
  chunked: 0,
  membershipChanges: false,
} as const;

const HEIGHT = 100;

describe('statements', () => {
  const { beginning, nodes } = new Simulation(optionsOf(1, QUIET));
  const context = { ...beginning, seed: nodes[0]!.seed };

  function by(member: number, peer: number, changes: Partial<Suspicion> = {}): Uint8Array {
    const said = { epoch: 0, member, peer, reason: 'silent', height: HEIGHT, ...changes } as const;
    const signer = { ...context, seed: nodes[member]!.seed };
    const signature = signStatement(signer, 'suspicion', encodeUnsignedSuspicion(said));
    return encodeSuspicion({ ...said, signature, ...changes });
  }

  function enough(statements: readonly Uint8Array[], faults = 0): boolean {
    const { config } = context;
    const thresholds = { ...config.thresholds, faults };
    return areSuspected({ ...context, config: { ...config, thresholds } }, HEIGHT, statements);
  }

  test('of f + 1 members against one more than is borne are enough', () => {
    expect(enough([by(0, 3), by(1, 3)])).toBe(true);
    expect(enough([by(0, 3), by(1, 3), by(0, 2), by(1, 2)], 1)).toBe(true);
  });

  test.each<[string, readonly Uint8Array[], number]>([
    ['none', [], 0],
    ['one member', [by(0, 3)], 0],
    ['one member twice', [by(0, 3), by(0, 3, { height: HEIGHT - 1 })], 0],
    ['each of another member', [by(0, 3), by(1, 2)], 0],
    ['as many suspected as are borne', [by(0, 3), by(1, 3)], 1],
    ['the accused itself', [by(0, 3), by(3, 3)], 0],
    ['another epoch', [by(0, 3), by(1, 3, { epoch: 1 })], 0],
    ['no such member', [by(0, 4), by(1, 4)], 0],
    ['a block to come', [by(0, 3), by(1, 3, { height: HEIGHT + 1 })], 0],
    ['long ago', [by(0, 3), by(1, 3, { height: HEIGHT - STATEMENT_AGE_BLOCKS - 1 })], 0],
    ['a forged signature', [by(0, 3), by(1, 3, { signature: new Uint8Array(64) })], 0],
    ['no statement', [by(0, 3), new Uint8Array([1])], 0],
  ])('%s: not enough', (_name, statements, faults) => {
    expect(enough(statements, faults)).toBe(false);
  });
});

test('a leader that is there changes the mode with a block, and no term ends', () => {
  const absent = { liars: [3], liar: 'silent', silence: 1, events: 4_000, load: 5 } as const;
  const simulation = new Simulation(optionsOf(1, { ...QUIET, ...absent }));
  expect(simulation.run().failure).toBeNull();
  expect(simulation.invariants.ordered).toBe(1);
  expect(simulation.nodes[0]!.chain.map(({ block }) => block.header.term)).not.toContain(1);
  expect(simulation.nodes[0]!.chain.at(-1)!.block.header).toMatchObject({ epoch: 1, mode: 'bft' });
});
