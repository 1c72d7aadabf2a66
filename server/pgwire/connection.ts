// One client after its authentication: messages to the session, results back. Shell.
//
//     opening ──ready──▶ idle ◀──▶ busy (a session's method has returned a promise)
//        └────────────────┴──────────┴──Terminate, loss, FATAL, shutdown──▶ over
//
// (1) Calls on the session never overlap, and answers come in the order of the messages.
// (2) Whatever lies in a chunk is worked through in one go as long as the session answers plainly: no promise,
//     no turn of the loop, one write for all answers.
// (3) After an error in the extended protocol everything up to Sync is skipped.
// (4) A client that does not read is not served: no message is begun while the channel is congested.

import { randomUUID } from 'node:crypto';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Backend, Session, SessionEvents, StartupParameters } from './backend.ts';
import type { Channel, ChannelOwner } from './channel.ts';
import { decode } from './decode.ts';
import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  encode,
  NO_DATA,
  PARSE_COMPLETE,
  PORTAL_SUSPENDED,
  READY_FOR_QUERY,
  rowDescription,
} from './encode.ts';
import { errorFields, presentable } from './error-response.ts';
import type { FrontendMessage } from './message.ts';
import { ChannelSink } from './result-sink.ts';

const SYNC = 0x53;
const TERMINATE = 0x58;
const QUERY = 0x51;
const FUNCTION_CALL = 0x46;

/** Where events of the wire are recorded; `fields` hold no secrets and no user data. */
export type WireLog = (event: string, fields: Readonly<Record<string, unknown>>) => void;

/** Sends an error as FATAL and closes. The connection is of no use to the client afterwards. */
export function sendFatal(channel: Channel, error: unknown, log: WireLog): void {
  const fields = errorFields('FATAL', logged(error, log));
  channel.write(encode({ kind: 'errorResponse', fields }));
  channel.end();
}

/** The error as the client may see it; what it may not see goes to the log. */
function logged(error: unknown, log: WireLog): SqlError {
  const logId = randomUUID().slice(0, 8);
  if (!isSqlError(error)) log('error', { logId, error });
  return presentable(error, logId);
}

export class Connection implements ChannelOwner, SessionEvents {
  /** Settles when the session has let go of everything. */
  readonly closed: Promise<void>;
  readonly #channel: Channel;
  readonly #log: WireLog;
  readonly #sink: ChannelSink;
  #session: Session | undefined;
  #state: 'opening' | 'idle' | 'busy' | 'over' = 'opening';
  /** Inside #pump: what is written goes out at its end. */
  #pumping = false;
  /** An answer waits that the client was promised now (ReadyForQuery, Flush). */
  #flushDue = false;
  /** Skipping to Sync. */
  #failed = false;
  /** Type of the message in work. */
  #type = 0;
  /** Why the connection ends after the command in work. */
  #ending: SqlError | undefined;
  #resolveClosed: () => void = () => {};

  constructor(channel: Channel, log: WireLog) {
    this.#channel = channel;
    this.#log = log;
    this.#sink = new ChannelSink(channel, (error) => this.#break(error));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    channel.owner = this;
  }

  /** Opens the session and serves it; the client is authenticated and waits. */
  async open(backend: Backend, startup: StartupParameters): Promise<void> {
    try {
      const session = await backend.open(startup, this);
      this.#session = session;
      if (this.#state === 'over') {
        this.#closeSession();
        return;
      }
      this.#reportParameters();
      const { processId, secretKey } = session;
      this.#channel.write(encode({ kind: 'backendKeyData', processId, secretKey }));
      this.#state = 'idle';
      this.#ready();
      this.#pump();
    } catch (error) {
      this.#fatal(error);
      if (this.#session === undefined) this.#resolveClosed();
    }
  }

  /** Ends the connection: now if it is idle, else after the command in work. @returns whether there is one */
  shutdown(error: SqlError): boolean {
    this.#ending ??= error;
    if (this.#state === 'busy') return true;
    this.#fatal(this.#ending);
    return false;
  }

  // ── Of the channel ──

  received(): void {
    if (this.#sink.copying !== undefined) this.#sink.copying.received();
    else if (this.#state === 'idle') this.#pump();
  }

  drained(): void {
    this.#sink.release();
    if (this.#state === 'idle') this.#pump();
  }

  lost(): void {
    this.#finish();
  }

  // ── Of the session ──

  terminate(error: SqlError): void {
    this.#fatal(error);
  }

  // ── The loop ──

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      this.#work();
    } catch (error) {
      // Only the framer throws here; its stream cannot be read on.
      this.#fatal(error);
    }
    this.#pumping = false;
    if (!this.#flushDue) return;
    this.#flushDue = false;
    this.#channel.flushInTurn();
  }

  #work(): void {
    const channel = this.#channel;
    const { framer } = channel;
    while (this.#state === 'idle') {
      if (this.#ending !== undefined) throw this.#ending;
      if (channel.congested) {
        channel.awaitDrain();
        channel.working = true;
        return;
      }
      const type = framer.next();
      if (type === 0) {
        channel.working = false;
        return;
      }
      if (this.#failed && type !== SYNC && type !== TERMINATE) continue;
      this.#type = type;
      try {
        const work = this.#dispatch(decode(type, framer.buffer, framer.start, framer.end));
        if (work !== undefined) this.#await(work);
      } catch (error) {
        this.#fail(error);
      }
    }
  }

  #await(work: Promise<void>): void {
    this.#state = 'busy';
    this.#channel.working = true;
    // Answers that the client was promised do not wait for this one: #pump flushes them when it returns.
    work.then(
      () => this.#resume(),
      (error: unknown) => {
        if (this.#state === 'busy') this.#fail(error);
        this.#resume();
      },
    );
  }

  #resume(): void {
    if (this.#state !== 'busy') return;
    this.#state = 'idle';
    this.#sink.settle();
    this.#pump();
  }

  #dispatch(message: FrontendMessage): Promise<void> | undefined {
    const session = this.#session!;
    switch (message.kind) {
      case 'bind': {
        const { portal, statement, values, formats, resultFormats } = message;
        const work = session.bind(portal, statement, values, formats, resultFormats);
        return this.#then(work, () => this.#channel.write(BIND_COMPLETE));
      }
      case 'execute':
        return this.#then(
          session.execute(message.portal, message.rowsMax, this.#sink),
          (outcome) => {
            if (outcome === 'suspended') this.#channel.write(PORTAL_SUSPENDED);
          },
        );
      case 'sync':
        return this.#then(session.sync(this.#failed), () => this.#ready());
      case 'query':
        return this.#then(session.query(message.text, this.#sink), () => this.#ready());
      case 'parse':
        return this.#then(session.parse(message.name, message.text, message.parameterOids), () =>
          this.#channel.write(PARSE_COMPLETE),
        );
      case 'describe':
        return this.#describe(session, message.what, message.name);
      case 'close': {
        const { what, name } = message;
        const work =
          what === 'statement' ? session.closeStatement(name) : session.closePortal(name);
        return this.#then(work, () => this.#channel.write(CLOSE_COMPLETE));
      }
      case 'flush':
        return this.#then(session.flush(), () => {
          this.#flushDue = true;
        });
      case 'terminate':
        this.#channel.end();
        this.#finish();
        return undefined;
      case 'functionCall':
        throw new SqlError(
          SQLSTATE.featureNotSupported,
          'function calls by message are not supported',
        );
      case 'copyData':
      case 'copyDone':
      case 'copyFail':
        // What a client still sends after its COPY has failed.
        return undefined;
      default:
        return message satisfies never;
    }
  }

  #describe(
    session: Session,
    what: 'statement' | 'portal',
    name: string,
  ): Promise<void> | undefined {
    const channel = this.#channel;
    if (what === 'portal') {
      return this.#then(session.describePortal(name), (portal) => {
        if (portal === null) channel.write(NO_DATA);
        else channel.write(rowDescription(portal.columns, portal.formats));
      });
    }
    return this.#then(session.describeStatement(name), ({ parameterOids, columns }) => {
      channel.write(encode({ kind: 'parameterDescription', oids: parameterOids }));
      if (columns === null) channel.write(NO_DATA);
      else channel.write(rowDescription(columns, []));
    });
  }

  /** Goes on now if the work is done, or later if it is a promise. */
  #then<T>(work: T | Promise<T>, next: (value: T) => void): Promise<void> | undefined {
    if (isPromise(work)) {
      return work.then(next);
    }
    next(work);
    return undefined;
  }

  #ready(): void {
    this.#failed = false;
    this.#reportParameters();
    this.#channel.write(READY_FOR_QUERY[this.#session!.status]);
    this.#flushDue = true;
  }

  #reportParameters(): void {
    for (const [name, value] of this.#session!.takeChangedParameters())
      this.#channel.write(encode({ kind: 'parameterStatus', name, value }));
  }

  /** Answers a failed message. */
  #fail(error: unknown): void {
    if (this.#state === 'over') return;
    this.#sink.settle();
    const fields = errorFields('ERROR', logged(error, this.#log));
    this.#channel.write(encode({ kind: 'errorResponse', fields }));
    const type = this.#type;
    if (type === SYNC || type === QUERY || type === FUNCTION_CALL) this.#ready();
    else this.#failed = true;
  }

  // ── The end ──

  #break(error: unknown): void {
    if (error !== undefined) this.#fatal(error);
    else {
      this.#channel.end();
      this.#finish();
    }
  }

  #fatal(error: unknown): void {
    if (this.#state === 'over') return;
    sendFatal(this.#channel, error, this.#log);
    this.#finish();
  }

  #finish(): void {
    if (this.#state === 'over') return;
    const busy = this.#state === 'busy';
    this.#state = 'over';
    if (busy) this.#session?.cancel();
    this.#sink.abandon();
    this.#closeSession();
  }

  #closeSession(): void {
    const session = this.#session;
    if (session === undefined) return;
    session.close().then(this.#resolveClosed, (error: unknown) => {
      logged(error, this.#log);
      this.#resolveClosed();
    });
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function';
}
