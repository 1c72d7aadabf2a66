// SQL types and how their values are held. Pure.
//
// A value is a Datum: exactly what SQLite stores, what the chain hashes and what the evaluator computes
// with, so nothing is converted between the chain and the shards. The representation of a value follows
// from its SqlType alone:
//
//   bool                       bigint 0 | 1
//   int2 int4 int8 oid         bigint
//   float4 float8              number; NaN is the string 'NaN' (SQLite turns a NaN into NULL, and text
//                              sorts after every number, as NaN does in Postgres); float4 is rounded
//   numeric(p,s), 0<=s<=p<=18  bigint, scaled by 10^s (see numericScale)
//   numeric otherwise          Uint8Array, see ledger/numeric.ts: an order-preserving key, then two bytes of
//                              display scale; two numerics are equal iff their keys are (1.1 = 1.10)
//   text varchar name unknown  string (UTF-8 memcmp order, collation "C"); char(n) (bpchar) without its
//                              trailing blanks, "char" as text
//   bytea uuid                 Uint8Array
//   date                       bigint, days since 2000-01-01; ±infinity are int32 max and min
//   time                       bigint, microseconds since midnight
//   timestamp timestamptz      bigint, microseconds since 2000-01-01 (UTC); ±infinity are int64 max and min
//   timetz                     Uint8Array(12): order-preserving key, see ledger/datetime.ts
//   interval                   Uint8Array(32): 16 bytes order key, 16 bytes fields, see ledger/datetime.ts
//   json                       string as given;  jsonb  string in Postgres' own normal form
//   enum                       string, the label
//   domain                     as its base type
//   arrays                     string: JSON array of elements (null, booleans as 0/1 numbers, integers and
//                              dates as JSON numbers in full precision, floats as JSON numbers or "NaN",
//                              "Infinity", "-Infinity"; strings as strings; bytes as hex strings); nested for
//                              more dimensions
//   record                     string: Postgres' text form of the row

/** One SQL value, without its type. */
export type Datum = null | bigint | number | string | Uint8Array;

/** One row of values. */
export type Row = readonly Datum[];

// prettier-ignore
export type BaseType =
  | 'bool' | 'int2' | 'int4' | 'int8' | 'oid' | 'float4' | 'float8' | 'numeric'
  | 'text' | 'varchar' | 'bpchar' | 'name' | 'char' | 'unknown' | 'bytea' | 'uuid'
  | 'date' | 'time' | 'timetz' | 'timestamp' | 'timestamptz' | 'interval'
  | 'json' | 'jsonb' | 'enum' | 'record' | 'void'
  | 'regclass' | 'regtype' | 'regproc' | 'regnamespace' | 'regrole'; // reg* are held like oid

/**
 * A type with its modifier.
 *
 * `typmod` is Postgres' own encoding, -1 for none. `userType` is the catalog id of the enum or domain.
 * For an array, `base`, `typmod` and `userType` are those of the element.
 */
export interface SqlType {
  readonly base: BaseType;
  readonly typmod: number;
  readonly array: boolean;
  readonly userType: number | null;
}

export function sqlType(
  base: BaseType,
  typmod = -1,
  array = false,
  userType: number | null = null,
): SqlType {
  return { base, typmod, array, userType };
}

const NUMERIC_PRECISION_SCALED_MAX = 18;

/**
 * The scale of a numeric that is held as a scaled bigint, or null for every other type.
 *
 * @see Postgres: typmod of numeric is ((precision << 16) | (scale & 0x7ff)) + 4
 */
export function numericScale(type: SqlType): number | null {
  if (type.base !== 'numeric' || type.array || type.typmod < 4) return null;
  const precision = ((type.typmod - 4) >> 16) & 0xffff;
  const scale = (((type.typmod - 4) & 0x7ff) ^ 1024) - 1024;
  return precision <= NUMERIC_PRECISION_SCALED_MAX && scale >= 0 && scale <= precision
    ? scale
    : null;
}
