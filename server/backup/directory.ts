// The directory of a backup: its list, its files, how they are read and written. Shell.
//
//   backup.json    what the backup consists of; renamed into its place when all of it is on disk
//   files/         each named after its content, and never written again
//   lock.sqlite    held by whoever writes a backup here
//
// So an interrupted backup has changed nothing of the one before: what it has written is not listed, and goes with the
// next one.

import { createHash } from 'node:crypto';
import { chmodSync, closeSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { readSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../../ledger/error.ts';
import { makeFolder, replaceFile, syncFolder } from '../../storage/durable-file.ts';
import { onDisk } from '../initialise.ts';
import { decodeManifest, encodeManifest, nameWith } from './manifest.ts';
import type { BackupFile, Manifest } from './manifest.ts';

const OURS = /^(files|backup\.json(\.new)?|lock\.sqlite)$/;

/** Read at a time, in bytes. */
const READ_BYTES = 1 << 20;

/** Told of each part of a file that was read. */
export type OnBytes = (bytes: number) => void;

export class BackupDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get manifestFile(): string {
    return join(this.path, 'backup.json');
  }

  get #folder(): string {
    return join(this.path, 'files');
  }

  /** Where a file of the backup lies. */
  fileOf({ name }: Pick<BackupFile, 'name'>): string {
    return join(this.#folder, name);
  }

  /** Where a file is made before it has its name; nothing is there. */
  emptyDraft(): string {
    const draft = join(this.#folder, 'draft');
    rmSync(draft, { force: true });
    return draft;
  }

  /** Makes the directory if it is missing. @throws StorageError foreign when something else is there; io, full */
  prepare(): void {
    onDisk(this.path, () => {
      makeFolder(this.path);
      const foreign = readdirSync(this.path).find((name) => !OURS.test(name));
      if (foreign !== undefined) {
        const what = `not empty, and no backup (${foreign})`;
        throw new StorageError('foreign', `${this.path}: ${what}`);
      }
      makeFolder(this.#folder);
    });
  }

  /** What the directory holds; null when no backup was completed. @throws StorageError foreign, damaged, io */
  tryRead(): Manifest | null {
    if (!existsSync(this.manifestFile)) return null;
    const text = onDisk(this.manifestFile, () => readFileSync(this.manifestFile, 'utf8'));
    return decodeManifest(text, this.manifestFile);
  }

  /** As `tryRead`. @throws StorageError foreign when there is no backup */
  read(): Manifest {
    const manifest = this.tryRead();
    if (manifest !== null) return manifest;
    throw new StorageError('foreign', `${this.path}: no backup here (backup.json is missing)`);
  }

  /** @returns what is wrong with a file, as a sentence; null when it is as it was written */
  fault(file: BackupFile, onBytes: OnBytes): string | null {
    const path = this.fileOf(file);
    if (!existsSync(path)) return `${path}: the file is missing`;
    const { bytes, sha256 } = onDisk(path, () => hashOf(path, onBytes));
    if (bytes !== file.bytes) return `${path}: has ${bytes} bytes instead of ${file.bytes}`;
    return sha256 === file.sha256 ? null : `${path}: was changed`;
  }

  /** Gives a draft, which nobody has open, its name. It is on disk then. @param name  without its hash */
  keep(draft: string, name: string): BackupFile {
    return onDisk(draft, () => {
      chmodSync(draft, 0o600);
      const { bytes, sha256 } = hashOf(draft, () => undefined, true);
      const file = { name: nameWith(name, sha256), bytes, sha256 };
      renameSync(draft, this.fileOf(file));
      return file;
    });
  }

  /** Puts a list into its place when all files are on disk; what it does not name goes. */
  complete(manifest: Manifest): void {
    onDisk(this.manifestFile, () => {
      syncFolder(this.#folder);
      const text = encodeManifest(manifest);
      // A list that nobody could read would cost the backup before as well.
      decodeManifest(text, this.manifestFile);
      replaceFile(this.manifestFile, text);
      const listed = new Set([...manifest.blocks, ...manifest.secrets].map(({ name }) => name));
      for (const name of readdirSync(this.#folder)) {
        if (!listed.has(name)) rmSync(this.fileOf({ name }));
      }
    });
  }
}

/** Length of all files, in bytes. */
export function bytesOf(files: readonly BackupFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** @param sync  whether the file is on disk when this returns */
function hashOf(path: string, onBytes: OnBytes, sync = false): { bytes: number; sha256: string } {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, statSync(path).size + 1));
  const file = openSync(path, sync ? 'r+' : 'r');
  try {
    let bytes = 0;
    for (let read = 0; (read = readSync(file, buffer, 0, buffer.length, null)) > 0;) {
      hash.update(buffer.subarray(0, read));
      bytes += read;
      onBytes(read);
    }
    if (sync) fsyncSync(file);
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    closeSync(file);
  }
}
