// Clients as people use them: node-postgres, postgres.js, psql; with and without TLS.

import { execFile } from 'node:child_process';
import { connect as connectSocket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { serialize } from 'pg-protocol';
import postgres from 'postgres';
import { makeEncryption } from '../../server/pgwire/encryption.ts';
import { Listener } from '../../server/pgwire/listener.ts';
import { makeCertificate } from '../../server/tls.ts';
import { testWith } from '../end-to-end/setting.ts';
import { FakeBackend } from './fake-backend.ts';
import { RawClient } from './raw-client.ts';

/** When the certificate is from: 2026-01-01. */
const NOW_MS = 1_767_225_600_000;

let backend: FakeBackend;
let listener: Listener;

beforeAll(async () => {
  const { key, certificate } = makeCertificate(['localhost'], NOW_MS);
  backend = new FakeBackend();
  listener = await Listener.listen({
    backend,
    host: '127.0.0.1',
    port: 0,
    connectionsMax: 20,
    encryption: makeEncryption(key, certificate),
    secret: Buffer.alloc(32),
    log: () => {},
  });
});
afterAll(async () => {
  await listener.close(200);
});

const account = (): pg.ClientConfig => ({
  host: '127.0.0.1',
  port: listener.port,
  user: 'alice',
  password: 'secret',
  database: 'd',
});

async function withClient<T>(
  config: pg.ClientConfig & { enableChannelBinding?: boolean },
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ ...account(), ...config });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** stdout, then stderr. */
function psql(options: string, commands: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve) => {
    const target = `host=127.0.0.1 port=${listener.port} user=alice dbname=d ${options}`;
    const child = execFile(
      'psql',
      ['-X', '-A', '-t', target, ...commands.flatMap((command) => ['-c', command])],
      { env: { ...process.env, PGPASSWORD: 'secret' } },
      (_error, stdout, stderr) => resolve(stdout + stderr),
    );
    child.stdin!.end(input);
  });
}

describe('node-postgres', () => {
  test.each([
    ['in the clear', {}],
    ['over TLS', { ssl: { rejectUnauthorized: false } }],
    ['bound to the channel', { ssl: { rejectUnauthorized: false }, enableChannelBinding: true }],
  ])('queries %s', async (_how, config) => {
    await withClient(config, async (client) => {
      const { rows } = await client.query('echo a b');
      expect(rows).toEqual([{ c0: 'a', c1: 'b' }]);
      const bound = await client.query('params', ['x', null]);
      expect(bound.rows).toEqual([{ a: 'x', b: null }]);
      const named = { name: 'n', text: 'params', values: ['1', '2'] };
      await client.query(named);
      expect((await client.query(named)).rowCount).toBe(1);
    });
    expect(backend.sessions.at(-1)!.startup.encrypted).toBe('ssl' in config);
  });

  test('sees errors whole', async () => {
    await withClient({}, async (client) => {
      await expect(client.query('error 23505 duplicate')).rejects.toMatchObject({
        code: '23505',
        message: 'duplicate',
        detail: 'Key (id)=(1) already exists.',
        constraint: 't_pkey',
        position: '3',
      });
      await expect(client.query('error 23505 again', ['x'])).rejects.toThrow('again');
      expect((await client.query('echo alive')).rows).toHaveLength(1);
    });
  });

  test('reads by a cursor', async () => {
    await withClient({}, async (client) => {
      const cursor = client.query(new Cursor('rows 25'));
      expect(await cursor.read(10)).toHaveLength(10);
      expect(await cursor.read(10)).toHaveLength(10);
      expect(await cursor.read(10)).toEqual(
        Array.from({ length: 5 }, (_, index) => ({ n: String(index + 20) })),
      );
      await cursor.close();
      expect((await client.query('echo alive')).rowCount).toBe(1);
    });
  });

  test('is told of a wrong password', async () => {
    await expect(withClient({ password: 'wrong' }, async () => {})).rejects.toMatchObject({
      code: '28P01',
      severity: 'FATAL',
    });
  });
});

test('postgres.js pipelines its statements', async () => {
  const { host, port, user, password, database } = account();
  const options = { host, port, user, password, database, max: 1, fetch_types: false };
  const sql = postgres({ ...options, onnotice: () => {} } as postgres.Options<{}>);
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, index) => sql.unsafe(`echo ${index}`)),
  );
  expect(results.map((rows) => rows[0]!['c0'])).toEqual(
    Array.from({ length: 50 }, (_, index) => String(index)),
  );
  await sql.end();
});

describe('psql', () => {
  for (const options of [
    'sslmode=disable',
    'sslmode=require',
    'sslmode=require channel_binding=require',
  ]) {
    testWith('psql')(`with ${options}`, async () => {
      const answer = await psql(options, ['echo a b; rows 2', 'notice hello', 'copy out 2']);
      expect(answer).toBe('a|b\n0\n1\nDO\n0\n1\nNOTICE:  hello\nHINT:  Only a hint.\n');
    });
  }

  testWith('psql')('copies in', async () => {
    expect(await psql('', ['copy in'], '1\n2\n3\n')).toBe('COPY 3\n');
  });

  testWith('psql')('is told of a wrong password and of a missing database', async () => {
    expect(await psql('password=wrong', ['echo a'])).toContain(
      'FATAL:  password authentication failed for user "alice"',
    );
    expect(await psql('dbname=none', ['echo a'])).toContain(
      'FATAL:  database "none" does not exist',
    );
  });
});

describe('TLS', () => {
  test('directly, with the name of the protocol', async () => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: listener.port,
      rejectUnauthorized: false,
      ALPNProtocols: ['postgresql'],
    });
    const client = new RawClient(socket);
    client.send(serialize.startup({ user: 'alice', database: 'd' }));
    const [offer] = await client.until('authenticationSASL');
    expect(offer).toMatchObject({ mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] });
    socket.destroy();
  });

  test('directly, without the name, is refused', async () => {
    const client = new RawClient(
      connectTls({ host: '127.0.0.1', port: listener.port, rejectUnauthorized: false }),
    );
    expect(await client.hear()).toEqual(['FATAL 08P01']);
  });

  test('bytes sent in the clear behind the request are refused, not read', async () => {
    const client = new RawClient(connectSocket(listener.port, '127.0.0.1'));
    client.send(serialize.requestSsl(), serialize.startup({ user: 'alice' }));
    expect(await client.hear()).toEqual(['FATAL 08P01']);
  });

  test('a client that cannot speak it is cut', async () => {
    const socket = connectSocket(listener.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(serialize.requestSsl());
    const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    expect(answer.toString()).toBe('S');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    socket.write('this is no TLS');
    await closed;
    await withClient({}, async (client) => {
      expect((await client.query('echo alive')).rowCount).toBe(1);
    });
  });
});
