// A chunk that another thread stores at the very moment at which a block file is sealed.

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { chunkHash } from '../../../ledger/hash.ts';
import { blockFile, blockFiles } from '../../../storage/data-directory.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { UnnamedChunks } from '../../../storage/unnamed-chunks.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { crypto } from './ledger-fixture.ts';
import { insertNote, makeNotes } from './notes-fixture.ts';
import type { Database } from '../../../storage/sqlite.ts';
import type { TestLedger } from './ledger-fixture.ts';

const BYTES = new Uint8Array(100).fill(7);
const HASH = chunkHash(crypto, BYTES);

let ledger: TestLedger;
/** As the other thread has them: on a connection of its own. */
let chunks: UnnamedChunks;
let notes = 0n;

beforeEach(() => {
  ledger = makeNotes();
  ledger.reopen({ segmentBytesMax: 64 * 1024, journalBytes: 16 * 1024 });
  chunks = new UnnamedChunks(ledger.directory);
  notes = 0n;
});

afterEach(() => {
  jest.restoreAllMocks();
  chunks.close();
  ledger.destroy();
});

/** Writes blocks until `ended`. */
function writeUntil(ended: () => boolean): void {
  const most = notes + 1_000n;
  while (!ended() && notes < most) ledger.run([insertNote(0, ++notes)]);
  expect(ended()).toBe(true);
}

const isSealed = (): boolean => blockFiles(ledger.directory).length > 1;

function chunksIn(firstHeight: number): unknown[] {
  const database = openDatabase(blockFile(ledger.directory, firstHeight), { readonly: true });
  try {
    return database.prepare('SELECT hash FROM chunk').pluck().all();
  } finally {
    database.close();
  }
}

/**
 * Runs `work` once, before or after a call of better-sqlite3 whose first argument is `isIt`; every call does what it does.
 *
 * @returns whether it has run
 */
function interleave(
  when: 'before' | 'after',
  method: 'exec' | 'pragma' | 'transaction',
  isIt: (argument: unknown) => boolean,
  work: () => void,
): () => boolean {
  const prototype = Object.getPrototypeOf(ledger.writer.database) as Database;
  const original = prototype[method] as (this: Database, ...given: unknown[]) => unknown;
  let hasRun = false;
  const spy = jest.spyOn(prototype, method) as unknown as {
    mockImplementation(call: typeof original): void;
  };
  spy.mockImplementation(function (this: Database, ...given: unknown[]) {
    const now = !hasRun && isIt(given[0]);
    hasRun ||= now;
    if (now && when === 'before') work();
    const result = original.apply(this, given);
    if (now && when === 'after') work();
    return result;
  });
  return () => hasRun;
}

test.each(['before', 'after'] as const)(
  'a file is not sealed with a chunk that is stored %s its log is folded in',
  async (when) => {
    const isFold = (argument: unknown): boolean => argument === 'wal_checkpoint(TRUNCATE)';
    writeUntil(interleave(when, 'pragma', isFold, () => chunks.put(HASH, BYTES)));
    expect(isSealed()).toBe(false);
    chunks.drop([HASH]);
    writeUntil(isSealed);
    expect(chunksIn(0)).toEqual([]);
    ledger.reopen();
    expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  },
);

test('nor with a log: what was stored meanwhile, and dropped again, is folded in first', () => {
  const isFold = (argument: unknown): boolean => argument === 'wal_checkpoint(TRUNCATE)';
  const hasRun = interleave('after', 'pragma', isFold, () => {
    chunks.put(HASH, BYTES);
    chunks.drop([HASH]);
  });
  writeUntil(hasRun);
  expect(isSealed()).toBe(false);
  writeUntil(isSealed);
});

test('a chunk goes into the next file when its own is sealed between the look and the lock', async () => {
  const isAny = (): boolean => true;
  const hasRun = interleave('before', 'transaction', isAny, () => writeUntil(isSealed));
  chunks.put(HASH, BYTES);
  expect(hasRun()).toBe(true);
  const [first, next] = blockFiles(ledger.directory);
  expect([first, next].map((at) => chunksIn(at!).length)).toEqual([0, 1]);
  chunks.drop([HASH]);
  expect(chunksIn(next!)).toEqual([]);
  ledger.reopen();
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
});

test('the next file has its name when it is whole', () => {
  const isTables = (argument: unknown): boolean => String(argument).includes('TABLE block');
  let any: boolean | null = null;
  const hasRun = interleave('before', 'exec', isTables, () => {
    any = chunks.any;
  });
  writeUntil(isSealed);
  expect([hasRun(), any]).toEqual([true, false]);
});
