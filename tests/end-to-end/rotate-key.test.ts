// Nodes get other signing keys while the cluster runs: interrupted at each step, and with a node that is down.

import { expect, test } from '@jest/globals';
import { readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { ClusterProcess, query } from './cluster-process.ts';
import { CrashWorkload, seeded } from './crash-workload.ts';
import { trustsql } from './process.ts';
import type { Finished, NodeProcess } from './process.ts';

const SEED = 20_261_201;
const CLIENTS = 3;
const TIMEOUT_MS = 600_000;

function rotate(node: NodeProcess, ...parameters: string[]): Promise<Finished> {
  return trustsql('node', 'rotate-key', ...node.flags, ...parameters);
}

/** Keys of all members, in order, as a node knows them. */
async function keysAt(node: NodeProcess): Promise<string[]> {
  const text = `SELECT encode(public_key, 'hex') AS key FROM ledger.nodes ORDER BY member`;
  return (await query(node, text)).map(({ key }) => String(key));
}

/** Asks a node until there is an answer. */
async function until(node: NodeProcess, text: string): Promise<void> {
  const end = Date.now() + 30_000;
  while ((await query(node, text)).length === 0) {
    if (Date.now() > end) throw new Error(`no answer to ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Files of the node key. */
function keyFiles(node: NodeProcess): string[] {
  const names = readdirSync(path.join(node.data, 'keys'));
  return names.filter((name) => name.startsWith('node.')).sort();
}

test(
  'a rotated key votes in the place of the old one, whatever is interrupted',
  async () => {
    await using cluster = await ClusterProcess.start(4, 'raft');
    const nodes = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess, NodeProcess];
    const [first, second, third, last] = nodes;
    const workload = new CrashWorkload(() => cluster.urls(), seeded(SEED));
    await workload.prepare();
    await query(first, 'CREATE TABLE note (id int PRIMARY KEY, v text)');
    await query(first, `INSERT INTO note VALUES (1, 'before')`);
    await cluster.agreed();
    const before = await keysAt(first);

    // A plan does nothing.
    const plan = await rotate(last, '--plan');
    expect([plan.code, plan.stdout]).toEqual([
      0,
      expect.stringContaining('the node with the new key is silent until it is started again'),
    ]);
    expect(plan.stdout).toContain(`members: − ${before[3]}`);
    expect(plan.stderr).toContain('rotate-key makes another');
    expect(keyFiles(last)).toEqual(['node.key']);

    await workload.loadWhile(CLIENTS, async () => {
      const { code, stdout, stderr } = await rotate(last);
      expect([code, stderr]).toEqual([0, expect.stringContaining('Start the node again')]);
      expect(stdout).toContain('In force since epoch 1.');
    });
    const now = await keysAt(first);
    expect(now.slice(0, 3)).toEqual(before.slice(0, 3));
    expect(now[3]).not.toBe(before[3]);
    expect(last.output).toContain('this node votes no longer');
    await last.kill();
    await last.start();
    expect(last.output).toContain('the key of this node has changed');
    expect(keyFiles(last)).toEqual(['node.key']);
    await cluster.agreed();
    // Three of four are needed: without the third, the new key is one of them.
    await third.stop();
    await query(first, `INSERT INTO note VALUES (2, 'with the new key')`);

    // One that is down: its own blocks do not say that it has another key.
    const away = await rotate(third, '--url', await first.adminUrl());
    expect([away.code, away.stderr]).toEqual([0, expect.stringContaining('Start the node again')]);
    expect(keyFiles(third)).toEqual(['node.key', 'node.key.due']);
    await third.start();
    await cluster.agreed();

    // Interrupted before the change: who asks may not approve it, and the key waits.
    await query(second, `CREATE ROLE chief SUPERUSER LOGIN PASSWORD 'governs nothing'`);
    const chief = new URL(await second.clearUrl());
    chief.username = 'chief';
    chief.password = 'governs nothing';
    const refused = await rotate(second, '--url', chief.href);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('42501')]);
    expect(keyFiles(second)).toEqual(['node.key', 'node.key.next']);
    await second.kill();
    await second.start();
    expect(keyFiles(second)).toEqual(['node.key', 'node.key.next']);
    expect((await keysAt(second))[1]).toBe(before[1]);
    await cluster.agreed();

    // Interrupted after the change, before the command has said so: its own blocks do.
    expect((await rotate(second)).code).toBe(0);
    await until(second, 'SELECT 1 FROM ledger.config WHERE epoch = 3');
    const files = path.join(second.data, 'keys');
    renameSync(path.join(files, 'node.key.due'), path.join(files, 'node.key.next'));
    await second.kill();
    await second.start();
    expect(keyFiles(second)).toEqual(['node.key']);
    const again = await rotate(second, '--plan', '--json');
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('makes another')]);

    await query(first, `INSERT INTO note VALUES (3, 'after')`);
    await cluster.agreed();
    const after = await keysAt(second);
    expect(after.map((key) => before.includes(key))).toEqual([true, false, false, false]);
    for (const url of await cluster.urls()) expect(await workload.check(url)).toEqual([]);
    const [chain] = await query(first, `SELECT encode(chain_id, 'hex') AS id FROM ledger.chain`);
    const chainId = String(chain!['id']);
    for (const [id, node] of [
      ['1', last],
      ['3', second],
    ] as const) {
      const file = path.join(cluster.directory, 'proof.json');
      const out = ['--url', await node.adminUrl(), '-o', file];
      expect(await trustsql('proof', 'export', 'note', id, ...out)).toMatchObject({ code: 0 });
      const checked = await trustsql('proof', 'check', file, '--chain-id', chainId);
      expect(checked.stdout).toContain('is confirmed by a quorum of the 4 members of epoch 3');
      expect(checked.code).toBe(0);
    }
    for (const node of nodes) expect(await node.stop()).toBe(0);
    const pins = [...before, ...after, now[3]!].flatMap((key) => ['--node-key', key]);
    for (const node of nodes) {
      const { code, stdout, stderr } = await node.verify('--chain-id', chainId, ...pins);
      expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
    }
  },
  TIMEOUT_MS,
);
