import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StateReader } from '../../../storage/snapshot.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { shardFile } from '../../../storage/data-directory.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { TEXT, column } from './ledger-fixture.ts';
import { NOTES, insertNote, makeNotes, openNotes } from './notes-fixture.ts';
import type { Operation } from '../../../ledger/operation.ts';

let directory: string;

beforeEach(() => {
  const ledger = makeNotes();
  directory = ledger.directory;
  ledger.writer.close();
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));

/** Runs until it kills itself; returns the last height it acknowledged. */
function crash(step: string, height: number): number {
  const { stdout, signal, stderr } = spawnSync(
    process.execPath,
    [CHILD, directory, step, String(height)],
    {
      encoding: 'utf8',
    },
  );
  expect([signal, stderr]).toEqual(['SIGKILL', '']);
  return Number(stdout.trim().split('\n').at(-1) || height - 1);
}

function ids(shard: number): bigint[] {
  const reader = StateReader.open(directory);
  const rows = reader.database
    .prepare(`SELECT c1 FROM ${shard === 0 ? 'main' : 's1'}.r${NOTES[shard]!.id} ORDER BY 1`)
    .pluck()
    .all();
  reader.close();
  return rows as bigint[];
}

test.each(['durable', 'executed', 'committed', 'tidied'])(
  'a kill at step "%s" loses nothing that was acknowledged, and leaves no half',
  async (step) => {
    let acknowledged = 0;
    for (const height of [1, 4, 8]) {
      acknowledged = Math.max(acknowledged, crash(step, height));
      // As it lies there, before anything is repaired.
      expect((await verifyLedger(directory)).damage).toBeNull();
      openNotes(directory).writer.close();
      expect((await verifyLedger(directory)).damage).toBeNull();
      const found = ids(0);
      expect(ids(1)).toEqual(found);
      expect(found.length).toBeGreaterThanOrEqual(acknowledged);
      expect(found).toEqual(found.map((_, i) => BigInt(i + 1)));
    }
  },
  60_000,
);

/** A copy of the directory as it is now, for what a power loss takes back. */
function kept(): string {
  const old = mkdtempSync(join(tmpdir(), 'trustsql-old-'));
  cpSync(directory, old, { recursive: true });
  return old;
}

/** Puts the shard file of an earlier moment back, as a power loss may. */
test.each([0, 1])(
  'shard %i may be several blocks behind: the other is taken back and replayed',
  async (lost) => {
    const ledger = openNotes(directory);
    for (let id = 1n; id <= 3n; id++) ledger.run([insertNote(0, id), insertNote(1, id)]);
    ledger.writer.close();
    const old = kept();
    const later = openNotes(directory);
    for (let id = 4n; id <= 6n; id++) {
      later.run([
        insertNote(0, id),
        insertNote(1, id),
        {
          kind: 'update',
          relation: 200,
          schemaVersion: 1,
          columns: [2],
          rows: [
            { rowId: 1n, version: id === 4n ? 65_536n : (id - 1n) * 65_536n, values: [`v${id}`] },
          ],
        },
        { kind: 'delete', relation: 210, rows: [{ rowId: id - 3n, version: (id - 3n) * 65_536n }] },
      ]);
    }
    const receipts = later.writer.tip.uncovered;
    later.writer.close();
    cpSync(shardFile(old, lost), shardFile(directory, lost));
    const recovered = openNotes(directory);
    expect(recovered.writer.tip.uncovered).toEqual(receipts);
    expect(recovered.writer.tip.height).toBe(6);
    recovered.writer.close();
    expect((await verifyLedger(directory)).damage).toBeNull();
    expect(ids(1)).toEqual([4n, 5n, 6n]);
    rmSync(old, { recursive: true });
  },
);

/** The shard that knows of a change of the catalog may be the one that has lost it, and the one that has it the other. */
test.each([0, 1])(
  'shard %i may be before a change of tables that the other has: the state is made anew',
  async (lost) => {
    const ledger = openNotes(directory);
    ledger.run([insertNote(0, 1n), insertNote(1, 1n)]);
    ledger.writer.close();
    const old = kept();
    const later = openNotes(directory);
    for (const notes of NOTES) {
      const columns = [...notes.columns, column(3, 'more', TEXT)];
      const object = { ...notes, schemaVersion: 2, columns };
      expect(later.change({ put: 'relation', object }).abort).toBeNull();
    }
    const { tip } = later.writer;
    later.writer.close();
    cpSync(shardFile(old, lost), shardFile(directory, lost));
    rmSync(old, { recursive: true });
    expect((await verifyLedger(directory)).damage).toBeNull();
    const recovered = openNotes(directory);
    expect(recovered.writer.tip).toEqual(tip);
    for (const shard of [0, 1]) {
      const rows = [[2n, 'note 2', 'more']];
      const insert = { ...insertNote(shard, 2n), schemaVersion: 2, columns: [1, 2, 3], rows };
      expect(recovered.run([insert as Operation]).abort).toBeNull();
    }
    recovered.writer.close();
    expect((await verifyLedger(directory)).damage).toBeNull();
    expect([ids(0), ids(1)]).toEqual([
      [1n, 2n],
      [1n, 2n],
    ]);
  },
);

test.each([0, 1])(
  'shard %i may lack the newest block after a kill between two commits: each is verified where it stands',
  async (lost) => {
    const ledger = openNotes(directory);
    ledger.run([insertNote(0, 1n), insertNote(1, 1n)]);
    ledger.writer.close();
    const old = kept();
    const later = openNotes(directory);
    later.run([insertNote(0, 2n), insertNote(1, 2n)]);
    later.writer.close();
    cpSync(shardFile(old, lost), shardFile(directory, lost));
    rmSync(old, { recursive: true });
    const apart = await verifyLedger(directory);
    expect(apart).toMatchObject({ damage: null, height: 2, stateHeight: 1 });
    expect(apart.evidence.join()).toContain(
      `the state shards stand at blocks ${lost === 0 ? '1, 2' : '2, 1'}`,
    );
    for (const shard of [0, 1]) {
      const database = openDatabase(shardFile(directory, shard));
      const { id } = NOTES[shard]!;
      database.exec(`UPDATE r${id} SET c2='forged' WHERE c1=1`);
      expect((await verifyLedger(directory)).damage).toMatchObject({
        file: shardFile(directory, shard),
        key: 'id=1',
        column: 'body',
      });
      database.exec(`UPDATE r${id} SET c2='note 1' WHERE c1=1`);
      database.close();
    }
    openNotes(directory).writer.close();
    const repaired = await verifyLedger(directory);
    expect(repaired).toMatchObject({ damage: null, stateHeight: 2 });
  },
);

test('nothing is forgotten that a shard held back by a reader would need after a power loss', async () => {
  const ledger = openNotes(directory);
  const row = { id: 1n, version: 0n };
  const move = (): void => {
    const values = [`moved at ${ledger.writer.tip.height}`];
    const rows = [{ rowId: row.id, version: row.version, values }];
    const update = { kind: 'update', relation: 200, schemaVersion: 1, columns: [2], rows } as const;
    const shardOne = insertNote(1, BigInt(ledger.writer.tip.height + 1));
    expect(ledger.run([update, shardOne]).abort).toBeNull();
    row.version = BigInt(ledger.writer.tip.height) * 65_536n;
  };
  ledger.run([insertNote(0, 1n), insertNote(1, 1n)]);
  row.version = 65_536n;
  for (let i = 0; i < 3; i++) move();
  const counters = (): number => {
    const database = openDatabase(shardFile(directory, 0), { readonly: true });
    try {
      return Number(database.prepare('SELECT count(*) FROM _table').pluck().get());
    } finally {
      database.close();
    }
  };
  const reader = StateReader.open(directory);
  reader.begin();
  for (let i = 0; i < 3; i++) move();
  const kept = counters();
  ledger.writer.tidy();
  expect(counters()).toBe(kept);
  // What the disk has of shard 1 after a power loss: its file without the log.
  const old = mkdtempSync(join(tmpdir(), 'trustsql-old-'));
  cpSync(shardFile(directory, 1), join(old, 'shard'));
  reader.end();
  reader.close();
  ledger.writer.close();
  cpSync(join(old, 'shard'), shardFile(directory, 1));
  rmSync(old, { recursive: true });
  const recovered = openNotes(directory);
  expect(recovered.writer.tip.height).toBe(7);
  recovered.writer.tidy();
  expect(counters()).toBeLessThan(kept);
  recovered.writer.close();
  expect((await verifyLedger(directory)).damage).toBeNull();
});

test('blocks that share a commit leave what blocks by themselves do', async () => {
  const ledger = openNotes(directory);
  const { writer } = ledger;
  const together = (...operations: Operation[]): void => {
    for (const operation of operations) {
      const stored = ledger.block([ledger.bundle([[operation]])]);
      const block = writer.admit(stored);
      writer.blocks.append(stored);
      writer.execute(block);
    }
    writer.settle();
  };
  // The last block of a commit is not the last to write to each table; one aborts.
  together(insertNote(0, 1n), insertNote(0, 2n), insertNote(1, 1n));
  together(insertNote(1, 2n), insertNote(0, 2n), insertNote(0, 3n), insertNote(1, 2n));
  expect((await verifyLedger(directory)).damage).toBeNull();
  // Taken back to the first commit, and on from there.
  const old = mkdtempSync(join(tmpdir(), 'trustsql-old-'));
  ledger.reopen();
  cpSync(directory, old, { recursive: true });
  const { writer: reopened } = ledger;
  for (const operation of [insertNote(0, 4n), insertNote(1, 4n), insertNote(0, 5n)]) {
    const stored = ledger.block([ledger.bundle([[operation]])]);
    const block = reopened.admit(stored);
    reopened.blocks.append(stored);
    reopened.execute(block);
  }
  reopened.close();
  for (const lost of [0, 1]) {
    cpSync(shardFile(old, lost), shardFile(directory, lost));
    openNotes(directory).writer.close();
    expect((await verifyLedger(directory)).damage).toBeNull();
  }
  expect(ids(0)).toEqual([1n, 2n, 3n, 4n, 5n]);
  rmSync(old, { recursive: true });
});

test('a state that is gone, and an index that is gone, are made again', async () => {
  const ledger = openNotes(directory);
  for (let id = 1n; id <= 3n; id++) ledger.run([insertNote(0, id), insertNote(1, id)]);
  ledger.writer.close();
  for (const shard of [0, 1]) rmSync(shardFile(directory, shard));
  openNotes(directory).writer.close();
  expect((await verifyLedger(directory)).damage).toBeNull();
  rmSync(join(directory, 'chain/index.sqlite'));
  openNotes(directory).writer.close();
  expect((await verifyLedger(directory)).damage).toBeNull();
});

test('a state that was changed before the replay does not start', () => {
  const ledger = openNotes(directory);
  for (let id = 1n; id <= 2n; id++) ledger.run([insertNote(0, id), insertNote(1, id)]);
  ledger.writer.close();
  const database = openDatabase(shardFile(directory, 0));
  database.exec(
    'UPDATE _receipt SET receipt=(SELECT receipt FROM _receipt ORDER BY stamp DESC LIMIT 1)',
  );
  database.close();
  expect(() => openNotes(directory)).toThrow('executed otherwise');
});

test('a directory in use is refused', () => {
  const ledger = openNotes(directory);
  expect(() => openNotes(directory)).toThrow(`${directory}: in use by another process`);
  ledger.writer.close();
});
