// What waits for one peer, and which frame goes next. Pure.
//
// (1) Votes before blocks before addresses before sync. A message that is on its way is interrupted between frames.
// (2) Each lane holds a bounded number of bytes. Above it, of votes the oldest goes, for what they say is out of date and
//     consensus sends again; a block is not taken; sync is not taken until there is room (`false` both times).
//     Of addresses the newest of each node is kept.
// (3) Of all but votes, no more than the window is on its way: see PEER_WINDOW_BYTES.

import { uint32 } from '../../ledger/bytes.ts';
import { assert } from '../../ledger/error.ts';
import {
  PEER_BLOCK_QUEUE_BYTES_MAX,
  PEER_FRAME_BYTES_MAX,
  PEER_QUEUED_MESSAGE_BYTES,
  PEER_SYNC_BYTES_MAX,
  PEER_SYNC_QUEUE_BYTES_MAX,
  PEER_VOTE_QUEUE_BYTES_MAX,
  PEER_WINDOW_BYTES,
} from '../limits.ts';
import { bodyBytesMax, encodeFrame, LANES, messageBytesMax } from './frame.ts';
import type { FrameKind, Lane, TrafficClass } from './frame.ts';

const QUEUE_BYTES_MAX: Readonly<Record<TrafficClass, number>> = {
  vote: PEER_VOTE_QUEUE_BYTES_MAX,
  block: PEER_BLOCK_QUEUE_BYTES_MAX,
  sync: PEER_SYNC_QUEUE_BYTES_MAX,
};

const BULK = LANES.filter((lane) => lane !== 'vote');
const NOTHING = new Uint8Array(0);

interface Queued {
  readonly kind: FrameKind;
  /** Id and status of a request or an answer. */
  readonly head: Uint8Array;
  readonly bytes: Uint8Array;
  /** Whose address; what withdraws a request or an answer. */
  readonly name: string | number | null;
  /** Bytes of head and bytes that have left. */
  sent: number;
}

function lengthOf({ head, bytes }: Queued): number {
  return head.length + bytes.length;
}

/** Bytes of the next frame of a message. */
function frameBytes(queued: Queued): number {
  const left = lengthOf(queued) - queued.sent;
  const bodyMax = bodyBytesMax(queued.sent === 0);
  return PEER_FRAME_BYTES_MAX - bodyMax + Math.min(left, bodyMax);
}

export class Outbox {
  readonly #queues: Record<Lane, Queued[]> = { vote: [], block: [], address: [], sync: [] };
  readonly #bytes: Record<Lane, number> = { vote: 0, block: 0, address: 0, sync: 0 };
  #sequence = 0;
  #underway = 0;
  #credit = 0;
  #dropped = 0;
  #full = false;

  /** Bytes that wait, of all lanes. */
  get bytes(): number {
    return LANES.reduce((sum, lane) => sum + this.#bytes[lane], 0);
  }

  /** Messages that were dropped or not taken since the beginning. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether sync has to wait: since a message was not taken, until there is room for any. */
  get full(): boolean {
    return this.#full;
  }

  /** Takes a message of the caller, whose bytes must not change from now on. False: it was not taken. */
  put(lane: TrafficClass, bytes: Uint8Array): boolean {
    assert(bytes.length <= messageBytesMax('message', lane)!, `a message of ${lane} is too long`);
    const room = QUEUE_BYTES_MAX[lane] - PEER_QUEUED_MESSAGE_BYTES - bytes.length;
    if (lane === 'vote') this.#dropVotes(room);
    if (this.#bytes[lane] > room) {
      if (lane === 'sync') this.#full = true;
      else this.#dropped++;
      return false;
    }
    this.#add(lane, { kind: 'message', head: NOTHING, bytes, name: null, sent: 0 });
    return true;
  }

  /** A request or an answer; whoever sends it sees to it that there are few. */
  putNamed(kind: 'request' | 'answer', id: number, head: Uint8Array, bytes: Uint8Array): void {
    assert(head.length + bytes.length <= messageBytesMax(kind, 'sync')!, `the ${kind} is too long`);
    this.#add('sync', { kind, head, bytes, name: id, sent: 0 });
  }

  /** Says that a request was given up, unless it has not left yet: then it never will. */
  cancel(id: number): void {
    if (this.withdraw('request', id)) return;
    this.#add('vote', { kind: 'cancel', head: uint32(id), bytes: NOTHING, name: null, sent: 0 });
  }

  /** Takes back a request or an answer of which nothing has left. */
  withdraw(kind: 'request' | 'answer', id: number): boolean {
    return this.#remove('sync', (queued) => queued.kind === kind && queued.name === id);
  }

  /** The signed address of a node; one that waits still is replaced. */
  putAddress(node: string, bytes: Uint8Array): void {
    this.#remove('address', (queued) => queued.name === node);
    this.#add('address', { kind: 'address', head: NOTHING, bytes, name: node, sent: 0 });
  }

  /** Bytes that have come from the peer and that it is to hear of. */
  putCredit(bytes: number): void {
    this.#credit += bytes;
  }

  /** The peer has that many more of our bytes. False: it never got so many. */
  credited(bytes: number): boolean {
    if (bytes > this.#underway) return false;
    this.#underway -= bytes;
    return true;
  }

  /** The next frame that may leave, or null. @param room bytes of a frame that is no vote */
  next(room: number): Uint8Array | null {
    if (this.#credit > 0) {
      const head = uint32(this.#credit);
      this.#credit = 0;
      const sequence = this.#sequence++;
      return encodeFrame({ kind: 'credit', lane: 'vote', sequence, length: 4 }, head);
    }
    if (this.#queues.vote.length > 0) return this.#frame('vote');
    if (this.#underway + PEER_FRAME_BYTES_MAX > PEER_WINDOW_BYTES) return null;
    const lane = BULK.find((name) => this.#queues[name].length > 0);
    if (lane === undefined || frameBytes(this.#queues[lane][0]!) > room) return null;
    const frame = this.#frame(lane);
    this.#underway += frame.length;
    return frame;
  }

  #add(lane: Lane, queued: Queued): void {
    this.#queues[lane].push(queued);
    this.#bytes[lane] += lengthOf(queued) + PEER_QUEUED_MESSAGE_BYTES;
    if (this.#bytes.sync >= QUEUE_BYTES_MAX.sync) this.#full = true;
  }

  #less(lane: Lane, bytes: number): void {
    this.#bytes[lane] -= bytes;
    const room = QUEUE_BYTES_MAX.sync - this.#bytes.sync - PEER_QUEUED_MESSAGE_BYTES;
    if (room >= PEER_SYNC_BYTES_MAX) this.#full = false;
  }

  /** Removes the first one of which nothing has left. */
  #remove(lane: Lane, matches: (queued: Queued) => boolean): boolean {
    const queue = this.#queues[lane];
    const at = queue.findIndex((queued) => queued.sent === 0 && matches(queued));
    if (at < 0) return false;
    this.#less(lane, lengthOf(queue[at]!) + PEER_QUEUED_MESSAGE_BYTES);
    queue.splice(at, 1);
    return true;
  }

  #dropVotes(room: number): void {
    while (this.#bytes.vote > room && this.#remove('vote', () => true)) this.#dropped++;
  }

  #frame(lane: Lane): Uint8Array {
    const queue = this.#queues[lane];
    const queued = queue[0]!;
    const { kind, head, bytes, sent } = queued;
    const whole = lengthOf(queued);
    const size = Math.min(bodyBytesMax(sent === 0), whole - sent);
    const from = Math.max(0, sent - head.length);
    const parts = [head.subarray(sent), bytes.subarray(from, sent + size - head.length)];
    const length = sent === 0 ? whole : null;
    queued.sent += size;
    this.#less(lane, size);
    if (queued.sent === whole) {
      queue.shift();
      this.#less(lane, PEER_QUEUED_MESSAGE_BYTES);
    }
    return encodeFrame({ kind, lane, sequence: this.#sequence++, length }, ...parts);
  }
}
