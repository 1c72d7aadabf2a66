// SqlTypes by the names the vectors use. For tests.

import type { BaseType, SqlType } from '../../../../ledger/type.ts';
import { sqlType } from '../../../../ledger/type.ts';

const BASES: Readonly<Record<string, BaseType>> = {
  boolean: 'bool', smallint: 'int2', integer: 'int4', bigint: 'int8', real: 'float4', 'double precision': 'float8',
  char: 'bpchar', int: 'int4',
}; // prettier-ignore

const INTERVAL_RANGES: Readonly<Record<string, number>> = {
  'interval year to month': (6 << 16) | 0xffff,
  'interval day to minute': (((1 << 3) | (1 << 10) | (1 << 11)) << 16) | 0xffff,
  'interval hour': ((1 << 10) << 16) | 0xffff,
  'interval minute to second(1)': (((1 << 11) | (1 << 12)) << 16) | 1,
};

/** The type that a name such as numeric(10,2)[] means. */
export function typeOfName(name: string): SqlType {
  const array = name.endsWith('[]');
  const element = array ? name.slice(0, -2) : name;
  const range = INTERVAL_RANGES[element];
  if (range !== undefined) return sqlType('interval', range, array);
  const match = /^([a-z ]+?)(?:\((\d+)(?:,(-?\d+))?\))?$/.exec(element);
  if (match === null) throw new Error(`unknown type ${name}`);
  const base = BASES[match[1]!] ?? (match[1] as BaseType);
  return sqlType(base, typmod(base, match[2], match[3]), array);
}

function typmod(base: BaseType, first: string | undefined, second: string | undefined): number {
  if (first === undefined) return -1;
  const size = Number(first);
  if (base === 'numeric') return ((size << 16) | (Number(second ?? 0) & 0x7ff)) + 4;
  if (base === 'varchar' || base === 'bpchar') return size + 4;
  return base === 'interval' ? (0x7fff << 16) | size : size;
}
