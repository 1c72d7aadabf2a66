// The node against PostgreSQL 15, alternating in one run, by pgbench. Shell.
//
//     node benchmarks/pgbench.ts [--alternations 5] [--seconds 10] [--scale 10] [--copy-rows 1000000]
//                                [--only text] [--short] [--json file]
//
// Prints medians, spread and ratios as a Markdown table, then verifies the ledger that the run has made.
// Ends with 1 when a transaction failed or the ledger does not verify; --short, for CI, looks only for that.

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { PROJECT } from '../tests/end-to-end/process.ts';
import { MeasuredNode, PrivatePostgres, type Measured } from './servers.ts';
import { initialise, prepare, type Size, type Workload } from './workloads.ts';

const { values: flags } = parseArgs({
  options: {
    alternations: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '10' },
    scale: { type: 'string', default: '10' },
    'copy-rows': { type: 'string', default: '1000000' },
    only: { type: 'string', default: '' },
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

const SHORT: Size = { seconds: 2, scale: 1, copyRows: 20_000 };
const size: Size = flags.short
  ? SHORT
  : {
      seconds: Number(flags.seconds),
      scale: Number(flags.scale),
      copyRows: Number(flags['copy-rows']),
    };
const alternations = flags.short ? 1 : Number(flags.alternations);

interface Result {
  readonly workload: string;
  readonly unit: string;
  readonly floor: number | undefined;
  /** One rate an alternation. */
  readonly trustsql: readonly number[];
  readonly postgres: readonly number[];
}

async function measure(workload: Workload, node: Measured, postgres: Measured): Promise<Result> {
  const rates = new Map<Measured, number[]>([
    [node, []],
    [postgres, []],
  ]);
  for (let round = 0; round < alternations; round += 1) {
    // Whoever goes second may find a warmer or a hotter machine: they take turns.
    const order = round % 2 === 0 ? [node, postgres] : [postgres, node];
    for (const server of order) rates.get(server)?.push(await workload.run(server));
  }
  const { name, unit, floor } = workload;
  const [trustsql, reference] = [rates.get(node) ?? [], rates.get(postgres) ?? []];
  return { workload: name, unit, floor, trustsql, postgres: reference };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return ((low ?? 0) + (high ?? 0)) / 2;
}

function figures(values: readonly number[]): string {
  const text = (value: number): string => Math.round(value).toLocaleString('en');
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}

function row({ workload, unit, floor, trustsql, postgres }: Result): string {
  const ratio = median(trustsql) / median(postgres);
  const asked =
    floor === undefined ? '' : `${floor.toFixed(1)} ${ratio < floor ? 'missed' : 'met'}`;
  const cells = [workload, unit, figures(trustsql), figures(postgres), ratio.toFixed(2), asked];
  return `| ${cells.join(' | ')} |`;
}

function machine(): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: PROJECT });
  const cpu = `${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown processor'}`;
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, commit ${String(commit).trim()}, ${cpu}, Node ${process.versions.node}`;
}

async function verify(node: MeasuredNode): Promise<boolean> {
  await node.node.stop();
  const began = performance.now();
  const { code, stdout, stderr } = await node.node.verify();
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`\nLedger verified in ${seconds} s: ${code === 0 ? 'sound' : `${stdout}${stderr}`}`);
  return code === 0;
}

async function main(): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-bench-'));
  try {
    await using node = await MeasuredNode.start();
    await using postgres = await PrivatePostgres.start();
    const servers = [node, postgres] as const;
    console.log(`${machine()}\n`);
    console.log(
      `Medians of ${alternations} (least–most), ${size.seconds} s each; scale ${size.scale}.\n`,
    );
    for (const server of servers) {
      const seconds = await initialise(server, size.scale);
      console.log(`pgbench -i -s ${size.scale}, ${server.name}: ${seconds.toFixed(1)} s\n`);
    }
    const workloads = await prepare(servers, directory, size);
    console.log('| workload | unit | TrustSQL | PostgreSQL 15 | ratio | floor |');
    console.log('| --- | --- | --- | --- | --- | --- |');
    const results: Result[] = [];
    for (const workload of workloads.filter(({ name }) => name.includes(flags.only))) {
      const result = await measure(workload, node, postgres);
      results.push(result);
      console.log(row(result));
    }
    if (flags.json !== undefined) {
      await writeFile(flags.json, `${JSON.stringify({ machine: machine(), size, results })}\n`);
    }
    return (await verify(node)) ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main();
