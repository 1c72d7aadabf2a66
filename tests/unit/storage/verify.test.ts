import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hex } from '../../../ledger/bytes.ts';
import { makeCheckpoint } from '../../../ledger/checkpoint.ts';
import { createLedger } from '../../../storage/create-ledger.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import { verifyLedger } from '../../../storage/verify.ts';
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

beforeEach(() => {
  const sequence = {
    kind: 'sequence',
    id: 210,
    schema: 20,
    name: 'notes_id_seq',
    owner: 10,
    type: 'int4',
    start: 1n,
    increment: 1n,
    min: 1n,
    max: 1000n,
    cycle: false,
    cache: 1n,
    ownedBy: null,
    grants: [],
  } as const;
  ledger = new TestLedger(
    genesis([
      { put: 'relation', object: notes },
      { put: 'relation', object: sequence },
    ]),
  );
  const insert = (...ids: bigint[]): Operation => ({
    kind: 'insert',
    relation: 200,
    schemaVersion: 1,
    columns: [1, 2],
    rows: ids.map((id) => [id, `note ${id}`]),
    conflict: null,
  });
  const from = { last: 1n, called: false };
  const reserved = { kind: 'sequence', sequence: 210, from, last: 32n, called: true } as const;
  ledger.run([insert(1n, 2n, 3n), reserved]);
  ledger.run([
    {
      kind: 'update',
      relation: 200,
      schemaVersion: 1,
      columns: [2],
      rows: [{ rowId: 2n, version: 65_536n, values: ['second'] }],
    },
  ]);
  ledger.change({ put: 'relation', object: { ...notes, name: 'remarks' } });
  ledger.run([insert(1n)]);
  ledger.run([]);
});

afterEach(() => ledger.destroy());

function edit(file: string, sql: string): void {
  const database = openDatabase(join(ledger.directory, file));
  database.exec(sql);
  database.close();
}

test('a sound ledger verifies, also while it is open, and says what it stands on', async () => {
  const result = await verifyLedger(ledger.directory);
  expect(result).toMatchObject({
    ok: true,
    damage: null,
    height: 5,
    stateHeight: 5,
    transactions: 5,
  });
  expect(result.evidence.join()).toContain('no outside digest');
  ledger.writer.tidy();
  expect((await verifyLedger(ledger.directory)).ok).toBe(true);
});

test('a ledger that no node has opened yet is told from one that has lost its files', async () => {
  const directory = join(ledger.directory, 'new');
  createLedger(directory, genesis(), crypto, NODE_SEED);
  const { ok, damage } = await verifyLedger(directory);
  expect(ok).toBe(false);
  expect(damage?.message).toBe('the file is missing; the first start of the node makes it');
});

test('an edited value is named: file, block, transaction, table, key, version, column', async () => {
  edit('state/shard-00.sqlite', "UPDATE r200 SET c2='forged' WHERE c1=2");
  const { ok, damage } = await verifyLedger(ledger.directory);
  expect(ok).toBe(false);
  expect(damage).toMatchObject({
    file: join(ledger.directory, 'state/shard-00.sqlite'),
    table: 'public.remarks',
    key: 'id=2',
    column: 'body',
    height: 2,
    version: '2.0',
    message: 'the value of body is "forged", and the chain says "second"',
  });
  expect(damage?.transaction).toMatch(/^[0-9a-f]{64}$/);
});

function copy(): string {
  const directory = mkdtempSync(join(tmpdir(), 'trustsql-edited-'));
  cpSync(ledger.directory, directory, { recursive: true });
  return directory;
}

/** Every table and column of every file that holds something. */
function places(): { file: string; table: string; column: string; key: string; count: number }[] {
  const files = ['state', 'chain'].flatMap((folder) =>
    readdirSync(join(ledger.directory, folder))
      .filter((name) => name.endsWith('.sqlite'))
      .map((name) => join(folder, name)),
  );
  return files.flatMap((file) => {
    const database = openDatabase(join(ledger.directory, file));
    const select = "SELECT name FROM sqlite_schema WHERE type='table'";
    const tables = database.prepare(select).pluck().all() as string[];
    const found = tables.flatMap((table) => {
      const info = database.pragma(`table_info(${table})`) as { name: string }[];
      const count = Number(database.prepare(`SELECT count(*) FROM ${table}`).pluck().get());
      const key = info[0]!.name;
      return count === 0 ? [] : info.map(({ name }) => ({ file, table, column: name, key, count }));
    });
    database.close();
    return found;
  });
}

test('a changed value is found in every table and column of every file', async () => {
  ledger.writer.close();
  const missed: string[] = [];
  for (const [i, { file, table, column, key, count }] of places().entries()) {
    const directory = copy();
    const database = openDatabase(join(directory, file));
    const changed =
      `CASE typeof(${column}) WHEN 'integer' THEN ${column}+1000003` +
      ` WHEN 'blob' THEN CAST(${column}||x'00' AS BLOB) ELSE coalesce(${column},'')||'x' END`;
    const row = `(SELECT ${key} FROM ${table} LIMIT 1 OFFSET ${i % count})`;
    database.exec(`UPDATE ${table} SET ${column}=${changed} WHERE ${key}=${row}`);
    database.close();
    const { damage } = await verifyLedger(directory);
    const place = `${file} ${table}.${column}`;
    if (damage?.file !== join(directory, file)) missed.push(`${place}: ${JSON.stringify(damage)}`);
    rmSync(directory, { recursive: true });
  }
  expect(missed).toEqual([]);
  ledger.reopen();
}, 60_000);

test('rows that are gone, added or declared are found', async () => {
  edit('state/shard-00.sqlite', 'DELETE FROM h200');
  expect((await verifyLedger(ledger.directory)).damage).toMatchObject({
    table: 'public.remarks',
    message: 'a row is missing (in history)',
  });
  edit('state/shard-00.sqlite', 'CREATE TRIGGER t AFTER INSERT ON r200 BEGIN SELECT 1; END');
  expect((await verifyLedger(ledger.directory)).damage?.message).toBe(
    'trigger t does not belong here',
  );
});

test('a header that was changed is found by its signature or hash', async () => {
  ledger.writer.close();
  edit(
    'chain/blocks-000000000000.sqlite',
    'UPDATE block SET certificate=zeroblob(3) WHERE height=2',
  );
  const { damage } = await verifyLedger(ledger.directory);
  expect(damage).toMatchObject({ height: 2 });
  expect(damage?.file).toMatch(/blocks-000000000000\.sqlite$/);
});

/** After a kill between the commits of two files: `behind` as it was a block before the others. */
function kill(behind: 'state' | 'index'): void {
  const file = behind === 'state' ? 'state/shard-00.sqlite' : 'chain/index.sqlite';
  ledger.writer.close();
  const kept = copy();
  ledger.reopen();
  ledger.run([]);
  ledger.writer.close();
  for (const end of ['-wal', '-shm']) rmSync(join(ledger.directory, file + end), { force: true });
  cpSync(join(kept, file), join(ledger.directory, file));
  rmSync(kept, { recursive: true });
}

test.each([
  ['state', 5],
  ['index', 6],
] as const)('a kill that leaves the %s behind is no damage', async (behind, stateHeight) => {
  kill(behind);
  const result = await verifyLedger(ledger.directory);
  expect(result).toMatchObject({ ok: true, damage: null, height: 6, stateHeight });
  const name = behind === 'state' ? 'the state' : 'the block index';
  expect(result.evidence.join()).toContain(`${name} stands at block 5`);
  edit('chain/index.sqlite', 'UPDATE block SET time_ms=time_ms+1');
  const { damage } = await verifyLedger(ledger.directory);
  expect(damage?.file).toBe(join(ledger.directory, 'chain/index.sqlite'));
  edit('chain/index.sqlite', 'DELETE FROM block');
  expect((await verifyLedger(ledger.directory)).damage?.table).toBe('frontier');
  edit('chain/index.sqlite', 'DELETE FROM frontier');
  ledger.reopen();
  const { ok, evidence } = await verifyLedger(ledger.directory);
  expect({ ok, behind: evidence.join().includes('stands at') }).toEqual({
    ok: true,
    behind: false,
  });
});

test.each([-1, -7, 2.5])('no height in the state (%d) hides its rows', async (height) => {
  edit('state/shard-00.sqlite', "UPDATE r200 SET c2='forged' WHERE c1=2");
  edit('state/shard-00.sqlite', `UPDATE _meta SET value=${height} WHERE key='height'`);
  const { damage } = await verifyLedger(ledger.directory);
  expect(damage?.file).toBe(join(ledger.directory, 'state/shard-00.sqlite'));
});

test('a truncated tail is seen with an outside digest only', async () => {
  const { tip, data } = ledger.writer;
  const digest = makeCheckpoint(
    crypto,
    data.chainId,
    tip.height + 1,
    ledger.writer.history.root(),
    NODE_SEED,
  );
  expect((await verifyLedger(ledger.directory, { digest })).evidence.join()).toContain('matches');
  ledger.writer.close();
  edit('chain/blocks-000000000000.sqlite', 'DELETE FROM block WHERE height=5');
  const without = await verifyLedger(ledger.directory);
  expect(without.damage?.message).toBe('block 5 is missing or was changed');
});

test('what is known from outside must be there, and is named as evidence', async () => {
  const { chainId } = ledger.writer.data;
  const nodeKey = crypto.publicKeyOf(NODE_SEED);
  const other = new Uint8Array(32).fill(9);
  const pinned = await verifyLedger(ledger.directory, { chainId, nodeKeys: [other, nodeKey] });
  expect(pinned.damage).toBeNull();
  expect(pinned.evidence).toContain(`the chain id was pinned from outside: ${hex(chainId)}`);
  expect(pinned.evidence).toContain(
    `the blocks are signed by node keys that were pinned from outside: ${hex(nodeKey)}`,
  );
  expect(pinned.evidence.join()).toContain("blocks rewritten with the node's key, cannot be seen");
  const without = await verifyLedger(ledger.directory);
  expect(without.evidence.join()).not.toContain('pinned');
  const swapped = await verifyLedger(ledger.directory, { chainId: other });
  expect(swapped).toMatchObject({
    ok: false,
    damage: {
      file: join(ledger.directory, 'trustsql.json'),
      message: `the chain is ${hex(chainId)}, not the one that was pinned: ${hex(other)}`,
    },
  });
  const foreign = await verifyLedger(ledger.directory, { chainId, nodeKeys: [other] });
  expect(foreign.damage).toEqual({
    file: join(ledger.directory, 'chain/blocks-000000000000.sqlite'),
    message: `node key ${hex(nodeKey)} of block 0 is none of those that were pinned`,
    height: 0,
  });
});

test('a marker of another chain is named itself, not the block that is sound', async () => {
  const file = join(ledger.directory, 'trustsql.json');
  const chain = hex(ledger.writer.data.chainId);
  const other = `${chain.slice(0, -1)}${chain.endsWith('0') ? '1' : '0'}`;
  writeFileSync(file, readFileSync(file, 'utf8').replace(chain, other));
  const { damage } = await verifyLedger(ledger.directory);
  expect(damage).toEqual({ file, message: `names chain ${other}, and block 0 is of ${chain}` });
});

test.each(['9', '3'])(
  'a marker that says %s shards is named itself, by whoever reads it',
  async (shards) => {
    const file = join(ledger.directory, 'trustsql.json');
    const text = readFileSync(file, 'utf8');
    const made = String(ledger.writer.data.stateShards);
    ledger.writer.close();
    writeFileSync(file, text.replace(`"stateShards": ${made}`, `"stateShards": ${shards}`));
    const message = `says ${shards} state shards, and block 0 says ${made}`;
    expect((await verifyLedger(ledger.directory)).damage).toEqual({ file, message });
    expect(() => new TestLedger(null, {}, ledger.directory)).toThrow(`${file}: ${message}`);
    writeFileSync(file, text);
    ledger.reopen();
  },
);
