// The blocks: durable in the journal first, then moved into the newest of `chain/blocks-<first height>.sqlite`. Shell.
//
// (1) A block is on disk, in the journal, when `append` returns or `appendSoon` resolves.
// (2) When a file of the journal is full its blocks are moved, a few at a time; it is written over when their log
//     is synced. What both have is the same; the block file counts.
// (3) A block file that has grown over SEGMENT_BYTES_MAX is sealed before the next blocks are moved: its WAL is folded
//     in, and it is never written again, but to put a block where it was damaged. One with chunks that no block names yet
//     waits until they are named or gone. The next file is made under the write lock of the one that it follows, and is
//     whole as soon as it has its name: whoever stores a chunk, in another thread, does not see two newest ones.
// (4) Heights are gapless from 0 over all files, and from there through the journal.

import { closeSync, existsSync, fdatasync, fdatasyncSync, openSync } from 'node:fs';
import { renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { StorageError } from '../ledger/error.ts';
import { hex } from '../ledger/bytes.ts';
import { blockFile, blockFiles } from './data-directory.ts';
import { syncFolder } from './durable-file.ts';
import { Journal } from './journal.ts';
import { guarded } from './reserved-file.ts';
import { guard, openDatabase } from './sqlite.ts';
import { removeDatabase } from './state-files.ts';
import { UNNAMED_TABLE, hasUnnamed } from './unnamed-chunks.ts';
import type { Keep } from './mend.ts';
import type { Database, Statement } from './sqlite.ts';

/** A file beyond this is sealed: small enough to copy, compress and move. */
export const SEGMENT_BYTES_MAX = 1 << 30;

/** Blocks, and bytes of them, that are moved at a time. */
const MOVE_BLOCKS_MAX = 128;
const MOVE_BYTES_MAX = 512 * 1024;

/** Of a block file. */
export const BLOCK_TABLES = `
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

/** A sealed file lists no chunks, and one of before has no list. */
const CHUNK = 'SELECT 1 FROM chunk WHERE hash=?';
const CHUNK_NOT_LISTED = `${CHUNK} AND id NOT IN (SELECT chunk FROM unnamed)`;

export interface BlockStoreOptions {
  readonly readonly?: boolean;
  readonly segmentBytesMax?: number;
  /** Length of the journal's files, for tests. */
  readonly journalBytes?: number;
}

interface Segment {
  readonly firstHeight: number;
  readonly path: string;
  readonly database: Database;
  readonly read: Statement;
  readonly chunk: Statement;
  /** Finds chunks that are not listed. */
  readonly named: () => Statement;
}

export class BlockStore {
  readonly #directory: string;
  readonly #readonly: boolean;
  readonly #segmentBytesMax: number;
  readonly #journal: Journal;
  #firstHeights: number[];
  readonly #open = new Map<number, Segment>();
  #tip = -1;
  /** Newest height in the block files. */
  #moved = -1;
  /** Blocks whose records in the journal are damaged, on their way into the block files. */
  readonly #mended = new Map<number, StoredBlock>();
  /** See `gap`. */
  #gap: number | null = null;
  /** Of the open file; null before it was measured. */
  #segmentBytes: number | null = null;
  #syncing = false;
  /** Of a sync that nobody waited for: a second one would succeed, because the kernel reports a failure once. */
  #syncError: Error | null = null;
  /** What the journal held when it was opened is in the block files. */
  #settled = false;

  /** Opens the blocks of a data directory; without any, the store is empty. */
  constructor(directory: string, options: BlockStoreOptions = {}) {
    const { readonly = false, segmentBytesMax = SEGMENT_BYTES_MAX, journalBytes } = options;
    this.#directory = directory;
    this.#readonly = readonly;
    this.#segmentBytesMax = segmentBytesMax;
    this.#firstHeights = [...blockFiles(directory)];
    const fileBytes = journalBytes === undefined ? {} : { fileBytes: journalBytes };
    this.#journal = new Journal(directory, { readonly, ...fileBytes });
    this.#look(true);
  }

  /**
   * Moves all that the journal holds into the block files, durably; the journal begins anew.
   *
   * @throws StorageError damaged when a block is missing before others
   */
  settle(): void {
    if (this.#gap !== null) {
      const message = `${this.fileOf(this.#gap)}: block ${this.#gap} is missing or was changed`;
      throw new StorageError('damaged', message);
    }
    this.#moveTo(this.#tip + 1);
    // Also what a process before has moved and not synced.
    this.#syncMoved();
    this.#journal.restart(this.#moved);
    this.#settled = true;
  }

  /** Height of the newest block, -1 when there is none. */
  get tip(): number {
    return this.#tip;
  }

  /** A height that is missing although it or later ones were stored: bytes were changed. Null when all are there. */
  get gap(): number | null {
    return this.#gap;
  }

  /** Newest height in the block files; later ones are in the journal. */
  get moved(): number {
    return this.#moved;
  }

  /** First heights of the files, ascending. */
  get segments(): readonly number[] {
    return this.#firstHeights;
  }

  /** Path of the file that holds, or would hold, a height. */
  fileOf(height: number): string {
    const { damaged } = this.#journal;
    if (height === this.#gap && damaged !== null) return damaged;
    const journal = height > this.#moved ? this.#journal.fileOf(height) : null;
    return journal ?? blockFile(this.#directory, this.#firstHeightOf(height) ?? height);
  }

  /**
   * Learns of blocks that another process has appended.
   *
   * @param height of a block that must be there: if it is not found behind the ones before it, it is looked for everywhere
   */
  refresh(height = -1): void {
    this.#look(false);
    if (this.#tip < height) this.#look(true);
  }

  /** @param everywhere whether also behind records that were changed */
  #look(everywhere: boolean): void {
    if (this.#readonly) this.#firstHeights = [...blockFiles(this.#directory)];
    // Twice, should blocks be moved between the two looks.
    for (let look = 0; look < 2; look++) {
      const journal = everywhere ? this.#journal.scan() : this.#journal.follow();
      this.#moved = this.#newestInFiles();
      this.#gap = null;
      this.#tip = this.#moved;
      if (this.#journal.settled > this.#moved || this.#journal.damaged !== null) {
        this.#gap = this.#moved + 1;
      }
      for (const height of journal) {
        if (height <= this.#moved) continue;
        if (height === this.#tip + 1) this.#tip = height;
        else this.#gap ??= this.#tip + 1;
      }
      if (this.#gap === null) return;
    }
  }

  #newestInFiles(): number {
    // A file made just before a crash may be empty; the newest then lies in the one before.
    for (let i = this.#firstHeights.length - 1; i >= 0; i--) {
      const segment = this.#segment(this.#firstHeights[i]!);
      const max = guard(segment.path, () =>
        segment.database.prepare('SELECT max(height) FROM block').pluck().get(),
      ) as bigint | null;
      if (max !== null) return Number(max);
    }
    return -1;
  }

  /**
   * Appends the block after the tip; it is durable when this returns.
   *
   * @throws StorageError full or io: nothing was appended, or it is not known
   */
  append(block: StoredBlock): void {
    this.#write(block);
    this.#journal.sync();
    this.#tip = block.height;
  }

  /** As `append`, without keeping the thread: one after the other. */
  async appendSoon(block: StoredBlock): Promise<void> {
    this.#write(block);
    await this.#journal.synced();
    this.#tip = block.height;
  }

  /** Waits until what `appendSoon` has written is on disk. */
  sync(): void {
    this.#journal.sync();
  }

  #write(block: StoredBlock): void {
    if (block.height !== this.#tip + 1) {
      throw new StorageError('io', `block ${block.height} does not follow ${this.#tip}`);
    }
    if (!this.#settled) this.settle();
    if (this.#journal.isFull(block)) {
      this.tidy();
      this.#journal.turn(this.#moved);
    }
    this.#journal.write(block);
  }

  /** Writes block 0 of a ledger in the making, over what an attempt before has left. */
  replaceGenesis(block: StoredBlock): void {
    if (this.#firstHeights.length === 0) this.#make(0);
    const { database, path } = this.#segment(0);
    guard(path, () => database.exec('DELETE FROM block'));
    this.#insert([block]);
    guard(path, () => database.pragma('wal_checkpoint(TRUNCATE)'));
    this.#journal.restart(0);
    this.#tip = 0;
  }

  read(height: number): StoredBlock | null {
    if (height <= this.#moved) return this.#readMoved(height);
    const found = this.#journal.read(height);
    if (found !== null || !this.#readonly) return found;
    // The process that writes may have gone on.
    this.refresh();
    const later = this.#journal.read(height) ?? this.#readMoved(height);
    if (later !== null || height > this.#tip) return later;
    // A record that was there is no more.
    this.#look(true);
    return this.#journal.read(height) ?? this.#readMoved(height);
  }

  #readMoved(height: number): StoredBlock | null {
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

  /** @throws StorageError damaged when there is no such chunk */
  chunk(hash: Uint8Array): Uint8Array {
    if (this.#readonly) this.#firstHeights = [...blockFiles(this.#directory)];
    for (let i = this.#firstHeights.length - 1; i >= 0; i--) {
      const segment = this.#segment(this.#firstHeights[i]!);
      const found = guard(segment.path, () => segment.chunk.get(hash));
      if (found !== undefined) return (found as { bytes: Uint8Array }).bytes;
    }
    const path = blockFile(this.#directory, this.#firstHeights.at(-1) ?? 0);
    throw new StorageError('damaged', `${path}: chunk ${hex(hash)} is missing`);
  }

  /** Whether there is such a chunk and it is not listed as named by none; of a store that writes. */
  isNamed(hash: Uint8Array): boolean {
    return this.#firstHeights.some((firstHeight) => {
      const { path, named } = this.#segment(firstHeight);
      return guard(path, () => named().get(hash)) !== undefined;
    });
  }

  /** Connection to the file that begins at `firstHeight`, for checks. */
  connection(firstHeight: number): Database {
    return this.#segment(firstHeight).database;
  }

  /** Whether a file of the journal waits to be written over. */
  get untidy(): boolean {
    return this.#journal.held !== null;
  }

  /** Whether `tidySome` has something to do at once. */
  get moving(): boolean {
    const { held } = this.#journal;
    return held !== null && this.#moved + 1 < held[1];
  }

  /** Moves some of the blocks that wait, in a few milliseconds; call it when nobody waits. */
  tidySome(): void {
    const { held } = this.#journal;
    if (held === null || this.#syncing) return;
    if (this.#moved + 1 < held[1]) this.#moveSome(held[1]);
    else this.#syncSoon(held);
  }

  /** Moves all blocks that wait. */
  tidy(): void {
    const { held } = this.#journal;
    if (held === null) return;
    this.#moveTo(held[1]);
    this.#syncMoved();
    this.#journal.release();
  }

  /**
   * Puts a block in the place of a damaged one. In the journal that is done by moving all that it holds into the block
   * files, with this block for the damaged one.
   *
   * @param keep takes what lay there
   */
  mend(block: StoredBlock, keep: Keep): void {
    const { height } = block;
    if (height <= this.#moved) return this.#mendMoved(block, keep);
    if (this.#journal.read(height) === null) {
      keep(`block ${height}`, { record: this.#journal.bytesOf(height) });
      this.#mended.set(height, block);
    }
    this.settle();
    this.#mended.clear();
  }

  #mendMoved({ height, header, body, certificate }: StoredBlock, keep: Keep): void {
    this.#changeFile(this.#firstHeightOf(height)!, (database) => {
      const old = database.prepare('SELECT * FROM block WHERE height=?').get(BigInt(height));
      keep(`block ${height}`, (old ?? {}) as Record<string, unknown>);
      database
        .prepare('INSERT OR REPLACE INTO block VALUES(?,?,?,?)')
        .run(BigInt(height), header, body, certificate);
    });
  }

  /**
   * Puts the content of a chunk in the place of what is damaged, wherever the chunk lies.
   *
   * @param bytes those of the hash
   * @param keep  takes what lay there
   */
  mendChunk(hash: Uint8Array, bytes: Uint8Array, keep: Keep): void {
    for (const firstHeight of this.#firstHeights) {
      const { path, chunk } = this.#segment(firstHeight);
      const old = guard(path, () => chunk.get(hash)) as Record<string, unknown> | undefined;
      if (old === undefined) continue;
      keep(`chunk ${hex(hash)}`, old);
      this.#changeFile(firstHeight, (database) => {
        database.prepare('UPDATE chunk SET bytes=? WHERE hash=?').run(bytes, hash);
      });
    }
  }

  /** Runs `work` on a connection that may write to a block file, also to one that is sealed. */
  #changeFile(firstHeight: number, work: (database: Database) => void): void {
    const path = blockFile(this.#directory, firstHeight);
    const sealed = firstHeight !== this.#firstHeights.at(-1);
    const database = sealed
      ? openDatabase(path, { mustExist: true })
      : this.#segment(firstHeight).database;
    try {
      guard(path, () => {
        work(database);
        // A sealed file has no log.
        if (sealed) database.pragma('wal_checkpoint(TRUNCATE)');
      });
    } finally {
      if (sealed) database.close();
    }
  }

  /** @param settle whether the journal is to be emptied, as at an orderly end */
  close(settle = true): void {
    try {
      if (this.#settled && settle) this.settle();
      this.#settled = false;
    } finally {
      this.#journal.close();
      for (const { database } of this.#open.values()) database.close();
      this.#open.clear();
    }
  }

  #firstHeightOf(height: number): number | undefined {
    for (let i = this.#firstHeights.length - 1; i >= 0; i--) {
      if (this.#firstHeights[i]! <= height) return this.#firstHeights[i];
    }
    return undefined;
  }

  /** Moves blocks before `end` into the block files. */
  #moveTo(end: number): void {
    while (this.#moved + 1 < end) this.#moveSome(end);
  }

  #moveSome(end: number): void {
    const blocks: StoredBlock[] = [];
    let bytes = 0;
    for (let height = this.#moved + 1; height < end; height++) {
      const block = this.#journal.read(height) ?? this.#mended.get(height);
      if (block === undefined) {
        const message = `${this.fileOf(height)}: block ${height} was changed on its way into the block files`;
        throw new StorageError('damaged', message);
      }
      blocks.push(block);
      bytes += block.header.length + block.body.length + block.certificate.length;
      if (blocks.length === MOVE_BLOCKS_MAX || bytes > MOVE_BYTES_MAX) break;
    }
    this.#sealIfFull();
    this.#insert(blocks);
    this.#segmentBytes = (this.#segmentBytes ?? 0) + bytes;
  }

  #insert(blocks: readonly StoredBlock[]): void {
    const { database, path } = this.#segment(this.#firstHeights.at(-1)!);
    guard(path, () => {
      const insert = database.prepare('INSERT INTO block VALUES(?,?,?,?)');
      database.transaction(() => {
        for (const { height, header, body, certificate } of blocks) {
          insert.run(BigInt(height), header, body, certificate);
        }
      })();
    });
    this.#moved = blocks.at(-1)!.height;
  }

  /** Makes what was moved durable: whatever of the log is not on disk yet; what is folded in was synced with that. */
  #syncMoved(): void {
    this.#withLog((file) => {
      try {
        fdatasyncSync(file);
      } finally {
        closeSync(file);
      }
    });
  }

  /** As `#syncMoved`, in another thread; the journal then may go on in the file whose blocks these were. */
  #syncSoon(held: readonly [number, number]): void {
    this.#withLog((file) => {
      this.#syncing = true;
      fdatasync(file, (error) => {
        closeSync(file);
        this.#syncing = false;
        if (error !== null) this.#syncError = error;
        else if (this.#journal.held === held) this.#journal.release();
      });
    });
  }

  #withLog(work: (file: number) => void): void {
    if (this.#syncError !== null) {
      throw new StorageError('io', `a block file could not be synced: ${this.#syncError.message}`);
    }
    const path = `${blockFile(this.#directory, this.#firstHeights.at(-1) ?? 0)}-wal`;
    try {
      if (existsSync(path)) work(openSync(path, 'r+'));
    } catch (cause) {
      throw new StorageError('io', `${path}: ${(cause as Error).message}`, { cause });
    }
  }

  #sealIfFull(): void {
    const last = this.#firstHeights.at(-1);
    if (last === undefined) throw new StorageError('damaged', `${this.#directory}: no block file`);
    const { database } = this.#segment(last);
    this.#segmentBytes ??= bytesUsed(database);
    // A first look at the list, because folding costs a sync; the one that counts is under the lock.
    if (this.#segmentBytes <= this.#segmentBytesMax || this.#moved < last || hasUnnamed(database))
      return;
    this.#segmentBytes = bytesUsed(database);
    if (this.#segmentBytes > this.#segmentBytesMax) this.#seal(last);
  }

  /** Ends the open file and begins the next, but not while somebody reads or writes it. */
  #seal(firstHeight: number): void {
    const { database, path } = this.#segment(firstHeight);
    const sealed = guard(path, () => {
      const [folded] = database.pragma('wal_checkpoint(TRUNCATE)') as { busy: bigint }[];
      if (folded!.busy !== 0n) return false;
      const end = database.transaction(() => {
        // A chunk may have been stored before the lock was taken.
        if (hasUnnamed(database) || statSync(`${path}-wal`).size > 0) return false;
        this.#make(this.#moved + 1);
        return true;
      });
      return end.immediate();
    });
    if (!sealed) return;
    database.close();
    this.#open.delete(firstHeight);
  }

  #make(height: number): void {
    makeBlockFile(blockFile(this.#directory, height));
    this.#firstHeights.push(height);
    this.#segmentBytes = 0;
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
        // Files of before: one may have been left empty by a kill, others have no list, and all their chunks stay.
        database.exec(tables === 0n ? `BEGIN; ${BLOCK_TABLES} COMMIT` : UNNAMED_TABLE);
      }
      return {
        firstHeight,
        path,
        database,
        read: database.prepare('SELECT header, body, certificate FROM block WHERE height=?'),
        chunk: database.prepare('SELECT bytes FROM chunk WHERE hash=?'),
        named: lazily(() => database.prepare(database.readonly ? CHUNK : CHUNK_NOT_LISTED)),
      };
    });
    this.#open.set(firstHeight, segment);
    return segment;
  }
}

/** Makes an empty block file; it has its name when it is on disk. */
function makeBlockFile(path: string): void {
  const draft = `${path}.new`;
  // Of an attempt that was killed.
  removeDatabase(draft);
  const database = openDatabase(draft);
  try {
    guard(draft, () => {
      database.exec(`BEGIN; ${BLOCK_TABLES} COMMIT`);
      database.pragma('wal_checkpoint(TRUNCATE)');
    });
  } finally {
    database.close();
  }
  guarded(path, () => {
    renameSync(draft, path);
    syncFolder(dirname(path));
  });
}

function lazily<T>(make: () => T): () => T {
  let made: T | null = null;
  return () => (made ??= make());
}

/** Without the pages that wait to be used again. */
function bytesUsed(database: Database): number {
  const number = (pragma: string): number => Number(database.pragma(pragma, { simple: true }));
  return (number('page_count') - number('freelist_count')) * number('page_size');
}
