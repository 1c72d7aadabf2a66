// Aggregates and window functions. Pure.
//
// Three kinds: SQLite's own, where they are exact (count, min, max, sums of integers through their halves,
// which cannot overflow); aggregates of ours that fold (sums of numerics, floats, intervals); and all others,
// which collect their arguments in order and then compute the answer from them (`final_…`).

import { assert } from '../../ledger/error.ts';
import { numericScale, sqlType } from '../../ledger/type.ts';
import { FINALS } from '../functions/registry.ts';
import { unknownFunction } from './call.ts';
import { rowJson } from './record.ts';
import { call } from './registered.ts';
import {
  enumAt,
  enumPosition,
  equalityKey,
  general,
  generalType,
  literal,
  plainEquality,
  quote,
  represent,
  sortKey,
  typeCode,
} from './representation.ts';
import { condition, scalar, typed } from './scalar.ts';
import { notSupported, outerScope, walk } from './scope.ts';
import { frameText } from './window.ts';
import type { SqlType } from '../../ledger/type.ts';
import type { Scalar, SortKey } from '../ir.ts';
import type { Scope, Typed } from './scope.ts';

type Aggregate = Extract<Scalar, { kind: 'aggregate' }>;
type WindowCall = Extract<Scalar, { kind: 'window' }>;

/** What follows an aggregate's arguments, and the arguments themselves as Postgres has them. */
interface Call {
  readonly name: string;
  readonly fn: Aggregate['fn'];
  readonly args: readonly Scalar[];
  readonly star: boolean;
  readonly direct: readonly Scalar[];
  readonly type: SqlType;
  readonly distinct: boolean;
  readonly order: readonly SortKey[];
  /** FILTER and OVER. */
  readonly suffix: string;
}

export function aggregate(node: Aggregate, scope: Scope): string {
  const suffix = node.filter === null ? '' : ` FILTER (WHERE ${condition(node.filter, scope)})`;
  return aggregateText({ ...node, name: node.fn.name, suffix }, scope);
}

export function windowCall(node: WindowCall, scope: Scope): string {
  const filter = node.filter === null ? '' : ` FILTER (WHERE ${condition(node.filter, scope)})`;
  const window = scope.query.windows[node.window];
  assert(window !== undefined, 'a window function without its window');
  const suffix = `${filter} OVER (${frameText(window, scope)})`;
  if (node.aggregate) {
    const call = { ...node, name: node.fn.name, direct: [], distinct: false, order: [], suffix };
    return aggregateText(call, scope);
  }
  const args = node.args.map((arg) => scalar(arg, scope));
  if (node.fn.name === 'lag' || node.fn.name === 'lead' || node.fn.name.endsWith('_value')) {
    const first = node.args[0];
    if (first !== undefined) args[0] = represent(typed(first, scope), node.type);
    const fallback = node.args[2];
    if (fallback !== undefined && args.length > 2)
      args[2] = represent(typed(fallback, scope), node.type);
  }
  return `${node.fn.name}(${args.join(', ')})${suffix}`;
}

/** Text longer than this is not written twice. */
const REPEATED_TEXT_MAX = 300;

function aggregateText(node: Call, scope: Scope): string {
  const { name, suffix } = node;
  if (name === 'count') return count(node, scope);
  const first = node.args[0];
  if (first === undefined) throw unknownFunction(node.fn, []);
  const arg = typed(first, scope);
  const order = orderText(node, scope);
  switch (name) {
    case 'min':
    case 'max':
      return extreme(name, arg, node, scope);
    case 'bool_and':
    case 'every':
      return `min(${arg.text})${suffix}`;
    case 'bool_or':
      return `max(${arg.text})${suffix}`;
    case 'sum':
    case 'avg':
      if (node.distinct && arg.type.base === 'numeric' && numericScale(arg.type) === null) {
        return collected(`final_${name}_numeric`, node, order, scope);
      }
      return total(name, arg, node);
    case 'string_agg': {
      const separator = node.args[1]!;
      if (arg.type.base !== 'bytea' && !node.distinct) {
        return `group_concat(${arg.text}, ${scalar(separator, scope)}${order})${suffix}`;
      }
      break;
    }
    default:
      break;
  }
  const final = `final_${name}`;
  if (!FINALS.has(final)) {
    throw unknownFunction(
      node.fn,
      node.args.map((item) => item.type),
    );
  }
  return collected(final, node, order, scope);
}

function count(node: Call, scope: Scope): string {
  const first = node.args[0];
  if (node.star || first === undefined) return `count(*)${node.suffix}`;
  const arg = typed(first, scope);
  return node.distinct
    ? `count(DISTINCT ${equalityKey(arg)})${node.suffix}`
    : `count(${arg.text})${node.suffix}`;
}

function extreme(name: string, arg: Typed, node: Call, scope: Scope): string {
  const { type } = arg;
  const { catalog } = scope.shared.options;
  if (type.base === 'enum' && !type.array) {
    return enumAt(`${name}(${enumPosition(arg.text, type, catalog)})${node.suffix}`, type, catalog);
  }
  if (type.array) {
    const pairs = call('collect', [arg.text]);
    return call(`final_${name}_array`, [quote(typeCode(type)), `${pairs}${node.suffix}`]);
  }
  return represent({ text: `${name}(${arg.text})${node.suffix}`, type }, node.type);
}

/** Sums and averages. Integers and scaled numerics add in two halves of 32 bits, natively and exactly. */
function total(name: 'sum' | 'avg', arg: Typed, node: Call): string {
  const { suffix, type } = node;
  const { base } = arg.type;
  const distinct = node.distinct ? 'DISTINCT ' : '';
  const scale = numericScale(arg.type);
  const integer = base === 'int2' || base === 'int4' || base === 'int8';
  if (integer && name === 'sum' && base !== 'int8') return `sum(${distinct}${arg.text})${suffix}`;
  const native =
    (integer || scale !== null) && !node.distinct && arg.text.length <= REPEATED_TEXT_MAX;
  if (native) {
    const halves = [
      `sum(${arg.text} >> 32)${suffix}`,
      `sum(${arg.text} & 4294967295)${suffix}`,
      String(scale ?? 0),
    ];
    const text =
      name === 'sum'
        ? call('sum_of_halves', halves)
        : call('avg_of_halves', [...halves, `count(${arg.text})${suffix}`]);
    return represent({ text, type: sqlType('numeric') }, type);
  }
  const value = integer ? call('integer_numeric', [arg.text]) : general(arg);
  const kind = integer ? 'numeric' : base;
  const text = `${call(`${name}_${kind}`, [`${distinct}${value}`])}${suffix}`;
  return represent({ text, type: generalType({ ...type, typmod: -1 }) }, type);
}

/** ORDER BY inside the call. DISTINCT sorts its input in Postgres, and so the answer is in that order. */
function orderText(node: Call, scope: Scope): string {
  const keys: SortKey[] = [...node.order];
  if (node.distinct && keys.length === 0) {
    keys.push({ expression: node.args[0]!, descending: false, nullsFirst: false });
  }
  if (keys.length === 0) return '';
  const { catalog } = scope.shared.options;
  const texts = keys.map((key) => {
    const direction = key.descending ? 'DESC' : 'ASC';
    const text = sortKey(typed(key.expression, scope), catalog);
    return `${text} ${direction} NULLS ${key.nullsFirst ? 'FIRST' : 'LAST'}`;
  });
  return ` ORDER BY ${texts.join(', ')}`;
}

/** Collects the arguments of every row and computes the answer from them. */
function collected(final: string, node: Call, order: string, scope: Scope): string {
  const varying = node.distinct ? node.args.slice(0, 1) : node.args;
  const constant = [...node.direct, ...(node.distinct ? node.args.slice(1) : [])];
  const values = varying.map((arg) => {
    const json = final.startsWith('final_json')
      ? rowJson(arg, final.includes('jsonb'), scope)
      : null;
    return json === null
      ? { text: general(typed(arg, scope)), type: generalType(arg.type) }
      : { text: json, type: sqlType('record') };
  });
  // Where equal values may differ in their bytes, DISTINCT comes after the fact; NULL counts in neither.
  const keyed = node.distinct && !plainEquality(values[0]!.type);
  const distinct = node.distinct && !keyed ? 'DISTINCT ' : '';
  const all = `${call('collect', [distinct + values.map((value) => value.text).join(', ') + order])}${node.suffix}`;
  const rows = keyed ? call('distinct_rows', [quote(typeCode(values[0]!.type)), all]) : all;
  const types = [
    ...values.map((value) => value.type),
    ...constant.map((arg) => generalType(arg.type)),
  ];
  const signature = `${types.map(typeCode).join(',')};${typeCode(generalType(node.type))};`;
  const rest = constant.map((arg) => general(typed(arg, scope)));
  return represent(
    { text: call(final, [quote(signature), rows, ...rest]), type: generalType(node.type) },
    node.type,
  );
}

/** GROUPING(…): a bit for every argument that the grouping set leaves out. */
export function grouping(node: Extract<Scalar, { kind: 'grouping' }>, scope: Scope): string {
  let bits = 0n;
  for (const arg of node.args) bits = (bits << 1n) | (isGrouped(arg, scope) ? 0n : 1n);
  return literal(bits);
}

function isGrouped(arg: Scalar, scope: Scope): boolean {
  if (scope.grouping === null) return true;
  const columns = new Set<number>();
  walk(arg, (node) => {
    if (!('kind' in node) || node.kind !== 'var' || node.levelsUp !== 0) return;
    if (outerScope(scope, 0).query.entries[node.entry - 1]?.kind === 'group')
      columns.add(node.column);
  });
  if (columns.size > 0) return [...columns].every((column) => scope.grouping!.has(column));
  const entry = scope.query.entries.find((item) => item.kind === 'group');
  if (entry?.kind !== 'group') throw notSupported('this use of GROUPING');
  const same = JSON.stringify(arg, spell);
  const at = entry.expressions.findIndex(
    (expression) => JSON.stringify(expression, spell) === same,
  );
  return scope.grouping.has(at + 1);
}

function spell(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}
