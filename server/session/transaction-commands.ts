// BEGIN, COMMIT, ROLLBACK, SAVEPOINT and what belongs to them. Shell.

import type { Confirm } from '../../consensus/consensus.ts';
import { isFormatError, isSqlError, SqlError } from '../../ledger/error.ts';
import type { Operation } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Committed } from '../gateway.ts';
import { releaseAdvisory } from './advisory-locks.ts';
import type { SessionContext } from './context.ts';
import { isolationOf } from './context.ts';
import { OpenTransaction } from './open-transaction.ts';
import { isHeavy, spooled } from './spool.ts';
import { turns } from './turns.ts';
import type { RawNode } from '../../sql/parse.ts';

/** How many nodes must have executed a transaction alike before its client hears of it. */
const CONFIRM = 'ledger.confirm';

export function rowLockKey(relation: number, rowId: bigint): string {
  return `r${relation}:${rowId}`;
}

/**
 * Commits the open transaction: submits its operations at once.
 *
 * @throws SqlError 23503 of a deferred foreign key, 40001 and others from its receipt, 40003 when too few nodes have
 *   said that they executed it alike; the transaction is over in any case
 */
export async function commitTransaction(session: SessionContext): Promise<void> {
  const { transaction } = session;
  if (transaction === null) return;
  if (transaction.failed) return rollbackTransaction(session);
  // What was spooled has not been checked against other rows until it is applied.
  const checkable = transaction.spooled.size === 0;
  let checked = false;
  let committed: Committed | null = null;
  const confirm = session.settings.get(CONFIRM);
  try {
    if (transaction.operations.length > 0) {
      const { constraints } = transaction;
      if (checkable && !constraints.settled) await constraints.check(null, turns(session));
      checked = checkable && transaction.catalog === null;
      if (transaction.isolation === 'serializable') requireReads(session, transaction);
      await lockPrograms(session, transaction);
      committed = await ordered(session, transaction.operations, transaction.texts.join(';\n'));
    }
    for (const id of transaction.sequences.keys()) session.services.sequences.forget(id);
    session.transaction = null;
    session.settings.commit();
  } catch (error) {
    dropCursors(session, transaction, 0);
    session.transaction = null;
    session.settings.rollback();
    throw checked ? unseenConflict(error, transaction.operations.length) : error;
  } finally {
    releaseTransaction(session);
  }
  if (committed === null || confirm === 'local') return;
  await session.services.agreed(committed.height, confirm as Confirm);
}

/** Runs a statement of its own that needs a transaction around it: begins, commits, or undoes it. */
export async function inOwnTransaction<T>(
  session: SessionContext,
  text: string,
  work: (transaction: OpenTransaction) => Promise<T>,
): Promise<T> {
  const transaction = session.begin(false);
  transaction.texts.push(text);
  try {
    const done = await work(transaction);
    await commitTransaction(session);
    return done;
  } catch (error) {
    if (session.transaction === transaction) await rollbackTransaction(session);
    throw error;
  }
}

export function rollbackTransaction(session: SessionContext): Promise<void> {
  if (session.transaction !== null) dropCursors(session, session.transaction, 0);
  session.transaction = null;
  session.settings.rollback();
  releaseTransaction(session);
  return Promise.resolve();
}

/**
 * A block has failed: nothing of it can be committed but what lies before its newest savepoint, so the locks taken since
 * then go at once, as in Postgres. Others need not wait until the client has noticed.
 */
export function failTransaction(session: SessionContext, transaction: OpenTransaction): void {
  transaction.failed = true;
  session.services.locks.releaseSince(session, transaction.lockMark, isTransactionLock);
}

/** Cursors that were declared in what is rolled back. */
function dropCursors(session: SessionContext, transaction: OpenTransaction, mark: number): void {
  for (const portal of transaction.cursors.splice(mark)) {
    portal.close();
    if (session.portals.get(portal.name) === portal) session.portals.delete(portal.name);
  }
}

/** What a transaction has held until its end: its locks, and chunks that it did not come to name. */
function releaseTransaction(session: SessionContext): void {
  session.chunks.release();
  releaseTransactionLocks(session);
}

/** Everything but session-level advisory locks. */
export function releaseTransactionLocks(session: SessionContext): void {
  releaseAdvisory(session, 'transaction');
  session.services.locks.releaseAll(session, isTransactionLock);
}

function isTransactionLock(key: string): boolean {
  return !key.startsWith('session-advisory:');
}

/**
 * Submits operations as one transaction in the name of the session's role, in chunks when they are many.
 * Afterwards the session's SHOW ledger.last_transaction tells its id.
 */
export function submit(
  session: SessionContext,
  operations: readonly Operation[],
  text: string,
): Promise<Committed> {
  const confirm = session.settings.get(CONFIRM);
  const committing = ordered(session, operations, text);
  return confirm === 'local' ? committing : agreed(session, committing, confirm);
}

/** Waits for as many other nodes as the session has asked for. @throws SqlError 40003: the transaction is committed */
async function agreed(
  session: SessionContext,
  committing: Promise<Committed>,
  confirm: string,
): Promise<Committed> {
  const committed = await committing;
  await session.services.agreed(committed.height, confirm as Confirm);
  return committed;
}

async function ordered(
  session: SessionContext,
  operations: readonly Operation[],
  text: string,
): Promise<Committed> {
  const { chunks } = session;
  let committed: Committed;
  let settled = (): void => undefined;
  try {
    const travelling = isHeavy(operations) ? await spooled(operations, chunks.put) : operations;
    const submitted = session.services.gateway.submit(session.sessionRole.id, travelling, text);
    settled = chunks.settle(travelling);
    committed = await submitted;
  } catch (error) {
    if (session.transaction === null) chunks.release();
    // The chain's formats have limits that Postgres has not: a row of more than a chunk, for one.
    if (!isFormatError(error)) throw error;
    throw new SqlError(
      SQLSTATE.programLimitExceeded,
      `the transaction is too large: ${error.message}`,
    );
  } finally {
    settled();
  }
  session.committed = committed;
  return committed;
}

/** SERIALIZABLE: what was read must not have changed; nobody else can have changed tables of its own making. */
function requireReads(session: SessionContext, transaction: OpenTransaction): void {
  const stamp = transaction.snapshot ?? 0n;
  const { relations } = session.services.catalog();
  for (const relation of transaction.tablesRead) {
    if (!relations.has(relation)) continue;
    transaction.operations.unshift({ kind: 'requireTable', relation, stamp });
  }
  for (const [relation, read] of transaction.rowsRead) {
    const rows = [...read].map(([rowId, version]) => ({ rowId, version }));
    transaction.operations.unshift({ kind: 'require', relation, rows });
  }
}

/** Rows of programs nobody has seen: they wait for whoever has pinned the row, but not for each other. */
async function lockPrograms(session: SessionContext, transaction: OpenTransaction): Promise<void> {
  for (const { relation, rowId } of transaction.unseenPrograms()) {
    const wait = session.lock(rowLockKey(relation, rowId), 'applying');
    if (wait instanceof Promise) await wait;
  }
}

/**
 * A statement of the transaction was answered as done, so an error that is found only when the transaction is
 * applied can only come from somebody else's writes in between.
 */
function unseenConflict(error: unknown, operations: number): unknown {
  if (!isSqlError(error) || operations === 0) return error;
  const { sqlstate } = error;
  if (sqlstate !== SQLSTATE.uniqueViolation && sqlstate !== SQLSTATE.foreignKeyViolation)
    return error;
  return new SqlError(
    SQLSTATE.serializationFailure,
    'could not serialize access due to concurrent update',
    { detail: error.message, hint: 'The transaction might succeed if retried.' },
  );
}

/** A transaction statement (TransactionStmt); gives its command tag. */
export function runTransactionStatement(
  session: SessionContext,
  tree: RawNode,
): string | Promise<string> {
  const kind = tree['kind'] as string;
  const name = tree['savepoint_name'] as string | undefined;
  switch (kind) {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START':
      beginBlock(session, tree);
      return kind === 'TRANS_STMT_BEGIN' ? 'BEGIN' : 'START TRANSACTION';
    case 'TRANS_STMT_COMMIT':
    case 'TRANS_STMT_ROLLBACK':
      return end(session, tree, kind === 'TRANS_STMT_COMMIT');
    case 'TRANS_STMT_SAVEPOINT':
      block(session, 'SAVEPOINT').savepoint(
        name!,
        session.settings.begin(),
        session.services.locks.mark(session),
      );
      return 'SAVEPOINT';
    case 'TRANS_STMT_RELEASE':
      block(session, 'RELEASE SAVEPOINT').release(name!);
      return 'RELEASE';
    case 'TRANS_STMT_ROLLBACK_TO': {
      const transaction = block(session, 'ROLLBACK TO SAVEPOINT');
      const { settings, locks, cursors } = transaction.rollbackTo(name!);
      session.settings.rollbackTo(settings);
      dropCursors(session, transaction, cursors);
      session.services.locks.releaseSince(session, locks, isTransactionLock);
      transaction.failed = false;
      return 'ROLLBACK';
    }
    default:
      throw new SqlError(SQLSTATE.featureNotSupported, 'two-phase commit is not supported', {
        hint: 'A COMMIT is final on all nodes; PREPARE TRANSACTION is not needed for that.',
      });
  }
}

function block(session: SessionContext, command: string): OpenTransaction {
  const { transaction } = session;
  if (transaction !== null && transaction.explicit) return transaction;
  throw new SqlError(
    SQLSTATE.noActiveSqlTransaction,
    `${command} can only be used in transaction blocks`,
  );
}

function beginBlock(session: SessionContext, tree: RawNode): void {
  if (session.transaction?.explicit === true) {
    session.notice(
      'WARNING',
      SQLSTATE.activeSqlTransaction,
      'there is already a transaction in progress',
    );
  }
  session.begin(true).explicit = true;
  applyTransactionModes(session, (tree['options'] as readonly RawNode[] | undefined) ?? []);
}

/** ISOLATION LEVEL, READ ONLY | WRITE, [NOT] DEFERRABLE of BEGIN and SET TRANSACTION. */
export function applyTransactionModes(session: SessionContext, options: readonly RawNode[]): void {
  const { transaction, settings } = session;
  if (transaction === null) return;
  for (const { name, value } of transactionModes(options)) {
    if (name === 'transaction_isolation') {
      if (transaction.nested && isolationOf(value) !== transaction.isolation) {
        throw new SqlError(
          SQLSTATE.activeSqlTransaction,
          'SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction',
        );
      }
      if (transaction.queried && isolationOf(value) !== transaction.isolation) {
        throw new SqlError(
          SQLSTATE.activeSqlTransaction,
          'SET TRANSACTION ISOLATION LEVEL must be called before any query',
        );
      }
      transaction.isolation = isolationOf(value);
      transaction.isolationName = value;
      settings.set('transaction_isolation', value, true);
    } else if (name === 'transaction_read_only') {
      if (value !== 'on' && transaction.readOnly && transaction.queried) {
        throw new SqlError(
          SQLSTATE.activeSqlTransaction,
          'transaction read-write mode must be set before any query',
        );
      }
      transaction.readOnly = value === 'on';
      settings.set('transaction_read_only', value, true);
    }
  }
}

/** Settings that transaction modes stand for. */
export function transactionModes(options: readonly RawNode[]): { name: string; value: string }[] {
  return options.map((option) => {
    const { defname, arg } = (option['DefElem'] ?? option) as {
      defname: string;
      arg: { A_Const: RawNode };
    };
    const constant = arg.A_Const as { sval?: { sval?: string }; ival?: { ival?: number } };
    const value =
      constant.sval !== undefined
        ? (constant.sval.sval ?? '')
        : constant.ival?.ival === 1
          ? 'on'
          : 'off';
    return { name: defname, value };
  });
}

async function end(session: SessionContext, tree: RawNode, commit: boolean): Promise<string> {
  const { transaction } = session;
  if (transaction === null || !transaction.explicit) {
    const command = `${commit ? 'COMMIT' : 'ROLLBACK'} AND CHAIN`;
    if (tree['chain'] === true) block(session, command);
    session.notice(
      'WARNING',
      SQLSTATE.noActiveSqlTransaction,
      'there is no transaction in progress',
    );
  }
  const failed = transaction?.failed === true;
  const { isolation, readOnly } = transaction ?? { isolation: null, readOnly: false };
  if (commit && !failed) await commitTransaction(session);
  else await rollbackTransaction(session);
  if (tree['chain'] === true && isolation !== null) {
    const next = session.begin(true);
    next.isolation = isolation;
    next.isolationName = transaction!.isolationName;
    next.readOnly = readOnly;
  }
  return commit && !failed ? 'COMMIT' : 'ROLLBACK';
}
