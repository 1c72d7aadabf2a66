// Random schedules of the consensus core, for as long as there is time. Shell.
//
//   node tests/slow/consensus.ts --minutes 10          from a seed that the clock gives
//   node tests/slow/consensus.ts --seed 4711           one schedule again
//   node tests/slow/consensus.ts --options '{"n":7}'   schedules of one sort
//
// Prints the options of every schedule that fails, shrunk; a line of tests/simulation/seeds.json keeps it.

import { parseArgs } from 'node:util';
import type { Options } from '../simulation/options.ts';
import { optionsOf } from '../simulation/options.ts';
import { shrink } from '../simulation/shrink.ts';
import { Simulation } from '../simulation/simulation.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    first: { type: 'string', default: String(Date.now()) },
    runs: { type: 'string', default: 'Infinity' },
    options: { type: 'string', default: '{}' },
    failures: { type: 'string', default: '1' },
    shrink: { type: 'boolean', default: true },
  },
  allowNegative: true,
});

const changes = JSON.parse(values.options) as Partial<Options>;
const first = Number(values.seed ?? values.first);
const runsMax = values.seed === undefined ? Number(values.runs) : 1;
const end = performance.now() + Number(values.minutes) * 60_000;
const totals = { runs: 0, events: 0, failures: 0, blocks: 0, terms: 0, epochs: 0 };

while (
  totals.runs < runsMax &&
  performance.now() < end &&
  totals.failures < Number(values.failures)
) {
  const options = optionsOf(first + totals.runs, changes);
  const { events, height, terms, epochs, failure } = new Simulation(options).run();
  totals.runs += 1;
  totals.events += events;
  totals.blocks += height;
  totals.terms += terms;
  totals.epochs += epochs;
  if (failure === null) continue;
  totals.failures += 1;
  console.log(`seed ${options.seed}, after ${events} events: ${failure}`);
  console.log(JSON.stringify(values.shrink ? shrink(options, failure) : options));
}

const { user, system } = process.cpuUsage();
const minutes = (user + system) / 60e6;
const each = (total: number): string => (total / totals.runs).toFixed(1);
console.log(
  `${totals.runs} schedules, ${totals.events} events, ${totals.failures} failures, ` +
    `${Math.round(totals.runs / minutes)} a minute of processor time; each with ${each(totals.events)} events, ` +
    `${each(totals.blocks)} blocks, ${each(totals.terms)} terms, ${each(totals.epochs)} epochs`,
);
process.exitCode = totals.failures > 0 ? 1 : 0;
