// Images of a mirror on disk, so that a node or a killed worker starts in a fraction of a second. Shell.
//
// An image holds the first `count` DDL records of the chain. Its file name carries a hash over them and over
// what else the mirror was made from, so an image that does not fit is never used. Losing one costs time only.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DdlRecord } from '../analysis.ts';

/** Grows with every change of make-up.ts or of the embedded Postgres. */
const IMAGE_VERSION = 4;

export interface Image {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many records it holds. */
  readonly count: number;
}

const NAME = /^mirror-(\d+)-([0-9a-f]{64})\.tar$/;

function nameOf(base: string, records: readonly DdlRecord[]): string {
  const hash = createHash('sha256').update(JSON.stringify([IMAGE_VERSION, base, records]));
  return `mirror-${records.length}-${hash.digest('hex')}.tar`;
}

/**
 * The newest image that holds a beginning of `records`, or null.
 *
 * @param base  names the mirror was made with: database and admin
 */
export function findImage(
  directory: string,
  base: string,
  records: readonly DdlRecord[],
): Image | null {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const counts = readdirSync(directory)
    .map((name) => Number(NAME.exec(name)?.[1] ?? -1))
    .filter((count) => count >= 0 && count <= records.length)
    .sort((a, b) => b - a);
  for (const count of counts) {
    const name = nameOf(base, records.slice(0, count));
    if (readdirSync(directory).includes(name)) {
      return { bytes: new Uint8Array(readFileSync(join(directory, name))), count };
    }
  }
  return null;
}

/** Keeps an image of all `records` in place of the others. */
export function keepImage(
  directory: string,
  base: string,
  records: readonly DdlRecord[],
  bytes: Uint8Array,
): void {
  const name = nameOf(base, records);
  const path = join(directory, name);
  writeFileSync(`${path}.new`, bytes, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  for (const other of readdirSync(directory)) {
    if (NAME.test(other) && other !== name) rmSync(join(directory, other));
  }
}
