// Accepts clients, bounds their number, and sends them away at shutdown. Shell.

import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import {
  AUTHENTICATION_MS_MAX,
  CONNECTIONS_ABOVE_LIMIT_MAX,
  KEEPALIVE_IDLE_MS,
  SEND_STALL_MS_MAX,
} from '../limits.ts';
import type { Backend } from './backend.ts';
import { Channel } from './channel.ts';
import { Connection, sendFatal } from './connection.ts';
import type { WireLog } from './connection.ts';
import type { Encryption } from './encryption.ts';
import { Handshake } from './handshake.ts';

export interface ListenerOptions {
  readonly backend: Backend;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Connections served at once; more get 53300. */
  readonly connectionsMax: number;
  /** Undefined: clear text only, which is accepted from this machine alone. */
  readonly encryption?: Encryption;
  /** Secret of the node from which the salts of unknown users are derived; 16 bytes or more. */
  readonly secret: Uint8Array;
  readonly log: WireLog;
  /** From accept to authenticated; for tests. */
  readonly authenticationMsMax?: number;
  /** How long a client may take nothing of a full queue; for tests. */
  readonly stallMsMax?: number;
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #channels = new Set<Channel>();
  /** Of those, the ones that have not logged in yet. */
  readonly #strangers = new Set<Channel>();
  readonly #connections = new Set<Connection>();
  #draining = false;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_IDLE_MS },
      (socket) => this.#accept(socket),
    );
  }

  /**
   * Listens.
   *
   * @throws the system's error (EADDRINUSE, EACCES, EADDRNOTAVAIL)
   */
  static async listen(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    const server = listener.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, options.host, () => {
        server.off('error', reject);
        server.on('error', (error) => options.log('listener error', { error }));
        resolve();
      });
    });
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections accepted and not yet closed. */
  get connectionCount(): number {
    return this.#channels.size;
  }

  /**
   * Sends everyone away with 57P01: idle sessions at once, busy ones after their command, and all of them when
   * the time is up. Resolves when all sessions are closed.
   *
   * @param onBusy  hears how many sessions are busy, if any is
   */
  async close(deadlineMs: number, onBusy: (sessions: number) => void = () => {}): Promise<void> {
    this.#draining = true;
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const error = new SqlError(
      SQLSTATE.adminShutdown,
      'terminating connection due to administrator command',
    );
    for (const channel of this.#strangers) sendFatal(channel, shuttingDown(), this.#options.log);
    const busy = [...this.#connections].filter((connection) => connection.shutdown(error));
    if (busy.length > 0) onBusy(busy.length);
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.terminate(error);
    }, deadlineMs);
    await Promise.all(Array.from(this.#connections, (connection) => connection.closed));
    await Promise.all(Array.from(this.#channels, (channel) => channel.closed));
    clearTimeout(timer);
    await stopped;
  }

  #accept(socket: Socket): void {
    const { connectionsMax, log } = this.#options;
    if (this.#channels.size >= connectionsMax + CONNECTIONS_ABOVE_LIMIT_MAX) {
      socket.destroy();
      return;
    }
    const full = this.#channels.size >= connectionsMax;
    const channel = new Channel(socket, this.#options.stallMsMax ?? SEND_STALL_MS_MAX);
    this.#channels.add(channel);
    this.#strangers.add(channel);
    void channel.closed.then(() => {
      this.#channels.delete(channel);
      this.#strangers.delete(channel);
    });
    this.#serve(channel, full).catch((error: unknown) => {
      if (!channel.over) sendFatal(channel, error, log);
    });
  }

  async #serve(channel: Channel, full: boolean): Promise<void> {
    const { backend, encryption, secret, log } = this.#options;
    const handshake = new Handshake(channel, {
      backend,
      encryption,
      secret,
      refusal: () => this.#refusal(full),
    });
    // However the channel comes to its end, nothing goes on waiting for it.
    void channel.closed.then(() => handshake.wake());
    const timer = setTimeout(() => {
      const text = 'canceling authentication due to timeout';
      sendFatal(channel, new SqlError(SQLSTATE.queryCanceled, text), log);
    }, this.#options.authenticationMsMax ?? AUTHENTICATION_MS_MAX);
    try {
      const startup = await handshake.run();
      clearTimeout(timer);
      if (startup === undefined || channel.over) return;
      this.#strangers.delete(channel);
      const connection = new Connection(channel, log);
      this.#connections.add(connection);
      void connection.closed.then(() => this.#connections.delete(connection));
      await connection.open(backend, startup);
    } finally {
      clearTimeout(timer);
    }
  }

  #refusal(full: boolean): SqlError | undefined {
    if (this.#draining) return shuttingDown();
    if (!full) return undefined;
    return new SqlError(SQLSTATE.tooManyConnections, 'sorry, too many clients already');
  }
}

function shuttingDown(): SqlError {
  return new SqlError(SQLSTATE.cannotConnectNow, 'the database system is shutting down');
}
