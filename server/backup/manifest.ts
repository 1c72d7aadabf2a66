// What a backup consists of: `backup.json`, which is written last. Pure.
//
// (1) Any change of its bytes is found, as one of the files that it names is: it ends with a hash of itself.
// (2) Names in it lead nowhere but into the folder of the backup, and of a data directory that is restored.

import { createHash } from 'node:crypto';
import { StorageError } from '../../ledger/error.ts';
import { readJson } from '../founding/json-file.ts';

const FORMAT = 'trustsql backup';
const VERSION = 1;

/** Hexadecimal digits of a file's hash in its name. */
const NAME_HASH_DIGITS = 16;

const HASH = /^[0-9a-f]{64}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
/** Where a secret belongs in a data directory. */
const SECRET = /^(identity\.sqlite|keys\/[A-Za-z0-9][A-Za-z0-9._-]*)$/;

/** A file of the backup; it is never written again. */
export interface BackupFile {
  /** In the folder `files`. */
  readonly name: string;
  readonly bytes: number;
  /** In hexadecimal. */
  readonly sha256: string;
}

/** A block file with the blocks of these heights and the chunks that they name. */
export interface BackupBlocks extends BackupFile {
  readonly from: number;
  readonly to: number;
}

export interface BackupSecret extends BackupFile {
  /** Below the data directory. */
  readonly path: string;
}

export interface Manifest {
  /** Hexadecimal, as the next two. */
  readonly chainId: string;
  readonly height: number;
  /** Of the block at that height. */
  readonly headerHash: string;
  /** Of the node that was backed up. */
  readonly nodeKey: string;
  /** When the backup was begun, ISO 8601. */
  readonly time: string;
  /** In the order of their heights, from 0 without gaps. */
  readonly blocks: readonly BackupBlocks[];
  readonly secrets: readonly BackupSecret[];
}

/** A name that no other content has: what is there is never written over by something else. */
export function nameWith(name: string, sha256: string): string {
  return `${name}.${sha256.slice(0, NAME_HASH_DIGITS)}`;
}

export function encodeManifest(manifest: Manifest): string {
  const { chainId, height, headerHash, nodeKey, time } = manifest;
  const blocks = manifest.blocks.map(({ name, bytes, sha256, from, to }) => {
    return { name, bytes, sha256, from, to };
  });
  const secrets = manifest.secrets.map(({ name, bytes, sha256, path }) => {
    return { name, bytes, sha256, path };
  });
  const content = { chainId, height, headerHash, nodeKey, time, blocks, secrets };
  const about = { format: FORMAT, version: VERSION, ...content };
  const check = createHash('sha256').update(JSON.stringify(about)).digest('hex');
  return `${JSON.stringify({ ...about, check }, null, 2)}\n`;
}

/**
 * @param place  the file, for messages
 * @throws StorageError foreign for something else or another version, damaged when it was changed
 */
export function decodeManifest(text: string, place: string): Manifest {
  const fields = readJson(text, place, FORMAT, VERSION);
  const manifest = fields as unknown as Manifest;
  if (!isManifest(fields) || encodeManifest(manifest) !== text) {
    throw new StorageError('damaged', `${place}: the list of the files was changed`);
  }
  return manifest;
}

function isManifest(fields: Readonly<Record<string, unknown>>): boolean {
  const { chainId, height, headerHash, nodeKey, time, blocks, secrets } = fields;
  if (![chainId, headerHash, nodeKey].every((hash) => matches(HASH, hash))) return false;
  if (!isCount(height) || typeof time !== 'string') return false;
  if (!Array.isArray(blocks) || !Array.isArray(secrets)) return false;
  let next = 0;
  for (const file of blocks as Readonly<Record<string, unknown>>[]) {
    if (!isFile(file) || file['from'] !== next || !isCount(file['to'])) return false;
    if (file['to'] < next) return false;
    next = file['to'] + 1;
  }
  const sound = (secret: unknown): boolean =>
    isFile(secret) && matches(SECRET, (secret as Record<string, unknown>)['path']);
  return next === height + 1 && secrets.every(sound);
}

function isFile(file: unknown): boolean {
  if (typeof file !== 'object' || file === null) return false;
  const { name, bytes, sha256 } = file as Record<string, unknown>;
  return matches(NAME, name) && isCount(bytes) && matches(HASH, sha256);
}

function matches(pattern: RegExp, value: unknown): boolean {
  return typeof value === 'string' && pattern.test(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
