// What the commands print: tables, progress, JSON, sentences.

import { describe, expect, test } from '@jest/globals';
import { CommandError, EXIT, explain } from '../../../cli/exit.ts';
import { jsonText } from '../../../cli/json.ts';
import { Progress, progressLine } from '../../../cli/progress.ts';
import { formatTable } from '../../../cli/table.ts';
import { SqlError, StorageError } from '../../../ledger/error.ts';
import { ConfigError } from '../../../server/config.ts';

describe('a table', () => {
  test('looks as in psql', () => {
    const columns = [
      { name: 'id', rightAligned: true },
      { name: 'note', rightAligned: false },
    ];
    const rows = [
      ['1', 'two\nlines'],
      ['1000', null],
      ['20', '日本'],
    ];
    expect(formatTable({ columns, rows })).toBe(
      [
        '  id  | note',
        '------+-------',
        '    1 | two  +',
        '      | lines',
        ' 1000 |',
        '   20 | 日本',
        '(3 rows)',
      ].join('\n'),
    );
  });

  test('without rows has its heading', () => {
    const text = formatTable({ columns: [{ name: 'a', rightAligned: false }], rows: [] });
    expect(text).toBe(' a\n---\n(0 rows)');
  });
});

describe('progress', () => {
  test('says how much, how fast and how long still', () => {
    expect(progressLine('blocks', 1_200, 5_000, 2_000)).toBe(
      'blocks 1,200 of 5,000 (24 %), 600/s, 7 s left',
    );
    expect(progressLine('rows', 10, null, 1_000)).toBe('rows 10, 10/s');
    expect(progressLine('rows', 1, 100_000, 1_000)).toContain('27 h 46 min left');
    expect(progressLine('rows', 0, 0, 0)).toBe('rows 0 of 0 (100 %)');
  });

  test('writes a file a line now and then, and always the first and the last', () => {
    let elapsed = 0;
    const written: string[] = [];
    const clock = { now: () => 0, elapsed: () => elapsed };
    const write = (text: string): void => void written.push(text);
    const progress = new Progress({ clock, write, terminal: false });
    for (let done = 0; done <= 100; done++) {
      progress.update('blocks', done, 100);
      elapsed += 10;
    }
    progress.finish();
    expect(written).toEqual(['blocks 0 of 100 (0 %)\n', 'blocks 100 of 100 (100 %), 100/s\n']);
  });

  test('rewrites one line on a terminal and clears it at the end', () => {
    const written: string[] = [];
    const clock = { now: () => 0, elapsed: () => 0 };
    const write = (text: string): void => void written.push(text);
    const progress = new Progress({ clock, write, terminal: true });
    progress.update('blocks', 1, 2);
    progress.finish();
    expect(written).toEqual(['\r\x1b[Kblocks 1 of 2 (50 %)', '\r\x1b[K']);
  });
});

test('JSON has bytes as hexadecimal and large integers as text, wherever they lie', () => {
  const value = {
    id: Buffer.from([1, 255]),
    list: [new Uint8Array([2])],
    n: 2n ** 63n,
    m: new Map([['a', 1n]]),
  };
  expect(JSON.parse(jsonText(value))).toEqual({
    id: '01ff',
    list: ['02'],
    n: '9223372036854775808',
    m: { a: '1' },
  });
});

describe('an error', () => {
  const inUse = Object.assign(new Error('listen'), { code: 'EADDRINUSE', address: '::1', port: 5 });
  test.each([
    [new CommandError(EXIT.negative, 'no'), 1, 'no'],
    [new ConfigError('unknown option --x'), 2, 'unknown option --x'],
    [new StorageError('locked', 'data: in use'), 3, 'data: in use'],
    [new SqlError('42P01', 'no such table'), 1, '42P01: no such table'],
    [
      inUse,
      3,
      '::1:5: the port is in use by another program; choose another with --port or --peer-port',
    ],
  ])('%s ends with its code and one sentence', (error, exitCode, text) => {
    expect(explain(error)).toEqual({ exitCode, text });
  });

  test('of our own shows where it happened', () => {
    const { exitCode, text } = explain(new TypeError('x is undefined'));
    expect(exitCode).toBe(EXIT.internal);
    expect(text).toContain('output.test.ts');
  });
});
