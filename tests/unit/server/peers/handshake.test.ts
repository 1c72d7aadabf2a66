// Proving keys to each other: who gets in, who does not, and which of two connections stays.

import { describe, expect, test } from '@jest/globals';
import { equal, hex } from '../../../../ledger/bytes.ts';
import {
  decodeHello,
  encodeHello,
  Handshake,
  newcomerStays,
} from '../../../../server/peers/handshake.ts';
import type { Hello, PeerIdentity, Role } from '../../../../server/peers/handshake.ts';
import { CLOSE, isPeerRefusal, PeerRefusal } from '../../../../server/peers/refusal.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';
import { Random } from '../../ledger/random.ts';

const CHAIN = new Uint8Array(32).fill(7);
const EXPORTER = new Uint8Array(32).fill(8);
const SEEDS = [1, 2, 3].map((value) => new Uint8Array(32).fill(value));

function helloOf(seed: Uint8Array, chainId = CHAIN): Hello {
  return { chainId, publicKey: crypto.publicKeyOf(seed), instance: seed.slice(0, 16) };
}

interface Changes {
  readonly seed?: Uint8Array;
  readonly own?: Hello;
  readonly exporter?: Uint8Array;
  readonly judge?: (peer: PeerIdentity) => void;
  readonly admit?: (peer: PeerIdentity) => void;
}

function side(role: Role, changes: Changes = {}): Handshake {
  const seed = changes.seed ?? SEEDS[role === 'initiator' ? 0 : 1]!;
  return new Handshake({
    crypto,
    role,
    own: changes.own ?? helloOf(seed),
    seed,
    exporter: changes.exporter ?? EXPORTER,
    judge: changes.judge ?? ((): void => undefined),
    admit: changes.admit ?? ((): void => undefined),
  });
}

function refusalOf(work: () => unknown): number | null {
  try {
    work();
    return null;
  } catch (error) {
    if (!isPeerRefusal(error)) throw error;
    return error.code;
  }
}

test('two members learn each other’s keys', () => {
  const [initiator, acceptor] = [side('initiator'), side('acceptor')];
  expect(acceptor.receive(initiator.hello)).toEqual({ reply: null, peer: null });
  const { reply: first } = initiator.receive(acceptor.hello);
  const { reply: second, peer } = acceptor.receive(first!);
  expect(peer?.key).toBe(hex(crypto.publicKeyOf(SEEDS[0]!)));
  expect(initiator.receive(second!)).toEqual({
    reply: null,
    peer: { key: hex(crypto.publicKeyOf(SEEDS[1]!)), instance: hex(SEEDS[1]!.slice(0, 16)) },
  });
});

test('what is said and proved has the bytes of docs/formats/peer.md', () => {
  const [initiator, acceptor] = [side('initiator'), side('acceptor')];
  const { publicKey, instance } = helloOf(SEEDS[0]!);
  expect(hex(initiator.hello)).toBe(`545351500001${hex(CHAIN)}${hex(publicKey)}${hex(instance)}`);
  const proof = initiator.receive(acceptor.hello).reply!;
  const signed = Buffer.concat([
    Buffer.from('trustsql peer v1\n'),
    Buffer.from([1]),
    initiator.hello,
    acceptor.hello,
    EXPORTER,
  ]);
  expect([proof.length, proof[0]]).toEqual([65, 0x12]);
  expect(crypto.verify(publicKey, signed, proof.subarray(1))).toBe(true);
});

describe('is refused', () => {
  test('another chain, before anybody is asked about the key', () => {
    const other = helloOf(SEEDS[1]!, new Uint8Array(32));
    const asked: string[] = [];
    const initiator = side('initiator', { judge: ({ key }) => asked.push(key) });
    expect(refusalOf(() => initiator.receive(encodeHello(other)))).toBe(CLOSE.chain);
    expect(asked).toEqual([]);
  });

  test('another version, whatever follows it', () => {
    const bytes = side('initiator').hello.with(5, 2);
    expect(refusalOf(() => decodeHello(bytes))).toBe(CLOSE.version);
    expect(refusalOf(() => decodeHello(bytes.subarray(0, 60)))).toBe(CLOSE.version);
  });

  test('a key that is no member, before a signature is checked or made', () => {
    let uses = 0;
    const counting = {
      ...crypto,
      sign: () => (uses++, new Uint8Array(64)),
      verify: () => (uses++, true),
    };
    const judge = (): void => {
      throw new PeerRefusal(CLOSE.key, 'no member');
    };
    for (const role of ['initiator', 'acceptor'] as const) {
      const own = helloOf(SEEDS[0]!);
      const seed = SEEDS[0]!;
      const admit = judge;
      const options = { crypto: counting, role, own, seed, exporter: EXPORTER, judge, admit };
      const handshake = new Handshake(options);
      expect(refusalOf(() => handshake.receive(encodeHello(helloOf(SEEDS[1]!))))).toBe(CLOSE.key);
    }
    expect(uses).toBe(0);
  });

  test('a proof for another TLS session', () => {
    const initiator = side('initiator', { exporter: new Uint8Array(32) });
    const acceptor = side('acceptor');
    acceptor.receive(initiator.hello);
    const { reply } = initiator.receive(acceptor.hello);
    expect(refusalOf(() => acceptor.receive(reply!))).toBe(CLOSE.proof);
  });

  test('a proof by a key other than that of the hello', () => {
    const thief = side('initiator', { seed: SEEDS[2]!, own: helloOf(SEEDS[0]!) });
    const acceptor = side('acceptor');
    acceptor.receive(thief.hello);
    const { reply } = thief.receive(acceptor.hello);
    expect(refusalOf(() => acceptor.receive(reply!))).toBe(CLOSE.proof);
  });

  test('its own proof sent back', () => {
    const initiator = side('initiator');
    // Somebody who repeats what he hears has the same hello.
    const { reply } = initiator.receive(initiator.hello);
    expect(refusalOf(() => initiator.receive(reply!))).toBe(CLOSE.proof);
  });

  test('a proof in place of a hello, a hello in place of a proof, a second hello', () => {
    const [initiator, acceptor] = [side('initiator'), side('acceptor')];
    const proof = initiator.receive(acceptor.hello).reply!;
    expect(refusalOf(() => acceptor.receive(proof))).toBe(CLOSE.protocol);
    acceptor.receive(initiator.hello);
    expect(refusalOf(() => acceptor.receive(initiator.hello))).toBe(CLOSE.protocol);
  });

  test('whoever is not admitted, before the acceptor proves anything', () => {
    const admit = (): void => {
      throw new PeerRefusal(CLOSE.duplicate, 'there is one');
    };
    const [initiator, acceptor] = [side('initiator'), side('acceptor', { admit })];
    acceptor.receive(initiator.hello);
    const proof = initiator.receive(acceptor.hello).reply!;
    expect(refusalOf(() => acceptor.receive(proof))).toBe(CLOSE.duplicate);
  });

  test('anything that was changed anywhere', () => {
    const seed = 77;
    const random = new Random(seed);
    const codes = new Set<number>();
    for (let round = 0; round < 400; round++) {
      const [initiator, acceptor] = [side('initiator'), side('acceptor')];
      const mangle = (bytes: Uint8Array): Uint8Array => {
        const cut =
          random.below(3) === 0 ? bytes.slice(0, random.below(bytes.length)) : bytes.slice();
        if (cut.length === bytes.length) cut[random.below(cut.length)]! ^= 1 + random.below(255);
        return cut;
      };
      const code = refusalOf(() => {
        const hello = round % 2 === 0 ? mangle(initiator.hello) : initiator.hello;
        acceptor.receive(hello);
        const proof = initiator.receive(acceptor.hello).reply!;
        acceptor.receive(round % 2 === 0 ? proof : mangle(proof));
      });
      expect(code).not.toBeNull();
      codes.add(code!);
    }
    expect(codes).toEqual(new Set([CLOSE.protocol, CLOSE.version, CLOSE.chain, CLOSE.proof]));
  });
});

test('of two connections both nodes keep the same one, whichever they saw first', () => {
  const [small, large] = ['0a', '0b'];
  const stays = (own: string, peer: string, old: Role, newcomer: Role): boolean =>
    newcomerStays(own, peer, { instance: 'x', role: old }, { instance: 'x', role: newcomer });
  // The one that the smaller key has begun: it is the initiator there, the acceptor at the other end.
  expect(stays(small, large, 'acceptor', 'initiator')).toBe(true);
  expect(stays(small, large, 'initiator', 'acceptor')).toBe(false);
  expect(stays(large, small, 'initiator', 'acceptor')).toBe(true);
  expect(stays(large, small, 'acceptor', 'initiator')).toBe(false);
  // A node that has begun anew lost what it had.
  const restarted = { instance: 'y', role: 'acceptor' } as const;
  expect(newcomerStays(small, large, { instance: 'x', role: 'initiator' }, restarted)).toBe(true);
  expect(equal(helloOf(SEEDS[0]!).publicKey, helloOf(SEEDS[1]!).publicKey)).toBe(false);
});
