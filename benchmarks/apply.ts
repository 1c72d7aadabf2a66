// What applying costs: one-row inserts, updates by program, and the block's commit. Prints microseconds.
//
//   node benchmarks/apply.ts [transactions]
//
// One bundle a block, 500 transactions a block; signing and encoding are not measured.

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
import type { Operation } from '../ledger/operation.ts';

const BLOCK_TRANSACTIONS = 500;
const count = Number(process.argv[2] ?? 20_000);

const accounts = table(
  200,
  'accounts',
  [column(1, 'id', INT4, { notNull: true }), column(2, 'owner', TEXT), column(3, 'balance', INT4)],
  [index(201, 'accounts_pkey', [[1, INT4]], { primary: true })],
);

const ledger = new TestLedger(genesis([{ put: 'relation', object: accounts }]), {
  node: crypto.publicKeyOf(NODE_SEED),
});

function measure(name: string, operation: (i: number) => Operation): void {
  let micros = 0;
  for (let at = 0; at < count; at += BLOCK_TRANSACTIONS) {
    const operations = Array.from({ length: BLOCK_TRANSACTIONS }, (_, i) => [operation(at + i)]);
    const block = ledger.block([ledger.bundle(operations)]);
    const start = process.hrtime.bigint();
    ledger.writer.append(block);
    micros += Number(process.hrtime.bigint() - start) / 1000;
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
ledger.destroy();
