import { expect, test } from '@jest/globals';
import { decodeOperations } from '../../../../ledger/encoding.ts';
import type { Operation } from '../../../../ledger/operation.ts';
import { CHUNK_BYTES } from '../../../../server/limits.ts';
import { isHeavy, spooled } from '../../../../server/session/spool.ts';

/** A store of chunks: its hashes are numbers. */
function store() {
  const chunks: Uint8Array[] = [];
  const put = (chunk: Uint8Array) => {
    chunks.push(chunk);
    const hash = new Uint8Array(32);
    hash[0] = chunks.length - 1;
    return Promise.resolve(hash);
  };
  const operationsOf = (operation: Operation) =>
    operation.kind === 'chunks'
      ? operation.hashes.flatMap((hash) => decodeOperations(chunks[hash[0]!]!))
      : [operation];
  return { chunks, put, operationsOf };
}

function inserts(from: number, count: number, text = ''): Operation {
  return {
    kind: 'insert',
    relation: 1,
    schemaVersion: 1,
    columns: [1, 2],
    rows: Array.from({ length: count }, (_, i) => [BigInt(from + i), text]),
    conflict: null,
  };
}

const TRUNCATE: Operation = { kind: 'truncate', relations: [1] };
const CATALOG: Operation = {
  kind: 'catalog',
  base: 1,
  changes: [],
  role: 'admin',
  searchPath: 'public',
  text: 'create table t (a int)',
};

function keys(operations: readonly Operation[]): bigint[] {
  return operations.flatMap((operation) =>
    operation.kind === 'insert' ? operation.rows.map(([key]) => key as bigint) : [],
  );
}

test('few small operations travel in their transaction', () => {
  expect(isHeavy([TRUNCATE, inserts(0, 100)])).toBe(false);
  expect(isHeavy([inserts(0, 100, 'x'.repeat(CHUNK_BYTES / 100))])).toBe(true);
  expect(isHeavy(Array.from({ length: 1_001 }, () => TRUNCATE))).toBe(true);
});

test('spooled operations come back in their order, in chunks of bounded size', async () => {
  const { chunks, put, operationsOf } = store();
  const operations = [
    TRUNCATE,
    inserts(0, 30_000, 'some text'),
    inserts(30_000, 5_000, 'more text'),
  ];
  const travelling = await spooled(operations, put);
  expect(travelling).toHaveLength(1);
  const all = operationsOf(travelling[0]!);
  expect(all[0]).toEqual(TRUNCATE);
  expect(keys(all)).toEqual(Array.from({ length: 35_000 }, (_, i) => BigInt(i)));
  expect(chunks.length).toBeGreaterThan(1);
  for (const chunk of chunks) expect(chunk.length).toBeLessThan(CHUNK_BYTES * 1.2);
  const [manifest] = travelling;
  expect(manifest).toMatchObject({ bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0) });
});

test('catalog operations stay in the transaction, between the chunks', async () => {
  const { put, operationsOf } = store();
  const travelling = await spooled([inserts(0, 10), CATALOG, inserts(10, 10), TRUNCATE], put);
  expect(travelling.map(({ kind }) => kind)).toEqual(['chunks', 'catalog', 'chunks']);
  expect(travelling.flatMap(operationsOf).map(({ kind }) => kind)).toEqual([
    'insert',
    'catalog',
    'insert',
    'truncate',
  ]);
});

test('chunks that went ahead before join the others', async () => {
  const { put, operationsOf } = store();
  const before = await spooled([inserts(0, 10)], put);
  const travelling = await spooled([TRUNCATE, ...before, inserts(10, 10)], put);
  expect(travelling).toHaveLength(1);
  expect(operationsOf(travelling[0]!).map(({ kind }) => kind)).toEqual([
    'truncate',
    'insert',
    'insert',
  ]);
  expect(keys(operationsOf(travelling[0]!))).toHaveLength(20);
});
