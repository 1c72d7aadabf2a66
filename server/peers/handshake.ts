// Mutual authentication of two nodes over one TLS session. Pure. Bytes: docs/formats/peer.md.
//
//     initiator                      acceptor
//        │  hello ────────────►        │
//        │  ◄──────────── hello        │     each: version, chain, key among the members
//        │  proof ────────────►        │     admitted, verified
//        │  ◄──────────── proof        │     verified, admitted; both may send frames
//
// (1) A proof is a signature over both hellos, the role of its signer, and a secret that only the two ends of this TLS
//     session can derive (RFC 8446 §7.5). Neither a relay that ends TLS on both sides nor a repetition has that secret.
// (2) Nothing is signed for, and no signature checked of, anybody whose hello was refused.
// (3) The acceptor's proof says that the connection is up on its side; the initiator relies on it.

import { concat, equal, hex, utf8 } from '../../ledger/bytes.ts';
import { HASH_BYTES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from '../../ledger/crypto.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { PEER_VERSION } from './frame.ts';
import { CLOSE, malformed, PeerRefusal } from './refusal.ts';

/** Of the exporter, RFC 5705 §4: labels that begin so are free to use. */
export const EXPORTER_LABEL = 'EXPERIMENTAL trustsql peer v1';
export const EXPORTER_BYTES = 32;

export const INSTANCE_BYTES = 16;

const MAGIC = utf8('TSQP');
const TAG = utf8('trustsql peer v1\n');
const PROOF_TAG = (PEER_VERSION << 4) | 2;

const CHAIN_AT = MAGIC.length + 2;
const KEY_AT = CHAIN_AT + HASH_BYTES;
const INSTANCE_AT = KEY_AT + PUBLIC_KEY_BYTES;
const HELLO_BYTES = INSTANCE_AT + INSTANCE_BYTES;

export type Role = 'initiator' | 'acceptor';

export interface Hello {
  readonly chainId: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Made by chance when the node started: tells a node that has restarted from one that is dialled twice. */
  readonly instance: Uint8Array;
}

/** Who is at the other end; key and instance in hexadecimal. */
export interface PeerIdentity {
  readonly key: string;
  readonly instance: string;
}

export function encodeHello({ chainId, publicKey, instance }: Hello): Uint8Array {
  return concat(MAGIC, new Uint8Array([0, PEER_VERSION]), chainId, publicKey, instance);
}

/** @throws PeerRefusal protocol; version, of a hello that begins as ours whatever follows */
export function decodeHello(bytes: Uint8Array): Hello {
  if (bytes.length < CHAIN_AT || !equal(bytes.subarray(0, MAGIC.length), MAGIC))
    malformed('no hello');
  const version = bytes[MAGIC.length]! * 256 + bytes[MAGIC.length + 1]!;
  if (version !== PEER_VERSION) {
    const text = `version ${version} of the protocol is not spoken here, ${PEER_VERSION} is`;
    throw new PeerRefusal(CLOSE.version, text);
  }
  if (bytes.length !== HELLO_BYTES) malformed('a hello of the wrong length');
  return {
    chainId: bytes.slice(CHAIN_AT, KEY_AT),
    publicKey: bytes.slice(KEY_AT, INSTANCE_AT),
    instance: bytes.slice(INSTANCE_AT),
  };
}

/** What a node signs; all parts have a fixed length. */
function proofMessage(
  role: Role,
  signer: Uint8Array,
  peer: Uint8Array,
  exporter: Uint8Array,
): Uint8Array {
  return concat(TAG, new Uint8Array([role === 'initiator' ? 1 : 2]), signer, peer, exporter);
}

export interface HandshakeOptions {
  readonly crypto: Crypto;
  readonly role: Role;
  readonly own: Hello;
  readonly seed: Uint8Array;
  /** Of this TLS session, under our label. */
  readonly exporter: Uint8Array;
  /** Throws PeerRefusal when the peer's hello will not do. Its key is not proved yet. */
  readonly judge: (peer: PeerIdentity) => void;
  /** Throws PeerRefusal when the peer, whose key is proved, gets no connection. */
  readonly admit: (peer: PeerIdentity) => void;
}

export interface HandshakeStep {
  /** To send. */
  readonly reply: Uint8Array | null;
  /** The handshake is over once the reply has been sent. */
  readonly peer: PeerIdentity | null;
}

/** A peer whose hello was taken. */
interface Greeted {
  readonly hello: Uint8Array;
  readonly key: Uint8Array;
  readonly identity: PeerIdentity;
}

export class Handshake {
  readonly #options: HandshakeOptions;
  readonly #hello: Uint8Array;
  #peer: Greeted | null = null;

  constructor(options: HandshakeOptions) {
    this.#options = options;
    this.#hello = encodeHello(options.own);
  }

  /** What either side sends at once. */
  get hello(): Uint8Array {
    return this.#hello;
  }

  /** Takes what the peer has sent. @throws PeerRefusal: the connection is to be closed for it */
  receive(bytes: Uint8Array): HandshakeStep {
    return this.#peer === null ? this.#receiveHello(bytes) : this.#receiveProof(bytes, this.#peer);
  }

  #receiveHello(bytes: Uint8Array): HandshakeStep {
    const { role, own, judge } = this.#options;
    const { chainId, publicKey, instance } = decodeHello(bytes);
    if (!equal(chainId, own.chainId)) throw new PeerRefusal(CLOSE.chain, 'another chain');
    const identity = { key: hex(publicKey), instance: hex(instance) };
    judge(identity);
    const hello = bytes.slice();
    this.#peer = { hello, key: publicKey, identity };
    return { reply: role === 'initiator' ? this.#proof(hello) : null, peer: null };
  }

  #receiveProof(bytes: Uint8Array, peer: Greeted): HandshakeStep {
    if (bytes.length !== 1 + SIGNATURE_BYTES || bytes[0] !== PROOF_TAG) malformed('no proof');
    const { crypto, role, exporter, admit } = this.#options;
    const other = role === 'initiator' ? 'acceptor' : 'initiator';
    const message = proofMessage(other, peer.hello, this.#hello, exporter);
    if (!crypto.verify(peer.key, message, bytes.subarray(1))) {
      throw new PeerRefusal(CLOSE.proof, 'the key is not proved for this connection');
    }
    admit(peer.identity);
    return { reply: role === 'acceptor' ? this.#proof(peer.hello) : null, peer: peer.identity };
  }

  #proof(peerHello: Uint8Array): Uint8Array {
    const { crypto, role, seed, exporter } = this.#options;
    const message = proofMessage(role, this.#hello, peerHello, exporter);
    return concat(new Uint8Array([PROOF_TAG]), crypto.sign(seed, message));
  }
}

/**
 * Which of two connections of one pair stays: that of the other process if the peer has restarted, else the one whose
 * initiator has the smaller key. Both nodes come to the same answer, whatever the order in which they see the two.
 */
export function newcomerStays(
  own: string,
  peer: string,
  old: { readonly instance: string; readonly role: Role },
  newcomer: { readonly instance: string; readonly role: Role },
): boolean {
  // A node dials again only when it has lost what it had.
  if (old.instance !== newcomer.instance || old.role === newcomer.role) return true;
  const begunHere = newcomer.role === 'initiator';
  return own < peer ? begunHere : !begunHere;
}
