// A peer that does as a test tells it: its own TLS and WebSocket, frames by hand.

import { once } from 'node:events';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { exporterOf } from './session-exporter.ts';
import { Handshake } from '../../../../server/peers/handshake.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';
import { CHAIN } from './network-fixture.ts';
import type { NodeKeyPair } from './network-fixture.ts';

export interface RawPeer {
  readonly session: TLSSocket;
  readonly websocket: WebSocket;
  /** All binary messages that came, the handshake's too. */
  readonly frames: Uint8Array[];
  /** Code and reason of the close frame. */
  readonly closed: Promise<[number, string]>;
}

/** A WebSocket to a node, which has said nothing yet. */
export async function connectRaw(address: string): Promise<RawPeer> {
  const [host, port] = address.split(':') as [string, string];
  const session = connect({ host, port: Number(port), rejectUnauthorized: false });
  session.on('error', () => undefined);
  await once(session, 'secureConnect');
  const websocket = new WebSocket(`ws://${address}/`, { createConnection: () => session });
  const frames: Uint8Array[] = [];
  websocket.on('message', (data) => frames.push(data as Buffer));
  websocket.on('error', () => undefined);
  const closed = new Promise<[number, string]>((resolve) =>
    websocket.on('close', (code, reason) => resolve([code, reason.toString()])),
  );
  await once(websocket, 'open');
  return { session, websocket, frames, closed };
}

/** Waits for the message with this number. */
export async function frameOf(peer: RawPeer, at: number): Promise<Uint8Array> {
  while (peer.frames.length <= at) await once(peer.websocket, 'message');
  return peer.frames[at]!;
}

/** Proves the key of a member; what comes next are frames. Gives the proof that was sent. */
export async function proveRaw(
  peer: RawPeer,
  own: NodeKeyPair,
  changes: { readonly chainId?: Uint8Array; readonly seed?: Uint8Array } = {},
): Promise<Uint8Array> {
  const { publicKey } = own;
  const handshake = new Handshake({
    crypto,
    role: 'initiator',
    own: { chainId: changes.chainId ?? CHAIN, publicKey, instance: new Uint8Array(16) },
    seed: changes.seed ?? own.seed,
    exporter: exporterOf(peer.session),
    judge: () => undefined,
    admit: () => undefined,
  });
  peer.websocket.send(handshake.hello);
  // The node's hello may be of another chain: what it thinks of ours is what the test asks.
  const hello = Uint8Array.from(await frameOf(peer, 0));
  if (changes.chainId !== undefined) hello.set(changes.chainId, 6);
  const proof = handshake.receive(hello).reply!;
  peer.websocket.send(proof);
  return proof;
}
