// to_char and to_number: numeric patterns. Pure.
//
// PostgreSQL's table 9.29, in the "C" locale: D is a point, G a comma, L a blank.

import { SqlError } from '../../ledger/error.ts';
import { formatFloat8 } from '../../ledger/float.ts';
import {
  decodeNumeric,
  encodeNumeric,
  formatNumeric,
  parseNumeric,
  roundDecimal,
} from '../../ledger/numeric.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Decimal } from '../../ledger/numeric.ts';
import type { Float } from '../../ledger/float.ts';
import type { EdgeFunction, FunctionTable } from './function.ts';

interface Pattern {
  readonly tokens: readonly string[];
  readonly fill: boolean;
  readonly integerDigits: number;
  readonly fractionDigits: number;
  /** Index among the integer digits of the first 0, or -1. */
  readonly zeroAt: number;
  readonly sign: 'S' | 'MI' | 'PL' | 'SG' | 'PR' | '';
  readonly exponent: boolean;
  readonly roman: string | null;
  /** Digits that V multiplies by. */
  readonly shift: number;
}

const TOKEN = /"[^"]*"|FM|EEEE|PR|MI|PL|SG|RN|TH|[90.,DGSLVB]|[\s\S]/gi;
const KEYWORD = /^(?:FM|EEEE|PR|MI|PL|SG|RN|TH|[90.,DGSLVB])$/i;
const cache = new Map<string, Pattern>();
const CACHE_MAX = 200;

function read(text: string): Pattern {
  const known = cache.get(text);
  if (known !== undefined) return known;
  let [integerDigits, fractionDigits, shift, zeroAt] = [0, 0, 0, -1];
  let [fill, exponent, fraction, shifting] = [false, false, false, false];
  let sign: Pattern['sign'] = '';
  let roman: string | null = null;
  const tokens = (text.match(TOKEN) ?? []).map((token) => {
    const upper = token.toUpperCase();
    if (upper === 'RN') roman = token;
    return token.startsWith('"') || upper === 'TH' ? token : upper;
  });
  const seen = new Set<string>();
  for (const token of tokens) {
    refuseToken(token, seen);
    if (token === '9' || token === '0') {
      if (shifting) shift += 1;
      if (fraction) fractionDigits += 1;
      else {
        if (token === '0' && zeroAt < 0) zeroAt = integerDigits;
        integerDigits += 1;
      }
    } else if (token === '.' || token === 'D') fraction = true;
    else if (token === 'V') shifting = true;
    else if (token === 'FM') fill = true;
    else if (token === 'EEEE') exponent = true;
    else if (['S', 'MI', 'PL', 'SG', 'PR'].includes(token)) sign = token as Pattern['sign'];
  }
  const pattern = {
    tokens,
    fill,
    integerDigits,
    fractionDigits,
    zeroAt,
    sign,
    exponent,
    roman,
    shift,
  };
  if (cache.size >= CACHE_MAX) cache.clear();
  cache.set(text, pattern);
  return pattern;
}

/** What may not stand together. @throws SqlError 42601 */
function refuseToken(token: string, seen: Set<string>): void {
  const has = (...others: readonly string[]): boolean => others.some((other) => seen.has(other));
  const refuse = (message: string, detail?: string): never => {
    throw new SqlError(SQLSTATE.syntaxError, message, detail === undefined ? {} : { detail });
  };
  if (token === 'EEEE') {
    if (has('EEEE')) refuse('cannot use "EEEE" twice');
    if (has('B', 'FM', 'S', 'PR', 'MI', 'PL', 'SG', 'RN', 'V')) {
      const detail = '"EEEE" may only be used together with digit and decimal point patterns.';
      refuse('"EEEE" is incompatible with other formats', detail);
    }
  } else if (has('EEEE') && KEYWORD.test(token)) refuse('"EEEE" must be the last pattern used');
  if ((token === '9' || token === '0') && has('PR')) refuse(`"${token}" must be ahead of "PR"`);
  if (token === '.' || token === 'D') {
    if (has('.', 'D')) refuse('multiple decimal points');
    if (has('V')) refuse('cannot use "V" and decimal point together');
  }
  if (token === 'V' && has('.', 'D')) refuse('cannot use "V" and decimal point together');
  if (token === 'S') {
    if (has('S')) refuse('cannot use "S" twice');
    if (has('PL', 'MI', 'SG', 'PR')) refuse('cannot use "S" and "PL"/"MI"/"SG"/"PR" together');
  }
  if (['PL', 'MI', 'SG'].includes(token) && has('S'))
    refuse(`cannot use "S" and "${token}" together`);
  if (token === 'PR' && has('S', 'PL', 'MI', 'SG'))
    refuse('cannot use "PR" and "S"/"PL"/"MI"/"SG" together');
  seen.add(token);
}

const ROMAN: readonly (readonly [number, string])[] = [
  [1000, 'M'], [900, 'CM'], [500, 'D'], [400, 'CD'], [100, 'C'], [90, 'XC'], [50, 'L'], [40, 'XL'], [10, 'X'],
  [9, 'IX'], [5, 'V'], [4, 'IV'], [1, 'I'],
]; // prettier-ignore
const ROMAN_WIDTH = 15;

/** @throws SqlError 0A000 for what is no number: to_char of a numeric makes an integer of it */
function romanNumeric(value: Decimal, pattern: Pattern): string {
  if (typeof value !== 'string') return romanText(roundDecimal(value, 0), pattern);
  const what = value === 'NaN' ? 'NaN' : 'infinity';
  throw new SqlError(SQLSTATE.featureNotSupported, `cannot convert ${what} to integer`);
}

function romanText(rounded: Decimal, pattern: Pattern): string {
  const number = typeof rounded === 'string' ? 0 : Number(rounded.coefficient);
  if (number < 1 || number > 3999) return '#'.repeat(ROMAN_WIDTH);
  let [text, left] = ['', number];
  for (const [size, letters] of ROMAN) {
    while (left >= size) [text, left] = [text + letters, left - size];
  }
  const cased = pattern.roman === pattern.roman?.toLowerCase() ? text.toLowerCase() : text;
  return pattern.fill ? cased : cased.padStart(ROMAN_WIDTH);
}

function exponentText(value: Decimal, pattern: Pattern): string {
  const places = pattern.fractionDigits;
  if (typeof value === 'string') return ` ${'#'.repeat(pattern.integerDigits + places + 5)}`;
  const digits = value.coefficient.toString().replace('-', '');
  const exponent = value.coefficient === 0n ? 0 : digits.length - value.scale - 1;
  const mantissa = roundDecimal(
    { coefficient: value.coefficient, scale: digits.length - 1 },
    places,
  );
  let text = formatNumeric(mantissa);
  let power = exponent;
  if (/^-?10(\.|$)/.test(text)) {
    power += 1;
    text = formatNumeric(
      roundDecimal({ coefficient: value.coefficient, scale: digits.length }, places),
    );
  }
  const size = String(Math.abs(power)).padStart(2, '0');
  return `${text.startsWith('-') ? '' : ' '}${text}e${power < 0 ? '-' : '+'}${size}`;
}

function formatDecimal(given: Decimal, text: string): string {
  const pattern = read(text);
  if (pattern.roman !== null) return romanNumeric(given, pattern);
  if (pattern.exponent) return exponentText(given, pattern);
  const shifted =
    typeof given === 'string' || pattern.shift === 0
      ? given
      : { coefficient: given.coefficient * 10n ** BigInt(pattern.shift), scale: given.scale };
  const rounded = roundDecimal(shifted, pattern.fractionDigits);
  if (typeof rounded === 'string')
    return place(
      '#'.repeat(pattern.integerDigits),
      '#'.repeat(pattern.fractionDigits),
      false,
      pattern,
    );
  const negative = rounded.coefficient < 0n;
  const plain = formatNumeric(
    negative ? { ...rounded, coefficient: -rounded.coefficient } : rounded,
  );
  const [whole = '0', fraction = ''] = plain.split('.');
  const integer = whole === '0' ? '' : whole;
  if (integer.length > pattern.integerDigits) {
    return place(
      '#'.repeat(pattern.integerDigits),
      '#'.repeat(pattern.fractionDigits),
      negative,
      pattern,
    );
  }
  return place(integer, fraction, negative, pattern);
}

/** Puts digits into the pattern's places. */
function place(integer: string, fraction: string, negative: boolean, pattern: Pattern): string {
  const { fill, fractionDigits, integerDigits, sign, tokens, zeroAt } = pattern;
  // A value below one shows its zero unless a fraction follows and no 0 asks for it.
  const shown = integer === '' && fractionDigits === 0 ? '0' : integer;
  const padded = shown.padStart(integerDigits, ' ');
  const first = shown === '' ? integerDigits : integerDigits - shown.length;
  const start = zeroAt >= 0 ? Math.min(zeroAt, first) : first;
  const significant = fill ? fraction.replace(/0+$/, '') : fraction;
  const zeros = tokens.filter((token) => token === '0').length;
  const minimum = fill && zeros > 0 ? lastZero(tokens) : 0;
  const decimals = fill ? fraction.slice(0, Math.max(significant.length, minimum)) : fraction;
  let [out, at, place, inFraction] = ['', 0, 0, false];
  let signDone = sign !== '' && sign !== 'S';
  const mark = negative ? '-' : sign === 'S' ? '+' : ' ';
  const putSign = (): void => {
    if (signDone) return;
    signDone = true;
    out += fill && mark === ' ' ? '' : mark;
  };
  const trailingSign =
    sign === 'S' &&
    tokens.lastIndexOf('S') > tokens.findIndex((token) => token === '9' || token === '0');
  if (trailingSign) signDone = true;
  for (const token of tokens) {
    if (token === '9' || token === '0') {
      if (inFraction) {
        out += decimals[place] ?? '';
        place += 1;
      } else {
        if (at >= start) {
          putSign();
          out += padded[at] === ' ' ? '0' : padded[at]!;
        } else if (!fill) out += ' ';
        at += 1;
      }
    } else if (token === '.' || token === 'D') {
      putSign();
      inFraction = true;
      out += '.';
    } else if (token === ',' || token === 'G') {
      if (at > start) out += ',';
      else if (!fill) out += ' ';
    } else if (token === 'MI') out += negative ? '-' : fill ? '' : ' ';
    else if (token === 'PL') out += negative ? (fill ? '' : ' ') : '+';
    else if (token === 'SG') out += negative ? '-' : '+';
    else if (token === 'S') out += trailingSign ? mark : '';
    else if (token === 'L') out += fill ? '' : ' ';
    else if (token.startsWith('"')) out += token.slice(1, -1);
    else if (/^th$/i.test(token)) out += negative ? '' : ordinal(shown, token);
    else if (!['FM', 'PR', 'V', 'B', 'EEEE'].includes(token)) out += token;
  }
  if (sign === 'PR') return bracketed(out, negative, fill);
  // The sign stands before the first digit, after the blanks of empty places.
  return out;
}

function lastZero(tokens: readonly string[]): number {
  const point = tokens.findIndex((token) => token === '.' || token === 'D');
  if (point < 0) return 0;
  const places = tokens.slice(point + 1).filter((token) => token === '9' || token === '0');
  return places.lastIndexOf('0') + 1;
}

function bracketed(text: string, negative: boolean, fill: boolean): string {
  const digits = text.trimStart();
  const blanks = text.slice(0, text.length - digits.length);
  if (negative) return `${blanks}<${digits}>`;
  return fill ? digits : `${blanks} ${digits} `;
}

function ordinal(digits: string, token: string): string {
  const tens = digits.at(-2) === '1';
  const word = tens
    ? 'th'
    : (({ 1: 'st', 2: 'nd', 3: 'rd' } as Record<string, string>)[digits.at(-1) ?? ''] ?? 'th');
  return token === 'TH' ? word.toUpperCase() : word;
}

function integer(): EdgeFunction {
  return {
    impl: ([value, pattern]) =>
      formatDecimal({ coefficient: value as bigint, scale: 0 }, pattern as string),
  };
}

function float(): EdgeFunction {
  return {
    impl: ([value, text]) => {
      const given = parseNumeric(formatFloat8(value as Float));
      const pattern = read(text as string);
      return pattern.roman === null
        ? formatDecimal(given, text as string)
        : romanText(roundToEven(given), pattern);
    },
  };
}

/** As rint() of C: halves go to the even number. */
function roundToEven(value: Decimal): Decimal {
  const rounded = roundDecimal(value, 0);
  if (typeof value === 'string' || typeof rounded === 'string') return rounded;
  const unit = 10n ** BigInt(value.scale);
  const isHalf = 2n * (value.coefficient % unit) === (value.coefficient < 0n ? -unit : unit);
  const isOdd = rounded.coefficient % 2n !== 0n;
  if (!isHalf || !isOdd) return rounded;
  return { ...rounded, coefficient: rounded.coefficient - (value.coefficient < 0n ? -1n : 1n) };
}

/** Places of the power of ten that V multiplies by, so of the product. */
const POWER_SCALE = 16;

/** to_number: digits, point and sign of a text; the pattern says where to stop. */
function toNumber(text: string, pattern: string): Uint8Array | null {
  if (pattern === '') return null;
  const { exponent, fractionDigits, integerDigits, roman, shift, tokens } = read(pattern);
  if (exponent || roman !== null) {
    const what = exponent ? 'EEEE' : 'RN';
    throw new SqlError(SQLSTATE.featureNotSupported, `"${what}" not supported for input`);
  }
  const negative = /-|<.*>/.test(text);
  const given = text.replace(/[^0-9.]/g, '');
  const [whole = '', fraction = ''] = given.split('.');
  // A point that the pattern does not have takes the place of a digit.
  const pointed = tokens.includes('.') || tokens.includes('D');
  const placed = given.slice(0, integerDigits).replaceAll('.', '');
  const digits = (pointed ? whole.slice(0, integerDigits) : placed) || '0';
  const places = fractionDigits > 0 ? fraction.slice(0, fractionDigits) : '';
  if (!/\d/.test(text))
    throw new SqlError(
      '22P02',
      `invalid input syntax for type numeric: "${text.trim() === '' ? ' ' : text}"`,
    );
  const plain = `${negative ? '-' : ''}${digits}${places === '' ? '' : `.${places}`}`;
  const decimal = parseNumeric(plain);
  if (typeof decimal === 'string' || !tokens.includes('V')) return encodeNumeric(decimal);
  const scale = Math.max(POWER_SCALE, shift);
  return encodeNumeric({ coefficient: decimal.coefficient * 10n ** BigInt(scale - shift), scale });
}

export const FORMAT_NUMBER: FunctionTable = {
  int4_to_char: integer(),
  int8_to_char: integer(),
  numeric_to_char: {
    impl: ([value, pattern]) =>
      formatDecimal(decodeNumeric(value as Uint8Array), pattern as string),
  },
  float4_to_char: float(),
  float8_to_char: float(),
  numeric_to_number: { impl: ([text, pattern]) => toNumber(text as string, pattern as string) },
};
