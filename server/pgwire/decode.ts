// Message body → FrontendMessage. Pure.
//
// (1) No read leaves the body, whatever the body says.
// (2) Errors are PostgreSQL's: 08P01 for a body of the wrong shape, 22021 for text that is not UTF-8. They
//     fail the command, not the connection: the framing is still known.

import { isUtf8 } from 'node:buffer';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { int32 } from './framer.ts';
import type { FrontendMessage, StatementOrPortal } from './message.ts';

const SYNC: FrontendMessage = { kind: 'sync' };
const FLUSH: FrontendMessage = { kind: 'flush' };
const COPY_DONE: FrontendMessage = { kind: 'copyDone' };
const TERMINATE: FrontendMessage = { kind: 'terminate' };
const FUNCTION_CALL: FrontendMessage = { kind: 'functionCall' };
const NONE: readonly number[] = [];

/**
 * Decodes the body at `buffer[start, end)` of a message of the query phase.
 *
 * @param type type byte, one that the framer lets through in the phase 'query'
 * @throws     SqlError 08P01, 22021
 */
export function decode(type: number, buffer: Buffer, start: number, end: number): FrontendMessage {
  const body = new BodyReader(buffer, start, end);
  switch (type) {
    case 0x42: // B
      return decodeBind(body);
    case 0x45: {
      // E
      const portal = body.string();
      const rowsMax = body.int32();
      body.finish();
      // A negative limit means none, as in PostgreSQL.
      return { kind: 'execute', portal, rowsMax: rowsMax > 0 ? rowsMax : 0 };
    }
    case 0x53: // S
      body.finish();
      return SYNC;
    case 0x51: {
      // Q
      const text = body.string();
      body.finish();
      return { kind: 'query', text };
    }
    case 0x50: // P
      return decodeParse(body);
    case 0x44: // D
      return decodeNamed('describe', body);
    case 0x43: // C
      return decodeNamed('close', body);
    case 0x48: // H
      body.finish();
      return FLUSH;
    case 0x64: // d
      return { kind: 'copyData', data: buffer.subarray(start, end) };
    case 0x63: // c
      body.finish();
      return COPY_DONE;
    case 0x66: {
      // f
      const reason = body.string();
      body.finish();
      return { kind: 'copyFail', reason };
    }
    case 0x46: // F
      return FUNCTION_CALL;
    case 0x58: // X
      return TERMINATE;
    default:
      throw new SqlError(SQLSTATE.protocolViolation, `invalid frontend message type ${type}`);
  }
}

function decodeParse(body: BodyReader): FrontendMessage {
  const name = body.string();
  const text = body.string();
  const count = body.count(4);
  const parameterOids = count === 0 ? NONE : body.list(count, () => body.int32() >>> 0);
  body.finish();
  return { kind: 'parse', name, text, parameterOids };
}

function decodeBind(body: BodyReader): FrontendMessage {
  const portal = body.string();
  const statement = body.string();
  const formats = body.formats();
  const count = body.count(4);
  if (formats.length > 1 && formats.length !== count) {
    throw new SqlError(
      SQLSTATE.protocolViolation,
      `bind message has ${formats.length} parameter formats but ${count} parameters`,
    );
  }
  const values: (Uint8Array | null)[] = [];
  for (let i = 0; i < count; i++) values.push(body.value());
  const resultFormats = body.formats();
  body.finish();
  return { kind: 'bind', portal, statement, values, formats, resultFormats };
}

function decodeNamed(kind: 'describe' | 'close', body: BodyReader): FrontendMessage {
  const subtype = body.byte();
  const name = body.string();
  body.finish();
  let what: StatementOrPortal;
  if (subtype === 0x53) what = 'statement';
  else if (subtype === 0x50) what = 'portal';
  else {
    const message = `invalid ${kind.toUpperCase()} message subtype ${subtype}`;
    throw new SqlError(SQLSTATE.protocolViolation, message);
  }
  return { kind, what, name };
}

/** A cursor over one body; every read is checked against its end. */
export class BodyReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #at: number;
  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  get remainingBytes(): number {
    return this.#end - this.#at;
  }

  #advance(bytes: number): number {
    const at = this.#at;
    if (bytes > this.#end - at) {
      throw new SqlError(SQLSTATE.protocolViolation, 'insufficient data left in message');
    }
    this.#at = at + bytes;
    return at;
  }

  byte(): number {
    return this.#buffer[this.#advance(1)]!;
  }

  int16(): number {
    const at = this.#advance(2);
    return ((this.#buffer[at]! << 24) >> 16) | this.#buffer[at + 1]!;
  }

  int32(): number {
    return int32(this.#buffer, this.#advance(4));
  }

  /** A count of elements that take at least `bytesEach`, so that no list outgrows the message. */
  count(bytesEach: number): number {
    const count = this.int16() & 0xffff;
    if (count * bytesEach > this.#end - this.#at) {
      throw new SqlError(SQLSTATE.protocolViolation, 'insufficient data left in message');
    }
    return count;
  }

  list(count: number, read: () => number): number[] {
    const list: number[] = [];
    for (let i = 0; i < count; i++) list.push(read());
    return list;
  }

  formats(): readonly number[] {
    const count = this.count(2);
    return count === 0 ? NONE : this.list(count, () => this.int16());
  }

  /** Length and bytes; length -1 is NULL. */
  value(): Uint8Array | null {
    const length = this.int32();
    if (length === -1) return null;
    if (length < 0) throw new SqlError(SQLSTATE.protocolViolation, 'invalid message format');
    const at = this.#advance(length);
    return this.#buffer.subarray(at, at + length);
  }

  bytes(length: number): Buffer {
    const at = this.#advance(length);
    return this.#buffer.subarray(at, at + length);
  }

  /** Text up to a zero byte. */
  string(): string {
    const at = this.#at;
    const buffer = this.#buffer;
    if (at < this.#end && buffer[at] === 0) {
      this.#at = at + 1;
      return '';
    }
    const zero = buffer.indexOf(0, at);
    if (zero < 0 || zero >= this.#end) {
      throw new SqlError(SQLSTATE.protocolViolation, 'invalid string in message');
    }
    this.#at = zero + 1;
    const text = buffer.toString('utf8', at, zero);
    // The replacement character may have been sent, or may stand for bytes that are no UTF-8.
    if (text.includes('\ufffd') && !isUtf8(buffer.subarray(at, zero))) {
      throw notUtf8(buffer.subarray(at, zero));
    }
    return text;
  }

  finish(): void {
    if (this.#at !== this.#end) {
      throw new SqlError(SQLSTATE.protocolViolation, 'invalid message format');
    }
  }
}

/** Names the first bad sequence, as PostgreSQL does: its lead byte and the bytes it claims. */
function notUtf8(bytes: Buffer): SqlError {
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at]!;
    const claimed = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 1;
    const sequence = bytes.subarray(at, at + claimed);
    if (sequence.length < claimed || !isUtf8(sequence)) {
      const hex = Array.from(sequence, (byte) => `0x${byte.toString(16).padStart(2, '0')}`);
      return new SqlError(
        SQLSTATE.characterNotInRepertoire,
        `invalid byte sequence for encoding "UTF8": ${hex.join(' ')}`,
      );
    }
    at += claimed;
  }
  return new SqlError(
    SQLSTATE.characterNotInRepertoire,
    'invalid byte sequence for encoding "UTF8"',
  );
}
