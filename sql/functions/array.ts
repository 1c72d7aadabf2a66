// Functions over arrays. Pure.

import {
  decodeArray,
  dimensions,
  encodeArray,
  flatten,
  isNested,
  unflatten,
} from '../../ledger/array-value.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { formatText } from '../value/text.ts';
import { foldKey } from '../../storage/names.ts';
import { readType } from './function.ts';
import { jsonbKey } from './key.ts';
import { unpack } from './pack.ts';
import type { ArrayValue } from '../../ledger/array-value.ts';
import type { BaseType, Datum, SqlType } from '../../ledger/type.ts';
import type { EdgeFunction, FunctionTable, SessionFunctions, Signature } from './function.ts';

/** A key that is equal for equal elements. */
function elementKey(value: Datum, type: SqlType): string {
  if (value === null) return 'n';
  const scalar = { ...type, array: false };
  const folded = scalar.base === 'jsonb' ? jsonbKey(value as string) : foldKey(value, scalar);
  return folded instanceof Uint8Array
    ? `b${Buffer.from(folded).toString('hex')}`
    : `v${String(folded)}`;
}

type ArrayFunction = (
  arrays: readonly ArrayValue[],
  base: BaseType,
  args: readonly Datum[],
  type: SqlType,
) => Datum;

/** A typed function whose first argument is an array. */
function overArray(run: ArrayFunction): EdgeFunction {
  return {
    typed: true,
    impl: (args, _session, { args: types }) => {
      const type = types[0]!;
      return run([decodeArray(args[0] as string, type.base)], type.base, args, type);
    },
  };
}

/** A typed function of two arrays. */
function overArrays(
  run: (left: ArrayValue, right: ArrayValue, type: SqlType) => Datum,
): EdgeFunction {
  return {
    typed: true,
    impl: ([left, right], _session, { args }) => {
      const { base } = args[0]!;
      return run(decodeArray(left as string, base), decodeArray(right as string, base), args[0]!);
    },
  };
}

const truth = (value: boolean): Datum => (value ? 1n : 0n);

function keysOf(values: ArrayValue, type: SqlType): Set<string> {
  return new Set(flatten(values).map((value) => elementKey(value, type)));
}

function notNullKeys(values: ArrayValue, type: SqlType): string[] {
  return flatten(values).map((value) => (value === null ? '' : elementKey(value, type)));
}

function containsAll(outer: ArrayValue, inner: ArrayValue, type: SqlType): boolean {
  const keys = keysOf(outer, type);
  return notNullKeys(inner, type).every((key) => key !== '' && keys.has(key));
}

function concatenated(left: ArrayValue, right: ArrayValue): ArrayValue {
  if (left.length === 0) return right;
  if (right.length === 0) return left;
  const depth = dimensions(left).length - dimensions(right).length;
  if (depth === 0) return [...left, ...right];
  if (depth === 1) return [...left, right];
  if (depth === -1) return [left, ...right];
  throw new SqlError(SQLSTATE.arraySubscriptError, 'cannot concatenate incompatible arrays', {
    detail: `Arrays of ${dimensions(left).length} and ${dimensions(right).length} dimensions are not compatible for concatenation.`,
  });
}

function element(array: ArrayValue, subscripts: readonly Datum[]): Datum {
  let at: Datum | ArrayValue = array;
  for (const subscript of subscripts) {
    if (subscript === null || at === null || !isNested(at)) return null;
    const found: Datum | ArrayValue | undefined = at[Number(subscript) - 1];
    if (found === undefined) return null;
    at = found;
  }
  return isNested(at) ? null : at;
}

/** Bounds come in pairs; '' is one that was left out. */
function slice(array: ArrayValue, bounds: readonly Datum[]): ArrayValue {
  const [lower, upper, ...rest] = bounds;
  const from = lower === '' || lower === undefined ? 1 : Math.max(Number(lower), 1);
  const to = upper === '' || upper === undefined ? array.length : Number(upper);
  const part = array.slice(from - 1, Math.max(to, 0));
  return rest.length === 0 ? part : part.map((item) => (isNested(item) ? slice(item, rest) : item));
}

function position(array: ArrayValue, wanted: Datum, type: SqlType, start: number): Datum {
  const key = elementKey(wanted, type);
  for (let at = start; at < array.length; at += 1) {
    if (elementKey(array[at] as Datum, type) === key) return BigInt(at + 1);
  }
  return null;
}

function mapped(array: ArrayValue, change: (value: Datum) => Datum): ArrayValue {
  return array.map((item) => (isNested(item) ? mapped(item, change) : change(item)));
}

/** A null array stands for an empty one in array_append and its kin. */
function orEmpty(value: Datum, base: BaseType): ArrayValue {
  return value === null ? [] : decodeArray(value as string, base);
}

function toText(
  args: readonly Datum[],
  session: SessionFunctions,
  { args: types }: Signature,
): Datum {
  const [array, separator, nullText] = args as [string, string | null, (string | null)?];
  if (array === null || separator === null) return null;
  const type = { ...types[0]!, array: false };
  const texts: string[] = [];
  for (const value of flatten(decodeArray(array, type.base))) {
    if (value !== null) texts.push(formatText(value, type, session.values));
    else if (nullText !== null && nullText !== undefined) texts.push(nullText);
  }
  return texts.join(separator);
}

export function splitText(
  text: string,
  separator: string | null,
  nullText: string | null,
): (string | null)[] {
  if (text === '') return [];
  const parts = separator === null ? [...text] : separator === '' ? [text] : text.split(separator);
  return parts.map((part) => (part === nullText ? null : part));
}

/** As MaxArraySize of Postgres. */
const ELEMENTS_MAX = 134_217_727;

/** @throws SqlError 22004, 54000 */
function fill(value: Datum, lengths: readonly Datum[], base: BaseType): Datum {
  if (lengths.includes(null))
    throw new SqlError(SQLSTATE.nullValueNotAllowed, 'dimension values cannot be null');
  const sizes = lengths.map(Number);
  const count = sizes.reduce((product, size) => product * size, sizes.length === 0 ? 0 : 1);
  if (count > ELEMENTS_MAX || sizes.some((size) => size < 0)) {
    throw new SqlError(
      SQLSTATE.programLimitExceeded,
      `array size exceeds the maximum allowed (${ELEMENTS_MAX})`,
    );
  }
  const flat = Array.from<Datum>({ length: count }).fill(value);
  return encodeArray(count === 0 ? [] : unflatten(flat, sizes), base);
}

const split: EdgeFunction = {
  nullable: true,
  impl: ([text, separator, nullText]) =>
    text === null
      ? null
      : encodeArray(
          splitText(
            text as string,
            (separator ?? null) as string | null,
            (nullText ?? null) as string | null,
          ),
          'text',
        ),
};

function ndims(values: ArrayValue): Datum {
  const count = dimensions(values).length;
  return count === 0 ? null : BigInt(count);
}

function dimension(values: ArrayValue, number: Datum): number | null {
  return dimensions(values)[Number(number) - 1] ?? null;
}

export const ARRAY: FunctionTable = {
  array: {
    nullable: true,
    impl: ([code, nested, ...elements]) => {
      const { base } = readType(code as string);
      if (nested === 0n) return encodeArray(elements, base);
      return encodeArray(
        elements.map((item) => orEmpty(item, base)),
        base,
      );
    },
  },
  array_of: {
    impl: ([code, packed]) => {
      const type = readType(code as string);
      const values = unpack(packed!).map((row) => row[0]!);
      if (!type.array) return encodeArray(values, type.base);
      return encodeArray(
        values.map((value) => orEmpty(value, type.base)),
        type.base,
      );
    },
  },
  array_element: {
    nullable: true,
    impl: ([array, code, ...subscripts]) =>
      array === null
        ? null
        : element(decodeArray(array as string, readType(code as string).base), subscripts),
  },
  array_slice: {
    impl: ([array, code, ...bounds]) => {
      const { base } = readType(code as string);
      return encodeArray(slice(decodeArray(array as string, base), bounds), base);
    },
  },
  flat: {
    // json_each walks one level; most arrays have no other.
    impl: ([array]) =>
      (array as string).startsWith('[[')
        ? JSON.stringify((JSON.parse(array as string) as unknown[]).flat(6))
        : array!,
  },
  array_length: overArray(([array], _base, [, number]) => {
    const length = dimension(array!, number!);
    return length === null ? null : BigInt(length);
  }),
  array_upper: overArray(([array], _base, [, number]) => {
    const length = dimension(array!, number!);
    return length === null ? null : BigInt(length);
  }),
  array_lower: overArray(([array], _base, [, number]) =>
    dimension(array!, number!) === null ? null : 1n,
  ),
  array_ndims: overArray(([array]) => ndims(array!)),
  array_dims: overArray(([array]) => {
    const lengths = dimensions(array!);
    return lengths.length === 0 ? null : lengths.map((length) => `[1:${length}]`).join('');
  }),
  array_cardinality: overArray(([array]) => BigInt(flatten(array!).length)),
  array_position: {
    typed: true,
    nullable: true,
    impl: ([array, wanted], _session, { args: [type] }) =>
      array === null ? null : position(decodeArray(array as string, type!.base), wanted!, type!, 0),
  },
  array_position_start: {
    typed: true,
    nullable: true,
    impl: ([array, wanted, start], _session, { args: [type] }) =>
      array === null
        ? null
        : position(
            decodeArray(array as string, type!.base),
            wanted!,
            type!,
            Math.max(Number(start) - 1, 0),
          ),
  },
  array_positions: {
    typed: true,
    nullable: true,
    impl: ([array, wanted], _session, { args: [type] }) => {
      if (array === null) return null;
      const key = elementKey(wanted!, type!);
      const found = decodeArray(array as string, type!.base).flatMap((value, at) =>
        elementKey(value as Datum, type!) === key ? [BigInt(at + 1)] : [],
      );
      return encodeArray(found, 'int4');
    },
  },
  array_append: {
    typed: true,
    nullable: true,
    impl: ([array, value], _session, { args: [type] }) =>
      encodeArray([...orEmpty(array!, type!.base), value!], type!.base),
  },
  array_prepend: {
    typed: true,
    nullable: true,
    impl: ([value, array], _session, { args: [, type] }) =>
      encodeArray([value!, ...orEmpty(array!, type!.base)], type!.base),
  },
  array_cat: {
    typed: true,
    nullable: true,
    impl: ([left, right], _session, { args: [type] }) => {
      if (left === null) return right!;
      if (right === null) return left!;
      const { base } = type!;
      return encodeArray(
        concatenated(decodeArray(left as string, base), decodeArray(right as string, base)),
        base,
      );
    },
  },
  array_remove: {
    typed: true,
    nullable: true,
    impl: ([array, wanted], _session, { args: [type] }) => {
      if (array === null) return null;
      const key = elementKey(wanted!, type!);
      const kept = decodeArray(array as string, type!.base).filter(
        (value) => elementKey(value as Datum, type!) !== key,
      );
      return encodeArray(kept, type!.base);
    },
  },
  array_replace: {
    typed: true,
    nullable: true,
    impl: ([array, from, to], _session, { args: [type] }) => {
      if (array === null) return null;
      const key = elementKey(from!, type!);
      const changed = mapped(decodeArray(array as string, type!.base), (value) =>
        elementKey(value, type!) === key ? to! : value,
      );
      return encodeArray(changed, type!.base);
    },
  },
  array_to_text: { typed: true, nullable: true, impl: toText },
  array_to_text_null: { typed: true, nullable: true, impl: toText },
  text_to_array: split,
  text_to_array_null: split,
  array_fill: {
    typed: true,
    nullable: true,
    impl: ([value, lengths], _session, { args: [type] }) =>
      lengths === null
        ? null
        : fill(value!, flatten(decodeArray(lengths as string, 'int4')), type!.base),
  },
  trim_array: overArray(([array], base, [, count]) => {
    const { length } = array!;
    if ((count as bigint) < 0n || (count as bigint) > BigInt(length)) {
      throw new SqlError(
        SQLSTATE.arraySubscriptError,
        `number of elements to trim must be between 0 and ${length}`,
      );
    }
    return encodeArray(array!.slice(0, length - Number(count)), base);
  }),
  arraycontains: overArrays((left, right, type) => truth(containsAll(left, right, type))),
  arraycontained: overArrays((left, right, type) => truth(containsAll(right, left, type))),
  arrayoverlap: overArrays((left, right, type) => {
    const keys = keysOf(left, type);
    return truth(notNullKeys(right, type).some((key) => key !== '' && keys.has(key)));
  }),
};
