// Crypto of the simulation: real SHA-256, signatures that are hashes over key and message. Pure.
//
// Nobody in the simulation makes a signature of a key that is not his, so hashes serve as well as curves, and a
// hundred times as many schedules run. Some runs use the real thing all the same.

import { hash } from 'node:crypto';
import { concat, equal } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

function signatureOf(key: Uint8Array, message: Uint8Array): Uint8Array {
  const half = sha256(concat(key, message));
  return concat(half, half);
}

export const tokenCrypto: Crypto = {
  sha256,
  publicKeyOf: (seed) => seed,
  sign: signatureOf,
  verify: (publicKey, message, signature) => equal(signatureOf(publicKey, message), signature),
};
