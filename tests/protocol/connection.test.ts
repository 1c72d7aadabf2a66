// The whole wire over real sockets, with a session of the tests behind it.

import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { serialize } from 'pg-protocol';
import { SqlError } from '../../ledger/error.ts';
import { isLoopback } from '../../server/pgwire/handshake.ts';
import { Listener } from '../../server/pgwire/listener.ts';
import type { ListenerOptions } from '../../server/pgwire/listener.ts';
import { FakeBackend } from './fake-backend.ts';
import { RawClient } from './raw-client.ts';

let backend: FakeBackend;
let listener: Listener;
let logged: string[];

async function listen(change: Partial<ListenerOptions> = {}): Promise<void> {
  backend = new FakeBackend();
  logged = [];
  listener = await Listener.listen({
    backend,
    host: '127.0.0.1',
    port: 0,
    connectionsMax: 10,
    secret: Buffer.alloc(32),
    log: (event) => logged.push(event),
    ...change,
  });
}

beforeEach(() => listen());
afterEach(() => listener.close(200));

const { query, parse, bind, describe: describeMessage, execute, sync, flush } = serialize;

/** Answers of the server to raw first bytes. */
async function answerTo(bytes: string | Uint8Array): Promise<string> {
  const socket = connect(listener.port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => {});
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks).toString('latin1');
}

describe('start-up', () => {
  test('ends with the key and ReadyForQuery', async () => {
    const client = new RawClient(connect(listener.port, '127.0.0.1'));
    client.send(serialize.startup({ user: 'alice', database: 'd', application_name: 'me' }));
    await client.authenticate('secret');
    expect(await client.hear()).toEqual([
      'authenticationSASLFinal',
      'authenticationOk',
      'server_version=15.18',
      'client_encoding=UTF8',
      'DateStyle=ISO, MDY',
      'standard_conforming_strings=on',
      'backendKeyData',
      'ready I',
    ]);
    const { startup } = backend.sessions[0]!;
    expect(startup).toMatchObject({ user: 'alice', database: 'd', encrypted: false });
    expect(startup.settings.get('application_name')).toBe('me');
  });

  test('a wrong password is fatal, and nothing follows', async () => {
    const client = new RawClient(connect(listener.port, '127.0.0.1'));
    client.send(serialize.startup({ user: 'alice', database: 'd' }));
    await client.authenticate('wrong');
    expect(await client.hear()).toEqual(['FATAL 28P01']);
    expect(backend.sessions).toHaveLength(0);
  });

  test('a database that does not exist is fatal', async () => {
    const client = new RawClient(connect(listener.port, '127.0.0.1'));
    client.send(serialize.startup({ user: 'alice', database: 'none' }));
    await client.authenticate('secret');
    expect(await client.hear()).toEqual([
      'authenticationSASLFinal',
      'authenticationOk',
      'FATAL 3D000',
    ]);
  });

  test('a higher minor version and an extension are negotiated', async () => {
    const body = Buffer.from('\0\x03\0\x02user\0alice\0_pq_.x\0y\0\0', 'latin1');
    const head = Buffer.alloc(4);
    head.writeInt32BE(body.length + 4);
    const socket = connect(listener.port, '127.0.0.1');
    socket.write(Buffer.concat([head, body]));
    const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    socket.destroy();
    expect(answer.toString('latin1', 0, 20)).toBe('v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0');
    expect(answer.toString('latin1', 20, 21)).toBe('R');
  });

  test('encryption that is not there is declined, and the connection goes on', async () => {
    const client = connect(listener.port, '127.0.0.1');
    client.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]));
    expect(await new Promise((resolve) => client.once('data', resolve))).toEqual(Buffer.from('N'));
    client.write(serialize.requestSsl());
    expect(await new Promise((resolve) => client.once('data', resolve))).toEqual(Buffer.from('N'));
    client.write(serialize.startup({ user: 'alice' }));
    const answer = await new Promise<Buffer>((resolve) => client.once('data', resolve));
    expect(answer.toString('latin1')).toContain('SCRAM-SHA-256');
    client.destroy();
  });

  test('a web browser is told what this is', async () => {
    const answer = await answerTo('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain('PostgreSQL');
  });

  test.each([
    ['\x00\x00\x00\x04', '08P01'],
    ['SSH-2.0-OpenSSH_9.2\r\n', '08P01'],
    ['\x00\x00\x00\x08\x00\x02\x00\x00', '0A000'],
    ['\xff\xff\xff\xff\xff\xff\xff\xff', '08P01'],
  ])('%j is answered with %s and closed', async (bytes, sqlstate) => {
    expect(await answerTo(Buffer.from(bytes, 'latin1'))).toContain(`C${sqlstate}`);
  });

  const own = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal);
  (own === undefined ? test.skip : test)('from another address it must be encrypted', async () => {
    await listener.close(0);
    await listen({ host: '0.0.0.0' });
    const client = new RawClient(connect(listener.port, own!.address));
    client.send(serialize.startup({ user: 'alice', database: 'd' }));
    const [error] = await client.until('error');
    expect(error).toMatchObject({
      severity: 'FATAL',
      code: '28000',
      message: `no pg_hba.conf entry for host "${own!.address}", user "alice", database "d", no encryption`,
    });
  });

  test.each([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::ffff:127.0.0.1', true],
    ['::1', true],
    ['', true],
    ['10.0.0.1', false],
    ['::ffff:10.127.0.1', false],
    ['fe80::1', false],
  ])('the address %j is of this machine: %p', (address, expected) => {
    expect(isLoopback(address)).toBe(expected);
  });

  test('who does not log in in time is sent away', async () => {
    await listener.close(0);
    await listen({ authenticationMsMax: 30 });
    expect(await answerTo('')).toContain('canceling authentication due to timeout');
  });

  test('one client too many gets 53300, and the next one gets in when another has left', async () => {
    await listener.close(0);
    await listen({ connectionsMax: 1 });
    const first = await RawClient.login(listener.port);
    const second = new RawClient(connect(listener.port, '127.0.0.1'));
    second.send(serialize.startup({ user: 'alice' }));
    expect(await second.hear()).toEqual(['FATAL 53300']);
    first.send(serialize.end());
    await first.closed;
    await second.closed;
    while (listener.connectionCount > 0) await new Promise(setImmediate);
    expect(await RawClient.login(listener.port)).toBeInstanceOf(RawClient);
  });
});

describe('simple query', () => {
  test('answers every statement and is ready once', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('echo a b; affect 3; later c'));
    expect(await client.hear()).toEqual([
      'rowDescription',
      'row a b',
      'tag SELECT 1',
      'tag UPDATE 3',
      'rowDescription',
      'row c',
      'tag SELECT 1',
      'ready I',
    ]);
  });

  test('an empty one, an error, a notice, a setting, a crash', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query(' ; '), query('error 22012 division by zero'), query('notice hello'));
    client.send(query('set TimeZone UTC'), query('crash'));
    expect(await client.hear()).toEqual(['emptyQuery', 'ready I']);
    expect(await client.hear()).toEqual(['ERROR 22012', 'ready I']);
    expect(await client.hear()).toEqual(['notice', 'tag DO', 'ready I']);
    expect(await client.hear()).toEqual(['tag SET', 'TimeZone=UTC', 'ready I']);
    expect(await client.hear()).toEqual(['ERROR XX000', 'ready I']);
    expect(logged).toEqual(['error']);
  });

  test('the status follows the transaction', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('begin'), query('error 22012 x'), query('echo a'), query('rollback'));
    expect(await client.hear()).toEqual(['tag BEGIN', 'ready T']);
    expect(await client.hear()).toEqual(['ERROR 22012', 'ready E']);
    expect(await client.hear()).toEqual(['rowDescription', 'ERROR 25P02', 'ready E']);
    expect(await client.hear()).toEqual(['tag ROLLBACK', 'ready I']);
  });

  test('text that is not UTF-8 fails, and the connection lives', async () => {
    const client = await RawClient.login(listener.port);
    client.send(Buffer.from('Q\0\0\0\x08\xc3\x28x\0', 'latin1'), query('echo ok'));
    const [error] = await client.until('readyForQuery');
    expect(error).toMatchObject({
      code: '22021',
      message: 'invalid byte sequence for encoding "UTF8": 0xc3 0x28',
    });
    expect(await client.hear()).toContain('row ok');
  });
});

describe('extended query', () => {
  test('answers each message in order', async () => {
    const client = await RawClient.login(listener.port);
    client.send(
      parse({ name: 's', text: 'params', types: [25, 25] }),
      describeMessage({ type: 'S', name: 's' }),
      bind({ portal: 'p', statement: 's', values: ['x', 'y'] }),
      describeMessage({ type: 'P', name: 'p' }),
      execute({ portal: 'p' }),
      serialize.close({ type: 'P', name: 'p' }),
      serialize.close({ type: 'S', name: 's' }),
      sync(),
    );
    expect(await client.hear()).toEqual([
      'parseComplete',
      'parameterDescription',
      'rowDescription',
      'bindComplete',
      'rowDescription',
      'row x y',
      'tag SELECT 1',
      'closeComplete',
      'closeComplete',
      'ready I',
    ]);
  });

  test('after an error everything up to Sync is skipped, and Sync learns of it', async () => {
    const client = await RawClient.login(listener.port);
    client.send(
      parse({ text: 'bad' }),
      bind({}),
      execute({}),
      query('echo skipped'),
      sync(),
      parse({ text: 'echo fine' }),
      bind({}),
      execute({}),
      sync(),
    );
    expect(await client.hear()).toEqual(['ERROR 42601', 'ready I']);
    expect(await client.hear()).toEqual([
      'parseComplete',
      'bindComplete',
      'row fine',
      'tag SELECT 1',
      'ready I',
    ]);
    const { calls } = backend.sessions[0]!;
    expect(calls.filter((call) => call.startsWith('sync'))).toEqual(['sync true', 'sync false']);
    expect(calls).not.toContain('query echo skipped');
  });

  test('the same after an error that comes in a promise', async () => {
    const client = await RawClient.login(listener.port);
    client.send(parse({ text: 'sleep' }), bind({}), execute({}), execute({}), sync());
    while (!backend.sessions[0]!.calls.includes('execute  0')) await new Promise(setImmediate);
    backend.cancel(1, 0x5eed);
    expect(await client.hear()).toEqual([
      'parseComplete',
      'bindComplete',
      'ERROR 57014',
      'ready I',
    ]);
    expect(backend.sessions[0]!.calls.filter((call) => call.startsWith('execute'))).toHaveLength(1);
  });

  test('several portals stay suspended side by side', async () => {
    const client = await RawClient.login(listener.port);
    client.send(
      parse({ name: 's', text: 'rows 3' }),
      bind({ portal: 'a', statement: 's' }),
      bind({ portal: 'b', statement: 's' }),
      execute({ portal: 'a', rows: 2 }),
      execute({ portal: 'b', rows: 1 }),
      execute({ portal: 'a', rows: 2 }),
      flush(),
    );
    expect(await client.hear('commandComplete')).toEqual([
      'parseComplete',
      'bindComplete',
      'bindComplete',
      'row 0',
      'row 1',
      'portalSuspended',
      'row 0',
      'portalSuspended',
      'row 2',
      'tag SELECT 1',
    ]);
    client.send(execute({ portal: 'b', rows: 5 }), sync());
    expect(await client.hear()).toEqual(['row 1', 'row 2', 'tag SELECT 2', 'ready I']);
  });

  test('an error of Sync itself is followed by ReadyForQuery, and nothing is skipped', async () => {
    const client = await RawClient.login(listener.port);
    client.send(parse({ text: 'conflict' }), bind({}), execute({}), sync(), query('echo a'));
    expect(await client.hear()).toEqual([
      'parseComplete',
      'bindComplete',
      'tag UPDATE 1',
      'ERROR 40001',
      'ready I',
    ]);
    expect(await client.hear()).toContain('row a');
  });

  test('Flush brings out what is there, without Sync', async () => {
    const client = await RawClient.login(listener.port);
    client.send(parse({ name: 's', text: 'echo a' }), flush());
    expect(await client.hear('parseComplete')).toEqual(['parseComplete']);
    expect(backend.sessions[0]!.calls).toContain('flush');
  });

  test('a thousand statements sent at once are answered in order', async () => {
    const client = await RawClient.login(listener.port);
    const messages: Uint8Array[] = [];
    for (let i = 0; i < 1000; i++) {
      const verb = i % 7 === 0 ? 'later' : 'echo';
      messages.push(parse({ text: `${verb} ${i}` }), bind({}), execute({}), sync());
    }
    client.send(...messages);
    for (let i = 0; i < 1000; i++) {
      expect(await client.hear()).toContain(`row ${i}`);
    }
  });

  test.each([
    ['D\0\0\0\x06X\0', 'invalid DESCRIBE message subtype 88'],
    ['C\0\0\0\x06X\0', 'invalid CLOSE message subtype 88'],
    ['B\0\0\0\x05\0', 'invalid string in message'],
    ['B\0\0\0\x0a\0\0\0\0\xff\xff', 'insufficient data left in message'],
    ['P\0\0\0\x07abc', 'invalid string in message'],
    ['E\0\0\0\x07\0\0\0', 'insufficient data left in message'],
    ['H\0\0\0\x05x', 'invalid message format'],
  ])('the body %j fails with 08P01 until Sync', async (bytes, message) => {
    const client = await RawClient.login(listener.port);
    client.send(Buffer.from(bytes, 'latin1'), parse({ text: 'echo a' }), sync());
    const [error, ready] = await client.until('readyForQuery');
    expect(error).toMatchObject({ severity: 'ERROR', code: '08P01', message });
    expect(ready).toMatchObject({ name: 'readyForQuery' });
  });

  test('a message that is none ends the connection', async () => {
    const client = await RawClient.login(listener.port);
    client.send(Buffer.from('!\0\0\0\x04'));
    expect(await client.hear()).toEqual(['FATAL 08P01']);
    await client.closed;
    expect(backend.sessions[0]!.closed).toBe(true);
  });

  test('a call of a function by message is refused', async () => {
    const client = await RawClient.login(listener.port);
    client.send(Buffer.from('F\0\0\0\x04'));
    expect(await client.hear()).toEqual(['ERROR 0A000', 'ready I']);
  });
});

describe('COPY', () => {
  test('in: data, in whatever pieces, up to CopyDone; Sync in between is ignored', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('copy in'));
    await client.until('copyInResponse');
    client.send(serialize.copyData(Buffer.from('1\n')), sync(), flush());
    client.send(serialize.copyData(Buffer.from('2\n3')), serialize.copyData(Buffer.from('\n')));
    client.send(serialize.copyDone(), query('echo after'));
    expect(await client.hear()).toEqual(['tag COPY 3', 'ready I']);
    expect(await client.hear()).toContain('row after');
    expect(Buffer.concat(backend.sessions[0]!.received).toString()).toBe('1\n2\n3\n');
  });

  test('in: CopyFail fails the statement', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('copy in'));
    await client.until('copyInResponse');
    client.send(serialize.copyData(Buffer.from('1\n')), serialize.copyFail('no more'));
    const [error] = await client.until('readyForQuery');
    expect(error).toMatchObject({ code: '57014', message: 'COPY from stdin failed: no more' });
  });

  test('in: another message fails it, and the rest of the data is dropped', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('copy in'));
    await client.until('copyInResponse');
    client.send(query('echo a'), serialize.copyData(Buffer.from('1\n')), serialize.copyDone());
    const [error] = await client.until('readyForQuery');
    expect(error).toMatchObject({
      code: '08P01',
      message: 'unexpected message type 0x51 during COPY from stdin',
    });
    client.send(query('echo alive'));
    expect(await client.hear()).toContain('row alive');
  });

  test('in: a client that leaves in the middle is noticed', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('copy in'));
    await client.until('copyInResponse');
    client.socket.destroy();
    while (!backend.sessions[0]!.closed) await new Promise(setImmediate);
    expect(backend.sessions[0]!.cancelled).toBe(1);
  });

  test('in, extended: Sync is answered after CopyDone', async () => {
    const client = await RawClient.login(listener.port);
    client.send(parse({ text: 'copy in' }), bind({}), execute({}), sync());
    await client.until('copyInResponse');
    client.send(serialize.copyData(Buffer.from('1\n')), serialize.copyDone(), sync());
    expect(await client.hear()).toEqual(['tag COPY 1', 'ready I']);
  });

  test('out', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('copy out 2'));
    expect(await client.hear()).toEqual([
      'copyOutResponse',
      'copyData',
      'copyData',
      'copyDone',
      'tag COPY 2',
      'ready I',
    ]);
  });
});

describe('pressure', () => {
  test('a client that does not read stops the rows, and memory stays small', async () => {
    const client = await RawClient.login(listener.port);
    client.socket.pause();
    const before = process.memoryUsage().arrayBuffers;
    // 200 MB of rows.
    client.send(query('rows 20000 10000'));
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setTimeout(resolve, 4));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40e6);
    client.socket.resume();
    const heard = await client.hear();
    expect(heard).toHaveLength(20003);
    expect(heard.at(-2)).toBe('tag SELECT 20000');
  }, 30_000);

  test('a client that takes nothing for too long is cut, and its session ends', async () => {
    await listener.close(0);
    await listen({ stallMsMax: 100 });
    const stalled = await RawClient.login(listener.port);
    const brisk = await RawClient.login(listener.port);
    stalled.socket.pause();
    stalled.send(query('rows 20000 10000'));
    brisk.send(query('rows 2000 10000'));
    expect((await brisk.hear()).at(-1)).toBe('ready I');
    while (!backend.sessions[0]!.closed) await new Promise(setImmediate);
    expect(backend.sessions[0]!.cancelled).toBe(1);
    brisk.send(query('echo still here'));
    expect(await brisk.hear()).toContain('row still here');
    stalled.socket.destroy();
  }, 30_000);

  test('a client that sends and never reads is not worked for', async () => {
    const client = await RawClient.login(listener.port);
    client.socket.pause();
    const wide = query(`echo ${'x'.repeat(50_000)}`);
    for (let i = 0; i < 500; i++) client.send(wide);
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setTimeout(resolve, 4));
    expect(backend.sessions[0]!.calls.length).toBeLessThan(500);
    client.socket.resume();
    for (let i = 0; i < 500; i++) expect(await client.hear()).toContain('tag SELECT 1');
  }, 30_000);
});

describe('the end', () => {
  test('Terminate closes the session', async () => {
    const client = await RawClient.login(listener.port);
    client.send(serialize.end());
    await client.closed;
    expect(backend.sessions[0]).toMatchObject({ closed: true, cancelled: 0 });
  });

  test('a client that stops sending still gets its answers', async () => {
    const client = await RawClient.login(listener.port);
    client.socket.end(query('echo last'));
    expect(await client.hear()).toContain('row last');
    await client.closed;
    expect(backend.sessions[0]!.closed).toBe(true);
  });

  test('a client that is lost in a query cancels it', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('sleep'));
    while (!backend.sessions[0]!.calls.includes('query sleep')) await new Promise(setImmediate);
    client.socket.destroy();
    while (!backend.sessions[0]!.closed) await new Promise(setImmediate);
    expect(backend.sessions[0]!.cancelled).toBe(1);
  });

  test('a CancelRequest reaches the session, without an answer', async () => {
    const client = await RawClient.login(listener.port);
    client.send(query('sleep'));
    while (!backend.sessions[0]!.calls.includes('query sleep')) await new Promise(setImmediate);
    expect(await answerTo(serialize.cancel(1, 0xbad))).toBe('');
    expect(backend.sessions[0]!.cancelled).toBe(0);
    expect(await answerTo(serialize.cancel(1, 0x5eed))).toBe('');
    expect(await client.hear()).toEqual(['ERROR 57014', 'ready I']);
  });

  test('the session can send its client away', async () => {
    const client = await RawClient.login(listener.port);
    backend.sessions[0]!.events.terminate(new SqlError('57P05', 'idle'));
    expect(await client.hear()).toEqual(['FATAL 57P05']);
    await client.closed;
    expect(backend.sessions[0]!.closed).toBe(true);
  });

  test('at shutdown the idle go at once and the busy after their command', async () => {
    const idle = await RawClient.login(listener.port);
    const busy = await RawClient.login(listener.port);
    busy.send(query('sleep'), query('echo never'));
    while (!backend.sessions[1]!.calls.includes('query sleep')) await new Promise(setImmediate);
    const waitsFor: number[] = [];
    const closing = listener.close(10_000, (sessions) => waitsFor.push(sessions));
    expect(waitsFor).toEqual([1]);
    expect(await idle.hear()).toEqual(['FATAL 57P01']);
    backend.sessions[1]!.cancel();
    expect(await busy.hear()).toEqual(['ERROR 57014', 'ready I']);
    expect(await busy.hear()).toEqual(['FATAL 57P01']);
    await closing;
    expect(backend.sessions.every((session) => session.closed)).toBe(true);
  });

  test('at the deadline of a shutdown everyone goes', async () => {
    const busy = await RawClient.login(listener.port);
    const stranger = new RawClient(connect(listener.port, '127.0.0.1'));
    busy.send(query('sleep'));
    while (!backend.sessions[0]!.calls.includes('query sleep')) await new Promise(setImmediate);
    await listener.close(20);
    expect(await busy.hear()).toEqual(['FATAL 57P01']);
    expect(await stranger.hear()).toEqual(['FATAL 57P03']);
    expect(backend.sessions[0]).toMatchObject({ closed: true, cancelled: 1 });
  });

  test('a port in use is an error of the caller', async () => {
    const options: ListenerOptions = {
      backend,
      host: '127.0.0.1',
      port: listener.port,
      connectionsMax: 1,
      secret: Buffer.alloc(32),
      log: () => {},
    };
    await expect(Listener.listen(options)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
