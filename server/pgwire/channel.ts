// One socket: bytes in through the framer, bytes out through a slab. Shell.
//
// (1) Small messages are gathered and go out in one write; large ones go as they come, in the same order.
//     Answers to what came in one turn of the event loop leave together at its end: to wake a client costs the kernel more
//     than to write, and who is still awake from the write before need not be woken.
// (2) Everything handed to `write` is copied before it returns, so its buffer may be used again.
// (3) In: above RECEIVE_AHEAD_BYTES_MAX unread bytes the socket is not read while the owner is at work. Out:
//     above SEND_QUEUE_BYTES_MAX the channel is congested, and its owner stops producing until `drained`.
// (4) After `end` nothing more is written; what still comes is read and dropped, because a socket closed with
//     unread bytes is reset by the kernel, and the last message, which says why, would be lost.

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import {
  LINGER_MS_MAX,
  RECEIVE_AHEAD_BYTES_MAX,
  SEND_QUEUE_BYTES_MAX,
  SEND_SLAB_BYTES,
} from '../limits.ts';
import { Framer } from './framer.ts';

/** The name of our protocol in TLS' ALPN extension. */
export const ALPN_PROTOCOL = 'postgresql';

/** Whether bytes have come in this turn of the event loop, on any channel; and who has answers for its end. */
let receiving = false;
const answering = new Set<Channel>();

function turnEnds(): void {
  receiving = false;
  for (const channel of answering) channel.flush();
  answering.clear();
}

export interface ChannelOwner {
  /** Bytes have come: the framer may have messages. */
  received(): void;
  /** The socket took what waited, after `congested` was seen true. */
  drained(): void;
  /** The client is gone. Called once, and not after `end` or `destroy`. */
  lost(): void;
}

export class Channel {
  readonly framer = new Framer();
  readonly remoteAddress: string;
  readonly remotePort: number;
  encrypted = false;
  /** Settles when the socket is closed. */
  readonly closed: Promise<void>;
  #socket: Socket;
  #owner: ChannelOwner | undefined;
  #slab: Buffer | undefined;
  /** `[#from, #to)` of the slab is written and not yet sent. */
  #from = 0;
  #to = 0;
  #paused = false;
  #working = false;
  #over = false;
  readonly #stallMsMax: number;
  #linger: NodeJS.Timeout | undefined;
  #resolveClosed: () => void = () => {};
  readonly #onData = (chunk: Buffer): void => this.#receive(chunk);
  readonly #onDrain = (): void => {
    this.#socket.setTimeout(0);
    this.#owner?.drained();
  };
  readonly #onGone = (): void => this.#gone();
  readonly #onEnd = (): void => this.#ended();

  /** @param stallMsMax how long the client may take nothing while the channel is congested */
  constructor(socket: Socket, stallMsMax: number) {
    this.#socket = socket;
    this.#stallMsMax = stallMsMax;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.remotePort = socket.remotePort ?? 0;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    socket.once('close', () => {
      clearTimeout(this.#linger);
      this.#resolveClosed();
    });
    this.#listen();
  }

  get over(): boolean {
    return this.#over;
  }

  set owner(owner: ChannelOwner) {
    this.#owner = owner;
  }

  /** Whether more bytes wait for the client than the limit allows. */
  get congested(): boolean {
    return this.#socket.writableLength + (this.#to - this.#from) > SEND_QUEUE_BYTES_MAX;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('timeout', this.#onGone);
    socket.on('error', this.#onGone);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onGone);
  }

  #receive(chunk: Buffer): void {
    if (this.#over) return;
    if (!receiving) {
      receiving = true;
      setImmediate(turnEnds);
    }
    this.framer.push(chunk);
    this.#owner?.received();
    if (this.#paused || this.#over) return;
    if (this.#working && this.framer.unreadBytes > RECEIVE_AHEAD_BYTES_MAX) {
      this.#paused = true;
      this.#socket.pause();
    }
  }

  /**
   * Whether the owner is at work and leaves messages in the framer. A message longer than the limit is still
   * assembled: it is not ahead of anything.
   */
  set working(working: boolean) {
    this.#working = working;
    if (working || !this.#paused || this.#over) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #gone(): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    this.#owner?.lost();
  }

  /** The client sends no more; it may still read what it has asked for. */
  #ended(): void {
    if (this.#over) return;
    this.end();
    this.#owner?.lost();
  }

  /** Appends whole messages. They leave with the next `flush`, or when the slab is full. */
  write(bytes: Uint8Array): void {
    if (this.#over) return;
    const size = bytes.length;
    let slab = this.#slab;
    if (slab === undefined || slab.length - this.#to < size) {
      this.flush();
      if (size > SEND_SLAB_BYTES / 2) {
        this.#socket.write(Buffer.from(bytes));
        return;
      }
      slab = this.#slab = Buffer.allocUnsafeSlow(SEND_SLAB_BYTES);
      this.#from = this.#to = 0;
    }
    slab.set(bytes, this.#to);
    this.#to += size;
  }

  /** As `flush`, with the answers to whatever else has come in this turn of the event loop. */
  flushInTurn(): void {
    if (receiving) answering.add(this);
    else this.flush();
  }

  /** Hands everything written to the socket. */
  flush(): void {
    if (this.#to === this.#from || this.#over) return;
    // The slab goes on behind these bytes: the socket may still hold them.
    this.#socket.write(this.#slab!.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }

  /**
   * Begins to wait until the socket has taken what is written; `drained` of the owner says so. Node's timeout
   * of a socket does not run out while the kernel takes bytes.
   */
  awaitDrain(): void {
    this.flush();
    this.#socket.setTimeout(this.#stallMsMax);
  }

  /** Sends what is written and closes in both directions; cuts the connection if the client lingers. */
  end(): void {
    if (this.#over) return;
    this.flush();
    this.#over = true;
    this.#socket.off('data', this.#onData);
    this.#socket.resume();
    this.#socket.end();
    const socket = this.#socket;
    this.#linger = setTimeout(() => socket.destroy(), LINGER_MS_MAX);
    this.#linger.unref();
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  /**
   * Speaks TLS from here on. What the framer has not read yet is the beginning of the handshake.
   *
   * @returns the name the client asked for by ALPN, false if none
   * @throws  SqlError 08P01 if the handshake fails
   */
  async secure(secureContext: SecureContext): Promise<string | false> {
    const socket = this.#socket;
    this.flush();
    socket.off('data', this.#onData).off('drain', this.#onDrain);
    socket.off('end', this.#onEnd).off('close', this.#onGone).off('error', this.#onGone);
    socket.pause();
    const begun = this.framer.take();
    if (begun.length > 0) socket.unshift(begun);
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext,
      ALPNProtocols: [ALPN_PROTOCOL],
    });
    this.#socket = secured;
    // The raw socket reports its own failures as well; they reach us through the TLS socket.
    socket.on('error', () => secured.destroy());
    await new Promise<void>((resolve, reject) => {
      const failed = (): void => {
        this.#over = true;
        secured.destroy();
        reject(new SqlError(SQLSTATE.protocolViolation, 'could not accept SSL connection'));
      };
      secured.once('secure', () => {
        secured.off('error', failed).off('close', failed);
        resolve();
      });
      secured.on('error', failed);
      secured.once('close', failed);
    });
    this.encrypted = true;
    this.#slab = undefined;
    this.#from = this.#to = 0;
    this.#listen();
    return secured.alpnProtocol || false;
  }
}
