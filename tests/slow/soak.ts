// A mixed load for as long as there is time: what must not grow does not grow. Shell; run by .ci/run.
//
//     node tests/slow/soak.ts [--minutes 2] [--kills 2] [--seed n]
//
// Clients write, alone and in transactions, some of which are rolled back; they read, with cursors that they leave open and
// texts that nobody prepared before; they COPY in and out, make and drop tables, cancel what never ends, and disappear in
// the midst of it all. In the first third of the time the node is killed with -9 now and then and started again. After that
// its memory with that of its readers, its open files and its logs are measured every few seconds: the last quarter must not
// have more than the second one, but for what a garbage collector may have left. At the end every acknowledged row is
// there, and the directory verifies. Latency is printed and not judged.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { seeded } from '../end-to-end/crash-workload.ts';
import { NodeProcess } from '../end-to-end/process.ts';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    kills: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

const ACCOUNTS = 1_000;
const SAMPLE_MS = 3_000;
const MEBIBYTE = 1024 * 1024;
/** What the last quarter may have beyond the second one. */
const MEMORY_GROWTH_MAX = 200 * MEBIBYTE;
const FILES_GROWTH_MAX = 16;
/** Journal, and logs of SQLite, which are folded in from 128 MiB on. */
const LOGS_MAX = 800 * MEBIBYTE;
const LATENCIES_MAX = 200_000;

interface Sample {
  readonly at: number;
  readonly memory: number;
  readonly files: number;
  readonly logs: number;
  readonly data: number;
}

class Load {
  readonly #url: string;
  readonly #random: () => number;
  /** The node is away: what fails now fails for that. */
  away = false;
  over = false;
  acknowledged = 0;
  readonly counts = new Map<string, number>();
  readonly faults: string[] = [];
  latencies: number[] = [];

  constructor(url: string, random: () => number) {
    this.#url = url;
    this.#random = random;
  }

  below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  async prepare(): Promise<void> {
    const client = await this.#connected();
    await client.query(`
      CREATE TABLE account (id int PRIMARY KEY, balance numeric(12,2) NOT NULL, note text);
      CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int NOT NULL, body text);
      CREATE INDEX event_account ON event (account);
      CREATE TABLE receipt (id bigint PRIMARY KEY);
      INSERT INTO account SELECT id, 100, 'note ' || id FROM generate_series(0, ${ACCOUNTS - 1}) AS id`);
    await client.end();
  }

  async #connected(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#url });
    // A connection that the node, or this test, has cut.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** Does `work` again and again, on a connection that lives for some of it. */
  async run(name: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
    while (!this.over) {
      if (this.away) {
        await pause(100);
        continue;
      }
      let client: pg.Client | null = null;
      try {
        client = await this.#connected();
        for (let times = 1 + this.below(200); times > 0 && !this.over && !this.away; times--) {
          await work(client);
          this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
        }
      } catch (error) {
        if (error instanceof Gone) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
        // A moment after a kill it is still news that the node is away.
        await pause(50);
        if (!this.away && !isExpected(error)) this.faults.push(`${name}: ${String(error)}`);
      }
      await client?.end().catch(() => undefined);
    }
  }

  async timed(work: () => Promise<unknown>): Promise<void> {
    const began = performance.now();
    await work();
    if (this.latencies.length < LATENCIES_MAX) this.latencies.push(performance.now() - began);
  }

  readonly writes = async (client: pg.Client): Promise<void> => {
    const id = this.acknowledged + 1 + this.below(1e12);
    await this.timed(() => client.query('INSERT INTO receipt VALUES ($1)', [id]));
    this.acknowledged += 1;
    const account = this.below(ACCOUNTS);
    await client.query('INSERT INTO event (account, body) VALUES ($1, $2)', [
      account,
      'x'.repeat(this.below(400)),
    ]);
    if (this.below(20) === 0)
      await client.query(
        'DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT 20)',
      );
  };

  readonly transfers = async (client: pg.Client): Promise<void> => {
    const [from, to] = [this.below(ACCOUNTS), this.below(ACCOUNTS)];
    await client.query(this.below(4) === 0 ? 'BEGIN ISOLATION LEVEL SERIALIZABLE' : 'BEGIN');
    try {
      await client.query('UPDATE account SET balance = balance - 1 WHERE id = $1', [
        Math.min(from, to),
      ]);
      await client.query('SAVEPOINT s');
      await client.query('UPDATE account SET balance = balance + 1 WHERE id = $1', [
        Math.max(from, to),
      ]);
      if (this.below(5) === 0) throw new Undone();
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      if (!(error instanceof Undone)) throw error;
    }
  };

  readonly reads = async (client: pg.Client): Promise<void> => {
    await client.query('SELECT * FROM account WHERE id = $1', [this.below(ACCOUNTS)]);
    // A text that was never seen: plans are kept, but not for ever.
    await client.query(
      `SELECT count(*) AS c${this.below(1e9)}, sum(balance) FROM account WHERE id % ${2 + this.below(1e6)} = 1`,
    );
    if (this.below(10) > 0) return;
    await client.query('BEGIN');
    await client.query(
      'DECLARE c CURSOR FOR SELECT * FROM event JOIN account ON account.id = event.account',
    );
    await client.query('FETCH 10 FROM c');
    if (this.below(2) === 0) await client.query('COMMIT');
    else await client.query('ROLLBACK');
  };

  readonly cancels = async (client: pg.Client): Promise<void> => {
    await client.query(`SET statement_timeout = ${20 + this.below(200)}`);
    const endless = 'SELECT count(*) FROM generate_series(1, 100000000) AS n WHERE n % 7 = 1';
    const error = await client.query(endless).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (this.away) return;
    if ((error as { code?: string } | null)?.code !== '57014')
      throw new Error(`not cancelled: ${String(error)}`);
    await pause(this.below(1_000));
  };

  readonly disappears = async (client: pg.Client): Promise<void> => {
    await client.query('BEGIN');
    await client.query('SELECT * FROM account WHERE id = $1 FOR UPDATE', [this.below(ACCOUNTS)]);
    const left = client.query('SELECT count(*) FROM event AS a, event AS b');
    left.catch(() => undefined);
    await pause(this.below(100));
    (
      client as unknown as { connection: { stream: { destroy(): void } } }
    ).connection.stream.destroy();
    throw new Gone();
  };

  readonly makes = async (client: pg.Client): Promise<void> => {
    await client.query(
      'DROP TABLE IF EXISTS passing; CREATE TABLE passing (id int PRIMARY KEY, body text)',
    );
    const rows = 200 + this.below(2_000);
    await client.query(
      `INSERT INTO passing SELECT n, 'row ' || n FROM generate_series(1, ${rows}) AS n`,
    );
    await client.query('ALTER TABLE passing ADD COLUMN more int DEFAULT 7');
    await client.query('DROP TABLE passing');
    await pause(this.below(3_000));
  };
}

class Undone extends Error {}
class Gone extends Error {
  override readonly name = 'Gone';
}

/** What clients who do this to each other are told. */
function isExpected(error: unknown): boolean {
  const { code, name } = error as { readonly code?: string; readonly name?: string };
  return name === 'Gone' || ['40001', '40P01', '57P01', '57P03', 'ECONNRESET'].includes(code ?? '');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function sample(node: NodeProcess, since: number): Sample {
  const pids = [node.pid!, ...childrenOf(node.pid!)];
  const logs = filesUnder(node.data).filter((file) => /-wal$|journal-/.test(file));
  const bytes = (files: readonly string[]): number =>
    files.reduce((sum, file) => sum + sizeOf(file), 0);
  return {
    at: Date.now() - since,
    memory: pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0),
    files: readdirSync(`/proc/${node.pid}/fd`).length,
    logs: bytes(logs),
    data: bytes(filesUnder(node.data)),
  };
}

function childrenOf(pid: number): number[] {
  const lists = readdirSync(`/proc/${pid}/task`).map((task) =>
    read(`/proc/${pid}/task/${task}/children`),
  );
  return lists.flatMap((list) => list.trim().split(' ').filter(Boolean).map(Number));
}

/** PSS: what is shared counts once over all. */
function proportionalBytes(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

function filesUnder(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((each) => each.isFile())
    .map((each) => path.join(each.parentPath, each.name));
}

/** A reader may have ended, a log been removed, since it was listed. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function median(values: readonly number[], share = 0.5): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / MEBIBYTE)} MiB`;

/** What has grown between the second and the last quarter. */
function grown(samples: readonly Sample[]): string[] {
  const quarter = Math.floor(samples.length / 4);
  const [second, last] = [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)];
  const of = (part: readonly Sample[], key: keyof Sample): number =>
    median(part.map((each) => each[key]));
  const said: string[] = [];
  const compare = (key: keyof Sample, max: number, unit: (value: number) => string): void => {
    const [before, after] = [of(second, key), of(last, key)];
    console.log(`${key}: ${unit(before)} in the second quarter, ${unit(after)} in the last`);
    if (after - before > max) said.push(`${key} has grown from ${unit(before)} to ${unit(after)}`);
  };
  compare('memory', MEMORY_GROWTH_MAX, mebibytes);
  compare('files', FILES_GROWTH_MAX, String);
  compare('logs', LOGS_MAX, mebibytes);
  compare('data', Infinity, mebibytes);
  const highest = Math.max(...samples.map(({ logs }) => logs));
  if (highest > LOGS_MAX) said.push(`logs of ${mebibytes(highest)}`);
  return said;
}

async function killed(node: NodeProcess, load: Load): Promise<void> {
  load.away = true;
  await node.kill();
  await node.start();
  load.away = false;
}

async function main(): Promise<number> {
  const totalMs = Number(flags.minutes) * 60_000;
  console.log(`soak: ${flags.minutes} minutes, ${flags.kills} kills, seed ${flags.seed}`);
  await using node = await NodeProcess.start();
  const random = seeded(Number(flags.seed));
  const load = new Load(await node.clearUrl(), random);
  await load.prepare();
  const works: [string, (client: pg.Client) => Promise<void>][] = [
    ['writes', load.writes],
    ['writes', load.writes],
    ['writes', load.writes],
    ['transfers', load.transfers],
    ['transfers', load.transfers],
    ['reads', load.reads],
    ['reads', load.reads],
    ['cancelled', load.cancels],
    ['disappeared', load.disappears],
    ['tables made', load.makes],
  ];
  const began = Date.now();
  const clients = works.map(([name, work]) => load.run(name, work));
  const kills = Number(flags.kills);
  for (let kill = 0; kill < kills; kill++) {
    await pause((totalMs / 3 / kills) * (0.5 + random()));
    await killed(node, load);
  }
  const samples: Sample[] = [];
  load.latencies = [];
  while (Date.now() - began < totalMs) {
    await pause(SAMPLE_MS);
    samples.push(sample(node, began));
  }
  load.over = true;
  await Promise.all(clients);
  const faults = [...load.faults.slice(0, 20), ...grown(samples), ...(await ended(node, load))];
  const done = [...load.counts].map(([name, count]) => `${count} ${name}`).join(', ');
  const [p50, p99] = [median(load.latencies), median(load.latencies, 0.99)].map((ms) =>
    ms.toFixed(1),
  );
  console.log(`${done}; INSERT ${p50} ms, one in a hundred ${p99} ms`);
  for (const fault of faults) console.error(fault);
  return faults.length === 0 ? 0 : 1;
}

/** What is there in the end. */
async function ended(node: NodeProcess, load: Load): Promise<string[]> {
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  await client.connect();
  const faults: string[] = [];
  const { rows } = await client.query<{ receipts: string; total: string }>(
    'SELECT (SELECT count(*) FROM receipt) AS receipts, (SELECT sum(balance) FROM account) AS total',
  );
  await client.end();
  const { receipts, total } = rows[0]!;
  // What a kill left unanswered may be there or not.
  if (Number(receipts) < load.acknowledged)
    faults.push(`${receipts} of ${load.acknowledged} rows are there`);
  if (Number(total) !== ACCOUNTS * 100) faults.push(`the balances sum up to ${total}`);
  await node.stop();
  const { code, stdout } = await node.verify();
  if (code !== 0) faults.push(`verify: ${stdout}`);
  return faults;
}

process.exitCode = await main();
