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

/** Set-returning functions that may run in lockstep. */
const ZIPPED_MAX = 8;

/** Columns that a packed row may have. */
export const PACKED_COLUMNS_MAX = 100;

/** The arguments of a set-returning function as its virtual table takes them. */
function argumentsOf(node: Call, scope: Scope): readonly string[] {
  const args = node.args.map((arg) => typed(arg, scope));
  const unknown = (): Error =>
    unknownFunction(
      node.fn,
      args.map((arg) => arg.type),
    );
  const found = SET_RETURNING.get(node.fn.symbol);
  if (found === undefined) throw unknown();
  const texts = args.map(general);
  if (found.typed)
    texts.unshift(quote(args.map((arg) => typeCode(generalType(arg.type))).join(',')));
  if (texts.length > found.parameters) throw unknown();
  // SQLite gives no rows for a NULL argument, which is right for strict functions.
  return found.nullable ? texts.map((text) => `coalesce(${text}, ${NULL_ARGUMENT})`) : texts;
}

/** Stands for NULL where a function takes it. */
const NULL_ARGUMENT = "X''";

function virtualTable(node: Call, scope: Scope): string {
  return call(node.fn.symbol, argumentsOf(node, scope));
}

/** All rows in one value, for functions that run in lockstep. */
function packedRows(node: Call, scope: Scope): string {
  return call('set_rows', [quote(node.fn.symbol), ...argumentsOf(node, scope)]);
}

/** Functions side by side, the shorter ones filled up with NULLs. `widths` counts the columns of each. */
function zipped(widths: readonly number[], packed: readonly string[]): string {
  if (packed.length > ZIPPED_MAX) throw notSupported('so many set-returning functions at once');
  return call('zip', [quote(widths.join(',')), ...packed]);
}

const RECORDS: ReadonlySet<string> = new Set([
  'json_to_record',
  'json_to_recordset',
  'jsonb_to_record',
  'jsonb_to_recordset',
]);

/** `json_to_recordset(…) AS x (a int, …)`: the column list says what is read of every object. */
function recordTable(
  node: Call,
  entry: FunctionEntry,
  types: readonly SqlType[],
  scope: Scope,
): string {
  if (types.length > PACKED_COLUMNS_MAX) throw notSupported('a row of so many columns');
  if (
    types.some(({ base, userType }) => base === 'record' || (userType !== null && base !== 'enum'))
  ) {
    throw notSupported('a column of this type in a row of JSON');
  }
  return call('json_records', [
    quote(node.fn.name),
    quote(JSON.stringify(entry.columns.slice(0, types.length))),
    quote(types.map((type) => typeCode(generalType(type))).join(',')),
    `coalesce(${typed(node.args[0]!, scope).text}, ${NULL_ARGUMENT})`,
  ]);
}

/** One function entry of FROM. */
export function functionSource(
  entry: FunctionEntry,
  scope: Scope,
): { text: string; source: Source } {
  const alias = newAlias(scope.shared, 't');
  const item = entry.calls[0]!;
  const types = entry.calls.flatMap((one) => one.columnTypes);
  const column = (number: number): string => {
    if (entry.ordinality && number === types.length + 1) return `${alias}.ord`;
    return outColumn(alias, number, types[number - 1]!);
  };
  const source = (text: string): { text: string; source: Source } => ({
    text: `${text} AS ${alias}`,
    source: { column, presence: `${alias}.ord`, table: null, alias },
  });
  if (entry.calls.length > 1) {
    const packed = entry.calls.map(({ call: one }) => {
      if (one.kind !== 'call' || !one.fn.returnsSet) throw notSupported('this form of ROWS FROM');
      return packedRows(one, scope);
    });
    return source(
      zipped(
        entry.calls.map((one) => one.columnTypes.length),
        packed,
      ),
    );
  }
  if (item.call.kind === 'call' && RECORDS.has(item.call.fn.symbol)) {
    return source(recordTable(item.call, entry, types, scope));
  }
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
    throw notSupported(
      'a set-returning function together with aggregates',
      'Put the function in FROM.',
    );
  }
  // Its value would be a row of all its columns.
  if (node.type.base === 'record') {
    throw notSupported(
      `function ${node.fn.name} in the select list`,
      `Put the function in FROM: ${node.fn.name}(…) AS f.`,
    );
  }
  const alias = scope.selectSets[0]?.alias ?? newAlias(scope.shared, 't');
  scope.selectSets.push({
    alias,
    table: virtualTable(node, scope),
    packed: packedRows(node, scope),
  });
  return outColumn(alias, scope.selectSets.length, node.type);
}

/** The source that the select list's set-returning functions add to FROM, or nothing. */
export function setReturningFrom({ selectSets }: Scope): string {
  const [first] = selectSets;
  if (first === undefined) return '';
  const packed = selectSets.map((set) => set.packed);
  const table =
    selectSets.length === 1
      ? first.table
      : zipped(
          packed.map(() => 1),
          packed,
        );
  return `${table} AS ${first.alias}`;
}

/** A LATERAL subquery of `columns` columns as a virtual table over its packed rows. */
export function lateralTable(select: string, columns: number, alias: string, scope: Scope): string {
  if (columns > PACKED_COLUMNS_MAX) throw notSupported('LATERAL with so many columns');
  const rows = newAlias(scope.shared, 't');
  const names = Array.from({ length: columns }, (_, at) => `${rows}.c${at + 1}`);
  const packed = `SELECT ${call('collect', names)} FROM (${select}) AS ${rows}`;
  return `${PREFIX}unpack((${packed})) AS ${alias}`;
}
