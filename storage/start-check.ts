// What a node checks before it serves its files: bounded, so that a big ledger starts in seconds. Shell.
//
// SQLite's own check of files up to a size, the newest blocks with their links, signatures and results, and
// the newest rows and versions of every table against the receipts of the transactions that wrote them. For
// a ledger within the limits below that is every value; for a bigger one `trustsql verify` is the full check.

import { statSync } from 'node:fs';
import { checkCovered } from '../ledger/certificate-check.ts';
import { decodeHeader } from '../ledger/encoding.ts';
import { FormatError, StorageError, isFormatError } from '../ledger/error.ts';
import { headerHash } from '../ledger/hash.ts';
import { nextConfig } from '../ledger/epoch.ts';
import { equal } from '../ledger/bytes.ts';
import { heightOf, stampOf } from '../ledger/operation.ts';
import { BlockStore } from './block-store.ts';
import { configOf } from './epochs.ts';
import { indexFile, shardFile } from './data-directory.ts';
import { FROM, ROW_ID, VERSION } from './names.ts';
import { partsOf } from './parts.ts';
import { RowShapes, latin1 } from './row-shapes.ts';
import { StateReader } from './snapshot.ts';
import { shardsOf } from './state-files.ts';
import { checkStored, leavesAreSound, receiptsRootOf } from './stored-check.ts';
import type { Table } from '../ledger/catalog.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Datum } from '../ledger/type.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { Header } from '../ledger/block.ts';
import type { Part } from './parts.ts';
import type { StoredBlock } from './block-store.ts';
import type { StoredReceipt } from './stored-check.ts';
import type { SystemRecord } from '../ledger/system.ts';
import type { Certificate } from '../ledger/vote.ts';

/** Files up to this size are checked page by page; about a second for each 200 MB. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;
/** Newest blocks that are checked; about 150 µs each. */
const BLOCKS_MAX = 2_000;
/** Newest rows, and as many versions in history, of each table; about 5 µs each. */
const ROWS_MAX = 20_000;

/**
 * @throws StorageError damaged, naming the file and what in it
 */
export function checkAtStart(directory: string, crypto: Crypto): void {
  const reader = StateReader.open(directory);
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    reader.begin();
    new StartCheck(reader, blocks, crypto).run();
  } finally {
    reader.end();
    reader.close();
    blocks.close();
  }
}

function damaged(file: string, message: string): StorageError {
  return new StorageError('damaged', `${file}: ${message}`);
}

/** What the check of the next block needs of a block. */
interface Link {
  readonly header: Header;
  readonly hash: Uint8Array;
  readonly certificate: Certificate;
  readonly system: readonly SystemRecord[];
}

/** Rows of one transaction that are looked for among its leaves. */
interface Sought {
  readonly stamp: bigint;
  /** By the hash of their version, as latin1. */
  readonly rowIds: Map<string, bigint>;
  /** First bytes of those hashes: few other leaves have the same. */
  readonly starts: Set<number>;
}

class StartCheck {
  readonly #reader: StateReader;
  readonly #blocks: BlockStore;
  readonly #crypto: Crypto;
  #shapes!: RowShapes;
  #leaves: { readonly stamp: bigint; readonly hashes: Uint8Array } | null = null;

  constructor(reader: StateReader, blocks: BlockStore, crypto: Crypto) {
    this.#reader = reader;
    this.#blocks = blocks;
    this.#crypto = crypto;
  }

  run(): void {
    const { data } = this.#reader;
    for (const [schema, file] of shardsOf(data)) this.#checkFile(schema, file);
    this.#checkFile('chain', indexFile(data.path));
    this.#checkBorders();
    this.#checkBlocks();
    this.#shapes = new RowShapes(this.#reader.database, this.#crypto);
    for (const table of this.#shapes.current) {
      for (const part of partsOf(table)) this.#checkPart(table, part);
    }
  }

  #checkFile(schema: string, file: string): void {
    const { database } = this.#reader;
    const foreign = database
      .prepare(`SELECT name FROM ${schema}.sqlite_schema WHERE type NOT IN ('table', 'index')`)
      .pluck()
      .get();
    if (foreign !== undefined) throw damaged(file, `${String(foreign)} does not belong here`);
    if (statSync(file).size > FILE_BYTES_MAX) return;
    const answer = database.pragma(`${schema}.integrity_check(1)`, { simple: true });
    if (answer !== 'ok') throw damaged(file, String(answer));
  }

  /**
   * Each file begins after the last block of the one before. A sealed file that is sound in itself and another
   * history ends in another block, so it is found however old it is.
   */
  #checkBorders(): void {
    for (const firstHeight of this.#blocks.segments.slice(1)) {
      const first = this.#blocks.read(firstHeight);
      // A file made just before a crash is empty.
      if (first === null) continue;
      const last = this.#blocks.read(firstHeight - 1);
      const file = this.#blocks.fileOf(firstHeight - 1);
      if (last === null) throw damaged(file, `block ${firstHeight - 1} is missing`);
      if (equal(headerHash(this.#crypto, last.header), parentIn(first.header))) continue;
      throw damaged(file, `block ${firstHeight - 1}: block ${firstHeight} follows another one`);
    }
  }

  #checkBlocks(): void {
    const newest = this.#reader.height();
    const oldest = Math.max(1, newest - BLOCKS_MAX);
    if (oldest > newest) return;
    let parent: Link | null = null;
    let config = configOf(this.#blocks, oldest);
    for (let height = oldest; height <= newest; height++) {
      const checked = this.#checkBlock(height, config, parent);
      parent = checked;
      config = nextConfig(config, checked.header, checked.system);
    }
  }

  #checkBlock(height: number, config: EpochConfig, parent: Link | null): Link {
    const file = this.#blocks.fileOf(height);
    const stored = this.#blocks.read(height);
    if (stored === null) throw damaged(file, `block ${height} is missing`);
    try {
      const link = this.#checkLink(stored, config, parent);
      this.#checkResults(link.header);
      return link;
    } catch (error) {
      if (!isFormatError(error)) throw error;
      throw damaged(file, `block ${height}: ${error.message}`);
    }
  }

  #checkLink(stored: StoredBlock, config: EpochConfig, parent: Link | null): Link {
    const context = { crypto: this.#crypto, chainId: this.#reader.data.chainId };
    const { header, hash, certificate, body } = checkStored(context, () => config, stored);
    let problem: string | null = null;
    if (parent !== null) {
      problem = checkCovered(parent.header, parent.certificate, certificate);
      if (!equal(parent.hash, header.parent)) problem ??= 'does not follow the block before it';
    }
    if (problem !== null) throw new FormatError(problem);
    return { header, hash, certificate, system: body.system };
  }

  /** The receipts that this state has for a block, against what a later header has signed. */
  #checkResults({ executed }: Header): void {
    const receipts = this.#reader.database
      .prepare(
        'SELECT receipt, leaves FROM main._receipt WHERE stamp>=? AND stamp<? ORDER BY stamp',
      )
      .all(stampOf(executed.height, 0), stampOf(executed.height + 1, 0)) as StoredReceipt[];
    const file = shardFile(this.#reader.data.path, 0);
    const sound =
      equal(receiptsRootOf(this.#crypto, receipts), executed.receiptsRoot) &&
      leavesAreSound(this.#crypto, receipts);
    if (!sound) throw damaged(file, `receipts of block ${executed.height} were changed`);
  }

  #checkPart(table: Table, { shard, schema, rows, history }: Part): void {
    const file = shardFile(this.#reader.data.path, shard);
    for (const [name, stamp] of [
      [rows, VERSION],
      [history, FROM],
    ] as const) {
      const newest = `SELECT * FROM ${schema}.${name} ORDER BY ${ROW_ID} DESC LIMIT ${ROWS_MAX}`;
      // Rows of one transaction together: its leaves, a million after a big COPY, are read once.
      const found = this.#reader.database
        .prepare(`SELECT * FROM (${newest}) ORDER BY ${stamp}`)
        .iterate() as Iterable<Record<string, Datum>>;
      let sought: Sought | undefined;
      for (const row of found) {
        const version = this.#versionOf(table, file, row, stamp);
        if (sought === undefined || sought.stamp !== version.stamp) {
          if (sought !== undefined) this.#find(table, file, sought);
          sought = { stamp: version.stamp, rowIds: new Map(), starts: new Set() };
        }
        sought.rowIds.set(latin1(version.hash), version.rowId);
        sought.starts.add(startOf(version.hash, 0));
      }
      if (sought !== undefined) this.#find(table, file, sought);
    }
  }

  /** A stored row as its leaf has it. */
  #versionOf(
    table: Table,
    file: string,
    row: Record<string, Datum>,
    stampName: string,
  ): { readonly stamp: bigint; readonly rowId: bigint; readonly hash: Uint8Array } {
    const stamp = row[stampName];
    const rowId = row[ROW_ID];
    const shape = typeof stamp === 'bigint' ? this.#shapes.at(table.id, stamp) : null;
    if (shape === null || typeof stamp !== 'bigint' || typeof rowId !== 'bigint') {
      throw notWritten(table, file, rowId ?? null, stamp ?? null);
    }
    return { stamp, rowId, hash: this.#shapes.leaf(shape, rowId, stamp, row) };
  }

  /** Looks for the rows among the leaves of their transaction, which may have many more. */
  #find(table: Table, file: string, { stamp, rowIds, starts }: Sought): void {
    const leaves = this.#leavesOf(stamp);
    for (let at = 0; at < leaves.length && rowIds.size > 0; at += HASH_BYTES) {
      if (!starts.has(startOf(leaves, at))) continue;
      rowIds.delete(latin1(leaves.subarray(at, at + HASH_BYTES)));
    }
    for (const rowId of rowIds.values()) throw notWritten(table, file, rowId, stamp);
  }

  #leavesOf(stamp: bigint): Uint8Array {
    if (this.#leaves?.stamp === stamp) return this.#leaves.hashes;
    const hashes = this.#reader.database
      .prepare('SELECT leaves FROM main._receipt WHERE stamp=?')
      .pluck()
      .get(stamp) as Uint8Array | undefined;
    this.#leaves = { stamp, hashes: hashes ?? new Uint8Array(0) };
    return this.#leaves.hashes;
  }
}

function notWritten(table: Table, file: string, rowId: Datum, stamp: Datum): StorageError {
  const block = typeof stamp === 'bigint' ? ` as block ${heightOf(stamp)} wrote it` : '';
  return damaged(file, `row ${String(rowId)} of table ${table.name} is not${block}`);
}

/** The first four bytes of a hash. */
function startOf(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** Of a header that need not be one. */
function parentIn(header: Uint8Array): Uint8Array {
  try {
    return decodeHeader(header).parent;
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return new Uint8Array(0);
  }
}
