// A sealed block file that was replaced by one of another history, sound in itself: same genesis, same node key.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, rmSync } from 'node:fs';
import { blockFile, blockFiles } from '../../../storage/data-directory.ts';
import { checkAtStart } from '../../../storage/start-check.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { TestLedger, crypto } from './ledger-fixture.ts';
import { insertNote, makeNotes } from './notes-fixture.ts';

const SEGMENT_BYTES = 32 * 1024;
const BLOCKS = 200;

let ledger: TestLedger;
let other: TestLedger;

function fill(filled: TestLedger, from: number): void {
  filled.reopen({ segmentBytesMax: SEGMENT_BYTES, journalBytes: 16 * 1024 });
  for (let id = from; id < from + BLOCKS; id++) filled.run([insertNote(0, BigInt(id))]);
}

beforeEach(() => {
  ledger = makeNotes();
  other = new TestLedger(ledger.writer.genesis);
  fill(ledger, 1);
  fill(other, 1_000);
});

afterEach(() => {
  ledger.destroy();
  other.destroy();
});

/** Puts the blocks of the same heights of the other ledger into the file that begins at `first`. */
function replace(first: number, next: number): void {
  other.writer.close();
  const file = blockFile(ledger.directory, first);
  const database = openDatabase(file);
  database.exec(`DELETE FROM block WHERE height<${next} AND height>0`);
  for (const at of blockFiles(other.directory)) {
    database.prepare('ATTACH ? AS other').run(blockFile(other.directory, at));
    database.exec(
      `INSERT INTO main.block SELECT * FROM other.block WHERE height>=${Math.max(first, 1)} AND height<${next}`,
    );
    database.exec('DETACH other');
  }
  database.close();
  other.reopen();
}

test('each of them is found, by verify and when the node starts', async () => {
  const segments = blockFiles(ledger.directory);
  expect(segments.length).toBeGreaterThan(3);
  ledger.writer.close();
  for (const [i, first] of segments.slice(0, -1).entries()) {
    const file = blockFile(ledger.directory, first);
    cpSync(file, `${file}.kept`);
    replace(first, segments[i + 1]!);
    expect((await verifyLedger(ledger.directory)).ok).toBe(false);
    expect(() => checkAtStart(ledger.directory, crypto)).toThrow('follows another one');
    for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
    cpSync(`${file}.kept`, file);
    rmSync(`${file}.kept`);
  }
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  checkAtStart(ledger.directory, crypto);
  ledger.reopen();
});
