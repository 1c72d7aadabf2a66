// A node's life as its operator sees it: start, stop, start again, and what cannot be started.

import { describe, expect, test } from '@jest/globals';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { NodeProcess, freePort, trustsql, type Finished } from './process.ts';

const TIMEOUT_MS = 120_000;

async function query(node: NodeProcess, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

/** One sentence for the operator, no stack, and the exit code of "cannot start". */
function expectRefusal(finished: Finished, pattern: RegExp): void {
  expect(finished.stderr).toMatch(pattern);
  expect(finished.stderr).not.toMatch(/\n\s+at /);
  expect(finished.code).toBe(3);
}

describe('a node', () => {
  test(
    'keeps what was written over a stop and a start, and its password file is private',
    async () => {
      await using node = await NodeProcess.start();
      await query(node, 'CREATE TABLE kept (id int PRIMARY KEY, v text)');
      await query(node, `INSERT INTO kept VALUES (1, 'x')`);
      expect(statSync(path.join(node.data, 'admin.url')).mode & 0o777).toBe(0o600);
      const url = await node.adminUrl();
      expect(url).toMatch(/^postgresql:\/\/admin:[^@]+@127\.0\.0\.1:\d+\/ledger\?sslmode=require$/);
      expect(node.output).not.toContain(new URL(url).password);
      expect(await node.stop()).toBe(0);
      await node.start();
      expect((await query(node, 'SELECT * FROM kept')).rows).toEqual([{ id: 1, v: 'x' }]);
    },
    TIMEOUT_MS,
  );

  test(
    'tells its clients when it stops',
    async () => {
      await using node = await NodeProcess.start();
      const client = new pg.Client({ connectionString: await node.clearUrl() });
      const ended = new Promise<{ code?: string }>((resolve) => {
        client.on('error', (error) => resolve(error as { code?: string }));
      });
      await client.connect();
      expect(await node.stop()).toBe(0);
      expect((await ended).code).toBe('57P01');
    },
    TIMEOUT_MS,
  );

  test(
    'refuses a directory that another node uses, and a port in use',
    async () => {
      await using node = await NodeProcess.start();
      const again = await trustsql('start', ...node.flags, '--port', '0');
      expectRefusal(again, /in use|another process|locked/i);
      const taken = createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => taken.once('listening', resolve));
      const { port } = taken.address() as { port: number };
      await node.stop();
      const refused = await trustsql('start', ...node.flags, '--port', String(port));
      taken.close();
      expectRefusal(refused, /port is in use/);
    },
    TIMEOUT_MS,
  );

  test(
    'refuses a directory that is not its own',
    async () => {
      await using node = await NodeProcess.start();
      await node.stop();
      const foreign = path.join(node.directory, 'foreign');
      mkdirSync(foreign);
      writeFileSync(path.join(foreign, 'precious.txt'), 'mine');
      const keys = ['--key-file', path.join(node.directory, 'other.key')];
      const refused = await trustsql('start', '--data', foreign, ...keys, '--port', '0');
      expectRefusal(refused, /foreign/);
      const file = path.join(node.directory, 'file');
      writeFileSync(file, '');
      expectRefusal(await trustsql('start', '--data', file, ...keys, '--port', '0'), /file/);
    },
    TIMEOUT_MS,
  );

  test('refuses an option that does not exist', async () => {
    const refused = await trustsql('start', '--prot', '5433');
    expect(refused.stderr).toContain('--prot');
    expect(refused.code).toBe(2);
  });
});

test(
  'V8 frees no WebAssembly code while it runs',
  async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-test-'));
    await using node = NodeProcess.on(
      directory,
      path.join(directory, 'data'),
      await freePort(),
      [],
    );
    node.nodeFlags = [...node.nodeFlags, '--trace-wasm-code-gc'];
    await node.start();
    // Compiled anew, because it is much used: what it was before would be freed.
    for (let i = 0; i < 20; i += 1) await query(node, `CREATE TABLE t${i} (id int PRIMARY KEY)`);
    await node.stop();
    expect(node.output).not.toContain('[wasm-gc]');
  },
  TIMEOUT_MS,
);
