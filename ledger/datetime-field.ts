// Fields of dates, times and intervals: extract, date_part, date_trunc, make_*. Pure.
//
// Zone-free: a timestamptz is given as local time by those who know the zone.

import * as datetime from './datetime.ts';
import type { Interval } from './datetime.ts';
import { SqlError } from './error.ts';
import type { Decimal } from './numeric.ts';
import { addDecimal, divideDecimal, integerToDecimal } from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';

export type Field =
  | 'microseconds' | 'milliseconds' | 'second' | 'minute' | 'hour' | 'day' | 'month' | 'quarter' | 'week' | 'year'
  | 'decade' | 'century' | 'millennium' | 'julian' | 'isoyear' | 'dow' | 'isodow' | 'doy' | 'epoch'
  | 'timezone' | 'timezone_hour' | 'timezone_minute'; // prettier-ignore

// prettier-ignore
const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ...['us', 'usec', 'usecs', 'usecond', 'useconds', 'microsecond', 'microseconds', 'microsecon'].map((name): [string, Field] => [name, 'microseconds']),
  ...['ms', 'msec', 'msecs', 'msecond', 'mseconds', 'millisecond', 'milliseconds', 'millisecon'].map((name): [string, Field] => [name, 'milliseconds']),
  ...['s', 'sec', 'secs', 'second', 'seconds'].map((name): [string, Field] => [name, 'second']),
  ...['m', 'min', 'mins', 'minute', 'minutes'].map((name): [string, Field] => [name, 'minute']),
  ...['h', 'hr', 'hrs', 'hour', 'hours'].map((name): [string, Field] => [name, 'hour']),
  ...['d', 'day', 'days'].map((name): [string, Field] => [name, 'day']),
  ...['w', 'week', 'weeks'].map((name): [string, Field] => [name, 'week']),
  ...['mon', 'mons', 'month', 'months'].map((name): [string, Field] => [name, 'month']),
  ...['qtr', 'quarter'].map((name): [string, Field] => [name, 'quarter']),
  ...['y', 'yr', 'yrs', 'year', 'years'].map((name): [string, Field] => [name, 'year']),
  ...['dec', 'decs', 'decade', 'decades'].map((name): [string, Field] => [name, 'decade']),
  ...['c', 'cent', 'century', 'centuries'].map((name): [string, Field] => [name, 'century']),
  ...['mil', 'mils', 'millennia', 'millennium'].map((name): [string, Field] => [name, 'millennium']),
  ...(
    ['julian', 'isoyear', 'dow', 'isodow', 'doy', 'epoch', 'timezone', 'timezone_hour', 'timezone_minute'] as const
  ).map((name): [string, Field] => [name, name]),
  ['j', 'julian'], ['jd', 'julian'],
  ['timezone_h', 'timezone_hour'], ['timezone_m', 'timezone_minute'],
]);

/** The type's name, as messages say it. */
export type FieldOwner =
  | 'date' | 'time without time zone' | 'time with time zone' | 'timestamp without time zone'
  | 'timestamp with time zone' | 'interval'; // prettier-ignore

/** @throws SqlError 22023 for a unit nobody knows */
export function fieldOf(unit: string, owner: FieldOwner): Field {
  const field = FIELDS.get(unit.toLowerCase());
  if (field === undefined) throw unrecognized(unit, owner);
  return field;
}

function unrecognized(unit: string, owner: FieldOwner): SqlError {
  return new SqlError(
    SQLSTATE.invalidParameterValue,
    `unit "${unit}" not recognized for type ${owner}`,
  );
}

function unsupported(unit: string, owner: FieldOwner): SqlError {
  return new SqlError(
    SQLSTATE.featureNotSupported,
    `unit "${unit}" not supported for type ${owner}`,
  );
}

function decimal(value: number | bigint): Decimal {
  return integerToDecimal(BigInt(value));
}

/** Microseconds as a number of seconds (scale 6) or milliseconds (scale 3). */
function scaled(micros: bigint, scale: number): Decimal {
  return { coefficient: micros, scale };
}

/** A field of a time of day; `undefined` when it has none such. */
function timeField(field: Field, time: bigint): Decimal | undefined {
  switch (field) {
    case 'microseconds':
      return decimal(time % 60_000_000n);
    case 'milliseconds':
      return scaled(time % 60_000_000n, 3);
    case 'second':
      return scaled(time % 60_000_000n, 6);
    case 'minute':
      return decimal((time / 60_000_000n) % 60n);
    case 'hour':
      return decimal(time / 3_600_000_000n);
    default:
      return undefined;
  }
}

/** Century of a year, counting from 1 and -1. */
function century(year: number, length: number): number {
  return year > 0
    ? Math.floor((year + length - 1) / length)
    : -Math.floor((length - 1 - (year - 1)) / length);
}

/** Years before 1 AD are shown without a year 0. */
function shownYear(year: number): number {
  return year > 0 ? year : year - 1;
}

function dateField(field: Field, days: number): Decimal | undefined {
  const { year, month, day } = datetime.civilFromDays(days);
  switch (field) {
    case 'day':
      return decimal(day);
    case 'month':
      return decimal(month);
    case 'quarter':
      return decimal(Math.floor((month - 1) / 3) + 1);
    case 'week':
      return decimal(datetime.isoWeek(days).week);
    case 'year':
      return decimal(shownYear(year));
    case 'isoyear':
      return decimal(shownYear(datetime.isoWeek(days).year));
    case 'decade':
      return decimal(Math.floor(year / 10));
    case 'century':
      return decimal(century(year, 100));
    case 'millennium':
      return decimal(century(year, 1000));
    case 'dow':
      return decimal(datetime.dayOfWeek(days));
    case 'isodow':
      return decimal(datetime.dayOfWeek(days) || 7);
    case 'doy':
      return decimal(days - datetime.daysFromCivil(year, 1, 1) + 1);
    case 'julian':
      return decimal(days + datetime.JULIAN_EPOCH);
    default:
      return undefined;
  }
}

/** What an infinite timestamp answers: fields that only grow are infinite, the others NULL. */
function infiniteField(field: Field, positive: boolean): Decimal | null {
  const growing = ['year', 'decade', 'century', 'millennium', 'julian', 'isoyear', 'epoch'];
  if (!growing.includes(field)) return null;
  return positive ? 'Infinity' : '-Infinity';
}

/** extract(unit from timestamp). @throws SqlError 22023, 0A000 */
export function timestampField(unit: string, micros: bigint): Decimal | null {
  const owner = 'timestamp without time zone';
  const field = fieldOf(unit, owner);
  if (datetime.isInfiniteTimestamp(micros)) return infiniteField(field, micros > 0n);
  const { days, time } = datetime.splitTimestamp(micros);
  if (field === 'epoch') return scaled(micros + datetime.UNIX_EPOCH_MICROS, 6);
  if (field === 'julian') {
    const part = divideDecimal(decimal(time), decimal(datetime.MICROS_PER_DAY));
    return addDecimal(decimal(days + datetime.JULIAN_EPOCH), part);
  }
  const value = timeField(field, time) ?? dateField(field, days);
  if (value === undefined) throw unsupported(unit, owner);
  return value;
}

/** extract(unit from date). @throws SqlError 22023, 0A000 */
export function dateFieldOf(unit: string, days: bigint): Decimal | null {
  const field = fieldOf(unit, 'date');
  const infinite = datetime.isInfiniteDate(days);
  const value =
    field === 'epoch'
      ? decimal((days + 10_957n) * 86_400n)
      : dateField(field, infinite ? 0 : Number(days));
  if (value === undefined) throw unsupported(unit, 'date');
  return infinite ? infiniteField(field, days > 0n) : value;
}

/** extract(unit from time). @throws SqlError 22023, 0A000 */
export function timeFieldOf(unit: string, time: bigint): Decimal {
  const owner = 'time without time zone';
  const field = fieldOf(unit, owner);
  const value = field === 'epoch' ? scaled(time, 6) : timeField(field, time);
  if (value === undefined) throw unsupported(unit, owner);
  return value;
}

/** extract(unit from timetz). @throws SqlError 22023, 0A000 */
export function timeTzFieldOf(unit: string, value: datetime.TimeTz): Decimal {
  const owner = 'time with time zone';
  const field = fieldOf(unit, owner);
  const east = -value.west;
  switch (field) {
    case 'epoch':
      return scaled(value.micros + BigInt(value.west) * datetime.MICROS_PER_SECOND, 6);
    case 'timezone':
      return decimal(east);
    case 'timezone_hour':
      return decimal(Math.trunc(east / 3600));
    case 'timezone_minute':
      return decimal(Math.trunc(east / 60) % 60);
    default: {
      const found = timeField(field, value.micros);
      if (found === undefined) throw unsupported(unit, owner);
      return found;
    }
  }
}

/** extract(unit from interval): an interval's fields are those it prints. @throws SqlError 22023, 0A000 */
export function intervalField(unit: string, value: Interval): Decimal {
  const field = fieldOf(unit, 'interval');
  const years = Math.trunc(value.months / 12);
  switch (field) {
    case 'day':
      return decimal(value.days);
    case 'month':
      return decimal(value.months % 12);
    case 'quarter':
      return decimal(Math.trunc((value.months % 12) / 3) + 1);
    case 'year':
      return decimal(years);
    case 'decade':
      return decimal(Math.trunc(years / 10));
    case 'century':
      return decimal(Math.trunc(years / 100));
    case 'millennium':
      return decimal(Math.trunc(years / 1000));
    case 'epoch': {
      // A year has 365.25 days here, a month 30.
      const quarterDays =
        BigInt(years) * 1461n + BigInt((value.months % 12) * 30 + value.days) * 4n;
      return scaled((quarterDays * datetime.MICROS_PER_DAY) / 4n + value.micros, 6);
    }
    default: {
      const found = timeField(field, value.micros);
      if (found === undefined) throw unsupported(unit, 'interval');
      return found;
    }
  }
}

/** Fields that are no units one could cut at. */
const NO_UNITS: ReadonlySet<Field> = new Set([
  'dow',
  'isodow',
  'doy',
  'epoch',
  'isoyear',
  'julian',
]);

function unitOf(unit: string, owner: FieldOwner): Field {
  const field = fieldOf(unit, owner);
  if (NO_UNITS.has(field)) throw unrecognized(unit, owner);
  return field;
}

const TIME_UNITS: Partial<Record<Field, bigint>> = {
  microseconds: 1n,
  milliseconds: 1_000n,
  second: 1_000_000n,
  minute: 60_000_000n,
  hour: 3_600_000_000n,
};

/** date_trunc(unit, timestamp). @throws SqlError 22023, 0A000 */
export function truncateTimestamp(unit: string, micros: bigint): bigint {
  const owner = 'timestamp without time zone';
  if (datetime.isInfiniteTimestamp(micros)) return micros;
  const field = unitOf(unit, owner);
  const { days, time } = datetime.splitTimestamp(micros);
  const step = TIME_UNITS[field];
  if (step !== undefined) return micros - (time % step);
  const start = firstDay(field, days);
  if (start === undefined) throw unsupported(unit, owner);
  return BigInt(start) * datetime.MICROS_PER_DAY;
}

function firstDay(field: Field, days: number): number | undefined {
  const { year, month } = datetime.civilFromDays(days);
  const centuryStart = (length: number): number =>
    year > 0 ? Math.floor((year + length - 1) / length) * length - (length - 1)
      : -(Math.floor((length - 1 - (year - 1)) / length) * length) + 1; // prettier-ignore
  switch (field) {
    case 'day':
      return days;
    case 'week':
      return days - ((datetime.dayOfWeek(days) + 6) % 7);
    case 'month':
      return datetime.daysFromCivil(year, month, 1);
    case 'quarter':
      return datetime.daysFromCivil(year, month - ((month - 1) % 3), 1);
    case 'year':
      return datetime.daysFromCivil(year, 1, 1);
    case 'decade':
      return datetime.daysFromCivil(Math.floor(year / 10) * 10, 1, 1);
    case 'century':
      return datetime.daysFromCivil(centuryStart(100), 1, 1);
    case 'millennium':
      return datetime.daysFromCivil(centuryStart(1000), 1, 1);
    default:
      return undefined;
  }
}

/** date_trunc(unit, interval). @throws SqlError 22023, 0A000 */
export function truncateInterval(unit: string, value: Interval): Interval {
  const field = unitOf(unit, 'interval');
  const step = TIME_UNITS[field];
  if (step !== undefined) {
    return datetime.interval(value.months, value.days, value.micros - (value.micros % step));
  }
  if (field === 'day') return datetime.interval(value.months, value.days, 0n);
  const months = { month: 1, quarter: 3, year: 12, decade: 120, century: 1200, millennium: 12_000 };
  const count = (months as Partial<Record<Field, number>>)[field];
  if (count !== undefined)
    return datetime.interval(Math.trunc(value.months / count) * count, 0, 0n);
  if (field === 'week') {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      `unit "${unit}" not supported for type interval`,
      {
        detail: 'Months usually have fractional weeks.',
      },
    );
  }
  throw unsupported(unit, 'interval');
}

function invalidDate(year: bigint, month: bigint, day: bigint): SqlError {
  const two = (value: bigint): string => String(value).padStart(2, '0');
  return new SqlError(
    SQLSTATE.datetimeFieldOverflow,
    `date field value out of range: ${year}-${two(month)}-${two(day)}`,
  );
}

/** make_date(); negative years are BC. @throws SqlError 22008 */
export function makeDate(year: bigint, month: bigint, day: bigint): bigint {
  const astronomical = Number(year < 0n ? year + 1n : year);
  const valid =
    year !== 0n &&
    month >= 1n &&
    month <= 12n &&
    day >= 1n &&
    day <= BigInt(datetime.daysInMonth(astronomical, Number(month)));
  if (!valid) throw invalidDate(year < 0n ? BigInt(astronomical) : year, month, day);
  const days = datetime.daysFromCivil(astronomical, Number(month), Number(day));
  if (datetime.dateInRange(days)) return BigInt(days);
  throw new SqlError(
    SQLSTATE.datetimeFieldOverflow,
    `date out of range: ${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`,
  );
}

/** make_time(). @throws SqlError 22008 */
export function makeTime(hour: bigint, minute: bigint, second: number): bigint {
  // NaN is in no range.
  const inRange =
    hour >= 0n && hour <= 24n && minute >= 0n && minute <= 59n && second >= 0 && second <= 60;
  if (inRange) {
    const total = (hour * 60n + minute) * 60_000_000n + BigInt(Math.round(second * 1e6));
    if (total <= datetime.MICROS_PER_DAY) return total;
  }
  const seconds = String(Number(second.toPrecision(6))).padStart(2, '0');
  throw new SqlError(
    SQLSTATE.datetimeFieldOverflow,
    `time field value out of range: ${hour}:${String(minute).padStart(2, '0')}:${seconds}`,
  );
}

/** date_part('epoch', interval), summed in floats as Postgres does it. */
export function intervalEpoch(value: Interval): number {
  let seconds = Number(value.micros) / 1e6;
  seconds += 365.25 * 86_400 * Math.trunc(value.months / 12);
  seconds += 30 * 86_400 * (value.months % 12);
  return seconds + 86_400 * value.days;
}
