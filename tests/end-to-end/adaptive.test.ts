// An adaptive cluster goes to bft mode while a member is missing, and comes back when all are well again.

import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@jest/globals';
import { ClusterProcess, query } from './cluster-process.ts';
import type { PeerLinks } from './peer-links.ts';
import { trustsql } from './process.ts';
import type { NodeProcess } from './process.ts';

const TIMEOUT_MS = 300_000;
/** How long a mode may take to come, in ms: several times what the timers of the rules make. */
const MODE_TIMEOUT_MS = 120_000;
/** A member that is silent for 12 `election_ms` is faulty; by default one may be, in a cluster of four. */
const RULES = ['faults_threshold=0', 'dwell_ms=100', 'dwell_blocks=3'];
/** So long that a busy machine ends no term, whose end would force the change that is to be ordered. */
const PATIENT = ['election_ms=1500', 'progress_ms=5000', 'fast_ms=5000'];
/** Odd, so that all nodes take part in turn. */
const WRITTEN_BETWEEN_LOOKS = 7;
const LIAR = pathToFileURL(path.join(import.meta.dirname, 'liar.ts'));
const LEADER = `SELECT n.member FROM ledger.consensus c JOIN ledger.nodes n ON n.public_key = c.leader`;

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
    await query(nodes[0]!, 'CREATE TABLE entry (id int PRIMARY KEY)');
    const set = await trustsql('config', 'set', ...RULES, '--data', nodes[0]!.data);
    expect([set.code, set.stderr]).toEqual([0, '']);
    await cluster.agreed();
    const [{ member }] = (await query(nodes[0]!, LEADER)) as [{ member: number }];
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

interface Fault {
  readonly what: string;
  /** Whether clients can write at the member, and hear of it. */
  readonly serves: boolean;
  readonly begin: (links: PeerLinks, member: number, lie: string) => Promise<void> | void;
  readonly end: (links: PeerLinks, lie: string) => Promise<void> | void;
}

test.each<Fault>([
  {
    what: 'is not heard',
    serves: false,
    begin: (links, member) => links.split([member]),
    end: (links) => links.mend(),
  },
  {
    what: 'votes, and says nothing of its health',
    serves: true,
    begin: (_links, member, lie) => writeFile(lie, String(member)),
    end: (_links, lie) => rm(lie),
  },
])(
  'the leader orders bft mode, and keeps leading, while others suspect a member that $what',
  async ({ serves, begin, end }) => {
    await using cluster = await ClusterProcess.found(4, 'adaptive');
    const { nodes } = cluster;
    const lie = path.join(cluster.directory, 'lie');
    const liar = `${LIAR.href}?how=unwell&file=${encodeURIComponent(lie)}`;
    for (const node of nodes) node.nodeFlags = [...node.nodeFlags, '--import', liar];
    await using links = await cluster.startLinked();
    await query(nodes[0]!, 'CREATE TABLE entry (id int PRIMARY KEY)');
    const set = await trustsql('config', 'set', ...RULES, ...PATIENT, '--data', nodes[0]!.data);
    expect([set.code, set.stderr]).toEqual([0, '']);
    await cluster.agreed();
    let id = 0;
    const writing =
      (at: readonly NodeProcess[]): (() => Promise<void>) =>
      async () => {
        const ids = Array.from({ length: WRITTEN_BETWEEN_LOOKS }, () => (id += 1));
        const inserts = ids.map((each) => `INSERT INTO entry VALUES (${each})`);
        await query(at[id % at.length]!, ...inserts);
      };
    await untilMode(nodes, 'raft', writing(nodes));
    const before = await changesAt(nodes[0]!);
    const [{ member: leader }] = (await query(nodes[0]!, LEADER)) as [{ member: number }];

    const suspected = (leader + 1) % 4;
    const others = nodes.filter((_, i) => i !== suspected);
    const serving = serves ? nodes : others;
    await begin(links, suspected, lie);
    await untilMode(serving, 'bft', writing(serving));
    for (const node of serving) {
      expect(await changesAt(node)).toEqual([...before, 'bft']);
      // Who has proposed the change led before it, and leads after it: it is no leader that the change made.
      const proposer = `SELECT n.member FROM ledger.evidence e JOIN ledger.blocks b USING (height)
        JOIN ledger.nodes n ON n.public_key = b.proposer
        WHERE e.kind = 'mode' ORDER BY e.height DESC LIMIT 1`;
      expect(await query(node, proposer)).toEqual([{ member: leader }]);
      expect(await query(node, LEADER)).toEqual([{ member: leader }]);
      // Nothing is proven against anybody.
      const accused = `SELECT member FROM ledger.evidence WHERE kind = 'evidence'`;
      expect(await query(node, accused)).toEqual([]);
    }

    await end(links, lie);
    await untilMode(nodes, 'raft', writing(others));
    await cluster.agreed();
    for (const node of nodes) {
      expect(await changesAt(node)).toEqual([...before, 'bft', 'raft']);
      expect(await query(node, 'SELECT count(*)::int AS n FROM entry')).toEqual([{ n: id }]);
    }
    for (const node of nodes) expect(await node.stop()).toBe(0);
    for (const node of nodes) expect((await node.verify()).code).toBe(0);
  },
  TIMEOUT_MS,
);
