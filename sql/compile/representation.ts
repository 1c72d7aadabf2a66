// SQLite text of values: constants, changes of representation, and keys. Pure.
//
// The representation of a value follows from its type (ledger/type.ts). Two of them differ from what SQLite
// may compare bytewise: numerics that are not scaled and intervals carry bytes that only serve display, so
// they are folded to their key where values are compared, grouped or sorted; enums sort by position.

import { assert } from '../../ledger/error.ts';
import { numericScale } from '../../ledger/type.ts';
import { foldedText, keyIsFolded } from '../../storage/names.ts';
import { call } from './registered.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { Catalog } from '../../ledger/catalog.ts';
import type { Typed } from './scope.ts';

export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A constant as SQLite text. */
export function literal(value: Datum): string {
  if (value === null) return 'NULL';
  if (typeof value === 'bigint') return value < 0n ? `(${value})` : String(value);
  if (typeof value === 'string') {
    return value.includes('\0')
      ? `CAST(X'${Buffer.from(value).toString('hex')}' AS TEXT)`
      : quote(value);
  }
  if (typeof value === 'number') return realLiteral(value);
  return `X'${Buffer.from(value).toString('hex')}'`;
}

function realLiteral(value: number): string {
  if (value === Infinity) return '9e999';
  if (value === -Infinity) return '(-9e999)';
  const digits = String(Math.abs(value));
  const real = /[.e]/.test(digits) ? digits : `${digits}.0`;
  return value < 0 || Object.is(value, -0) ? `(-${real})` : real;
}

/** Digits of a scaled numeric's precision. */
function scaledPrecision(type: SqlType): number {
  return ((type.typmod - 4) >> 16) & 0xffff;
}

/** `value` in the representation of `type`; only numerics have more than one. */
export function represent(value: Typed, type: SqlType): string {
  if (value.type.base !== 'numeric' || type.base !== 'numeric' || type.array || value.type.array) {
    return value.text;
  }
  const from = numericScale(value.type);
  const to = numericScale(type);
  if (from === to || value.text === 'NULL') return value.text;
  if (to === null) return call('numeric_widen', [value.text, String(from)]);
  if (from === null)
    return call('numeric_narrow', [value.text, String(scaledPrecision(type)), String(to)]);
  const widened = call('numeric_widen', [value.text, String(from)]);
  return call('numeric_narrow', [widened, String(scaledPrecision(type)), String(to)]);
}

/** The general form that functions take: scaled numerics are widened. */
export function general(value: Typed): string {
  const scale = numericScale(value.type);
  return scale === null || value.text === 'NULL'
    ? value.text
    : call('numeric_widen', [value.text, String(scale)]);
}

/** The type of `general(value)`. */
export function generalType(type: SqlType): SqlType {
  return numericScale(type) === null ? type : { ...type, typmod: -1 };
}

/** Whether equal values of the type have equal bytes. */
export function plainEquality(type: SqlType): boolean {
  if (type.array) return !['numeric', 'jsonb', 'interval'].includes(type.base);
  return !keyIsFolded(type) && type.base !== 'jsonb' && type.base !== 'record';
}

const COLUMN = /^t\d+\.\w+$/;

/** Text whose bytes are equal exactly for equal values. */
export function equalityKey(value: Typed): string {
  const { text, type } = value;
  if (plainEquality(type)) return text;
  if (keyIsFolded(type)) {
    return COLUMN.test(text) ? foldedText(text, type) : call('fold', [text, quote(type.base)]);
  }
  return call('sort_key', [text, quote(typeCode(type))]);
}

/** Text whose order in SQLite is the order of the values in Postgres. */
export function sortKey(value: Typed, catalog: Catalog): string {
  const { text, type } = value;
  if (type.base === 'enum' && !type.array) return enumPosition(text, type, catalog);
  if (type.array || type.base === 'jsonb' || type.base === 'record') {
    return call('sort_key', [text, quote(typeCode(type))]);
  }
  return equalityKey(value);
}

/** An enum label's position in its type, from 1. */
export function enumPosition(text: string, type: SqlType, catalog: Catalog): string {
  const labels = enumLabels(type, catalog);
  const whens = labels.map((label, position) => `WHEN ${quote(label)} THEN ${position + 1}`);
  return `CASE ${text} ${whens.join(' ')} END`;
}

/** The label at a position. */
export function enumAt(text: string, type: SqlType, catalog: Catalog): string {
  const labels = enumLabels(type, catalog);
  const whens = labels.map((label, position) => `WHEN ${position + 1} THEN ${quote(label)}`);
  return `CASE ${text} ${whens.join(' ')} END`;
}

function enumLabels(type: SqlType, catalog: Catalog): readonly string[] {
  const found = type.userType === null ? undefined : catalog.types.get(type.userType);
  assert(found?.kind === 'enum', 'an enum value has no enum type');
  return found.labels;
}

/** A type as a word that registered functions take: `numeric:786438#7[]`. */
export function typeCode(type: SqlType): string {
  const modifier = type.typmod === -1 ? '' : `:${type.typmod}`;
  const user = type.userType === null ? '' : `#${type.userType}`;
  return `${type.base}${modifier}${user}${type.array ? '[]' : ''}`;
}
