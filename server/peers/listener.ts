// Accepts connections of other nodes: TLS 1.3, the upgrade, and a bound on those that have proved nothing. Shell.

import { createServer as createHttpServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { PEER_STRANGERS_MAX } from '../limits.ts';
import type { TlsMaterial } from '../tls.ts';
import { Wire } from './wire.ts';
import type { WireHandlers } from './wire.ts';

/** Somebody who has come; upgraded, and not yet greeted. */
export interface Arrival {
  readonly session: TLSSocket;
  readonly open: (handlers: WireHandlers) => Wire;
  /** A member: it counts as a stranger no more. */
  readonly known: () => void;
}

export interface ListenerOptions {
  readonly tls: Pick<TlsMaterial, 'certificate' | 'key'>;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly handshakeMs: number;
  readonly arrived: (arrival: Arrival) => void;
  /** Something went wrong with a stranger, or with the port; then the address is the own one. */
  readonly failed: (address: string, error: unknown) => void;
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #context: SecureContext;
  readonly #server: Server;
  readonly #http: HttpServer;
  /** Of each session its socket below TLS. */
  readonly #below = new WeakMap<object, Socket>();
  /** In the order in which they came, with what ends their time. */
  readonly #strangers = new Map<Socket, NodeJS.Timeout>();

  private constructor(options: ListenerOptions) {
    this.#options = options;
    const { certificate, key } = options.tls;
    this.#context = createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.3' });
    this.#server = createServer({ noDelay: true, keepAlive: true }, (socket) =>
      this.#accept(socket),
    );
    this.#http = this.#makeHttp();
  }

  /** @throws the system's error (EADDRINUSE, EACCES, EADDRNOTAVAIL) */
  static async listen(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    const server = listener.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, options.host, () => {
        server.off('error', reject);
        server.on('error', (error) => options.failed(options.host, error));
        resolve();
      });
    });
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Accepts nobody any more, and waits until all that were accepted are gone; cuts strangers at once. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#strangers.keys()) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#options.handshakeMs);
    this.#strangers.set(socket, timer);
    const address = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    // Of a peer that is known, its connection tells.
    const failed = (error: unknown): void => {
      if (this.#strangers.has(socket)) this.#options.failed(address, error);
    };
    socket.on('error', failed);
    socket.on('close', () => this.#known(socket));
    if (this.#strangers.size > PEER_STRANGERS_MAX) {
      this.#strangers.keys().next().value?.destroy();
    }
    const session = new TLSSocket(socket, { isServer: true, secureContext: this.#context });
    this.#below.set(session, socket);
    session.on('error', failed);
    session.once('secure', () => this.#http.emit('connection', session));
  }

  #known(socket: Socket): void {
    clearTimeout(this.#strangers.get(socket));
    this.#strangers.delete(socket);
  }

  #makeHttp(): HttpServer {
    const upgrade = Wire.acceptor();
    const http = createHttpServer((_, response) => {
      response.writeHead(426, { connection: 'close', upgrade: 'websocket' }).end();
    });
    http.on('upgrade', (request, socket, head) => {
      const below = this.#below.get(socket)!;
      upgrade(request, socket, head, (open) =>
        this.#options.arrived({
          session: socket as TLSSocket,
          open,
          known: () => this.#known(below),
        }),
      );
    });
    return http;
  }
}
