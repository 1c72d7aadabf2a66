import { expect, test } from '@jest/globals';
import { join } from 'node:path';
import { indexFile, shardFile } from '../../../storage/data-directory.ts';
import { stampOfId } from '../../../storage/chain-index.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { stampOf } from '../../../ledger/operation.ts';
import { insertNote, makeNotes, openNotes } from './notes-fixture.ts';
import type { TestLedger } from './ledger-fixture.ts';

/** Ids of three transactions, the first two of which are sorted in. */
function idsOf(ledger: TestLedger): Uint8Array[] {
  const ids = [1n, 2n].map((id) => ledger.run([insertNote(0, id)]).transactionId);
  ledger.writer.tidy();
  return [...ids, ledger.run([insertNote(0, 3n)]).transactionId];
}

test('a transaction is found by its id, sorted in or waiting', () => {
  const ledger = makeNotes();
  const ids = idsOf(ledger);
  const reader = StateReader.open(ledger.directory);
  expect(ids.map((id) => stampOfId(reader.database, id))).toEqual(
    [1, 2, 3].map((height) => stampOf(height, 0)),
  );
  const other = ids[0]!.slice();
  other[31]! ^= 1;
  expect(stampOfId(reader.database, other)).toBeNull();
  reader.close();
  ledger.destroy();
});

test('ids are sorted in some at a time, and verified as far as they are', async () => {
  const ledger = makeNotes();
  const ids: Uint8Array[] = [];
  for (let block = 0; block < 6; block++) {
    const transactions = Array.from({ length: 1_900 }, (_, i) => [
      insertNote(0, BigInt(block * 1_900 + i)),
    ]);
    ids.push(...ledger.append([ledger.bundle(transactions)]).map((each) => each.transactionId));
  }
  ledger.writer.sortSome();
  const reader = StateReader.open(ledger.directory);
  const sorted = reader.database.prepare('SELECT count(*) FROM chain.transaction_id').pluck();
  expect(sorted.get()).toBe(5n * 1_900n);
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  ledger.writer.tidy();
  expect(sorted.get()).toBe(6n * 1_900n);
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  expect(ids.slice(-2).map((id) => stampOfId(reader.database, id))).toEqual([
    stampOf(6, 1_898),
    stampOf(6, 1_899),
  ]);
  reader.close();
  ledger.destroy();
});

test('an id that was moved is damage', async () => {
  const ledger = makeNotes();
  idsOf(ledger);
  ledger.writer.close();
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  const index = openDatabase(indexFile(ledger.directory));
  index.exec("UPDATE transaction_id SET prefix=x'0000000000000000' WHERE stamp=65536");
  index.close();
  const { damage } = await verifyLedger(ledger.directory);
  expect(damage).toMatchObject({ file: indexFile(ledger.directory), table: 'transaction_id' });
  openNotes(ledger.directory).destroy();
});

test('files of an older layout are refused by readers and made anew by the writer', async () => {
  const ledger = makeNotes();
  const ids = idsOf(ledger);
  const { directory } = ledger;
  const { uncovered } = ledger.writer.tip;
  ledger.writer.close();
  for (const file of [indexFile(directory), shardFile(directory, 1)]) {
    const database = openDatabase(file);
    database.pragma('user_version = 1');
    database.close();
    expect(() => StateReader.open(directory)).toThrow(`${file}: layout 1 is of an older version`);
    const again = openNotes(directory);
    expect(again.writer.tip.uncovered).toEqual(uncovered);
    again.writer.close();
    const reader = StateReader.open(directory);
    expect(stampOfId(reader.database, ids[2]!)).toBe(stampOf(3, 0));
    reader.close();
    expect((await verifyLedger(directory)).damage).toBeNull();
  }
  const newer = openDatabase(join(directory, 'state/shard-00.sqlite'));
  newer.pragma('user_version = 99');
  newer.close();
  expect(() => openNotes(directory)).toThrow('layout 99 was made by a newer version');
});
