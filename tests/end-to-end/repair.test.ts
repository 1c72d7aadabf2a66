// Somebody edits the files of a running node: it finds the place, repairs it from the others, and serves on.

import { describe, expect, test } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { ClusterProcess, query } from './cluster-process.ts';
import { PROJECT, run } from './process.ts';
import type { NodeProcess } from './process.ts';

/** How long the node may take to find and repair an edit, in ms; it looks every second here. */
const REPAIR_TIMEOUT_MS = 120_000;
const LOOK_MS = 100;
/** The load stays below the thousand blocks in which an edit is looked for at once. */
const WRITES_MAX = 400;
const WRITE_PAUSE_MS = 100;
const SOUND = 'the files are sound again';

const ROWS = 'SELECT id, owner, balance FROM account ORDER BY id';
const BY_OWNER = `SELECT id FROM account WHERE lower(owner) = 'owner8'`;

/** Runs a script in a process of its own, with the files of a node at hand as `data` and SQLite as `open`. */
async function edit(node: NodeProcess, script: string): Promise<void> {
  const prelude = `
    const { readdirSync, openSync, writeSync, readFileSync, closeSync } = require('node:fs');
    const data = ${JSON.stringify(node.data)};
    const open = (name) => {
      const database = new (require('better-sqlite3'))(data + '/' + name, { timeout: 20000 });
      database.defaultSafeIntegers(true);
      return database;
    };
    const state = () => open('state/shard-00.sqlite');
    const tables = (database) => database.prepare("SELECT name FROM sqlite_schema WHERE name GLOB 'r[0-9]*'").pluck().all();
    const account = (database) => tables(database).find((name) => {
      const columns = database.pragma('table_info(' + name + ')').map((column) => column.name);
      if (!columns.includes('c3')) return false;
      return database.prepare('SELECT 1 FROM ' + name + " WHERE c2='Owner1'").get() !== undefined;
    });`;
  const done = await run(process.execPath, ['--input-type=commonjs', '-e', prelude + script], {
    cwd: PROJECT,
  });
  expect(done).toMatchObject({ code: 0, stderr: '' });
}

async function until(node: NodeProcess, what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + REPAIR_TIMEOUT_MS;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not in time: ${what}\n${node.output}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Small writes, one after the other, at a node that nobody touches. */
class Load {
  readonly errors: string[] = [];
  writes = 0;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(node: NodeProcess) {
    this.#running = this.#run(node);
  }

  async #run(node: NodeProcess): Promise<void> {
    while (!this.#stopped && this.writes < WRITES_MAX) {
      await new Promise((resolve) => setTimeout(resolve, WRITE_PAUSE_MS));
      try {
        await query(node, 'UPDATE hit SET n = n + 1 WHERE id = 1');
        this.writes++;
      } catch (error) {
        this.errors.push((error as Error).message);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
}

describe('a node whose files are edited while it runs', () => {
  test('names the place, is repaired by the others, and disturbs nobody', async () => {
    await using cluster = await ClusterProcess.start(4, 'raft', '--scrub-ms', '1000');
    const { nodes } = cluster;
    const victim = nodes[1]!;
    await query(
      nodes[0]!,
      'CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance int NOT NULL)',
      'CREATE UNIQUE INDEX account_owner ON account (lower(owner))',
      'CREATE TABLE hit (id int PRIMARY KEY, n int NOT NULL)',
      'INSERT INTO hit VALUES (1, 0)',
      `INSERT INTO account SELECT g, 'Owner' || g, 100 FROM generate_series(1, 20) g`,
      'UPDATE account SET balance = balance - 30 WHERE id <= 10',
    );
    await cluster.agreed();
    // At a start what the journal holds goes into the block files.
    expect(await victim.stop()).toBe(0);
    await victim.start();
    await cluster.agreed();
    const { pid } = victim;
    const expected = await query(nodes[0]!, ROWS);
    expect(expected).toHaveLength(20);

    await using load = new Load(nodes[0]!);
    const edits: readonly (readonly [script: string, place: RegExp])[] = [
      [
        "const d = state(); d.exec('UPDATE ' + account(d) + ' SET c3=1000000 WHERE _id=7')",
        /shard-00\.sqlite: row 7 of table account is not as block \d+ wrote it/,
      ],
      [
        "const d = state(); d.exec('DELETE FROM ' + account(d) + ' WHERE _id=8')",
        /shard-00\.sqlite: a row of table account that transaction 0 of block \d+ wrote is missing/,
      ],
      [
        `const d = state(); d.exec('INSERT INTO ' + account(d) + '(_id, _v, c1, c2, c3) SELECT 99, _v, 99, ' +
          "'Mallory', 5000000 FROM " + account(d) + ' WHERE _id=1')`,
        /shard-00\.sqlite: row 99 of table account is not as block \d+ wrote it/,
      ],
      [
        "const d = state(); d.exec('UPDATE ' + account(d).replace('r', 'h') + ' SET c3=7 WHERE _id=3')",
        /shard-00\.sqlite: a closed version of row 3 of table account is not as block \d+ wrote it/,
      ],
      [
        "const d = state(); d.exec('UPDATE _receipt SET leaves=substr(leaves, 1, 32) WHERE length(leaves)=640')",
        /shard-00\.sqlite: receipts of block \d+ were changed/,
      ],
      [
        `const d = open('chain/blocks-000000000000.sqlite');
         d.exec("UPDATE block SET body=CAST(body||x'00' AS BLOB) WHERE height=3")`,
        /blocks-000000000000\.sqlite: block 3: has another body/,
      ],
      [
        // One of the newest blocks in the journal: a few bytes of its header.
        `const file = openSync(data + '/chain/journal-0', 'r+');
         const bytes = readFileSync(data + '/chain/journal-0');
         const places = [];
         let height = -1;
         for (let at = 512; bytes.readUInt32BE(at) === 0x54534a31; ) {
           // What an earlier turn has left lies behind.
           if (Number(bytes.readBigInt64BE(at + 8)) <= height) break;
           height = Number(bytes.readBigInt64BE(at + 8));
           places.push(at);
           const lengths = [16, 20, 24].map((each) => bytes.readUInt32BE(at + each));
           at += Math.ceil((28 + lengths[0] + lengths[1] + lengths[2]) / 512) * 512;
         }
         writeSync(file, Buffer.from('forged'), 0, 6, places.at(-3) + 28 + 40);
         closeSync(file);`,
        /journal-\d: block \d+: is missing|blocks-\d+\.sqlite: block \d+: is missing/,
      ],
    ];
    // The journal holds blocks since the start of the victim.
    await until(victim, 'writes', () => load.writes > 5);
    for (const [script, place] of edits) {
      const before = victim.output.length;
      await edit(victim, script);
      await until(victim, String(place), () => place.test(victim.output.slice(before)));
      await until(victim, SOUND, () => victim.output.includes(SOUND, before));
      expect(await query(victim, ROWS)).toEqual(expected);
      expect(await query(victim, BY_OWNER)).toEqual([{ id: 8 }]);
    }
    await load[Symbol.asyncDispose]();
    expect(load.errors).toEqual([]);
    expect(load.writes).toBeGreaterThan(0);
    expect(victim.pid).toBe(pid);
    await cluster.agreed();
    for (const node of nodes) {
      expect(await query(node, 'SELECT n FROM hit')).toEqual([{ n: load.writes }]);
      expect(await query(node, ROWS)).toEqual(expected);
      if (node !== victim) expect(node.output).not.toContain('"damage"');
    }

    const folder = path.join(victim.data, 'evidence');
    const kept = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'));
    expect(kept.join()).toContain('Mallory');
    expect(kept.join()).toContain('1000000');
    for (const node of nodes) expect(await node.stop()).toBe(0);
    const { code, stdout, stderr } = await victim.verify();
    expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
  }, 900_000);

  test('and one whose part of a large transaction was changed while it was down', async () => {
    await using cluster = await ClusterProcess.start(4, 'raft', '--scrub-ms', '1000');
    const { nodes } = cluster;
    const victim = nodes[2]!;
    await query(
      nodes[0]!,
      'CREATE TABLE much (id int PRIMARY KEY, body text)',
      `INSERT INTO much SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i`,
    );
    await cluster.agreed();
    expect(await victim.stop()).toBe(0);
    await edit(
      victim,
      `const d = open('chain/blocks-000000000000.sqlite');
       const { changes } = d.prepare('UPDATE chunk SET bytes=zeroblob(length(bytes)) WHERE id=2').run();
       if (changes !== 1) throw new Error('no such chunk');`,
    );
    expect((await victim.verify()).code).toBe(1);
    await victim.start();
    const place = /blocks-000000000000\.sqlite: chunk [0-9a-f]{64} has other content/;
    await until(victim, String(place), () => place.test(victim.output));
    await until(victim, SOUND, () => victim.output.includes(SOUND));
    expect(await query(victim, 'SELECT count(*)::int AS n FROM much')).toEqual([{ n: 30_000 }]);
    for (const node of nodes) expect(await node.stop()).toBe(0);
    const { code, stdout, stderr } = await victim.verify();
    expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
  }, 300_000);
});
