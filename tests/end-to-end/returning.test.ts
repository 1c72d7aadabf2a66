// A member whose disk was lost, but for its keys, comes back under the same key.

import { expect, test } from '@jest/globals';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClusterProcess, query } from './cluster-process.ts';
import { trustsql } from './process.ts';
import type { NodeProcess } from './process.ts';

const TIMEOUT_MS = 600_000;
const WAIT_MS = 60_000;
/** What cannot be confirmed is not confirmed in this time either. */
const SILENCE_MS = 4_000;

/** Loses everything of a node that does not run, but for its keys, and the password that this test logs in with. */
async function wipe({ data }: NodeProcess): Promise<void> {
  const kept = `${data}.kept`;
  await mkdir(kept);
  await cp(path.join(data, 'keys'), path.join(kept, 'keys'), { recursive: true });
  for (const name of ['identity.sqlite', 'admin.url']) {
    await cp(path.join(data, name), path.join(kept, name));
  }
  await rm(data, { recursive: true });
  await rename(kept, data);
}

async function rowsAt(node: NodeProcess): Promise<number> {
  return Number((await query(node, 'SELECT count(*)::int AS n FROM note'))[0]!['n']);
}

/** Whether something is done within a time. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  return Promise.race([work.then(() => true), delay(ms, false, { ref: false })]);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + WAIT_MS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await delay(200);
  }
}

test(
  'it gets the blocks, does not vote while it may have forgotten votes, and votes again later',
  async () => {
    await using cluster = await ClusterProcess.start(4, 'raft');
    const [first, , third, last] = cluster.nodes as [
      NodeProcess,
      NodeProcess,
      NodeProcess,
      NodeProcess,
    ];
    let id = 0;
    const insert = () => query(first, `INSERT INTO note VALUES (${++id})`);
    await query(first, 'CREATE TABLE note (id int PRIMARY KEY)');
    for (let i = 0; i < 20; i++) await insert();
    await cluster.agreed();

    await last.kill();
    await wipe(last);
    // Its key has voted: nothing begins as if it had not, and nothing takes the key away.
    const genesis = ['--genesis', path.join(cluster.directory, 'cluster', 'genesis.json')];
    const fresh = await trustsql('cluster', 'join', ...genesis, ...last.flags);
    expect([fresh.code, fresh.stderr]).toEqual([3, expect.stringContaining('--returning')]);
    const other = await trustsql('init', ...last.flags);
    expect([other.code, other.stderr]).toEqual([3, expect.stringContaining('--returning')]);
    const joined = await trustsql('cluster', 'join', '--returning', ...genesis, ...last.flags);
    expect([joined.code, joined.stderr]).toEqual([0, '']);

    await third.stop();
    await last.start();
    const known = () => rowsAt(last).catch(() => 0);
    await until('the blocks', async () => (await known()) === id);
    expect(last.output).toContain('the records of votes were lost');
    // Three of four are needed: the two that are there, and one that would have to know what it has voted for.
    const waiting = insert();
    expect(await within(SILENCE_MS, waiting)).toBe(false);
    // Not after another start either.
    await last.kill();
    await last.start();
    expect(await within(SILENCE_MS, waiting)).toBe(false);
    await third.start();
    expect(await within(WAIT_MS, waiting)).toBe(true);

    // With all there, and a few blocks more, it votes; slowly, as most ledgers are written.
    for (let i = 0; i < 15; i++) {
      await insert();
      await delay(300);
    }
    await third.stop();
    expect(await within(WAIT_MS, insert())).toBe(true);
    await third.start();
    await cluster.agreed();
    for (const node of cluster.nodes) expect(await rowsAt(node)).toBe(id);
    const frauds = await query(first, 'SELECT * FROM ledger.evidence');
    expect(frauds).toEqual([]);
    for (const node of cluster.nodes) expect(await node.stop()).toBe(0);
    for (const node of cluster.nodes) {
      const { code, stdout, stderr } = await node.verify();
      expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
    }
  },
  TIMEOUT_MS,
);
