// What is signed. Pure, browser-safe.
//
// Every message begins with a name of its own and the chain id, so a signature means one thing on one chain.
// All fields have a fixed length: no two contents give the same message.

import { concat, uint32, utf8 } from './bytes.ts';
import type { Crypto } from './crypto.ts';

const BUNDLE_TAG = utf8('trustsql bundle v1\n');
const HEADER_TAG = utf8('trustsql header v1\n');

/**
 * What an author signs: `count` transactions whose ids have the Merkle root `root`.
 *
 * @param publicKey the author's, 32 bytes, so that the signature names its key
 */
export function bundleMessage(
  chainId: Uint8Array,
  publicKey: Uint8Array,
  count: number,
  root: Uint8Array,
): Uint8Array {
  return concat(BUNDLE_TAG, chainId, publicKey, uint32(count), root);
}

/** What a node signs when it orders a block; `hash` is the header's. */
export function headerMessage(chainId: Uint8Array, hash: Uint8Array): Uint8Array {
  return concat(HEADER_TAG, chainId, hash);
}

export function signBundle(
  crypto: Crypto,
  seed: Uint8Array,
  chainId: Uint8Array,
  publicKey: Uint8Array,
  count: number,
  root: Uint8Array,
): Uint8Array {
  return crypto.sign(seed, bundleMessage(chainId, publicKey, count, root));
}

export function verifyBundle(
  crypto: Crypto,
  publicKey: Uint8Array,
  signature: Uint8Array,
  chainId: Uint8Array,
  count: number,
  root: Uint8Array,
): boolean {
  return crypto.verify(publicKey, bundleMessage(chainId, publicKey, count, root), signature);
}

/** What a certificate holds next to the node's key. */
export function signHeader(
  crypto: Crypto,
  seed: Uint8Array,
  chainId: Uint8Array,
  hash: Uint8Array,
): Uint8Array {
  return crypto.sign(seed, headerMessage(chainId, hash));
}

export function verifyHeader(
  crypto: Crypto,
  node: Uint8Array,
  signature: Uint8Array,
  chainId: Uint8Array,
  hash: Uint8Array,
): boolean {
  return crypto.verify(node, headerMessage(chainId, hash), signature);
}
