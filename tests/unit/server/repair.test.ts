// The node that looks after its files: it asks one peer after the other, believes none of them, and says what it does.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { decodeQuestion, encodeAnswer, encodeQuestion } from '../../../ledger/encoding-repair.ts';
import type { PeerAnswer, RepairQuestion } from '../../../ledger/encoding-repair.ts';
import { decodeRowVersion, encodeOperations, encodeRowVersion } from '../../../ledger/encoding.ts';
import { hex } from '../../../ledger/bytes.ts';
import { chunkHash } from '../../../ledger/hash.ts';
import { systemClock } from '../../../server/clock.ts';
import { damageArchive } from '../../../server/damage-archive.ts';
import type { Log } from '../../../server/log.ts';
import { PeerError } from '../../../server/peers/requests.ts';
import { Repair } from '../../../server/repair.ts';
import type { Peers } from '../../../server/peers/requests.ts';
import { blockFile, shardFile } from '../../../storage/data-directory.ts';
import { Certified } from '../../../storage/certified.ts';
import { Scrub } from '../../../storage/scrub.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { crypto } from '../storage/ledger-fixture.ts';
import type { TestLedger } from '../storage/ledger-fixture.ts';
import { insertNote, makeNotes } from '../storage/notes-fixture.ts';

const SCRUB_MS = 5;
/** In which all is looked through once. */
const PERIOD_MS = 20;
const WAIT_MS = 20_000;

/** Of a large transaction, and how much of it comes in one answer. */
const CHUNK = encodeOperations([insertNote(1, 4n), insertNote(1, 5n)]);
const PART_BYTES = 16;

let ledger: TestLedger;
let peerDirectory: string;
let scrub: Scrub;
let honest: Scrub;
let alarms: [kind: string, message: string][];
let failures: unknown[];
let repair: Repair | null;

const log: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

beforeEach(() => {
  alarms = [];
  failures = [];
  repair = null;
  ledger = makeNotes();
  ledger.run([insertNote(0, 1n), insertNote(0, 2n)]);
  ledger.run([insertNote(1, 3n)]);
  const hashes = [ledger.writer.putChunk(CHUNK)];
  ledger.run([{ kind: 'chunks', hashes, bytes: 0 }]);
  ledger.reopen();
  peerDirectory = `${ledger.directory}-peer`;
  cpSync(ledger.directory, peerDirectory, { recursive: true });
  scrub = new Scrub({ directory: ledger.directory, crypto });
  honest = new Scrub({ directory: peerDirectory, crypto });
});

afterEach(async () => {
  await repair?.stop();
  scrub.close();
  honest.close();
  ledger.destroy();
  rmSync(peerDirectory, { recursive: true });
});

function edit(file: string, sql: string): void {
  const database = openDatabase(file);
  database.exec(sql);
  database.close();
}

/** Of the peer; chunks in parts. */
function honestAnswer(encoded: Uint8Array): PeerAnswer {
  const question = decodeQuestion(encoded);
  if (question.kind !== 'chunk') return honest.answer(question as RepairQuestion);
  const part = CHUNK.subarray(question.from, question.from + PART_BYTES);
  return { kind: 'chunk', size: CHUNK.length, part };
}

/** Peers by what each makes of the honest answer. */
function peersOf(answers: Record<string, (answer: PeerAnswer) => Uint8Array>): Peers {
  return {
    connected: () => Object.keys(answers),
    request: (key, question) => {
      const answer = answers[key];
      if (answer === undefined) return Promise.reject(new PeerError('down'));
      try {
        return Promise.resolve(answer(honestAnswer(question)));
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
  };
}

function start(peers: Peers | null): void {
  const { writer } = ledger;
  repair = new Repair({
    scrubber: {
      look: (kind) =>
        Promise.resolve({
          id: 0,
          kind: 'looked',
          findings: kind === 'newest' ? scrub.newest() : scrub.slice(),
          slices: scrub.slices,
          cpuMs: 0,
        }),
    },
    writer: {
      settle: () => writer.settle(),
      certified: new Certified(crypto),
      mendState: (work, keep) => new Promise((resolve) => resolve(writer.mendState(work, keep))),
      mendBlock: (block, keep) => new Promise((resolve) => resolve(writer.mendBlock(block, keep))),
      mendChunk: (hash, bytes, keep) =>
        new Promise((resolve) => resolve(writer.mendChunk(hash, bytes, keep))),
    },
    crypto,
    peers: () => peers,
    keep: damageArchive(ledger.directory, systemClock, () => undefined),
    log,
    clock: systemClock,
    scrubMs: SCRUB_MS,
    periodMs: PERIOD_MS,
    onAlarm: (kind, message) => alarms.push([kind, message]),
    onFailure: (error) => failures.push(error),
  });
}

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not in time: ${JSON.stringify(alarms)}`);
    await new Promise((resolve) => setTimeout(resolve, SCRUB_MS));
  }
}

const said = (kind: string): string[] =>
  alarms.filter(([each]) => each === kind).map(([, message]) => message);

/** The same version with another value. */
function forged(answer: PeerAnswer): Uint8Array {
  if (answer.kind === 'versions') {
    const versions = answer.versions.map(({ version, closed }) => {
      const decoded = decodeRowVersion(version);
      return { version: encodeRowVersion({ ...decoded, values: [7n, 'lie'] }), closed };
    });
    return encodeAnswer({ ...answer, versions });
  }
  if (answer.kind === 'chunk') return encodeAnswer({ ...answer, part: answer.part.toReversed() });
  if (answer.kind === 'block') return encodeAnswer({ ...answer, body: new Uint8Array([1]) });
  return encodeAnswer({ kind: 'nothing' });
}

/** Until what is damaged was taken from the one of four peers that has it. */
async function repairedAmongLiars(): Promise<void> {
  start(
    peersOf({
      liar: forged,
      broken: () => new Uint8Array([0xff]),
      empty: () => encodeAnswer({ kind: 'nothing' }),
      honest: encodeAnswer,
    }),
  );
  await until(() => said('repaired').length > 0);
}

test('a row is taken from the one peer that has it, and the node then serves again', async () => {
  edit(shardFile(ledger.directory, 0), "UPDATE r200 SET c2='forged' WHERE _id=1");
  await repairedAmongLiars();
  expect(said('damage')[0]).toContain('row 1 of table notes0 is not as block 1 wrote it');
  expect(() => repair!.admit()).not.toThrow();
  expect(scrub.newest()).toEqual([]);
  expect(readdirSync(path.join(ledger.directory, 'evidence'))).toHaveLength(1);
});

test('a block and the rows behind it are repaired one after the other', async () => {
  edit(blockFile(ledger.directory, 0), 'DELETE FROM block WHERE height=1');
  edit(shardFile(ledger.directory, 0), 'DELETE FROM r200; DELETE FROM _receipt WHERE stamp=65536');
  start(peersOf({ liar: forged, honest: encodeAnswer }));
  await until(() => said('repaired').length > 0);
  expect(scrub.newest()).toEqual([]);
});

test('a chunk of a large transaction is taken from the peer that has the one of its hash', async () => {
  edit(blockFile(ledger.directory, 0), 'UPDATE chunk SET bytes=zeroblob(length(bytes))');
  await repairedAmongLiars();
  expect(said('damage')).toEqual([
    expect.stringMatching(/: chunk [0-9a-f]{64} has other content$/),
  ]);
  expect(() => repair!.admit()).not.toThrow();
  const hash = chunkHash(crypto, CHUNK);
  expect(hex(ledger.writer.blocks.chunk(hash))).toBe(hex(CHUNK));
  expect(readdirSync(path.join(ledger.directory, 'evidence'))).toHaveLength(1);
});

test('without a peer that has it the node answers nothing, says so once, and tries again', async () => {
  edit(shardFile(ledger.directory, 0), 'DELETE FROM r200 WHERE _id=1');
  let others: Record<string, (answer: PeerAnswer) => Uint8Array> = { liar: forged };
  start({
    connected: () => peersOf(others).connected(),
    request: (...asked) => peersOf(others).request(...asked),
  });
  await until(() => said('damage').length > 0);
  expect(() => repair!.admit()).toThrow(expect.objectContaining({ sqlstate: '57P03' }));
  await new Promise((resolve) => setTimeout(resolve, 20 * SCRUB_MS));
  expect(alarms).toHaveLength(1);
  others = { honest: encodeAnswer };
  await until(() => said('repaired').length > 0);
  expect(() => repair!.admit()).not.toThrow();
});

test('a ledger of one node says what is damaged and serves on', async () => {
  edit(shardFile(ledger.directory, 0), 'DELETE FROM r200 WHERE _id=1');
  start(null);
  await until(() => said('damage').length > 0);
  await new Promise((resolve) => setTimeout(resolve, 20 * SCRUB_MS));
  expect(alarms).toHaveLength(1);
  expect(() => repair!.admit()).not.toThrow();
  expect(failures).toEqual([]);
  expect(existsSync(path.join(ledger.directory, 'evidence'))).toBe(false);
});

test('what cannot be repaired in parts ends the node', async () => {
  edit(shardFile(ledger.directory, 1), 'CREATE VIEW v AS SELECT 1');
  start(peersOf({ honest: encodeAnswer }));
  await until(() => failures.length > 0);
  expect(failures[0]).toMatchObject({ fault: 'damaged' });
});

test('a question has one encoding', () => {
  const question = { kind: 'versions', from: 1n, to: 2n, leaves: [new Uint8Array(32)] } as const;
  expect(decodeQuestion(encodeQuestion(question))).toEqual(question);
  expect(() => decodeQuestion(new Uint8Array([0x82, 0x02, 0x82, 0x00, 0x01]))).toThrow();
});
