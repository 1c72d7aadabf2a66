// Blocks whose certificates this process has made, or checked before it stored them. Pure.
//
// Whoever re-reads the files need not check the signatures once more where the bytes are still these; that the bytes are
// still these is what it looks for.

import { concat } from '../ledger/bytes.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import type { Crypto } from '../ledger/crypto.ts';

/** The newest that are remembered until somebody asks: of a few seconds. */
const CERTIFIED_MAX = 4_096;

/** Names a certificate, as it is stored, of the header of that hash. */
export function certifiedName(
  crypto: Crypto,
  headerHash: Uint8Array,
  certificate: Uint8Array,
): Uint8Array {
  return crypto.sha256(concat(headerHash, certificate));
}

export class Certified {
  readonly #crypto: Crypto;
  #names: Uint8Array[] = [];

  constructor(crypto: Crypto) {
    this.#crypto = crypto;
  }

  add(headerHash: Uint8Array, certificate: Uint8Array): void {
    if (this.#names.length === CERTIFIED_MAX) this.#names.splice(0, CERTIFIED_MAX / 2);
    this.#names.push(certifiedName(this.#crypto, headerHash, certificate));
  }

  /** The names since the last call, back to back. */
  take(): Uint8Array {
    const names = concat(...this.#names);
    this.#names = [];
    return names;
  }
}

/** The names that `Certified.take` has given. */
export function* namesIn(packed: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < packed.length; at += HASH_BYTES) yield packed.subarray(at, at + HASH_BYTES);
}
