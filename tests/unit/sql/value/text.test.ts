// Text forms against the answers of PostgreSQL 15 in tests/vectors/values.json.

import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { isSqlError } from '../../../../ledger/error.ts';
import { DEFAULT_CONTEXT } from '../../../../sql/value/context.ts';
import type { ValueContext } from '../../../../sql/value/context.ts';
import { timeZoneSetting } from '../../../../sql/value/time-zone.ts';
import { formatText, parseText } from '../../../../sql/value/text.ts';
import { applyTypmod } from '../../../../ledger/typmod.ts';
import { typeOfName } from './type-name.ts';

interface Answer {
  readonly input: string;
  readonly text?: string;
  readonly sqlstate?: string;
  readonly message?: string;
  readonly detail?: string;
}

interface Group {
  readonly type: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly cases: readonly Answer[];
}

const file = new URL('../../../vectors/values.json', import.meta.url);
const groups = JSON.parse(readFileSync(file, 'utf8')) as readonly Group[];

/** Where we differ from Postgres, and why. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  // Intl knows the abbreviations of few zones; the offset says the same.
  'timestamptz 2020-01-05 10:00:00+00 Asia/Kolkata': 'prints +05:30 for IST',
  'timestamptz 1/2/2003 10:00 Asia/Kolkata': 'prints +05:30 for IST',
};

function contextOf(settings: Readonly<Record<string, string>>): ValueContext {
  const [style = 'ISO', order = 'MDY'] = (settings['datestyle'] ?? '').split(', ').filter(Boolean);
  return {
    ...DEFAULT_CONTEXT,
    timeZone: timeZoneSetting(settings['timezone'] ?? 'UTC')!,
    dateStyle: style as ValueContext['dateStyle'],
    dateOrder: order as ValueContext['dateOrder'],
    intervalStyle: (settings['intervalstyle'] ?? 'postgres') as ValueContext['intervalStyle'],
    byteaOutput: (settings['bytea_output'] ?? 'hex') as ValueContext['byteaOutput'],
    extraFloatDigits: Number(settings['extra_float_digits'] ?? 1),
  };
}

function answer(typeName: string, input: string, context: ValueContext): Omit<Answer, 'input'> {
  const type = typeOfName(typeName);
  try {
    return { text: formatText(parseText(input, type, context), type, context) };
  } catch (error) {
    if (!isSqlError(error)) throw error;
    const { sqlstate, message, fields } = error;
    return { sqlstate, message, detail: fields.detail ?? '' };
  }
}

describe('a text is read and printed as PostgreSQL does', () => {
  for (const { type, settings, cases } of groups) {
    const context = contextOf(settings);
    test(`${type} ${JSON.stringify(settings)}`, () => {
      const ours = cases.map(({ input }) => ({ input, ...answer(type, input, context) }));
      const zone = settings['timezone'] ?? '';
      const alike = (each: Answer): boolean =>
        DIFFERENCES[`${type} ${each.input} ${zone}`] === undefined;
      expect(ours.filter(alike)).toEqual(cases.filter(alike));
    });
  }
});

describe('a modifier on assignment and on an explicit cast', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['varchar(3)', 'abcd', 'value too long for type character varying(3)', 'abc'],
    ['varchar(3)', 'éèêx', 'value too long for type character varying(3)', 'éèê'],
    ['char(3)', 'abcd', 'value too long for type character(3)', 'abc'],
    ['char(3)', 'ab c', 'value too long for type character(3)', 'ab'],
  ];
  for (const [name, input, message, cut] of cases) {
    test(`${name} of ${input}`, () => {
      const type = typeOfName(name);
      expect(() => applyTypmod(input, type, false)).toThrow(message);
      expect(applyTypmod(input, type, true)).toBe(cut);
    });
  }
});
