// The ledger seen from SQL: its views and histories, the past, its functions; and the functions of a session.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { NodeProcess } from './process.ts';

const TIMEOUT_MS = 120_000;

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

async function height(): Promise<number> {
  return Number((await rows('SELECT height FROM ledger.chain'))[0]![0]);
}

beforeAll(async () => {
  node = await NodeProcess.start();
  client = await connect();
  await client.query(
    'CREATE TABLE account (id int PRIMARY KEY, owner text, balance numeric(12,2))',
  );
  await client.query(`INSERT INTO account VALUES (1, 'ann', 100), (2, 'bob', 50)`);
}, TIMEOUT_MS);

afterAll(async () => {
  await client.end();
  await node[Symbol.asyncDispose]();
});

describe('views of schema ledger', () => {
  test('name every transaction with its statement, and what it did', async () => {
    const [last] = await rows(
      `SELECT t.author, t.status, t.statement, r.inserted, r.sqlstate, r.versions
       FROM ledger.transactions t JOIN ledger.receipts r ON r.transaction = t.id
       WHERE t.statement LIKE 'INSERT INTO account%'`,
    );
    const statement = `INSERT INTO account VALUES (1, 'ann', 100), (2, 'bob', 50)`;
    expect(last).toEqual(['admin', 'committed', statement, '2', null, '2']);
  });

  test('chain the blocks: each names the one before', async () => {
    const broken = await rows(
      `SELECT b.height FROM ledger.blocks b JOIN ledger.blocks p ON p.height = b.height - 1
       WHERE b.parent <> p.hash`,
    );
    expect(broken).toEqual([]);
    const [count] = await rows('SELECT count(*) = max(height) + 1 FROM ledger.blocks');
    expect(count).toEqual([true]);
  });

  test('describe files, accounts and relations', async () => {
    const shards = await rows('SELECT shard, file, bytes > 0, tables > 0 FROM ledger.shards');
    expect(shards).toEqual([[0, 'state/shard-00.sqlite', true, true]]);
    const accounts = await rows('SELECT name, length(public_key), custody FROM ledger.accounts');
    expect(accounts).toEqual([['admin', 32, 'hosted']]);
    const relations = await rows(
      `SELECT schema, kind, append_only FROM ledger.relations WHERE name = 'account'`,
    );
    expect(relations).toEqual([['public', 'table', false]]);
  });
});

describe('the past', () => {
  test('is in history: versions, and the ends of rows', async () => {
    await client.query('CREATE TABLE item (id int PRIMARY KEY, v int)');
    await client.query('INSERT INTO item VALUES (1, 10)');
    await client.query('UPDATE item SET v = 11 WHERE id = 1');
    await client.query('DELETE FROM item WHERE id = 1');
    const versions = await rows(
      `SELECT id, v, _operation, _author, _valid_to - _valid_from > 0, length(_transaction)
       FROM history.item ORDER BY _valid_from`,
    );
    expect(versions).toEqual([
      [1, 10, 'insert', 'admin', true, 32],
      [1, 11, 'update', 'admin', true, 32],
      [1, 11, 'delete', 'admin', false, 32],
    ]);
  });

  test('can be looked at by a whole session, by height and by time', async () => {
    const before = await height();
    await client.query('UPDATE account SET balance = balance + 900 WHERE id = 1');
    await client.query('CREATE TABLE newer (id int)');
    await client.query(`SET ledger.as_of = '${before}'`);
    try {
      expect(await rows('SELECT balance FROM account WHERE id = 1')).toEqual([['100.00']]);
      expect(await rows('SELECT sum(balance) FROM account')).toEqual([['150.00']]);
      await expect(rows('SELECT * FROM newer')).rejects.toMatchObject({ code: '42P01' });
      await expect(rows('DELETE FROM account')).rejects.toMatchObject({ code: '25006' });
    } finally {
      await client.query('RESET ledger.as_of');
    }
    expect(await rows('SELECT balance FROM account WHERE id = 1')).toEqual([['1000.00']]);
    const [[time]] = (await rows('SELECT time::text FROM ledger.blocks WHERE height = $1', [
      before,
    ])) as [[string]];
    await client.query(`SET ledger.as_of = '${time}'`);
    const then = await rows('SELECT balance FROM account WHERE id = 1');
    await client.query('RESET ledger.as_of');
    expect(then).toEqual([['100.00']]);
  });

  test('does not reach beyond the ledger', async () => {
    for (const text of ['99999999', '2001-01-01', '2999-01-01']) {
      await expect(client.query(`SET ledger.as_of = '${text}'`)).rejects.toMatchObject({
        code: 'TL002',
      });
    }
    await expect(client.query(`SET ledger.as_of = 'soon'`)).rejects.toMatchObject({
      code: '22007',
    });
  });
});

describe('functions of schema ledger', () => {
  test('sign a digest of everything', async () => {
    const [[note]] = (await rows('SELECT ledger.digest()')) as [[string]];
    expect(note).toMatch(/^trustsql\/[0-9a-f]{64}\n\d+\n[^\n]+\n\n— trustsql\//);
  });

  test('prove a row by its key, given in whatever way', async () => {
    const [proofs] = await rows(`SELECT ledger.proof('account', 1), ledger.proof('account', '1')`);
    const bundle = JSON.parse(proofs![0] as string) as { format: string };
    expect(bundle.format).toBe('trustsql-row-proof');
    expect(JSON.parse(proofs![1] as string)).toEqual(bundle);
    const [[given]] = (await rows('SELECT ledger.proof($1, $2)', ['account', '2'])) as [[string]];
    expect(JSON.parse(given)).toMatchObject({ format: bundle.format });
    expect(await rows(`SELECT ledger.proof('account', 77)`)).toEqual([[null]]);
    await expect(rows(`SELECT ledger.proof('account', 1, 2)`)).rejects.toMatchObject({
      code: '22023',
    });
    await expect(rows('SELECT ledger.proof(owner, 1) FROM account')).rejects.toMatchObject({
      code: '0A000',
    });
  });

  test('show proofs only to those who may read all that is in them', async () => {
    await client.query('CREATE ROLE reader');
    await client.query('GRANT SELECT (id) ON account TO reader');
    await client.query('SET ROLE reader');
    try {
      await expect(rows(`SELECT ledger.proof('account', 1)`)).rejects.toMatchObject({
        code: '42501',
      });
    } finally {
      await client.query('RESET ROLE');
    }
  });

  test('say what became of a transaction, also where nobody else has to confirm it', async () => {
    const written = await connect();
    await written.query(`SET ledger.confirm = 'all'`);
    await written.query('CREATE TABLE confirmed (id int PRIMARY KEY)');
    const id = (await written.query('SHOW ledger.last_transaction')).rows[0][
      'ledger.last_transaction'
    ] as string;
    await written.end();
    const statusOf = async (call: string, ...values: unknown[]): Promise<unknown> =>
      (await rows(`SELECT ${call}`, values))[0]![0];
    const committed = { transaction: id, status: 'committed', position: 0 };
    for (const [call, value] of [
      ['ledger.transaction_status($1::text)', id],
      ['ledger.transaction_status($1::bytea, now())', Buffer.from(id, 'hex')],
    ] as const) {
      expect(await statusOf(call, value)).toMatchObject(committed);
    }
    const other = 'cd'.repeat(32);
    const status = 'ledger.transaction_status($1::text, $2::timestamptz)';
    expect(await statusOf(status, other, null)).toMatchObject({ status: 'unknown' });
    expect(await statusOf(status, other, '2001-01-01')).toMatchObject({ status: 'never' });
    expect(await statusOf(status, other, 'infinity')).toMatchObject({ status: 'unknown' });
    expect(await statusOf(status, null, null)).toBeNull();
  });

  test('give the receipt of a transaction', async () => {
    await client.query(`INSERT INTO account VALUES (3, 'cy', 1)`);
    const [[id]] = (await rows('SHOW ledger.last_transaction')) as [[string]];
    const [[receipt]] = (await rows('SELECT ledger.receipt($1::text)', [id])) as [[object]];
    expect(receipt).toMatchObject({
      transaction: id,
      status: 'committed',
      operations: [{ inserted: 1, updated: 0, deleted: 0 }],
    });
  });
});

describe('functions of the session', () => {
  test('draw from sequences as often as a query has rows', async () => {
    await client.query('CREATE SEQUENCE s');
    const [answer] = await rows(
      `SELECT count(*), count(DISTINCT n) FROM (SELECT nextval('s') n FROM generate_series(1, 3000)) x`,
    );
    expect(answer).toEqual(['3000', '3000']);
    await client.query(`SELECT setval('s', 10, false)`);
    expect(await rows(`SELECT nextval('s'), currval('s'), lastval()`)).toEqual([
      ['10', '10', '10'],
    ]);
    const other = await connect();
    await expect(other.query(`SELECT currval('s')`)).rejects.toMatchObject({ code: '55000' });
    await other.end();
  });

  test('move sequences with the transaction that has made or restarted them', async () => {
    await client.query('BEGIN');
    await client.query('CREATE TABLE made (id serial PRIMARY KEY, v int)');
    expect(await rows('INSERT INTO made (v) VALUES (1), (2) RETURNING id')).toEqual([[1], [2]]);
    await client.query(`SELECT setval('made_id_seq', 40)`);
    await client.query('COMMIT');
    expect(await rows('INSERT INTO made (v) VALUES (3) RETURNING id')).toEqual([[41]]);
    await client.query('BEGIN');
    await client.query('TRUNCATE made RESTART IDENTITY');
    expect(await rows('INSERT INTO made (v) VALUES (4) RETURNING id')).toEqual([[1]]);
    await client.query('COMMIT');
    expect(await rows('SELECT id, v FROM made')).toEqual([[1, 4]]);
    await client.query('ALTER SEQUENCE made_id_seq RESTART WITH 500');
    expect(await rows('INSERT INTO made (v) VALUES (5) RETURNING id')).toEqual([[500]]);
  });

  test('hold advisory locks against other sessions, to the end of their level', async () => {
    const other = await connect();
    const free = async (): Promise<boolean> => {
      const answer = await other.query('SELECT pg_try_advisory_lock(7) AS taken');
      if (answer.rows[0].taken) await other.query('SELECT pg_advisory_unlock(7)');
      return answer.rows[0].taken;
    };
    await client.query('SELECT pg_advisory_lock(7)');
    expect(await free()).toBe(false);
    await client.query('SELECT pg_advisory_unlock(7)');
    expect(await free()).toBe(true);
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock(7)');
    expect(await free()).toBe(false);
    expect(await rows('SELECT pg_advisory_unlock(7)')).toEqual([[false]]);
    await client.query('ROLLBACK');
    expect(await free()).toBe(true);
    await other.end();
  });

  test('wait for a lock, and stop waiting when told to', async () => {
    const other = await connect();
    await client.query('SELECT pg_advisory_lock(8)');
    await other.query(`SET lock_timeout = '50ms'`);
    await expect(other.query('SELECT pg_advisory_lock(8)')).rejects.toMatchObject({
      code: '55P03',
    });
    await other.query(`SET lock_timeout = 0`);
    const waiting = other.query('SELECT pg_advisory_lock(8)');
    await client.query('SELECT pg_advisory_unlock_all()');
    await waiting;
    await other.query(`SET statement_timeout = '50ms'`);
    await expect(other.query('SELECT pg_sleep(60)')).rejects.toMatchObject({ code: '57014' });
    await other.end();
  });

  test('set the role for one transaction', async () => {
    await client.query('CREATE ROLE guest');
    await client.query('BEGIN');
    await client.query(`SELECT set_config('role', 'guest', true)`);
    expect(await rows('SELECT current_user')).toEqual([['guest']]);
    await client.query('COMMIT');
    expect(await rows('SELECT current_user')).toEqual([['admin']]);
  });

  test('explain what is done', async () => {
    const first = async (text: string): Promise<unknown> => (await rows(text))[0]![0];
    expect(await first('EXPLAIN SELECT * FROM account WHERE id = 1')).toBe(
      'Point Read on account  (cost=0.00..0.00 rows=0 width=0)',
    );
    expect(await first('EXPLAIN (COSTS off) UPDATE account SET balance = 0 WHERE id = 1')).toBe(
      'Update by Row Program on account',
    );
    expect(await first('EXPLAIN (ANALYZE, TIMING off, COSTS off) SELECT * FROM account')).toMatch(
      /^Reader Query on account \(actual rows=3 loops=1\)$/,
    );
    const [plan] = JSON.parse(
      (await first('EXPLAIN (FORMAT json) SELECT * FROM account')) as string,
    );
    expect(plan.Plan).toMatchObject({ 'Node Type': 'Reader Query', 'Relation Name': 'account' });
    await expect(first('EXPLAIN ANALYZE DELETE FROM account')).rejects.toMatchObject({
      code: '0A000',
    });
  });
});
