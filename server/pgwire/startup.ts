// Start-up packets. Pure.
//
// PostgreSQL manual 55.2.1 and 55.7; texts of errors from ProcessStartupPacket.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { BodyReader } from './decode.ts';
import type { StartUpPacket } from './message.ts';
import { START_UP } from './message.ts';

/** PostgreSQL's words for false in a boolean setting. */
const FALSE = new Set(['false', 'off', 'no', '0', 'f', 'n']);

/**
 * Decodes the body (without its length) of a start-up packet.
 *
 * @throws SqlError 08P01 wrong layout, 0A000 another major version or replication, 28000 no user
 */
export function decodeStartUp(buffer: Buffer, start: number, end: number): StartUpPacket {
  const body = new BodyReader(buffer, start, end);
  const code = body.int32();
  if (code === START_UP.sslRequest || code === START_UP.gssEncRequest) {
    body.finish();
    return { kind: code === START_UP.sslRequest ? 'sslRequest' : 'gssEncRequest' };
  }
  if (code === START_UP.cancelRequest) {
    const packet = {
      kind: 'cancelRequest',
      processId: body.int32(),
      secretKey: body.int32(),
    } as const;
    body.finish();
    return packet;
  }
  const major = code >>> 16;
  const minor = code & 0xffff;
  if (major !== START_UP.protocol >>> 16) {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.0`,
    );
  }
  return decodeParameters(body, minor);
}

function decodeParameters(body: BodyReader, minor: number): StartUpPacket {
  const settings = new Map<string, string>();
  const extensions: string[] = [];
  let user = '';
  let database = '';
  for (;;) {
    if (body.remainingBytes === 0) throw layout();
    const name = body.string();
    if (name === '') break;
    if (body.remainingBytes === 0) throw layout();
    const value = body.string();
    if (name === 'user') user = value;
    else if (name === 'database') database = value;
    else if (name === 'replication') refuseReplication(value);
    else if (name.startsWith('_pq_.')) extensions.push(name);
    else settings.set(name, value);
  }
  if (body.remainingBytes !== 0) throw layout();
  if (user === '') {
    throw new SqlError(
      SQLSTATE.invalidAuthorizationSpecification,
      'no PostgreSQL user name specified in startup packet',
    );
  }
  return { kind: 'startUp', minor, user, database: database || user, settings, extensions };
}

function layout(): SqlError {
  return new SqlError(
    SQLSTATE.protocolViolation,
    'invalid startup packet layout: expected terminator as last byte',
  );
}

function refuseReplication(value: string): void {
  if (FALSE.has(value.toLowerCase())) return;
  throw new SqlError(SQLSTATE.featureNotSupported, 'replication connections are not supported');
}
