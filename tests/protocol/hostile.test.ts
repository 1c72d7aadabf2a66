// Bytes from strangers and from clients gone mad: the connection may go, nothing else does.

import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { serialize } from 'pg-protocol';
import { decode } from '../../server/pgwire/decode.ts';
import { Framer } from '../../server/pgwire/framer.ts';
import type { FramerPhase } from '../../server/pgwire/framer.ts';
import { Listener } from '../../server/pgwire/listener.ts';
import { decodeStartUp } from '../../server/pgwire/startup.ts';
import { FakeBackend } from './fake-backend.ts';
import { RawClient } from './raw-client.ts';

/** A small generator (mulberry32), so that a failure can be seen again. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function garbage(random: () => number, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)));
}

/** Runs, and lets nothing but an error for the client pass. */
function survive(run: () => void): void {
  try {
    run();
  } catch (error) {
    expect(error).toMatchObject({
      name: 'SqlError',
      sqlstate: expect.stringMatching(/^(08P01|54000|22021|0A000|28000)$/),
    });
  }
}

const SAMPLES = [
  serialize.parse({ name: 'name', text: 'select $1, $2', types: [23, 25] }),
  serialize.bind({ portal: 'p', statement: 's', values: ['text', null, Buffer.from('binary')] }),
  serialize.describe({ type: 'S', name: 's' }),
  serialize.execute({ portal: 'p', rows: 10 }),
  serialize.query('select 1; select 2'),
  serialize.copyFail('reason'),
];

describe('pure', () => {
  test('every body, cut anywhere or with any byte changed, is decoded or refused', () => {
    const random = generator(1);
    for (const sample of SAMPLES) {
      const type = sample[0]!;
      const body = Buffer.from(sample.subarray(5));
      for (let cut = 0; cut < body.length; cut++) survive(() => decode(type, body, 0, cut));
      for (let at = 0; at < body.length; at++) {
        for (const value of [0, 1, 0x7f, 0x80, 0xff, Math.floor(random() * 256)]) {
          const changed = Buffer.from(body);
          changed[at] = value;
          survive(() => decode(type, changed, 0, changed.length));
        }
      }
    }
  });

  test('a body never shows what lies behind it', () => {
    const bytes = Buffer.from('name\0behind\0');
    expect(() => decode(0x51, bytes, 0, 4)).toThrow('invalid string in message');
  });

  test.each<FramerPhase>(['startUp', 'authentication', 'query'])(
    'garbage in the phase %s is refused or waited for, in little memory',
    (phase) => {
      for (let seed = 0; seed < 2000; seed++) {
        const random = generator(seed);
        const framer = new Framer();
        framer.phase = phase;
        survive(() => {
          for (let chunk = 0; chunk < 8; chunk++) {
            framer.push(garbage(random, 1 + Math.floor(random() * 40)));
            for (let type = framer.next(); type !== 0; type = framer.next()) {
              const { buffer, start, end } = framer;
              if (phase === 'startUp') decodeStartUp(buffer, start, end);
              if (phase === 'query') survive(() => decode(type, buffer, start, end));
            }
          }
        });
        expect(framer.buffer.length).toBeLessThan(2000);
      }
    },
  );
});

describe('over sockets', () => {
  let backend: FakeBackend;
  let listener: Listener;
  beforeAll(async () => {
    backend = new FakeBackend();
    const secret = Buffer.alloc(32);
    const log = (): void => {};
    const options = { backend, host: '127.0.0.1', port: 0, connectionsMax: 100, secret, log };
    listener = await Listener.listen({ ...options, authenticationMsMax: 300 });
  });
  afterAll(() => listener.close(0));

  test('garbage from strangers leaves others alone', async () => {
    const witness = await RawClient.login(listener.port);
    for (let seed = 0; seed < 60; seed++) {
      const random = generator(seed);
      const socket = connect(listener.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.end(garbage(random, 1 + Math.floor(random() * 500)));
      await closed;
    }
    witness.send(serialize.query('echo unharmed'));
    expect(await witness.hear()).toContain('row unharmed');
    witness.send(serialize.end());
    await witness.closed;
  }, 20_000);

  test('garbage from a client that is logged in ends its session only', async () => {
    const witness = await RawClient.login(listener.port);
    for (let seed = 0; seed < 40; seed++) {
      const random = generator(seed);
      const mad = await RawClient.login(listener.port);
      const sample = Buffer.from(SAMPLES[seed % SAMPLES.length]!);
      sample[Math.floor(random() * sample.length)] = Math.floor(random() * 256);
      mad.send(sample, serialize.sync(), garbage(random, 200));
      mad.socket.end();
      await mad.closed;
    }
    witness.send(serialize.query('echo unharmed'));
    expect(await witness.hear()).toContain('row unharmed');
    witness.send(serialize.end());
    await witness.closed;
    while (!backend.sessions.every((session) => session.closed)) await new Promise(setImmediate);
  }, 20_000);
});
