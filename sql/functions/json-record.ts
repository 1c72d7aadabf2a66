// Rows of JSON objects: json_to_record, json_to_recordset and their jsonb twins. Pure.

import { encodeArray } from '../../ledger/array-value.ts';
import { SqlError } from '../../ledger/error.ts';
import { normalizeJsonb } from '../../ledger/jsonb.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { parseText } from '../value/text.ts';
import { readTypes } from './function.ts';
import { parts, unquoted } from './json.ts';
import type { ArrayValue } from '../../ledger/array-value.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import type { SessionFunctions } from './function.ts';

/** A member's text as a value of its column's type, read as the type's input function does. */
function valueOf(text: string, type: SqlType, session: SessionFunctions): Datum {
  if (text === 'null' && (type.array || type.base !== 'jsonb')) return null;
  if (type.array && text.startsWith('[')) {
    return encodeArray(elementsOf(text, { ...type, array: false }, session), type.base);
  }
  if (type.array && !text.startsWith('"')) {
    throw new SqlError(SQLSTATE.invalidTextRepresentation, 'expected JSON array');
  }
  if (type.base === 'json' && !type.array) return text;
  if (type.base === 'jsonb' && !type.array) return text === 'null' ? null : normalizeJsonb(text);
  return parseText(unquoted(text) as string, type, session.values);
}

function elementsOf(text: string, type: SqlType, session: SessionFunctions): ArrayValue {
  return parts(text, true)!.map((part) =>
    part.text.startsWith('[') && type.base !== 'json' && type.base !== 'jsonb'
      ? elementsOf(part.text, type, session)
      : valueOf(part.text, type, session),
  );
}

function misused(name: string, text: string): SqlError {
  const what = text.startsWith('{') ? 'an object' : text.startsWith('[') ? 'an array' : 'a scalar';
  return new SqlError(
    SQLSTATE.invalidParameterValue,
    name === 'jsonb_to_recordset'
      ? `cannot call ${name} on a non-array`
      : `cannot call ${name.endsWith('set') ? name : 'populate_composite'} on ${what}`,
  );
}

/** The JSON objects of the argument. */
function objectsOf(name: string, text: string): readonly string[] {
  if (!name.endsWith('set')) {
    if (text.startsWith('{')) return [text];
    throw misused(name, text);
  }
  if (!text.startsWith('[')) throw misused(name, text);
  return parts(text, true)!.map((part) => {
    if (part.text.startsWith('{')) return part.text;
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      `argument of ${name} must be an array of objects`,
    );
  });
}

/**
 * Arguments: the function's name, names of the columns as JSON, their types, the JSON text; no bytes stand for
 * NULL, which is one row of NULLs, or no row of a set.
 */
export function* recordRows(args: readonly Datum[], session: SessionFunctions): Iterable<Row> {
  const [name, names, codes, json] = args as readonly string[];
  const columns = JSON.parse(names!) as readonly string[];
  const types = readTypes(codes!);
  if (typeof json !== 'string') {
    if (!name!.endsWith('set')) yield columns.map(() => null);
    return;
  }
  for (const object of objectsOf(name!, json.trim())) {
    const members = new Map(parts(object, false)!.map((part) => [part.key, part.text]));
    yield columns.map((column, at) => {
      const text = members.get(column);
      return text === undefined ? null : valueOf(text, types[at]!, session);
    });
  }
}
