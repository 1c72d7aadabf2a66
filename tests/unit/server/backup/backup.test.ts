// A backup of a small ledger: what is copied again and what is not, what is refused, what comes back.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Keyring } from '../../../../identity/keyring.ts';
import { makeNodeKey, nodeKeyFile } from '../../../../identity/node-key.ts';
import { checkBackup } from '../../../../server/backup/check.ts';
import type { CheckedBackup } from '../../../../server/backup/check.ts';
import { makeBackup, missingIn } from '../../../../server/backup/make.ts';
import type { MadeBackup } from '../../../../server/backup/make.ts';
import type { BackupBlocks } from '../../../../server/backup/manifest.ts';
import { restoreBackup } from '../../../../server/backup/restore.ts';
import type { Restored } from '../../../../server/backup/restore.ts';
import { systemClock } from '../../../../server/clock.ts';
import { readConfig } from '../../../../server/config.ts';
import { initialise } from '../../../../server/initialise.ts';
import { hex } from '../../../../ledger/bytes.ts';
import { makeCheckpoint } from '../../../../ledger/checkpoint.ts';
import { headerHash } from '../../../../ledger/hash.ts';
import { blockFiles, journalFile } from '../../../../storage/data-directory.ts';
import type { Pins } from '../../../../storage/pins.ts';
import { StateReader } from '../../../../storage/snapshot.ts';
import { verifyLedger } from '../../../../storage/verify.ts';
import { NODE_SEED, TestLedger, crypto, genesis } from '../../storage/ledger-fixture.ts';
import { insertNote, makeNotes, openNotes } from '../../storage/notes-fixture.ts';

const BYTES_MAX = 32 * 1024;
const MASTER_KEY = new Uint8Array(32).fill(9);

let folder: string;
let to: string;
let ledger: TestLedger;
let notes = 0;

const onProgress = (): void => undefined;

function giveSecrets(directory: string): void {
  makeNodeKey(directory, crypto, MASTER_KEY);
  Keyring.create(directory, crypto, MASTER_KEY).close();
}

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'trustsql-backup-'));
  to = path.join(folder, 'backup');
  notes = 0;
  ledger = makeNotes();
  ledger.reopen({ segmentBytesMax: BYTES_MAX, journalBytes: BYTES_MAX / 2 });
  giveSecrets(ledger.directory);
});

afterEach(() => {
  ledger.destroy();
  rmSync(folder, { recursive: true });
});

function write(blocks: number, into = ledger): void {
  for (let i = 0; i < blocks; i++) into.run([insertNote(notes % 2, BigInt(++notes))]);
}

function backUp(data = ledger.directory): MadeBackup {
  return makeBackup({ data, to, crypto, clock: systemClock, onProgress, bytesMax: BYTES_MAX });
}

function check(pins: Pins = {}): CheckedBackup {
  return checkBackup({ from: to, pins, crypto, onProgress });
}

function restore(name: string, height: number | null = null): Restored & { data: string } {
  const data = path.join(folder, name);
  const options = { from: to, data, height, crypto, onProgress, bytesMax: BYTES_MAX };
  return { data, ...restoreBackup(options) };
}

function rowsIn(data: string): number {
  const reader = StateReader.open(data);
  try {
    const count = (schema: string, id: number): number =>
      Number(reader.database.prepare(`SELECT count(*) FROM ${schema}.r${id}`).pluck().get());
    return count('main', 200) + count('s1', 210);
  } finally {
    reader.close();
  }
}

function filesOf(made: MadeBackup): Map<string, number> {
  const file = (name: string): string => path.join(to, 'files', name);
  return new Map(made.blocks.map(({ name }) => [name, statSync(file(name)).ino]));
}

test('takes what the journal holds beside the writer, and is brought up to date', () => {
  write(60);
  const first = backUp();
  expect(first).toMatchObject({ height: 60, added: 61, replaced: [] });
  expect(first.headerHash).toBe(hex(ledger.writer.tip.hash));
  expect(first.blocks.length).toBeGreaterThan(1);
  const before = filesOf(first);

  write(60);
  const second = backUp();
  expect(second).toMatchObject({ height: 120, added: 60 });
  // All but the last, which was short, are the same files.
  for (const { name } of first.blocks.slice(0, -1)) {
    expect(filesOf(second).get(name)).toBe(before.get(name));
  }
  expect(second.blocks.map(({ name }) => name)).not.toContain(first.blocks.at(-1)!.name);
  expect(second.blocks[first.blocks.length - 1]!.from).toBe(first.blocks.at(-1)!.from);
  const listed = [...second.blocks, ...second.secrets].map(({ name }) => name);
  expect(readdirSync(path.join(to, 'files')).sort()).toEqual(listed.sort());

  expect(backUp()).toMatchObject({ height: 120, added: 0, blocks: second.blocks });
  expect(check()).toMatchObject({ height: 120 });
});

test('goes up to the block that was the newest when it began, whatever the writer does meanwhile', () => {
  write(60);
  let progress = 0;
  const onEach = (stage: string): void => {
    // So much that the journal is written over, twice, and block files are sealed.
    if (stage === 'blocks' && ++progress === 5) write(150);
  };
  const options = { data: ledger.directory, to, crypto, clock: systemClock };
  const made = makeBackup({ ...options, onProgress: onEach, bytesMax: BYTES_MAX });
  expect(made).toMatchObject({ height: 60, added: 61 });
  expect(check()).toMatchObject({ height: 60 });
  expect(ledger.writer.tip.height).toBe(210);
  expect(backUp()).toMatchObject({ height: 210, added: 150 });
  expect(restore('after').headerHash).toBe(hex(ledger.writer.tip.hash));
});

test('comes back whole, or up to a block, and goes on', async () => {
  write(100);
  backUp();
  const whole = restore('whole');
  expect(whole).toMatchObject({ height: 100, policy: 'solo', members: 1, member: false });
  expect(whole.headerHash).toBe(hex(ledger.writer.tip.hash));
  expect(rowsIn(whole.data)).toBe(100);
  expect(blockFiles(whole.data).length).toBeGreaterThan(1);
  for (const secret of ['identity.sqlite', 'keys/node.key']) {
    expect(statSync(path.join(whole.data, secret)).mode & 0o777).toBe(0o600);
  }
  expect(readFileSync(nodeKeyFile(whole.data))).toEqual(
    readFileSync(nodeKeyFile(ledger.directory)),
  );
  expect(existsSync(path.join(whole.data, 'consensus'))).toBe(false);
  expect(existsSync(path.join(whole.data, 'restore.unfinished'))).toBe(false);
  Keyring.open(whole.data, crypto, MASTER_KEY).close();
  for (const height of [0, 37]) {
    const part = restore(`part-${height}`, height);
    const { header } = ledger.writer.blocks.read(height)!;
    expect(part).toMatchObject({ height });
    expect(part.headerHash).toBe(hex(headerHash(crypto, header)));
    expect(rowsIn(part.data)).toBe(height);
    expect(await verifyLedger(part.data)).toMatchObject({ ok: true, height, stateHeight: height });
  }
  const again = openNotes(whole.data);
  again.run([insertNote(0, 1_000n)]);
  again.writer.close();
  expect(await verifyLedger(whole.data)).toMatchObject({ ok: true, height: 101 });
});

test('each changed or missing file is named, and made anew by the next backup', () => {
  write(60);
  const made = backUp();
  for (const { name, bytes } of [...made.blocks, ...made.secrets]) {
    const file = path.join(to, 'files', name);
    const content = readFileSync(file);
    for (const at of [0, Math.floor(bytes / 2), bytes - 1]) {
      const changed = Buffer.from(content);
      changed[at]! ^= 1;
      writeFileSync(file, changed);
      expect(() => check()).toThrow(`${file}: was changed`);
      expect(() => restore('damaged')).toThrow(`${file}: was changed`);
      expect(existsSync(path.join(folder, 'damaged'))).toBe(false);
    }
    appendFileSync(file, 'x');
    expect(() => check()).toThrow(`${file}: has ${bytes + 1} bytes`);
    rmSync(file);
    expect(() => check()).toThrow(`${file}: the file is missing`);
    writeFileSync(file, content);
  }
  const [, second] = made.blocks;
  const file = path.join(to, 'files', second!.name);
  writeFileSync(file, '');
  const repaired = backUp();
  expect(repaired.replaced).toEqual([`${file}: has 0 bytes instead of ${second!.bytes}`]);
  expect(repaired).toMatchObject({ height: 60, added: second!.to - second!.from + 1 });
  expect(check()).toMatchObject({ height: 60 });
});

test('what is known from elsewhere must be in it, and is named as evidence', () => {
  write(30);
  const { chainId } = ledger.writer.data;
  const digestNow = (): string =>
    makeCheckpoint(crypto, chainId, notes + 1, ledger.writer.history.root(), NODE_SEED);
  const digest = digestNow();
  write(30);
  const made = backUp();
  const nodeKey = crypto.publicKeyOf(NODE_SEED);
  const other = new Uint8Array(32).fill(9);

  expect(check().evidence.join()).toMatch(/directory itself names.*no outside digest/);
  expect(check({ chainId, nodeKeys: [other, nodeKey], digest }).evidence).toEqual([
    `the chain id was pinned from outside: ${hex(chainId)}`,
    `the blocks are signed by node keys that were pinned from outside: ${hex(nodeKey)}`,
    `the outside digest of 31 blocks (signed by ${hex(nodeKey)}) matches: nothing up to block 30 was cut off or rewritten`,
  ]);

  const list = path.join(to, 'backup.json');
  const first = path.join(to, 'files', made.blocks[0]!.name);
  const message = `the chain is ${hex(chainId)}, not the one that was pinned: ${hex(other)}`;
  expect(() => check({ chainId: other })).toThrow(`${list}: ${message}`);
  const unpinned = `node key ${hex(nodeKey)} of block 0 is none of those that were pinned`;
  expect(() => check({ nodeKeys: [other] })).toThrow(`${first}: ${unpinned}`);
  const forged = makeCheckpoint(crypto, chainId, 31, other, NODE_SEED);
  expect(() => check({ digest: forged })).toThrow('not the one that the digest speaks of');
  const elsewhere = makeCheckpoint(crypto, other, 31, other, NODE_SEED);
  expect(() => check({ digest: elsewhere })).toThrow(`${list}: the digest is of another chain`);
  write(1);
  const later = digestNow();
  expect(() => check({ digest: later })).toThrow(
    `${list}: the digest speaks of 62 blocks, and only 61 are here`,
  );
  expect(() => check({ digest: 'x' })).toThrow('the digest cannot be read');
});

test('a backup that was interrupted leaves the one before, and goes with the next', () => {
  write(30);
  const made = backUp();
  for (const name of ['draft', 'blocks-000000000031.sqlite.0123456789abcdef']) {
    writeFileSync(path.join(to, 'files', name), 'half');
  }
  writeFileSync(path.join(to, 'backup.json.new'), '{');
  expect(check()).toMatchObject({ height: 30 });
  expect(rowsIn(restore('before').data)).toBe(30);
  write(10);
  expect(backUp()).toMatchObject({ height: 40, added: 10 });
  expect(readdirSync(to).sort()).toEqual(['backup.json', 'files', 'lock.sqlite']);
  expect(readdirSync(path.join(to, 'files'))).not.toContain('draft');
  expect(made.height).toBe(30);
});

test('a restore that was interrupted leaves no directory that a node would start on', () => {
  write(20);
  backUp();
  const data = path.join(folder, 'half');
  const interrupt = (stage: string, done: number): void => {
    if (stage === 'blocks' && done === 15) throw new Error('interrupted');
  };
  const options = { from: to, data, height: null, crypto };
  expect(() => restoreBackup({ ...options, onProgress: interrupt })).toThrow('interrupted');
  const flags = { data, keyFile: path.join(folder, 'master.key') };
  const config = readConfig({ flags, environment: {}, file: null });
  expect(() => initialise(config, crypto, systemClock)).toThrow(
    'not empty, and no ledger (restore.unfinished)',
  );
  expect(() => restoreBackup({ ...options, onProgress })).toThrow('not empty');
  rmSync(data, { recursive: true });
  expect(restoreBackup({ ...options, onProgress }).height).toBe(20);
});

test('a ledger that is damaged is not backed up, and the backup stays as it was', () => {
  write(30);
  backUp();
  const journals = [0, 1].map((which) => journalFile(ledger.directory, which));
  write(3);
  ledger.writer.blocks.sync();
  const file = journals.find((each) => readFileSync(each).includes('note 32'))!;
  const bytes = readFileSync(file);
  const damaged = Buffer.from(bytes);
  damaged[bytes.indexOf('note 32')]! ^= 1;
  writeFileSync(file, damaged);
  expect(() => backUp()).toThrow('block 32 is missing or was changed');
  expect(check()).toMatchObject({ height: 30 });
  writeFileSync(file, bytes);
  expect(backUp()).toMatchObject({ height: 33 });
});

test('what is no backup of this history is never written over', () => {
  write(40);
  backUp();
  const { data } = restore('fork', 20);
  expect(() => backUp(data)).toThrow('goes up to block 40, and the ledger here up to block 20');
  const fork = openNotes(data);
  notes = 1_000;
  write(25, fork);
  fork.writer.close();
  expect(() => backUp(data)).toThrow('holds another block 40 than the ledger here');
  const other = new TestLedger({ ...genesis(), nonce: new Uint8Array(32).fill(8) });
  giveSecrets(other.directory);
  rmSync(path.join(to, 'backup.json'));
  backUp(other.directory);
  expect(() => backUp()).toThrow('holds another ledger');
  other.destroy();

  const elsewhere = path.join(folder, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(path.join(elsewhere, 'letter.txt'), 'mine');
  to = elsewhere;
  expect(() => backUp()).toThrow('not empty, and no backup (letter.txt)');
  to = ledger.directory;
  expect(() => backUp()).toThrow('outside of the data directory');
  to = path.join(ledger.directory, 'backup');
  expect(() => backUp()).toThrow('outside of the data directory');
  expect(existsSync(to)).toBe(false);
});

test('is restored into a new directory only, and up to a block that it has', () => {
  write(5);
  to = path.join(folder, 'nothing');
  expect(() => restore('x')).toThrow('no backup here (backup.json is missing)');
  to = path.join(folder, 'backup');
  backUp();
  expect(() => restore('x', 6)).toThrow('--height:');
  expect(existsSync(path.join(folder, 'x'))).toBe(false);
  mkdirSync(path.join(folder, 'x'));
  expect(restore('x', 5).height).toBe(5);
  expect(() => restore('x')).toThrow('not empty');
});

test('files that stay leave ranges between them, and a short one goes on', () => {
  const file = (from: number, to: number, bytes: number): BackupBlocks => {
    return { name: `b${from}`, sha256: '', bytes, from, to };
  };
  const [full, also, short] = [file(0, 9, 11), file(10, 19, 11), file(20, 22, 10)];
  expect(missingIn([], 5, 10)).toEqual([{ from: 0, to: 5, after: null }]);
  expect(missingIn([full, also, short], 22, 10)).toEqual([]);
  expect(missingIn([full, also, short], 25, 10)).toEqual([{ from: 23, to: 25, after: short }]);
  expect(missingIn([full, also], 25, 10)).toEqual([{ from: 20, to: 25, after: null }]);
  expect(missingIn([also, short], 23, 10)).toEqual([
    { from: 0, to: 9, after: null },
    { from: 23, to: 23, after: short },
  ]);
});
