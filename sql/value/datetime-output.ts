// Printing dates and times in the four DateStyles. Pure but for time zones (time-zone.ts).

import * as datetime from '../../ledger/datetime.ts';
import type { ValueContext } from './context.ts';
import type { TimeZone } from './time-zone.ts';
import { tryTimeZone } from './time-zone.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

function two(value: number): string {
  return value < 10 ? '0' + value : String(value);
}

function yearText(year: number): string {
  return String(year > 0 ? year : 1 - year).padStart(4, '0');
}

function era(year: number): string {
  return year > 0 ? '' : ' BC';
}

/** @param days  date Datum */
export function formatDate(days: bigint, context: ValueContext): string {
  if (days === datetime.DATE_INFINITY) return 'infinity';
  if (days === datetime.DATE_MINUS_INFINITY) return '-infinity';
  const civil = datetime.civilFromDays(Number(days));
  return dateText(civil, context) + era(civil.year);
}

function dateText(civil: datetime.CivilDate, context: ValueContext): string {
  const year = yearText(civil.year);
  const month = two(civil.month);
  const day = two(civil.day);
  const pair = (separator: string): string =>
    context.dateOrder === 'DMY' ? day + separator + month : month + separator + day;
  switch (context.dateStyle) {
    case 'ISO':
      return `${year}-${month}-${day}`;
    case 'SQL':
      return `${pair('/')}/${year}`;
    case 'German':
      return `${day}.${month}.${year}`;
    case 'Postgres':
      return `${pair('-')}-${year}`;
    default:
      return context.dateStyle satisfies never;
  }
}

/** @param time  microseconds since midnight, up to 24:00:00 */
export function formatTime(time: bigint): string {
  const micros = Number(time);
  const seconds = Math.floor(micros / 1e6);
  const fraction = micros - seconds * 1e6;
  const minutes = Math.floor(seconds / 60);
  const clock = `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(seconds % 60)}`;
  return fraction === 0 ? clock : clock + fractionText(fraction);
}

/** '.5' for 500000; nothing for 0. */
export function fractionText(micros: number): string {
  return micros === 0 ? '' : '.' + String(micros).padStart(6, '0').replace(/0+$/, '');
}

/** +HH, +HH:MM or +HH:MM:SS */
export function formatOffset(east: number): string {
  const size = Math.abs(east);
  const minutes = Math.floor(size / 60) % 60;
  const seconds = size % 60;
  let text = (east < 0 ? '-' : '+') + two(Math.floor(size / 3600));
  if (minutes !== 0 || seconds !== 0) text += ':' + two(minutes);
  return seconds === 0 ? text : text + ':' + two(seconds);
}

export function formatTimeTz(bytes: Uint8Array): string {
  const { micros, west } = datetime.decodeTimeTz(bytes);
  return formatTime(micros) + formatOffset(-west);
}

export function formatTimestamp(micros: bigint, context: ValueContext): string {
  if (micros === datetime.TIMESTAMP_INFINITY) return 'infinity';
  if (micros === datetime.TIMESTAMP_MINUS_INFINITY) return '-infinity';
  return timestampText(micros, context, '');
}

export function formatTimestamptz(micros: bigint, context: ValueContext): string {
  if (micros === datetime.TIMESTAMP_INFINITY) return 'infinity';
  if (micros === datetime.TIMESTAMP_MINUS_INFINITY) return '-infinity';
  const zone = tryTimeZone(context.timeZone) ?? tryTimeZone('UTC')!;
  const east = zone.offset(micros);
  const local = micros + BigInt(east) * datetime.MICROS_PER_SECOND;
  return timestampText(local, context, zoneText(zone, micros, east, context));
}

function zoneText(zone: TimeZone, instant: bigint, east: number, context: ValueContext): string {
  if (context.dateStyle === 'ISO') return formatOffset(east);
  // Only local mean time has odd seconds; for the rest Intl knows few abbreviations.
  if (east % 60 !== 0) return ' LMT';
  return ' ' + (zone.abbreviation(instant) ?? formatOffset(east));
}

function timestampText(local: bigint, context: ValueContext, zone: string): string {
  const { days, time } = datetime.splitTimestamp(local);
  const civil = datetime.civilFromDays(days);
  const clock = formatTime(time);
  if (context.dateStyle !== 'Postgres') {
    return `${dateText(civil, context)} ${clock}${zone}${era(civil.year)}`;
  }
  const month = MONTHS[civil.month - 1]!;
  const monthDay =
    context.dateOrder === 'DMY' ? `${two(civil.day)} ${month}` : `${month} ${two(civil.day)}`;
  const weekday = DAYS[datetime.dayOfWeek(days)]!;
  return `${weekday} ${monthDay} ${clock} ${yearText(civil.year)}${zone}${era(civil.year)}`;
}
