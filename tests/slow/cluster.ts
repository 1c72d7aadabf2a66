// The long loop of a cluster: nodes killed, stopped and started at random under load. Shell; run by .ci/run.
//
//     node tests/slow/cluster.ts [--nodes 4] [--consensus adaptive] [--minutes 3] [--clients 8] [--seed n]
//
// After each round all nodes must have the same chain, and hold what was acknowledged once and what was refused not
// at all; at the end every directory verifies. Prints its seed and its progress; ends with 1 and the first faults.

import { parseArgs } from 'node:util';
import { ClusterProcess } from '../end-to-end/cluster-process.ts';
import { CrashWorkload, seeded } from '../end-to-end/crash-workload.ts';
import type { NodeProcess } from '../end-to-end/process.ts';

const { values: flags } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    consensus: { type: 'string', default: 'adaptive' },
    minutes: { type: 'string', default: '3' },
    clients: { type: 'string', default: '8' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

type Consensus = 'raft' | 'bft' | 'adaptive';
interface Disturbance {
  readonly name: string;
  /** Does something to some nodes. @returns what undoes it */
  readonly run: (nodes: readonly NodeProcess[]) => Promise<() => Promise<void>>;
}

const random = seeded(Number(flags.seed));

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function some(nodes: readonly NodeProcess[], count: number): NodeProcess[] {
  const left = [...nodes];
  return Array.from(
    { length: count },
    () => left.splice(Math.floor(random() * left.length), 1)[0]!,
  );
}

async function kill(victims: readonly NodeProcess[]): Promise<() => Promise<void>> {
  await Promise.all(victims.map((node) => node.kill()));
  return async () => {
    await Promise.all(victims.map((node) => node.start()));
  };
}

const DISTURBANCES: readonly Disturbance[] = [
  { name: 'one killed', run: (nodes) => kill(some(nodes, 1)) },
  { name: 'two killed at once', run: (nodes) => kill(some(nodes, 2)) },
  { name: 'all killed at once', run: (nodes) => kill(nodes) },
  {
    name: 'one halted for a while',
    run: async (nodes) => {
      const [victim] = some(nodes, 1);
      process.kill(victim!.pid!, 'SIGSTOP');
      await pause(1_000 + random() * 4_000);
      process.kill(victim!.pid!, 'SIGCONT');
      return async () => undefined;
    },
  },
  {
    name: 'one stopped and started',
    run: async (nodes) => {
      const [victim] = some(nodes, 1);
      await victim!.stop();
      return () => victim!.start();
    },
  },
];

async function round(cluster: ClusterProcess, workload: CrashWorkload): Promise<string[]> {
  const { name, run } = DISTURBANCES[Math.floor(random() * DISTURBANCES.length)]!;
  let undo = async (): Promise<void> => undefined;
  await workload.loadWhile(Number(flags.clients), async () => {
    await pause(random() ** 2 * 1_500);
    undo = await run(cluster.nodes);
    // The others may go on, under another leader.
    await pause(random() * 2_000);
    await undo();
    undo = async () => undefined;
    await pause(random() * 1_000);
  });
  await undo();
  await cluster.agreed();
  const faults: string[] = [];
  for (const [i, url] of (await cluster.urls()).entries()) {
    faults.push(...(await workload.check(url)).map((fault) => `node ${i + 1}: ${fault}`));
  }
  return faults.map((fault) => `${name}: ${fault}`);
}

async function verified({ nodes }: ClusterProcess): Promise<string[]> {
  const faults: string[] = [];
  for (const [i, node] of nodes.entries()) {
    const code = await node.stop();
    if (code !== 0) faults.push(`node ${i + 1} ended with ${code}:\n${node.output}`);
  }
  for (const [i, node] of nodes.entries()) {
    const { code, stdout, stderr } = await node.verify();
    if (code !== 0) faults.push(`node ${i + 1}: verify: ${stdout}${stderr}`);
  }
  return faults;
}

async function main(): Promise<number> {
  const { nodes, consensus, minutes, clients, seed } = flags;
  console.log(`cluster loop: ${nodes} nodes, ${consensus}, ${clients} clients, seed ${seed}`);
  await using cluster = await ClusterProcess.start(Number(nodes), consensus as Consensus);
  const workload = new CrashWorkload(() => cluster.urls(), random);
  await workload.prepare();
  await cluster.agreed();
  const end = Date.now() + Number(minutes) * 60_000;
  let rounds = 0;
  while (Date.now() < end) {
    const faults = await round(cluster, workload).catch((error: unknown) => [String(error)]);
    rounds += 1;
    const { acknowledged, refused, unknown } = workload.counts;
    console.log(
      `round ${rounds}: ${acknowledged} acknowledged and there, ${refused} refused and absent, ${unknown} unknown`,
    );
    if (faults.length === 0) continue;
    console.error(`${faults.slice(0, 20).join('\n')}\n${cluster.output}`);
    return 1;
  }
  const faults = await verified(cluster);
  if (faults.length > 0) {
    console.error(faults.join('\n'));
    return 1;
  }
  console.log(`${rounds} rounds survived; every directory is sound`);
  return 0;
}

process.exitCode = await main();
