import { describe, expect, test } from '@jest/globals';
import { faultOf, optionsOf } from './copy-fixture.ts';

const code = (character: string) => character.charCodeAt(0);

describe('COPY options', () => {
  test('of the text format have its defaults', () => {
    expect(optionsOf('')).toEqual({
      format: 'text',
      delimiter: 9,
      quote: code('"'),
      escape: code('"'),
      nullText: '\\N',
      header: false,
      forceQuote: [],
      forceNotNull: [],
      forceNull: [],
    });
  });

  test('in the old syntax mean what they mean in the new one', () => {
    const old = optionsOf(
      "csv header delimiter as ';' null as 'x' quote as '!' force quote a, b",
      'to stdout',
    );
    const now = optionsOf(
      "(format csv, header, delimiter ';', null 'x', quote '!', force_quote (a, b))",
      'to stdout',
    );
    expect(old).toEqual(now);
    expect(now).toMatchObject({
      format: 'csv',
      header: true,
      nullText: 'x',
      forceQuote: ['a', 'b'],
    });
    expect(now.escape).toBe(code('!'));
  });

  test('that mean nothing here are accepted', () => {
    expect(faultOf(() => optionsOf("(freeze on, encoding 'UTF-8')"))).toBe('no error');
    expect(faultOf(() => optionsOf('(format csv, force_null (a), header match)'))).toBe('no error');
  });

  test.each([
    ['(format foo)', '22023 COPY format "foo" not recognized'],
    ['(format csv, format csv)', '42601 conflicting or redundant options'],
    ['(foo)', '42601 option "foo" not recognized'],
    ["(delimiter 'ab')", '0A000 COPY delimiter must be a single one-byte character'],
    ["(delimiter 'ä')", '0A000 COPY delimiter must be a single one-byte character'],
    ["(delimiter 'a')", '22023 COPY delimiter cannot be "a"'],
    ["(delimiter E'\\n')", '22023 COPY delimiter cannot be newline or carriage return'],
    ["(format binary, delimiter ',')", '42601 cannot specify DELIMITER in BINARY mode'],
    ["(format binary, null 'a')", '42601 cannot specify NULL in BINARY mode'],
    ['(format binary, header)', '0A000 cannot specify HEADER in BINARY mode'],
    ["(null E'\\n')", '22023 COPY null representation cannot use newline or carriage return'],
    ["(quote 'a')", '0A000 COPY quote available only in CSV mode'],
    ["(escape 'a')", '0A000 COPY escape available only in CSV mode'],
    ["(format csv, quote ',')", '22023 COPY delimiter and quote must be different'],
    [
      "(format csv, null '\"')",
      '0A000 CSV quote character must not appear in the NULL specification',
    ],
    ["(format csv, null ',')", '0A000 COPY delimiter must not appear in the NULL specification'],
    ['(force_quote *)', '0A000 COPY force quote available only in CSV mode'],
    ['(format csv, force_quote *)', '0A000 COPY force quote only available using COPY TO'],
    [
      '(force_not_null a, format csv)',
      '22023 argument to option "force_not_null" must be a list of column names',
    ],
    ["(encoding 'foo')", '22023 argument to option "encoding" must be a valid encoding name'],
    ["(encoding 'latin1')", '0A000 COPY in encoding "latin1" is not supported'],
    ['(header 3)', '42601 header requires a Boolean value or "match"'],
    ['(freeze foo)', '42601 freeze requires a Boolean value'],
  ])('%s is refused as PostgreSQL refuses it', (words, fault) => {
    expect(faultOf(() => optionsOf(words))).toBe(fault);
  });

  test('of one direction are refused in the other', () => {
    expect(faultOf(() => optionsOf('(header match)', 'to stdout'))).toBe(
      '0A000 cannot use "match" with HEADER in COPY TO',
    );
    expect(faultOf(() => optionsOf('(format csv, force_null (a))', 'to stdout'))).toBe(
      '0A000 COPY force null only available using COPY FROM',
    );
  });
});
