// The network between the nodes of a chain: one connection with each member that can be reached. Shell.
//
// (1) A peer is up when it has proved its key over its own TLS session and is a member; one that is removed is down at once.
// (2) There is one connection for each pair. Of two that come up at once both nodes keep the same one.
// (3) What a slow, silent or hostile peer costs is bounded: server/limits.ts.
// (4) Nothing is promised of what was taken for sending: after `down` it may be lost, and whoever needs it sends it again.

import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import type { Clock } from '../clock.ts';
import {
  PEER_ANNOUNCEMENTS_MAX,
  PEER_ANNOUNCEMENTS_MS,
  PEER_GOSSIP_MS,
  PEER_HANDSHAKE_MS_MAX,
  PEER_PING_MS,
  PEER_REDIAL_MS_MAX,
  PEER_REFUSALS_LOGGED_MAX,
  PEER_REFUSALS_LOGGED_MS,
} from '../limits.ts';
import type { Log } from '../log.ts';
import type { TlsMaterial } from '../tls.ts';
import { tryParseAddress } from './address.ts';
import type { Proxy } from './address.ts';
import { AddressBook, signAnnouncement } from './announcement.ts';
import { Connection } from './connection.ts';
import { dial, tryExporterOf } from './dial.ts';
import { Dialer } from './dialer.ts';
import type { TrafficClass } from './frame.ts';
import { greet } from './greeting.ts';
import { Handshake, INSTANCE_BYTES, newcomerStays } from './handshake.ts';
import type { Hello, PeerIdentity, Role } from './handshake.ts';
import { Listener } from './listener.ts';
import type { Arrival } from './listener.ts';
import { Lives } from './lives.ts';
import { Rate } from './rate.ts';
import { CLOSE, isPeerRefusal, PeerRefusal } from './refusal.ts';
import { PeerError } from './requests.ts';
import type { Serve } from './requests.ts';
import { Wire } from './wire.ts';
import type { WireHandlers } from './wire.ts';

/** A node that may connect, of whatever kind. */
export interface PeerMember {
  /** Its public key in hexadecimal. */
  readonly key: string;
  /** `host:port`, as the chain knows them; may be none. */
  readonly addresses: readonly string[];
}

export interface PeerNetworkOptions {
  readonly chainId: Uint8Array;
  readonly nodeKey: { readonly publicKey: Uint8Array; readonly seed: Uint8Array };
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly log: Log;
  /** Any certificate, also one that it has signed itself: nobody looks at it. */
  readonly tls: Pick<TlsMaterial, 'certificate' | 'key'>;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Where others can reach this node, which may be neither host nor port; null: it cannot be dialled. */
  readonly announce: string | null;
  /** Configured `host:port`; who is there shows when it is dialled. */
  readonly addresses: readonly string[];
  /** All connections that this node begins go through it. */
  readonly proxy: Proxy | null;
  readonly members: readonly PeerMember[];
  /** Announcements that `store` was given in an earlier life. */
  readonly announcements: readonly Uint8Array[];
  /** Keeps the newest announcement of a node, in place of an older one. */
  readonly store: (key: string, announcement: Uint8Array) => void;
  readonly onMessage: (key: string, traffic: TrafficClass, bytes: Uint8Array) => void;
  /** Two processes have the key of a peer, and both run. */
  readonly onTwin: (key: string) => void;
  /** Answers a request; what it throws is logged, and the peer is told that it was refused. */
  readonly onRequest: (key: string, bytes: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;
  /** For tests. */
  readonly handshakeMs?: number;
  readonly pingMs?: number;
  /** From 0 to below 1: the waits before dialling. */
  readonly random?: () => number;
}

/** A row of a view. */
export interface PeerState {
  readonly key: string;
  /** The other end of the connection; without one, where it would be dialled; null when that is not known. */
  readonly address: string | null;
  /** Milliseconds since 1970, or null when there is no connection. */
  readonly connectedSinceMs: number | null;
  readonly role: Role | null;
  readonly roundTripMs: number | null;
  /** Since this node has started. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly queueBytes: number;
  /** Messages not sent for want of room, on this connection. */
  readonly dropped: number;
  readonly lastError: string | null;
}

interface Peer {
  readonly key: string;
  readonly dialer: Dialer;
  addresses: readonly string[];
  connection: Connection | null;
  readonly lives: Lives;
  /** Of connections that are over. */
  bytesIn: number;
  bytesOut: number;
  lastError: string | null;
}

/** A configured address. */
interface Seed {
  readonly dialer: Dialer;
  /** Who answers there, once that is known; then that node's dialer has the address. */
  key: string | null;
}

export class PeerNetwork {
  readonly #options: PeerNetworkOptions;
  readonly #own: string;
  readonly #hello: Hello;
  readonly #book: AddressBook;
  readonly #peers = new Map<string, Peer>();
  readonly #seeds = new Map<string, Seed>();
  /** Sessions that this node has begun. */
  readonly #sessions = new Set<TLSSocket>();
  readonly #stopping = new AbortController();
  readonly #random: () => number;
  readonly #refusals = new Rate(PEER_REFUSALS_LOGGED_MAX, PEER_REFUSALS_LOGGED_MS);
  #gossip: NodeJS.Timeout | undefined;
  #listener: Listener | undefined;

  private constructor(options: PeerNetworkOptions) {
    const { chainId, nodeKey, crypto } = options;
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#own = hex(nodeKey.publicKey);
    const instance = new Uint8Array(randomBytes(INSTANCE_BYTES));
    this.#hello = { chainId, publicKey: nodeKey.publicKey, instance };
    this.#book = new AddressBook(crypto, chainId);
  }

  /** Listens and dials. @throws the system's error when the port cannot be had */
  static async start(options: PeerNetworkOptions): Promise<PeerNetwork> {
    const network = new PeerNetwork(options);
    network.#listener = await Listener.listen({
      tls: options.tls,
      host: options.host,
      port: options.port,
      handshakeMs: options.handshakeMs ?? PEER_HANDSHAKE_MS_MAX,
      arrived: (arrival) => network.#arrived(arrival),
      failed: (address, error) => network.#refused(address, (error as Error).message),
    });
    network.setMembers(options.members);
    network.#remember(options.announcements);
    network.#announce();
    for (const address of options.addresses) network.#addSeed(address);
    network.#gossip = setInterval(() => network.#tellOne(), PEER_GOSSIP_MS);
    return network;
  }

  get port(): number {
    return this.#listener!.port;
  }

  /**
   * Sends a message, whose bytes must not change from now on. What happens when much waits already depends on the class:
   * a vote displaces the oldest votes that wait; a block is not taken; sync is not taken, and `drained` says when it will be.
   *
   * @returns false when it was not taken, also because the peer is down
   */
  send(key: string, traffic: TrafficClass, bytes: Uint8Array): boolean {
    return this.#peers.get(key)?.connection?.send(traffic, bytes) ?? false;
  }

  /** Sends to all that are up. @returns how many have taken it */
  broadcast(traffic: TrafficClass, bytes: Uint8Array): number {
    let taken = 0;
    for (const { connection } of this.#peers.values()) {
      if (connection?.send(traffic, bytes) === true) taken++;
    }
    return taken;
  }

  /** Resolves with true when there is room for sync, with false when the peer is down. */
  async drained(key: string): Promise<boolean> {
    return (await this.#peers.get(key)?.connection?.drained()) ?? false;
  }

  /**
   * Asks a peer.
   *
   * @param signal  gives the question up
   * @throws PeerError when there is no answer
   */
  async request(
    key: string,
    bytes: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const connection = this.#peers.get(key)?.connection;
    if (connection === null || connection === undefined) throw new PeerError('down');
    return connection.request(bytes, timeoutMs, signal);
  }

  /** Who may connect from now on. Others are sent away; this node itself may be among them. */
  setMembers(members: readonly PeerMember[]): void {
    const wanted = new Set(members.map(({ key }) => key));
    for (const peer of this.#peers.values()) if (!wanted.has(peer.key)) this.#remove(peer);
    for (const { key, addresses } of members) {
      if (key === this.#own) continue;
      const peer = this.#peers.get(key) ?? this.#add(key);
      peer.addresses = addresses;
      peer.dialer.wake();
    }
  }

  /** One row for each member but this node. */
  peers(): PeerState[] {
    return Array.from(this.#peers.values(), ({ connection, ...peer }) => ({
      key: peer.key,
      address: connection?.remoteAddress ?? this.#addressesOf(peer.key)[0] ?? null,
      connectedSinceMs: connection?.sinceMs ?? null,
      role: connection?.role ?? null,
      roundTripMs: connection?.roundTripMs ?? null,
      bytesIn: peer.bytesIn + (connection?.bytesIn ?? 0),
      bytesOut: peer.bytesOut + (connection?.bytesOut ?? 0),
      queueBytes: connection?.queueBytes ?? 0,
      dropped: connection?.dropped ?? 0,
      lastError: peer.lastError,
    }));
  }

  connected(): string[] {
    return this.peers()
      .filter(({ connectedSinceMs }) => connectedSinceMs !== null)
      .map(({ key }) => key);
  }

  /** Closes everything; resolves when all sockets are closed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#gossip);
    for (const { dialer } of [...this.#peers.values(), ...this.#seeds.values()]) dialer.stop();
    const established = new Set<TLSSocket>();
    for (const { connection } of this.#peers.values()) {
      if (connection === null) continue;
      established.add(connection.session);
      connection.close(CLOSE.stopping, 'the node stops');
    }
    const sessions = [...this.#sessions];
    const closed = sessions.map(
      (session) => new Promise<void>((resolve) => session.once('close', () => resolve())),
    );
    for (const session of sessions) if (!established.has(session)) session.destroy();
    await Promise.all([this.#listener!.close(), ...closed]);
  }

  // Members and where they are.

  #add(key: string): Peer {
    const dialer = new Dialer({
      addresses: () => (this.#peers.get(key)?.connection === null ? this.#addressesOf(key) : []),
      connect: (address) => this.#connect(address, key),
      random: this.#random,
    });
    const peer: Peer = {
      key,
      dialer,
      addresses: [],
      connection: null,
      lives: new Lives(),
      bytesIn: 0,
      bytesOut: 0,
      lastError: null,
    };
    this.#peers.set(key, peer);
    return peer;
  }

  #remove(peer: Peer): void {
    this.#peers.delete(peer.key);
    peer.dialer.stop();
    this.#book.forget(peer.key);
    peer.connection?.close(CLOSE.key, 'not a member any more');
    for (const seed of this.#seeds.values()) {
      if (seed.key !== peer.key) continue;
      seed.key = null;
      seed.dialer.wake();
    }
  }

  #addSeed(address: string): void {
    const dialer = new Dialer({
      addresses: () => (this.#seeds.get(address)?.key === null ? [address] : []),
      connect: (text) => this.#connect(text, null),
      random: this.#random,
    });
    this.#seeds.set(address, { dialer, key: null });
    dialer.wake();
  }

  #addressesOf(key: string): string[] {
    const configured = [...this.#seeds].filter(([, seed]) => seed.key === key);
    const announced = this.#book.get(key);
    const all = [
      ...configured.map(([address]) => address),
      ...(announced === undefined ? [] : [announced.address]),
      ...(this.#peers.get(key)?.addresses ?? []),
    ];
    return [...new Set(all)];
  }

  // Connections.

  async #connect(address: string, expected: string | null): Promise<void> {
    const target = tryParseAddress(address);
    if (target === null) return this.#failed(expected, `${address} is no address`);
    const timeoutMs = this.#options.handshakeMs ?? PEER_HANDSHAKE_MS_MAX;
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(timeoutMs)]);
    let session: TLSSocket;
    try {
      session = await dial(target, this.#options.proxy, signal);
    } catch (error) {
      return this.#failed(expected, `${address}: ${(error as Error).message}`);
    }
    if (this.#stopping.signal.aborted) {
      session.destroy();
      return;
    }
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    await new Promise<void>((resolve) => {
      const connect = (handlers: WireHandlers): Wire =>
        Wire.initiate(session, target.host, handlers);
      this.#greet(
        'initiator',
        { session, expected, address, known: resolve, failed: resolve },
        connect,
      );
    });
  }

  #arrived({ session, open, known }: Arrival): void {
    const address = `${session.remoteAddress ?? '?'}:${session.remotePort ?? 0}`;
    this.#greet(
      'acceptor',
      { session, expected: null, address, known, failed: () => undefined },
      open,
    );
  }

  #greet(
    role: Role,
    end: {
      readonly session: TLSSocket;
      readonly expected: string | null;
      readonly address: string;
      readonly known: () => void;
      readonly failed: () => void;
    },
    connect: (handlers: WireHandlers) => Wire,
  ): void {
    const { crypto, nodeKey, handshakeMs } = this.#options;
    const exporter = tryExporterOf(end.session);
    // The session is over already.
    if (exporter === null) {
      end.session.destroy();
      return end.failed();
    }
    const handshake = new Handshake({
      crypto,
      role,
      own: this.#hello,
      seed: nodeKey.seed,
      exporter,
      judge: (peer) => this.#judge(role, end.expected, end.address, peer),
      admit: (peer) => this.#admit(role, peer),
    });
    greet(
      {
        handshake,
        timeoutMs: handshakeMs ?? PEER_HANDSHAKE_MS_MAX,
        established: (wire, identity) => {
          end.known();
          return this.#establish(role, wire, end.session, identity);
        },
        failed: (by, code, reason) => {
          if (code !== CLOSE.duplicate && code !== CLOSE.stopping)
            this.#refused(end.address, reason, by);
          this.#failed(end.expected, `${end.address}: ${reason}`, code === CLOSE.duplicate);
          end.failed();
        },
      },
      connect,
      role === 'acceptor',
    );
  }

  /** Whether somebody with this key, not proved yet, is worth a signature. @throws PeerRefusal */
  #judge(
    role: Role,
    expected: string | null,
    address: string,
    { key, instance }: PeerIdentity,
  ): void {
    const seed = role === 'initiator' ? this.#seeds.get(address) : undefined;
    if (expected !== null && key !== expected) {
      // The configured address has another tenant: find out who.
      if (seed?.key === expected) {
        seed.key = null;
        seed.dialer.wake();
      }
      throw new PeerRefusal(CLOSE.other, 'another node is at this address');
    }
    if (key === this.#own) {
      if (seed !== undefined) seed.key = key;
      if (instance !== hex(this.#hello.instance)) {
        this.#options.log.error('another node has the key of this one', { address });
      }
      throw new PeerRefusal(CLOSE.self, 'the key is the own one');
    }
    const peer = this.#peers.get(key);
    if (peer === undefined) throw new PeerRefusal(CLOSE.key, 'the key is no member');
    if (seed !== undefined) seed.key = key;
    if (role === 'initiator' && peer.connection?.peer.instance === instance) {
      throw new PeerRefusal(CLOSE.duplicate, 'there is a connection');
    }
  }

  /** Whether somebody whose key is proved gets a connection. @throws PeerRefusal */
  #admit(role: Role, { key, instance }: PeerIdentity): void {
    const peer = this.#peers.get(key);
    if (peer === undefined || this.#stopping.signal.aborted) {
      throw new PeerRefusal(CLOSE.key, 'the key is no member');
    }
    const old = peer.connection;
    if (old === null) return;
    const before = { instance: old.peer.instance, role: old.role };
    if (newcomerStays(this.#own, key, before, { instance, role })) return;
    // The peer may have lost the old one without our hearing of it.
    old.probe();
    throw new PeerRefusal(CLOSE.duplicate, 'there is a connection');
  }

  #establish(role: Role, wire: Wire, session: TLSSocket, identity: PeerIdentity): Connection {
    const { clock, log, pingMs, onMessage, onTwin, onRequest } = this.#options;
    const { key } = identity;
    const peer = this.#peers.get(key)!;
    peer.connection?.close(CLOSE.duplicate, 'another connection replaces this one');
    const news = new Rate(PEER_ANNOUNCEMENTS_MAX, PEER_ANNOUNCEMENTS_MS);
    const serve: Serve = (bytes, signal) => onRequest(key, bytes, signal);
    const connection = new Connection({
      wire,
      session,
      peer: identity,
      role,
      clock,
      pingMs: pingMs ?? PEER_PING_MS,
      message: (traffic, bytes) => onMessage(key, traffic, bytes),
      address: (bytes) => this.#heard(connection, news, bytes),
      serve,
      serveFailed: (error) => log.error('request of a peer failed', { peer: key, error }),
      closed: (by, code, reason) => this.#lost(peer, connection, by, code, reason),
    });
    peer.connection = connection;
    log.info('peer up', { peer: key, address: wire.remoteAddress, role });
    this.#tell(connection);
    // After what makes the connection: whoever is called may change the members.
    if (peer.lives.isTwin(identity.instance)) onTwin(key);
    return connection;
  }

  #lost(peer: Peer, connection: Connection, by: 'us' | 'peer', code: number, reason: string): void {
    peer.connection = null;
    peer.bytesIn += connection.bytesIn;
    peer.bytesOut += connection.bytesOut;
    peer.lastError = reason;
    const { clock, log } = this.#options;
    log.info('peer down', { peer: peer.key, by, code, reason });
    if (clock.now() - connection.sinceMs >= PEER_REDIAL_MS_MAX) peer.dialer.encourage();
    else peer.dialer.wake();
  }

  /** @param connected  there is another connection: no error that an operator should look for */
  #failed(expected: string | null, reason: string, connected = false): void {
    const peer = expected === null ? undefined : this.#peers.get(expected);
    if (peer !== undefined && !connected) peer.lastError = reason;
    this.#options.log.debug('peer not reached', { peer: expected, reason });
  }

  #refused(address: string, reason: string, by: 'us' | 'peer' = 'us'): void {
    const withheld = this.#refusals.take(this.#options.clock.elapsed());
    if (withheld === null) return;
    this.#options.log.warn('peer refused', { address, by, reason, withheld });
  }

  // Addresses.

  #remember(announcements: readonly Uint8Array[]): void {
    for (const bytes of announcements) {
      try {
        this.#book.take(bytes, (key) => key === this.#own || this.#peers.has(key));
      } catch (error) {
        if (!isPeerRefusal(error)) throw error;
        this.#options.log.warn('stored address of a peer ignored', { reason: error.message });
      }
    }
    for (const { dialer } of this.#peers.values()) dialer.wake();
  }

  /** Says where this node is, unless its newest announcement says so already. */
  #announce(): void {
    const { announce: address, chainId, nodeKey, crypto, clock } = this.#options;
    const last = this.#book.get(this.#own);
    if (address === null || last?.address === address) return;
    const sequence = Math.max(clock.now(), (last?.sequence ?? 0) + 1);
    const node = nodeKey.publicKey;
    const bytes = signAnnouncement(crypto, nodeKey.seed, { chainId, node, sequence, address });
    this.#book.take(bytes, () => true);
    this.#passOn(this.#own, bytes, null);
  }

  /** @throws PeerRefusal: a node passes on only what it has checked */
  #heard(from: Connection, news: Rate, bytes: Uint8Array): void {
    const { clock } = this.#options;
    const wanted = (node: string): boolean =>
      (node === this.#own || this.#peers.has(node)) && news.take(clock.elapsed()) !== null;
    const node = this.#book.take(bytes, wanted);
    if (node === null) return;
    this.#passOn(node, bytes, from);
    // An earlier life of this node was somewhere else, and its clock was ahead.
    if (node === this.#own) this.#announce();
    else this.#peers.get(node)?.dialer.encourage();
  }

  #passOn(node: string, bytes: Uint8Array, from: Connection | null): void {
    this.#options.store(node, bytes);
    for (const { connection } of this.#peers.values()) {
      if (connection !== null && connection !== from) connection.sendAddress(node, bytes);
    }
  }

  #tell(connection: Connection): void {
    for (const [node, { encoded }] of this.#book.entries()) connection.sendAddress(node, encoded);
  }

  #tellOne(): void {
    const up = Array.from(this.#peers.values(), ({ connection }) => connection);
    const connections = up.filter((connection) => connection !== null);
    const chosen = connections[Math.floor(this.#random() * connections.length)];
    if (chosen !== undefined) this.#tell(chosen);
  }
}
