// Crypto in native code: the server's hot path. Shell only in that it leaves JavaScript.
//
// libsodium signs: 21 µs where OpenSSL takes 43 (measured), and each block waits for two signatures one after the
// other; a signature of Ed25519 is the same bytes whoever makes it. OpenSSL verifies: newer versions of libsodium accept
// by the cofactored equation, which is not the rule of the chain (ledger/crypto.ts). ADR 0004.
//
// Making a key ready costs as much as a signature, so the most recently used ones are kept. Seeds of signing keys are
// kept in memory that way; keyring and node key hold them in memory anyway.

import { createPublicKey, hash, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import sodium from 'sodium-native';
import { concat, fromHex, hex } from '../ledger/bytes.ts';
import {
  acceptablePublicKey,
  HASH_BYTES,
  PUBLIC_KEY_BYTES,
  SEED_BYTES,
  SIGNATURE_BYTES,
} from '../ledger/crypto.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { assert } from '../ledger/error.ts';

/** Keys kept of either sort; about 1 KiB each. */
const KEYS_MAX = 4_096;

/** DER before a raw public key (SPKI), RFC 8410 §4. */
const SPKI_PREFIX = fromHex('302a300506032b6570032100');

/** Values by bytes, the least recently used forgotten first. */
class KeyCache<T> {
  readonly #make: (bytes: Uint8Array) => T;
  readonly #entries = new Map<string, T>();

  constructor(make: (bytes: Uint8Array) => T) {
    this.#make = make;
  }

  get(bytes: Uint8Array): T {
    const name = hex(bytes);
    let value = this.#entries.get(name);
    if (value === undefined) value = this.#make(bytes);
    else this.#entries.delete(name);
    // A Map keeps the order of insertion: the first entry is the one used longest ago.
    this.#entries.set(name, value);
    if (this.#entries.size > KEYS_MAX) this.#entries.delete(this.#entries.keys().next().value!);
    return value;
  }
}

/** The pair of a seed: `secret` is the seed and the public key behind it. */
interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secret: Uint8Array;
}

const keyPairs = new KeyCache((seed): KeyPair => {
  assert(seed.length === SEED_BYTES, 'an Ed25519 seed has 32 bytes');
  const publicKey = new Uint8Array(PUBLIC_KEY_BYTES);
  const secret = new Uint8Array(SEED_BYTES + PUBLIC_KEY_BYTES);
  sodium.crypto_sign_seed_keypair(publicKey, secret, seed);
  return { publicKey, secret };
});

/** null for a key that verifies nothing. */
const publicKeys = new KeyCache((raw): KeyObject | null => {
  if (!acceptablePublicKey(raw)) return null;
  const key = Buffer.from(concat(SPKI_PREFIX, raw));
  return createPublicKey({ key, format: 'der', type: 'spki' });
});

/**
 * A Buffer made by OpenSSL's side has memory of its own outside the heap, which costs more than a short hash does:
 * 0.9 µs in all, against 0.35 by way of a string (measured, Node 24).
 */
function sha256(bytes: Uint8Array): Uint8Array {
  const digits = hash('sha256', bytes, 'binary');
  const result = new Uint8Array(HASH_BYTES);
  for (let i = 0; i < HASH_BYTES; i++) result[i] = digits.charCodeAt(i);
  return result;
}

export const nativeCrypto: Crypto = {
  sha256,
  publicKeyOf: (seed) => keyPairs.get(seed).publicKey.slice(),
  sign(seed, message) {
    const signature = new Uint8Array(SIGNATURE_BYTES);
    sodium.crypto_sign_detached(signature, message, keyPairs.get(seed).secret);
    return signature;
  },
  verify(publicKey, message, signature) {
    if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
    const key = publicKeys.get(publicKey);
    return key !== null && verify(null, message, key, signature);
  },
};
