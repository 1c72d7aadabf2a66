// Brings the shards of the state to one height. Shell.
//
// They lie apart after a power loss, and after a kill between the commits of two shards. Those ahead are taken back
// through their own history to the lowest; what history cannot undo is a change of the catalog, and if there may have
// been one in between, the state is thrown away, to be made anew from the chain.

import { StorageError } from '../ledger/error.ts';
import { stampOf } from '../ledger/operation.ts';
import { shardFile } from './data-directory.ts';
import { decodeBlock } from './decoded-block.ts';
import { FROM, ROW_ID, TO, VERSION, columnName, shardSchema } from './names.ts';
import { partsOf } from './parts.ts';
import { removeDatabase, shardsOf } from './state-files.ts';
import { StateStore, readCatalog } from './state-store.ts';
import type { Catalog, Table } from '../ledger/catalog.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Datum } from '../ledger/type.ts';
import type { BlockStore } from './block-store.ts';

/**
 * @returns the store, or another one in its place whose shards are empty
 * @throws StorageError damaged when a shard has applied blocks that are not there
 */
export function alignShards(store: StateStore, blocks: BlockStore, crypto: Crypto): StateStore {
  const heights = store.heights();
  const [lowest, highest] = [Math.min(...heights), Math.max(...heights)];
  if (highest > blocks.tip) {
    const file = shardFile(store.data.path, heights.indexOf(highest));
    const message = `has applied block ${highest}, but the newest block is ${blocks.tip}`;
    throw new StorageError('damaged', `${file}: ${message}`);
  }
  if (lowest === highest) return store;
  if (catalogMayHaveChanged(blocks, crypto, lowest, highest)) return makeAnew(store);
  store.begin();
  heights.forEach((height, shard) => {
    if (height > lowest) rollBackShard(store, shard, lowest);
  });
  store.database.exec('COMMIT');
  store.reload();
  return store;
}

/**
 * Whether blocks after `from` may have changed the catalog, of which the genesis is the first. The blocks are asked and
 * not the state: shard 0, which has the catalog, may be the one that has lost the change.
 */
function catalogMayHaveChanged(
  blocks: BlockStore,
  crypto: Crypto,
  from: number,
  to: number,
): boolean {
  if (from < 0) return true;
  for (let height = from + 1; height <= to; height++) {
    const file = blocks.fileOf(height);
    const stored = blocks.read(height);
    if (stored === null) throw new StorageError('damaged', `${file}: block ${height} is missing`);
    const { transactions } = decodeBlock(crypto, stored, file);
    const changes = transactions.some(({ transaction }) =>
      transaction?.operations.some(({ kind }) => kind === 'catalog'),
    );
    if (changes) return true;
  }
  return false;
}

function makeAnew(store: StateStore): StateStore {
  const { data } = store;
  store.close();
  for (const [, file] of shardsOf(data)) removeDatabase(file);
  return StateStore.open(data, { create: true });
}

/** Inside the store's open transaction; the store must be reloaded afterwards. */
function rollBackShard(store: StateStore, shard: number, height: number): void {
  const end = stampOf(height + 1, 0);
  const schema = shardSchema(shard);
  const { database } = store;
  const catalog: Catalog = readCatalog(database);
  for (const relation of catalog.relations.values()) {
    if (relation.kind !== 'table') continue;
    const part = partsOf(relation).findIndex((each) => each.shard === shard);
    if (part >= 0) rollBackPart(store, relation, part, end);
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

/** A row that had moved is in two parts until the other one is taken back as well. */
function rollBackPart(store: StateStore, table: Table, number: number, end: bigint): void {
  const { database } = store;
  const part = store.table(table).parts[number]!;
  const { rows, history } = part;
  database.prepare(`DELETE FROM ${rows} WHERE ${VERSION}>=?`).run(end);
  const columns = table.columns.map(({ id }) => `,${columnName(id)}`).join('');
  const closed = database
    .prepare(`SELECT ${ROW_ID},${FROM}${columns} FROM ${history} WHERE ${TO}>=? AND ${FROM}<?`)
    .raw()
    .all(end, end) as [bigint, bigint, ...Datum[]][];
  for (const [rowId, version, ...values] of closed) part.insert(rowId, version, values);
  database.prepare(`DELETE FROM ${history} WHERE ${TO}>=?`).run(end);
}
