// A block whose chunks are missing is neither good nor bad: it waits, and they are asked for.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { BundlePool } from '../../../consensus/bundle-pool.ts';
import { decodeCandidate } from '../../../consensus/core/block-tree.ts';
import type { Candidate } from '../../../consensus/core/block-tree.ts';
import { latestTimeMs, proposable, validator } from '../../../consensus/validate.ts';
import { hex } from '../../../ledger/bytes.ts';
import { NODE_SEED, START_MS, crypto } from '../storage/ledger-fixture.ts';
import { insertNote, makeNotes } from '../storage/notes-fixture.ts';
import type { TestLedger } from '../storage/ledger-fixture.ts';
import type { Operation } from '../../../ledger/operation.ts';

const CHUNKS = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
const naming: Operation = { kind: 'chunks', hashes: CHUNKS, bytes: 10 };

let ledger: TestLedger;
let here: Set<string>;
let wanted: { hashes: string[]; from: string }[];
let validate: ReturnType<typeof validator>;

beforeEach(() => {
  ledger = makeNotes();
  here = new Set();
  wanted = [];
  const chunks = {
    has: (hashes: readonly Uint8Array[]) => hashes.every((hash) => here.has(hex(hash))),
    want: (hashes: readonly Uint8Array[], from: Uint8Array) =>
      void wanted.push({ hashes: hashes.map(hex), from: hex(from) }),
  };
  const { chainId } = ledger.writer.data;
  validate = validator(
    { crypto, chainId },
    new BundlePool(),
    () => latestTimeMs(START_MS, 0),
    chunks,
  );
});

afterEach(() => ledger.destroy());

/** A block of one transaction. @param seed  whose signature it has */
function candidate(operation: Operation, seed?: Uint8Array): Candidate {
  const bundle = ledger.bundle([[operation]], seed === undefined ? {} : { seed });
  const forged = seed === undefined ? bundle : { ...bundle, publicKey: new Uint8Array(32) };
  const { header, body } = ledger.block([forged]);
  return decodeCandidate(crypto, { header, body, signature: new Uint8Array(64) })!;
}

test('a block waits for its chunks, which are asked of who has proposed it', () => {
  const block = candidate(naming);
  expect(validate(block)).toBe('wait');
  here.add(hex(CHUNKS[0]!));
  expect(validate(block)).toBe('wait');
  const asked = { hashes: CHUNKS.map(hex), from: hex(crypto.publicKeyOf(NODE_SEED)) };
  expect(wanted).toEqual([asked, asked]);
  here.add(hex(CHUNKS[1]!));
  expect(validate(block)).toBe('valid');
});

test('a block that is ahead of the clock waits, but not one with the time of the newest block', () => {
  const context = { crypto, chainId: ledger.writer.data.chainId };
  const clock = { now: START_MS, tip: START_MS };
  const latestMs = (): number => latestTimeMs(clock.now, clock.tip);
  const chunks = { has: () => true, want: () => undefined };
  const at = validator(context, new BundlePool(), latestMs, chunks);
  const block = candidate(insertNote(0, 1n));
  const { timeMs } = block.header;
  clock.now = timeMs - 3_600_000;
  clock.tip = timeMs - 1;
  expect(at(block)).toBe('wait');
  clock.tip = timeMs;
  expect(at(block)).toBe('valid');
  const other = candidate(insertNote(1, 2n));
  clock.tip = 0;
  expect(at(other)).toBe('wait');
  clock.now = other.header.timeMs - 1_000;
  expect(at(other)).toBe('valid');
});

test('an invalid block is so whatever chunks are here, and a block without any asks for none', () => {
  expect(validate(candidate(naming, new Uint8Array(32).fill(9)))).toBe('invalid');
  expect(validate(candidate(insertNote(0, 1n)))).toBe('valid');
  expect(wanted).toEqual([]);
});

test('a bundle that names chunks can be proposed; one with a bad signature cannot', () => {
  const context = { crypto, chainId: ledger.writer.data.chainId };
  const bundle = ledger.bundle([[naming]]);
  expect(proposable(context, bundle)).toHaveLength(1);
  expect(proposable(context, { ...bundle, signature: new Uint8Array(64) })).toBeNull();
});
