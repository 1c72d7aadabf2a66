// The blocks: appended to the newest of `chain/blocks-<first height>.sqlite`, durable when append returns. Shell.
//
// (1) The open file's log is synced once a block, and nothing is acknowledged before that.
// (2) A file that has grown over SEGMENT_BYTES_MAX is sealed by the next append: its WAL is folded in, and
//     it is never written again. One with chunks that no block names yet waits until they are named or gone.
// (3) Heights are gapless from 0 over all files.
// (4) Chunks of large transactions lie beside the blocks and are durable before the block that names them;
//     see unnamed-chunks.ts for those that no block names.

import { StorageError } from '../ledger/error.ts';
import { hex } from '../ledger/bytes.ts';
import { blockFile, blockFiles, syncFolder } from './data-directory.ts';
import { guard, openDatabase, ReservedLog } from './sqlite.ts';
import { UNNAMED_TABLE, UnnamedChunks } from './unnamed-chunks.ts';
import { dirname } from 'node:path';
import type { Database, Statement } from './sqlite.ts';

/** A file beyond this is sealed: small enough to copy, compress and move. */
export const SEGMENT_BYTES_MAX = 1 << 30;

/** Log of the open file, reserved; it is folded in when this much of it is used. */
const LOG_BYTES = 16 * 1024 * 1024;
const LOG_BYTES_USED_MAX = 12 * 1024 * 1024;
/** What a block writes into the log beside itself: parts of pages and inner pages. */
const LOG_BYTES_PER_BLOCK = 16 * 1024;

const TABLES = `
  CREATE TABLE block (height INTEGER PRIMARY KEY, header BLOB, body BLOB, certificate BLOB);
  CREATE TABLE chunk (id INTEGER PRIMARY KEY, hash BLOB UNIQUE, bytes BLOB);
  ${UNNAMED_TABLE}
`;

/** A block as it lies on disk: the three parts encoded. */
export interface StoredBlock {
  readonly height: number;
  readonly header: Uint8Array;
  readonly body: Uint8Array;
  readonly certificate: Uint8Array;
}

interface Segment {
  readonly firstHeight: number;
  readonly path: string;
  readonly database: Database;
  readonly read: Statement;
  readonly chunk: Statement;
}

export class BlockStore {
  readonly #directory: string;
  readonly #readonly: boolean;
  readonly #segmentBytesMax: number;
  #firstHeights: number[];
  readonly #open = new Map<number, Segment>();
  #tip = -1;
  #insert: Statement | null = null;
  /** Of the open file. */
  #unnamed: UnnamedChunks | null = null;
  #appendedBytes = 0;
  #log: ReservedLog | null = null;
  #logBytes = 0;

  /** Opens the blocks of a data directory; without any, the store is empty. */
  constructor(
    directory: string,
    options: { readonly readonly?: boolean; readonly segmentBytesMax?: number } = {},
  ) {
    this.#directory = directory;
    this.#readonly = options.readonly ?? false;
    this.#segmentBytesMax = options.segmentBytesMax ?? SEGMENT_BYTES_MAX;
    this.#firstHeights = [...blockFiles(directory)];
    this.refresh();
  }

  /** Height of the newest block, -1 when there is none. */
  get tip(): number {
    return this.#tip;
  }

  /** First heights of the files, ascending. */
  get segments(): readonly number[] {
    return this.#firstHeights;
  }

  /** Path of the file that holds, or would hold, a height. */
  fileOf(height: number): string {
    return blockFile(this.#directory, this.#firstHeightOf(height) ?? height);
  }

  /** Learns of blocks that another process has appended. */
  refresh(): void {
    if (this.#readonly) this.#firstHeights = [...blockFiles(this.#directory)];
    // A file made just before a crash may be empty; the tip then lies in the one before.
    for (let i = this.#firstHeights.length - 1; i >= 0; i--) {
      const segment = this.#segment(this.#firstHeights[i]!);
      const max = guard(segment.path, () =>
        segment.database.prepare('SELECT max(height) FROM block').pluck().get(),
      ) as bigint | null;
      if (max !== null) {
        this.#tip = Number(max);
        return;
      }
    }
    this.#tip = -1;
  }

  /**
   * Appends the block after the tip and makes it durable.
   *
   * @param chunks  hashes of those that its transactions name
   * @throws StorageError full or io: nothing was appended
   */
  append(block: StoredBlock, chunks: readonly Uint8Array[] = []): void {
    if (block.height !== this.#tip + 1) {
      throw new StorageError('io', `block ${block.height} does not follow ${this.#tip}`);
    }
    const insert = this.#insert ?? this.#writable(block.height);
    const append = (): void =>
      void insert.run(BigInt(block.height), block.header, block.body, block.certificate);
    guard(this.fileOf(block.height), () => {
      if (chunks.length === 0) append();
      else this.#unnamed!.name(chunks, append);
    });
    this.#log!.sync();
    this.#tip = block.height;
    const bytes = block.header.length + block.body.length + block.certificate.length;
    this.#appendedBytes += bytes;
    this.#logBytes += bytes + LOG_BYTES_PER_BLOCK;
    // Measured again by the next append, which seals the file if it is full.
    if (this.#appendedBytes >= this.#segmentBytesMax) this.#insert = null;
  }

  /** Writes block 0 of a ledger in the making, over what an attempt before has left. */
  replaceGenesis(block: StoredBlock): void {
    this.#writable(0);
    const { database, path } = this.#segment(0);
    guard(path, () => database.exec('DELETE FROM block'));
    this.#tip = -1;
    this.append(block);
  }

  read(height: number): StoredBlock | null {
    const firstHeight = this.#firstHeightOf(height);
    if (firstHeight === undefined) return null;
    const segment = this.#segment(firstHeight);
    const found = guard(segment.path, () => segment.read.get(BigInt(height))) as
      { header: Uint8Array; body: Uint8Array; certificate: Uint8Array } | undefined;
    if (found === undefined) return null;
    const { header, body, certificate } = found;
    for (const part of [header, body, certificate]) {
      if (!(part instanceof Uint8Array)) {
        throw new StorageError('damaged', `${segment.path}: block ${height}: a part is no bytes`);
      }
    }
    return { height, header, body, certificate };
  }

  /** Stores a chunk of a transaction to come; durable when it returns. */
  putChunk(hash: Uint8Array, bytes: Uint8Array): void {
    if (this.#insert === null) this.#writable(this.#tip + 1);
    guard(this.fileOf(this.#tip + 1), () => this.#unnamed!.put(hash, bytes));
    this.#log!.sync();
    this.#logBytes += bytes.length + LOG_BYTES_PER_BLOCK;
  }

  /** Whether there are chunks that no block names. */
  get hasUnnamed(): boolean {
    return (this.#unnamed?.size ?? 0) > 0;
  }

  /** Removes chunks that whoever stored them will not name; not one that a block names, or that another holds. */
  dropChunks(hashes: readonly Uint8Array[]): void {
    if (this.#unnamed === null) return;
    guard(this.fileOf(this.#tip + 1), () => this.#unnamed!.drop(hashes));
    this.#logBytes += hashes.length * LOG_BYTES_PER_BLOCK;
  }

  /** Removes chunks that a process before has left and no block names. */
  clearChunks(): void {
    const last = this.#firstHeights.at(-1);
    if (last === undefined) return;
    const { database, path } = this.#segment(last);
    guard(path, () => new UnnamedChunks(database).clear());
  }

  /** Whether `tidy` has something to do. */
  get untidy(): boolean {
    return this.#logBytes > LOG_BYTES_USED_MAX;
  }

  /** @throws StorageError damaged when there is no such chunk */
  chunk(hash: Uint8Array): Uint8Array {
    for (let i = this.#firstHeights.length - 1; i >= 0; i--) {
      const segment = this.#segment(this.#firstHeights[i]!);
      const found = guard(segment.path, () => segment.chunk.get(hash));
      if (found !== undefined) return (found as { bytes: Uint8Array }).bytes;
    }
    const path = this.fileOf(this.#tip);
    throw new StorageError('damaged', `${path}: chunk ${hex(hash)} is missing`);
  }

  /** Connection to the file that begins at `firstHeight`, for checks. */
  connection(firstHeight: number): Database {
    return this.#segment(firstHeight).database;
  }

  /** Folds the WAL into the open file when it has grown; call it when nobody waits. */
  tidy(): void {
    if (this.#readonly || this.#firstHeights.length === 0) return;
    const { database, path } = this.#segment(this.#firstHeights.at(-1)!);
    guard(path, () => database.pragma('wal_checkpoint(PASSIVE)'));
    this.#logBytes = 0;
  }

  close(): void {
    this.#log?.close();
    this.#log = null;
    for (const { database } of this.#open.values()) database.close();
    this.#open.clear();
    this.#insert = null;
    this.#unnamed = null;
  }

  #firstHeightOf(height: number): number | undefined {
    for (let i = this.#firstHeights.length - 1; i >= 0; i--) {
      if (this.#firstHeights[i]! <= height) return this.#firstHeights[i];
    }
    return undefined;
  }

  /** Statement that appends, after sealing the open file when it is full. */
  #writable(height: number): Statement {
    const last = this.#firstHeights.at(-1);
    if (last === undefined) {
      this.#make(height);
    } else {
      const { database } = this.#segment(last);
      this.#appendedBytes = bytesUsed(database);
      if (this.#appendedBytes > this.#segmentBytesMax && height > last && !this.hasUnnamed) {
        this.#seal(last);
        this.#make(height);
      }
    }
    const { database, path } = this.#segment(this.#firstHeights.at(-1)!);
    this.#log ??= new ReservedLog(path, LOG_BYTES);
    this.#unnamed ??= new UnnamedChunks(database);
    this.#insert = database.prepare('INSERT INTO block VALUES(?,?,?,?)');
    return this.#insert;
  }

  #make(height: number): void {
    const path = blockFile(this.#directory, height);
    this.#firstHeights.push(height);
    const { database } = this.#segment(height);
    guard(path, () => database.pragma('wal_checkpoint(TRUNCATE)'));
    syncFolder(dirname(path));
    this.#appendedBytes = 0;
  }

  #seal(firstHeight: number): void {
    const { database, path } = this.#segment(firstHeight);
    guard(path, () => database.pragma('wal_checkpoint(TRUNCATE)'));
    this.#log?.close();
    this.#log = null;
    this.#unnamed = null;
    this.#logBytes = 0;
    database.close();
    this.#open.delete(firstHeight);
  }

  #segment(firstHeight: number): Segment {
    let segment = this.#open.get(firstHeight);
    if (segment !== undefined) return segment;
    const path = blockFile(this.#directory, firstHeight);
    const sealed = firstHeight !== this.#firstHeights.at(-1);
    const database = openDatabase(path, { readonly: this.#readonly || sealed });
    segment = guard(path, () => {
      if (!database.readonly) {
        const tables = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get();
        // A file of before has no list: all its chunks stay.
        database.exec(tables === 0n ? `BEGIN; ${TABLES} COMMIT` : UNNAMED_TABLE);
      }
      return {
        firstHeight,
        path,
        database,
        read: database.prepare('SELECT header, body, certificate FROM block WHERE height=?'),
        chunk: database.prepare('SELECT bytes FROM chunk WHERE hash=?'),
      };
    });
    this.#open.set(firstHeight, segment);
    return segment;
  }
}

/** Without the pages that wait to be used again. */
function bytesUsed(database: Database): number {
  const number = (pragma: string): number => Number(database.pragma(pragma, { simple: true }));
  return (number('page_count') - number('freelist_count')) * number('page_size');
}
