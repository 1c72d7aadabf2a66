import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { HeldChunks } from '../../../../server/session/held-chunks.ts';
import { blockFile } from '../../../../storage/data-directory.ts';
import { openDatabase } from '../../../../storage/sqlite.ts';
import { makeNotes } from '../../storage/notes-fixture.ts';
import type { TestLedger } from '../../storage/ledger-fixture.ts';

let ledger: TestLedger;
let chunks: HeldChunks;
let settled: Uint8Array[];

beforeEach(() => {
  ledger = makeNotes();
  settled = [];
  chunks = new HeldChunks({
    putChunk: (bytes) => Promise.resolve(ledger.writer.putChunk(bytes)),
    dropChunks: (hashes) => Promise.resolve(ledger.writer.dropChunks(hashes)),
    settleChunks: (hashes) => void settled.push(...hashes),
  });
});

afterEach(() => ledger.destroy());

/** First bytes of the chunks stored, once what is under way is done. */
async function stored(): Promise<unknown[]> {
  await new Promise((resolve) => setImmediate(resolve));
  const database = openDatabase(blockFile(ledger.directory, 0), { readonly: true });
  try {
    return database.prepare('SELECT hex(bytes) FROM chunk ORDER BY 1').pluck().all();
  } finally {
    database.close();
  }
}

const chunk = (first: number): Uint8Array => new Uint8Array([first]);

test('chunks that no transaction names are taken back, many or few', async () => {
  for (let i = 0; i < 80; i++) await chunks.put(chunk(i));
  expect(await stored()).toHaveLength(80);
  chunks.release();
  for (let i = 0; i < 3; i++) await stored();
  expect(await stored()).toEqual([]);
});

test('what the transaction names is no longer held, and what it has left out goes', async () => {
  const hash = await chunks.put(chunk(1));
  await chunks.put(chunk(2));
  // The same bytes, before and after ROLLBACK TO.
  await chunks.put(chunk(1));
  const known = chunks.settle([{ kind: 'chunks', hashes: [hash], bytes: 1 }]);
  expect(await stored()).toEqual(['01']);
  chunks.release();
  expect(await stored()).toEqual(['01']);
  expect(settled).toEqual([]);
  known();
  expect(await stored()).toEqual(['01']);
  expect(settled).toEqual([hash, hash]);
});
