// Dates and times where a time zone or the clock has a say. Pure, but for the clock.

import {
  age,
  checkedTimestamp,
  dateToTimestamp,
  decodeInterval,
  decodeTimeTz,
  encodeInterval,
  encodeTimeTz,
  isInfiniteTimestamp,
  localToUtc,
  MICROS_PER_DAY,
  MICROS_PER_SECOND,
  negateInterval,
  roundToPrecision,
  splitTimestamp,
  timestampPlusInterval,
  timestamptzPlusInterval,
  timestampToDate,
  UNIX_EPOCH_MICROS,
  utcToLocal,
} from '../../ledger/datetime.ts';
import { SqlError } from '../../ledger/error.ts';
import { encodeNumeric } from '../../ledger/numeric.ts';
import { FUNCTIONS } from '../../ledger/functions.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import {
  DATE_INFINITY,
  DATE_MINUS_INFINITY,
  TIMESTAMP_INFINITY,
  TIMESTAMP_MINUS_INFINITY,
} from '../../ledger/datetime.ts';
import { readType } from './function.ts';
import { parseZone } from './zone.ts';
import type { ZoneOffset } from '../../ledger/datetime.ts';
import type { Datum } from '../../ledger/type.ts';
import type { EdgeFunction, FunctionTable, SessionFunctions } from './function.ts';

function ledgerCall(symbol: string, ...args: readonly Datum[]): Datum {
  return (FUNCTIONS.get(symbol)!.impl as (...values: readonly Datum[]) => Datum)(...args);
}

function sessionZone(session: SessionFunctions): ZoneOffset {
  return parseZone(session.values.timeZone);
}

/** The wall clock of a zone: timestamp without time zone. */
export function localTimestamp(instant: bigint, timeZone: string): bigint {
  return toLocal(instant, parseZone(timeZone));
}

function toLocal(instant: Datum, zone: ZoneOffset): bigint {
  const micros = instant as bigint;
  return isInfiniteTimestamp(micros) ? micros : utcToLocal(micros, zone);
}

function toInstant(local: Datum, zone: ZoneOffset): bigint {
  const micros = local as bigint;
  return isInfiniteTimestamp(micros) ? micros : checkedTimestamp(localToUtc(micros, zone));
}

/** A zone given as an interval; months and days have no place in it. */
function intervalZone(value: Datum): ZoneOffset {
  const { months, days, micros } = decodeInterval(value as Uint8Array);
  if (months !== 0 || days !== 0) {
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      'interval time zone must not include months or days',
    );
  }
  const seconds = Number(micros / MICROS_PER_SECOND);
  return () => seconds;
}

const FINE_UNITS =
  /^(?:hours?|minutes?|seconds?|milliseconds?|microseconds?|min|mins|sec|secs|ms|us|h|m|s|hr|hrs)$/i;

/** date_trunc of an instant: in local time, but keeping the offset where the unit is below a day. */
function truncate(unit: Datum, instant: Datum, zone: ZoneOffset): Datum {
  const micros = instant as bigint;
  if (isInfiniteTimestamp(micros)) return micros;
  const local = utcToLocal(micros, zone);
  const cut = ledgerCall('timestamp_trunc', unit, local) as bigint;
  return FINE_UNITS.test(unit as string) ? micros - (local - cut) : toInstant(cut, zone);
}

/** extract() or date_part() of an instant. */
function part(
  symbol: 'extract_timestamp' | 'timestamp_part',
  unit: Datum,
  instant: Datum,
  zone: ZoneOffset,
): Datum {
  const micros = instant as bigint;
  const name = (unit as string).toLowerCase();
  if (name === 'epoch' || isInfiniteTimestamp(micros)) return ledgerCall(symbol, unit, micros);
  const east = zone(micros);
  const hours = Math.trunc(east / 3600);
  const minutes = Math.trunc(east / 60) % 60;
  const parts = { timezone: east, timezone_h: hours, timezone_hour: hours };
  const west = { ...parts, timezone_m: minutes, timezone_minute: minutes }[name];
  if (west === undefined) return ledgerCall(symbol, unit, utcToLocal(micros, zone));
  return symbol === 'timestamp_part'
    ? west
    : encodeNumeric({ coefficient: BigInt(west), scale: 0 });
}

const COMPARE: Readonly<Record<string, (difference: bigint) => boolean>> = {
  eq: (difference) => difference === 0n,
  ne: (difference) => difference !== 0n,
  lt: (difference) => difference < 0n,
  le: (difference) => difference <= 0n,
  gt: (difference) => difference > 0n,
  ge: (difference) => difference >= 0n,
};

type ToMicros = (value: Datum, zone: ZoneOffset) => bigint;

const INSTANTS: Readonly<Record<string, ToMicros>> = {
  timestamptz: (value) => value as bigint,
  timestamp: toInstant,
  date: (value, zone) => toInstant(dateToTimestamp(value as bigint), zone),
};

/** Comparisons of an instant with a local time or a date, both ways. */
function mixedComparisons(): [string, EdgeFunction][] {
  const pairs = [
    ['date', 'timestamptz'],
    ['timestamptz', 'date'],
    ['timestamp', 'timestamptz'],
    ['timestamptz', 'timestamp'],
  ] as const;
  return pairs.flatMap(([left, right]) =>
    Object.entries(COMPARE).map(([name, holds]): [string, EdgeFunction] => [
      `${left}_${name}_${right}`,
      {
        impl: ([a, b], session) => {
          const zone = sessionZone(session);
          return holds(INSTANTS[left]!(a!, zone) - INSTANTS[right]!(b!, zone)) ? 1n : 0n;
        },
      },
    ]),
  );
}

function bin(step: Datum, value: Datum, origin: Datum): Datum {
  if (isInfiniteTimestamp(value as bigint)) return value;
  if (isInfiniteTimestamp(origin as bigint)) throw new SqlError('22008', 'origin out of range');
  const { months, days, micros } = decodeInterval(step as Uint8Array);
  if (months !== 0) {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      'timestamps cannot be binned into intervals containing months or years',
    );
  }
  const stride = BigInt(days) * MICROS_PER_DAY + micros;
  const distance = (value as bigint) - (origin as bigint);
  if (!isInt8(stride) || !isInt8(distance)) throw new SqlError('22008', 'interval out of range');
  if (stride <= 0n) throw new SqlError('22008', 'stride must be greater than zero');
  const rest = ((distance % stride) + stride) % stride;
  return checkedTimestamp((value as bigint) - rest);
}

function isInt8(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}

/** (a, b) OVERLAPS (c, d) over comparable values; NULLs as the standard wants them. */
function overlaps(args: readonly Datum[]): Datum {
  const [a, b, c, d] = args.map((value) => value as bigint | null) as [
    bigint | null,
    bigint | null,
    bigint | null,
    bigint | null,
  ];
  const order = (x: bigint | null, y: bigint | null): [bigint | null, bigint | null] =>
    x === null ? [y, null] : y === null || x <= y ? [x, y] : [y, x];
  const [start1, end1] = order(a, b);
  const [start2, end2] = order(c, d);
  if (start1 === null || start2 === null) return null;
  if (start1 === start2) return end1 === null || end2 === null ? null : 1n;
  const [first, second] = start1 < start2 ? [end1, start2] : [end2, start1];
  if (first === null) return null;
  if (second < first) return 1n;
  return (start1 < start2 ? end2 : end1) === null ? null : 0n;
}

/** A value of a clock's type: current_timestamp(3), localtime and so on. */
function nowAs(now: Datum, code: string, session: SessionFunctions): Datum {
  const { base, typmod } = readType(code);
  const zone = sessionZone(session);
  const instant = typmod >= 0 ? roundToPrecision(now as bigint, typmod) : (now as bigint);
  const local = utcToLocal(instant, zone);
  if (base === 'timestamptz') return instant;
  if (base === 'timestamp') return local;
  const { time } = splitTimestamp(local);
  return base === 'time' ? time : encodeTimeTz({ micros: time, west: -zone(instant) });
}

/** What the clock shows may differ by so much from what it showed at the start and the time since: more, and it was set. */
const CLOCK_SET_MS = 5;

/** What the clock showed, or would have shown, when performance.now() was 0. */
let clockOrigin = performance.timeOrigin;

/** Microseconds since 2000-01-01 by the machine's clock, which itself knows milliseconds only. */
function clock(): bigint {
  const elapsed = performance.now();
  const now = new Date().getTime();
  if (Math.abs(clockOrigin + elapsed - now) > CLOCK_SET_MS) clockOrigin = now - elapsed;
  return BigInt(Math.round((clockOrigin + elapsed) * 1000)) - UNIX_EPOCH_MICROS;
}

function fromEpoch(seconds: Datum): Datum {
  if (seconds === 'NaN') throw new SqlError('22008', 'timestamp cannot be NaN');
  const value = seconds as number;
  if (value === Infinity) return TIMESTAMP_INFINITY;
  if (value === -Infinity) return TIMESTAMP_MINUS_INFINITY;
  const whole = Math.floor(value);
  const micros = BigInt(whole) * MICROS_PER_SECOND + BigInt(Math.round((value - whole) * 1e6));
  return checkedTimestamp(micros - UNIX_EPOCH_MICROS);
}

function makeInstant(args: readonly Datum[], zone: ZoneOffset): Datum {
  return toInstant(ledgerCall('make_timestamp', ...args), zone);
}

function timeTzIn(value: Datum, zone: ZoneOffset, at: bigint): Datum {
  const { micros, west } = decodeTimeTz(value as Uint8Array);
  const east = zone(at);
  const utc = micros + BigInt(west) * MICROS_PER_SECOND;
  const local = utc + BigInt(east) * MICROS_PER_SECOND;
  return encodeTimeTz({
    micros: ((local % MICROS_PER_DAY) + MICROS_PER_DAY) % MICROS_PER_DAY,
    west: -east,
  });
}

/** OVERLAPS where a period is given by its length. */
const overlapsWithLengths: EdgeFunction = {
  typed: true,
  nullable: true,
  impl: (args, session, { args: types }) => {
    const ends = args.map((value, at) => {
      if (types[at]!.base !== 'interval') return value;
      const start = args[at - 1]!;
      if (value === null || start === null) return null;
      const { base } = types[at - 1]!;
      if (base !== 'timestamptz') return ledgerCall(`${base}_pl_interval`, start, value);
      const step = decodeInterval(value as Uint8Array);
      return timestamptzPlusInterval(start as bigint, step, sessionZone(session));
    });
    return overlaps(ends);
  },
};

const overlapsFunction: EdgeFunction = { nullable: true, impl: overlaps };

export const DATETIME: FunctionTable = {
  now_as: { impl: ([now, code], session) => nowAs(now!, code as string, session) },
  clock_timestamp: { volatile: true, impl: () => clock() },
  statement_timestamp: { volatile: true, impl: (_args, session) => session.values.nowMicros },
  timeofday: { volatile: true, impl: () => new Date().toUTCString() },
  timestamptz_pl_interval: {
    impl: ([instant, step], session) =>
      timestamptzPlusInterval(
        instant as bigint,
        decodeInterval(step as Uint8Array),
        sessionZone(session),
      ),
  },
  timestamptz_mi_interval: {
    impl: ([instant, step], session) =>
      timestamptzPlusInterval(
        instant as bigint,
        negateInterval(decodeInterval(step as Uint8Array)),
        sessionZone(session),
      ),
  },
  interval_pl_timestamptz: {
    impl: ([step, instant], session) =>
      timestamptzPlusInterval(
        instant as bigint,
        decodeInterval(step as Uint8Array),
        sessionZone(session),
      ),
  },
  interval_pl_timestamp: {
    impl: ([step, local]) =>
      timestampPlusInterval(local as bigint, decodeInterval(step as Uint8Array)),
  },
  interval_pl_date: {
    impl: ([step, days]) =>
      timestampPlusInterval(dateToTimestamp(days as bigint), decodeInterval(step as Uint8Array)),
  },
  interval_pl_time: { impl: ([step, time]) => ledgerCall('time_pl_interval', time!, step!) },
  timedate_pl: { impl: ([time, days]) => ledgerCall('datetime_timestamp', days!, time!) },
  timestamptz_trunc: {
    impl: ([unit, instant], session) => truncate(unit!, instant!, sessionZone(session)),
  },
  timestamptz_trunc_zone: {
    impl: ([unit, instant, zone]) => truncate(unit!, instant!, parseZone(zone as string)),
  },
  timestamptz_part: {
    impl: ([unit, instant], session) =>
      part('timestamp_part', unit!, instant!, sessionZone(session)),
  },
  extract_timestamptz: {
    impl: ([unit, instant], session) =>
      part('extract_timestamp', unit!, instant!, sessionZone(session)),
  },
  date_part_text_date: { impl: ([unit, days]) => ledgerCall('date_part', unit!, days!) },
  timestamptz_timestamp: { impl: ([instant], session) => toLocal(instant!, sessionZone(session)) },
  timestamp_timestamptz: { impl: ([local], session) => toInstant(local!, sessionZone(session)) },
  timestamptz_date: {
    impl: ([instant], session) => timestampToDate(toLocal(instant!, sessionZone(session))),
  },
  date_timestamptz: {
    impl: ([days], session) => {
      if (days === DATE_INFINITY) return TIMESTAMP_INFINITY;
      if (days === DATE_MINUS_INFINITY) return TIMESTAMP_MINUS_INFINITY;
      return toInstant(dateToTimestamp(days as bigint), sessionZone(session));
    },
  },
  timestamptz_time: {
    impl: ([instant], session) =>
      isInfiniteTimestamp(instant as bigint)
        ? null
        : splitTimestamp(toLocal(instant!, sessionZone(session))).time,
  },
  timestamptz_timetz: {
    impl: ([instant], session) => {
      const zone = sessionZone(session);
      const { time } = splitTimestamp(toLocal(instant!, zone));
      return encodeTimeTz({ micros: time, west: -zone(instant as bigint) });
    },
  },
  time_timetz: {
    impl: ([time], session) => {
      const east = sessionZone(session)(session.values.nowMicros);
      return encodeTimeTz({ micros: time as bigint, west: -east });
    },
  },
  datetimetz_timestamptz: {
    impl: ([days, time]) => {
      const { micros, west } = decodeTimeTz(time as Uint8Array);
      return checkedTimestamp(
        dateToTimestamp(days as bigint) + micros + BigInt(west) * MICROS_PER_SECOND,
      );
    },
  },
  timestamptz_date_time: {
    impl: ([days, time], session) =>
      toInstant(dateToTimestamp(days as bigint) + (time as bigint), sessionZone(session)),
  },
  timestamptz_zone: { impl: ([zone, instant]) => toLocal(instant!, parseZone(zone as string)) },
  timestamp_zone: { impl: ([zone, local]) => toInstant(local!, parseZone(zone as string)) },
  timestamptz_izone: { impl: ([zone, instant]) => toLocal(instant!, intervalZone(zone!)) },
  timestamp_izone: { impl: ([zone, local]) => toInstant(local!, intervalZone(zone!)) },
  timetz_zone: {
    impl: ([zone, time], session) =>
      timeTzIn(time!, parseZone(zone as string), session.values.nowMicros),
  },
  timetz_izone: { impl: ([zone, time]) => timeTzIn(time!, intervalZone(zone!), 0n) },
  timestamptz_age: {
    impl: ([left, right], session) => {
      const zone = sessionZone(session);
      return encodeInterval(age(toLocal(left!, zone), toLocal(right!, zone)));
    },
  },
  timestamp_bin: { impl: ([step, value, origin]) => bin(step!, value!, origin!) },
  timestamptz_bin: { impl: ([step, value, origin]) => bin(step!, value!, origin!) },
  float8_timestamptz: { impl: ([seconds]) => fromEpoch(seconds!) },
  make_timestamptz: { impl: (args, session) => makeInstant(args, sessionZone(session)) },
  make_timestamptz_at_timezone: {
    impl: (args) => makeInstant(args.slice(0, 6), parseZone(args[6] as string)),
  },
  overlaps_timestamp: overlapsFunction,
  overlaps_time: overlapsFunction,
  overlaps_4: overlapsWithLengths,
  ...Object.fromEntries(mixedComparisons()),
};
