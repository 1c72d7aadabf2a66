// Crypto in JavaScript: the door of @noble/ed25519 and @noble/hashes. Pure, browser-safe.
//
// For the verifier of proofs, for keys made in clients, and as the second opinion on the native one.
//
// Verification is written out here from the library's group operations, because the library's own is
// cofactored ([8][S]B = [8]R + [8][k]A) and the rule of the chain is what OpenSSL computes (see crypto.ts).

import { getPublicKey, hashes, Point, sign } from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { concat, equal } from './bytes.ts';
import { acceptablePublicKey, SIGNATURE_BYTES } from './crypto.ts';
import type { Crypto } from './crypto.ts';

hashes.sha512 = sha512;

/** Order of the prime subgroup (RFC 8032 §5.1). */
const ORDER = Point.CURVE().n;

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

function tryPoint(key: Uint8Array): Point | null {
  try {
    return Point.fromBytes(key, false);
  } catch {
    return null;
  }
}

/** RFC 8032 §5.1.7, cofactorless. */
function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || !acceptablePublicKey(publicKey)) return false;
  const a = tryPoint(publicKey);
  const r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  if (a === null || s >= ORDER) return false;
  const k = littleEndian(sha512(concat(r, publicKey, message))) % ORDER;
  const expected = Point.BASE.multiplyUnsafe(s).add(a.negate().multiplyUnsafe(k));
  return equal(expected.toBytes(), r);
}

export const nobleCrypto: Crypto = {
  sha256: (bytes) => sha256(bytes),
  publicKeyOf: (seed) => getPublicKey(seed),
  sign: (seed, message) => sign(message, seed),
  verify,
};
