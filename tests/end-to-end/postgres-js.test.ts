// postgres.js: named statements described before Bind, pipelining, COPY, cursors, transactions.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import postgres from 'postgres';
import { serve } from './setting.ts';

describe('postgres.js', () => {
  const server = serve();
  let sql: postgres.Sql;
  beforeAll(async () => {
    sql = postgres(server.url(), { max: 4, onnotice: () => undefined });
    await sql`DROP SCHEMA IF EXISTS e2e_js CASCADE`;
    await sql`CREATE SCHEMA e2e_js`;
    await sql`CREATE TABLE e2e_js.item (id int PRIMARY KEY, name text, price numeric(8,2), at timestamptz, tags text[], extra jsonb)`;
  });
  afterAll(() => sql.end({ timeout: 5 }));

  test('parameters take the types the server infers', async () => {
    const at = new Date('2021-03-04T05:06:07.890Z');
    const extra = { deep: [1, { x: null }] };
    await sql`INSERT INTO e2e_js.item VALUES (${1}, ${'one'}, ${'9.99'}, ${at}, ${['a', 'b']}, ${sql.json(extra)})`;
    const rows = await sql`SELECT * FROM e2e_js.item WHERE id = ${1} AND price < ${10}`;
    expect(rows[0]).toEqual({ id: 1, name: 'one', price: '9.99', at, tags: ['a', 'b'], extra });
  });

  test('many rows in one INSERT, and what RETURNING gives', async () => {
    const items = Array.from({ length: 100 }, (_, n) => ({ id: n + 100, name: `item ${n}` }));
    const back = await sql`INSERT INTO e2e_js.item ${sql(items)} RETURNING id`;
    expect(back).toHaveLength(100);
    expect(back.count).toBe(100);
    const found =
      await sql`SELECT count(*)::int AS n FROM e2e_js.item WHERE id IN ${sql([100, 150, 9999])}`;
    expect(found[0]).toEqual({ n: 2 });
  });

  test('statements sent without waiting are answered in their order', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => sql`SELECT ${n}::int AS n`),
    );
    expect(answers.map((rows) => rows[0]?.['n'])).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  test('transactions with savepoints', async () => {
    await sql.begin(async (transaction) => {
      await transaction`INSERT INTO e2e_js.item (id, name) VALUES (2, 'kept')`;
      await transaction
        .savepoint(async (inner) => {
          await inner`INSERT INTO e2e_js.item (id, name) VALUES (2, 'refused')`;
        })
        .catch((error: { code: string }) => expect(error.code).toBe('23505'));
      await transaction`UPDATE e2e_js.item SET name = 'kept twice' WHERE id = 2`;
    });
    expect(await sql`SELECT name FROM e2e_js.item WHERE id = 2`).toEqual([{ name: 'kept twice' }]);
  });

  test('a cursor over more rows than fit in one piece', async () => {
    let seen = 0;
    await sql`SELECT n FROM generate_series(1, 1000) n`.cursor(100, (rows) => {
      seen += rows.length;
    });
    expect(seen).toBe(1000);
  });

  test('COPY in and out by streams', async () => {
    const writable = await sql`COPY e2e_js.item (id, name) FROM STDIN`.writable();
    await pipeline(Readable.from(['1000\tcopied\n', '1001\twith \\t tab\n']), writable);
    const readable =
      await sql`COPY (SELECT id, name FROM e2e_js.item WHERE id >= 1000 ORDER BY id) TO STDOUT`.readable();
    let text = '';
    for await (const chunk of readable) text += String(chunk);
    expect(text).toBe('1000\tcopied\n1001\twith \\t tab\n');
  });

  test('a cancelled statement ends with 57014 and its connection goes on', async () => {
    const slow =
      sql`SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b`.execute();
    setTimeout(() => slow.cancel(), 300);
    await expect(slow).rejects.toMatchObject({ code: '57014' });
    expect(await sql`SELECT 1 AS one`).toEqual([{ one: 1 }]);
  });
});
