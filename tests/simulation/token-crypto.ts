// Crypto of the simulation: real SHA-256, signatures that are checksums over key and message. Pure.
//
// Nobody in the simulation makes a signature of a key that is not his, so checksums serve as well as curves,
// and a hundred times as many schedules run. Some runs use the real thing all the same.

import { hash } from 'node:crypto';
import { equal } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

/** FNV-1a (Fowler, Noll, Vo) from two beginnings. */
function signatureOf(key: Uint8Array, message: Uint8Array): Uint8Array {
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (const part of [key, message]) {
    for (const byte of part) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b ^ byte, 0x85ebca6b) ^ (b >>> 15);
    }
  }
  const signature = new Uint8Array(64);
  const view = new DataView(signature.buffer);
  view.setInt32(0, a);
  view.setInt32(4, b);
  return signature;
}

export const tokenCrypto: Crypto = {
  sha256,
  publicKeyOf: (seed) => seed,
  sign: signatureOf,
  verify: (publicKey, message, signature) => equal(signatureOf(publicKey, message), signature),
};
