// to_char, to_date and to_timestamp: date and time patterns. Pure.
//
// Patterns are PostgreSQL's table 9.27, in English; the localised prefix TM prints the English name.

import {
  civilFromDays,
  dayOfWeek,
  daysFromCivil,
  daysInMonth,
  decodeInterval,
  isInfiniteTimestamp,
  isoWeek,
  JULIAN_EPOCH,
  localToUtc,
  MICROS_PER_DAY,
  splitTimestamp,
  utcToLocal,
} from '../../ledger/datetime.ts';
import { SqlError } from '../../ledger/error.ts';
import { tryTimeZone } from '../value/time-zone.ts';
import { parseZone } from './zone.ts';
import type { Datum } from '../../ledger/type.ts';
import type { FunctionTable } from './function.ts';

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']; // prettier-ignore
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const ROMAN = ['I', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X', 'XI', 'XII'];

/** Longest first, so that YYYY is not read as YY twice. */
const KEYWORDS = [
  'A.D.', 'a.d.', 'B.C.', 'b.c.', 'A.M.', 'a.m.', 'P.M.', 'p.m.', 'Y,YYY', 'YYYY', 'IYYY', 'MONTH', 'Month', 'month',
  'SSSSS', 'SSSS', 'HH24', 'HH12', 'IDDD', 'YYY', 'IYY', 'DAY', 'Day', 'day', 'DDD', 'MON', 'Mon', 'mon', 'TZH',
  'TZM', 'FF1', 'FF2', 'FF3', 'FF4', 'FF5', 'FF6', 'YY', 'IY', 'DY', 'Dy', 'dy', 'DD', 'MM', 'MI', 'MS', 'HH', 'SS',
  'US', 'IW', 'WW', 'ID', 'CC', 'RM', 'rm', 'AM', 'am', 'PM', 'pm', 'AD', 'ad', 'BC', 'bc', 'TZ', 'tz', 'OF', 'Y',
  'I', 'D', 'W', 'J', 'Q',
]; // prettier-ignore

interface Token {
  /** A keyword, or literal text when `literal`. */
  readonly text: string;
  readonly literal: boolean;
  readonly fill: boolean;
  readonly suffix: '' | 'TH' | 'th';
}

function tokens(pattern: string): readonly Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < pattern.length) {
    if (pattern[at] === '"') {
      const end = pattern.indexOf('"', at + 1);
      const stop = end < 0 ? pattern.length : end;
      found.push({ text: pattern.slice(at + 1, stop), literal: true, fill: false, suffix: '' });
      at = stop + 1;
      continue;
    }
    const prefix = /^(?:FM|fm|TM|tm|FX|fx)+/.exec(pattern.slice(at))?.[0] ?? '';
    const rest = pattern.slice(at + prefix.length);
    const upper = rest.toUpperCase();
    const keyword =
      KEYWORDS.find((word) => rest.startsWith(word)) ??
      KEYWORDS.find(
        (word) =>
          upper.startsWith(word) &&
          word === word.toUpperCase() &&
          !/^(MON|DAY|DY|MONTH|RM|TZ|[AP]\.?M|[AB]\.?[DC])/.test(word),
      );
    if (keyword === undefined) {
      const character = pattern[at] === '\\' && pattern[at + 1] === '"' ? '"' : pattern[at]!;
      found.push({ text: character, literal: true, fill: false, suffix: '' });
      at += pattern[at] === '\\' && pattern[at + 1] === '"' ? 2 : 1;
      continue;
    }
    at += prefix.length + keyword.length;
    const suffix = /^(?:TH|th)/.exec(pattern.slice(at))?.[0] ?? '';
    at += suffix.length;
    found.push({
      text: keyword,
      literal: false,
      fill: /FM|TM/i.test(prefix),
      suffix: suffix as Token['suffix'],
    });
  }
  return found;
}

interface Moment {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly micros: number;
  readonly days: number | null;
  /** Seconds east, and the zone's abbreviation; null without a zone. */
  readonly zone: { readonly east: number; readonly name: string } | null;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function ordinal(text: string, suffix: Token['suffix']): string {
  if (suffix === '') return text;
  const tens = text.at(-2) === '1';
  const word = tens
    ? 'th'
    : (({ 1: 'st', 2: 'nd', 3: 'rd' } as Record<string, string>)[text.at(-1)!] ?? 'th');
  return text + (suffix === 'TH' ? word.toUpperCase() : word);
}

function cased(name: string, keyword: string): string {
  if (keyword === keyword.toUpperCase()) return name.toUpperCase();
  return keyword === keyword.toLowerCase() ? name.toLowerCase() : name;
}

function offsetText(east: number): string {
  const minutes = Math.abs(Math.trunc(east / 60)) % 60;
  return `${east < 0 ? '-' : '+'}${two(Math.abs(Math.trunc(east / 3600)))}${minutes === 0 ? '' : `:${two(minutes)}`}`;
}

/** A number with its zeros in front, unless FM. */
function digits(value: number, width: number, fill: boolean): string {
  const text = String(Math.abs(value)).padStart(fill ? 0 : width, '0');
  return value < 0 ? `-${text}` : text;
}

function numberOf(keyword: string, moment: Moment): readonly [number, number] | null {
  const { days, hour } = moment;
  const year = moment.year <= 0 && days !== null ? 1 - moment.year : moment.year;
  const iso = days === null ? { year: 0, week: 0 } : isoWeek(days);
  // Postgres counts an interval's months as 30 days there.
  const ordinalDay =
    days === null
      ? (moment.year * 12 + moment.month) * 30 + moment.day
      : days - daysFromCivil(moment.year, 1, 1) + 1;
  switch (keyword) {
    case 'YYYY':
      return [year, moment.year < 0 ? 5 : 4];
    case 'YYY':
      return [year % 1000, 3];
    case 'YY':
      return [year % 100, 2];
    case 'Y':
      return [year % 10, 1];
    case 'IYYY':
      return [iso.year, 4];
    case 'IYY':
      return [iso.year % 1000, 3];
    case 'IY':
      return [iso.year % 100, 2];
    case 'I':
      return [iso.year % 10, 1];
    case 'CC':
      return [days === null ? Math.trunc(year / 100) : Math.ceil(year / 100), 2];
    case 'MM':
      return [moment.month, 2];
    case 'DD':
      return [moment.day, 2];
    case 'DDD':
      return [ordinalDay, 3];
    case 'IDDD':
      return [(iso.week - 1) * 7 + ((dayOfWeek(days ?? 0) + 6) % 7) + 1, 3];
    case 'D':
      return [dayOfWeek(days ?? 0) + 1, 1];
    case 'ID':
      return [((dayOfWeek(days ?? 0) + 6) % 7) + 1, 1];
    case 'W':
      return [Math.trunc((moment.day - 1) / 7) + 1, 1];
    case 'WW':
      return [Math.trunc((ordinalDay - 1) / 7) + 1, 2];
    case 'IW':
      return [iso.week, 2];
    case 'Q':
      return moment.month === 0 ? null : [Math.trunc((moment.month - 1) / 3) + 1, 1];
    case 'J':
      return [days === null ? julianOf(moment) : days + JULIAN_EPOCH, 1];
    case 'HH24':
      return [hour, 2];
    case 'HH':
    case 'HH12':
      return [hour % 12 === 0 ? 12 : hour % 12, 2];
    case 'MI':
      return [moment.minute, 2];
    case 'SS':
      return [moment.second, 2];
    case 'MS':
      return [Math.floor(moment.micros / 1000), 3];
    case 'US':
      return [moment.micros, 6];
    case 'SSSS':
    case 'SSSSS':
      return [hour * 3600 + moment.minute * 60 + moment.second, 1];
    default: return null; // prettier-ignore
  }
}

/** date2j() of datetime.c, which an interval's parts are put through: they need not be those of a date. */
function julianOf({ year, month, day }: Moment): number {
  const [y, m] = month > 2 ? [year + 4800, month + 1] : [year + 4799, month + 13];
  const century = Math.trunc(y / 100);
  const leap = Math.trunc(y / 4) - century + Math.trunc(century / 4);
  return y * 365 - 32_167 + leap + Math.trunc((7834 * m) / 256) + day;
}

function wordOf({ text: keyword, fill }: Token, moment: Moment): string {
  const padded = (name: string): string => (fill ? name : name.padEnd(9));
  switch (keyword.toUpperCase()) {
    case 'MONTH':
      return cased(padded(MONTHS[moment.month - 1] ?? ''), keyword);
    case 'Q':
      return ''; // of an interval without months
    case 'MON':
      return cased((MONTHS[moment.month - 1] ?? '').slice(0, 3), keyword);
    case 'DAY':
      return cased(padded(DAYS[dayOfWeek(moment.days ?? 0)]!), keyword);
    case 'DY':
      return cased(DAYS[dayOfWeek(moment.days ?? 0)]!.slice(0, 3), keyword);
    case 'RM':
      return cased(fill ? ROMAN[moment.month - 1]! : ROMAN[moment.month - 1]!.padEnd(4), keyword);
    case 'AM':
    case 'PM':
      return cased(moment.hour >= 12 ? 'PM' : 'AM', keyword);
    case 'A.M.':
    case 'P.M.':
      return cased(moment.hour >= 12 ? 'P.M.' : 'A.M.', keyword);
    case 'AD':
    case 'BC':
      return cased(moment.year <= 0 ? 'BC' : 'AD', keyword);
    case 'A.D.':
    case 'B.C.':
      return cased(moment.year <= 0 ? 'B.C.' : 'A.D.', keyword);
    case 'TZ':
      return cased(moment.zone?.name ?? '', keyword);
    case 'OF':
      return moment.zone === null ? '' : offsetText(moment.zone.east);
    case 'TZH':
      return moment.zone === null ? '' : offsetText(moment.zone.east).slice(0, 3);
    case 'TZM':
      return two(Math.abs(Math.trunc((moment.zone?.east ?? 0) / 60)) % 60);
    case 'Y,YYY':
      return `${Math.floor(moment.year / 1000)},${String(moment.year % 1000).padStart(3, '0')}`;
    default:
      // FF1 … FF6
      return String(moment.micros).padStart(6, '0').slice(0, Number(keyword[2])); // prettier-ignore
  }
}

function format(moment: Moment, pattern: string): string {
  return tokens(pattern)
    .map((token) => {
      if (token.literal) return token.text;
      const number = numberOf(token.text, moment);
      if (number === null) return wordOf(token, moment);
      return ordinal(digits(number[0], number[1], token.fill), token.suffix);
    })
    .join('');
}

/** An interval has no names of days or months, and no time zone. @throws SqlError 22007 */
function refuseCalendar(pattern: string): void {
  const calendar = /^(?:A\.?D\.?|B\.?C\.?|MONTH|MON|DAY|DY|D|ID|TZ|TZH|TZM|OF)$/i;
  if (!tokens(pattern).some(({ literal, text }) => !literal && calendar.test(text))) return;
  throw new SqlError('22007', 'invalid format specification for an interval value', {
    hint: 'Intervals are not tied to specific calendar dates.',
  });
}

function momentOf(local: bigint, zone: Moment['zone']): Moment {
  const { days, time } = splitTimestamp(local);
  const { day, month, year } = civilFromDays(days);
  return { year, month, day, days, zone, ...clockOf(time) };
}

function clockOf(time: bigint): Pick<Moment, 'hour' | 'minute' | 'second' | 'micros'> {
  const seconds = Number(time / 1_000_000n);
  return {
    hour: Math.trunc(seconds / 3600),
    minute: Math.trunc(seconds / 60) % 60,
    second: seconds % 60,
    micros: Number(time % 1_000_000n),
  };
}

interface Fields {
  year?: number;
  month?: number;
  day?: number;
  dayOfYear?: number;
  julian?: number;
  hour?: number;
  minute?: number;
  second?: number;
  micros?: number;
  afternoon?: boolean;
  beforeChrist?: boolean;
  secondsOfDay?: number;
  east?: number;
}

function invalid(text: string, keyword: string): SqlError {
  return new SqlError(
    '22007',
    `invalid value "${text.slice(0, keyword.length)}" for "${keyword}"`,
    {
      detail: 'Value must be an integer.',
    },
  );
}

/** Reads a text by a pattern, as to_date and to_timestamp do. */
function read(text: string, pattern: string): Fields {
  const fields: Fields = {};
  const list = tokens(pattern);
  let at = 0;
  for (const [position, token] of list.entries()) {
    if (at >= text.length) break;
    if (token.literal) {
      const separator = /[^A-Za-z0-9]/.test(token.text);
      if (
        separator
          ? /[^A-Za-z0-9+-]/.test(text[at] ?? '') || text[at] === token.text
          : at < text.length
      ) {
        at += separator ? 1 : token.text.length;
      }
      continue;
    }
    while (/\s/.test(text[at] ?? '')) at += 1;
    const next = list[position + 1];
    const adjacent = next !== undefined && !next.literal && numericKeyword(next.text);
    at += take(token.text, text.slice(at), adjacent, fields);
  }
  return fields;
}

function numericKeyword(keyword: string): boolean {
  return !/^(MON|MONTH|DAY|DY|RM|[AP]\.?M|[AB]\.?[DC]|TZ|OF)/i.test(keyword);
}

const WIDTHS: Readonly<Record<string, number>> = {
  YYYY: 4, YYY: 3, YY: 2, Y: 1, MM: 2, DD: 2, DDD: 3, HH24: 2, HH12: 2, HH: 2, MI: 2, SS: 2, MS: 3, US: 6, J: 7,
  SSSS: 5, SSSSS: 5, D: 1, W: 1, WW: 2, Q: 1, CC: 2,
}; // prettier-ignore

function take(keyword: string, text: string, adjacent: boolean, fields: Fields): number {
  const upper = keyword.toUpperCase();
  if (upper === 'MONTH' || upper === 'MON') {
    const at = MONTHS.findIndex((name) =>
      text.toLowerCase().startsWith(name.slice(0, 3).toLowerCase()),
    );
    if (at < 0) {
      throw new SqlError('22007', `invalid value "${text.slice(0, 3)}" for "${keyword}"`, {
        detail: 'The given value did not match any of the allowed values for this field.',
      });
    }
    fields.month = at + 1;
    const full = text.toLowerCase().startsWith(MONTHS[at]!.toLowerCase());
    return full && upper === 'MONTH' ? MONTHS[at]!.length : 3;
  }
  if (upper === 'DAY' || upper === 'DY') return /^[A-Za-z]*/.exec(text)![0].length;
  if (/^[AP]\.?M/.test(upper)) {
    fields.afternoon = /^p/i.test(text);
    return keyword.length;
  }
  if (/^[AB]\.?[DC]/.test(upper)) {
    fields.beforeChrist = /^b/i.test(text);
    return keyword.length;
  }
  if (upper === 'TZH' || upper === 'OF') {
    const zone = /^([+-]?)(\d\d?)(?::?(\d\d))?/.exec(text);
    if (zone === null) throw invalid(text, keyword);
    const seconds = Number(zone[2]) * 3600 + Number(zone[3] ?? 0) * 60;
    fields.east = zone[1] === '-' ? -seconds : seconds;
    return zone[0].length;
  }
  const width = /^FF\d$/.test(upper) ? Number(upper[2]) : (WIDTHS[upper] ?? 1);
  const limited = adjacent || (upper !== 'YYYY' && upper !== 'J');
  const found = new RegExp(`^[+-]?\\d{1,${limited ? width : 9}}`).exec(text);
  if (found === null) throw invalid(text, keyword);
  assign(upper, found[0], fields);
  return found[0].length;
}

function assign(keyword: string, text: string, fields: Fields): void {
  const value = Number(text);
  switch (keyword) {
    case 'YYYY':
      fields.year = value;
      break;
    case 'YYY':
    case 'YY':
    case 'Y':
      fields.year = text.length < 4 ? shortYear(value, text.length) : value;
      break;
    case 'MM':
      fields.month = value;
      break;
    case 'DD':
      fields.day = value;
      break;
    case 'DDD':
      fields.dayOfYear = value;
      break;
    case 'J':
      fields.julian = value;
      break;
    case 'HH24':
    case 'HH12':
    case 'HH':
      fields.hour = value;
      break;
    case 'MI':
      fields.minute = value;
      break;
    case 'SS':
      fields.second = value;
      break;
    case 'SSSS':
    case 'SSSSS':
      fields.secondsOfDay = value;
      break;
    case 'MS':
    case 'US':
    case 'FF1':
    case 'FF2':
    case 'FF3':
    case 'FF4':
    case 'FF5':
    case 'FF6':
      fields.micros = Number(text.padEnd(6, '0'));
      break;
    default: break; // prettier-ignore
  }
}

/** A year of two digits is near 2020: 70 … 99 are of the last century. */
function shortYear(value: number, length: number): number {
  if (length <= 2) return value < 70 ? 2000 + value : 1900 + value;
  return value < 520 ? 2000 + value : 1000 + value;
}

function outOfRange(text: string): SqlError {
  return new SqlError('22008', `date/time field value out of range: "${text}"`);
}

/** Days since 2000-01-01 of what was read. */
function daysOf(fields: Fields, text: string): number {
  if (fields.julian !== undefined) return fields.julian - JULIAN_EPOCH;
  // Without a year PostgreSQL means 1 BC; and -44 BC is 44.
  const signed = (fields.year ?? 0) * (fields.beforeChrist === true ? -1 : 1);
  const year = signed < 0 ? signed + 1 : signed;
  if (fields.dayOfYear !== undefined) return daysFromCivil(year, 1, 1) + fields.dayOfYear - 1;
  const month = fields.month ?? 1;
  const day = fields.day ?? 1;
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) throw outOfRange(text);
  return daysFromCivil(year, month, day);
}

function timeOf(fields: Fields, text: string): bigint {
  let hour = fields.hour ?? 0;
  if (fields.afternoon !== undefined) hour = (hour % 12) + (fields.afternoon ? 12 : 0);
  const minute = fields.minute ?? 0;
  const second = fields.second ?? 0;
  if (hour > 24 || minute > 59 || second > 59) throw outOfRange(text);
  const seconds = fields.secondsOfDay ?? hour * 3600 + minute * 60 + second;
  return BigInt(seconds) * 1_000_000n + BigInt(fields.micros ?? 0);
}

function toTimestamp(text: string, pattern: string, zoneName: string): Datum {
  const fields = read(text, pattern);
  const local = BigInt(daysOf(fields, text)) * MICROS_PER_DAY + timeOf(fields, text);
  if (fields.east !== undefined) return local - BigInt(fields.east) * 1_000_000n;
  return localToUtc(local, parseZone(zoneName));
}

export const FORMAT_DATETIME: FunctionTable = {
  timestamp_to_char: {
    impl: ([local, pattern]) =>
      pattern === '' || isInfiniteTimestamp(local as bigint)
        ? null
        : format(momentOf(local as bigint, null), pattern as string),
  },
  timestamptz_to_char: {
    impl: ([instant, pattern], session) => {
      const micros = instant as bigint;
      if (pattern === '' || isInfiniteTimestamp(micros)) return null;
      const { timeZone } = session.values;
      const offset = parseZone(timeZone);
      const east = offset(micros);
      const name = tryTimeZone(timeZone)?.abbreviation(micros) ?? offsetText(east);
      return format(momentOf(utcToLocal(micros, offset), { east, name }), pattern as string);
    },
  },
  interval_to_char: {
    impl: ([value, pattern]) => {
      if (pattern === '') return null;
      refuseCalendar(pattern as string);
      const { months, days, micros } = decodeInterval(value as Uint8Array);
      const moment: Moment = {
        year: Math.trunc(months / 12),
        month: months % 12,
        day: days,
        days: null,
        zone: null,
        ...clockOf(micros),
      };
      return format(moment, pattern as string);
    },
  },
  to_date: {
    impl: ([text, pattern]) =>
      BigInt(daysOf(read(text as string, pattern as string), text as string)),
  },
  to_timestamp: {
    impl: ([text, pattern], session) =>
      toTimestamp(text as string, pattern as string, session.values.timeZone),
  },
};
