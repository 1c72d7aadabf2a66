// What is measured: pgbench's own scripts, unmodified, and four of ours. Shell.
//
// Each workload runs once on one server and returns a rate; benchmarks/pgbench.ts alternates the servers.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../tests/end-to-end/process.ts';
import type { Measured } from './servers.ts';

/** How long and how large. */
export interface Size {
  readonly seconds: number;
  readonly scale: number;
  readonly copyRows: number;
}

export interface Workload {
  readonly name: string;
  readonly unit: string;
  /** The least ratio to PostgreSQL that is asked for; undefined where none is. */
  readonly floor: number | undefined;
  /** @returns units a second. @throws Error when a statement or a transaction failed */
  readonly run: (server: Measured) => Promise<number>;
}

/** Rows of one multi-row INSERT. */
const BATCH_ROWS = 100;

/** pgbench's threads: as many as help on a small machine. */
const THREADS = 2;

/** Makes the tables and script files of all workloads. `directory` keeps the files. */
export async function prepare(
  servers: readonly Measured[],
  directory: string,
  size: Size,
): Promise<readonly Workload[]> {
  const insert = path.join(directory, 'insert.sql');
  const batch = path.join(directory, 'insert-100.sql');
  const rows = path.join(directory, 'rows.tsv');
  await writeFile(insert, INSERT_SCRIPT);
  await writeFile(batch, batchScript());
  await writeRows(rows, size.copyRows);
  for (const server of servers) await psql(server, TABLES);
  const bench = (server: Measured, ...flags: string[]): Promise<number> =>
    pgbench(server, ['-n', '-T', String(size.seconds), ...flags]);
  const prepared = ['-M', 'prepared'];
  return [
    ...(
      [
        [1, 0.3],
        [16, 0.6],
        [64, 0.8],
      ] as const
    ).map(([clients, floor]) => ({
      name: `INSERT, ${clients} ${clients === 1 ? 'client' : 'clients'}, prepared`,
      unit: 'transactions/s',
      floor,
      run: (server: Measured) => bench(server, ...prepared, ...load(clients), '-f', insert),
    })),
    ...([1, 16] as const).map((clients) => ({
      name: `pgbench -S, ${clients} ${clients === 1 ? 'client' : 'clients'}, prepared`,
      unit: 'transactions/s',
      floor: 0.5,
      run: (server: Measured) => bench(server, '-S', ...prepared, ...load(clients)),
    })),
    ...(['prepared', 'simple'] as const).map((mode) => ({
      name: `pgbench TPC-B, 16 clients, ${mode}`,
      unit: 'transactions/s',
      floor: 0.5,
      run: (server: Measured) => bench(server, '-M', mode, ...load(16)),
    })),
    {
      name: `INSERT of ${BATCH_ROWS} rows, 16 clients, prepared`,
      unit: 'rows/s',
      floor: undefined,
      run: async (server) =>
        BATCH_ROWS * (await bench(server, ...prepared, ...load(16), '-f', batch)),
    },
    {
      name: `COPY of ${size.copyRows.toLocaleString('en')} rows`,
      unit: 'rows/s',
      floor: undefined,
      run: (server) => copyIn(server, rows, size.copyRows),
    },
    {
      name: `COPY of ${size.copyRows.toLocaleString('en')} rows to the client`,
      unit: 'rows/s',
      floor: undefined,
      run: (server) => copyOut(server, size.copyRows),
    },
  ];
}

/** `pgbench -i`, its own way of loading. @returns seconds */
export async function initialise(server: Measured, scale: number): Promise<number> {
  const began = performance.now();
  const { code, stderr } = await run('pgbench', ['-i', '-q', '-s', String(scale), server.url]);
  if (code !== 0) throw new Error(`pgbench -i on ${server.name}: ${stderr}`);
  return (performance.now() - began) / 1000;
}

export const TABLES = `
DROP TABLE IF EXISTS entry, copied;
CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account int NOT NULL, amount numeric(12,2) NOT NULL, note text,
  at timestamptz NOT NULL DEFAULT now());
CREATE INDEX entry_account ON entry (account);
CREATE TABLE copied (id bigint PRIMARY KEY, account int NOT NULL, amount numeric(12,2), note text);
`;

const FILL_COPIED = `
INSERT INTO copied SELECT id, id % 100000, id % 1000 + 0.50, 'a note of some length'
  FROM generate_series(1, :count) AS id WHERE NOT EXISTS (SELECT FROM copied);
`;

export const INSERT_SCRIPT = String.raw`\set account random(1, 100000)
INSERT INTO entry (account, amount, note) VALUES (:account, 12.34, 'a note of some length');
`;

function batchScript(): string {
  const row = `(:account, 12.34, 'a note of some length')`;
  const values = Array.from({ length: BATCH_ROWS }, () => row).join(', ');
  const insert = `INSERT INTO entry (account, amount, note) VALUES ${values};\n`;
  return `${String.raw`\set account random(1, 100000)`}\n${insert}`;
}

async function writeRows(file: string, count: number): Promise<void> {
  const stream = createWriteStream(file);
  for (let id = 1; id <= count; id += 1) {
    const more = stream.write(`${id}\t${id % 100_000}\t${id % 1000}.50\ta note of some length\n`);
    if (!more) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'finish');
}

function load(clients: number): string[] {
  return ['-c', String(clients), '-j', String(Math.min(clients, THREADS))];
}

async function pgbench(server: Measured, flags: readonly string[]): Promise<number> {
  const { code, stdout, stderr } = await run('pgbench', [...flags, server.url]);
  const rate = /tps = ([\d.]+)/.exec(stdout)?.[1];
  const failed = /number of failed transactions: (\d+)/.exec(stdout)?.[1];
  if (code !== 0 || rate === undefined || failed !== '0') {
    throw new Error(`pgbench ${flags.join(' ')} on ${server.name}: ${stderr}${stdout}`);
  }
  return Number(rate);
}

/** Rows a second of one COPY, in one transaction. The table is emptied first, which is not counted. */
async function copyIn(server: Measured, file: string, count: number): Promise<number> {
  await psql(server, 'TRUNCATE copied;');
  const began = performance.now();
  await psql(server, String.raw`\copy copied FROM '${file}'`);
  return count / ((performance.now() - began) / 1000);
}

/** Rows a second of the table `copied`, which is filled first if another workload has not done so. */
async function copyOut(server: Measured, count: number): Promise<number> {
  await psql(server, FILL_COPIED.replace(':count', String(count)));
  const began = performance.now();
  await psql(server, String.raw`\copy copied TO '/dev/null'`);
  return count / ((performance.now() - began) / 1000);
}

async function psql(server: Measured, input: string): Promise<void> {
  const flags = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', server.url];
  const { code, stderr } = await run('psql', flags, { input });
  if (code !== 0) throw new Error(`psql on ${server.name}: ${stderr}`);
}
