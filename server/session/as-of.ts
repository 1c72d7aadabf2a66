// SET ledger.as_of: the ledger as it was after a block. Shell: reads the block index.
//
// (1) A height means the state after that block; a timestamp the state after the newest block whose header
//     time is not later.
// (2) What it means is fixed when it is first asked: a session that looks at the past sees one past.
// (3) Rows are those of then, columns those of now: a column added later shows its default. A table that did
//     not exist then is 42P01.

import type { Catalog } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { heightOf, stampOf } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import { parseText } from '../../sql/value/text.ts';
import type { StateReader } from '../../storage/snapshot.ts';
import type { SessionContext } from './context.ts';
import { valueContext } from './value-context.ts';

const MICROS_PER_MS = 1_000n;
const EPOCH_2000_MS = 946_684_800_000n;
/** The last position of a block: the state after it. */
const LAST_POSITION = 65_535;

const known = new WeakMap<SessionContext, { readonly key: string; readonly stamp: bigint }>();

/** The catalog of the past that a session looks at. */
const catalogs = new WeakMap<
  SessionContext,
  { readonly stamp: bigint; readonly catalog: Catalog }
>();

/**
 * The stamp that a value of ledger.as_of means.
 *
 * @throws SqlError TL002 for a height or time that the ledger does not have, 22007 for neither of them
 */
export function stampOfText(text: string, session: SessionContext, reader: StateReader): bigint {
  const key = `${session.settings.get('timezone')}\0${session.settings.get('datestyle')}\0${text}`;
  const found = known.get(session);
  if (found?.key === key) return found.stamp;
  const height = /^\s*\d+\s*$/.test(text)
    ? heightAsked(text, reader)
    : heightAt(text, session, reader);
  const stamp = stampOf(height, LAST_POSITION);
  known.set(session, { key, stamp });
  return stamp;
}

function heightAsked(text: string, reader: StateReader): number {
  const height = Number(text);
  const newest = reader.height();
  if (height <= newest) return height;
  throw unavailable(`block ${text.trim()} does not exist`, `The newest block is ${newest}.`);
}

function heightAt(text: string, session: SessionContext, reader: StateReader): number {
  const micros = parseText(text, sqlType('timestamptz'), valueContext(session)) as bigint;
  if (micros > session.services.nowMicros()) {
    throw unavailable(`time ${text} lies in the future`, 'The ledger knows the past only.');
  }
  const ms = micros / MICROS_PER_MS + EPOCH_2000_MS;
  const timeOf = reader.database.prepare('SELECT time_ms FROM chain.block WHERE height=?').pluck();
  const isLater = (height: number): boolean => (timeOf.get(BigInt(height)) as bigint) > ms;
  // Header times never run backwards.
  let low = -1;
  let high = reader.height();
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (isLater(middle)) high = middle - 1;
    else low = middle;
  }
  if (low >= 0) return low;
  throw unavailable(`the ledger did not exist at ${text}`, 'Its first block is later.');
}

function unavailable(message: string, detail: string): SqlError {
  return new SqlError(SQLSTATE.historyUnavailable, message, { detail });
}

/**
 * Refuses a query over tables that did not exist at the time the session looks at.
 *
 * @throws SqlError 42P01
 */
export function checkTablesThen(
  session: SessionContext,
  tables: readonly number[],
  stamp: bigint,
): void {
  if (tables.length === 0 || session.settings.get('ledger.as_of') === '') return;
  let then = catalogs.get(session);
  if (then?.stamp !== stamp) {
    then = { stamp, catalog: session.services.catalogAt(stamp) };
    catalogs.set(session, then);
  }
  for (const id of tables) {
    if (then.catalog.relations.has(id)) continue;
    const name = session.catalog.relations.get(id)?.name ?? String(id);
    throw new SqlError(SQLSTATE.undefinedTable, `relation "${name}" does not exist`, {
      detail: `It was made after block ${heightOf(stamp)}, which ledger.as_of looks at.`,
    });
  }
}
