// Tables as an open transaction's own DDL has made them, before its commit changes the files. Pure.
//
// Temporary tables or views of the same names hide the real ones on the connection that runs the query: current
// rows, and closed versions for those who see a snapshot.

import type { Table } from '../../ledger/catalog.ts';
import { literal } from '../../sql/compile/representation.ts';
import {
  columnName,
  foldedText,
  FROM,
  hiddenKeyName,
  keyIsHidden,
  keyIsStored,
  predicateName,
  ROW_ID,
  TO,
} from '../../storage/names.ts';
import { partsOf } from '../../storage/parts.ts';
import type { Part } from '../../storage/parts.ts';

export interface StandIn {
  readonly relation: number;
  /** CREATE TEMP …; also its identity: equal texts are the same stand-in. */
  readonly text: string;
  readonly drop: string;
}

/** @param before  the table as its file has it, or null for a new one */
export function standIn(table: Table, before: Table | null): StandIn {
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
    const closed = [ROW_ID, FROM, TO, ...table.columns.map((column) => columnName(column.id))];
    return stands(table.id, partsOf(table), 'TABLE', ({ rows, history }) => [
      `${rows}(${columns.join(', ')})`,
      `${history}(${closed.join(', ')})`,
    ]);
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
  const current = ['_id', '_v', ...columns, ...keys].join(', ');
  const closed = [ROW_ID, FROM, TO, ...columns].join(', ');
  return stands(table.id, partsOf(before), 'VIEW', ({ schema, rows, history }) => [
    `${rows} AS SELECT ${current} FROM ${schema}.${rows}`,
    `${history} AS SELECT ${closed} FROM ${schema}.${history}`,
  ]);
}

/** Something temporary for the rows and for the history of each part. */
function stands(
  relation: number,
  parts: readonly Part[],
  kind: 'TABLE' | 'VIEW',
  definitions: (part: Part) => readonly string[],
): StandIn {
  return {
    relation,
    text: parts
      .flatMap(definitions)
      .map((each) => `CREATE TEMP ${kind} ${each}`)
      .join('; '),
    drop: parts
      .flatMap(({ rows, history }) => [rows, history])
      .map((name) => `DROP ${kind} IF EXISTS temp.${name}`)
      .join('; '),
  };
}
