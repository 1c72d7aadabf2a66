// Messages as they were sent in schedules with changes of term and mode, liars and catch-up. Pure.

import { decodeMessage } from '../../consensus/core/codec.ts';
import { optionsOf } from './options.ts';
import { Simulation } from './simulation.ts';

/** Messages of one kind that are kept. */
const KEPT_MAX = 12;

/** Some of each kind that was sent. */
export function messagesOfSchedules(): Map<string, Uint8Array[]> {
  const found = new Map<string, Uint8Array[]>();
  for (const seed of [2, 3, 4, 6]) {
    const options = optionsOf(seed, {
      n: 4,
      complaints: 0.5,
      crashRate: 0.004,
      policy: 'adaptive',
    });
    const simulation = new Simulation(options);
    const { transmit } = simulation;
    simulation.transmit = (from, to, bytes) => {
      const kind = `${decodeMessage(bytes).kind}`;
      const known = found.get(kind) ?? [];
      if (known.length < KEPT_MAX) found.set(kind, [...known, bytes]);
      transmit.call(simulation, from, to, bytes);
    };
    simulation.run();
  }
  return found;
}
