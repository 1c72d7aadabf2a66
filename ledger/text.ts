// Work on strings by characters, as Postgres counts them: code points. Pure.
//
// Case is that of collation "C": only the 26 ASCII letters have it, on every machine for ever.

import { SqlError } from './error.ts';
import { SQLSTATE } from './sqlstate.ts';

/** Length a string function may make, in UTF-16 units; Postgres stops at 1 GB, a JavaScript string before. */
export const TEXT_LENGTH_MAX = 268_435_456;

const SURROGATE = /[\ud800-\udfff]/;

/** Number of characters. */
export function lengthOf(text: string): number {
  if (!SURROGATE.test(text)) return text.length;
  let length = text.length;
  for (const character of text) length -= character.length - 1;
  return length;
}

/** Characters from `start` up to `end`, 0-based. */
export function slice(text: string, start: number, end?: number): string {
  if (!SURROGATE.test(text)) return text.slice(start, end);
  return [...text].slice(start, end).join('');
}

/** @param start 1-based; what lies before the first character counts. @throws SqlError 22011 */
export function substring(text: string, start: bigint, length?: bigint): string {
  const from = start < 1n ? 1n : start;
  if (length === undefined) return slice(text, Number(from - 1n));
  if (length < 0n)
    throw new SqlError(SQLSTATE.substringError, 'negative substring length not allowed');
  const end = start + length;
  return end <= from ? '' : slice(text, Number(from - 1n), Number(end - 1n));
}

export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

export function upperAscii(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

/** First letter of each word in upper case, the others in lower. */
export function capitalize(text: string): string {
  return lowerAscii(text).replace(/[A-Za-z0-9]+/g, (word) => upperAscii(word[0]!) + word.slice(1));
}

/** Strips characters of a set from the ends. */
export function trim(text: string, set: string, left: boolean, right: boolean): string {
  const strip = new Set(set);
  const characters = [...text];
  let start = 0;
  let end = characters.length;
  while (left && start < end && strip.has(characters[start]!)) start++;
  while (right && end > start && strip.has(characters[end - 1]!)) end--;
  return characters.slice(start, end).join('');
}

export function repeat(text: string, count: bigint): string {
  if (count <= 0n || text === '') return '';
  if (BigInt(text.length) * count > BigInt(TEXT_LENGTH_MAX)) throw tooLarge();
  return text.repeat(Number(count));
}

/** @throws SqlError 54000 */
export function concatenate(left: string, right: string): string {
  if (left.length + right.length > TEXT_LENGTH_MAX) throw tooLarge();
  return left + right;
}

/** Every occurrence of `from` becomes `to`. @throws SqlError 54000 */
export function replace(text: string, from: string, to: string): string {
  if (from === '') return text;
  const growth = to.length - from.length;
  if (growth > 0 && Math.ceil(text.length / from.length) * growth > TEXT_LENGTH_MAX) {
    const found = text.split(from).length - 1;
    if (text.length + found * growth > TEXT_LENGTH_MAX) throw tooLarge();
  }
  return text.replaceAll(from, () => to);
}

function tooLarge(): SqlError {
  return new SqlError(SQLSTATE.programLimitExceeded, 'requested length too large');
}

/** Fills (or cuts) to a length in characters. */
export function pad(text: string, length: bigint, fill: string, left: boolean): string {
  if (length > BigInt(TEXT_LENGTH_MAX)) throw tooLarge();
  const wanted = Math.max(Number(length), 0);
  const missing = wanted - lengthOf(text);
  if (missing <= 0) return slice(text, 0, wanted);
  const signs = [...fill];
  if (signs.length === 0) return text;
  const whole = fill.repeat(Math.floor(missing / signs.length));
  const padding = whole + signs.slice(0, missing % signs.length).join('');
  return left ? padding + text : text + padding;
}

/** The n-th field, 1-based, negative from the end. @throws SqlError 22023 */
export function splitPart(text: string, separator: string, field: bigint): string {
  if (field === 0n) {
    throw new SqlError(SQLSTATE.invalidParameterValue, 'field position must not be zero');
  }
  if (text === '') return '';
  const parts = separator === '' ? [text] : text.split(separator);
  const index = field > 0n ? Number(field) - 1 : parts.length + Number(field);
  return parts[index] ?? '';
}

/** Each character of `from` becomes that of `to` at its place, or goes. */
export function translate(text: string, from: string, to: string): string {
  const target = [...to];
  const map = new Map<string, string>();
  [...from].forEach((character, at) => {
    if (!map.has(character)) map.set(character, target[at] ?? '');
  });
  return Array.from(text, (character) => map.get(character) ?? character).join('');
}

/** Place of the first occurrence in characters, 1-based; 0 for none. */
export function position(text: string, part: string): number {
  const at = text.indexOf(part);
  return at < 0 ? 0 : lengthOf(text.slice(0, at)) + 1;
}

const ASCII_MAX = 127;

/** @throws SqlError 54000 */
export function characterOf(code: bigint): string {
  if (code < 0n)
    throw new SqlError(SQLSTATE.invalidParameterValue, 'character number must be positive');
  if (code === 0n)
    throw new SqlError(SQLSTATE.programLimitExceeded, 'null character not permitted');
  if (code > 0x10ffffn) {
    throw new SqlError(
      SQLSTATE.programLimitExceeded,
      `requested character too large for encoding: ${code}`,
    );
  }
  if (code > ASCII_MAX && code >= 0xd800n && code <= 0xdfffn) {
    throw new SqlError(
      SQLSTATE.programLimitExceeded,
      `requested character not valid for encoding: ${code}`,
    );
  }
  return String.fromCodePoint(Number(code));
}
