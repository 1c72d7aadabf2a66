// LIKE and regular expressions. Pure.
//
// POSIX advanced regular expressions are translated to JavaScript's. What has no counterpart (collating
// elements, equivalence classes) is refused; matching prefers alternatives in the order written, where POSIX
// prefers the longest. A pattern that runs away is ended by killing the reader, like any runaway query.

import { encodeArray } from '../../ledger/array-value.ts';
import { SqlError } from '../../ledger/error.ts';
import { like, likeEscape, likeIgnoringCase } from '../../ledger/like.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, Row } from '../../ledger/type.ts';
import type { EdgeFunction, FunctionTable } from './function.ts';

const CACHE_MAX = 200;
const expressions = new Map<string, RegExp>();

function cached(key: string, make: () => RegExp): RegExp {
  let found = expressions.get(key);
  if (found === undefined) {
    found = make();
    if (expressions.size >= CACHE_MAX) expressions.clear();
    expressions.set(key, found);
  }
  return found;
}

function invalid(detail: string): SqlError {
  return new SqlError(SQLSTATE.invalidRegularExpression, `invalid regular expression: ${detail}`);
}

const CLASSES: Readonly<Record<string, string>> = {
  alpha: 'A-Za-z',
  digit: '0-9',
  alnum: 'A-Za-z0-9',
  upper: 'A-Z',
  lower: 'a-z',
  space: '\\s',
  blank: ' \\t',
  punct: '!-\\/:-@\\[-`{-~',
  xdigit: '0-9A-Fa-f',
  cntrl: '\\x00-\\x1f\\x7f',
  print: '\\x20-\\x7e',
  graph: '\\x21-\\x7e',
  word: '\\w',
};

/** Source of a JavaScript pattern. @throws SqlError 2201B */
function translate(pattern: string): string {
  let out = '';
  let at = 0;
  while (at < pattern.length) {
    const character = pattern[at]!;
    if (character === '[') {
      const [text, next] = bracket(pattern, at + 1);
      out += text;
      at = next;
    } else if (character === '\\') {
      const [text, next] = escape(pattern, at + 1, false);
      out += text;
      at = next;
    } else {
      out +=
        character === '{' && !/^\{\d+(,\d*)?\}/.test(pattern.slice(at))
          ? '\\{'
          : character === '}' && !/\{\d+(,\d*)?$/.test(out)
            ? '\\}'
            : character === '/'
              ? '\\/'
              : character;
      at += 1;
    }
  }
  return out;
}

const ESCAPES: Readonly<Record<string, string>> = {
  m: '\\b(?=\\w)',
  M: '\\b(?<=\\w)',
  y: '\\b',
  Y: '\\B',
  A: '(?<![\\s\\S])',
  Z: '(?![\\s\\S])',
  a: '\\x07',
  B: '\\\\',
  e: '\\x1b',
};

function escape(pattern: string, at: number, inBrackets: boolean): [string, number] {
  const character = pattern[at];
  if (character === undefined) throw invalid('invalid escape \\ sequence');
  const named = ESCAPES[character];
  if (named !== undefined) return [named, at + 1];
  if (/[dDsSwWbfnrtv0-9]/.test(character)) {
    return [character === 'b' ? '\\x08' : `\\${character}`, at + 1];
  }
  const hex = /^(?:x[0-9A-Fa-f]+|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})/.exec(pattern.slice(at))?.[0];
  if (hex !== undefined) return [`\\u{${hex.slice(1).slice(-6)}}`, at + hex.length];
  if (/[A-Za-z]/.test(character)) throw invalid('invalid escape \\ sequence');
  const special = inBrackets ? /[\^[\]\\-]/ : /[\^$.*+?()[\]{}|/\\]/;
  return [special.test(character) ? `\\${character}` : character, at + 1];
}

function bracket(pattern: string, start: number): [string, number] {
  let at = start;
  let out = '[';
  if (pattern[at] === '^') {
    out += '^';
    at += 1;
  }
  for (let first = true; ; first = false) {
    const character = pattern[at];
    if (character === undefined) throw invalid('brackets [] not balanced');
    if (character === ']' && !first) return [`${out}]`, at + 1];
    const named = /^\[:(\w+):\]/.exec(pattern.slice(at));
    if (named !== null) {
      const range = CLASSES[named[1]!];
      if (range === undefined) throw invalid('invalid character class');
      out += range;
      at += named[0].length;
    } else if (/^\[[.=]/.test(pattern.slice(at))) {
      throw invalid('invalid collating element');
    } else if (character === '\\') {
      const [text, next] = escape(pattern, at + 1, true);
      out += text;
      at = next;
    } else {
      out += '[]\\^'.includes(character) ? `\\${character}` : character;
      at += 1;
    }
  }
}

/** A pattern with Postgres' option letters. */
export function regex(pattern: string, options: string, always = ''): RegExp {
  const key = `${always}/${options}/${pattern}`;
  return cached(key, () => {
    let flags = `${always}u`;
    let source = pattern;
    let literal = false;
    let letters = options;
    const embedded = /^\(\?([a-z]+)\)/.exec(source);
    if (embedded !== null) {
      letters += embedded[1]!;
      source = source.slice(embedded[0].length);
    }
    const director = /^\*\*\*([:=])/.exec(source);
    if (director !== null) {
      literal = director[1] === '=';
      source = source.slice(director[0].length);
    }
    let newline = false;
    for (const letter of letters) {
      if (letter === 'i') flags += flags.includes('i') ? '' : 'i';
      else if (letter === 'c') flags = flags.replace('i', '');
      else if (letter === 'n' || letter === 'm') newline = true;
      else if (letter === 's') newline = false;
      else if (letter === 'q') literal = true;
      else if (letter === 'x')
        source = source.replace(/\\.|\[[^\]]*\]|\s+|#.*$/gm, (part) =>
          /^[\s#]/.test(part) ? '' : part,
        );
      else if (!'gebtw p'.includes(letter)) {
        throw new SqlError(
          SQLSTATE.invalidParameterValue,
          `invalid regular expression option: "${letter}"`,
        );
      }
    }
    if (literal) source = source.replace(/[\^$.*+?()[\]{}|/\\]/g, '\\$&');
    try {
      return new RegExp(literal ? source : translate(source), flags + (newline ? 'm' : 's'));
    } catch {
      throw invalid(reason(source));
    }
  });
}

/** Postgres' words for what is wrong, where they are easily told. */
function reason(source: string): string {
  const bare = source.replace(/\\./g, '').replace(/\[[^\]]*\]/g, '');
  const open = bare.split('(').length;
  const closed = bare.split(')').length;
  if (open !== closed) return 'parentheses () not balanced';
  return 'quantifier operand invalid';
}

const truth = (value: boolean): Datum => (value ? 1n : 0n);
const text = (value: Datum | undefined): string => (value ?? '') as string;

/** `\1` and `\&` in a replacement. */
function replacement(template: string, found: RegExpExecArray): string {
  return template.replace(/\\(.)|\\$/gs, (whole, letter: string | undefined) => {
    if (letter === undefined) return whole;
    if (letter === '&') return found[0];
    if (/[1-9]/.test(letter)) return found[Number(letter)] ?? '';
    return letter === '\\' ? '\\' : whole;
  });
}

/** An integer argument. @throws SqlError 22023 when it is less than `least` */
function bounded(name: string, value: Datum | undefined, least: number): number {
  const number = Number(value);
  if (number >= least) return number;
  throw outside(name, number);
}

function outside(name: string, value: number): SqlError {
  return new SqlError(
    SQLSTATE.invalidParameterValue,
    `invalid value for parameter "${name}": ${value}`,
  );
}

/**
 * The pattern of a function that has no use for option "g".
 *
 * @param name    the function, as its errors name it
 * @param always  flags of JavaScript
 * @throws SqlError 22023 when it is given nevertheless
 */
function notGlobal(
  name: string,
  pattern: Datum | undefined,
  options: Datum | undefined,
  always: string,
  hint?: string,
): RegExp {
  const made = regex(text(pattern), text(options), always);
  if (!text(options).includes('g')) return made;
  throw new SqlError(
    SQLSTATE.invalidParameterValue,
    `${name}() does not support the "global" option`,
    hint === undefined ? {} : { hint },
  );
}

/** @param number  which match to replace, from 1; 0 for all */
function replace(
  subject: string,
  pattern: RegExp,
  template: string,
  start: number,
  number: number,
): string {
  const head = [...subject].slice(0, start - 1).join('');
  let out = head;
  let last = head.length;
  let count = 0;
  pattern.lastIndex = last;
  for (;;) {
    const found = pattern.exec(subject);
    if (found === null) break;
    count += 1;
    if (number === 0 || count === number) {
      out += subject.slice(last, found.index) + replacement(template, found);
      last = found.index + found[0].length;
      if (number !== 0) break;
    }
    if (found[0] === '') pattern.lastIndex += nextLength(subject, pattern.lastIndex);
  }
  return out + subject.slice(last);
}

function nextLength(subject: string, at: number): number {
  return (subject.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

function replaceArgs(args: readonly Datum[]): Datum {
  const [subject, pattern, template] = args as [string, string, string];
  if (typeof args[3] === 'string') {
    const flags = args[3];
    if (/^\d/.test(flags)) {
      throw new SqlError(
        SQLSTATE.invalidParameterValue,
        `invalid regular expression option: "${flags[0]}"`,
        {
          hint: 'If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly.',
        },
      );
    }
    return replace(
      subject,
      regex(pattern, flags.replace('g', ''), 'g'),
      template,
      1,
      flags.includes('g') ? 0 : 1,
    );
  }
  const start = bounded('start', args[3] ?? 1n, 1);
  const number = bounded('n', args[4] ?? 1n, 0);
  const flags = text(args[5]);
  return replace(subject, regex(pattern, flags, 'g'), template, start, number);
}

/** @param from  where to begin, in UTF-16 units; anchors mean the whole subject all the same */
function* matches(subject: string, pattern: RegExp, from = 0): Generator<RegExpExecArray> {
  pattern.lastIndex = from;
  for (;;) {
    const found = pattern.exec(subject);
    if (found === null) return;
    yield found;
    if (found[0] === '') pattern.lastIndex += nextLength(subject, pattern.lastIndex);
  }
}

function groups(found: RegExpExecArray): Datum {
  const captured = found.length === 1 ? [found[0]] : found.slice(1);
  return encodeArray(
    captured.map((part) => part ?? null),
    'text',
  );
}

/** Rows of regexp_matches. */
export function* matchRows([subject, pattern, flags]: readonly Datum[]): Iterable<Row> {
  if (subject === null || pattern === null || flags === null) return;
  const options = text(flags);
  for (const found of matches(text(subject), regex(text(pattern), options.replace('g', ''), 'g'))) {
    yield [groups(found)];
    if (!options.includes('g')) return;
  }
}

function split(subject: string, pattern: RegExp): string[] {
  const parts: string[] = [];
  let last = 0;
  for (const found of matches(subject, pattern)) {
    // An empty match at the ends, or right after another match, splits nothing.
    if (found[0] === '' && (found.index === last || found.index >= subject.length)) continue;
    parts.push(subject.slice(last, found.index));
    last = found.index + found[0].length;
  }
  return [...parts, subject.slice(last)];
}

export function* splitRows([subject, pattern, flags]: readonly Datum[]): Iterable<Row> {
  if (subject === null || pattern === null || flags === null) return;
  const separator = notGlobal('regexp_split_to_table', pattern, flags, 'g');
  for (const part of split(text(subject), separator)) yield [part];
}

const match: EdgeFunction = {
  impl: ([subject, pattern, flags]) => {
    const hint = 'Use the regexp_matches function instead.';
    const found = notGlobal('regexp_match', pattern, flags, '', hint).exec(text(subject));
    return found === null ? null : groups(found);
  },
};
const splitArray: EdgeFunction = {
  impl: ([subject, pattern, flags]) => {
    const separator = notGlobal('regexp_split_to_array', pattern, flags, 'g');
    return encodeArray(split(text(subject), separator), 'text');
  },
};
const regexLike: EdgeFunction = {
  impl: ([subject, pattern, flags]) =>
    truth(notGlobal('regexp_like', pattern, flags, '').test(text(subject))),
};

/** Where character `start` of a text is, from 1, in UTF-16 units from 0; behind the end for one that it lacks. */
function unitAt(subject: string, start: number): number {
  const before = [...subject].slice(0, start - 1);
  return before.join('').length + (before.length < start - 1 ? 1 : 0);
}

/** regexp_count(string, pattern [, start [, flags]]) */
const count: EdgeFunction = {
  impl: ([subject, pattern, start = 1n, flags]) => {
    const from = unitAt(text(subject), bounded('start', start, 1));
    const wanted = notGlobal('regexp_count', pattern, flags, 'g');
    return BigInt([...matches(text(subject), wanted, from)].length);
  },
};

/** Match `number` from character `start` on. */
function matchAt(
  subject: string,
  pattern: RegExp,
  start: number,
  number: number,
): RegExpExecArray | undefined {
  return [...matches(subject, pattern, unitAt(subject, start))][number - 1];
}

/** regexp_substr(string, pattern [, start [, n [, flags [, subexpression]]]]) */
const substring: EdgeFunction = {
  impl: ([subject, pattern, start = 1n, number = 1n, flags, group = 0n]) => {
    const from = bounded('start', start, 1);
    const place = bounded('n', number, 1);
    const part = bounded('subexpr', group, 0);
    const wanted = notGlobal('regexp_substr', pattern, flags, 'g');
    return matchAt(text(subject), wanted, from, place)?.[part] ?? null;
  },
};

/** regexp_instr(string, pattern [, start [, n [, endoption [, flags [, subexpression]]]]]) */
const position: EdgeFunction = {
  impl: ([subject, pattern, start = 1n, number = 1n, end = 0n, flags, group = 0n]) => {
    const from = bounded('start', start, 1);
    const place = bounded('n', number, 1);
    if (end !== 0n && end !== 1n) throw outside('endoption', Number(end));
    const part = bounded('subexpr', group, 0);
    const wanted = notGlobal('regexp_instr', pattern, flags, 'gd');
    const found = matchAt(text(subject), wanted, from, place)?.indices?.[part];
    if (found === undefined) return 0n;
    return BigInt([...text(subject).slice(0, found[Number(end)])].length + 1);
  },
};

const replaceFunction: EdgeFunction = { impl: replaceArgs };

/** SIMILAR TO's pattern as a regular expression. */
function similar(pattern: string, escapeWith: string): string {
  let out = '';
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at]!;
    if (character === escapeWith) {
      at += 1;
      out += `\\${pattern[at] ?? ''}`;
    } else if (character === '%') out += '.*';
    else if (character === '_') out += '.';
    else if (character === '(') out += '(?:';
    else out += '\\.^$'.includes(character) ? `\\${character}` : character;
  }
  return `^(?:${out})$`;
}

export const REGEX: FunctionTable = {
  like_match: {
    impl: ([subject, pattern, insensitive]) =>
      truth((insensitive === 1n ? likeIgnoringCase : like)(text(subject), text(pattern))),
  },
  regex_match: {
    impl: ([subject, pattern, insensitive]) =>
      truth(regex(text(pattern), insensitive === 1n ? 'i' : '').test(text(subject))),
  },
  like_escape: { impl: ([pattern, escapeWith]) => likeEscape(text(pattern), text(escapeWith)) },
  similar_to_escape_1: { impl: ([pattern]) => similar(text(pattern), '\\') },
  similar_to_escape_2: {
    impl: ([pattern, escapeWith]) => similar(text(pattern), text(escapeWith)),
  },
  textregexsubstr: {
    impl: ([subject, pattern]) => {
      const found = regex(text(pattern), '').exec(text(subject));
      return found === null ? null : ((found.length > 1 ? found[1] : found[0]) ?? null);
    },
  },
  textregexreplace: replaceFunction,
  textregexreplace_noopt: replaceFunction,
  textregexreplace_extended: replaceFunction,
  textregexreplace_extended_no_flags: replaceFunction,
  textregexreplace_extended_no_n: replaceFunction,
  regexp_match: match,
  regexp_match_no_flags: match,
  regexp_like: regexLike,
  regexp_like_no_flags: regexLike,
  regexp_split_to_array: splitArray,
  regexp_split_to_array_no_flags: splitArray,
  regexp_count: count,
  regexp_count_no_start: count,
  regexp_count_no_flags: count,
  regexp_instr: position,
  regexp_instr_no_start: position,
  regexp_instr_no_n: position,
  regexp_instr_no_endoption: position,
  regexp_instr_no_flags: position,
  regexp_instr_no_subexpr: position,
  regexp_substr: substring,
  regexp_substr_no_start: substring,
  regexp_substr_no_n: substring,
  regexp_substr_no_flags: substring,
  regexp_substr_no_subexpr: substring,
};
