// The marker of a data directory: another format is refused, in one sentence that says which.

import { afterAll, expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { FORMAT_VERSION } from '../../../ledger/block.ts';
import { markerFile, readDataDirectory } from '../../../storage/data-directory.ts';
import { genesis, TestLedger } from './ledger-fixture.ts';

const ledger = new TestLedger(genesis());

afterAll(() => ledger.destroy());

test('a chain of format version 1 is refused', () => {
  expect(readDataDirectory(ledger.directory).path).toBe(ledger.directory);
  const file = markerFile(ledger.directory);
  const marker = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...marker, version: 1 }));
  expect(() => readDataDirectory(ledger.directory)).toThrow(
    `${file}: format version 1, and this program reads version ${FORMAT_VERSION}`,
  );
});
