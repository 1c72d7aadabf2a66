// The log of a consensus: what was acknowledged is found again, what was torn is cut, what was changed is noticed.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { utf8 } from '../../../ledger/bytes.ts';
import { makeForgottenLog, VoteLog } from '../../../storage/vote-log.ts';

const FILE_BYTES = 16_384;
const SECTOR_BYTES = 512;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'trustsql-votes-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function open(): VoteLog {
  return new VoteLog(directory, { fileBytes: FILE_BYTES });
}

function file(which: number): string {
  return path.join(directory, 'consensus', `votes-${which}`);
}

function texts({ records }: VoteLog): string[] {
  return records.map((record) => Buffer.from(record).toString());
}

/** A log with `count` batches of two records each behind the one it began with. */
async function filled(count: number): Promise<string[]> {
  const log = open();
  await log.restart([utf8('begun')]);
  const all = ['begun'];
  for (let i = 0; i < count; i++) {
    const records = [`vote ${i}`, `block ${i} ${'x'.repeat(i * 100)}`];
    await log.append(records.map(utf8));
    all.push(...records);
  }
  log.close();
  return all;
}

describe('a log of votes', () => {
  test('is empty and sound at first', () => {
    const log = open();
    expect([texts(log), log.sound, log.isFull([])]).toEqual([[], true, true]);
    expect(log.begun).toBe(false);
    log.close();
  });

  test('tells one that has forgotten what it held from one that never held anything', async () => {
    makeForgottenLog(directory);
    const log = new VoteLog(directory);
    expect([texts(log), log.sound, log.begun]).toEqual([[], true, true]);
    await log.append([utf8('recovering')]);
    log.close();
    // An interrupted command is given again: it takes nothing away.
    makeForgottenLog(directory);
    const again = new VoteLog(directory);
    expect([texts(again), again.sound]).toEqual([['recovering'], true]);
    again.close();
  });

  test('gives back in order what was appended, also in one turn', async () => {
    const all = await filled(3);
    const log = open();
    expect([texts(log), log.sound]).toEqual([all, true]);
    const last = ['a', 'b', 'c'];
    await Promise.all(last.map((each) => log.append([utf8(each)])));
    log.close();
    const again = open();
    expect(texts(again)).toEqual([...all, ...last]);
    again.close();
  });

  test('begins anew in the other file and forgets the first', async () => {
    await filled(3);
    const log = open();
    for (let turn = 0; turn < 5; turn++) {
      await log.restart([utf8(`turn ${turn}`)]);
      await log.append([utf8(`after ${turn}`)]);
    }
    log.close();
    const again = open();
    expect(texts(again)).toEqual(['turn 4', 'after 4']);
    again.close();
  });

  test('says when it is full before it is', async () => {
    const log = open();
    await log.restart([utf8('begun')]);
    const record = new Uint8Array(3_000);
    let appended = 0;
    while (!log.isFull([record])) {
      await log.append([record]);
      appended++;
    }
    expect(appended).toBeGreaterThan(2);
    await expect(log.append([record, record])).rejects.toThrow('no room');
    // Nobody knows what is on disk after a failure.
    await expect(log.append([utf8('more')])).rejects.toThrow('no room');
    log.close();
  });

  test('cut off anywhere gives back a beginning of it, and is sound', async () => {
    const all = await filled(4);
    const whole = readFileSync(file(0));
    const lengths = new Set<number>();
    for (let at = 2 * SECTOR_BYTES; at <= FILE_BYTES; at += 128) {
      const torn = Buffer.from(whole);
      torn.fill(0, at);
      writeFileSync(file(0), torn);
      const log = open();
      expect(log.sound).toBe(true);
      expect(texts(log)).toEqual(all.slice(0, log.records.length));
      lengths.add(log.records.length);
      log.close();
    }
    expect([...lengths].sort((a, b) => a - b)).toEqual([1, 3, 5, 7, 9]);
  });

  test('is not trusted when a byte of any batch but the newest, or of the mark, was changed', async () => {
    const all = await filled(4);
    const whole = readFileSync(file(0));
    const end = whole.findLastIndex((byte) => byte !== 0);
    let found = 0;
    for (let at = 0; at <= end; at++) {
      if (whole[at] === 0 && at % 7 !== 0) continue;
      const changed = Buffer.from(whole);
      changed[at]! ^= 0x10;
      writeFileSync(file(0), changed);
      const log = open();
      const complete = log.records.length === all.length;
      // Room between records carries nothing; the newest batch cannot be told from one that was torn.
      if (!complete && log.records.length < all.length - 2)
        expect([at, log.sound]).toEqual([at, false]);
      expect(texts(log)).toEqual(all.slice(0, log.records.length));
      if (!log.sound) found++;
      log.close();
    }
    expect(found).toBeGreaterThan(400);
  });

  test('does not take over before its mark is on disk', async () => {
    const all = await filled(2);
    const log = open();
    await log.restart([utf8('next')]);
    log.close();
    const next = readFileSync(file(1));
    next.fill(0, 0, SECTOR_BYTES);
    writeFileSync(file(1), next);
    const again = open();
    expect([texts(again), again.sound]).toEqual([all, true]);
    again.close();
  });
});
