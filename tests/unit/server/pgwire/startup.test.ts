import { describe, expect, test } from '@jest/globals';
import type { StartUpPacket } from '../../../../server/pgwire/message.ts';
import { decodeStartUp } from '../../../../server/pgwire/startup.ts';

function decode(code: number, rest = ''): StartUpPacket {
  const head = Buffer.alloc(4);
  head.writeInt32BE(code);
  const body = Buffer.concat([head, Buffer.from(rest)]);
  return decodeStartUp(body, 0, body.length);
}

const V3 = 0x30000;

describe('a start-up packet', () => {
  test('has a user, a database and settings', () => {
    const packet = decode(V3, 'user\0u\0database\0d\0application_name\0psql\0\0');
    expect(packet).toEqual({
      kind: 'startUp',
      minor: 0,
      user: 'u',
      database: 'd',
      settings: new Map([['application_name', 'psql']]),
      extensions: [],
    });
  });

  test('names the user as database if it names none', () => {
    expect(decode(V3, 'user\0u\0\0')).toMatchObject({ database: 'u' });
  });

  test('of a higher minor version, or with extensions, is understood', () => {
    expect(decode(V3 + 2, 'user\0u\0_pq_.x\0y\0\0')).toMatchObject({
      minor: 2,
      extensions: ['_pq_.x'],
      settings: new Map(),
    });
  });

  test.each([
    [0x20000, 'user\0u\0\0', '0A000'],
    [0x40000, 'user\0u\0\0', '0A000'],
    [V3, 'user\0u\0', '08P01'],
    [V3, 'user\0u', '08P01'],
    [V3, 'user\0', '08P01'],
    [V3, '', '08P01'],
    [V3, 'user\0u\0\0more', '08P01'],
    [V3, 'database\0d\0\0', '28000'],
    [V3, 'user\0u\0replication\0database\0\0', '0A000'],
  ])('of version %d with %j is refused', (code, rest, sqlstate) => {
    expect(() => decode(code, rest)).toThrow(expect.objectContaining({ sqlstate }));
  });

  test('may say that it does not replicate', () => {
    expect(decode(V3, 'user\0u\0replication\0off\0\0')).toMatchObject({ user: 'u' });
  });
});

test('requests are told apart', () => {
  expect(decode(80877103)).toEqual({ kind: 'sslRequest' });
  expect(decode(80877104)).toEqual({ kind: 'gssEncRequest' });
  expect(decode(80877102, '\0\0\0\x01\0\0\0\x02')).toEqual({
    kind: 'cancelRequest',
    processId: 1,
    secretKey: 2,
  });
  expect(() => decode(80877102, '\0')).toThrow('insufficient data left in message');
});
