// Strangers, relays and members that misbehave, over real sockets.

import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { hex, uint32 } from '../../../../ledger/bytes.ts';
import {
  PEER_BLOCK_QUEUE_BYTES_MAX,
  PEER_FRAME_BYTES_MAX,
  PEER_SYNC_QUEUE_BYTES_MAX,
  PEER_VOTE_QUEUE_BYTES_MAX,
  PEER_WINDOW_BYTES,
} from '../../../../server/limits.ts';
import { signAnnouncement } from '../../../../server/peers/announcement.ts';
import { decodeFrame, encodeFrame } from '../../../../server/peers/frame.ts';
import type { Frame } from '../../../../server/peers/frame.ts';
import { CLOSE } from '../../../../server/peers/refusal.ts';
import { makeCertificate } from '../../../../server/tls.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';
import { Random } from '../../ledger/random.ts';
import {
  CHAIN,
  isUp,
  keyOf,
  member,
  refusals,
  smallAndLarge,
  startNode,
  stopNodes,
  text,
  until,
} from './network-fixture.ts';
import type { TestNode } from './network-fixture.ts';
import { connectRaw, frameOf, proveRaw } from './raw-peer.ts';
import type { RawPeer } from './raw-peer.ts';

const servers: Server[] = [];
const sockets = new Set<Socket>();

afterEach(async () => {
  await stopNodes();
  for (const socket of sockets) socket.destroy();
  await Promise.all(
    servers.splice(0).map(async (server) => new Promise((done) => server.close(done))),
  );
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A node, and a member of its chain that a test moves. */
async function startWithRaw(changes = {}): Promise<{ node: TestNode; raw: RawPeer; key: string }> {
  const [own, other] = [keyOf(1), keyOf(2)];
  const node = await startNode(own, { members: [member(other.key)], ...changes });
  const raw = await connectRaw(node.address);
  await proveRaw(raw, other);
  await until(() => isUp(node, other.key));
  await frameOf(raw, 1);
  return { node, raw, key: other.key };
}

function message(sequence: number, body: Uint8Array, changes: Partial<Frame> = {}): Uint8Array {
  const head = { kind: 'message', lane: 'vote', sequence, length: body.length } as const;
  return encodeFrame({ ...head, ...changes }, body);
}

describe('does not get in', () => {
  test('a key that is no member, another chain, a stolen key without its seed', async () => {
    const node = await startNode(keyOf(1), { members: [member(keyOf(2).key)] });
    const cases = [
      [keyOf(3), {}, CLOSE.key],
      [keyOf(2), { chainId: new Uint8Array(32) }, CLOSE.chain],
      [keyOf(2), { seed: keyOf(3).seed }, CLOSE.proof],
      [keyOf(1), {}, CLOSE.self],
    ] as const;
    for (const [own, changes, code] of cases) {
      const raw = await connectRaw(node.address);
      await proveRaw(raw, own, changes);
      expect((await raw.closed)[0]).toBe(code);
    }
    expect(node.events).toEqual([]);
    expect(refusals(node)).toEqual([
      'the key is no member',
      'another chain',
      'the key is not proved for this connection',
      'the key is the own one',
    ]);
  });

  test('another version, with a reason it can read', async () => {
    const node = await startNode(keyOf(1));
    const raw = await connectRaw(node.address);
    raw.websocket.send(new Uint8Array([...text('TSQP'), 0, 9, 1, 2, 3]));
    expect(await raw.closed).toEqual([
      CLOSE.version,
      'version 9 of the protocol is not spoken here, 1 is',
    ]);
  });

  test('a handshake that was recorded', async () => {
    const node = await startNode(keyOf(1), { members: [member(keyOf(2).key)] });
    const first = await connectRaw(node.address);
    const proof = await proveRaw(first, keyOf(2));
    await until(() => isUp(node, keyOf(2).key));
    first.websocket.terminate();
    await until(() => !isUp(node, keyOf(2).key));
    const second = await connectRaw(node.address);
    const { publicKey } = keyOf(2);
    second.websocket.send(
      Buffer.concat([text('TSQP'), new Uint8Array([0, 1]), CHAIN, publicKey, new Uint8Array(16)]),
    );
    second.websocket.send(proof);
    expect((await second.closed)[0]).toBe(CLOSE.proof);
  });

  test('whoever ends TLS in the middle, though he passes on every byte', async () => {
    const [small, large] = smallAndLarge();
    const b = await startNode(large, { members: [member(small.key)] });
    const [, port] = b.address.split(':') as [string, string];
    const { certificate, key } = makeCertificate(['localhost'], Date.now());
    let seen = '';
    const middle = createTlsServer({ cert: certificate, key }, (from) => {
      const to = connectTls({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false });
      for (const socket of [from, to]) socket.on('error', () => undefined);
      from.on('data', (bytes) => (seen += bytes.toString('latin1')));
      from.pipe(to).pipe(from);
    });
    const address = await listen(middle);
    const a = await startNode(small, { members: [member(large.key, address)] });
    await until(() => refusals(b).includes('the key is not proved for this connection'));
    // He has read it all, so it was the binding that kept him out.
    expect(seen).toContain('TSQP');
    expect([a.events, b.events]).toEqual([[], []]);
    await until(() => a.network.peers()[0]!.lastError?.includes('not proved') === true);
    // The same way without ending TLS is any forwarder, and nobody's business.
    const forwarder = createTcpServer((from) => {
      const to = connectTcp({ host: '127.0.0.1', port: Number(port) });
      for (const socket of [from, to]) socket.on('error', () => undefined);
      from.pipe(to).pipe(from);
    });
    a.network.setMembers([member(large.key, await listen(forwarder))]);
    await until(() => isUp(a, large.key) && isUp(b, small.key));
  });

  test('TLS 1.2, clear text, HTTP without an upgrade', async () => {
    const node = await startNode(keyOf(1));
    const [host, port] = node.address.split(':') as [string, string];
    const old = connectTls({
      host,
      port: Number(port),
      maxVersion: 'TLSv1.2',
      rejectUnauthorized: false,
    });
    const [error] = (await once(old, 'error')) as [Error];
    expect(error.message).toMatch(/protocol version|alert|reset/i);
    const clear = connectTcp({ host, port: Number(port) });
    clear.on('error', () => undefined);
    clear.write('GET / HTTP/1.1\r\n\r\n');
    await once(clear, 'close');
    const browser = connectTls({ host, port: Number(port), rejectUnauthorized: false });
    browser.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const [answer] = (await once(browser, 'data')) as [Buffer];
    expect(answer.toString()).toContain('426 Upgrade Required');
    browser.destroy();
  });

  test('whoever says nothing: before TLS, before the upgrade, before the hello, before the proof', async () => {
    const node = await startNode(keyOf(1), { members: [member(keyOf(2).key)], handshakeMs: 150 });
    const [host, port] = node.address.split(':') as [string, string];
    const tcp = connectTcp({ host, port: Number(port) });
    const tls = connectTls({ host, port: Number(port), rejectUnauthorized: false });
    for (const socket of [tcp, tls]) socket.on('error', () => undefined).resume();
    const raw = await connectRaw(node.address);
    const half = await connectRaw(node.address);
    const { publicKey } = keyOf(2);
    half.websocket.send(
      Buffer.concat([text('TSQP'), new Uint8Array([0, 1]), CHAIN, publicKey, new Uint8Array(16)]),
    );
    await Promise.all([once(tcp, 'close'), once(tls, 'close'), raw.closed, half.closed]);
    expect(node.events).toEqual([]);
  });

  test('a node is not kept by one that accepts and never answers', async () => {
    const silent = await listen(createTcpServer((socket) => socket.on('error', () => undefined)));
    const key = keyOf(2).key;
    const node = await startNode(keyOf(1), { members: [member(key, silent)], handshakeMs: 100 });
    await until(() => node.network.peers()[0]!.lastError?.includes('aborted') === true);
  });
});

describe('is sent away', () => {
  test('a member whose frames are malformed, each before the next is looked at', async () => {
    const cases: [Uint8Array[], string][] = [
      [[new Uint8Array(3)], 'a frame is truncated'],
      [[message(0, text('a')), message(0, text('a'))], 'a frame is repeated or missing'],
      [[message(7, text('a'))], 'a frame is repeated or missing'],
      [[message(0, text('a'), { length: 2 ** 31 })], 'a message is too long'],
      [[message(0, uint32(9), { kind: 'credit' })], 'credit for what was never sent'],
      [
        [message(0, new Uint8Array(5), { kind: 'answer', lane: 'sync' })],
        'an answer to no question',
      ],
      [
        [message(0, text('x'), { kind: 'address', lane: 'address' })],
        'an announcement is malformed',
      ],
    ];
    for (const [frames, reason] of cases) {
      const { node, raw } = await startWithRaw();
      const count = frames.length - 1;
      for (const frame of frames) raw.websocket.send(frame);
      raw.websocket.send(message(frames.length, text('later')));
      const [code, why] = await raw.closed;
      expect([code, why.startsWith(reason), why]).toEqual([CLOSE.protocol, true, why]);
      expect(node.received.length).toBe(count);
      await stopNodes();
    }
  });

  test('a member that sends more than a frame, text, or a forged address', async () => {
    const first = await startWithRaw();
    first.raw.websocket.send(new Uint8Array(PEER_FRAME_BYTES_MAX + 1));
    expect((await first.raw.closed)[0]).toBe(1009);
    await until(() => first.node.events.length === 2);
    await stopNodes();
    const second = await startWithRaw();
    second.raw.websocket.send('hello');
    expect((await second.raw.closed)[0]).toBe(CLOSE.protocol);
    await stopNodes();
    const third = await startWithRaw();
    const forged = signAnnouncement(crypto, keyOf(3).seed, {
      chainId: CHAIN,
      node: keyOf(2).publicKey,
      sequence: 9,
      address: 'evil.example:1',
    });
    third.raw.websocket.send(message(0, forged, { kind: 'address', lane: 'address' }));
    expect((await third.raw.closed)[0]).toBe(CLOSE.proof);
    expect(third.node.stored.size).toBe(0);
  });

  test('bytes by chance end the connection or nothing, and the node serves the next', async () => {
    const seed = 4_711;
    const random = new Random(seed);
    const { node, raw, key } = await startWithRaw();
    raw.websocket.terminate();
    for (let round = 0; round < 25; round++) {
      await until(() => !isUp(node, key));
      const peer = await connectRaw(node.address);
      await proveRaw(peer, keyOf(2));
      const frame = message(0, random.bytes(random.below(60)), {
        lane: random.pick(['vote', 'sync']),
      });
      peer.websocket.send(random.damage(frame));
      peer.websocket.send(random.bytes(random.below(30)));
      await peer.closed;
    }
    const after = await connectRaw(node.address);
    await proveRaw(after, keyOf(2));
    await until(() => isUp(node, key));
  });

  test('whoever takes nothing, and costs no more than the queues until then', async () => {
    const { node, raw, key } = await startWithRaw({ pingMs: 300 });
    raw.session.pause();
    const megabyte = new Uint8Array(1_000_000);
    const taken = { vote: 0, block: 0, sync: 0 };
    for (const traffic of ['vote', 'block', 'sync'] as const) {
      for (let n = 0; n < 40; n++) {
        if (node.network.send(key, traffic, megabyte)) taken[traffic]++;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const { queueBytes, dropped } = node.network.peers()[0]!;
    const bound =
      PEER_VOTE_QUEUE_BYTES_MAX + PEER_BLOCK_QUEUE_BYTES_MAX + PEER_SYNC_QUEUE_BYTES_MAX;
    expect(queueBytes).toBeLessThan(bound + 2 * PEER_FRAME_BYTES_MAX);
    expect(taken.vote).toBe(40);
    expect(taken.block).toBeLessThan(12);
    expect(taken.sync).toBeLessThan(8);
    expect(dropped).toBeGreaterThan(28);
    const drained = node.network.drained(key);
    expect(node.network.send(key, 'sync', megabyte)).toBe(false);
    await until(() => node.events.length === 2);
    expect(node.network.peers()[0]!.lastError).toBe('the peer is silent');
    expect(await drained).toBe(false);
  });
});

test('a slow reader gets votes before the rest of what it was being sent', async () => {
  const { node, raw, key } = await startWithRaw();
  const before = raw.frames.length;
  const large = new Uint8Array(2 * 1024 * 1024);
  expect(node.network.send(key, 'sync', large)).toBe(true);
  expect(node.network.send(key, 'block', text('block'))).toBe(true);
  await until(() => raw.frames.length > before);
  for (const vote of ['one', 'two']) node.network.send(key, 'vote', text(vote));
  // This reader never gives credit: bulk stops at the window, votes do not.
  await until(
    () =>
      raw.frames.slice(before).filter((bytes) => decodeFrame(bytes).lane === 'vote').length === 2,
  );
  const frames = raw.frames.slice(before).map((bytes) => decodeFrame(bytes));
  const bulk = frames.filter(({ lane }) => lane !== 'vote');
  expect(bulk.length).toBeLessThanOrEqual(PEER_WINDOW_BYTES / PEER_FRAME_BYTES_MAX);
  expect(bulk[0]!.lane).toBe('block');
  const seen = (): Frame[] => raw.frames.slice(before).map((frame) => decodeFrame(frame));
  node.network.send(key, 'vote', text('three'));
  await until(() => seen().some(({ body }) => hex(body) === hex(text('three'))));
  expect(seen().filter(({ lane }) => lane === 'sync').length).toBeLessThanOrEqual(15);
  const sent = raw.frames.slice(before).filter((bytes) => decodeFrame(bytes).lane !== 'vote');
  const bytes = sent.reduce((sum, frame) => sum + frame.length, 0);
  raw.websocket.send(message(0, uint32(bytes), { kind: 'credit' }));
  await until(
    () =>
      raw.frames.slice(before).filter((frame) => decodeFrame(frame).lane === 'sync').length > 20,
  );
});
