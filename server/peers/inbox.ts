// Frames of one direction of a connection → messages. Pure.
//
// (1) Frames come in the order of their numbers, none twice and none left out: a repeated one closes the connection.
// (2) At most one message of each lane is incomplete, and it holds no more than the bytes that have come.
// (3) Answers that nobody waits for any more are passed over without being kept.

import { concat } from '../../ledger/bytes.ts';
import { PEER_CREDIT_BYTES } from '../limits.ts';
import { ANSWER_HEAD_BYTES, bodyBytesMax, decodeFrame, REQUEST_HEAD_BYTES } from './frame.ts';
import type { Frame, FrameKind, Lane } from './frame.ts';
import { malformed } from './refusal.ts';

export interface Message {
  readonly kind: FrameKind;
  readonly lane: Lane;
  /** Bytes of their own: views of what the socket has read would keep all of that in memory. */
  readonly bytes: Uint8Array;
}

interface Incomplete {
  readonly kind: FrameKind;
  readonly length: number;
  /** Null when the message is passed over. */
  readonly parts: Uint8Array[] | null;
  received: number;
}

const HEAD_BYTES: Readonly<Record<FrameKind, number>> = {
  message: 0,
  request: REQUEST_HEAD_BYTES,
  answer: ANSWER_HEAD_BYTES,
  cancel: 4,
  address: 0,
  credit: 4,
};

export class Inbox {
  readonly #wanted: (id: number) => boolean;
  readonly #incomplete = new Map<Lane, Incomplete>();
  #sequence = 0;
  #owed = 0;

  /** @param wanted whether somebody waits for the answer to a request; throws PeerRefusal when it was never made */
  constructor(wanted: (id: number) => boolean) {
    this.#wanted = wanted;
  }

  /**
   * The message that this frame completes, or null.
   *
   * @throws PeerRefusal protocol
   */
  receive(bytes: Uint8Array): Message | null {
    const frame = decodeFrame(bytes);
    const { kind, lane, body } = frame;
    if (frame.sequence !== this.#sequence) malformed('a frame is repeated or missing');
    this.#sequence++;
    if (lane !== 'vote') this.#owed += bytes.length;
    const message =
      frame.length === null ? this.#continued(frame) : this.#begun(frame, frame.length);
    message.received += body.length;
    if (message.received > message.length) malformed(`a ${kind} is longer than it says`);
    message.parts?.push(body);
    if (message.received < message.length) {
      if (body.length < bodyBytesMax(frame.length !== null)) malformed('a fragment is too short');
      this.#incomplete.set(lane, message);
      return null;
    }
    this.#incomplete.delete(lane);
    return message.parts === null ? null : { kind, lane, bytes: concat(...message.parts) };
  }

  /** Bytes to tell the peer of, or 0 while they are few. */
  takeCredit(): number {
    if (this.#owed < PEER_CREDIT_BYTES) return 0;
    const owed = this.#owed;
    this.#owed = 0;
    return owed;
  }

  #continued({ kind, lane }: Frame): Incomplete {
    const message = this.#incomplete.get(lane);
    if (message?.kind !== kind) return malformed('a fragment of no message');
    return message;
  }

  #begun({ kind, lane, body }: Frame, length: number): Incomplete {
    if (this.#incomplete.has(lane)) malformed('a message begins within another');
    if (length < HEAD_BYTES[kind] || body.length < HEAD_BYTES[kind])
      malformed(`a ${kind} is too short`);
    const kept = kind !== 'answer' || this.#wanted(readId(body));
    return { kind, length, parts: kept ? [] : null, received: 0 };
  }
}

/** The id in front of a request, an answer or a cancel; the bytes of a credit. */
export function readId(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
}
