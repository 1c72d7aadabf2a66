// Time zones: names, POSIX forms, abbreviations and the changes of the clock.

import { describe, expect, test } from '@jest/globals';
import { daysFromCivil, MICROS_PER_DAY } from '../../../../ledger/datetime.ts';
import {
  abbreviationOffset,
  timeZoneSetting,
  tryTimeZone,
} from '../../../../sql/value/time-zone.ts';

const at = (year: number, month: number, day: number, hour = 0): bigint =>
  BigInt(daysFromCivil(year, month, day)) * MICROS_PER_DAY + BigInt(hour) * 3_600_000_000n;

const offset = (name: string, instant: bigint): number | undefined =>
  tryTimeZone(name)?.offset(instant);

describe('offsets', () => {
  test('follow daylight saving to the second', () => {
    const change = at(2024, 3, 31, 1);
    expect(offset('Europe/Berlin', change - 1n)).toBe(3600);
    expect(offset('Europe/Berlin', change)).toBe(7200);
    expect(offset('europe/berlin', at(2024, 12, 1))).toBe(3600);
  });
  test('go back to local mean time and on for ever', () => {
    expect(offset('America/New_York', at(1800, 1, 1))).toBe(-17_762);
    expect(offset('America/New_York', at(290_000, 7, 1))).toBe(-14_400);
    expect(offset('America/New_York', at(-4000, 7, 1))).toBe(-17_762);
  });
  test('of POSIX forms count west', () => {
    expect(['UTC-3', '+08', '<+03>-3', 'EST5', 'XYZ-5:30'].map((name) => offset(name, 0n))).toEqual(
      [10_800, -28_800, 10_800, -18_000, 19_800],
    );
  });
  test('of what is no zone are not there', () => {
    for (const name of ['', 'Nowhere', 'Foo/Bar', '25', 'a b'])
      expect(tryTimeZone(name)).toBeUndefined();
  });
});

test('a zone has the name of the tz database', () => {
  expect(['utc', 'asia/tokyo', 'EUROPE/PARIS'].map((name) => tryTimeZone(name)?.name)).toEqual([
    'UTC',
    'Asia/Tokyo',
    'Europe/Paris',
  ]);
});

test('SET takes a number of hours east', () => {
  expect(['+8', '-3.5', '0', 'utc', 'nowhere'].map(timeZoneSetting)).toEqual([
    '<+08>-08',
    '<-03:30>+03:30',
    '<+00>-00',
    'UTC',
    undefined,
  ]);
  expect(offset(timeZoneSetting('-3.5')!, 0n)).toBe(-12_600);
});

test('abbreviations are those of the default set', () => {
  expect(['EST', 'cest', 'Z', 'nope'].map(abbreviationOffset)).toEqual([
    -18_000,
    7200,
    0,
    undefined,
  ]);
});
