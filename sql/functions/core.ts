// The functions that the compiler itself writes: representations, keys, ranges, rows. Pure.

import { utf8 } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import {
  decodeNumeric,
  encodeNumeric,
  integerToDecimal,
  pow10,
  scaleNumeric,
  widenNumeric,
} from '../../ledger/numeric.ts';
import { evaluate } from '../../ledger/evaluate.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { foldKey } from '../../storage/names.ts';
import { partOfFolded } from '../../storage/parts.ts';
import { oidOf, typeName } from '../value/oid.ts';
import { formatText, parseText } from '../value/text.ts';
import { applyTypmod } from '../../ledger/typmod.ts';
import { arrayKey, jsonbKey } from './key.ts';
import { readType, readTypes } from './function.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { FunctionTable, SessionFunctions } from './function.ts';

const INT8_MIN = -9_223_372_036_854_775_808n;
const INT8_MAX = 9_223_372_036_854_775_807n;

/** Above every integer in SQLite's order, and equal to none. */
const ABOVE_INTEGERS = '';

function scaledBound(value: Uint8Array, scale: number, mode: string): Datum {
  const decimal = decodeNumeric(value);
  if (decimal === 'NaN' || decimal === 'Infinity') return ABOVE_INTEGERS;
  if (decimal === '-Infinity') return mode === 'exact' ? ABOVE_INTEGERS : INT8_MIN;
  const { coefficient } = decimal;
  let units: bigint;
  if (decimal.scale <= scale) {
    units = coefficient * pow10(scale - decimal.scale);
  } else {
    const divisor = pow10(decimal.scale - scale);
    units = coefficient / divisor;
    const rest = coefficient % divisor;
    if (rest !== 0n && mode === 'exact') return ABOVE_INTEGERS;
    if (rest > 0n && mode === 'ceil') units += 1n;
    if (rest < 0n && mode === 'floor') units -= 1n;
  }
  if (units > INT8_MAX) return ABOVE_INTEGERS;
  if (units < INT8_MIN) return mode === 'exact' ? ABOVE_INTEGERS : INT8_MIN;
  return units;
}

const RANGES: Readonly<Record<string, bigint>> = {
  int2: 32_767n,
  int4: 2_147_483_647n,
  int8: INT8_MAX,
};

/** SQLite turns an int8 that overflows into a double, so a double here is out of range. */
function inRange(value: Datum, base: string): Datum {
  const max = RANGES[base]!;
  if (typeof value === 'bigint' && value <= max && value >= -max - 1n) return value;
  throw integerOutOfRange(base);
}

export function integerOutOfRange(base: string): SqlError {
  const name = typeName(base as SqlType['base']);
  return new SqlError(SQLSTATE.numericValueOutOfRange, `${name} out of range`);
}

function divide(args: readonly Datum[], remainder: boolean): Datum {
  const [left, right, base] = args as [bigint, bigint, string];
  if (right === 0n) throw new SqlError(SQLSTATE.divisionByZero, 'division by zero');
  return remainder ? left % right : inRange(left / right, base);
}

export function sortKeyOf(value: Datum, type: SqlType): Datum {
  if (value === null) return null;
  if (type.array) return arrayKey(value as string, type.base);
  return type.base === 'jsonb' ? jsonbKey(value as string) : value;
}

/** −1, 0 or 1 in the order of the type; enums by position. */
export function compareValues(
  left: Datum,
  right: Datum,
  type: SqlType,
  session: SessionFunctions,
): number {
  const leftKey = orderKey(left, type, session);
  const rightKey = orderKey(right, type, session);
  if (typeof leftKey === 'string' && typeof rightKey === 'string') {
    return Buffer.compare(utf8(leftKey), utf8(rightKey));
  }
  if (isNumber(leftKey) && isNumber(rightKey))
    return leftKey < rightKey ? -1 : leftKey > rightKey ? 1 : 0;
  // 'NaN' is the only text among floats, and above all of them.
  if (typeof leftKey === 'string') return 1;
  if (typeof rightKey === 'string') return -1;
  return Buffer.compare(leftKey as Uint8Array, rightKey as Uint8Array);
}

function isNumber(value: Datum): value is bigint | number {
  return typeof value === 'bigint' || typeof value === 'number';
}

function orderKey(value: Datum, type: SqlType, session: SessionFunctions): Datum {
  if (type.base === 'enum' && !type.array && type.userType !== null) {
    const found = session.catalog.types.get(type.userType);
    if (found?.kind === 'enum') return BigInt(found.labels.indexOf(value as string));
  }
  return type.array || type.base === 'jsonb' ? sortKeyOf(value, type) : foldKey(value, type);
}

function extreme(args: readonly Datum[], session: SessionFunctions, sign: number): Datum {
  const type = readType(args[0] as string);
  let best: Datum = null;
  for (const value of args.slice(1)) {
    if (value === null) continue;
    if (best === null || compareValues(value, best, type, session) * sign > 0) best = value;
  }
  return best;
}

function viaText(value: Datum, from: SqlType, to: SqlType, session: SessionFunctions): Datum {
  const { values } = session;
  const text = formatText(value, from, values);
  const parsed =
    to.base === 'text' && !to.array ? text : parseText(text, { ...to, typmod: -1 }, values);
  return to.typmod === -1 ? parsed : applyTypmod(parsed, to, true);
}

/** Postgres' text of a row: fields in brackets, quoted where they hold what would confuse a reader. */
export function rowText(
  values: readonly Datum[],
  types: readonly SqlType[],
  session: SessionFunctions,
): string {
  const fields = values.map((value, at) => {
    if (value === null) return '';
    const text = formatText(value, types[at]!, session.values);
    return text === '' || /[\s(),"\\]/.test(text) ? `"${text.replace(/["\\]/g, '$&$&')}"` : text;
  });
  return `(${fields.join(',')})`;
}

/** A value that the constraints of its domain allow. @throws SqlError 23502, 23514 */
function checkedDomain(value: Datum, id: number, session: SessionFunctions): Datum {
  const domain = session.catalog.types.get(id);
  if (domain?.kind !== 'domain') return value;
  const { name } = domain;
  const schema = session.catalog.schemas.get(domain.schema)?.name ?? '';
  if (domain.notNull && value === null) {
    throw new SqlError(SQLSTATE.notNullViolation, `domain ${name} does not allow null values`, {
      schema,
      dataType: name,
    });
  }
  for (const check of domain.checks) {
    if (evaluate(check.expression, () => value) !== 0n) continue;
    throw new SqlError(
      SQLSTATE.checkViolation,
      `value for domain ${name} violates check constraint "${check.name}"`,
      { schema, dataType: name, constraint: check.name },
    );
  }
  return value;
}

function rowCount(value: Datum, sqlstate: string, message: string, none: bigint): Datum {
  if (value === null) return none;
  if ((value as bigint) < 0n) throw new SqlError(sqlstate, message);
  return value;
}

function numericOf(coefficient: bigint, scale: number): Uint8Array {
  return encodeNumeric({ coefficient, scale });
}

/** Sum of the two halves that the compiler sums apart: high · 2^32 + low. */
export function joinHalves(high: Datum, low: Datum): bigint {
  return ((high as bigint) << 32n) + (low as bigint);
}

export const CORE: FunctionTable = {
  numeric_widen: { impl: ([value, scale]) => widenNumeric(value as bigint, Number(scale)) },
  numeric_narrow: {
    impl: ([value, precision, scale]) =>
      scaleNumeric(decodeNumeric(value as Uint8Array), Number(precision), Number(scale)),
  },
  integer_numeric: { impl: ([value]) => encodeNumeric(integerToDecimal(value as bigint)) },
  scaled_bound: {
    impl: ([value, scale, mode]) => scaledBound(value as Uint8Array, Number(scale), mode as string),
  },
  typmod: {
    impl: ([value, code, explicit]) =>
      applyTypmod(value!, readType(code as string), explicit === 1n),
  },
  fold: { impl: ([value, base]) => foldKey(value!, readType(base as string)) },
  part_of: { impl: ([folded, parts]) => BigInt(partOfFolded(folded!, Number(parts))) },
  sort_key: { impl: ([value, code]) => sortKeyOf(value!, readType(code as string)) },
  in_range: { impl: ([value, base]) => inRange(value!, base as string) },
  int_div: { impl: (args) => divide(args, false) },
  int_mod: { impl: (args) => divide(args, true) },
  greatest: { nullable: true, impl: (args, session) => extreme(args, session, 1) },
  least: { nullable: true, impl: (args, session) => extreme(args, session, -1) },
  via_text: {
    impl: ([value, from, to], session) =>
      viaText(value!, readType(from as string), readType(to as string), session),
  },
  to_domain: {
    nullable: true,
    impl: ([value, id], session) => checkedDomain(value!, Number(id), session),
  },
  row: {
    nullable: true,
    impl: ([codes, ...values], session) => rowText(values, readTypes(codes as string), session),
  },
  too_many_rows: {
    impl: () => {
      throw new SqlError(
        SQLSTATE.cardinalityViolation,
        'more than one row returned by a subquery used as an expression',
      );
    },
  },
  row_limit: {
    nullable: true,
    impl: ([value]) =>
      rowCount(value!, SQLSTATE.invalidRowCountInLimit, 'LIMIT must not be negative', INT8_MAX),
  },
  row_offset: {
    nullable: true,
    impl: ([value]) =>
      rowCount(value!, SQLSTATE.invalidRowCountInOffset, 'OFFSET must not be negative', 0n),
  },
  all_null: {
    nullable: true,
    impl: ([row]) => (row === null || /^\(,*\)$/.test(row as string) ? 1n : 0n),
  },
  all_present: {
    nullable: true,
    impl: ([row]) => (row === null || /^\(,|,,|,\)$|^\(\)$/.test(row as string) ? 0n : 1n),
  },
  sum_of_halves: {
    impl: ([high, low, scale]) => numericOf(joinHalves(high!, low!), Number(scale)),
  },
  /** The value itself does not matter, but is computed, as in Postgres. */
  typeof: { nullable: true, impl: ([code]) => BigInt(oidOf(readType(code as string), () => 0)) },
};
