// The reader and writer of golden files themselves.

import { expect, test } from '@jest/globals';
import { readFileSync, globSync } from 'node:fs';
import path from 'node:path';
import { GOLDEN_DIRECTORY } from './run.ts';
import { parse, print } from './walk.ts';

test('every golden file is printed as it was read', () => {
  const files = globSync('**/*.test', { cwd: GOLDEN_DIRECTORY });
  expect(files.length).toBeGreaterThan(50);
  for (const file of files) {
    const text = readFileSync(path.join(GOLDEN_DIRECTORY, file), 'utf8');
    expect(print(parse(text))).toBe(text);
  }
});

test('a record carries its directives, COPY data and answer', () => {
  const [record] = parse(
    '# why\n@session b\n@bind 1 | NULL\n@only trustsql it is ours\nSELECT $1,\n  $2;\n< a\n<\n----\nx\ny\n',
  );
  expect(record).toMatchObject({
    sql: 'SELECT $1,\n  $2;',
    session: 'b',
    parameters: ['1', null],
    server: 'trustsql',
    copyData: ['a', ''],
    answer: ['x', 'y'],
  });
});

test('a directive that is not known, or has no reason, is refused with its line', () => {
  expect(() => parse('SELECT 1;\n\n@nosuch\nSELECT 1;\n')).toThrow('line 3: unknown directive');
  expect(() => parse('@only postgres\nSELECT 1;\n')).toThrow('needs a server and the reason');
});
