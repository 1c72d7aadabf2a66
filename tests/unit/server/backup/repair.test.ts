// Bits are flipped in the files of a stopped ledger; a repair makes it whole, or names what it lacks.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readSync } from 'node:fs';
import { readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Keyring } from '../../../../identity/keyring.ts';
import { makeNodeKey } from '../../../../identity/node-key.ts';
import { makeBackup } from '../../../../server/backup/make.ts';
import { repairOffline } from '../../../../server/backup/repair.ts';
import type { Repaired } from '../../../../server/backup/repair.ts';
import { systemClock } from '../../../../server/clock.ts';
import { blockFile, blockFiles, indexFile } from '../../../../storage/data-directory.ts';
import { readDataDirectory, shardFile } from '../../../../storage/data-directory.ts';
import { openDatabase } from '../../../../storage/sqlite.ts';
import { verifyLedger } from '../../../../storage/verify.ts';
import { TestLedger, crypto, genesis } from '../../storage/ledger-fixture.ts';
import { insertNote, makeNotes, openNotes } from '../../storage/notes-fixture.ts';

const BYTES_MAX = 32 * 1024;
const MASTER_KEY = new Uint8Array(32).fill(9);

let folder: string;
let directory: string;
let backup: string;
let notes = 0;

function write(blocks: number): void {
  const ledger = openNotes(directory, { segmentBytesMax: BYTES_MAX, journalBytes: BYTES_MAX / 2 });
  for (let i = 0; i < blocks; i++) ledger.run([insertNote(notes % 2, BigInt(++notes))]);
  ledger.writer.tidy();
  ledger.writer.close();
}

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'trustsql-repair-'));
  backup = path.join(folder, 'backup');
  notes = 0;
  const ledger = makeNotes();
  ({ directory } = ledger);
  ledger.writer.close();
  makeNodeKey(directory, crypto, MASTER_KEY);
  Keyring.create(directory, crypto, MASTER_KEY).close();
  write(120);
  makeBackup({
    data: directory,
    to: backup,
    crypto,
    clock: systemClock,
    onProgress: () => undefined,
  });
  write(20);
});

afterEach(() => {
  for (const each of [folder, directory]) rmSync(each, { recursive: true });
});

function repair(from: string | null): Promise<Repaired> {
  const data = readDataDirectory(directory);
  return repairOffline({ data, from, crypto, clock: systemClock, onProgress: () => undefined });
}

/** Another bit at a place, without the log folded in. */
function flip(file: string, at: number): void {
  const handle = openSync(file, 'r+');
  const byte = new Uint8Array(1);
  readSync(handle, byte, 0, 1, at);
  byte[0]! ^= 0x10;
  writeSync(handle, byte, 0, 1, at);
  closeSync(handle);
}

function fold(file: string): void {
  const database = openDatabase(file);
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
}

/** Another bit in the header of a block: SQLite does not see it. */
function flipIn(file: string, height: number): void {
  const database = openDatabase(file);
  const find = database.prepare('SELECT header FROM block WHERE height=?').pluck();
  const header = find.get(BigInt(height)) as Uint8Array;
  header[70]! ^= 0x10;
  database.prepare('UPDATE block SET header=? WHERE height=?').run(header, BigInt(height));
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
}

/** Where a text lies in a file. */
const placeOf = (file: string, text: string | Uint8Array): number =>
  readFileSync(file).indexOf(text);

test('damaged state and a damaged index are made anew from the chain, and kept as evidence', async () => {
  const [shard, index] = [shardFile(directory, 1), indexFile(directory)];
  fold(shard);
  flip(shard, placeOf(shard, 'note 20'));
  const before = readFileSync(shard);
  const first = await repair(null);
  expect(first).toMatchObject({ missing: null, done: [`${shard} was made anew from the chain`] });
  const [kept] = readdirSync(path.join(directory, 'evidence'));
  expect(kept).toMatch(/-shard-01\.sqlite$/);
  expect(readFileSync(path.join(directory, 'evidence', kept!))).toEqual(before);
  fold(index);
  const database = openDatabase(index);
  database.exec("UPDATE block SET hash=x'00' WHERE height=7");
  database.close();
  expect((await repair(null)).done).toEqual([`${index} was made anew from the chain`]);
  rmSync(shardFile(directory, 0));
  expect((await repair(null)).missing).toBeNull();
  write(2);
  expect((await verifyLedger(directory)).damage).toBeNull();
});

test('damaged blocks come from a backup, sealed or not, and newer ones stay', async () => {
  const files = blockFiles(directory).map((first) => blockFile(directory, first));
  expect(files.length).toBeGreaterThan(2);
  const [sealed, open] = [files[0]!, files.at(-1)!];
  flipIn(sealed, 3);
  expect((await repair(null)).missing).toBe(
    `${sealed} is repaired from a backup: give it with --from`,
  );
  const first = await repair(backup);
  expect(first.missing).toBeNull();
  expect(first.done[0]).toContain(`${sealed} was written anew, blocks 0 to`);
  // A page of SQLite's own.
  flip(files[1]!, 4096 + 3);
  expect((await repair(backup)).verified).toMatchObject({ damage: null, height: 140 });
  // Newer than the backup.
  flipIn(open, 140);
  const before = readFileSync(open);
  expect((await repair(backup)).missing).toContain(`${open} has what the backup has not`);
  expect(readFileSync(open)).toEqual(before);
  expect(existsSync(path.join(directory, 'chain', 'repair.new'))).toBe(false);
});

test('a backup of another chain is refused', async () => {
  const other = new TestLedger({ ...genesis(), nonce: new Uint8Array(32).fill(8) });
  other.writer.close();
  makeNodeKey(other.directory, crypto, MASTER_KEY);
  Keyring.create(other.directory, crypto, MASTER_KEY).close();
  const to = path.join(folder, 'other');
  const onProgress = (): void => undefined;
  makeBackup({ data: other.directory, to, crypto, clock: systemClock, onProgress });
  await expect(repair(to)).rejects.toThrow(`${to}: a backup of chain `);
  rmSync(other.directory, { recursive: true });
});
