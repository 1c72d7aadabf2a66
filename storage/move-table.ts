// ALTER TABLE … SET (shard = n): a table changes its file, with its history, indexes and counters. Shell.
//
// (1) Nothing of it changes but the place: row ids, stamps, and so leaves and proofs, stay. SQLite copies records and
//     index entries as they are, because both tables are declared by the same text.
// (2) It is part of the block's SQLite transaction, but each file commits for itself. What a kill or a power loss between
//     the two leaves is known by the heights of the files: storage/align-shards.ts makes the state anew.

import { historyTable, rowTable, shardSchema } from './names.ts';
import type { Table } from '../ledger/catalog.ts';
import type { Database } from './sqlite.ts';

/** Versions of rows, current and closed, that a table has; counted no further than `max` + 1. */
export function versionsIn(database: Database, { id, shard }: Table, max: number): number {
  const schema = shardSchema(shard);
  const versions = [rowTable(id), historyTable(id)].map(
    (name) => `SELECT 1 FROM ${schema}.${name}`,
  );
  const text = `SELECT count(*) FROM (${versions.join(' UNION ALL ')} LIMIT ${max + 1})`;
  return Number(database.prepare(text).pluck().get());
}

/** Moves what the file of `table.shard` has of a table into that of another shard. Inside a transaction. */
export function moveTable(database: Database, { id, shard }: Table, toShard: number): void {
  const [from, to] = [shardSchema(shard), shardSchema(toShard)];
  const names = [rowTable(id), historyTable(id)];
  const declared = database
    .prepare(
      `SELECT sql FROM ${from}.sqlite_schema WHERE tbl_name IN (?,?) AND sql IS NOT NULL` +
        " ORDER BY type='index', rowid",
    )
    .pluck()
    .all(...names) as string[];
  for (const text of declared) {
    database.exec(text.replace(/^CREATE (?:TABLE|INDEX|UNIQUE INDEX) /, `$&${to}.`));
  }
  for (const name of names) {
    database.exec(`INSERT INTO ${to}.${name} SELECT * FROM ${from}.${name}`);
    database.exec(`DROP TABLE ${from}.${name}`);
  }
  const counters = `_table WHERE relation=${id}`;
  database.exec(`INSERT INTO ${to}._table SELECT * FROM ${from}.${counters}`);
  database.exec(`DELETE FROM ${from}.${counters}`);
}
