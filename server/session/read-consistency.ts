// `ledger.read_consistency`: what a statement must see of what other nodes have confirmed. Shell.
//
//   session        what this node has executed: all that its own sessions have written, others' writes a moment later
//   linearizable   everything confirmed at any node before the statement began
//
// What has a snapshot already keeps it: the rest of a REPEATABLE READ transaction, and cursors.

import type { SessionContext } from './context.ts';
import type { StopSignal } from './stop.ts';

const SETTING = 'ledger.read_consistency';

/** Statements that look at no row: a session whose node is alone must still be able to choose otherwise. */
const WITHOUT_READING = new Set([
  'TransactionStmt',
  'VariableSetStmt',
  'VariableShowStmt',
  'ConstraintsSetStmt',
  'DiscardStmt',
  'DeallocateStmt',
  'FetchStmt',
  'ClosePortalStmt',
]);

export function isLinearizable({ settings }: SessionContext): boolean {
  return settings.get(SETTING) === 'linearizable';
}

/**
 * Resolves when a statement of this kind may look; undefined: now.
 *
 * @throws SqlError 57P03 when this node cannot tell what is confirmed elsewhere, 57014 when the statement is stopped
 */
export function caughtUp(session: SessionContext, kind: string): undefined | Promise<void> {
  if (!isLinearizable(session) || WITHOUT_READING.has(kind)) return undefined;
  if ((session.transaction?.snapshot ?? null) !== null) return undefined;
  return unlessStopped(session.services.caughtUp(), session.stop);
}

async function unlessStopped(wait: Promise<void>, stop: StopSignal): Promise<void> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  stop.onStop(reject);
  try {
    await Promise.race([wait, stopped]);
  } finally {
    stop.onStop(() => {});
  }
}
