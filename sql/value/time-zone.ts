// Time zones by name, offset or abbreviation. Pure but for the tz database that Intl carries.
//
// Offsets come from Intl, whose answers differ with its tz database; so nothing here may be used while a block
// is applied. An edge resolves local times once, and the chain holds instants.
//
// (1) Names are case-insensitive. POSIX forms ("+08", "UTC-3", "EST5") count hours west of UTC.
// (2) An offset is in seconds east of UTC.

import type { ZoneOffset } from '../../ledger/datetime.ts';
import { UNIX_EPOCH_MICROS } from '../../ledger/datetime.ts';
import { ABBREVIATIONS } from './time-zone-abbreviation.ts';

export interface TimeZone {
  /** As SHOW timezone prints it. */
  readonly name: string;
  readonly offset: ZoneOffset;
  /** What the old output styles print after the time: 'EST', or undefined where an offset is printed. */
  readonly abbreviation: (utcMicros: bigint) => string | undefined;
}

const ZONES_MAX = 1_000;
const zones = new Map<string, TimeZone | null>();

/** A zone by its name; undefined when there is none. Cached, since a name is looked up for every value. */
export function tryTimeZone(name: string): TimeZone | undefined {
  const key = name.toLowerCase();
  let zone = zones.get(key);
  if (zone === undefined) {
    zone = fixedZone(name) ?? intlZone(name) ?? posixZone(name) ?? null;
    if (zones.size >= ZONES_MAX) zones.clear();
    zones.set(key, zone);
  }
  return zone ?? undefined;
}

/**
 * The name a session's TimeZone gets when it is SET: a plain number of hours counts east, as
 * SET timezone = 5.5 does; undefined when there is no such zone.
 */
export function timeZoneSetting(text: string): string | undefined {
  const trimmed = text.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(trimmed)) return tryTimeZone(trimmed)?.name;
  return fixedZoneSetting(Math.trunc(Number(trimmed) * 3600));
}

/** The name of a zone so many seconds east of UTC; undefined when that is too far. */
export function fixedZoneSetting(east: number): string | undefined {
  if (Math.abs(east) > 167 * 3600) return undefined;
  const size = Math.abs(east);
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(size / 60) % 60;
  const clock =
    two(Math.floor(size / 3600)) +
    (size % 3600 === 0 ? '' : `:${two(minutes)}`) +
    (size % 60 === 0 ? '' : `:${two(size % 60)}`);
  return east < 0 ? `<-${clock}>+${clock}` : `<+${clock}>-${clock}`;
}

/** Seconds east of an abbreviation of Postgres' default set ('EST', 'cest'), or undefined. */
export function abbreviationOffset(name: string): number | undefined {
  return ABBREVIATIONS.get(name.toUpperCase());
}

function constantZone(name: string, seconds: number, abbreviation: string): TimeZone {
  return { name, offset: () => seconds, abbreviation: () => abbreviation };
}

function fixedZone(name: string): TimeZone | undefined {
  const upper = name.toUpperCase();
  if (
    ['UTC', 'ETC/UTC', 'UCT', 'ETC/UCT', 'ZULU', 'ETC/ZULU', 'UNIVERSAL', 'ETC/UNIVERSAL'].includes(
      upper,
    )
  ) {
    return constantZone(upper === 'UTC' ? 'UTC' : name, 0, 'UTC');
  }
  if (['GMT', 'ETC/GMT', 'GREENWICH', 'GMT0', 'GMT+0', 'GMT-0'].includes(upper)) {
    return constantZone(upper === 'GMT' ? 'GMT' : name, 0, 'GMT');
  }
  return undefined;
}

/** 'EST5', 'UTC-3', '<+03>-3', '+08', '-7:30': the sign counts west. */
function posixZone(name: string): TimeZone | undefined {
  const match = /^(<[A-Za-z0-9+:-]+>|[A-Za-z]*)([+-]?)(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?$/.exec(
    name,
  );
  if (match === null) return undefined;
  const [, label = '', sign, hours, minutes = '0', seconds = '0'] = match;
  if (Number(hours) > 24 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  const west = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  const east = sign === '-' ? west : -west;
  return constantZone(name, east === 0 ? 0 : east, label.replace(/[<>]/g, '') || name);
}

/** Two weeks of milliseconds: no zone has changed its clock twice within that. */
const BUCKET_MS = 14 * 86_400_000;
const BUCKETS_MAX = 4_096;
/** The Gregorian calendar repeats after 400 years; Intl's dates end before Postgres' do. */
const CYCLE_MS = 12_622_780_800_000;
const DATE_MS_MAX = 8_600_000_000_000_000;

interface Bucket {
  readonly before: number;
  /** From this millisecond on `after` holds. */
  readonly transition: number;
  readonly after: number;
}

function intlZone(name: string): TimeZone | undefined {
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]*$/.test(name) || abbreviationLike(name)) return undefined;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    return undefined;
  }
  const buckets = new Map<number, Bucket>();
  const offset: ZoneOffset = (utcMicros) => {
    const milliseconds = unixMilliseconds(utcMicros);
    const index = Math.floor(milliseconds / BUCKET_MS);
    let bucket = buckets.get(index);
    if (bucket === undefined) {
      bucket = findTransition(format, index * BUCKET_MS, (index + 1) * BUCKET_MS);
      if (buckets.size >= BUCKETS_MAX) buckets.clear();
      buckets.set(index, bucket);
    }
    return milliseconds < bucket.transition ? bucket.before : bucket.after;
  };
  const canonical = canonicalName(name);
  return { name: canonical, offset, abbreviation: shortNames(canonical) };
}

/** Names that Intl knows but Postgres takes for abbreviations or POSIX forms with an offset. */
function abbreviationLike(name: string): boolean {
  return /^[A-Z]{3,4}[+-]?\d/i.test(name) && !/^[A-Z]{3}\d[A-Z]{3}$/i.test(name);
}

function unixMilliseconds(utcMicros: bigint): number {
  let milliseconds = Number((utcMicros + UNIX_EPOCH_MICROS) / 1000n);
  if ((utcMicros + UNIX_EPOCH_MICROS) % 1000n < 0n) milliseconds--;
  while (milliseconds > DATE_MS_MAX) milliseconds -= CYCLE_MS;
  return milliseconds;
}

function findTransition(format: Intl.DateTimeFormat, start: number, end: number): Bucket {
  const before = offsetAt(format, start);
  const after = offsetAt(format, end - 1000);
  if (before === after) return { before, transition: end, after };
  let low = start;
  let high = end - 1000;
  while (high - low > 1000) {
    const middle = low + Math.floor((high - low) / 2000) * 1000;
    if (offsetAt(format, middle) === before) low = middle;
    else high = middle;
  }
  return { before, transition: high, after };
}

/** Seconds east at a whole second: the local clock read as UTC, minus UTC. */
function offsetAt(format: Intl.DateTimeFormat, milliseconds: number): number {
  const fields: Record<string, string> = {};
  for (const part of format.formatToParts(milliseconds)) fields[part.type] = part.value;
  const year = fields['era'] === 'BC' ? 1 - Number(fields['year']) : Number(fields['year']);
  const local = new Date(0);
  local.setUTCFullYear(year, Number(fields['month']) - 1, Number(fields['day']));
  local.setUTCHours(Number(fields['hour']), Number(fields['minute']), Number(fields['second']));
  return Math.round((local.getTime() - milliseconds) / 1000);
}

/** The spelling of the tz database, found by its canonical list; ours where the list has only another alias. */
function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  const known = Intl.supportedValuesOf('timeZone').find((zone) => zone.toLowerCase() === lower);
  if (known !== undefined) return known;
  if (!name.includes('/')) return name.length <= 3 ? name.toUpperCase() : name;
  return name.replace(/[A-Za-z]+/g, (word) => word[0]!.toUpperCase() + word.slice(1).toLowerCase());
}

function shortNames(name: string): (utcMicros: bigint) => string | undefined {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'short' });
  return (utcMicros) => {
    const parts = format.formatToParts(unixMilliseconds(utcMicros));
    const short = parts.find((part) => part.type === 'timeZoneName')?.value;
    return short !== undefined && /^[A-Z]+$/.test(short) ? short : undefined;
  };
}
