// Rows as values: ROW(…), whole-row references, and what JSON makes of them. Pure.

import { assert } from '../../ledger/error.ts';
import { call, PREFIX } from './registered.ts';
import { general, generalType, quote, typeCode } from './representation.ts';
import { scalar, typed } from './scalar.ts';
import { notSupported, outerScope, tableOf } from './scope.ts';
import { compare, comparisonOf } from './call.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { RangeEntry, Scalar } from '../ir.ts';
import type { Scope, Typed } from './scope.ts';

type Call = Extract<Scalar, { kind: 'call' }>;
type Row = Extract<Scalar, { kind: 'row' | 'var' }>;

interface Fields {
  readonly names: readonly string[];
  readonly values: readonly Typed[];
  /** NULL when an outer join has no row here. */
  readonly presence: string | null;
}

/** Postgres' text of a row. */
export function recordText(node: Row, scope: Scope): string {
  const { values, presence } = fieldsOf(node, scope)!;
  const types = values.map((value) => typeCode(generalType(value.type))).join(',');
  const text = call('row', [quote(types), ...values.map(general)]);
  return presence === null ? text : `(CASE WHEN ${presence} IS NOT NULL THEN ${text} END)`;
}

/** Fields of ROW(…) or of a whole-row reference; null for any other scalar. */
function fieldsOf(node: Scalar, scope: Scope): Fields | null {
  if (node.kind === 'row') {
    const names = node.names ?? node.args.map((_, position) => `f${position + 1}`);
    return { names, values: node.args.map((arg) => typed(arg, scope)), presence: null };
  }
  if (node.kind !== 'var' || node.column !== 0) return null;
  const owner = outerScope(scope, node.levelsUp);
  const entry = owner.query.entries[node.entry - 1];
  assert(entry !== undefined, 'a whole-row reference to nothing');
  const source = owner.sources.get(node.entry);
  const columns = columnsOf(entry, owner);
  const values = columns.map(({ number, type }) => ({
    text:
      source === undefined
        ? scalar({ kind: 'var', type, entry: node.entry, column: number, levelsUp: 0 }, owner)
        : source.column(number),
    type,
  }));
  return {
    names: columns.map((column) => column.name),
    values,
    presence: source?.presence ?? null,
  };
}

interface EntryColumn {
  readonly name: string;
  readonly number: number;
  readonly type: SqlType;
}

/** Columns of a range table entry with names and types; dropped ones left out. */
export function columnsOf(entry: RangeEntry, scope: Scope): readonly EntryColumn[] {
  const named = (types: readonly (SqlType | undefined)[]): EntryColumn[] => {
    const names = 'columns' in entry ? entry.columns : [];
    return names.flatMap((name, at) => {
      const type = types[at];
      return type === undefined ? [] : [{ name, number: at + 1, type }];
    });
  };
  switch (entry.kind) {
    case 'relation': {
      if (entry.relationKind !== 'table' && entry.relationKind !== 'excluded') break;
      const table = tableOf(scope.shared.options.catalog, entry.relation);
      return table.columns.map(({ name, id, type }) => ({ name, number: id, type }));
    }
    case 'subquery':
      return named(
        entry.query.targets.filter((target) => !target.hidden).map((t) => t.expression.type),
      );
    case 'values':
    case 'cte':
      return named(entry.types);
    case 'function':
      return named(entry.calls.flatMap((item) => item.columnTypes));
    case 'join':
      return named(entry.aliasVars.map((alias) => alias?.type));
    case 'group':
    case 'result':
      break;
  }
  throw notSupported('a whole-row reference to this kind of source');
}

/** Functions whose arguments may be rows: to_json and its kin, and comparisons of rows. */
export function composite(node: Call, scope: Scope): string | null {
  const comparison = node.fn.symbol.startsWith('record_')
    ? comparisonOf({ ...node.fn, symbol: node.fn.symbol.slice(7) })
    : null;
  if (comparison !== null) return recordComparison(node, scope);
  switch (node.fn.symbol) {
    case 'row_to_json':
    case 'to_json':
    case 'to_jsonb': {
      const json = rowJson(node.args[0]!, node.type.base === 'jsonb', scope);
      return json;
    }
    case 'textanycat':
      return `(${scalar(node.args[0]!, scope)} || ${asText(node.args[1]!, scope)})`;
    case 'anytextcat':
      return `(${asText(node.args[0]!, scope)} || ${scalar(node.args[1]!, scope)})`;
    default:
      return null;
  }
}

function asText(node: Scalar, scope: Scope): string {
  const value = typed(node, scope);
  // The cast to text says true and false, the output function t and f.
  if (value.type.base === 'bool' && !value.type.array) return call('booltext', [value.text]);
  return call('via_text', [value.text, quote(typeCode(value.type)), "'text'"]);
}

/** A JSON object of a row's fields; null when the scalar is no row. */
export function rowJson(node: Scalar, binary: boolean, scope: Scope): string | null {
  const fields = fieldsOf(node, scope);
  if (fields === null) return null;
  const types = fields.values.map((value) => typeCode(generalType(value.type))).join(',');
  const head = [quote(types), quote(JSON.stringify(fields.names)), binary ? '1' : '0'];
  const text = `${PREFIX}row_json(${[...head, ...fields.values.map(general)].join(', ')})`;
  return fields.presence === null
    ? text
    : `(CASE WHEN ${fields.presence} IS NOT NULL THEN ${text} END)`;
}

function recordComparison(node: Call, scope: Scope): string {
  const left = fieldsOf(node.args[0]!, scope);
  const right = fieldsOf(node.args[1]!, scope);
  if (left === null || right === null || left.values.length !== right.values.length) {
    throw notSupported('comparing composite values');
  }
  const op = node.fn.symbol.slice(7);
  if (op !== 'eq' && op !== 'ne') throw notSupported('ordering composite values');
  const parts = left.values.map((value, at) => compare('=', value, right.values[at]!, scope));
  const all = parts.join(' AND ');
  return op === 'eq' ? `(${all})` : `(NOT (${all}))`;
}
