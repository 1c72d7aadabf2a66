// Functions whose value only the session knows, by Postgres' name. Pure over the session.

import { randomBytes } from 'node:crypto';
import type { Datum } from '../../ledger/type.ts';
import { timestampToDate } from '../../ledger/datetime.ts';
import { localTimestamp } from '../../sql/functions/datetime.ts';
import type { SessionContext } from './context.ts';

const VALUES: Readonly<Record<string, (session: SessionContext) => Datum>> = {
  now: (session) => session.nowMicros,
  current_timestamp: (session) => session.nowMicros,
  transaction_timestamp: (session) => session.nowMicros,
  statement_timestamp: (session) => session.statementMicros,
  clock_timestamp: (session) => session.services.nowMicros(),
  current_user: (session) => session.currentRole,
  user: (session) => session.currentRole,
  current_role: (session) => session.currentRole,
  session_user: (session) => session.sessionRole.name,
  current_catalog: (session) => session.services.database,
  current_database: (session) => session.services.database,
};

/** Casts of an instant to the session's wall clock, by Postgres' symbol: what becomes of now() in most tables. */
const CASTS: Readonly<Record<string, (instant: bigint, session: SessionContext) => Datum>> = {
  timestamptz_timestamp: localInstant,
  timestamptz_date: (instant, session) => timestampToDate(localInstant(instant, session)),
};

function localInstant(instant: bigint, { settings }: SessionContext): bigint {
  return localTimestamp(instant, settings.get('timezone'));
}

/** Undefined for a function that is none of these. */
export function sessionCast(
  symbol: string,
): ((instant: bigint, session: SessionContext) => Datum) | undefined {
  return CASTS[symbol];
}

/** Undefined for a function that is none of these; others that depend on the time zone are left to SQLite. */
export function sessionFunction(name: string): ((session: SessionContext) => Datum) | undefined {
  return VALUES[name];
}

const POOL_BYTES = 4096;
let pool = randomBytes(POOL_BYTES);
let used = 0;

/** A random UUID of version 4. */
export function randomUuid(): Uint8Array {
  if (used + 16 > POOL_BYTES) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  const bytes = new Uint8Array(pool.subarray(used, used + 16));
  used += 16;
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes;
}
