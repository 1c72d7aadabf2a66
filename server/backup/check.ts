// Checks a backup by itself, offline: every file, then every block and chunk. Shell.
//
// Nothing is executed: that the results are those of the chain is proved by whoever restores.

import { join } from 'node:path';
import type { Crypto } from '../../ledger/crypto.ts';
import { fromHex, hex } from '../../ledger/bytes.ts';
import { StorageError } from '../../ledger/error.ts';
import { ChainCheck, CopiedChain } from '../../storage/chain-copy.ts';
import { BackupDirectory, bytesOf } from './directory.ts';
import type { OnProgress } from './make.ts';
import type { Manifest } from './manifest.ts';

const MIB = 1024 * 1024;

/** @throws StorageError foreign: no backup; damaged: names the file or block; io */
export function checkBackup(from: string, crypto: Crypto, onProgress: OnProgress): Manifest {
  const directory = new BackupDirectory(from);
  const manifest = directory.read();
  checkFiles(directory, manifest, onProgress);
  const chain = chainOf(directory, manifest);
  try {
    const check = new ChainCheck(crypto, fromHex(manifest.chainId), chain, 0);
    for (let height = 0; height <= manifest.height; height++) {
      for (const hash of check.next().chunks) check.chunk(hash);
      onProgress('blocks', height + 1, manifest.height + 1);
    }
    checkEnd(directory, manifest, check.hash);
    return manifest;
  } finally {
    chain.close();
  }
}

/** Each file that a backup consists of is as it was written. @throws StorageError damaged */
export function checkFiles(
  directory: BackupDirectory,
  { blocks, secrets }: Manifest,
  onProgress: OnProgress,
): void {
  const files = [...blocks, ...secrets];
  const total = Math.ceil(bytesOf(files) / MIB);
  let read = 0;
  for (const file of files) {
    const fault = directory.fault(file, (bytes) => {
      onProgress('MiB checked', Math.ceil((read += bytes) / MIB), total);
    });
    if (fault !== null) throw new StorageError('damaged', fault);
  }
}

/** The blocks of a backup; close it when done. */
export function chainOf(directory: BackupDirectory, { blocks }: Manifest): CopiedChain {
  return new CopiedChain(blocks.map((file) => ({ ...file, path: directory.fileOf(file) })));
}

/** @param hash  of the header of the newest block. @throws StorageError damaged when the list names another one */
export function checkEnd(
  { path }: BackupDirectory,
  { height, headerHash }: Manifest,
  hash: Uint8Array | null,
): void {
  if (hash !== null && hex(hash) === headerHash) return;
  const file = join(path, 'backup.json');
  throw new StorageError('damaged', `${file}: block ${height} is another one than it says`);
}
