// UPDATE and DELETE that fit a row program (ledger/operation.ts): one row, found by a unique key, changed by
// expressions over that row alone. Pure.

import { numericScale } from '../../ledger/type.ts';
import { tableOf, contains } from './scope.ts';
import { keyIndex } from './point-read.ts';
import { toExpression } from '../to-expression.ts';
import type { Catalog, IndexKey } from '../../ledger/catalog.ts';
import type { Expression } from '../../ledger/expression.ts';
import type { Assignment } from '../../ledger/operation.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Query, Scalar } from '../ir.ts';
import type { BindParameter, ExpressionPlaces } from '../to-expression.ts';

/** The shape of a row program, before parameters are known. */
export interface Program {
  readonly relation: number;
  readonly index: number;
  /** Key values as scalars that read no row, in the order of the index's keys, with the keys' types. */
  readonly key: readonly Scalar[];
  readonly keyTypes: readonly SqlType[];
  readonly where: Scalar | null;
  /** null: DELETE. */
  readonly set:
    readonly { readonly column: number; readonly type: SqlType; readonly value: Scalar }[] | null;
  /** Range table entry of the row. */
  readonly entry: number;
}

/** A row program with its parameters filled in; the keys are still to be evaluated. */
export interface BoundProgram {
  readonly key: readonly Expression[];
  readonly where: Expression | null;
  readonly set: readonly Assignment[] | null;
}

/** The program that a statement is, or null: then it becomes row images. */
export function programOf(query: Query, catalog: Catalog): Program | null {
  if (query.command !== 'update' && query.command !== 'delete') return null;
  const entry = query.entries[query.target - 1];
  if (entry?.kind !== 'relation' || query.ctes.length > 0) return null;
  const alone = query.from.every((item) => item.kind === 'ref' && item.entry === query.target);
  if (!alone || contains([query.where, query.targets], (node) => 'command' in node)) return null;
  const table = tableOf(catalog, entry.relation);
  const match = keyIndex(table, query.target, query.where);
  if (match === null || !match.keys.every((key, at) => sameForm(key, match.index.keys[at]!)))
    return null;
  const [first, ...rest] = match.rest;
  const where: Scalar | null =
    first === undefined || rest.length === 0
      ? (first ?? null)
      : { kind: 'and', type: first.type, args: match.rest };
  const program: Program = {
    relation: table.id,
    index: match.index.id,
    key: match.keys,
    keyTypes: match.index.keys.map((key) => key.type),
    where,
    set: query.command === 'delete' ? null : assignments(query, table.columns),
    entry: query.target,
  };
  return bindProgram(program, () => null) === null ? null : program;
}

function assignments(
  query: Query,
  columns: readonly { readonly id: number; readonly type: SqlType }[],
): NonNullable<Program['set']> {
  return query.targets
    .filter((target) => !target.hidden)
    .map((target) => ({
      column: target.assign,
      type: columns.find((column) => column.id === target.assign)!.type,
      value: target.expression,
    }));
}

/** Whether a key value has the representation of the key, so that equal values have equal bytes. */
function sameForm(value: Scalar, key: IndexKey): boolean {
  const { base } = value.type;
  if (base === 'numeric' || base === 'float4' || base === 'float8') {
    return base === key.type.base && numericScale(value.type) === numericScale(key.type);
  }
  return true;
}

/**
 * The program with its parameters, or null when it does not fit the expression language.
 *
 * @param session  values of now(), current_user and the like, where known
 */
export function bindProgram(
  program: Program,
  bind: BindParameter,
  session?: ExpressionPlaces['session'],
): BoundProgram | null {
  const places: ExpressionPlaces = {
    excluded: 0,
    row: program.entry,
    ...(session === undefined ? {} : { session }),
  };
  const key = program.key.map((scalar) => toExpression(scalar, bind, places));
  if (!key.every((expression) => expression !== null)) return null;
  const where = program.where === null ? null : toExpression(program.where, bind, places);
  if (program.where !== null && where === null) return null;
  if (program.set === null) return { key, where, set: null };
  const set: Assignment[] = [];
  for (const { column, type, value } of program.set) {
    const fitted: Scalar = { kind: 'relabel', type, arg: value };
    const expression = toExpression(fitted, bind, places);
    if (expression === null) return null;
    set.push({ column, value: expression });
  }
  return { key, where, set };
}
