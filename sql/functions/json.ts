// json and jsonb: building, picking apart, changing. Pure.

import { decodeArray, flatten } from '../../ledger/array-value.ts';
import { SqlError } from '../../ledger/error.ts';
import {
  compareKeys,
  formatJson,
  isJsonArray,
  isJsonNumber,
  isJsonObject,
  normalizeJsonb,
  parseJson,
  quoteJson,
} from '../../ledger/jsonb.ts';
import { jsonText as textOf } from '../../ledger/jsonb-operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { formatText } from '../value/text.ts';
import { readTypes } from './function.ts';
import { jsonText } from './json-value.ts';
import type { JsonValue } from '../../ledger/jsonb.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import type { EdgeFunction, FunctionTable, SessionFunctions, Signature } from './function.ts';

/** A list of arguments, or with VARIADIC the elements of its last, an array. */
export function spread(
  args: readonly Datum[],
  signature: Signature,
): { readonly values: readonly Datum[]; readonly types: readonly SqlType[] } {
  const types = signature.args;
  if (!signature.variadic) return { values: args, types };
  const last = types.at(-1)!;
  const array = args.at(-1);
  const elements = array === null ? [] : flatten(decodeArray(array as string, last.base));
  const head = args.slice(0, -1);
  const element = { ...last, array: false };
  return {
    values: [...head, ...elements],
    types: [...types.slice(0, -1), ...elements.map(() => element)],
  };
}

function keyText(value: Datum, type: SqlType, position: number, session: SessionFunctions): string {
  if (value === null) {
    throw new SqlError(SQLSTATE.invalidParameterValue, `argument ${position} cannot be null`, {
      hint: 'Object keys should be text.',
    });
  }
  return formatText(value, type, session.values);
}

function buildObject(
  args: readonly Datum[],
  session: SessionFunctions,
  signature: Signature,
): string {
  const { values, types } = spread(args, signature);
  if (values.length % 2 !== 0) {
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      'argument list must have even number of elements',
      {
        hint: 'The arguments of json_build_object() must consist of alternating keys and values.',
      },
    );
  }
  const members: string[] = [];
  for (let at = 0; at < values.length; at += 2) {
    const key = quoteJson(keyText(values[at]!, types[at]!, at + 1, session));
    members.push(`${key} : ${jsonText(values[at + 1]!, types[at + 1]!, session)}`);
  }
  return `{${members.join(', ')}}`;
}

function buildArray(
  args: readonly Datum[],
  session: SessionFunctions,
  signature: Signature,
): string {
  const { values, types } = spread(args, signature);
  return `[${values.map((value, at) => jsonText(value, types[at]!, session)).join(', ')}]`;
}

type Build = (args: readonly Datum[], session: SessionFunctions, signature: Signature) => string;

function built(build: Build, binary: boolean): EdgeFunction {
  return {
    typed: true,
    nullable: true,
    impl: (args, session, signature) => {
      const text = build(args, session, signature);
      return binary ? normalizeJsonb(text) : text;
    },
  };
}

/** The parts of a json text that are members or elements, with their text as written. */
export function parts(
  text: string,
  array: boolean,
): { readonly key: string; readonly text: string }[] | null {
  const source = text.trim();
  if (source[0] !== (array ? '[' : '{')) return null;
  const found: { key: string; text: string }[] = [];
  let at = 1;
  const blanks = (): void => {
    while (/\s/.test(source[at] ?? '')) at += 1;
  };
  blanks();
  while (source[at] !== undefined && !']}'.includes(source[at]!)) {
    let key = '';
    if (!array) {
      const end = skip(source, at);
      key = JSON.parse(source.slice(at, end)) as string;
      at = end;
      blanks();
      at += 1;
      blanks();
    }
    const end = skip(source, at);
    found.push({ key, text: source.slice(at, end) });
    at = end;
    blanks();
    if (source[at] === ',') at += 1;
    blanks();
  }
  return found;
}

/** Where the value that starts at `at` ends; the text is known to be well formed. */
function skip(source: string, at: number): number {
  let depth = 0;
  let end = at;
  do {
    const character = source[end]!;
    if (character === '"') {
      end += 1;
      while (source[end] !== '"') end += source[end] === '\\' ? 2 : 1;
      end += 1;
    } else if ('[{'.includes(character)) {
      depth += 1;
      end += 1;
    } else if (']}'.includes(character)) {
      depth -= 1;
      end += 1;
    } else if (depth > 0) {
      end += 1;
    } else {
      while (end < source.length && !/[\s,\]}]/.test(source[end]!)) end += 1;
    }
  } while (depth > 0);
  return end;
}

/** A member or element of a json text, as written; the last of equal keys. */
function pick(text: string, step: string): string | null {
  const first = text.trim()[0];
  if (first === '{') return parts(text, false)!.findLast((part) => part.key === step)?.text ?? null;
  if (first !== '[' || !/^\s*[+-]?\d+\s*$/.test(step)) return null;
  return parts(text, true)!.at(Number(step))?.text ?? null;
}

/** A json text as ->> gives it: strings without quotes, null as NULL. */
export function unquoted(text: string | null): Datum {
  if (text === null || text === 'null') return null;
  return text.startsWith('"') ? (JSON.parse(text) as string) : text;
}

function along(text: string, path: readonly Datum[]): string | null {
  let at: string | null = text;
  for (const step of path) {
    if (at === null || step === null) return null;
    at = pick(at, step as string);
  }
  return at;
}

function path(value: Datum): readonly Datum[] {
  return flatten(decodeArray(value as string, 'text'));
}

function valueAlong(text: string, steps: readonly Datum[]): JsonValue | undefined {
  let at: JsonValue | undefined = parseJson(text);
  for (const step of steps) {
    if (step === null || at === undefined) return undefined;
    if (isJsonArray(at))
      at = /^\s*[+-]?\d+\s*$/.test(step as string) ? at.at(Number(step)) : undefined;
    else if (at !== null && isJsonObject(at)) at = at.get(step as string);
    else return undefined;
  }
  return at;
}

function scalarError(what: string): SqlError {
  return new SqlError(SQLSTATE.invalidParameterValue, `cannot ${what}`);
}

type Change = (present: JsonValue | undefined) => JsonValue | undefined;

interface Mode {
  /** Make the last step where it is missing. */
  readonly create: boolean;
  /** jsonb_insert: put before or after what is there. */
  readonly insert: 'before' | 'after' | null;
}

/** jsonb with the value at a path replaced; undefined deletes it. */
function changed(
  value: JsonValue,
  steps: readonly string[],
  change: Change,
  mode: Mode,
  depth = 1,
): JsonValue {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  if (isJsonArray(value)) return changedArray(value, step, rest, change, mode, depth);
  if (value === null || !isJsonObject(value)) return value;
  const copy = new Map(value);
  const present = value.get(step);
  if (rest.length > 0) {
    if (present !== undefined) copy.set(step, changed(present, rest, change, mode, depth + 1));
    return copy;
  }
  if (present !== undefined && mode.insert !== null) {
    throw new SqlError(SQLSTATE.invalidParameterValue, 'cannot replace existing key', {
      hint: 'Try using the function jsonb_set to replace key value.',
    });
  }
  const next = change(present);
  if (next === undefined) copy.delete(step);
  else if (present !== undefined || mode.create) copy.set(step, next);
  return copy;
}

function changedArray(
  value: readonly JsonValue[],
  step: string,
  rest: readonly string[],
  change: Change,
  mode: Mode,
  depth: number,
): JsonValue {
  if (!/^\s*[+-]?\d+\s*$/.test(step)) {
    throw new SqlError(
      SQLSTATE.invalidTextRepresentation,
      `path element at position ${depth} is not an integer: "${step}"`,
    );
  }
  const number = Number(step);
  const at = number < 0 ? value.length + number : number;
  const copy = [...value];
  const present = value[at];
  if (rest.length > 0) {
    if (present !== undefined) copy[at] = changed(present, rest, change, mode, depth + 1);
    return copy;
  }
  const next = change(present);
  if (next === undefined) return present === undefined ? value : copy.toSpliced(at, 1);
  if (present === undefined) {
    if (!mode.create && mode.insert === null) return value;
    return at < 0 ? [next, ...copy] : [...copy, next];
  }
  if (mode.insert !== null) return copy.toSpliced(mode.insert === 'after' ? at + 1 : at, 0, next);
  copy[at] = next;
  return copy;
}

function set(args: readonly Datum[], mode: Mode): Datum {
  const [target, steps, value] = args;
  const keys = path(steps!);
  const parsed = parseJson(target as string);
  if (parsed === null || (!isJsonArray(parsed) && !isJsonObject(parsed)))
    throw scalarError('set path in scalar');
  if (isEmpty(parsed) && !mode.create && mode.insert === null) return formatJson(parsed);
  nullStep(keys);
  const next = parseJson(value as string);
  return formatJson(changed(parsed, keys as readonly string[], () => next, mode));
}

/** In an empty one Postgres does not look for a path, nor at it. */
function isEmpty(value: JsonValue): boolean {
  return isJsonArray(value) ? value.length === 0 : isJsonObject(value) && value.size === 0;
}

function nullStep(keys: readonly Datum[]): void {
  const at = keys.indexOf(null);
  if (at >= 0) {
    throw new SqlError(SQLSTATE.nullValueNotAllowed, `path element at position ${at + 1} is null`);
  }
}

function deletePath(target: string, steps: readonly Datum[]): Datum {
  const parsed = parseJson(target);
  if (parsed === null || (!isJsonArray(parsed) && !isJsonObject(parsed)))
    throw scalarError('delete path in scalar');
  if (isEmpty(parsed) || steps.length === 0) return formatJson(parsed);
  nullStep(steps);
  const gone: Change = () => undefined;
  return formatJson(
    changed(parsed, steps as readonly string[], gone, { create: false, insert: null }),
  );
}

function exists(text: string, keys: readonly Datum[], all: boolean): Datum {
  const value = parseJson(text);
  const has = (key: Datum): boolean => {
    if (key === null || value === null) return false;
    if (isJsonArray(value)) return value.some((item) => item === key);
    return isJsonObject(value) ? value.has(key as string) : value === key;
  };
  return (all ? keys.every((key) => key === null || has(key)) : keys.some(has)) ? 1n : 0n;
}

/** Indented by four blanks a level, as jsonb_pretty does. */
function pretty(value: JsonValue, indent: string): string {
  const deeper = `${indent}    `;
  if (isJsonArray(value)) {
    if (value.length === 0) return `[\n${indent}]`;
    return `[\n${value.map((item) => deeper + pretty(item, deeper)).join(',\n')}\n${indent}]`;
  }
  if (value !== null && typeof value === 'object' && !isJsonNumber(value) && isJsonObject(value)) {
    if (value.size === 0) return `{\n${indent}}`;
    const members = [...value.keys()]
      .sort(compareKeys)
      .map((key) => `${deeper}${quoteJson(key)}: ${pretty(value.get(key)!, deeper)}`);
    return `{\n${members.join(',\n')}\n${indent}}`;
  }
  return formatJson(value);
}

function objectOf(keys: readonly Datum[], values: readonly Datum[], binary: boolean): Datum {
  if (keys.length !== values.length) {
    throw new SqlError(SQLSTATE.arraySubscriptError, 'mismatched array dimensions');
  }
  const members = keys.map((key, at) => {
    if (key === null)
      throw new SqlError(SQLSTATE.nullValueNotAllowed, 'null value not allowed for object key');
    const value = values[at]!;
    return `${quoteJson(key as string)} : ${value === null ? 'null' : quoteJson(value as string)}`;
  });
  const text = `{${members.join(', ')}}`;
  return binary ? normalizeJsonb(text) : text;
}

function objectFromArray(array: Datum, binary: boolean): Datum {
  const flat = path(array!);
  if (flat.length % 2 !== 0) {
    throw new SqlError(SQLSTATE.arraySubscriptError, 'array must have even number of elements');
  }
  const keys = flat.filter((_, at) => at % 2 === 0);
  return objectOf(
    keys,
    flat.filter((_, at) => at % 2 === 1),
    binary,
  );
}

/** Path functions take their steps one by one, or as an array with VARIADIC. */
function steps(args: readonly Datum[]): readonly Datum[] {
  const [, first] = args;
  return args.length === 2 && typeof first === 'string' ? path(first) : args.slice(1);
}

function unnestError(what: string, kind: string): SqlError {
  return new SqlError(SQLSTATE.invalidParameterValue, `cannot ${what} ${kind}`);
}

function kindName(text: string): string {
  const first = text.trim()[0];
  return first === '[' ? 'an array' : first === '{' ? 'an object' : 'a scalar';
}

export function* elementRows([text]: readonly Datum[], unquote: boolean): Iterable<Row> {
  if (text === null) return;
  const found = parts(text as string, true);
  if (found === null) {
    throw unnestError('extract elements from', kindName(text as string));
  }
  for (const part of found) yield [unquote ? unquoted(part.text) : part.text];
}

export function* memberRows([text]: readonly Datum[], unquote: boolean): Iterable<Row> {
  if (text === null) return;
  const found = parts(text as string, false);
  if (found === null) {
    const kind = kindName(text as string);
    throw kind === 'an array'
      ? new SqlError(SQLSTATE.invalidParameterValue, 'cannot deconstruct an array as an object')
      : new SqlError(SQLSTATE.invalidParameterValue, 'cannot deconstruct a scalar');
  }
  for (const part of found) yield [part.key, unquote ? unquoted(part.text) : part.text];
}

export function* keyRows([text]: readonly Datum[], name: string): Iterable<Row> {
  if (text === null) return;
  const found = parts(text as string, false);
  if (found === null)
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      `cannot call ${name} on ${kindName(text as string)}`,
    );
  for (const part of found) yield [part.key];
}

const toJson: EdgeFunction = {
  typed: true,
  impl: ([value], session, { args }) => jsonText(value!, args[0]!, session),
};

const NO_INSERT: Mode = { create: true, insert: null };

export const JSON_FUNCTIONS: FunctionTable = {
  row_json: {
    nullable: true,
    impl: ([codes, names, binary, ...values], session) => {
      const types = readTypes(codes as string);
      const members = (JSON.parse(names as string) as string[]).map(
        (name, at) => `${quoteJson(name)}:${jsonText(values[at]!, types[at]!, session)}`,
      );
      const text = `{${members.join(',')}}`;
      return binary === 1n ? normalizeJsonb(text) : text;
    },
  },
  to_json: toJson,
  array_to_json: toJson,
  to_jsonb: {
    typed: true,
    impl: ([value], session, { args }) => normalizeJsonb(jsonText(value!, args[0]!, session)),
  },
  json_build_object: built(buildObject, false),
  json_build_object_noargs: { impl: () => '{}' },
  jsonb_build_object: built(buildObject, true),
  jsonb_build_object_noargs: { impl: () => '{}' },
  json_build_array: built(buildArray, false),
  json_build_array_noargs: { impl: () => '[]' },
  jsonb_build_array: built(buildArray, true),
  jsonb_build_array_noargs: { impl: () => '[]' },
  json_object: { impl: ([array]) => objectFromArray(array!, false) },
  jsonb_object: { impl: ([array]) => objectFromArray(array!, true) },
  json_object_two_arg: { impl: ([keys, values]) => objectOf(path(keys!), path(values!), false) },
  jsonb_object_two_arg: { impl: ([keys, values]) => objectOf(path(keys!), path(values!), true) },
  json_object_field: {
    impl: ([text, key]) =>
      kindName(text as string) === 'an object' ? pick(text as string, key as string) : null,
  },
  json_object_field_text: {
    impl: ([text, key]) =>
      kindName(text as string) === 'an object'
        ? unquoted(pick(text as string, key as string))
        : null,
  },
  json_array_element: {
    impl: ([text, at]) =>
      kindName(text as string) === 'an array' ? pick(text as string, String(at)) : null,
  },
  json_array_element_text: {
    impl: ([text, at]) =>
      kindName(text as string) === 'an array' ? unquoted(pick(text as string, String(at))) : null,
  },
  json_extract_path: { impl: (args) => along(args[0] as string, steps(args)) },
  json_extract_path_text: { impl: (args) => unquoted(along(args[0] as string, steps(args))) },
  jsonb_extract_path: {
    impl: (args) => {
      const found = valueAlong(args[0] as string, steps(args));
      return found === undefined ? null : formatJson(found);
    },
  },
  jsonb_extract_path_text: { impl: (args) => textOf(valueAlong(args[0] as string, steps(args))) },
  jsonb_path: {
    impl: ([text, ...keys]) => {
      const found = valueAlong(text as string, keys);
      return found === undefined ? null : formatJson(found);
    },
  },
  jsonb_exists_any: { impl: ([text, keys]) => exists(text as string, path(keys!), false) },
  jsonb_exists_all: { impl: ([text, keys]) => exists(text as string, path(keys!), true) },
  jsonb_set: {
    impl: ([target, keys, value, create = 1n]) =>
      set([target!, keys!, value!], { create: create === 1n, insert: null }),
  },
  jsonb_insert: {
    impl: ([target, keys, value, after = 0n]) =>
      set([target!, keys!, value!], { ...NO_INSERT, insert: after === 1n ? 'after' : 'before' }),
  },
  jsonb_delete_path: { impl: ([text, keys]) => deletePath(text as string, path(keys!)) },
  jsonb_delete_array: {
    impl: ([text, keys]) => {
      const value = parseJson(text as string);
      const gone = new Set(path(keys!));
      if (isJsonArray(value)) return formatJson(value.filter((item) => !gone.has(item as string)));
      if (value === null || !isJsonObject(value)) throw scalarError('delete from scalar');
      return formatJson(new Map([...value].filter(([key]) => !gone.has(key))));
    },
  },
  jsonb_pretty: { impl: ([text]) => pretty(parseJson(text as string), '') },
};
