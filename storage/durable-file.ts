// Files and folders that are there after a power loss, once made. Shell.
//
// A sync of a file covers its bytes. Its name is another matter: that is in the folder, which has a sync of its own.

import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, statSync } from 'node:fs';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Makes the names in a folder durable, as a new file or a rename needs. @throws an error of the file system, as the others */
export function syncFolder(path: string): void {
  sync(path, 'r');
}

/** Makes the bytes of a file durable that others have written, as SQLite or a copy. */
export function syncFile(path: string): void {
  sync(path, 'r+');
}

function sync(path: string, flags: 'r' | 'r+'): void {
  const handle = openSync(path, flags);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Makes a folder for its owner alone, if it is not there, and its parents. */
export function makeFolder(folder: string): void {
  const path = resolve(folder);
  if (existsSync(path) && statSync(path).isDirectory()) return;
  const parent = dirname(path);
  // Not in one recursive step: where nothing can be made, as in /proc, that never ends.
  if (!existsSync(parent)) makeFolder(parent);
  mkdirSync(path, { mode: 0o700 });
  syncFolder(parent);
}

/** Writes a file for its owner alone, in the place of one that may be there: at any moment the one is there or the other, whole. */
export function replaceFile(path: string, content: string): void {
  writeFileSync(`${path}.new`, content, { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
  syncFolder(dirname(path));
}

/**
 * Writes a file for its owner alone where none is: it is whole as soon as it has its name.
 *
 * @returns false when there is one, also one that somebody has made at the same time
 */
export function createFile(path: string, content: string): boolean {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, content, { mode: 0o600, flush: true });
  try {
    // Of two that do this one is refused, as with no rename.
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
  syncFolder(dirname(path));
  return true;
}
