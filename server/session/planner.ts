// From statement text to plan, with a cache. Shell: asks the analyst.
//
// A plan depends on the text, the parameter types given, and the light it is read in: role, search_path,
// the settings that shape literals, and the catalog. The cache is dropped whole when the catalog changes. A
// transaction with DDL of its own bypasses it.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Analysis, DescribedColumn } from '../../sql/analysis.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { parseStatements } from '../../sql/parse.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import { typeSize } from '../../sql/value/oid.ts';
import type { ColumnDescription } from '../pgwire/backend.ts';
import { PLAN_TEXT_CHARACTERS_MAX, PLANS_MAX } from '../limits.ts';
import type { SessionContext } from './context.ts';
import { compileOptions } from './compile-options.ts';
import { planInsert } from './plan-insert.ts';
import { planModify } from './plan-modify.ts';
import type { Plan, Prepared } from './plan.ts';
import { describeUtility } from './utility-description.ts';

const PLANNED = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

export class Planner {
  /** By scope (role, search path, …), then by parameter types and text. */
  readonly #scopes = new Map<string, Map<string, Prepared>>();
  #count = 0;
  #catalogVersion = -1;

  /** Prepares the only statement of `text`. */
  prepare(text: string, oids: readonly number[], session: SessionContext): Prepared | Promise<Prepared> {
    const cached = this.#find(text, oids, session);
    if (cached !== undefined) return cached;
    const statements = parseStatements(text);
    if (statements.length > 1) {
      throw new SqlError(
        SQLSTATE.syntaxError,
        'cannot insert multiple commands into a prepared statement',
      );
    }
    return this.#make(text, statements[0] ?? null, oids, session);
  }

  /** The plan of a whole query string without parameters, if it is there. */
  cached(text: string, session: SessionContext): Prepared | undefined {
    return this.#find(text, [], session);
  }

  /** Prepares one statement out of a longer text. */
  prepareParsed(statement: ParsedStatement, session: SessionContext): Prepared | Promise<Prepared> {
    const cached = this.#find(statement.text, [], session);
    if (cached !== undefined) return cached;
    return this.#make(statement.text, statement, [], session);
  }

  async #make(
    text: string,
    statement: ParsedStatement | null,
    oids: readonly number[],
    session: SessionContext,
  ): Promise<Prepared> {
    const version = session.services.catalog().version;
    const prepared = await prepare(text, statement, oids, session, version);
    if (prepared.plan?.kind !== 'utility' && session.services.catalog().version === version) {
      this.#keep(text, oids, session, prepared);
    }
    return prepared;
  }

  #find(text: string, oids: readonly number[], session: SessionContext): Prepared | undefined {
    if (session.services.catalog().version !== this.#catalogVersion) this.#clear(session);
    if ((session.transaction?.pendingDdl.length ?? 0) > 0) return undefined;
    return this.#scopes.get(scopeOf(session))?.get(oids.length === 0 ? text : `${oids.join()}\0${text}`);
  }

  #keep(text: string, oids: readonly number[], session: SessionContext, prepared: Prepared): void {
    if ((session.transaction?.pendingDdl.length ?? 0) > 0) return;
    if (text.length > PLAN_TEXT_CHARACTERS_MAX) return;
    if (this.#count >= PLANS_MAX) this.#clear(session);
    const scope = scopeOf(session);
    let plans = this.#scopes.get(scope);
    if (plans === undefined) this.#scopes.set(scope, (plans = new Map()));
    plans.set(oids.length === 0 ? text : `${oids.join()}\0${text}`, prepared);
    this.#count += 1;
  }

  #clear(session: SessionContext): void {
    this.#scopes.clear();
    this.#count = 0;
    this.#catalogVersion = session.services.catalog().version;
  }
}

function scopeOf(session: SessionContext): string {
  const { settings } = session;
  return [
    session.currentRole,
    settings.get('search_path'),
    settings.get('timezone'),
    settings.get('datestyle'),
    settings.get('intervalstyle'),
  ].join('\0');
}

async function prepare(
  text: string,
  statement: ParsedStatement | null,
  oids: readonly number[],
  session: SessionContext,
  catalogVersion: number,
): Promise<Prepared> {
  if (statement === null || !PLANNED.has(statement.kind)) {
    const description = statement === null ? null : await describeUtility(statement, session);
    return {
      text,
      statement,
      plan: statement === null ? null : { kind: 'utility', statement },
      parameterOids: oids,
      parameterTypes: [],
      columns: description?.columns ?? null,
      columnTypes: description?.types ?? [],
      catalogVersion,
    };
  }
  const { analyst } = session.services;
  const analysis = await analyst.analyse(text, oids, session.analysisContext());
  const columns = analysis.columns;
  return {
    text,
    statement,
    plan: await planOf(text, analysis, session),
    parameterOids: analysis.parameters.map((parameter) => parameter.typeOid),
    parameterTypes: analysis.parameters.map((parameter) => parameter.type),
    columns: columns === null ? null : columns.map(describeColumn),
    columnTypes: columns === null ? [] : columns.map((column) => column.type),
    catalogVersion,
  };
}

function planOf(text: string, analysis: Analysis, session: SessionContext): Plan | Promise<Plan> {
  const { query } = analysis;
  if (analysis.catalogOnly || query === null) return { kind: 'catalog', text, analysis };
  switch (query.command) {
    case 'insert':
      return planInsert(query, session);
    case 'update':
    case 'delete':
      return planModify(query, session);
    case 'select': {
      const compiled = compileQuery(query, compileOptions(session.catalog, 'current', new Set()));
      return { kind: 'read', query, analysis, compiled, variants: new Map() };
    }
  }
}

export function describeColumn(column: DescribedColumn): ColumnDescription {
  return {
    name: column.name,
    tableOid: column.tableOid,
    columnNumber: column.columnNumber,
    typeOid: column.typeOid,
    typeSize: typeSize(column.type),
    typmod: column.typmod,
  };
}
