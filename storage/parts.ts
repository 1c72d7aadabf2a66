// The parts of a table: whole in one state shard, or its rows spread over several by a hash of one column. Pure.
//
// (1) Part p of a spread table lies in shard p, under names of its own (storage/names.ts). Which part a row
//     lies in follows from the value alone and is never stored: nothing that is hashed or proven depends on it.
// (2) Equal values lie in the same part, also of other tables with as many parts: joins rely on that.
// (3) The history of a row lies where the row lay at the time.

import { utf8 } from '../ledger/bytes.ts';
import { foldKey, historyTable, rowTable, shardSchema } from './names.ts';
import type { Column, Table } from '../ledger/catalog.ts';
import type { BaseType, Datum, SqlType } from '../ledger/type.ts';

export interface Part {
  /** The state shard it lies in. */
  readonly shard: number;
  /** Name under which that is attached. */
  readonly schema: string;
  /** Names in it of the current rows and of history. */
  readonly rows: string;
  readonly history: string;
}

/** The parts of a table, in order: one for a table that lies whole. */
export function partsOf({ id, shard, spread }: Table): readonly Part[] {
  const part = (at: number, number: number): Part => ({
    shard: at,
    schema: shardSchema(at),
    rows: rowTable(id, number),
    history: historyTable(id, number),
  });
  if (spread === null) return [part(shard, 0)];
  return Array.from({ length: spread.parts }, (_, number) => part(number, number));
}

/** The column that decides in which part a row lies; null for a table that lies whole. */
export function shardColumn({ columns, spread }: Table): Column | null {
  return spread === null ? null : (columns.find(({ id }) => id === spread.column) ?? null);
}

/** The part that a row of the table lies in; `valueOf` gives the value of a column by its id. */
export function partOfRow(table: Table, valueOf: (column: number) => Datum): number {
  const column = shardColumn(table);
  return column === null ? 0 : partOf(valueOf(column.id), column.type, table.spread!.parts);
}

/** The part that a row lies in which holds `value` in the column the table is spread by. */
export function partOf(value: Datum, type: SqlType, parts: number): number {
  return partOfFolded(foldKey(value, type), parts);
}

/** The same for a value as `foldKey` gives it. NULL lies in part 0. */
export function partOfFolded(value: Datum, parts: number): number {
  return value === null || parts === 1 ? 0 : hashOf(value) % parts;
}

const SEED = 0x9747b28c;
const WORD = 0xffff_ffffn;

/** 32 bits; of numbers that are equal the same. */
function hashOf(value: Exclude<Datum, null>): number {
  if (typeof value === 'bigint') return finished(words(value));
  if (typeof value === 'number') {
    const view = new DataView(new ArrayBuffer(8));
    // -0 equals 0.
    view.setFloat64(0, value === 0 ? 0 : value);
    return finished(words(view.getBigInt64(0)));
  }
  const bytes = typeof value === 'string' ? utf8(value) : value;
  let hash = SEED;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return finished(hash);
}

function words(value: bigint): number {
  const low = mixed(SEED, Number(value & WORD));
  return mixed(low, Number((value >> 32n) & WORD));
}

/** A step of Murmur3. */
function mixed(hash: number, word: number): number {
  const product = Math.imul(word, 0xcc9e2d51);
  const turned = Math.imul((product << 15) | (product >>> 17), 0x1b873593);
  const next = hash ^ turned;
  return (Math.imul((next << 13) | (next >>> 19), 5) + 0xe6546b64) | 0;
}

/** Its end: each bit depends on all. */
function finished(hash: number): number {
  let end = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  end = Math.imul(end ^ (end >>> 13), 0xc2b2ae35);
  return (end ^ (end >>> 16)) >>> 0;
}

/** Types whose equal values may differ otherwise than `foldKey` evens out. */
const UNEVEN: ReadonlySet<BaseType> = new Set(['json', 'jsonb', 'record', 'void', 'unknown']);

/** Whether rows can be spread by a column of this type. */
export function spreadsBy(type: SqlType): boolean {
  return !type.array && !UNEVEN.has(type.base);
}
