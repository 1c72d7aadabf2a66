// Runs schedules: `--minutes`, `--seed`, `--runs`, `--n`. Prints every seed that fails. Shell.

import { parseArgs } from 'node:util';
import { optionsOf } from './options.ts';
import type { Options } from './options.ts';
import { Simulation } from './simulation.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    first: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1000000000' },
    options: { type: 'string', default: '{}' },
    failures: { type: 'string', default: '5' },
  },
});

const changes = JSON.parse(values.options) as Partial<Options>;
const end = performance.now() + Number(values.minutes) * 60_000;
const seeds = values.seed === undefined ? null : Number(values.seed);
let [runs, events, failures, heights, terms, epochs] = [0, 0, 0, 0, 0, 0];
const began = performance.now();
for (
  let seed = seeds ?? Number(values.first);
  runs < Number(values.runs) && performance.now() < end && failures < Number(values.failures);
  seed++
) {
  const options = optionsOf(seed, changes);
  const outcome = new Simulation(options).run();
  runs += 1;
  events += outcome.events;
  heights += outcome.height;
  terms += outcome.terms;
  epochs += outcome.epochs;
  if (outcome.failure !== null) {
    failures += 1;
    console.log(JSON.stringify(options));
    console.log(`seed ${seed}: after ${outcome.events} events: ${outcome.failure}`);
  }
  if (seeds !== null) break;
}
const minutes = (performance.now() - began) / 60_000;
const per = (total: number) => (total / runs).toFixed(1);
console.log(
  `${runs} schedules, ${events} events, ${failures} failures; ${Math.round(runs / minutes)} a minute; ` +
    `of each ${per(events)} events, ${per(heights)} blocks, ${per(terms)} terms, ${per(epochs)} epochs`,
);
process.exitCode = failures > 0 ? 1 : 0;
