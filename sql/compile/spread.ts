// A table whose rows are spread over several files: one SELECT of each part, joined by UNION ALL. Pure.
//
// (1) SQLite takes such a source apart and plans each part by itself: conditions, the order of an index and joins
//     reach into them. What a query further out fixes does not, so that is written into the parts.
// (2) Where the condition says in which part a row must lie, each part asks whether it is meant before it looks for
//     anything: a condition without a column of its own, which SQLite evaluates once.

import { columnName, foldedText, FROM, hiddenKeyName, keyIsStored } from '../../storage/names.ts';
import { ROW_ID, TO, VERSION } from '../../storage/names.ts';
import { partsOf, shardColumn } from '../../storage/parts.ts';
import { numericScale } from '../../ledger/type.ts';
import { closedColumn } from './closed-column.ts';
import { fixedColumns, termsOf } from './point-read.ts';
import { call } from './registered.ts';
import { as, condition } from './scalar.ts';
import { contains, parameter, tableOf } from './scope.ts';
import type { Table } from '../../ledger/catalog.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Part } from '../../storage/parts.ts';
import type { Query, Scalar } from '../ir.ts';
import type { Scope, Source } from './scope.ts';

/**
 * SQLite text, fit for FROM, of the committed rows of a spread table: as they are, or as of a height.
 *
 * @param hide  a condition on `_id` that rows must satisfy beside, or null
 */
export function spreadText(
  table: Table,
  entry: number,
  source: Source,
  scope: Scope,
  hide: string | null,
): string {
  const asOf = scope.shared.options.visibility === 'asOf';
  const rows = outerConditions(entry, source, scope);
  const together = scope.together?.entries.has(entry) === true ? scope.together : null;
  const only = together === null ? null : together.part;
  const part = partText(together === null ? [entry] : [...together.entries], scope);
  if (only === null || only === 0) {
    scope.shared.spread.push({ relation: table.id, parts: table.spread!.parts, part });
  }
  const arms = partsOf(table).flatMap((each, number) => {
    if (only !== null && number !== only) return [];
    const own = [
      ...(part === null ? [] : [`${part} = ${number}`]),
      ...(hide === null ? [] : [hide]),
    ];
    return asOf
      ? pastOf(table, each, own, scope)
      : [armText(currentColumns(table), `${each.rows} AS ${source.alias}`, [...own, ...rows])];
  });
  // Taken apart, what stands beside it in FROM is computed for each part.
  const whole = only === null && computesAnew(scope.query) ? ' LIMIT -1' : '';
  return `(${arms.join(' UNION ALL ')}${whole})`;
}

/** Whether FROM has something beside tables that may come out differently each time. */
export function computesAnew({ entries }: Query): boolean {
  return contains(
    entries.filter(({ kind }) => kind !== 'relation'),
    (node) => 'kind' in node && node.kind === 'call' && node.fn.volatility === 'volatile',
  );
}

function armText(columns: readonly string[], from: string, where: readonly string[]): string {
  const conditions = where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`;
  return `SELECT ${columns.join(', ')} FROM ${from}${conditions}`;
}

/** Comparisons of folded types read what indexes hold. */
function currentColumns({ columns, indexes }: Table): string[] {
  const stored = indexes.flatMap((index) =>
    index.keys.flatMap((key, i) => (keyIsStored(index, key) ? [hiddenKeyName(index.id, i)] : [])),
  );
  return [ROW_ID, VERSION, ...columns.map(({ id }) => columnName(id)), ...stored];
}

function pastOf(table: Table, part: Part, own: readonly string[], scope: Scope): string[] {
  const at = parameter(scope.shared, 'as_of');
  const retyped = scope.shared.options.retyped(table.id);
  const names = table.columns.map(({ id }) => columnName(id));
  const closed = table.columns.map(
    (column) => `${closedColumn('', column, retyped?.get(column.id))} AS ${columnName(column.id)}`,
  );
  return [
    armText([ROW_ID, VERSION, ...names], part.rows, [...own, `${VERSION} <= ${at}`]),
    armText([ROW_ID, `${FROM} AS ${VERSION}`, ...closed], part.history, [
      ...own,
      `${FROM} <= ${at}`,
      `${TO} > ${at}`,
    ]),
  ];
}

/** What a query further out fixes of the rows of a source, by its alias. */
function outerConditions(entry: number, source: Source, scope: Scope): string[] {
  const within: Scope = { ...scope, sources: new Map([[entry, source]]) };
  const fixed = fixedColumns(termsOf(scope.query.where), entry, isFromOutside);
  return [...fixed.values()]
    .filter(({ key }) => contains(key, isVariable))
    .map(({ term }) => condition(term, within));
}

/** The number of the part that rows of these entries lie in, all of one number; null: that is not said of any. */
function partText(entries: readonly number[], scope: Scope): string | null {
  for (const entry of entries) {
    const table = spreadTable(entry, scope)!;
    const column = shardColumn(table)!;
    const fixed = fixedColumns(termsOf(scope.query.where), entry, isFromOutside);
    const key = fixed.get(column.id)?.key;
    if (key === undefined || !hashesAlike(column.type, key.type)) continue;
    const folded = foldedText(as(key, column.type, scope), column.type);
    return call('part_of', [folded, String(table.spread!.parts)]);
  }
  return null;
}

/** The spread table that an entry of the query is; null for any other. */
export function spreadTable(number: number, { query, shared }: Scope): Table | null {
  const entry = query.entries[number - 1];
  if (entry?.kind !== 'relation' || entry.relationKind !== 'table') return null;
  const table = tableOf(shared.options.catalog, entry.relation);
  return table.spread === null ? null : table;
}

/** Whether an expression is the same for all rows of the query it stands in: it may read those of a query around it. */
function isFromOutside(node: Scalar): boolean {
  return !contains(
    node,
    (item) =>
      'command' in item ||
      (item.kind === 'var' && item.levelsUp === 0) ||
      item.kind === 'aggregate' ||
      item.kind === 'window' ||
      (item.kind === 'call' && (item.fn.returnsSet || item.fn.volatility === 'volatile')),
  );
}

function isVariable(node: Scalar | Query): boolean {
  return 'kind' in node && node.kind === 'var';
}

const INTEGERS: ReadonlySet<string> = new Set(['int2', 'int4', 'int8', 'oid']);
const TEXTS: ReadonlySet<string> = new Set(['text', 'varchar']);

/** Whether equal values of two types are held, and so hashed, alike. */
export function hashesAlike(a: SqlType, b: SqlType): boolean {
  if (a.array || b.array) return false;
  if (a.base === b.base) return a.base !== 'numeric' || numericScale(a) === numericScale(b);
  return [INTEGERS, TEXTS].some((family) => family.has(a.base) && family.has(b.base));
}
