// Calendar, dates, times and intervals as Postgres computes them. Pure.
//
// Days count from 2000-01-01, microseconds from 2000-01-01 00:00:00; the calendar is the proleptic Gregorian.
// Nothing here knows a time zone: what depends on one takes a ZoneOffset. Representations are those of
// ledger/type.ts; the two that are bytes:
//
//   timetz    8 bytes  time + west × 10^6 (the time in UTC), biased by 2^63, big-endian
//             4 bytes  seconds west of UTC, biased by 2^31, big-endian
//   interval  16 bytes microseconds with a month of 30 days and a day of 24 hours, biased by 2^127
//             8 bytes  microseconds, 4 bytes days, 4 bytes months, two's complement (Postgres' binary format)
//
// (1) memcmp of these is Postgres' order; two intervals are equal iff their first 16 bytes are.
// (2) Results outside Postgres' ranges are 22008, with its words.

import { SqlError } from './error.ts';
import { SQLSTATE } from './sqlstate.ts';

/** Seconds east of UTC that are in force at an instant (µs from 2000-01-01 UTC). */
export type ZoneOffset = (utcMicros: bigint) => number;

export interface Interval {
  /** int32 */
  readonly months: number;
  /** int32 */
  readonly days: number;
  /** int64 */
  readonly micros: bigint;
}

export interface TimeTz {
  /** Microseconds since midnight, local. */
  readonly micros: bigint;
  /** Seconds west of UTC. */
  readonly west: number;
}

export const MICROS_PER_SECOND = 1_000_000n;
export const MICROS_PER_DAY = 86_400_000_000n;
export const DATE_INFINITY = 2_147_483_647n;
export const DATE_MINUS_INFINITY = -2_147_483_648n;
export const TIMESTAMP_INFINITY = 9_223_372_036_854_775_807n;
export const TIMESTAMP_MINUS_INFINITY = -9_223_372_036_854_775_808n;
/** Microseconds from 1970-01-01 to 2000-01-01. */
export const UNIX_EPOCH_MICROS = 946_684_800_000_000n;
/** The Julian day of 2000-01-01. */
export const JULIAN_EPOCH = 2_451_545;
/** 4714-11-24 BC, and the first instant after 294276 AD. */
const TIMESTAMP_MIN = -211_813_488_000_000_000n;
const TIMESTAMP_END = 9_223_371_331_200_000_000n;
const DATE_MIN = -2_451_545;
const DATE_END = 2_145_031_949;
const INT32_MAX = 2_147_483_647;
const INT32_MIN = -2_147_483_648;

// ---- calendar ----

export interface CivilDate {
  /** Astronomical: 0 is 1 BC. */
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

/** Days from 2000-01-01. Any month number is carried into the year. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const carried = year + Math.floor((month - 1) / 12);
  const shifted = (((month - 1) % 12) + 12) % 12;
  const march = shifted < 2 ? carried - 1 : carried;
  const era = Math.floor(march / 400);
  const yearOfEra = march - era * 400;
  const dayOfYear = Math.floor((153 * ((shifted + 10) % 12) + 2) / 5) + day - 1;
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 730_425;
}

export function civilFromDays(days: number): CivilDate {
  const shifted = days + 730_425;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const fifth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * fifth + 2) / 5) + 1;
  const month = fifth < 10 ? fifth + 3 : fifth - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

export function leapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

export function daysInMonth(year: number, month: number): number {
  return month === 2 ? (leapYear(year) ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** 0 is Sunday. */
export function dayOfWeek(days: number): number {
  return (((days + 6) % 7) + 7) % 7;
}

/** ISO 8601 year and week of a day. */
export function isoWeek(days: number): { readonly year: number; readonly week: number } {
  const thursday = days - ((dayOfWeek(days) + 6) % 7) + 3;
  const { year } = civilFromDays(thursday);
  return { year, week: Math.floor((thursday - daysFromCivil(year, 1, 1)) / 7) + 1 };
}

/** Whole days (rounded down) and the microseconds left. */
export function splitTimestamp(micros: bigint): { readonly days: number; readonly time: bigint } {
  let days = micros / MICROS_PER_DAY;
  let time = micros - days * MICROS_PER_DAY;
  if (time < 0n) {
    days -= 1n;
    time += MICROS_PER_DAY;
  }
  return { days: Number(days), time };
}

export function isInfiniteDate(days: bigint): boolean {
  return days === DATE_INFINITY || days === DATE_MINUS_INFINITY;
}

export function isInfiniteTimestamp(micros: bigint): boolean {
  return micros === TIMESTAMP_INFINITY || micros === TIMESTAMP_MINUS_INFINITY;
}

/** @throws SqlError 22008 */
export function checkedTimestamp(micros: bigint): bigint {
  if (micros < TIMESTAMP_MIN || micros >= TIMESTAMP_END) throw outOfRange('timestamp');
  return micros;
}

/** @throws SqlError 22008 */
export function checkedDate(days: number): bigint {
  if (days < DATE_MIN || days >= DATE_END) throw outOfRange('date');
  return BigInt(days);
}

export function timestampInRange(micros: bigint): boolean {
  return micros >= TIMESTAMP_MIN && micros < TIMESTAMP_END;
}

export function dateInRange(days: number): boolean {
  return days >= DATE_MIN && days < DATE_END;
}

export function outOfRange(typeName: string): SqlError {
  return new SqlError(SQLSTATE.datetimeFieldOverflow, `${typeName} out of range`);
}

// ---- zones ----

/**
 * The instant of a local time. Where the clock jumps forward or back the later instant is taken, as Postgres
 * does: the offset before a gap, the offset after an overlap.
 */
export function localToUtc(local: bigint, zone: ZoneOffset): bigint {
  const before = zone(local - MICROS_PER_DAY);
  const after = zone(local + MICROS_PER_DAY);
  if (before === after) {
    const instant = local - BigInt(before) * MICROS_PER_SECOND;
    const actual = zone(instant);
    return actual === before ? instant : local - BigInt(actual) * MICROS_PER_SECOND;
  }
  const early = local - BigInt(before) * MICROS_PER_SECOND;
  const late = local - BigInt(after) * MICROS_PER_SECOND;
  const earlyHolds = zone(early) === before;
  const lateHolds = zone(late) === after;
  if (earlyHolds !== lateHolds) return earlyHolds ? early : late;
  return early > late ? early : late;
}

export function utcToLocal(instant: bigint, zone: ZoneOffset): bigint {
  return instant + BigInt(zone(instant)) * MICROS_PER_SECOND;
}

// ---- timetz and interval: bytes ----

export function encodeTimeTz(value: TimeTz): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  const utc = value.micros + BigInt(value.west) * MICROS_PER_SECOND;
  view.setBigUint64(0, BigInt.asUintN(64, utc + (1n << 63n)));
  view.setUint32(8, value.west + 0x8000_0000);
  return bytes;
}

export function decodeTimeTz(bytes: Uint8Array): TimeTz {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 12);
  const west = view.getUint32(8) - 0x8000_0000;
  const utc = view.getBigUint64(0) - (1n << 63n);
  return { micros: utc - BigInt(west) * MICROS_PER_SECOND, west };
}

const INTERVAL_BIAS = 1n << 127n;

/** The number Postgres compares intervals by: months of 30 days, days of 24 hours, in microseconds. */
export function intervalSpan(value: Interval): bigint {
  return value.micros + (BigInt(value.months) * 30n + BigInt(value.days)) * MICROS_PER_DAY;
}

export function encodeInterval(value: Interval): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  const key = intervalSpan(value) + INTERVAL_BIAS;
  view.setBigUint64(0, key >> 64n);
  view.setBigUint64(8, BigInt.asUintN(64, key));
  view.setBigInt64(16, value.micros);
  view.setInt32(24, value.days);
  view.setInt32(28, value.months);
  return bytes;
}

export function decodeInterval(bytes: Uint8Array): Interval {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
  return { micros: view.getBigInt64(16), days: view.getInt32(24), months: view.getInt32(28) };
}

/** @throws SqlError 22008 when a field is out of its range */
export function interval(months: number, days: number, micros: bigint): Interval {
  if (
    months > INT32_MAX ||
    months < INT32_MIN ||
    days > INT32_MAX ||
    days < INT32_MIN ||
    BigInt.asIntN(64, micros) !== micros
  ) {
    throw outOfRange('interval');
  }
  // No minus zero: it would print as one.
  return { months: months + 0, days: days + 0, micros };
}

// ---- arithmetic ----

export function addInterval(left: Interval, right: Interval): Interval {
  return interval(left.months + right.months, left.days + right.days, left.micros + right.micros);
}

export function negateInterval(value: Interval): Interval {
  return interval(-value.months, -value.days, -value.micros);
}

/** As rint(x × 10^6) / 10^6, Postgres' TSROUND. */
function roundMicros(value: number): number {
  return roundEven(value * 1e6) / 1e6;
}

function roundEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Times (or, with `divide`, over) a number. The fraction of a month spills into days, of a day into time. */
export function scaleInterval(value: Interval, factor: number, divide = false): Interval {
  const by = (field: number): number => (divide ? field / factor : field * factor);
  if (divide && factor === 0) throw new SqlError(SQLSTATE.divisionByZero, 'division by zero');
  const exactMonths = by(value.months);
  const exactDays = by(value.days);
  if (Number.isNaN(exactMonths) || Number.isNaN(exactDays)) throw outOfRange('interval');
  const months = Math.trunc(exactMonths);
  let days = Math.trunc(exactDays);
  const monthDays = roundMicros((exactMonths - months) * 30);
  let seconds = roundMicros((exactDays - days + monthDays - Math.trunc(monthDays)) * 86_400);
  if (Math.abs(seconds) >= 86_400) {
    const whole = Math.trunc(seconds / 86_400);
    days += whole;
    seconds -= whole * 86_400;
  }
  days += Math.trunc(monthDays);
  const micros = roundEven(by(Number(value.micros)) + seconds * 1e6);
  if (!Number.isFinite(micros)) throw outOfRange('interval');
  return interval(months, days, BigInt(micros));
}

/** Adds months (the day clamped to the month's end), then days, then time. @throws SqlError 22008 */
export function timestampPlusInterval(micros: bigint, value: Interval): bigint {
  if (isInfiniteTimestamp(micros)) return micros;
  return checkedTimestamp(plusMonthsAndDays(micros, value) + value.micros);
}

function plusMonthsAndDays(micros: bigint, value: Interval): bigint {
  const { days: start, time } = splitTimestamp(micros);
  let days = start;
  if (value.months !== 0) {
    const civil = civilFromDays(start);
    const month = civil.month - 1 + value.months;
    const year = civil.year + Math.floor(month / 12);
    const monthOfYear = (((month % 12) + 12) % 12) + 1;
    days = daysFromCivil(year, monthOfYear, Math.min(civil.day, daysInMonth(year, monthOfYear)));
  }
  return checkedTimestamp(BigInt(days + value.days) * MICROS_PER_DAY + time);
}

/** As above for timestamptz: months and days are added to the local time, the rest to the instant. */
export function timestamptzPlusInterval(micros: bigint, value: Interval, zone: ZoneOffset): bigint {
  if (isInfiniteTimestamp(micros)) return micros;
  let instant = micros;
  if (value.months !== 0 || value.days !== 0) {
    instant = localToUtc(plusMonthsAndDays(utcToLocal(micros, zone), value), zone);
  }
  return checkedTimestamp(instant + value.micros);
}

/** Difference of two timestamps: days and time. @throws SqlError 22008 for infinities, as Postgres 15 */
export function timestampDifference(left: bigint, right: bigint): Interval {
  if (isInfiniteTimestamp(left) || isInfiniteTimestamp(right)) {
    throw new SqlError(SQLSTATE.datetimeFieldOverflow, 'cannot subtract infinite timestamps');
  }
  return justifyHours(interval(0, 0, left - right));
}

/** @throws SqlError 22008 */
export function dateDifference(left: bigint, right: bigint): bigint {
  if (isInfiniteDate(left) || isInfiniteDate(right)) {
    throw new SqlError(SQLSTATE.datetimeFieldOverflow, 'cannot subtract infinite dates');
  }
  return left - right;
}

/** @throws SqlError 22008 */
export function datePlusDays(days: bigint, count: bigint): bigint {
  return isInfiniteDate(days) ? days : checkedDate(Number(days + count));
}

/** Midnight of a date. @throws SqlError 22008 */
export function dateToTimestamp(days: bigint): bigint {
  if (days === DATE_INFINITY) return TIMESTAMP_INFINITY;
  if (days === DATE_MINUS_INFINITY) return TIMESTAMP_MINUS_INFINITY;
  const micros = days * MICROS_PER_DAY;
  if (micros >= TIMESTAMP_END) {
    throw new SqlError(SQLSTATE.datetimeFieldOverflow, 'date out of range for timestamp');
  }
  return micros;
}

export function timestampToDate(micros: bigint): bigint {
  if (micros === TIMESTAMP_INFINITY) return DATE_INFINITY;
  if (micros === TIMESTAMP_MINUS_INFINITY) return DATE_MINUS_INFINITY;
  return BigInt(splitTimestamp(micros).days);
}

/** A time of day plus an interval's time, around midnight. */
export function timePlusMicros(time: bigint, micros: bigint): bigint {
  const sum = (time + micros) % MICROS_PER_DAY;
  return sum < 0n ? sum + MICROS_PER_DAY : sum;
}

// ---- justify ----

/** Microseconds of 24 hours become days; signs agree afterwards. */
export function justifyHours(value: Interval): Interval {
  let days = value.days + Number(value.micros / MICROS_PER_DAY);
  let micros = value.micros % MICROS_PER_DAY;
  if (days > 0 && micros < 0n) {
    micros += MICROS_PER_DAY;
    days--;
  } else if (days < 0 && micros > 0n) {
    micros -= MICROS_PER_DAY;
    days++;
  }
  return interval(value.months, days, micros);
}

/** Thirty days become a month; signs agree afterwards. */
export function justifyDays(value: Interval): Interval {
  let months = value.months + Math.trunc(value.days / 30);
  let days = value.days % 30;
  if (months > 0 && days < 0) {
    days += 30;
    months--;
  } else if (months < 0 && days > 0) {
    days -= 30;
    months++;
  }
  return interval(months, days, value.micros);
}

export function justifyInterval(value: Interval): Interval {
  let { months, days, micros } = value;
  const carried = Number(micros / MICROS_PER_DAY);
  micros %= MICROS_PER_DAY;
  days += carried;
  months += Math.trunc(days / 30);
  days %= 30;
  if (months > 0 && (days < 0 || (days === 0 && micros < 0n))) {
    days += 30;
    months--;
  } else if (months < 0 && (days > 0 || (days === 0 && micros > 0n))) {
    days -= 30;
    months++;
  }
  if (days > 0 && micros < 0n) {
    micros += MICROS_PER_DAY;
    days--;
  } else if (days < 0 && micros > 0n) {
    micros -= MICROS_PER_DAY;
    days++;
  }
  return interval(months, days, micros);
}

/** The difference in years, months, days and time, as age() counts it. */
export function age(left: bigint, right: bigint): Interval {
  if (isInfiniteTimestamp(left) || isInfiniteTimestamp(right)) throw outOfRange('timestamp');
  const negative = left < right;
  const [late, early] = negative ? [right, left] : [left, right];
  const from = splitTimestamp(early);
  const to = splitTimestamp(late);
  const start = civilFromDays(from.days);
  const end = civilFromDays(to.days);
  let micros = to.time - from.time;
  let days = end.day - start.day;
  let months = (end.year - start.year) * 12 + end.month - start.month;
  if (micros < 0n) {
    micros += MICROS_PER_DAY;
    days--;
  }
  if (days < 0) {
    // Postgres borrows the length of the month the earlier date lies in.
    days += daysInMonth(start.year, start.month);
    months--;
  }
  const result = interval(months, days, micros);
  return negative ? negateInterval(result) : result;
}

// ---- precision ----

/** Rounds microseconds to `precision` digits of a second (0 … 6), half away from zero. */
export function roundToPrecision(micros: bigint, precision: number): bigint {
  if (precision < 0 || precision >= 6) return micros;
  const unit = 10n ** BigInt(6 - precision);
  const half = unit / 2n;
  return micros >= 0n ? ((micros + half) / unit) * unit : -(((-micros + half) / unit) * unit);
}

/** Bits of the upper half of an interval's typmod; the lower half is the precision. */
const RANGE_YEAR = 1 << 2;
const RANGE_DAY = 1 << 3;
const RANGE_HOUR = 1 << 10;
const RANGE_MINUTE = 1 << 11;
const RANGE_SECOND = 1 << 12;
const RANGE_FULL = 0x7fff;
const PRECISION_FULL = 0xffff;

/** Cuts an interval to its typmod's fields and precision. */
export function limitInterval(value: Interval, typmod: number): Interval {
  if (typmod < 0) return value;
  const range = (typmod >> 16) & RANGE_FULL;
  const precision = typmod & PRECISION_FULL;
  let { months, days, micros } = value;
  if (range !== RANGE_FULL && !(range & RANGE_SECOND)) {
    const unit = range & RANGE_MINUTE ? 60_000_000n : 3_600_000_000n;
    micros = range & (RANGE_MINUTE | RANGE_HOUR) ? (micros / unit) * unit : 0n;
    if (!(range & (RANGE_DAY | RANGE_HOUR | RANGE_MINUTE))) days = 0;
    if (range === RANGE_YEAR) months = Math.trunc(months / 12) * 12;
  }
  if (precision < 6) {
    const unit = 10n ** BigInt(6 - precision);
    const half = micros < 0n ? -(unit / 2n) : unit / 2n;
    micros = ((micros + half) / unit) * unit;
  }
  return interval(months, days, micros);
}
