// A ledger over two shards with one table in each, for tests that crash and recover it.

import {
  INT4,
  START_MS,
  TEXT,
  TestLedger,
  column,
  genesis,
  index,
  table,
} from './ledger-fixture.ts';
import type { WriterOptions } from '../../../storage/chain-writer.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { Table } from '../../../ledger/catalog.ts';

export const NOTES: readonly Table[] = [0, 1].map((shard) =>
  table(
    200 + 10 * shard,
    `notes${shard}`,
    [column(1, 'id', INT4, { notNull: true }), column(2, 'body', TEXT)],
    [index(201 + 10 * shard, `notes${shard}_pkey`, [[1, INT4]], { primary: true })],
    { shard },
  ),
);

export function makeNotes(): TestLedger {
  const changes = NOTES.map((object) => ({ put: 'relation', object }) as const);
  return new TestLedger(genesis(changes, 2));
}

export function openNotes(directory: string, options: Partial<WriterOptions> = {}): TestLedger {
  const ledger = new TestLedger(null, options, directory);
  ledger.timeMs = START_MS + ledger.writer.tip.height * 1_000;
  return ledger;
}

export function insertNote(shard: number, id: bigint): Operation {
  const relation = NOTES[shard]!.id;
  const rows = [[id, `note ${id}`]];
  return { kind: 'insert', relation, schemaVersion: 1, columns: [1, 2], rows, conflict: null };
}
