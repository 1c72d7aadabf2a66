import { describe, expect, test } from '@jest/globals';
import { Framer } from '../../../../server/pgwire/framer.ts';
import {
  MESSAGE_BYTES_MAX,
  SMALL_MESSAGE_BYTES_MAX,
  STARTUP_PACKET_BYTES_MAX,
} from '../../../../server/limits.ts';

function message(type: string, body: string): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, Buffer.from(body, 'latin1')]);
}

function header(type: string, length: number): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeUInt32BE(length >>> 0, 1);
  return head;
}

function queryFramer(): Framer {
  const framer = new Framer();
  framer.phase = 'query';
  return framer;
}

function drain(framer: Framer): string[] {
  const found: string[] = [];
  for (let type = framer.next(); type !== 0; type = framer.next()) {
    found.push(
      String.fromCharCode(type) + framer.buffer.toString('latin1', framer.start, framer.end),
    );
  }
  return found;
}

describe('messages', () => {
  const stream = Buffer.concat([
    message('Q', 'select 1\0'),
    message('S', ''),
    message('d', 'x'.repeat(300)),
    message('X', ''),
  ]);
  const whole = ['Qselect 1\0', 'S', `d${'x'.repeat(300)}`, 'X'];

  test('are the same wherever the stream is cut in two', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const framer = queryFramer();
      framer.push(stream.subarray(0, cut));
      const found = drain(framer);
      framer.push(stream.subarray(cut));
      expect([...found, ...drain(framer)]).toEqual(whole);
      expect(framer.unreadBytes).toBe(0);
    }
  });

  test('are the same when they come byte by byte', () => {
    const framer = queryFramer();
    const found: string[] = [];
    for (const byte of stream) {
      framer.push(Buffer.of(byte));
      found.push(...drain(framer));
    }
    expect(found).toEqual(whole);
  });

  test('are not written over by what comes later', () => {
    const framer = queryFramer();
    const views: Buffer[] = [];
    for (let i = 0; i < 2000; i++) {
      const bytes = message('d', String(i).padStart(7, '0'));
      framer.push(bytes.subarray(0, 6));
      framer.push(bytes.subarray(6));
      expect(framer.next()).toBe(0x64);
      views.push(framer.buffer.subarray(framer.start, framer.end));
    }
    views.forEach((view, i) => expect(view.toString()).toBe(String(i).padStart(7, '0')));
  });
});

describe('lengths', () => {
  test('a length that is claimed takes no memory', () => {
    const framer = queryFramer();
    framer.push(header('Q', MESSAGE_BYTES_MAX));
    expect(framer.next()).toBe(0);
    framer.push(Buffer.alloc(1000));
    expect(framer.next()).toBe(0);
    expect(framer.buffer.length).toBeLessThan(4096);
  });

  test('a long message in many chunks takes no more than itself, and is let go afterwards', () => {
    const framer = queryFramer();
    const body = 'x'.repeat(1_000_000);
    const bytes = message('d', body);
    for (let at = 0; at < bytes.length; at += 10_000) {
      framer.push(bytes.subarray(at, at + 10_000));
      if (at + 10_000 < bytes.length) expect(framer.next()).toBe(0);
    }
    expect(framer.buffer.length).toBe(bytes.length);
    expect(drain(framer)).toEqual([`d${body}`]);
    expect(framer.buffer).toHaveLength(0);
  });

  test.each([
    ['Q', MESSAGE_BYTES_MAX],
    ['d', MESSAGE_BYTES_MAX],
    ['S', SMALL_MESSAGE_BYTES_MAX],
    ['E', SMALL_MESSAGE_BYTES_MAX],
  ])('%s may have %d bytes and no more', (type, limit) => {
    const framer = queryFramer();
    framer.push(header(type, limit + 4));
    expect(framer.next()).toBe(0);
    const over = queryFramer();
    over.push(header(type, limit + 5));
    expect(() => over.next()).toThrow(expect.objectContaining({ sqlstate: '54000' }));
  });

  test.each([0, 3, 0xffffffff, 0x80000000])('the length %d is no length', (length) => {
    const framer = queryFramer();
    framer.push(header('Q', length));
    expect(() => framer.next()).toThrow(expect.objectContaining({ sqlstate: '08P01' }));
  });

  test.each(['\0', 'A', 'Z', 'p', '\xff'])('%j is no type', (type) => {
    const framer = queryFramer();
    framer.push(Buffer.from(type, 'latin1'));
    expect(() => framer.next()).toThrow(/invalid frontend message type/);
  });

  test('before authentication there are SASL messages only', () => {
    const framer = new Framer();
    framer.phase = 'authentication';
    framer.push(message('Q', 'select 1\0'));
    expect(() => framer.next()).toThrow('expected SASL response, got message type 81');
  });
});

describe('start-up', () => {
  test('a packet is the same wherever it is cut', () => {
    const packet = Buffer.from('\0\0\0\x0c\0\x03\0\0user', 'latin1');
    for (let cut = 0; cut <= packet.length; cut++) {
      const framer = new Framer();
      framer.push(packet.subarray(0, cut));
      if (cut < packet.length) {
        expect(framer.next()).toBe(0);
        framer.push(packet.subarray(cut));
      }
      expect(framer.next()).toBe(1);
      expect(framer.buffer.toString('latin1', framer.start, framer.end)).toBe('\0\x03\0\0user');
    }
  });

  test.each([0, 4, 7, STARTUP_PACKET_BYTES_MAX + 5, 0x7fffffff, -1])(
    'length %d is refused',
    (n) => {
      const framer = new Framer();
      const bytes = Buffer.alloc(4);
      bytes.writeInt32BE(n);
      framer.push(bytes);
      expect(() => framer.next()).toThrow('invalid length of startup packet');
    },
  );

  test('a web browser is recognised', () => {
    const framer = new Framer();
    framer.push(Buffer.from('GET / HTTP/1.1\r\n'));
    expect(framer.isHttp()).toBe(true);
  });

  test('what is unread can be taken for the TLS layer', () => {
    const framer = new Framer();
    framer.push(Buffer.from('\x16\x03\x01', 'latin1'));
    expect(framer.peek()).toBe(0x16);
    expect(framer.take().toString('latin1')).toBe('\x16\x03\x01');
    expect(framer.unreadBytes).toBe(0);
    expect(framer.peek()).toBeUndefined();
  });
});
