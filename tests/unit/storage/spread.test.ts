// A table spread over three shards behaves as one that lies whole, and each row lies in its part.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shardFile } from '../../../storage/data-directory.ts';
import { partOf, partsOf } from '../../../storage/parts.ts';
import { Scrub } from '../../../storage/scrub.ts';
import { StateReader } from '../../../storage/snapshot.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { verifyLedger } from '../../../storage/verify.ts';
import { INT4, TEXT, TestLedger, column, crypto, genesis } from './ledger-fixture.ts';
import { index, table } from './ledger-fixture.ts';
import type { Operation } from '../../../ledger/operation.ts';
import type { Datum, Row } from '../../../ledger/type.ts';

const PARTS = 3;
const PEOPLE = table(
  200,
  'people',
  [column(1, 'id', INT4, { notNull: true }), column(2, 'name', TEXT)],
  [
    index(201, 'people_pkey', [[1, INT4]], { primary: true }),
    index(202, 'people_name_key', [[2, TEXT]]),
  ],
  { spread: { column: 1, parts: PARTS } },
);
/** Ids that lie in parts 0, 1 and 2, several of each. */
const IN = Array.from({ length: PARTS }, (_, part) =>
  Array.from({ length: 60 }, (__, i) => BigInt(i + 1)).filter(
    (id) => partOf(id, INT4, PARTS) === part,
  ),
);

let ledger: TestLedger;

beforeEach(() => {
  ledger = new TestLedger(genesis([{ put: 'relation', object: PEOPLE }], PARTS));
});

afterEach(() => ledger.destroy());

function insert(...rows: Row[]): Operation {
  return {
    kind: 'insert',
    relation: 200,
    schemaVersion: 1,
    columns: [1, 2],
    rows,
    conflict: null,
  };
}

function update(key: bigint, set: Readonly<Record<number, Datum>>): Operation {
  return {
    kind: 'program',
    relation: 200,
    schemaVersion: 1,
    index: 201,
    key: [key],
    where: null,
    set: Object.entries(set).map(([id, value]) => {
      const type = Number(id) === 1 ? INT4 : TEXT;
      return { column: Number(id), value: { kind: 'const', type, value } as const };
    }),
    required: true,
  };
}

/** Rows and closed versions of each part, without stamps. */
function lying(directory = ledger.directory): { rows: unknown[][]; closed: unknown[][] } {
  const reader = StateReader.open(directory);
  const all = (text: string): unknown[] => reader.database.prepare(text).raw().all();
  const found = partsOf(PEOPLE).map(({ schema, rows, history }) => ({
    rows: all(`SELECT _id, c1, c2 FROM ${schema}.${rows} ORDER BY 1`),
    closed: all(`SELECT _id, c1, c2 FROM ${schema}.${history} ORDER BY 1, _from`),
  }));
  reader.close();
  return { rows: found.map(({ rows }) => rows), closed: found.map(({ closed }) => closed) };
}

function edit(shard: number, sql: string): void {
  const database = openDatabase(shardFile(ledger.directory, shard));
  database.exec(sql);
  database.close();
}

describe('rows', () => {
  test('lie where the hash of their key says, under ids of the whole table', () => {
    const ids = [IN[2]![0]!, IN[0]![0]!, IN[1]![0]!, IN[2]![1]!];
    ledger.run([insert(...ids.map((id): Row => [id, `n${id}`]))]);
    expect(lying().rows).toEqual([
      [[2n, ids[1], `n${ids[1]}`]],
      [[3n, ids[2], `n${ids[2]}`]],
      [
        [1n, ids[0], `n${ids[0]}`],
        [4n, ids[3], `n${ids[3]}`],
      ],
    ]);
  });

  test('move with their key, and their history stays where they lay', () => {
    const [from, to] = [IN[0]![0]!, IN[1]![0]!];
    ledger.run([insert([from, 'ann'])]);
    expect(ledger.run([update(from, { 1: to })]).abort).toBeNull();
    expect(ledger.run([update(to, { 2: 'eve' })]).abort).toBeNull();
    expect(lying()).toEqual({
      rows: [[], [[1n, to, 'eve']], []],
      closed: [[[1n, from, 'ann']], [[1n, to, 'ann']], []],
    });
    // There and back in one transaction leaves one closed version.
    ledger.run([update(to, { 1: from }), update(from, { 1: to })]);
    expect(lying().rows).toEqual([[], [[1n, to, 'eve']], []]);
    expect(lying().closed[0]).toEqual([[1n, from, 'ann']]);
  });

  test('are deleted, truncated and inserted again', () => {
    const ids = [IN[0]![0]!, IN[1]![0]!, IN[2]![0]!];
    ledger.run([insert(...ids.map((id): Row => [id, `n${id}`]))]);
    expect(ledger.run([{ kind: 'truncate', relations: [200] }]).abort).toBeNull();
    expect(lying().rows).toEqual([[], [], []]);
    expect(ledger.run([insert([ids[0]!, 'again'])]).abort).toBeNull();
    expect(lying().rows[0]).toEqual([[4n, ids[0], 'again']]);
  });
});

describe('a unique key that is not the shard key', () => {
  const taken = (name: string): string => `Key (name)=(${name}) already exists.`;

  test('is unique over all parts, for rows that come, change and move', () => {
    const [a, b, c] = [IN[0]![0]!, IN[1]![0]!, IN[2]![0]!];
    ledger.run([insert([a, 'ann'], [b, 'bob'])]);
    for (const operation of [
      insert([c, 'ann']),
      update(b, { 2: 'ann' }),
      update(b, { 1: c, 2: 'ann' }),
    ]) {
      const { abort } = ledger.run([operation]);
      expect(abort).toMatchObject({ sqlstate: '23505', fields: { detail: taken('ann') } });
    }
    expect(ledger.run([update(b, { 1: c })]).abort).toBeNull();
    expect(
      ledger.run([insert([b, 'bo'], [IN[1]![1]!, null], [IN[2]![1]!, null])]).abort,
    ).toBeNull();
  });

  test('of the first row in order that is refused is the one named, whatever its part', () => {
    const [one, two] = [IN[0]!, IN[1]!];
    // Part by part the second row would be refused, for the name that the last one has then taken.
    const rows: Row[] = [
      [one[0]!, 'ann'],
      [two[0]!, 'bob'],
      [two[1]!, 'ann'],
      [one[1]!, 'bob'],
    ];
    expect(ledger.run([insert(...rows)]).abort?.fields.detail).toBe(taken('ann'));
    const many = Array.from({ length: 60 }, (_, i): Row => [BigInt(i + 1), `n${i + 1}`]);
    const late = ledger.run([insert(...many, [100n, 'n41'], [101n, 'n7'])]);
    expect(late.abort?.fields.detail).toBe(taken('n41'));
    expect(lying().rows).toEqual([[], [], []]);
  });
});

/** A copy of the directory as it is now. */
function kept(): string {
  const copy = mkdtempSync(join(tmpdir(), 'trustsql-spread-'));
  cpSync(ledger.directory, copy, { recursive: true });
  return copy;
}

test.each([0, 1, 2])(
  'part %i may be blocks behind: the others are taken back and replayed',
  async (lost) => {
    const [a, b, c] = IN.map((ids) => ids[0]!) as [bigint, bigint, bigint];
    ledger.run([insert([a, 'ann'], [b, 'bob'], [c, 'cyd'])]);
    ledger.reopen();
    ledger.writer.close();
    const old = kept();
    ledger.reopen();
    // Rows go round: each part has a row come, and another go.
    ledger.run([update(a, { 1: IN[1]![1]! }), update(b, { 1: IN[2]![1]! }), update(c, { 1: a })]);
    ledger.run([update(a, { 1: b, 2: 'eve' })]);
    const [rows, { tip }] = [lying(), ledger.writer];
    ledger.writer.close();
    cpSync(shardFile(old, lost), shardFile(ledger.directory, lost));
    ledger.reopen();
    expect(ledger.writer.tip.height).toBe(tip.height);
    expect(lying()).toEqual(rows);
    ledger.writer.close();
    expect((await verifyLedger(ledger.directory)).damage).toBeNull();
    rmSync(old, { recursive: true });
  },
);

describe('damage in one part', () => {
  let peer: string;
  beforeEach(() => {
    const [a, b, c] = IN.map((ids) => ids[0]!) as [bigint, bigint, bigint];
    ledger.run([insert([a, 'ann'], [b, 'bob'], [c, 'cyd'])]);
    ledger.run([update(a, { 1: IN[2]![1]! })]);
    ledger.run([insert([IN[0]![1]!, 'dan'])]);
    ledger.reopen();
    ledger.run([insert([IN[0]![2]!, 'eve'])]);
    peer = kept();
  });
  afterEach(() => rmSync(peer, { recursive: true }));

  test.each([
    ['a value', 2, "UPDATE r200_2 SET c2='forged' WHERE _id=3"],
    ['a shard key', 1, 'UPDATE r200_1 SET c1=77'],
    ['a row', 1, 'DELETE FROM r200_1'],
    ['a closed version', 0, "UPDATE h200 SET c2='forged'"],
  ])('%s is found in its file, and mended', async (_, shard, sql) => {
    edit(shard, sql);
    const file = shardFile(ledger.directory, shard);
    const [mine, other] = [ledger.directory, peer].map(
      (directory) => new Scrub({ directory, crypto }),
    ) as [Scrub, Scrub];
    const findings = mine.newest();
    const rows = findings.filter((finding) => finding.kind === 'row');
    expect(rows.every((finding) => finding.file === file && finding.part === shard)).toBe(true);
    const versions = findings.flatMap((finding) => {
      if (finding.kind !== 'missing') return [];
      const { stamp, leaf } = finding;
      const asked = { kind: 'versions', from: stamp, to: stamp + 1n, leaves: [leaf] } as const;
      const answer = other.answer(asked);
      return answer.kind === 'versions' ? answer.versions : [];
    });
    const repair = { index: [], receipts: [], rows, versions };
    expect(ledger.writer.mendState(repair, () => undefined).length).toBeGreaterThan(0);
    expect(mine.newest()).toEqual([]);
    expect(lying()).toEqual(lying(peer));
    for (const scrub of [mine, other]) scrub.close();
  });

  test('a row that lies in another part than its own is found by the scrub and by verify', async () => {
    const reader = StateReader.open(ledger.directory);
    const row = reader.database.prepare('SELECT * FROM s1.r200_1').raw().get() as Datum[];
    reader.close();
    edit(1, 'DELETE FROM r200_1');
    const database = openDatabase(shardFile(ledger.directory, 2));
    database.prepare('INSERT INTO r200_2 VALUES (?, ?, ?, ?)').run(...row);
    database.close();
    const scrub = new Scrub({ directory: ledger.directory, crypto });
    const kinds = scrub.newest().map(({ kind }) => kind);
    scrub.close();
    expect(kinds).toEqual(['row', 'missing']);
    ledger.writer.close();
    const { damage } = await verifyLedger(ledger.directory);
    expect(damage?.file).toBe(shardFile(ledger.directory, 1));
    ledger.reopen();
  });
});
