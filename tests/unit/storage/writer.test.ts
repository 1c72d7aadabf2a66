// The writer of a node: the same blocks as a ChainWriter by itself, however they are executed.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeBody, decodeHeader, encodeOperations } from '../../../ledger/encoding.ts';
import { decodeCertificate } from '../../../ledger/encoding-vote.ts';
import { headerHash } from '../../../ledger/hash.ts';
import { decodeTransactions } from '../../../storage/apply.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { Writer } from '../../../storage/writer.ts';
import { INT4, NODE_SEED, column, crypto } from './ledger-fixture.ts';
import { NOTES, insertNote, makeNotes } from './notes-fixture.ts';
import type { DecodedBlock } from '../../../storage/decoded-block.ts';
import type { StoredBlock } from '../../../storage/block-store.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { TestLedger } from './ledger-fixture.ts';

let ledger: TestLedger;
let directory: string;

beforeEach(() => {
  ledger = makeNotes();
  ledger.reopen();
  directory = mkdtempSync(join(tmpdir(), 'trustsql-writer-'));
  cpSync(ledger.directory, directory, { recursive: true });
});

afterEach(() => {
  ledger.destroy();
  rmSync(directory, { recursive: true });
});

function own(stored: StoredBlock): DecodedBlock {
  const body = decodeBody(stored.body);
  return {
    stored,
    header: decodeHeader(stored.header),
    hash: headerHash(crypto, stored.header),
    ...body,
    certificate: decodeCertificate(stored.certificate),
    transactions: decodeTransactions(crypto, body.bundles),
  };
}

let nextId = 0n;

function inserts(count: number): Operation[][] {
  return Array.from({ length: count }, () => [insertNote(0, ++nextId)]);
}

/** Blocks of every kind, executed by the ledger of the test. */
function blocks(): { readonly block: DecodedBlock; readonly receipts: readonly Uint8Array[] }[] {
  const made: { block: DecodedBlock; receipts: Uint8Array[] }[] = [];
  const add = (transactions: Operation[][], key?: Uint8Array): void => {
    const stored = ledger.block([ledger.bundle(transactions, key === undefined ? {} : { key })]);
    const { receipts } = ledger.writer.append(stored);
    made.push({ block: own(stored), receipts: receipts.map(({ encoded }) => encoded) });
  };
  add(inserts(1));
  add(inserts(20));
  add(inserts(20));
  // Refused: the key is taken. It is executed like others.
  add([[insertNote(0, 1n)], ...inserts(3)]);
  const columns = [...NOTES[1]!.columns, column(3, 'more', INT4, { missing: 7n })];
  const object = { ...NOTES[1]!, schemaVersion: 2, columns };
  add([[ledger.catalog({ put: 'relation', object })]]);
  add(inserts(20));
  add(inserts(1));
  const truncate: Operation[] = [{ kind: 'truncate', relations: [NOTES[0]!.id] }];
  add([truncate]);
  // Keys taken by one thread are known to the other, and each key once in its block.
  const [here, away] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
  add(inserts(1), here);
  add([truncate], here);
  add([truncate, truncate], away);
  add([truncate], away);
  add(inserts(2), away);
  return made;
}

async function open(failures: Error[] = []): Promise<Writer> {
  return Writer.open(directory, crypto.publicKeyOf(NODE_SEED), (error) => failures.push(error));
}

test('blocks handed over at once are executed in order, and the tip only grows', async () => {
  const made = blocks();
  const failures: Error[] = [];
  const writer = await open(failures);
  const tips: number[] = [];
  const results = await Promise.all(
    made.map(async ({ block }) => {
      const { receipts } = await writer.append(block);
      tips.push(writer.tip.height);
      return receipts.map(({ encoded }) => Buffer.from(encoded));
    }),
  );
  expect(results).toEqual(made.map(({ receipts }) => receipts.map((each) => Buffer.from(each))));
  expect(tips).toEqual(tips.toSorted((a, b) => a - b));
  expect(writer.tip).toEqual(ledger.writer.tip);
  expect((await writer.durableHistory()).root()).toEqual(ledger.writer.history.root());
  writer.settle();
  expect((await verifyLedger(directory)).damage).toBeNull();
  await writer.close();
  expect((await verifyLedger(directory)).damage).toBeNull();
  expect(failures).toEqual([]);
});

test('one after the other, read in between by the connection that writes', async () => {
  const made = blocks();
  const writer = await open();
  const count = writer.database
    .prepare('SELECT count(*) FROM main._receipt WHERE stamp>=? AND stamp<?')
    .pluck();
  for (const { block, receipts } of made) {
    const appending = writer.append(block);
    writer.beforeRead();
    await appending;
    writer.beforeRead();
    const from = BigInt(block.header.height) * 65_536n;
    expect(count.get(from, from + 65_536n)).toBe(BigInt(receipts.length));
  }
  await writer.close();
  expect((await verifyLedger(directory)).damage).toBeNull();
});

test('a snapshot held while the thread works is ended before its result is taken over', async () => {
  const made = blocks();
  const writer = await open();
  const { database } = writer;
  writer.beforeWrite = () => {
    if (database.inTransaction) database.exec('COMMIT');
  };
  for (const { block } of made) {
    const appending = writer.append(block);
    // As a read in the same turn: of the state before the block.
    if (!database.inTransaction) database.exec('BEGIN; SELECT count(*) FROM main._catalog');
    await appending;
    writer.settle();
  }
  expect(writer.tip).toEqual(ledger.writer.tip);
  await writer.close();
  expect((await verifyLedger(directory)).damage).toBeNull();
});

test('chunks that the thread has stored are executed, dropped, and gone after a start', async () => {
  const operations = encodeOperations([insertNote(0, 900n), insertNote(1, 900n)]);
  const hash = ledger.writer.putChunk(operations);
  const stored = ledger.block([ledger.bundle([[{ kind: 'chunks', hashes: [hash], bytes: 0 }]])]);
  ledger.writer.append(stored);
  const writer = await open();
  expect(await writer.putChunk(operations)).toEqual(hash);
  const unnamed = await writer.putChunk(new Uint8Array([1, 2, 3]));
  const { receipts } = await writer.append(own(stored));
  expect(receipts[0]!.receipt.abort).toBeNull();
  await writer.dropChunks([hash]);
  writer.settle();
  expect((await verifyLedger(directory)).damage).toBeNull();
  // Not given back: it goes at the next start.
  expect(unnamed).toHaveLength(32);
  await writer.close();
  const again = await open();
  expect(again.tip.height).toBe(1);
  await again.close();
  expect((await verifyLedger(directory)).damage).toBeNull();
});

test('a failure beside the blocks ends the writer, once, and nothing is appended any more', async () => {
  const made = blocks();
  const failures: Error[] = [];
  const writer = await open(failures);
  await writer.append(made[0]!.block);
  // As a full disk under a read would: SQLite undoes the open transaction.
  writer.database.exec('ROLLBACK');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(failures.map(({ message }) => message)).toEqual([
    expect.stringContaining('an open transaction was undone'),
  ]);
  await expect(writer.append(made[1]!.block)).rejects.toThrow('was undone');
  await writer.close();
  // Nothing is lost: the block was durable.
  const again = await open();
  expect(again.tip.height).toBe(1);
  await again.close();
});
