// An adaptive cluster goes to bft mode while a member is missing, and comes back when all are well again.

import { expect, test } from '@jest/globals';
import { ClusterProcess, query } from './cluster-process.ts';
import { trustsql } from './process.ts';
import type { NodeProcess } from './process.ts';

const TIMEOUT_MS = 300_000;
/** How long a mode may take to come, in ms: several times what the timers of the rules make. */
const MODE_TIMEOUT_MS = 120_000;
/** A member that is silent for 12 `election_ms` is faulty; by default one may be, in a cluster of four. */
const RULES = ['faults_threshold=0', 'dwell_ms=100', 'dwell_blocks=3'];

/** The changes of mode that are in the chain, oldest first. */
async function changesAt(node: NodeProcess): Promise<unknown[]> {
  const rows = await query(
    node,
    `SELECT mode FROM ledger.evidence WHERE kind = 'mode' ORDER BY height`,
  );
  return rows.map((row) => row['mode']);
}

/** Writes at a node, one row after the other, until all these nodes say that they are in the mode. */
async function untilMode(
  nodes: readonly NodeProcess[],
  mode: 'raft' | 'bft',
  write: () => Promise<void>,
): Promise<void> {
  const end = Date.now() + MODE_TIMEOUT_MS;
  for (;;) {
    await write();
    const answers = await Promise.all(
      nodes.map((node) => query(node, 'SELECT mode FROM ledger.consensus')),
    );
    const modes = answers.map(([row]) => row!['mode']);
    if (modes.every((each) => each === mode)) return;
    if (Date.now() > end) throw new Error(`not in ${mode} mode: ${modes.join(', ')}`);
  }
}

test(
  'raft mode, bft mode while a member is stopped, raft mode again',
  async () => {
    await using cluster = await ClusterProcess.start(4, 'adaptive');
    const { nodes } = cluster;
    const leader = `SELECT n.member FROM ledger.consensus c JOIN ledger.nodes n ON n.public_key = c.leader`;
    await query(nodes[0]!, 'CREATE TABLE entry (id int PRIMARY KEY)');
    const set = await trustsql('config', 'set', ...RULES, '--data', nodes[0]!.data);
    expect([set.code, set.stderr]).toEqual([0, '']);
    await cluster.agreed();
    const [{ member }] = (await query(nodes[0]!, leader)) as [{ member: number }];
    const others = nodes.filter((_, i) => i !== member);
    let id = 0;
    const write = async (): Promise<void> => {
      id += 1;
      await query(others[id % others.length]!, `INSERT INTO entry VALUES (${id})`);
    };
    await untilMode(nodes, 'raft', write);

    expect(await nodes[member]!.stop()).toBe(0);
    await untilMode(others, 'bft', write);
    // The rules are what they were; the change is in the chain, for everybody to see.
    for (const node of others) {
      const standing = 'SELECT policy, mode, reachable, members FROM ledger.consensus';
      expect(await query(node, standing)).toEqual([
        { policy: 'adaptive', mode: 'bft', reachable: 3, members: 4 },
      ]);
      expect((await changesAt(node)).at(-1)).toBe('bft');
    }
    const before = await changesAt(others[0]!);

    await nodes[member]!.start();
    await untilMode(nodes, 'raft', write);
    await cluster.agreed();
    for (const node of nodes) {
      expect((await changesAt(node)).slice(0, before.length + 1)).toEqual([...before, 'raft']);
      // What was acknowledged in either mode, and between them.
      expect(await query(node, 'SELECT count(*)::int AS n FROM entry')).toEqual([{ n: id }]);
    }
    for (const node of nodes) expect(await node.stop()).toBe(0);
    for (const node of nodes) expect((await node.verify()).code).toBe(0);
  },
  TIMEOUT_MS,
);
