// Assignment to elements and slices of an array: UPDATE … SET a[2] = …, a[1:2] = …. Pure.
//
// Lower bounds are always 1, so an array never grows to the left of what it has: that is 0A000.

import {
  decodeArray,
  dimensions,
  encodeArray,
  flatten,
  isNested,
} from '../../ledger/array-value.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { ArrayValue } from '../../ledger/array-value.ts';
import type { Datum } from '../../ledger/type.ts';
import type { FunctionTable } from './function.ts';

/** Elements that an array may have: MaxArraySize of Postgres for elements of 8 bytes. */
const ELEMENTS_MAX = 134_217_727;

function outOfRange(): SqlError {
  return new SqlError(SQLSTATE.arraySubscriptError, 'array subscript out of range');
}

function subscript(given: Datum | undefined): number {
  if (given === null || given === undefined) {
    throw new SqlError(
      SQLSTATE.nullValueNotAllowed,
      'array subscript in assignment must not be null',
    );
  }
  return Number(given);
}

/** The place of a subscript in an array that may grow to the right; an empty one begins where it is written. */
function place(given: number, array: ArrayValue): number {
  if (given > ELEMENTS_MAX) throw outOfRange();
  if (given === 1 || (given > 1 && array.length > 0)) return given - 1;
  throw new SqlError(
    SQLSTATE.featureNotSupported,
    'arrays with other lower bounds than 1 are not supported',
  );
}

function withElement(array: ArrayValue, value: Datum, subscripts: readonly number[]): ArrayValue {
  const [first, ...rest] = subscripts;
  if (array.length > 0 && dimensions(array).length !== subscripts.length) {
    throw new SqlError(SQLSTATE.arraySubscriptError, 'wrong number of array subscripts');
  }
  if (rest.length === 0) {
    const at = place(first!, array);
    const grown = [...array];
    while (grown.length < at) grown.push(null);
    grown[at] = value;
    return grown;
  }
  if (array.length === 0) {
    for (const given of subscripts) place(given, array);
    return [withElement([], value, rest)];
  }
  const at = first! - 1;
  const row = array[at];
  const last = rest.at(-1)! - 1;
  if (row === undefined || row === null || !isNested(row)) throw outOfRange();
  if (last < 0 || last >= dimensions(array).at(-1)!) throw outOfRange();
  return array.map((item, index) => (index === at ? withElement(row, value, rest) : item));
}

/** A slice of the first dimension; '' is a bound that was left out. */
function withSlice(array: ArrayValue, source: ArrayValue, bounds: readonly Datum[]): ArrayValue {
  if (bounds.length > 2 || dimensions(array).length > 1) {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      'assignment to a slice of a multidimensional array is not supported',
    );
  }
  const [lower, upper] = bounds;
  if (array.length === 0 && (lower === '' || upper === '')) {
    throw new SqlError(
      SQLSTATE.arraySubscriptError,
      'array slice subscript must provide both boundaries',
      {
        detail:
          'When assigning to a slice of an empty array value, slice boundaries must be fully specified.',
      },
    );
  }
  const from = place(lower === '' ? 1 : subscript(lower), array);
  const to = upper === '' ? array.length : subscript(upper);
  if (to < from) {
    throw new SqlError(SQLSTATE.arraySubscriptError, 'upper bound cannot be less than lower bound');
  }
  const values = flatten(source);
  if (values.length < to - from) {
    throw new SqlError(SQLSTATE.arraySubscriptError, 'source array too small');
  }
  const grown = [...array];
  while (grown.length < from) grown.push(null);
  grown.splice(from, to - from, ...values.slice(0, to - from));
  return grown;
}

/** Arguments: array, new value, `element` or `slice`, then subscripts, or pairs of bounds. */
export const ARRAY_ASSIGN: FunctionTable = {
  array_assign: {
    typed: true,
    nullable: true,
    impl: ([array, value, form, ...bounds], _session, { args: types }) => {
      const { base } = types[0]!;
      const before = array === null ? [] : decodeArray(array as string, base);
      if (form === 'element') {
        return encodeArray(withElement(before, value!, bounds.map(subscript)), base);
      }
      if (value === null) return array!;
      return encodeArray(withSlice(before, decodeArray(value as string, base), bounds), base);
    },
  },
};
