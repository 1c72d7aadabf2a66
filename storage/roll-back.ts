// Takes a state shard back to an earlier height, through its own history. Shell.
//
// Needed after a power loss when shards lie apart, and after a kill between the commits of two shards. It
// cannot undo a schema change; who calls it has made sure that there was none.

import { stampOf } from '../ledger/operation.ts';
import { readCatalog } from './state-store.ts';
import { FROM, ROW_ID, TO, VERSION, columnName, shardSchema } from './names.ts';
import type { Catalog, Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';
import type { DecodedBlock } from './decoded-block.ts';
import type { StateStore } from './state-store.ts';

/**
 * Whether a block may have changed the catalog. The block is asked and not the state: of two shards the one that
 * says so, shard 0, may be the one that has lost it.
 */
export function mayChangeCatalog({ transactions }: DecodedBlock): boolean {
  return transactions.some(({ transaction }) =>
    transaction?.operations.some(({ kind }) => kind === 'catalog'),
  );
}

/** Inside the store's open transaction; the store must be reloaded afterwards. */
export function rollBackShard(store: StateStore, shard: number, height: number): void {
  const end = stampOf(height + 1, 0);
  const schema = shardSchema(shard);
  const { database } = store;
  const catalog: Catalog = readCatalog(database);
  for (const relation of catalog.relations.values()) {
    if (relation.kind === 'table' && relation.shard === shard) rollBackTable(store, relation, end);
  }
  const run = (text: string, ...values: unknown[]): void =>
    void database.prepare(text).run(...values);
  run(`DELETE FROM ${schema}._table WHERE height>?`, BigInt(height));
  if (shard === 0) {
    run('DELETE FROM main._sequence WHERE _from>=?', end);
    run('DELETE FROM main._receipt WHERE stamp>=?', end);
    run('DELETE FROM main._idempotency WHERE height>?', BigInt(height));
  }
  run(`UPDATE ${schema}._meta SET value=? WHERE key='height'`, BigInt(height));
}

function rollBackTable(store: StateStore, table: Table, end: bigint): void {
  const { database } = store;
  const tableStore = store.table(table);
  const { rows, history } = tableStore;
  database.prepare(`DELETE FROM ${rows} WHERE ${VERSION}>=?`).run(end);
  const columns = table.columns.map(({ id }) => `,${columnName(id)}`).join('');
  const closed = database
    .prepare(`SELECT ${ROW_ID},${FROM}${columns} FROM ${history} WHERE ${TO}>=? AND ${FROM}<?`)
    .raw()
    .all(end, end) as [bigint, bigint, ...Datum[]][];
  for (const [rowId, version, ...values] of closed) tableStore.insert(rowId, version, values);
  database.prepare(`DELETE FROM ${history} WHERE ${TO}>=?`).run(end);
}
