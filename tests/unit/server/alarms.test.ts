// Alarms are logged, and the newest are kept.

import { expect, test } from '@jest/globals';
import { Alarms } from '../../../server/alarms.ts';
import { ALARM_MESSAGE_CHARACTERS_MAX, ALARMS_KEPT_MAX } from '../../../server/limits.ts';

function make() {
  const logged: unknown[] = [];
  let time = 1_000;
  const clock = { now: () => (time += 1) };
  const log = { error: (event: string, fields?: object) => void logged.push([event, fields]) };
  return { alarms: new Alarms(clock, log), logged };
}

test('an alarm is in the log and in the list, with its time', () => {
  const { alarms, logged } = make();
  expect(alarms.kept).toEqual([]);
  alarms.raise('fraud', 'member 2 has lied');
  alarms.raise('fork', 'another block 7 is confirmed');
  expect(alarms.kept).toEqual([
    { number: 1, timeMs: 1_001, kind: 'fraud', message: 'member 2 has lied' },
    { number: 2, timeMs: 1_002, kind: 'fork', message: 'another block 7 is confirmed' },
  ]);
  expect(logged[0]).toEqual(['alarm', { kind: 'fraud', message: 'member 2 has lied' }]);
  expect(logged).toHaveLength(2);
});

test('the oldest go, the numbers stay, and all are in the log', () => {
  const { alarms, logged } = make();
  for (let i = 0; i < ALARMS_KEPT_MAX + 5; i += 1) alarms.raise('fraud', 'again');
  expect(alarms.kept).toHaveLength(ALARMS_KEPT_MAX);
  expect(alarms.kept[0]!.number).toBe(6);
  expect(logged).toHaveLength(ALARMS_KEPT_MAX + 5);
});

test('a message is as long as it may be', () => {
  const { alarms } = make();
  alarms.raise('fraud', 'x'.repeat(ALARM_MESSAGE_CHARACTERS_MAX + 1));
  expect(alarms.kept[0]!.message).toHaveLength(ALARM_MESSAGE_CHARACTERS_MAX);
});
