// Byte stream → whole messages. Pure.
//
// (1) Nothing is copied while messages lie whole in one chunk, which is nearly always.
// (2) Bytes that were handed out are never written over: a bound value may outlive its message.
// (3) Memory follows what was received, at most twice, never what a length field claims.
// (4) A length is checked against the limit of its type as soon as its five bytes are there. A stream that
//     has lost its framing cannot be found again: every error here ends the connection.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import {
  AUTHENTICATION_MESSAGE_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  SMALL_MESSAGE_BYTES_MAX,
  STARTUP_PACKET_BYTES_MAX,
} from '../limits.ts';

/** Which messages may come: untyped start-up packets, then SASL responses, then everything else. */
export type FramerPhase = 'startUp' | 'authentication' | 'query';

const EMPTY = Buffer.alloc(0);

/** Largest body in bytes by type byte; 0: there is no such message. */
function limitsOf(large: string, small: string): Uint32Array {
  const limits = new Uint32Array(256);
  for (const type of large) limits[type.charCodeAt(0)] = MESSAGE_BYTES_MAX;
  for (const type of small) limits[type.charCodeAt(0)] = SMALL_MESSAGE_BYTES_MAX;
  return limits;
}
// Sync, Flush and the like have empty bodies, but PostgreSQL leaves the judging of that to the decoder.
const QUERY_LIMITS = limitsOf('QPBFd', 'DCEHSXcf');
const AUTHENTICATION_LIMITS = new Uint32Array(256);
AUTHENTICATION_LIMITS[0x70] = AUTHENTICATION_MESSAGE_BYTES_MAX;

/** First bytes of a request to a web server, as people send one to any open port. */
const HTTP_METHODS = new Set([
  'GET ',
  'POST',
  'HEAD',
  'PUT ',
  'DELE',
  'OPTI',
  'PATC',
  'CONN',
  'TRAC',
]);

export class Framer {
  phase: FramerPhase = 'startUp';
  /** The message that `next` found: `buffer.subarray(start, end)` is its body. */
  buffer: Buffer = EMPTY;
  start = 0;
  end = 0;
  /** Offset behind the last message; what lies in `[#position, #filled)` is still unread. */
  #position = 0;
  #filled = 0;
  /** Whether `buffer` is ours to append to, and not a chunk of the socket. */
  #own = false;

  get unreadBytes(): number {
    return this.#filled - this.#position;
  }

  /** Takes a chunk, which must not be written to afterwards. */
  push(chunk: Buffer): void {
    const unread = this.#filled - this.#position;
    if (unread === 0) {
      this.buffer = chunk;
      this.#position = 0;
      this.#filled = chunk.length;
      this.#own = false;
      return;
    }
    const needed = unread + chunk.length;
    if (!this.#own || this.buffer.length - this.#filled < chunk.length) {
      const next = Buffer.allocUnsafeSlow(this.#sizeFor(unread, needed));
      this.buffer.copy(next, 0, this.#position, this.#filled);
      this.buffer = next;
      this.#position = 0;
      this.#filled = unread;
      this.#own = true;
    }
    chunk.copy(this.buffer, this.#filled);
    this.#filled += chunk.length;
  }

  /**
   * Twice what is there, so that a long message is copied a constant number of times per byte; but no more than
   * the message in front needs.
   */
  #sizeFor(unread: number, needed: number): number {
    if (this.phase === 'startUp' || unread < 5) return needed * 2;
    const message = 1 + int32(this.buffer, this.#position + 1);
    return Math.max(needed, Math.min(needed * 2, message));
  }

  /** Takes back everything that is unread, for a TLS layer that is to read it. */
  take(): Buffer {
    const rest = this.buffer.subarray(this.#position, this.#filled);
    this.#release();
    return rest;
  }

  #release(): void {
    this.buffer = EMPTY;
    this.#position = this.#filled = 0;
    this.#own = false;
  }

  /** The first unread byte; undefined if there is none. */
  peek(): number | undefined {
    return this.unreadBytes > 0 ? this.buffer[this.#position] : undefined;
  }

  /** Whether the stream begins as a request to a web server does. */
  isHttp(): boolean {
    const head = this.buffer.toString(
      'latin1',
      this.#position,
      Math.min(this.#position + 4, this.#filled),
    );
    return HTTP_METHODS.has(head);
  }

  /**
   * Finds the next whole message and sets `start` and `end`.
   *
   * @returns its type byte; 0 if more bytes are needed; 1 for a whole start-up packet
   * @throws  SqlError 08P01 for an unknown type or a wrong length, 54000 for a message over its limit
   */
  next(): number {
    const unread = this.#filled - this.#position;
    if (this.phase === 'startUp') return this.#nextStartUp(unread);
    if (unread === 0) {
      // The message before is done with; an idle connection must not hold on to a long one.
      if (this.#own) this.#release();
      return 0;
    }
    const { buffer } = this;
    const at = this.#position;
    const type = buffer[at]!;
    const limit = (this.phase === 'query' ? QUERY_LIMITS : AUTHENTICATION_LIMITS)[type]!;
    if (limit === 0) throw invalidType(type, this.phase);
    if (unread < 5) return 0;
    const length = int32(buffer, at + 1) - 4;
    if (length < 0) throw new SqlError(SQLSTATE.protocolViolation, 'invalid message length');
    if (length > limit) throw tooLong(limit);
    if (unread - 5 < length) return 0;
    this.start = at + 5;
    this.end = this.#position = at + 5 + length;
    return type;
  }

  #nextStartUp(unread: number): number {
    if (unread < 4) return 0;
    const length = int32(this.buffer, this.#position) - 4;
    if (length < 4 || length > STARTUP_PACKET_BYTES_MAX) {
      throw new SqlError(SQLSTATE.protocolViolation, 'invalid length of startup packet');
    }
    if (unread - 4 < length) return 0;
    this.start = this.#position + 4;
    this.end = this.#position = this.start + length;
    return 1;
  }
}

/** Big-endian, signed. */
export function int32(buffer: Uint8Array, at: number): number {
  return (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!;
}

function invalidType(type: number, phase: FramerPhase): SqlError {
  return phase === 'query'
    ? new SqlError(SQLSTATE.protocolViolation, `invalid frontend message type ${type}`)
    : new SqlError(SQLSTATE.protocolViolation, `expected SASL response, got message type ${type}`);
}

function tooLong(limit: number): SqlError {
  return new SqlError(SQLSTATE.programLimitExceeded, 'message is too long', {
    detail: `Messages of this type may have at most ${limit} bytes.`,
  });
}
