// Re-reads and re-hashes what a running node has on disk: the newest blocks and their rows again and again, the older ones
// a slice at a time. Shell.
//
// (1) Each look is one snapshot on connections of its own, which only read: nobody waits for it.
// (2) A look is bounded by blocks and by row versions that they have written. Tables are read through once for each.
// (3) Nothing is repaired here; what is found is named (storage/finding.ts), and storage/mend.ts writes.

import { statSync } from 'node:fs';
import { isStorageError } from '../ledger/error.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import { heightOf, stampOf } from '../ledger/operation.ts';
import { BlockStore } from './block-store.ts';
import { namesIn } from './certified.ts';
import { indexFile } from './data-directory.ts';
import { RowShapes, latin1 } from './row-shapes.ts';
import { BlockScrub } from './scrub-blocks.ts';
import { ChunkScrub } from './scrub-chunks.ts';
import { FINDINGS_MAX, RowScrub } from './scrub-rows.ts';
import { StateReader } from './snapshot.ts';
import { shardsOf } from './state-files.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { RepairAnswer, RepairQuestion } from '../ledger/encoding-repair.ts';
import type { Finding } from './finding.ts';

/** Newest blocks that every look goes through. */
export const NEWEST_BLOCKS = 1_000;
/** Blocks of a slice of the older ones. */
const SLICE_BLOCKS = 2_000;
/** Row versions of the blocks of one look, some 100 bytes of memory each; a block with more is looked at alone. */
const VERSIONS_MAX = 200_000;
/** Certificates that are known to be right, of blocks that are still to be looked at. */
const CERTIFIED_MAX = 8_192;
/** Files up to this size are checked page by page once a round; about a second for each 200 MB. */
const FILE_BYTES_MAX = 256 * 1024 * 1024;

/** Blocks from one height to another, both included. */
interface Range {
  readonly from: number;
  readonly to: number;
}

export interface ScrubOptions {
  readonly directory: string;
  readonly crypto: Crypto;
  /** For tests. */
  readonly newestBlocks?: number;
}

export class Scrub {
  readonly #reader: StateReader;
  readonly #store: BlockStore;
  readonly #crypto: Crypto;
  readonly #newestBlocks: number;
  readonly #blocks: BlockScrub;
  readonly #rows: RowScrub;
  readonly #chunks: ChunkScrub;
  /** By their names as latin1. */
  readonly #certified = new Set<string>();
  #shapes: RowShapes | null = null;
  /** Height below which the next slice ends; null: a round begins. */
  #below: number | null = null;
  /** The last slice, if something was found in it. */
  #doubtful: Range | null = null;

  /** @throws StorageError */
  constructor({ directory, crypto, newestBlocks = NEWEST_BLOCKS }: ScrubOptions) {
    this.#reader = StateReader.open(directory);
    this.#store = new BlockStore(directory, { readonly: true });
    this.#crypto = crypto;
    this.#newestBlocks = newestBlocks;
    // Once a block was found sound it is remembered whole.
    const isCertified = (name: string): boolean => this.#certified.delete(name);
    this.#blocks = new BlockScrub(this.#reader, this.#store, crypto, isCertified);
    this.#rows = new RowScrub(this.#reader, this.#store);
    this.#chunks = new ChunkScrub(directory, this.#store, crypto);
  }

  /** Certificates that need not be checked where they are found unchanged. @param names see storage/certified.ts */
  learn(names: Uint8Array): void {
    for (const name of namesIn(names)) {
      if (this.#certified.size >= CERTIFIED_MAX) this.#certified.clear();
      this.#certified.add(latin1(name));
    }
  }

  /** Looks through the newest blocks, and once more through what was not sound in the last slices. */
  newest(): Finding[] {
    return this.#look(() => {
      const findings = this.#foreign();
      const newest = this.#newestRange();
      findings.push(...this.#check(newest), ...this.#chunks.again());
      if (this.#doubtful === null) return findings;
      const again = this.#check(this.#doubtful);
      if (again.length === 0) this.#doubtful = null;
      return [...findings, ...again];
    });
  }

  /** Looks through the next slice below the newest blocks, and at the next chunks of large transactions. */
  slice(): Finding[] {
    return this.#look(() => [...this.#olderBlocks(), ...this.#chunks.next()]);
  }

  /** A round begins with SQLite's own check. */
  #olderBlocks(): Finding[] {
    if (this.#below === null) {
      this.#below = this.#newestRange().from;
      return this.#checkFiles();
    }
    if (this.#below === 0) {
      this.#below = null;
      return [];
    }
    const range = this.#rangeTo(this.#below - 1, SLICE_BLOCKS);
    this.#below = range.from;
    const findings = this.#check(range);
    if (findings.length > 0) this.#doubtful = range;
    return findings;
  }

  /** How often `slice` is called for one round, about. */
  get slices(): number {
    const oldest = Math.max(0, this.#reader.height() - this.#newestBlocks);
    return Math.max(Math.ceil(oldest / SLICE_BLOCKS) + 2, this.#chunks.looks);
  }

  /** Looks up what a peer asks for. */
  answer(question: RepairQuestion): RepairAnswer {
    this.#reader.begin();
    try {
      return this.#answer(question);
    } finally {
      this.#reader.end();
    }
  }

  close(): void {
    this.#reader.close();
    this.#store.close();
  }

  #answer(question: RepairQuestion): RepairAnswer {
    switch (question.kind) {
      case 'block': {
        const stored = this.#store.read(question.height);
        if (stored === null) return { kind: 'nothing' };
        const { header, body, certificate } = stored;
        return { kind: 'block', header, body, certificate };
      }
      case 'receipts': {
        const { height } = question;
        if (height > this.#reader.height()) return { kind: 'nothing' };
        const receipts = this.#reader.database
          .prepare(
            'SELECT receipt, leaves FROM main._receipt WHERE stamp>=? AND stamp<? ORDER BY stamp',
          )
          .all(stampOf(height, 0), stampOf(height + 1, 0)) as {
          receipt: Uint8Array;
          leaves: Uint8Array;
        }[];
        return { kind: 'receipts', receipts };
      }
      case 'versions': {
        const { from, to, leaves } = question;
        return {
          kind: 'versions',
          versions: this.#rows.find(from, to, leaves, this.#shapesNow()),
        };
      }
      default:
        return question satisfies never;
    }
  }

  /** Damage that keeps SQLite from reading is a finding as well. */
  #look(work: () => Finding[]): Finding[] {
    try {
      this.#reader.begin();
      this.#store.refresh(this.#reader.height());
      return work().slice(0, FINDINGS_MAX);
    } catch (error) {
      if (!isStorageError(error) || error.fault !== 'damaged') throw error;
      return [{ kind: 'file', message: error.message }];
    } finally {
      this.#reader.end();
    }
  }

  #check({ from, to }: Range): Finding[] {
    const seen = this.#blocks.check(from, to);
    const open = to === this.#reader.height();
    const rows = this.#rows.check(from, to, open, seen, this.#shapesNow());
    return [...seen.findings, ...rows];
  }

  #newestRange(): Range {
    return this.#rangeTo(this.#reader.height(), this.#newestBlocks);
  }

  /** As many blocks up to a height as one look may go through. */
  #rangeTo(to: number, blocksMax: number): Range {
    const lowest = Math.max(0, to - blocksMax + 1);
    const { database } = this.#reader;
    const among = 'FROM main._receipt WHERE stamp>=? AND stamp<?';
    const stamps = [stampOf(lowest, 0), stampOf(to + 1, 0)];
    const total = database
      .prepare(`SELECT sum(length(leaves)) ${among}`)
      .pluck()
      .get(...stamps);
    if (Number(total ?? 0n) <= VERSIONS_MAX * HASH_BYTES) return { from: lowest, to };
    const sizes = database
      .prepare(`SELECT stamp, length(leaves) ${among} ORDER BY stamp DESC`)
      .raw()
      .iterate(...stamps) as Iterable<[bigint, bigint | null]>;
    let versions = 0;
    for (const [stamp, bytes] of sizes) {
      versions += Number(bytes ?? 0n) / HASH_BYTES;
      const height = heightOf(stamp);
      if (versions > VERSIONS_MAX && height < to) return { from: height + 1, to };
    }
    return { from: lowest, to };
  }

  #shapesNow(): RowShapes {
    const { version } = this.#reader.catalog();
    if (this.#shapes?.version !== version) {
      this.#shapes = new RowShapes(this.#reader.database, this.#crypto);
    }
    return this.#shapes;
  }

  /** What is declared in the files and is neither table nor index: SQLite would carry it out. */
  #foreign(): Finding[] {
    return this.#files().flatMap(([schema, file]): Finding[] => {
      const name = this.#reader.database
        .prepare(`SELECT name FROM ${schema}.sqlite_schema WHERE type NOT IN ('table', 'index')`)
        .pluck()
        .get();
      if (name === undefined) return [];
      return [{ kind: 'file', message: `${file}: ${String(name)} does not belong here` }];
    });
  }

  #checkFiles(): Finding[] {
    return this.#files().flatMap(([schema, file]): Finding[] => {
      if (statSync(file).size > FILE_BYTES_MAX) return [];
      const answer = this.#reader.database.pragma(`${schema}.integrity_check(1)`, { simple: true });
      return answer === 'ok' ? [] : [{ kind: 'file', message: `${file}: ${String(answer)}` }];
    });
  }

  #files(): [schema: string, file: string][] {
    const { data } = this.#reader;
    return [...shardsOf(data), ['chain', indexFile(data.path)]];
  }
}
