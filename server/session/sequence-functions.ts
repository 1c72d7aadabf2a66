// nextval, currval, lastval and setval in queries. Shell.
//
// SQL functions are synchronous, and a value can be handed out only when the chain has set it aside. So a
// query that draws runs when as many values are reserved as it is likely to need; if they do not suffice
// more are reserved and it runs again, from the start. What the first run drew stays a gap.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Sequence } from '../../ledger/catalog.ts';
import type { Datum } from '../../ledger/type.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { Query, Scalar } from '../../sql/ir.ts';
import { demandSequence } from '../../storage/privileges.ts';
import { isNotReserved } from '../sequences.ts';
import { roleNamed } from './context.ts';
import type { SessionContext } from './context.ts';

/** Values reserved at first for each nextval of a query over rows. */
const ROWS_EXPECTED = 1_000;
/** Values one query may draw from one sequence. */
const DRAWS_MAX = 4_096_000;

/**
 * Runs a query that may call nextval, as often as it takes to have enough values.
 *
 * @param sessionFunctions  those the query calls
 */
export async function withSequences<T>(
  session: SessionContext,
  query: Query,
  run: () => T | Promise<T>,
): Promise<T> {
  const draws = drawsOf(session, query);
  const perCall = query.from.length === 0 && query.set === null ? 1 : ROWS_EXPECTED;
  for (let count = perCall; ; count *= 8) {
    for (const [sequence, calls] of draws) await session.reserve(sequence, calls * count);
    try {
      return await run();
    } catch (error) {
      if (!isNotReserved(error) || count >= DRAWS_MAX) throw error;
    }
  }
}

/** Whether a query draws from a sequence. */
export function drawsValues(sessionFunctions: readonly string[]): boolean {
  return sessionFunctions.includes('nextval');
}

/** Makes sure that everything in there that draws can be evaluated so many times. */
export async function reserveDraws(
  session: SessionContext,
  root: readonly Scalar[],
  times: number,
): Promise<void> {
  for (const [sequence, calls] of drawsOf(session, root))
    await session.reserve(sequence, calls * times);
}

/** The sequences that are named in nextval somewhere in there, and how often. */
function drawsOf(session: SessionContext, query: Query | readonly Scalar[]): Map<Sequence, number> {
  const draws = new Map<Sequence, number>();
  const note = (sequence: Sequence): void =>
    void draws.set(sequence, (draws.get(sequence) ?? 0) + 1);
  contains(query, (node) => {
    if ('command' in node || node.kind !== 'call' || node.fn.symbol !== 'nextval_oid') return false;
    const [argument] = node.args;
    if (argument?.kind !== 'const' || argument.value === null) {
      // The sequence is known only when the query runs: any of them may be meant.
      for (const each of session.catalog.relations.values())
        if (each.kind === 'sequence') note(each);
      return false;
    }
    note(
      sequenceOf(
        session,
        argument.relation === undefined ? argument.value : BigInt(-argument.relation),
      ),
    );
    return false;
  });
  return draws;
}

/**
 * The sequence that a regclass value means.
 *
 * @param value  an OID, or the negated catalog id where the compiler knew it
 * @throws SqlError 42P01, 42809
 */
export function sequenceOf(session: SessionContext, value: Datum): Sequence {
  const number = Number(value as bigint);
  const id = number < 0 ? -number : session.services.analyst.relationOfOid(number);
  const relation = session.catalog.relations.get(id);
  if (relation === undefined) {
    throw new SqlError(SQLSTATE.undefinedTable, `could not open relation with OID ${number}`);
  }
  if (relation.kind === 'sequence') return relation;
  throw new SqlError(SQLSTATE.wrongObjectType, `"${relation.name}" is not a sequence`);
}

function permitted(session: SessionContext, value: Datum): Sequence {
  const sequence = sequenceOf(session, value);
  const role = roleNamed(session.catalog, session.currentRole);
  if (role !== undefined) demandSequence(session.catalog, role.id, sequence);
  return sequence;
}

export function nextval(session: SessionContext, value: Datum): Datum {
  session.checkWritable('nextval()');
  return session.drawNext(permitted(session, value).id);
}

export function currval(session: SessionContext, value: Datum): Datum {
  const sequence = permitted(session, value);
  const drawn = session.drawn.get(sequence.id);
  if (drawn !== undefined) return drawn;
  const message = `currval of sequence "${sequence.name}" is not yet defined in this session`;
  throw new SqlError(SQLSTATE.objectNotInPrerequisiteState, message);
}

export function lastval(session: SessionContext): Datum {
  const { lastDrawn, catalog } = session;
  const drawn = lastDrawn === null ? undefined : session.drawn.get(lastDrawn);
  if (drawn !== undefined && catalog.relations.has(lastDrawn!)) return drawn;
  const message = 'lastval is not yet defined in this session';
  throw new SqlError(SQLSTATE.objectNotInPrerequisiteState, message);
}

export function setval(session: SessionContext, value: Datum, to: bigint, called: boolean): Datum {
  session.checkWritable('setval()');
  const sequence = permitted(session, value);
  if (to < sequence.min || to > sequence.max) {
    const bounds = `(${sequence.min}..${sequence.max})`;
    const message = `setval: value ${to} is out of bounds for sequence "${sequence.name}" ${bounds}`;
    throw new SqlError(SQLSTATE.numericValueOutOfRange, message);
  }
  if (called) session.drawn.set(sequence.id, to);
  const { transaction } = session;
  if (transaction !== null && session.ownsSequence(sequence.id)) {
    transaction.moveSequence(sequence.id, { last: to, called });
  } else {
    const author = session.sessionRole.id;
    session.effects.push(() => session.services.sequences.set(sequence, to, called, author));
  }
  return to;
}
