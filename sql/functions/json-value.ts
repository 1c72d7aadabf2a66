// Any value as JSON, as to_json writes it. Pure.

import { decodeArray, isNested } from '../../ledger/array-value.ts';
import { quoteJson } from '../../ledger/jsonb.ts';
import { formatText } from '../value/text.ts';
import type { ArrayValue } from '../../ledger/array-value.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { SessionFunctions } from './function.ts';

const NUMBERS = new Set(['int2', 'int4', 'int8', 'float4', 'float8', 'numeric']);
const TIMES = new Set(['date', 'timestamp', 'timestamptz']);

/** JSON text of a value; NULL is null. json keeps its text, dates are ISO 8601. */
export function jsonText(value: Datum, type: SqlType, session: SessionFunctions): string {
  if (value === null) return 'null';
  if (type.array) {
    const array = decodeArray(value as string, type.base);
    return arrayText(array, { ...type, array: false }, session);
  }
  const { base } = type;
  // A row comes as the JSON object that the compiler has made of it.
  if (base === 'json' || base === 'jsonb' || base === 'record') return value as string;
  if (base === 'bool') return value === 1n ? 'true' : 'false';
  const context = TIMES.has(base)
    ? { ...session.values, dateStyle: 'ISO' as const }
    : session.values;
  const text = formatText(value, type, context);
  if (NUMBERS.has(base) && !/[NI]/.test(text)) return text;
  return quoteJson(TIMES.has(base) ? isoText(text, base === 'timestamptz') : text);
}

/** 2024-01-02 03:04:05+00 → 2024-01-02T03:04:05+00:00 */
function isoText(text: string, zoned: boolean): string {
  const iso = text.replace(/^(\d+-\d+-\d+) (?=\d)/, '$1T');
  return zoned ? iso.replace(/([+-]\d\d)( BC)?$/, '$1:00$2') : iso;
}

function arrayText(array: ArrayValue, type: SqlType, session: SessionFunctions): string {
  const items = array.map((item) =>
    isNested(item) ? arrayText(item, type, session) : jsonText(item, type, session),
  );
  return `[${items.join(',')}]`;
}
