// The journal in front of the block files: where a block becomes durable. Shell.
//
// Two files of fixed length, `chain/journal-0` and `-1`, written in turn. A block is one record, one write and one
// fdatasync of bytes that were there before, which no file system has to note down: a third of what a commit of
// SQLite costs, and the block files are filled many blocks at a time (storage/block-store.ts). docs/formats/journal.md
// has the bytes.
//
// A file begins with a mark: up to which height the block files hold all blocks, and a number made by chance that goes into
// the checksums of the records behind it. Records up to that height are void, and so is whatever was there before the
// mark, or lies inside a record and looks like one: who writes rows cannot know the number.
//
// (1) A record is written only when the one before it is on disk: after a power loss only the newest can be torn.
// (2) A file is written over only when the block files hold all its blocks, on disk. So whatever is read from
//     both files beyond the newest block there follows it without a gap, or bytes were changed.

import { closeSync, existsSync, fdatasyncSync, fstatSync, openSync } from 'node:fs';
import { readSync, writeSync, writevSync } from 'node:fs';
import { dirname } from 'node:path';
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { StorageError, assert } from '../ledger/error.ts';
import { journalFile } from './data-directory.ts';
import { syncFolder } from './durable-file.ts';
import { SECTOR_BYTES, guarded, openReserved, syncSoon } from './reserved-file.ts';
import type { StoredBlock } from './block-store.ts';

/** Length of each of the two files unless an option says otherwise; a block may have LIMITS.blockBodyBytesMax. */
const FILE_BYTES = 16 * 1024 * 1024;
const FILES = 2;
const BLOCK_MAGIC = 0x5453_4a31;
const MARK_MAGIC = 0x5453_4a30;
/** Magic, checksum of what follows, height (8), lengths of header, body and certificate. */
const HEAD_BYTES = 28;
/** Of a damaged record, which does not say its own length any more. */
const BYTES_KEPT_MAX = 2 * 1024 * 1024;
/** The part of a mark. */
const NONCE_BYTES = 16;
const MARK_BYTES = HEAD_BYTES + NONCE_BYTES;

export interface JournalOptions {
  readonly readonly?: boolean;
  /** Length of a new file, for tests. */
  readonly fileBytes?: number;
}

interface Place {
  readonly file: number;
  readonly offset: number;
}

/** What a look at a file has found. */
interface Seen {
  /** The first bytes, which change when the file is begun anew. */
  readonly mark: Buffer;
  /** What it says, -1 where there is none. */
  readonly settled: number;
  /** Whether it was changed. */
  readonly damaged: boolean;
  /** Where the records found end. */
  readonly end: number;
}

export class Journal {
  /** Null where a file is missing, which only a reader finds. */
  readonly #handles: (number | null)[];
  readonly #paths: string[];
  readonly #fileBytes: number;
  /** For syncs in this thread: the kernel reports a failure once to each. */
  readonly #syncHandles: number[];
  /** Where the checksums of a file's records begin, after its mark; null: it has none. */
  readonly #seeds: (number | null)[] = Array.from({ length: FILES }, () => null);
  /** The file that is written, and where its next record goes. */
  #active = 0;
  #offset = 0;
  readonly #seen: (Seen | null)[] = Array.from({ length: FILES }, () => null);
  /** The block files hold all blocks up to there; -1 for none. */
  #settled = -1;
  /** Heights in the other file that it must keep: from the first to before the second; null for none. */
  #held: readonly [number, number] | null = null;
  /** First height in the file that is written, and the height that is written next; -1 for none. */
  #first = -1;
  #next = -1;
  /** Where the records lie that were found or written, by height. */
  readonly #places = new Map<number, Place>();

  /** Opens the two files; makes those that are missing unless `readonly`. @throws StorageError full, io */
  constructor(directory: string, options: JournalOptions = {}) {
    const { readonly = false, fileBytes = FILE_BYTES } = options;
    this.#fileBytes = fileBytes;
    this.#paths = Array.from({ length: FILES }, (_, i) => journalFile(directory, i));
    this.#handles = this.#paths.map((path) =>
      guarded(path, () => (readonly ? openReadonly(path) : openReserved(path, fileBytes))),
    );
    this.#syncHandles = readonly ? [] : this.#paths.map((path) => openSync(path, 'r+'));
    if (!readonly) syncFolder(dirname(this.#paths[0]!));
  }

  /** Height up to which the block files hold all blocks, as the files say; -1 for none. */
  get settled(): number {
    return this.#settled;
  }

  /** Path of a file whose mark was changed, so that what it holds is not known; null: there is none. */
  get damaged(): string | null {
    const file = this.#seen.findIndex((seen) => seen?.damaged);
    return this.#paths[file] ?? null;
  }

  /** Looks for records everywhere, which takes some 50 ms. @returns the heights found that are not settled, ascending */
  scan(): readonly number[] {
    for (let file = 0; file < FILES; file++) this.#scanFile(file);
    return this.#unsettled();
  }

  /**
   * As `scan` for what was written since, a record behind the other. What lies behind one that is torn or was changed is
   * not found.
   */
  follow(): readonly number[] {
    for (let file = 0; file < FILES; file++) this.#followFile(file);
    return this.#unsettled();
  }

  #unsettled(): readonly number[] {
    this.#settled = this.#seen.reduce((most, seen) => Math.max(most, seen?.settled ?? -1), -1);
    const heights = [...this.#places.keys()].filter((height) => height > this.#settled);
    return heights.sort((a, b) => a - b);
  }

  #scanFile(file: number): void {
    const handle = this.#handles[file]!;
    const path = this.#paths[file]!;
    if (handle === null) return;
    for (const [height, place] of this.#places) {
      if (place.file === file) this.#places.delete(height);
    }
    const bytes = guarded(path, () => {
      const all = Buffer.allocUnsafe(fstatSync(handle).size);
      return all.subarray(0, readSync(handle, all, 0, all.length, 0));
    });
    const mark = recordIn(bytes, 0, MARK_MAGIC, 0);
    this.#seeds[file] = mark === null ? null : crc32(bytes.subarray(HEAD_BYTES, mark));
    const seen = Buffer.from(bytes.subarray(0, MARK_BYTES));
    if (mark === null) {
      // A mark is one sector, which a disk writes whole or not at all: only a file never used has none.
      const damaged = bytes.subarray(0, HEAD_BYTES).some((byte) => byte !== 0);
      this.#seen[file] = { mark: seen, settled: -1, damaged, end: SECTOR_BYTES };
      return;
    }
    let end = SECTOR_BYTES;
    for (let offset = SECTOR_BYTES; offset + HEAD_BYTES <= bytes.length;) {
      const length = recordIn(bytes, offset, BLOCK_MAGIC, this.#seeds[file]!);
      if (length !== null) this.#places.set(heightIn(bytes, offset), { file, offset });
      offset += inSectors(length ?? 1);
      if (length !== null) end = offset;
    }
    this.#seen[file] = { mark: seen, settled: heightIn(bytes, 0), damaged: false, end };
  }

  #followFile(file: number): void {
    const handle = this.#handles[file]!;
    if (handle === null) return;
    const seen = this.#seen[file]!;
    const bytesAt = (offset: number, length: number): Buffer => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(handle, bytes, 0, length, offset));
    };
    guarded(this.#paths[file]!, () => {
      if (seen === null || !bytesAt(0, MARK_BYTES).equals(seen.mark)) return this.#scanFile(file);
      const seed = this.#seeds[file]!;
      if (seed === null) return;
      const size = fstatSync(handle).size;
      let { end } = seen;
      for (;;) {
        const head = bytesAt(end, HEAD_BYTES);
        if (head.length < HEAD_BYTES || head.readUInt32BE(0) !== BLOCK_MAGIC) break;
        const record = bytesAt(end, Math.min(lengthIn(head, 0), size - end));
        const length = recordIn(record, 0, BLOCK_MAGIC, seed);
        if (length === null) break;
        this.#places.set(heightIn(record, 0), { file, offset: end });
        end += inSectors(length);
      }
      this.#seen[file] = { ...seen, end };
    });
  }

  /** The block of that height, if its record is here. */
  read(height: number): StoredBlock | null {
    const place = this.#places.get(height);
    const seed = place === undefined ? null : this.#seeds[place.file]!;
    if (place === undefined || seed === null) return null;
    const { file, offset } = place;
    const handle = this.#handles[file]!;
    return guarded(this.#paths[file]!, () => {
      const head = Buffer.alloc(HEAD_BYTES);
      readSync(handle!, head, 0, HEAD_BYTES, offset);
      // Another process may have written over it.
      const length = Math.min(lengthIn(head, 0), fstatSync(handle!).size - offset);
      const record = Buffer.alloc(length);
      readSync(handle!, record, 0, length, offset);
      const block = decodeRecord(record, seed);
      return block?.height === height ? block : null;
    });
  }

  /** The bytes from where a record was to where the next one begins, as they are now; null where none was. */
  bytesOf(height: number): Uint8Array | null {
    const place = this.#places.get(height);
    if (place === undefined) return null;
    const { file, offset } = place;
    const next = [...this.#places.values()]
      .filter((other) => other.file === file && other.offset > offset)
      .reduce((least, other) => Math.min(least, other.offset), this.#fileBytes);
    return guarded(this.#paths[file]!, () => {
      const bytes = Buffer.alloc(Math.min(next, offset + BYTES_KEPT_MAX) - offset);
      return bytes.subarray(0, readSync(this.#handles[file]!, bytes, 0, bytes.length, offset));
    });
  }

  /** Path of the file with the record of that height. */
  fileOf(height: number): string | null {
    const place = this.#places.get(height);
    return place === undefined ? null : this.#paths[place.file]!;
  }

  /** Whether the file that is written has no room for the block. */
  isFull(block: StoredBlock): boolean {
    return this.#offset + recordBytes(block) > this.#fileBytes;
  }

  /** Heights in the other file that it must keep until `release`: from the first to before the second. */
  get held(): readonly [number, number] | null {
    return this.#held;
  }

  /** Says that the block files hold what the other file holds, on disk: it may be written over. */
  release(): void {
    const [from, to] = this.#held ?? [0, 0];
    for (let height = from; height < to; height++) this.#places.delete(height);
    this.#held = null;
  }

  /** Goes on in the other file, which holds nothing. @param settled up to where the block files hold all blocks */
  turn(settled: number): void {
    assert(this.#held === null, 'a journal file that is held is not written over');
    if (this.#first >= 0) this.#held = [this.#first, this.#next];
    this.#active = FILES - 1 - this.#active;
    this.#begin(settled);
  }

  /** Begins anew: the block files hold all blocks up to that height, and there are no others. */
  restart(settled: number): void {
    this.#places.clear();
    this.#held = null;
    this.#active = 0;
    this.#begin(settled);
    this.sync();
  }

  /** Marks the beginning of the file that is written from now on. */
  #begin(settled: number): void {
    const file = this.#active;
    guarded(this.#paths[file]!, () => {
      const nonce = randomBytes(NONCE_BYTES);
      writeSync(this.#handles[file]!, encodeMark(settled, nonce), 0, MARK_BYTES, 0);
      this.#seeds[file] = crc32(nonce);
    });
    this.#settled = settled;
    this.#offset = SECTOR_BYTES;
    this.#first = -1;
  }

  /** Writes a record, which is durable after the next sync. @throws StorageError full, io */
  write(block: StoredBlock): void {
    const parts = encodeRecord(block, this.#seeds[this.#active]!);
    const bytes = recordLength(block);
    const place = { file: this.#active, offset: this.#offset };
    const path = this.#paths[place.file]!;
    guarded(path, () => {
      const written = writevSync(this.#handles[place.file]!, parts, place.offset);
      if (written !== bytes) throw new StorageError('full', `${path}: written in part`);
    });
    this.#places.set(block.height, place);
    this.#offset += recordBytes(block);
    if (this.#first < 0) this.#first = block.height;
    this.#next = block.height + 1;
  }

  /** Waits until the newest record is on disk. @throws StorageError */
  sync(): void {
    guarded(this.#paths[this.#active]!, () => fdatasyncSync(this.#syncHandles[this.#active]!));
  }

  /** As `sync`, without keeping the thread. */
  synced(): Promise<void> {
    return syncSoon(this.#handles[this.#active]!, this.#paths[this.#active]!);
  }

  close(): void {
    for (const handle of [...this.#handles.splice(0), ...this.#syncHandles.splice(0)]) {
      if (handle !== null) closeSync(handle);
    }
  }
}

function openReadonly(path: string): number | null {
  return existsSync(path) ? openSync(path, 'r') : null;
}

function recordLength({ header, body, certificate }: StoredBlock): number {
  return HEAD_BYTES + header.length + body.length + certificate.length;
}

/** From where a record begins to where the next one may. */
function recordBytes(block: StoredBlock): number {
  return inSectors(recordLength(block));
}

function inSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}

/** The record in parts, so that the body, which may be long, is not copied. */
function encodeRecord(
  { height, header, body, certificate }: StoredBlock,
  seed: number,
): Uint8Array[] {
  const parts = [header, body, certificate];
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt32BE(BLOCK_MAGIC, 0);
  head.writeBigInt64BE(BigInt(height), 8);
  parts.forEach((part, i) => head.writeUInt32BE(part.length, 16 + 4 * i));
  const sum = parts.reduce((before, part) => crc32(part, before), crc32(head.subarray(8), seed));
  head.writeUInt32BE(sum, 4);
  return [head, ...parts];
}

function encodeMark(height: number, nonce: Buffer): Buffer {
  const mark = Buffer.alloc(MARK_BYTES);
  mark.writeUInt32BE(MARK_MAGIC, 0);
  mark.writeBigInt64BE(BigInt(height), 8);
  mark.writeUInt32BE(NONCE_BYTES, 16);
  mark.set(nonce, HEAD_BYTES);
  mark.writeUInt32BE(crc32(mark.subarray(8)), 4);
  return mark;
}

function lengthIn(bytes: Buffer, at: number): number {
  const lengths = [16, 20, 24].map((place) => bytes.readUInt32BE(at + place));
  return lengths.reduce((sum, length) => sum + length, HEAD_BYTES);
}

function heightIn(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64BE(at + 8));
}

/** Length of the record of that kind that begins there; null when none does, or when it was torn or changed. */
function recordIn(bytes: Buffer, at: number, magic: number, seed: number): number | null {
  if (bytes.length - at < HEAD_BYTES || bytes.readUInt32BE(at) !== magic) return null;
  const length = lengthIn(bytes, at);
  if (length > bytes.length - at) return null;
  const sum = crc32(bytes.subarray(at + 8, at + length), seed);
  return sum === bytes.readUInt32BE(at + 4) ? length : null;
}

/** The block of the record that these bytes are; null when they are none. */
function decodeRecord(bytes: Buffer, seed: number): StoredBlock | null {
  if (recordIn(bytes, 0, BLOCK_MAGIC, seed) === null) return null;
  let at = HEAD_BYTES;
  const [header, body, certificate] = [16, 20, 24].map(
    (place) => new Uint8Array(bytes.subarray(at, (at += bytes.readUInt32BE(place)))),
  );
  return { height: heightIn(bytes, 0), header: header!, body: body!, certificate: certificate! };
}
