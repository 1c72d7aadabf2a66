// DECLARE, FETCH, MOVE, CLOSE: the protocol's portals, from SQL. Shell.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ParsedStatement, RawNode } from '../../sql/parse.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import { allRows, BufferedRows } from '../readers/row-source.ts';
import type { RowSource } from '../readers/row-source.ts';
import { CURSOR_BYTES_MAX, PORTALS_PER_SESSION_MAX } from '../limits.ts';
import { FETCH_ALL, ForwardRows, ScrollRows } from './cursor-rows.ts';
import type { CursorRows, Direction } from './cursor-rows.ts';
import { execute } from './execute.ts';
import type { Outcome } from './execute.ts';
import { requireRoom } from './held-objects.ts';
import { formatsFor } from './portal.ts';
import type { Portal } from './portal.ts';
import { prepareInner } from './prepare-inner.ts';
import type { Session } from './session.ts';

const OPTION_BINARY = 0x0001;
const OPTION_SCROLL = 0x0002;
const OPTION_HOLD = 0x0020;

export async function declareCursor(
  session: Session,
  statement: ParsedStatement,
  sink: ResultSink,
): Promise<string> {
  const { context } = session;
  const name = statement.tree['portalname'] as string;
  const options = (statement.tree['options'] as number | undefined) ?? 0;
  const hold = (options & OPTION_HOLD) !== 0;
  if (!hold && context.transaction?.explicit !== true) {
    throw new SqlError(
      SQLSTATE.noActiveSqlTransaction,
      'DECLARE CURSOR can only be used in transaction blocks',
    );
  }
  if (session.portals.has(name)) {
    throw new SqlError(SQLSTATE.duplicateCursor, `cursor "${name}" already exists`);
  }
  requireRoom(session.portals, name, 'portals', PORTALS_PER_SESSION_MAX);
  const prepared = await prepareInner(context, statement);
  if (prepared.plan?.kind === 'with') {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      'DECLARE CURSOR must not contain data-modifying statements in WITH',
    );
  }
  const formats = formatsFor([(options & OPTION_BINARY) === 0 ? 0 : 1], prepared.columns);
  const outcome = await execute(session, prepared, [], formats, sink);
  if (outcome.kind !== 'rows') {
    throw new SqlError(SQLSTATE.syntaxError, 'a cursor needs a query that returns rows');
  }
  const scroll = (options & OPTION_SCROLL) !== 0;
  const source = await cursorRows(outcome.source, hold || scroll, scroll);
  const portal = {
    name,
    prepared,
    parameters: [],
    formats,
    outcome: { ...outcome, source },
    hold,
    close: () => source.close(),
  };
  session.portals.set(name, portal);
  context.transaction?.cursors.push(portal);
  return 'DECLARE CURSOR';
}

/** @param whole  all rows now: for a cursor that scrolls, or must not depend on its transaction */
async function cursorRows(source: RowSource, whole: boolean, scroll: boolean): Promise<CursorRows> {
  if (!whole) {
    await source.open?.();
    return new ForwardRows(source);
  }
  const all = await allRows(source, CURSOR_BYTES_MAX, tooLarge);
  return scroll ? new ScrollRows(all.read(0).bytes) : new ForwardRows(all);
}

function tooLarge(): SqlError {
  return new SqlError(
    SQLSTATE.programLimitExceeded,
    `a cursor WITH HOLD or SCROLL may have at most ${CURSOR_BYTES_MAX} bytes of rows`,
    { hint: 'Declare it without, and read it forward inside its transaction.' },
  );
}

const DIRECTIONS: Readonly<Record<string, Direction>> = {
  FETCH_FORWARD: 'forward',
  FETCH_BACKWARD: 'backward',
  FETCH_ABSOLUTE: 'absolute',
  FETCH_RELATIVE: 'relative',
};

export async function fetchCursor(session: Session, tree: RawNode): Promise<Outcome> {
  const name = tree['portalname'] as string;
  const portal = session.portals.get(name);
  if (portal?.outcome?.kind !== 'rows') {
    throw new SqlError(SQLSTATE.invalidCursorName, `cursor "${name}" does not exist`);
  }
  const rows = scrolling(portal, portal.outcome);
  const direction = DIRECTIONS[(tree['direction'] as string | undefined) ?? 'FETCH_FORWARD']!;
  const howMany = Number((tree['howMany'] as number | string | undefined) ?? 0);
  const { bytes, count } = await rows.fetch(direction, Math.min(howMany, FETCH_ALL));
  if (tree['ismove'] === true) return { kind: 'complete', tag: `MOVE ${count}` };
  return {
    kind: 'rows',
    columns: portal.prepared.columns,
    source: new BufferedRows(bytes, count),
    tag: () => `FETCH ${count}`,
  };
}

/** The rows of a portal; one of the protocol's own becomes a cursor when it is first fetched from. */
function scrolling(portal: Portal, outcome: Extract<Outcome, { kind: 'rows' }>): CursorRows {
  if ('fetch' in outcome.source) return outcome.source as CursorRows;
  const rows = new ForwardRows(outcome.source);
  portal.outcome = { ...outcome, source: rows };
  return rows;
}

export function closeCursor(session: Session, tree: RawNode): string {
  const name = tree['portalname'] as string | undefined;
  if (name === undefined) {
    for (const each of [...session.portals.keys()]) if (each !== '') session.dropPortal(each);
    return 'CLOSE CURSOR ALL';
  }
  if (!session.portals.has(name))
    throw new SqlError(SQLSTATE.invalidCursorName, `cursor "${name}" does not exist`);
  session.dropPortal(name);
  return 'CLOSE CURSOR';
}
