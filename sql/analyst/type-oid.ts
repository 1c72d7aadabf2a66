// OIDs of the built-in types. Pure.
//
// They are the same in every Postgres (pg_type.dat).

import { sqlType } from '../../ledger/type.ts';
import type { BaseType, SqlType } from '../../ledger/type.ts';

/** Scalar type OID, then the OID of its array type. */
// prettier-ignore
const OIDS: Partial<Record<BaseType, readonly [number, number]>> = {
  bool: [16, 1000], bytea: [17, 1001], char: [18, 1002], name: [19, 1003], int8: [20, 1016],
  int2: [21, 1005], int4: [23, 1007], regproc: [24, 1008], text: [25, 1009], oid: [26, 1028],
  json: [114, 199], float4: [700, 1021], float8: [701, 1022], unknown: [705, 0],
  bpchar: [1042, 1014], varchar: [1043, 1015], date: [1082, 1182], time: [1083, 1183],
  timestamp: [1114, 1115], timestamptz: [1184, 1185], interval: [1186, 1187],
  timetz: [1266, 1270], numeric: [1700, 1231], regclass: [2205, 2210], regtype: [2206, 2211],
  record: [2249, 2287], void: [2278, 0], uuid: [2950, 2951], jsonb: [3802, 3807],
  regnamespace: [4089, 4090], regrole: [4096, 4097],
};

const BY_OID: ReadonlyMap<number, readonly [BaseType, boolean]> = new Map(
  Object.entries(OIDS).flatMap(([base, [scalar, array]]): [number, [BaseType, boolean]][] => [
    [scalar, [base as BaseType, false]],
    [array, [base as BaseType, true]],
  ]),
);

/** The type with this OID, or undefined when it is not one of ours. */
export function tryBuiltinType(oid: number, typmod: number): SqlType | undefined {
  const found = oid === 0 ? undefined : BY_OID.get(oid);
  return found === undefined ? undefined : sqlType(found[0], typmod, found[1]);
}

/** OID of a built-in type; 0 for enums and domains, whose OIDs are a node's own. */
export function builtinTypeOid(type: SqlType): number {
  return OIDS[type.base]?.[type.array ? 1 : 0] ?? 0;
}
