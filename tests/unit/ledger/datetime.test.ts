// The calendar against JavaScript's, the byte forms' order, and local times around clock changes.

import { describe, expect, test } from '@jest/globals';
import { compare, hex } from '../../../ledger/bytes.ts';
import * as datetime from '../../../ledger/datetime.ts';

const MS_PER_DAY = 86_400_000;

describe('the calendar', () => {
  test('agrees with Date, both ways, over ten thousand years', () => {
    for (let days = -2_000_000; days < 2_000_000; days += 997) {
      const date = new Date(Date.UTC(2000, 0, 1) + days * MS_PER_DAY);
      const civil = {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
      };
      expect(datetime.civilFromDays(days)).toEqual(civil);
      expect(datetime.daysFromCivil(civil.year, civil.month, civil.day)).toBe(days);
      expect(datetime.dayOfWeek(days)).toBe(date.getUTCDay());
    }
  });
  test('knows the length of months and the ISO week', () => {
    const lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((month) =>
      datetime.daysInMonth(2023, month),
    );
    expect(lengths).toEqual([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
    expect([1900, 2000, 2024].map((year) => datetime.daysInMonth(year, 2))).toEqual([28, 29, 29]);
    expect(datetime.isoWeek(datetime.daysFromCivil(2021, 1, 3))).toEqual({ year: 2020, week: 53 });
    expect(datetime.isoWeek(datetime.daysFromCivil(2018, 12, 31))).toEqual({ year: 2019, week: 1 });
  });
});

describe('byte forms', () => {
  const intervals = [
    { months: -3, days: 5, micros: 0n },
    { months: 0, days: 0, micros: -1n },
    { months: 0, days: 0, micros: 0n },
    { months: 0, days: 0, micros: 86_399_999_999n },
    { months: 0, days: 1, micros: 0n },
    { months: 1, days: -1, micros: 0n },
    { months: 1, days: 0, micros: 0n },
    { months: 2_147_483_647, days: 2_147_483_647, micros: 9_223_372_036_854_775_807n },
  ];
  test('intervals read back and are in their order', () => {
    const encoded = intervals.map(datetime.encodeInterval);
    expect(encoded.map(datetime.decodeInterval)).toEqual(intervals);
    expect([...encoded].sort(compare).map(hex)).toEqual(encoded.map(hex));
  });
  test('a month is thirty days, a day is twenty-four hours', () => {
    const spans = [
      [1, 0, 0n],
      [0, 30, 0n],
      [0, 29, datetime.MICROS_PER_DAY],
    ] as const;
    const keys = spans.map(([months, days, micros]) =>
      hex(datetime.encodeInterval({ months, days, micros }).subarray(0, 16)),
    );
    expect(new Set(keys).size).toBe(1);
  });
  test('timetz reads back and is ordered by instant, then zone', () => {
    const times = [
      { micros: 0n, west: -3600 },
      { micros: 0n, west: 0 },
      { micros: 3_600_000_000n, west: 0 },
      { micros: 0n, west: 3600 },
    ];
    const encoded = times.map(datetime.encodeTimeTz);
    expect(encoded.map(datetime.decodeTimeTz)).toEqual(times);
    expect([...encoded].sort(compare).map(hex)).toEqual(encoded.map(hex));
  });
});

describe('local times', () => {
  // A zone one hour east, two from noon UTC of day 0 until noon of day 10.
  const change = datetime.MICROS_PER_DAY / 2n;
  const zone: datetime.ZoneOffset = (utc) =>
    utc >= change && utc < change + 10n * datetime.MICROS_PER_DAY ? 7200 : 3600;
  const hour = 3_600_000_000n;
  test('in a gap the offset before it counts', () => {
    expect(datetime.localToUtc(13n * hour + hour / 2n, zone)).toBe(12n * hour + hour / 2n);
  });
  test('in an overlap the later instant is meant', () => {
    const back = change + 10n * datetime.MICROS_PER_DAY;
    const local = back + hour + hour / 2n;
    expect(datetime.localToUtc(local, zone)).toBe(back + hour / 2n);
  });
  test('elsewhere there and back is the same', () => {
    for (let at = -20n; at < 20n; at++) {
      const instant = at * 11n * hour;
      expect(datetime.localToUtc(datetime.utcToLocal(instant, zone), zone)).toBe(instant);
    }
  });
  test('a day may have twenty-five hours', () => {
    const day = { months: 0, days: 1, micros: 0n };
    const start = datetime.localToUtc(10n * datetime.MICROS_PER_DAY, zone);
    const next = datetime.timestamptzPlusInterval(start, day, zone);
    expect(next - start).toBe(25n * hour);
  });
});

test('months are clamped to the end of the month', () => {
  const january31 = BigInt(datetime.daysFromCivil(2024, 1, 31)) * datetime.MICROS_PER_DAY;
  const later = datetime.timestampPlusInterval(january31, { months: 1, days: 0, micros: 0n });
  expect(datetime.civilFromDays(datetime.splitTimestamp(later).days)).toEqual({
    year: 2024,
    month: 2,
    day: 29,
  });
});

test('what Postgres could not hold is refused', () => {
  const last = datetime.TIMESTAMP_INFINITY - 1n;
  expect(() => datetime.checkedTimestamp(last)).toThrow('timestamp out of range');
  expect(() => datetime.interval(2_147_483_648, 0, 0n)).toThrow('interval out of range');
  expect(() => datetime.datePlusDays(0n, 2_147_483_647n)).toThrow('date out of range');
});
