// Runs statements through analyst, compiler and SQLite, and on a real PostgreSQL, and compares the rows. Shell.
//
// Tables are laid out in memory as storage lays them out, and filled by the same INSERT texts. PGTEST_URL names
// the server; a schema of its own is made in it and dropped again.

import Database from 'better-sqlite3';
import { EMPTY_CATALOG, applyChanges, ID } from '../../ledger/catalog.ts';
import { isSqlError } from '../../ledger/error.ts';
import { Mirror } from '../../sql/analyst/mirror.ts';
import { parseStatements } from '../../sql/parse.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { registerFunctions, runSql } from '../../sql/functions/register.ts';
import { DEFAULT_CONTEXT } from '../../sql/value/context.ts';
import { formatText } from '../../sql/value/text.ts';
import { columnName } from '../../storage/names.ts';
import { partOfRow, partsOf } from '../../storage/parts.ts';
import { spreadTables } from '../golden/spread.ts';
import type { Catalog, Table } from '../../ledger/catalog.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { Analysis, AnalysisContext } from '../../sql/analysis.ts';
import type { Query, Target } from '../../sql/ir.ts';
import type { CompiledQuery } from '../../sql/query.ts';
import type { SessionFunctions } from '../../sql/functions/function.ts';
import type { CompileOptions } from '../../sql/compile/scope.ts';

/** Microseconds since 2000-01-01 that stand for now(). */
export const NOW = 757_339_200_123_456n;
const MICROS_PER_DAY = 86_400_000_000n;
const STATE_SHARDS = 4;

const CONTEXT: AnalysisContext = {
  role: 'admin',
  sessionRole: 'admin',
  searchPath: 'public',
  pendingDdl: [],
  settings: new Map(),
};

export interface Answer {
  /** Rows of text, NULL as null; or the SQLSTATE and message of an error. */
  readonly rows: readonly (readonly (string | null)[])[];
  readonly error: string | null;
}

/** A ledger of tables in memory, queried through the compiler. */
export class Ledger {
  readonly #mirror: Mirror;
  readonly #spread: boolean;
  readonly database = new Database(':memory:');
  catalog: Catalog;
  readonly #session: { -readonly [K in keyof SessionFunctions]: SessionFunctions[K] };

  private constructor(mirror: Mirror, catalog: Catalog, spread: boolean) {
    this.#spread = spread;
    this.#mirror = mirror;
    this.catalog = catalog;
    this.database.defaultSafeIntegers(true);
    this.#session = {
      values: { ...DEFAULT_CONTEXT, nowMicros: NOW },
      catalog,
      call: (symbol: string): Datum => {
        throw new Error(`${symbol} needs a session`);
      },
    };
    registerFunctions(this.database, this.#session);
  }

  /** @param spread  tables with a primary key are spread over parts (tests/golden/spread.ts) */
  static async start(spread = false): Promise<Ledger> {
    const mirror = await Mirror.start('ledger');
    const catalog = applyChanges(EMPTY_CATALOG, [
      {
        put: 'role',
        object: {
          id: ID.adminRole, name: 'admin', superuser: true, login: true, inherit: true, createRole: true,
          createDatabase: true, connectionLimit: -1, validUntil: null, memberOf: [], publicKey: null,
          custody: null, verifierCommitment: null,
        },
      },
      { put: 'schema', object: { id: ID.publicSchema, name: 'public', owner: ID.adminRole, grants: [] } },
    ]); // prettier-ignore
    mirror.load(catalog, [], STATE_SHARDS);
    return new Ledger(mirror, catalog, spread);
  }

  get options(): CompileOptions {
    return {
      catalog: this.catalog,
      visibility: 'current',
      overlay: new Set(),
      ledgerView: (relation) => `v${-relation}`,
      retyped: () => undefined,
      historyView: (table: Table) => `h${table.id}`,
    };
  }

  /** DDL and INSERT statements, one after another. */
  setUp(text: string): void {
    for (const statement of parseStatements(text)) {
      if (statement.kind === 'InsertStmt') this.#insert(statement.text);
      else this.#define(this.#spread ? spreadTables(statement.text) : statement.text);
    }
  }

  #define(text: string): void {
    const analysis = this.#mirror.analyseDdl(text, CONTEXT);
    this.catalog = applyChanges(this.catalog, analysis.changes);
    this.#session.catalog = this.catalog;
    this.#mirror.applyDdl([{ role: 'admin', searchPath: 'public', text }], this.catalog);
    for (const change of analysis.changes) {
      if (!('put' in change) || change.put !== 'relation' || change.object.kind !== 'table')
        continue;
      const names = change.object.columns.map((column) => columnName(column.id));
      for (const { rows } of partsOf(change.object)) {
        this.database.exec(
          `CREATE TABLE IF NOT EXISTS ${rows} (_id INTEGER PRIMARY KEY, _v, ${names.join(', ')})`,
        );
      }
    }
  }

  #insert(text: string): void {
    const query = this.analyse(text).query!;
    const entry = query.entries[query.target - 1];
    const table = this.catalog.relations.get(
      entry?.kind === 'relation' ? entry.relation : 0,
    ) as Table;
    const typeOf = (id: number): SqlType => table.columns.find((column) => column.id === id)!.type;
    const targets = query.targets.map((target): Target => {
      const { assign, expression } = target;
      if (assign === 0) return target;
      return { ...target, expression: { kind: 'relabel', type: typeOf(assign), arg: expression } };
    });
    const source: Query = { ...query, command: 'select', targets };
    const rows = this.#all(compileQuery(source, this.options)) as Datum[][];
    const names = targets.flatMap(({ assign }) => (assign === 0 ? [] : columnName(assign)));
    const marks = names.map(() => '?').join(', ');
    const inserts = partsOf(table).map((part) =>
      this.database.prepare(
        `INSERT INTO ${part.rows} (_v, ${names.join(', ')}) VALUES (1, ${marks})`,
      ),
    );
    for (const row of rows) {
      const valueOf = (id: number): Datum => row[names.indexOf(columnName(id))] ?? null;
      inserts[partOfRow(table, valueOf)]!.run(...row);
    }
  }

  analyse(text: string): Analysis {
    return this.#mirror.analyse(text, [], CONTEXT);
  }

  compileText(text: string): CompiledQuery {
    return compileQuery(this.analyse(text).query!, this.options);
  }

  #all(compiled: CompiledQuery): unknown[] {
    const values: Record<string, Datum> = {
      now: NOW,
      today: NOW / MICROS_PER_DAY,
      user: 'admin',
      session_user: 'admin',
    };
    const bound = Object.fromEntries(
      compiled.parameters.map((name) => [name, values[name] ?? null]),
    );
    return runSql(() => this.database.prepare(compiled.text).raw().all(bound));
  }

  answer(text: string): Answer & { readonly sqlite: string } {
    let sqlite = '';
    try {
      const compiled = this.compileText(text);
      sqlite = compiled.text;
      const rows = this.#all(compiled) as Datum[][];
      const texts = rows.map((row) =>
        row.map((value, at) =>
          value === null
            ? null
            : formatText(value, compiled.columns[at]!.type, this.#session.values),
        ),
      );
      return { rows: texts, error: null, sqlite };
    } catch (error) {
      if (!isSqlError(error)) return { rows: [], error: `XX000 ${String(error)}`, sqlite };
      return { rows: [], error: `${error.sqlstate} ${error.message}`, sqlite };
    }
  }
}
