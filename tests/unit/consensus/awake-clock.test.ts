// A late tick is one tick: what a node slept through nobody was silent in.

import { describe, expect, test } from '@jest/globals';
import { AwakeClock } from '../../../consensus/awake-clock.ts';
import { decodeMessage, encodeMessage } from '../../../consensus/core/codec.ts';
import { optionsOf } from '../../simulation/options.ts';
import { Simulation } from '../../simulation/simulation.ts';

test('goes with the clock while ticks come in time', () => {
  const clock = new AwakeClock();
  expect([1_000, 1_020, 1_041, 1_081].map((nowMs) => clock.tick(nowMs))).toEqual([0, 20, 41, 81]);
});

test('counts a late tick once, and goes on from there', () => {
  const clock = new AwakeClock();
  clock.tick(0);
  const late = clock.tick(20 + 10_000) - 20;
  expect(late).toBeLessThan(50);
  expect(clock.tick(20 + 10_020)).toBe(20 + late + 20);
});

describe('a member that hears its leader and was away itself for a second', () => {
  const quiet = { n: 4, liars: [], liar: 'none', forgetful: [], policy: 'raft' } as const;
  const { nodes } = new Simulation(optionsOf(1, quiet));
  const [leader, member] = nodes;
  const status = { kind: 'status', epoch: 0, term: 0, height: 0, highest: null } as const;

  /** @returns whether it wishes for another term at the tick after that second */
  function suspects(clockMs: (nowMs: number) => number): boolean {
    member!.start();
    const replica = member!.replica!;
    for (let nowMs = 0; nowMs < 2_000; nowMs += 20) {
      replica.step({ kind: 'tick', nowMs: clockMs(nowMs) });
      replica.step({ kind: 'receive', from: leader!.key, bytes: encodeMessage(status) });
    }
    const effects = replica.step({ kind: 'tick', nowMs: clockMs(3_000) });
    return effects.some(
      (effect) => effect.kind === 'send' && decodeMessage(effect.bytes).kind === 'wish',
    );
  }

  test('does not suspect it', () => {
    const clock = new AwakeClock();
    expect(suspects((nowMs) => clock.tick(nowMs))).toBe(false);
  });

  test('would by the clock of the machine', () => {
    expect(suspects((nowMs) => nowMs)).toBe(true);
  });
});
