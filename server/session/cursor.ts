// DECLARE, FETCH, MOVE, CLOSE: the protocol's portals, from SQL. Shell.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { concat } from '../../ledger/bytes.ts';
import type { ParsedStatement, RawNode } from '../../sql/parse.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import { BufferedRows } from '../readers/row-source.ts';
import type { RowSource } from '../readers/row-source.ts';
import { execute } from './execute.ts';
import type { Outcome } from './execute.ts';
import { formatsFor } from './portal.ts';
import { prepareInner } from './prepare-inner.ts';
import type { Session } from './session.ts';

const OPTION_SCROLL = 0x0002;
const OPTION_HOLD = 0x0020;
const OPTION_BINARY = 0x0001;

export async function declareCursor(session: Session, statement: ParsedStatement, sink: ResultSink): Promise<string> {
  const { context } = session;
  const name = statement.tree['portalname'] as string;
  const options = (statement.tree['options'] as number | undefined) ?? 0;
  const hold = (options & OPTION_HOLD) !== 0;
  if (!hold && context.transaction?.explicit !== true) {
    throw new SqlError(SQLSTATE.noActiveSqlTransaction, 'DECLARE CURSOR can only be used in transaction blocks');
  }
  if ((options & OPTION_SCROLL) !== 0) {
    throw new SqlError(SQLSTATE.featureNotSupported, 'SCROLL cursors are not supported', {
      hint: 'Declare it NO SCROLL and read forward.',
    });
  }
  if (session.portals.has(name)) throw new SqlError(SQLSTATE.duplicateCursor, `cursor "${name}" already exists`);
  const prepared = await prepareInner(context, statement);
  const formats = formatsFor([(options & OPTION_BINARY) === 0 ? 0 : 1], prepared.columns);
  let outcome = await execute(session, prepared, [], formats, sink);
  if (outcome.kind !== 'rows') throw new SqlError(SQLSTATE.syntaxError, 'a cursor needs a query that returns rows');
  await outcome.source.open?.();
  if (hold) outcome = { ...outcome, source: await held(outcome.source) };
  session.portals.set(name, {
    name,
    prepared,
    parameters: [],
    formats,
    outcome,
    sent: 0,
    hold,
    close() {
      if (this.outcome?.kind === 'rows') this.outcome.source.close();
    },
  });
  return 'DECLARE CURSOR';
}

/** All rows at once: a cursor WITH HOLD must not depend on its transaction. */
async function held(source: RowSource): Promise<RowSource> {
  const parts: Uint8Array[] = [];
  let count = 0;
  for (;;) {
    const batch = await source.read(0);
    // A reader's buffer may be used again for the next batch.
    parts.push(batch.bytes.slice());
    count += batch.count;
    if (batch.done) break;
  }
  source.close();
  return new BufferedRows(concat(...parts), count);
}

export async function fetchCursor(session: Session, tree: RawNode): Promise<Outcome> {
  const name = tree['portalname'] as string;
  const portal = session.portals.get(name);
  if (portal?.outcome?.kind !== 'rows') {
    throw new SqlError(SQLSTATE.invalidCursorName, `cursor "${name}" does not exist`);
  }
  const direction = (tree['direction'] as string | undefined) ?? 'FETCH_FORWARD';
  const howMany = BigInt((tree['howMany'] as number | string | undefined) ?? 0);
  if (direction !== 'FETCH_FORWARD' || howMany < 0n) {
    throw new SqlError(SQLSTATE.objectNotInPrerequisiteState, 'cursor can only scan forward', {
      hint: 'Declare it with SCROLL option to enable backward scan.',
    });
  }
  const word = tree['ismove'] === true ? 'MOVE' : 'FETCH';
  const limit = howMany >= 0x7fffffffn ? 0 : Number(howMany);
  const parts: Uint8Array[] = [];
  let count = 0;
  while (limit === 0 || count < limit) {
    const batch = await portal.outcome.source.read(limit === 0 ? 0 : limit - count);
    parts.push(batch.bytes.slice());
    count += batch.count;
    if (batch.done) break;
  }
  portal.sent += count;
  if (word === 'MOVE') return { kind: 'complete', tag: `MOVE ${count}` };
  return {
    kind: 'rows',
    columns: portal.prepared.columns,
    source: new BufferedRows(concat(...parts), count),
    tag: () => `FETCH ${count}`,
  };
}

export function closeCursor(session: Session, tree: RawNode): string {
  const name = tree['portalname'] as string | undefined;
  if (name === undefined) {
    for (const each of [...session.portals.keys()]) if (each !== '') session.dropPortal(each);
    return 'CLOSE CURSOR ALL';
  }
  if (!session.portals.has(name)) throw new SqlError(SQLSTATE.invalidCursorName, `cursor "${name}" does not exist`);
  session.dropPortal(name);
  return 'CLOSE CURSOR';
}
