// Roles that log in, what they may do, and that no secret of theirs is found anywhere.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { NodeProcess } from './process.ts';

const TIMEOUT_MS = 120_000;
const FIRST = 'open-sesame-7351';
const SECOND = 'close-sesame-9264';

describe('roles', () => {
  let node: NodeProcess;
  let admin: pg.Client;
  beforeAll(async () => {
    node = await NodeProcess.start();
    admin = await connectAs();
    await admin.query('CREATE TABLE paper (id int PRIMARY KEY, text text, secret text)');
    await admin.query(`INSERT INTO paper VALUES (1, 'shown', 'hidden')`);
    await admin.query(`CREATE ROLE clerk LOGIN PASSWORD '${FIRST}'`);
    await admin.query('CREATE ROLE staff NOLOGIN');
    await admin.query('GRANT SELECT (id, text), INSERT (id, text) ON paper TO clerk');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await admin.end();
    await node[Symbol.asyncDispose]();
  });

  /** Without a name, as the administrator. */
  async function connectAs(role?: string, password?: string): Promise<pg.Client> {
    const url = new URL(await node.clearUrl());
    if (role !== undefined) url.username = role;
    if (password !== undefined) url.password = password;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  test(
    'log in with their password and with no other',
    async () => {
      const clerk = await connectAs('clerk', FIRST);
      const { rows } = await clerk.query('SELECT current_user, session_user');
      expect(rows).toEqual([{ current_user: 'clerk', session_user: 'clerk' }]);
      await clerk.end();
      await expect(connectAs('clerk', 'wrong')).rejects.toMatchObject({ code: '28P01' });
      await expect(connectAs('nobody', FIRST)).rejects.toMatchObject({ code: '28P01' });
      await expect(connectAs('staff', FIRST)).rejects.toMatchObject({
        code: expect.stringMatching(/^28(000|P01)$/),
      });
    },
    TIMEOUT_MS,
  );

  test(
    'may do what was granted and nothing else',
    async () => {
      const clerk = await connectAs('clerk', FIRST);
      expect((await clerk.query('SELECT id, text FROM paper')).rows).toHaveLength(1);
      await clerk.query(`INSERT INTO paper (id, text) VALUES (2, 'by the clerk')`);
      const denied = [
        'SELECT * FROM paper',
        'SELECT secret FROM paper',
        `INSERT INTO paper VALUES (3, 'x', 'y')`,
        `UPDATE paper SET text = 'x'`,
        'DELETE FROM paper',
        'DROP TABLE paper',
        'CREATE ROLE other',
        'GRANT SELECT ON paper TO staff',
        'SELECT secret FROM history.paper',
      ];
      for (const text of denied) {
        const refused = clerk.query(text).then(
          () => 'allowed',
          (error: pg.DatabaseError) => error.code,
        );
        expect([text, await refused]).toEqual([text, '42501']);
      }
      await clerk.end();
    },
    TIMEOUT_MS,
  );

  test('sign their own transactions', async () => {
    const { rows } = await admin.query<{ author: string }>(
      `SELECT a.name AS author FROM ledger.transactions t JOIN ledger.accounts a ON a.name = t.author
       WHERE t.statement LIKE 'INSERT INTO paper (id, text)%'`,
    );
    expect(rows).toEqual([{ author: 'clerk' }]);
  });

  test(
    'change their password, and the old one is worth nothing',
    async () => {
      await admin.query(`ALTER ROLE clerk PASSWORD '${SECOND}'`);
      await expect(connectAs('clerk', FIRST)).rejects.toMatchObject({ code: '28P01' });
      await (await connectAs('clerk', SECOND)).end();
      await node.stop();
      await node.start();
      admin = await connectAs();
      await (await connectAs('clerk', SECOND)).end();
    },
    TIMEOUT_MS,
  );

  test(
    'have no secret in any file or in the log',
    async () => {
      const { password } = new URL(await node.clearUrl());
      const files = globSync('**/*', { cwd: node.data }).filter((name) => {
        return name !== 'admin.url' && statSync(path.join(node.data, name)).isFile();
      });
      expect(files.length).toBeGreaterThan(4);
      const found = files.filter((name) => {
        const bytes = readFileSync(path.join(node.data, name));
        return [FIRST, SECOND, password].some((secret) => bytes.includes(secret));
      });
      expect(found).toEqual([]);
      expect(node.output).not.toContain(password);
      expect(node.output).not.toContain(SECOND);
      for (const name of files.filter((file) => /^(keys|identity)/.test(file))) {
        expect([name, statSync(path.join(node.data, name)).mode & 0o077]).toEqual([name, 0]);
      }
    },
    TIMEOUT_MS,
  );
});
