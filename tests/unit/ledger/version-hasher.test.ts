import { expect, test } from '@jest/globals';
import { encodeRowVersion } from '../../../ledger/encoding.ts';
import { rowVersionHash } from '../../../ledger/hash.ts';
import { nobleCrypto } from '../../../ledger/noble-crypto.ts';
import { VersionHasher } from '../../../ledger/version-hasher.ts';
import type { Row } from '../../../ledger/type.ts';

const table = { relation: 70_000, schemaVersion: 300, columns: [1, 2, 40, 1_000] };
const rows: Row[] = [
  [null, 0n, -1n, 1n << 40n],
  ['', 'plain', 'žluťoučký', 'x'.repeat(5_000)],
  [1.5, -Infinity, Uint8Array.of(), new Uint8Array(3_000_000).fill(7)],
  [24n, -25n, 65_536n, -(2n ** 63n)],
];

test('hashes what the codec encodes', () => {
  const hasher = new VersionHasher(nobleCrypto, table);
  for (const [i, values] of rows.entries()) {
    const rowId = 250n + BigInt(i);
    const stamp = 1n << BigInt(20 * i);
    const encoded = encodeRowVersion({ ...table, rowId, stamp, deleted: false, values });
    expect(hasher.hash(rowId, stamp, values)).toEqual(rowVersionHash(nobleCrypto, encoded));
  }
});

test('a deleted row has neither columns nor values', () => {
  const version = { ...table, rowId: 7n, stamp: 99n, deleted: true, columns: [], values: [] };
  const hash = rowVersionHash(nobleCrypto, encodeRowVersion(version));
  expect(new VersionHasher(nobleCrypto, table).hash(7n, 99n, null)).toEqual(hash);
});

test('hashers do not disturb one another', () => {
  const first = new VersionHasher(nobleCrypto, table);
  const alone = first.hash(1n, 2n, rows[1]!);
  const second = new VersionHasher(nobleCrypto, { relation: 1, schemaVersion: 1, columns: [1] });
  second.hash(1n, 2n, ['other']);
  expect(first.hash(1n, 2n, rows[1]!)).toEqual(alone);
});
