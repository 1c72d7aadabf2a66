// Backups of a node under load, and what comes back of them.

import { expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { rm, cp } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { ClusterProcess, query } from './cluster-process.ts';
import { MAIN, NodeProcess, freePort, trustsql } from './process.ts';

const TIMEOUT_MS = 600_000;
const WAIT_MS = 120_000;
const WRITERS = 4;
/** More operations than a block takes: they travel as chunks. */
const LARGE_ROWS = 30_000;
/** Kills of a backup, each a little later than the one before. */
const KILLS = 4;

interface Made {
  readonly height: number;
  readonly headerHash: string;
  readonly added: number;
}

async function command(...parameters: string[]): Promise<string> {
  const { code, stdout, stderr } = await trustsql(...parameters);
  if (code !== 0) throw new Error(`${parameters.join(' ')}: ${String(code)}: ${stderr}`);
  return stdout;
}

async function backUp(node: NodeProcess, to: string): Promise<Made> {
  return JSON.parse(await command('backup', '--data', node.data, '--to', to, '--json')) as Made;
}

/** Clients that write one row after the other, until it is disposed of. */
class Load {
  /** Ids whose insert was acknowledged. */
  readonly acknowledged: number[] = [];
  readonly #stop = new AbortController();
  readonly #writers: readonly Promise<void>[];

  constructor(url: string) {
    this.#writers = Array.from({ length: WRITERS }, (_, writer) => this.#write(url, writer));
  }

  async #write(url: string, writer: number): Promise<void> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    for (let id = writer; !this.#stop.signal.aborted; id += WRITERS) {
      await client.query('INSERT INTO paid VALUES ($1, $2)', [id, `payment ${id}`]);
      this.acknowledged.push(id);
    }
    await client.end();
  }

  /** Waits for so many more rows. */
  async more(rows: number): Promise<void> {
    const goal = this.acknowledged.length + rows;
    const end = Date.now() + WAIT_MS;
    while (this.acknowledged.length < goal) {
      if (Date.now() > end) throw new Error('the writers are stuck');
      await delay(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#writers);
  }
}

/** Restores a backup to a directory beside the node's. @returns a node on it, not started */
async function restored(
  of: NodeProcess,
  from: string,
  name: string,
  ...flags: string[]
): Promise<{ readonly node: NodeProcess; readonly made: Made }> {
  const node = NodeProcess.on(of.directory, path.join(of.directory, name), await freePort(), [
    '--readers',
    '1',
  ]);
  const made = JSON.parse(
    await command('restore', '--from', from, ...node.flags, '--json', ...flags),
  ) as Made;
  // The password of the administrator is in no backup.
  await cp(path.join(of.data, 'admin.url'), path.join(node.data, 'admin.url'));
  return { node, made };
}

async function paidIds(node: NodeProcess): Promise<Set<number>> {
  return new Set((await query(node, 'SELECT id FROM paid')).map(({ id }) => Number(id)));
}

/** Chunks of large transactions in the block files of a backup. */
function chunksIn(to: string): number {
  const folder = path.join(to, 'files');
  const files = readdirSync(folder).filter((name) => name.startsWith('blocks-'));
  return files.reduce((sum, name) => {
    const database = new Database(path.join(folder, name), { readonly: true });
    try {
      return sum + (database.prepare('SELECT count(*) FROM chunk').pluck().get() as number);
    } finally {
      database.close();
    }
  }, 0);
}

test(
  'of a node under load: whole, brought up to date, up to a block; damage is named; kill -9 leaves the one before',
  async () => {
    await using node = await NodeProcess.start('--readers', '1');
    const to = path.join(node.directory, 'backup');
    await query(
      node,
      'CREATE TABLE paid (id int PRIMARY KEY, what text)',
      `CREATE TABLE large AS SELECT g AS id, repeat('x', 60) AS v FROM generate_series(1, ${LARGE_ROWS}) g`,
    );
    const first = { rows: [] as number[], made: null as Made | null };
    const second = { rows: [] as number[], made: null as Made | null };
    {
      await using load = new Load(await node.clearUrl());
      for (const backup of [first, second]) {
        await load.more(300);
        backup.rows = [...load.acknowledged];
        backup.made = await backUp(node, to);
        await load.more(1);
      }
      await killedBackups(node, to, load);
      const { stdout, code } = await trustsql('backup', 'check', '--from', to, '--json');
      const checked = JSON.parse(stdout) as Made & { readonly ok: boolean };
      expect([code, checked.ok]).toEqual([0, true]);
      expect(checked.height).toBeGreaterThanOrEqual(second.made!.height);
    }
    expect(second.made!.height).toBeGreaterThan(first.made!.height);
    expect(second.made!.added).toBe(second.made!.height - first.made!.height);
    const digest = path.join(node.directory, 'digest');
    await command('digest', '--data', node.data, '--url', await node.adminUrl(), '-o', digest);
    const last = await backUp(node, to);
    expect(chunksIn(to)).toBeGreaterThan(1);
    const source = await paidIds(node);
    const height = String(first.made!.height);
    const asOf = await query(
      node,
      `SET ledger.as_of = '${height}'`,
      'SELECT count(*)::int AS n FROM paid',
    );
    const history = await query(
      node,
      `SELECT height, encode(hash, 'hex') AS hash FROM ledger.blocks WHERE height <= ${height}`,
    );
    expect(await node.stop()).toBe(0);

    const whole = await restored(node, to, 'whole');
    expect(whole.made).toMatchObject({ height: last.height, headerHash: last.headerHash });
    await whole.node.start();
    expect(await paidIds(whole.node)).toEqual(source);
    for (const id of second.rows) expect(source.has(id)).toBe(true);
    expect(await query(whole.node, 'SELECT count(*)::int AS n FROM large')).toEqual([
      { n: LARGE_ROWS },
    ]);
    await query(whole.node, "INSERT INTO paid VALUES (-1, 'after')");
    expect(await whole.node.stop()).toBe(0);
    expect(await whole.node.verify(...whole.node.flags.slice(2))).toMatchObject({ code: 0 });

    const part = await restored(node, to, 'part', '--height', height);
    expect(part.made).toMatchObject({ headerHash: first.made!.headerHash });
    await part.node.start();
    const then = await paidIds(part.node);
    for (const id of first.rows) expect(then.has(id)).toBe(true);
    expect([{ n: then.size }]).toEqual(asOf);
    expect(
      await query(
        part.node,
        `SELECT height, encode(hash, 'hex') AS hash FROM ledger.blocks WHERE height <= ${height}`,
      ),
    ).toEqual(history);
    expect(await part.node.stop()).toBe(0);
    expect(await part.node.verify()).toMatchObject({ code: 0 });

    const again = await trustsql('restore', '--from', to, ...part.node.flags);
    expect([again.code, again.stderr]).toEqual([3, expect.stringContaining('not empty')]);
    await pinnedBackup(node, to, digest);
    await damagedBackup(node, to);
  },
  TIMEOUT_MS,
);

/** Kills backups in their midst; the one before is whole after each. */
async function killedBackups(node: NodeProcess, to: string, load: Load): Promise<void> {
  let interrupted = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    await load.more(100);
    const before = readFileSync(path.join(to, 'backup.json'), 'utf8');
    const child = spawn(process.execPath, [MAIN, 'backup', '--data', node.data, '--to', to]);
    const ended = once(child, 'close');
    await begun(path.join(to, 'files'), child);
    child.kill('SIGKILL');
    await ended;
    if (readFileSync(path.join(to, 'backup.json'), 'utf8') === before) interrupted++;
    expect(await trustsql('backup', 'check', '--from', to)).toMatchObject({ code: 0 });
  }
  expect(interrupted).toBeGreaterThan(0);
}

/** Waits until a backup writes its first file, or has ended. */
async function begun(folder: string, child: { readonly exitCode: number | null }): Promise<void> {
  const listed = readdirSync(folder).length;
  while (child.exitCode === null && readdirSync(folder).length === listed) await delay(2);
}

/** Holds a backup against what was noted down at the node. */
async function pinnedBackup(node: NodeProcess, to: string, digest: string): Promise<void> {
  const { chainId, evidence } = JSON.parse(
    await command('backup', 'check', '--from', to, '--json', '--digest', digest),
  ) as { readonly chainId: string; readonly evidence: readonly string[] };
  expect(evidence.join()).toMatch(/the outside digest of \d+ blocks .* matches/);
  const sound = await trustsql('backup', 'check', '--from', to, '--chain-id', chainId);
  expect(sound).toMatchObject({ code: 0, stdout: expect.stringContaining('pinned from outside') });
  const foreign = ['--chain-id', chainId, '--node-key', '0'.repeat(64)];
  expect(await trustsql('backup', 'check', '--from', to, ...foreign)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('none of those that were pinned'),
  });
  const early = path.join(node.directory, 'early');
  await command('backup', '--data', path.join(node.directory, 'part'), '--to', early);
  expect(await trustsql('backup', 'check', '--from', early, '--digest', digest)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('the digest speaks of'),
  });
}

/** Changes a byte of each file, and of the list. */
async function damagedBackup(node: NodeProcess, to: string): Promise<void> {
  const files = readdirSync(path.join(to, 'files')).map((name) => path.join(to, 'files', name));
  for (const file of [...files, path.join(to, 'backup.json')]) {
    if (statSync(file).size === 0) continue;
    const content = readFileSync(file);
    const changed = Buffer.from(content);
    changed[Math.floor(content.length / 3)]! ^= 4;
    writeFileSync(file, changed);
    const checked = await trustsql('backup', 'check', '--from', to);
    expect([checked.code, checked.stdout]).toEqual([
      1,
      expect.stringContaining(`DAMAGED: ${file}`),
    ]);
    writeFileSync(file, content);
  }
  const [largest] = files.sort((a, b) => statSync(b).size - statSync(a).size);
  writeFileSync(largest!, 'x');
  const data = path.join(node.directory, 'never');
  const refused = await trustsql('restore', '--from', to, '--data', data);
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining(largest!)]);
}

test(
  'of a member: it comes back as one that has forgotten its votes, and never to an earlier block',
  async () => {
    await using cluster = await ClusterProcess.start(3, 'raft');
    const [first, , last] = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess];
    await query(first, 'CREATE TABLE paid (id int PRIMARY KEY, what text)');
    for (let id = 0; id < 10; id++) await query(first, `INSERT INTO paid VALUES (${id}, 'x')`);
    const tip = await cluster.agreed();
    const to = path.join(cluster.directory, 'backup');
    // Blocks that say what was executed may have followed.
    const { height } = await backUp(last, to);
    expect(height).toBeGreaterThanOrEqual(tip);
    for (let id = 10; id < 20; id++) await query(first, `INSERT INTO paid VALUES (${id}, 'x')`);

    const url = readFileSync(path.join(last.data, 'admin.url'));
    await last.kill();
    await rm(last.data, { recursive: true });
    const restore = ['restore', '--from', to, ...last.flags];
    const back = await trustsql(...restore, '--height', String(height - 1));
    expect([back.code, back.stderr]).toEqual([2, expect.stringContaining('several nodes order')]);
    expect(await trustsql(...restore)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('gets newer blocks from the others'),
    });
    expect(readdirSync(path.join(last.data, 'keys'))).toContain('in-use');
    writeFileSync(path.join(last.data, 'admin.url'), url);
    await last.start();
    await cluster.agreed();
    expect((await paidIds(last)).size).toBe(20);
    expect(last.output).toContain('the records of votes were lost');
    expect(await query(first, 'SELECT * FROM ledger.evidence')).toEqual([]);
  },
  TIMEOUT_MS,
);
