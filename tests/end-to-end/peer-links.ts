// The network between the nodes of a cluster, which a test can cut and slow down. Shell.
//
// Each node dials its peers through an HTTP proxy of its own (`--peer-proxy`), so that of each connection is known from
// whom it comes and to whom it goes. No right of the machine is needed, and it is the same on every system.
//
// (1) A link has one direction. What is sent over a link that is cut is held and arrives when it is mended, as TCP would
//     send it again; a connection that is begun meanwhile comes about when both directions are there.
// (2) Ends of connections are held like bytes: nobody learns of them over a link that is cut.
// (3) Nothing is lost or put into another order: TCP makes delay of both.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

/** Held for one direction of one connection before its sender is held as well, in bytes. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;

const ignore = (): void => undefined;

/** One direction of one connection. */
class Lane {
  readonly #source: Duplex;
  readonly #sink: Duplex;
  readonly #delayMs: () => number;
  readonly #held: { readonly bytes: Buffer; readonly sinceMs: number }[] = [];
  #heldBytes = 0;
  #endedMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: Duplex, sink: Duplex, delayMs: () => number) {
    this.#source = source;
    this.#sink = sink;
    this.#delayMs = delayMs;
    source.on('data', (bytes: Buffer) => {
      this.#held.push({ bytes, sinceMs: performance.now() });
      this.#heldBytes += bytes.length;
      if (this.#heldBytes > HELD_BYTES_MAX) source.pause();
      this.pump();
    });
    const end = (): void => {
      this.#endedMs ??= performance.now();
      this.pump();
    };
    source.on('end', end).on('close', end).on('error', ignore);
    sink.on('drain', () => this.pump());
  }

  /** Passes on what is due. */
  pump(): void {
    clearTimeout(this.#timer);
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      if (this.#sink.writableNeedDrain || !this.#isDue(next.sinceMs)) return;
      this.#held.shift();
      this.#heldBytes -= next.bytes.length;
      this.#sink.write(next.bytes);
    }
    if (this.#endedMs === undefined) this.#source.resume();
    else if (this.#isDue(this.#endedMs)) this.#sink.end();
  }

  #isDue(sinceMs: number): boolean {
    const leftMs = sinceMs + this.#delayMs() - performance.now();
    if (leftMs <= 0) return true;
    if (leftMs < Infinity) this.#timer = setTimeout(() => this.pump(), leftMs);
    return false;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#source.destroy();
    this.#sink.destroy();
  }
}

export class PeerLinks {
  /** Where each node listens for its peers. */
  readonly #ports: readonly number[];
  readonly #proxies: Server[] = [];
  readonly #lanes = new Set<Lane>();
  /** By `from>to`, in milliseconds; Infinity: cut. */
  readonly #delays = new Map<string, number>();
  /** Connections that have been asked for and do not come about yet. */
  #waiting: { readonly socket: Duplex; readonly begin: () => void }[] = [];

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
  }

  /** Dispose of it when the nodes are gone. @param ports where each node listens for its peers */
  static async between(ports: readonly number[]): Promise<PeerLinks> {
    const links = new PeerLinks(ports);
    for (const from of ports.keys()) {
      const proxy = createServer().on('connect', (request, socket: Duplex) =>
        links.#asked(from, request.url ?? '', socket),
      );
      links.#proxies.push(proxy.listen(0, '127.0.0.1'));
      await once(proxy, 'listening');
    }
    return links;
  }

  /** What the node is started with. */
  flagsOf(node: number): string[] {
    const { port } = this.#proxies[node]!.address() as AddressInfo;
    return ['--peer-proxy', `http://127.0.0.1:${port}`];
  }

  /** Nothing that these send arrives at those. */
  cut(from: readonly number[], to: readonly number[]): void {
    this.delay(from, to, () => Infinity);
  }

  /** Neither side hears the other: every node is on one. */
  split(side: readonly number[]): void {
    const others = [...this.#ports.keys()].filter((node) => !side.includes(node));
    this.cut(side, others);
    this.cut(others, side);
  }

  /** @param ms asked once for each link */
  delay(from: readonly number[], to: readonly number[], ms: () => number): void {
    for (const one of from) for (const other of to) this.#delays.set(`${one}>${other}`, ms());
  }

  /** All links are as they were. */
  mend(): void {
    this.#delays.clear();
    for (const lane of this.#lanes) lane.pump();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { begin } of waiting) begin();
  }

  #asked(from: number, authority: string, socket: Duplex): void {
    socket.on('error', ignore);
    const to = this.#ports.findIndex((port) => authority === `127.0.0.1:${port}`);
    if (to === -1) return void socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const begin = (): void => {
      if (!socket.destroyed) this.#connect(from, to, socket);
    };
    const isCut = [this.#delayMs(from, to), this.#delayMs(to, from)].includes(Infinity);
    if (isCut) this.#waiting.push({ socket, begin });
    else begin();
  }

  #connect(from: number, to: number, near: Duplex): void {
    const far = connect({ host: '127.0.0.1', port: this.#ports[to]!, noDelay: true });
    const failed = (): void => void near.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    far.once('error', failed);
    far.once('connect', () => {
      far.off('error', failed);
      near.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      this.#carry(near, far, () => this.#delayMs(from, to));
      this.#carry(far, near, () => this.#delayMs(to, from));
    });
  }

  #carry(source: Duplex, sink: Duplex, delayMs: () => number): void {
    const lane = new Lane(source, sink, delayMs);
    this.#lanes.add(lane);
    sink.once('close', () => this.#lanes.delete(lane));
  }

  #delayMs(from: number, to: number): number {
    return this.#delays.get(`${from}>${to}`) ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const lane of this.#lanes) lane.stop();
    for (const { socket } of this.#waiting) socket.destroy();
    for (const proxy of this.#proxies) {
      proxy.closeAllConnections();
      proxy.close();
      await once(proxy, 'close');
    }
  }
}
