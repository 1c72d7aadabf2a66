// json and jsonb: syntax check and Postgres' own normal form. Pure.
//
// (1) A jsonb Datum is the text Postgres prints for the value: keys by length and then by bytes, the last of
//     equal keys, ", " and ": " as separators, numbers as numeric prints them. So equal values are equal texts
//     but for the trailing zeros of numbers (1.0 and 1.00).
// (2) Errors are those of PostgreSQL's json parser, detail included.

import { compare, utf8 } from './bytes.ts';
import { SqlError } from './error.ts';
import { formatNumeric, parseNumeric } from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';

/** A number keeps its text, since a double could not hold it. */
export type JsonValue =
  | null
  | boolean
  | string
  | { readonly number: string }
  | readonly JsonValue[]
  | ReadonlyMap<string, JsonValue>;

/** Nesting that is followed; deeper is 54001, as when Postgres' stack depth limit is reached. */
const DEPTH_MAX = 2_000;
const WORD = /[A-Za-z0-9_.+\-\u0080-\u{10ffff}]/u;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const BLANKS = ' \t\n\r';

/** Checks the syntax of a json value, which is kept as given. @throws SqlError 22P02 */
export function checkJson(text: string): string {
  new JsonReader(text, false).document();
  return text;
}

/** The normal form. @throws SqlError 22P02, 22P05, 22003 */
export function normalizeJsonb(text: string): string {
  return formatJson(new JsonReader(text, true).document());
}

/** The value of a json or jsonb text. @throws SqlError 22P02 */
export function parseJson(text: string): JsonValue {
  return new JsonReader(text, true).document();
}

export function isJsonNumber(value: JsonValue): value is { readonly number: string } {
  return typeof value === 'object' && value !== null && 'number' in value;
}

export function isJsonObject(value: JsonValue): value is ReadonlyMap<string, JsonValue> {
  return typeof value === 'object' && value !== null && 'get' in value;
}

export function isJsonArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** jsonb's text of a value. */
export function formatJson(value: JsonValue): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return quoteJson(value);
  if (isJsonArray(value)) return `[${value.map(formatJson).join(', ')}]`;
  if (isJsonNumber(value)) return value.number;
  const members: string[] = [];
  for (const key of [...value.keys()].sort(compareKeys)) {
    members.push(`${quoteJson(key)}: ${formatJson(value.get(key)!)}`);
  }
  return `{${members.join(', ')}}`;
}

/** jsonb's order of keys: by length in bytes, then by bytes. */
export function compareKeys(left: string, right: string): number {
  const leftBytes = utf8(left);
  const rightBytes = utf8(right);
  return leftBytes.length - rightBytes.length || compare(leftBytes, rightBytes);
}

/** A string as Postgres' escape_json writes it. */
export function quoteJson(text: string): string {
  // JSON.stringify differs only in escaping lone surrogates, which no Datum holds, and DEL, which neither does.
  return JSON.stringify(text);
}

class JsonReader {
  readonly #text: string;
  readonly #forJsonb: boolean;
  #at = 0;
  #depth = 0;

  constructor(text: string, forJsonb: boolean) {
    this.#text = text;
    this.#forJsonb = forJsonb;
  }

  document(): JsonValue {
    const value = this.#value('Expected JSON value');
    this.#blanks();
    if (this.#at < this.#text.length) throw this.#expected('Expected end of input');
    return value;
  }

  #value(expectation: string): JsonValue {
    this.#blanks();
    const first = this.#text[this.#at];
    if (first === '{') return this.#nested(() => this.#object());
    if (first === '[') return this.#nested(() => this.#array());
    if (first === '"') return this.#string();
    if (first === undefined || ',:]}'.includes(first)) throw this.#expected(expectation);
    const word = this.#token();
    if (word === 'null') return this.#take(word, null);
    if (word === 'true') return this.#take(word, true);
    if (word === 'false') return this.#take(word, false);
    if (!NUMBER.test(word)) throw this.#syntax(`Token "${word}" is invalid.`, word.length);
    const number = this.#forJsonb ? formatNumeric(parseNumeric(word)) : word;
    return this.#take(word, { number });
  }

  #take<T>(word: string, value: T): T {
    this.#at += word.length;
    return value;
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > DEPTH_MAX) {
      throw new SqlError(SQLSTATE.statementTooComplex, 'stack depth limit exceeded');
    }
    this.#at++;
    const value = read();
    this.#depth--;
    return value;
  }

  #array(): JsonValue {
    const values: JsonValue[] = [];
    if (this.#next(']')) return values;
    let expectation = 'Expected array element or "]"';
    for (;;) {
      values.push(this.#value(expectation));
      if (this.#next(']')) return values;
      if (!this.#next(',')) throw this.#expected('Expected "," or "]"');
      expectation = 'Expected JSON value';
    }
  }

  #object(): JsonValue {
    const members = new Map<string, JsonValue>();
    if (this.#next('}')) return members;
    let expectation = 'Expected string or "}"';
    for (;;) {
      this.#blanks();
      if (this.#text[this.#at] !== '"') throw this.#expected(expectation);
      const key = this.#string();
      if (!this.#next(':')) throw this.#expected('Expected ":"');
      members.set(key, this.#value('Expected JSON value'));
      if (this.#next('}')) return members;
      if (!this.#next(',')) throw this.#expected('Expected "," or "}"');
      expectation = 'Expected string';
    }
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    for (; ; end++) {
      const code = this.#text.charCodeAt(end);
      if (code === 34) break;
      if (Number.isNaN(code)) {
        throw this.#syntax(`Token "${this.#text.slice(start)}" is invalid.`, end - start);
      }
      if (code < 32) {
        const detail = `Character with value 0x${code.toString(16).padStart(2, '0')} must be escaped.`;
        throw this.#syntax(detail, end - start);
      }
      if (code === 92) end = this.#escape(end);
    }
    const value = JSON.parse(this.#text.slice(start, end + 1)) as string;
    // json keeps its escapes as they are; jsonb decodes them, and half a character has no UTF-8.
    if (this.#forJsonb && !value.isWellFormed()) {
      const twoHigh = /[\ud800-\udbff][\ud800-\udbff]/.test(value);
      const detail = twoHigh
        ? 'Unicode high surrogate must not follow a high surrogate.'
        : 'Unicode low surrogate must follow a high surrogate.';
      throw this.#syntax(detail, end + 1 - start);
    }
    this.#at = end + 1;
    return value;
  }

  /** Checks the escape at a backslash and answers the place of its last character. */
  #escape(at: number): number {
    const letter = this.#text[at + 1];
    if (letter === 'u') {
      const digits = this.#text.slice(at + 2, at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
        throw this.#syntax('"\\u" must be followed by four hexadecimal digits.', at - this.#at);
      }
      if (this.#forJsonb && digits === '0000') {
        throw new SqlError(
          SQLSTATE.untranslatableCharacter,
          'unsupported Unicode escape sequence',
          {
            detail: '\\u0000 cannot be converted to text.',
          },
        );
      }
      return at + 5;
    }
    if (letter === undefined || !'"\\/bfnrt'.includes(letter)) {
      throw this.#syntax(`Escape sequence "\\${letter ?? ''}" is invalid.`, at + 2 - this.#at);
    }
    return at + 1;
  }

  #next(sign: string): boolean {
    this.#blanks();
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #blanks(): void {
    while (this.#at < this.#text.length && BLANKS.includes(this.#text[this.#at]!)) this.#at++;
  }

  /** The word at hand, or one character when it is none: what Postgres quotes. */
  #token(): string {
    let end = this.#at;
    while (end < this.#text.length && WORD.test(this.#text[end]!)) end++;
    return this.#text.slice(this.#at, Math.max(end, this.#at + 1));
  }

  #expected(expectation: string): SqlError {
    if (this.#at >= this.#text.length) {
      return this.#syntax('The input string ended unexpectedly.', 0);
    }
    let token = this.#token();
    if (this.#text[this.#at] === '"') {
      const start = this.#at;
      this.#string();
      token = this.#text.slice(start, this.#at);
      this.#at = start;
    }
    return this.#syntax(`${expectation}, but found "${token}".`, token.length);
  }

  #syntax(detail: string, length: number): SqlError {
    const before = this.#text.slice(0, this.#at);
    const line = before.split('\n').length;
    const end = this.#at + length;
    const lineText = this.#text.slice(before.lastIndexOf('\n') + 1, end);
    const more = end < this.#text.length && this.#text[end] !== '\n' ? '...' : '';
    return new SqlError(SQLSTATE.invalidTextRepresentation, 'invalid input syntax for type json', {
      detail,
      where: `JSON data, line ${line}: ${lineText}${more}`,
    });
  }
}
