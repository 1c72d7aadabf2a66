// Rows of values in one SQLite value, for what SQLite has no form for: the arguments an aggregate has
// collected, and the rows of a LATERAL subquery. Pure.

import { fromHex, hex } from '../../ledger/bytes.ts';
import type { Datum, Row } from '../../ledger/type.ts';

/** Rows as JSON text; every value carries its storage class in its first letter. */
export function pack(rows: readonly Row[]): string {
  return JSON.stringify(rows.map((row) => row.map(packValue)));
}

function packValue(value: Datum): string | null {
  if (value === null) return null;
  if (typeof value === 'string') return `s${value}`;
  if (typeof value === 'bigint') return `i${value}`;
  if (typeof value === 'number') return `f${Object.is(value, -0) ? '-0' : value}`;
  return `b${hex(value)}`;
}

export function unpack(packed: Datum): readonly Row[] {
  if (typeof packed !== 'string') return [];
  const rows = JSON.parse(packed) as readonly (readonly (string | null)[])[];
  return rows.map((row) => row.map(unpackValue));
}

function unpackValue(text: string | null): Datum {
  if (text === null) return null;
  const rest = text.slice(1);
  switch (text[0]) {
    case 's':
      return rest;
    case 'i':
      return BigInt(rest);
    case 'f':
      return Number(rest);
    default:
      return fromHex(rest);
  }
}
