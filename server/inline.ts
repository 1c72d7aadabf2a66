// The main thread's own read-only connection: point reads, constraint look-ups, what needs the session. Shell.
//
// Calls are synchronous and short by construction; whatever may take long runs in a reader process. The
// functions registered with it answer for the session that is calling at the moment.

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

export class Inline {
  readonly #database: Database;
  readonly #runner: QueryRunner;
  readonly #statementText: (stamp: bigint) => string | null;
  #session: SessionContext | null = null;
  #catalog: Catalog = EMPTY_CATALOG;

  constructor(database: Database, statementText: (stamp: bigint) => string | null) {
    this.#statementText = statementText;
    this.#database = database;
    this.#runner = new QueryRunner(database);
    registerFunctions(database, this.#functions());
  }

  all(session: SessionContext, request: QueryRequest): Row[] {
    this.#session = session;
    if (session.catalog !== this.#catalog) {
      this.#runner.clear();
      this.#catalog = session.catalog;
    }
    return runSql(() => this.#runner.all(request));
  }

  /** For the node itself: no session, no overlay, no session functions. */
  read(text: string, parameters: Readonly<Record<string, Datum>> = {}): Row[] {
    return this.#runner.all({ text, parameters, overlay: [], standIns: [], catalogVersion: null });
  }

  close(): void {
    this.#database.close();
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
