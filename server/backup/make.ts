// Makes a backup of a data directory whose node may run, or brings one up to date. Shell.
//
// A backup is the chain with its chunks, and the secrets as they are, sealed under the master key. State is not copied:
// it follows from the chain, and whoever restores makes it anew and so proves it.
//
// (1) The height is chosen first, and everything up to it is on disk. A block that needs a secret comes after the secret,
//     and none is ever removed: so secrets copied after the height was chosen are those of all its blocks.
// (2) Blocks that are in the backup already are not read again from the node, and their files are not written again; but
//     the last one, as long as it is short, is copied within the backup and goes on.
// (3) `consensus/` is never taken: a member that came back with votes of before could contradict what it has signed since.

import { constants, copyFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve, sep } from 'node:path';
import { keyringFile } from '../../identity/keyring.ts';
import { readNodePublicKey } from '../../identity/node-key.ts';
import { hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { StorageError } from '../../ledger/error.ts';
import { headerHash } from '../../ledger/hash.ts';
import { SEGMENT_BYTES_MAX } from '../../storage/block-store.ts';
import type { BlockStore } from '../../storage/block-store.ts';
import { ChainCheck, copyBlocks, openChain } from '../../storage/chain-copy.ts';
import { blockFile, lockDataDirectory, readDataDirectory } from '../../storage/data-directory.ts';
import { copyDatabase } from '../../storage/sqlite.ts';
import type { Clock } from '../clock.ts';
import { onDisk } from '../initialise.ts';
import { BackupDirectory, bytesOf } from './directory.ts';
import type { BackupBlocks, BackupSecret, Manifest } from './manifest.ts';

/** @param total  of the same unit as `done` */
export type OnProgress = (stage: string, done: number, total: number) => void;

export interface MakeOptions {
  readonly data: string;
  readonly to: string;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly onProgress: OnProgress;
  /** Length beyond which a file with blocks is full, for tests. */
  readonly bytesMax?: number;
}

export interface MadeBackup extends Manifest {
  /** Blocks that were read from the data directory. */
  readonly added: number;
  /** Files of the backup before that were missing or changed, as sentences; they were made anew. */
  readonly replaced: readonly string[];
}

/** Heights whose blocks are to be written, after a file that may go on with them. */
export interface Missing {
  readonly from: number;
  readonly to: number;
  readonly after: BackupBlocks | null;
}

const MIB = 1024 * 1024;

/**
 * @throws StorageError damaged: the ledger here is, at the place it names; foreign: the backup is of another ledger or
 *   another history, or no backup; locked, full, io. The backup of before is as it was then.
 */
export function makeBackup(options: MakeOptions): MadeBackup {
  const { data, to, clock } = options;
  const time = new Date(clock.now()).toISOString();
  const { chainId } = readDataDirectory(data);
  if (`${resolve(to)}${sep}`.startsWith(`${resolve(data)}${sep}`)) {
    throw new StorageError('foreign', `${to}: a backup is kept outside of the data directory`);
  }
  const directory = new BackupDirectory(to);
  directory.prepare();
  const lock = lockDataDirectory(to);
  try {
    const { blocks: chain, height } = openChain(data);
    try {
      return addTo(directory, { ...options, chainId, chain, height, time });
    } finally {
      chain.close();
    }
  } finally {
    lock.release();
  }
}

interface OpenLedger extends MakeOptions {
  readonly chainId: Uint8Array;
  readonly chain: BlockStore;
  /** Of the last block to be taken; the chain goes on meanwhile. */
  readonly height: number;
}

function addTo(
  directory: BackupDirectory,
  ledger: OpenLedger & { readonly time: string },
): MadeBackup {
  const { data, crypto, chainId, chain, height, time } = ledger;
  const before = directory.tryRead();
  if (before !== null) checkSameHistory(before, ledger, directory);
  const { blocks, added, replaced } = copyChain({ ...ledger, directory, before });
  const manifest: Manifest = {
    chainId: hex(chainId),
    height,
    headerHash: hex(headerHash(crypto, chain.read(height)!.header)),
    nodeKey: hex(readNodePublicKey(data)),
    time,
    blocks,
    secrets: copySecrets(data, directory),
  };
  directory.complete(manifest);
  return { ...manifest, added, replaced };
}

/** A backup is only ever continued: what it holds is not there twice, and may be all that is left of a history. */
function checkSameHistory(
  before: Manifest,
  { crypto, chainId, chain, height }: OpenLedger,
  { path }: BackupDirectory,
): void {
  const refuse = (what: string): never => {
    throw new StorageError('foreign', `${path}: ${what}; choose another directory`);
  };
  if (before.chainId !== hex(chainId)) refuse(`holds another ledger, ${before.chainId}`);
  if (before.height > height) {
    refuse(`goes up to block ${before.height}, and the ledger here up to block ${height}`);
  }
  const { header } = chain.read(before.height)!;
  if (before.headerHash !== hex(headerHash(crypto, header))) {
    refuse(`holds another block ${before.height} than the ledger here`);
  }
}

interface CopyChain extends OpenLedger {
  readonly directory: BackupDirectory;
  readonly before: Manifest | null;
}

function copyChain(options: CopyChain): {
  readonly blocks: readonly BackupBlocks[];
  readonly added: number;
  readonly replaced: readonly string[];
} {
  const { height, directory, before, bytesMax = SEGMENT_BYTES_MAX, onProgress } = options;
  const old = before?.blocks ?? [];
  const replaced: string[] = [];
  const total = Math.ceil(bytesOf(old) / MIB);
  let read = 0;
  const kept = old.filter((file) => {
    const fault = directory.fault(file, (bytes) => {
      onProgress('MiB checked', Math.ceil((read += bytes) / MIB), total);
    });
    if (fault !== null) replaced.push(fault);
    return fault === null;
  });
  const missing = missingIn(kept, height, bytesMax);
  const toAdd = missing.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  let added = 0;
  const onBlock = (): void => onProgress('blocks', ++added, toAdd);
  const written = missing.flatMap((range) => copyRange({ ...options, range, bytesMax, onBlock }));
  const continued = new Set(missing.map(({ after }) => after));
  const blocks = [...kept.filter((file) => !continued.has(file)), ...written];
  return { blocks: blocks.sort((a, b) => a.from - b.from), added, replaced };
}

/** What lies between files, in their order, that are to stay. Pure. */
export function missingIn(
  kept: readonly BackupBlocks[],
  tip: number,
  bytesMax: number,
): readonly Missing[] {
  const ranges: Missing[] = [];
  let last: BackupBlocks | null = null;
  let next = 0;
  for (const file of [...kept, null]) {
    const end = file === null ? tip + 1 : file.from;
    if (end > next) {
      const after = last !== null && last.bytes <= bytesMax ? last : null;
      ranges.push({ from: next, to: end - 1, after });
    }
    last = file;
    if (file !== null) next = file.to + 1;
  }
  return ranges;
}

function copyRange(
  options: CopyChain & {
    readonly range: Missing;
    readonly bytesMax: number;
    readonly onBlock: () => void;
  },
): BackupBlocks[] {
  const { crypto, chainId, chain, directory, range, bytesMax, onBlock } = options;
  const { to } = range;
  const check = new ChainCheck(crypto, chainId, chain, range.from);
  const files: BackupBlocks[] = [];
  let { after } = range;
  for (let next = range.from; next <= to;) {
    const draft = directory.emptyDraft();
    const first = after?.from ?? next;
    if (after !== null) {
      const source = directory.fileOf(after);
      onDisk(draft, () => copyFileSync(source, draft, constants.COPYFILE_FICLONE));
    }
    const bytes = after?.bytes ?? 0;
    const last = copyBlocks(draft, check, { from: next, to, bytesMax, bytes, onBlock });
    const file = directory.keep(draft, basename(blockFile('', first)));
    files.push({ ...file, from: first, to: last });
    after = null;
    next = last + 1;
  }
  return files;
}

function copySecrets(data: string, directory: BackupDirectory): BackupSecret[] {
  const keep = (path: string, make: (draft: string) => void): BackupSecret => {
    const draft = directory.emptyDraft();
    onDisk(draft, () => {
      // Made first, so that at no moment others may read it.
      writeFileSync(draft, '', { mode: 0o600 });
      make(draft);
    });
    return { ...directory.keep(draft, basename(path)), path };
  };
  const identity = keep('identity.sqlite', (draft) => copyDatabase(keyringFile(data), draft));
  const keys = readKeys(join(data, 'keys'));
  return [
    identity,
    ...keys.map(([name, content]) =>
      keep(`keys/${name}`, (draft) => writeFileSync(draft, content)),
    ),
  ];
}

/**
 * The files of a folder at a moment when none was renamed, as happens when the node takes another key. The key of the TLS
 * certificate is in the clear, and made anew when it is missing: it stays here.
 */
function readKeys(folder: string): readonly (readonly [name: string, content: Uint8Array])[] {
  return onDisk(folder, () => {
    for (;;) {
      const names = readdirSync(folder).sort();
      const keys = names
        .filter((name) => !name.endsWith('.new') && !name.startsWith('tls.'))
        .map((name) => [name, new Uint8Array(tryReadFile(join(folder, name)))] as const);
      const after = readdirSync(folder).sort();
      if (names.join('/') === after.join('/')) return keys;
    }
  });
}

function tryReadFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    // It has been renamed since, and the folder is read again.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return new Uint8Array(0);
  }
}
