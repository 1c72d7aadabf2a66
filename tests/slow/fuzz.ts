// Mutated inputs for every decoder, for as long as there is time. Shell; run by .ci/run.
//
//     node tests/slow/fuzz.ts [--minutes 1] [--seed n] [--target 'COPY csv'] [--round n]
//
// Takes the targets in turn, a round of inputs each. Ends with 1 when a decoder throws what is no refusal, when one input
// keeps it busy for half a minute, or when the process has ever held more than a gibibyte; the input is printed, and so is
// the command that comes to it again.

import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { hex } from '../../ledger/bytes.ts';
import { fuzz } from '../fuzz/fuzz.ts';
import { targets } from '../fuzz/targets.ts';

const ROUND_INPUTS = 2_000;
const STUCK_MS = 30_000;
const RESIDENT_KIB_MAX = 1_048_576;
const SHOWN_BYTES_MAX = 2_000;

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    target: { type: 'string' },
    round: { type: 'string' },
  },
});

/** Target, round and input at work, for whoever watches. */
const place = new Int32Array(
  isMainThread ? new SharedArrayBuffer(12) : (workerData as SharedArrayBuffer),
);
const all = isMainThread ? targets().filter(({ name }) => (flags.target ?? name) === name) : [];

/** In a thread of its own: the other one may be stuck. */
function watch(): void {
  let seen = '';
  setInterval(() => {
    const now = place.join();
    if (now === seen) {
      // Not the console, which writes by way of the thread that is stuck.
      const where = `target, round and input ${now}, seed ${flags.seed}`;
      writeSync(2, `stuck for ${STUCK_MS / 1_000} s: ${where}\n`);
      // The end of this thread would not end the other one.
      process.kill(process.pid, 'SIGTERM');
    }
    seen = now;
  }, STUCK_MS);
}

function report(name: string, round: number, input: Uint8Array, error: unknown): void {
  console.error(`${name}: ${Error.isError(error) ? error.stack : String(error)}`);
  console.error(`input of ${input.length} bytes: ${hex(input.subarray(0, SHOWN_BYTES_MAX))}`);
  console.error(`node tests/slow/fuzz.ts --seed ${flags.seed} --target '${name}' --round ${round}`);
}

function main(): number {
  const end = performance.now() + Number(flags.minutes) * 60_000;
  const first = Number(flags.round ?? 0);
  let inputs = 0;
  let taken = 0;
  let faults = 0;
  for (let round = first; performance.now() < end; round++) {
    for (const [index, target] of all.entries()) {
      place.set([index, round, 0]);
      const seed = Number(flags.seed) + round * 1_000_003;
      const found = fuzz(target, seed, ROUND_INPUTS, (at) => void (place[2] = at));
      inputs += ROUND_INPUTS;
      taken += found.taken;
      if (found.fault === null) continue;
      faults += 1;
      report(target.name, round, found.fault.input, found.fault.error);
    }
    if (faults > 0 || flags.round !== undefined) break;
  }
  const resident = process.resourceUsage().maxRSS;
  console.log(
    `${inputs} inputs to ${all.length} decoders, seed ${flags.seed}: ${taken} taken, ${faults} faults, ` +
      `at most ${Math.round(resident / 1024)} MiB resident`,
  );
  return faults > 0 || resident > RESIDENT_KIB_MAX ? 1 : 0;
}

if (isMainThread) {
  const watcher = new Worker(new URL(import.meta.url), {
    workerData: place.buffer,
    argv: process.argv.slice(2),
  });
  watcher.unref();
  process.exitCode = main();
} else {
  watch();
}
