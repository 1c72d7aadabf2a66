// Makes a data directory of a backup, up to its newest block or an earlier one. Shell.
//
// (1) Before the marker is there the directory is no ledger, and a file says that a restore was interrupted. After it all
//     blocks and secrets are on disk: what remains is to execute them, which any start would go on with.
// (2) The state is made by executing every block, as at any recovery, which checks each signature, and each result that a
//     header states.
// (3) A member of a cluster comes back as one that has forgotten its votes: it must not contradict what it may have signed.
//     An earlier block than the newest is refused where several nodes have ever ordered: the others have the rest.

import { copyFileSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readNodePublicKey } from '../../identity/node-key.ts';
import { fromHex, hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { memberOf } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { StorageError, assert } from '../../ledger/error.ts';
import { SEGMENT_BYTES_MAX } from '../../storage/block-store.ts';
import { ChainCheck, copyBlocks } from '../../storage/chain-copy.ts';
import type { CopiedChain } from '../../storage/chain-copy.ts';
import { ChainWriter } from '../../storage/chain-writer.ts';
import { blockFile, makeFolders, markDataDirectory } from '../../storage/data-directory.ts';
import { makeFolder, syncFile, syncFolder } from '../../storage/durable-file.ts';
import { configAfter, epochsUpTo, genesisOf } from '../../storage/epochs.ts';
import { makeForgottenLog } from '../../storage/vote-log.ts';
import { ConfigError } from '../config.ts';
import { onDisk } from '../initialise.ts';
import { BackupDirectory } from './directory.ts';
import { chainOf, checkEnd, checkFiles } from './check.ts';
import type { OnProgress } from './make.ts';
import type { Manifest } from './manifest.ts';

/** In a directory whose restore has not come as far as a ledger. */
const UNFINISHED = 'restore.unfinished';

export interface RestoreOptions {
  readonly from: string;
  readonly data: string;
  /** Of the last block to be restored; null: the newest. */
  readonly height: number | null;
  readonly crypto: Crypto;
  readonly onProgress: OnProgress;
  /** Length beyond which a file with blocks is full, for tests. */
  readonly bytesMax?: number;
}

export interface Restored {
  readonly chainId: string;
  readonly height: number;
  readonly headerHash: string;
  /** The rules by which the next block is ordered. */
  readonly policy: EpochConfig['policy'];
  /** Nodes that vote by them, or the one that signs. */
  readonly members: number;
  /** Whether the node of the backup is one of them. */
  readonly member: boolean;
}

/**
 * @throws ConfigError for a height that cannot be; StorageError foreign: no backup, or the target is not empty; damaged:
 *   names the file or block; full, io
 */
export function restoreBackup(options: RestoreOptions): Restored {
  const { from, data, crypto, onProgress } = options;
  const directory = new BackupDirectory(from);
  const manifest = directory.read();
  const height = heightOf(options, manifest);
  checkEmpty(data);
  checkFiles(directory, manifest, onProgress);
  const chain = chainOf(directory, manifest);
  try {
    if (height < manifest.height) checkAlone(chain, manifest.height);
    begin(data);
    const hash = restoreBlocks({ ...options, height, chain, directory, manifest });
    restoreSecrets(data, directory, manifest);
    const config = configAfter(chain, height);
    if (config.policy !== 'solo') makeForgottenLog(data);
    const { stateShards } = genesisOf(chain);
    markDataDirectory({ path: data, chainId: fromHex(manifest.chainId), stateShards });
    onDisk(data, () => rmSync(join(data, UNFINISHED)));
    execute({ data, crypto, height, hash, onProgress });
    return {
      chainId: manifest.chainId,
      height,
      headerHash: hex(hash),
      policy: config.policy,
      members: config.members.length,
      member: memberOf(config, readNodePublicKey(data)) >= 0,
    };
  } finally {
    chain.close();
  }
}

function heightOf({ height, from }: RestoreOptions, manifest: Manifest): number {
  if (height === null) return manifest.height;
  if (height <= manifest.height) return height;
  throw new ConfigError(`--height: ${from} goes up to block ${manifest.height}`);
}

function checkEmpty(data: string): void {
  if (onDisk(data, () => !existsSync(data) || readdirSync(data).length === 0)) return;
  throw new StorageError('foreign', `${data}: not empty; restore into a new directory`);
}

/** What a member has signed after an earlier block is with the others, and what it would sign anew contradicts it. */
function checkAlone(chain: CopiedChain, tip: number): void {
  const cluster = epochsUpTo(chain, tip).find(({ config }) => config.policy !== 'solo');
  if (cluster === undefined) return;
  const why = `several nodes order this ledger, or did, from block ${cluster.from} on`;
  throw new ConfigError(
    `--height: ${why}; the others hold what follows: restore without it, and read with SET ledger.as_of`,
  );
}

function begin(data: string): void {
  onDisk(data, () => {
    makeFolder(data);
    writeFileSync(join(data, UNFINISHED), '', { mode: 0o600, flush: true });
    syncFolder(data);
  });
  makeFolders(data);
}

/** @returns hash of the header at `height`; the backup's newest block follows from it */
function restoreBlocks(
  options: RestoreOptions & {
    readonly height: number;
    readonly chain: CopiedChain;
    readonly directory: BackupDirectory;
    readonly manifest: Manifest;
  },
): Uint8Array {
  const { data, height, chain, directory, manifest, crypto, onProgress } = options;
  const { bytesMax = SEGMENT_BYTES_MAX } = options;
  const total = manifest.height + 1;
  const onBlock = (at: number): void => onProgress('blocks', at + 1, total);
  const check = new ChainCheck(crypto, fromHex(manifest.chainId), chain, 0);
  for (let next = 0; next <= height;) {
    const path = blockFile(data, next);
    next = copyBlocks(path, check, { from: next, to: height, bytesMax, onBlock }) + 1;
    onDisk(path, () => syncFile(path));
  }
  const { hash } = check.newest!;
  for (let at = height + 1; at <= manifest.height; at++) {
    check.next();
    onBlock(at);
  }
  checkEnd(directory, manifest, check);
  onDisk(data, () => syncFolder(join(data, 'chain')));
  return hash;
}

function restoreSecrets(data: string, directory: BackupDirectory, { secrets }: Manifest): void {
  for (const secret of secrets) {
    const path = join(data, secret.path);
    onDisk(path, () => {
      makeFolder(dirname(path));
      // The mode is that of the copy in the backup: for the owner alone.
      copyFileSync(directory.fileOf(secret), path);
      syncFile(path);
      syncFolder(dirname(path));
    });
  }
}

function execute(options: {
  readonly data: string;
  readonly crypto: Crypto;
  readonly height: number;
  readonly hash: Uint8Array;
  readonly onProgress: OnProgress;
}): void {
  const { data, crypto, height, hash, onProgress } = options;
  const writer = ChainWriter.open(data, {
    crypto,
    onStep: (step, at) => {
      if (step === 'executed') onProgress('blocks executed', at, height);
    },
  });
  try {
    const { tip } = writer;
    assert(tip.height === height && hex(tip.hash) === hex(hash), 'what was restored is executed');
    writer.tidy();
  } finally {
    writer.close();
  }
}
