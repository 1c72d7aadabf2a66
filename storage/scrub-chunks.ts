// Re-hashes the chunks of large transactions, some at a time, and names those that are not what their hash says. Shell.
//
// It goes through the block files from the oldest on, whatever names a chunk: one that no block names yet may have been
// promised to others, and is damaged the same way. Which chunks must be there is not looked at: that is for `verify`.

import { statSync } from 'node:fs';
import { equal, hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { chunkHash } from '../ledger/hash.ts';
import type { BlockStore } from './block-store.ts';
import { blockFile } from './data-directory.ts';
import type { Finding } from './finding.ts';
import { guard } from './sqlite.ts';

/** Bytes of chunks of one look, which ends with the chunk that exceeds them: some tenths of a second. */
const LOOK_BYTES = 64 * 1024 * 1024;

const BEGINNING = { file: -1, id: 0n };

interface ChunkRow {
  readonly id: bigint;
  /** As it is stored, which may be no hash. */
  readonly hash: unknown;
  readonly bytes: unknown;
}

export class ChunkScrub {
  readonly #directory: string;
  readonly #blocks: BlockStore;
  readonly #crypto: Crypto;
  /** What was looked at last: the block file by its first height, and the id of the chunk in it. */
  #at = BEGINNING;
  /** Found, and perhaps not repaired yet; by hash in hexadecimal. */
  readonly #doubtful = new Map<string, Extract<Finding, { kind: 'chunk' }>>();

  constructor(directory: string, blocks: BlockStore, crypto: Crypto) {
    this.#directory = directory;
    this.#blocks = blocks;
    this.#crypto = crypto;
  }

  /** How often `next` is called until it has seen all, at most. */
  get looks(): number {
    const files = this.#blocks.segments.map((first) => statSync(blockFile(this.#directory, first)));
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    return Math.ceil(bytes / LOOK_BYTES);
  }

  /** Looks at the next chunks, and after the last one begins anew. @throws StorageError */
  next(): Finding[] {
    const findings: Finding[] = [];
    let bytes = 0;
    while (bytes <= LOOK_BYTES) {
      const row = this.#following();
      if (row === null) {
        this.#at = BEGINNING;
        break;
      }
      if (row.bytes instanceof Uint8Array) bytes += row.bytes.length;
      if (!this.#isSound(row)) findings.push(this.#found(row));
    }
    return findings;
  }

  /** What was found before and is still so. @throws StorageError */
  again(): Finding[] {
    for (const [name, { hash }] of this.#doubtful) {
      const rows = this.#blocks.segments.map((file) => this.#row(file, 'hash=?', hash));
      if (rows.every((row) => row === null || this.#isSound(row))) this.#doubtful.delete(name);
    }
    return [...this.#doubtful.values()];
  }

  /** One at a time: a chunk may have 64 MiB. */
  #following(): ChunkRow | null {
    for (const file of this.#blocks.segments) {
      if (file < this.#at.file) continue;
      const after = file === this.#at.file ? this.#at.id : 0n;
      const row = this.#row(file, 'id>? ORDER BY id LIMIT 1', after);
      if (row === null) continue;
      this.#at = { file, id: row.id };
      return row;
    }
    return null;
  }

  #row(file: number, where: string, bound: bigint | Uint8Array): ChunkRow | null {
    const database = this.#blocks.connection(file);
    const row = guard(blockFile(this.#directory, file), () =>
      database.prepare(`SELECT id, hash, bytes FROM chunk WHERE ${where}`).get(bound),
    );
    return (row as ChunkRow | undefined) ?? null;
  }

  #isSound({ hash, bytes }: ChunkRow): boolean {
    return (
      hash instanceof Uint8Array &&
      bytes instanceof Uint8Array &&
      equal(chunkHash(this.#crypto, bytes), hash)
    );
  }

  #found({ hash }: ChunkRow): Finding {
    const file = blockFile(this.#directory, this.#at.file);
    if (!(hash instanceof Uint8Array))
      return { kind: 'file', message: `${file}: a chunk has no hash` };
    const finding = { kind: 'chunk', file, hash } as const;
    this.#doubtful.set(hex(hash), finding);
    return finding;
  }
}
