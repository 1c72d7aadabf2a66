// Four nodes whose network is cut: whoever has a quorum goes on, nobody else answers, and nothing is lost when it is mended.

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ClusterProcess, query } from './cluster-process.ts';
import type { PeerLinks } from './peer-links.ts';
import type { NodeProcess } from './process.ts';

const TIMEOUT_MS = 300_000;
const ALL = 'SELECT id FROM entry ORDER BY id';
const LEADER = `SELECT n.member FROM ledger.consensus c JOIN ledger.nodes n ON n.public_key = c.leader`;

let cluster: ClusterProcess;
let links: PeerLinks;

beforeAll(async () => {
  cluster = await ClusterProcess.found(4, 'raft');
  links = await cluster.startLinked();
  await query(cluster.nodes[0]!, 'CREATE TABLE entry (id int PRIMARY KEY)');
  await cluster.agreed();
}, TIMEOUT_MS);

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await links[Symbol.asyncDispose]();
});

/** An INSERT on a connection of its own, and whether it has been answered. */
function inserting(node: NodeProcess, id: number) {
  const state = { answered: false };
  const done = query(node, `INSERT INTO entry VALUES (${id})`).finally(() => {
    state.answered = true;
  });
  // It is looked at later.
  done.catch(() => undefined);
  return { state, done };
}

test(
  'the others go on without the leader, which answers nothing that it cannot confirm',
  async () => {
    const { nodes } = cluster;
    await query(nodes[0]!, 'INSERT INTO entry VALUES (1)');
    await cluster.agreed();
    const [{ member: leader }] = (await query(nodes[0]!, LEADER)) as [{ member: number }];
    const alone = nodes[leader]!;
    const others = nodes.filter((node) => node !== alone);

    links.split([leader]);
    const cutOff = inserting(alone, 2);
    for (const [i, node] of others.entries()) {
      await query(node, `INSERT INTO entry VALUES (${10 + i})`);
    }
    await cluster.agreed(others);
    expect(await query(others[0]!, ALL)).toEqual([1, 10, 11, 12].map((id) => ({ id })));
    // It goes on to show what it has, and says that it does not know when asked for more.
    expect(await query(alone, ALL)).toEqual([{ id: 1 }]);
    const linearizable = `SET ledger.read_consistency = 'linearizable'`;
    await expect(query(alone, linearizable, ALL)).rejects.toMatchObject({ code: '57P03' });
    expect(cutOff.state.answered).toBe(false);

    links.mend();
    await cutOff.done;
    await cluster.agreed();
    for (const node of nodes) {
      expect(await query(node, ALL)).toEqual([1, 2, 10, 11, 12].map((id) => ({ id })));
    }
  },
  TIMEOUT_MS,
);

test(
  'two against two confirm nothing until they hear each other again',
  async () => {
    const { nodes } = cluster;
    const before = await query(nodes[0]!, ALL);
    links.split([0, 1]);
    const written = nodes.map((node, i) => inserting(node, 100 + i));
    const reads = nodes.map((node) =>
      query(node, `SET ledger.read_consistency = 'linearizable'`, ALL),
    );
    for (const { status } of await Promise.allSettled(reads)) expect(status).toBe('rejected');
    for (const node of nodes) expect(await query(node, ALL)).toEqual(before);
    expect(written.filter(({ state }) => state.answered)).toEqual([]);

    links.mend();
    await Promise.all(written.map(({ done }) => done));
    await cluster.agreed();
    const after = [...before, ...nodes.map((_, i) => ({ id: 100 + i }))];
    for (const node of nodes) expect(await query(node, ALL)).toEqual(after);
  },
  TIMEOUT_MS,
);

test(
  'a leader that is heard by nobody is replaced, though it hears everybody',
  async () => {
    const { nodes } = cluster;
    const [{ member: leader }] = (await query(nodes[0]!, LEADER)) as [{ member: number }];
    const others = nodes.filter((_, node) => node !== leader);
    links.cut(
      [leader],
      [0, 1, 2, 3].filter((node) => node !== leader),
    );
    for (const [i, node] of others.entries()) {
      await query(node, `INSERT INTO entry VALUES (${200 + i})`);
    }
    const [{ member: next }] = (await query(others[0]!, LEADER)) as [{ member: number }];
    expect(next).not.toBe(leader);
    links.mend();
    await cluster.agreed();
    for (const node of nodes) expect(await node.stop()).toBe(0);
    for (const node of nodes) expect((await node.verify()).code).toBe(0);
  },
  TIMEOUT_MS,
);
