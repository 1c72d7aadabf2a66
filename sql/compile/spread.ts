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
import { contains, parameter } from './scope.ts';
import type { Column, Table } from '../../ledger/catalog.ts';
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
  const { rows, part } = conditionsOf(table, entry, source, scope);
  const arms = partsOf(table).flatMap((each, number) => {
    const own = [
      ...(part === null ? [] : [`${part} = ${number}`]),
      ...(hide === null ? [] : [hide]),
    ];
    return asOf
      ? pastOf(table, each, own, scope)
      : [armText(currentColumns(table), `${each.rows} AS ${source.alias}`, [...own, ...rows])];
  });
  return `(${arms.join(' UNION ALL ')})`;
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

interface Conditions {
  /** What holds for the rows of the source, by their alias. */
  readonly rows: readonly string[];
  /** The number of the part in which they lie; null: they may lie in each. */
  readonly part: string | null;
}

function conditionsOf(table: Table, entry: number, source: Source, scope: Scope): Conditions {
  const within: Scope = { ...scope, sources: new Map([[entry, source]]) };
  const fixed = fixedColumns(termsOf(scope.query.where), entry, isFromOutside);
  const rows = [...fixed.values()]
    .filter(({ key }) => contains(key, isVariable))
    .map(({ term }) => condition(term, within));
  const key = partKey(table, scope.query, entry);
  const column = shardColumn(table)!;
  return { rows, part: key === null ? null : partText(key, column, table, within) };
}

/** What the rows of an entry that are looked for have in the column the table is spread by; null if that is not said. */
export function partKey(table: Table, { where }: Query, entry: number): Scalar | null {
  const column = shardColumn(table);
  if (column === null) return null;
  const key = fixedColumns(termsOf(where), entry, isFromOutside).get(column.id)?.key;
  return key !== undefined && hashesAlike(column.type, key.type) ? key : null;
}

function partText(key: Scalar, { type }: Column, { spread }: Table, scope: Scope): string {
  const folded = foldedText(as(key, type, scope), type);
  return call('part_of', [folded, String(spread!.parts)]);
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
