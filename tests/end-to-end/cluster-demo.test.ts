// `npm run cluster` as a person uses it: one command, four nodes, one of which dies and comes back.

import { expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { freePorts } from './cluster-process.ts';
import { PROJECT } from './process.ts';

const TIMEOUT_MS = 170_000;
const WAIT_MS = 60_000;
const NODES = [1, 2, 3, 4];

class Running {
  readonly child: ChildProcess;
  readonly closed: Promise<unknown>;
  output = '';

  constructor(...parameters: string[]) {
    this.child = spawn(process.execPath, [path.join(PROJECT, 'cli/main.ts'), ...parameters], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.closed = once(this.child, 'close');
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }
  }

  /** Waits for a text after `from` characters of its output. @returns where it ends */
  async says(wanted: RegExp, from = 0): Promise<number> {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      const found = wanted.exec(this.output.slice(from));
      if (found !== null) return from + found.index + found[0].length;
      if (Date.now() > end) throw new Error(`${String(wanted)} is not in\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Asks it to stop. @returns its exit code */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const closed = once(this.child, 'close');
    this.child.kill('SIGTERM');
    const [code] = (await closed) as [number | null];
    return code;
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('makes nothing where its ports are in use', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-demo-'));
  const folder = path.join(directory, 'cluster');
  const port = await freePorts(8);
  const other = createServer().listen(port + 1, '127.0.0.1');
  await once(other, 'listening');
  const ports = ['--port', String(port), '--peer-port', String(port + 4)];
  const keys = ['--key-file', path.join(directory, 'master.key')];
  const demo = new Running('cluster', 'demo', '--data', folder, ...ports, ...keys);
  try {
    await demo.says(/127\.0\.0\.1:\d+: the port is in use by another program/);
    await demo.closed;
    expect([demo.child.exitCode, demo.output]).toEqual([
      3,
      expect.stringContaining(`:${port + 1}: `),
    ]);
    expect(await readdir(directory)).toEqual([]);
  } finally {
    await demo.stop();
    other.close();
    await rm(directory, { recursive: true, force: true });
  }
});

test(
  'is a cluster that outlives a node, and leaves no process behind',
  async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'trustsql-demo-'));
    const folder = path.join(directory, 'cluster');
    const port = await freePorts(8);
    const ports = ['--port', String(port), '--peer-port', String(port + 4)];
    const keys = ['--key-file', path.join(directory, 'master.key')];
    const demo = new Running('cluster', 'demo', '--data', folder, ...ports, ...keys);
    let again: Running | null = null;
    let pids: number[] = [];
    const ask = async (node: number, text: string): Promise<unknown[]> => {
      const url = new URL(await readFile(path.join(folder, `node${node}`, 'admin.url'), 'utf8'));
      url.searchParams.delete('sslmode');
      const client = new pg.Client({ connectionString: url.href });
      await client.connect();
      try {
        return (await client.query({ text, rowMode: 'array' })).rows;
      } finally {
        await client.end();
      }
    };
    try {
      let at = await demo.says(/node 4 {2}process \d+\n/);
      pids = [...demo.output.matchAll(/process (\d+)$/gm)].map((found) => Number(found[1]));
      expect(pids).toHaveLength(4);
      for (const node of NODES) expect(demo.output).toContain(`node${node}/admin.url)"`);
      at = await demo.says(/raft mode, term \d+( \| node \d: block \d+(, leads)?){4}\n/, at);

      await ask(1, 'CREATE TABLE note (id int PRIMARY KEY, v text)');
      await ask(1, `INSERT INTO note VALUES (1, 'from node 1')`);
      const read = (): Promise<unknown[]> => ask(3, 'SELECT v FROM note').catch(() => []);
      while ((await read()).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await read()).toEqual([['from node 1']]);

      process.kill(pids[1]!, 'SIGKILL');
      at = await demo.says(/node2 has ended by SIGKILL/, at);
      at = await demo.says(/node 2: ended/, at);
      await ask(4, `INSERT INTO note VALUES (2, 'without node 2')`);

      const [, config] = /npx trustsql start --config (\S+)/.exec(demo.output)!;
      again = new Running('start', '--config', config!);
      at = await demo.says(/node 2: block \d+/, at);
      await again.says(/TrustSQL is ready/);

      expect(await demo.stop()).toBe(0);
      expect(pids.filter(isThere)).toEqual([]);
      expect(await again.stop()).toBe(0);
      expect(demo.output).toContain('All nodes have stopped.');
    } finally {
      await demo.stop();
      await again?.stop();
      for (const pid of pids.filter(isThere)) process.kill(pid, 'SIGKILL');
      await rm(directory, { recursive: true, force: true });
    }
  },
  TIMEOUT_MS,
);
