// One event, one line, no secrets.

import { expect, test } from '@jest/globals';
import { makeLog } from '../../../server/log.ts';
import type { LogOptions } from '../../../server/log.ts';

function logging(format: 'json' | 'human', level: LogOptions['level'] = 'info') {
  const lines: string[] = [];
  const clock = { now: () => 0, elapsed: () => 0 };
  return { lines, log: makeLog({ level, format, clock, write: (line) => lines.push(line) }) };
}

test('JSON lines hold time, level, event and fields', () => {
  const { lines, log } = logging('json');
  log.info('node started', { port: 5433, height: 7n, id: new Uint8Array([1, 255]) });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toEqual({
    time: '1970-01-01T00:00:00.000Z',
    level: 'info',
    event: 'node started',
    port: 5433,
    height: '7',
    id: '01ff',
  });
});

test('what is below the level is not written', () => {
  const { lines, log } = logging('json', 'warn');
  log.info('no');
  log.debug('no');
  log.error('yes');
  expect(lines).toHaveLength(1);
});

test('a line stays one line and is bounded, whatever a client put into it', () => {
  const { lines, log } = logging('human');
  log.warn('refused', { message: 'a\nb="c"', text: 'x'.repeat(10_000) });
  expect(lines[0]!.split('\n')).toHaveLength(2);
  expect(lines[0]).toContain('message="a\\nb=\\"c\\""');
  expect(lines[0]!.length).toBeLessThan(2_200);
});

test('fields named as secrets are never written', () => {
  const { lines, log } = logging('json');
  log.info('role created', { password: 'hunter2', roleSeed: 'hunter2', scramVerifier: 'hunter2' });
  expect(lines[0]).not.toContain('hunter2');
});
