// From statement text to plan, with a cache. Shell: asks the analyst.
//
// A plan depends on the text, the parameter types given, and the light it is read in: role, search_path,
// the settings that shape literals, and the catalog. The cache is dropped whole when the catalog changes. A
// transaction with DDL of its own bypasses it.
//
// Texts that differ in pasted literals only share a plan (sql/normalise.ts). It is made when such a text comes
// for the second time, and only if both forms resolve to the same statement.

import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Analysis, DescribedColumn } from '../../sql/analysis.ts';
import { normalise, sameButLiterals, templateOf, tryLiterals } from '../../sql/normalise.ts';
import type { Literals, Normalised, Template } from '../../sql/normalise.ts';
import type { Query } from '../../sql/ir.ts';
import { parseStatements } from '../../sql/parse.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import { multiplies } from '../../sql/unbounded.ts';
import { typeSize } from '../../sql/value/oid.ts';
import type { ColumnDescription } from '../pgwire/backend.ts';
import { PLAN_TEXT_CHARACTERS_MAX, PLANS_MAX } from '../limits.ts';
import type { SessionContext } from './context.ts';
import { planInsert } from './plan-insert.ts';
import { planModify } from './plan-modify.ts';
import { planRead } from './plan-read.ts';
import { planWith } from './plan-with.ts';
import { parseParameters } from './parameters.ts';
import type { Bound, Plan, Prepared } from './plan.ts';
import { writesInWith } from './split-with.ts';
import { describeUtility } from './utility-description.ts';

const PLANNED = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

export class Planner {
  /** By scope (role, search path, …), then by parameter types and text. */
  readonly #scopes = new Map<string, Map<string, Prepared>>();
  /** Plans for texts without their literals, by scope, types and text; null: not to be shared. */
  readonly #shared = new Map<string, Prepared | null>();
  /** By key of `tryLiterals`; undefined as long as it was seen but once. Depends on the grammar alone. */
  readonly #templates = new Map<string, Template | null | undefined>();
  #count = 0;
  #catalogVersion = -1;

  /** Prepares the only statement of `text`. */
  prepare(
    text: string,
    oids: readonly number[],
    session: SessionContext,
  ): Prepared | Promise<Prepared> {
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

  /** The plan of a whole query string and the values that were pasted into it, if it is there. */
  cached(text: string, session: SessionContext): Bound | undefined {
    // Plans are kept by the statement's own text.
    const statement = text.endsWith(';') ? text.slice(0, -1).trimEnd() : text;
    const whole = this.#find(statement, [], session);
    if (whole !== undefined) {
      return whole.parameterOids.length > 0 ? undefined : { prepared: whole, parameters: [] };
    }
    if (text.length > PLAN_TEXT_CHARACTERS_MAX || !maySharePlans(session)) return undefined;
    const literals = tryLiterals(text);
    const template = literals === null ? undefined : this.#templates.get(literals.key);
    if (literals === null || template === undefined || template === null) return undefined;
    const normalised = normalise(literals, template);
    const prepared = this.#shared.get(sharedKey(normalised, session));
    return prepared === undefined || prepared === null
      ? undefined
      : bind(prepared, normalised, text, session);
  }

  /** Looks at a text that has just been planned: may others of its kind share a plan? */
  async share(prepared: Prepared, session: SessionContext): Promise<void> {
    const { text } = prepared;
    if (!isShareable(prepared.plan) || text.length > PLAN_TEXT_CHARACTERS_MAX) return;
    if (NOW_LITERAL.test(text)) return;
    const literals = maySharePlans(session) ? tryLiterals(text) : null;
    const template = literals === null ? null : this.#templateFor(literals);
    if (literals === null || template === null) return;
    const normalised = normalise(literals, template);
    const key = sharedKey(normalised, session);
    if (this.#shared.has(key)) return;
    const made = await sharedPlan(prepared, normalised, session);
    if (session.services.catalog().version !== prepared.catalogVersion) return;
    if (this.#shared.size >= PLANS_MAX) this.#shared.clear();
    this.#shared.set(key, made);
  }

  #templateFor(literals: Literals): Template | null {
    const { key } = literals;
    const known = this.#templates.get(key);
    if (known !== undefined) return known;
    if (this.#templates.size >= PLANS_MAX) this.#templates.clear();
    const template = this.#templates.has(key) ? templateOf(literals) : undefined;
    this.#templates.set(key, template);
    return template ?? null;
  }

  /** Prepares one statement out of a longer text. */
  async prepareParsed(statement: ParsedStatement, session: SessionContext): Promise<Prepared> {
    const cached = this.#find(statement.text, [], session);
    const prepared = cached ?? (await this.#make(statement.text, statement, [], session));
    if (prepared.parameterOids.length > 0) {
      throw new SqlError(SQLSTATE.undefinedParameter, 'there is no parameter $1');
    }
    return prepared;
  }

  async #make(
    text: string,
    statement: ParsedStatement | null,
    oids: readonly number[],
    session: SessionContext,
  ): Promise<Prepared> {
    const version = session.services.catalog().version;
    const prepared = await prepare(text, statement, oids, session, version);
    if (isKept(prepared) && session.services.catalog().version === version) {
      this.#keep(text, oids, session, prepared);
    }
    return prepared;
  }

  #find(text: string, oids: readonly number[], session: SessionContext): Prepared | undefined {
    if (session.services.catalog().version !== this.#catalogVersion) this.#clear(session);
    if ((session.transaction?.pendingDdl.length ?? 0) > 0) return undefined;
    return this.#scopes
      .get(scopeOf(session))
      ?.get(oids.length === 0 ? text : `${oids.join()}\0${text}`);
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
    this.#shared.clear();
    this.#count = 0;
    this.#catalogVersion = session.services.catalog().version;
  }
}

/** Utility statements are worked out when they run; BEGIN and COMMIT are worth not being parsed each time. */
function isKept({ plan, statement, text }: Prepared): boolean {
  if (plan === null) return false;
  return plan.kind === 'utility' ? statement?.kind === 'TransactionStmt' : !NOW_LITERAL.test(text);
}

/** A literal that means the moment of its analysis: the plan is of that moment, too. */
const NOW_LITERAL = /'\s*(now|today|tomorrow|yesterday)\b/i;

type Scope = { readonly revision: number; readonly role: string; readonly text: string };

const scopes = new WeakMap<SessionContext, Scope>();

/** Everything but the catalog that changes what a text means. */
export function scopeOf(session: SessionContext): string {
  const { settings, currentRole: role } = session;
  const { revision } = settings;
  const known = scopes.get(session);
  if (known !== undefined && known.revision === revision && known.role === role) return known.text;
  const names = ['search_path', 'timezone', 'datestyle', 'intervalstyle'];
  const text = [role, ...names.map((name) => settings.get(name))].join('\0');
  scopes.set(session, { revision, role, text });
  return text;
}

// Sharing plans between texts.

type SharedPlan = Extract<Plan, { kind: 'read' | 'insert' | 'modify' | 'with' }>;

const SHAREABLE: ReadonlySet<string> = new Set(['read', 'insert', 'modify', 'with']);

function isShareable(plan: Plan | null): plan is SharedPlan {
  return plan !== null && SHAREABLE.has(plan.kind);
}

function maySharePlans(session: SessionContext): boolean {
  return (session.transaction?.pendingDdl.length ?? 0) === 0;
}

function sharedKey({ text, oids }: Normalised, session: SessionContext): string {
  return `${scopeOf(session)}\0${oids.join()}\0${text}`;
}

/** The plan with parameters in place of literals; null if it does not mean the same as the one with them. */
async function sharedPlan(
  whole: Prepared,
  normalised: Normalised,
  session: SessionContext,
): Promise<Prepared | null> {
  const { text, oids, values } = normalised;
  try {
    const { statement, catalogVersion } = whole;
    const prepared = await prepare(text, statement, oids, session, catalogVersion);
    if (!isShareable(whole.plan) || !isShareable(prepared.plan)) return null;
    const parameters = parseParameters(prepared, values, session);
    const same =
      sameButLiterals(whole.plan.query, prepared.plan.query, parameters) &&
      sameButLiterals(whole.columns, prepared.columns, parameters);
    return same ? prepared : null;
  } catch (error) {
    // What cannot be said with parameters goes on being said with literals.
    if (isSqlError(error)) return null;
    throw error;
  }
}

/** Undefined when a value does not fit its type: the text itself then gets the error that Postgres gives. */
function bind(
  prepared: Prepared,
  { values }: Normalised,
  text: string,
  session: SessionContext,
): Bound | undefined {
  try {
    return {
      prepared: { ...prepared, text },
      parameters: parseParameters(prepared, values, session),
    };
  } catch (error) {
    if (isSqlError(error)) return undefined;
    throw error;
  }
}

async function prepare(
  text: string,
  statement: ParsedStatement | null,
  oids: readonly number[],
  session: SessionContext,
  catalogVersion: number,
): Promise<Prepared> {
  const { catalog } = session;
  const scope = scopeOf(session);
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
      scope,
      catalogVersion,
      catalog,
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
    scope,
    catalogVersion,
    catalog,
  };
}

function planOf(text: string, analysis: Analysis, session: SessionContext): Plan | Promise<Plan> {
  const { query } = analysis;
  if (query === null) return { kind: 'catalog', text, analysis };
  if (analysis.catalogOnly) return tableFree(text, analysis, query, session);
  if (writesInWith(query)) return planWith(query, session);
  switch (query.command) {
    case 'insert':
      return planInsert(query, session);
    case 'update':
    case 'delete':
      return planModify(query, session);
    case 'select':
      return planRead(analysis, query, session);
  }
}

/**
 * A SELECT without tables. The analyst answers what is over soon: everybody's statements wait for it. What may
 * take long runs in a reader, if it can.
 */
function tableFree(text: string, analysis: Analysis, query: Query, session: SessionContext): Plan {
  if (!multiplies(query)) return { kind: 'catalog', text, analysis };
  try {
    return planRead(analysis, query, session);
  } catch (error) {
    if (!isSqlError(error) || error.sqlstate !== SQLSTATE.featureNotSupported) throw error;
    return { kind: 'catalog', text, analysis };
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
