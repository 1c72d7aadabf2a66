// What the values of settings may be, and how SHOW prints them. Pure.
//
// Each check takes the text that a client has sent and the setting's name (and where they matter the value as it is, and
// what RESET goes back to), and gives the canonical text, or throws 22023.

import { SqlError } from '../../ledger/error.ts';
import type { SqlErrorFields } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { timeZoneSetting } from '../../sql/value/time-zone.ts';

/** Largest value of a setting that Postgres keeps in 32 bits. */
export const INTEGER_MAX = 2_147_483_647;

const ON = ['on', 'true', 'yes', '1', 't', 'y'];
const OFF = ['off', 'false', 'no', '0', 'f', 'n'];

export function bool(value: string, name: string): string {
  const lower = value.toLowerCase();
  if (ON.includes(lower)) return 'on';
  if (OFF.includes(lower)) return 'off';
  throw new SqlError(
    SQLSTATE.invalidParameterValue,
    `parameter "${name}" requires a Boolean value`,
  );
}

export function oneOf(...values: readonly string[]) {
  return (value: string, name: string): string => {
    const found = values.find((candidate) => candidate === value.toLowerCase());
    if (found !== undefined) return found;
    throw invalidValue(name, value, { hint: `Available values: ${values.join(', ')}.` });
  };
}

export function integer(min: number, max: number) {
  return (value: string, name: string): string => {
    if (!/^[+-]?\d+$/.test(value.trim())) throw invalidValue(name, value);
    const number = Number(value);
    if (number < min || number > max) {
      throw outOfRange(name, number, min, max);
    }
    return String(number);
  };
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds with an optional unit; canonical text in the largest unit that fits exactly, 0 without unit. */
export function duration(value: string, name: string): string {
  const match = /^\s*([+-]?\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*$/.exec(value);
  if (match === null) {
    // Postgres speaks of units only after something that is a number.
    const hint = 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".';
    throw invalidValue(name, value, /^\s*[+-]?\d/.test(value) ? { hint } : {});
  }
  const ms = Math.round(Number(match[1]) * DURATION_UNITS[match[2] ?? 'ms']!);
  if (ms < 0 || ms > INTEGER_MAX) {
    throw outOfRange(name, `${ms} ms`, 0, INTEGER_MAX);
  }
  if (ms === 0) return '0';
  for (const unit of ['d', 'h', 'min', 's'] as const) {
    if (ms % DURATION_UNITS[unit]! === 0) return `${ms / DURATION_UNITS[unit]!}${unit}`;
  }
  return `${ms}ms`;
}

/** Milliseconds of a duration setting's canonical text. */
export function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|min|h|d)?$/.exec(text);
  return match === null ? 0 : Number(match[1]) * DURATION_UNITS[match[2] ?? 'ms']!;
}

/** What a word of DateStyle says: how dates are written, or in which order day and month are. */
function dateStyleWord(word: string): readonly ['style' | 'order', string] | undefined {
  if (word === 'iso') return ['style', 'ISO'];
  if (word === 'sql') return ['style', 'SQL'];
  if (word.startsWith('postgres')) return ['style', 'Postgres'];
  if (word === 'german') return ['style', 'German'];
  if (word === 'ymd') return ['order', 'YMD'];
  if (word === 'dmy' || word.startsWith('euro')) return ['order', 'DMY'];
  if (word === 'mdy' || word === 'us' || word.startsWith('noneuro')) return ['order', 'MDY'];
  return undefined;
}

/**
 * A list of words, as check_datestyle() reads it: what none of them says stays as it is.
 *
 * @param current  the value as it is
 * @param initial  what the word DEFAULT stands for
 */
export function dateStyle(value: string, name: string, current: string, initial: string): string {
  const refuse = (detail: string): SqlError => invalidValue(name, value, { detail });
  let [style, order] = current.split(', ');
  const said: { style?: string; order?: string } = {};
  let conflicting = false;
  for (const item of value.trim() === '' ? [] : value.split(',')) {
    const match = /^\s*(?:"([^"]*)"|([^"\s]\S*))\s*$/.exec(item);
    if (match === null) throw refuse('List syntax is invalid.');
    const word = match[1] ?? match[2]!.toLowerCase();
    if (word.toLowerCase() === 'default') {
      [style, order] = initial.split(', ');
      continue;
    }
    const meaning = dateStyleWord(word.toLowerCase());
    if (meaning === undefined) throw refuse(`Unrecognized key word: "${word}".`);
    const [part, is] = meaning;
    conflicting ||= said[part] !== undefined && said[part] !== is;
    said[part] = is;
    if (is === 'German') order = 'DMY';
  }
  if (conflicting) throw refuse('Conflicting "datestyle" specifications.');
  return `${said.style ?? style}, ${said.order ?? order}`;
}

export function timeZone(value: string, name: string): string {
  const zone = timeZoneSetting(value);
  if (zone === undefined) throw invalidValue(name, value);
  return zone;
}

export function clientEncoding(value: string, name: string): string {
  const word = value.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  if (word === 'utf8' || word === 'unicode') return 'UTF8';
  if (word === 'sqlascii') return 'SQL_ASCII';
  throw new SqlError(
    SQLSTATE.featureNotSupported,
    `invalid value for parameter "${name}": "${value}"`,
    {
      detail: 'Conversion between this encoding and UTF8 is not supported.',
      hint: 'Use client_encoding UTF8.',
    },
  );
}

export const isolation = oneOf(
  'serializable',
  'repeatable read',
  'read committed',
  'read uncommitted',
);
export const messageLevel = oneOf(
  'debug5',
  'debug4',
  'debug3',
  'debug2',
  'debug1',
  'debug',
  'log',
  'info',
  'notice',
  'warning',
  'error',
  'fatal',
  'panic',
);

/** A number with a fraction. */
export function real(min: number, max: number) {
  return (value: string, name: string): string => {
    if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value)) throw invalidValue(name, value);
    const number = Number(value);
    if (number >= min && number <= max) return String(number);
    throw outOfRange(name, number, min, short(max));
  };
}

/** As C's %g writes it. */
function short(number: number): string {
  return String(Number(number.toPrecision(6)));
}

const MEMORY_UNITS: Readonly<Record<string, number>> = {
  B: 1 / 1024,
  kB: 1,
  MB: 1024,
  GB: 1024 ** 2,
  TB: 1024 ** 3,
};

/** Memory in units of `unit` kB, from `min` to `max` of them; canonical text in the largest unit that fits exactly. */
export function memory(min: number, unit: 1 | 8 = 1, max = INTEGER_MAX) {
  return (value: string, name: string): string => {
    const match = /^\s*([+-]?\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?\s*$/.exec(value);
    if (match === null) {
      const hint = 'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".';
      throw invalidValue(name, value, /^\s*[+-]?\d/.test(value) ? { hint } : {});
    }
    const kib = Number(match[1]) * (match[2] === undefined ? unit : MEMORY_UNITS[match[2]]!);
    const units = Math.round(kib / unit);
    if (units < min || units > max) {
      throw outOfRange(name, `${units} ${unit === 1 ? '' : unit}kB`, min, max);
    }
    for (const name of ['TB', 'GB', 'MB'] as const) {
      if ((units * unit) % MEMORY_UNITS[name]! === 0)
        return `${(units * unit) / MEMORY_UNITS[name]!}${name}`;
    }
    return `${units * unit}kB`;
  };
}

function outOfRange(
  name: string,
  shown: number | string,
  min: number,
  max: number | string,
): SqlError {
  return new SqlError(
    SQLSTATE.invalidParameterValue,
    `${shown} is outside the valid range for parameter "${name}" (${min} .. ${max})`,
  );
}

export function invalidValue(name: string, value: string, fields: SqlErrorFields = {}): SqlError {
  const message = `invalid value for parameter "${name}": "${value}"`;
  return new SqlError(SQLSTATE.invalidParameterValue, message, fields);
}
