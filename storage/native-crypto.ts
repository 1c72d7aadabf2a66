// Crypto by OpenSSL, through node:crypto: the server's hot path. Shell only in that it leaves JavaScript.
//
// Making a KeyObject costs about as much as a signature, so the most recently used ones are kept. Seeds of
// signing keys are kept in memory that way; keyring and node key hold them in memory anyway.

import { createPrivateKey, createPublicKey, hash, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
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

/** DER before a raw seed (PKCS #8) and before a raw public key (SPKI), RFC 8410 §7 and §4. */
const PKCS8_PREFIX = fromHex('302e020100300506032b657004220420');
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

const privateKeys = new KeyCache((seed): KeyObject => {
  assert(seed.length === SEED_BYTES, 'an Ed25519 seed has 32 bytes');
  const key = Buffer.from(concat(PKCS8_PREFIX, seed));
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
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
  publicKeyOf(seed) {
    const der = createPublicKey(privateKeys.get(seed)).export({ format: 'der', type: 'spki' });
    return new Uint8Array(der.subarray(SPKI_PREFIX.length));
  },
  sign: (seed, message) => sign(null, message, privateKeys.get(seed)),
  verify(publicKey, message, signature) {
    if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
    const key = publicKeys.get(publicKey);
    return key !== null && verify(null, message, key, signature);
  },
};
