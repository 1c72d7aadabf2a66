// Sessions that behave badly disturb no others: runaway queries, idle transactions, lost connections.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect as dial, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { NodeProcess } from './process.ts';

const TIMEOUT_MS = 120_000;
const MAX_CONNECTIONS = 10;
const RUNAWAY = 'SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b';

describe('sessions', () => {
  let node: NodeProcess;
  let url = '';
  let steady: pg.Client;
  beforeAll(async () => {
    const limits = ['--max-connections', String(MAX_CONNECTIONS), '--reader-memory-mb', '256'];
    node = await NodeProcess.start(...limits);
    url = await node.clearUrl();
    steady = await connect();
    await steady.query('CREATE TABLE t (id int PRIMARY KEY, v int)');
    await steady.query('INSERT INTO t SELECT n, 0 FROM generate_series(1, 100) n');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await steady.end();
    await node[Symbol.asyncDispose]();
  });

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  test(
    'a runaway query times out while others are served',
    async () => {
      const wild = await connect();
      await wild.query('SET statement_timeout = 500');
      const runaway = expect(wild.query(RUNAWAY)).rejects.toMatchObject({ code: '57014' });
      for (let n = 0; n < 20; n += 1) {
        await steady.query('UPDATE t SET v = v + 1 WHERE id = 1');
        await steady.query('SELECT sum(v) FROM t');
      }
      await runaway;
      expect((await wild.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await wild.end();
    },
    TIMEOUT_MS,
  );

  test(
    'a cancel request ends what runs, in a reader and in the catalogs, and disturbs nobody',
    async () => {
      const wild = await connect();
      const catalogs =
        'SELECT count(*) FROM pg_attribute a, pg_attribute b, pg_attribute c, pg_attribute d';
      const reader = 'SELECT count(*) FROM t a, t b, t c, t d, t e, t f';
      for (const text of [reader, catalogs]) {
        const runaway = expect(wild.query(text)).rejects.toMatchObject({ code: '57014' });
        await setTimeout(500);
        await cancel(wild, node.port);
        await runaway;
        expect((await wild.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
        const { rows } = await steady.query(
          `SELECT relname FROM pg_class WHERE oid = 't'::regclass`,
        );
        expect(rows).toEqual([{ relname: 't' }]);
        await steady.query('UPDATE t SET v = v + 1 WHERE id = 1');
      }
      await wild.end();
    },
    TIMEOUT_MS,
  );

  test(
    'statements that Postgres itself cannot swallow are refused, and it goes on',
    async () => {
      const wild = await connect();
      const depth = 20_000;
      const nested = [
        `SELECT ${'('.repeat(depth)}1${')'.repeat(depth)}`,
        `SELECT ${'- '.repeat(depth)}1`,
        `SELECT ${'1 + '.repeat(depth)}1`,
        `SELECT ${'ARRAY['.repeat(depth)}1${']'.repeat(depth)}`,
      ];
      for (const text of nested) {
        await wild.query(text).catch((error: { code?: string }) => {
          expect(error.code).toMatch(/^(54001|54000|42601|42804)$/);
        });
        expect((await steady.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 100 }]);
        const { rows } = await wild.query(`SELECT relname FROM pg_class WHERE oid = 't'::regclass`);
        expect(rows).toEqual([{ relname: 't' }]);
      }
      await wild.end();
    },
    TIMEOUT_MS,
  );

  test(
    'a query that wants all memory is ended, and only that',
    async () => {
      const wild = await connect();
      const greedy = wild.query(
        `SELECT length(string_agg(repeat(n::text, 200000), '')) FROM generate_series(100000, 100700) n`,
      );
      await expect(greedy).rejects.toMatchObject({
        code: '53200',
      });
      expect((await steady.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 100 }]);
      expect((await wild.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 100 }]);
      await wild.end();
    },
    TIMEOUT_MS,
  );

  test(
    'a client that is gone leaves no transaction and no lock behind',
    async () => {
      const gone = await connect();
      await gone.query('BEGIN');
      await gone.query('SELECT * FROM t WHERE id = 2 FOR UPDATE');
      await gone.query('UPDATE t SET v = 99 WHERE id = 2');
      (gone as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
      await steady.query(`SET lock_timeout = '5s'`);
      await steady.query('UPDATE t SET v = v + 1 WHERE id = 2');
      expect((await steady.query('SELECT v FROM t WHERE id = 2')).rows).toEqual([{ v: 1 }]);
    },
    TIMEOUT_MS,
  );

  test(
    'an idle transaction is ended after its time',
    async () => {
      const idle = await connect();
      await idle.query(`SET idle_in_transaction_session_timeout = '300ms'`);
      await idle.query('BEGIN');
      await idle.query('SELECT * FROM t WHERE id = 3 FOR UPDATE');
      const [error] = (await once(idle, 'error')) as [{ code?: string }];
      expect(error.code).toBe('25P03');
      await steady.query('UPDATE t SET v = v + 1 WHERE id = 3');
    },
    TIMEOUT_MS,
  );

  test(
    'more connections than allowed are refused with 53300, and room comes back',
    async () => {
      const others: pg.Client[] = [];
      let refused: string | undefined;
      while (refused === undefined && others.length <= MAX_CONNECTIONS) {
        await connect().then(
          (client) => others.push(client),
          (error: pg.DatabaseError) => (refused = error.code),
        );
      }
      expect(refused).toBe('53300');
      for (const client of others) await client.end();
      await (await connect()).end();
    },
    TIMEOUT_MS,
  );

  test(
    'two sessions that wait for each other: one gets 40P01, the other goes on',
    async () => {
      const [one, two] = [await connect(), await connect()];
      for (const client of [one, two]) await client.query('BEGIN');
      await one.query('SELECT * FROM t WHERE id = 10 FOR UPDATE');
      await two.query('SELECT * FROM t WHERE id = 11 FOR UPDATE');
      const crosswise = async (client: pg.Client, id: number): Promise<void> => {
        try {
          await client.query('SELECT * FROM t WHERE id = $1 FOR UPDATE', [id]);
        } finally {
          await client.query('ROLLBACK');
        }
      };
      const outcomes = await Promise.allSettled([crosswise(one, 11), crosswise(two, 10)]);
      const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
      expect(failed).toHaveLength(1);
      expect(failed[0]?.reason).toMatchObject({ code: '40P01' });
      await one.end();
      await two.end();
    },
    TIMEOUT_MS,
  );

  test(
    'a stranger that speaks no Postgres loses its own connection only',
    async () => {
      const rubbish = [
        'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
        Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
        Buffer.from([0, 0, 0, 8, 0, 0, 0, 0]),
        Buffer.alloc(1000, 7),
      ];
      for (const bytes of rubbish) {
        const socket = dial(node.port, '127.0.0.1');
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        const closed = once(socket, 'close');
        socket.resume();
        socket.write(bytes);
        await closed;
      }
      expect((await steady.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    },
    TIMEOUT_MS,
  );

  test(
    'pg_stat_activity shows what everybody does, and to others than a superuser only their own',
    async () => {
      await steady.query(`CREATE ROLE watcher LOGIN PASSWORD 'seen enough 17'`);
      const [busy, open, failed] = [await connect(), await connect(), await connect()];
      await open.query('BEGIN');
      await open.query('SELECT 1');
      await failed.query('BEGIN');
      await expect(failed.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' });
      const sleeping = expect(busy.query('SELECT pg_sleep(60)')).rejects.toMatchObject({
        code: '57014',
      });
      const others =
        'SELECT pid, state, query FROM pg_stat_activity WHERE pid <> pg_backend_pid() ORDER BY backend_start';
      const pids = [busy, open, failed].map((client) => pidOf(client));
      const seen = async () => {
        const { rows } = await steady.query(others);
        return rows.filter(({ pid }) => pids.includes(pid));
      };
      const expected = [
        { pid: pids[0], state: 'active', query: 'SELECT pg_sleep(60)' },
        { pid: pids[1], state: 'idle in transaction', query: 'SELECT 1' },
        { pid: pids[2], state: 'idle in transaction (aborted)', query: 'SELECT 1/0' },
      ];
      // The statement is on its way.
      while ((await seen())[0]?.state !== 'active') await setTimeout(10);
      expect(await seen()).toEqual(expected);
      await open.query('ROLLBACK');
      expect((await seen())[1]).toMatchObject({ state: 'idle', query: 'ROLLBACK' });

      const ofWatcher = new URL(url);
      [ofWatcher.username, ofWatcher.password] = ['watcher', 'seen enough 17'];
      const watcher = new pg.Client({ connectionString: ofWatcher.href });
      await watcher.connect();
      const { rows } = await watcher.query(
        'SELECT usename, query, state, client_port IS NULL AS hidden FROM pg_stat_activity WHERE pid IN ($1, pg_backend_pid()) ORDER BY 1',
        [pids[0]],
      );
      expect(rows).toEqual([
        { usename: 'admin', query: '<insufficient privilege>', state: null, hidden: true },
        {
          usename: 'watcher',
          query: expect.stringMatching(/^SELECT usename/),
          state: 'active',
          hidden: false,
        },
      ]);

      expect((await steady.query('SELECT pg_cancel_backend($1)', [pids[0]])).rows).toEqual([
        { pg_cancel_backend: true },
      ]);
      await sleeping;
      for (const client of [busy, open, failed, watcher]) await client.end();
    },
    TIMEOUT_MS,
  );
});

function pidOf(client: pg.Client): number {
  return (client as unknown as { processID: number }).processID;
}

/** What psql sends for Ctrl-C: a connection of its own, with the key of the session. */
async function cancel(client: pg.Client, port: number): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const request = Buffer.alloc(16);
  for (const [at, word] of [16, 80_877_102, processID, secretKey].entries()) {
    request.writeInt32BE(word, 4 * at);
  }
  const socket = dial(port, '127.0.0.1');
  socket.end(request);
  socket.resume();
  await once(socket, 'close');
}
