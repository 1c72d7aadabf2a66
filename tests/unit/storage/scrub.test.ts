// What an edit of a file looks like to the scrub: the place, and nothing else.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { blockFile, indexFile, shardFile } from '../../../storage/data-directory.ts';
import { sentenceOf } from '../../../storage/finding.ts';
import { Scrub } from '../../../storage/scrub.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { INT4, column, crypto } from './ledger-fixture.ts';
import { NOTES, insertNote, makeNotes } from './notes-fixture.ts';
import { hex } from '../../../ledger/bytes.ts';
import { headerHash } from '../../../ledger/hash.ts';
import { Certified } from '../../../storage/certified.ts';
import { encodeOperations } from '../../../ledger/encoding.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { TestLedger } from './ledger-fixture.ts';

let ledger: TestLedger;
let scrub: Scrub;

/** Stamps of the blocks below. */
const [FIRST, SECOND] = [65_536n, 131_072n];

function replaced(rowId: bigint, version: bigint, body: string): Operation {
  const rows = [{ rowId, version, values: [body] }];
  return { kind: 'update', relation: 200, schemaVersion: 1, columns: [2], rows };
}

beforeEach(() => {
  ledger = makeNotes();
  ledger.run([insertNote(0, 1n), insertNote(0, 2n), insertNote(0, 3n), insertNote(1, 1n)]);
  ledger.run([
    replaced(1n, FIRST, 'new'),
    { kind: 'delete', relation: 200, rows: [{ rowId: 3n, version: FIRST }] },
  ]);
  // A row that comes and goes in one transaction has a leaf and no version.
  ledger.run([
    insertNote(1, 9n),
    { kind: 'delete', relation: 210, rows: [{ rowId: -1n, version: 0n }] },
  ]);
  const columns = [...NOTES[0]!.columns, column(3, 'more', INT4, { missing: 7n })];
  ledger.change({ put: 'relation', object: { ...NOTES[0]!, schemaVersion: 2, columns } });
  ledger.run([insertNote(1, 4n)]);
  scrub = new Scrub({ directory: ledger.directory, crypto });
});

afterEach(() => {
  scrub.close();
  ledger.destroy();
});

function edit(file: string, sql: string): void {
  const database = openDatabase(file);
  database.exec(sql);
  database.close();
}

/** The findings as sentences, without the directory. */
function found(): string[] {
  return scrub.newest().map((finding) => sentenceOf(finding).replace(/^.*\//, ''));
}

test('nothing in sound files, whatever rows have come and gone', () => {
  expect(found()).toEqual([]);
});

const GONE = expect.stringMatching(
  /^shard-00.sqlite: a row of table notes0( or notes1)? that transaction 0 of block \d wrote is missing or was changed/,
) as unknown as string;

describe('rows', () => {
  test.each([
    [
      'a value that was changed',
      "UPDATE r200 SET c2='forged' WHERE _id=1",
      ['shard-00.sqlite: row 1 of table notes0 is not as block 2 wrote it', GONE],
    ],
    [
      'a value of history',
      "UPDATE h200 SET c2='forged' WHERE _id=1",
      [
        'shard-00.sqlite: a closed version of row 1 of table notes0 is not as block 1 wrote it',
        GONE,
      ],
    ],
    ['a row that is gone', 'DELETE FROM r200 WHERE _id=2', [GONE]],
    [
      'a current row that is gone, of which history has an older version',
      'DELETE FROM r200 WHERE _id=1',
      [GONE],
    ],
    ['a closed version that is gone', 'DELETE FROM h200 WHERE _id=1', [GONE]],
    ['a deleted row without a trace', 'DELETE FROM h200 WHERE _id=3', [GONE]],
    [
      'a row that nobody wrote',
      `INSERT INTO r200(_id, _v, c1, c2) VALUES (77, ${SECOND}, 77, 'x')`,
      ['shard-00.sqlite: row 77 of table notes0 is not as block 2 wrote it'],
    ],
    [
      'a row without a stamp',
      `INSERT INTO r200(_id, _v, c1, c2) VALUES (77, NULL, 77, 'x')`,
      ['shard-00.sqlite: row 77 of table notes0 is not'],
    ],
    [
      'a deleted row that is back',
      'INSERT INTO r200(_id, _v, c1, c2, c3) SELECT _id, _from, c1, c2, c3 FROM h200 WHERE _id=3',
      ['shard-00.sqlite: row 3 of table notes0 is not as block 1 wrote it'],
    ],
    [
      'an older version in the place of the newer one',
      `DELETE FROM r200 WHERE _id=1;
       INSERT INTO r200(_id, _v, c1, c2, c3) SELECT _id, _from, c1, c2, c3 FROM h200 WHERE _id=1`,
      ['shard-00.sqlite: row 1 of table notes0 is not as block 1 wrote it', GONE],
    ],
    [
      'another end of a closed version',
      'UPDATE h200 SET _to=_to+65536 WHERE _id=1',
      [
        'shard-00.sqlite: a closed version of row 1 of table notes0 is not as block 1 wrote it',
        GONE,
      ],
    ],
  ])('%s', (_, sql, expected) => {
    edit(shardFile(ledger.directory, 0), sql);
    const sentences = found();
    expect(sentences).toHaveLength(expected.length);
    expect(sentences).toEqual(expect.arrayContaining(expected));
  });
});

describe('the chain', () => {
  test.each([
    [
      'body',
      "UPDATE block SET body=CAST(body||x'00' AS BLOB) WHERE height=2",
      'block 2: has another body',
    ],
    [
      'header',
      'UPDATE block SET header=(SELECT header FROM block WHERE height=1) WHERE height=2',
      'block 2: block 3 follows another one',
    ],
    [
      'certificate',
      'UPDATE block SET certificate=(SELECT certificate FROM block WHERE height=1) WHERE height=2',
      'block 2: signature of a node is not valid',
    ],
    ['genesis', "UPDATE block SET body=x'00' WHERE height=0", 'block 0: has another body'],
    ['whole block', 'DELETE FROM block WHERE height=2', 'block 2: is missing'],
  ])('a %s', (_, sql, message) => {
    scrub.close();
    ledger.reopen();
    scrub = new Scrub({ directory: ledger.directory, crypto });
    expect(found()).toEqual([]);
    edit(blockFile(ledger.directory, 0), sql);
    expect(found()).toEqual([`blocks-000000000000.sqlite: ${message}`]);
  });

  test.each([
    ['leaves', `leaves=leaves||leaves`],
    ['receipt', `receipt=CAST(receipt||x'00' AS BLOB)`],
    ['sqlstate', `sqlstate='23505'`],
    ['author', 'author=author+1'],
    [
      'border between receipt and leaves',
      `receipt=receipt||substr(leaves,1,1), leaves=substr(leaves,2)`,
    ],
  ])('the %s of a receipt that was sound before', (_, set) => {
    expect(found()).toEqual([]);
    edit(shardFile(ledger.directory, 0), `UPDATE _receipt SET ${set} WHERE stamp=${FIRST}`);
    expect(found()).toEqual(['shard-00.sqlite: receipts of block 1 were changed']);
  });

  test('a certificate that is known to be right is not checked, but it must be that one', () => {
    let verified = 0;
    const counting = {
      ...crypto,
      verify: (...args: Parameters<typeof crypto.verify>): boolean => {
        verified += 1;
        return crypto.verify(...args);
      },
    };
    scrub.close();
    ledger.reopen();
    const certified = new Certified(crypto);
    for (let height = 0; height <= ledger.writer.blocks.tip; height++) {
      const { header, certificate } = ledger.writer.blocks.read(height)!;
      certified.add(headerHash(crypto, header), certificate);
    }
    const names = certified.take();
    scrub = new Scrub({ directory: ledger.directory, crypto: counting });
    scrub.learn(names);
    expect(found()).toEqual([]);
    expect(verified).toBe(0);
    scrub.close();
    scrub = new Scrub({ directory: ledger.directory, crypto: counting });
    scrub.learn(names);
    edit(
      blockFile(ledger.directory, 0),
      'UPDATE block SET certificate=(SELECT certificate FROM block WHERE height=1) WHERE height=2',
    );
    expect(found()).toEqual([
      'blocks-000000000000.sqlite: block 2: signature of a node is not valid',
    ]);
    expect(verified).toBe(1);
  });

  test('receipts and what they stand for: rows are not judged by them', () => {
    edit(shardFile(ledger.directory, 0), `UPDATE _receipt SET leaves=x'' WHERE stamp=${FIRST}`);
    expect(found()).toEqual(['shard-00.sqlite: receipts of block 1 were changed']);
    edit(shardFile(ledger.directory, 0), `DELETE FROM _receipt WHERE stamp=${FIRST}`);
    expect(found()).toEqual(['shard-00.sqlite: receipts of block 1 were changed']);
  });

  test('the block index', () => {
    edit(indexFile(ledger.directory), 'UPDATE block SET time_ms=time_ms+1 WHERE height=2');
    expect(found()).toEqual(['index.sqlite: the entry of block 2 was changed']);
  });

  test('what SQLite would carry out', () => {
    edit(shardFile(ledger.directory, 1), 'CREATE VIEW v AS SELECT 1');
    expect(found()).toEqual([expect.stringMatching(/shard-01.sqlite: v does not belong here/)]);
  });
});

test('older blocks are looked through slice by slice, and again until they are sound', () => {
  scrub.close();
  scrub = new Scrub({ directory: ledger.directory, crypto, newestBlocks: 2 });
  edit(shardFile(ledger.directory, 0), "UPDATE r200 SET c2='forged' WHERE _id=1");
  expect(scrub.newest()).toEqual([]);
  const round = Array.from({ length: scrub.slices }, () => scrub.slice());
  expect(round.flat().map(({ kind }) => kind)).toEqual(['row', 'missing']);
  expect(scrub.newest().map(({ kind }) => kind)).toEqual(['row', 'missing']);
  edit(shardFile(ledger.directory, 0), "UPDATE r200 SET c2='new' WHERE _id=1");
  expect(scrub.newest()).toEqual([]);
});

test('chunks of large transactions are hashed again, and looked at until they are sound', () => {
  const [one, two] = [21n, 22n].map((id) => encodeOperations([insertNote(1, id)]));
  const hashes = [one!, two!].map((bytes) => ledger.writer.putChunk(bytes));
  ledger.run([{ kind: 'chunks', hashes, bytes: 0 }]);
  const file = blockFile(ledger.directory, 0);
  const sentence = `blocks-000000000000.sqlite: chunk ${hex(hashes[1]!)} has other content`;
  const looked = (): string[] =>
    scrub.slice().map((finding) => sentenceOf(finding).replace(/^.*\//, ''));
  expect(looked()).toEqual([]);
  edit(file, 'UPDATE chunk SET bytes=zeroblob(length(bytes)) WHERE id=2');
  expect(found()).toEqual([]);
  expect(looked()).toEqual([sentence]);
  expect(found()).toEqual([sentence]);
  expect(looked()).toEqual([sentence]);
  // Said once, however often it was found.
  expect(found()).toEqual([sentence]);
  expect(() => ledger.writer.mendChunk(hashes[1]!, one!, () => undefined)).toThrow('another one');
  const kept: string[] = [];
  ledger.writer.mendChunk(hashes[1]!, two!, (place) => kept.push(place));
  expect(kept).toEqual([`chunk ${hex(hashes[1]!)}`]);
  expect(found()).toEqual([]);
  expect(looked()).toEqual([]);
});

test('what is no hash beside a chunk is a matter of the file', () => {
  ledger.writer.putChunk(encodeOperations([insertNote(1, 21n)]));
  edit(blockFile(ledger.directory, 0), "UPDATE chunk SET hash='none'");
  expect(scrub.slice().map(sentenceOf)).toEqual([
    expect.stringMatching(/blocks-0{12}\.sqlite: a chunk has no hash$/),
  ]);
});
