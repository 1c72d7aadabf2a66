// Array literals, read: {1,2,NULL,"a b"}. Pure.
//
// (1) Elements are read by a function that the caller gives; this file knows the braces, quotes and
//     dimensions only.
// (2) Lower bounds other than 1 are refused with 0A000: an array here has none (ledger/array-value.ts).

import type { ArrayValue } from '../../ledger/array-value.ts';
import { dimensions, isNested } from '../../ledger/array-value.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';

const DIMENSIONS_MAX = 6;

/** @throws SqlError 22P02 malformed array literal, 54000, 0A000 */
export function parseArrayLiteral(text: string, element: (text: string) => Datum): ArrayValue {
  return new LiteralReader(text, element).read();
}

class LiteralReader {
  readonly #text: string;
  readonly #element: (text: string) => Datum;
  #at = 0;
  /** The dimension that elements stand in, once one was seen. */
  #depth: number | undefined;

  constructor(text: string, element: (text: string) => Datum) {
    this.#text = text;
    this.#element = element;
  }

  read(): ArrayValue {
    const declared = this.#dimensionPrefix();
    this.#blanks();
    if (this.#text[this.#at] !== '{') {
      throw this.#malformed(
        declared === undefined
          ? 'Array value must start with "{" or dimension information.'
          : 'Array contents must start with "{".',
      );
    }
    const values = this.#array(1);
    this.#blanks();
    if (this.#at < this.#text.length) throw this.#malformed('Junk after closing right brace.');
    const lengths = dimensions(values);
    this.#checkShape(values, lengths, 0);
    if (declared !== undefined && String(declared) !== String(lengths)) {
      throw this.#malformed('Specified array dimensions do not match array contents.');
    }
    return values;
  }

  /** [1:2][1:3]= before the braces. */
  #dimensionPrefix(): readonly number[] | undefined {
    const match = /^\s*((?:\[\s*[+-]?\d+\s*(?::\s*[+-]?\d+\s*)?\]\s*)+)=/.exec(this.#text);
    if (match === null) return undefined;
    this.#at = match[0].length;
    return match[1]!.match(/\[[^\]]*\]/g)!.map((bounds) => {
      const numbers = bounds.slice(1, -1).split(':').map(Number);
      const [lower, upper] = numbers.length === 1 ? [1, numbers[0]!] : [numbers[0]!, numbers[1]!];
      if (upper < lower) {
        throw new SqlError(
          SQLSTATE.arraySubscriptError,
          'upper bound cannot be less than lower bound',
        );
      }
      if (lower !== 1) {
        throw new SqlError(
          SQLSTATE.featureNotSupported,
          'array lower bounds other than 1 are not supported',
        );
      }
      return upper;
    });
  }

  #array(depth: number): ArrayValue {
    if (depth > DIMENSIONS_MAX) {
      throw new SqlError(
        SQLSTATE.programLimitExceeded,
        `number of array dimensions (${depth}) exceeds the maximum allowed (${DIMENSIONS_MAX})`,
      );
    }
    this.#at++;
    const values: (Datum | ArrayValue)[] = [];
    this.#blanks();
    if (this.#text[this.#at] === '}') {
      if (depth > 1) throw this.#malformed('Unexpected "}" character.');
      this.#at++;
      return values;
    }
    for (;;) {
      this.#blanks();
      const first = this.#text[this.#at];
      if (first === '{') {
        if (depth === this.#depth) throw this.#malformed('Unexpected "{" character.');
        values.push(this.#array(depth + 1));
      } else {
        values.push(first === '"' ? this.#quoted() : this.#bare());
        this.#depth ??= depth;
        if (depth !== this.#depth) throw this.#malformed('Unexpected array element.');
      }
      this.#blanks();
      const next = this.#text[this.#at++];
      if (next === '}') return values;
      if (next === undefined) throw this.#malformed('Unexpected end of input.');
      if (next !== ',') {
        throw this.#malformed(
          next === '{' ? 'Unexpected "{" character.' : 'Unexpected array element.',
        );
      }
    }
  }

  #quoted(): Datum {
    let value = '';
    for (;;) {
      let character = this.#text[++this.#at];
      if (character === '"') break;
      if (character === '\\') character = this.#text[++this.#at];
      if (character === undefined) throw this.#malformed('Unexpected end of input.');
      value += character;
    }
    this.#at++;
    return this.#element(value);
  }

  #bare(): Datum {
    let value = '';
    let escaped = false;
    // Blanks at the end do not belong to the element, unless a backslash says so.
    let end = 0;
    for (;;) {
      let character = this.#text[this.#at];
      if (character === undefined) throw this.#malformed('Unexpected end of input.');
      if (character === ',' || character === '}') break;
      if (character === '{' || character === '"') {
        throw this.#malformed(
          character === '{' ? 'Unexpected "{" character.' : 'Unexpected array element.',
        );
      }
      const protectedByBackslash = character === '\\';
      if (protectedByBackslash) {
        escaped = true;
        character = this.#text[++this.#at];
        if (character === undefined) throw this.#malformed('Unexpected end of input.');
      }
      value += character;
      if (protectedByBackslash || !/\s/.test(character)) end = value.length;
      this.#at++;
    }
    const trimmed = value.slice(0, end);
    if (trimmed === '' && !escaped) {
      throw this.#malformed(`Unexpected "${this.#text[this.#at]}" character.`);
    }
    return !escaped && trimmed.toLowerCase() === 'null' ? null : this.#element(trimmed);
  }

  #checkShape(values: ArrayValue, lengths: readonly number[], depth: number): void {
    if (values.length !== (lengths[depth] ?? 0)) {
      throw this.#malformed(
        'Multidimensional arrays must have sub-arrays with matching dimensions.',
      );
    }
    for (const value of values) {
      if (isNested(value)) this.#checkShape(value, lengths, depth + 1);
    }
  }

  #blanks(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  #malformed(detail: string): SqlError {
    return new SqlError(
      SQLSTATE.invalidTextRepresentation,
      `malformed array literal: "${this.#text}"`,
      { detail },
    );
  }
}
