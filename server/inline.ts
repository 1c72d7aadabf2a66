// What the main thread reads itself: point reads, constraint look-ups, what needs the session. Shell.
//
// It reads through the connection that writes the state, whose pages are at hand.
//
// Calls are synchronous and short by construction; whatever may take long runs in a reader process. The
// functions registered with it answer for the session that is calling at the moment.
//
// All reads of one turn of the event loop share a snapshot: taking one costs as much as a point read. It is
// let go of as soon as anybody in this process may have heard of something newer: a block, a reader's answer.

import { EMPTY_CATALOG } from '../ledger/catalog.ts';
import type { Catalog } from '../ledger/catalog.ts';
import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { Datum, Row } from '../ledger/type.ts';
import type { SessionFunctions } from '../sql/functions/function.ts';
import { registerFunctions, runSql } from '../sql/functions/register.ts';
import { DEFAULT_CONTEXT } from '../sql/value/context.ts';
import type { Database } from '../storage/sqlite.ts';
import { QueryRunner } from './readers/query-runner.ts';
import type { QueryRequest } from './readers/query-runner.ts';
import { callSessionFunction } from './session/sql-functions.ts';
import type { SessionContext } from './session/context.ts';
import { valueContext } from './session/value-context.ts';

/** The writer, as far as it is read by its connection. */
export interface InlineSource {
  /** To be called before a read: what is executed and not yet durable must not be seen. */
  beforeRead(): void;
  /** Of the catalog as the connection shows it; null when that may change at any moment. */
  readonly catalogVersion: number | null;
}

export class Inline {
  readonly #runner: QueryRunner;
  readonly #statementText: (stamp: bigint) => string | null;
  readonly #height: () => number;
  readonly #source: InlineSource;
  #session: SessionContext | null = null;
  #catalog: Catalog = EMPTY_CATALOG;
  /** Height of the newest block this process had heard of when the snapshot was taken; -1: there is none. */
  #snapshot = -1;
  #turnEnds = false;

  /**
   * @param database  that of the writer, who calls `renew` before he uses it: its pages need not be read again
   * @param height    of the newest block this process has heard of
   */
  constructor(
    database: Database,
    height: () => number,
    source: InlineSource,
    statementText: (stamp: bigint) => string | null,
  ) {
    this.#height = height;
    this.#source = source;
    this.#statementText = statementText;
    this.#runner = new QueryRunner(database, () => source.catalogVersion);
    registerFunctions(database, this.#functions());
  }

  all(session: SessionContext, request: QueryRequest): Row[] {
    this.#session = session;
    this.#look();
    if (session.catalog !== this.#catalog) {
      this.#runner.clear();
      this.#catalog = session.catalog;
    }
    return runSql(() => this.#runner.all(request));
  }

  /** For the node itself: no session, no overlay, no session functions. */
  read(text: string, parameters: Readonly<Record<string, Datum>> = {}): Row[] {
    this.#look();
    const own = { overlay: [], standIns: [], catalogVersion: null, aligned: false };
    return this.#runner.all({ text, parameters, ...own });
  }

  /** The next read sees whatever is newest then. */
  renew(): void {
    if (this.#snapshot < 0) return;
    this.#snapshot = -1;
    this.#runner.release();
  }

  close(): void {
    this.renew();
  }

  /** Makes sure that there is a snapshot, and that it is not older than what this process has heard of. */
  #look(): void {
    this.#source.beforeRead();
    const height = this.#height();
    if (this.#snapshot === height) return;
    this.renew();
    this.#runner.hold();
    this.#snapshot = height;
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    setImmediate(() => {
      this.#turnEnds = false;
      this.renew();
    });
  }

  #functions(): SessionFunctions {
    const current = () => this.#session;
    return {
      get values() {
        const session = current();
        return session === null ? DEFAULT_CONTEXT : valueContext(session);
      },
      get catalog() {
        return current()?.catalog ?? EMPTY_CATALOG;
      },
      statementText: this.#statementText,
      call: (symbol, args) => {
        const session = current();
        if (session === null) throw new SqlError(SQLSTATE.internalError, 'no session is running');
        return callSessionFunction(session, symbol, args);
      },
    };
  }
}
