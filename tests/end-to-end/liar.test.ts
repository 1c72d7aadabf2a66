// One node of four lies: it is found out, named on the chain, and the others go on in bft mode.

import { expect, test } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ClusterProcess, query } from './cluster-process.ts';

const LIAR = pathToFileURL(path.join(import.meta.dirname, 'liar.ts'));
/** Statements until the liar is named: it lies with the first block that it proposes, or at the next common height. */
const STATEMENTS_MAX = 50;

test.each([
  { who: 'a leader that proposes two blocks at one height', how: 'siblings', leads: true },
  { who: 'a leader that proposes what is no block', how: 'body', leads: true },
  { who: 'a member that says it has other results', how: 'health', leads: false },
])(
  '$who',
  async ({ how, leads }) => {
    await using cluster = await ClusterProcess.found(4, 'adaptive');
    const { nodes } = cluster;
    const lie = path.join(cluster.directory, 'lie');
    const flag = `${LIAR.href}?how=${how}&file=${encodeURIComponent(lie)}`;
    for (const node of nodes) node.nodeFlags = [...node.nodeFlags, '--import', flag];
    await cluster.startAll();
    await query(nodes[0]!, 'CREATE TABLE entry (id int PRIMARY KEY)');
    await cluster.agreed();
    for (let id = 0; id < 8; id++) await query(nodes[id % 4]!, `INSERT INTO entry VALUES (${id})`);
    const before = `SELECT c.mode, n.member FROM ledger.consensus c JOIN ledger.nodes n ON n.public_key = c.leader`;
    const [{ mode, member: leader }] = (await query(nodes[0]!, before)) as [Standing];
    expect(mode).toBe('raft');

    const liar = leads ? leader : (leader + 1) % 4;
    await writeFile(lie, String(liar));
    const others = nodes.filter((_, index) => index !== liar);
    let id = 8;
    const named = `SELECT DISTINCT member FROM ledger.evidence WHERE kind = 'evidence'`;
    while ((await query(others[0]!, named)).length === 0 && id < STATEMENTS_MAX) {
      await query(others[id % 3]!, `INSERT INTO entry VALUES (${id})`);
      id += 1;
    }
    for (const node of others) {
      await query(node, `INSERT INTO entry VALUES (${id})`);
      id += 1;
      expect(await query(node, named)).toEqual([{ member: liar }]);
      expect(await query(node, 'SELECT mode FROM ledger.consensus')).toEqual([{ mode: 'bft' }]);
      const suspended = `SELECT member FROM ledger.nodes WHERE role = 'suspended'`;
      expect(await query(node, suspended)).toEqual([{ member: liar }]);
    }
    await cluster.agreed(others);
    for (const node of others) {
      // Whatever was acknowledged is there, before and after.
      expect(await query(node, 'SELECT count(*)::int AS n FROM entry')).toEqual([{ n: id }]);
    }
    for (const node of nodes) await node.stop();
    for (const node of others) expect((await node.verify()).code).toBe(0);
  },
  300_000,
);

interface Standing extends Record<string, unknown> {
  readonly mode: string;
  readonly member: number;
}
