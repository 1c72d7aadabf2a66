// Where peers have said they are, in `consensus/addresses.json`: so they are found again when all addresses have changed.
// Shell.
//
// A convenience: peers tell again, and what they say is signed. So whatever cannot be read or written is done without; and
// nobody waits for the disk, which may take its time to rename a file.

import { existsSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { base64, tryFromBase64 } from '../ledger/bytes.ts';

export class KnownAddresses {
  readonly #file: string;
  /** Encoded announcements by node, in hex. */
  readonly #known = new Map<string, Uint8Array>();
  #writing = false;
  #changed = false;

  /** @param directory of the node's data */
  constructor(directory: string) {
    this.#file = join(directory, 'consensus', 'addresses.json');
    try {
      if (!existsSync(this.#file)) return;
      const entries = Object.entries(JSON.parse(readFileSync(this.#file, 'utf8')) as object);
      for (const [node, text] of entries) {
        const bytes = tryFromBase64(String(text));
        if (bytes !== null) this.#known.set(node, bytes);
      }
    } catch {
      // See above.
    }
  }

  /** Encoded; whoever takes them checks them. */
  get announcements(): readonly Uint8Array[] {
    return [...this.#known.values()];
  }

  keep(node: string, announcement: Uint8Array): void {
    this.#known.set(node, announcement);
    this.#changed = true;
    if (!this.#writing) void this.#write();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    const draft = `${this.#file}.new`;
    try {
      while (this.#changed) {
        this.#changed = false;
        const entries = Array.from(this.#known, ([node, bytes]) => [node, base64(bytes)]);
        await writeFile(draft, JSON.stringify(Object.fromEntries(entries)), { mode: 0o600 });
        await rename(draft, this.#file);
      }
    } catch {
      // See above.
    } finally {
      this.#writing = false;
    }
  }
}
