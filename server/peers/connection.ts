// A connection whose peer is proved: its traffic, its pulse, its end. Shell.

import type { TLSSocket } from 'node:tls';
import { PEER_SILENT_PINGS_MAX, PEER_SOCKET_BYTES_MAX } from '../limits.ts';
import type { Clock } from '../clock.ts';
import type { TrafficClass } from './frame.ts';
import type { PeerIdentity, Role } from './handshake.ts';
import { Inbox, readId } from './inbox.ts';
import type { Message } from './inbox.ts';
import { Outbox } from './outbox.ts';
import { CLOSE, isPeerRefusal, malformed } from './refusal.ts';
import { Answers, Questions } from './requests.ts';
import type { Serve } from './requests.ts';
import type { Wire, WireHandlers } from './wire.ts';

export interface ConnectionOptions {
  readonly wire: Wire;
  /** What the wire is in. */
  readonly session: TLSSocket;
  readonly peer: PeerIdentity;
  readonly role: Role;
  readonly clock: Clock;
  readonly pingMs: number;
  readonly message: (traffic: TrafficClass, bytes: Uint8Array) => void;
  /** Throws PeerRefusal. */
  readonly address: (bytes: Uint8Array) => void;
  readonly serve: Serve;
  readonly serveFailed: (error: unknown) => void;
  /** Called once, as soon as the connection is of no use any more. */
  readonly closed: (by: 'us' | 'peer', code: number, reason: string) => void;
}

export class Connection implements WireHandlers {
  readonly peer: PeerIdentity;
  readonly role: Role;
  readonly sinceMs: number;
  /** Of frames, with their heads. */
  bytesIn = 0;
  bytesOut = 0;
  /** Milliseconds of the last ping that was answered. */
  roundTripMs: number | null = null;

  readonly #options: ConnectionOptions;
  readonly #outbox = new Outbox();
  readonly #inbox: Inbox;
  readonly #questions: Questions;
  readonly #answers: Answers;
  readonly #pulse: NodeJS.Timeout;
  #silentPings = 0;
  #pingedAt: number | null = null;
  #flushing = false;
  #closed = false;
  #drained: ((open: boolean) => void)[] = [];

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.peer = options.peer;
    this.role = options.role;
    this.sinceMs = options.clock.now();
    const line = { outbox: this.#outbox, flush: () => this.#flush() };
    this.#questions = new Questions(line);
    this.#answers = new Answers(line, options.serve, options.serveFailed);
    this.#inbox = new Inbox((id) => this.#questions.wanted(id));
    this.#pulse = setInterval(() => this.#beat(), options.pingMs);
  }

  get session(): TLSSocket {
    return this.#options.session;
  }

  get remoteAddress(): string {
    return this.#options.wire.remoteAddress;
  }

  get queueBytes(): number {
    return this.#outbox.bytes + this.#options.wire.bufferedBytes;
  }

  get dropped(): number {
    return this.#outbox.dropped;
  }

  /** False: the message was not taken. */
  send(traffic: TrafficClass, bytes: Uint8Array): boolean {
    if (this.#closed || !this.#outbox.put(traffic, bytes)) return false;
    this.#flush();
    return true;
  }

  /** Resolves when there is room for sync: true, or false when the connection is gone. */
  async drained(): Promise<boolean> {
    if (this.#closed) return false;
    if (!this.#outbox.full) return true;
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** @throws PeerError */
  async request(bytes: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#questions.ask(bytes, timeoutMs, signal);
  }

  sendAddress(node: string, bytes: Uint8Array): void {
    this.#outbox.putAddress(node, bytes);
    this.#flush();
  }

  /** Asks for a sign of life with less patience: there is a reason to doubt that the peer still has this connection. */
  probe(): void {
    this.#silentPings = Math.max(this.#silentPings, PEER_SILENT_PINGS_MAX - 1);
    this.#ping();
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#options.wire.close(code, reason);
    this.#end('us', code, reason);
  }

  frame(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#silentPings = 0;
    this.bytesIn += bytes.length;
    try {
      const message = this.#inbox.receive(bytes);
      const owed = this.#inbox.takeCredit();
      if (owed > 0) {
        this.#outbox.putCredit(owed);
        this.#flush();
      }
      if (message !== null) this.#receive(message);
    } catch (error) {
      if (!isPeerRefusal(error)) throw error;
      this.close(error.code, error.message);
    }
  }

  sent(): void {
    this.#flush();
  }

  pong(): void {
    this.#silentPings = 0;
    if (this.#pingedAt !== null) this.roundTripMs = this.#options.clock.elapsed() - this.#pingedAt;
    this.#pingedAt = null;
  }

  closed(code: number, reason: string): void {
    this.#end('peer', code, reason);
  }

  #receive({ kind, lane, bytes }: Message): void {
    switch (kind) {
      case 'message':
        return this.#options.message(lane as TrafficClass, bytes);
      case 'request':
        return this.#answers.asked(bytes);
      case 'answer':
        return this.#questions.answered(bytes);
      case 'cancel':
        return this.#answers.cancelled(readId(bytes));
      case 'address':
        return this.#options.address(bytes);
      case 'credit':
        if (!this.#outbox.credited(readId(bytes))) malformed('credit for what was never sent');
        return this.#flush();
    }
  }

  /** What is sent in one turn leaves in one write. */
  #flush(): void {
    if (this.#flushing || this.#closed) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { wire } = this.#options;
    if (this.#closed) return;
    wire.cork();
    // Nothing bulky while the kernel has not taken what was sent before, then one frame or as much in small ones:
    // a vote stands behind that much of ours.
    const idle = wire.bufferedBytes === 0;
    for (let buffered = wire.bufferedBytes; buffered < PEER_SOCKET_BYTES_MAX;) {
      const frame = this.#outbox.next(idle ? PEER_SOCKET_BYTES_MAX - buffered : 0);
      if (frame === null) break;
      this.bytesOut += frame.length;
      buffered += frame.length;
      wire.send(frame);
    }
    wire.uncork();
    if (this.#outbox.full) return;
    this.#answers.proceed();
    this.#release(true);
  }

  #release(open: boolean): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve(open);
  }

  /** Counts pings, not time: a node that was busy itself must not take its peers for dead. */
  #beat(): void {
    if (this.#silentPings >= PEER_SILENT_PINGS_MAX) {
      // A close frame would wait behind what the peer does not take.
      this.close(CLOSE.timeout, 'the peer is silent');
      this.#options.wire.destroy();
      return;
    }
    this.#silentPings++;
    this.#ping();
  }

  #ping(): void {
    if (this.#closed) return;
    this.#pingedAt ??= this.#options.clock.elapsed();
    this.#options.wire.ping();
  }

  #end(by: 'us' | 'peer', code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#pulse);
    this.#questions.stop();
    this.#answers.stop();
    this.#release(false);
    this.#options.closed(by, code, reason);
  }
}
