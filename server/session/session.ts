// One client's session: statements, portals, the transaction block, the order of things. Shell.
//
// The protocol's face (server/pgwire/backend.ts Session). What statements do is in execute.ts and below.
//
// (1) A statement of its own runs without an open transaction (autocommit): its operations are submitted as
//     they are. Everything else runs in context.transaction: a block, or the implicit transaction of a query
//     string or pipeline.
// (2) In the extended protocol nobody knows whether a write stands alone until the next message: it is held
//     back until then. Sync: it stood alone. Anything else: it runs in the implicit transaction.
// (3) After an error a block is failed (status E) until it ends; an implicit transaction is gone.

import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { parseStatements } from '../../sql/parse.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import { decodeParameters } from './parameters.ts';
import type {
  ResultSink,
  Session as WireSession,
  SessionEvents,
  StatementDescription,
  TransactionStatus,
} from '../pgwire/backend.ts';
import { PORTALS_PER_SESSION_MAX, STATEMENTS_PER_SESSION_MAX } from '../limits.ts';
import type { SessionContext } from './context.ts';
import { shifted } from './error-position.ts';
import { execute, isWrite, sameColumns } from './execute.ts';
import type { Outcome } from './execute.ts';
import { requireRoom } from './held-objects.ts';
import type { Bound, Prepared } from './plan.ts';
import { scopeOf } from './planner.ts';
import { formatsFor } from './portal.ts';
import type { Portal } from './portal.ts';
import { caughtUp, isLinearizable } from './read-consistency.ts';
import { canceledByUser, statementTimeout } from './stop.ts';
import { commitTransaction, failTransaction, rollbackTransaction } from './transaction-commands.ts';

/** Statements that a failed transaction block still accepts. */
const ALLOWED_WHEN_FAILED = new Set(['TransactionStmt']);
const ENDING = new Set([
  'TRANS_STMT_COMMIT',
  'TRANS_STMT_ROLLBACK',
  'TRANS_STMT_ROLLBACK_TO',
  'TRANS_STMT_PREPARE',
]);

type Held = { readonly portal: Portal; readonly sink: ResultSink };

export class Session implements WireSession {
  readonly context: SessionContext;
  readonly processId: number;
  readonly secretKey: number;
  readonly #events: SessionEvents;
  #held: Held | null = null;
  #closed = false;
  #idleTimer: NodeJS.Timeout | null = null;
  readonly #onClose: (session: Session) => void;

  constructor(
    context: SessionContext,
    secretKey: number,
    events: SessionEvents,
    onClose: (session: Session) => void,
  ) {
    this.context = context;
    this.processId = context.processId;
    this.secretKey = secretKey;
    this.#events = events;
    this.#onClose = onClose;
    this.#armIdleTimer();
  }

  get statements(): Map<string, Prepared> {
    return this.context.statements;
  }

  get portals(): Map<string, Portal> {
    return this.context.portals;
  }

  get status(): TransactionStatus {
    const { transaction } = this.context;
    if (transaction === null || !transaction.explicit) return 'I';
    return transaction.failed ? 'E' : 'T';
  }

  takeChangedParameters(): readonly (readonly [string, string])[] {
    return this.context.settings.takeChanged();
  }

  parse(name: string, text: string, parameterOids: readonly number[]): void | Promise<void> {
    return this.#then(this.#settleHeld(), () => {
      this.#arrive();
      if (name !== '' && this.statements.has(name)) {
        throw new SqlError(
          SQLSTATE.duplicatePreparedStatement,
          `prepared statement "${name}" already exists`,
        );
      }
      requireRoom(this.statements, name, 'prepared statements', STATEMENTS_PER_SESSION_MAX);
      if (this.context.transaction?.failed === true) this.#checkAllowedText(text);
      const prepared = this.#plan(text, parameterOids);
      return this.#then(prepared, (made) => {
        this.statements.set(name, made);
      });
    });
  }

  bind(
    portalName: string,
    statementName: string,
    values: readonly (Uint8Array | null)[],
    formats: readonly number[],
    resultFormats: readonly number[],
  ): void | Promise<void> {
    return this.#then(this.#settleHeld(), () => {
      this.#arrive();
      if (portalName !== '' && this.portals.has(portalName)) {
        throw new SqlError(SQLSTATE.duplicateCursor, `cursor "${portalName}" already exists`);
      }
      requireRoom(this.portals, portalName, 'portals', PORTALS_PER_SESSION_MAX);
      const prepared = this.#statement(statementName);
      this.#checkAllowed(prepared.statement);
      return this.#then(this.current(statementName, prepared), (fresh) => {
        const parameters = decodeParameters(
          fresh,
          statementName,
          portalName,
          values,
          formats,
          this.context,
        );
        this.portals.get(portalName)?.close();
        this.portals.set(portalName, {
          name: portalName,
          prepared: fresh,
          parameters,
          formats: formatsFor(resultFormats, fresh.columns),
          outcome: null,
          hold: false,
          close() {
            if (this.outcome?.kind === 'rows') this.outcome.source.close();
          },
        });
      });
    });
  }

  describeStatement(name: string): StatementDescription | Promise<StatementDescription> {
    return this.#then(this.#settleHeld(), () => {
      const prepared = this.#statement(name);
      return { parameterOids: prepared.parameterOids, columns: prepared.columns };
    }) as StatementDescription | Promise<StatementDescription>;
  }

  describePortal(name: string) {
    const described = () => {
      const portal = this.#portal(name);
      const { columns } = portal.prepared;
      return columns === null ? null : { columns, formats: portal.formats };
    };
    // A held write is answered by the next message; a Describe of a fresh portal comes before its Execute.
    return this.#held === null ? described() : Promise.resolve(this.#settleHeld()).then(described);
  }

  execute(
    name: string,
    rowsMax: number,
    sink: ResultSink,
  ): 'complete' | 'suspended' | Promise<'complete' | 'suspended'> {
    return this.#then(this.#settleHeld(), () => {
      this.#arrive();
      const portal = this.#portal(name);
      this.context.activity.query = portal.prepared.text;
      this.#checkAllowed(portal.prepared.statement);
      if (
        portal.outcome === null &&
        rowsMax === 0 &&
        this.context.transaction === null &&
        isWrite(portal.prepared)
      ) {
        this.#held = { portal, sink };
        return 'complete';
      }
      return this.#guarded(sink, () => this.#runPortal(portal, rowsMax, sink));
    }) as 'complete' | 'suspended' | Promise<'complete' | 'suspended'>;
  }

  flush(): void | Promise<void> {
    return this.#then(this.#settleHeld(), () => undefined);
  }

  closeStatement(name: string): void | Promise<void> {
    return this.#then(this.#settleHeld(), () => {
      this.statements.delete(name);
    });
  }

  closePortal(name: string): void | Promise<void> {
    return this.#then(this.#settleHeld(), () => this.dropPortal(name));
  }

  /** Closes a portal, with no held write to think of. */
  dropPortal(name: string): void {
    this.portals.get(name)?.close();
    this.portals.delete(name);
  }

  sync(failed: boolean): void | Promise<void> {
    const held = this.#held;
    this.#held = null;
    const { transaction } = this.context;
    if (failed) {
      this.#failBlock();
      return this.#afterSync(undefined);
    }
    if (held !== null) {
      return this.#afterSync(this.#runHeld(held));
    }
    if (transaction !== null && !transaction.explicit) {
      return this.#afterSync(
        this.#guarded(null, () => commitTransaction(this.context)) as Promise<void>,
      );
    }
    return this.#afterSync(undefined);
  }

  query(text: string, sink: ResultSink): void | Promise<void> {
    return this.#then(this.#settleHeld(), () => {
      this.#arrive();
      this.dropPortal('');
      this.statements.delete('');
      this.context.activity.query = text;
      const single = this.#tryCached(text, sink);
      return this.#afterSync(single === null ? this.#queryText(text, sink) : single);
    }) as void | Promise<void>;
  }

  cancel(): void {
    if (this.context.activity.running) this.context.stop.stop(canceledByUser());
  }

  /** Ends the session from outside (shutdown, pg_terminate_backend). */
  terminate(error: SqlError): void {
    if (this.#closed) return;
    this.context.stop.stop(error);
    this.#events.terminate(error);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.context.stop.stop(canceledByUser());
    this.#held = null;
    for (const portal of this.portals.values()) portal.close();
    this.portals.clear();
    if (this.context.transaction !== null) await rollbackTransaction(this.context);
    this.context.services.locks.releaseAll(this.context);
    this.#onClose(this);
  }

  #plan(text: string, parameterOids: readonly number[]): Prepared | Promise<Prepared> {
    const { context } = this;
    const { planner } = context.services;
    if (!isLinearizable(context)) return planner.prepare(text, parameterOids, context);
    return this.#guarded(null, async () => {
      try {
        return await planner.prepare(text, parameterOids, context);
      } catch (error) {
        // What this text names may have been made at another node.
        const [statement] = isSqlError(error) ? parseStatements(text) : [];
        if (statement === undefined) throw error;
        await caughtUp(context, statement.kind);
        return planner.prepare(text, parameterOids, context);
      }
    });
  }

  /** The statement, planned anew if the catalog has changed since, or the role, or what else it was read by. */
  current(name: string, prepared: Prepared): Prepared | Promise<Prepared> {
    const stale =
      prepared.catalog !== this.context.catalog || prepared.scope !== scopeOf(this.context);
    if (prepared.plan === null || prepared.plan.kind === 'utility' || !stale) return prepared;
    return this.#plannedAnew(name, prepared);
  }

  async #plannedAnew(name: string, prepared: Prepared): Promise<Prepared> {
    const { context } = this;
    const { outer } = prepared;
    try {
      const { text, parameterOids } = prepared;
      const made = await context.services.planner.prepare(text, parameterOids, context);
      if (!sameColumns(prepared.columns, made.columns)) {
        throw new SqlError(SQLSTATE.featureNotSupported, 'cached plan must not change result type');
      }
      const fresh = outer === undefined ? made : { ...made, outer };
      this.statements.set(name, fresh);
      return fresh;
    } catch (error) {
      throw outer === undefined ? error : shifted(error, outer.start, outer.text);
    }
  }

  // ── Running ──────────────────────────────────────────────────────────────────────────────────────

  /** A query string that is one statement with a plan, outside a transaction or in a block: no promise, no parsing. */
  #tryCached(text: string, sink: ResultSink): void | Promise<void> | null {
    const { transaction } = this.context;
    if (transaction !== null && (!transaction.explicit || transaction.failed)) return null;
    const bound = this.context.services.planner.cached(text, this.context);
    if (bound === undefined) return null;
    const { kind } = bound.prepared.statement!;
    return this.#guarded(sink, () =>
      this.#then(caughtUp(this.context, kind), () => this.#runOnce(bound, sink)),
    ) as void | Promise<void>;
  }

  async #queryText(text: string, sink: ResultSink): Promise<void> {
    let statements: ParsedStatement[];
    try {
      statements = parseStatements(text);
    } catch (error) {
      this.#failBlock();
      throw error;
    }
    if (statements.length === 0) {
      sink.emptyQuery();
      return;
    }
    for (const [index, statement] of statements.entries()) {
      const alone = statements.length === 1;
      try {
        await this.#guarded(sink, () => this.#runText(statement, alone, sink));
      } catch (error) {
        throw shifted(error, statement.start, text);
      }
      const { transaction } = this.context;
      const last = index === statements.length - 1;
      if (last && transaction !== null && !transaction.explicit) {
        await this.#guarded(sink, () => commitTransaction(this.context));
      }
    }
  }

  async #runText(statement: ParsedStatement, alone: boolean, sink: ResultSink): Promise<void> {
    this.#checkAllowed(statement);
    if (!alone && statement.kind !== 'TransactionStmt') this.context.begin(false);
    await caughtUp(this.context, statement.kind);
    const { planner } = this.context.services;
    const prepared = await planner.prepareParsed(statement, this.context);
    if (alone) await planner.share(prepared, this.context);
    await this.#runOnce({ prepared, parameters: [] }, sink);
  }

  /** Simple protocol: text format, RowDescription first. */
  #runOnce({ prepared, parameters }: Bound, sink: ResultSink): void | Promise<void> {
    const formats = formatsFor([], prepared.columns);
    const outcome = execute(this, prepared, parameters, formats, sink);
    return this.#then(outcome, (done) => {
      if (done.kind === 'rows') {
        sink.columns(done.columns ?? prepared.columns ?? [], formats);
        return this.#sendAll(done, sink);
      }
      return this.#finishOther(done, sink);
    }) as void | Promise<void>;
  }

  #runPortal(
    portal: Portal,
    rowsMax: number,
    sink: ResultSink,
  ): 'complete' | 'suspended' | Promise<'complete' | 'suspended'> {
    if (portal.prepared.plan === null) {
      sink.emptyQuery();
      return 'complete';
    }
    const outcome = portal.outcome ?? this.#begin(portal, sink);
    return this.#then(outcome, (done) => {
      portal.outcome = done;
      if (done.kind !== 'rows') {
        return this.#then(this.#finishOther(done, sink), () => 'complete');
      }
      return this.#sendSome(done, rowsMax, sink);
    }) as 'complete' | 'suspended' | Promise<'complete' | 'suspended'>;
  }

  #begin(portal: Portal, sink: ResultSink): Outcome | Promise<Outcome> {
    const { prepared, parameters, formats } = portal;
    return this.#then(caughtUp(this.context, prepared.statement!.kind), () =>
      execute(this, prepared, parameters, formats, sink),
    );
  }

  #finishOther(
    outcome: Exclude<Outcome, { kind: 'rows' }>,
    sink: ResultSink,
  ): void | Promise<void> {
    if (outcome.kind === 'complete') {
      sink.commandComplete(outcome.tag);
      return undefined;
    }
    return outcome.run(sink).then((tag) => sink.commandComplete(tag));
  }

  #sendAll(outcome: Extract<Outcome, { kind: 'rows' }>, sink: ResultSink): void | Promise<void> {
    const batch = outcome.source.read(0);
    if (!isPromise(batch) && batch.done) {
      if (batch.count > 0) sink.rows(batch.bytes);
      sink.commandComplete(outcome.tag(batch.count));
      return undefined;
    }
    return this.#stream(outcome, batch, sink);
  }

  async #stream(
    outcome: Extract<Outcome, { kind: 'rows' }>,
    first: ReturnType<typeof outcome.source.read>,
    sink: ResultSink,
  ): Promise<void> {
    let count = 0;
    try {
      for (let batch = await first; ; batch = await outcome.source.read(0)) {
        count += batch.count;
        if (batch.count > 0 && !sink.rows(batch.bytes)) await sink.drained();
        this.context.stop.check();
        if (batch.done) break;
      }
    } finally {
      outcome.source.close();
    }
    sink.commandComplete(outcome.tag(count));
  }

  #sendSome(
    outcome: Extract<Outcome, { kind: 'rows' }>,
    rowsMax: number,
    sink: ResultSink,
  ): 'complete' | 'suspended' | Promise<'complete' | 'suspended'> {
    // The tag counts the rows of this Execute, not those of the portal.
    if (rowsMax === 0) {
      return this.#then(this.#sendAll(outcome, sink), () => 'complete') as
        'complete' | Promise<'complete'>;
    }
    return this.#then(outcome.source.read(rowsMax), (batch) => {
      if (batch.count > 0) sink.rows(batch.bytes);
      if (!batch.done) return 'suspended';
      sink.commandComplete(outcome.tag(batch.count));
      return 'complete';
    }) as 'complete' | 'suspended' | Promise<'complete' | 'suspended'>;
  }

  /** Runs a statement with its time-out, and marks the transaction failed when it throws. */
  #guarded<T>(sink: ResultSink | null, work: () => T | Promise<T>): T | Promise<T> {
    const { context } = this;
    context.activity.running = true;
    context.sink = sink;
    const ms = context.settings.milliseconds('statement_timeout');
    const timer = ms === 0 ? null : setTimeout(() => context.stop.stop(statementTimeout()), ms);
    try {
      context.services.admit();
      const result = work();
      if (!isPromise(result)) {
        this.#ended(timer);
        return result;
      }
      return result.then(
        (value) => {
          this.#ended(timer);
          return value;
        },
        (error: unknown) => this.#failed(timer, error),
      );
    } catch (error) {
      return this.#failed(timer, error);
    }
  }

  #ended(timer: NodeJS.Timeout | null): void {
    this.context.activity.ended(this.context.services.nowMicros());
    this.context.sink = null;
    this.context.stop.reset();
    if (timer !== null) clearTimeout(timer);
  }

  #failed(timer: NodeJS.Timeout | null, error: unknown): never {
    this.#ended(timer);
    this.#failBlock();
    throw error;
  }

  /** The client learns of a held write's outcome before anything else happens. */
  #settleHeld(): void | Promise<unknown> {
    const held = this.#held;
    if (held === null) return undefined;
    this.#held = null;
    this.context.begin(false);
    return this.#runHeld(held);
  }

  #runHeld(held: Held): void | Promise<unknown> {
    const done = this.#guarded(held.sink, () => this.#runPortal(held.portal, 0, held.sink));
    return isPromise(done) ? done : undefined;
  }

  #failBlock(): void {
    const { transaction } = this.context;
    if (transaction === null) return;
    if (transaction.explicit) failTransaction(this.context, transaction);
    else void rollbackTransaction(this.context);
  }

  #afterSync(work: void | Promise<unknown>): void | Promise<void> {
    const finish = (): void => {
      if (this.context.transaction === null) this.#closeTransientPortals();
      this.#armIdleTimer();
    };
    if (!isPromise(work)) {
      finish();
      return undefined;
    }
    return work.then(finish, (error: unknown) => {
      finish();
      throw error;
    });
  }

  /** Portals do not outlive their transaction, but for cursors WITH HOLD. */
  #closeTransientPortals(): void {
    for (const [name, portal] of this.portals) {
      if (portal.hold) continue;
      portal.close();
      this.portals.delete(name);
    }
  }

  #statement(name: string): Prepared {
    const prepared = this.statements.get(name);
    if (prepared !== undefined) return prepared;
    const what = name === '' ? 'unnamed prepared statement' : `prepared statement "${name}"`;
    throw new SqlError(SQLSTATE.invalidSqlStatementName, `${what} does not exist`);
  }

  #portal(name: string): Portal {
    const portal = this.portals.get(name);
    if (portal !== undefined) return portal;
    throw new SqlError(SQLSTATE.invalidCursorName, `portal "${name}" does not exist`);
  }

  #checkAllowed(statement: ParsedStatement | null): void {
    if (this.context.transaction?.failed !== true || statement === null) return;
    const kind = statement.tree['kind'] as string | undefined;
    if (ALLOWED_WHEN_FAILED.has(statement.kind) && kind !== undefined && ENDING.has(kind)) return;
    throw new SqlError(
      SQLSTATE.inFailedSqlTransaction,
      'current transaction is aborted, commands ignored until end of transaction block',
    );
  }

  #checkAllowedText(text: string): void {
    for (const statement of parseStatements(text)) this.#checkAllowed(statement);
  }

  #arrive(): void {
    if (this.context.transaction !== null) this.context.services.gateway.transactionGoesOn();
    if (this.#idleTimer !== null) {
      clearTimeout(this.#idleTimer);
      this.#idleTimer = null;
    }
    this.context.statementMicros = this.context.services.nowMicros();
  }

  #armIdleTimer(): void {
    const { settings, transaction } = this.context;
    const inTransaction = transaction !== null;
    const name = inTransaction ? 'idle_in_transaction_session_timeout' : 'idle_session_timeout';
    const ms = settings.milliseconds(name);
    if (ms === 0 || this.#closed) return;
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      this.terminate(
        inTransaction
          ? new SqlError(
              SQLSTATE.idleInTransactionSessionTimeout,
              'terminating connection due to idle-in-transaction timeout',
            )
          : new SqlError(
              SQLSTATE.idleSessionTimeout,
              'terminating connection due to idle-session timeout',
            ),
      );
    }, ms);
  }

  #then<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
    return isPromise(value) ? value.then(next) : next(value);
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value;
}
