// Verifies a whole ledger from its chain alone, offline and in bounded memory. Shell.
//
// Every block is checked (encoding, hashes, links, certificate, signatures, history root) and executed by the
// normal apply into a scratch state; receipts roots must be what later headers say. Where the scratch state
// reaches the height of the live one, both are compared value by value: rows, history, receipts, catalog,
// sequences, idempotency keys, and the block index. Nothing in the directory is changed.
//
// (1) The live files are read in one snapshot, so a running node may go on meanwhile. After a kill the state
//     shards and the block index may lag behind the newest block, each by itself: each is compared at its own
//     height, and the rest of the chain is still executed. Height -1 is that of files that hold nothing yet.
// (2) What the files alone cannot show needs evidence from outside; see verify-evidence.ts.

import { existsSync, mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asParent, checkBlock, checkGenesis } from '../ledger/block-check.ts';
import { isFormatError, isStorageError } from '../ledger/error.ts';
import { HistoryTree } from '../ledger/history-tree.ts';
import { chainIdOf, chunkHash, headerHash } from '../ledger/hash.ts';
import { decodeBody, decodeGenesis, decodeHeader } from '../ledger/encoding.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { genesisConfig } from '../ledger/epoch.ts';
import type { Member } from '../ledger/epoch.ts';
import { equal, hex } from '../ledger/bytes.ts';
import { BlockStore } from './block-store.ts';
import { decodeTransactions } from './apply.ts';
import { frontierAt, sortedTo } from './chain-index.ts';
import { Executor } from './executor.ts';
import {
  blockFile,
  indexFile,
  markerFault,
  markerFile,
  readDataDirectory,
  shardFile,
} from './data-directory.ts';
import { nativeCrypto } from './native-crypto.ts';
import { shardSchema } from './names.ts';
import { PinCheck } from './pins.ts';
import { StateReader } from './snapshot.ts';
import { requireTarget, shardsOf } from './state-files.ts';
import { StateStore } from './state-store.ts';
import { unnamedIn } from './unnamed-chunks.ts';
import { chunksNamedBy } from '../ledger/chunks.ts';
import { chainEvidence, stateEvidence } from './verify-evidence.ts';
import { checkIntegrity, compareFile } from './verify-files.ts';
import type { Catalog } from '../ledger/catalog.ts';
import type { Bundle } from '../ledger/transaction.ts';
import type { CheckedParent } from '../ledger/block-check.ts';
import type { Executed, Genesis, Header } from '../ledger/block.ts';
import type { DataDirectory } from './data-directory.ts';
import type { Pins } from './pins.ts';
import type { Damage } from './verify-files.ts';

export type { Damage } from './verify-files.ts';

export interface VerifyProgress {
  readonly stage: 'files' | 'blocks' | 'rows';
  readonly done: number;
  /** null where it is not known beforehand. */
  readonly total: number | null;
}

export interface VerifyOptions extends Pins {
  /** Folder for the scratch state, as big as the live one; the system's folder for temporary files by default. */
  readonly scratch?: string;
  /** State shards to compare, and nothing else: blocks are checked as far as their execution needs. Default: everything. */
  readonly shards?: readonly number[];
  readonly onProgress?: (progress: VerifyProgress) => void;
}

export interface VerifyResult {
  readonly ok: boolean;
  /** The first damage found, null when all is well. */
  readonly damage: Damage | null;
  readonly chainId: string;
  /** Height of the newest block, and the lowest of the state shards compared. */
  readonly height: number;
  readonly stateHeight: number;
  readonly blocks: number;
  readonly transactions: number;
  /** Rows of all files compared, ledger's own included. */
  readonly rows: number;
  /** What the verdict stands on, and what it cannot see; sentences. */
  readonly evidence: readonly string[];
}

/** Blocks applied in one SQLite transaction of the scratch state. */
const SCRATCH_BATCH_BLOCKS = 256;
const PROGRESS_BLOCKS = 64;
const PROGRESS_ROWS = 16_384;

/** Carries the first damage out of wherever it was found. */
class Found extends Error {
  readonly damage: Damage;
  constructor(damage: Damage) {
    super(damage.message);
    this.damage = damage;
  }
}

/**
 * @throws StorageError foreign (no ledger, other format), io, full; damage is a result, not an error
 */
export async function verifyLedger(
  directory: string,
  options: VerifyOptions = {},
): Promise<VerifyResult> {
  const data = readDataDirectory(directory);
  const known = new PinCheck(options);
  const scratch = mkdtempSync(join(options.scratch ?? tmpdir(), 'trustsql-verify-'));
  const verification = new Verification(data, scratch, known, options);
  try {
    await verification.run();
    return verification.result(null);
  } catch (error) {
    const damage = damageIn(error, directory);
    if (damage === null) throw error;
    return verification.result(damage);
  } finally {
    verification.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}

function damageIn(error: unknown, directory: string): Damage | null {
  if (error instanceof Found) return error.damage;
  if (!isStorageError(error) || (error.fault !== 'damaged' && error.fault !== 'foreign'))
    return null;
  const file = /^(\S+\.sqlite): /.exec(error.message)?.[1];
  return {
    file: file ?? directory,
    message: file === undefined ? error.message : error.message.slice(file.length + 2),
  };
}

class Verification {
  readonly #data: DataDirectory;
  readonly #scratch: string;
  readonly #known: PinCheck;
  readonly #onProgress: VerifyOptions['onProgress'];
  /** Null: everything. */
  readonly #only: ReadonlySet<number> | null;
  #blocks: BlockStore | null = null;
  #live: StateReader | null = null;
  #executor: Executor | null = null;
  /** Height of each state shard, by number. */
  #shardHeights: readonly number[] = [];
  #indexHeight = -1;
  #height = -1;
  #blockCount = 0;
  #transactions = 0;
  #rows = 0;
  /** Receipts roots that a header may still name. */
  #executed: Executed[] = [];
  /** Hashes in hexadecimal of the chunks that no block may name. */
  #unnamed: ReadonlySet<string> = new Set();
  #evidence: readonly string[] = [];

  constructor(
    data: DataDirectory,
    scratch: string,
    known: PinCheck,
    { onProgress, shards }: VerifyOptions,
  ) {
    this.#data = data;
    this.#scratch = scratch;
    this.#known = known;
    this.#onProgress = onProgress;
    this.#only = shards === undefined ? null : new Set(shards);
  }

  async run(): Promise<void> {
    const { chainId, path } = this.#data;
    const stranger = this.#known.chainFault(chainId);
    if (stranger !== null) throw new Found({ file: markerFile(path), message: stranger });
    this.#checkPresent();
    this.#live = StateReader.open(this.#data.path);
    this.#shardHeights = this.#live.beginApart();
    const indexed = this.#indexed();
    this.#blocks = new BlockStore(this.#data.path, { readonly: true });
    this.#checkFiles();
    const { gap } = this.#blocks;
    if (gap !== null) {
      const message = `block ${gap} is missing or was changed`;
      throw new Found({ file: this.#blocks.fileOf(gap), message, height: gap });
    }
    await this.#breathe();
    const genesis = this.#openScratch();
    const tip = this.#blocks.tip;
    this.#checkHeights(tip, indexed);
    this.#compareAt(-1);
    let parent = this.#checkFirst(genesis);
    this.#state.begin();
    this.#executor!.genesis(genesis);
    this.#finishBlock(0);
    for (let height = 1; height <= tip; height++) {
      parent = this.#checkNext(parent, height);
      this.#finishBlock(height);
      if (height % PROGRESS_BLOCKS === 0) {
        this.#progress('blocks', height, tip);
        await this.#breathe();
      }
    }
    this.#state.database.exec('COMMIT');
    this.#conclude(parent);
  }

  /** Lowest and newest height in the block index, -1 when it is empty. */
  #indexed(): [lowest: bigint, newest: bigint] {
    return this.#live!.database.prepare(
      'SELECT coalesce(min(height), -1), coalesce(max(height), -1) FROM chain.block',
    )
      .raw()
      .get() as [bigint, bigint];
  }

  /** Each is one at which there is something to compare with. */
  #checkHeights(tip: number, [lowest, newest]: readonly [bigint, bigint]): void {
    const { path } = this.#data;
    for (const [shard, height] of this.#shardHeights.entries()) {
      if (!Number.isInteger(height) || height < -1) {
        throw new Found({ file: shardFile(path, shard), message: `${height} is not a height` });
      }
      if (height > tip) {
        const message = `the newest block is ${tip}, but the state has applied block ${height}`;
        throw new Found({ file: this.#blocks!.fileOf(tip), message, height: tip + 1 });
      }
    }
    if (lowest < -1n || newest > tip) {
      const message = `the newest block is ${tip}, but the index knows of block ${lowest < -1n ? lowest : newest}`;
      throw new Found({ file: indexFile(path), message, table: 'block' });
    }
    this.#indexHeight = Number(newest);
  }

  #checkPresent(): void {
    const files = [indexFile(this.#data.path), ...shardsOf(this.#data).map(([, path]) => path)];
    for (const each of files) requireTarget(each);
    const file = files.find((each) => !existsSync(each));
    if (file === undefined) return;
    // Unless it is the marker that asks for a file too many.
    this.#blocks = new BlockStore(this.#data.path, { readonly: true });
    this.#readGenesis();
    const unstarted = this.#blocks.tip === 0 && !files.some(existsSync);
    const why = unstarted ? '; the first start of the node makes it' : '';
    throw new Found({ file, message: `the file is missing${why}` });
  }

  result(damage: Damage | null): VerifyResult {
    return {
      ok: damage === null,
      damage,
      chainId: hex(this.#data.chainId),
      height: this.#height,
      stateHeight: this.#shardHeights.length === 0 ? -1 : Math.min(...this.#shardHeights),
      blocks: this.#blockCount,
      transactions: this.#transactions,
      rows: this.#rows,
      evidence: this.#evidence,
    };
  }

  close(): void {
    this.#live?.end();
    this.#live?.close();
    this.#blocks?.close();
    this.#executor?.state.close();
  }

  get #state(): StateStore {
    return this.#executor!.state;
  }

  #progress(stage: VerifyProgress['stage'], done: number, total: number | null): void {
    this.#onProgress?.({ stage, done, total });
  }

  /** Lets signals and the progress line have their turn. */
  #breathe(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** SQLite's own check of every file, and the chunks of large transactions. */
  #checkFiles(): void {
    const shards = shardsOf(this.#data).filter((_, shard) => this.#isCompared(shard));
    const database = this.#live!.database;
    const catalog = this.#liveCatalog();
    const total = shards.length + (this.#only === null ? 1 + this.#blocks!.segments.length : 0);
    let done = 0;
    const found = (damage: Damage | null): void => {
      if (damage !== null) throw new Found(damage);
      this.#progress('files', ++done, total);
    };
    for (const [schema, file] of shards) found(checkIntegrity({ database, schema }, file, catalog));
    if (this.#only !== null) return;
    found(checkIntegrity({ database, schema: 'chain' }, indexFile(this.#data.path), null));
    for (const firstHeight of this.#blocks!.segments) found(this.#checkBlockFile(firstHeight));
    const damage = this.#readUnnamed();
    if (damage !== null) throw new Found(damage);
  }

  /** Chunks of the open file that no block may name; what another file holds as well may be named there. */
  #readUnnamed(): Damage | null {
    const blocks = this.#blocks!;
    const newest = blocks.segments.at(-1);
    if (newest === undefined) return null;
    const listed = unnamedIn(blocks.connection(newest));
    if (listed.has('')) {
      const message = 'a chunk is listed that is not there';
      return { file: blockFile(this.#data.path, newest), message, table: 'unnamed' };
    }
    const holders = blocks.segments
      .filter((firstHeight) => firstHeight !== newest)
      .map((at) => blocks.connection(at).prepare('SELECT 1 FROM chunk WHERE hash=unhex(?)'));
    const only = [...listed].filter((hash) =>
      holders.every((find) => find.get(hash) === undefined),
    );
    this.#unnamed = new Set(only);
    return null;
  }

  /** For naming indexes; a damaged one is reported by the comparison, more exactly. */
  #liveCatalog(): Catalog | null {
    try {
      return this.#live!.catalog();
    } catch (error) {
      if (!isStorageError(error)) throw error;
      return null;
    }
  }

  #checkBlockFile(firstHeight: number): Damage | null {
    const blocks = this.#blocks!;
    const file = blockFile(this.#data.path, firstHeight);
    const database = blocks.connection(firstHeight);
    const damage = checkIntegrity({ database, schema: 'main' }, file, null);
    if (damage !== null) return damage;
    const next = blocks.segments[blocks.segments.indexOf(firstHeight) + 1] ?? blocks.moved + 1;
    const heights = database
      .prepare('SELECT height FROM block WHERE height<? ORDER BY height')
      .pluck()
      .iterate(BigInt(next)) as Iterable<bigint>;
    let expected = firstHeight;
    for (const height of heights) {
      if (Number(height) !== expected) {
        return { file, message: `block ${expected} is missing`, height: expected };
      }
      expected++;
    }
    if (expected !== next)
      return { file, message: `block ${expected} is missing`, height: expected };
    const chunks = database.prepare('SELECT hash, bytes FROM chunk').iterate();
    for (const { hash, bytes } of chunks as Iterable<{ hash: Uint8Array; bytes: Uint8Array }>) {
      if (!equal(chunkHash(nativeCrypto, bytes), hash)) {
        return { file, message: `chunk ${hex(hash)} has other content`, table: 'chunk' };
      }
    }
    return this.#checkBlockSchema(firstHeight, file);
  }

  #checkBlockSchema(firstHeight: number, file: string): Damage | null {
    const names = this.#blocks!.connection(firstHeight)
      .prepare("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
      .pluck()
      .all() as string[];
    const foreign = names.find((name) => !['block', 'chunk', 'unnamed'].includes(name));
    return foreign === undefined ? null : { file, message: `${foreign} does not belong here` };
  }

  /** The genesis record, which the marker speaks of. */
  #readGenesis(): Genesis {
    const blocks = this.#blocks!;
    const first = blocks.read(0);
    if (first === null) {
      throw new Found({ file: blocks.fileOf(0), message: 'block 0 is missing', height: 0 });
    }
    const genesis = this.#decode(0, () => decodeGenesis(first.body));
    const chainId = chainIdOf(nativeCrypto, first.body);
    if (!equal(chainId, this.#data.chainId)) {
      const header = this.#decode(0, () => decodeHeader(first.header));
      // A block that is of the chain it says is sound in itself: it is the marker that was changed.
      if (equal(header.chainId, chainId)) {
        const message = `names chain ${hex(this.#data.chainId)}, and block 0 is of ${hex(chainId)}`;
        throw new Found({ file: markerFile(this.#data.path), message });
      }
      const message = 'block 0 is not the genesis of this chain';
      throw new Found({ file: blocks.fileOf(0), message, height: 0 });
    }
    const message = markerFault(this.#data, genesis);
    if (message !== null) throw new Found({ file: markerFile(this.#data.path), message });
    return genesis;
  }

  /** Makes the empty scratch state; returns the genesis record. */
  #openScratch(): Genesis {
    const blocks = this.#blocks!;
    const genesis = this.#readGenesis();
    this.#takeMembers(genesis.nodes, 0);
    for (const folder of ['chain', 'state']) mkdirSync(join(this.#scratch, folder));
    const data = { ...this.#data, path: this.#scratch };
    const state = StateStore.open(data, { create: true });
    state.database.pragma('synchronous = OFF');
    this.#executor = new Executor(state, nativeCrypto, (hash) => blocks.chunk(hash));
    return genesis;
  }

  /** Members that a block names. */
  #takeMembers(members: readonly Member[], height: number): void {
    const message = this.#known.membersFault(members, height);
    if (message === null) return;
    throw new Found({ file: this.#blocks!.fileOf(height), message, height });
  }

  #checkFirst(genesis: Genesis): CheckedParent {
    const stored = this.#blocks!.read(0)!;
    const header = this.#decode(0, () => decodeHeader(stored.header));
    const certificate = this.#decode(0, () => decodeCertificate(stored.certificate));
    const problem = checkGenesis(nativeCrypto, genesis, header, certificate);
    if (problem !== null) this.#refuse(0, `${problem.what} ${problem.message}`);
    const history = new HistoryTree(nativeCrypto);
    const hash = headerHash(nativeCrypto, stored.header);
    this.#executor!.index.put(
      header,
      { height: 0, hash, header: stored.header },
      frontierAt(history),
    );
    history.append(hash);
    this.#executed = [header.executed];
    this.#count(header, history);
    return { header, hash, history, certificate, config: genesisConfig(genesis) };
  }

  #checkNext(parent: CheckedParent, height: number): CheckedParent {
    const stored = this.#blocks!.read(height);
    if (stored === null) return this.#refuse(height, 'is missing');
    const header = this.#decode(height, () => decodeHeader(stored.header));
    const body = this.#decode(height, () => decodeBody(stored.body));
    const { bundles } = body;
    const certificate = this.#decode(height, () => decodeCertificate(stored.certificate));
    const context = {
      crypto: nativeCrypto,
      chainId: this.#data.chainId,
    };
    const block = { header, ...body, certificate };
    const problem = checkBlock(context, parent, block);
    if (problem !== null) {
      const place = problem.position === null ? '' : ` (${problem.what} ${problem.position})`;
      this.#refuse(height, `${problem.what} ${problem.message}${place}`);
    }
    this.#checkExecuted(header);
    // A block on its way into the block files may not have been executed, which takes its chunks from the list.
    if (this.#unnamed.size > 0 && height <= this.#blocks!.moved) this.#checkNamed(height, bundles);
    const hash = headerHash(nativeCrypto, stored.header);
    const { history } = parent;
    const applied = this.#executor!.execute({
      header,
      headerBytes: stored.header,
      hash,
      bundles,
      transactions: decodeTransactions(nativeCrypto, bundles),
      frontier: frontierAt(history),
    });
    this.#executed.push({ height, receiptsRoot: applied.receiptsRoot });
    history.append(hash);
    this.#count(header, history);
    const next = asParent(parent, block, hash, history);
    if (next.config !== parent.config) this.#takeMembers(next.config.members, height);
    return next;
  }

  #checkExecuted({ height, executed }: Header): void {
    while (this.#executed[0] !== undefined && this.#executed[0].height < executed.height) {
      this.#executed.shift();
    }
    const known = this.#executed[0];
    if (known?.height !== executed.height) {
      this.#refuse(height, `says that block ${executed.height} was executed, which cannot be`);
    }
    if (!equal(known!.receiptsRoot, executed.receiptsRoot)) {
      const message = 'results differ from those that the block after it has signed';
      this.#refuse(executed.height, message);
    }
  }

  /** A chunk that is listed goes when the node starts. */
  #checkNamed(height: number, bundles: readonly Bundle[]): void {
    const lost = chunksNamedBy(bundles).find((hash) => this.#unnamed.has(hex(hash)));
    if (lost !== undefined) {
      this.#refuse(height, `names chunk ${hex(lost)}, which is listed as named by none`);
    }
  }

  #count({ height, transactionCount }: Header, history: HistoryTree): void {
    this.#height = height;
    this.#blockCount++;
    this.#transactions += transactionCount;
    const fault = this.#known.historyFault(history);
    if (fault !== null) this.#refuse(height, fault);
  }

  /** After the execution of a block: compares where the live state stands, commits now and then. */
  #finishBlock(height: number): void {
    this.#state.finish(height);
    const here = height === this.#indexHeight || this.#shardHeights.includes(height);
    if (!here && height % SCRATCH_BATCH_BLOCKS !== 0) return;
    this.#state.database.exec('COMMIT');
    this.#compareAt(height);
    this.#state.begin();
  }

  /** Compares what stands at this height: state shards, the block index, all or none. */
  #compareAt(height: number): void {
    const { path } = this.#data;
    for (const [shard, at] of this.#shardHeights.entries()) {
      if (at === height && this.#isCompared(shard))
        this.#compare(shardSchema(shard), shardFile(path, shard), height);
    }
    if (height === this.#indexHeight && this.#only === null)
      this.#compare('chain', indexFile(path), height);
  }

  #isCompared(shard: number): boolean {
    return this.#only === null || this.#only.has(shard);
  }

  #compare(schema: string, file: string, height: number): void {
    if (schema === 'chain')
      this.#executor!.index.sortIds(Math.min(height, sortedTo(this.#live!.database)));
    const header = height < 0 ? null : decodeHeader(this.#blocks!.read(height)!.header);
    const damage = compareFile({
      file,
      live: { database: this.#live!.database, schema },
      sound: { database: this.#state.database, schema },
      catalog: this.#state.catalog,
      receiptOf: (stamp) => this.#state.receipt(stamp)?.receipt ?? null,
      timeMs: header?.timeMs ?? 0,
      onRow: () => {
        if (++this.#rows % PROGRESS_ROWS === 0) this.#progress('rows', this.#rows, null);
      },
    });
    if (damage !== null) throw new Found(damage);
  }

  #conclude({ header, certificate }: CheckedParent): void {
    const message = this.#known.endFault(header.height);
    if (message !== null) {
      const file = this.#blocks!.fileOf(header.height);
      throw new Found({ file, message, height: header.height + 1 });
    }
    const shardHeights = this.#shardHeights;
    this.#evidence = [
      ...chainEvidence({ crypto: nativeCrypto, header, certificate, known: this.#known }),
      ...stateEvidence({ header, shardHeights, indexHeight: this.#indexHeight }),
      ...(this.#only === null
        ? []
        : [`nothing was compared but state shards ${[...this.#only].join(', ')}`]),
    ];
  }

  #decode<T>(height: number, decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      if (!isFormatError(error)) throw error;
      return this.#refuse(height, error.message);
    }
  }

  #refuse(height: number, message: string): never {
    const file = this.#blocks!.fileOf(height);
    throw new Found({ file, message: `block ${height}: ${message}`, height });
  }
}
