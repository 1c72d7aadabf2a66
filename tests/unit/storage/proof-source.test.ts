import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { checkProof } from '../../../ledger/proof-check.ts';
import { formatProof, parseProof } from '../../../ledger/proof-json.ts';
import { makeCheckpoint } from '../../../ledger/checkpoint.ts';
import { stampOf } from '../../../ledger/operation.ts';
import { BlockStore } from '../../../storage/block-store.ts';
import { ProofSource } from '../../../storage/proof-source.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { INT4, NODE_SEED, TEXT, TestLedger, column, crypto } from './ledger-fixture.ts';
import { genesis, index, table } from './ledger-fixture.ts';
import type { Operation } from '../../../ledger/operation.ts';

const notes = table(
  200,
  'notes',
  [column(1, 'id', INT4, { notNull: true }), column(2, 'body', TEXT)],
  [index(201, 'notes_pkey', [[1, INT4]], { primary: true })],
);

let ledger: TestLedger;
let reader: StateReader;
let blocks: BlockStore;
let source: ProofSource;

beforeEach(() => {
  ledger = new TestLedger(genesis());
  ledger.change({ put: 'relation', object: notes });
  const insert: Operation = {
    kind: 'insert',
    relation: 200,
    schemaVersion: 1,
    columns: [1, 2],
    rows: [
      [1n, 'one'],
      [2n, 'two'],
      [3n, 'three'],
    ],
    conflict: null,
  };
  ledger.append([ledger.bundle([[insert], []])]);
  reader = StateReader.open(ledger.directory);
  blocks = new BlockStore(ledger.directory, { readonly: true });
  source = new ProofSource(crypto, reader, blocks);
});

afterEach(() => {
  reader.close();
  blocks.close();
  ledger.destroy();
});

const nodeKeys = [crypto.publicKeyOf(NODE_SEED)];

test('a row can be proved once a later header covers its block', () => {
  reader.begin();
  expect(source.prove(notes, 2n, stampOf(2, 0))).toBeNull();
  reader.end();
  ledger.append([]);
  reader.begin();
  const proof = source.prove(notes, 2n, stampOf(2, 0))!;
  reader.end();
  const verdict = checkProof(crypto, parseProof(formatProof(proof)), { nodeKeys });
  expect(verdict).toMatchObject({
    valid: true,
    row: {
      table: expect.stringContaining('notes'),
      columns: [
        { name: 'id', value: 2n },
        { name: 'body', value: 'two' },
      ],
    },
    transaction: { authorName: 'admin', height: 2, text: 'test' },
  });
});

test('a version in history is proved with the columns it had, and under a checkpoint', () => {
  const added = {
    ...notes,
    schemaVersion: 2,
    columns: [...notes.columns, column(3, 'more', INT4, { missing: 7n })],
  };
  ledger.change({ put: 'relation', object: added });
  ledger.run([
    {
      kind: 'update',
      relation: 200,
      schemaVersion: 2,
      columns: [2],
      rows: [{ rowId: 2n, version: stampOf(2, 0), values: ['zwei'] }],
    },
  ]);
  ledger.append([]);
  const { tip, data } = ledger.writer;
  const checkpoint = makeCheckpoint(
    crypto,
    data.chainId,
    tip.height + 1,
    ledger.writer.history.root(),
    NODE_SEED,
  );
  reader.begin();
  const before = source.prove(added, 2n, stampOf(2, 0), tip.height + 1)!;
  const after = source.prove(added, 2n, stampOf(4, 0))!;
  reader.end();
  expect(checkProof(crypto, before, { nodeKeys, checkpoint })).toMatchObject({
    valid: true,
    row: { columns: [{ name: 'id' }, { name: 'body', value: 'two' }] },
  });
  expect(checkProof(crypto, after, { nodeKeys })).toMatchObject({
    valid: true,
    row: {
      columns: [{ name: 'id' }, { name: 'body', value: 'zwei' }, { name: 'more', value: 7n }],
    },
  });
});
