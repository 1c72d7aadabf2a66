// Functions of dates, times and intervals that need no time zone, and of jsonb. Pure.

import * as datetime from './datetime.ts';
import * as field from './datetime-field.ts';
import { SqlError } from './error.ts';
import type { Float } from './float.ts';
import type { FunctionDefinition, FunctionTable } from './function.ts';
import { define, toBool } from './function.ts';
import { formatJson } from './jsonb.ts';
import * as jsonb from './jsonb-operation.ts';
import type { Decimal } from './numeric.ts';
import { decimalToDouble, encodeNumeric } from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';
import { applyTypmod } from './typmod.ts';
import type { BaseType, Datum } from './type.ts';
import { sqlType } from './type.ts';

function onInterval(impl: (value: datetime.Interval) => datetime.Interval): FunctionDefinition {
  return define(['interval'], 'interval', (value: Uint8Array) =>
    datetime.encodeInterval(impl(datetime.decodeInterval(value))),
  );
}

function onIntervals(
  impl: (left: datetime.Interval, right: datetime.Interval) => datetime.Interval,
): FunctionDefinition {
  return define(['interval', 'interval'], 'interval', (left: Uint8Array, right: Uint8Array) =>
    datetime.encodeInterval(impl(datetime.decodeInterval(left), datetime.decodeInterval(right))),
  );
}

function numberOrNull(value: Decimal | null): Datum {
  return value === null ? null : encodeNumeric(value);
}

function doubleOrNull(value: Decimal | null): Datum {
  return value === null ? null : decimalToDouble(value);
}

/** extract_x answers numeric, x_part float8. */
function fieldFunctions(
  base: BaseType,
  extract: string,
  part: string,
  impl: (unit: string, value: never) => Decimal | null,
): [string, FunctionDefinition][] {
  const read = impl as (unit: string, value: unknown) => Decimal | null;
  return [
    [extract, define(['text', base], 'numeric', (unit: string, value: bigint | Uint8Array) => numberOrNull(read(unit, value)))],
    [part, define(['text', base], 'float8', (unit: string, value: bigint | Uint8Array) => doubleOrNull(read(unit, value)))],
  ]; // prettier-ignore
}

/** time_scale and its like: the typmod of these types is the precision. */
function scale(
  base: 'time' | 'timetz' | 'timestamp' | 'timestamptz' | 'interval',
): FunctionDefinition {
  return define([base, 'int4'], base, (value: bigint | Uint8Array, typmod: bigint) =>
    applyTypmod(value, sqlType(base, Number(typmod)), true),
  );
}

function plus(micros: bigint, value: Uint8Array): bigint {
  return datetime.timestampPlusInterval(micros, datetime.decodeInterval(value));
}

function minus(micros: bigint, value: Uint8Array): bigint {
  const negative = datetime.negateInterval(datetime.decodeInterval(value));
  return datetime.timestampPlusInterval(micros, negative);
}

function times(value: Uint8Array, factor: Float): Uint8Array {
  return datetime.encodeInterval(
    datetime.scaleInterval(datetime.decodeInterval(value), Number(factor)),
  );
}

function at(days: bigint, time: bigint): bigint {
  const midnight = datetime.dateToTimestamp(days);
  if (datetime.isInfiniteTimestamp(midnight)) return midnight;
  return datetime.checkedTimestamp(midnight + time);
}

const ARITHMETIC: FunctionTable = {
  date_mi: define(['date', 'date'], 'int4', datetime.dateDifference),
  date_pli: define(['date', 'int4'], 'date', datetime.datePlusDays),
  date_mii: define(['date', 'int4'], 'date', (days: bigint, count: bigint) =>
    datetime.datePlusDays(days, -count),
  ),
  integer_pl_date: define(['int4', 'date'], 'date', (count: bigint, days: bigint) =>
    datetime.datePlusDays(days, count),
  ),
  date_pl_interval: define(['date', 'interval'], 'timestamp', (days: bigint, value: Uint8Array) =>
    plus(datetime.dateToTimestamp(days), value),
  ),
  date_mi_interval: define(['date', 'interval'], 'timestamp', (days: bigint, value: Uint8Array) =>
    minus(datetime.dateToTimestamp(days), value),
  ),
  datetime_timestamp: define(['date', 'time'], 'timestamp', at),
  timestamp_pl_interval: define(['timestamp', 'interval'], 'timestamp', plus),
  timestamp_mi_interval: define(['timestamp', 'interval'], 'timestamp', minus),
  timestamp_mi: define(['timestamp', 'timestamp'], 'interval', (left: bigint, right: bigint) =>
    datetime.encodeInterval(datetime.timestampDifference(left, right)),
  ),
  timestamp_age: define(['timestamp', 'timestamp'], 'interval', (left: bigint, right: bigint) =>
    datetime.encodeInterval(datetime.age(left, right)),
  ),
  time_pl_interval: define(['time', 'interval'], 'time', (time: bigint, value: Uint8Array) =>
    datetime.timePlusMicros(time, datetime.decodeInterval(value).micros),
  ),
  time_mi_interval: define(['time', 'interval'], 'time', (time: bigint, value: Uint8Array) =>
    datetime.timePlusMicros(time, -datetime.decodeInterval(value).micros),
  ),
  time_mi_time: define(['time', 'time'], 'interval', (left: bigint, right: bigint) =>
    datetime.encodeInterval(datetime.interval(0, 0, left - right)),
  ),
  interval_pl: onIntervals(datetime.addInterval),
  interval_mi: onIntervals((left, right) =>
    datetime.addInterval(left, datetime.negateInterval(right)),
  ),
  interval_um: onInterval(datetime.negateInterval),
  interval_mul: define(['interval', 'float8'], 'interval', times),
  mul_d_interval: define(['float8', 'interval'], 'interval', (factor: Float, value: Uint8Array) =>
    times(value, factor),
  ),
  interval_div: define(['interval', 'float8'], 'interval', (value: Uint8Array, by: Float) =>
    datetime.encodeInterval(
      datetime.scaleInterval(datetime.decodeInterval(value), Number(by), true),
    ),
  ),
  interval_justify_hours: onInterval(datetime.justifyHours),
  interval_justify_days: onInterval(datetime.justifyDays),
  interval_justify_interval: onInterval(datetime.justifyInterval),
};

const FIELDS: FunctionTable = Object.fromEntries([
  ...fieldFunctions('timestamp', 'extract_timestamp', 'timestamp_part', field.timestampField),
  ...fieldFunctions('date', 'extract_date', '', field.dateFieldOf).slice(0, 1),
  ...fieldFunctions('time', 'extract_time', 'time_part', field.timeFieldOf),
  ...fieldFunctions('timetz', 'extract_timetz', 'timetz_part', (unit: string, value: Uint8Array) =>
    field.timeTzFieldOf(unit, datetime.decodeTimeTz(value)),
  ),
  ...fieldFunctions(
    'interval',
    'extract_interval',
    'interval_part',
    (unit: string, value: Uint8Array) => field.intervalField(unit, datetime.decodeInterval(value)),
  ),
]);

const PARTS: FunctionTable = {
  // A function of SQL: the date is made a timestamp.
  date_part: define(['text', 'date'], 'float8', (unit: string, days: bigint) =>
    doubleOrNull(field.timestampField(unit, datetime.dateToTimestamp(days))),
  ),
  interval_part: define(['text', 'interval'], 'float8', (unit: string, value: Uint8Array) => {
    const decoded = datetime.decodeInterval(value);
    return field.fieldOf(unit, 'interval') === 'epoch'
      ? field.intervalEpoch(decoded)
      : doubleOrNull(field.intervalField(unit, decoded));
  }),
};

const CONVERSIONS: FunctionTable = {
  timestamp_trunc: define(['text', 'timestamp'], 'timestamp', field.truncateTimestamp),
  interval_trunc: define(['text', 'interval'], 'interval', (unit: string, value: Uint8Array) =>
    datetime.encodeInterval(field.truncateInterval(unit, datetime.decodeInterval(value))),
  ),
  date_timestamp: define(['date'], 'timestamp', datetime.dateToTimestamp),
  timestamp_date: define(['timestamp'], 'date', datetime.timestampToDate),
  timestamp_time: define(['timestamp'], 'time', (micros: bigint) =>
    datetime.isInfiniteTimestamp(micros) ? null : datetime.splitTimestamp(micros).time,
  ),
  time_interval: define(['time'], 'interval', (time: bigint) =>
    datetime.encodeInterval(datetime.interval(0, 0, time)),
  ),
  interval_time: define(['interval'], 'time', (value: Uint8Array) =>
    datetime.timePlusMicros(0n, datetime.decodeInterval(value).micros),
  ),
  timetz_time: define(
    ['timetz'],
    'time',
    (value: Uint8Array) => datetime.decodeTimeTz(value).micros,
  ),
  date_finite: define(['date'], 'bool', (days: bigint) => toBool(!datetime.isInfiniteDate(days))),
  timestamp_finite: define(['timestamp'], 'bool', (micros: bigint) =>
    toBool(!datetime.isInfiniteTimestamp(micros)),
  ),
  interval_finite: define(['interval'], 'bool', () => 1n),
  make_date: define(['int4', 'int4', 'int4'], 'date', field.makeDate),
  make_time: define(
    ['int4', 'int4', 'float8'],
    'time',
    (hour: bigint, minute: bigint, second: Float) => field.makeTime(hour, minute, Number(second)),
  ),
  make_timestamp: define(
    ['int4', 'int4', 'int4', 'int4', 'int4', 'float8'],
    'timestamp',
    (year: bigint, month: bigint, day: bigint, hour: bigint, minute: bigint, second: Float) =>
      at(field.makeDate(year, month, day), field.makeTime(hour, minute, Number(second))),
  ),
  make_interval: define(
    ['int4', 'int4', 'int4', 'int4', 'int4', 'int4', 'float8'],
    'interval',
    makeInterval,
    7,
  ),
  time_scale: scale('time'),
  timetz_scale: scale('timetz'),
  timestamp_scale: scale('timestamp'),
  timestamptz_scale: scale('timestamptz'),
  interval_scale: scale('interval'),
};

function makeInterval(
  years = 0n,
  months = 0n,
  weeks = 0n,
  days = 0n,
  hours = 0n,
  minutes = 0n,
  seconds: Float = 0,
): Uint8Array {
  if (seconds === 'NaN' || Math.abs(seconds) === Infinity) {
    throw new SqlError(SQLSTATE.datetimeFieldOverflow, 'interval out of range');
  }
  const micros = (hours * 60n + minutes) * 60_000_000n + BigInt(Math.round(seconds * 1e6));
  return datetime.encodeInterval(
    datetime.interval(Number(years * 12n + months), Number(weeks * 7n + days), micros),
  );
}

function jsonOrNull(value: Parameters<typeof formatJson>[0] | undefined): Datum {
  return value === undefined ? null : formatJson(value);
}

const JSONB: FunctionTable = {
  jsonb_object_field: define(['jsonb', 'text'], 'jsonb', (json: string, key: string) =>
    jsonOrNull(jsonb.fieldOf(json, key)),
  ),
  jsonb_object_field_text: define(['jsonb', 'text'], 'text', (json: string, key: string) =>
    jsonb.jsonText(jsonb.fieldOf(json, key)),
  ),
  jsonb_array_element: define(['jsonb', 'int4'], 'jsonb', (json: string, index: bigint) =>
    jsonOrNull(jsonb.elementOf(json, index)),
  ),
  jsonb_array_element_text: define(['jsonb', 'int4'], 'text', (json: string, index: bigint) =>
    jsonb.jsonText(jsonb.elementOf(json, index)),
  ),
  jsonb_contains: define(['jsonb', 'jsonb'], 'bool', (left: string, right: string) =>
    toBool(jsonb.containsJson(left, right)),
  ),
  jsonb_contained: define(['jsonb', 'jsonb'], 'bool', (left: string, right: string) =>
    toBool(jsonb.containsJson(right, left)),
  ),
  jsonb_exists: define(['jsonb', 'text'], 'bool', (json: string, key: string) =>
    toBool(jsonb.existsKey(json, key)),
  ),
  jsonb_concat: define(['jsonb', 'jsonb'], 'jsonb', jsonb.concatJson),
  jsonb_delete: define(['jsonb', 'text'], 'jsonb', jsonb.deleteKey),
  jsonb_delete_idx: define(['jsonb', 'int4'], 'jsonb', jsonb.deleteIndex),
  jsonb_typeof: define(['jsonb'], 'text', jsonb.jsonType),
  jsonb_array_length: define(['jsonb'], 'int4', jsonb.jsonLength),
  jsonb_strip_nulls: define(['jsonb'], 'jsonb', jsonb.stripNulls),
  json_typeof: define(['json'], 'text', jsonb.jsonType),
  json_array_length: define(['json'], 'int4', jsonb.jsonLength),
};

export const DATETIME_FUNCTIONS: FunctionTable = {
  ...ARITHMETIC,
  ...FIELDS,
  ...PARTS,
  ...CONVERSIONS,
};
export const JSONB_FUNCTIONS: FunctionTable = JSONB;
