// Writes back what peers have sent in place of damaged rows, receipts and entries of the block index. Shell.
//
// (1) Nothing is taken on trust: a version counts only if its hash is a leaf of its transaction's receipt, receipts only
//     if a header carries their root, and the end of a closed version only if something follows it there.
// (2) All or nothing, in the open transaction of the state; the bytes that go are kept before it commits.

import { decodeBody, decodeHeader, decodeReceipt, decodeRowVersion } from '../ledger/encoding.ts';
import { StorageError } from '../ledger/error.ts';
import { equal, hex } from '../ledger/bytes.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import { headerHash, receiptHash, rowVersionHash } from '../ledger/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { merkleRoot } from '../ledger/merkle.ts';
import { heightOf, stampOf } from '../ledger/operation.ts';
import { FROM, ROW_ID, TO, VERSION, columnName } from './names.ts';
import { partOfRow, partsOf } from './parts.ts';
import { RowShapes } from './row-shapes.ts';
import { beginsAt } from './scrub-rows.ts';
import { leavesAreSound } from './stored-check.ts';
import type { Table } from '../ledger/catalog.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { FoundReceipt, FoundVersion } from '../ledger/encoding-repair.ts';
import type { RowVersion } from '../ledger/transaction.ts';
import type { Datum } from '../ledger/type.ts';
import type { BlockStore } from './block-store.ts';
import type { RowPlace } from './finding.ts';
import type { StateStore } from './state-store.ts';

/** What is to be written, and what is to go. */
export interface StateRepair {
  /** Heights whose entries in the block index are made anew. */
  readonly index: readonly number[];
  readonly receipts: readonly {
    readonly height: number;
    readonly receipts: readonly FoundReceipt[];
  }[];
  /** Versions that are not as they were written: they go. */
  readonly rows: readonly RowPlace[];
  /** Versions that take their place. */
  readonly versions: readonly FoundVersion[];
}

/** Takes the bytes that go, by the place where they lay. */
export type Keep = (place: string, bytes: Readonly<Record<string, unknown>>) => void;

export class StateMender {
  readonly #state: StateStore;
  readonly #blocks: BlockStore;
  readonly #crypto: Crypto;
  /** What was done, each as a sentence. */
  readonly done: string[] = [];
  /** What has gone, for `Keep`. */
  readonly gone: Parameters<Keep>[] = [];

  constructor(state: StateStore, blocks: BlockStore, crypto: Crypto) {
    this.#state = state;
    this.#blocks = blocks;
    this.#crypto = crypto;
  }

  /** Inside an open transaction of the state. @throws StorageError damaged: what was sent does not fit */
  mend({ index, receipts, rows, versions }: StateRepair): void {
    for (const height of index) this.#mendIndex(height);
    for (const each of receipts) this.#mendReceipts(each.height, each.receipts);
    if (rows.length === 0 && versions.length === 0) return;
    const shapes = new RowShapes(this.#state.database, this.#crypto);
    const tables = new Map(shapes.ever.map((table) => [table.id, table]));
    for (const place of rows) this.#remove(place, tables);
    const decoded = versions.map(({ version, closed }) => {
      const decodedVersion = decodeRowVersion(version);
      this.#checkLeaf(decodedVersion.stamp, rowVersionHash(this.#crypto, version));
      return { version: decodedVersion, closed };
    });
    for (const { version, closed } of decoded.sort((a, b) => compare(a.version, b.version))) {
      const table = tables.get(version.relation);
      if (table === undefined) throw unfit(`there is no relation ${version.relation}`);
      const follows = (stamp: bigint): boolean =>
        decoded.some((other) => isOf(other.version, version, stamp)) ||
        this.#isFollowed(table, shapes, version, stamp);
      if (!version.deleted) this.#write(table, version, closed, follows, shapes.isCurrent(table));
    }
  }

  #mendIndex(height: number): void {
    const { header: bytes } = this.#stored(height);
    const { timeMs, transactionCount } = decodeHeader(bytes);
    const { database } = this.#state;
    const key = BigInt(height);
    const old = database.prepare('SELECT * FROM chain.block WHERE height=?').get(key);
    this.gone.push([`index block ${height}`, (old ?? {}) as Record<string, unknown>]);
    database
      .prepare('INSERT OR REPLACE INTO chain.block VALUES(?,?,?,?,?)')
      .run(key, headerHash(this.#crypto, bytes), BigInt(timeMs), BigInt(transactionCount), bytes);
    this.done.push(`the entry of block ${height} in the block index`);
  }

  #mendReceipts(height: number, receipts: readonly FoundReceipt[]): void {
    const hashes = receipts.map(({ receipt }) => receiptHash(this.#crypto, receipt));
    const root = this.#rootOf(height);
    if (root === null) throw unfit(`no header carries the results of block ${height}`);
    const sound =
      equal(merkleRoot(this.#crypto, hashes), root) && leavesAreSound(this.#crypto, receipts);
    if (!sound) throw unfit(`receipts of block ${height} are not those of the chain`);
    const { bundles } = decodeBody(this.#stored(height).body);
    const authors = bundles.flatMap(({ author, transactions }) => transactions.map(() => author));
    const { database } = this.#state;
    const range = [stampOf(height, 0), stampOf(height + 1, 0)];
    const within = 'FROM main._receipt WHERE stamp>=? AND stamp<?';
    const rows = database.prepare(`SELECT * ${within}`).all(...range);
    this.gone.push([`receipts of block ${height}`, { rows }]);
    database.prepare(`DELETE ${within}`).run(...range);
    const insert = database.prepare('INSERT INTO main._receipt VALUES(?,?,?,?,?)');
    receipts.forEach(({ receipt, leaves }, i) => {
      const sqlstate = decodeReceipt(receipt).abort?.sqlstate ?? null;
      insert.run(stampOf(height, i), BigInt(authors[i]!), sqlstate, receipt, leaves);
    });
    this.done.push(`receipts of block ${height}`);
  }

  /** What a later header says of the results of a block; null when none does. */
  #rootOf(height: number): Uint8Array | null {
    for (let at = height + 1; at <= height + LIMITS.windowMax; at++) {
      const stored = this.#blocks.read(at);
      if (stored === null) return null;
      const { executed } = decodeHeader(stored.header);
      if (executed.height === height) return executed.receiptsRoot;
    }
    return null;
  }

  #remove(place: RowPlace, tables: ReadonlyMap<number, Table>): void {
    const table = tables.get(place.relation);
    if (table === undefined) throw unfit(`there is no relation ${place.relation}`);
    const { rowId, stamp, history } = place;
    const part = partsOf(table)[place.part];
    if (part === undefined) throw unfit(`table ${table.name} has no part ${place.part}`);
    const name = history ? part.history : part.rows;
    const column = history ? FROM : VERSION;
    const version = stamp === null ? `typeof(${column})<>'integer'` : `${column}=?`;
    const where = `${part.schema}.${name} WHERE ${ROW_ID}=? AND ${version}`;
    const bound = stamp === null ? [rowId] : [rowId, stamp];
    const { database } = this.#state;
    const row = database.prepare(`SELECT * FROM ${where}`).get(...bound);
    // A later block has changed it, or it has gone.
    if (row === undefined) return;
    this.gone.push([placeOf(table, place), row as Record<string, unknown>]);
    database.prepare(`DELETE FROM ${where}`).run(...bound);
    this.done.push(`${placeOf(table, place)} was taken out`);
  }

  #write(
    table: Table,
    version: RowVersion,
    closed: bigint | null,
    follows: (stamp: bigint) => boolean,
    indexed: boolean,
  ): void {
    const { rowId, stamp, columns, values } = version;
    const { database } = this.#state;
    const valueOf = (id: number): Datum => values[columns.indexOf(id)] ?? null;
    const { schema, rows, history } = partsOf(table)[partOfRow(table, valueOf)]!;
    const heightNow = Math.min(...this.#state.heights());
    // A peer may have gone on.
    const end = closed !== null && heightOf(closed) > heightNow ? null : closed;
    if (end !== null && (end <= stamp || !follows(end))) {
      throw unfit(`row ${rowId} of table ${table.name} is said to end where nothing follows`);
    }
    const names = columns.map(columnName);
    const insert = (target: string, own: readonly string[], bound: readonly Datum[]): void => {
      const all = [...own, ...names];
      const marks = all.map(() => '?').join();
      database
        .prepare(`INSERT INTO ${schema}.${target}(${all.join()}) VALUES(${marks})`)
        .run(...bound, ...values);
    };
    if (end !== null) {
      insert(history, [ROW_ID, FROM, TO], [rowId, stamp, end]);
    } else {
      insert(rows, [ROW_ID, VERSION], [rowId, stamp]);
      if (indexed) this.#fillHidden(table, rowId);
    }
    const place = placeOf(table, { rowId, stamp, history: end !== null });
    this.done.push(`${place} was written anew`);
  }

  /** What indexes need beside the row's own values, which a version does not have. */
  #fillHidden(table: Table, rowId: bigint): void {
    const store = this.#state.table(table);
    if (store.hidden.length === 0) return;
    store.fillHidden(
      store.row(rowId)!,
      store.hidden.map(({ name }) => name),
    );
  }

  /** Whether another version of the row begins at a stamp, or the row was deleted there. */
  #isFollowed(table: Table, shapes: RowShapes, { rowId }: RowVersion, stamp: bigint): boolean {
    if (beginsAt(this.#state.database, table, rowId, stamp)) return true;
    const shape = shapes.at(table.id, stamp);
    return shape !== null && this.#hasLeaf(stamp, shapes.leaf(shape, rowId, stamp, null));
  }

  #checkLeaf(stamp: bigint, leaf: Uint8Array): void {
    if (this.#hasLeaf(stamp, leaf)) return;
    throw unfit(`${hex(leaf)} is no leaf of the transaction of stamp ${stamp}`);
  }

  #hasLeaf(stamp: bigint, leaf: Uint8Array): boolean {
    const leaves = this.#state.receipt(stamp)?.leaves ?? new Uint8Array(0);
    for (let at = 0; at < leaves.length; at += HASH_BYTES) {
      if (equal(leaves.subarray(at, at + HASH_BYTES), leaf)) return true;
    }
    return false;
  }

  #stored(height: number) {
    const stored = this.#blocks.read(height);
    if (stored === null) throw unfit(`block ${height} is missing`);
    return stored;
  }
}

function unfit(message: string): StorageError {
  return new StorageError('damaged', `not repaired: ${message}`);
}

function placeOf(
  { name }: Table,
  { rowId, stamp, history }: Pick<RowPlace, 'rowId' | 'stamp' | 'history'>,
): string {
  const version = stamp === null ? '' : ` of block ${heightOf(stamp)}`;
  return `${history ? 'closed version' : 'version'}${version} of row ${rowId} of table ${name}`;
}

/** Closed versions before those that follow them. */
function compare(a: RowVersion, b: RowVersion): number {
  return a.stamp < b.stamp ? -1 : a.stamp > b.stamp ? 1 : 0;
}

function isOf(other: RowVersion, version: RowVersion, stamp: bigint): boolean {
  return (
    other.relation === version.relation && other.rowId === version.rowId && other.stamp === stamp
  );
}
