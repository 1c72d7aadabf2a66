// The long loop of a cluster: nodes killed, stopped and cut off from each other in random order under load. Shell; run by .ci/run.
//
//     node tests/slow/cluster.ts [--nodes 4] [--consensus adaptive] [--minutes 3] [--clients 8] [--seed n]
//
// After each round all nodes must have the same chain, and hold what was acknowledged once and what was refused not
// at all, and one order must explain what every client has read meanwhile (tests/consistency); at the end every
// directory verifies. Prints its seed and its progress; ends with 1 and the first faults.

import { parseArgs } from 'node:util';
import { AppendWorkload } from '../consistency/append-workload.ts';
import { ClusterProcess } from '../end-to-end/cluster-process.ts';
import { CrashWorkload, seeded } from '../end-to-end/crash-workload.ts';
import type { PeerLinks } from '../end-to-end/peer-links.ts';
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
  /** Does something to some nodes, or to what is between them. @returns what undoes it */
  readonly run: (nodes: readonly NodeProcess[], links: PeerLinks) => Promise<() => Promise<void>>;
}

/** At each node, to append to lists and to read them: one linearizable, one not. `--clients` are spread over all nodes. */
const LIST_CLIENTS = 2;
/** Of one direction between two nodes that are far from each other. */
const FAR_MS_MIN = 50;
const FAR_MS_MAX = 200;

const random = seeded(Number(flags.seed));

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function some<T>(all: readonly T[], count: number): T[] {
  const left = [...all];
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

/** Something between the nodes, for long enough that another leader is there. */
function between(
  name: string,
  run: (links: PeerLinks, all: readonly number[]) => void,
): Disturbance {
  return {
    name,
    run: async (nodes, links) => {
      run(links, [...nodes.keys()]);
      await pause(1_000 + random() * 4_000);
      return async () => links.mend();
    },
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
  between('one cut off', (links, all) => links.split(some(all, 1))),
  between('half cut off', (links, all) => links.split(some(all, Math.floor(all.length / 2)))),
  between('one heard by nobody', (links, all) => {
    const silent = some(all, 1);
    links.cut(silent, others(all, silent));
  }),
  between('one that hears nobody', (links, all) => {
    const deaf = some(all, 1);
    links.cut(others(all, deaf), deaf);
  }),
  between('all far from each other', (links, all) => {
    links.delay(all, all, () => FAR_MS_MIN + random() * (FAR_MS_MAX - FAR_MS_MIN));
  }),
];

function others(all: readonly number[], without: readonly number[]): number[] {
  return all.filter((node) => !without.includes(node));
}

/** All of them once in random order, then again. */
function* shuffled(): Generator<Disturbance, never> {
  for (;;) yield* some(DISTURBANCES, DISTURBANCES.length);
}

async function round(
  { run }: Disturbance,
  cluster: ClusterProcess,
  links: PeerLinks,
  workload: CrashWorkload,
  lists: AppendWorkload,
): Promise<string[]> {
  let undo = async (): Promise<void> => undefined;
  const disturb = async (): Promise<void> => {
    await pause(random() ** 2 * 1_500);
    undo = await run(cluster.nodes, links);
    // The others may go on, under another leader.
    await pause(random() * 2_000);
    await undo();
    undo = async () => undefined;
    await pause(random() * 1_000);
  };
  await lists.loadWhile(LIST_CLIENTS, () => workload.loadWhile(Number(flags.clients), disturb));
  await undo();
  await cluster.agreed();
  const faults = await lists.check();
  for (const [i, url] of (await cluster.urls()).entries()) {
    faults.push(...(await workload.check(url)).map((fault) => `node ${i + 1}: ${fault}`));
  }
  return faults;
}

function figures({ counts }: CrashWorkload, lists: AppendWorkload): string {
  const names = `${counts.acknowledged} acknowledged and there, ${counts.refused} refused and absent, ${counts.unknown} unknown`;
  const { appends, reads, unknown } = lists.counts;
  return `${names}; ${appends} appends and ${reads} reads in one order, ${unknown} unknown`;
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
  await using cluster = await ClusterProcess.found(Number(nodes), consensus as Consensus);
  await using links = await cluster.startLinked();
  const workload = new CrashWorkload(() => cluster.urls(), random);
  const lists = new AppendWorkload(() => cluster.urls(), random);
  await workload.prepare();
  await lists.prepare();
  await cluster.agreed();
  const end = Date.now() + Number(minutes) * 60_000;
  let rounds = 0;
  for (const disturbance of shuffled()) {
    if (Date.now() > end) break;
    const found = await round(disturbance, cluster, links, workload, lists).catch(
      (error: unknown) => [String(error)],
    );
    rounds += 1;
    console.log(`round ${rounds}, ${disturbance.name}: ${figures(workload, lists)}`);
    if (found.length === 0) continue;
    console.error(`${found.slice(0, 20).join('\n')}\n${cluster.output}`);
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
