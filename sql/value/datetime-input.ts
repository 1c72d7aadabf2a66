// Reading dates and times as PostgreSQL's datetime input does. Pure but for time zones (time-zone.ts).
//
// A text is cut into fields, each of which says what it is (a time, a date, a zone, a month's name, a number);
// the fields are put together and checked at the end.
//
// (1) What is read without a zone is local time of the context's zone for timestamptz, and kept as it is for
//     the other types; a zone given for a type without one is ignored, as in Postgres.
// (2) Errors: 22007 for what is no date or time at all, 22008 for a field out of range, 22009 for an absurd
//     zone displacement, 22023 for an unknown zone.

import * as datetime from '../../ledger/datetime.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ValueContext } from './context.ts';
import { typeName } from './oid.ts';
import type { TimeZone } from './time-zone.ts';
import { abbreviationOffset, tryTimeZone } from './time-zone.ts';

export type DateTimeBase = 'date' | 'time' | 'timetz' | 'timestamp' | 'timestamptz';
type Special =
  'now' | 'today' | 'tomorrow' | 'yesterday' | 'epoch' | 'infinity' | '-infinity' | 'allballs';

/** What the fields of a text have said so far. */
interface Fields {
  special?: Special;
  year?: number;
  /** The year was written with at most two digits. */
  shortYear?: boolean;
  month?: number;
  day?: number;
  dayOfYear?: number;
  julian?: number;
  /** Microseconds since midnight, before am/pm. */
  time?: bigint;
  half?: 'am' | 'pm';
  era?: 'bc' | 'ad';
  /** Seconds east, or a zone whose offset depends on the date. */
  zone?: number | TimeZone;
}

const SPECIALS: ReadonlySet<string> = new Set([
  'now', 'today', 'tomorrow', 'yesterday', 'epoch', 'infinity', '-infinity', '+infinity', 'allballs',
]); // prettier-ignore
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const MONTH_NAMES: ReadonlyMap<string, number> = new Map([
  ...MONTHS.map((name, at): [string, number] => [name, at + 1]),
  ...['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october',
    'november', 'december'].map((name, at): [string, number] => [name, at + 1]),
  ['sept', 9],
]); // prettier-ignore
const DAY_NAMES: ReadonlySet<string> = new Set([
  'sun', 'sunday', 'mon', 'monday', 'tue', 'tues', 'tuesday', 'wed', 'weds', 'wednesday', 'thu', 'thur',
  'thurs', 'thursday', 'fri', 'friday', 'sat', 'saturday',
]); // prettier-ignore

/** A date, time or timestamp in the representation of its type. @throws SqlError 22007, 22008, 22009, 22023 */
export function parseDateTime(
  text: string,
  base: DateTimeBase,
  context: ValueContext,
): bigint | Uint8Array {
  const fields = new FieldReader(text, base, context).read();
  const result = new Assembler(text, base, context, fields);
  return base === 'time' || base === 'timetz' ? result.timeOfDay() : result.instant();
}

/** Whether parts with a separator between are a date: with a month's name, all numbers, or year and day of year. */
function dateLike(first: string, second: string, third: string | undefined): boolean {
  if (MONTH_NAMES.has(first)) return /^\d/.test(second);
  if (!/^\d/.test(first)) return false;
  if (MONTH_NAMES.has(second)) return true;
  if (!/^\d/.test(second)) return false;
  return third !== undefined || (first.length >= 4 && second.length === 3);
}

class FieldReader {
  readonly #original: string;
  readonly #base: DateTimeBase;
  readonly #context: ValueContext;
  readonly #fields: Fields = {};
  readonly #numbers: string[] = [];
  #rest: string;
  #weekday = false;
  /** A number stood before the month's name. */
  #numberFirst = false;

  constructor(text: string, base: DateTimeBase, context: ValueContext) {
    this.#original = text;
    this.#base = base;
    this.#context = context;
    this.#rest = text.toLowerCase();
  }

  read(): Fields {
    if (this.#rest.trim() === '') throw badFormat(this.#base, this.#original);
    for (;;) {
      this.#rest = this.#rest.replace(/^[\s,]+/, '');
      if (this.#rest === '') break;
      if (!this.#field()) throw badFormat(this.#base, this.#original);
    }
    if (this.#numbers.length > 0) this.#assignNumbers();
    return this.#fields;
  }

  #take(pattern: RegExp): RegExpExecArray | null {
    const match = pattern.exec(this.#rest);
    if (match !== null) this.#rest = this.#rest.slice(match[0].length);
    return match;
  }

  #field(): boolean {
    const clock = this.#take(/^(\d+):(\d{1,2})(?::(\d{1,2}))?(?:\.(\d*))?(?![\d:])/);
    if (clock !== null) return this.#clock(clock[1]!, clock[2]!, clock[3], clock[4]);
    const julian = this.#take(/^j(?:ulian|d)?\s*(\d+)(?:\.(\d+))?(?=[\s,+-]|$)/);
    if (julian !== null) return this.#julianDay(julian[1]!, julian[2]);
    // ISO 8601 writes a T between date and time; the time may be without colons.
    const compact = this.#take(/^t(\d{2})(\d{2})?(\d{2})?(?:\.(\d*))?(?![\d:])/);
    if (compact !== null) {
      return this.#clock(compact[1]!, compact[2] ?? '0', compact[3] ?? '0', compact[4]);
    }
    if (this.#take(/^t(?=\d)/) !== null) return true;
    const date = /^(\d+|[a-z]+)([-/.])(\d+|[a-z]+)(?:\2(\d+))?(?=[\s,+-]|[a-z]|$)/.exec(this.#rest);
    if (date !== null && dateLike(date[1]!, date[3]!, date[4])) {
      this.#rest = this.#rest.slice(date[0].length);
      return this.#date(date[1]!, date[3]!, date[4]);
    }
    const number = this.#take(/^(\d+)(?:\.(\d*))?/);
    if (number !== null) return this.#number(number[1]!, number[2]);
    if (/^[+-]\d/.test(this.#rest)) return this.#displacement();
    return this.#word();
  }

  #clock(hours: string, minutes: string, seconds: string | undefined, fraction?: string): boolean {
    if (this.#fields.time !== undefined) return false;
    let fields = [Number(hours), Number(minutes), Number(seconds ?? 0)];
    // mm:ss.fff is minutes and seconds.
    if (seconds === undefined && fraction !== undefined) fields = [0, fields[0]!, fields[1]!];
    const [hour = 0, minute = 0, second = 0] = fields;
    const micros = fraction ? BigInt(Math.round(Number('0.' + fraction) * 1e6)) : 0n;
    const beyond = hour === 24 && (minute > 0 || second > 0 || micros > 0n);
    if (hour > 24 || minute > 59 || second > 60 || beyond) throw fieldOverflow(this.#original);
    this.#fields.time = BigInt((hour * 60 + minute) * 60 + second) * 1_000_000n + micros;
    return true;
  }

  #julianDay(days: string, fraction: string | undefined): boolean {
    this.#fields.julian = Number(days);
    if (fraction !== undefined) {
      this.#fields.time = BigInt(Math.round(Number('0.' + fraction) * 86_400e6));
    }
    return true;
  }

  /** Two or three parts with a separator between. */
  #date(first: string, second: string, third: string | undefined): boolean {
    const fields = this.#fields;
    if (fields.day !== undefined || fields.dayOfYear !== undefined) return false;
    // Postgres takes a date of this form only before the time and without a weekday.
    if (fields.time !== undefined || this.#weekday) return false;
    if (third === undefined) {
      // With two parts only year and day of year; "Jan-05 2020" is refused.
      if (MONTH_NAMES.has(first) || MONTH_NAMES.has(second)) return false;
      this.#year(first);
      fields.dayOfYear = Number(second);
      return true;
    }
    const parts = [first, second, third];
    const month = parts.findIndex((part) => MONTH_NAMES.has(part));
    if (month >= 0) {
      fields.month = MONTH_NAMES.get(parts[month]!)!;
      parts.splice(month, 1);
      const yearFirst = this.#yearFirst(parts[0]!, parts[1]!);
      this.#year(parts[yearFirst ? 0 : 1]!);
      return this.#setDay(parts[yearFirst ? 1 : 0]!);
    }
    const order = first.length > 2 ? 'YMD' : this.#context.dateOrder;
    const at = { YMD: [0, 1, 2], MDY: [2, 0, 1], DMY: [2, 1, 0] }[order];
    this.#year(parts[at[0]!]!);
    fields.month = Number(parts[at[1]!]);
    return this.#setDay(parts[at[2]!]!);
  }

  /** Next to a month's name: which of two numbers is the year. DD-MON-YYYY is known in any order. */
  #yearFirst(first: string, second: string): boolean {
    return first.length > 2 || (this.#context.dateOrder === 'YMD' && second.length <= 2);
  }

  #year(digits: string): void {
    this.#fields.year = Number(digits);
    this.#fields.shortYear = digits.length <= 2;
  }

  #setDay(digits: string): boolean {
    this.#fields.day = Number(digits);
    return true;
  }

  #pushNumber(digits: string): boolean {
    this.#numbers.push(digits);
    return true;
  }

  /** A run of digits: a whole date, a whole time, or one part of a date. */
  #number(digits: string, fraction: string | undefined): boolean {
    const fields = this.#fields;
    const haveDate = fields.day !== undefined || fields.dayOfYear !== undefined;
    const timeOnly = this.#base === 'time' || this.#base === 'timetz';
    if (haveDate || (timeOnly && fields.month === undefined)) {
      if (fields.time !== undefined || (digits.length !== 6 && digits.length !== 4)) return false;
      const seconds = digits.length === 6 ? digits.slice(4) : '0';
      return this.#clock(digits.slice(0, 2), digits.slice(2, 4), seconds, fraction);
    }
    if (fraction !== undefined) return false;
    if (fields.month === undefined && this.#numbers.length === 0) {
      if (digits.length >= 8 || digits.length === 6) {
        this.#year(digits.slice(0, -4));
        fields.month = Number(digits.slice(-4, -2));
        return this.#setDay(digits.slice(-2));
      }
    }
    return this.#pushNumber(digits);
  }

  /** Numbers that stand alone, once the month's name (if any) is known. */
  #assignNumbers(): void {
    const fields = this.#fields;
    const numbers = [...this.#numbers];
    const long = numbers.findIndex((digits) => digits.length > 2);
    if (fields.year === undefined && long >= 0) this.#year(numbers.splice(long, 1)[0]!);
    if (fields.month !== undefined) {
      const both = fields.year === undefined && numbers.length === 2;
      if (both && this.#yearFirst(numbers[0]!, numbers[1]!)) this.#year(numbers.shift()!);
      // A number before the name was taken for a month, and becomes the day only if it could be one.
      if (this.#numberFirst && this.#context.dateOrder === 'MDY' && Number(numbers[0]) > 31) {
        throw badFormat(this.#base, this.#original);
      }
      if (fields.day === undefined && numbers.length > 0) this.#setDay(numbers.shift()!);
      if (fields.year === undefined && numbers.length > 0) this.#year(numbers.shift()!);
    } else if (numbers.length === (fields.year === undefined ? 3 : 2)) {
      const order = this.#context.dateOrder;
      if (fields.year === undefined) this.#year(numbers.splice(order === 'YMD' ? 0 : 2, 1)[0]!);
      fields.month = Number(numbers[order === 'DMY' ? 1 : 0]);
      this.#setDay(numbers[order === 'DMY' ? 0 : 1]!);
      numbers.length = 0;
    }
    if (numbers.length > 0) throw badFormat(this.#base, this.#original);
  }

  #displacement(): boolean {
    const match = this.#take(/^([+-])(\d+)(?::(\d{1,2}))?(?::(\d{1,2}))?/)!;
    const seconds = Number(match[4] ?? 0);
    let hours = Number(match[2]);
    let minutes = Number(match[3] ?? 0);
    if (match[3] === undefined && match[2]!.length > 2) {
      hours = Number(match[2]!.slice(0, -2));
      minutes = Number(match[2]!.slice(-2));
    }
    if (hours > 15 || minutes > 59 || seconds > 59) {
      throw new SqlError(
        SQLSTATE.invalidTimeZoneDisplacementValue,
        `time zone displacement out of range: "${this.#original}"`,
      );
    }
    const east = (hours * 60 + minutes) * 60 + seconds;
    this.#fields.zone = (match[1] === '-' ? -1 : 1) * east + 0;
    return true;
  }

  #word(): boolean {
    const match = this.#take(/^[+-]?[a-z]+(?:[/_+\-.]?[a-z0-9]+)*(?:[+-]\d+)?/);
    if (match === null) return false;
    const word = match[0].replace(/\.$/, '');
    const fields = this.#fields;
    if (SPECIALS.has(word)) {
      fields.special = (word === '+infinity' ? 'infinity' : word) as Special;
      return true;
    }
    const month = MONTH_NAMES.get(word);
    if (month !== undefined) {
      if (fields.month !== undefined) return false;
      this.#numberFirst = this.#numbers.length > 0;
      fields.month = month;
      return true;
    }
    if (DAY_NAMES.has(word)) {
      this.#weekday = true;
      return true;
    }
    if (word === 'on' || word === 'at' || word === 'dst') return true;
    if (word === 'am' || word === 'pm') {
      fields.half = word;
      return true;
    }
    if (word === 'bc' || word === 'ad') {
      fields.era = word;
      return true;
    }
    return this.#zone(word);
  }

  #zone(word: string): boolean {
    const fixed = abbreviationOffset(word);
    const start = this.#original.toLowerCase().lastIndexOf(word);
    const written = this.#original.slice(start, start + word.length);
    const zone = fixed ?? tryTimeZone(written);
    if (zone !== undefined && this.#fields.zone === undefined) {
      this.#fields.zone = zone;
      return true;
    }
    if (zone === undefined && word.includes('/')) {
      throw new SqlError(SQLSTATE.invalidParameterValue, `time zone "${word}" not recognized`);
    }
    return false;
  }
}

class Assembler {
  readonly #text: string;
  readonly #base: DateTimeBase;
  readonly #context: ValueContext;
  readonly #fields: Fields;

  constructor(text: string, base: DateTimeBase, context: ValueContext, fields: Fields) {
    this.#text = text;
    this.#base = base;
    this.#context = context;
    this.#fields = fields;
  }

  timeOfDay(): bigint | Uint8Array {
    const { special, zone } = this.#fields;
    const now = this.#context.nowMicros;
    let time: bigint;
    if (special === 'now') time = datetime.splitTimestamp(this.#local(now)).time;
    else if (special === 'allballs') time = 0n;
    else if (special !== undefined) throw badFormat(this.#base, this.#text);
    else {
      if (this.#fields.time === undefined) throw badFormat(this.#base, this.#text);
      time = this.#clock();
    }
    if (this.#base === 'time') return time;
    let east = special === 'allballs' ? 0 : this.#sessionZone().offset(now);
    if (typeof zone === 'number') east = zone;
    else if (zone !== undefined) {
      const days = this.#fields.day === undefined ? undefined : this.#date();
      const local = days === undefined ? now : BigInt(days) * datetime.MICROS_PER_DAY + time;
      east = zone.offset(local);
    }
    return datetime.encodeTimeTz({ micros: time, west: -east + 0 });
  }

  instant(): bigint {
    const { special, zone } = this.#fields;
    if (special !== undefined) return this.#special(special);
    const days = this.#date();
    if (this.#base === 'date') {
      if (datetime.dateInRange(days)) return BigInt(days);
      throw new SqlError(SQLSTATE.datetimeFieldOverflow, `date out of range: "${this.#text}"`);
    }
    const time = this.#fields.time === undefined ? 0n : this.#clock();
    let micros = BigInt(days) * datetime.MICROS_PER_DAY + time;
    if (this.#base === 'timestamptz') {
      if (typeof zone === 'number') micros -= BigInt(zone) * datetime.MICROS_PER_SECOND;
      else micros = datetime.localToUtc(micros, (zone ?? this.#sessionZone()).offset);
    }
    if (!datetime.timestampInRange(micros)) {
      throw new SqlError(SQLSTATE.datetimeFieldOverflow, `timestamp out of range: "${this.#text}"`);
    }
    return micros;
  }

  #special(special: Special): bigint {
    const date = this.#base === 'date';
    if (special === 'infinity') {
      return date ? datetime.DATE_INFINITY : datetime.TIMESTAMP_INFINITY;
    }
    if (special === '-infinity') {
      return date ? datetime.DATE_MINUS_INFINITY : datetime.TIMESTAMP_MINUS_INFINITY;
    }
    if (special === 'epoch') {
      return date ? -10_957n : -datetime.UNIX_EPOCH_MICROS;
    }
    if (special === 'allballs') throw badFormat(this.#base, this.#text);
    const local = this.#local(this.#context.nowMicros);
    if (special === 'now' && !date) {
      return this.#base === 'timestamptz' ? this.#context.nowMicros : local;
    }
    const shift = special === 'tomorrow' ? 1 : special === 'yesterday' ? -1 : 0;
    const days = datetime.splitTimestamp(local).days + shift;
    if (date) return BigInt(days);
    const micros = BigInt(days) * datetime.MICROS_PER_DAY + (this.#fields.time ?? 0n);
    if (this.#base === 'timestamp') return micros;
    return datetime.localToUtc(micros, this.#sessionZone().offset);
  }

  #sessionZone(): TimeZone {
    return tryTimeZone(this.#context.timeZone) ?? tryTimeZone('UTC')!;
  }

  #local(instant: bigint): bigint {
    return datetime.utcToLocal(instant, this.#sessionZone().offset);
  }

  #clock(): bigint {
    const time = this.#fields.time!;
    const half = this.#fields.half;
    if (half === undefined) return time;
    const hour = Number(time / 3_600_000_000n);
    if (hour > 12) throw fieldOverflow(this.#text);
    const rest = time % 3_600_000_000n;
    const hours = (hour % 12) + (half === 'pm' ? 12 : 0);
    return BigInt(hours) * 3_600_000_000n + rest;
  }

  /** The checked day, in days from 2000-01-01. */
  #date(): number {
    const { julian, month, day, dayOfYear } = this.#fields;
    if (julian !== undefined) return julian - datetime.JULIAN_EPOCH;
    const year = this.#year();
    if (dayOfYear !== undefined) {
      if (dayOfYear < 1 || dayOfYear > 366) throw fieldOverflow(this.#text, true);
      return datetime.daysFromCivil(year, 1, 1) + dayOfYear - 1;
    }
    if (month === undefined || day === undefined) throw badFormat(this.#base, this.#text);
    if (month < 1 || month > 12 || day < 1 || day > 31) throw fieldOverflow(this.#text, true);
    if (day > datetime.daysInMonth(year, month)) throw fieldOverflow(this.#text);
    return datetime.daysFromCivil(year, month, day);
  }

  #year(): number {
    const { year, shortYear, era } = this.#fields;
    if (year === undefined) throw badFormat(this.#base, this.#text);
    if (era === 'bc') {
      if (year <= 0) throw fieldOverflow(this.#text);
      return 1 - year;
    }
    if (shortYear) return year < 70 ? year + 2000 : year + 1900;
    if (year <= 0) throw fieldOverflow(this.#text);
    return year;
  }
}

function badFormat(base: DateTimeBase, text: string): SqlError {
  // Postgres' own messages use the short names of the zoneless types.
  const name = base === 'time' || base === 'timestamp' ? base : typeName(base);
  return new SqlError(
    SQLSTATE.invalidDatetimeFormat,
    `invalid input syntax for type ${name}: "${text}"`,
  );
}

function fieldOverflow(text: string, monthOrDay = false): SqlError {
  const message = `date/time field value out of range: "${text}"`;
  return new SqlError(
    SQLSTATE.datetimeFieldOverflow,
    message,
    monthOrDay ? { hint: 'Perhaps you need a different "datestyle" setting.' } : {},
  );
}
