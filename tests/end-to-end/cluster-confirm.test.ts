// What a client of a cluster may rely on when it is answered, and how it finds out when it is not.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { ClusterProcess, query } from './cluster-process.ts';

const TIMEOUT_MS = 300_000;
const WAIT_MS = 20_000;

let cluster: ClusterProcess;
let client: pg.Client;

interface Status {
  readonly status: string;
  readonly height?: number;
  readonly sqlstate?: string;
}

/** What a node says of a transaction. */
async function statusAt(node: number, id: string, until: Date | null = null): Promise<Status> {
  const given = until === null ? `'${id}'` : `'${id}', '${until.toISOString()}'`;
  const text = `SELECT ledger.transaction_status(${given}) AS s`;
  return (await query(cluster.nodes[node]!, text))[0]!['s'] as Status;
}

async function shown(setting: string): Promise<string> {
  return String(Object.values((await client.query(`SHOW ${setting}`)).rows[0])[0]);
}

beforeAll(async () => {
  cluster = await ClusterProcess.start(4, 'raft');
  client = new pg.Client({ connectionString: await cluster.nodes[0]!.clearUrl() });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('CREATE TABLE note (id int PRIMARY KEY, v text)');
  await cluster.agreed();
}, TIMEOUT_MS);

afterAll(async () => {
  await client.end();
  await cluster[Symbol.asyncDispose]();
});

test(
  'with ledger.confirm all, whoever is asked next has executed it',
  async () => {
    await client.query(`SET ledger.confirm = 'all'`);
    for (let id = 0; id < 20; id++) {
      await client.query('INSERT INTO note VALUES ($1, $2)', [id, 'all']);
      const node = cluster.nodes[1 + (id % 3)]!;
      const rows = await query(node, `SELECT v FROM note WHERE id = ${id}`);
      expect(rows).toEqual([{ v: 'all' }]);
    }
    await expect(client.query(`SET ledger.confirm = 'some'`)).rejects.toMatchObject({
      code: '22023',
    });
  },
  TIMEOUT_MS,
);

test(
  'a transaction has one outcome at all nodes, and one that never was has none',
  async () => {
    await client.query(`INSERT INTO note VALUES (100, 'x')`);
    const id = await shown('ledger.last_transaction');
    const height = Number(await shown('ledger.last_block'));
    for (const node of [0, 1, 2, 3]) {
      expect(await statusAt(node, id)).toMatchObject({ status: 'committed', height });
    }
    // Two nodes insert one key: each has looked before it heard of the other, until one is refused when it is executed.
    let aborted: Record<string, unknown> | undefined;
    for (let key = 200; aborted === undefined && key < 260; key++) {
      const insert = `INSERT INTO note VALUES (${key}, 'x')`;
      const both = [0, 1].map((node) => query(cluster.nodes[node]!, insert));
      await Promise.allSettled(both);
      const text = `SELECT encode(id, 'hex') AS id FROM ledger.transactions WHERE status = 'aborted'`;
      [aborted] = await query(cluster.nodes[0]!, text);
    }
    await cluster.agreed();
    expect(await statusAt(3, String(aborted!['id']))).toMatchObject({
      status: 'aborted',
      sqlstate: '23505',
    });

    const other = 'ab'.repeat(32);
    expect(await statusAt(2, other)).toMatchObject({ status: 'unknown' });
    const hour = 3_600_000;
    expect(await statusAt(2, other, new Date(Date.now() + hour))).toMatchObject({
      status: 'unknown',
    });
    expect(await statusAt(2, other, new Date(Date.now() - hour))).toMatchObject({
      status: 'never',
    });
    await expect(statusAt(2, 'ab')).rejects.toMatchObject({ code: '22023' });
  },
  TIMEOUT_MS,
);

test(
  'with a node down, f+1 are enough, and all are named that keep silent',
  async () => {
    await cluster.nodes[3]!.kill();
    const begin = Date.now();
    await client.query('BEGIN');
    await client.query(`SET LOCAL ledger.confirm = 'f+1'`);
    await client.query(`INSERT INTO note VALUES (300, 'f+1')`);
    await client.query('COMMIT');
    expect(Date.now() - begin).toBeLessThan(WAIT_MS);

    expect(await shown('ledger.confirm')).toBe('all');
    const refused = client.query(`INSERT INTO note VALUES (301, 'all')`);
    await expect(refused).rejects.toMatchObject({
      code: '40003',
      message: expect.stringMatching(
        /^block \d+ with this transaction is confirmed, but 2 of the 3 other nodes/,
      ),
      detail: 'No word of members 3 of ledger.nodes.',
    });
    // It is committed all the same, and everybody who is there knows.
    const id = await shown('ledger.last_transaction');
    expect(await statusAt(2, id)).toMatchObject({ status: 'committed' });
    const rows = await query(cluster.nodes[1]!, 'SELECT v FROM note WHERE id = 301');
    expect(rows).toEqual([{ v: 'all' }]);

    // In a transaction of its own the session goes on as after any COMMIT.
    await client.query('BEGIN');
    await client.query(`SET application_name = 'kept'`);
    await client.query(`INSERT INTO note VALUES (302, 'all')`);
    await expect(client.query('COMMIT')).rejects.toMatchObject({ code: '40003' });
    expect(await shown('application_name')).toBe('kept');
    const { rows: found } = await client.query('SELECT v FROM note WHERE id = 302');
    expect(found).toEqual([{ v: 'all' }]);

    await cluster.nodes[3]!.start();
    await cluster.agreed();
    await client.query(`INSERT INTO note VALUES (303, 'all')`);
    const back = await query(
      cluster.nodes[3]!,
      'SELECT count(*)::int AS n FROM note WHERE id >= 300',
    );
    expect(back).toEqual([{ n: 4 }]);
  },
  TIMEOUT_MS,
);
