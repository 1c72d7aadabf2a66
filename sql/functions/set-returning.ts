// Set-returning functions as virtual tables. Pure.
//
// A row is `ord`, from 1, and then the function's columns. Arguments that are left out are NULL.

import { decodeArray, flatten } from '../../ledger/array-value.ts';
import {
  decodeInterval,
  intervalSpan,
  timestampPlusInterval,
  timestamptzPlusInterval,
} from '../../ledger/datetime.ts';
import { SqlError } from '../../ledger/error.ts';
import { addDecimal, compareDecimal, decodeNumeric, encodeNumeric } from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { elementRows, keyRows, memberRows } from './json.ts';
import { recordRows } from './json-record.ts';
import { matchRows, splitRows } from './regex.ts';
import { tableRows } from './text.ts';
import { parseZone } from './zone.ts';
import { readTypes } from './function.ts';
import { pack, unpack } from './pack.ts';
import type { Decimal } from '../../ledger/numeric.ts';
import type { Datum, Row } from '../../ledger/type.ts';
import type { FunctionTable, SessionFunctions } from './function.ts';

export interface SetReturning {
  readonly parameters: number;
  /** Columns after `ord`. */
  readonly columns: number;
  /** The first parameter is the list of the arguments' types. */
  readonly typed: boolean;
  /** NULL arguments are passed, as empty bytes, since SQLite gives no rows for them otherwise. */
  readonly nullable?: boolean;
  readonly rows: (args: readonly Datum[], session: SessionFunctions) => Iterable<Row>;
}

const PACKED_COLUMNS = 100;

function stepZero(): SqlError {
  return new SqlError(SQLSTATE.invalidParameterValue, 'step size cannot equal zero');
}

function* integers([start, stop, step = 1n]: readonly Datum[]): Iterable<Row> {
  if (start === null || stop === null || step === null) return;
  const [from, to, by] = [start, stop, step] as [bigint, bigint, bigint];
  if (by === 0n) throw stepZero();
  for (let value = from; by > 0n ? value <= to : value >= to; value += by) yield [value];
}

function* numerics([start, stop, step]: readonly Datum[]): Iterable<Row> {
  if (start === null || stop === null || step === null) return;
  const read = (value: Datum | undefined, name: string): Decimal => {
    const decimal =
      value === undefined ? { coefficient: 1n, scale: 0 } : decodeNumeric(value as Uint8Array);
    if (typeof decimal === 'string') {
      const word = decimal === 'NaN' ? 'NaN' : 'infinity';
      throw new SqlError(SQLSTATE.invalidParameterValue, `${name} cannot be ${word}`);
    }
    return decimal;
  };
  const from = read(start, 'start value');
  const to = read(stop, 'stop value');
  const by = read(step, 'step size');
  const sign = compareDecimal(by, { coefficient: 0n, scale: 0 });
  if (sign === 0) throw stepZero();
  for (let at = from; compareDecimal(at, to) * sign <= 0; at = addDecimal(at, by))
    yield [encodeNumeric(at)];
}

type AddInterval = (micros: bigint, step: ReturnType<typeof decodeInterval>) => bigint;

function* instants([start, stop, step]: readonly Datum[], add: AddInterval): Iterable<Row> {
  if (start === null || stop === null || step === null) return;
  const by = decodeInterval(step as Uint8Array);
  const span = intervalSpan(by);
  if (span === 0n) throw stepZero();
  const to = stop as bigint;
  for (let at = start as bigint; span > 0n ? at <= to : at >= to; at = add(at, by)) yield [at];
}

function* unnested([types, array]: readonly Datum[]): Iterable<Row> {
  if (array === null) return;
  const [type] = readTypes(types as string);
  for (const value of flatten(decodeArray(array as string, type!.base))) yield [value];
}

function* subscripts([types, array, number, reverse]: readonly Datum[]): Iterable<Row> {
  if (array === null || number === null) return;
  const [type] = readTypes(types as string);
  let values = decodeArray(array as string, type!.base);
  for (let level = 1n; level < (number as bigint); level += 1n) {
    values = (values[0] ?? []) as typeof values;
  }
  const count = values.length;
  for (let at = 1; at <= count; at += 1) yield [BigInt(reverse === 1n ? count - at + 1 : at)];
}

/** Several functions side by side; the widths say how many columns each has. */
function* zippedRows([widths, ...packed]: readonly Datum[]): Iterable<Row> {
  const sizes = (widths as string).split(',').map(Number);
  const sets = sizes.map((_, at) => unpack(packed[at] ?? null));
  const count = Math.max(...sets.map((rows) => rows.length));
  for (let at = 0; at < count; at += 1) {
    yield sets.flatMap((rows, set) => rows[at] ?? Array<null>(sizes[set]!).fill(null));
  }
}

function orNull(value: Datum): Datum {
  return value instanceof Uint8Array ? null : value;
}

const table = (
  parameters: number,
  rows: SetReturning['rows'],
  columns = 1,
  typed = false,
): SetReturning => ({ parameters, rows, columns, typed });

export const SERIES: Readonly<Record<string, SetReturning>> = {
  generate_series_int4: table(2, integers),
  generate_series_int8: table(2, integers),
  generate_series_step_int4: table(3, integers),
  generate_series_step_int8: table(3, integers),
  generate_series_numeric: table(2, numerics),
  generate_series_step_numeric: table(3, numerics),
  generate_series_timestamp: table(3, (args) => instants(args, timestampPlusInterval)),
  generate_series_timestamptz: table(3, (args, session) => {
    const zone = parseZone(session.values.timeZone);
    return instants(args, (micros, step) => timestamptzPlusInterval(micros, step, zone));
  }),
  array_unnest: table(2, unnested, 1, true),
  generate_subscripts_nodir: table(3, subscripts, 1, true),
  generate_subscripts: table(4, subscripts, 1, true),
  json_array_elements: table(1, (args) => elementRows(args, false)),
  json_array_elements_text: table(1, (args) => elementRows(args, true)),
  jsonb_array_elements: table(1, (args) => elementRows(args, false)),
  jsonb_array_elements_text: table(1, (args) => elementRows(args, true)),
  json_each: table(1, (args) => memberRows(args, false), 2),
  json_each_text: table(1, (args) => memberRows(args, true), 2),
  jsonb_each: table(1, (args) => memberRows(args, false), 2),
  jsonb_each_text: table(1, (args) => memberRows(args, true), 2),
  json_object_keys: table(1, (args) => keyRows(args, 'json_object_keys')),
  jsonb_object_keys: table(1, (args) => keyRows(args, 'jsonb_object_keys')),
  regexp_matches: table(3, matchRows),
  regexp_matches_no_flags: table(2, ([text, pattern]) => matchRows([text!, pattern!, ''])),
  regexp_split_to_table: table(3, splitRows),
  regexp_split_to_table_no_flags: table(2, ([text, pattern]) => splitRows([text!, pattern!, ''])),
  text_to_table: { ...table(2, (args) => tableRows(args.map(orNull))), nullable: true },
  text_to_table_null: { ...table(3, (args) => tableRows(args.map(orNull))), nullable: true },
  json_records: table(4, recordRows, PACKED_COLUMNS),
  zip: table(9, zippedRows, PACKED_COLUMNS),
  unpack: table(1, ([packed]) => unpack(packed ?? null), PACKED_COLUMNS),
};

/** All rows of a set-returning function in one value. */
export const SET_ROWS: FunctionTable = {
  set_rows: {
    nullable: true,
    impl: ([name, ...args], session) => pack([...SERIES[name as string]!.rows(args, session)]),
  },
};
