// Frames: what a message between nodes is cut into. Pure. Bytes: docs/formats/peer.md.
//
// (1) The lengths that a frame states are compared with its limits before anything is kept for them.
// (2) There is one encoding: all fragments of a message but its last fill a frame.

import {
  PEER_ANNOUNCEMENT_BYTES_MAX,
  PEER_ANSWER_BYTES_MAX,
  PEER_BLOCK_BYTES_MAX,
  PEER_FRAME_BYTES_MAX,
  PEER_REQUEST_BYTES_MAX,
  PEER_SYNC_BYTES_MAX,
  PEER_VOTE_BYTES_MAX,
} from '../limits.ts';
import { malformed } from './refusal.ts';

/** Version of handshake and frames together. */
export const PEER_VERSION = 1;

/** In order of priority; the number of a lane on the wire is its place here. */
export const LANES = ['vote', 'block', 'address', 'sync'] as const;
export type Lane = (typeof LANES)[number];

/** What the caller may choose from. */
export type TrafficClass = Exclude<Lane, 'address'>;

/** Numbers on the wire. 1 and 2 are the handshake's. */
const KINDS = { message: 3, request: 4, answer: 5, cancel: 6, address: 7, credit: 8 } as const;
export type FrameKind = keyof typeof KINDS;
const KIND_OF: ReadonlyMap<number, FrameKind> = new Map(
  Object.entries(KINDS).map(([kind, n]) => [n, kind as FrameKind]),
);

/** Id of a request, in front of it; in front of an answer the id and a status. */
export const REQUEST_HEAD_BYTES = 4;
export const ANSWER_HEAD_BYTES = 5;

/** Bytes of a message by kind and lane; what is not here is refused. */
const MESSAGE_BYTES_MAX: Readonly<Record<FrameKind, Partial<Record<Lane, number>>>> = {
  message: { vote: PEER_VOTE_BYTES_MAX, block: PEER_BLOCK_BYTES_MAX, sync: PEER_SYNC_BYTES_MAX },
  request: { sync: REQUEST_HEAD_BYTES + PEER_REQUEST_BYTES_MAX },
  answer: { sync: ANSWER_HEAD_BYTES + PEER_ANSWER_BYTES_MAX },
  cancel: { vote: 4 },
  address: { address: PEER_ANNOUNCEMENT_BYTES_MAX },
  credit: { vote: 4 },
};

/** Version and kind, lane and flag, sequence number. */
export const FRAME_HEAD_BYTES = 8;

/** The length of the whole message, in its first frame. */
const LENGTH_BYTES = 4;
const FIRST = 0x80;

export interface Frame {
  readonly kind: FrameKind;
  readonly lane: Lane;
  /** Number of the frame among all of this direction, from 0. */
  readonly sequence: number;
  /** Bytes of the message; null in all but its first frame. */
  readonly length: number | null;
  readonly body: Uint8Array;
}

/** Bytes of a message that fit into one of its frames. */
export function bodyBytesMax(first: boolean): number {
  return PEER_FRAME_BYTES_MAX - FRAME_HEAD_BYTES - (first ? LENGTH_BYTES : 0);
}

/** Null when messages of this kind have no place in the lane. */
export function messageBytesMax(kind: FrameKind, lane: Lane): number | null {
  return MESSAGE_BYTES_MAX[kind][lane] ?? null;
}

/** The frame whose body are the parts one after another. */
export function encodeFrame(
  { kind, lane, sequence, length }: Omit<Frame, 'body'>,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  let at = FRAME_HEAD_BYTES + (length === null ? 0 : LENGTH_BYTES);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, at));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, (PEER_VERSION << 4) | KINDS[kind]);
  view.setUint8(1, LANES.indexOf(lane) | (length === null ? 0 : FIRST));
  view.setUint16(2, Math.floor(sequence / 2 ** 32));
  view.setUint32(4, sequence >>> 0);
  if (length !== null) view.setUint32(FRAME_HEAD_BYTES, length);
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * A frame; its body is a view.
 *
 * @throws PeerRefusal protocol
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < FRAME_HEAD_BYTES) malformed('a frame is truncated');
  if (bytes.length > PEER_FRAME_BYTES_MAX) malformed('a frame is too long');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = view.getUint8(0);
  if (start >> 4 !== PEER_VERSION) malformed('a frame of another version');
  const kind = KIND_OF.get(start & 0x0f) ?? malformed('a frame of an unknown kind');
  const flags = view.getUint8(1);
  const lane = LANES[flags & ~FIRST] ?? malformed('a frame of an unknown class');
  const max = messageBytesMax(kind, lane) ?? malformed(`no ${kind} is of class ${lane}`);
  const sequence = view.getUint16(2) * 2 ** 32 + view.getUint32(4);
  if ((flags & FIRST) === 0) {
    return { kind, lane, sequence, length: null, body: bytes.subarray(FRAME_HEAD_BYTES) };
  }
  if (bytes.length < FRAME_HEAD_BYTES + LENGTH_BYTES) malformed('a frame is truncated');
  const length = view.getUint32(FRAME_HEAD_BYTES);
  if (length > max) malformed(`a ${kind} is too long`);
  const body = bytes.subarray(FRAME_HEAD_BYTES + LENGTH_BYTES);
  return { kind, lane, sequence, length, body };
}
