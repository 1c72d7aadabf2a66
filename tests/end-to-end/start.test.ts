// What keeps a node from starting is said in one clear sentence, and the exit code is not zero.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { once } from 'node:events';
import { chmodSync, cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { ClusterProcess } from './cluster-process.ts';
import { freePort, NodeProcess, trustsql } from './process.ts';

const TIMEOUT_MS = 180_000;
/** Cannot start: docs/operations.md. */
const UNAVAILABLE = 3;

let node: NodeProcess;
let port = 0;
const at = (name: string): string => path.join(node.directory, name);
const keyFile = (): string => at('master.key');

/** Starts a node that must refuse. Returns its sentence. */
async function refusal(data: string, ...flags: string[]): Promise<string> {
  const given = ['--data', data, '--port', String(port), '--key-file', keyFile(), ...flags];
  const { code, stdout, stderr } = await trustsql('start', ...given);
  expect([code, stdout]).toEqual([UNAVAILABLE, '']);
  expect(stderr).toMatch(/^trustsql: [^\n]+\n$/);
  return stderr.trim();
}

/** The same on a copy of the data directory that `work` has spoilt. */
async function refusalAfter(work: (data: string) => void): Promise<string> {
  const copy = at('copy');
  rmSync(copy, { recursive: true, force: true });
  cpSync(node.data, copy, { recursive: true });
  work(copy);
  return refusal(copy);
}

beforeAll(async () => {
  node = await NodeProcess.start();
  port = await freePort();
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  await client.connect();
  await client.query('CREATE TABLE account (id int PRIMARY KEY, balance numeric(12,2))');
  await client.query('INSERT INTO account VALUES (1, 100)');
  await client.end();
}, TIMEOUT_MS);
afterAll(() => node[Symbol.asyncDispose]());

test(
  'a data directory that a node runs on is in use',
  async () => {
    expect(await refusal(node.data)).toContain('in use by another process');
    await node.stop();
  },
  TIMEOUT_MS,
);

test(
  'a port that another program has',
  async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const taken = (server.address() as { port: number }).port;
    const said = await refusal(node.data, '--port', String(taken));
    expect(said).toContain(`127.0.0.1:${taken}: the port is in use`);
    server.close();
  },
  TIMEOUT_MS,
);

test(
  'a port for peers that another program has',
  async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const taken = (server.address() as { port: number }).port;
    await using cluster = await ClusterProcess.found(3, 'raft');
    const said = await refusal(
      cluster.nodes[0]!.data,
      ...['--key-file', path.join(cluster.directory, 'master.key'), '--peer-port', String(taken)],
    );
    expect(said).toContain(`127.0.0.1:${taken}: the port is in use`);
    server.close();
  },
  TIMEOUT_MS,
);

test(
  'a directory of something else, a file, and a place where nothing can be made',
  async () => {
    writeFileSync(at('letter'), 'dear');
    expect(await refusal(node.directory)).toContain('not empty, and no ledger');
    expect(await refusal(at('letter'))).toContain('letter');
    expect(await refusal('/proc/trustsql')).toContain('/proc/trustsql');
    expect(readFileSync(at('letter'), 'utf8')).toBe('dear');
  },
  TIMEOUT_MS,
);

test(
  'a ledger of a newer format',
  async () => {
    const said = await refusalAfter((data) => {
      const file = path.join(data, 'trustsql.json');
      const marker = JSON.parse(readFileSync(file, 'utf8'));
      writeFileSync(file, JSON.stringify({ ...marker, version: 99 }));
    });
    expect(said).toContain('format version 99');
  },
  TIMEOUT_MS,
);

test(
  'a master key that is missing, open to others, or not the right one',
  async () => {
    expect(await refusal(node.data, '--key-file', at('none'))).toContain('master key is missing');
    const other = at('other.key');
    await trustsql('init', '--data', at('other'), '--key-file', other);
    expect(await refusal(node.data, '--key-file', other)).toContain('another master key');
    chmodSync(other, 0o644);
    expect(await refusal(node.data, '--key-file', other)).toContain('0600');
  },
  TIMEOUT_MS,
);

test(
  'files that were cut, are gone, or were edited, by their names',
  async () => {
    const blocks = 'chain/blocks-000000000000.sqlite';
    for (const file of [blocks, 'chain/index.sqlite', 'state/shard-00.sqlite', 'identity.sqlite']) {
      const said = await refusalAfter((data) => truncateSync(path.join(data, file), 5000));
      expect(said).toContain(path.basename(file));
    }
    for (const file of [blocks, 'identity.sqlite', 'keys/node.key']) {
      const said = await refusalAfter((data) => rmSync(path.join(data, file)));
      expect(said).toContain(path.basename(file));
    }
    const edited = await refusalAfter((data) => {
      const database = new Database(path.join(data, 'state/shard-00.sqlite'));
      const table = database
        .prepare(`SELECT name FROM sqlite_master WHERE name GLOB 'r[0-9]*'`)
        .pluck()
        .get();
      database.exec(`UPDATE ${String(table)} SET c2 = 999999`);
      database.close();
    });
    expect(edited).toMatch(/shard-00\.sqlite: row 1 of table account is not as block \d+ wrote it/);
  },
  TIMEOUT_MS,
);

test(
  'what can be derived from the chain is made again',
  async () => {
    for (const file of ['chain/index.sqlite', 'state/shard-00.sqlite']) {
      rmSync(path.join(node.data, file));
      await node.start();
      const client = new pg.Client({ connectionString: await node.clearUrl() });
      await client.connect();
      const { rows } = await client.query('SELECT balance FROM account');
      expect(rows).toEqual([{ balance: '100.00' }]);
      await client.end();
      await node.stop();
    }
    expect(await node.verify()).toMatchObject({ code: 0 });
  },
  TIMEOUT_MS,
);
