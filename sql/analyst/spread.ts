// WITH (shard_by = 'column', shards = n): how the rows of a table are spread, and what may not be done to it. Pure.

import type { Catalog, Column, Spread, Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { SqlType } from '../../ledger/type.ts';
import { shardColumn, spreadsBy } from '../../storage/parts.ts';
import { unsupported } from '../node-tree-scalar.ts';

/** Values by name; null for RESET. */
type Options = ReadonlyMap<string, string | null>;

/**
 * How the options want the table spread.
 *
 * @param isNew  the statement makes the table; nothing else can say how its rows lie
 * @throws SqlError 0A000, 22023, 42703
 */
export function spreadOf(
  table: Table,
  options: Options,
  isNew: boolean,
  stateShards: number,
): Spread | null {
  const [by, shards] = [options.get('shard_by'), options.get('shards')];
  if (by === undefined && shards === undefined) return table.spread;
  if (!isNew) {
    throw unsupported(
      'spreading the rows of a table that is there',
      'Make a new table WITH (shard_by = column, shards = n) and copy.',
    );
  }
  if (by === undefined || by === null) throw invalid('option "shards" needs "shard_by"');
  if (options.has('shard')) {
    throw invalid('options "shard" and "shard_by" exclude each other', {
      hint: 'A table lies whole in one shard, or is spread over the shards from 0.',
    });
  }
  const column = table.columns.find(({ name }) => name === by);
  if (column === undefined) {
    throw new SqlError(
      SQLSTATE.undefinedColumn,
      `column "${by}" named in shard key does not exist`,
    );
  }
  if (!spreadsBy(column.type)) {
    throw unsupported(`a shard key of type ${typeName(column.type)}`, 'Choose another column.');
  }
  return { column: column.id, parts: partsIn(shards ?? String(stateShards), stateShards) };
}

function partsIn(text: string, stateShards: number): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) {
    throw invalid(`invalid value for integer option "shards": ${text}`);
  }
  const parts = Number(text);
  if (parts <= stateShards) return parts;
  const are = stateShards === 1 ? 'is 1 state shard' : `are ${stateShards} state shards`;
  throw invalid(`value ${text} out of bounds for option "shards"`, {
    detail: `There ${are}.`,
    hint: 'How many a ledger has is said when it is made: trustsql init --state-shards.',
  });
}

function invalid(
  message: string,
  fields: { readonly detail?: string; readonly hint?: string } = {},
): SqlError {
  return new SqlError(SQLSTATE.invalidParameterValue, message, fields);
}

function typeName({ base, array }: SqlType): string {
  return array ? `${base}[]` : base;
}

/**
 * The column that rows are spread by stays, and so does its type: their place follows from it.
 *
 * @throws SqlError 42P16, worded as for the partition key of a table of Postgres
 */
export function keepShardColumns(before: Catalog, after: Catalog): void {
  for (const table of after.relations.values()) {
    if (table.kind !== 'table' || table.spread === null) continue;
    const old = before.relations.get(table.id);
    const was = old?.kind === 'table' ? shardColumn(old) : null;
    if (was === null) continue;
    const now = shardColumn(table);
    if (now === null) throw keyColumn('drop', was, table);
    if (!sameType(was.type, now.type)) throw keyColumn('alter', was, table);
  }
}

function sameType(a: SqlType, b: SqlType): boolean {
  return a.base === b.base && a.typmod === b.typmod && a.userType === b.userType;
}

function keyColumn(verb: string, { name }: Column, table: Table): SqlError {
  return new SqlError(
    SQLSTATE.invalidTableDefinition,
    `cannot ${verb} column "${name}" because it is part of the shard key of relation "${table.name}"`,
  );
}
