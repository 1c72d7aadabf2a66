// Whoever edits a value in any file, by hand, is found by `trustsql verify`, and the place is named.
//
// Every column of every table of every SQLite file of a data directory is changed once, each on a copy.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { cpSync, globSync, rmSync, truncateSync, statSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { verifyLedger } from '../../storage/verify.ts';
import type { VerifyResult } from '../../storage/verify.ts';
import { NodeProcess, trustsql, type Finished } from './process.ts';

const TIMEOUT_MS = 300_000;

const STATEMENTS = [
  `CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance numeric(12,2), note text,
    big numeric, at timestamptz DEFAULT now())`,
  'CREATE INDEX account_note ON account (note)',
  `INSERT INTO account VALUES (1, 'ann', 100, 'x', 1e30), (2, 'bob', 50, 'y', 2.5), (3, 'cyd', 0, NULL, NULL)`,
  'UPDATE account SET balance = balance - 30 WHERE id = 1',
  'DELETE FROM account WHERE id = 3',
  'CREATE ROLE clerk',
  'GRANT SELECT ON account TO clerk',
  'CREATE SEQUENCE s',
  `SELECT nextval('s')`,
];

interface Place {
  readonly file: string;
  readonly table: string;
  readonly column: string;
}

describe('verify', () => {
  let node: NodeProcess;
  let copies = 0;
  beforeAll(async () => {
    node = await NodeProcess.start();
    const client = new pg.Client({ connectionString: await node.clearUrl() });
    await client.connect();
    for (const statement of STATEMENTS) await client.query(statement);
    await client.end();
    await node.stop();
  }, TIMEOUT_MS);
  afterAll(() => node[Symbol.asyncDispose]());

  /** Runs `work` on a copy of the data directory, then `check`. */
  async function after<T>(
    work: (data: string) => void,
    check: (data: string) => Promise<T>,
  ): Promise<T> {
    const copy = path.join(node.directory, `copy-${(copies += 1)}`);
    cpSync(node.data, copy, { recursive: true, filter: (file) => !file.endsWith('analyst') });
    try {
      work(copy);
      return await check(copy);
    } finally {
      rmSync(copy, { recursive: true });
    }
  }

  /** As a user verifies: the command. */
  function verifyAfter(work: (data: string) => void, ...flags: string[]): Promise<Finished> {
    const keyFile = path.join(node.directory, 'master.key');
    return after(work, (data) =>
      trustsql('verify', '--data', data, '--key-file', keyFile, ...flags),
    );
  }

  /** What the command does for chain/ and state/, without a process for each of hundreds of edits. */
  function ledgerAfter(work: (data: string) => void): Promise<VerifyResult> {
    return after(work, (data) => verifyLedger(data));
  }

  test(
    'finds nothing in a directory that nobody touched',
    async () => {
      const verified = await verifyAfter(() => undefined);
      expect(verified).toMatchObject({ code: 0 });
    },
    TIMEOUT_MS,
  );

  test(
    'finds every value that was changed, and names its file and table',
    async () => {
      const missed: string[] = [];
      const places = placesOf(node.data);
      expect(places.length).toBeGreaterThan(20);
      for (const place of places) {
        const { ok, damage } = await ledgerAfter((data) => change(data, place));
        if (!ok && damage?.file?.endsWith(path.basename(place.file)) === true) continue;
        missed.push(`${place.file} ${place.table}.${place.column}: ${JSON.stringify(damage)}`);
      }
      expect(missed).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'names table, key and column of a balance that was changed',
    async () => {
      const balance = placesOf(node.data).find(
        (place) => place.file.includes('state') && /^r\d+$/.test(place.table),
      );
      expect(balance).toBeDefined();
      const { stdout } = await verifyAfter((data) => {
        const database = new Database(path.join(data, balance!.file));
        const column = columnHolding(database, balance!.table, 7000n);
        database
          .prepare(`UPDATE ${balance!.table} SET "${column}" = 700000 WHERE "${column}" = 7000`)
          .run();
        database.close();
      });
      expect(stdout).toContain('account');
      expect(stdout).toContain('balance');
      expect(stdout).toMatch(/\b1\b/);
    },
    TIMEOUT_MS,
  );

  test(
    'finds rows that were deleted, and rows that were added',
    async () => {
      const tables = new Map(
        placesOf(node.data).map((place) => [`${place.file} ${place.table}`, place]),
      );
      const missed: string[] = [];
      for (const { file, table } of tables.values()) {
        const { ok, damage, evidence } = await ledgerAfter((data) => {
          const database = new Database(path.join(data, file));
          const { name } = firstColumn(database, table);
          database
            .prepare(
              `DELETE FROM "${table}" WHERE "${name}" = (SELECT max("${name}") FROM "${table}")`,
            )
            .run();
          database.close();
        });
        // An index without its newest block is one that a kill has left behind: it is said, and made good.
        if (ok && table === 'block' && evidence.join().includes('the block index stands at'))
          continue;
        if (ok) missed.push(`${file} ${table}: ${JSON.stringify(damage)}`);
      }
      expect(missed).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'finds a file that was cut or is gone',
    async () => {
      const files = globSync('{chain/*,state/*,identity}.sqlite', { cwd: node.data });
      expect(files.length).toBeGreaterThan(3);
      for (const file of files) {
        const cut = await verifyAfter((data) => {
          const whole = path.join(data, file);
          truncateSync(whole, statSync(whole).size / 2);
        });
        expect([file, cut.code]).toEqual([file, 1]);
        const gone = await verifyAfter((data) => rmSync(path.join(data, file)));
        expect([file, gone.code]).toEqual([file, 1]);
      }
    },
    TIMEOUT_MS,
  );

  test(
    'finds a row that was added beside the others',
    async () => {
      const tables = new Set(
        placesOf(node.data).flatMap(({ file, table }) =>
          /^[rh]\d+$/.test(table) ? [`${file} ${table}`] : [],
        ),
      );
      expect(tables.size).toBeGreaterThan(1);
      for (const place of tables) {
        const [file, table] = place.split(' ') as [string, string];
        const { damage } = await ledgerAfter((data) => addRow(path.join(data, file), table));
        expect([place, damage?.file]).toEqual([place, expect.stringContaining(file)]);
      }
    },
    TIMEOUT_MS,
  );

  test(
    'finds keys and passwords of roles that were exchanged',
    async () => {
      const places = placesOf(node.data, 'identity.sqlite');
      expect(places.length).toBeGreaterThan(4);
      const missed: string[] = [];
      for (const place of places) {
        const { code, stdout } = await verifyAfter((data) => change(data, place));
        if (code === 1 && stdout.includes('identity.sqlite')) continue;
        missed.push(`${place.table}.${place.column}: exit ${code}: ${stdout}`);
      }
      expect(missed).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'finds another chain, and another signer, with what is known from elsewhere',
    async () => {
      const { result } = verdictOf(await verifyAfter(() => undefined, '--json'));
      const nodeKey = /names: ([0-9a-f]{64})$/.exec(result.evidence[1]!)![1]!;
      const pins = ['--chain-id', result.chainId, '--node-key', nodeKey];
      const own = verdictOf(await verifyAfter(() => undefined, '--json', ...pins));
      expect(own.code).toBe(0);
      expect(own.result.evidence.slice(0, 2)).toEqual([
        `the chain id was pinned from outside: ${result.chainId}`,
        `the blocks are signed by node keys that were pinned from outside: ${nodeKey}`,
      ]);

      const data = path.join(node.directory, 'other');
      const keyFile = path.join(node.directory, 'other.key');
      const other = ['--data', data, '--key-file', keyFile];
      expect(await trustsql('init', ...other)).toMatchObject({ code: 0 });
      const swapped = verdictOf(await trustsql('verify', ...other, '--json', ...pins));
      expect([swapped.code, swapped.result.damage?.file]).toEqual([
        1,
        path.join(data, 'trustsql.json'),
      ]);
      const pinned = ['--json', '--chain-id', result.chainId, '--node-key', '0'.repeat(64)];
      const stranger = verdictOf(await verifyAfter(() => undefined, ...pinned));
      expect([stranger.code, stranger.result.damage?.message]).toEqual([
        1,
        `node key ${nodeKey} of block 0 is none of those that were pinned`,
      ]);
      expect(await verifyAfter(() => undefined, '--chain-id', 'abc')).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('--chain-id: abc is not 64 hexadecimal digits'),
      });
    },
    TIMEOUT_MS,
  );

  test(
    'finds with a digest kept elsewhere that the newest blocks were cut off or written anew',
    async () => {
      const before = path.join(node.directory, 'before');
      cpSync(node.data, before, { recursive: true });
      await node.start();
      const client = new pg.Client({ connectionString: await node.clearUrl() });
      await client.connect();
      await client.query(`INSERT INTO account VALUES (9, 'late', 1)`);
      await client.end();
      const digest = path.join(node.directory, 'digest');
      expect(
        await trustsql('digest', '--data', node.data, '--url', await node.adminUrl(), '-o', digest),
      ).toMatchObject({ code: 0 });
      await node.stop();
      expect(await node.verify('--digest', digest)).toMatchObject({ code: 0 });
      expect(await trustsql('verify', '--data', before)).toMatchObject({ code: 0 });
      const cut = await trustsql('verify', '--data', before, '--digest', digest);
      expect(cut).toMatchObject({ code: 1, stdout: expect.stringContaining('digest') });

      // Whoever has the node's key can sign another history after the same beginning.
      rmSync(node.data, { recursive: true });
      cpSync(before, node.data, { recursive: true });
      await node.start();
      const forger = new pg.Client({ connectionString: await node.clearUrl() });
      await forger.connect();
      for (let id = 9; id < 14; id += 1) {
        await forger.query(`INSERT INTO account VALUES ($1, 'other', 1)`, [id]);
      }
      await forger.end();
      await node.stop();
      expect(await node.verify()).toMatchObject({ code: 0 });
      const forged = await node.verify('--digest', digest);
      expect(forged).toMatchObject({ code: 1, stdout: expect.stringContaining('digest') });
    },
    TIMEOUT_MS,
  );
});

/** What `verify --json` has said. */
function verdictOf({ code, stdout }: Finished): { code: number | null; result: VerifyResult } {
  return { code, result: JSON.parse(stdout) as VerifyResult };
}

/** Every column of every table that has a row, in every SQLite file of chain/ and state/. */
function placesOf(data: string, files = '{chain,state}/*.sqlite'): Place[] {
  return globSync(files, { cwd: data }).flatMap((file) => {
    const database = new Database(path.join(data, file), { readonly: true });
    const tables = database
      .prepare(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'`)
      .pluck()
      .all() as string[];
    const places = tables.flatMap((table) => {
      if (database.prepare(`SELECT 1 FROM "${table}"`).get() === undefined) return [];
      const columns = database.prepare(`PRAGMA table_info("${table}")`).all() as { name: string }[];
      return columns.map(({ name }) => ({ file, table, column: name }));
    });
    database.close();
    return places;
  });
}

/** A copy of a row under a new key, with other values where they are unique. */
function addRow(file: string, table: string): void {
  const database = new Database(file);
  const [first, ...others] = database.prepare(`PRAGMA table_info("${table}")`).all() as {
    name: string;
  }[];
  const columns = others.map(({ name }) => `"${name}"`);
  const values = columns.map((column) =>
    column.startsWith('"c')
      ? `iif(typeof(${column}) = 'integer', ${column} + 77, ${column})`
      : column,
  );
  database.exec(
    `INSERT INTO "${table}" ("${first!.name}", ${columns.join(', ')})
     SELECT "${first!.name}" + 1000, ${values.join(', ')} FROM "${table}" LIMIT 1`,
  );
  database.close();
}

/** Changes one value: the last that is not NULL, or a NULL if all are. */
function change(data: string, { file, table, column }: Place): void {
  const database = new Database(path.join(data, file));
  database.defaultSafeIntegers();
  const key = firstColumn(database, table).name;
  const row = database
    .prepare(
      `SELECT "${column}" AS value, "${key}" AS key FROM "${table}" ORDER BY "${column}" DESC LIMIT 1`,
    )
    .get() as { value: unknown; key: unknown };
  database
    .prepare(`UPDATE "${table}" SET "${column}" = ? WHERE "${column}" IS ? AND "${key}" IS ?`)
    .run(changed(row.value), row.value, row.key);
  database.close();
}

function changed(value: unknown): unknown {
  if (value === null) return 1n;
  if (typeof value === 'bigint') return value + 1n;
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'string') return `${value}x`;
  const bytes = Buffer.from(value as Uint8Array);
  if (bytes.length === 0) return Buffer.from([1]);
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}

function firstColumn(database: Database.Database, table: string): { name: string } {
  return database.prepare(`PRAGMA table_info("${table}")`).get() as { name: string };
}

function columnHolding(database: Database.Database, table: string, value: bigint): string {
  const columns = database.prepare(`PRAGMA table_info("${table}")`).all() as { name: string }[];
  const holding = columns.find(
    ({ name }) =>
      database.prepare(`SELECT 1 FROM "${table}" WHERE "${name}" = ?`).get(value) !== undefined,
  );
  return holding?.name ?? '';
}
