// The storage alone, with a journal and block files so small that they turn and are sealed again and again. Shell.

import path from 'node:path';
import { isStorageError } from '../../../ledger/error.ts';
import { ChainWriter } from '../../../storage/chain-writer.ts';
import { isDataDirectory } from '../../../storage/data-directory.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { checkAtStart } from '../../../storage/start-check.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { run } from '../../end-to-end/process.ts';
import type { Recording, Scenario } from './scenario.ts';

/** Notes are some hundred bytes: a journal file holds thirty, a block file two hundred. */
export const SMALL = { segmentBytesMax: 96 * 1024, journalBytes: 24 * 1024 };
const NOTES = 900;
const VERIFY_EVERY = 4;

export type NoteMark =
  | { readonly ready: true }
  | { readonly note: number; readonly removes: boolean; readonly durable: boolean };

function folderOf(root: string): string {
  return path.join(root, 'data');
}

async function record({ root, log, env }: Recording, seed: number): Promise<void> {
  const child = path.join(import.meta.dirname, 'small-files-child.ts');
  const parameters = [child, folderOf(root), log, String(seed), String(NOTES)];
  const { code, stderr } = await run(process.execPath, parameters, { env });
  if (code !== 0) throw new Error(stderr);
}

async function check(
  root: string,
  before: readonly NoteMark[],
  _all: readonly NoteMark[],
  number: number,
): Promise<readonly string[]> {
  const directory = folderOf(root);
  const ready = before.length > 0;
  // Not made yet: whoever makes it begins anew.
  if (!isDataDirectory(directory)) return ready ? ['there is no ledger'] : [];
  try {
    ChainWriter.open(directory, { crypto: nativeCrypto, ...SMALL }).close();
    checkAtStart(directory, nativeCrypto);
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return [error.message];
  }
  const faults = notesFaults(directory, before);
  if (number % VERIFY_EVERY === 0) {
    const { damage } = await verifyLedger(directory, { scratch: root });
    if (damage !== null) faults.push(`verify: ${damage.file}: ${damage.message}`);
  }
  return faults;
}

function notesFaults(directory: string, before: readonly NoteMark[]): string[] {
  const marks = before.filter((mark) => 'note' in mark);
  const durable = Math.max(0, ...marks.filter((mark) => mark.durable).map(({ note }) => note));
  const sent = Math.max(0, ...marks.map(({ note }) => note));
  const reader = StateReader.open(directory);
  const ids = (table: string): number[] =>
    (reader.database.prepare(`SELECT c1 FROM ${table} ORDER BY 1`).pluck().all() as bigint[]).map(
      Number,
    );
  const [first, second] = [ids('main.r200'), ids('s1.r210')];
  reader.close();
  const newest = second.at(-1) ?? 0;
  const faults: string[] = [];
  if (newest < durable) faults.push(`note ${durable} was durable, and the newest is ${newest}`);
  if (newest > sent) faults.push(`note ${newest} is there, and ${sent} was the newest written`);
  if (second.some((id, i) => id !== i + 1)) faults.push('the notes of shard 1 have gaps, or twins');
  const removed = new Set(
    marks.flatMap(({ note, removes }) => (removes && note <= newest ? [note - 1] : [])),
  );
  const expected = second.filter((id) => !removed.has(id));
  if (first.join() !== expected.join())
    faults.push('the notes of shard 0 are not those of shard 1');
  return faults;
}

export const SMALL_FILES: Scenario<NoteMark> = {
  name: 'small files',
  share: 0.4,
  cache: '',
  record,
  check,
};
