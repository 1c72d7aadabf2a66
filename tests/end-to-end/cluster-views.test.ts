// ledger.nodes, ledger.consensus, ledger.config, ledger.evidence and ledger.alarms: on a node of its own, and on four.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { ClusterProcess, query } from './cluster-process.ts';
import { NodeProcess } from './process.ts';

const TIMEOUT_MS = 120_000;
const CLUSTER_TIMEOUT_MS = 300_000;

let node: NodeProcess;
let client: pg.Client;

async function connect(): Promise<pg.Client> {
  const made = new pg.Client({ connectionString: await node.clearUrl() });
  made.on('error', () => undefined);
  await made.connect();
  return made;
}

/** Rows as arrays. */
async function rows(text: string, values: readonly unknown[] = []): Promise<unknown[][]> {
  const answer = await client.query({ text, values: [...values], rowMode: 'array' });
  return answer.rows;
}

beforeAll(async () => {
  node = await NodeProcess.start();
  client = await connect();
}, TIMEOUT_MS);

afterAll(async () => {
  await client.end();
  await node[Symbol.asyncDispose]();
});

test('a node on its own shows itself, and promises nothing', async () => {
  const before = Date.now() - TIMEOUT_MS;
  const [shown] = await rows(
    `SELECT n.member, n.role, n.up, n.up_since, c.policy, c.leader, c.members, c.byzantine_tolerance
     FROM ledger.nodes n JOIN ledger.consensus c ON c.leader = n.public_key
     WHERE n.this_node = $1 AND n.member = $2`,
    [true, 0],
  );
  const [member, role, up, since, policy, leader, members, tolerance] = shown!;
  expect([member, role, up, policy, members, tolerance]).toEqual([
    0,
    'solo',
    true,
    'solo',
    1,
    false,
  ]);
  expect((since as Date).getTime()).toBeGreaterThan(before);
  expect((since as Date).getTime()).toBeLessThanOrEqual(Date.now());
  const proposers = await rows('SELECT DISTINCT proposer FROM ledger.blocks');
  expect(proposers).toEqual([[leader]]);
});

test('a statement that was prepared sees what is so now', async () => {
  const name = 'height';
  const text = 'SELECT height FROM ledger.consensus WHERE height > $1';
  const height = async (): Promise<number> =>
    Number((await client.query({ name, text, values: [-1] })).rows[0].height);
  const before = await height();
  await client.query('CREATE TABLE later (id int PRIMARY KEY)');
  expect(await height()).toBeGreaterThan(before);
});

test('in a transaction they join what is not committed yet', async () => {
  await client.query('CREATE TABLE place (member int PRIMARY KEY, town text)');
  await client.query('BEGIN');
  await client.query(`INSERT INTO place SELECT member, role FROM ledger.nodes`);
  await client.query(
    `UPDATE place SET town = c.value FROM ledger.config c WHERE c.setting = 'governance_needed'`,
  );
  const shown = await rows('SELECT town, up FROM place LEFT JOIN ledger.nodes USING (member)');
  await client.query('ROLLBACK');
  expect(shown).toEqual([['1', true]]);
});

test('the past and the configuration are of the chain', async () => {
  expect(await rows('SELECT * FROM ledger.evidence')).toEqual([]);
  const settings = await rows(
    `SELECT value FROM ledger.config WHERE setting = ANY ($1) AND valid_to IS NULL ORDER BY 1`,
    [['policy', 'heartbeat_ms']],
  );
  expect(settings).toEqual([['50'], ['solo']]);
  const keys = await rows(
    `SELECT a.name FROM ledger.config c, ledger.accounts a
     WHERE c.setting = 'governance_keys' AND c.value::jsonb ? encode(a.public_key, 'hex')`,
  );
  expect(keys).toEqual([['admin']]);
});

test(
  'an alarm is shown until the node stops, in full to superusers',
  async () => {
    expect(await rows('SELECT * FROM ledger.alarms')).toEqual([]);
    await client.end();
    await node.stop();
    const directory = join(node.data, 'analyst');
    const [image] = readdirSync(directory).filter((name) => name.endsWith('.tar'));
    const bytes = readFileSync(join(directory, image!));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(join(directory, image!), bytes);
    await node.start();
    client = await connect();
    const text = `SELECT number, kind, message, time > now() - interval '1 hour' FROM ledger.alarms`;
    const what = 'an image of the analyst was not made by this node: it is made anew';
    const message = `${what} (${join(directory, image!)})`;
    expect(await rows(text)).toEqual([['1', 'analyst', message, true]]);
    expect(node.output).toContain(what);
    await client.query('CREATE ROLE guest');
    await client.query('SET ROLE guest');
    expect(await rows(text)).toEqual([['1', 'analyst', null, true]]);
    await client.query('RESET ROLE');
    await client.end();
    await node.stop();
    await node.start();
    client = await connect();
    expect(await rows(text)).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  'four nodes see each other, agree who leads, and miss one that is gone',
  async () => {
    await using cluster = await ClusterProcess.start(4, 'raft');
    const { nodes } = cluster;
    await query(nodes[0]!, 'CREATE TABLE place (member int PRIMARY KEY)');
    await cluster.agreed();
    // A slow machine may elect another one meanwhile.
    await eventually(async () => {
      const leading = `SELECT c.epoch, c.term, n.member FROM ledger.consensus c
        JOIN ledger.nodes n ON n.public_key = c.leader AND n.role = 'leader'`;
      const seen = await Promise.all(nodes.map((each) => query(each, leading)));
      expect(seen[0]).toHaveLength(1);
      for (const each of seen) expect(each).toEqual(seen[0]);
    });
    expect(
      await query(
        nodes[0]!,
        `SELECT policy, mode, members, f, report_quorum, fast_quorum, silent_tolerated, byzantine_tolerance
         FROM ledger.consensus`,
      ),
    ).toEqual([
      {
        policy: 'raft',
        mode: 'raft',
        members: 4,
        f: 1,
        report_quorum: 3,
        fast_quorum: 3,
        silent_tolerated: 1,
        byzantine_tolerance: true,
      },
    ]);
    for (const [i, each] of nodes.entries()) {
      const own = await query(each, 'SELECT member, up FROM ledger.nodes WHERE this_node');
      expect(own).toEqual([{ member: i, up: true }]);
      const shown = await query(each, 'SELECT member FROM ledger.nodes ORDER BY member');
      expect(shown.map(({ member }) => member)).toEqual([0, 1, 2, 3]);
    }
    const others = 'FROM ledger.nodes WHERE NOT this_node ORDER BY member';
    await eventually(async () => {
      const rows = await query(nodes[0]!, `SELECT up, bytes_in > 0 AS heard ${others}`);
      const heard = { up: true, heard: true };
      expect(rows).toEqual([heard, heard, heard]);
    });
    await nodes[3]!.stop();
    await eventually(async () => {
      const rows = await query(nodes[0]!, `SELECT up, up_since IS NULL AS gone ${others}`);
      const there = { up: true, gone: false };
      expect(rows).toEqual([there, there, { up: false, gone: true }]);
    });
    const missed = await query(nodes[0]!, 'SELECT reachable FROM ledger.consensus');
    expect(missed).toEqual([{ reachable: 3 }]);
  },
  CLUSTER_TIMEOUT_MS,
);

/** Connections come up and go when they do: tries again for some seconds. */
async function eventually(check: () => Promise<void>): Promise<void> {
  for (let tries = 1; tries < 100; tries += 1) {
    try {
      return await check();
    } catch {
      await delay(100);
    }
  }
  await check();
}
