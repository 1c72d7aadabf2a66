// Four nodes of one ledger against one PostgreSQL 15, and against it with a synchronous standby. Shell.
//
//     node benchmarks/cluster.ts [--nodes 4] [--seconds 10] [--clients 64] [--alternations 3] [--roles n] [--short]
//
// With --roles the clients log in as so many roles, each hosted at one of the nodes, and not as the node's own: each role
// signs a bundle of its own.
//
// Single-row INSERTs of pgbench, its clients spread over the nodes; everything runs on this machine. Prints medians as
// a Markdown table; ends with 1 when a transaction failed or the nodes do not hold the same ledger.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ClusterProcess } from '../tests/end-to-end/cluster-process.ts';
import { run } from '../tests/end-to-end/process.ts';
import { PrivatePostgres } from './servers.ts';
import { INSERT_SCRIPT, TABLES } from './workloads.ts';

const { values: flags } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '10' },
    clients: { type: 'string', default: '64' },
    alternations: { type: 'string', default: '3' },
    roles: { type: 'string', default: '0' },
    short: { type: 'boolean', default: false },
  },
});
const seconds = flags.short ? 2 : Number(flags.seconds);
const alternations = flags.short ? 1 : Number(flags.alternations);
/** Rows of one statement where many are inserted. */
const BATCH_ROWS = 100;

interface Target {
  readonly name: string;
  readonly urls: readonly string[];
}

interface Round {
  readonly rate: number;
  /** In ms, of all transactions. */
  readonly latencies: readonly number[];
}

interface Script {
  readonly name: string;
  readonly file: string;
  readonly rows: number;
}

/** One pgbench for each url, at the same time. @throws Error when a transaction failed */
async function load(target: Target, script: Script, directory: string): Promise<Round> {
  const clients = Math.ceil(Number(flags.clients) / target.urls.length);
  const rounds = await Promise.all(
    target.urls.map(async (url, i) => {
      const log = path.join(directory, `log-${i}`);
      const { code, stdout, stderr } = await run('pgbench', [
        ...['-n', '-M', 'prepared', '-T', String(seconds), '-c', String(clients), '-j', '1'],
        ...['-f', script.file, '-l', '--log-prefix', log, url],
      ]);
      const rate = /^tps = ([\d.]+)/m.exec(stdout)?.[1];
      const failed = /failed transactions: (\d+)/.exec(stdout)?.[1] ?? '0';
      if (code !== 0 || rate === undefined || failed !== '0') throw new Error(stdout + stderr);
      return { rate: Number(rate), latencies: await latenciesOf(directory, `log-${i}.`) };
    }),
  );
  return {
    rate: script.rows * rounds.reduce((sum, round) => sum + round.rate, 0),
    latencies: rounds.flatMap(({ latencies }) => latencies),
  };
}

/** Of a log of pgbench, whose third column is microseconds. */
async function latenciesOf(directory: string, prefix: string): Promise<number[]> {
  const files = (await readdir(directory)).filter((file) => file.startsWith(prefix));
  const latencies: number[] = [];
  for (const file of files) {
    const text = await readFile(path.join(directory, file), 'utf8');
    for (const line of text.split('\n')) {
      const micros = line.split(' ')[2];
      if (micros !== undefined) latencies.push(Number(micros) / 1000);
    }
    await rm(path.join(directory, file));
  }
  return latencies;
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

async function measure(targets: readonly Target[], script: Script, directory: string) {
  const rounds = new Map<Target, Round[]>(targets.map((target) => [target, []]));
  for (let round = 0; round < alternations; round += 1) {
    for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
      rounds.get(target)!.push(await load(target, script, directory));
    }
  }
  for (const target of targets) {
    const rates = rounds.get(target)!.map(({ rate }) => rate);
    const latencies = rounds.get(target)!.flatMap((each) => each.latencies);
    const cells = [
      ...[script.name, target.name, Math.round(quantile(rates, 0.5)).toLocaleString('en')],
      ...[quantile(latencies, 0.5).toFixed(1), quantile(latencies, 0.99).toFixed(1)],
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

/** The cluster with the tables that are written to. */
async function clusterTarget(cluster: ClusterProcess, mode: string): Promise<Target> {
  const urls = (await cluster.urls()).map((url) => `${url}?sslmode=disable`);
  const roles = Number(flags.roles);
  const name = `${urls.length} nodes, ${mode} mode${roles > 0 ? `, ${roles} roles` : ''}`;
  await psql(urls[0]!, TABLES);
  await cluster.agreed();
  if (roles === 0) return { name, urls };
  const made: string[] = [];
  for (let i = 0; i < roles; i += 1) {
    const url = new URL(urls[i % urls.length]!);
    const [role, password] = [`writer${i}`, `of writer ${i}`];
    await psql(
      url.href,
      `CREATE ROLE ${role} LOGIN PASSWORD '${password}'; GRANT INSERT ON entry TO ${role};`,
    );
    [url.username, url.password] = [role, password];
    made.push(url.href);
  }
  await cluster.agreed();
  return { name, urls: made };
}

async function psql(url: string, text: string): Promise<void> {
  const { code, stderr } = await run('psql', ['-q', '-v', 'ON_ERROR_STOP=1', url], { input: text });
  if (code !== 0) throw new Error(stderr);
}

async function main(): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-bench-'));
  const insert = path.join(directory, 'insert.sql');
  const batch = path.join(directory, 'insert-100.sql');
  await writeFile(insert, INSERT_SCRIPT);
  const values = Array.from({ length: BATCH_ROWS }, (_, i) => `(${i}, 12.34, 'a note')`).join(', ');
  await writeFile(batch, `INSERT INTO entry (account, amount, note) VALUES ${values};\n`);
  const scripts: Script[] = [
    { name: 'INSERT (transactions/s)', file: insert, rows: 1 },
    { name: `INSERT of ${BATCH_ROWS} rows (rows/s)`, file: batch, rows: BATCH_ROWS },
  ];
  try {
    console.log(`${availableParallelism()} × ${cpus()[0]?.model}, ${flags.clients} clients\n`);
    console.log('| Workload | Server | median | p50 ms | p99 ms |\n|---|---|---|---|---|');
    for (const mode of ['raft', 'bft'] as const) {
      // The node's limit of clients is for each node.
      await using cluster = await ClusterProcess.start(Number(flags.nodes), mode);
      await using alone = await PrivatePostgres.start();
      await using replicated = await PrivatePostgres.start({ standby: true });
      const nodes = await clusterTarget(cluster, mode);
      const targets: Target[] = [
        nodes,
        { name: 'PostgreSQL 15', urls: [alone.url] },
        { name: 'PostgreSQL 15 with a synchronous standby', urls: [replicated.url] },
      ];
      for (const { urls } of targets.slice(1)) await psql(urls[0]!, TABLES);
      for (const script of scripts) await measure(targets, script, directory);
      await cluster.agreed();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

await main();
