// Addresses of peers outlive the process, one write at a time; nothing of it can fail a node.

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KnownAddresses } from '../../../server/known-addresses.ts';

let directory: string;
const file = (): string => path.join(directory, 'consensus', 'addresses.json');
const kept = (): string[] =>
  new KnownAddresses(directory).announcements.map((bytes) => Buffer.from(bytes).toString());

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'trustsql-test-'));
  mkdirSync(path.dirname(file()));
});
afterEach(() => rmSync(directory, { recursive: true }));

async function written(count: number): Promise<void> {
  while (kept().length < count || existsSync(`${file()}.new`)) await delay(5);
}

test('the newest of each node are there again', async () => {
  const known = new KnownAddresses(directory);
  expect(known.announcements).toEqual([]);
  for (let i = 0; i < 20; i += 1) known.keep('aa', Buffer.from(`a${i}`));
  known.keep('bb', Buffer.from('b'));
  await written(2);
  expect(kept()).toEqual(['a19', 'b']);
  known.keep('bb', Buffer.from('c'));
  while (!kept().includes('c')) await delay(5);
  expect(kept()).toEqual(['a19', 'c']);
});

test('what cannot be read, or written, is done without', async () => {
  writeFileSync(file(), '{"aa": "not base64!", "bb": "Yg=="}');
  expect(kept()).toEqual(['b']);
  writeFileSync(file(), 'no JSON');
  const known = new KnownAddresses(directory);
  expect(known.announcements).toEqual([]);
  rmSync(path.dirname(file()), { recursive: true });
  known.keep('aa', Buffer.from('a'));
  await delay(50);
  mkdirSync(path.dirname(file()));
  known.keep('bb', Buffer.from('b'));
  await written(2);
  expect(kept()).toEqual(['a', 'b']);
});
