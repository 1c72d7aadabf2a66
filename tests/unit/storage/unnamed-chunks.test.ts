import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { encodeOperations } from '../../../ledger/encoding.ts';
import { hex } from '../../../ledger/bytes.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import { blockFile, blockFiles } from '../../../storage/data-directory.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { Writer } from '../../../storage/writer.ts';
import { NODE_SEED, TestLedger, crypto, genesis } from './ledger-fixture.ts';
import { NOTES, insertNote, makeNotes, openNotes } from './notes-fixture.ts';
import type { Operation } from '../../../ledger/operation.ts';

let ledger: TestLedger;

beforeEach(() => {
  ledger = makeNotes();
});

afterEach(() => ledger.destroy());

const chunkOf = (id: bigint): Uint8Array => encodeOperations([insertNote(0, id)]);

const naming = (...hashes: Uint8Array[]): Operation => ({ kind: 'chunks', hashes, bytes: 0 });

/** What the newest block file says. */
function ask(sql: string): unknown[] {
  const database = openDatabase(blockFile(ledger.directory, blockFiles(ledger.directory).at(-1)!));
  try {
    return database.prepare(sql).pluck().all();
  } finally {
    database.close();
  }
}

function edit(sql: string): void {
  const database = openDatabase(blockFile(ledger.directory, 0));
  database.exec(sql);
  database.close();
}

const stored = (): string[] => ask('SELECT lower(hex(hash)) FROM chunk ORDER BY id') as string[];

test('a chunk goes when it is dropped, and not before all that have put it have', async () => {
  const { writer } = ledger;
  const [one, same, two] = [1n, 1n, 2n].map((id) => writer.putChunk(chunkOf(id)));
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  writer.dropChunks([one!]);
  expect(stored()).toEqual([hex(one!), hex(two!)]);
  writer.dropChunks([same!, two!]);
  expect(stored()).toEqual([]);
  writer.dropChunks([one!]);
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
});

test('what a block names is never removed, whoever drops it, before or after', () => {
  const { writer } = ledger;
  const mine = writer.putChunk(chunkOf(1n));
  const theirs = writer.putChunk(chunkOf(1n));
  expect(ledger.writer.blocks.isNamed(mine)).toBe(false);
  expect(ledger.run([naming(mine)]).abort).toBeNull();
  expect(ledger.writer.blocks.isNamed(mine)).toBe(true);
  expect(ledger.writer.blocks.isNamed(new Uint8Array(32))).toBe(false);
  writer.dropChunks([theirs]);
  const later = writer.putChunk(chunkOf(1n));
  writer.dropChunks([later, later]);
  ledger.reopen();
  expect(stored()).toEqual([hex(mine)]);
  expect(ask('SELECT * FROM unnamed')).toEqual([]);
});

test('a transaction that aborts names its chunks all the same', async () => {
  const chunks = [1n, 1n].map((id) => ledger.writer.putChunk(chunkOf(id)));
  expect(ledger.run([naming(chunks[0]!), naming(chunks[1]!)]).abort?.sqlstate).toBe('23505');
  ledger.reopen();
  expect(stored()).toHaveLength(1);
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
});

test.each([
  ['put', 1, 0],
  ['durable', 1, 1],
  ['executed', 1, 1],
])('a kill at "%s": %i chunk before the next start, %i after it', async (step, before, after) => {
  ledger.writer.close();
  const child = fileURLToPath(new URL('crash-chunk-child.ts', import.meta.url));
  const { signal, stderr } = spawnSync(process.execPath, [child, ledger.directory, step], {
    encoding: 'utf8',
  });
  expect([signal, stderr]).toEqual(['SIGKILL', '']);
  expect(stored()).toHaveLength(before);
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
  ledger = openNotes(ledger.directory);
  expect(ledger.writer.tip.height).toBe(after);
  expect(stored()).toHaveLength(after);
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
});

test('in a cluster chunks that no block names stay over a restart, for whoever adopts them', async () => {
  ledger.destroy();
  const tables = NOTES.map((object) => ({ put: 'relation', object }) as const);
  ledger = new TestLedger({ ...genesis(tables, NOTES.length), consensus: 'raft' });
  const kept = ledger.writer.putChunk(chunkOf(1n));
  const dropped = ledger.writer.putChunk(chunkOf(2n));
  const { blocks } = ledger.writer;
  expect([kept, dropped].map((hash) => blocks.isNamed(hash))).toEqual([false, false]);
  ledger.writer.close();
  const node = crypto.publicKeyOf(NODE_SEED);
  const writer = await Writer.open(ledger.directory, node, (error) => {
    throw error;
  });
  const adopted = await writer.adoptChunks();
  expect(adopted.map(({ hash }) => hex(hash))).toEqual([hex(kept), hex(dropped)]);
  expect(adopted[0]!.bytes).toBe(chunkOf(1n).length);
  await writer.dropChunks([dropped]);
  expect(writer.chunk(kept)).toEqual(chunkOf(1n));
  expect(() => writer.chunk(dropped)).toThrow('missing');
  await writer.close();
  expect(stored()).toEqual([hex(kept)]);
});

test('by the rules in force, not by those that the ledger began with', () => {
  const rules = { ...genesisConfig(ledger.writer.genesis), policy: 'raft' as const };
  ledger.writer.append(ledger.block([], [{ kind: 'rules', rules, approvals: [] }]));
  const hash = ledger.writer.putChunk(chunkOf(1n));
  ledger.reopen();
  expect(stored()).toEqual([hex(hash)]);
});

test('the room of dropped chunks is used again', () => {
  const pages: unknown[] = [];
  for (let round = 0; round < 4; round++) {
    const hashes = Array.from({ length: 8 }, (_, i) => {
      const bytes = new Uint8Array(300_000).fill(i);
      bytes[0] = round;
      return ledger.writer.putChunk(bytes);
    });
    ledger.writer.dropChunks(hashes);
    ledger.writer.tidy();
    pages.push(ask('PRAGMA page_count')[0]);
  }
  expect(pages.slice(1)).toEqual([pages[0], pages[0], pages[0]]);
});

test('a file is not sealed over the head of a chunk that will be named', async () => {
  ledger.reopen({ segmentBytesMax: 64 * 1024, journalBytes: 16 * 1024 });
  const chunk = ledger.writer.putChunk(chunkOf(1n));
  const blocks = (from: bigint): void => {
    for (let id = from; id < from + 120n; id++) ledger.run([insertNote(1, id)]);
  };
  blocks(1n);
  expect(blockFiles(ledger.directory)).toHaveLength(1);
  ledger.run([naming(chunk)]);
  blocks(200n);
  expect(blockFiles(ledger.directory).length).toBeGreaterThan(1);
  ledger.writer.dropChunks([ledger.writer.putChunk(chunkOf(1n))]);
  ledger.reopen();
  expect((await verifyLedger(ledger.directory)).damage).toBeNull();
});

test('all chunks of a file without a list stay', () => {
  const chunk = ledger.writer.putChunk(chunkOf(1n));
  ledger.writer.close();
  edit('DROP TABLE unnamed');
  ledger = openNotes(ledger.directory);
  expect(stored()).toEqual([hex(chunk)]);
});

test('a named chunk that is missing, or listed for removal, is damage', async () => {
  const chunk = ledger.writer.putChunk(chunkOf(1n));
  ledger.run([naming(chunk)]);
  ledger.reopen();
  const file = blockFile(ledger.directory, 0);
  edit('INSERT INTO unnamed SELECT id FROM chunk');
  expect((await verifyLedger(ledger.directory)).damage).toEqual({
    file,
    message: `block 1: names chunk ${hex(chunk)}, which is listed as named by none`,
    height: 1,
  });
  edit('DELETE FROM chunk');
  expect((await verifyLedger(ledger.directory)).damage).toMatchObject({ file, table: 'unnamed' });
  edit('DELETE FROM unnamed');
  expect((await verifyLedger(ledger.directory)).damage).toEqual({
    file,
    message: `chunk ${hex(chunk)} is missing`,
  });
});
