// Values as text for the details of constraint errors. Pure.
//
// The detail is part of the receipt, so every node must write the same: dates are ISO, times are UTC, bytes
// are hexadecimal, whatever the session's settings.

import { decodeArray, formatArrayLiteral } from '../ledger/array-value.ts';
import {
  DATE_INFINITY,
  DATE_MINUS_INFINITY,
  MICROS_PER_DAY,
  MICROS_PER_SECOND,
} from '../ledger/datetime.ts';
import { TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, civilFromDays } from '../ledger/datetime.ts';
import { decodeInterval, decodeTimeTz } from '../ledger/datetime.ts';
import { decodeNumeric, formatNumeric, formatScaled } from '../ledger/numeric.ts';
import { formatFloat4, formatFloat8 } from '../ledger/float.ts';
import { numericScale } from '../ledger/type.ts';
import { hex } from '../ledger/bytes.ts';
import type { Float } from '../ledger/float.ts';
import type { Datum, SqlType } from '../ledger/type.ts';

/** Bytes of a value shown in "Failing row contains"; Postgres' own limit. */
const ROW_VALUE_CHARACTERS_MAX = 64;

/** `(1, null, abc)`, as "Failing row contains" shows it. */
export function describeRow(values: readonly Datum[], types: readonly SqlType[]): string {
  const shown = values.map((value, i) => {
    const text = describeValue(value, types[i]!);
    return text.length > ROW_VALUE_CHARACTERS_MAX
      ? `${text.slice(0, ROW_VALUE_CHARACTERS_MAX)}...`
      : text;
  });
  return `(${shown.join(', ')})`;
}

/** One value as text; NULL is `null`. */
export function describeValue(value: Datum, type: SqlType): string {
  if (value === null) return 'null';
  if (type.array) {
    const element = { ...type, array: false };
    return formatArrayLiteral(decodeArray(value as string, type.base), (item) =>
      describeValue(item, element),
    );
  }
  const scale = numericScale(type);
  if (typeof value === 'bigint') {
    if (scale !== null) return formatScaled(value, scale);
    return describeInteger(value, type);
  }
  if (type.base === 'float4') return formatFloat4(value as Float);
  if (type.base === 'float8') return formatFloat8(value as Float);
  if (value instanceof Uint8Array) return describeBytes(value, type);
  return type.base === 'bpchar' ? padded(value as string, type.typmod) : String(value);
}

/** char(n) with its blanks, which are not stored; lengths are in characters. */
function padded(text: string, typmod: number): string {
  return text + ' '.repeat(Math.max(typmod - 4 - [...text].length, 0));
}

function describeInteger(value: bigint, type: SqlType): string {
  switch (type.base) {
    case 'bool':
      return value === 0n ? 'f' : 't';
    case 'date':
      if (value === DATE_INFINITY) return 'infinity';
      if (value === DATE_MINUS_INFINITY) return '-infinity';
      return withEra(value, '');
    case 'time':
      return timeOfDay(value);
    case 'timestamp':
    case 'timestamptz': {
      if (value === TIMESTAMP_INFINITY) return 'infinity';
      if (value === TIMESTAMP_MINUS_INFINITY) return '-infinity';
      const time = ((value % MICROS_PER_DAY) + MICROS_PER_DAY) % MICROS_PER_DAY;
      const zone = type.base === 'timestamptz' ? '+00' : '';
      return withEra((value - time) / MICROS_PER_DAY, ` ${timeOfDay(time)}${zone}`);
    }
    default:
      return value.toString();
  }
}

function describeBytes(value: Uint8Array, type: SqlType): string {
  switch (type.base) {
    case 'numeric':
      return formatNumeric(decodeNumeric(value));
    case 'uuid': {
      const digits = hex(value);
      const ends = [8, 12, 16, 20, 32];
      return ends.map((end, i) => digits.slice(ends[i - 1] ?? 0, end)).join('-');
    }
    case 'timetz': {
      const { micros, west } = decodeTimeTz(value);
      return timeOfDay(micros) + zoneOf(west);
    }
    case 'interval':
      return describeInterval(value);
    default:
      return `\\x${hex(value)}`;
  }
}

function two(value: number | bigint): string {
  return String(value).padStart(2, '0');
}

function withEra(days: bigint, rest: string): string {
  const { year, month, day } = civilFromDays(Number(days));
  const shown = String(year > 0 ? year : 1 - year).padStart(4, '0');
  return `${shown}-${two(month)}-${two(day)}${rest}${year > 0 ? '' : ' BC'}`;
}

/** hh:mm:ss and up to six decimals; `micros` is not negative. */
function timeOfDay(micros: bigint): string {
  const seconds = micros / MICROS_PER_SECOND;
  const fraction = String(micros % MICROS_PER_SECOND)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const clock = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`;
  return fraction === '' ? clock : `${clock}.${fraction}`;
}

function zoneOf(west: number): string {
  const east = Math.abs(west);
  const parts = [Math.floor(east / 3600), Math.floor(east / 60) % 60, east % 60];
  while (parts.length > 1 && parts[parts.length - 1] === 0) parts.pop();
  return (west > 0 ? '-' : '+') + parts.map(two).join(':');
}

/** IntervalStyle postgres. */
function describeInterval(bytes: Uint8Array): string {
  const { months, days, micros } = decodeInterval(bytes);
  const parts: string[] = [];
  let negative = false;
  const add = (count: number, unit: string): void => {
    if (count === 0) return;
    const sign = negative && count > 0 ? '+' : '';
    parts.push(`${sign}${count} ${unit}${count === 1 ? '' : 's'}`);
    negative = count < 0;
  };
  add(Math.trunc(months / 12), 'year');
  add(months % 12, 'mon');
  add(days, 'day');
  if (micros !== 0n || parts.length === 0) {
    const sign = micros < 0n ? '-' : negative ? '+' : '';
    parts.push(sign + timeOfDay(micros < 0n ? -micros : micros));
  }
  return parts.join(' ');
}
