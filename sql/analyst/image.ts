// Images of a mirror on disk, so that a node or a killed worker starts in a fraction of a second. Shell.
//
// An image holds the first `count` DDL records of the chain. Its file name carries a hash over them and over
// what else the mirror was made from, so an image that does not fit is never used. Losing one costs time only.
//
// What tables, views and types mean is read from it: so it ends with a seal, an HMAC-SHA-256 (RFC 2104) over its
// name and bytes, and one that somebody else has made or edited is thrown away.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DdlRecord } from '../analysis.ts';
import { LEDGER_VIEWS } from '../ledger-schema.ts';

/** Grows with every change of make-up.ts, of the embedded Postgres or of the file's format. */
const IMAGE_VERSION = 12;

const SEAL_BYTES = 32;

export interface Image {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many records it holds. */
  readonly count: number;
}

export interface ImageOptions {
  readonly directory: string;
  /** Seals images, and serves nothing else; 32 bytes. */
  readonly key: Uint8Array;
  /** Told what has happened to an image that was not usable, or could not be kept. */
  readonly onFault: (what: string, file: string) => void;
}

const NAME = /^mirror-(\d+)-([0-9a-f]{64})\.tar$/;

export class Images {
  readonly #options: ImageOptions;
  readonly #base: string;

  /** @param base names the mirror is made with: database and admin */
  constructor(options: ImageOptions, base: string) {
    this.#options = options;
    this.#base = base;
  }

  /** The newest image that holds a beginning of `records`, or null. */
  find(records: readonly DdlRecord[]): Image | null {
    const { directory } = this.#options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const names = readdirSync(directory);
    const counts = names
      .map((name) => Number(NAME.exec(name)?.[1] ?? -1))
      .filter((count) => count >= 0 && count <= records.length)
      .sort((a, b) => b - a);
    for (const count of counts) {
      const name = this.#nameOf(records.slice(0, count));
      const bytes = names.includes(name) ? this.#read(name) : null;
      if (bytes !== null) return { bytes, count };
    }
    return null;
  }

  /** Keeps an image of all `records` in place of the others, if the disk has room for it. */
  keep(records: readonly DdlRecord[], bytes: Uint8Array): void {
    const { directory, onFault } = this.#options;
    const name = this.#nameOf(records);
    const path = join(directory, name);
    const written = `${path}.new`;
    try {
      writeFileSync(written, Buffer.concat([bytes, this.#seal(name, bytes)]), { mode: 0o600 });
      renameSync(written, path);
    } catch (error) {
      rmSync(written, { force: true });
      onFault(`no image of the analyst could be kept: ${(error as Error).message}`, path);
      return;
    }
    for (const other of readdirSync(directory)) {
      if (NAME.test(other) && other !== name) rmSync(join(directory, other));
    }
  }

  #read(name: string): Uint8Array<ArrayBuffer> | null {
    const file = join(this.#options.directory, name);
    const sealed = readFileSync(file);
    const bytes = new Uint8Array(sealed.subarray(0, -SEAL_BYTES));
    const seal = sealed.subarray(bytes.length);
    if (seal.length === SEAL_BYTES && timingSafeEqual(seal, this.#seal(name, bytes))) return bytes;
    rmSync(file);
    const what = 'an image of the analyst was not made by this node: it is made anew';
    this.#options.onFault(what, file);
    return null;
  }

  #nameOf(records: readonly DdlRecord[]): string {
    const content = JSON.stringify([IMAGE_VERSION, LEDGER_VIEWS, this.#base, records]);
    const hash = createHash('sha256').update(content).digest('hex');
    return `mirror-${records.length}-${hash}.tar`;
  }

  #seal(name: string, bytes: Uint8Array): Buffer {
    return createHmac('sha256', this.#options.key).update(name).update(bytes).digest();
  }
}
