// Four nodes, real processes: one ledger at all of them, and one that dies is no loss.

import { describe, expect, test } from '@jest/globals';
import { ClusterProcess, query } from './cluster-process.ts';
import { CrashWorkload, killAfter, seeded } from './crash-workload.ts';

const SEED = 20_240_301;
const CLIENTS = 8;

describe.each(['raft', 'bft'] as const)('a cluster in %s mode', (mode) => {
  test('is one ledger at every node, also after one was killed', async () => {
    await using cluster = await ClusterProcess.start(4, mode);
    const { nodes } = cluster;
    await query(
      nodes[0]!,
      'CREATE TABLE hit (id bigserial PRIMARY KEY, node int NOT NULL)',
      'CREATE TABLE total (id int PRIMARY KEY, n int NOT NULL)',
      'INSERT INTO total VALUES (1, 0)',
    );
    await cluster.agreed();
    // Every node writes, at the same time, also to one row and from one sequence.
    await Promise.all(
      nodes.map(async (node, i) => {
        for (let round = 0; round < 5; round++) {
          const before = await query(
            node,
            `INSERT INTO hit (node) VALUES (${i})`,
            'UPDATE total SET n = n + 1 WHERE id = 1',
            `SELECT count(*)::int AS n FROM hit WHERE node = ${i}`,
          );
          // A node has executed what it has answered.
          expect(before).toEqual([{ n: round + 1 }]);
        }
      }),
    );
    await cluster.agreed();
    for (const node of nodes) {
      expect(await query(node, 'SELECT n FROM total')).toEqual([{ n: 20 }]);
      expect(await query(node, 'SELECT count(DISTINCT id)::int AS n FROM hit')).toEqual([
        { n: 20 },
      ]);
    }

    const workload = new CrashWorkload(() => cluster.urls(), seeded(SEED));
    await workload.prepare();
    await cluster.agreed();
    for (const victim of nodes.slice(0, 2)) {
      await workload.loadWhile(CLIENTS, killAfter(victim, 500));
      // The others go on without it.
      const others = nodes.filter((node) => node !== victim);
      await query(others[0]!, 'UPDATE total SET n = n + 1 WHERE id = 1');
      await cluster.agreed(others);
      await victim.start();
      await cluster.agreed();
      for (const url of await cluster.urls()) expect(await workload.check(url)).toEqual([]);
    }
    expect(workload.counts.acknowledged).toBeGreaterThan(20);

    for (const node of nodes) expect(await node.stop()).toBe(0);
    const verified = await Promise.all(nodes.map((node) => node.verify()));
    for (const { code, stdout, stderr } of verified)
      expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
  }, 300_000);
});
