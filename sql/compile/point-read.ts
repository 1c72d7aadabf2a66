// Queries that read at most one row, found by a unique key. Pure.

import { keyIsHidden, keyIsStored } from '../../storage/names.ts';
import { comparisonOf } from './call.ts';
import { contains, tableOf } from './scope.ts';
import type { Index, Table } from '../../ledger/catalog.ts';
import type { Query, Scalar } from '../ir.ts';
import type { CompiledQuery } from '../query.ts';
import type { CompileOptions } from './scope.ts';

/**
 * The unique index whose keys are all fixed by equality, when the query has one table, no subquery and
 * nothing that could make its cost depend on anything but that row.
 */
export function pointRead(query: Query, options: CompileOptions): CompiledQuery['pointRead'] {
  const [item] = query.from;
  if (query.command !== 'select' || query.from.length !== 1 || item?.kind !== 'ref') return null;
  const entry = query.entries[item.entry - 1];
  if (entry?.kind !== 'relation' || entry.relationKind !== 'table') return null;
  if (query.set !== null || query.ctes.length > 0 || query.groupingSets !== null) return null;
  if (options.visibility !== 'current' || options.overlay.has(entry.relation)) return null;
  if (contains([query.targets, query.where, query.having], unbounded)) return null;
  const table = tableOf(options.catalog, entry.relation);
  const index = keyIndex(table, item.entry, query.where, true);
  return index === null ? null : { relation: entry.relation, index: index.index.id };
}

/** Subqueries, and set-returning functions, whose rows nothing bounds. */
function unbounded(node: Scalar | Query): boolean {
  return 'command' in node || (node.kind === 'call' && node.fn.returnsSet);
}

export interface KeyMatch {
  readonly index: Index;
  /** Key expressions in the order of the index's keys; none reads a row. */
  readonly keys: readonly Scalar[];
  /** Conditions that are not part of the key. */
  readonly rest: readonly Scalar[];
}

/**
 * The unique index whose columns a condition fixes by equality with row-free expressions.
 *
 * @param folded  also one whose keys lie folded in hidden columns, which compiled comparisons use
 */
export function keyIndex(
  table: Table,
  entry: number,
  where: Scalar | null,
  folded = false,
): KeyMatch | null {
  const terms = termsOf(where);
  const fixed = fixedColumns(terms, entry, rowFree);
  for (const index of uniqueIndexes(table, folded)) {
    const matches = index.keys.map((key) =>
      key.column === null ? undefined : fixed.get(key.column),
    );
    if (matches.some((match) => match === undefined)) continue;
    const used = new Set(matches.map((match) => match!.term));
    return {
      index,
      keys: matches.map((match) => match!.key),
      rest: terms.filter((term) => !used.has(term)),
    };
  }
  return null;
}

/** What must all hold for a condition to hold. */
export function termsOf(condition: Scalar | null): readonly Scalar[] {
  if (condition === null) return [];
  return condition.kind === 'and' ? condition.args : [condition];
}

/** Columns of an entry that terms fix by equality with an expression that `isFree`, each with its first. */
export function fixedColumns(
  terms: readonly Scalar[],
  entry: number,
  isFree: (node: Scalar) => boolean,
): ReadonlyMap<number, { readonly key: Scalar; readonly term: Scalar }> {
  const fixed = new Map<number, { key: Scalar; term: Scalar }>();
  for (const term of terms) {
    const found = equality(term, entry, isFree);
    if (found !== null && !fixed.has(found.column))
      fixed.set(found.column, { key: found.key, term });
  }
  return fixed;
}

function uniqueIndexes(table: Table, folded: boolean): readonly Index[] {
  const unique = table.indexes.filter((index) => index.unique && index.predicate === null);
  return unique.filter((index) =>
    index.keys.every((key) => !keyIsHidden(index, key) || (folded && keyIsStored(index, key))),
  );
}

function equality(
  term: Scalar,
  entry: number,
  isFree: (node: Scalar) => boolean,
): { column: number; key: Scalar } | null {
  if (term.kind !== 'call' || term.args.length !== 2 || comparisonOf(term.fn) !== '=') return null;
  const [left, right] = term.args as [Scalar, Scalar];
  const column = plainColumn(left, entry);
  if (column !== null && isFree(right)) return { column, key: right };
  const other = plainColumn(right, entry);
  return other !== null && isFree(left) ? { column: other, key: left } : null;
}

/** The column of an entry that an expression is; null for any other. */
export function plainColumn(node: Scalar, entry: number): number | null {
  if (node.kind === 'relabel') return plainColumn(node.arg, entry);
  const own = node.kind === 'var' && node.entry === entry && node.levelsUp === 0 && node.column > 0;
  return own ? node.column : null;
}

/** Whether an expression reads no row: constants, parameters and functions of them. */
export function rowFree(node: Scalar): boolean {
  return !contains(
    node,
    (item) =>
      'command' in item ||
      item.kind === 'var' ||
      item.kind === 'aggregate' ||
      item.kind === 'window' ||
      (item.kind === 'call' && (item.fn.returnsSet || item.fn.volatility === 'volatile')),
  );
}
