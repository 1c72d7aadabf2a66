// Operators of jsonb: order, containment, access, change. Pure.
//
// Values are parsed, worked on and printed again; what is answered is in jsonb's normal form.

import { SqlError } from './error.ts';
import type { JsonValue } from './jsonb.ts';
import {
  compareKeys,
  formatJson,
  isJsonArray,
  isJsonNumber,
  isJsonObject,
  parseJson,
} from './jsonb.ts';
import { compareDecimal, parseNumeric } from './numeric.ts';
import { SQLSTATE } from './sqlstate.ts';

/** object > array > boolean > number > string > null. */
function rankOf(value: JsonValue): number {
  if (value === null) return 0;
  if (typeof value === 'string') return 1;
  if (typeof value === 'boolean') return 3;
  return isJsonNumber(value) ? 2 : isJsonArray(value) ? 4 : 5;
}

/** The btree order of jsonb. */
export function compareJson(left: string, right: string): number {
  return left === right ? 0 : order(parseJson(left), parseJson(right), true);
}

function order(left: JsonValue, right: JsonValue, top: boolean): number {
  if (isJsonArray(left) && isJsonArray(right)) {
    if (left.length !== right.length) return left.length - right.length;
    return firstDifference(left.length, (at) => order(left[at]!, right[at]!, false));
  }
  // An empty array is below everything at the top, for historical reasons.
  if (top && isJsonArray(left) && left.length === 0) return -1;
  if (top && isJsonArray(right) && right.length === 0) return 1;
  const ranks = rankOf(left) - rankOf(right);
  if (ranks !== 0 || left === null || right === null) return ranks;
  if (isJsonObject(left) && isJsonObject(right)) return orderObjects(left, right);
  if (isJsonNumber(left) && isJsonNumber(right)) {
    return compareDecimal(parseNumeric(left.number), parseNumeric(right.number));
  }
  if (typeof left === 'string' && typeof right === 'string') return compareUnits(left, right);
  return Number(left) - Number(right);
}

function orderObjects(
  left: ReadonlyMap<string, JsonValue>,
  right: ReadonlyMap<string, JsonValue>,
): number {
  if (left.size !== right.size) return left.size - right.size;
  const leftKeys = [...left.keys()].sort(compareKeys);
  const rightKeys = [...right.keys()].sort(compareKeys);
  return firstDifference(leftKeys.length, (at) => {
    const keys = compareUnits(leftKeys[at]!, rightKeys[at]!);
    return keys || order(left.get(leftKeys[at]!)!, right.get(rightKeys[at]!)!, false);
  });
}

function firstDifference(count: number, at: (index: number) => number): number {
  for (let index = 0; index < count; index++) {
    const difference = at(index);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** By code points, as "C" does. */
function compareUnits(left: string, right: string): number {
  const a = [...left];
  const b = [...right];
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const difference = a[at]!.codePointAt(0)! - b[at]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** left @> right */
export function containsJson(left: string, right: string): boolean {
  return contains(parseJson(left), parseJson(right), true);
}

function contains(left: JsonValue, right: JsonValue, top: boolean): boolean {
  if (isJsonObject(right)) {
    if (!isJsonObject(left)) return false;
    return [...right].every(([key, value]) => {
      const held = left.get(key);
      return held !== undefined && contains(held, value, false);
    });
  }
  if (isJsonArray(right)) {
    if (!isJsonArray(left)) return false;
    return right.every((item) => left.some((held) => contains(held, item, false)));
  }
  // An array contains a scalar, at the top only.
  if (isJsonArray(left)) return top && left.some((held) => contains(held, right, false));
  return rankOf(left) === rankOf(right) && order(left, right, false) === 0;
}

/** A member, or undefined: no such key, or no object. */
export function fieldOf(text: string, key: string): JsonValue | undefined {
  const value = parseJson(text);
  return isJsonObject(value) ? value.get(key) : undefined;
}

/** An element, negative counting from the end, or undefined. */
export function elementOf(text: string, index: bigint): JsonValue | undefined {
  const value = parseJson(text);
  if (isJsonObject(value)) return undefined;
  // Postgres holds a scalar as an array of one.
  return (isJsonArray(value) ? value : [value]).at(Number(index));
}

/** What ->> answers: strings without quotes, null as NULL. */
export function jsonText(value: JsonValue | undefined): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === 'string' ? value : formatJson(value);
}

export function jsonType(text: string): string {
  const value = parseJson(text);
  return ['null', 'string', 'number', 'boolean', 'array', 'object'][rankOf(value)]!;
}

/** @throws SqlError 22023 */
export function jsonLength(text: string): bigint {
  const value = parseJson(text);
  if (isJsonArray(value)) return BigInt(value.length);
  const what = isJsonObject(value) ? 'a non-array' : 'a scalar';
  throw new SqlError(SQLSTATE.invalidParameterValue, `cannot get array length of ${what}`);
}

/** left || right */
export function concatJson(left: string, right: string): string {
  const a = parseJson(left);
  const b = parseJson(right);
  if (isJsonObject(a) && isJsonObject(b)) return formatJson(new Map([...a, ...b]));
  const items = (value: JsonValue): readonly JsonValue[] => (isJsonArray(value) ? value : [value]);
  return formatJson([...items(a), ...items(b)]);
}

/** json - key: the members, or elements that are this string, go. @throws SqlError 22023 */
export function deleteKey(text: string, key: string): string {
  const value = parseJson(text);
  if (isJsonObject(value)) return formatJson(new Map([...value].filter(([name]) => name !== key)));
  if (isJsonArray(value)) return formatJson(value.filter((item) => item !== key));
  throw new SqlError(SQLSTATE.invalidParameterValue, 'cannot delete from scalar');
}

/** json - index. @throws SqlError 22023 */
export function deleteIndex(text: string, index: bigint): string {
  const value = parseJson(text);
  if (isJsonObject(value)) {
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      'cannot delete from object using integer index',
    );
  }
  if (!isJsonArray(value)) {
    throw new SqlError(SQLSTATE.invalidParameterValue, 'cannot delete from scalar');
  }
  const at = index < 0n ? value.length + Number(index) : Number(index);
  return formatJson(value.filter((_, position) => position !== at));
}

/** json ? key */
export function existsKey(text: string, key: string): boolean {
  const value = parseJson(text);
  if (isJsonObject(value)) return value.has(key);
  return isJsonArray(value) ? value.includes(key) : value === key;
}

/** Without members that are null, at every depth. */
export function stripNulls(text: string): string {
  const strip = (value: JsonValue): JsonValue => {
    if (isJsonArray(value)) return value.map(strip);
    if (!isJsonObject(value)) return value;
    const kept = [...value].filter(([, member]) => member !== null);
    return new Map(kept.map(([key, member]): [string, JsonValue] => [key, strip(member)]));
  };
  return formatJson(strip(parseJson(text)));
}

/** A jsonb number for a cast. @throws SqlError 22023 */
export function jsonNumber(text: string, typeName: string): string {
  const value = parseJson(text);
  if (value !== null && isJsonNumber(value)) return value.number;
  throw cannotCast(text, typeName);
}

/** @throws SqlError 22023 */
export function jsonBoolean(text: string): boolean {
  const value = parseJson(text);
  if (typeof value === 'boolean') return value;
  throw cannotCast(text, 'boolean');
}

function cannotCast(text: string, typeName: string): SqlError {
  const kind = jsonType(text);
  const named = kind === 'number' ? 'numeric' : kind;
  return new SqlError(
    SQLSTATE.invalidParameterValue,
    `cannot cast jsonb ${named} to type ${typeName}`,
  );
}
