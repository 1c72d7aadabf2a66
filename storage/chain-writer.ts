// The writer: makes blocks durable and executes them; recovers after a crash. Shell.
//
// Order of a block: admitted (checked against the one before), stored (durable, in the journal), executed in an
// SQLite transaction of the state and the block index. The transaction is committed when somebody wants to read
// (`settle`) or has grown: what it holds is durable already, so many blocks may share a commit, as in any database
// with a log. What is durable and not committed is executed again at the next start. Recovery is that one path:
//
// (1) All state shards are brought to one height, the lowest of theirs (storage/align-shards.ts).
// (2) Blocks from there to the tip go through the normal apply. The receipts root of each must be what later headers
//     say; otherwise the data is damaged, and the node does not start.

import { FormatError, StorageError, assert, isFormatError } from '../ledger/error.ts';
import { asParent, checkBlock, checkHeader } from '../ledger/block-check.ts';
import { HistoryTree } from '../ledger/history-tree.ts';
import { bodyHash, chunkHash, headerHash, receiptHash } from '../ledger/hash.ts';
import { decodeHeader } from '../ledger/encoding.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { merkleRoot } from '../ledger/merkle.ts';
import { equal, hex } from '../ledger/bytes.ts';
import { chunksIn } from '../ledger/chunks.ts';
import { stampOf } from '../ledger/operation.ts';
import { decodeBlock, decoded } from './decoded-block.ts';
import { alignShards } from './align-shards.ts';
import { BlockStore } from './block-store.ts';
import { frontierAt } from './chain-index.ts';
import {
  lockDataDirectory,
  markerFault,
  markerFile,
  readDataDirectory,
  shardFile,
} from './data-directory.ts';
import { configAfter, configOf, genesisOf } from './epochs.ts';
import { Executor } from './executor.ts';
import { foldState, logsAreLong } from './fold.ts';
import { StateMender } from './mend.ts';
import { StateStore } from './state-store.ts';
import { checkStored } from './stored-check.ts';
import { isHeavy } from './weight.ts';
import { storageErrorOf } from './sqlite.ts';
import { UnnamedChunks, chunksNamedIn } from './unnamed-chunks.ts';
import type { CheckContext, CheckedParent } from '../ledger/block-check.ts';
import type { Catalog } from '../ledger/catalog.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { Executed, Genesis, Header } from '../ledger/block.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { AppliedBlock, AppliedTransaction } from './apply.ts';
import type { ChainIndex } from './chain-index.ts';
import type { AdmittedBlock, DecodedBlock } from './decoded-block.ts';
import type { Database } from './sqlite.ts';
import type { DataDirectory, DirectoryLock } from './data-directory.ts';
import type { StoredBlock } from './block-store.ts';
import type { Keep, StateRepair } from './mend.ts';

/** Moments in the life of a block, for tests that stop the process there. */
export type Step = 'durable' | 'executed' | 'committed';

export interface WriterOptions {
  readonly crypto: Crypto;
  /** Public key of this node: its own blocks were checked when they were made. */
  readonly node?: Uint8Array;
  readonly onStep?: (step: Step, height: number) => void;
  readonly segmentBytesMax?: number;
  /** Length of the journal's files. */
  readonly journalBytes?: number;
  /** Called before the connection is used for writing: whoever reads through it ends his snapshot. */
  readonly beforeWrite?: () => void;
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
  /** Whether a block with receipts is executed that no header covers yet. */
  readonly unproved: boolean;
  /** Of the catalog after the tip. */
  readonly catalogVersion: number;
}

export interface Appended {
  readonly tip: Tip;
  /** In the order of the block's transactions. */
  readonly receipts: readonly AppliedTransaction[];
}

/** Blocks between two looks at the length of the logs. */
const LOG_CHECK_BLOCKS = 64;
/** Blocks, and transactions in them, that share a commit of the state. */
const COMMIT_BLOCKS_MAX = 256;
const COMMIT_TRANSACTIONS_MAX = 2_048;
/** Blocks after which recovery folds the logs, which would else grow as long as what it writes. */
const REPLAY_FOLD_BLOCKS = 1_024;

export class ChainWriter {
  readonly data: DataDirectory;
  readonly genesis: Genesis;
  readonly blocks: BlockStore;
  readonly #crypto: Crypto;
  readonly #options: WriterOptions;
  readonly #lock: DirectoryLock | null;
  readonly #chunks: UnnamedChunks;
  readonly #executor: Executor;
  /** Of the newest block admitted. */
  #parent!: CheckedParent;
  /** The newest header executed. */
  #executed!: { readonly header: Header; readonly hash: Uint8Array };
  /** Results after the one that the newest header says. */
  #uncovered: Executed[] = [];
  /** Newest height with receipts. */
  #receiptsAt = 0;
  /** Blocks and transactions executed and not committed. */
  #openBlocks = 0;
  #openTransactions = 0;
  #blocksSinceLook = 0;
  #longLogs = false;
  #broken = false;

  /**
   * Opens a data directory for writing, and recovers.
   *
   * @param lock  whether to take the directory's lock, which the caller may hold already
   * @throws StorageError locked, foreign, damaged, full, io
   */
  static open(directory: string, options: WriterOptions, lock = true): ChainWriter {
    const data = readDataDirectory(directory);
    const locked = lock ? lockDataDirectory(directory) : null;
    let blocks: BlockStore | null = null;
    let state: StateStore | null = null;
    try {
      const { segmentBytesMax, journalBytes } = options;
      blocks = new BlockStore(directory, {
        ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }),
        ...(journalBytes === undefined ? {} : { journalBytes }),
      });
      const genesis = genesisOf(blocks);
      const fault = markerFault(data, genesis);
      if (fault !== null) throw new StorageError('damaged', `${markerFile(directory)}: ${fault}`);
      state = StateStore.open(data, { create: true });
      return new ChainWriter(data, genesis, options, locked, blocks, state);
    } catch (error) {
      state?.close();
      blocks?.close();
      locked?.release();
      throw storageErrorOf(error, directory);
    }
  }

  private constructor(
    data: DataDirectory,
    genesis: Genesis,
    options: WriterOptions,
    lock: DirectoryLock | null,
    blocks: BlockStore,
    state: StateStore,
  ) {
    this.data = data;
    this.genesis = genesis;
    this.#options = options;
    this.#crypto = options.crypto;
    this.#lock = lock;
    this.blocks = blocks;
    this.#chunks = new UnnamedChunks(data.path);
    this.#settleBlocks(state.heights());
    const aligned = alignShards(state, blocks, this.#crypto);
    this.#executor = new Executor(aligned, this.#crypto, (hash) => blocks.chunk(hash));
    this.#recover();
  }

  /**
   * What the journal holds goes into the block files. Chunks that no block names go, where this node alone orders the
   * blocks; a member may have voted for one that does: see server/chunks/keeper.ts.
   */
  #settleBlocks(heights: readonly number[]): void {
    // A block takes its chunks from the list before any shard has committed it.
    const lowest = Math.min(this.blocks.moved, ...heights);
    for (let height = lowest + 1; height <= this.blocks.tip && this.#chunks.any; height++) {
      this.#chunks.name(chunksNamedIn(this.#stored(height).body));
    }
    this.blocks.settle();
    if (configAfter(this.blocks, this.blocks.tip).policy === 'solo') this.#chunks.clear();
  }

  /** The connection that writes the state: what it reads it need not read from the files again. */
  get database(): Database {
    return this.#state.database;
  }

  /** As the newest block executed has left it. */
  get catalog(): Catalog {
    return this.#state.catalog;
  }

  /** The newest block executed. */
  get tip(): Tip {
    const { header, hash } = this.#executed;
    return {
      height: header.height,
      hash,
      timeMs: header.timeMs,
      covered: header.executed,
      uncovered: [...this.#uncovered],
      unproved: this.#receiptsAt > header.executed.height,
      catalogVersion: this.catalog.version,
    };
  }

  /** The history tree over all headers admitted. */
  get history(): HistoryTree {
    return this.#parent.history;
  }

  /**
   * Checks a block, makes it durable, executes it, and commits.
   *
   * @throws StorageError after which nothing more may be appended; SqlError never
   */
  append(stored: StoredBlock): Appended {
    const block = this.admit(stored);
    try {
      this.blocks.append(stored);
    } catch (error) {
      throw this.broke(error);
    }
    const appended = this.execute(block);
    this.settle();
    return appended;
  }

  /**
   * Checks a block in its place after the one admitted before it. It is to be stored and executed next.
   *
   * @throws StorageError damaged
   */
  admit(stored: StoredBlock): AdmittedBlock {
    this.#assertSound();
    const block = decodeBlock(this.#crypto, stored, this.blocks.fileOf(stored.height));
    this.#check(block);
    return this.#follows(block);
  }

  /** As `admit` for a block that this process has ordered, and made to follow: nothing is checked or decoded twice. */
  admitOrdered(block: DecodedBlock): AdmittedBlock {
    this.#assertSound();
    return this.#follows(block);
  }

  #assertSound(): void {
    if (!this.#broken) return;
    throw new StorageError('io', `${this.data.path}: the writer has failed before`);
  }

  #follows(block: DecodedBlock): AdmittedBlock {
    const { header, hash } = block;
    const { history } = this.#parent;
    assert(header.height === this.#parent.header.height + 1, 'blocks follow one another');
    const frontier = frontierAt(history);
    history.append(hash);
    this.#parent = asParent(this.#parent, block, hash, history);
    return { ...block, frontier };
  }

  /** Whether a block may take long to execute. */
  isHeavy({ transactions }: AdmittedBlock): boolean {
    return isHeavy(this.#state, transactions);
  }

  /** Of an admitted block's idempotency keys those that blocks before it have taken. */
  takenBefore({ transactions }: AdmittedBlock): Uint8Array {
    const keys = transactions.flatMap(({ transaction }) =>
      transaction === null ? [] : [{ author: transaction.author, key: transaction.idempotencyKey }],
    );
    return this.#state.idempotency.entriesOf(keys);
  }

  /** Executes an admitted block that is stored. What it does is for others to see after `settle`. */
  execute(block: AdmittedBlock): Appended {
    const { stored, header, hash, bundles, transactions, frontier } = block;
    const { height } = stored;
    this.#step('durable', height);
    try {
      this.#begin();
      const headerBytes = stored.header;
      const executing = { header, headerBytes, hash, bundles, transactions, frontier };
      const applied = this.#executor.execute(executing);
      this.#state.endBlock(height);
      const chunks = chunksIn(transactions);
      if (chunks.length > 0) this.#chunks.name(chunks);
      this.#step('executed', height);
      return this.#advance(block, applied);
    } catch (error) {
      throw this.broke(error);
    }
  }

  /** Takes over an admitted and stored block that another connection has executed since the last `settle`. */
  follow(block: AdmittedBlock, applied: AppliedBlock): Appended {
    try {
      const { stored, header, hash, frontier } = block;
      this.#begin();
      this.#state.follow(stored.height);
      const heights = this.#state.heights();
      assert(Math.min(...heights) === stored.height, 'what is followed was committed');
      this.#index.put(header, { height: stored.height, hash, header: stored.header }, frontier);
      return this.#advance(block, applied);
    } catch (error) {
      throw this.broke(error);
    }
  }

  /** Commits what was executed, so that other connections see it. */
  settle(): void {
    if (this.#openBlocks === 0) return;
    const { height } = this.#executed.header;
    try {
      this.assertOpen();
      this.#state.commit(height);
    } catch (error) {
      throw this.broke(error);
    }
    this.#openBlocks = 0;
    this.#openTransactions = 0;
    this.#step('committed', height);
  }

  /** As `settle`, when enough was executed. */
  settleWhenGrown(): void {
    const blocks = this.#openBlocks >= COMMIT_BLOCKS_MAX;
    if (blocks || this.#openTransactions >= COMMIT_TRANSACTIONS_MAX) this.settle();
  }

  /** SQLite undoes a transaction by itself when the disk is full or fails, also under a read of somebody else. */
  assertOpen(): void {
    if (this.#openBlocks === 0 || this.#state.database.inTransaction) return;
    const file = shardFile(this.data.path, 0);
    throw new StorageError('io', `${file}: an open transaction was undone; the disk may be full`);
  }

  #begin(): void {
    this.assertOpen();
    this.#options.beforeWrite?.();
    if (this.#openBlocks === 0) this.#state.begin();
    this.#openBlocks++;
  }

  /** Whatever it was: a block that may be durable and is not executed is repaired at the next start. */
  broke(error: unknown): unknown {
    this.#broken = true;
    if (this.#state.database.inTransaction) this.#state.rollback();
    this.#openBlocks = 0;
    return storageErrorOf(error, shardFile(this.data.path, 0));
  }

  /** Stores a chunk of operations; durable when it returns. Its hash goes into the manifest. */
  putChunk(bytes: Uint8Array): Uint8Array {
    const hash = chunkHash(this.#crypto, bytes);
    this.#chunks.put(hash, bytes);
    return hash;
  }

  /** Takes back chunks that no transaction will name: each as often as it was put. */
  dropChunks(hashes: readonly Uint8Array[]): void {
    this.#chunks.drop(hashes);
  }

  /** Whether `tidy` has something to do. */
  get untidy(): boolean {
    return this.blocks.untidy || this.#index.unsorted || this.logsAreLong;
  }

  /** Whether the log of a file is to be folded in. */
  get logsAreLong(): boolean {
    if (this.#blocksSinceLook >= LOG_CHECK_BLOCKS) {
      this.#blocksSinceLook = 0;
      this.#longLogs = logsAreLong(this.data);
    }
    return this.#longLogs;
  }

  /** Between two blocks: moves blocks, folds logs into their files, sorts ids, forgets what only recovery needs. */
  tidy(): void {
    try {
      this.blocks.tidy();
      this.settle();
      this.#chunks.fold();
      this.fold();
      while (this.#index.waiting > 0) this.sortSome();
    } catch (error) {
      throw this.broke(error);
    }
  }

  /** A part of `tidy` that takes a few milliseconds. @returns whether there is more to do at once */
  tidySome(): boolean {
    try {
      this.blocks.tidySome();
      if (this.#index.unsorted) this.sortSome();
      return this.blocks.moving || this.#index.unsorted;
    } catch (error) {
      throw this.broke(error);
    }
  }

  /** Sorts some ids in. */
  sortSome(): void {
    this.#begin();
    this.#index.sortIds(this.#index.someUpTo(this.#executed.header.height));
    this.settle();
  }

  /**
   * Folds the log of every state file into it. Readers may hold one back. When all that was committed is on disk, in
   * every shard, no power loss can take one of them back, and what only that could have needed is forgotten.
   */
  fold(): void {
    this.settle();
    const { height, timeMs } = this.tip;
    this.#longLogs = false;
    this.#options.beforeWrite?.();
    try {
      if (!foldState(this.#state.database, this.data)) return;
      this.#begin();
      this.#state.forget(height, timeMs);
      this.settle();
    } catch (error) {
      throw this.broke(error);
    }
  }

  /**
   * Writes what is to take the place of damaged rows, receipts and entries of the index, all or nothing.
   *
   * @returns what was done, each as a sentence
   * @throws StorageError damaged: what was sent does not fit, and nothing was changed
   */
  mendState(repair: StateRepair, keep: Keep): readonly string[] {
    this.#assertSound();
    this.settle();
    this.#options.beforeWrite?.();
    const mender = new StateMender(this.#state, this.blocks, this.#crypto);
    this.#state.begin();
    try {
      mender.mend(repair);
      for (const [place, bytes] of mender.gone) keep(place, bytes);
      this.#state.database.exec('COMMIT');
    } catch (error) {
      this.#state.rollback();
      throw storageErrorOf(error, shardFile(this.data.path, 0));
    }
    return mender.done;
  }

  /**
   * Writes a block in the place of a damaged one.
   *
   * @throws StorageError damaged: it is not the block that belongs there, and nothing was changed
   */
  mendBlock(stored: StoredBlock, keep: Keep): readonly string[] {
    this.#assertSound();
    const { height } = stored;
    const child = height < this.tip.height ? this.#stored(height + 1) : null;
    const hash = child === null ? this.tip.hash : decodeHeader(child.header).parent;
    try {
      const { crypto, data } = { crypto: this.#crypto, data: this.data };
      const { config } = this.#parent;
      const configFor = ({ epoch }: Header): EpochConfig =>
        epoch === config.epoch ? config : configOf(this.blocks, height);
      const sound = checkStored({ crypto, chainId: data.chainId }, configFor, stored);
      if (!equal(sound.hash, hash)) throw new FormatError('is another one');
    } catch (error) {
      if (!isFormatError(error)) throw error;
      throw new StorageError('damaged', `not repaired: block ${height}: ${error.message}`);
    }
    this.blocks.mend(stored, keep);
    return [`block ${height} was written anew`];
  }

  /**
   * Writes a chunk in the place of a damaged one.
   *
   * @throws StorageError damaged: it is not the one of this hash, and nothing was changed
   */
  mendChunk(hash: Uint8Array, bytes: Uint8Array, keep: Keep): readonly string[] {
    this.#assertSound();
    if (!equal(chunkHash(this.#crypto, bytes), hash)) {
      throw new StorageError('damaged', `not repaired: chunk ${hex(hash)} is another one`);
    }
    this.blocks.mendChunk(hash, bytes, keep);
    return [`chunk ${hex(hash)} was written anew`];
  }

  close(): void {
    if (!this.#broken) this.settle();
    this.#state.close();
    this.#chunks.close();
    // After a failure the journal keeps what it has for the next start.
    this.blocks.close(!this.#broken);
    this.#lock?.release();
  }

  #step(step: Step, height: number): void {
    this.#options.onStep?.(step, height);
  }

  #check(block: DecodedBlock): void {
    const { stored, header } = block;
    const context: CheckContext = {
      crypto: this.#crypto,
      chainId: this.data.chainId,
    };
    const own = this.#options.node !== undefined && equal(this.#options.node, header.proposer);
    if (!equal(header.bodyHash, bodyHash(this.#crypto, stored.body))) {
      const file = this.blocks.fileOf(stored.height);
      throw new StorageError('damaged', `${file}: body of block ${stored.height} was changed`);
    }
    const problem = own
      ? checkHeader(context, this.#parent, header)
      : checkBlock(context, this.#parent, block);
    if (problem === null) return;
    throw new StorageError('damaged', `block ${header.height}: ${problem.what} ${problem.message}`);
  }

  get #state(): StateStore {
    return this.#executor.state;
  }

  get #index(): ChainIndex {
    return this.#executor.index;
  }

  #advance({ header, hash }: DecodedBlock, applied: AppliedBlock): Appended {
    const { height, executed } = header;
    this.#executed = { header, hash };
    this.#uncovered = this.#uncovered.filter((result) => result.height > executed.height);
    this.#uncovered.push({ height, receiptsRoot: applied.receiptsRoot });
    this.#blocksSinceLook++;
    this.#openTransactions += applied.transactions.length;
    if (applied.transactions.length > 0) this.#receiptsAt = height;
    return { tip: this.tip, receipts: applied.transactions };
  }

  #recover(): void {
    const tip = this.blocks.tip;
    if (this.#index.tip() > tip) this.#index.clear();
    if (Math.min(...this.#state.heights()) < 0) this.#applyGenesis();
    this.#startAt(Math.min(...this.#state.heights()));
    this.#indexMissing();
    for (let height = this.#parent.header.height + 1; height <= tip; height++) this.#replay(height);
    this.settle();
  }

  #applyGenesis(): void {
    this.#state.begin();
    this.#executor.genesis(this.genesis);
    this.#state.commit(0);
  }

  /** Takes its place behind the block of `height`, whose header must carry the root of what was executed. */
  #startAt(height: number): void {
    const stored = this.#stored(height);
    const file = this.blocks.fileOf(height);
    const header = decoded(() => decodeHeader(stored.header), file, height);
    const hash = headerHash(this.#crypto, stored.header);
    const history = this.#index.history(this.#crypto, header) ?? this.#historyBefore(height);
    if (!equal(history.root(), header.historyRoot)) {
      throw new StorageError('damaged', `${file}: headers before block ${height} were changed`);
    }
    history.append(hash);
    const certificate = decoded(() => decodeCertificate(stored.certificate), file, height);
    const config = configAfter(this.blocks, height);
    this.#parent = { header, hash, history, certificate, config };
    this.#executed = { header, hash };
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
    const stored = this.blocks.read(height);
    if (stored !== null) return stored;
    throw new StorageError('damaged', `${this.blocks.fileOf(height)}: block ${height} is missing`);
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
      this.#index.put(header, { height, hash, header: bytes }, frontierAt(history));
      history.append(hash);
    }
    this.#state.database.exec('COMMIT');
  }

  #replay(height: number): void {
    const block = this.admit(this.#stored(height));
    this.#checkExecuted(block.header);
    this.execute(block);
    this.settleWhenGrown();
    if (height % REPLAY_FOLD_BLOCKS === 0) this.fold();
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
