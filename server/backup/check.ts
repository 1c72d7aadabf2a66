// Checks a backup by itself, offline: every file, then every block and chunk. Shell.
//
// Nothing is executed: that the results are those of the chain is proved by whoever restores.

import type { Crypto } from '../../ledger/crypto.ts';
import { fromHex, hex } from '../../ledger/bytes.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { StorageError } from '../../ledger/error.ts';
import { HistoryTree } from '../../ledger/history-tree.ts';
import { ChainCheck, CopiedChain } from '../../storage/chain-copy.ts';
import { PinCheck } from '../../storage/pins.ts';
import type { Pins } from '../../storage/pins.ts';
import { chainEvidence } from '../../storage/verify-evidence.ts';
import { BackupDirectory, bytesOf } from './directory.ts';
import type { OnProgress } from './make.ts';
import type { Manifest } from './manifest.ts';

const MIB = 1024 * 1024;

export interface CheckedBackup extends Manifest {
  /** What the verdict stands on, and what it cannot see; sentences. */
  readonly evidence: readonly string[];
}

export interface CheckOptions {
  readonly from: string;
  /** What is known of the ledger from elsewhere. */
  readonly pins: Pins;
  readonly crypto: Crypto;
  readonly onProgress: OnProgress;
}

/** @throws StorageError foreign: no backup; damaged: names the file or block; io */
export function checkBackup({ from, pins, crypto, onProgress }: CheckOptions): CheckedBackup {
  const directory = new BackupDirectory(from);
  const manifest = directory.read();
  const known = new PinCheck(pins);
  refuse(directory.manifestFile, known.chainFault(fromHex(manifest.chainId)));
  checkFiles(directory, manifest, onProgress);
  const chain = chainOf(directory, manifest);
  try {
    const check = new ChainCheck(crypto, fromHex(manifest.chainId), chain, 0);
    const history = new HistoryTree(crypto);
    let config: EpochConfig | null = null;
    for (let height = 0; height <= manifest.height; height++) {
      for (const hash of check.next().chunks) check.chunk(hash);
      history.append(check.newest!.hash);
      const file = chain.fileOf(height);
      refuse(file, known.historyFault(history));
      if (check.config !== config) refuse(file, known.membersFault(check.config.members, height));
      ({ config } = check);
      onProgress('blocks', height + 1, manifest.height + 1);
    }
    checkEnd(directory, manifest, check);
    refuse(directory.manifestFile, known.endFault(manifest.height));
    const { header, certificate } = check.newest!;
    return { ...manifest, evidence: chainEvidence({ crypto, header, certificate, known }) };
  } finally {
    chain.close();
  }
}

function refuse(file: string, fault: string | null): void {
  if (fault !== null) throw new StorageError('damaged', `${file}: ${fault}`);
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

/** @param check  of all blocks. @throws StorageError damaged when the list names another newest one */
export function checkEnd(
  { manifestFile }: BackupDirectory,
  { height, headerHash }: Manifest,
  check: ChainCheck,
): void {
  if (hex(check.newest!.hash) === headerHash) return;
  refuse(manifestFile, `block ${height} is another one than it says`);
}
