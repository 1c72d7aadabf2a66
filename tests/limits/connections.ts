// Clients at the limits: many of them, slow ones, stuck ones, and such as ask for much and read nothing. Shell.

import { once } from 'node:events';
import pg from 'pg';
import { serialize } from 'pg-protocol';
import type { NodeProcess } from '../end-to-end/process.ts';
import { RawClient } from '../protocol/raw-client.ts';
import {
  codeOf,
  expect,
  growthDuring,
  mebibytes,
  MEBIBYTE,
  residentBytes,
  served,
  withClient,
} from './case.ts';

const CONNECTIONS = 5_000;
/** Connections that are opened at once: each of them proves a password. */
const AT_ONCE = 50;
const PIPELINED = 100_000;
const PREPARED = 100_000;
/** What a node may grow by for one client. The garbage of V8 alone is some hundred. */
const GROWTH_MAX = 600 * MEBIBYTE;

/** A case of a node that is started with CONNECTION_FLAGS. */
export interface ConnectionCase {
  readonly name: string;
  readonly run: (url: string, node: NodeProcess) => Promise<string>;
}

export const CONNECTION_FLAGS = ['--max-connections', String(CONNECTIONS)];

export const CONNECTION_CASES: readonly ConnectionCase[] = [
  { name: '5,000 connections', run: manyConnections },
  { name: 'a value of 100 MB', run: largeValues },
  { name: 'a client that asks for 1 GB and does not read it', run: bounded(slowReader) },
  {
    name: '100,000 statements in a pipeline whose answers nobody reads',
    run: bounded(pipelined),
  },
  { name: 'half a message, and silence', run: stuck },
  { name: '100,000 prepared statements on one connection', run: bounded(manyStatements) },
  { name: '10,000 cursors on one connection', run: manyPortals },
];

function bounded(work: (url: string) => Promise<string>): ConnectionCase['run'] {
  return async (url, node) => {
    let seen = '';
    const growth = await growthDuring(node, async () => {
      seen = await work(url);
    });
    expect(growth < GROWTH_MAX, `the node has grown by ${mebibytes(growth)}`);
    return `${seen}; the node grew by ${mebibytes(growth)}`;
  };
}

async function manyConnections(url: string, node: NodeProcess): Promise<string> {
  const before = residentBytes(node.pid!);
  const clients: pg.Client[] = [];
  const open = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
  };
  try {
    while (clients.length < CONNECTIONS) {
      const count = Math.min(AT_ONCE, CONNECTIONS - clients.length);
      await Promise.all(Array.from({ length: count }, open));
    }
    // Less than nothing where the garbage of the start has gone meanwhile.
    const each = Math.max(0, residentBytes(node.pid!) - before) / CONNECTIONS;
    const refused = await codeOf(open());
    expect(refused === '53300', `one connection more: ${refused}`);
    const answers = await Promise.all(
      [clients[0]!, clients.at(-1)!].map((client) => client.query('SELECT 1 AS one')),
    );
    expect(
      answers.every(({ rowCount }) => rowCount === 1),
      'not everybody is served',
    );
    expect(each < MEBIBYTE / 4, `an idle connection holds ${Math.round(each / 1024)} KiB`);
    return `53300 for one more; ${Math.round(each / 1024)} KiB for each that is idle`;
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
}

/** By a message, by a function, and in pieces that fit. */
async function largeValues(url: string, node: NodeProcess): Promise<string> {
  const text = 'x'.repeat(100_000_000);
  const sent = await withClient(url, (client) => codeOf(client.query('SELECT length($1)', [text])));
  expect(sent === '54000', `100 MB in a message: ${sent}`);
  await served(url);
  return withClient(url, async (client) => {
    await client.query('CREATE TABLE large (v text)');
    const made = await client.query<{ n: number }>(`SELECT length(repeat('x', 100000000)) AS n`);
    expect(made.rows[0]!.n === 100_000_000, 'repeat() has made something else');
    const stored = await codeOf(client.query(`INSERT INTO large SELECT repeat('x', 100000000)`));
    expect(stored === '54000', `100 MB in a row: ${stored}`);
    const fits = await codeOf(client.query(`INSERT INTO large SELECT repeat('x', 50000000)`));
    expect(fits === 'ok', `50 MB in a row: ${fits}`);
    const { rows } = await client.query<{ v: string }>('SELECT v FROM large');
    expect(rows.length === 1 && rows[0]!.v.length === 50_000_000, '50 MB have not come back');
    await served(url);
    return `54000 as a message and as a row, 50 MB come back; ${mebibytes(residentBytes(node.pid!))} resident`;
  });
}

async function slowReader(url: string): Promise<string> {
  const client = await RawClient.open(new URL(url));
  client.socket.pause();
  const text = `SELECT repeat('x', 1000) FROM generate_series(1, 1000000)`;
  client.send(serialize.query(text));
  for (let i = 0; i < 5; i += 1) await served(url);
  client.socket.destroy();
  await client.closed;
  await served(url);
  return 'others are served';
}

async function pipelined(url: string): Promise<string> {
  const client = await RawClient.open(new URL(url));
  client.socket.pause();
  const one = Buffer.concat([
    // So long that all of them are more than the kernel would hold.
    serialize.parse({
      name: '',
      text: `SELECT repeat('x', 1000) -- ${'-'.repeat(500)}`,
      types: [],
    }),
    serialize.bind({}),
    serialize.execute({}),
    serialize.sync(),
  ]);
  const many = Buffer.concat(Array.from({ length: 1_000 }, () => one));
  let sent = 0;
  for (; sent < PIPELINED / 1_000; sent += 1) {
    if (client.socket.write(many)) continue;
    // The node stops reading when its answers are not read: then it must serve the others.
    const drained = await Promise.race([
      once(client.socket, 'drain').then(() => true),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 1_000)),
    ]);
    if (!drained) break;
  }
  expect(sent < PIPELINED / 1_000, 'the node has taken everything');
  await served(url);
  client.socket.destroy();
  await client.closed;
  return `it has taken ${sent},000 and then no more`;
}

async function stuck(url: string): Promise<string> {
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(new URL(url))));
  const message = serialize.query(`SELECT '${'x'.repeat(100_000)}'`);
  for (const client of clients) client.send(message.subarray(0, 50_000));
  await served(url);
  clients[0]!.send(message.subarray(50_000));
  await clients[0]!.until('readyForQuery');
  for (const { socket } of clients) socket.destroy();
  await Promise.all(clients.map(({ closed }) => closed));
  await served(url);
  return 'others are served; the rest of a message is answered when it comes';
}

async function manyStatements(url: string): Promise<string> {
  const client = await RawClient.open(new URL(url));
  let refused = '';
  let n = 0;
  for (; n < PREPARED && refused === ''; n += 500) {
    const first = n;
    const parts = Array.from({ length: 500 }, (_, i) =>
      serialize.parse({ name: `s${first + i}`, text: `SELECT ${first + i}`, types: [] }),
    );
    client.send(...parts, serialize.sync());
    const heard = await client.until('readyForQuery');
    refused = String(heard.find(({ name }) => name === 'error')?.['code'] ?? '');
  }
  expect(refused === '54000', `too many statements: ${refused}`);
  // One without a name takes nobody's place.
  client.send(serialize.parse({ name: '', text: 'SELECT 1', types: [] }), serialize.sync());
  const heard = await client.until('readyForQuery');
  expect(heard[0]?.name === 'parseComplete', 'the session can prepare nothing any more');
  await served(url);
  client.socket.destroy();
  await client.closed;
  return `${refused} below ${n}`;
}

async function manyPortals(url: string): Promise<string> {
  return withClient(url, async (client) => {
    let cursors = 0;
    let code = 'ok';
    await client.query('BEGIN');
    for (; cursors < 10_000 && code === 'ok'; cursors += 1) {
      code = await codeOf(client.query(`DECLARE c${cursors} CURSOR FOR SELECT ${cursors}`));
    }
    expect(code === '54000', `too many cursors: ${code}`);
    await client.query('ROLLBACK');
    expect((await codeOf(client.query('SELECT 1'))) === 'ok', 'the session is of no use any more');
    return `${cursors - 1} cursors, then ${code}`;
  });
}
