import { describe, expect, test } from '@jest/globals';
import { fromUtf8 } from '../../../../ledger/bytes.ts';
import type { Row } from '../../../../ledger/type.ts';
import { sqlType } from '../../../../ledger/type.ts';
import { CopyWriter, messageEnd } from '../../../../sql/copy/row-writer.ts';
import { DEFAULT_CONTEXT } from '../../../../sql/value/context.ts';
import { dataRowEncoder } from '../../../../sql/value/data-row.ts';
import { optionsOf, rowsIn } from './copy-fixture.ts';

/** Rows of texts as `COPY t TO STDOUT …` gives them. */
function written(words: string, rows: readonly Row[], names: readonly string[]): string {
  const options = optionsOf(words, 'to stdout');
  const encoder = dataRowEncoder(
    names.map(() => ({ type: sqlType('text'), format: 0 })),
    DEFAULT_CONTEXT,
  );
  for (const row of rows) encoder.append(row);
  const messages = encoder.take();
  const writer = new CopyWriter(options, names);
  let text = options.header === false ? '' : fromUtf8(writer.header(names));
  for (let at = 0; at < messages.length; at = messageEnd(messages, at)) {
    text += fromUtf8(writer.row(messages, at + 5, messageEnd(messages, at)));
  }
  return text;
}

const NAMES = ['a', 'b c'];

describe('text', () => {
  test('escapes what would be read otherwise', () => {
    const rows = [
      ['\b\t\n\v\f\r\\', null],
      ['', '\u0001ä\\N'],
    ];
    expect(written('(header)', rows, NAMES)).toBe(
      'a\tb c\n\\b\\t\\n\\v\\f\\r\\\\\t\\N\n\t\u0001ä\\\\N\n',
    );
    expect(written("(delimiter '|', null 'nil')", [['a|b\t', null]], NAMES)).toBe('a\\|b\\t|nil\n');
  });

  test('is read back as it was', () => {
    const rows = [
      ['\b\t\n\v\f\r\\', null],
      ['\\N', ''],
      ['\\.', 'x'.repeat(20_000)],
    ];
    const types = [sqlType('text'), sqlType('text')];
    for (const words of [
      '',
      "(delimiter ';')",
      '(format csv)',
      "(format csv, quote '!', escape '^')",
    ]) {
      expect(rowsIn(written(words, rows, NAMES), words, types)).toEqual(rows);
    }
  });
});

describe('csv', () => {
  test('quotes what must be quoted', () => {
    const rows = [
      ['a,b', 'c"d'],
      ['e\nf', 'g\rh'],
      ['', null],
      [' i ', '\\.'],
    ];
    expect(written('(format csv, header)', rows, NAMES)).toBe(
      'a,b c\n"a,b","c""d"\n"e\nf","g\rh"\n"",\n i ,\\.\n',
    );
    expect(written('csv', [['\\.']], ['a'])).toBe('"\\."\n');
  });

  test('quotes what it is told to, but never NULL', () => {
    expect(
      written(
        '(format csv, force_quote ("b c"))',
        [
          ['x', 'y'],
          ['z', null],
        ],
        NAMES,
      ),
    ).toBe('x,"y"\nz,\n');
    expect(written("(format csv, force_quote *, null 'x')", [['x', null]], NAMES)).toBe('"x",x\n');
  });
});
