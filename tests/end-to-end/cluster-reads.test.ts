// What a read at one node sees of what another one has confirmed.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { ClusterProcess } from './cluster-process.ts';
import { freePort, trustsql } from './process.ts';
import type { NodeProcess } from './process.ts';

const TIMEOUT_MS = 300_000;
const READS = 200;
const READS_OBSERVED = 50;
/** For a role, or new rules, to be known at a node. */
const ADMIT_MS = 60_000;

let cluster: ClusterProcess;
let writer: pg.Client;

async function connected(node: NodeProcess): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

beforeAll(async () => {
  cluster = await ClusterProcess.start(4, 'raft');
  writer = await connected(cluster.nodes[0]!);
  await writer.query('CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)');
  await writer.query('INSERT INTO counter VALUES (1, 0)');
  await cluster.agreed();
}, TIMEOUT_MS);

afterAll(async () => {
  await writer.end();
  await cluster[Symbol.asyncDispose]();
});

test(
  'a linearizable read sees what any node has confirmed before it began',
  async () => {
    const readers = await Promise.all(cluster.nodes.slice(1).map(connected));
    for (const reader of readers) await reader.query(`SET ledger.read_consistency = linearizable`);
    // Each way a statement comes: alone, with parameters, in a block, counting all rows in a reader process.
    const reads: ((reader: pg.Client) => Promise<{ n: number }[]>)[] = [
      async (reader) => (await reader.query('SELECT n FROM counter WHERE id = 1')).rows,
      async (reader) => (await reader.query('SELECT n FROM counter WHERE id = $1', [1])).rows,
      async (reader) => (await reader.query('SELECT sum(n)::int AS n FROM counter')).rows,
      async (reader) => {
        await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
        const { rows } = await reader.query('SELECT n FROM counter WHERE id = 1');
        await reader.query('COMMIT');
        return rows;
      },
    ];
    const stale: string[] = [];
    for (let i = 1; i <= READS; i++) {
      await writer.query('UPDATE counter SET n = $1 WHERE id = 1', [i]);
      const [row] = await reads[i % reads.length]!(readers[i % readers.length]!);
      if (row?.n !== i) stale.push(`${row?.n} instead of ${i}`);
    }
    expect(stale).toEqual([]);

    // Names are as new as rows.
    for (const [at, reader] of readers.entries()) {
      await writer.query(`CREATE TABLE made_${at} AS SELECT ${at} AS v`);
      const { rows } = await reader.query(`SELECT v FROM made_${at} WHERE v = $1`, [at]);
      expect(rows).toEqual([{ v: at }]);
    }

    // A snapshot that is taken stays what it is.
    const [reader] = readers as [pg.Client];
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const before = await reader.query('SELECT n FROM counter');
    await writer.query('UPDATE counter SET n = -1 WHERE id = 1');
    expect((await reader.query('SELECT n FROM counter')).rows).toEqual(before.rows);
    await reader.query('COMMIT');
    expect((await reader.query('SELECT n FROM counter')).rows).toEqual([{ n: -1 }]);
    await expect(reader.query(`SET ledger.read_consistency = 'strong'`)).rejects.toMatchObject({
      code: '22023',
    });
    for (const each of readers) await each.end();
  },
  TIMEOUT_MS,
);

/** `trustsql …` against the first node. */
async function done(...parameters: string[]): Promise<void> {
  const { data } = cluster.nodes[0]!;
  const { code, stderr } = await trustsql(...parameters, '--data', data);
  if (code !== 0) throw new Error(`trustsql ${parameters.join(' ')}: ${stderr}`);
}

/** Connects as soon as the role of the node is known there. */
async function admitted(node: NodeProcess): Promise<pg.Client> {
  const end = Date.now() + ADMIT_MS;
  for (;;) {
    try {
      return await connected(node);
    } catch (error) {
      if ((error as { code?: string }).code !== '28P01' || Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

test(
  'a node that observes sees it too, and refuses it when it observes no longer',
  async () => {
    const { node, place, part } = await cluster.newcomer('eve');
    await done('node', 'add', place, '--observer');
    await done('role', 'admit', part, '--superuser');
    const reader = await admitted(node);
    await reader.query('SET ledger.read_consistency = linearizable');
    const texts = ['SELECT n FROM counter WHERE id = 1', 'SELECT sum(n)::int AS n FROM counter'];
    const stale: string[] = [];
    for (let i = 1; i <= READS_OBSERVED; i++) {
      await writer.query('UPDATE counter SET n = $1 WHERE id = 1', [i]);
      const { rows } = await reader.query<{ n: number }>(texts[i % texts.length]!);
      if (rows[0]?.n !== i) stale.push(`${rows[0]?.n} instead of ${i}`);
    }
    expect(stale).toEqual([]);

    await done('node', 'remove', place.split('@')[0]!);
    await expect(
      (async () => {
        // It hears of it a moment later.
        for (const end = Date.now() + ADMIT_MS; Date.now() < end;) await reader.query(texts[0]!);
      })(),
    ).rejects.toMatchObject({
      code: '57P03',
      message: expect.stringContaining('no part in the ledger'),
    });
    await reader.query('SET ledger.read_consistency = session');
    expect((await reader.query(texts[0]!)).rows).toEqual([{ n: READS_OBSERVED }]);
    await reader.end();
    await writer.query('UPDATE counter SET n = -1 WHERE id = 1');
  },
  TIMEOUT_MS,
);

test(
  'a node cut off from the others refuses it, and goes on to show what it has',
  async () => {
    const last = cluster.nodes[3]!;
    await last.stop();
    await writer.query('UPDATE counter SET n = 1000 WHERE id = 1');
    // It can dial nobody, and nobody finds it.
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    await last.start('--peer-proxy', nowhere, '--peer-port', '0');
    const reader = await connected(last);
    const text = 'SELECT n FROM counter WHERE id = 1';
    expect((await reader.query('SHOW ledger.read_consistency')).rows).toEqual([
      { 'ledger.read_consistency': 'session' },
    ]);
    expect((await reader.query(text)).rows).toEqual([{ n: -1 }]);

    await reader.query('SET ledger.read_consistency = linearizable');
    await expect(reader.query(text)).rejects.toMatchObject({
      code: '57P03',
      message: expect.stringContaining('too few members answer'),
      hint: expect.stringContaining('ledger.read_consistency'),
    });
    await reader.query(`SET statement_timeout = '300ms'`);
    const begin = Date.now();
    await expect(reader.query(text)).rejects.toMatchObject({ code: '57014' });
    expect(Date.now() - begin).toBeLessThan(5_000);

    await reader.query('SET ledger.read_consistency = session');
    expect((await reader.query(text)).rows).toEqual([{ n: -1 }]);
    await reader.end();

    await last.stop();
    await last.start();
    const back = await connected(last);
    await back.query('SET ledger.read_consistency = linearizable');
    expect((await back.query(text)).rows).toEqual([{ n: 1000 }]);
    await back.end();
  },
  TIMEOUT_MS,
);
