// Whatever a statement computes, others are served meanwhile, and it can be cancelled.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { serve } from './setting.ts';

const TIMEOUT_MS = 120_000;
const TURNS = 20;
/** Backtracks for longer than anybody waits. */
const ENDLESS = `regexp_replace(repeat('a', 60) || 'b', '(a+)+$', 'x')`;

/** Statements that do not end by themselves. */
const STATEMENTS = {
  'a value of INSERT': `INSERT INTO t VALUES (1001, ${ENDLESS})`,
  'a value of INSERT beside a DEFAULT': `INSERT INTO t VALUES (DEFAULT, ${ENDLESS})`,
  'a subquery in INSERT': `INSERT INTO t VALUES ((SELECT count(*) FROM many a, many b, many c), '')`,
  'a column default': 'INSERT INTO slow (id) VALUES (1)',
  RETURNING: `INSERT INTO t VALUES (1002, 'b') RETURNING ${ENDLESS}`,
  'ON CONFLICT DO UPDATE': `INSERT INTO t VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET v = ${ENDLESS} || excluded.v`,
  'a value of UPDATE': `UPDATE t SET v = regexp_replace(repeat('a', 60) || id, '(a+)+$', 'x') WHERE id = 1`,
  'a condition of UPDATE': `UPDATE t SET v = 'x' WHERE id = 1 AND repeat('a', 60) || v ~ '^(a+)+$'`,
  'a condition of DELETE': `DELETE FROM t WHERE repeat('a', 60) || v ~ '^(a+)+$'`,
  'the key of a point read': `SELECT * FROM t WHERE id = length(${ENDLESS})`,
  'a query that draws': `SELECT nextval('s') FROM generate_series(1, 1000000000)`,
  'a query with settings': `SELECT count(*), current_setting('work_mem') FROM many a, many b, many c`,
  'a query with session functions of rows': `SELECT pg_backend_pid(), count(*) FROM many a, many b, many c`,
  'a condition of the session': `SELECT a.id FROM many a, many b, many c WHERE pg_try_advisory_xact_lock(-1) AND a.id + b.id + c.id < 0`,
  'an argument of a session function': `SELECT set_config('a.b', ${ENDLESS}, false) FROM t WHERE id = 1`,
  'a query without tables': 'SELECT count(*) FROM generate_series(1, 10000000000)',
  'a recursive query':
    'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n % 7 FROM r) SELECT count(*) FROM r',
  'EXPLAIN ANALYZE': 'EXPLAIN ANALYZE SELECT count(*) FROM many a, many b, many c',
};

describe('statements that do not end', () => {
  const served = serve();
  let steady: pg.Client;
  let wild: pg.Client;
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: served.url() });
    // The node ends before its clients.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  beforeAll(async () => {
    steady = await connect();
    wild = await connect();
    await steady.query('CREATE SEQUENCE s START 2000');
    await steady.query(`CREATE TABLE t (id int PRIMARY KEY DEFAULT nextval('s'), v text)`);
    await steady.query('CREATE TABLE many (id int PRIMARY KEY)');
    await steady.query(`CREATE TABLE slow (id int, v text DEFAULT ${ENDLESS})`);
    await steady.query(`INSERT INTO t SELECT n, 'b' FROM generate_series(1, 10) n`);
    await steady.query('INSERT INTO many SELECT n FROM generate_series(1, 20000) n');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await steady.end();
    await wild.end();
  });

  test.each(Object.entries(STATEMENTS))(
    '%s',
    async (name, text) => {
      const { rows } = await wild.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      let ended = false;
      const outcome = wild.query(text).then(
        () => 'an answer',
        (error: unknown) => (error as { code: string }).code,
      );
      void outcome.finally(() => (ended = true));
      // Old texts and new ones, reads and writes.
      for (let turn = 0; turn < TURNS; turn += 1) {
        await steady.query('SELECT v FROM t WHERE id = $1', [2]);
        await steady.query(`SELECT count(*) AS "${name} ${turn}" FROM t`);
        await steady.query('UPDATE t SET v = $1 WHERE id = 2', [`${turn}`]);
      }
      expect(ended).toBe(false);
      await steady.query('SELECT pg_cancel_backend($1)', [rows[0]!.pid]);
      expect(await outcome).toBe('57014');
      expect((await wild.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    },
    TIMEOUT_MS,
  );

  test(
    'parents of an unindexed child, in one statement',
    async () => {
      await steady.query('CREATE TABLE parent (id int PRIMARY KEY)');
      await steady.query('CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)');
      await steady.query('INSERT INTO parent SELECT n FROM generate_series(1, 2000) n');
      await steady.query(
        'INSERT INTO child SELECT n, 1001 + n % 1000 FROM generate_series(1, 50000) n',
      );
      let ended = false;
      const outcome = wild.query('DELETE FROM parent WHERE id <= 1000');
      void outcome.finally(() => (ended = true));
      await steady.query('SELECT v FROM t WHERE id = $1', [2]);
      expect(ended).toBe(false);
      expect((await outcome).rowCount).toBe(1000);
      await expect(steady.query('DELETE FROM parent')).rejects.toMatchObject({ code: '23503' });
    },
    TIMEOUT_MS,
  );

  test(
    'lengths that no value has are refused',
    async () => {
      const grown = `repeat('a', 1000000) || 'b'`;
      for (const text of [
        `INSERT INTO t VALUES (1, repeat('x', 1000000000))`,
        `INSERT INTO t VALUES (1, lpad('x', 1000000000))`,
        `INSERT INTO t VALUES (1, replace(${grown}, 'a', repeat('b', 1000000)))`,
      ]) {
        await expect(steady.query(text)).rejects.toMatchObject({ code: '54000' });
      }
    },
    TIMEOUT_MS,
  );
});
