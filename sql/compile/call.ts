// Function and operator calls → SQLite. Pure.
//
// What SQLite computes exactly as Postgres does is written natively, since a registered function costs
// about seven times as much; integer results carry a guard that calls one only when the value is out of
// range. Everything else is a registered function named after Postgres' symbol.

import { numericScale } from '../../ledger/type.ts';
import { keyIsFolded } from '../../storage/names.ts';
import { typeName } from '../value/oid.ts';
import { EDGE_FUNCTIONS, isKnownFunction } from '../functions/registry.ts';
import { patternCall } from './pattern.ts';
import { composite } from './record.ts';
import { call, PREFIX } from './registered.ts';
import {
  equalityKey,
  general,
  generalType,
  plainEquality,
  quote,
  represent,
  sortKey,
  typeCode,
} from './representation.ts';
import { scalar, typed } from './scalar.ts';
import { notSupported } from './scope.ts';
import { sessionCall } from './session.ts';
import { setReturningColumn } from './set-returning.ts';

import type { BaseType, SqlType } from '../../ledger/type.ts';
import type { FunctionRef, Scalar } from '../ir.ts';
import type { Scope, Typed } from './scope.ts';

type Call = Extract<Scalar, { kind: 'call' }>;
export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>=';

const OPERATORS: Readonly<Record<string, Comparison>> = {
  eq: '=',
  ne: '<>',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
};

/** Comparison functions of one type, or of two that share a representation, by symbol. */
const COMPARISON = new RegExp(
  '^(?:int(?:2|4|8|24|42|28|82|48|84)|oid|bool|float(?:4|8|48|84)|text|bpchar|name|char|bytea|date|' +
    'time|timestamp|uuid|numeric|interval|timetz|enum|jsonb|array)_?(eq|ne|lt|le|gt|ge)(?:text)?$',
);
const TEXT_NAME_COMPARISON = /^text(eq|ne|lt|le|gt|ge)name$/;
const PATTERN_COMPARISON = /^(?:text|bpchar)_pattern_(lt|le|gt|ge)$/;

export function comparisonOf(fn: FunctionRef): Comparison | null {
  const found =
    COMPARISON.exec(fn.symbol) ??
    TEXT_NAME_COMPARISON.exec(fn.symbol) ??
    PATTERN_COMPARISON.exec(fn.symbol);
  return found === null ? null : OPERATORS[found[1]!]!;
}

const ARITHMETIC = /^int(2|4|8|24|42|28|82|48|84)(pl|mi|mul|div|mod|and|or|um)$/;
const ARITHMETIC_OPERATORS: Readonly<Record<string, string>> = {
  pl: '+',
  mi: '-',
  mul: '*',
  div: '/',
  mod: '%',
  and: '&',
  or: '|',
};

/** Casts and functions that are nothing in SQLite: the representation stays. */
// prettier-ignore
const IDENTITIES = new Set([
  'i2toi4', 'int28', 'int48', 'bool_int4', 'oidtoi8', 'name_text', 'char_text', 'ftod', 'int2up',
  'int4up', 'int8up', 'numeric_uplus',
]);

/** Functions that SQLite has under another name. */
const NATIVE: Readonly<Record<string, (args: readonly string[]) => string>> = {
  textcat: ([left, right]) => `(${left} || ${right})`,
  textlen: ([text]) => `length(${text})`,
  bpcharlen: ([text]) => `length(${text})`,
  upper: ([text]) => `upper(${text})`,
  lower: ([text]) => `lower(${text})`,
  int4_bool: ([value]) => `(${value} <> 0)`,
  i2tod: ([value]) => `CAST(${value} AS REAL)`,
  i4tod: ([value]) => `CAST(${value} AS REAL)`,
  i8tod: ([value]) => `CAST(${value} AS REAL)`,
  int84: ([value]) => guarded(value!, 'int4'),
  int82: ([value]) => guarded(value!, 'int2'),
  i4toi2: ([value]) => guarded(value!, 'int2'),
};

/** Casts to a type with a modifier: numeric(10,2), varchar(5), timestamp(0). */
// prettier-ignore
const LENGTH_COERCIONS = new Set([
  'numeric', 'varchar', 'bpchar', 'timestamp_scale', 'timestamptz_scale', 'time_scale', 'timetz_scale', 'interval_scale',
]);

function lengthCoercion(node: Call, scope: Scope): string {
  const value = typed(node.args[0]!, scope);
  if (numericScale(node.type) !== null && value.type.typmod === node.type.typmod) return value.text;
  // The third argument of varchar() and bpchar() is true for an explicit cast, which cuts what is too long.
  const explicit = node.args[2] === undefined ? '1' : scalar(node.args[2], scope);
  return call('typmod', [general(value), quote(typeCode(node.type)), explicit]);
}

export function functionCall(node: Call, scope: Scope): string {
  const { fn } = node;
  if (fn.returnsSet) return setReturningColumn(node, scope);
  if (LENGTH_COERCIONS.has(fn.symbol) && node.args.length > 1) return lengthCoercion(node, scope);
  const special = sessionCall(node, scope) ?? composite(node, scope);
  if (special !== null) return special;
  const comparison = comparisonOf(fn);
  if (comparison !== null && node.args.length === 2) {
    return compare(comparison, typed(node.args[0]!, scope), typed(node.args[1]!, scope), scope);
  }
  const pattern = patternCall(node, scope);
  if (pattern !== null) return pattern;
  if (ARITHMETIC.test(fn.symbol)) return arithmetic(node, scope);
  // rtrim1 is both rtrim(text) and the cast of char(n), whose blanks are not stored.
  const identity =
    IDENTITIES.has(fn.symbol) || (fn.symbol === 'rtrim1' && node.args[0]!.type.base === 'bpchar');
  if (identity) return represent(typed(node.args[0]!, scope), node.type);
  const native = NATIVE[fn.symbol];
  if (native !== undefined) return native(node.args.map((arg) => scalar(arg, scope)));
  const ofSession = EDGE_FUNCTIONS.get(fn.symbol)?.session === true;
  const args = ofSession ? node.args.map(relationById) : node.args;
  return registered(
    node,
    args.map((arg) => typed(arg, scope)),
    scope,
  );
}

/** OIDs are the mirror's own, and passing for what an open transaction has made: the session gets the id, negated. */
function relationById(arg: Scalar): Scalar {
  if (arg.kind !== 'const' || arg.relation === undefined) return arg;
  return { ...arg, value: BigInt(-arg.relation) };
}

/** A call of a registered function: general numerics in, the node's representation out. */
export function registered(
  node: { readonly fn: FunctionRef; readonly type: SqlType; readonly variadic?: boolean },
  args: readonly Typed[],
  scope: Scope,
): string {
  const { fn } = node;
  const name = registeredName(fn, args);
  if (name === null)
    throw unknownFunction(
      fn,
      args.map((arg) => arg.type),
    );
  const edge = EDGE_FUNCTIONS.get(name);
  if (edge?.session === true) scope.shared.sessionFunctions.add(fn.name);
  const texts = args.map(general);
  if (edge?.typed === true) {
    const types = args.map((arg) => typeCode(generalType(arg.type))).join(',');
    const word = node.variadic === true ? 'v' : '';
    texts.unshift(quote(`${types};${typeCode(generalType(node.type))};${word}`));
  }
  return represent({ text: call(name, texts), type: generalType(node.type) }, node.type);
}

/** Functions written in SQL have no symbol; they are registered as name_arity, or name_type. */
function registeredName(fn: FunctionRef, args: readonly Typed[]): string | null {
  const candidates = [
    fn.symbol,
    `${fn.name}_${args.length}`,
    `${fn.name}_${args.map((arg) => arg.type.base).join('_')}`,
  ];
  return candidates.find(isKnownFunction) ?? null;
}

export function unknownFunction(fn: FunctionRef, types: readonly SqlType[]): Error {
  return notSupported(
    `function ${fn.name}(${types.map((type) => `${typeName(type.base)}${type.array ? '[]' : ''}`).join(', ')})`,
    'docs/sql.md lists what differs.',
  );
}

const INTEGER_RANGES: Readonly<Record<string, readonly [string, string]>> = {
  int2: ['(-32768)', '32767'],
  int4: ['(-2147483648)', '2147483647'],
};
/** Text longer than this is not written twice for a native guard. */
const GUARD_TEXT_MAX = 300;

/** Calls whose second value may be another: nextval, random. */
const VOLATILE_CALL = new RegExp(
  `\\b${PREFIX}(?:${[...EDGE_FUNCTIONS]
    .filter(([, { volatile, session }]) => volatile === true || session === true)
    .map(([name]) => name)
    .join('|')})\\(`,
);

/** Whether an expression may be written twice. */
function repeatable(text: string): boolean {
  return text.length <= GUARD_TEXT_MAX && !VOLATILE_CALL.test(text);
}

/** Integer `text` with an error when it is outside `base`. */
export function guarded(text: string, base: BaseType): string {
  const range = INTEGER_RANGES[base];
  const check = call('in_range', [text, quote(base)]);
  if (!repeatable(text)) return check;
  if (range === undefined)
    return `(CASE typeof(${text}) WHEN 'real' THEN ${check} ELSE ${text} END)`;
  return `(CASE WHEN ${text} BETWEEN ${range[0]} AND ${range[1]} THEN ${text} ELSE ${check} END)`;
}

function arithmetic(node: Call, scope: Scope): string {
  const operation = ARITHMETIC.exec(node.fn.symbol)![2]!;
  const args = node.args.map((arg) => scalar(arg, scope));
  if (operation === 'um') return guarded(`(-${args[0]})`, node.type.base);
  const [left, right] = args as [string, string];
  const text = `(${left} ${ARITHMETIC_OPERATORS[operation]} ${right})`;
  if (operation === 'and' || operation === 'or') return text;
  if (operation !== 'div' && operation !== 'mod') return guarded(text, node.type.base);
  const divisor = node.args[1]!;
  if (divisor.kind === 'const' && divisor.value !== 0n && divisor.value !== -1n) return text;
  const exact = call(`int_${operation}`, [left, right, quote(node.type.base)]);
  if (!repeatable(text)) return exact;
  return `(CASE WHEN ${right} IN (0, -1) THEN ${exact} ELSE ${text} END)`;
}

const INTEGERS: ReadonlySet<BaseType> = new Set(['int2', 'int4', 'int8']);

/** `left op right`; `IS` is IS NOT DISTINCT FROM. */
export function compare(op: Comparison | 'IS', left: Typed, right: Typed, scope: Scope): string {
  const { type } = left;
  if (type.base === 'numeric' && !type.array && right.type.base === 'numeric') {
    return compareNumeric(op, left, right, scope);
  }
  const ordering = op !== '=' && op !== '<>' && op !== 'IS';
  const key = (side: Typed): string =>
    storedKey(side, scope) ??
    (ordering ? sortKey(side, scope.shared.options.catalog) : equalityKey(side));
  if (type.array || type.base === 'jsonb' || type.base === 'record') {
    if (!ordering && plainEquality(type)) return `(${left.text} ${op} ${right.text})`;
  }
  return `(${key(left)} ${op} ${key(right)})`;
}

/**
 * Two scaled numerics of one scale compare as integers. A scaled column against anything that may be
 * constant compares with that, brought to its scale: exact, and an index on the column serves it.
 */
function compareNumeric(op: Comparison | 'IS', left: Typed, right: Typed, scope: Scope): string {
  const leftScale = numericScale(left.type);
  const rightScale = numericScale(right.type);
  if (leftScale !== null && leftScale === rightScale) return `(${left.text} ${op} ${right.text})`;
  if (leftScale !== null && rightScale === null) {
    return `(${left.text} ${op} ${scaledBound(op, right, leftScale)})`;
  }
  if (rightScale !== null && leftScale === null) {
    return `(${scaledBound(turned(op), left, rightScale)} ${op} ${right.text})`;
  }
  const key = (side: Typed): string =>
    storedKey(side, scope) ?? equalityKey({ text: general(side), type: generalType(side.type) });
  return `(${key(left)} ${op} ${key(right)})`;
}

/** The hidden column that an index keeps the folded key of this column in, if there is one. */
export function storedKey(value: Typed, scope: Scope): string | undefined {
  return keyIsFolded(value.type) ? scope.shared.storedKeys.get(value.text) : undefined;
}

function turned(op: Comparison | 'IS'): Comparison | 'IS' {
  switch (op) {
    case '<':
      return '>';
    case '<=':
      return '>=';
    case '>':
      return '<';
    case '>=':
      return '<=';
    default: return op; // prettier-ignore
  }
}

/** `column < x` is `column < ceil(x)` in units of the column's scale, and so on. */
function scaledBound(op: Comparison | 'IS', value: Typed, scale: number): string {
  const mode = op === '<' || op === '>=' ? 'ceil' : op === '>' || op === '<=' ? 'floor' : 'exact';
  return call('scaled_bound', [value.text, String(scale), quote(mode)]);
}

/** Whether the type is held as an integer of SQLite that needs no conversion. */
export function isInteger(type: SqlType): boolean {
  return !type.array && INTEGERS.has(type.base);
}
