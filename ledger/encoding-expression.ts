// Bytes of types, values and expressions. Pure, browser-safe. Described in docs/formats/transaction.md.
//
// The numbers of kinds and the places of base types are part of the format: they only grow.

import type { Codec } from './codec.ts';
import {
  bool,
  int32,
  list,
  nested,
  nullable,
  oneOf,
  record,
  text,
  uint,
  variants,
} from './codec.ts';
import type { Expression } from './expression.ts';
import { LIMITS } from './limits.ts';
import type { BaseType, Datum, Row, SqlType } from './type.ts';

/** In the order of their numbers. */
// prettier-ignore
const BASE_TYPES = [
  'bool', 'int2', 'int4', 'int8', 'oid', 'float4', 'float8', 'numeric',
  'text', 'varchar', 'bpchar', 'name', 'char', 'unknown', 'bytea', 'uuid',
  'date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval',
  'json', 'jsonb', 'enum', 'record', 'void',
  'regclass', 'regtype', 'regproc', 'regnamespace', 'regrole',
] as const satisfies readonly BaseType[];

export const datum: Codec<Datum> = {
  write: (writer, value) => writer.datum(value),
  read: (reader) => reader.datum(),
};

/** The values of one row. */
export const row: Codec<Row> = {
  write(writer, value) {
    writer.array(value.length);
    for (const entry of value) writer.datum(entry);
  },
  read(reader) {
    const count = reader.array(LIMITS.columnsMax);
    const value = new Array<Datum>(count);
    for (let i = 0; i < count; i++) value[i] = reader.datum();
    return value;
  },
};

export const name: Codec<string> = text(LIMITS.nameBytesMax);

export const sqlTypeCodec: Codec<SqlType> = record<SqlType>({
  base: oneOf(BASE_TYPES),
  typmod: int32,
  array: bool,
  userType: nullable(uint),
});

const type = sqlTypeCodec;
const arg: Codec<Expression> = nested(LIMITS.expressionDepthMax, () => expression);
const args = list(arg);
const many = { type, args } as const;
const one = { type, arg } as const;
const two = { type, equal: name, left: arg, right: arg } as const;

/** An expression; its depth is bounded where it begins, by `arg`. */
const expression: Codec<Expression> = variants<Expression, 'kind'>('kind', {
  const: [0, { type, value: datum }],
  column: [1, { type, column: uint }],
  excluded: [2, { type, column: uint }],
  call: [3, { type, name, args }],
  and: [4, many],
  or: [5, many],
  coalesce: [6, many],
  greatest: [7, many],
  least: [8, many],
  not: [9, one],
  isNull: [10, one],
  isNotNull: [11, one],
  isTrue: [12, one],
  isNotTrue: [13, one],
  isFalse: [14, one],
  isNotFalse: [15, one],
  distinct: [16, two],
  nullIf: [17, two],
  anyOf: [18, { type, any: bool, name, arg, list: args }],
  case: [
    19,
    {
      type,
      whens: list(record<{ when: Expression; then: Expression }>({ when: arg, then: arg })),
      otherwise: nullable(arg),
    },
  ],
});

export { arg as expressionCodec };
