// Layout of a data directory, its marker file and the lock against a second process. Shell.
//
//   trustsql.json                what this directory is: format version and chain id
//   lock.sqlite                  held exclusively by the process that writes here
//   chain/blocks-<height>.sqlite bodies from that height on; the newest is open, older ones are sealed
//   chain/journal-<0|1>          newest blocks, on their way into the file above
//   chain/index.sqlite           headers and transactions by height and id; derivable
//   state/shard-<nn>.sqlite      current rows and history
//
// (1) A directory of another program or another format is refused, never misread.
// (2) The lock is the operating system's: it dies with the process, also with kill -9.

import { accessSync, constants, existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { StorageError, isStorageError } from '../ledger/error.ts';
import { FORMAT_VERSION } from '../ledger/block.ts';
import { hex, tryFromHex } from '../ledger/bytes.ts';
import { makeFolder, replaceFile } from './durable-file.ts';
import { lockFile } from './sqlite.ts';
import type { Genesis } from '../ledger/block.ts';

const MARKER = 'trustsql.json';
const BLOCK_FILE = /^blocks-(\d{12})\.sqlite$/;
const HEIGHT_DIGITS = 12;

/** What the marker file says. */
export interface DataDirectory {
  readonly path: string;
  /** 32 bytes. */
  readonly chainId: Uint8Array;
  readonly stateShards: number;
}

export function blockFile(directory: string, firstHeight: number): string {
  const name = `blocks-${String(firstHeight).padStart(HEIGHT_DIGITS, '0')}.sqlite`;
  return join(directory, 'chain', name);
}

/** @param which 0 or 1 */
export function journalFile(directory: string, which: number): string {
  return join(directory, 'chain', `journal-${which}`);
}

export function indexFile(directory: string): string {
  return join(directory, 'chain', 'index.sqlite');
}

export function shardFile(directory: string, shard: number): string {
  return join(directory, 'state', `shard-${String(shard).padStart(2, '0')}.sqlite`);
}

export function markerFile(directory: string): string {
  return join(directory, MARKER);
}

/** First heights of the block files present, ascending. */
export function blockFiles(directory: string): readonly number[] {
  const heights: number[] = [];
  for (const name of readdirSync(join(directory, 'chain'))) {
    const match = BLOCK_FILE.exec(name);
    if (match) heights.push(Number(match[1]));
  }
  return heights.sort((a, b) => a - b);
}

/** Whether `directory` holds a ledger (its marker file is there). */
export function isDataDirectory(directory: string): boolean {
  return existsSync(markerFile(directory));
}

/**
 * Makes the folders of a new data directory; the marker, written last by `markDataDirectory`, makes it one.
 *
 * @throws StorageError foreign when the directory holds a ledger already or files of something else, io
 *   when it cannot be written
 */
export function makeFolders(directory: string): void {
  if (isDataDirectory(directory)) {
    throw new StorageError('foreign', `${directory}: there is a ledger here already`);
  }
  if (existsSync(join(directory, 'chain')) && blockFiles(directory).some((height) => height > 0)) {
    throw new StorageError('foreign', `${directory}: there are blocks here, but no ${MARKER}`);
  }
  onDisk(directory, () => {
    for (const folder of ['chain', 'state']) makeFolder(join(directory, folder));
  });
}

/** Writes the marker atomically: before it exists the directory is no ledger. */
export function markDataDirectory(data: DataDirectory): void {
  onDisk(data.path, () => {
    const path = markerFile(data.path);
    const text = {
      format: 'trustsql',
      version: FORMAT_VERSION,
      chain: hex(data.chainId),
      stateShards: data.stateShards,
    };
    replaceFile(path, `${JSON.stringify(text, null, 2)}\n`);
  });
}

/**
 * Reads the marker.
 *
 * @throws StorageError foreign: no ledger, or one of another format; damaged: the marker is unreadable
 */
export function readDataDirectory(directory: string): DataDirectory {
  const path = markerFile(directory);
  if (!existsSync(path)) {
    throw new StorageError('foreign', `${directory}: no ledger here (${MARKER} is missing)`);
  }
  const marker = onDisk(path, () => parseMarker(readFileSync(path, 'utf8')));
  if (marker === null) throw new StorageError('damaged', `${path}: not a marker of a ledger`);
  if (marker['format'] !== 'trustsql') {
    throw new StorageError('foreign', `${path}: the data of another program`);
  }
  if (marker['version'] !== FORMAT_VERSION) {
    throw new StorageError(
      'foreign',
      `${path}: format version ${String(marker['version'])}, and this program reads version ${FORMAT_VERSION}`,
    );
  }
  const { chain, stateShards } = marker;
  const chainId = typeof chain === 'string' ? tryFromHex(chain) : null;
  if (chainId?.length !== 32 || typeof stateShards !== 'number' || !(stateShards >= 1)) {
    throw new StorageError('damaged', `${path}: chain or stateShards is missing`);
  }
  return { path: directory, chainId, stateShards };
}

/** Why the marker is not the one of a ledger with this genesis, as a predicate of the file; null: it is. */
export function markerFault(data: DataDirectory, { stateShards }: Genesis): string | null {
  if (data.stateShards === stateShards) return null;
  return `says ${data.stateShards} state shards, and block 0 says ${stateShards}`;
}

function parseMarker(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** A lock that is held until `release`, or until the process ends in whatever way. */
export interface DirectoryLock {
  release(): void;
}

/**
 * Takes the directory for this process.
 *
 * @throws StorageError locked when another process has it, io when it cannot be written
 */
export function lockDataDirectory(directory: string): DirectoryLock {
  onDisk(directory, () => accessSync(directory, constants.W_OK));
  const path = join(directory, 'lock.sqlite');
  try {
    const database = lockFile(path);
    return { release: () => void database.close() };
  } catch (error) {
    if (!isStorageError(error) || error.fault !== 'locked') throw error;
    throw new StorageError('locked', `${directory}: in use by another process`, { cause: error });
  }
}

/** Runs `work`; an error of the file system becomes a StorageError that names `path`. */
export function onDisk<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = Error.isError(error) ? (error as { code?: string }).code : undefined;
    if (code === undefined) throw error;
    const fault = code === 'ENOSPC' || code === 'EDQUOT' ? 'full' : 'io';
    throw new StorageError(fault, `${path}: ${(error as Error).message}`, { cause: error });
  }
}
