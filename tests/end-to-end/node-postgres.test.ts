// node-postgres, as an application uses it: pool, parameters, transactions, cursors, errors, types.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { serve } from './setting.ts';

describe('node-postgres', () => {
  const server = serve();
  let pool: pg.Pool;
  beforeAll(async () => {
    pool = new pg.Pool({ connectionString: server.url(), max: 8 });
    pool.on('error', () => undefined);
    await pool.query('DROP SCHEMA IF EXISTS e2e_pg CASCADE');
    await pool.query('CREATE SCHEMA e2e_pg');
    await pool.query(`CREATE TABLE e2e_pg.account (
      id bigserial PRIMARY KEY, owner text NOT NULL UNIQUE, balance numeric(12,2) NOT NULL DEFAULT 0,
      opened timestamptz NOT NULL DEFAULT now(), tags text[], meta jsonb, photo bytea, CHECK (balance >= 0))`);
  });
  afterAll(() => pool.end());

  test('rows come back as they went in, in every type a program uses', async () => {
    const photo = Buffer.from([0, 255, 10, 92]);
    const inserted = await pool.query(
      `INSERT INTO e2e_pg.account (owner, balance, opened, tags, meta, photo)
       VALUES ($1, $2, $3, $4, $5, $6) RETURNING *`,
      ['ann', '100.50', new Date('2020-02-29T12:00:00Z'), ['a', 'b "c"'], { a: [1, null] }, photo],
    );
    expect(inserted.rows).toEqual([
      {
        id: '1',
        owner: 'ann',
        balance: '100.50',
        opened: new Date('2020-02-29T12:00:00Z'),
        tags: ['a', 'b "c"'],
        meta: { a: [1, null] },
        photo,
      },
    ]);
    expect(inserted.command).toBe('INSERT');
    expect(inserted.rowCount).toBe(1);
    const binary = await pool.query({
      text: 'SELECT id, balance, owner FROM e2e_pg.account WHERE owner = $1',
      values: ['ann'],
      binary: true,
    } as pg.QueryConfig);
    expect(binary.rows[0]).toMatchObject({ owner: 'ann' });
  });

  test('errors carry what programs look at', async () => {
    await pool.query(`INSERT INTO e2e_pg.account (owner) VALUES ('bob')`);
    const again = pool.query(`INSERT INTO e2e_pg.account (owner) VALUES ('bob')`);
    await expect(again).rejects.toMatchObject({
      code: '23505',
      severity: 'ERROR',
      schema: 'e2e_pg',
      table: 'account',
      constraint: 'account_owner_key',
      detail: 'Key (owner)=(bob) already exists.',
    });
    await expect(pool.query('SELECT * FROM nosuch')).rejects.toMatchObject({
      code: '42P01',
      position: '15',
      message: 'relation "nosuch" does not exist',
    });
    await expect(
      pool.query(`UPDATE e2e_pg.account SET balance = -1 WHERE owner = $1`, ['bob']),
    ).rejects.toMatchObject({ code: '23514', constraint: 'account_balance_check' });
    await expect(
      pool.query(`SELECT owner FROM e2e_pg.account WHERE owner = $1 AND id = $2`, ['bob', 'one']),
    ).rejects.toMatchObject({ code: '22P02', where: "unnamed portal parameter $2 = '...'" });
  });

  test('a transaction is all or nothing, and only its own session sees it before COMMIT', async () => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query(`INSERT INTO e2e_pg.account (owner, balance) VALUES ('cyd', 10)`);
      await client.query(`UPDATE e2e_pg.account SET balance = balance + 5 WHERE owner = 'cyd'`);
      const own = await client.query(`SELECT balance FROM e2e_pg.account WHERE owner = 'cyd'`);
      expect(own.rows).toEqual([{ balance: '15.00' }]);
      const others = await pool.query(`SELECT 1 FROM e2e_pg.account WHERE owner = 'cyd'`);
      expect(others.rowCount).toBe(0);
      await client.query('ROLLBACK');
      const gone = await client.query(`SELECT 1 FROM e2e_pg.account WHERE owner = 'cyd'`);
      expect(gone.rowCount).toBe(0);
    } finally {
      client.release();
    }
  });

  test('two writers of one row at REPEATABLE READ: the second gets 40001', async () => {
    await pool.query(`INSERT INTO e2e_pg.account (owner, balance) VALUES ('dee', 10)`);
    const [first, second] = [await pool.connect(), await pool.connect()];
    try {
      for (const client of [first, second]) {
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
        await client.query(`SELECT balance FROM e2e_pg.account WHERE owner = 'dee'`);
      }
      await first.query(`UPDATE e2e_pg.account SET balance = 11 WHERE owner = 'dee'`);
      await first.query('COMMIT');
      const late = second
        .query(`UPDATE e2e_pg.account SET balance = 12 WHERE owner = 'dee'`)
        .then(() => second.query('COMMIT'));
      await expect(late).rejects.toMatchObject({ code: '40001' });
      await second.query('ROLLBACK');
    } finally {
      first.release();
      second.release();
    }
  });

  test('eight clients count together and nothing is lost', async () => {
    await pool.query('CREATE TABLE e2e_pg.hits (id int PRIMARY KEY, n int NOT NULL)');
    await pool.query('INSERT INTO e2e_pg.hits VALUES (1, 0)');
    const count = async (): Promise<void> => {
      for (let i = 0; i < 25; i += 1) {
        await pool.query('UPDATE e2e_pg.hits SET n = n + 1 WHERE id = $1', [1]);
      }
    };
    await Promise.all(Array.from({ length: 8 }, count));
    const { rows } = await pool.query('SELECT n FROM e2e_pg.hits');
    expect(rows).toEqual([{ n: 200 }]);
  });

  test('a cursor gives rows in pieces, two cursors at once', async () => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      const odd = client.query(new Cursor('SELECT n FROM generate_series(1, 1000) n'));
      expect(await odd.read(3)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
      expect(await odd.read(1)).toEqual([{ n: 4 }]);
      expect(await odd.read(10_000)).toHaveLength(996);
      expect(await odd.read(1)).toEqual([]);
      await odd.close();
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  });

  test('named statements are prepared once and survive a failed transaction', async () => {
    const client = await pool.connect();
    const statement = {
      name: 'by-owner',
      text: 'SELECT owner FROM e2e_pg.account WHERE owner = $1',
    };
    try {
      expect((await client.query({ ...statement, values: ['ann'] })).rowCount).toBe(1);
      await client.query('BEGIN');
      await expect(client.query('SELECT 1 / 0')).rejects.toMatchObject({ code: '22012' });
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
      await client.query('ROLLBACK');
      expect((await client.query({ ...statement, values: ['bob'] })).rowCount).toBe(1);
    } finally {
      client.release();
    }
  });

  test('statement_timeout ends a runaway query and leaves the session usable', async () => {
    const client = await pool.connect();
    try {
      await client.query('SET statement_timeout = 300');
      const runaway = client.query(
        'SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b',
      );
      await expect(runaway).rejects.toMatchObject({ code: '57014' });
      await client.query('RESET statement_timeout');
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    } finally {
      client.release();
    }
  });

  test('a wrong password is refused', async () => {
    const url = new URL(server.url());
    if (url.password === '') return;
    url.password = 'wrong';
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
  });
});
