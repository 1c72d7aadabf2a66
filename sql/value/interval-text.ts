// Reading and printing intervals. Pure.
//
// (1) Reading walks the fields from right to left, as Postgres does: a unit stands after its number, and a bare
//     number before a time is days.
// (2) Errors: 22007 for what is no interval, 22015 for a field out of range.

import type { Interval } from '../../ledger/datetime.ts';
import { interval, MICROS_PER_SECOND } from '../../ledger/datetime.ts';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ValueContext } from './context.ts';
import { fractionText } from './datetime-output.ts';

type Unit =
  | 'microsecond' | 'millisecond' | 'second' | 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year'
  | 'decade' | 'century' | 'millennium'; // prettier-ignore

// prettier-ignore
const UNITS: ReadonlyMap<string, Unit> = new Map<string, Unit>([
  ['us', 'microsecond'], ['usec', 'microsecond'], ['usecs', 'microsecond'], ['usecond', 'microsecond'],
  ['useconds', 'microsecond'], ['microsecond', 'microsecond'], ['microseconds', 'microsecond'], ['microsecon', 'microsecond'],
  ['ms', 'millisecond'], ['msec', 'millisecond'], ['msecs', 'millisecond'], ['mseconds', 'millisecond'],
  ['msecond', 'millisecond'], ['millisecond', 'millisecond'], ['milliseconds', 'millisecond'], ['millisecon', 'millisecond'],
  ['s', 'second'], ['sec', 'second'], ['secs', 'second'], ['second', 'second'], ['seconds', 'second'],
  ['m', 'minute'], ['min', 'minute'], ['mins', 'minute'], ['minute', 'minute'], ['minutes', 'minute'],
  ['h', 'hour'], ['hr', 'hour'], ['hrs', 'hour'], ['hour', 'hour'], ['hours', 'hour'],
  ['d', 'day'], ['day', 'day'], ['days', 'day'], ['w', 'week'], ['week', 'week'], ['weeks', 'week'],
  ['mon', 'month'], ['mons', 'month'], ['month', 'month'], ['months', 'month'],
  ['y', 'year'], ['yr', 'year'], ['yrs', 'year'], ['year', 'year'], ['years', 'year'],
  ['dec', 'decade'], ['decs', 'decade'], ['decade', 'decade'], ['decades', 'decade'],
  ['c', 'century'], ['cent', 'century'], ['century', 'century'], ['centuries', 'century'],
  ['mil', 'millennium'], ['mils', 'millennium'], ['millennia', 'millennium'], ['millennium', 'millennium'],
]);

/** Months of the calendar units, microseconds of those of the clock. */
const MONTHS_OF: Partial<Record<Unit, number>> = {
  month: 1,
  year: 12,
  decade: 120,
  century: 1200,
  millennium: 12_000,
};
const MICROS_OF: Partial<Record<Unit, number>> = {
  microsecond: 1,
  millisecond: 1e3,
  second: 1e6,
  minute: 60e6,
  hour: 3600e6,
};
const DAY_MICROS = 86_400e6;
const INT32_MAX = 2_147_483_647;

/** Bits of an interval's typmod (its upper half), and what a bare number means under them. */
const RANGE_MONTH = 1 << 1;
const RANGE_DAY = 1 << 3;
const RANGE_HOUR = 1 << 10;
const RANGE_MINUTE = 1 << 11;
const RANGE_SECOND = 1 << 12;
const RANGE_FULL = 0x7fff;

function smallestUnit(typmod: number): Unit {
  const range = typmod < 0 ? RANGE_FULL : (typmod >> 16) & RANGE_FULL;
  if (range === RANGE_FULL || range & RANGE_SECOND) return 'second';
  if (range & RANGE_MINUTE) return 'minute';
  if (range & RANGE_HOUR) return 'hour';
  if (range & RANGE_DAY) return 'day';
  return range & RANGE_MONTH ? 'month' : 'year';
}

class Sum {
  months = 0;
  days = 0;
  micros = 0n;
  readonly #seen = new Set<string>();

  /** False when the unit was there before. */
  add(unit: Unit, whole: number, fraction: number): boolean {
    if (this.#seen.has(unit)) return false;
    this.#seen.add(unit);
    const months = MONTHS_OF[unit];
    const micros = MICROS_OF[unit];
    if (unit === 'month') {
      this.months += whole;
      this.#addDays(fraction * 30);
    } else if (months !== undefined) {
      this.months += whole * months + Math.round(fraction * months);
    } else if (micros !== undefined) {
      this.micros += BigInt(whole) * BigInt(micros) + BigInt(Math.round(fraction * micros));
    } else {
      const days = unit === 'week' ? 7 : 1;
      this.days += whole * days;
      this.#addDays(fraction * days);
    }
    return true;
  }

  addTime(micros: bigint): boolean {
    if (['hour', 'minute', 'second'].some((unit) => this.#seen.has(unit))) return false;
    for (const unit of ['hour', 'minute', 'second']) this.#seen.add(unit);
    this.micros += micros;
    return true;
  }

  #addDays(days: number): void {
    const whole = Math.trunc(days);
    this.days += whole;
    this.micros += BigInt(Math.round((days - whole) * DAY_MICROS));
  }

  negate(): void {
    this.months = -this.months;
    this.days = -this.days;
    this.micros = -this.micros;
  }
}

/** @param typmod  decides what a bare number means; the result is not cut to it */
export function parseInterval(text: string, typmod: number, context: ValueContext): Interval {
  try {
    const trimmed = text.trim();
    const sum = trimmed.startsWith('P') ? readIso(trimmed) : readFields(trimmed, typmod, context);
    if (sum === undefined) {
      throw new SqlError(
        SQLSTATE.invalidDatetimeFormat,
        `invalid input syntax for type interval: "${text}"`,
      );
    }
    // Too many months are noticed late in Postgres, and get another error than days and times.
    interval(sum.months, 0, 0n);
    if (Math.abs(sum.days) > INT32_MAX || BigInt.asIntN(64, sum.micros) !== sum.micros) {
      throw new RangeError('field of an interval');
    }
    return interval(sum.months, sum.days, sum.micros);
  } catch (error) {
    if (isSqlError(error)) throw error;
    // Ours above, or BigInt's for a number beyond a double's range.
    throw new SqlError(
      SQLSTATE.intervalFieldOverflow,
      `interval field value out of range: "${text}"`,
    );
  }
}

/** A word runs to a sign that is no letter; digits may follow y, m, d, h and s only, as in 1y2m. */
const FIELD = new RegExp(
  String.raw`^\s*(?:(?<time>[+-]?\d+:\d+(?::\d+)?(?:\.\d*)?)|(?<months>[+-]?\d+-\d+)|` +
    String.raw`(?<number>[+-]?(?:\d+\.?\d*|\.\d+))|(?<word>[ymdhs](?=\d)|[a-z]+(?![a-z0-9+]))|(?<at>@))`,
);

function readFields(text: string, typmod: number, context: ValueContext): Sum | undefined {
  const fields: Record<string, string | undefined>[] = [];
  let rest = text.toLowerCase();
  while (rest.trim() !== '') {
    const match = FIELD.exec(rest);
    if (match === null) return undefined;
    if (match.groups!['at'] === undefined) fields.push(match.groups!);
    rest = rest.slice(match[0].length);
  }
  if (fields.length === 0) return undefined;
  const sum = new Sum();
  const allNegative =
    context.intervalStyle === 'sql_standard' &&
    text.startsWith('-') &&
    fields
      .slice(1)
      .every((field) => !/^[+-]/.test(field['time'] ?? field['months'] ?? field['number'] ?? ''));
  let ago = false;
  let unit: Unit | undefined;
  for (let at = fields.length - 1; at >= 0; at--) {
    const field = fields[at]!;
    let fits = true;
    if (field['word'] !== undefined) {
      if (field['word'] === 'ago') {
        ago = true;
      } else {
        unit = UNITS.get(field['word']);
        fits = unit !== undefined && fields[at - 1]?.['number'] !== undefined;
      }
    } else if (field['time'] !== undefined) {
      const micros = readTime(field['time'], typmod, allNegative);
      fits = micros !== undefined && sum.addTime(micros);
      unit = 'day';
    } else if (field['months'] !== undefined) {
      fits = addMonths(sum, field['months'], allNegative);
    } else {
      fits = addNumber(sum, field['number']!, unit ?? smallestUnit(typmod), allNegative);
    }
    if (!fits) return undefined;
  }
  if (ago) sum.negate();
  return sum;
}

function addNumber(sum: Sum, text: string, unit: Unit, negative: boolean): boolean {
  const sign = text.startsWith('-') || negative ? -1 : 1;
  const [whole = '', fraction = ''] = text.replace(/^[+-]/, '').split('.');
  return sum.add(unit, sign * Number(whole), sign * Number(`0.${fraction || '0'}`));
}

function addMonths(sum: Sum, text: string, negative: boolean): boolean {
  const [years, months] = text.replace(/^[+-]/, '').split('-').map(Number);
  if (months! > 11) throw new RangeError('months of a year');
  const sign = text.startsWith('-') || negative ? -1 : 1;
  return sum.add('year', sign * years!, 0) && sum.add('month', sign * months!, 0);
}

function readTime(text: string, typmod: number, negative: boolean): bigint | undefined {
  const match = /^([+-]?)(\d+):(\d+)(?::(\d+))?(?:\.(\d*))?$/.exec(text)!;
  let [hours, minutes, seconds] = [Number(match[2]), Number(match[3]), Number(match[4] ?? 0)];
  const range = typmod < 0 ? RANGE_FULL : (typmod >> 16) & RANGE_FULL;
  const minuteToSecond = range === (RANGE_MINUTE | RANGE_SECOND);
  if (match[4] === undefined && (match[5] !== undefined || minuteToSecond)) {
    [hours, minutes, seconds] = [0, hours, minutes];
  }
  if (minutes > 59 || seconds > 60) throw new RangeError('time of an interval');
  const fraction = BigInt(Math.round(Number(`0.${match[5] || '0'}`) * 1e6));
  const micros = BigInt((hours * 60 + minutes) * 60 + seconds) * MICROS_PER_SECOND + fraction;
  return match[1] === '-' || negative ? -micros : micros;
}

const ISO_UNITS: Readonly<Record<string, Unit>> = {
  Y: 'year', M: 'month', W: 'week', D: 'day', TH: 'hour', TM: 'minute', TS: 'second',
}; // prettier-ignore

function readIso(text: string): Sum | undefined {
  const sum = new Sum();
  let rest = text.slice(1);
  const alternative = /^(-?\d+)-(-?\d+)-(-?\d+)(?:T(-?\d+):(-?\d+):(-?\d+(?:\.\d+)?))?$/.exec(rest);
  if (alternative !== null) {
    const [, year, month, day, hour = '0', minute = '0', second = '0'] = alternative;
    addNumber(sum, year!, 'year', false);
    addNumber(sum, month!, 'month', false);
    addNumber(sum, day!, 'day', false);
    addNumber(sum, hour, 'hour', false);
    addNumber(sum, minute, 'minute', false);
    addNumber(sum, second, 'second', false);
    return sum;
  }
  let inTime = false;
  if (rest === '') return undefined;
  while (rest !== '') {
    if (!inTime && rest[0] === 'T') {
      inTime = true;
      rest = rest.slice(1);
      continue;
    }
    const match = /^([+-]?(?:\d+\.?\d*|\.\d+))([A-Z])/.exec(rest);
    const unit = match === null ? undefined : ISO_UNITS[(inTime ? 'T' : '') + match[2]!];
    if (match === null || unit === undefined || !addNumber(sum, match[1]!, unit, false)) {
      return undefined;
    }
    rest = rest.slice(match[0].length);
  }
  return sum;
}

// ---- printing ----

interface Parts {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: bigint;
  readonly minutes: number;
  readonly seconds: number;
  readonly fraction: number;
}

function partsOf(value: Interval): Parts {
  const micros = value.micros;
  return {
    years: Math.trunc(value.months / 12),
    months: value.months % 12,
    days: value.days,
    hours: micros / 3_600_000_000n,
    minutes: Number((micros / 60_000_000n) % 60n),
    seconds: Number((micros / 1_000_000n) % 60n),
    fraction: Number(micros % 1_000_000n),
  };
}

function two(value: number | bigint): string {
  return String(value).padStart(2, '0');
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function secondsText(parts: Parts, width: number): string {
  return (
    String(Math.abs(parts.seconds)).padStart(width, '0') + fractionText(Math.abs(parts.fraction))
  );
}

export function formatInterval(value: Interval, context: ValueContext): string {
  const parts = partsOf(value);
  switch (context.intervalStyle) {
    case 'postgres':
      return postgresText(parts, value.micros);
    case 'postgres_verbose':
      return verboseText(parts);
    case 'sql_standard':
      return standardText(value);
    case 'iso_8601':
      return isoText(parts, value.micros);
    default:
      return context.intervalStyle satisfies never;
  }
}

function postgresText(parts: Parts, micros: bigint): string {
  let text = '';
  let before = false;
  const add = (value: number, unit: string): void => {
    if (value === 0) return;
    text += `${text === '' ? '' : ' '}${before && value > 0 ? '+' : ''}${value} ${unit}${value === 1 ? '' : 's'}`;
    before = value < 0;
  };
  add(parts.years, 'year');
  add(parts.months, 'mon');
  add(parts.days, 'day');
  if (micros !== 0n || text === '') {
    const sign = micros < 0n ? '-' : before ? '+' : '';
    const clock = `${two(absolute(parts.hours))}:${two(Math.abs(parts.minutes))}:${secondsText(parts, 2)}`;
    text += (text === '' ? '' : ' ') + sign + clock;
  }
  return text;
}

function verboseText(parts: Parts): string {
  let text = '@';
  let before: boolean | undefined;
  const add = (value: bigint, unit: string): void => {
    if (value === 0n) return;
    before ??= value < 0n;
    const shown = before ? -value : value;
    text += ` ${shown} ${unit}${shown === 1n ? '' : 's'}`;
  };
  add(BigInt(parts.years), 'year');
  add(BigInt(parts.months), 'mon');
  add(BigInt(parts.days), 'day');
  add(parts.hours, 'hour');
  add(BigInt(parts.minutes), 'min');
  if (parts.seconds !== 0 || parts.fraction !== 0) {
    const negative = parts.seconds < 0 || parts.fraction < 0;
    before ??= negative;
    const one = Math.abs(parts.seconds) === 1 && parts.fraction === 0;
    text += ` ${before === negative ? '' : '-'}${secondsText(parts, 1)} sec${one ? '' : 's'}`;
  }
  if (before === undefined) text += ' 0';
  return before ? text + ' ago' : text;
}

function standardText(value: Interval): string {
  const fields = [value.months, value.days, Number(value.micros)];
  const negative = fields.some((field) => field < 0);
  const positive = fields.some((field) => field > 0);
  const dayTime = value.days !== 0 || value.micros !== 0n;
  if (!negative && !positive) return '0';
  if ((negative && positive) || (value.months !== 0 && dayTime)) {
    const parts = partsOf(value);
    const sign = (field: number | bigint): string => (field < 0 ? '-' : '+');
    const clock = `${absolute(parts.hours)}:${two(Math.abs(parts.minutes))}:${secondsText(parts, 2)}`;
    const yearMonth = `${sign(value.months)}${Math.abs(parts.years)}-${Math.abs(parts.months)}`;
    return `${yearMonth} ${sign(value.days)}${Math.abs(value.days)} ${sign(value.micros)}${clock}`;
  }
  const parts = partsOf(value);
  const sign = negative ? '-' : '';
  if (value.months !== 0) return `${sign}${Math.abs(parts.years)}-${Math.abs(parts.months)}`;
  const day = value.days === 0 ? '' : `${Math.abs(value.days)} `;
  return `${sign}${day}${absolute(parts.hours)}:${two(Math.abs(parts.minutes))}:${secondsText(parts, 2)}`;
}

function isoText(parts: Parts, micros: bigint): string {
  let text = 'P';
  if (parts.years !== 0) text += `${parts.years}Y`;
  if (parts.months !== 0) text += `${parts.months}M`;
  if (parts.days !== 0) text += `${parts.days}D`;
  if (micros === 0n) return text === 'P' ? 'PT0S' : text;
  text += 'T';
  if (parts.hours !== 0n) text += `${parts.hours}H`;
  if (parts.minutes !== 0) text += `${parts.minutes}M`;
  if (parts.seconds !== 0 || parts.fraction !== 0) {
    text += `${micros < 0n ? '-' : ''}${secondsText(parts, 1)}S`;
  }
  return text;
}
