// The OIDs of the built-in types. Pure.
//
// (1) Numbers and lengths are pg_type's and never change between Postgres versions.
// (2) Types that we hold under another name (xid, regprocedure, …) are found by OID only: `typeFromOid` maps
//     them to the type whose representation and text form they share.

import type { BaseType, SqlType } from '../../ledger/type.ts';
import { sqlType } from '../../ledger/type.ts';

interface TypeRow {
  readonly base: BaseType;
  readonly oid: number;
  /** OID of the array type, 0 for none. */
  readonly array: number;
  /** pg_type.typlen: bytes, -1 for varying, -2 for a C string. */
  readonly size: number;
}

// prettier-ignore
const TYPES: readonly TypeRow[] = [
  { base: 'bool', oid: 16, array: 1000, size: 1 },
  { base: 'bytea', oid: 17, array: 1001, size: -1 },
  { base: 'char', oid: 18, array: 1002, size: 1 },
  { base: 'name', oid: 19, array: 1003, size: 64 },
  { base: 'int8', oid: 20, array: 1016, size: 8 },
  { base: 'int2', oid: 21, array: 1005, size: 2 },
  { base: 'int4', oid: 23, array: 1007, size: 4 },
  { base: 'regproc', oid: 24, array: 1008, size: 4 },
  { base: 'text', oid: 25, array: 1009, size: -1 },
  { base: 'oid', oid: 26, array: 1028, size: 4 },
  { base: 'json', oid: 114, array: 199, size: -1 },
  { base: 'float4', oid: 700, array: 1021, size: 4 },
  { base: 'float8', oid: 701, array: 1022, size: 8 },
  { base: 'unknown', oid: 705, array: 0, size: -2 },
  { base: 'bpchar', oid: 1042, array: 1014, size: -1 },
  { base: 'varchar', oid: 1043, array: 1015, size: -1 },
  { base: 'date', oid: 1082, array: 1182, size: 4 },
  { base: 'time', oid: 1083, array: 1183, size: 8 },
  { base: 'timestamp', oid: 1114, array: 1115, size: 8 },
  { base: 'timestamptz', oid: 1184, array: 1185, size: 8 },
  { base: 'interval', oid: 1186, array: 1187, size: 16 },
  { base: 'timetz', oid: 1266, array: 1270, size: 12 },
  { base: 'numeric', oid: 1700, array: 1231, size: -1 },
  { base: 'regclass', oid: 2205, array: 2210, size: 4 },
  { base: 'regtype', oid: 2206, array: 2211, size: 4 },
  { base: 'record', oid: 2249, array: 2287, size: -1 },
  { base: 'void', oid: 2278, array: 0, size: 4 },
  { base: 'uuid', oid: 2950, array: 2951, size: 16 },
  { base: 'jsonb', oid: 3802, array: 3807, size: -1 },
  { base: 'regnamespace', oid: 4089, array: 4090, size: 4 },
  { base: 'regrole', oid: 4096, array: 4097, size: 4 },
];

/** xid, cid and cstring, by the type they are held as. */
const ALIASES: ReadonlyMap<number, { readonly base: BaseType; readonly array: boolean }> = new Map([
  [28, { base: 'oid', array: false }],
  [29, { base: 'oid', array: false }],
  [1011, { base: 'oid', array: true }],
  [1012, { base: 'oid', array: true }],
  [2275, { base: 'text', array: false }],
  [1263, { base: 'text', array: true }],
]);

const BY_BASE = new Map(TYPES.map((row) => [row.base, row]));
const BY_OID = new Map(TYPES.map((row) => [row.oid, row]));
const BY_ARRAY_OID = new Map(TYPES.filter((row) => row.array !== 0).map((row) => [row.array, row]));

/** The built-in type of an OID, or undefined: a user type, or one we do not know. */
export function typeFromOid(oid: number, typmod = -1): SqlType | undefined {
  const scalar = BY_OID.get(oid);
  if (scalar !== undefined) return sqlType(scalar.base, typmod);
  const element = BY_ARRAY_OID.get(oid);
  if (element !== undefined) return sqlType(element.base, typmod, true);
  const alias = ALIASES.get(oid);
  return alias === undefined ? undefined : sqlType(alias.base, typmod, alias.array);
}

/**
 * The OID that a client is told.
 *
 * @param userOid  OID of an enum or domain by catalog id, or of the array over it
 */
export function oidOf(type: SqlType, userOid: (id: number, array: boolean) => number): number {
  if (type.userType !== null) return userOid(type.userType, type.array);
  const row = BY_BASE.get(type.base);
  return row === undefined ? 0 : type.array ? row.array : row.oid;
}

/** The OID of a built-in base type; 0 for an enum, which has none. */
export function baseOid(base: BaseType): number {
  return BY_BASE.get(base)?.oid ?? 0;
}

/** pg_type.typlen. */
export function typeSize(type: SqlType): number {
  if (type.array) return -1;
  if (type.base === 'enum') return 4;
  return BY_BASE.get(type.base)?.size ?? -1;
}

const NAMES: Partial<Record<BaseType, string>> = {
  bool: 'boolean',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  float4: 'real',
  float8: 'double precision',
  varchar: 'character varying',
  bpchar: 'character',
  char: '"char"',
  time: 'time without time zone',
  timetz: 'time with time zone',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
};

/** A base type's name as messages show it. */
export function typeName(base: BaseType): string {
  return NAMES[base] ?? base;
}

/** The type of xmax, which is held as an oid. */
export const XID_OID = 28;

/** A built-in type's name by its OID, as format_type() gives it; undefined for any other. */
export function builtinTypeName(oid: number): string | undefined {
  if (oid === XID_OID) return 'xid';
  const type = ALIASES.has(oid) ? undefined : typeFromOid(oid);
  return type && `${typeName(type.base)}${type.array ? '[]' : ''}`;
}
