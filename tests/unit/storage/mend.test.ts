// What another node has sent goes into the files if it is what the chain has, and only then.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cpSync, rmSync } from 'node:fs';
import { decodeRowVersion, encodeRowVersion } from '../../../ledger/encoding.ts';
import { blockFile, blockFiles, indexFile, shardFile } from '../../../storage/data-directory.ts';
import { Scrub } from '../../../storage/scrub.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { crypto, index, INT4, TEXT } from './ledger-fixture.ts';
import { NOTES, insertNote, makeNotes } from './notes-fixture.ts';
import type { FoundVersion, RepairAnswer } from '../../../ledger/encoding-repair.ts';
import type { Finding } from '../../../storage/finding.ts';
import type { StateRepair } from '../../../storage/mend.ts';
import type { TestLedger } from './ledger-fixture.ts';

const FIRST = 65_536n;

let ledger: TestLedger;
let peerDirectory: string;
let scrub: Scrub;
let peer: Scrub;
let kept: { place: string; bytes: Readonly<Record<string, unknown>> }[];

const keep = (place: string, bytes: Readonly<Record<string, unknown>>): void => {
  kept.push({ place, bytes });
};

beforeEach(() => {
  kept = [];
  ledger = makeNotes();
  ledger.run([insertNote(0, 1n), insertNote(0, 2n), insertNote(0, 3n)]);
  ledger.run([
    {
      kind: 'update',
      relation: 200,
      schemaVersion: 1,
      columns: [2],
      rows: [{ rowId: 1n, version: FIRST, values: ['new'] }],
    },
    { kind: 'delete', relation: 200, rows: [{ rowId: 3n, version: FIRST }] },
  ]);
  // An index with a column of its own.
  const folded = index(
    209,
    'notes0_body',
    [
      [2, TEXT],
      [1, INT4],
    ],
    { nullsNotDistinct: true },
  );
  const indexes = [...NOTES[0]!.indexes, folded];
  const object = { ...NOTES[0]!, schemaVersion: 2, indexes };
  expect(ledger.change({ put: 'relation', object }).abort).toBeNull();
  ledger.run([insertNote(1, 4n)]);
  ledger.reopen();
  ledger.run([insertNote(1, 5n)]);
  peerDirectory = `${ledger.directory}-peer`;
  cpSync(ledger.directory, peerDirectory, { recursive: true });
  scrub = new Scrub({ directory: ledger.directory, crypto });
  peer = new Scrub({ directory: peerDirectory, crypto });
});

afterEach(() => {
  scrub.close();
  peer.close();
  ledger.destroy();
  rmSync(peerDirectory, { recursive: true });
});

function edit(file: string, sql: string): void {
  const database = openDatabase(file);
  database.exec(sql);
  database.close();
}

/** All that a table of SQLite holds. */
function content(directory: string, table: string): unknown[] {
  const database = openDatabase(shardFile(directory, 0), { readonly: true });
  const rows = database.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all();
  database.close();
  return rows;
}

function answerTo(finding: Finding): RepairAnswer {
  if (finding.kind === 'missing') {
    const { stamp, leaf } = finding;
    return peer.answer({ kind: 'versions', from: stamp, to: stamp + 1n, leaves: [leaf] });
  }
  const kind = finding.kind === 'block' ? 'block' : 'receipts';
  return peer.answer({ kind, height: 'height' in finding ? finding.height : -1 });
}

function versionsFor(findings: readonly Finding[]): FoundVersion[] {
  const answers = findings.filter(({ kind }) => kind === 'missing').map(answerTo);
  return answers.flatMap((answer) => (answer.kind === 'versions' ? answer.versions : []));
}

function repairOf(findings: readonly Finding[], versions = versionsFor(findings)): StateRepair {
  const rows = findings.filter((finding) => finding.kind === 'row');
  return { index: [], receipts: [], rows, versions };
}

describe('rows', () => {
  test.each([
    ['a value', "UPDATE r200 SET c2='forged' WHERE _id=1"],
    ['a row', 'DELETE FROM r200 WHERE _id=2'],
    ['a hidden column', "UPDATE r200 SET k209_0='forged' WHERE _id=2"],
    ['a closed version', "UPDATE h200 SET c2='forged' WHERE _id=1"],
    ['the end of one', 'UPDATE h200 SET _to=_to+65536 WHERE _id=1'],
    ['all traces of a deleted row', 'DELETE FROM h200 WHERE _id=3'],
    ['everything', 'DELETE FROM r200; DELETE FROM h200'],
    [
      'keys that trade places',
      'UPDATE r200 SET c1=77 WHERE _id=1; UPDATE r200 SET c1=1 WHERE _id=2',
    ],
    ['a foreign row', `INSERT INTO r200(_id, _v, c1, c2) VALUES (9, ${FIRST}, 9, 'forged')`],
    ['a foreign row without a stamp', "INSERT INTO r200(_id, _v, c1) VALUES (9, 'forged', 9)"],
  ])('%s', (_, sql) => {
    edit(shardFile(ledger.directory, 0), sql);
    const findings = scrub.newest();
    expect(findings).not.toEqual([]);
    const done = ledger.writer.mendState(repairOf(findings), keep);
    expect(done.length).toBeGreaterThan(0);
    expect(scrub.newest()).toEqual([]);
    for (const table of ['r200', 'h200']) {
      expect(content(ledger.directory, table)).toEqual(content(peerDirectory, table));
    }
    if (sql.includes('forged')) expect(JSON.stringify(kept, texts)).toContain('forged');
    // The node goes on.
    expect(ledger.run([insertNote(1, 50n)]).abort).toBeNull();
  });

  test('what is no version of the chain changes nothing', () => {
    edit(shardFile(ledger.directory, 0), "UPDATE r200 SET c2='forged' WHERE _id=1");
    const findings = scrub.newest();
    const [found] = versionsFor(findings);
    const version = decodeRowVersion(found!.version);
    const forged = encodeRowVersion({ ...version, values: [1n, 'other'] });
    const lies: [FoundVersion, string][] = [
      [{ ...found!, version: forged }, 'is no leaf'],
      [{ ...found!, closed: version.stamp + 65_536n }, 'end where nothing follows'],
    ];
    for (const [lie, message] of lies) {
      expect(() => ledger.writer.mendState(repairOf(findings, [lie]), keep)).toThrow(message);
      expect(scrub.newest()).toEqual(findings);
    }
    ledger.writer.mendState(repairOf(findings), keep);
    expect(scrub.newest()).toEqual([]);
  });
});

function texts(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

test('receipts, and only those that a header carries', () => {
  edit(shardFile(ledger.directory, 0), `UPDATE _receipt SET leaves=x'' WHERE stamp=${FIRST}`);
  const [finding] = scrub.newest();
  const answer = answerTo(finding!);
  if (answer.kind !== 'receipts') throw new Error(answer.kind);
  const { receipts } = answer;
  const mend = (each: typeof receipts): readonly string[] =>
    ledger.writer.mendState(
      { index: [], receipts: [{ height: 1, receipts: each }], rows: [], versions: [] },
      keep,
    );
  const short = receipts.map(({ receipt, leaves }) => ({ receipt, leaves: leaves.slice(32) }));
  expect(() => mend(short)).toThrow('receipts of block 1 are not those of the chain');
  expect(() => mend([])).toThrow('receipts of block 1 are not those of the chain');
  expect(mend(receipts)).toEqual(['receipts of block 1']);
  expect(scrub.newest()).toEqual([]);
});

test('entries of the block index', () => {
  edit(indexFile(ledger.directory), 'DELETE FROM block WHERE height=2');
  expect(scrub.newest()).toMatchObject([{ kind: 'index', height: 2 }]);
  ledger.writer.mendState({ index: [2], receipts: [], rows: [], versions: [] }, keep);
  expect(scrub.newest()).toEqual([]);
});

test.each([
  ['a body', "UPDATE block SET body=CAST(body||x'00' AS BLOB) WHERE height=2"],
  ['two blocks', 'DELETE FROM block WHERE height IN (2, 3)'],
  ['a certificate', "UPDATE block SET certificate=x'00' WHERE height=2"],
  ['the genesis record', "UPDATE block SET body=x'00' WHERE height=0"],
])('blocks: %s', (_, sql) => {
  edit(blockFile(ledger.directory, 0), sql);
  const findings = scrub.newest();
  expect(findings).not.toEqual([]);
  for (const finding of findings) {
    if (finding.kind !== 'block') throw new Error(finding.kind);
    const { height } = finding;
    const answer = answerTo(finding);
    const other = peer.answer({ kind: 'block', height: height === 1 ? 2 : 1 });
    if (answer.kind !== 'block' || other.kind !== 'block') throw new Error(answer.kind);
    expect(() => ledger.writer.mendBlock({ ...other, height }, keep)).toThrow('not repaired');
    expect(() => ledger.writer.mendBlock({ ...answer, body: other.body, height }, keep)).toThrow(
      'has another body',
    );
    ledger.writer.mendBlock({ ...answer, height }, keep);
  }
  expect(scrub.newest()).toEqual([]);
  ledger.reopen();
});

test('blocks: in a file that is sealed', () => {
  ledger.reopen({ segmentBytesMax: 1 });
  ledger.run([insertNote(1, 60n)]);
  ledger.reopen({ segmentBytesMax: 1 });
  expect(blockFiles(ledger.directory).length).toBeGreaterThan(1);
  edit(blockFile(ledger.directory, 0), "UPDATE block SET body=x'00' WHERE height=2");
  const [finding] = scrub.newest();
  expect(finding).toMatchObject({ kind: 'block', height: 2 });
  const answer = answerTo(finding!);
  if (answer.kind !== 'block') throw new Error(answer.kind);
  ledger.writer.mendBlock({ ...answer, height: 2 }, keep);
  expect(scrub.newest()).toEqual([]);
  expect(kept.map(({ place }) => place)).toEqual(['block 2']);
});
