// Set-returning functions, in FROM and in the select list. Pure.
//
// Each is a virtual table of ours (sql/functions/set-returning.ts): columns `ord` and v1 …, and the
// arguments as hidden columns, which SQLite lets refer to what stands before it in FROM. That also gives
// LATERAL: the rows of a correlated subquery are packed into one value, which `unpack` turns into rows.

import { SET_RETURNING } from '../functions/registry.ts';
import { unknownFunction } from './call.ts';
import { PREFIX, call } from './registered.ts';
import { general, generalType, quote, represent, typeCode } from './representation.ts';
import { typed } from './scalar.ts';
import { newAlias, notSupported } from './scope.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { RangeEntry, Scalar } from '../ir.ts';
import type { Scope, Source } from './scope.ts';

type Call = Extract<Scalar, { kind: 'call' }>;
type FunctionEntry = Extract<RangeEntry, { kind: 'function' }>;

/** Columns that a packed row may have. */
export const PACKED_COLUMNS_MAX = 100;

function virtualTable(node: Call, scope: Scope): string {
  const args = node.args.map((arg) => typed(arg, scope));
  const name = node.fn.symbol;
  const found = SET_RETURNING.get(name);
  if (found === undefined) {
    throw unknownFunction(node.fn, node.args.map((arg) => arg.type));
  }
  const texts = args.map(general);
  if (found.typed) texts.unshift(quote(args.map((arg) => typeCode(generalType(arg.type))).join(',')));
  if (texts.length > found.parameters) throw unknownFunction(node.fn, args.map((arg) => arg.type));
  while (texts.length < found.parameters) texts.push('NULL');
  return `${PREFIX}${name}(${texts.join(', ')})`;
}

/** One function entry of FROM. */
export function functionSource(entry: FunctionEntry, scope: Scope): { text: string; source: Source } {
  const alias = newAlias(scope.shared, 't');
  if (entry.calls.length !== 1) throw notSupported('ROWS FROM with several functions');
  const item = entry.calls[0]!;
  const types = item.columnTypes;
  const column = (number: number): string => {
    if (entry.ordinality && number === types.length + 1) return `${alias}.ord`;
    return outColumn(alias, number, types[number - 1]!);
  };
  const source = (text: string): { text: string; source: Source } => ({
    text: `${text} AS ${alias}`,
    source: { column, presence: `${alias}.ord`, table: null, alias },
  });
  if (item.call.kind === 'call' && item.call.fn.returnsSet) {
    return source(virtualTable(item.call, scope));
  }
  // A function that returns no set is a table of one row.
  const value = general(typed(item.call, scope));
  return source(`(SELECT 1 AS ord, ${value} AS v1)`);
}

/** Values come out of a virtual table in the general form. */
function outColumn(alias: string, number: number, type: SqlType): string {
  return represent({ text: `${alias}.v${number}`, type: generalType(type) }, type);
}

/** A set-returning function in the select list: one row of the answer for each of its own. */
export function setReturningColumn(node: Call, scope: Scope): string {
  if (scope.query.aggregates || scope.query.group.length > 0) {
    throw notSupported('a set-returning function together with aggregates', 'Put the function in FROM.');
  }
  if (scope.extraFrom.length > 0) {
    throw notSupported('more than one set-returning function in a select list', 'Put them in FROM.');
  }
  const alias = newAlias(scope.shared, 't');
  scope.extraFrom.push(`${virtualTable(node, scope)} AS ${alias}`);
  return outColumn(alias, 1, node.type);
}

/** A LATERAL subquery of `columns` columns as a virtual table over its packed rows. */
export function lateralTable(select: string, columns: number, alias: string, scope: Scope): string {
  if (columns > PACKED_COLUMNS_MAX) throw notSupported('LATERAL with so many columns');
  const rows = newAlias(scope.shared, 't');
  const names = Array.from({ length: columns }, (_, at) => `${rows}.c${at + 1}`);
  const packed = `SELECT ${call('collect', names)} FROM (${select}) AS ${rows}`;
  return `${PREFIX}unpack((${packed})) AS ${alias}`;
}
