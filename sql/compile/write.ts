// INSERT, UPDATE and DELETE: what must be read so that the edge can make row operations of them. Pure.
//
// (1) An INSERT's source is a SELECT whose columns are the statement's target columns, in its order.
// (2) An UPDATE or DELETE is a SELECT of the rows it touches, each once even when its FROM matches several
//     times, with the version seen, all old values, and the new values of the columns that are set.
// (3) RETURNING is evaluated afterwards, over the rows as the edge has made them: with generated columns,
//     defaults and casts in place. What it reads of other tables is selected along with the row.

import { assert } from '../../ledger/error.ts';
import { columnName, ROW_ID, VERSION } from '../../storage/names.ts';
import { fromText } from './from.ts';
import { finish, selectText, visibleTargets } from './query.ts';
import { represent } from './representation.ts';
import { condition, scalar } from './scalar.ts';
import { commonTables } from './cte.ts';
import { contains, openScope, parameter, startCompilation, tableOf, walk } from './scope.ts';
import type { Column, Table } from '../../ledger/catalog.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Query, RangeEntry, Scalar, Target } from '../ir.ts';
import type { CompiledQuery } from '../query.ts';
import type { CompileOptions, Scope } from './scope.ts';

type Var = Extract<Scalar, { kind: 'var' }>;

export interface InsertSource {
  readonly relation: number;
  /** Target column ids, in the order of the source's columns. */
  readonly columns: readonly number[];
  readonly query: CompiledQuery;
  /**
   * The rows as scalars, when the source is VALUES (or a single row) that reads no table: the edge may
   * evaluate them without SQLite.
   */
  readonly rows: readonly (readonly Scalar[])[] | null;
  /** Where the source says DEFAULT: row and column, from 0. The source gives NULL there. */
  readonly defaults: readonly { readonly row: number; readonly column: number }[];
}

/** @throws SqlError 0A000 */
export function compileInsertSource(query: Query, options: CompileOptions): InsertSource {
  const table = targetTable(query, options);
  const targets = visibleTargets(query);
  const rows = valueRows(query);
  const source: Query = { ...query, command: 'select', returning: [], onConflict: null };
  const shared = startCompilation(options);
  const scope = openScope(shared, typedTargets(source, targets, table), null);
  const text = selectText(scope.query, null, shared);
  const defaults = (rows ?? []).flatMap((row, at) =>
    row.flatMap((cell, column) => (cell.kind === 'default' ? [{ row: at, column }] : [])),
  );
  return {
    relation: table.id,
    columns: targets.map((target) => target.assign),
    query: finish(source, text, shared, targets),
    rows: rows !== null && !contains(rows, (node) => 'command' in node) ? rows : null,
    defaults,
  };
}

function targetTable(query: Query, options: CompileOptions): Table {
  const entry = query.entries[query.target - 1];
  assert(entry?.kind === 'relation', 'a writing statement has a target');
  return tableOf(options.catalog, entry.relation);
}

/** Targets in the representation of their columns. */
function typedTargets(query: Query, targets: readonly Target[], table: Table): Query {
  const typedOnes = targets.map((target) => {
    const column = columnOf(table, target.assign);
    return { ...target, expression: assigned(target.expression, column.type) };
  });
  return { ...query, targets: [...typedOnes, ...query.targets.filter((target) => target.hidden)] };
}

function assigned(expression: Scalar, type: SqlType): Scalar {
  return expression.kind === 'default' ? expression : { kind: 'relabel', type, arg: expression };
}

function columnOf(table: Table, id: number): Column {
  const column = table.columns.find((item) => item.id === id);
  assert(column !== undefined, `table ${table.id} has no column ${id}`);
  return column;
}

/** The rows of VALUES in target column order, or the one row of targets; null when there is a real source. */
function valueRows(query: Query): readonly (readonly Scalar[])[] | null {
  const targets = visibleTargets(query);
  if (query.from.length === 0 && query.set === null) {
    return [targets.map((target) => target.expression)];
  }
  const [item] = query.from;
  const entry = item?.kind === 'ref' ? query.entries[item.entry - 1] : undefined;
  if (query.from.length !== 1 || item?.kind !== 'ref' || entry?.kind !== 'values') return null;
  if (
    query.where !== null ||
    query.sort.length > 0 ||
    query.limit !== null ||
    query.offset !== null
  )
    return null;
  return entry.rows.map((row) =>
    targets.map((target) => substitute(target.expression, item.entry, row) as Scalar),
  );
}

/** An expression over a row of VALUES with the row's cells put in. A column that is the cell is the cell. */
function substitute(node: unknown, entry: number, row: readonly Scalar[]): unknown {
  if (node === null || typeof node !== 'object' || node instanceof Uint8Array) return node;
  if (Array.isArray(node)) return node.map((item) => substitute(item, entry, row));
  const found = node as Scalar;
  if (found.kind === 'var' && found.entry === entry && found.levelsUp === 0) {
    return row[found.column - 1]!;
  }
  const entries = Object.entries(node).map(([key, value]) => [key, substitute(value, entry, row)]);
  const made = Object.fromEntries(entries) as Scalar;
  // A cast of DEFAULT is DEFAULT.
  return made.kind === 'relabel' && made.arg.kind === 'default' ? made.arg : made;
}

/** A value that RETURNING reads of another source than the target row. */
export interface Extra {
  readonly entry: number;
  readonly column: number;
  readonly type: SqlType;
}

export interface CompiledWrite {
  readonly command: 'update' | 'delete';
  readonly relation: number;
  /**
   * Columns: row id, version stamp, then the old values of `columns`, then the new values of `set`, then
   * `extras`. Its `columns` describe only what follows the first two.
   */
  readonly query: CompiledQuery;
  /** All columns of the table, by position. */
  readonly columns: readonly number[];
  /** Columns set, in order; one that is set to DEFAULT has NULL here and stands in `defaults`. */
  readonly set: readonly number[];
  readonly defaults: readonly number[];
  readonly extras: readonly Extra[];
}

/** The SELECT behind an UPDATE or DELETE. @throws SqlError 0A000 */
export function compileWrite(query: Query, options: CompileOptions): CompiledWrite {
  assert(query.command === 'update' || query.command === 'delete', 'not an UPDATE or DELETE');
  const table = targetTable(query, options);
  const shared = startCompilation(options);
  const source: Query = { ...query, command: 'select' };
  const scope = openScope(shared, source, null);
  const ctes = commonTables(scope);
  const from = fromText(withTarget(scope));
  const { alias } = scope.sources.get(query.target)!;
  const targets = query.command === 'update' ? visibleTargets(query) : [];
  const extras = extrasOf(query);
  const list = [
    `${alias}.${ROW_ID} AS ${ROW_ID}`,
    `${alias}.${VERSION} AS ${VERSION}`,
    ...table.columns.map((column) => `${alias}.${columnName(column.id)} AS o${column.id}`),
    ...targets.map((target, at) => `${newValue(target, table, scope)} AS n${at + 1}`),
    ...extras.map(
      (extra, at) => `${scalar({ kind: 'var', levelsUp: 0, ...extra }, scope)} AS x${at + 1}`,
    ),
  ];
  const where = query.where === null ? '' : ` WHERE ${condition(query.where, scope)}`;
  const once =
    query.from.length > 1 || query.from[0]?.kind === 'join' ? ` GROUP BY ${alias}.${ROW_ID}` : '';
  const text = `${ctes}SELECT ${list.join(', ')} FROM ${from}${where}${once}`;
  const compiled = finish(source, text, shared, []);
  return {
    command: query.command,
    relation: table.id,
    query: { ...compiled, columns: resultColumns(table, targets, extras), pointRead: null },
    columns: table.columns.map((column) => column.id),
    set: targets.map((target) => target.assign),
    defaults: targets.filter((t) => t.expression.kind === 'default').map((t) => t.assign),
    extras,
  };
}

/** PostgreSQL's tree has the target in FROM for UPDATE and DELETE; it stands there once. */
function withTarget(scope: Scope): Scope {
  const { query } = scope;
  const inFrom = query.from.some((item) => item.kind === 'ref' && item.entry === query.target);
  if (inFrom) return scope;
  const from = [{ kind: 'ref' as const, entry: query.target }, ...query.from];
  return { ...scope, query: { ...query, from } };
}

function newValue(target: Target, table: Table, scope: Scope): string {
  const { expression } = target;
  const { type } = columnOf(table, target.assign);
  return represent({ text: scalar(expression, scope), type: expression.type }, type);
}

function resultColumns(
  table: Table,
  targets: readonly Target[],
  extras: readonly Extra[],
): CompiledQuery['columns'] {
  const old = table.columns.map(({ id, name, type }) => ({
    name,
    type,
    relation: table.id,
    column: id,
  }));
  const made = targets.map(({ assign }) => {
    const { id, name, type } = columnOf(table, assign);
    return { name, type, relation: table.id, column: id };
  });
  const others = extras.map(({ type }) => ({ name: '', type, relation: 0, column: 0 }));
  return [...old, ...made, ...others];
}

/** What RETURNING reads of sources other than the target. */
function extrasOf(query: Query): readonly Extra[] {
  const extras: Extra[] = [];
  const visit = (node: unknown, depth: number): void => {
    if (node === null || typeof node !== 'object' || node instanceof Uint8Array) return;
    if (Array.isArray(node)) {
      for (const item of node) visit(item, depth);
      return;
    }
    const found = node as Partial<Var> & { command?: string };
    if (found.kind === 'var' && found.levelsUp === depth && found.entry !== query.target) {
      const { column, entry, type } = found as Var;
      if (!extras.some((extra) => extra.entry === entry && extra.column === column)) {
        extras.push({ entry, column, type });
      }
    }
    const below = found.command === undefined ? depth : depth + 1;
    for (const value of Object.values(node)) visit(value, below);
  };
  visit(query.returning, 0);
  return extras;
}

/**
 * RETURNING as a SELECT over one row.
 *
 * Parameters beside those of the statement: `:c<column id>` for every column of the row (for DELETE the old
 * one), and `:x<n>` (from 1) for the extras of `compileWrite`.
 */
export function compileReturning(query: Query, options: CompileOptions): CompiledQuery {
  const table = targetTable(query, options);
  const shared = startCompilation(options);
  const source: Query = {
    ...query,
    command: 'select',
    targets: query.returning,
    from: [],
    where: null,
  };
  const scope = openScope(shared, source, null);
  const columns = table.columns.map(
    ({ id }) => `${parameter(shared, columnName(id))} AS ${columnName(id)}`,
  );
  const extras = extrasOf(query);
  const others = extras.map((_, at) => `${parameter(shared, `x${at + 1}`)} AS x${at + 1}`);
  bindRow(scope, query.target, 'r', table);
  for (const [at, { entry, column }] of extras.entries()) {
    const before = scope.sources.get(entry);
    scope.sources.set(entry, {
      column: (number) => (number === column ? `r.x${at + 1}` : before!.column(number)),
      presence: null,
      table: null,
      alias: 'r',
    });
  }
  const direct: Scope = { ...scope, query: { ...source, entries: query.entries.map(opaque) } };
  const list = query.returning.map(
    (target, at) => `${scalar(target.expression, direct)} AS c${at + 1}`,
  );
  const row = [...columns, ...others].join(', ');
  // MATERIALIZED: the row is bound once, however often RETURNING reads it.
  const text = `WITH r AS MATERIALIZED (SELECT ${row}) SELECT ${list.join(', ')} FROM r`;
  return { ...finish(source, text, shared, query.returning), pointRead: null };
}

/** Columns of a join read by RETURNING are extras themselves, not expressions over their inputs. */
function opaque(entry: RangeEntry): RangeEntry {
  return entry.kind === 'join' || entry.kind === 'group' ? { kind: 'result' } : entry;
}

/**
 * ON CONFLICT DO UPDATE as a SELECT over the two rows, for when it does not fit the expression language.
 *
 * Gives `condition` (1, 0 or NULL; 1 without WHERE), then the new values of the SET columns. Parameters beside
 * those of the statement: `:c<id>` for the existing row, `:e<id>` for EXCLUDED.
 */
export function compileConflictUpdate(query: Query, options: CompileOptions): CompiledQuery {
  const { onConflict } = query;
  assert(onConflict?.action === 'update', 'not an ON CONFLICT DO UPDATE');
  const table = targetTable(query, options);
  const shared = startCompilation(options);
  const source: Query = { ...query, command: 'select', from: [], where: null };
  const scope = openScope(shared, source, null);
  const rows = ['c', 'e'].map((letter) =>
    table.columns
      .map(({ id }) => `${parameter(shared, `${letter}${id}`)} AS ${columnName(id)}`)
      .join(', '),
  );
  bindRow(scope, query.target, 'r', table);
  bindRow(scope, onConflict.excluded, 'e', table);
  const test = onConflict.where === null ? '1' : condition(onConflict.where, scope);
  const values = onConflict.set.map(
    (target, at) => `${newValue(target, table, scope)} AS n${at + 1}`,
  );
  const list = [`${test} AS condition`, ...values].join(', ');
  const text =
    `WITH r AS MATERIALIZED (SELECT ${rows[0]}), e AS MATERIALIZED (SELECT ${rows[1]}) ` +
    `SELECT ${list} FROM r, e`;
  return { ...finish(source, text, shared, onConflict.set), pointRead: null };
}

function bindRow(scope: Scope, entry: number, alias: string, table: Table): void {
  const column = (id: number): string => `${alias}.${columnName(id)}`;
  scope.sources.set(entry, { column, presence: '1', table, alias });
}

/** Ledger tables a query reads, without compiling it. */
export function tablesRead(query: Query): ReadonlySet<number> {
  const tables = new Set<number>();
  walk(query, (node) => {
    if ('kind' in node && (node.kind as string) === 'relation') {
      tables.add((node as unknown as { relation: number }).relation);
    }
  });
  return tables;
}
