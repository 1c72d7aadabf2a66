// What the compiler knows while it walks a statement. Pure.
//
// (1) Every source in FROM gets an alias that is unique in the whole statement (t1, t2 …), every CTE a name
//     (w1 …), so that a correlated reference means the same at any depth. No name of a user is ever part
//     of SQLite text.
// (2) A subquery's columns are named c1, c2 … by position; a table's are those of storage/names.ts.

import { assert, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Catalog, Table } from '../../ledger/catalog.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Retyping } from '../../storage/retyped.ts';
import type { Query, Scalar } from '../ir.ts';
import type { SpreadRead, Visibility } from '../query.ts';

export interface CompileOptions {
  readonly catalog: Catalog;
  readonly visibility: Visibility;
  /** Tables with uncommitted changes of this session, held in `temp.o<id>`. */
  readonly overlay: ReadonlySet<number>;
  /** SQLite text, fit for FROM, of a view of the ledger schema or a sequence; its columns are c1, c2 …. */
  readonly ledgerView: (relation: number) => string;
  /** Columns whose type has changed: closed versions hold them as the former type does. */
  readonly retyped: (relation: number) => ReadonlyMap<number, readonly Retyping[]> | undefined;
  /** SQLite text, fit for FROM, of a table's history; columns c<id>, and c10001 … for its own. */
  readonly historyView: (table: Table) => string;
}

/** What one statement gathers while it is compiled. */
export interface Compilation {
  readonly options: CompileOptions;
  readonly parameters: Set<string>;
  readonly tables: Set<number>;
  readonly sessionFunctions: Set<string>;
  readonly spread: SpreadRead[];
  /** Text of a column → text of the hidden column that an index keeps its folded key in. */
  readonly storedKeys: Map<string, string>;
  aliases: number;
}

/** A SQLite expression and the SQL type of its value, which decides the representation. */
export interface Typed {
  readonly text: string;
  readonly type: SqlType;
}

/** How the columns of a range table entry are written. */
export interface Source {
  readonly column: (column: number) => string;
  /** An expression that is NULL exactly when an outer join has put NULLs for the row; null if unknown. */
  readonly presence: string | null;
  /** The relation's table, for index-aware comparisons. */
  readonly table: Table | null;
  readonly alias: string;
}

export interface Scope {
  readonly shared: Compilation;
  readonly query: Query;
  readonly parent: Scope | null;
  readonly sources: Map<number, Source>;
  /** CTE name → SQLite name. */
  readonly ctes: Map<string, string>;
  /** Columns of the grouping step that this grouping set has; null: all. */
  readonly grouping: ReadonlySet<number> | null;
  readonly caseValue: Typed | null;
  /** Spread tables of which one part is read, all of one number (part-by-part.ts); null: whole tables are. */
  readonly together: { readonly entries: ReadonlySet<number>; readonly part: number } | null;
  /** Columns of the subquery that a test compares with. */
  readonly subColumns: ((number: number) => string) | null;
  /** Set-returning functions of the select list: one source of FROM, in lockstep. */
  readonly selectSets: {
    readonly alias: string;
    readonly table: string;
    readonly packed: string;
  }[];
}

export function startCompilation(options: CompileOptions): Compilation {
  return {
    options,
    parameters: new Set(),
    tables: new Set(),
    sessionFunctions: new Set(),
    spread: [],
    storedKeys: new Map(),
    aliases: 0,
  };
}

export function openScope(shared: Compilation, query: Query, parent: Scope | null): Scope {
  return {
    shared,
    query,
    parent,
    sources: new Map(),
    ctes: new Map(),
    grouping: null,
    caseValue: null,
    together: null,
    subColumns: null,
    selectSets: [],
  };
}

export function newAlias(shared: Compilation, letter: 't' | 'w'): string {
  shared.aliases += 1;
  return `${letter}${shared.aliases}`;
}

/** The scope `levels` queries out. */
export function outerScope(scope: Scope, levels: number): Scope {
  let at: Scope | null = scope;
  for (let level = 0; level < levels && at !== null; level += 1) at = at.parent;
  assert(at !== null, 'a variable refers to a query that does not enclose it');
  return at;
}

export function parameter(shared: Compilation, name: string): string {
  shared.parameters.add(name);
  return `:${name}`;
}

export function tableOf(catalog: Catalog, relation: number): Table {
  const found = catalog.relations.get(relation);
  assert(found?.kind === 'table', `relation ${relation} is not a table of the catalog`);
  return found;
}

export function notSupported(what: string, hint?: string): SqlError {
  return new SqlError(
    SQLSTATE.featureNotSupported,
    `${what} is not supported on ledger tables`,
    hint === undefined ? {} : { hint },
  );
}

/** Visits every scalar below `root`, itself first, subqueries and their parts included. */
export function walk(root: unknown, visit: (node: Scalar | Query) => void): void {
  if (root === null || typeof root !== 'object' || root instanceof Uint8Array) return;
  if (Array.isArray(root)) {
    for (const item of root) walk(item, visit);
    return;
  }
  if ('kind' in root || 'command' in root) visit(root as Scalar | Query);
  for (const value of Object.values(root)) walk(value, visit);
}

/** Whether some scalar or query below `root` satisfies `test`. */
export function contains(root: unknown, test: (node: Scalar | Query) => boolean): boolean {
  let found = false;
  walk(root, (node) => {
    found ||= test(node);
  });
  return found;
}
