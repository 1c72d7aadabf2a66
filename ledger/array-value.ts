// Arrays as a Datum: JSON text with a canonical spelling. Pure.
//
// (1) One array value has one text: no blanks, integers in full precision, floats as JSON writes them or as
//     "NaN", "Infinity", "-Infinity", byte strings as hexadecimal (ledger/type.ts).
// (2) Lower bounds are always 1; an array without elements is [] whatever its dimensions were.

import { fromHex, hex } from './bytes.ts';
import { assert, SqlError } from './error.ts';
import { SQLSTATE } from './sqlstate.ts';
import type { BaseType, Datum } from './type.ts';

/** Elements, or arrays of them for more dimensions; all rows of one dimension have the same length. */
export type ArrayValue = readonly (Datum | ArrayValue)[];

type ElementForm = 'integer' | 'float' | 'bytes' | 'string';

/** How an element of this type is written inside the JSON. */
export function elementForm(base: BaseType): ElementForm {
  switch (base) {
    case 'bool':
    case 'int2':
    case 'int4':
    case 'int8':
    case 'oid':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
    case 'regclass':
    case 'regtype':
    case 'regproc':
    case 'regnamespace':
    case 'regrole':
      return 'integer'; // prettier-ignore
    case 'float4':
    case 'float8':
      return 'float'; // prettier-ignore
    case 'numeric':
    case 'bytea':
    case 'uuid':
    case 'timetz':
    case 'interval':
      return 'bytes'; // prettier-ignore
    default:
      return 'string';
  }
}

/**
 * @param values  elements in the representation of their type (numeric in the general form)
 * @throws AssertionError for an element of another representation, which could not be read back
 */
export function encodeArray(values: ArrayValue, base: BaseType): string {
  return encodeLevel(values, elementForm(base));
}

function encodeLevel(values: ArrayValue, form: ElementForm): string {
  let text = '[';
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as Datum | ArrayValue;
    if (at > 0) text += ',';
    text += isNested(value) ? encodeLevel(value, form) : encodeElement(value, form);
  }
  return text + ']';
}

export function isNested(value: Datum | ArrayValue): value is ArrayValue {
  return Array.isArray(value);
}

function encodeElement(value: Datum, form: ElementForm): string {
  if (value === null) return 'null';
  switch (form) {
    case 'integer':
      assert(typeof value === 'bigint', 'an element of this array is an integer');
      return value.toString();
    case 'float':
      if (typeof value === 'number' && Number.isFinite(value)) {
        return Object.is(value, -0) ? '-0' : String(value);
      }
      return `"${String(value)}"`;
    case 'bytes':
      assert(typeof value === 'object', 'an element of this array is bytes');
      return `"${hex(value)}"`;
    case 'string':
      assert(typeof value === 'string', 'an element of this array is a string');
      return JSON.stringify(value);
    default:
      return form satisfies never;
  }
}

/** @throws SqlError XX001 when the text is not of the canonical form */
export function decodeArray(text: string, base: BaseType): ArrayValue {
  const reader = new ArrayReader(text, elementForm(base));
  return reader.read();
}

class ArrayReader {
  readonly #text: string;
  readonly #form: ElementForm;
  #at = 0;

  constructor(text: string, form: ElementForm) {
    this.#text = text;
    this.#form = form;
  }

  read(): ArrayValue {
    const value = this.#value();
    if (this.#at !== this.#text.length || !isNested(value)) throw damaged();
    return value;
  }

  #value(): Datum | ArrayValue {
    const text = this.#text;
    const first = text[this.#at];
    if (first === '[') {
      const values: (Datum | ArrayValue)[] = [];
      this.#at++;
      if (text[this.#at] === ']') {
        this.#at++;
        return values;
      }
      for (;;) {
        values.push(this.#value());
        const next = text[this.#at++];
        if (next === ']') return values;
        if (next !== ',') throw damaged();
      }
    }
    return first === '"' ? this.#string() : this.#bare();
  }

  #string(): Datum {
    const start = this.#at;
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== '"') {
      end += this.#text[end] === '\\' ? 2 : 1;
    }
    this.#at = end + 1;
    const value = JSON.parse(this.#text.slice(start, end + 1)) as string;
    if (this.#form === 'bytes') return fromHex(value);
    return this.#form === 'float' && value !== 'NaN' ? Number(value) : value;
  }

  #bare(): Datum {
    let end = this.#at;
    while (end < this.#text.length && this.#text[end] !== ',' && this.#text[end] !== ']') end++;
    const word = this.#text.slice(this.#at, end);
    this.#at = end;
    if (word === 'null') return null;
    if (this.#form === 'float') return Number(word);
    if (this.#form !== 'integer') throw damaged();
    return BigInt(word);
  }
}

function damaged(): SqlError {
  return new SqlError(SQLSTATE.dataCorrupted, 'invalid array value in storage');
}

/** Lengths of the dimensions, outermost first; none for an empty array. */
export function dimensions(values: ArrayValue): readonly number[] {
  const lengths: number[] = [];
  let level: Datum | ArrayValue | undefined = values;
  while (level !== undefined && isNested(level) && level.length > 0) {
    lengths.push(level.length);
    level = level[0];
  }
  return lengths;
}

/** All elements in row-major order. */
export function flatten(values: ArrayValue): readonly Datum[] {
  const flat: Datum[] = [];
  for (const value of values) {
    if (isNested(value)) flat.push(...flatten(value));
    else flat.push(value);
  }
  return flat;
}

/** The inverse of `flatten` for given dimensions. */
export function unflatten(flat: readonly Datum[], lengths: readonly number[]): ArrayValue {
  if (lengths.length <= 1) return flat;
  const step = flat.length / lengths[0]!;
  const rows: ArrayValue[] = [];
  for (let at = 0; at < flat.length; at += step) {
    rows.push(unflatten(flat.slice(at, at + step), lengths.slice(1)));
  }
  return rows;
}

const NEEDS_QUOTES = /[{}",\\\s]/;

/** Postgres' text of an array: {1,2,NULL,"a b"}. `element` prints what is not NULL. */
export function formatArrayLiteral(values: ArrayValue, element: (value: Datum) => string): string {
  const parts = values.map((value) => {
    if (value === null) return 'NULL';
    if (isNested(value)) return formatArrayLiteral(value, element);
    const text = element(value);
    if (text !== '' && text.toLowerCase() !== 'null' && !NEEDS_QUOTES.test(text)) return text;
    return `"${text.replace(/["\\]/g, '\\$&')}"`;
  });
  return `{${parts.join(',')}}`;
}
