// The plan of an UPDATE or DELETE: a row program where the statement is one, and the query for images. Pure.
//
// The query for images is the statement as a SELECT of (row id, version, old values, new values): run on what
// the session sees, it tells which rows change and how.

import type { Catalog, Table } from '../../ledger/catalog.ts';
import { numericScale, sqlType } from '../../ledger/type.ts';
import type { SqlType } from '../../ledger/type.ts';
import { keyIndex } from '../../sql/compile/point-read.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { Query, Scalar, Target } from '../../sql/ir.ts';
import { ledgerExpression } from '../../sql/to-expression.ts';
import { mayRunLong } from '../../sql/unbounded.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import { compileEdge, NULL_EXPRESSION } from './edge-expression.ts';
import type { EdgeExpression, EdgeScope } from './edge-expression.ts';
import { takesLocks } from './lock-rows.ts';
import { defaultsOf, refuseFixedUpdate, targetTable } from './plan-insert.ts';
import type { ReadPlan } from './plan.ts';
import { Template } from './template.ts';
import { spellRows, spellXmax, XMAX } from './whole-row.ts';

/** SQLite's own limit (SQLITE_MAX_COLUMN), which cannot be raised while it runs. */
const RESULT_COLUMNS_MAX = 2_000;

/** Attribute numbers of the row id and of the version's stamp. */
export const ROW_ID_ATTRIBUTE = -1;
export const VERSION_ATTRIBUTE = -2;

/** One row found by a unique key, changed by expressions that read only that row. */
export interface ProgramPlan {
  readonly index: number;
  readonly key: readonly EdgeExpression[];
  /** Conditions besides the key. */
  readonly where: Template | null;
  /** null: DELETE. */
  readonly set: readonly { readonly column: number; readonly value: Template }[] | null;
}

export interface ModifyPlan {
  readonly kind: 'modify';
  readonly query: Query;
  readonly table: Table;
  readonly program: ProgramPlan | null;
  /** Columns of the answer: row id, version, all columns of the table, then the new values (`assigned`). */
  readonly images: ReadPlan;
  /**
   * Column ids of the new values, in order, with what makes each of them of the old row: DEFAULT, and anything that reads no
   * other rows where SQLite has no room for its column; null: it is a column of `images`.
   */
  readonly assigned: readonly {
    readonly column: number;
    readonly made: EdgeExpression | null;
  }[];
  /** RETURNING: expressions over the new (DELETE: old) row, or positions among further columns of `images`. */
  readonly returning: readonly (EdgeExpression | number)[];
}

export async function planModify(query: Query, session: SessionContext): Promise<ModifyPlan> {
  const { catalog } = session;
  const table = targetTable(query, catalog);
  const scope: EdgeScope = { catalog, entry: query.target };
  const targets =
    query.command === 'update' ? query.targets.filter((target) => target.assign !== 0) : [];
  const defaults = targets.some((target) => target.expression.kind === 'default')
    ? await defaultsOf(table, session, scope)
    : new Map<number, EdgeExpression>();
  const wide = 2 + table.columns.length + targets.length > RESULT_COLUMNS_MAX;
  const assigned = targets.map((target) => {
    const column = table.columns.find(({ id }) => id === target.assign)!;
    const byDefault = target.expression.kind === 'default';
    refuseFixedUpdate(column, target);
    let made: EdgeExpression | null = null;
    if (byDefault) made = defaults.get(column.id) ?? NULL_EXPRESSION;
    else if (wide && !readsOthers(target.expression, query.target)) {
      made = compileEdge(target.expression, scope);
    }
    return { column: column.id, made };
  });
  const extra: Target[] = [];
  const xmax = query.command === 'delete' ? XMAX.taken : XMAX.current;
  const returning = query.returning.map((target) => {
    const expression = spellXmax(target.expression, query.target, xmax);
    if (!readsOthers(expression, query.target))
      return compileEdge(spellRows(expression, query.target, table), scope);
    extra.push({ ...target, expression, hidden: false, assign: 0 });
    return extra.length - 1;
  });
  const asked = [...targets.filter((_, i) => assigned[i]!.made === null), ...extra];
  return {
    kind: 'modify',
    query,
    table,
    program: programOf(query, table, targets, scope),
    images: imagesQuery(query, table, asked, catalog),
    assigned,
    returning,
  };
}

function readsOthers(scalar: Scalar, entry: number): boolean {
  return contains(
    scalar,
    (node) =>
      'command' in node || (node.kind === 'var' && node.levelsUp === 0 && node.entry !== entry),
  );
}

function imagesQuery(
  query: Query,
  table: Table,
  asked: readonly Target[],
  catalog: Catalog,
): ReadPlan {
  const variable = (column: number, type: SqlType): Target => ({
    expression: { kind: 'var', type, entry: query.target, column, levelsUp: 0 },
    name: '',
    hidden: false,
    relation: 0,
    column: 0,
    assign: 0,
  });
  const select: Query = {
    ...query,
    command: 'select',
    target: 0,
    from: query.from.length === 0 ? [{ kind: 'ref', entry: query.target }] : withTarget(query),
    targets: [
      variable(ROW_ID_ATTRIBUTE, sqlType('int8')),
      variable(VERSION_ATTRIBUTE, sqlType('int8')),
      ...table.columns.map((column) => variable(column.id, column.type)),
      ...asked.map((target): Target => ({ ...target, hidden: false, assign: 0 })),
    ],
    returning: [],
  };
  const compiled = compileQuery(select, compileOptions(catalog, 'current', new Set()));
  const analysis = { parameters: [], columns: null, query: select, catalogOnly: false };
  return { kind: 'read', query: select, analysis, compiled, variants: new Map() };
}

/** UPDATE … FROM lists the others; DELETE and UPDATE put the target among them already. */
function withTarget(query: Query): Query['from'] {
  const names = (items: Query['from']): boolean =>
    items.some((item) =>
      item.kind === 'ref' ? item.entry === query.target : names([item.left, item.right]),
    );
  return names(query.from) ? query.from : [{ kind: 'ref', entry: query.target }, ...query.from];
}

// ── Row programs ─────────────────────────────────────────────────────────────────────────────────

function programOf(
  query: Query,
  table: Table,
  targets: readonly Target[],
  scope: EdgeScope,
): ProgramPlan | null {
  const only = query.from.every((item) => item.kind === 'ref' && item.entry === query.target);
  if (!only || query.ctes.length > 0 || query.returning.length > 0 || table.appendOnly) return null;
  if (takesLocks(query)) return null;
  const match = keyIndex(table, query.target, query.where);
  if (match === null || !sameRepresentation(match, table)) return null;
  const assigned = new Set(targets.map((target) => target.assign));
  for (const { references, referencedColumns } of referring(scope.catalog)) {
    if (references !== table.id) continue;
    if (query.command === 'delete' || referencedColumns.some((id) => assigned.has(id))) return null;
  }
  if (touchesUniqueKey(table, assigned) || mayRunLong(match.keys)) return null;
  const set: { column: number; value: Template }[] = [];
  for (const target of targets) {
    const value = templateOf(target.expression, scope);
    if (value === null) return null;
    set.push({ column: target.assign, value });
  }
  const where = match.rest.length === 0 ? null : templateOf(conjunction(match.rest), scope);
  if (where === null && match.rest.length > 0) return null;
  return {
    index: match.index.id,
    key: match.keys.map((key) => compileEdge(key, { ...scope, entry: 0 })),
    where,
    set: query.command === 'delete' ? null : set,
  };
}

/** Key values must have the very form that the index holds. */
function sameRepresentation(
  match: NonNullable<ReturnType<typeof keyIndex>>,
  table: Table,
): boolean {
  const integers = new Set(['int2', 'int4', 'int8', 'oid']);
  const texts = new Set(['text', 'varchar', 'name']);
  return match.index.keys.every((key, i) => {
    const column = table.columns.find(({ id }) => id === key.column)?.type;
    const given = match.keys[i]!.type;
    if (column === undefined || column.array || given.array) return false;
    if (integers.has(column.base) && integers.has(given.base)) return true;
    if (texts.has(column.base) && texts.has(given.base)) return true;
    return column.base === given.base && numericScale(column) === numericScale(given);
  });
}

/** A new key must be checked against other rows while the client waits for this statement. */
function touchesUniqueKey(table: Table, assigned: ReadonlySet<number>): boolean {
  return table.indexes.some(
    (index) =>
      index.unique && index.keys.some((key) => key.column === null || assigned.has(key.column)),
  );
}

function* referring(catalog: Catalog) {
  for (const relation of catalog.relations.values()) {
    if (relation.kind === 'table') yield* relation.foreignKeys;
  }
}

function conjunction(terms: readonly Scalar[]): Scalar {
  return terms.length === 1 ? terms[0]! : { kind: 'and', type: sqlType('bool'), args: terms };
}

/** The scalar as a ledger expression whose holes the edge fills; null when it does not fit the language. */
function templateOf(scalar: Scalar, scope: EdgeScope): Template | null {
  if (scalar.kind === 'default' || mayRunLong(scalar)) return null;
  const holes: EdgeExpression[] = [];
  const expression = ledgerExpression(scalar, (node) => {
    if (node.kind === 'var')
      return node.entry === scope.entry && node.levelsUp === 0 ? undefined : null;
    const outside =
      node.kind === 'param' ||
      node.kind === 'session' ||
      (node.kind === 'call' && node.fn.volatility !== 'immutable');
    if (!outside) return undefined;
    const readsRow = contains(node, (inner) => 'command' in inner || inner.kind === 'var');
    if (readsRow || (node.kind === 'call' && node.fn.volatility === 'volatile')) return null;
    holes.push(compileEdge(node, { ...scope, entry: 0 }));
    return { kind: 'column', type: node.type, column: -holes.length };
  });
  return expression === null ? null : new Template(expression, holes);
}
