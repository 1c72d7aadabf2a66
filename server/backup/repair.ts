// Repairs the files of a node alone, which has no peers to ask, while it is stopped: from its own chain, and from a backup. Shell.
//
// (1) `verify` says what is damaged, one place after the other, and at last that nothing is.
// (2) State and block index are made anew from the chain. A file with blocks is written anew, of the backup's blocks and of
//     the newer ones that it has itself, each checked by its place in the chain, and takes its place by one rename.
// (3) What was damaged is in `evidence/` before anything takes its place.

import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { StorageError, isStorageError } from '../../ledger/error.ts';
import { BlockStore } from '../../storage/block-store.ts';
import { ChainCheck, copyBlocks } from '../../storage/chain-copy.ts';
import type { BlockSource, CopiedChain } from '../../storage/chain-copy.ts';
import { ChainWriter } from '../../storage/chain-writer.ts';
import { blockFile, blockFiles, indexFile, onDisk } from '../../storage/data-directory.ts';
import type { DataDirectory } from '../../storage/data-directory.ts';
import { makeFolder, syncFile, syncFolder } from '../../storage/durable-file.ts';
import { configAfter } from '../../storage/epochs.ts';
import { removeDatabase, shardsOf } from '../../storage/state-files.ts';
import { verifyLedger } from '../../storage/verify.ts';
import type { VerifyProgress, VerifyResult } from '../../storage/verify.ts';
import type { Clock } from '../clock.ts';
import { chainOf, checkFiles } from './check.ts';
import { BackupDirectory } from './directory.ts';

/** Damaged files that one repair treats; each takes a whole verification. */
const ROUNDS_MAX = 100;

export interface RepairOptions {
  /** Locked by the caller. */
  readonly data: DataDirectory;
  /** The backup; null: there is none. */
  readonly from: string | null;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly onProgress: (progress: VerifyProgress) => void;
}

export interface Repaired {
  /** Sentences. */
  readonly done: readonly string[];
  /** What was found at last: sound, or what cannot be repaired. */
  readonly verified: VerifyResult;
  /** Why the rest was not repaired; null when all is sound. */
  readonly missing: string | null;
}

/** @throws StorageError foreign: the backup is of another chain; damaged: the backup is; io, full */
export async function repairOffline(options: RepairOptions): Promise<Repaired> {
  const { data, onProgress } = options;
  const backup = options.from === null ? null : openBackup(options, options.from);
  const done: string[] = [];
  try {
    for (let round = 0; ; round++) {
      const verified = await verifyLedger(data.path, { onProgress });
      if (verified.damage === null) return { done, verified, missing: null };
      const { file } = verified.damage;
      const what = round < ROUNDS_MAX ? treat(options, file, backup) : null;
      if (what === null) return { done, verified, missing: whyNot(data, file, backup) };
      done.push(what);
    }
  } finally {
    backup?.chain.close();
  }
}

interface Backup {
  readonly chain: CopiedChain;
  readonly height: number;
}

function openBackup({ data, crypto }: RepairOptions, from: string): Backup {
  const directory = new BackupDirectory(from);
  const manifest = directory.read();
  if (manifest.chainId !== hex(data.chainId)) {
    const message = `a backup of chain ${manifest.chainId}, and this is ${hex(data.chainId)}`;
    throw new StorageError('foreign', `${from}: ${message}`);
  }
  checkFiles(directory, manifest, () => undefined);
  const chain = chainOf(directory, manifest);
  const check = new ChainCheck(crypto, data.chainId, chain, 0);
  for (let height = 0; height <= manifest.height; height++) check.next();
  if (configAfter(chain, manifest.height).policy !== 'solo') {
    chain.close();
    const message = 'several nodes order this ledger: start the node, and it is repaired from them';
    throw new StorageError('foreign', `${from}: ${message}`);
  }
  return { chain, height: manifest.height };
}

/** @returns what was done, or null when nothing can be */
function treat(options: RepairOptions, file: string, backup: Backup | null): string | null {
  const { data } = options;
  if (isDerived(data, file)) return remake(options, file);
  const firstHeight = blockFiles(data.path).find((first) => blockFile(data.path, first) === file);
  if (firstHeight === undefined || backup === null || firstHeight > backup.height) return null;
  return rewrite(options, firstHeight, backup);
}

function whyNot(data: DataDirectory, file: string, backup: Backup | null): string {
  if (dirname(file) !== join(data.path, 'chain')) return `${file} is not repaired by this command`;
  return backup === null
    ? `${file} is repaired from a backup: give it with --from`
    : `${file} has what the backup has not, or cannot be read: see docs/operations.md, Backup`;
}

function isDerived(data: DataDirectory, file: string): boolean {
  return file === indexFile(data.path) || shardsOf(data).some(([, shard]) => shard === file);
}

/** The shards are made anew together: one alone would lack what the others have applied. */
function remake({ data, crypto, clock }: RepairOptions, file: string): string {
  keep(data, clock, file);
  const files = file === indexFile(data.path) ? [file] : shardsOf(data).map(([, shard]) => shard);
  onDisk(file, () => files.forEach(removeDatabase));
  ChainWriter.open(data.path, { crypto }, false).close();
  return `${file} was made anew from the chain`;
}

function rewrite(options: RepairOptions, firstHeight: number, backup: Backup): string | null {
  const { data, clock } = options;
  const path = blockFile(data.path, firstHeight);
  const draft = join(data.path, 'chain', 'repair.new');
  onDisk(draft, () => removeDatabase(draft));
  const last = writeDraft(options, firstHeight, backup, draft);
  if (last === null) {
    onDisk(draft, () => removeDatabase(draft));
    return null;
  }
  keep(data, clock, path);
  onDisk(path, () => {
    syncFile(draft);
    // A log of the damaged file would be read into the new one. What is not in the backup is in the draft and in the evidence.
    for (const end of ['-wal', '-shm']) rmSync(path + end, { force: true });
    renameSync(draft, path);
    syncFolder(dirname(path));
  });
  return `${path} was written anew, blocks ${firstHeight} to ${Math.min(backup.height, last)} from the backup`;
}

/** @returns height of the last block in it; null when a block is neither in the backup nor sound here */
function writeDraft(
  { data, crypto }: RepairOptions,
  firstHeight: number,
  backup: Backup,
  draft: string,
): number | null {
  let local: BlockStore | null = null;
  try {
    local = new BlockStore(data.path, { readonly: true });
    const last = lastOf(local, firstHeight);
    const check = new ChainCheck(crypto, data.chainId, merged(backup, local), firstHeight);
    const onBlock = (): void => undefined;
    copyBlocks(draft, check, { from: firstHeight, to: last, bytesMax: Infinity, onBlock });
    // What comes after it must follow.
    if (last < local.tip) check.next();
    return last;
  } catch (error) {
    if (!isStorageError(error) || error.fault !== 'damaged') throw error;
    return null;
  } finally {
    local?.close();
  }
}

/** Height of the last block that a file holds. */
function lastOf(local: BlockStore, firstHeight: number): number {
  const next = local.segments[local.segments.indexOf(firstHeight) + 1];
  return next === undefined ? local.moved : next - 1;
}

/** The backup's blocks as far as it goes, then those that are here. */
function merged({ chain, height }: Backup, local: BlockStore): BlockSource {
  return {
    read: (at) => (at <= height ? chain.read(at) : local.read(at)),
    fileOf: (at) => (at <= height ? chain.fileOf(at) : local.fileOf(at)),
    chunk(hash) {
      try {
        return chain.chunk(hash);
      } catch {
        return local.chunk(hash);
      }
    },
  };
}

/** Copies a damaged file, with its log, to where evidence is kept. */
function keep({ path }: DataDirectory, clock: Clock, file: string): void {
  const folder = join(path, 'evidence');
  const time = new Date(clock.now()).toISOString().replaceAll(':', '');
  onDisk(folder, () => {
    makeFolder(folder);
    for (const end of ['', '-wal']) {
      if (!existsSync(file + end)) continue;
      const to = join(folder, `${time}-${basename(file)}${end}`);
      copyFileSync(file + end, to);
      syncFile(to);
    }
    syncFolder(folder);
  });
}
