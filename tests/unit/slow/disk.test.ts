// The model of a disk: what a power loss may leave, and what it may not. A wrong model would pass a wrong program.

import { expect, test } from '@jest/globals';
import { seeded } from '../../end-to-end/crash-workload.ts';
import { Disk } from '../../slow/power-loss/disk.ts';
import type { LogRecord } from '../../slow/power-loss/log.ts';

const IMAGES = 400;
const SECTOR = 4096;

function record(kind: LogRecord['kind'], name: string, more: Partial<LogRecord> = {}): LogRecord {
  const inode = name === '' ? 0n : BigInt(name.charCodeAt(0));
  const path = name === '' ? '/root' : `/root/${name}`;
  return { kind, inode, offset: 0, thread: 1, path, data: Buffer.alloc(0), ...more };
}

function write(name: string, offset: number, text: string): LogRecord {
  return record('write', name, { offset, data: Buffer.from(text) });
}

function sync(name: string): LogRecord[] {
  return [record('sync begins', name), record('sync', name)];
}

/** File `a` in a folder whose names are on disk. */
const MADE = [record('create', 'a'), ...sync('')];

/** All that was left of a file in many power losses; null: nothing. */
function left(name: string, ...records: readonly LogRecord[]): Set<string | null> {
  const disk = new Disk('/root');
  for (const each of records) disk.apply(each);
  const found = Array.from({ length: IMAGES }, (_, seed) => disk.image(seeded(seed)).get(name));
  return new Set(found.map((bytes) => bytes?.toString() ?? null));
}

test('what was synced stays', () => {
  expect(left('a', ...MADE, write('a', 0, 'kept'), ...sync('a'))).toEqual(new Set(['kept']));
});

test('what was not synced is there, or not, or its length alone', () => {
  const zeros = '\0'.repeat(4);
  expect(left('a', ...MADE, write('a', 0, 'lost'))).toEqual(new Set(['', 'lost', zeros]));
});

test('a sync covers what was written before it began, and no more', () => {
  const [begin, end] = sync('a') as [LogRecord, LogRecord];
  const found = left('a', ...MADE, write('a', 0, 'one'), begin, write('a', 0, 'two'), end);
  expect(found).toEqual(new Set(['one', 'two']));
});

test('a sync that has not returned covers nothing', () => {
  const found = left('a', ...MADE, write('a', 0, 'one'), record('sync begins', 'a'));
  expect(found).toContain('');
});

test('a write is torn between sectors, never within one', () => {
  const old = 'o'.repeat(2 * SECTOR);
  const records = [...MADE, write('a', 0, old), ...sync('a')];
  const found = left('a', ...records, write('a', SECTOR - 1, 'nn'));
  const torn = (first: string, second: string): string =>
    `${'o'.repeat(SECTOR - 1)}${first}${second}${'o'.repeat(SECTOR - 1)}`;
  const expected = [torn('o', 'o'), torn('n', 'o'), torn('o', 'n'), torn('n', 'n')];
  expect(found).toEqual(new Set(expected));
});

test('later writes may come before earlier ones of other sectors', () => {
  const old = 'o'.repeat(2 * SECTOR);
  const records = [...MADE, write('a', 0, old), ...sync('a')];
  const found = left('a', ...records, write('a', 0, '1'), write('a', SECTOR, '2'));
  expect(found).toContain(`${'o'.repeat(SECTOR)}2${'o'.repeat(SECTOR - 1)}`);
});

test('what was cut off does not come back, and is not written over while it is there', () => {
  const records = [...MADE, write('a', 0, 'old'), ...sync('a'), record('truncate', 'a')];
  expect(left('a', ...records)).toEqual(new Set(['old', '']));
  const found = left('a', ...records, write('a', 0, 'new!'));
  expect(found).toEqual(new Set(['old', '', 'new!', '\0'.repeat(4)]));
});

test('a name is there for sure only when its folder was synced', () => {
  const made = [record('create', 'a'), write('a', 0, 'x'), ...sync('a')];
  expect(left('a', ...made)).toEqual(new Set([null, 'x']));
  expect(left('a', ...made, ...sync(''))).toEqual(new Set(['x']));
});

test('a rename has come or not', () => {
  const both = [...MADE, write('a', 0, 'old'), ...sync('a'), record('create', 'b')];
  const records = [...both, write('b', 0, 'new'), ...sync('b'), ...sync('')];
  const rename = record('rename', 'b', { data: Buffer.from('/root/a') });
  expect(left('a', ...records, rename)).toEqual(new Set(['old', 'new']));
  expect(left('a', ...records, rename, ...sync(''))).toEqual(new Set(['new']));
  expect(left('b', ...records, rename, ...sync(''))).toEqual(new Set([null]));
});

test('files that were synced and whose names were not are named', () => {
  const disk = new Disk('/root');
  for (const each of [record('create', 'a'), ...sync('a')]) disk.apply(each);
  expect(disk.nameless()).toEqual(['a']);
  for (const each of sync('')) disk.apply(each);
  expect(disk.nameless()).toEqual([]);
});
