// The commands for the files of the state, against a real node: where tables lie, and moving them while others write.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { existsSync, lstatSync, renameSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { NodeProcess, trustsql } from './process.ts';

const TIMEOUT_MS = 300_000;

let node: NodeProcess;
let client: pg.Client;

beforeAll(async () => {
  node = await NodeProcess.start('--state-shards', '3');
  client = await connected();
  await client.query(`
    CREATE TABLE big (id int PRIMARY KEY, t text);
    INSERT INTO big SELECT i, repeat(i::text, 20) FROM generate_series(1, 20000) i;
    CREATE TABLE "Small one" (id int PRIMARY KEY, t text);
    INSERT INTO "Small one" SELECT i, i::text FROM generate_series(1, 5000) i;
    CREATE TABLE hot (id int PRIMARY KEY, n int);
    INSERT INTO hot SELECT i, 0 FROM generate_series(1, 100) i;
    UPDATE big SET t = 'changed' WHERE id <= 100;`);
}, TIMEOUT_MS);

afterAll(async () => {
  await client?.end().catch(() => undefined);
  await node?.[Symbol.asyncDispose]();
});

async function connected(): Promise<pg.Client> {
  const made = new pg.Client({ connectionString: await node.clearUrl() });
  // It is killed under some.
  made.on('error', () => undefined);
  await made.connect();
  return made;
}

async function shard(...parameters: string[]): Promise<string> {
  const { code, stdout, stderr } = await trustsql('shard', ...parameters, '--data', node.data);
  if (code !== 0) throw new Error(`${parameters.join(' ')}: ${String(code)}: ${stderr}`);
  return stdout;
}

interface Moved {
  readonly done: boolean;
  readonly moves: readonly { readonly table: string; readonly from: number; readonly to: number }[];
}

async function moved(...parameters: string[]): Promise<Moved> {
  return JSON.parse(await shard(...parameters, '--json')) as Moved;
}

async function placement(): Promise<Record<string, number>> {
  const { rows } = await client.query<{ name: string; shard: number }>(
    `SELECT name, shard FROM ledger.relations WHERE kind = 'table' ORDER BY name`,
  );
  return Object.fromEntries(rows.map((row) => [row.name, row.shard]));
}

test(
  'list says what lies where, and how much it is',
  async () => {
    const [answer] = JSON.parse(await shard('list', '--json')) as [
      { readonly columns: readonly { readonly name: string }[]; readonly rows: string[][] },
    ];
    expect(answer.columns.map(({ name }) => name)).toEqual([
      'shard',
      'file',
      'bytes',
      'free_bytes',
      'log_bytes',
      'tables',
      'rows',
      'height',
    ]);
    expect(answer.rows.map((row) => [row[0], row[5], row[6]])).toEqual([
      ['0', '3', '25100'],
      ['1', '0', '0'],
      ['2', '0', '0'],
    ]);
    expect(Number(answer.rows[0]![2])).toBeGreaterThan(500_000);
    const tables = await shard('list', '--tables');
    expect(tables).toMatch(/0 \| public \| big +\| 20000 \| +\d{6,}\n/);
    expect(tables).toMatch(/0 \| public \| Small one \| +5000 \| +\d{5,}\n/);
  },
  TIMEOUT_MS,
);

test(
  'tables move while others read and write them, and nothing fails',
  async () => {
    const stop = new AbortController();
    let done = 0;
    const work = async (): Promise<void> => {
      const own = await connected();
      for (let i = 0; !stop.signal.aborted; i++) {
        const id = 1 + (i % 100);
        await own.query('UPDATE hot SET n = n + 1 WHERE id = $1', [id]);
        await own.query('UPDATE big SET t = $2 WHERE id = $1', [id, `again ${i}`]);
        const { rows } = await own.query('SELECT count(*)::int AS n FROM big WHERE id > 10000');
        expect(rows).toEqual([{ n: 10_000 }]);
        done++;
      }
      await own.end();
    };
    const working = [work(), work()];
    const plan = await moved('split', '0', '--into', '1', '--plan');
    expect(plan).toMatchObject({
      done: false,
      moves: [{ table: 'public."Small one"', to: 1 }, {}],
    });
    expect(await placement()).toEqual({ 'Small one': 0, big: 0, hot: 0 });
    expect((await moved('split', '0', '--into', '1')).moves).toHaveLength(2);
    expect(await placement()).toEqual({ 'Small one': 1, big: 0, hot: 1 });
    for (const to of [2, 1, 0]) await client.query(`ALTER TABLE big SET (shard = ${to})`);
    await moved('merge', '1', '--into', '0');
    const balanced = await moved('rebalance');
    expect(balanced.moves).toHaveLength(2);
    expect((await moved('rebalance')).moves).toEqual([]);
    stop.abort();
    await Promise.all(working);
    expect(done).toBeGreaterThan(0);
    const { rows } = await client.query('SELECT sum(n)::int AS n FROM hot');
    expect(rows).toEqual([{ n: done }]);
  },
  TIMEOUT_MS,
);

test(
  'a shard that is none, and a role that does not own the table, are refused',
  async () => {
    await expect(shard('merge', '0', '--into', '7')).rejects.toThrow(
      '2: trustsql: there is no shard 7: they are 0 to 2',
    );
    await expect(shard('merge', '0', '--into', '0')).rejects.toThrow('shard 0 is the same one');
    await expect(client.query('ALTER TABLE big SET (shard = 3)')).rejects.toMatchObject({
      code: '22023',
      message: 'shard 3 does not exist',
    });
    await client.query(`CREATE ROLE bob LOGIN PASSWORD 'b'`);
    await client.query('SET ROLE bob');
    await expect(client.query('ALTER TABLE big SET (shard = 1)')).rejects.toMatchObject({
      code: '42501',
      message: 'must be owner of table big',
    });
    await client.query('RESET ROLE');
  },
  TIMEOUT_MS,
);

test(
  'a kill in the middle of a move leaves the table in one of both files, whole',
  async () => {
    for (let to = 1; to <= 2; to++) {
      const moving = client.query(`ALTER TABLE big SET (shard = ${to})`).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 40 * to));
      await node.kill();
      await moving;
      await client.end().catch(() => undefined);
      await node.start();
      client = await connected();
      const { rows } = await client.query('SELECT count(*)::int AS n FROM big');
      expect(rows).toEqual([{ n: 20_000 }]);
    }
    await client.end();
    expect(await node.stop()).toBe(0);
    expect((await node.verify()).stdout).toContain('SOUND');
    await node.start();
    client = await connected();
  },
  TIMEOUT_MS,
);

test(
  'a file goes to another disk and is made smaller while the node is stopped, and not while it runs',
  async () => {
    const disk = path.join(node.directory, 'disk');
    await mkdir(disk);
    for (const command of [['move', '0', '--to', disk], ['vacuum']]) {
      await expect(shard(...command)).rejects.toThrow(
        `3: trustsql: ${node.data}: a node runs here; stop it first`,
      );
    }
    await client.query('ALTER TABLE big SET (shard = 0)');
    await client.query('ALTER TABLE big SET (shard = 1)');
    await client.end();
    await node.stop();
    const file = path.join(node.data, 'state/shard-00.sqlite');
    expect(await shard('move', '0', '--to', disk, '--plan')).toMatch(
      /would go from .* bytes are free there/,
    );
    expect(lstatSync(file).isFile()).toBe(true);
    await shard('move', '0', '--to', disk);
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    const before = statSync(file).size;
    const plan = JSON.parse(await shard('vacuum', '0', '--plan', '--json')) as {
      files: { freeBytes: number }[];
    };
    expect(plan.files[0]!.freeBytes).toBeGreaterThan(500_000);
    expect(statSync(file).size).toBe(before);
    await shard('vacuum');
    expect(statSync(file).size).toBe(before - plan.files[0]!.freeBytes);
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    await node.start();
    client = await connected();
    const { rows } = await client.query(
      'SELECT shard, free_bytes::int, log_bytes > 0 AS log FROM ledger.shards WHERE shard = 0',
    );
    expect(rows).toEqual([{ shard: 0, free_bytes: 0, log: true }]);
    await client.query('UPDATE hot SET n = 0');
    await node.kill();
    renameSync(disk, `${disk}-away`);
    await expect(node.start()).rejects.toThrow(/which is not there; is the disk mounted\?/);
    expect(existsSync(disk)).toBe(false);
    renameSync(`${disk}-away`, disk);
    await node.start();
    client = await connected();
    expect((await client.query('SELECT sum(n)::int AS n FROM hot')).rows).toEqual([{ n: 0 }]);
    await client.end();
    await node.stop();
    expect((await node.verify()).stdout).toContain('SOUND');
  },
  TIMEOUT_MS,
);
