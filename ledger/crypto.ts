// The two primitives everything here stands on, SHA-256 and Ed25519, as an interface. Pure, browser-safe.
//
// Implemented by storage/native-crypto.ts (OpenSSL, fast) and ledger/noble-crypto.ts (audited JavaScript,
// runs in browsers). They must agree on every input, so the rule of the chain is spelt out:
//
// (1) RFC 8032 Ed25519, cofactorless: the encoding of [S]B - [k]A equals the first half of the signature,
//     byte by byte. S is less than the order of the group.
// (2) A public key that is not the canonical encoding of its point, or of small order, verifies nothing.

import { compare, hex } from './bytes.ts';

export const HASH_BYTES = 32;
export const PUBLIC_KEY_BYTES = 32;
export const SEED_BYTES = 32;
export const SIGNATURE_BYTES = 64;

export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array;
  /** Public key, 32 bytes, of a 32-byte seed. */
  publicKeyOf(seed: Uint8Array): Uint8Array;
  /** Signature, 64 bytes, by the key of a 32-byte seed. */
  sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /** False for everything that is not a valid signature, whatever its shape; never throws. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** y coordinates, little-endian, of the eight points whose order divides 8. */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]);

/** p = 2^255 - 19, big-endian. */
const FIELD_PRIME = new Uint8Array(32).fill(0xff);
FIELD_PRIME[0] = 0x7f;
FIELD_PRIME[31] = 0xed;

/**
 * Whether a public key may be registered and may verify: 32 bytes, its y coordinate less than p, and not of
 * small order. Whether it is on the curve at all shows when it verifies.
 */
export function acceptablePublicKey(key: Uint8Array): boolean {
  if (key.length !== PUBLIC_KEY_BYTES) return false;
  // Not `slice`, which for a Buffer is no copy.
  const y = new Uint8Array(key);
  y[31]! &= 0x7f;
  // With x = 0 the sign bit has a non-canonical form too; those two points are of small order.
  return compare(y.toReversed(), FIELD_PRIME) < 0 && !SMALL_ORDER.has(hex(y));
}
