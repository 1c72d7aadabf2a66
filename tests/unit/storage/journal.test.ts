import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { BlockStore } from '../../../storage/block-store.ts';
import { journalFile } from '../../../storage/data-directory.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { insertNote, makeNotes, openNotes } from './notes-fixture.ts';
import type { TestLedger } from './ledger-fixture.ts';

let ledger: TestLedger;
const copies: string[] = [];

beforeEach(() => {
  ledger = makeNotes();
});

afterEach(() => {
  ledger.destroy();
  for (const directory of copies.splice(0)) rmSync(directory, { recursive: true });
});

function fill(from: number, to: number): void {
  for (let id = from; id <= to; id++) ledger.run([insertNote(id % 2, BigInt(id))]);
}

/** What a kill at this moment leaves behind. */
function killed(): string {
  const directory = mkdtempSync(join(tmpdir(), 'trustsql-killed-'));
  copies.push(directory);
  cpSync(ledger.directory, directory, { recursive: true });
  return directory;
}

/** Where the record of a block begins, and in which file: the height is written in its head. */
function recordOf(directory: string, height: number): { file: string; offset: number } {
  for (const which of [0, 1]) {
    const file = journalFile(directory, which);
    const bytes = readFileSync(file);
    for (let offset = 0; offset < bytes.length; offset += 512) {
      const isBlock = bytes.readUInt32BE(offset) === 0x54534a31;
      if (isBlock && bytes.readBigInt64BE(offset + 8) === BigInt(height)) return { file, offset };
    }
  }
  throw new Error(`block ${height} is not in the journal`);
}

function flip(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset]! ^= 1 << (offset % 8);
  writeFileSync(file, bytes);
}

test('blocks are read by others while they lie in the journal, and after they were moved', () => {
  ledger.reopen({ journalBytes: 8 * 1024 });
  const reader = new BlockStore(ledger.directory, { readonly: true });
  const headers: Uint8Array[] = [];
  for (let id = 1; id <= 60; id++) {
    const block = ledger.block([ledger.bundle([[insertNote(0, BigInt(id))]])]);
    ledger.writer.append(block);
    headers.push(block.header);
    expect(reader.read(id)?.header).toEqual(block.header);
  }
  expect(ledger.writer.blocks.moved).toBeGreaterThan(20);
  expect(ledger.writer.blocks.moved).toBeLessThan(60);
  for (let id = 1; id <= 60; id++) expect(reader.read(id)?.header).toEqual(headers[id - 1]);
  reader.refresh();
  expect([reader.tip, reader.gap]).toEqual([60, null]);
  reader.close();
});

test('a kill at any moment of many turns of the journal loses nothing', async () => {
  ledger.reopen({ journalBytes: 4 * 1024 });
  for (let id = 1; id <= 40; id++) {
    fill(id, id);
    const copy = killed();
    const opened = openNotes(copy, { journalBytes: 4 * 1024 });
    expect(opened.writer.tip.height).toBe(id);
    opened.writer.close();
    expect((await verifyLedger(copy)).damage).toBeNull();
    rmSync(copy, { recursive: true });
    copies.pop();
  }
});

test('blocks are moved a few at a time while others are appended', async () => {
  ledger.reopen({ journalBytes: 8 * 1024 });
  let steps = 0;
  for (let id = 1; id <= 80; id++) {
    fill(id, id);
    for (; ledger.writer.tidySome(); steps++);
    // The log is synced in another thread.
    await new Promise((resolve) => setTimeout(resolve, 2));
    ledger.writer.tidySome();
  }
  expect(ledger.writer.blocks.moved).toBeGreaterThan(50);
  expect((await verifyLedger(killed())).damage).toBeNull();
});

test('a torn newest record is a block that was not acknowledged', async () => {
  fill(1, 5);
  const copy = killed();
  const { file, offset } = recordOf(copy, 5);
  writeFileSync(file, readFileSync(file).fill(0, offset + 40, offset + 200));
  const blocks = new BlockStore(copy, { readonly: true });
  expect([blocks.tip, blocks.gap]).toEqual([4, null]);
  blocks.close();
  // The state had applied it, so here it was acknowledged, and something has changed it since.
  expect((await verifyLedger(copy)).damage?.message).toContain('state has applied block 5');
  expect(() => openNotes(copy)).toThrow('has applied block 5, but the newest block is 4');
});

test('a record that was changed before others is damage, named', async () => {
  fill(1, 5);
  const copy = killed();
  const { file, offset } = recordOf(copy, 3);
  flip(file, offset + 100);
  const { damage } = await verifyLedger(copy);
  expect(damage).toMatchObject({ message: 'block 3 is missing or was changed', height: 3 });
  expect(() => openNotes(copy)).toThrow('block 3 is missing or was changed');
});

test('who follows finds what is behind a record that was changed, when it knows of it', () => {
  fill(1, 2);
  const reader = new BlockStore(ledger.directory, { readonly: true });
  fill(3, 4);
  reader.refresh();
  expect([reader.tip, reader.gap]).toEqual([4, null]);
  fill(5, 7);
  const { file, offset } = recordOf(ledger.directory, 6);
  flip(file, offset + 100);
  reader.refresh();
  expect([reader.tip, reader.gap]).toEqual([5, null]);
  reader.refresh(7);
  expect([reader.tip, reader.gap, reader.read(6)]).toEqual([5, 6, null]);
  expect(reader.read(7)?.height).toBe(7);
  flip(file, offset + 100);
  reader.refresh(7);
  expect([reader.tip, reader.gap]).toEqual([7, null]);
  // One that it has found before.
  const known = recordOf(ledger.directory, 3);
  flip(known.file, known.offset + 50);
  expect([reader.read(3), reader.gap]).toEqual([null, 3]);
  flip(known.file, known.offset + 50);
  reader.close();
});

test('a mark that was changed is damage, named', async () => {
  fill(1, 3);
  const copy = killed();
  flip(journalFile(copy, 0), 30);
  const { damage } = await verifyLedger(copy);
  expect(damage).toMatchObject({ file: journalFile(copy, 0), height: 1 });
  expect(() => openNotes(copy)).toThrow(`${journalFile(copy, 0)}: block 1 is missing`);
});

test('bytes that look like records, in a row or of an earlier turn, are none', () => {
  fill(1, 4);
  const copy = killed();
  const file = journalFile(copy, 0);
  const bytes = readFileSync(file);
  const free = recordOf(copy, 4).offset + 4_096;
  // A mark of another height, and a block of a height to come, both with sound checksums but for the number.
  for (const [magic, height, at] of [
    [0x54534a30, 1_000n, free],
    [0x54534a31, 5n, free + 512],
    [0x54534a31, 4n, free + 1_024],
  ] as const) {
    bytes.writeUInt32BE(magic, at);
    bytes.writeBigInt64BE(height, at + 8);
    bytes.writeUInt32BE(crc32(bytes.subarray(at + 8, at + 28)), at + 4);
  }
  writeFileSync(file, bytes);
  const opened = openNotes(copy);
  expect(opened.writer.tip.height).toBe(4);
  opened.writer.close();
});

test('whatever byte of the journal is flipped: found, or it carried nothing', async () => {
  fill(1, 6);
  const copy = killed();
  const end = recordOf(copy, 6).offset + 2_048;
  let found = 0;
  for (let i = 0; i < 60; i++) {
    // A fixed walk over both files, most of it where records lie.
    const file = journalFile(copy, i % 7 === 0 ? 1 : 0);
    const offset = (i * 7_919 + 13) % end;
    flip(file, offset);
    const { damage, height } = await verifyLedger(copy);
    if (damage === null) expect(height).toBe(6);
    else found += 1;
    flip(file, offset);
  }
  expect(found).toBeGreaterThan(10);
  expect((await verifyLedger(copy)).damage).toBeNull();
}, 60_000);
