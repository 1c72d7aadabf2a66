import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { deriveVerifier } from '../../../../identity/password.ts';
import {
  mockVerifier,
  SCRAM_SHA_256,
  SCRAM_SHA_256_PLUS,
  ScramExchange,
} from '../../../../server/pgwire/scram.ts';
import type { ScramSetup } from '../../../../server/pgwire/scram.ts';

const hashes = {
  sha256: (data: Uint8Array): Uint8Array => createHash('sha256').update(data).digest(),
  hmac: (key: Uint8Array, data: Uint8Array): Uint8Array =>
    createHmac('sha256', key).update(data).digest(),
};

// RFC 7677 section 3.
const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const clientNonce = 'rOprNGfwEbeRWgbNEkqO';
const serverNonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const setup: ScramSetup = {
  hashes,
  verifier: deriveVerifier('pencil', salt, 4096),
  known: true,
  mechanism: SCRAM_SHA_256,
  endPoint: undefined,
  nonce: serverNonce,
  user: 'user',
};
const first = `n,,n=user,r=${clientNonce}`;
const final = `c=biws,r=${clientNonce}${serverNonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;

/** The client's side, as an independent reading of RFC 5802. */
function clientFinal(password: string, challenge: string, bare: string, binding: Buffer): string {
  const nonce = /r=([^,]*)/.exec(challenge)![1]!;
  const saltText = /s=([^,]*)/.exec(challenge)![1]!;
  const salted = pbkdf2Sync(password, Buffer.from(saltText, 'base64'), 4096, 32, 'sha256');
  const clientKey = hashes.hmac(salted, Buffer.from('Client Key'));
  const withoutProof = `c=${binding.toString('base64')},r=${nonce}`;
  const text = Buffer.from(`${bare},${challenge},${withoutProof}`);
  const signature = hashes.hmac(hashes.sha256(clientKey), text);
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!));
  return `${withoutProof},p=${proof.toString('base64')}`;
}

describe('SCRAM-SHA-256', () => {
  test('the example of RFC 7677 passes', () => {
    const exchange = new ScramExchange(setup);
    expect(exchange.step(first)).toEqual({
      done: false,
      data: `r=${clientNonce}${serverNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
    });
    expect(exchange.step(final)).toEqual({
      done: true,
      data: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    });
  });

  test('a wrong proof, an unknown user and a mock verifier end in the same error', () => {
    const mock = mockVerifier('user', Buffer.alloc(32), hashes);
    for (const change of [
      { verifier: deriveVerifier('crayon', salt, 4096) },
      { known: false },
      { verifier: mock, known: false },
    ]) {
      const exchange = new ScramExchange({ ...setup, ...change });
      exchange.step(first);
      expect(() => exchange.step(final)).toThrow(
        expect.objectContaining({
          sqlstate: '28P01',
          message: 'password authentication failed for user "user"',
        }),
      );
    }
  });

  test('the salt of an unknown user stays the same and differs from that of another', () => {
    const secret = Buffer.alloc(32, 7);
    const saltOf = (user: string): string =>
      Buffer.from(mockVerifier(user, secret, hashes).salt).toString('hex');
    expect(saltOf('bob')).toBe(saltOf('bob'));
    expect(saltOf('bob')).not.toBe(saltOf('eve'));
    expect(saltOf('bob')).toHaveLength(32);
  });

  test('a nonce that is not the one agreed on is refused', () => {
    const exchange = new ScramExchange(setup);
    exchange.step(first);
    expect(() => exchange.step(final.replace('$k0', '$k1'))).toThrow(/invalid SCRAM response/);
  });

  test.each([
    ['', '08P01'],
    ['garbage', '08P01'],
    ['n,,n=user', '08P01'],
    ['n,,n=user,r=\u0007', '08P01'],
    ['n,,m=ext,n=user,r=abc', '0A000'],
    ['n,a=other,n=user,r=abc', '0A000'],
    ['p=tls-server-end-point,,n=user,r=abc', '08P01'],
  ])('the first message %j is refused', (message, sqlstate) => {
    expect(() => new ScramExchange(setup).step(message)).toThrow(
      expect.objectContaining({ sqlstate }),
    );
  });

  test.each(['', 'c=biws', `c=biws,r=${clientNonce}${serverNonce},p=!!`, 'c=biws,r=x,p=AAAA'])(
    'the final message %j is refused',
    (message) => {
      const exchange = new ScramExchange(setup);
      exchange.step(first);
      expect(() => exchange.step(message)).toThrow(expect.objectContaining({ sqlstate: '08P01' }));
    },
  );
});

describe('channel binding', () => {
  const endPoint = hashes.sha256(Buffer.from('a certificate'));
  const plus: ScramSetup = { ...setup, mechanism: SCRAM_SHA_256_PLUS, endPoint };
  const header = 'p=tls-server-end-point,,';
  const bare = `n=,r=${clientNonce}`;

  test('the hash of our certificate passes', () => {
    const exchange = new ScramExchange(plus);
    const { data } = exchange.step(header + bare);
    const binding = Buffer.concat([Buffer.from(header), endPoint]);
    const answer = exchange.step(clientFinal('pencil', data, bare, binding));
    expect(answer.done).toBe(true);
  });

  test('the hash of another certificate does not', () => {
    const exchange = new ScramExchange(plus);
    const { data } = exchange.step(header + bare);
    const binding = Buffer.concat([Buffer.from(header), hashes.sha256(Buffer.from('another'))]);
    expect(() => exchange.step(clientFinal('pencil', data, bare, binding))).toThrow(
      'SCRAM channel binding check failed',
    );
  });

  test('a client that was told we cannot bind, though we can, is refused', () => {
    const exchange = new ScramExchange({ ...setup, endPoint });
    expect(() => exchange.step(`y,,${bare}`)).toThrow('SCRAM channel binding negotiation error');
  });

  test('a client that believes it rightly is let in', () => {
    const exchange = new ScramExchange(setup);
    const { data } = exchange.step(`y,,${bare}`);
    expect(exchange.step(clientFinal('pencil', data, bare, Buffer.from('y,,'))).done).toBe(true);
  });

  test('PLUS without binding data, and an unknown kind of binding, are refused', () => {
    expect(() => new ScramExchange(plus).step(`n,,${bare}`)).toThrow('malformed SCRAM message');
    expect(() => new ScramExchange(plus).step(`p=tls-unique,,${bare}`)).toThrow(
      'unsupported SCRAM channel-binding type "tls-unique"',
    );
  });
});
