import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { checkAtStart } from '../../../storage/start-check.ts';
import { decodeBody, decodeHeader } from '../../../ledger/encoding.ts';
import { decodeCertificate } from '../../../ledger/encoding-vote.ts';
import { headerHash } from '../../../ledger/hash.ts';
import { decodeTransactions } from '../../../storage/apply.ts';
import { Writer } from '../../../storage/writer.ts';
import { blockFile, shardFile } from '../../../storage/data-directory.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { insertNote, makeNotes } from './notes-fixture.ts';
import { NODE_SEED, column, crypto, INT4 } from './ledger-fixture.ts';
import { NOTES } from './notes-fixture.ts';
import type { TestLedger } from './ledger-fixture.ts';

let ledger: TestLedger;

beforeEach(() => {
  ledger = makeNotes();
  ledger.run([insertNote(0, 1n), insertNote(1, 1n)]);
  ledger.run([
    {
      kind: 'update',
      relation: 200,
      schemaVersion: 1,
      columns: [2],
      rows: [{ rowId: 1n, version: 65_536n, values: ['new'] }],
    },
  ]);
  const columns = [...NOTES[0]!.columns, column(3, 'more', INT4, { missing: 7n })];
  ledger.change({ put: 'relation', object: { ...NOTES[0]!, schemaVersion: 2, columns } });
});

afterEach(() => ledger.destroy());

test('sound files pass', () => {
  checkAtStart(ledger.directory, crypto);
});

test.each([
  [0, "UPDATE r200 SET c2='forged'", 'row 1 of table notes0 is not as block 2 wrote it'],
  [0, "UPDATE h200 SET c2='forged'", 'row 1 of table notes0 is not as block 1 wrote it'],
  [1, 'UPDATE r210 SET c1=9', 'row 1 of table notes1 is not as block 1 wrote it'],
  [0, "UPDATE _receipt SET leaves=x'' WHERE stamp=65536", 'receipts of block 1 were changed'],
  [1, 'CREATE VIEW v AS SELECT 1', 'v does not belong here'],
])('an edit in shard %i is found: %s', (shard, sql, message) => {
  const database = openDatabase(shardFile(ledger.directory, shard));
  database.exec(sql);
  database.close();
  expect(() => checkAtStart(ledger.directory, crypto)).toThrow(message);
});

test('a block that was edited is found', () => {
  ledger.writer.close();
  const database = openDatabase(blockFile(ledger.directory, 0));
  database.exec("UPDATE block SET body=CAST(body||x'00' AS BLOB) WHERE height=2");
  database.close();
  expect(() => checkAtStart(ledger.directory, crypto)).toThrow('block 2: has another body');
});

test('the writer thread checks, appends, and answers with receipts', async () => {
  const block = ledger.block([ledger.bundle([[insertNote(1, 5n)], [insertNote(1, 5n)]])]);
  const { tip } = ledger.writer;
  ledger.writer.close();
  const failures: Error[] = [];
  const writer = await Writer.open(ledger.directory, crypto.publicKeyOf(NODE_SEED), (e) =>
    failures.push(e),
  );
  expect(writer.tip).toEqual(tip);
  const header = decodeHeader(block.header);
  const body = decodeBody(block.body);
  const certificate = decodeCertificate(block.certificate);
  const transactions = decodeTransactions(crypto, body.bundles);
  const hash = headerHash(crypto, block.header);
  const { receipts } = await writer.append({
    stored: block,
    header,
    hash,
    ...body,
    certificate,
    transactions,
  });
  expect(receipts.map(({ receipt }) => receipt.abort?.sqlstate)).toEqual([undefined, '23505']);
  expect(writer.tip.height).toBe(tip.height + 1);
  const chunk = await writer.putChunk(new Uint8Array([1, 2, 3]));
  expect(chunk).toHaveLength(32);
  await writer.close();
  expect(failures).toEqual([]);
  const database = openDatabase(shardFile(ledger.directory, 0));
  database.exec("UPDATE r200 SET c2='forged'");
  database.close();
  await expect(Writer.open(ledger.directory, new Uint8Array(32), () => undefined)).rejects.toThrow(
    'row 1',
  );
  ledger.reopen();
});
