// Where a node says it can be reached, signed by it; and the book of the newest of each. Pure. Bytes: docs/formats/peer.md.
//
// (1) An announcement counts for one chain and one node, and only if its signature is valid.
// (2) Of two of one node the one with the higher sequence counts; what is older or equal changes nothing.

import { equal, hex, utf8 } from '../../ledger/bytes.ts';
import {
  blob,
  bytes,
  checked,
  decodeWith,
  encodeWith,
  hash,
  integer,
  record,
  text,
  uint,
} from '../../ledger/codec.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../../ledger/crypto.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { concat } from '../../ledger/bytes.ts';
import { isFormatError } from '../../ledger/error.ts';
import { PEER_ADDRESS_BYTES_MAX, PEER_ANNOUNCEMENT_BYTES_MAX } from '../limits.ts';
import { tryParseAddress } from './address.ts';
import { CLOSE, malformed, PeerRefusal } from './refusal.ts';

const FORMAT_VERSION = 1;
const TAG = utf8('trustsql address v1\n');

export interface Announcement {
  readonly chainId: Uint8Array;
  readonly node: Uint8Array;
  /** Milliseconds since 1970 by the node's clock, or one more than its last. */
  readonly sequence: number;
  /** `host:port`. */
  readonly address: string;
}

const address = checked(text(PEER_ADDRESS_BYTES_MAX), (value) =>
  tryParseAddress(value) === null ? `${value} is no address` : null,
);

const bodyCodec = record<Announcement & { readonly version: number }>({
  version: integer(FORMAT_VERSION, FORMAT_VERSION),
  chainId: hash,
  node: bytes(PUBLIC_KEY_BYTES),
  sequence: uint,
  address,
});

const signedCodec = record<{ readonly body: Uint8Array; readonly signature: Uint8Array }>({
  body: blob(1, PEER_ANNOUNCEMENT_BYTES_MAX),
  signature: bytes(SIGNATURE_BYTES),
});

/** The bytes that are passed on and stored. */
export function signAnnouncement(
  crypto: Crypto,
  seed: Uint8Array,
  announcement: Announcement,
): Uint8Array {
  const body = encodeWith(bodyCodec, { version: FORMAT_VERSION, ...announcement });
  return encodeWith(signedCodec, { body, signature: crypto.sign(seed, concat(TAG, body)) });
}

interface Signed {
  readonly announcement: Announcement;
  readonly valid: (crypto: Crypto) => boolean;
}

/** @throws PeerRefusal protocol */
function decodeAnnouncement(encoded: Uint8Array): Signed {
  if (encoded.length > PEER_ANNOUNCEMENT_BYTES_MAX) malformed('an announcement is too long');
  try {
    const { body, signature } = decodeWith(signedCodec, encoded);
    const { version: _, ...announcement } = decodeWith(bodyCodec, body);
    const valid = (crypto: Crypto): boolean =>
      crypto.verify(announcement.node, concat(TAG, body), signature);
    return { announcement, valid };
  } catch (error) {
    if (isFormatError(error)) return malformed(`an announcement is malformed: ${error.message}`);
    throw error;
  }
}

interface Entry {
  readonly sequence: number;
  readonly address: string;
  readonly encoded: Uint8Array;
}

export class AddressBook {
  readonly #crypto: Crypto;
  readonly #chainId: Uint8Array;
  readonly #entries = new Map<string, Entry>();

  constructor(crypto: Crypto, chainId: Uint8Array) {
    this.#crypto = crypto;
    this.#chainId = chainId;
  }

  /** What the node says, or undefined. @param node key in hexadecimal */
  get(node: string): Entry | undefined {
    return this.#entries.get(node);
  }

  /** Each node's newest announcement. */
  entries(): Iterable<readonly [string, Entry]> {
    return this.#entries;
  }

  /**
   * Takes an announcement and gives the node's key in hexadecimal if it is news. The signature is checked last: a node that
   * is not wanted, or nothing new, costs none.
   *
   * @param wanted  whether anything by the node with this key is of interest now
   * @throws PeerRefusal protocol when it is malformed, chain, or proof when the signature is not the node's
   */
  take(encoded: Uint8Array, wanted: (node: string) => boolean): string | null {
    const { announcement, valid } = decodeAnnouncement(encoded);
    if (!equal(announcement.chainId, this.#chainId)) {
      throw new PeerRefusal(CLOSE.chain, 'an announcement of another chain');
    }
    const node = hex(announcement.node);
    const known = this.#entries.get(node);
    if (known !== undefined && announcement.sequence <= known.sequence) return null;
    if (!wanted(node)) return null;
    if (!valid(this.#crypto)) {
      throw new PeerRefusal(CLOSE.proof, 'an announcement is not signed by its node');
    }
    const { sequence } = announcement;
    this.#entries.set(node, { sequence, address: announcement.address, encoded: encoded.slice() });
    return node;
  }

  /** Forgets a node that is a member no more. */
  forget(node: string): void {
    this.#entries.delete(node);
  }
}
