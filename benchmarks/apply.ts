// What applying costs: one-row inserts, updates by program, inserts of many rows. Prints microseconds of
// processor time, which other programs disturb least.
//
//   node benchmarks/apply.ts [transactions] [rows]
//
// One bundle a block, 500 transactions a block, or 16 of 100 rows; `rows` go ahead in chunks, for one transaction.
// Signing and encoding are not measured.

import {
  TestLedger,
  INT4,
  TEXT,
  column,
  genesis,
  index,
  table,
} from '../tests/unit/storage/ledger-fixture.ts';
import { NODE_SEED, crypto } from '../tests/unit/storage/ledger-fixture.ts';
import { encodeOperations } from '../ledger/encoding.ts';
import { sqlType } from '../ledger/type.ts';
import type { Operation } from '../ledger/operation.ts';

const BLOCK_TRANSACTIONS = 500;
const BATCH_ROWS = 100;
const BATCHES = 16;
/** Of one operation in a chunk, and operations of one chunk. */
const PIECE_ROWS = 1_000;
const PIECES = 10;
const count = Number(process.argv[2] ?? 20_000);
const rowCount = Number(process.argv[3] ?? 300_000);

const accounts = table(
  200,
  'accounts',
  [column(1, 'id', INT4, { notNull: true }), column(2, 'owner', TEXT), column(3, 'balance', INT4)],
  [index(201, 'accounts_pkey', [[1, INT4]], { primary: true })],
);

const entries = table(
  300,
  'entries',
  [
    column(1, 'id', INT4, { notNull: true }),
    column(2, 'account', INT4, { notNull: true }),
    column(3, 'amount', sqlType('numeric', ((12 << 16) | 2) + 4)),
    column(4, 'note', TEXT),
  ],
  [
    index(301, 'entries_pkey', [[1, INT4]], { primary: true }),
    index(302, 'entries_account', [[2, INT4]], { unique: false, constraint: false }),
  ],
);

const relations = [accounts, entries].map((object) => ({ put: 'relation' as const, object }));
const ledger = new TestLedger(genesis(relations), {
  node: crypto.publicKeyOf(NODE_SEED),
});

/** Of all threads, in the kernel too. */
function microsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

function measure(name: string, operation: (i: number) => Operation): void {
  let micros = 0;
  for (let at = 0; at < count; at += BLOCK_TRANSACTIONS) {
    const operations = Array.from({ length: BLOCK_TRANSACTIONS }, (_, i) => [operation(at + i)]);
    const block = ledger.block([ledger.bundle(operations)]);
    const start = process.cpuUsage();
    ledger.writer.append(block);
    micros += microsSince(start);
    if (ledger.writer.untidy) ledger.writer.tidy();
  }
  console.log(
    `${name}: ${(micros / count).toFixed(1)} µs a transaction, blocks of ${BLOCK_TRANSACTIONS}`,
  );
}

measure('insert', (i) => ({
  kind: 'insert',
  relation: 200,
  schemaVersion: 1,
  columns: [1, 2, 3],
  rows: [[BigInt(i), 'somebody', 100n]],
  conflict: null,
}));
measure('update by program', (i) => ({
  kind: 'program',
  relation: 200,
  schemaVersion: 1,
  index: 201,
  key: [BigInt(i)],
  where: null,
  required: false,
  set: [
    {
      column: 3,
      value: {
        kind: 'call',
        type: INT4,
        name: 'int4pl',
        args: [
          { kind: 'column', type: INT4, column: 3 },
          { kind: 'const', type: INT4, value: 1n },
        ],
      },
    },
  ],
}));

let lastId = 0;

/** New rows for `entries`, all of one account. */
function insertEntries(rows: number): Operation {
  const account = BigInt((lastId * 7_919) % 100_003);
  return {
    kind: 'insert',
    relation: 300,
    schemaVersion: 1,
    columns: [1, 2, 3, 4],
    rows: Array.from({ length: rows }, () => {
      lastId++;
      return [BigInt(lastId), account, 1234n, 'a note of some length'];
    }),
    conflict: null,
  };
}

/** Appends a block of these transactions. @returns microseconds */
function append(transactions: Operation[][]): number {
  const block = ledger.block([ledger.bundle(transactions)]);
  const start = process.cpuUsage();
  const { receipts } = ledger.writer.append(block);
  const micros = microsSince(start);
  if (receipts.some(({ receipt }) => receipt.abort !== null)) throw new Error('aborted');
  if (ledger.writer.untidy) ledger.writer.tidy();
  return micros;
}

const rounds = Math.ceil(rowCount / BATCHES / BATCH_ROWS);
let inBatches = 0;
for (let round = 0; round < rounds; round++) {
  inBatches += append(Array.from({ length: BATCHES }, () => [insertEntries(BATCH_ROWS)]));
}
const each = inBatches / rounds / BATCHES / BATCH_ROWS;
console.log(`insert of ${BATCH_ROWS} rows: ${each.toFixed(2)} µs a row`);

const hashes: Uint8Array[] = [];
let bytes = 0;
let stored = 0;
for (let at = 0; at < rowCount; at += PIECES * PIECE_ROWS) {
  const chunk = encodeOperations(Array.from({ length: PIECES }, () => insertEntries(PIECE_ROWS)));
  bytes += chunk.length;
  const start = process.cpuUsage();
  hashes.push(ledger.writer.putChunk(chunk));
  stored += microsSince(start);
}
const applied = append([[{ kind: 'chunks', hashes, bytes }]]);
console.log(
  `rows in chunks: ${(applied / rowCount).toFixed(2)} µs a row, and ${(stored / rowCount).toFixed(2)} to store`,
);
ledger.destroy();
