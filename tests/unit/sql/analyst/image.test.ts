import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Images } from '../../../../sql/analyst/image.ts';
import { LEDGER_VIEWS } from '../../../../sql/ledger-schema.ts';
import type { LedgerView } from '../../../../sql/ledger-schema.ts';
import { ddlRecord } from './fixture.ts';

const KEY = new Uint8Array(32).fill(1);
const RECORDS = ['create table t ()', 'create view v as select 1'].map((text) => ddlRecord(text));
const BYTES = new Uint8Array(1_000).map((_, i) => i);

let directory: string;
let refused: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'images-'));
  refused = [];
});

afterEach(() => rmSync(directory, { recursive: true }));

function images(key = KEY, base = 'ledger'): Images {
  return new Images({ directory, key, onFault: (_, file) => void refused.push(file) }, base);
}

test('an image is found by what it holds, and replaces the one before', () => {
  expect(images().find(RECORDS)).toBeNull();
  images().keep(RECORDS.slice(0, 1), BYTES);
  expect(images().find(RECORDS)).toEqual({ bytes: BYTES, count: 1 });
  expect(images().find([])).toBeNull();
  expect(images(KEY, 'other').find(RECORDS)).toBeNull();
  images().keep(RECORDS, BYTES.slice(1));
  expect(readdirSync(directory)).toHaveLength(1);
  expect(images().find(RECORDS)).toEqual({ bytes: BYTES.slice(1), count: 2 });
  expect(refused).toEqual([]);
});

test('an image with other views of schema ledger does not fit', () => {
  images().keep(RECORDS, BYTES);
  const views = LEDGER_VIEWS as LedgerView[];
  views.push({ ...views[0]!, name: 'new' });
  try {
    expect(images().find(RECORDS)).toBeNull();
  } finally {
    views.pop();
  }
});

const forgeries: readonly [string, (file: string) => void][] = [
  [
    'one byte differs',
    (file) => {
      const bytes = readFileSync(file);
      bytes[7]! ^= 1;
      writeFileSync(file, bytes);
    },
  ],
  ['the seal is missing', (file) => writeFileSync(file, BYTES)],
  ['nothing is left', (file) => writeFileSync(file, '')],
  [
    'it is another schema under this name',
    (file) => {
      images().keep([ddlRecord('create table u ()')], BYTES);
      renameSync(join(directory, readdirSync(directory)[0]!), file);
    },
  ],
  ['it is sealed with another key', () => images(KEY.map(() => 2)).keep(RECORDS, BYTES)],
];

test.each(forgeries)('an image is thrown away when %s', (_, forge) => {
  images().keep(RECORDS, BYTES);
  const file = join(directory, readdirSync(directory)[0]!);
  forge(file);
  expect(images().find(RECORDS)).toBeNull();
  expect(refused).toEqual([file]);
  expect(readdirSync(directory)).toEqual([]);
});

test('an image that cannot be written is told of, and leaves the one before', () => {
  images().keep(RECORDS.slice(0, 1), BYTES);
  images().keep(RECORDS, BYTES);
  const [name] = readdirSync(directory);
  const file = join(directory, name!);
  rmSync(file);
  images().keep(RECORDS.slice(0, 1), BYTES);
  mkdirSync(file);
  images().keep(RECORDS, BYTES);
  expect(refused).toEqual([file]);
  rmSync(file, { recursive: true });
  expect(readdirSync(directory)).toHaveLength(1);
  expect(images().find(RECORDS)).toEqual({ bytes: BYTES, count: 1 });
});
