import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { readlinkSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readDataDirectory, shardFile } from '../../../storage/data-directory.ts';
import { moveShard, planShardMove, planVacuum } from '../../../storage/shard-place.ts';
import { vacuumShard, whileStopped } from '../../../storage/shard-place.ts';
import { logBytes, openDatabase } from '../../../storage/sqlite.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { insertNote, makeNotes, openNotes } from './notes-fixture.ts';

let directory: string;
/** Two further disks. */
let disks: readonly string[];
let link: string;

beforeEach(() => {
  const ledger = makeNotes();
  ({ directory } = ledger);
  for (let id = 1n; id <= 300n; id++) ledger.run([insertNote(0, id), insertNote(1, id)]);
  ledger.writer.close();
  disks = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'trustsql-disk-')));
  link = shardFile(directory, 1);
});

afterEach(() => {
  for (const each of [directory, ...disks]) rmSync(each, { recursive: true, force: true });
});

function move(to: string): void {
  whileStopped(directory, (data) => moveShard(data, planShardMove(data, 1, to)));
}

/** The ledger goes on, and is whole. @param id that no note has yet */
async function soundWith(id: bigint): Promise<void> {
  const ledger = openNotes(directory);
  expect(ledger.run([insertNote(1, id)]).abort).toBeNull();
  ledger.writer.close();
  const found = await verifyLedger(directory);
  expect(found.damage).toBeNull();
}

const placed = (folder: string): string => join(folder, 'shard-01.sqlite');

test('a shard goes to another disk, to a third and back, and the ledger goes on each time', async () => {
  move(disks[0]!);
  expect(readlinkSync(link)).toBe(placed(disks[0]!));
  const ledger = openNotes(directory);
  ledger.run([insertNote(1, 1_000n)]);
  expect(readdirSync(disks[0]!).sort((a, b) => a.localeCompare(b))).toEqual(
    ['', '-shm', '-wal'].map((end) => `shard-01.sqlite${end}`),
  );
  expect(logBytes(link)).toBeGreaterThan(0);
  ledger.writer.close();
  await soundWith(1_001n);
  move(disks[1]!);
  expect(readdirSync(disks[0]!)).toEqual([]);
  await soundWith(1_002n);
  move(join(directory, 'state'));
  expect(lstatSync(link).isFile()).toBe(true);
  expect(readdirSync(disks[1]!)).toEqual([]);
  expect(readdirSync(join(directory, 'state')).filter((name) => /moved|new/.test(name))).toEqual(
    [],
  );
  await soundWith(1_003n);
});

test('what was interrupted is given again', async () => {
  const note = `${link}.moved-from`;
  // While it was copied.
  writeFileSync(note, link);
  writeFileSync(`${placed(disks[0]!)}.new`, 'half');
  move(disks[0]!);
  await soundWith(1_000n);
  // When the copy had its name.
  writeFileSync(note, placed(disks[0]!));
  cpSync(placed(disks[0]!), placed(disks[1]!));
  move(disks[1]!);
  expect(readdirSync(disks[0]!)).toEqual([]);
  await soundWith(1_001n);
  // When the link was in place and the old file was still there.
  writeFileSync(note, placed(disks[1]!));
  cpSync(placed(disks[1]!), placed(disks[0]!));
  rmSync(link);
  symlinkSync(placed(disks[0]!), link);
  move(disks[0]!);
  expect(readdirSync(disks[1]!)).toEqual([]);
  expect(existsSync(note)).toBe(false);
  await soundWith(1_002n);
});

test('a disk that is not mounted is one sentence, and never a new, empty shard', async () => {
  move(disks[0]!);
  renameSync(disks[0]!, `${disks[0]!}-away`);
  mkdirSync(disks[0]!);
  const sentence = `${link}: links to ${placed(disks[0]!)}, which is not there; is the disk mounted?`;
  expect(() => openNotes(directory)).toThrow(sentence);
  await expect(verifyLedger(directory)).rejects.toThrow(sentence);
  expect(() => move(disks[1]!)).toThrow(sentence);
  expect(readdirSync(disks[0]!)).toEqual([]);
  rmSync(disks[0]!, { recursive: true });
  expect(() => openNotes(directory)).toThrow(sentence);
  renameSync(`${disks[0]!}-away`, disks[0]!);
  await soundWith(1_000n);
  expect(() => move(join(disks[0]!, 'none'))).toThrow('no such directory; is the disk mounted?');
});

test('a state that is made anew is made on that disk', async () => {
  move(disks[0]!);
  const database = openDatabase(shardFile(directory, 0));
  database.pragma('user_version = 1');
  database.close();
  await soundWith(1_000n);
  expect(readlinkSync(link)).toBe(placed(disks[0]!));
  expect(statSync(placed(disks[0]!)).size).toBeGreaterThan(10_000);
});

test('nothing of others is written over, and nothing is done while a node runs', () => {
  writeFileSync(placed(disks[0]!), 'something else');
  expect(() => move(disks[0]!)).toThrow('there is another file of this name');
  cpSync(shardFile(directory, 0), placed(disks[1]!));
  expect(() => move(disks[1]!)).toThrow('there is another file of this name');
  const ledger = openNotes(directory);
  expect(() => move(disks[0]!)).toThrow(`${directory}: a node runs here; stop it first`);
  ledger.writer.close();
});

test('free pages are given back, also where the file is on another disk', async () => {
  const ledger = openNotes(directory);
  const object = ledger.writer.catalog.relations.get(210)!;
  ledger.change({ put: 'relation', object: { ...object, shard: 0 } as typeof object });
  ledger.writer.close();
  move(disks[0]!);
  const data = readDataDirectory(directory);
  const plan = planVacuum(data, 1);
  expect(plan.freeBytes).toBeGreaterThan(20_000);
  const before = statSync(placed(disks[0]!)).size;
  // What an interrupted one has left.
  writeFileSync(`${placed(disks[0]!)}.new`, 'half');
  expect(whileStopped(directory, () => vacuumShard(plan))).toBe(plan.freeBytes);
  expect(statSync(placed(disks[0]!)).size).toBe(before - plan.freeBytes);
  expect(planVacuum(data, 1).freeBytes).toBe(0);
  whileStopped(directory, () => vacuumShard(planVacuum(data, 0)));
  await soundWith(1_000n);
});

test('a shard is verified alone: damage in another one is not looked for', async () => {
  const database = openDatabase(link);
  database.exec("UPDATE r210 SET c2='forged' WHERE c1=7");
  database.close();
  const other = await verifyLedger(directory, { shards: [0] });
  expect(other.damage).toBeNull();
  expect(other.evidence).toContain('nothing was compared but state shards 0');
  const found = await verifyLedger(directory, { shards: [1] });
  expect(found.damage).toMatchObject({ file: link, key: 'id=7', column: 'body' });
});
