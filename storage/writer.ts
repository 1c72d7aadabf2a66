// The writer as the main thread has it: durable in the journal, executed here, or in its thread when that is long.
// Shell.
//
// To hand a block to another thread and its result back takes, on a machine whose cores sleep, longer than to execute
// it; and with one connection that executes and lets others read when they want to, many blocks share a commit. So
// small blocks are executed in this thread, ADR 0008. The thread beside it does what would keep clients waiting.
//
// (1) One block is stored at a time, while the one before it may be executed: see storage/journal.ts.
// (2) Blocks are executed in their order, each when it is durable.
// (3) While the thread executes, nothing is written to the state here, and nothing is left uncommitted.

import { Worker } from 'node:worker_threads';
import { AssertionError, StorageError } from '../ledger/error.ts';
import { decodeReceipt } from '../ledger/encoding.ts';
import { stampOf } from '../ledger/operation.ts';
import { ChainWriter } from './chain-writer.ts';
import { lockDataDirectory } from './data-directory.ts';
import { configAfter, configOf } from './epochs.ts';
import { Certified } from './certified.ts';
import { nativeCrypto } from './native-crypto.ts';
import type { Genesis } from '../ledger/block.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { HistoryTree } from '../ledger/history-tree.ts';
import type { AppliedBlock } from './apply.ts';
import type { Appended, Tip } from './chain-writer.ts';
import type { AdmittedBlock, DecodedBlock } from './decoded-block.ts';
import type { StoredBlock } from './block-store.ts';
import type { Keep, StateRepair } from './mend.ts';
import type { DirectoryLock } from './data-directory.ts';
import type { Database } from './sqlite.ts';
import type { UnnamedChunk } from './unnamed-chunks.ts';
import type { PackedReceipts, WriterFailure, WriterReply, WriterRequest } from './writer-thread.ts';

/**
 * A block of fewer transactions is synced in this thread: to wake another one takes as long as a quick disk. With more
 * there is something to do meanwhile, to execute it.
 */
const AHEAD_TRANSACTIONS_MIN = 6;
/** Where others want to read meanwhile, they wait for the disk all the same: so many blocks are executed after it. */
const BLOCKS_AFTER_READ = 32;
/** A disk that takes longer to sync, in ms, does so in another thread in any case. */
const SYNC_HERE_MS_MAX = 1;
/** Weight of the newest sync in the mean. */
const SYNC_WEIGHT = 0.1;
/** What was executed is committed after so long, in ms, if nobody has wanted to read before. */
const SETTLE_AFTER_MS = 100;
/** Chunks taken back in one step of the thread, which has others waiting: 0.15 ms each. */
const CHUNKS_DROPPED_AT_ONCE = 32;

type Request = WriterRequest extends infer R
  ? R extends { readonly id: number }
    ? Omit<R, 'id'>
    : never
  : never;

interface Waiting {
  resolve(reply: WriterReply): void;
  reject(error: Error): void;
}

export class Writer {
  readonly #writer: ChainWriter;
  readonly #lock: DirectoryLock;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #failure: Error | null = null;
  readonly #onFailure: (error: Error) => void;
  /** Resolve when the newest block is stored, and when it is executed; null when they are. */
  #storing: Promise<void> | null = null;
  #executing: Promise<unknown> | null = null;
  /** The thread executes a block. */
  #away = false;
  /** A block is executed that may not be durable yet. */
  #ahead = false;
  /** Counts from -BLOCKS_AFTER_READ when somebody has waited for the disk to read what was executed ahead. */
  #blocksSinceRead = 0;
  #folding = false;
  #tending = false;
  #settleTimer: NodeJS.Timeout | null = null;
  /** To be committed when the block executed ahead is durable. */
  #settleNext = false;
  /** Mean time of the last syncs, in ms. */
  #syncMs = 0;
  /** Of the blocks that were appended. */
  readonly certified = new Certified(nativeCrypto);
  /** The newest block executed. */
  tip: Tip;
  /** Called before the connection is used for writing: whoever reads through it ends his snapshot. */
  beforeWrite: () => void = () => undefined;

  /**
   * Takes the directory, has the thread recover the ledger, and opens it.
   *
   * @param node       public key of this node
   * @param onFailure  told once when the thread fails, or what nobody waits for; the node must stop
   * @throws StorageError
   */
  static async open(
    directory: string,
    node: Uint8Array,
    onFailure: (error: Error) => void,
  ): Promise<Writer> {
    const lock = lockDataDirectory(directory);
    const worker = new Worker(new URL('writer-thread.ts', import.meta.url), {
      workerData: { directory, node },
      name: 'writer',
    });
    try {
      await recovered(worker);
      const open = (beforeWrite: () => void): ChainWriter =>
        ChainWriter.open(directory, { crypto: nativeCrypto, node, beforeWrite }, false);
      return new Writer(open, lock, worker, onFailure);
    } catch (error) {
      await worker.terminate();
      lock.release();
      throw error;
    }
  }

  private constructor(
    open: (beforeWrite: () => void) => ChainWriter,
    lock: DirectoryLock,
    worker: Worker,
    onFailure: (error: Error) => void,
  ) {
    const writer = open(() => this.beforeWrite());
    this.#writer = writer;
    this.#lock = lock;
    this.#worker = worker;
    this.tip = writer.tip;
    this.#onFailure = onFailure;
    worker.on('message', (message: WriterReply) => this.#receive(message));
    worker.on('error', (error: Error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new StorageError('io', 'the writer thread has ended')));
  }

  /** The connection that writes the state, to read by: see `beforeRead`. */
  get database(): Database {
    return this.#writer.database;
  }

  /** To be called before a read by that connection: what is executed and not yet durable must not be seen. */
  beforeRead(): void {
    // What was executed and not committed is undone by a failure, though it was acknowledged.
    if (this.#failure !== null) throw this.#failure;
    try {
      this.#writer.assertOpen();
      if (!this.#ahead) return;
      this.#blocksSinceRead = -BLOCKS_AFTER_READ;
      this.#writer.blocks.sync();
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    }
  }

  /** Of the catalog as that connection shows it; null while the thread may change it. */
  get catalogVersion(): number | null {
    return this.#away ? null : this.#writer.catalog.version;
  }

  get genesis(): Genesis {
    return this.#writer.genesis;
  }

  /** The rules by which the next block is ordered. */
  get epochConfig(): EpochConfig {
    return configAfter(this.#writer.blocks, this.tip.height);
  }

  /** The rules by which a stored block was ordered. @throws StorageError */
  configOf(height: number): EpochConfig {
    return configOf(this.#writer.blocks, height);
  }

  /** A stored block; null beyond the newest. @throws StorageError */
  block(height: number): StoredBlock | null {
    return this.#writer.blocks.read(height);
  }

  /** The key of a role, as of the newest block executed; null if it may not sign. */
  keyOf(role: number): Uint8Array | null {
    return this.#writer.catalog.roles.get(role)?.publicKey ?? null;
  }

  /** A copy of the history tree over all headers appended so far, when they are durable and executed. */
  async durableHistory(): Promise<HistoryTree> {
    if (this.#failure !== null) throw this.#failure;
    const history = this.#writer.history.copy();
    await Promise.all([this.#storing, this.#executing]);
    return history;
  }

  /**
   * Makes a block of this process durable and executes it, after those that were appended before. What it has done is
   * for other connections to see after `settle`.
   *
   * @param onStored  called when it is durable, perhaps before it is executed
   * @throws StorageError the block may or may not be durable; nothing more can be appended
   */
  async append(block: DecodedBlock, onStored = (): void => undefined): Promise<Appended> {
    if (this.#failure !== null) throw this.#failure;
    try {
      this.certified.add(block.hash, block.stored.certificate);
      return await this.#append(this.#writer.admitOrdered(block), onStored);
    } catch (error) {
      this.#failure ??= error as Error;
      throw error;
    }
  }

  async #append(block: AdmittedBlock, onStored: () => void): Promise<Appended> {
    if (this.#storing !== null || this.#executing !== null || this.#writer.isHeavy(block)) {
      await this.#store(block);
      onStored();
      return this.#inOrder(block);
    }
    const pays = block.transactions.length >= AHEAD_TRANSACTIONS_MIN && this.#blocksSinceRead > 0;
    this.#blocksSinceRead += 1;
    if (pays || this.#syncMs > SYNC_HERE_MS_MAX) return this.#executeAhead(block, onStored);
    this.#storeNow(block);
    onStored();
    return this.#execute(block);
  }

  #storeNow({ stored }: AdmittedBlock): void {
    const began = performance.now();
    try {
      this.#writer.blocks.append(stored);
    } catch (error) {
      throw this.#writer.broke(error);
    }
    this.#synced(began);
  }

  /** Executes a block while it is stored. Nobody hears of it before it is durable. */
  async #executeAhead(block: AdmittedBlock, onStored: () => void): Promise<Appended> {
    const storing = this.#store(block).then(onStored);
    // Whoever waits hears of a failure below.
    storing.catch(() => undefined);
    const executing = (async () => {
      this.#ahead = true;
      let appended: Appended;
      try {
        appended = this.#writer.execute(block);
        await storing;
        // Whoever has synced meanwhile may have taken the error.
        if (this.#failure !== null) throw this.#failure;
      } finally {
        this.#ahead = false;
      }
      return this.#published(appended);
    })();
    return this.#alone(executing);
  }

  #synced(began: number): void {
    this.#syncMs += (performance.now() - began - this.#syncMs) * SYNC_WEIGHT;
  }

  async #store({ stored }: AdmittedBlock): Promise<void> {
    const before = this.#storing;
    const storing = (async () => {
      if (before !== null) await before;
      const began = performance.now();
      await this.#writer.blocks.appendSoon(stored).catch((error: unknown) => {
        throw this.#writer.broke(error);
      });
      this.#synced(began);
    })();
    this.#storing = storing;
    try {
      await storing;
    } finally {
      if (this.#storing === storing) this.#storing = null;
    }
  }

  /** Executes a stored block after those before it. */
  async #inOrder(block: AdmittedBlock): Promise<Appended> {
    const before = this.#executing;
    const executing = (async () => {
      if (before !== null) await before;
      return this.#writer.isHeavy(block) ? this.#executeAway(block) : this.#execute(block);
    })();
    return this.#alone(executing);
  }

  /** Whoever executes next waits for this. */
  async #alone<T>(executing: Promise<T>): Promise<T> {
    this.#executing = executing;
    try {
      return await executing;
    } finally {
      if (this.#executing === executing) this.#executing = null;
    }
  }

  #execute(block: AdmittedBlock): Appended {
    return this.#published(this.#writer.execute(block));
  }

  /** A durable block was executed. */
  #published(appended: Appended): Appended {
    this.tip = appended.tip;
    if (this.#settleNext) this.#writer.settle();
    else this.#writer.settleWhenGrown();
    this.#settleNext = false;
    this.#tend();
    return appended;
  }

  async #executeAway(block: AdmittedBlock): Promise<Appended> {
    const { height, timeMs } = block.header;
    // With one heavy block after the other there is no other moment.
    this.#writer.tidySome();
    this.#writer.settle();
    this.#away = true;
    try {
      // A copy of its own: of a view the whole buffer behind it would go.
      const body = block.stored.body.slice();
      const taken = this.#writer.takenBefore(block);
      const away = { height, timeMs, body, taken, fold: this.#writer.logsAreLong };
      const message = await this.#ask({ kind: 'execute', block: away });
      if (message.kind !== 'executed') throw unexpected(message);
      this.#away = false;
      return this.#published(this.#writer.follow(block, unpacked(block, message)));
    } catch (error) {
      this.#away = false;
      throw this.#writer.broke(error);
    }
  }

  /** As `ChainWriter.mendState`, between two blocks. */
  mendState(repair: StateRepair, keep: Keep): Promise<readonly string[]> {
    return this.#between(() => this.#writer.mendState(repair, keep));
  }

  /** As `ChainWriter.mendBlock`, between two blocks. */
  mendBlock(block: StoredBlock, keep: Keep): Promise<readonly string[]> {
    return this.#between(() => this.#writer.mendBlock(block, keep));
  }

  /** As `ChainWriter.mendChunk`, between two blocks. */
  mendChunk(hash: Uint8Array, bytes: Uint8Array, keep: Keep): Promise<readonly string[]> {
    return this.#between(() => this.#writer.mendChunk(hash, bytes, keep));
  }

  /** Runs work when nothing is stored or executed; what comes meanwhile waits for it. */
  async #between<T>(work: () => T): Promise<T> {
    if (this.#failure !== null) throw this.#failure;
    const [storing, executing] = [this.#storing, this.#executing];
    const working = (async () => {
      if (storing !== null) await storing;
      if (executing !== null) await executing;
      return work();
    })();
    const done = working.then(
      () => undefined,
      () => undefined,
    );
    this.#storing = done;
    this.#executing = done;
    try {
      return await working;
    } finally {
      if (this.#storing === done) this.#storing = null;
      if (this.#executing === done) this.#executing = null;
    }
  }

  /** Lets other connections see all that was executed; waits until it is durable. */
  settle(): void {
    if (this.#away) return;
    this.beforeRead();
    this.#writer.settle();
  }

  /** Keeps the files in order, a few milliseconds at a time, when nobody waits. */
  #tend(): void {
    this.#settleTimer ??= setTimeout(() => {
      this.#settleTimer = null;
      // Nobody waits for it, so it does not wait for the disk.
      if (this.#ahead) this.#settleNext = true;
      else this.#beside(() => this.settle());
    }, SETTLE_AFTER_MS).unref();
    if (this.#tending || !this.#writer.untidy) return;
    this.#tending = true;
    setImmediate(() => {
      this.#tending = false;
      if (this.#away || this.#ahead || this.#failure !== null) return;
      this.#beside(() => {
        if (this.#writer.tidySome()) this.#tend();
        if (this.#writer.logsAreLong) void this.#fold();
      });
    });
  }

  /** Most of the log is folded in by the thread, the rest, written meanwhile, here: only then it begins anew. */
  async #fold(): Promise<void> {
    if (this.#folding) return;
    this.#folding = true;
    try {
      await this.#ask({ kind: 'fold' });
      if (!this.#away && !this.#ahead && this.#failure === null) this.#writer.fold();
    } catch (error) {
      this.#fail(error as Error);
    } finally {
      this.#folding = false;
    }
  }

  /** Work that nobody waits for: its failure ends the node as one of a block does. */
  #beside(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Stores a chunk of operations and resolves to its hash, when it is durable. */
  async putChunk(bytes: Uint8Array): Promise<Uint8Array> {
    const message = await this.#ask({ kind: 'chunk', bytes });
    if (message.kind !== 'chunk') throw unexpected(message);
    return message.hash;
  }

  /** Whether chunks that were put before are named by no executed block. */
  async hasUnnamedChunks(): Promise<boolean> {
    const message = await this.#ask({ kind: 'unnamed' });
    if (message.kind !== 'unnamed') throw unexpected(message);
    return message.any;
  }

  /** Takes back chunks that no transaction will name: each as often as it was put. */
  async dropChunks(hashes: readonly Uint8Array[]): Promise<void> {
    for (let at = 0; at < hashes.length; at += CHUNKS_DROPPED_AT_ONCE) {
      await this.#ask({ kind: 'drop', hashes: hashes.slice(at, at + CHUNKS_DROPPED_AT_ONCE) });
    }
  }

  /** Takes over the chunks that a process before has stored and no block names: each is to be dropped once. */
  async adoptChunks(): Promise<readonly UnnamedChunk[]> {
    const message = await this.#ask({ kind: 'adopt' });
    if (message.kind !== 'adopted') throw unexpected(message);
    return message.chunks;
  }

  /** A stored chunk. @throws StorageError damaged when there is none */
  chunk(hash: Uint8Array): Uint8Array {
    return this.#writer.blocks.chunk(hash);
  }

  /** Whether a block that was executed names this chunk, which then stays. */
  isNamed(hash: Uint8Array): boolean {
    return this.#writer.blocks.isNamed(hash);
  }

  /** Finishes what was asked for, closes the files and ends the thread. */
  async close(): Promise<void> {
    if (this.#settleTimer !== null) clearTimeout(this.#settleTimer);
    try {
      if (this.#failure === null) {
        await this.#closeThread();
      } else {
        this.#writer.broke(this.#failure);
        // It may still hold its files and, with them, the process.
        await this.#worker.terminate();
      }
    } finally {
      this.#writer.close();
      this.#lock.release();
    }
  }

  async #closeThread(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    const closed = this.#ask({ kind: 'close' });
    // Whoever asks from now on is refused, and the end of the thread is no failure.
    this.#failure = new StorageError('io', 'the writer is closed');
    await Promise.race([closed, ended]);
    await ended;
  }

  #ask(request: Request): Promise<WriterReply> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...request } as WriterRequest);
    });
  }

  #receive(message: WriterReply): void {
    if (message.kind === 'recovered') return;
    const waiting = message.id === null ? undefined : this.#waiting.get(message.id);
    if (message.kind === 'failed') {
      const error = errorOf(message.failure);
      if (waiting === undefined) return this.#fail(error);
      waiting.reject(error);
    } else {
      waiting?.resolve(message);
    }
    if (message.id !== null) this.#waiting.delete(message.id);
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
    this.#onFailure(error);
  }
}

function recovered(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (first: WriterReply) => {
      worker.off('error', reject);
      if (first.kind === 'recovered') resolve();
      else reject(first.kind === 'failed' ? errorOf(first.failure) : unexpected(first));
    });
  });
}

/** The thread's answer as if the block had been executed here. */
function unpacked(
  { header, bundles }: AdmittedBlock,
  message: { readonly receipts: PackedReceipts; readonly receiptsRoot: Uint8Array },
): AppliedBlock {
  const { bytes, ends } = message.receipts;
  const authors = bundles.flatMap(({ author, transactions }) => transactions.map(() => author));
  const transactions = authors.map((author, i) => {
    const encoded = bytes.subarray(i === 0 ? 0 : ends[i - 1], ends[i]);
    return { stamp: stampOf(header.height, i), author, receipt: decodeReceipt(encoded), encoded };
  });
  return { transactions, receiptsRoot: message.receiptsRoot };
}

function errorOf({ fault, message }: WriterFailure): Error {
  return fault === null ? new AssertionError(message) : new StorageError(fault, message);
}

function unexpected(reply: WriterReply): Error {
  return new AssertionError(`the writer thread answered ${reply.kind}`);
}
