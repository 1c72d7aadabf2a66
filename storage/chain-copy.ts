// Copies a chain, or a part of it, into block files of its own: for a backup, and back from one. Shell.
//
// (1) What is copied was checked: links, certificates, bodies, chunks. Nothing is executed, so results are not checked.
// (2) Blocks do not change, so a node may go on meanwhile. They are read one at a time: a reader that stayed in a block
//     file would keep the node from sealing it.

import { closeSync, existsSync, fdatasyncSync, openSync } from 'node:fs';
import { checkGenesis } from '../ledger/block-check.ts';
import { checkCovered } from '../ledger/certificate-check.ts';
import { chunksNamedBy } from '../ledger/chunks.ts';
import { decodeGenesis, decodeHeader } from '../ledger/encoding.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { FormatError, StorageError, isFormatError } from '../ledger/error.ts';
import { genesisConfig, nextConfig } from '../ledger/epoch.ts';
import { chunkHash, headerHash } from '../ledger/hash.ts';
import { equal, hex } from '../ledger/bytes.ts';
import { BLOCK_TABLES, BlockStore } from './block-store.ts';
import { journalFile } from './data-directory.ts';
import { configAfter } from './epochs.ts';
import { guarded } from './reserved-file.ts';
import { guard, openDatabase } from './sqlite.ts';
import { checkStored } from './stored-check.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { StoredBlock } from './block-store.ts';
import type { Database, Statement } from './sqlite.ts';
import type { SoundBlock } from './stored-check.ts';

/** Where blocks come from. */
export type BlockSource = Pick<BlockStore, 'read' | 'chunk' | 'fileOf'>;

/** Looks at a directory whose node moves blocks meanwhile, and the pause between two, in ms. */
const LOOKS_MAX = 50;
const LOOK_PAUSE_MS = 20;

/** Blocks that share an SQLite transaction of the copy. */
const BATCH_BLOCKS = 256;

/** The blocks of a data directory up to a height, all of them on disk: no power loss can take back what is copied. */
export interface OpenChain {
  /** Its tip goes on with the node. */
  readonly blocks: BlockStore;
  readonly height: number;
}

/**
 * Opens the blocks of a data directory whose node may run, up to the newest one of now.
 *
 * @throws StorageError damaged when a block is missing before others
 */
export function openChain(directory: string): OpenChain {
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    // What looks like a gap may be blocks on their way from the journal into the block files.
    for (let look = 1; blocks.gap !== null; look++) {
      if (look === LOOKS_MAX) {
        const message = `block ${blocks.gap} is missing or was changed`;
        throw new StorageError('damaged', `${blocks.fileOf(blocks.gap)}: ${message}`);
      }
      pause(LOOK_PAUSE_MS);
      blocks.refresh();
    }
    const height = blocks.tip;
    syncJournal(directory);
    return { blocks, height };
  } catch (error) {
    blocks.close();
    throw error;
  }
}

/** The newest record may have been written and not synced yet. */
function syncJournal(directory: string): void {
  for (const path of [0, 1].map((which) => journalFile(directory, which))) {
    if (!existsSync(path)) continue;
    guarded(path, () => {
      const file = openSync(path, 'r+');
      try {
        fdatasyncSync(file);
      } finally {
        closeSync(file);
      }
    });
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Checks blocks, one after the other in their order. */
export class ChainCheck {
  readonly #crypto: Crypto;
  readonly #chainId: Uint8Array;
  readonly #source: BlockSource;
  #height: number;
  #parent: Omit<SoundBlock, 'body'> | null = null;
  #config!: EpochConfig;

  /** @param from  height of the first block to be checked; what is before it was checked at another time */
  constructor(crypto: Crypto, chainId: Uint8Array, source: BlockSource, from: number) {
    this.#crypto = crypto;
    this.#chainId = chainId;
    this.#source = source;
    this.#height = from;
    if (from > 0) this.#beginAfter(from - 1);
  }

  /** The newest block checked; null before block 0. */
  get newest(): Omit<SoundBlock, 'body'> | null {
    return this.#parent;
  }

  /** The rules after the newest block checked; the same object as long as they are the same. */
  get config(): EpochConfig {
    return this.#config;
  }

  /** @throws StorageError damaged, naming the block */
  next(): { readonly stored: StoredBlock; readonly chunks: readonly Uint8Array[] } {
    const height = this.#height;
    const stored = this.#stored(height);
    const sound = this.#refusing(height, () =>
      height === 0 ? this.#checkFirst(stored) : this.#checkNext(stored),
    );
    this.#height = height + 1;
    return { stored, chunks: chunksNamedBy(sound.body.bundles) };
  }

  /** A chunk of a block. @throws StorageError damaged */
  chunk(hash: Uint8Array): Uint8Array {
    const bytes = this.#source.chunk(hash);
    if (equal(chunkHash(this.#crypto, bytes), hash)) return bytes;
    const file = this.#source.fileOf(this.#height - 1);
    throw new StorageError('damaged', `${file}: chunk ${hex(hash)} has other content`);
  }

  #beginAfter(height: number): void {
    const { header: bytes, certificate } = this.#stored(height);
    this.#parent = this.#refusing(height, () => ({
      header: decodeHeader(bytes),
      hash: headerHash(this.#crypto, bytes),
      certificate: decodeCertificate(certificate),
    }));
    this.#config = configAfter(this.#source, height);
  }

  #checkFirst(stored: StoredBlock): SoundBlock {
    const genesis = decodeGenesis(stored.body);
    const header = decodeHeader(stored.header);
    const certificate = decodeCertificate(stored.certificate);
    const problem = checkGenesis(this.#crypto, genesis, header, certificate);
    if (problem !== null) throw new FormatError(problem.message);
    if (!equal(header.chainId, this.#chainId)) throw new FormatError('is of another chain');
    this.#config = genesisConfig(genesis);
    const hash = headerHash(this.#crypto, stored.header);
    this.#parent = { header, hash, certificate };
    return { ...this.#parent, body: { bundles: [], system: [] } };
  }

  #checkNext(stored: StoredBlock): SoundBlock {
    const parent = this.#parent!;
    const context = { crypto: this.#crypto, chainId: this.#chainId };
    const sound = checkStored(context, () => this.#config, stored);
    if (!equal(sound.header.parent, parent.hash)) {
      throw new FormatError('does not follow the block before it');
    }
    const problem = checkCovered(parent.header, parent.certificate, sound.certificate);
    if (problem !== null) throw new FormatError(problem);
    this.#config = nextConfig(this.#config, sound.header, sound.body.system);
    this.#parent = sound;
    return sound;
  }

  #stored(height: number): StoredBlock {
    const stored = this.#source.read(height);
    if (stored !== null) return stored;
    throw new StorageError('damaged', `${this.#source.fileOf(height)}: block ${height} is missing`);
  }

  #refusing<T>(height: number, check: () => T): T {
    try {
      return check();
    } catch (error) {
      if (!isFormatError(error)) throw error;
      const file = this.#source.fileOf(height);
      throw new StorageError('damaged', `${file}: block ${height}: ${error.message}`);
    }
  }
}

export interface CopyOptions {
  readonly from: number;
  readonly to: number;
  /** The file ends with the block that takes it beyond this length. */
  readonly bytesMax: number;
  /** Of the file, if it holds blocks before `from` already. */
  readonly bytes?: number;
  readonly onBlock: (height: number) => void;
}

/**
 * Writes blocks into a block file, with the chunks that they name; it is not synced. A file that is there goes on.
 *
 * @param check  which is at `from`
 * @returns      height of the last block written
 * @throws StorageError damaged, full, io; the file is to be thrown away then
 */
export function copyBlocks(path: string, check: ChainCheck, options: CopyOptions): number {
  const { from, to, bytesMax, onBlock } = options;
  const isNew = !existsSync(path);
  const database = openDatabase(path, { once: true });
  try {
    if (isNew) guard(path, () => database.exec(BLOCK_TABLES));
    const put = putInto(database);
    let bytes = options.bytes ?? 0;
    let height = from;
    while (height <= to && bytes <= bytesMax) {
      guard(path, () => database.exec('BEGIN'));
      for (let i = 0; i < BATCH_BLOCKS && height <= to && bytes <= bytesMax; i++, height++) {
        const { stored, chunks } = check.next();
        bytes += guard(path, () => put.block(stored));
        for (const hash of chunks) {
          const chunk = check.chunk(hash);
          bytes += guard(path, () => put.chunk(hash, chunk));
        }
        onBlock(height);
      }
      guard(path, () => database.exec('COMMIT'));
    }
    return height - 1;
  } finally {
    database.close();
  }
}

/** @returns what writes to a block file, and says how many bytes that were */
function putInto(database: Database): {
  block(stored: StoredBlock): number;
  chunk(hash: Uint8Array, bytes: Uint8Array): number;
} {
  const block = database.prepare('INSERT INTO block VALUES(?,?,?,?)');
  const chunk = database.prepare(
    'INSERT INTO chunk(hash, bytes) VALUES(?,?) ON CONFLICT(hash) DO NOTHING',
  );
  return {
    block({ height, header, body, certificate }) {
      block.run(BigInt(height), header, body, certificate);
      return header.length + body.length + certificate.length;
    },
    chunk: (hash, bytes) => chunk.run(hash, bytes).changes * bytes.length,
  };
}

/** A block file that `copyBlocks` has written, and which blocks it holds. */
export interface CopiedFile {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

interface OpenCopy extends CopiedFile {
  readonly database: Database;
  readonly read: Statement;
  readonly chunk: Statement;
}

/** The blocks of such files, to be read. */
export class CopiedChain implements BlockSource {
  readonly #files: readonly CopiedFile[];
  readonly #open = new Map<CopiedFile, OpenCopy>();

  /** @param files  at least one; their blocks follow one another from 0 on */
  constructor(files: readonly CopiedFile[]) {
    this.#files = files;
  }

  fileOf(height: number): string {
    return (this.#files.find(({ to }) => height <= to) ?? this.#files.at(-1)!).path;
  }

  read(height: number): StoredBlock | null {
    const file = this.#files.find(({ from, to }) => from <= height && height <= to);
    if (file === undefined) return null;
    const { path, read } = this.#opened(file);
    const found = guard(path, () => read.get(BigInt(height))) as
      Omit<StoredBlock, 'height'> | undefined;
    return found === undefined ? null : { height, ...found };
  }

  chunk(hash: Uint8Array): Uint8Array {
    for (const file of this.#files.toReversed()) {
      const { path, chunk } = this.#opened(file);
      const found = guard(path, () => chunk.get(hash)) as { bytes: Uint8Array } | undefined;
      if (found !== undefined) return found.bytes;
    }
    const { path } = this.#files.at(-1)!;
    throw new StorageError('damaged', `${path}: chunk ${hex(hash)} is missing`);
  }

  close(): void {
    for (const { database } of this.#open.values()) database.close();
    this.#open.clear();
  }

  #opened(file: CopiedFile): OpenCopy {
    let open = this.#open.get(file);
    if (open === undefined) {
      const database = openDatabase(file.path, { readonly: true });
      open = {
        ...file,
        database,
        read: database.prepare('SELECT header, body, certificate FROM block WHERE height=?'),
        chunk: database.prepare('SELECT bytes FROM chunk WHERE hash=?'),
      };
      this.#open.set(file, open);
    }
    return open;
  }
}
