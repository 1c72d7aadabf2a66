// Run by small-files.ts: appends blocks to a ledger whose journal and block files are so small that they turn and are
// sealed again and again. Shell.
//
//     node small-files-child.ts <directory> <log> <seed> <blocks>
//
// The transaction of note n writes it into a table of each of two shards, and changes the one before it. A mark in the log says when it is durable.

import { setImmediate as turn } from 'node:timers/promises';
import { encodeOperations } from '../../../ledger/encoding.ts';
import { stampOf } from '../../../ledger/operation.ts';
import { seeded } from '../../end-to-end/crash-workload.ts';
import { TEXT, TestLedger, column, genesis } from '../../unit/storage/ledger-fixture.ts';
import { NOTES, insertNote } from '../../unit/storage/notes-fixture.ts';
import { Marker } from './log.ts';
import { SMALL } from './small-files.ts';
import type { NoteMark } from './small-files.ts';
import type { Operation } from '../../../ledger/operation.ts';

const [directory, log, seed, blocks] = process.argv.slice(2) as [string, string, string, string];
const random = seeded(Number(seed));
const marker = new Marker(log);
const changes = NOTES.map((object) => ({ put: 'relation', object }) as const);
const ledger = new TestLedger(genesis(changes, 2), SMALL, directory);
let schemaVersion = 1;

function run(...operations: readonly Operation[]): void {
  const { abort } = ledger.run(operations);
  if (abort !== null) throw new Error(abort.message);
}

/** Each change of the schema has made a new version of the table of shard 1, and added a column. */
function insertSecond(id: bigint): Operation {
  const added = Array.from({ length: schemaVersion - 1 }, (_, i) => i + 3);
  const rows = [[id, `note ${id}`, ...added.map(() => null)]];
  const columns = [1, 2, ...added];
  const relation = NOTES[1]!.id;
  return { kind: 'insert', relation, schemaVersion, columns, rows, conflict: null };
}

/** @param previous  height of the note before, which may be removed: there is history then */
function note(id: bigint, previous: number | null): void {
  const operations = [insertNote(0, id), insertSecond(id)];
  const removes = previous !== null && random() < 0.3;
  if (removes) {
    const rows = [{ rowId: id - 1n, version: stampOf(previous, 0) }];
    operations.push({ kind: 'delete', relation: NOTES[0]!.id, rows });
  }
  const mark = { note: Number(id), removes } as const;
  marker.mark({ ...mark, durable: false } satisfies NoteMark);
  if (random() < 0.1) {
    const bytes = encodeOperations(operations);
    const hashes = [ledger.writer.putChunk(bytes)];
    run({ kind: 'chunks', hashes, bytes: bytes.length });
  } else {
    run(...operations);
  }
  marker.mark({ ...mark, durable: true } satisfies NoteMark);
}

async function housekeeping(): Promise<void> {
  const drawn = random();
  if (drawn < 0.3) ledger.writer.tidySome();
  else if (drawn < 0.4) ledger.writer.tidy();
  else if (drawn < 0.45) ledger.writer.fold();
  else if (drawn < 0.5)
    ledger.writer.dropChunks([ledger.writer.putChunk(new Uint8Array(9_000).fill(7))]);
  else if (drawn < 0.53) ledger.reopen(SMALL);
  else if (drawn < 0.56) addColumn();
  await turn();
}

function addColumn(): void {
  schemaVersion += 1;
  const added = Array.from({ length: schemaVersion - 1 }, (_, i) =>
    column(i + 3, `more${i}`, TEXT),
  );
  const table = NOTES[1]!;
  const object = { ...table, schemaVersion, columns: [...table.columns, ...added] };
  run(ledger.catalog({ put: 'relation', object }));
}

marker.mark({ ready: true });
let previous: number | null = null;
for (let id = 1n; id <= BigInt(blocks); id += 1n) {
  note(id, previous);
  previous = ledger.writer.tip.height;
  await housekeeping();
}
marker.close();
