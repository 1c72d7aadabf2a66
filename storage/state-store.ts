// The state: current rows, history, catalog, sequences, receipts, over one or more shard files. Shell.
//
// One connection holds shard 0 as `main`, the other shards and the block index attached. A block is applied
// in one SQLite transaction over all of them; each shard stores the height it has applied in that same
// transaction. (Each file commits for itself: after a power loss they may lie apart, and recovery replays.)

import { EMPTY_CATALOG, applyChanges } from '../ledger/catalog.ts';
import { StorageError, assert } from '../ledger/error.ts';
import { decodeChanges, encodeChanges } from '../ledger/encoding.ts';
import { FORMAT_VERSION } from '../ledger/block.ts';
import { heightOf, stampOf } from '../ledger/operation.ts';
import type { SequenceState } from '../ledger/operation.ts';
import { equal } from '../ledger/bytes.ts';
import { guard } from './sqlite.ts';
import { attachState, makeState } from './state-files.ts';
import { shardFile } from './data-directory.ts';
import { shardSchema } from './names.ts';
import { IdempotencyKeys } from './idempotency.ts';
import { TableStore } from './table-store.ts';
import type { AppliedTransaction } from './apply.ts';
import type { DataDirectory } from './data-directory.ts';
import type { Catalog, CatalogChange, ForeignKey, Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';
import type { Database, Statement } from './sqlite.ts';

/** SQLite attaches ten files at most, and the block index is one of them. */
export const STATE_SHARDS_MAX = 8;

/** Receipts that one statement inserts where there are enough: a call of SQLite costs as much as a row. */
const RECEIPT_ROWS = 8;
const INSERT_RECEIPT = 'INSERT INTO _receipt VALUES(?,?,?,?,?)';
const INSERT_RECEIPTS = INSERT_RECEIPT + ',(?,?,?,?,?)'.repeat(RECEIPT_ROWS - 1);

/** Of one table; changes are stored when the block is committed. */
export interface TableCounters {
  nextRow: bigint;
  /** Stamp of the last transaction that wrote to the table; 0 for none. */
  written: bigint;
}

/** A foreign key seen from the table it refers to. */
export interface IncomingKey {
  readonly child: Table;
  readonly foreignKey: ForeignKey;
}

export class StateStore {
  readonly database: Database;
  readonly data: DataDirectory;
  readonly idempotency: IdempotencyKeys;
  /** After the last operation applied, committed or not. */
  catalog: Catalog;
  #stores = new WeakMap<Table, TableStore>();
  #incoming = new WeakMap<Catalog, Map<number, IncomingKey[]>>();
  readonly #counters = new Map<number, TableCounters>();
  readonly #dirty = new Set<number>();
  readonly #statements = new Map<string, Statement>();

  /** Opens the files; with `create`, makes those that are missing or of an older layout. */
  static open(data: DataDirectory, options: { readonly create?: boolean } = {}): StateStore {
    const database = options.create === true ? makeState(data) : attachState(data, false);
    try {
      return guard(database.name, () => new StateStore(database, data));
    } catch (error) {
      database.close();
      throw error;
    }
  }

  constructor(database: Database, data: DataDirectory) {
    this.database = database;
    this.data = data;
    for (let shard = 0; shard < data.stateShards; shard++) checkShard(database, data, shard);
    this.catalog = readCatalog(database);
    this.idempotency = new IdempotencyKeys(database);
  }

  /** Height that each shard has applied, by number; -1 for none. */
  heights(): number[] {
    const heights: number[] = [];
    for (let shard = 0; shard < this.data.stateShards; shard++) {
      const found = this.#statement(
        `SELECT value FROM ${shardSchema(shard)}._meta WHERE key='height'`,
      ).get() as { value: bigint };
      heights.push(Number(found.value));
    }
    return heights;
  }

  begin(): void {
    this.#statement('BEGIN IMMEDIATE').run();
  }

  /** Stores what blocks up to this one have changed beside rows, and commits. */
  commit(height: number): void {
    this.finish(height);
    this.#statement('COMMIT').run();
  }

  /** Ends a block: further ones may follow before the commit, which then speaks for all of them. */
  endBlock(height: number): void {
    this.idempotency.store(height);
  }

  /** Stores what blocks up to this one have changed beside rows; further blocks may follow before the commit. */
  finish(height: number): void {
    this.endBlock(height);
    for (const relation of this.#dirty) {
      const table = this.catalog.relations.get(relation);
      const counters = this.#counters.get(relation);
      if (table?.kind !== 'table' || counters === undefined) continue;
      // The height of the last write, not of the commit: how many blocks share one is the node's own affair.
      this.#statement(
        `INSERT OR REPLACE INTO ${shardSchema(table.shard)}._table VALUES(?,?,?,?)`,
      ).run(
        BigInt(relation),
        BigInt(heightOf(counters.written)),
        counters.nextRow,
        counters.written,
      );
    }
    this.#dirty.clear();
    for (let shard = 0; shard < this.data.stateShards; shard++) {
      const schema = shardSchema(shard);
      this.#statement(`UPDATE ${schema}._meta SET value=? WHERE key='height'`).run(BigInt(height));
    }
  }

  /** Undoes the block, in memory too. */
  rollback(): void {
    if (this.database.inTransaction) this.#statement('ROLLBACK').run();
    this.reload();
  }

  /** Reads again what is kept in memory. */
  reload(): void {
    this.#counters.clear();
    this.#dirty.clear();
    this.#stores = new WeakMap();
    this.catalog = readCatalog(this.database);
    this.idempotency.reload();
  }

  /** Learns of the block of that height, which another connection has applied. */
  follow(height: number): void {
    this.#followTables();
    this.idempotency.follow(height);
  }

  /**
   * As `follow` for whatever blocks other connections have applied, before a block is applied here.
   *
   * @param taken  of that block's idempotency keys those that blocks before it have taken
   */
  catchUp(taken: Uint8Array): void {
    this.#followTables();
    this.idempotency.learn(taken);
  }

  #followTables(): void {
    this.#counters.clear();
    this.catalog = followCatalog(this.database, this.catalog);
  }

  protect(): void {
    this.#statement('SAVEPOINT operations').run();
  }

  unprotect(): void {
    this.#statement('RELEASE operations').run();
  }

  undo(): void {
    this.#statement('ROLLBACK TO operations').run();
    this.unprotect();
  }

  /** Statements and compiled expressions of a table of the catalog at hand. */
  table(table: Table): TableStore {
    let store = this.#stores.get(table);
    if (store === undefined) {
      store = new TableStore(this.database, table);
      this.#stores.set(table, store);
    }
    return store;
  }

  counters(relation: number): TableCounters {
    let counters = this.#counters.get(relation);
    if (counters === undefined) {
      const table = this.catalog.relations.get(relation);
      assert(table?.kind === 'table', `relation ${relation} is no table`);
      const found = this.#statement(
        `SELECT next_row, written FROM ${shardSchema(table.shard)}._table` +
          ' WHERE relation=? ORDER BY height DESC LIMIT 1',
      ).get(BigInt(relation)) as { next_row: bigint; written: bigint } | undefined;
      counters = { nextRow: found?.next_row ?? 1n, written: found?.written ?? 0n };
      this.#counters.set(relation, counters);
    }
    return counters;
  }

  /** Says that the counters of a table were changed. */
  touch(relation: number): void {
    this.#dirty.add(relation);
  }

  /** Foreign keys that refer to a table. */
  incoming(relation: number): readonly IncomingKey[] {
    let byTable = this.#incoming.get(this.catalog);
    if (byTable === undefined) {
      byTable = new Map();
      for (const child of this.catalog.relations.values()) {
        if (child.kind !== 'table') continue;
        for (const foreignKey of child.foreignKeys) {
          const list = byTable.get(foreignKey.references) ?? [];
          list.push({ child, foreignKey });
          byTable.set(foreignKey.references, list);
        }
      }
      this.#incoming.set(this.catalog, byTable);
    }
    return byTable.get(relation) ?? [];
  }

  sequence(id: number): SequenceState | null {
    const found = this.#statement(
      'SELECT last, called FROM _sequence WHERE id=? ORDER BY _from DESC LIMIT 1',
    ).get(BigInt(id)) as { last: bigint; called: bigint } | undefined;
    return found === undefined ? null : { last: found.last, called: found.called === 1n };
  }

  setSequence(id: number, stamp: bigint, state: SequenceState): void {
    this.#statement(
      'INSERT INTO _sequence VALUES(?,?,?,?) ON CONFLICT(id,_from)' +
        ' DO UPDATE SET last=excluded.last, called=excluded.called',
    ).run(BigInt(id), stamp, state.last, state.called ? 1n : 0n);
  }

  /**
   * Forgets keys that had expired at `timeMs` and counters older than `height`: what only taking a shard
   * back could need. Both belong to a block that every shard has on disk.
   */
  forget(height: number, timeMs: number): void {
    this.idempotency.forget(timeMs);
    for (let shard = 0; shard < this.data.stateShards; shard++) {
      const counters = `${shardSchema(shard)}._table`;
      this.#statement(
        `DELETE FROM ${counters} AS old WHERE height<? AND EXISTS (SELECT 1 FROM ${counters} AS new` +
          ' WHERE new.relation=old.relation AND new.height>old.height AND new.height<=?)',
      ).run(BigInt(height), BigInt(height));
    }
  }

  /** @param leaves of each transaction the hashes of its row versions, back to back */
  writeReceipts(transactions: readonly AppliedTransaction[], leaves: readonly Uint8Array[]): void {
    let at = 0;
    for (; at + RECEIPT_ROWS <= transactions.length; at += RECEIPT_ROWS) {
      this.#writeReceipts(transactions, leaves, at, RECEIPT_ROWS);
    }
    for (; at < transactions.length; at++) this.#writeReceipts(transactions, leaves, at, 1);
  }

  #writeReceipts(
    transactions: readonly AppliedTransaction[],
    leaves: readonly Uint8Array[],
    from: number,
    count: number,
  ): void {
    const bound: Datum[] = [];
    for (let at = from; at < from + count; at++) {
      const { stamp, author, receipt, encoded } = transactions[at]!;
      bound.push(stamp, BigInt(author), receipt.abort?.sqlstate ?? null, encoded, leaves[at]!);
    }
    this.#statement(count === 1 ? INSERT_RECEIPT : INSERT_RECEIPTS).run(bound);
  }

  receipt(stamp: bigint): { readonly receipt: Uint8Array; readonly leaves: Uint8Array } | null {
    const found = this.#statement('SELECT receipt, leaves FROM _receipt WHERE stamp=?').get(stamp);
    return (found as { receipt: Uint8Array; leaves: Uint8Array } | undefined) ?? null;
  }

  /** Encoded receipts of a block, in order. */
  receiptsAt(height: number): Uint8Array[] {
    return this.#statement('SELECT receipt FROM _receipt WHERE stamp>=? AND stamp<? ORDER BY stamp')
      .pluck()
      .all(stampOf(height, 0), stampOf(height + 1, 0)) as Uint8Array[];
  }

  /** Records catalog changes that `catalog` already includes. */
  recordChanges(stamp: bigint, changes: readonly CatalogChange[]): void {
    this.#statement('INSERT INTO _catalog VALUES(?,?,?)').run(
      BigInt(this.catalog.version),
      stamp,
      encodeChanges(changes),
    );
  }

  close(): void {
    this.database.close();
  }

  #statement(text: string): Statement {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.database.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }
}

/**
 * The catalog as it was after `stamp`; the newest when it is left out.
 *
 * @param database a connection whose main file is shard 0
 */
export function readCatalog(database: Database, stamp: bigint | null = null): Catalog {
  return followCatalog(database, EMPTY_CATALOG, stamp);
}

/** `catalog` with the changes made to it since, up to `stamp`; the same object when there are none. */
function followCatalog(database: Database, from: Catalog, stamp: bigint | null = null): Catalog {
  const rows = database
    .prepare('SELECT changes FROM main._catalog WHERE version>? AND stamp<=? ORDER BY version')
    .pluck()
    .all(BigInt(from.version), stamp ?? 1n << 62n) as Uint8Array[];
  let catalog = from;
  for (const changes of rows) {
    try {
      catalog = applyChanges(catalog, decodeChanges(changes));
    } catch (cause) {
      const message = `${database.name}: change ${catalog.version + 1} of the catalog is damaged`;
      throw new StorageError('damaged', message, { cause });
    }
  }
  return catalog;
}

function checkShard(database: Database, data: DataDirectory, shard: number): void {
  const file = shardFile(data.path, shard);
  const schema = shardSchema(shard);
  const exists = database
    .prepare(`SELECT count(*) FROM ${schema}.sqlite_schema WHERE name='_meta'`)
    .pluck()
    .get();
  if (exists !== 1n) throw new StorageError('damaged', `${file}: not a state shard`);
  const meta = new Map(
    database.prepare(`SELECT key, value FROM ${schema}._meta`).raw().all() as [string, unknown][],
  );
  if (meta.get('format') !== BigInt(FORMAT_VERSION)) {
    throw new StorageError('foreign', `${file}: format version ${String(meta.get('format'))}`);
  }
  const chain = meta.get('chain');
  if (!(chain instanceof Uint8Array) || !equal(chain, data.chainId)) {
    throw new StorageError('foreign', `${file}: belongs to another chain`);
  }
  if (meta.get('shard') !== BigInt(shard) || typeof meta.get('height') !== 'bigint') {
    throw new StorageError('damaged', `${file}: says it is shard ${String(meta.get('shard'))}`);
  }
}
