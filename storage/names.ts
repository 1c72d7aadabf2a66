// Names of tables, columns and indexes in the state shards. Pure.
//
// They are made of the catalog's ids, so renaming changes nothing on disk and no name of a user is ever part
// of SQLite text. Columns have no declared type: SQLite then stores every value exactly as it was bound.
//
//   r<id>  current rows:    _id INTEGER PRIMARY KEY (row id), _v (stamp of the version), c<id> …, k…, p…
//   h<id>  closed versions: _id, _from, _to (stamps), c<id> …
//   i<id>  the index of that id on r<id>
//
// Parts of a spread table but the first are r<id>_<part>, h<id>_<part>: no two files have a table of one name, so a
// query need not say in which file a table lies, and something temporary can stand in for it.
//
// An index lies on plain columns where that is exact. Where it is not — expression keys, numerics and
// intervals whose equal values differ in bytes, NULLS NOT DISTINCT — it lies on hidden key columns, and a
// partial index on a hidden column that is 1 where the predicate is true and NULL elsewhere.

import { numericScale } from '../ledger/type.ts';
import type { Datum, SqlType } from '../ledger/type.ts';
import type { Index, IndexKey } from '../ledger/catalog.ts';

export const ROW_ID = '_id';
export const VERSION = '_v';
export const FROM = '_from';
export const TO = '_to';

/** @param part  of a spread table; the only one of a table that lies whole is 0 */
export function rowTable(relation: number, part = 0): string {
  return part === 0 ? `r${relation}` : `r${relation}_${part}`;
}

export function historyTable(relation: number, part = 0): string {
  return part === 0 ? `h${relation}` : `h${relation}_${part}`;
}

export function columnName(column: number): string {
  return `c${column}`;
}

export function indexName(index: number): string {
  return `i${index}`;
}

/** Hidden column of the `position`-th key (from 0) of an index. */
export function hiddenKeyName(index: number, position: number): string {
  return `k${index}_${position}`;
}

export function predicateName(index: number): string {
  return `p${index}`;
}

/** The schema name under which a shard is attached; shard 0 is the main file. */
export function shardSchema(shard: number): string {
  return shard === 0 ? 'main' : `s${shard}`;
}

/** Columns that SQLite indexes for `index`, in key order. */
export function indexColumns(index: Index): readonly string[] {
  return index.keys.map((key, position) =>
    keyIsHidden(index, key) ? hiddenKeyName(index.id, position) : columnName(key.column!),
  );
}

/** Whether a key lies in a hidden column. */
export function keyIsHidden(index: Index, key: IndexKey): boolean {
  return key.column === null || index.nullsNotDistinct || keyIsFolded(key.type);
}

/** Whether a key's hidden column holds just the folded value of its column, NULL for NULL. */
export function keyIsStored(index: Index, key: IndexKey): boolean {
  return (
    key.column !== null &&
    !index.nullsNotDistinct &&
    index.predicate === null &&
    keyIsFolded(key.type)
  );
}

/** Whether equal values of the type may differ in bytes, so that keys are folded by `foldKey`. */
export function keyIsFolded(type: SqlType): boolean {
  if (type.array) return false;
  return type.base === 'interval' || (type.base === 'numeric' && numericScale(type) === null);
}

const NUMERIC_DISPLAY_BYTES = 2;
const INTERVAL_KEY_BYTES = 16;

/** The part of a value that decides order and equality; itself for most types. */
export function foldKey(value: Datum, type: SqlType): Datum {
  if (!(value instanceof Uint8Array) || !keyIsFolded(type)) return value;
  return type.base === 'interval'
    ? value.subarray(0, INTERVAL_KEY_BYTES)
    : value.subarray(0, value.length - NUMERIC_DISPLAY_BYTES);
}

/** SQLite text that folds the value of a column, as `foldKey` does. */
export function foldedText(column: string, type: SqlType): string {
  if (!keyIsFolded(type)) return column;
  return type.base === 'interval'
    ? `substr(${column}, 1, ${INTERVAL_KEY_BYTES})`
    : `substr(${column}, 1, length(${column}) - ${NUMERIC_DISPLAY_BYTES})`;
}

const EMPTY_BYTES = new Uint8Array(0);

/**
 * What stands for NULL in a key of a NULLS NOT DISTINCT index: a value of a storage class that the type
 * never has.
 */
export function nullKey(type: SqlType): Datum {
  const bytes = type.base === 'bytea' || type.base === 'uuid' || type.base === 'timetz';
  return !type.array && (bytes || keyIsFolded(type)) ? '' : EMPTY_BYTES;
}
