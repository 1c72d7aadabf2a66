// Both implementations of Crypto against published vectors and against each other.

import { describe, expect, test } from '@jest/globals';
import { hashes, Point, verify as verifyCofactored } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { concat, fromHex, hex, utf8 } from '../../../ledger/bytes.ts';
import { acceptablePublicKey } from '../../../ledger/crypto.ts';
import { nobleCrypto } from '../../../ledger/noble-crypto.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { Random } from './random.ts';

hashes.sha512 = sha512;

/** RFC 8032 §7.1, tests 1 to 3. */
const RFC_8032 = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    key: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    key: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    key: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
];

const ORDER = Point.CURVE().n;

function little(bytes: Uint8Array): bigint {
  return BigInt(`0x${hex(bytes.toReversed())}`);
}

function fromLittle(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, '0')).toReversed();
}

describe.each([
  ['noble', nobleCrypto],
  ['native', nativeCrypto],
])('%s', (_name, crypto) => {
  test.each(RFC_8032)('agrees with RFC 8032 for message "$message"', (vector) => {
    const message = fromHex(vector.message);
    expect(hex(crypto.publicKeyOf(fromHex(vector.seed)))).toBe(vector.key);
    expect(hex(crypto.sign(fromHex(vector.seed), message))).toBe(vector.signature);
    expect(crypto.verify(fromHex(vector.key), message, fromHex(vector.signature))).toBe(true);
  });

  test('agrees with FIPS 180 for abc', () => {
    expect(hex(crypto.sha256(utf8('abc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  test('refuses S that is not reduced', () => {
    const seed = new Uint8Array(32).fill(7);
    const signature = crypto.sign(seed, utf8('x'));
    const s = little(signature.subarray(32)) + ORDER;
    const malleable = concat(signature.subarray(0, 32), fromLittle(s));
    expect(crypto.verify(crypto.publicKeyOf(seed), utf8('x'), signature)).toBe(true);
    expect(crypto.verify(crypto.publicKeyOf(seed), utf8('x'), malleable)).toBe(false);
  });

  test('refuses what holds only after multiplication by the cofactor', () => {
    const torsion = Point.fromHex(
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    );
    const [secret, nonce] = [123_456_789n, 987_654_321n];
    const key = Point.BASE.multiply(secret).toBytes();
    const r = Point.BASE.multiply(nonce).add(torsion).toBytes();
    const message = utf8('mixed order');
    const k = little(sha512(concat(r, key, message))) % ORDER;
    const signature = concat(r, fromLittle((nonce + k * secret) % ORDER));
    expect(verifyCofactored(signature, message, key, { zip215: false })).toBe(true);
    expect(crypto.verify(key, message, signature)).toBe(false);
  });

  test('refuses keys of small order, not canonical, not on the curve, of another length', () => {
    const identity = new Uint8Array(32);
    identity[0] = 1;
    // [0]B - [k]A is the identity for the identity as key, so S = 0 and R = A would verify.
    const signature = concat(identity, new Uint8Array(32));
    expect(crypto.verify(identity, utf8('m'), signature)).toBe(false);
    const beyond = new Uint8Array(32).fill(0xff);
    beyond[31] = 0x7f;
    const offCurve = new Uint8Array(32);
    offCurve[0] = 2;
    for (const key of [beyond, offCurve, new Uint8Array(31), new Uint8Array(0)]) {
      expect(crypto.verify(key, utf8('m'), signature)).toBe(false);
    }
    expect(crypto.verify(crypto.publicKeyOf(identity), utf8('m'), new Uint8Array(63))).toBe(false);
  });
});

test('both give the same verdict on damaged signatures, keys and messages', () => {
  const random = new Random(8032);
  for (let round = 0; round < 60; round++) {
    const seed = random.bytes(32);
    const message = random.bytes(random.below(200));
    const signature = nativeCrypto.sign(seed, message);
    const key = nativeCrypto.publicKeyOf(seed);
    expect(hex(nobleCrypto.sign(seed, message))).toBe(hex(signature));
    const parts = [
      new Uint8Array(key),
      new Uint8Array(message),
      new Uint8Array(signature),
    ] as const;
    const part = parts[random.below(3)]!;
    if (part.length > 0) part[random.below(part.length)]! ^= 1 << random.below(8);
    expect(nobleCrypto.verify(...parts)).toBe(nativeCrypto.verify(...parts));
  }
});

test('an acceptable key stays as it was, also in a Buffer', () => {
  const key = Buffer.from(nativeCrypto.publicKeyOf(new Uint8Array(32).fill(4)));
  key[31]! |= 0x80;
  const before = hex(key);
  acceptablePublicKey(key);
  expect(hex(key)).toBe(before);
});
