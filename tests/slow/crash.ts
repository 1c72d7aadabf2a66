// The long crash loop: 200 times kill -9 at a random moment under load. Shell; run by .ci/run.
//
//     node tests/slow/crash.ts [--kills 200] [--ledgers 2] [--clients 8] [--minutes 40] [--seed n]
//
// Prints its seed and its progress; ends with 1 and the first faults when anything is not as it must be.

import { parseArgs } from 'node:util';
import { CrashWorkload, killAfter, seeded } from '../end-to-end/crash-workload.ts';
import { NodeProcess } from '../end-to-end/process.ts';

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    ledgers: { type: 'string', default: '2' },
    clients: { type: 'string', default: '8' },
    minutes: { type: 'string', default: '40' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
/** Every so many kills, the node rests and the whole ledger is verified. */
const VERIFY_EVERY = 25;

async function verify(node: NodeProcess): Promise<string[]> {
  await node.stop();
  const { code, stdout } = await node.verify();
  await node.start();
  return code === 0 ? [] : [`verify: ${stdout}`];
}

/** Kills the node of one ledger again and again. @returns faults; none, and it has survived */
async function crashLoop(name: string, kills: number, seed: number): Promise<string[]> {
  const random = seeded(seed);
  const started = Date.now();
  await using node = await NodeProcess.start();
  const workload = new CrashWorkload(async () => [await node.clearUrl()], random);
  await workload.prepare();
  for (let kill = 1; kill <= kills; kill += 1) {
    const minutes = (Date.now() - started) / 60_000;
    if (minutes > Number(flags.minutes)) {
      return [`only ${kill - 1} of ${kills} kills in ${flags.minutes} minutes`];
    }
    // Most kills while the clients write, some while they still connect.
    const early = random() < 0.1;
    await workload.loadWhile(Number(flags.clients), killAfter(node, random() ** 2 * 1000), early);
    await node.start();
    const faults = await workload.check();
    if (kill % VERIFY_EVERY === 0 || kill === kills) faults.push(...(await verify(node)));
    if (faults.length > 0) return [`after kill ${kill}:`, ...faults.slice(0, 20)];
    const { acknowledged, refused, unknown } = workload.counts;
    if (kill % 10 === 0) {
      console.log(
        `${name}: ${kill} kills in ${minutes.toFixed(1)} min: ${acknowledged} acknowledged and there, ` +
          `${refused} refused and absent, ${unknown} unknown`,
      );
    }
  }
  return [];
}

async function main(): Promise<number> {
  const kills = Number(flags.kills);
  const ledgers = Number(flags.ledgers);
  const seed = Number(flags.seed);
  console.log(
    `crash loop: ${kills} kills of ${ledgers} ledgers, ${flags.clients} clients, seed ${seed}`,
  );
  // Beside each other: a node that is started anew waits for much, and keeps no core busy.
  const loops = Array.from({ length: ledgers }, async (_, i) => {
    const share = Math.floor((kills + i) / ledgers);
    const faults = await crashLoop(`ledger ${i + 1}`, share, seed + i);
    if (faults.length > 0) console.error(`ledger ${i + 1}, ${faults.join('\n')}`);
    return faults.length === 0;
  });
  if ((await Promise.all(loops)).includes(false)) return 1;
  console.log(`${kills} kills survived`);
  return 0;
}

process.exitCode = await main();
