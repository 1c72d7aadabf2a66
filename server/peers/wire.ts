// One WebSocket (RFC 6455) over a TLS session that is there already: frames in and out. Shell; the door of `ws`.
//
// (1) Binary messages only, none longer than a frame: `ws` compares the length that is stated before it takes the bytes.
// (2) `closed` is called once, and nothing after it.

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { PEER_FRAME_BYTES_MAX, PEER_LINGER_MS_MAX } from '../limits.ts';
import { CLOSE } from './refusal.ts';

export interface WireHandlers {
  /** The session is upgraded; of those that this node has begun. */
  opened?(): void;
  frame(bytes: Uint8Array): void;
  /** The kernel has taken something that was sent, whatever it was. */
  sent(): void;
  /** The peer answers a ping. */
  pong(): void;
  /** @param code  the peer's, or 1006 when it gave none; then the reason is what our side saw */
  closed(code: number, reason: string): void;
}

const OPTIONS = {
  maxPayload: PEER_FRAME_BYTES_MAX,
  // Whoever needs more than a few fragments for a frame wants to cost us memory.
  maxFragments: 16,
  maxBufferedChunks: 1_024,
  // What is sent is hashes and signatures mostly, and compression beside secrets leaks them.
  perMessageDeflate: false,
  // Ours tell when they have left.
  autoPong: false,
} as const;

/** Pings of a peer that wait for their answers to leave; an honest one has one. */
const PONGS_MAX = 16;

export class Wire {
  handlers: WireHandlers;
  readonly #websocket: WebSocket;
  readonly #socket: TLSSocket;
  #failure = 'the connection was lost';
  #lingering: NodeJS.Timeout | undefined;
  #pongs = 0;

  private constructor(websocket: WebSocket, socket: TLSSocket, handlers: WireHandlers) {
    this.#websocket = websocket;
    this.#socket = socket;
    this.handlers = handlers;
    websocket.on('message', (data, binary) => {
      if (this.#lingering !== undefined) return;
      if (binary) this.handlers.frame(data as Buffer);
      else this.close(CLOSE.protocol, 'text');
    });
    websocket.on('open', () => this.handlers.opened?.());
    websocket.on('ping', (data) => this.#answerPing(data));
    websocket.on('pong', () => this.handlers.pong());
    websocket.on('error', (error) => (this.#failure = error.message));
    websocket.on('close', (code, reason) => {
      clearTimeout(this.#lingering);
      this.handlers.closed(code, reason.length > 0 ? reason.toString() : this.#failure);
    });
  }

  /** Upgrades a session that this node has begun. */
  static initiate(socket: TLSSocket, host: string, handlers: WireHandlers): Wire {
    const websocket = new WebSocket(`ws://${host}/`, {
      ...OPTIONS,
      createConnection: () => socket,
      // Masks keep proxies from being fooled by what a page in a browser sends in the clear. Here it is TLS, and no
      // masking saves a pass over all bytes.
      generateMask: (mask) => mask.fill(0),
    });
    return new Wire(websocket, socket, handlers);
  }

  /** Makes what upgrades the sessions of peers that have come. */
  static acceptor(): (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    accepted: (open: (handlers: WireHandlers) => Wire) => void,
  ) => void {
    const server = new WebSocketServer({ ...OPTIONS, noServer: true, clientTracking: false });
    return (request, socket, head, accepted) =>
      server.handleUpgrade(request, socket, head, (websocket) =>
        accepted((handlers) => new Wire(websocket, socket as TLSSocket, handlers)),
      );
  }

  get remoteAddress(): string {
    return `${this.#socket.remoteAddress ?? '?'}:${this.#socket.remotePort ?? 0}`;
  }

  /** Bytes that the kernel has not taken yet. */
  get bufferedBytes(): number {
    return this.#websocket.bufferedAmount;
  }

  send(bytes: Uint8Array): void {
    this.#websocket.send(bytes, () => this.handlers.sent());
  }

  ping(): void {
    this.#websocket.ping(undefined, undefined, () => this.handlers.sent());
  }

  /** What is sent until `uncork` leaves in one write. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /** Says why and closes; cuts the connection when the peer does not take that. */
  close(code: number, reason: string): void {
    if (this.#lingering !== undefined) return;
    this.#lingering = setTimeout(() => this.#websocket.terminate(), PEER_LINGER_MS_MAX);
    // A close frame has room for 123 bytes; what is cut within a character becomes one of three.
    this.#websocket.close(code, Buffer.from(reason).subarray(0, 120).toString());
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#websocket.terminate();
  }

  #answerPing(data: Buffer): void {
    if (this.#pongs === PONGS_MAX) return this.destroy();
    this.#pongs++;
    this.#websocket.pong(data, undefined, () => {
      this.#pongs--;
      this.handlers.sent();
    });
  }
}
