// A table spread over several files, on a node: kill -9 under load, damage in one part, EXPLAIN.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import path from 'node:path';
import { withClient } from '../limits/case.ts';
import { killAfter, seeded } from './crash-workload.ts';
import { NodeProcess } from './process.ts';

const SHARDS = '4';
const CLIENTS = 4;
const KILLS = 3;
const LOOKS = 200;
const SEED = 20_250_101;

/** Inserts rows and moves them from part to part until the node is gone; what was acknowledged goes into `names`. */
async function load(node: NodeProcess, who: number, names: Map<string, number>): Promise<void> {
  await withClient(await node.clearUrl(), async (client) => {
    for (let i = 0; ; i++) {
      const name = `${who}-${names.size}-${i}`;
      const id = who * 10_000_000 + names.size * 1_000 + i;
      await client.query('INSERT INTO t VALUES ($1, $2, 0)', [id, name]);
      names.set(name, id);
      const moved = await client
        .query('UPDATE t SET id = id + 500, moves = moves + 1 WHERE id = $1', [id])
        .catch((error: unknown) => {
          // Whether it moved is not known.
          names.delete(name);
          throw error;
        });
      expect(moved.rowCount).toBe(1);
      names.set(name, id + 500);
    }
  }).catch(() => undefined);
}

test('kill -9 under load: what was acknowledged is there, in its part', async () => {
  await using node = await NodeProcess.start('--state-shards', SHARDS);
  const random = seeded(SEED);
  await withClient(await node.clearUrl(), (client) =>
    client.query(
      "CREATE TABLE t (id bigint PRIMARY KEY, name text UNIQUE, moves int) WITH (shard_by = 'id')",
    ),
  );
  const known = Array.from({ length: CLIENTS }, () => new Map<string, number>());
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const loads = known.map((names, who) => load(node, who, names));
    await killAfter(node, 300 + random() * 500)();
    await Promise.all(loads);
    await node.start();
    const rows = await withClient(await node.clearUrl(), (client) =>
      client.query<{ id: string; name: string }>('SELECT id, name FROM t'),
    );
    const there = new Map(rows.rows.map(({ id, name }) => [name, Number(id)]));
    expect(there.size).toBe(rows.rows.length);
    for (const names of known) {
      for (const [name, id] of names) expect([name, there.get(name)]).toEqual([name, id]);
    }
  }
  expect(known.reduce((sum, { size }) => sum + size, 0)).toBeGreaterThan(KILLS);
  expect(await node.stop()).toBe(0);
  const verified = await node.verify();
  expect(verified.stdout + verified.stderr).toContain('SOUND');
  expect(verified.code).toBe(0);
}, 180_000);

describe('a node', () => {
  let node: NodeProcess;
  beforeAll(async () => {
    node = await NodeProcess.start('--state-shards', SHARDS);
    await withClient(await node.clearUrl(), async (client) => {
      await client.query(
        "CREATE TABLE t (id int PRIMARY KEY, v text) WITH (shard_by = 'id', shards = 3)",
      );
      await client.query("INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 100) n");
    });
  }, 90_000);
  afterAll(() => node[Symbol.asyncDispose]());

  async function explained(query: string): Promise<string[]> {
    const { rows } = await withClient(await node.clearUrl(), (client) =>
      client.query<[string]>({ text: `EXPLAIN ${query}`, rowMode: 'array' }),
    );
    return rows.map(([line]) => line.trim()).filter((line) => line.startsWith('Parts'));
  }

  test('says which parts a query reads', async () => {
    expect(await explained('SELECT count(*) FROM t')).toEqual(['Parts of t: 3 of 3']);
    const [point] = await explained('SELECT * FROM t WHERE id = 5');
    expect(point).toMatch(/^Parts of t: 1 of 3, number [012], by id$/);
    expect(await explained('SELECT * FROM t WHERE id = $1 AND v > $2')).toEqual([
      'Parts of t: 1 of 3, by id',
    ]);
  });

  test('shows all parts, and tables of several shards, at one height', async () => {
    await withClient(await node.clearUrl(), async (client) => {
      await client.query(`CREATE TABLE account (id int PRIMARY KEY, balance int) WITH (shard_by = 'id');
        CREATE TABLE bank (id int PRIMARY KEY, balance int) WITH (shard = 3);
        INSERT INTO account SELECT n, 100 FROM generate_series(1, 20) n; INSERT INTO bank VALUES (1, 0)`);
    });
    let done = false;
    const moves = withClient(await node.clearUrl(), async (client) => {
      for (let i = 0; !done; i++) {
        const [from, to] = [(i % 20) + 1, ((i * 7 + 3) % 20) + 1];
        await client.query(`BEGIN; UPDATE account SET balance = balance - 2 WHERE id = ${from};
          UPDATE account SET balance = balance + 1 WHERE id = ${to};
          UPDATE bank SET balance = balance + 1 WHERE id = 1; COMMIT`);
      }
    });
    await withClient(await node.clearUrl(), async (client) => {
      for (let i = 0; i < LOOKS; i++) {
        const { rows } = await client.query<{ sum: string }>(
          'SELECT (SELECT sum(balance) FROM account) + (SELECT sum(balance) FROM bank) AS sum',
        );
        expect(rows).toEqual([{ sum: '2000' }]);
      }
    });
    done = true;
    await moves;
  });

  test('reads a row by its key, and refuses a damaged part of which verify names the file', async () => {
    const answer = await withClient(await node.clearUrl(), (client) =>
      client.query('SELECT v FROM t WHERE id = $1', [77]),
    );
    expect(answer.rows).toEqual([{ v: 'v77' }]);
    expect(await node.stop()).toBe(0);
    const file = path.join(node.data, 'state', 'shard-02.sqlite');
    const database = new Database(file);
    const name = database
      .prepare("SELECT name FROM sqlite_schema WHERE name GLOB 'r*_2'")
      .pluck()
      .get() as string;
    database.exec(`UPDATE ${name} SET c2='forged' WHERE _id=(SELECT max(_id) FROM ${name})`);
    database.close();
    const verified = await node.verify();
    expect(verified.code).not.toBe(0);
    expect(verified.stdout + verified.stderr).toContain('shard-02.sqlite');
    expect(verified.stdout + verified.stderr).toContain('public.t');
    await expect(node.start()).rejects.toThrow('shard-02.sqlite');
  });
});
