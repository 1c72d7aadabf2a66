// The read side: read-only connections on the state, and snapshots at one height. Shell.
//
// Used by the main thread and by reader processes. The main file is shard 0, the other shards are `s1` …, the
// block index is `chain`; so compiled queries and the views of the ledger run on one connection.
//
// (1) A snapshot is a read transaction in which every file has applied the same height; only `beginApart`, for
//     checks, takes them as they are.
// (2) Outside a snapshot each statement sees the newest state of its own.

import { StorageError } from '../ledger/error.ts';
import { guard } from './sqlite.ts';
import { attachState } from './state-files.ts';
import { readDataDirectory, shardFile } from './data-directory.ts';
import { readRetypings } from './retyped.ts';
import type { Retypings } from './retyped.ts';
import { readCatalog } from './state-store.ts';
import { shardSchema } from './names.ts';
import { TableStore } from './table-store.ts';
import type { DataDirectory } from './data-directory.ts';
import type { SequenceState } from '../ledger/operation.ts';
import type { Catalog, Table } from '../ledger/catalog.ts';
import type { Database, Statement } from './sqlite.ts';
import type { Row } from '../ledger/type.ts';
import type { StoredRow } from './table-shape.ts';

/** Tries to find all files at one height; between two commits of one block they lie apart for microseconds. */
const SNAPSHOT_TRIES_MAX = 1_000;

export class StateReader {
  readonly database: Database;
  readonly data: DataDirectory;
  readonly #file: string;
  readonly #tables = new WeakMap<Table, TableStore>();
  readonly #statements = new Map<string, Statement>();
  #catalog: Catalog | null = null;
  #retypings: { readonly catalog: Catalog; readonly found: Retypings } | null = null;

  /** @throws StorageError */
  static open(directory: string): StateReader {
    const data = readDataDirectory(directory);
    return new StateReader(attachState(data, true), data);
  }

  private constructor(database: Database, data: DataDirectory) {
    this.database = database;
    this.data = data;
    this.#file = shardFile(data.path, 0);
  }

  /**
   * Begins a snapshot of all files and returns its height.
   *
   * @throws StorageError io when the files cannot be found at one height
   */
  begin(): number {
    return guard(this.#file, () => {
      for (let attempt = 0; attempt < SNAPSHOT_TRIES_MAX; attempt++) {
        this.#statement('BEGIN').run();
        const heights = this.#heights();
        if (heights.every((height) => height === heights[0])) return heights[0]!;
        this.#statement('ROLLBACK').run();
      }
      throw new StorageError('io', `${this.#file}: no snapshot: the shards lie apart`);
    });
  }

  /** Begins a snapshot in which each shard stands where it does; returns their heights, by number. */
  beginApart(): readonly number[] {
    return guard(this.#file, () => {
      this.#statement('BEGIN').run();
      return this.#heights();
    });
  }

  /** Ends the snapshot; nothing happens without one. */
  end(): void {
    if (this.database.inTransaction) this.#statement('ROLLBACK').run();
  }

  /** The applied height: of the snapshot, or the newest. */
  height(): number {
    return this.#heights()[0]!;
  }

  /** The catalog: of the snapshot, or the newest. The same object as long as it has not changed. */
  catalog(): Catalog {
    return guard(this.#file, () => {
      const version = this.#statement('SELECT max(version) FROM main._catalog').pluck().get();
      if (this.#catalog === null || BigInt(this.#catalog.version) !== version) {
        this.#catalog = readCatalog(this.database);
      }
      return this.#catalog;
    });
  }

  /** Columns whose type has changed; see storage/retyped.ts. The same object as long as the catalog is. */
  retypings(): Retypings {
    const catalog = this.catalog();
    if (this.#retypings?.catalog !== catalog) {
      const found = guard(this.#file, () => readRetypings(this.database));
      this.#retypings = { catalog, found };
    }
    return this.#retypings.found;
  }

  /** The catalog as it was after the transaction of `stamp`. */
  catalogAt(stamp: bigint): Catalog {
    return guard(this.#file, () => readCatalog(this.database, stamp));
  }

  /** State of a sequence, or null when it has never moved. */
  sequence(id: number): SequenceState | null {
    const found = this.#statement(
      'SELECT last, called FROM main._sequence WHERE id=? ORDER BY _from DESC LIMIT 1',
    ).get(BigInt(id)) as { last: bigint; called: bigint } | undefined;
    return found === undefined ? null : { last: found.last, called: found.called === 1n };
  }

  /** Stamp of the last transaction that wrote to a table; 0 for none. */
  written(table: Table): bigint {
    const found = this.#statement(
      `SELECT written FROM ${shardSchema(table.shard)}._table WHERE relation=? ORDER BY height DESC LIMIT 1`,
    )
      .pluck()
      .get(BigInt(table.id));
    return (found as bigint | undefined) ?? 0n;
  }

  row(table: Table, rowId: bigint): StoredRow | null {
    return guard(this.#file, () => this.#table(table).row(rowId));
  }

  /** The row under a key of a unique index; `key` in the order of its keys, as the types hold them. */
  findRow(table: Table, index: number, key: Row): StoredRow | null {
    return guard(this.#file, () => {
      const store = this.#table(table);
      const indexStore = store.index(index);
      if (indexStore === undefined) return null;
      const rowId = store.find(indexStore, indexStore.keyOf(key));
      return rowId === null ? null : store.row(rowId);
    });
  }

  close(): void {
    this.database.close();
  }

  #table(table: Table): TableStore {
    let store = this.#tables.get(table);
    if (store === undefined)
      this.#tables.set(table, (store = new TableStore(this.database, table)));
    return store;
  }

  #heights(): number[] {
    const heights: number[] = [];
    for (let shard = 0; shard < this.data.stateShards; shard++) {
      const text = `SELECT value FROM ${shardSchema(shard)}._meta WHERE key='height'`;
      heights.push(Number(this.#statement(text).pluck().get()));
    }
    return heights;
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
