// Questions and answers over one connection: ids, time-outs, cancelling, and bounds on both ends. Shell.
//
// (1) Ids rise by one: a request that comes twice closes the connection.
// (2) A question ends exactly once: with its answer, or with a PeerError that says why not.
// (3) No request is worked on while answers fill the queue of sync, so a peer that asks and does not read costs at most
//     PEER_REQUESTS_SERVED_MAX answers.

import { concat, uint32 } from '../../ledger/bytes.ts';
import {
  PEER_REQUESTS_MAX,
  PEER_REQUESTS_SERVED_MAX,
  PEER_REQUESTS_WAITING_MAX,
} from '../limits.ts';
import { ANSWER_HEAD_BYTES, REQUEST_HEAD_BYTES } from './frame.ts';
import { readId } from './inbox.ts';
import type { Outbox } from './outbox.ts';
import { malformed } from './refusal.ts';

/**
 * down: there is no connection, or it was lost. busy: too many questions wait already, here or there. refused: the peer could
 * not answer.
 */
export type PeerFault = 'down' | 'busy' | 'timeout' | 'cancelled' | 'refused';

/** Why a question has no answer. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly fault: PeerFault;

  constructor(fault: PeerFault) {
    super(`no answer from the peer: ${fault}`);
    this.fault = fault;
  }
}

export function isPeerError(error: unknown): error is PeerError {
  return Error.isError(error) && error.name === 'PeerError';
}

/** Who can be asked, by key in hexadecimal; PeerNetwork fits it. */
export interface Peers {
  /** Those with a connection. */
  connected(): readonly string[];
  /** @throws PeerError */
  request(
    key: string,
    bytes: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
}

const STATUS = { answer: 0, busy: 1, refused: 2 } as const;

const NOTHING = new Uint8Array(0);

/** Whose outbox it is, and how to get it going. */
export interface Line {
  readonly outbox: Outbox;
  readonly flush: () => void;
}

interface Question {
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: PeerError) => void;
}

/** What this node asks. */
export class Questions {
  readonly #line: Line;
  readonly #open = new Map<number, Question>();
  #next = 0;

  constructor(line: Line) {
    this.#line = line;
  }

  /** @throws PeerError */
  async ask(bytes: Uint8Array, timeoutMs: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (signal?.aborted === true) throw new PeerError('cancelled');
    if (this.#open.size >= PEER_REQUESTS_MAX) throw new PeerError('busy');
    const { outbox, flush } = this.#line;
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const giveUp = (fault: PeerFault): void => {
      outbox.cancel(id);
      flush();
      reject(new PeerError(fault));
    };
    const cancel = (): void => giveUp('cancelled');
    const timer = setTimeout(() => giveUp('timeout'), timeoutMs);
    signal?.addEventListener('abort', cancel);
    this.#open.set(id, { resolve, reject });
    outbox.putNamed('request', id, uint32(id), bytes);
    flush();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
      this.#open.delete(id);
    }
  }

  /** Whether an answer is to be kept. @throws PeerRefusal protocol when nobody ever asked */
  wanted(id: number): boolean {
    if (id >= this.#next) malformed('an answer to no question');
    return this.#open.has(id);
  }

  answered(message: Uint8Array): void {
    const question = this.#open.get(readId(message));
    if (question === undefined) return;
    const status = message[ANSWER_HEAD_BYTES - 1];
    if (status === STATUS.answer) question.resolve(message.subarray(ANSWER_HEAD_BYTES));
    else question.reject(new PeerError(status === STATUS.busy ? 'busy' : 'refused'));
  }

  /** The connection is gone. */
  stop(): void {
    for (const { reject } of this.#open.values()) reject(new PeerError('down'));
  }
}

/** Answers one request; a rejection is told as `refused`, and no more. */
export type Serve = (bytes: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;

interface Waiting {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** What the peer asks. */
export class Answers {
  readonly #line: Line;
  readonly #serve: Serve;
  readonly #failed: (error: unknown) => void;
  readonly #running = new Map<number, AbortController>();
  #waiting: Waiting[] = [];
  #next = 0;
  #stopped = false;

  constructor(line: Line, serve: Serve, failed: (error: unknown) => void) {
    this.#line = line;
    this.#serve = serve;
    this.#failed = failed;
  }

  /** @throws PeerRefusal protocol */
  asked(message: Uint8Array): void {
    const id = readId(message);
    // Requests that were given up before they left are missing.
    if (id < this.#next) malformed('a request is repeated');
    this.#next = id + 1;
    if (this.#waiting.length >= PEER_REQUESTS_WAITING_MAX) this.#answer(id, STATUS.busy, NOTHING);
    else this.#waiting.push({ id, bytes: message.subarray(REQUEST_HEAD_BYTES) });
    this.proceed();
  }

  /** The peer does not wait for this answer any more. */
  cancelled(id: number): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting.id !== id);
    this.#running.get(id)?.abort();
    this.#line.outbox.withdraw('answer', id);
  }

  /** Begins what there is room for. */
  proceed(): void {
    while (this.#running.size < PEER_REQUESTS_SERVED_MAX && !this.#line.outbox.full) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      void this.#run(waiting);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
    for (const controller of this.#running.values()) controller.abort();
  }

  async #run({ id, bytes }: Waiting): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    const { signal } = controller;
    let answer: Uint8Array | null = null;
    try {
      answer = await this.#serve(bytes, signal);
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    }
    this.#running.delete(id);
    if (this.#stopped) return;
    if (!signal.aborted) {
      this.#answer(id, answer === null ? STATUS.refused : STATUS.answer, answer ?? NOTHING);
    }
    this.proceed();
  }

  #answer(id: number, status: number, bytes: Uint8Array): void {
    const head = concat(uint32(id), new Uint8Array([status]));
    this.#line.outbox.putNamed('answer', id, head, bytes);
    this.#line.flush();
  }
}
