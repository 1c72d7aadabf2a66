// The plan of an INSERT: where the value of each column comes from. Shell: asks the analyst for defaults.

import type { Catalog, Column, Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import type { OnConflict, Query, Scalar, Target } from '../../sql/ir.ts';
import type { CompiledQuery } from '../../sql/query.ts';
import { mayRunLong } from '../../sql/unbounded.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import { compileEdge, NULL_EXPRESSION } from './edge-expression.ts';
import type { EdgeExpression, EdgeScope } from './edge-expression.ts';
import { mapScalar } from './map-scalar.ts';
import type { ReadPlan } from './plan.ts';
import { spellRows, spellXmax, XMAX } from './whole-row.ts';

/** Where a column's value comes from when rows are read from a query: one of its columns, or an expression. */
export type ColumnSource = number | EdgeExpression;

export interface InsertPlan {
  readonly kind: 'insert';
  readonly query: Query;
  readonly table: Table;
  /** VALUES: for each row, an expression for each column of the table (null for generated ones). */
  readonly values: readonly (readonly (EdgeExpression | null)[])[] | null;
  /** INSERT … SELECT: the source, and for each column of the table where its value is. */
  readonly source: {
    readonly read: ReadPlan;
    readonly columns: readonly (ColumnSource | null)[];
  } | null;
  readonly conflict: OnConflict | null;
  /** What DEFAULT stands for in DO UPDATE, by column id. */
  readonly defaults: ReadonlyMap<number, EdgeExpression>;
  /** RETURNING, for a row that is inserted. */
  readonly returning: readonly EdgeExpression[];
  /** RETURNING, for one that DO UPDATE changes. */
  readonly returningUpdated: readonly EdgeExpression[];
  /** Sequences drawn from, by id, with the number of draws a row (INSERT … SELECT) or in all (VALUES). */
  readonly sequences: ReadonlyMap<number, number>;
  readonly scope: EdgeScope;
}

export async function planInsert(query: Query, session: SessionContext): Promise<InsertPlan> {
  const { catalog } = session;
  const table = targetTable(query, catalog);
  const scope: EdgeScope = { catalog, entry: 0, ctes: query.ctes };
  const defaults = await defaultsOf(table, session, scope);
  const valueRows = readAsQuery(query) ? null : valuesOf(query);
  const sequences = new Map<number, number>();
  const count = (expression: EdgeExpression | null) => {
    for (const id of expression?.sequences ?? []) sequences.set(id, (sequences.get(id) ?? 0) + 1);
    return expression;
  };
  let values: InsertPlan['values'] = null;
  let source: InsertPlan['source'] = null;
  if (valueRows !== null) {
    values = valueRows.map((targets) =>
      table.columns.map((column) => count(expressionFor(column, targets, defaults, query, scope))),
    );
  } else source = sourceOf(query, table, defaults, catalog, count);
  for (const target of query.onConflict?.set ?? []) {
    refuseFixedUpdate(
      table.columns.find(({ id }) => id === target.assign)!,
      target,
    );
    if (target.expression.kind !== 'default') continue;
    for (const _ of valueRows ?? [target]) count(defaults.get(target.assign) ?? null);
  }
  return {
    kind: 'insert',
    query,
    table,
    values,
    source,
    conflict: query.onConflict,
    defaults,
    returning: returningOf(query, table, scope, XMAX.current),
    returningUpdated:
      query.onConflict?.action === 'update' ? returningOf(query, table, scope, XMAX.taken) : [],
    sequences,
    scope,
  };
}

function returningOf(
  { returning, target }: Query,
  table: Table,
  scope: EdgeScope,
  xmax: bigint,
): EdgeExpression[] {
  return returning.map(({ expression }) =>
    compileEdge(spellRows(spellXmax(expression, target, xmax), target, table), {
      ...scope,
      entry: target,
    }),
  );
}

export function targetTable(query: Query, catalog: Catalog): Table {
  const entry = query.entries[query.target - 1];
  const relation =
    entry?.kind === 'relation' && entry.relationKind === 'table'
      ? catalog.relations.get(entry.relation)
      : undefined;
  if (relation?.kind === 'table') return relation;
  throw new SqlError(
    SQLSTATE.featureNotSupported,
    `cannot change "${entry?.kind === 'relation' || entry?.kind === 'subquery' ? entry.alias : 'this relation'}" by this statement`,
    { hint: 'Only tables can be written; the views of the ledger and history cannot.' },
  );
}

/** Defaults by column id; identity columns draw from their sequence. */
export async function defaultsOf(
  table: Table,
  session: SessionContext,
  scope: EdgeScope,
): Promise<ReadonlyMap<number, EdgeExpression>> {
  const defaults = new Map<number, EdgeExpression>();
  const scalars = await session.services.analyst.defaults(table.id, session.analysisContext());
  for (const { column, expression } of scalars)
    defaults.set(column, compileEdge(expression, scope));
  for (const column of table.columns) {
    if (column.identity === null) continue;
    const sequence = ownedSequence(scope.catalog, table.id, column.id);
    defaults.set(column.id, {
      evaluate: ({ session: at }) => at.drawNext(sequence),
      query: null,
      sequences: [sequence],
    });
  }
  return defaults;
}

function ownedSequence(catalog: Catalog, relation: number, column: number): number {
  for (const candidate of catalog.relations.values()) {
    if (candidate.kind !== 'sequence') continue;
    if (candidate.ownedBy?.relation === relation && candidate.ownedBy.column === column)
      return candidate.id;
  }
  throw new SqlError(
    SQLSTATE.internalError,
    `the sequence of identity column ${column} is missing`,
  );
}

/** VALUES with subqueries, or with what may take long, are a query like any other, unless a DEFAULT is among them. */
function readAsQuery(query: Query): boolean {
  const rows = valuesOf(query) ?? [];
  const scalars = rows.flatMap((targets) => targets.map(({ expression }) => expression));
  return mayRunLong(scalars) && !scalars.some(isDefault);
}

/** The rows of INSERT … VALUES (or DEFAULT VALUES) as targets; null when the source is a query. */
function valuesOf(query: Query): (readonly Target[])[] | null {
  const [item, ...more] = query.from;
  if (item === undefined) return [query.targets];
  if (more.length > 0 || item.kind !== 'ref' || query.ctes.length > 0) return null;
  const entry = query.entries[item.entry - 1];
  if (entry?.kind !== 'values') return null;
  return entry.rows.map((row) =>
    query.targets.map((target) => ({
      ...target,
      expression: mapScalar(target.expression, (node, depth) =>
        node.kind === 'var' && node.entry === item.entry && node.levelsUp === depth
          ? row[node.column - 1]
          : undefined,
      ),
    })),
  );
}

function expressionFor(
  column: Column,
  targets: readonly Target[],
  defaults: ReadonlyMap<number, EdgeExpression>,
  query: Query,
  scope: EdgeScope,
): EdgeExpression | null {
  const target = targets.find((candidate) => candidate.assign === column.id);
  const given = target !== undefined && !isDefault(target.expression);
  if (given) refuseFixed(column, query);
  if (column.generated !== null) return null;
  const takes = given && !(query.overriding === 'user' && column.identity !== null);
  if (takes) return compileEdge(target.expression, scope);
  return defaults.get(column.id) ?? NULL_EXPRESSION;
}

/** Identity columns GENERATED ALWAYS, and generated columns, take no values from outside. */
function refuseFixed(column: Column, query: Query): void {
  const always = column.identity === 'always' && query.overriding === 'none';
  if (!always && column.generated === null) return;
  const message = `cannot insert a non-DEFAULT value into column "${column.name}"`;
  throw always
    ? new SqlError(SQLSTATE.generatedAlways, message, {
        detail: `Column "${column.name}" is an identity column defined as GENERATED ALWAYS.`,
        hint: 'Use OVERRIDING SYSTEM VALUE to override.',
      })
    : new SqlError(SQLSTATE.generatedAlways, message, {
        detail: `Column "${column.name}" is a generated column.`,
      });
}

/** What UPDATE and DO UPDATE may not assign to. @throws SqlError 428C9 */
export function refuseFixedUpdate(column: Column, { expression }: Target): void {
  const always = column.identity === 'always';
  if (expression.kind === 'default' || (column.generated === null && !always)) return;
  const kind = always ? 'an identity column defined as GENERATED ALWAYS' : 'a generated column';
  throw new SqlError(
    SQLSTATE.generatedAlways,
    `column "${column.name}" can only be updated to DEFAULT`,
    { detail: `Column "${column.name}" is ${kind}.` },
  );
}

/** DEFAULT, perhaps under a coercion that analysis has put around it. */
function isDefault(scalar: Scalar): boolean {
  if (scalar.kind === 'default') return true;
  if (scalar.kind === 'relabel' || scalar.kind === 'toDomain') return isDefault(scalar.arg);
  return (
    scalar.kind === 'call' &&
    scalar.format === 'cast' &&
    scalar.args[0] !== undefined &&
    isDefault(scalar.args[0])
  );
}

function sourceOf(
  query: Query,
  table: Table,
  defaults: ReadonlyMap<number, EdgeExpression>,
  catalog: Catalog,
  count: (expression: EdgeExpression | null) => EdgeExpression | null,
): NonNullable<InsertPlan['source']> {
  const select: Query = {
    ...query,
    command: 'select',
    target: 0,
    targets: query.targets.map((target) => ({ ...target, assign: 0 })),
    returning: [],
    onConflict: null,
  };
  const compiled: CompiledQuery = compileQuery(
    select,
    compileOptions(catalog, 'current', new Set()),
  );
  const columns = table.columns.map((column) => {
    const position = query.targets.findIndex((target) => target.assign === column.id);
    if (position >= 0) refuseFixed(column, query);
    if (column.generated !== null) return null;
    const takes = position >= 0 && !(query.overriding === 'user' && column.identity !== null);
    return takes ? position : count(defaults.get(column.id) ?? NULL_EXPRESSION);
  });
  const analysis = { parameters: [], columns: null, query: select, catalogOnly: false };
  return {
    read: { kind: 'read', query: select, analysis, compiled, variants: new Map() },
    columns,
  };
}
