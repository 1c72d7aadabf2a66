// The writer: makes blocks durable and executes them; recovers after a crash. Shell, synchronous.
//
// Order of a block: execute in an open SQLite transaction of the state → append to the block file, which is the
// one fsync → commit the state and the block index. So nothing is visible that is not durable, and what is
// durable and not yet committed is executed again at the next start. (Syncing in another thread meanwhile was
// tried: waking it takes as long as the disk.) Recovery is that one path:
//
// (1) m is the lowest height that a state shard has applied. Shards ahead of m are taken back to m through
//     their history; if the catalog changed in between, the state is made anew from the chain.
// (2) Blocks m+1 … tip go through the normal apply. The receipts root of each must be what later headers
//     say; otherwise the data is damaged, and the node does not start.

import { StorageError } from '../ledger/error.ts';
import { checkBlock, checkHeader } from '../ledger/block-check.ts';
import { HistoryTree } from '../ledger/history-tree.ts';
import { bodyHash, chunkHash, headerHash, receiptHash } from '../ledger/hash.ts';
import { decodeBody, decodeCertificate, decodeGenesis, decodeHeader } from '../ledger/encoding.ts';
import { merkleRoot } from '../ledger/merkle.ts';
import { equal, hex } from '../ledger/bytes.ts';
import { stampOf } from '../ledger/operation.ts';
import { BlockStore } from './block-store.ts';
import { indexFile, lockDataDirectory, readDataDirectory, shardFile } from './data-directory.ts';
import { Executor } from './executor.ts';
import { catalogChangedAfter, rollBackShard } from './roll-back.ts';
import { removeDatabase, shardsOf } from './state-files.ts';
import { StateStore } from './state-store.ts';
import { guard, logBytes, storageErrorOf } from './sqlite.ts';
import { chunksNamedBy } from './unnamed-chunks.ts';
import type { Bundle } from '../ledger/transaction.ts';
import type { CheckContext, CheckedParent } from '../ledger/block-check.ts';
import type { Catalog } from '../ledger/catalog.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Executed, Genesis, Header } from '../ledger/block.ts';
import type { AppliedBlock } from './apply.ts';
import type { ChainIndex } from './chain-index.ts';
import type { DataDirectory, DirectoryLock } from './data-directory.ts';
import type { StoredBlock } from './block-store.ts';

/** Moments in the life of a block, for tests that stop the process there. */
export type Step = 'begun' | 'executed' | 'durable' | 'committed';

export interface WriterOptions {
  readonly crypto: Crypto;
  /** Public key of this node: its own blocks were checked when they were made. */
  readonly node?: Uint8Array;
  readonly onStep?: (step: Step, height: number) => void;
  readonly segmentBytesMax?: number;
}

/** The newest block, durable and executed. */
export interface Tip {
  readonly height: number;
  /** Hash of the tip's header. */
  readonly hash: Uint8Array;
  readonly timeMs: number;
  /** What the tip's header says was executed. */
  readonly covered: Executed;
  /** What was executed after that, one result for each height up to the tip's. */
  readonly uncovered: readonly Executed[];
  /** Root of the history tree over all headers up to and including the tip's. */
  readonly historyRoot: Uint8Array;
  /** Whether a block with receipts is executed that no header covers yet. */
  readonly unproved: boolean;
  /** Of the catalog after the tip. */
  readonly catalogVersion: number;
}

export interface Appended {
  readonly tip: Tip;
  /** Encoded receipts, in the order of the block's transactions. */
  readonly receipts: readonly Uint8Array[];
}

/** A block with its parts decoded. */
interface BlockAtWork {
  readonly stored: StoredBlock;
  readonly header: Header;
  /** Of the header. */
  readonly hash: Uint8Array;
  readonly bundles: readonly Bundle[];
}

/** What SQLite says of a checkpoint: frames in the log, and how many of them are in the file. */
interface Checkpointed {
  readonly busy: bigint;
  readonly log: bigint;
  readonly checkpointed: bigint;
}

/** Log of a state shard, in bytes, beyond which it is folded into the file. */
const LOG_BYTES_MAX = 128 * 1024 * 1024;
/** Blocks between two looks at the length of the logs. */
const LOG_CHECK_BLOCKS = 64;

export class ChainWriter {
  readonly data: DataDirectory;
  readonly genesis: Genesis;
  readonly #crypto: Crypto;
  readonly #options: WriterOptions;
  readonly #lock: DirectoryLock;
  readonly #blocks: BlockStore;
  #executor: Executor;
  #parent!: CheckedParent;
  /** Results after the one that the newest header says. */
  #uncovered: Executed[] = [];
  /** Newest height with receipts. */
  #receiptsAt = 0;
  #blocksSinceLook = 0;
  #broken = false;

  /**
   * Opens a data directory for writing, and recovers.
   *
   * @throws StorageError locked, foreign, damaged, full, io
   */
  static open(directory: string, options: WriterOptions): ChainWriter {
    const data = readDataDirectory(directory);
    const lock = lockDataDirectory(directory);
    let blocks: BlockStore | null = null;
    let state: StateStore | null = null;
    try {
      const { segmentBytesMax } = options;
      blocks = new BlockStore(directory, segmentBytesMax === undefined ? {} : { segmentBytesMax });
      state = StateStore.open(data, { create: true });
      return new ChainWriter(data, options, lock, blocks, state);
    } catch (error) {
      state?.close();
      blocks?.close();
      lock.release();
      throw storageErrorOf(error, directory);
    }
  }

  private constructor(
    data: DataDirectory,
    options: WriterOptions,
    lock: DirectoryLock,
    blocks: BlockStore,
    state: StateStore,
  ) {
    this.data = data;
    this.#options = options;
    this.#crypto = options.crypto;
    this.#lock = lock;
    this.#blocks = blocks;
    this.#executor = this.#executorOf(state);
    const first = blocks.read(0);
    if (first === null) throw new StorageError('damaged', `${blocks.fileOf(0)}: no block 0`);
    this.genesis = decoded(() => decodeGenesis(first.body), blocks.fileOf(0), 0);
    this.#recover();
    this.#blocks.clearChunks();
  }

  /** As the newest block has left it. */
  get catalog(): Catalog {
    return this.#state.catalog;
  }

  get tip(): Tip {
    const { header, hash, history } = this.#parent;
    return {
      height: header.height,
      hash,
      timeMs: header.timeMs,
      covered: header.executed,
      uncovered: [...this.#uncovered],
      historyRoot: history.root(),
      unproved: this.#receiptsAt > header.executed.height,
      catalogVersion: this.catalog.version,
    };
  }

  /** The history tree over all headers up to the tip's. */
  get history(): HistoryTree {
    return this.#parent.history;
  }

  /**
   * Checks a block, makes it durable and executes it.
   *
   * @throws StorageError after which nothing more may be appended; SqlError never
   */
  append(stored: StoredBlock): Appended {
    if (this.#broken)
      throw new StorageError('io', `${this.data.path}: the writer has failed before`);
    const { height } = stored;
    const block = this.#decoded(stored);
    this.#check(block);
    try {
      this.#state.begin();
      this.#step('begun', height);
      const applied = this.#execute(block);
      this.#step('executed', height);
      this.#blocks.append(stored, this.#blocks.hasUnnamed ? chunksNamedBy(block.bundles) : []);
      this.#step('durable', height);
      this.#state.commit(height);
      this.#step('committed', height);
      this.#advance(block, applied);
      return { tip: this.tip, receipts: applied.transactions.map(({ encoded }) => encoded) };
    } catch (error) {
      throw this.#broke(error);
    }
  }

  /** Whatever it was: a block that may be durable and is not executed is repaired at the next start. */
  #broke(error: unknown): unknown {
    this.#broken = true;
    if (this.#state.database.inTransaction) this.#state.rollback();
    return storageErrorOf(error, shardFile(this.data.path, 0));
  }

  #execute({ stored, header, hash, bundles }: BlockAtWork): AppliedBlock {
    const { history } = this.#parent;
    const headerBytes = stored.header;
    return this.#executor.execute({ header, headerBytes, hash, bundles, history });
  }

  /** Stores a chunk of operations; durable when it returns. Its hash goes into the manifest. */
  putChunk(bytes: Uint8Array): Uint8Array {
    const hash = chunkHash(this.#crypto, bytes);
    this.#blocks.putChunk(hash, bytes);
    return hash;
  }

  /** Takes back chunks that no transaction will name: each as often as it was put. */
  dropChunks(hashes: readonly Uint8Array[]): void {
    this.#blocks.dropChunks(hashes);
  }

  /** Whether `tidy` has something to do. */
  get untidy(): boolean {
    if (this.#blocks.untidy || this.#index.unsorted) return true;
    if (this.#blocksSinceLook < LOG_CHECK_BLOCKS) return false;
    this.#blocksSinceLook = 0;
    const files = [indexFile(this.data.path), ...shardsOf(this.data).map(([, file]) => file)];
    return files.some((file) => logBytes(file) > LOG_BYTES_MAX);
  }

  /** Between two blocks: folds logs into their files, sorts ids, forgets what only recovery could have needed. */
  tidy(): void {
    const { height, timeMs } = this.tip;
    try {
      this.#blocks.tidy();
      const synced = this.#sync();
      this.#state.begin();
      if (synced) this.#state.forget(height, timeMs);
      this.#index.sortIds(height);
      this.#state.commit(height);
    } catch (error) {
      throw this.#broke(error);
    }
  }

  close(): void {
    this.#state.close();
    this.#blocks.close();
    this.#lock.release();
  }

  /**
   * Folds the log of every state shard into its file. Readers may hold one back.
   *
   * @returns whether all that was applied so far is on disk, in every shard: only then can no power loss take one
   *   of them back
   */
  #sync(): boolean {
    const { database } = this.#state;
    const folded = (schema: string, file: string): boolean => {
      const checkpoint = (): unknown => database.pragma(`${schema}.wal_checkpoint(PASSIVE)`);
      const [result] = guard(file, checkpoint) as Checkpointed[];
      return result!.busy === 0n && result!.log === result!.checkpointed;
    };
    folded('chain', indexFile(this.data.path));
    const shards = shardsOf(this.data).map(([schema, file]) => folded(schema, file));
    return !shards.includes(false);
  }

  #step(step: Step, height: number): void {
    this.#options.onStep?.(step, height);
  }

  #decoded(stored: StoredBlock): BlockAtWork {
    const { height } = stored;
    const file = this.#blocks.fileOf(height);
    return {
      stored,
      header: decoded(() => decodeHeader(stored.header), file, height),
      hash: headerHash(this.#crypto, stored.header),
      bundles: decoded(() => decodeBody(stored.body), file, height),
    };
  }

  #check({ stored, header, bundles }: BlockAtWork): void {
    const context: CheckContext = {
      crypto: this.#crypto,
      chainId: this.data.chainId,
      genesis: this.genesis,
      keyOf: (author) => this.#state.catalog.roles.get(author)?.publicKey ?? null,
    };
    const own = this.#options.node !== undefined && equal(this.#options.node, header.proposer);
    if (!equal(header.bodyHash, bodyHash(this.#crypto, stored.body))) {
      const file = this.#blocks.fileOf(stored.height);
      throw new StorageError('damaged', `${file}: body of block ${stored.height} was changed`);
    }
    const certificate = decodeCertificate(stored.certificate);
    const problem = own
      ? checkHeader(context, this.#parent, header)
      : checkBlock(context, this.#parent, { header, bundles, certificate });
    if (problem === null) return;
    throw new StorageError('damaged', `block ${header.height}: ${problem.what} ${problem.message}`);
  }

  #executorOf(state: StateStore): Executor {
    return new Executor(state, this.#crypto, (hash) => this.#blocks.chunk(hash));
  }

  get #state(): StateStore {
    return this.#executor.state;
  }

  get #index(): ChainIndex {
    return this.#executor.index;
  }

  #advance({ header, hash }: BlockAtWork, applied: AppliedBlock): void {
    const { history } = this.#parent;
    history.append(hash);
    this.#parent = { header, hash, history };
    const { height, executed } = header;
    this.#uncovered = this.#uncovered.filter((result) => result.height > executed.height);
    this.#uncovered.push({ height, receiptsRoot: applied.receiptsRoot });
    this.#blocksSinceLook++;
    if (applied.transactions.length > 0) this.#receiptsAt = header.height;
  }

  #recover(): void {
    const tip = this.#blocks.tip;
    const heights = this.#state.heights();
    const lowest = Math.min(...heights);
    if (Math.max(...heights) > tip) {
      const file = shardFile(
        this.data.path,
        heights.findIndex((height) => height > tip),
      );
      throw new StorageError(
        'damaged',
        `${file}: has applied block ${Math.max(...heights)}, but the newest block is ${tip}`,
      );
    }
    if (heights.some((height) => height > lowest)) this.#rollBack(lowest, heights);
    if (this.#index.tip() > tip) this.#index.clear();
    if (Math.min(...this.#state.heights()) < 0) this.#applyGenesis();
    this.#startAt(Math.min(...this.#state.heights()));
    this.#indexMissing();
    for (let height = this.#parent.header.height + 1; height <= tip; height++) this.#replay(height);
  }

  #rollBack(lowest: number, heights: readonly number[]): void {
    if (lowest < 0 || catalogChangedAfter(this.#state, lowest)) return this.#makeAnew();
    this.#state.begin();
    heights.forEach((height, shard) => {
      if (height > lowest) rollBackShard(this.#state, shard, lowest);
    });
    this.#state.database.exec('COMMIT');
    this.#state.reload();
  }

  /** Throws the state away, to be made from the chain. */
  #makeAnew(): void {
    this.#state.close();
    for (const [, file] of shardsOf(this.data)) removeDatabase(file);
    this.#executor = this.#executorOf(StateStore.open(this.data, { create: true }));
  }

  #applyGenesis(): void {
    this.#state.begin();
    this.#executor.genesis(this.genesis);
    this.#state.commit(0);
  }

  /** Takes its place behind the block of `height`, whose header must carry the root of what was executed. */
  #startAt(height: number): void {
    const stored = this.#stored(height);
    const header = decoded(() => decodeHeader(stored.header), this.#blocks.fileOf(height), height);
    const hash = headerHash(this.#crypto, stored.header);
    const history = this.#index.history(this.#crypto, header) ?? this.#historyBefore(height);
    if (!equal(history.root(), header.historyRoot)) {
      const file = this.#blocks.fileOf(height);
      throw new StorageError('damaged', `${file}: headers before block ${height} were changed`);
    }
    history.append(hash);
    this.#parent = { header, hash, history };
    this.#uncovered = [];
    for (let at = header.executed.height + 1; at <= height; at++) {
      this.#uncovered.push({ height: at, receiptsRoot: this.#receiptsRoot(at) });
    }
    const newest = this.#state.database.prepare('SELECT max(stamp) FROM _receipt').pluck().get();
    this.#receiptsAt = newest === null ? 0 : Number((newest as bigint) / stampOf(1, 0));
    this.#checkExecuted(header);
  }

  #historyBefore(height: number): HistoryTree {
    const tree = new HistoryTree(this.#crypto);
    for (let at = 0; at < height; at++) {
      tree.append(headerHash(this.#crypto, this.#stored(at).header));
    }
    return tree;
  }

  #stored(height: number): StoredBlock {
    const stored = this.#blocks.read(height);
    if (stored !== null) return stored;
    throw new StorageError('damaged', `${this.#blocks.fileOf(height)}: block ${height} is missing`);
  }

  /** Writes the entries of the index that are missing, for blocks already executed. */
  #indexMissing(): void {
    const { height: end } = this.#parent.header;
    const start = this.#index.tip() + 1;
    if (start > end) return;
    const history = this.#historyBefore(start);
    this.#state.begin();
    for (let height = start; height <= end; height++) {
      const { header: bytes } = this.#stored(height);
      const header = decodeHeader(bytes);
      const hash = headerHash(this.#crypto, bytes);
      this.#index.put(header, { height, hash, header: bytes }, history);
      history.append(hash);
    }
    this.#state.database.exec('COMMIT');
  }

  #replay(height: number): void {
    const block = this.#decoded(this.#stored(height));
    this.#check(block);
    this.#checkExecuted(block.header);
    this.#state.begin();
    const applied = this.#execute(block);
    this.#state.commit(height);
    this.#advance(block, applied);
  }

  /** What a header says was executed is what this state has executed. */
  #checkExecuted({ height, executed }: Header): void {
    if (equal(executed.receiptsRoot, this.#receiptsRoot(executed.height))) return;
    throw new StorageError(
      'damaged',
      `${shardFile(this.data.path, 0)}: block ${executed.height} was executed otherwise than` +
        ` block ${height} says (receipts root ${hex(executed.receiptsRoot)})`,
    );
  }

  #receiptsRoot(height: number): Uint8Array {
    const hashes = this.#state
      .receiptsAt(height)
      .map((receipt) => receiptHash(this.#crypto, receipt));
    return merkleRoot(this.#crypto, hashes);
  }
}

/** Decodes a part of a block; bytes that do not decode are damage, named by file and height. */
function decoded<T>(decode: () => T, file: string, height: number): T {
  try {
    return decode();
  } catch (error) {
    if (!Error.isError(error) || error.name !== 'FormatError') throw error;
    throw new StorageError('damaged', `${file}: block ${height}: ${error.message}`);
  }
}
