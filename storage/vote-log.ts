// The log of a consensus: votes and blocks that are on disk before anything that depends on them is sent. Shell.
//
// Two files of fixed length, `consensus/votes-0` and `-1`. Records are appended to one, many with one write and one
// fdatasync. When it is full the other begins with records that say all that still counts, and takes over. docs/formats/
// vote-log.md has the bytes.
//
// (1) A batch is written only when the one before it is on disk: after a power loss only the newest can be torn,
//     and nothing that depended on it was sent.
// (2) A file counts from the moment its mark is on disk, which is written last: there is always one that is whole.
// (3) What was changed on disk, and not torn, is found: a batch behind a damaged one, or a damaged mark. The log is not
//     to be trusted then, and the member must not vote by it.

import { closeSync, fdatasyncSync, fstatSync, readSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { StorageError, assert } from '../ledger/error.ts';
import { makeFolder, syncFolder } from './durable-file.ts';
import { SECTOR_BYTES, guarded, openReserved, syncSoon } from './reserved-file.ts';

/** Length of each of the two files unless an option says otherwise: some windows of blocks of full size. */
const FILE_BYTES = 32 * 1024 * 1024;
const FILES = 2;
const MARK_MAGIC = 0x5453_5630;
const BATCH_MAGIC = 0x5453_5631;
/** Magic, checksum of what follows. */
const CHECKED_FROM = 8;
/** And the number of the file's turn, a random number. */
const NONCE_AT = 16;
const MARK_BYTES = 32;
/** And the number of the batch in its file, length of its records. */
const BATCH_HEAD_BYTES = 16;
/** Before each record of a batch. */
const LENGTH_BYTES = 4;

interface File {
  readonly path: string;
  readonly handle: number;
}

/** A file as it was found: `turn` 0 if it was never used. */
interface Found {
  readonly turn: number;
  readonly seed: number;
  readonly records: readonly Uint8Array[];
  readonly batches: number;
  /** Where the next batch goes. */
  readonly end: number;
  readonly sound: boolean;
}

interface Batch {
  readonly records: readonly Uint8Array[];
  resolve(): void;
  reject(error: unknown): void;
}

export class VoteLog {
  /** What was found at the start, in order. */
  readonly records: readonly Uint8Array[];
  /** Whether nothing can be missing from it but what was never on disk. False: see (3). */
  readonly sound: boolean;
  readonly #files: readonly File[];
  readonly #fileBytes: number;
  #active: number;
  #turn: number;
  #seed: number;
  #batches: number;
  #end: number;
  #waiting: Batch[] = [];
  #writing = false;
  #failure: unknown = null;

  /** Opens the log of a data directory; makes it if it is missing. @throws StorageError full, io */
  constructor(directory: string, options: { readonly fileBytes?: number } = {}) {
    const { fileBytes = FILE_BYTES } = options;
    const folder = join(directory, 'consensus');
    guarded(folder, () => makeFolder(folder));
    this.#fileBytes = fileBytes;
    this.#files = Array.from({ length: FILES }, (_, i) => {
      const path = join(folder, `votes-${i}`);
      return { path, handle: guarded(path, () => openReserved(path, fileBytes)) };
    });
    syncFolder(folder);
    const found = this.#files.map(({ path, handle }) => guarded(path, () => read(handle)));
    this.#active = found[1]!.turn > found[0]!.turn ? 1 : 0;
    const { turn, seed, records, batches, end } = found[this.#active]!;
    this.#turn = turn;
    this.#seed = seed;
    this.#batches = batches;
    this.#end = end;
    this.records = records;
    // What the older file holds does not count any more, unless the newer one has lost its mark.
    this.sound = found[this.#active]!.sound && found.every((file) => file.turn > 0 || file.sound);
  }

  /** Whether these records have no room behind what was appended, and `restart` must come first. */
  isFull(records: readonly Uint8Array[]): boolean {
    return this.#turn === 0 || this.#end + bytesOf(records) + SECTOR_BYTES > this.#fileBytes;
  }

  /** Whether records were ever begun: one that was, and holds none, has forgotten what it held. */
  get begun(): boolean {
    return this.#turn > 0;
  }

  /**
   * Appends records; resolves when they are on disk. What is appended in one turn of the event loop, or while the disk
   * is at work, shares a sync.
   *
   * @throws StorageError nobody knows what is on disk then: the process must end
   */
  append(records: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, resolve, reject });
      if (!this.#writing) void this.#write();
    });
  }

  async #write(): Promise<void> {
    this.#writing = true;
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batches = this.#waiting.splice(0);
      try {
        if (this.#failure !== null) throw this.#failure;
        this.#put(batches.flatMap(({ records }) => records));
        const { handle, path } = this.#files[this.#active]!;
        await syncSoon(handle, path);
        for (const { resolve } of batches) resolve();
      } catch (error) {
        this.#failure ??= error;
        for (const { reject } of batches) reject(error);
      }
    }
    this.#writing = false;
  }

  /**
   * Begins anew in the other file with the records that say all that counts; resolves when they are on disk. A disk that
   * has other work takes its time for three syncs, and the node has more to do than to wait for them.
   *
   * @throws StorageError as `append`
   */
  async restart(records: readonly Uint8Array[]): Promise<void> {
    assert(!this.#writing, 'a log is not begun anew while it is written');
    this.#writing = true;
    try {
      for (const { handle, path } of this.#beginAnew(records)) await syncSoon(handle, path);
    } finally {
      this.#writing = false;
    }
  }

  /** As `restart` with no records, for a command that does nothing meanwhile. */
  begin(): void {
    for (const { handle, path } of this.#beginAnew([])) guarded(path, () => fdatasyncSync(handle));
  }

  /** Yields the file when what was written so far must be on disk before it goes on. */
  *#beginAnew(records: readonly Uint8Array[]): Generator<File> {
    const next = this.#turn === 0 ? this.#active : FILES - 1 - this.#active;
    const nonce = randomBytes(MARK_BYTES - NONCE_AT);
    const file = this.#files[next]!;
    const writeMark = (mark: Uint8Array): void => {
      guarded(file.path, () => writeSync(file.handle, mark, 0, mark.length, 0));
    };
    // Whoever reads meanwhile must not take the old mark for the new content.
    writeMark(Buffer.alloc(SECTOR_BYTES));
    yield file;
    this.#active = next;
    this.#turn += 1;
    this.#seed = crc32(nonce);
    this.#batches = 0;
    this.#end = SECTOR_BYTES;
    this.#put(records);
    yield file;
    writeMark(encodeMark(this.#turn, nonce));
    yield file;
  }

  #put(records: readonly Uint8Array[]): void {
    const { path, handle } = this.#files[this.#active]!;
    const batch = encodeBatch(records, this.#batches, this.#seed);
    if (this.#end + batch.length > this.#fileBytes) {
      throw new StorageError('full', `${path}: no room for ${batch.length} bytes`);
    }
    guarded(path, () => {
      const written = writeSync(handle, batch, 0, batch.length, this.#end);
      if (written !== batch.length) throw new StorageError('full', `${path}: written in part`);
    });
    this.#batches += 1;
    this.#end += Math.ceil(batch.length / SECTOR_BYTES) * SECTOR_BYTES;
  }

  close(): void {
    for (const { handle } of this.#files) closeSync(handle);
  }
}

function encodeMark(turn: number, nonce: Buffer): Buffer {
  const mark = Buffer.alloc(MARK_BYTES);
  mark.writeUInt32BE(MARK_MAGIC, 0);
  mark.writeBigInt64BE(BigInt(turn), CHECKED_FROM);
  mark.set(nonce, NONCE_AT);
  mark.writeUInt32BE(crc32(mark.subarray(CHECKED_FROM)), 4);
  return mark;
}

function bytesOf(records: readonly Uint8Array[]): number {
  return records.reduce((sum, { length }) => sum + LENGTH_BYTES + length, BATCH_HEAD_BYTES);
}

function encodeBatch(records: readonly Uint8Array[], number: number, seed: number): Buffer {
  const bytes = Buffer.alloc(bytesOf(records));
  bytes.writeUInt32BE(BATCH_MAGIC, 0);
  bytes.writeUInt32BE(number, CHECKED_FROM);
  bytes.writeUInt32BE(bytes.length - BATCH_HEAD_BYTES, CHECKED_FROM + 4);
  let at = BATCH_HEAD_BYTES;
  for (const record of records) {
    bytes.writeUInt32BE(record.length, at);
    bytes.set(record, at + LENGTH_BYTES);
    at += LENGTH_BYTES + record.length;
  }
  bytes.writeUInt32BE(crc32(bytes.subarray(CHECKED_FROM), seed), 4);
  return bytes;
}

function read(handle: number): Found {
  const bytes = Buffer.alloc(fstatSync(handle).size);
  readSync(handle, bytes, 0, bytes.length, 0);
  const mark = bytes.subarray(0, MARK_BYTES);
  const nothing = { turn: 0, seed: 0, records: [], batches: 0, end: SECTOR_BYTES };
  // A file that is about to take over has no mark yet; a changed mark is another matter.
  if (mark.every((byte) => byte === 0)) return { ...nothing, sound: true };
  const fits =
    mark.readUInt32BE(0) === MARK_MAGIC &&
    crc32(mark.subarray(CHECKED_FROM)) === mark.readUInt32BE(4);
  if (!fits) return { ...nothing, sound: false };
  const turn = Number(mark.readBigInt64BE(CHECKED_FROM));
  return { turn, ...readBatches(bytes, crc32(mark.subarray(NONCE_AT))) };
}

function readBatches(bytes: Buffer, seed: number): Omit<Found, 'turn'> {
  const records: Uint8Array[] = [];
  let batches = 0;
  let end = SECTOR_BYTES;
  for (;;) {
    const batch = batchAt(bytes, end, seed);
    if (batch?.readUInt32BE(CHECKED_FROM) !== batches) break;
    records.push(...recordsIn(batch));
    batches += 1;
    end += Math.ceil(batch.length / SECTOR_BYTES) * SECTOR_BYTES;
  }
  // The records that began the file were on disk before its mark.
  let sound = batches > 0;
  for (let at = end; at < bytes.length && sound; at += SECTOR_BYTES) {
    sound = batchAt(bytes, at, seed) === null;
  }
  return { seed, records, batches, end, sound };
}

/** The whole batch that begins there, or null. */
function batchAt(bytes: Buffer, at: number, seed: number): Buffer | null {
  if (bytes.length - at < BATCH_HEAD_BYTES || bytes.readUInt32BE(at) !== BATCH_MAGIC) return null;
  const length = BATCH_HEAD_BYTES + bytes.readUInt32BE(at + CHECKED_FROM + 4);
  if (length > bytes.length - at) return null;
  const batch = bytes.subarray(at, at + length);
  return crc32(batch.subarray(CHECKED_FROM), seed) === batch.readUInt32BE(4) ? batch : null;
}

function recordsIn(batch: Buffer): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let at = BATCH_HEAD_BYTES; at < batch.length;) {
    const length = batch.readUInt32BE(at);
    records.push(new Uint8Array(batch.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length)));
    at += LENGTH_BYTES + length;
  }
  return records;
}

/** Makes the log of a member whose log was lost: its replica must not vote before it knows that to be past. */
export function makeForgottenLog(directory: string): void {
  const log = new VoteLog(directory);
  if (!log.begun) log.begin();
  log.close();
}
