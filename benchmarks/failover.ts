// How long the others wait when a leader dies, and when one is found to lie. Shell.
//
//     node benchmarks/failover.ts [--nodes 4] [--rounds 5] [--only raft]
//
// One client at each node inserts rows one after the other. The pause is the longest time, from the fault on, in which
// no node acknowledged anything. `--only` takes the faults whose name contains that text. Prints a Markdown table; ends with
// 1 when a row is missing afterwards.

import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { ClusterProcess, query } from '../tests/end-to-end/cluster-process.ts';
import type { NodeProcess } from '../tests/end-to-end/process.ts';

const { values: flags } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});
/** Of load before a fault and after it, in ms. */
const BEFORE_MS = 2_000;
const AFTER_MS = 6_000;
/** Between two tries of a client whose statement was refused, in ms. */
const RETRY_MS = 5;
const LIAR = pathToFileURL(path.join(import.meta.dirname, '../tests/end-to-end/liar.ts')).href;

/** Clients that insert until they are stopped. */
class Load {
  /** When a row was acknowledged, in ms of performance.now(). */
  readonly acknowledged: number[] = [];
  #stopped = false;
  readonly #clients: Promise<void>[];

  constructor(nodes: readonly NodeProcess[]) {
    this.#clients = nodes.map((node) => this.#insert(node));
  }

  async #insert(node: NodeProcess): Promise<void> {
    const client = new pg.Client({ connectionString: await node.clearUrl() });
    let gone = false;
    client.on('error', () => (gone = true));
    await client.connect();
    while (!this.#stopped && !gone) {
      try {
        await client.query('INSERT INTO entry (note) VALUES ($1)', ['a note']);
        this.acknowledged.push(performance.now());
      } catch {
        await delay(RETRY_MS);
      }
    }
    await client.end().catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  /** The longest time without an acknowledgement that ended after `from`. */
  pauseAfter(from: number): number {
    const times = [from, ...this.acknowledged.filter((at) => at > from)];
    return Math.max(...times.slice(1).map((at, i) => at - times[i]!));
  }
}

/** @returns the pause in ms, and the rows acknowledged */
async function disturbed(
  nodes: readonly NodeProcess[],
  fault: () => Promise<unknown>,
): Promise<{ readonly pauseMs: number; readonly rows: number }> {
  const load = new Load(nodes);
  await delay(BEFORE_MS);
  const from = performance.now();
  await fault();
  await delay(AFTER_MS);
  await load.stop();
  return { pauseMs: load.pauseAfter(from), rows: load.acknowledged.length };
}

async function leaderOf({ nodes }: ClusterProcess): Promise<number> {
  const text = `SELECT n.member FROM ledger.consensus c JOIN ledger.nodes n ON n.public_key = c.leader`;
  return Number((await query(nodes[0]!, text))[0]!['member']);
}

async function check(nodes: readonly NodeProcess[], rows: number): Promise<void> {
  for (const node of nodes) {
    const [found] = await query(node, 'SELECT count(*)::int AS n FROM entry');
    // Of a statement whose answer was lost nobody knows.
    if (Number(found!['n']) < rows)
      throw new Error(`${rows} acknowledged, ${JSON.stringify(found)}`);
  }
}

async function killedLeaders(mode: 'raft' | 'bft'): Promise<number[]> {
  await using cluster = await ClusterProcess.start(Number(flags.nodes), mode);
  const { nodes } = cluster;
  await query(nodes[0]!, 'CREATE TABLE entry (id bigserial PRIMARY KEY, note text)');
  await cluster.agreed();
  const pauses: number[] = [];
  let rows = 0;
  for (let round = 0; round < Number(flags.rounds); round += 1) {
    const leader = nodes[await leaderOf(cluster)]!;
    const result = await disturbed(nodes, () => leader.kill());
    rows += result.rows;
    pauses.push(result.pauseMs);
    await leader.start();
    await cluster.agreed();
    await check(nodes, rows);
  }
  return pauses;
}

/** Of a new cluster each time: who has lied leads no more. */
async function lyingLeaders(): Promise<number[]> {
  const pauses: number[] = [];
  for (let round = 0; round < Number(flags.rounds); round += 1) {
    await using cluster = await ClusterProcess.found(Number(flags.nodes), 'adaptive');
    const { nodes } = cluster;
    const lie = path.join(cluster.directory, 'lie');
    const liar = `${LIAR}?how=siblings&file=${encodeURIComponent(lie)}`;
    for (const node of nodes) node.nodeFlags = [...node.nodeFlags, '--import', liar];
    await cluster.startAll();
    await query(nodes[0]!, 'CREATE TABLE entry (id bigserial PRIMARY KEY, note text)');
    await cluster.agreed();
    const leader = await leaderOf(cluster);
    const others = nodes.filter((_, index) => index !== leader);
    const { pauseMs, rows } = await disturbed(nodes, () => writeFile(lie, String(leader)));
    const [{ mode } = {}] = await query(others[0]!, 'SELECT mode FROM ledger.consensus');
    if (mode !== 'bft') throw new Error('the liar was not found out');
    await cluster.agreed(others);
    await check(others, rows);
    pauses.push(pauseMs);
  }
  return pauses;
}

function print(fault: string, pauses: readonly number[]): void {
  const sorted = pauses.toSorted((a, b) => a - b);
  const cells = [sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!].map((ms) => ms.toFixed(0));
  console.log(`| ${[fault, ...cells].join(' | ')} |`);
}

console.log(`${availableParallelism()} × ${cpus()[0]?.model}, ${flags.nodes} nodes\n`);
console.log('| Fault | median pause, ms | longest, ms |\n| --- | --- | --- |');
const FAULTS: Readonly<Record<string, () => Promise<number[]>>> = {
  'leader killed, raft mode': () => killedLeaders('raft'),
  'leader killed, bft mode': () => killedLeaders('bft'),
  'leader signs two blocks at one height': lyingLeaders,
};
for (const [fault, pauses] of Object.entries(FAULTS)) {
  if (fault.includes(flags.only)) print(fault, await pauses());
}
