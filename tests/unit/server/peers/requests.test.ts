// Questions and answers between two nodes; and the way through a proxy.

import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { PEER_REQUESTS_MAX } from '../../../../server/limits.ts';
import { tryParseProxy } from '../../../../server/peers/address.ts';
import {
  isUp,
  member,
  smallAndLarge,
  startNode,
  startPair,
  stopNodes,
  text,
  until,
} from './network-fixture.ts';

afterEach(stopNodes);

/** Why a question had no answer. */
async function faultOf(answer: Promise<unknown>): Promise<string> {
  return answer.then(
    () => 'answered',
    (error: unknown) => (error as { fault?: string }).fault ?? String(error),
  );
}

describe('a request', () => {
  test('has its own answer, of any size, while others are asked', async () => {
    const onRequest = async (_: string, bytes: Uint8Array): Promise<Uint8Array> => {
      const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      if (size % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      return new Uint8Array(size).fill(size % 251);
    };
    const { a, b } = await startPair({}, { onRequest });
    const sizes = [0, 1, 65_524, 65_525, 1_000_000, 9_000_001, 7, 70_000];
    const answers = await Promise.all(
      sizes.map(async (size) => {
        const question = new Uint8Array(4);
        new DataView(question.buffer).setUint32(0, size);
        return a.network.request(b.key, question, 60_000);
      }),
    );
    expect(answers.map(({ length }) => length)).toEqual(sizes);
    for (const bytes of answers)
      expect(bytes.every((byte) => byte === bytes.length % 251)).toBe(true);
  });

  test('that cannot be answered says why', async () => {
    const onRequest = async (_: string, bytes: Uint8Array): Promise<Uint8Array> => {
      if (bytes.length > 0) throw new Error('no');
      return new Promise(() => undefined);
    };
    const { a, b } = await startPair({}, { onRequest });
    expect(await faultOf(a.network.request(b.key, text('x'), 60_000))).toBe('refused');
    expect(b.logged.filter(({ event }) => event === 'request of a peer failed').length).toBe(1);
    expect(await faultOf(a.network.request('00', text('x'), 60_000))).toBe('down');
    expect(await faultOf(a.network.request(b.key, text(''), 10))).toBe('timeout');
    const open = Array.from({ length: PEER_REQUESTS_MAX }, async () =>
      faultOf(a.network.request(b.key, text(''), 60_000)),
    );
    expect(await faultOf(a.network.request(b.key, text(''), 60_000))).toBe('busy');
    await b.network.stop();
    expect(new Set(await Promise.all(open))).toEqual(new Set(['down']));
  });

  test('that is given up is given up at the other end', async () => {
    const signals: AbortSignal[] = [];
    const onRequest = async (
      _: string,
      __: Uint8Array,
      signal: AbortSignal,
    ): Promise<Uint8Array> => {
      signals.push(signal);
      await once(signal, 'abort');
      return text('late');
    };
    const { a, b } = await startPair({}, { onRequest });
    const controller = new AbortController();
    const answer = faultOf(a.network.request(b.key, text('x'), 60_000, controller.signal));
    await until(() => signals.length === 1);
    controller.abort();
    expect(await answer).toBe('cancelled');
    await until(() => signals[0]!.aborted);
    expect(await faultOf(a.network.request(b.key, text('x'), 60_000, controller.signal))).toBe(
      'cancelled',
    );
    expect(await faultOf(a.network.request(b.key, text('x'), 20))).toBe('timeout');
    await until(() => signals[1]!.aborted);
    // Neither has cost the connection.
    expect([a.events.length, b.events.length]).toEqual([1, 1]);
  });
});

describe('through a proxy', () => {
  test('that asks for credentials, by name of the target; and what it answers without them is told', async () => {
    const asked: [string, string | undefined][] = [];
    const sockets = new Set<Socket>();
    const proxy = createServer();
    proxy.on('connection', (socket: Socket) => sockets.add(socket));
    proxy.on('connect', (request, socket, head) => {
      const authorization = request.headers['proxy-authorization'];
      asked.push([request.url!, authorization]);
      if (authorization !== `Basic ${Buffer.from('anna:geheim').toString('base64')}`) {
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
        return;
      }
      const [host, port] = request.url!.split(':') as [string, string];
      const target = connect({ host, port: Number(port) }, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        target.write(head);
        target.pipe(socket).pipe(target);
      });
      for (const end of [socket, target]) end.on('error', () => undefined);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port } = proxy.address() as AddressInfo;
    const [small, large] = smallAndLarge();
    const b = await startNode(large, { members: [member(small.key)] });
    const members = [member(large.key, `localhost:${b.network.port}`)];
    const stranger = await startNode(small, {
      members,
      proxy: tryParseProxy(`http://127.0.0.1:${port}`),
    });
    await until(() => stranger.network.peers()[0]!.lastError?.includes('407') === true);
    await stranger.network.stop();
    const url = `http://anna:geheim@127.0.0.1:${port}`;
    const a = await startNode(small, { members, proxy: tryParseProxy(url) });
    await until(() => isUp(a, large.key) && isUp(b, small.key));
    expect(asked.at(-1)![0]).toBe(`localhost:${b.network.port}`);
    a.network.send(large.key, 'block', text('through'));
    await until(() => b.received.length === 1);
    await stopNodes();
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
});
