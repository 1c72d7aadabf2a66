// Tables as an open transaction's own DDL has made them, before its commit changes the files. Pure.
//
// A temporary table or view of the same name hides the real one on the connection that runs the query.

import type { Table } from '../../ledger/catalog.ts';
import { literal } from '../../sql/compile/representation.ts';
import {
  columnName,
  foldedText,
  hiddenKeyName,
  keyIsHidden,
  keyIsStored,
  predicateName,
  rowTable,
  shardSchema,
} from '../../storage/names.ts';

export interface StandIn {
  readonly relation: number;
  /** CREATE TEMP …; also its identity: equal texts are the same stand-in. */
  readonly text: string;
  readonly drop: string;
}

/** @param before  the table as its file has it, or null for a new one */
export function standIn(table: Table, before: Table | null): StandIn {
  const name = rowTable(table.id);
  const hidden = table.indexes.flatMap((index) => [
    ...index.keys.flatMap((key, i) =>
      keyIsHidden(index, key) ? [hiddenKeyName(index.id, i)] : [],
    ),
    ...(index.predicate === null ? [] : [predicateName(index.id)]),
  ]);
  const stored = new Map(
    table.indexes.flatMap((index) =>
      index.keys.flatMap((key, i) =>
        keyIsStored(index, key) ? [[hiddenKeyName(index.id, i), key] as const] : [],
      ),
    ),
  );
  if (before === null) {
    const columns = [
      '_id INTEGER PRIMARY KEY',
      '_v',
      ...table.columns.map((column) => columnName(column.id)),
      ...hidden,
    ];
    return {
      relation: table.id,
      text: `CREATE TEMP TABLE ${name}(${columns.join(', ')})`,
      drop: `DROP TABLE IF EXISTS temp.${name}`,
    };
  }
  const old = new Set(before.columns.map((column) => column.id));
  const oldIndexes = new Set(before.indexes.map((index) => index.id));
  const missing = new Map(table.columns.map((column) => [column.id, literal(column.missing)]));
  const valueOf = (id: number): string =>
    old.has(id) ? columnName(id) : (missing.get(id) ?? 'NULL');
  const columns = table.columns.map(({ id }) => `${valueOf(id)} AS ${columnName(id)}`);
  const keys = hidden.map((each) => {
    if (oldIndexes.has(Number(/\d+/.exec(each)![0]))) return each;
    // Comparisons of folded types read these; the others are of no use before the index is there.
    const folded = stored.get(each);
    return `${folded === undefined ? 'NULL' : foldedText(valueOf(folded.column!), folded.type)} AS ${each}`;
  });
  const text = `SELECT ${['_id', '_v', ...columns, ...keys].join(', ')} FROM ${shardSchema(table.shard)}.${name}`;
  return {
    relation: table.id,
    text: `CREATE TEMP VIEW ${name} AS ${text}`,
    drop: `DROP VIEW IF EXISTS temp.${name}`,
  };
}
