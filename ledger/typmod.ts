// Type modifiers: what an assignment or a cast to varchar(5), numeric(10,2), timestamp(0) does. Pure.

import { decodeArray, encodeArray, isNested } from './array-value.ts';
import type { ArrayValue } from './array-value.ts';
import {
  decodeInterval,
  decodeTimeTz,
  encodeInterval,
  encodeTimeTz,
  isInfiniteTimestamp,
  limitInterval,
  roundToPrecision,
} from './datetime.ts';
import { SqlError } from './error.ts';
import {
  decodeNumeric,
  encodeNumeric,
  limitNumeric,
  numericModifier,
  scaleNumeric,
} from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';
import type { Datum, SqlType } from './type.ts';
import { numericScale, sqlType } from './type.ts';

/**
 * Fits a value of the type without modifier to the type with it.
 *
 * @param value         as held without typmod: a numeric in the general form (a scaled bigint is left alone)
 * @param explicitCast  a cast cuts a string that is too long; an assignment refuses it
 * @returns             the value as `type` holds it: numeric(p,s) with p ≤ 18 as a scaled bigint
 * @throws  SqlError 22001, 22003; 0A000 for NaN in such a numeric
 */
export function applyTypmod(value: Datum, type: SqlType, explicitCast: boolean): Datum {
  if (value === null || type.typmod < 0) return value;
  if (type.array) return applyToElements(value as string, type, explicitCast);
  switch (type.base) {
    case 'numeric':
      return typeof value === 'bigint' ? value : limitGeneral(value as Uint8Array, type);
    case 'varchar':
      return limitVarchar(value as string, type.typmod - 4, explicitCast);
    case 'bpchar':
      return limitBpchar(value as string, type.typmod - 4, explicitCast);
    case 'time':
      return roundToPrecision(value as bigint, type.typmod);
    case 'timestamp':
    case 'timestamptz':
      return isInfiniteTimestamp(value as bigint)
        ? value
        : roundToPrecision(value as bigint, type.typmod);
    case 'timetz': {
      const time = decodeTimeTz(value as Uint8Array);
      return encodeTimeTz({ micros: roundToPrecision(time.micros, type.typmod), west: time.west });
    }
    case 'interval':
      return encodeInterval(limitInterval(decodeInterval(value as Uint8Array), type.typmod));
    default:
      return value;
  }
}

function applyToElements(text: string, type: SqlType, explicitCast: boolean): string {
  const element = sqlType(type.base, type.typmod, false, type.userType);
  const apply = (value: Datum | ArrayValue): Datum | ArrayValue => {
    if (isNested(value)) return value.map(apply);
    // Inside an array a numeric stays in the general form.
    if (type.base !== 'numeric' || value === null) return applyTypmod(value, element, explicitCast);
    const { precision, scale } = numericModifier(type.typmod);
    return encodeNumeric(limitNumeric(decodeNumeric(value as Uint8Array), precision, scale));
  };
  return encodeArray(decodeArray(text, type.base).map(apply), type.base);
}

function limitGeneral(value: Uint8Array, type: SqlType): Datum {
  const { precision, scale } = numericModifier(type.typmod);
  const decimal = decodeNumeric(value);
  return numericScale(type) === null
    ? encodeNumeric(limitNumeric(decimal, precision, scale))
    : scaleNumeric(decimal, precision, scale);
}

function limitVarchar(text: string, length: number, explicitCast: boolean): string {
  if (text.length <= length) return text;
  const characters = [...text];
  if (characters.length <= length) return text;
  if (!explicitCast && characters.slice(length).some((character) => character !== ' ')) {
    throw tooLong('character varying', length);
  }
  return characters.slice(0, length).join('');
}

function limitBpchar(text: string, length: number, explicitCast: boolean): string {
  const trimmed = text.replace(/ +$/, '');
  if (trimmed.length <= length) return trimmed;
  const characters = [...trimmed];
  if (characters.length <= length) return trimmed;
  if (!explicitCast) throw tooLong('character', length);
  return characters.slice(0, length).join('').replace(/ +$/, '');
}

function tooLong(name: string, length: number): SqlError {
  return new SqlError(
    SQLSTATE.stringDataRightTruncation,
    `value too long for type ${name}(${length})`,
  );
}
