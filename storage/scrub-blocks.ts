// Re-reads a range of blocks with the results of their transactions, and names what is not as it was confirmed. Shell.
//
// Blocks are read from the newest down: each must have the hash that the one after it names as its parent, so of two that
// do not fit the earlier one is the damaged one. The newest of all stands by its own certificate.

import { checkCovered } from '../ledger/certificate-check.ts';
import { decodeHeader, decodeReceipt } from '../ledger/encoding.ts';
import { FormatError, isFormatError, isStorageError } from '../ledger/error.ts';
import { bodyHash, headerHash } from '../ledger/hash.ts';
import { concat, equal, utf8 } from '../ledger/bytes.ts';
import { LIMITS } from '../ledger/limits.ts';
import { heightOf, stampOf } from '../ledger/operation.ts';
import { indexFile, shardFile } from './data-directory.ts';
import { certifiedName } from './certified.ts';
import { configOf } from './epochs.ts';
import { latin1 } from './row-shapes.ts';
import { checkStored, leavesAreSound, receiptsRootOf } from './stored-check.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import type { Header } from '../ledger/block.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { BlockStore, StoredBlock } from './block-store.ts';
import type { Finding } from './finding.ts';
import type { StateReader } from './snapshot.ts';
import type { Statement } from './sqlite.ts';
import type { SoundBlock, StoredReceipt } from './stored-check.ts';

/** A row of `_receipt`. */
export interface ReceiptRow extends StoredReceipt {
  readonly stamp: bigint;
  readonly author: bigint;
  readonly sqlstate: string | null;
}

/** What is kept of a sound block: not its body, which may be long. */
interface SeenBlock extends Omit<SoundBlock, 'body'> {
  /** Of each transaction. */
  readonly authors: readonly number[];
}

/** A block that was found sound, with what its header does not say: the same bytes are so again. */
interface KnownBlock {
  readonly block: SeenBlock;
  readonly certificate: Uint8Array;
}

/** Receipts of a block that were found sound, by a hash of what is stored, and their root. */
interface KnownReceipts {
  readonly name: Uint8Array;
  readonly root: Uint8Array;
}

/** Blocks that are remembered as sound: the newest, which each look goes through, and those of a slice in between. */
const KNOWN_MAX = 4_000;

/** What a look at blocks leaves for the look at their rows. */
export interface SeenBlocks {
  readonly findings: readonly Finding[];
  /** By height, of sound blocks. */
  readonly blocks: ReadonlyMap<number, SeenBlock>;
  /** By height; none where they were changed. */
  readonly receipts: ReadonlyMap<number, readonly ReceiptRow[]>;
}

export class BlockScrub {
  readonly #reader: StateReader;
  readonly #blocks: BlockStore;
  readonly #crypto: Crypto;
  /** By number of the epoch. */
  readonly #configs = new Map<number, EpochConfig>();
  /** By height, the one looked at last at the end. */
  readonly #known = new Map<number, KnownBlock>();
  readonly #knownReceipts = new Map<number, KnownReceipts>();
  readonly #indexed: Statement;
  readonly #isCertified: (name: string) => boolean;

  /**
   * @param reader       in a snapshot whenever `check` is called
   * @param isCertified  whether a certificate was checked before, by its name as latin1; see storage/certified.ts
   */
  constructor(
    reader: StateReader,
    blocks: BlockStore,
    crypto: Crypto,
    isCertified: (name: string) => boolean,
  ) {
    this.#reader = reader;
    this.#blocks = blocks;
    this.#crypto = crypto;
    this.#isCertified = isCertified;
    this.#indexed = reader.database.prepare(
      'SELECT hash, time_ms, transactions, header FROM chain.block WHERE height=?',
    );
  }

  /** Checks blocks from one height to another, both included; the state has executed them. */
  check(from: number, to: number): SeenBlocks {
    const findings: Finding[] = [];
    const blocks = this.#checkChain(from, to, findings);
    const receipts = this.#checkReceipts(from, to, blocks, findings);
    return { findings, blocks, receipts };
  }

  #checkChain(from: number, to: number, findings: Finding[]): Map<number, SeenBlock> {
    const sound = new Map<number, SeenBlock>();
    // The index commits a moment after the state, and may not have the newest block yet.
    const indexed = this.#reader.database.prepare('SELECT max(height) FROM chain.block').pluck();
    const newest = Number(indexed.get() ?? -1n);
    let expected = this.#header(to + 1)?.parent ?? null;
    for (let height = to; height >= from; height--) {
      const checked = this.#checkBlock(height, expected, sound.get(height + 1));
      if ('kind' in checked) {
        findings.push(checked);
        const header = expected === null ? null : this.#header(height, expected);
        expected = header?.parent ?? null;
        continue;
      }
      sound.set(height, checked);
      expected = checked.header.parent;
      if (height <= newest && !this.#isIndexed(checked)) {
        findings.push({ kind: 'index', file: indexFile(this.#reader.data.path), height });
      }
    }
    return sound;
  }

  #checkBlock(
    height: number,
    expected: Uint8Array | null,
    child: SeenBlock | undefined,
  ): SeenBlock | Finding {
    const finding = (what: string): Finding => {
      return { kind: 'block', file: this.#blocks.fileOf(height), height, what };
    };
    try {
      const stored = this.#blocks.read(height);
      if (stored === null) return finding('is missing');
      const hash = headerHash(this.#crypto, stored.header);
      if (expected !== null && !equal(hash, expected)) {
        return finding(`block ${height + 1} follows another one`);
      }
      return this.#sound(stored, hash, child);
    } catch (error) {
      if (isFormatError(error)) return finding(error.message);
      // What SQLite cannot read is a matter of the file.
      if (isStorageError(error) && error.fault === 'damaged' && error.cause === undefined) {
        return finding('a part is no bytes');
      }
      throw error;
    }
  }

  /** @throws FormatError */
  #sound(stored: StoredBlock, hash: Uint8Array, child: SeenBlock | undefined): SeenBlock {
    const block = this.#knownAs(stored, hash) ?? this.#checked(stored, hash);
    const problem =
      child === undefined ? null : checkCovered(block.header, block.certificate, child.certificate);
    if (problem !== null) throw new FormatError(problem);
    remember(this.#known, stored.height, { block, certificate: stored.certificate });
    return block;
  }

  /** The block as it was found sound before, where it still has these bytes. */
  #knownAs({ height, body, certificate }: StoredBlock, hash: Uint8Array): SeenBlock | null {
    const known = this.#known.get(height);
    if (known === undefined || !equal(known.block.hash, hash)) return null;
    if (!equal(known.certificate, certificate)) return null;
    return equal(known.block.header.bodyHash, bodyHash(this.#crypto, body)) ? known.block : null;
  }

  #checked(stored: StoredBlock, hash: Uint8Array): SeenBlock {
    const context = { crypto: this.#crypto, chainId: this.#reader.data.chainId };
    const configFor = (header: Header): EpochConfig => this.#configOf(header);
    const name = latin1(certifiedName(this.#crypto, hash, stored.certificate));
    const { body, ...sound } = checkStored(context, configFor, stored, this.#isCertified(name));
    const authors = body.bundles.flatMap(({ author, transactions }) =>
      transactions.map(() => author),
    );
    return { ...sound, authors };
  }

  #configOf({ epoch, height }: Header): EpochConfig {
    let config = this.#configs.get(epoch);
    if (config === undefined) {
      try {
        config = configOf(this.#blocks, height);
      } catch (error) {
        if (!isStorageError(error)) throw error;
        throw new FormatError(`its epoch cannot be read: ${error.message}`);
      }
      if (config.epoch !== epoch) throw new FormatError(`is of epoch ${epoch}, which never was`);
      this.#configs.set(epoch, config);
    }
    return config;
  }

  /** @param hash which the header must have, where it is known */
  #header(height: number, hash: Uint8Array | null = null): Header | null {
    try {
      const header = this.#blocks.read(height)?.header;
      if (header === undefined) return null;
      if (hash !== null && !equal(headerHash(this.#crypto, header), hash)) return null;
      return decodeHeader(header);
    } catch (error) {
      if (isFormatError(error)) return null;
      if (isStorageError(error) && error.fault === 'damaged' && error.cause === undefined)
        return null;
      throw error;
    }
  }

  #isIndexed({ header, hash }: SeenBlock): boolean {
    const found = this.#indexed.get(BigInt(header.height)) as Record<string, unknown> | undefined;
    return (
      found?.['hash'] instanceof Uint8Array &&
      equal(found['hash'], hash) &&
      found['header'] instanceof Uint8Array &&
      equal(headerHash(this.#crypto, found['header']), hash) &&
      found['time_ms'] === BigInt(header.timeMs) &&
      found['transactions'] === BigInt(header.transactionCount)
    );
  }

  #checkReceipts(
    from: number,
    to: number,
    blocks: ReadonlyMap<number, SeenBlock>,
    findings: Finding[],
  ): Map<number, readonly ReceiptRow[]> {
    const roots = this.#rootsOf(from, to, blocks);
    const receipts = this.#receipts(from, to);
    for (let height = from; height <= to; height++) {
      const block = blocks.get(height);
      const rows = receipts.get(height) ?? [];
      if (block !== undefined && this.#areSound(block, rows, roots.get(height))) continue;
      receipts.delete(height);
      if (block === undefined) continue;
      const file = shardFile(this.#reader.data.path, 0);
      findings.push({ kind: 'receipts', file, height });
    }
    return receipts;
  }

  /** What later headers say of the results of these blocks. */
  #rootsOf(
    from: number,
    to: number,
    blocks: ReadonlyMap<number, SeenBlock>,
  ): Map<number, Uint8Array> {
    const roots = new Map<number, Uint8Array>();
    for (let height = from; height <= to + LIMITS.windowMax; height++) {
      const header = blocks.get(height)?.header ?? this.#header(height);
      if (header === null && height > to) break;
      if (header !== null) roots.set(header.executed.height, header.executed.receiptsRoot);
    }
    return roots;
  }

  #receipts(from: number, to: number): Map<number, ReceiptRow[]> {
    const rows = this.#reader.database
      .prepare(
        'SELECT stamp, author, sqlstate, receipt, leaves FROM main._receipt WHERE stamp>=? AND stamp<? ORDER BY stamp',
      )
      .iterate(stampOf(from, 0), stampOf(to + 1, 0)) as Iterable<ReceiptRow>;
    const byHeight = new Map<number, ReceiptRow[]>();
    for (const row of rows) {
      const height = heightOf(row.stamp);
      const list = byHeight.get(height);
      if (list === undefined) byHeight.set(height, [row]);
      else list.push(row);
    }
    return byHeight;
  }

  #areSound(
    { header: { height }, authors }: SeenBlock,
    rows: readonly ReceiptRow[],
    root: Uint8Array | undefined,
  ): boolean {
    if (rows.length !== authors.length) return false;
    const isBytes = (value: unknown): boolean => value instanceof Uint8Array;
    if (!rows.every(({ receipt, leaves }) => isBytes(receipt) && isBytes(leaves))) return false;
    if (rows.some(({ leaves }) => leaves.length % HASH_BYTES !== 0)) return false;
    const placed = rows.every(
      ({ stamp, author }, i) => stamp === stampOf(height, i) && author === BigInt(authors[i]!),
    );
    if (!placed) return false;
    const name = this.#nameOf(rows);
    let known = this.#knownReceipts.get(height);
    if (known === undefined || !equal(known.name, name)) {
      if (!this.#agree(rows)) return false;
      known = { name, root: receiptsRootOf(this.#crypto, rows) };
    }
    remember(this.#knownReceipts, height, known);
    return root === undefined || equal(known.root, root);
  }

  /** A hash of all that is stored of receipts, beside their place. */
  #nameOf(rows: readonly ReceiptRow[]): Uint8Array {
    const lengths = new Uint32Array(rows.length * 2);
    const parts: Uint8Array[] = [new Uint8Array(lengths.buffer)];
    for (const [i, { receipt, leaves }] of rows.entries()) {
      lengths[2 * i] = receipt.length;
      lengths[2 * i + 1] = leaves.length;
      parts.push(receipt, leaves);
    }
    const states = rows.map(({ sqlstate }) => String(sqlstate)).join();
    return this.#crypto.sha256(concat(...parts, utf8(states)));
  }

  /** Whether receipts say what their rows say, and have the leaves that they name. */
  #agree(rows: readonly ReceiptRow[]): boolean {
    try {
      const fits = rows.every(
        ({ sqlstate, receipt }) => sqlstate === (decodeReceipt(receipt).abort?.sqlstate ?? null),
      );
      return fits && leavesAreSound(this.#crypto, rows);
    } catch (error) {
      if (isFormatError(error)) return false;
      throw error;
    }
  }
}

/** Puts the newest at the end, and forgets the oldest. */
function remember<T>(known: Map<number, T>, height: number, value: T): void {
  known.delete(height);
  known.set(height, value);
  if (known.size > KNOWN_MAX) known.delete(known.keys().next().value!);
}
