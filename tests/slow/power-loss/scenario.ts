// What the test of power loss needs of something that writes, and how its files are recorded. Shell.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Marks say what had happened by then; each scenario has its own. */
export interface Scenario<Mark = unknown> {
  readonly name: string;
  /** Part of the time that its images get. */
  readonly share: number;
  /** Folder that may be lost as a whole at any time, relative to the root; it is in some images. */
  readonly cache: string;
  /** Makes a ledger below `recording.root` and writes to it until it has seen enough. */
  readonly record: (recording: Recording, seed: number) => Promise<void>;
  /**
   * Opens what a power loss has left, and looks for what must be there.
   *
   * @param root    holds the image, which may be changed
   * @param before  marks up to the power loss
   * @param all     marks up to the end
   * @param number  of the image: what takes long is done for some only
   * @returns one sentence for each fault
   */
  readonly check: (
    root: string,
    before: readonly Mark[],
    all: readonly Mark[],
    number: number,
  ) => Promise<readonly string[]>;
}

/** A folder with what is recorded, and what was. */
export interface Recording {
  readonly root: string;
  readonly log: string;
  /** For the process whose files are to be recorded. */
  readonly env: Readonly<Record<string, string>>;
}

/** @param folder  empty; @throws Error when there is no C compiler */
export function makeRecording(folder: string): Recording {
  const [root, log, library] = ['root', 'log', 'record.so'].map((name) =>
    path.join(folder, name),
  ) as [string, string, string];
  mkdirSync(root);
  writeFileSync(log, '');
  const source = path.join(import.meta.dirname, 'record.c');
  // Fortified headers would define some of the functions that it takes the place of.
  const options = ['-shared', '-fPIC', '-O2', '-Wall', '-U_FORTIFY_SOURCE'];
  execFileSync('cc', [...options, '-o', library, source]);
  const env = { LD_PRELOAD: library, RECORD_ROOT: root, RECORD_LOG: log };
  return { root, log, env };
}
