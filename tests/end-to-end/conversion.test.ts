// A ledger of one node becomes a cluster of four while it runs, and one node again: no write is lost or refused, and rows
// of every time are proven by the chain id alone.

import { afterEach, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import path from 'node:path';
import pg from 'pg';
import { agreed, freePorts, newcomerOf, query } from './cluster-process.ts';
import { NodeProcess, trustsql } from './process.ts';
import type { Finished } from './process.ts';

const TIMEOUT_MS = 600_000;
const WAIT_MS = 60_000;
/** So many rows at once are more than one block holds: they lie in chunks beside it. */
const MANY_ROWS = 15_000;

const running: NodeProcess[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node[Symbol.asyncDispose]()));
});

async function solo(): Promise<{ readonly node: NodeProcess; readonly peerAddress: string }> {
  const peerPort = await freePorts(1);
  const node = await NodeProcess.start('--peer-port', String(peerPort), '--readers', '1');
  running.push(node);
  return { node, peerAddress: `127.0.0.1:${peerPort}` };
}

/** `trustsql …` against a node. @throws Error unless it ends with 0 */
async function done(node: NodeProcess, ...parameters: string[]): Promise<string> {
  const { code, stdout, stderr } = await ask(node, ...parameters);
  if (code !== 0) throw new Error(`trustsql ${parameters.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

function ask(node: NodeProcess, ...parameters: string[]): Promise<Finished> {
  return trustsql(...parameters, '--data', node.data);
}

/** Asks until a statement succeeds: a role that is new at a node is not known there at once. */
async function eventually(node: NodeProcess, ...statements: string[]): Promise<void> {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    try {
      await query(node, ...statements);
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

/** Writes rows, one after the other, while something is done. @throws whatever a write was refused with */
async function writingWhile(node: NodeProcess, from: number, work: () => Promise<unknown>) {
  let over = false;
  let id = from;
  const writing = (async () => {
    // At least one after it.
    for (let last = false; !last; id++) {
      last = over;
      await query(node, `INSERT INTO entry VALUES (${id}, 'under load')`);
    }
  })();
  try {
    await Promise.all([writing, work().finally(() => (over = true))]);
  } finally {
    over = true;
  }
  return id - from;
}

function chunksIn(node: NodeProcess): number {
  const file = path.join(node.data, 'chain/blocks-000000000000.sqlite');
  const database = new Database(file, { readonly: true });
  try {
    return database.prepare('SELECT count(*) FROM chunk').pluck().get() as number;
  } finally {
    database.close();
  }
}

async function proven(node: NodeProcess, key: string, chainId: string): Promise<string> {
  const bundle = path.join(node.directory, `bundle-${key}.json`);
  await done(node, 'proof', 'export', 'entry', key, '-o', bundle);
  const { code, stdout } = await trustsql('proof', 'check', bundle, '--chain-id', chainId);
  expect([code, stdout]).toEqual([0, expect.stringContaining('body = ')]);
  return stdout;
}

test(
  'a newcomer that nobody has told where the others are says so',
  async () => {
    const { node: first } = await solo();
    expect(await done(first, 'node', 'status')).toMatch(/\| solo +\|[^]*Epoch 0, solo, block /);
    const genesis = path.join(first.directory, 'genesis.json');
    await done(first, 'cluster', 'invite', '--out', genesis);
    const { node } = await newcomerOf(first.directory, 'eve', genesis);
    running.push(node);
    await node.start();
    expect(node.output).toContain('no address of another node is known');
  },
  TIMEOUT_MS,
);

test(
  'solo, raft of four, solo',
  async () => {
    const { node: first, peerAddress } = await solo();
    await query(
      first,
      'CREATE TABLE entry (id int PRIMARY KEY, body text)',
      `INSERT INTO entry VALUES (1, 'of one node')`,
      'CREATE TABLE much (id int PRIMARY KEY, body text)',
      `INSERT INTO much SELECT i, repeat('x', 100) FROM generate_series(1, ${MANY_ROWS}) i`,
    );
    expect(chunksIn(first)).toBeGreaterThan(1);
    const [chain] = await query(first, `SELECT encode(chain_id, 'hex') AS id FROM ledger.chain`);
    const chainId = String(chain!['id']);

    // Others have no place before there is more than solo.
    const early = await ask(first, 'node', 'add', `${chainId}@127.0.0.1:1`, '--plan');
    expect([early.code, early.stderr]).toEqual([2, expect.stringContaining('policy=raft')]);
    expect(await done(first, 'config', 'set', 'policy=raft', '--plan')).toContain('solo → raft');
    expect(await done(first, 'config', 'get', 'policy')).toBe('solo\n');

    await done(first, 'node', 'move', '1', peerAddress);
    const before = await writingWhile(first, 100, () =>
      done(first, 'config', 'set', 'policy=raft'),
    );
    expect(before).toBeGreaterThan(1);
    expect(await query(first, 'SELECT policy, epoch FROM ledger.consensus')).toEqual([
      { policy: 'raft', epoch: '2' },
    ]);

    const genesis = path.join(first.directory, 'genesis.json');
    const invited = JSON.parse(await done(first, 'cluster', 'invite', '--out', genesis, '--json'));
    expect(invited).toMatchObject({ chainId, consensus: 'solo' });
    const [{ key }] = (await query(
      first,
      `SELECT encode(public_key, 'hex') AS key FROM ledger.nodes`,
    )) as [{ key: string }];
    const newcomers = [];
    for (const name of ['bob', 'cyd', 'dee']) {
      const peers = ['--peers', `${key}@${peerAddress}`];
      const newcomer = await newcomerOf(first.directory, name, genesis, ...peers);
      newcomers.push(newcomer);
      running.push(newcomer.node);
      await newcomer.node.start();
      await writingWhile(first, 1_000 * newcomers.length, () =>
        done(first, 'node', 'add', newcomer.place),
      );
      await done(first, 'role', 'admit', newcomer.part, '--superuser');
    }
    const others = newcomers.map(({ node }) => node);
    const nodes = [first, ...others];
    for (const [i, node] of nodes.entries()) {
      await eventually(node, `INSERT INTO entry VALUES (${10 + i}, 'of four nodes')`);
    }
    await agreed(nodes);
    for (const node of nodes) {
      const [row] = await query(
        node,
        `SELECT count(*) AS much, (SELECT count(*) FROM entry WHERE id IN (1, 10, 11, 12, 13)) AS few FROM much`,
      );
      expect(row).toEqual({ much: String(MANY_ROWS), few: '5' });
      const row1 = await query(node, 'SELECT members, policy, epoch FROM ledger.consensus');
      expect(row1).toEqual([{ members: 4, policy: 'raft', epoch: '8' }]);
    }
    await proven(others[2]!, '1', chainId);

    // Solo is for a cluster of one.
    const many = await ask(first, 'config', 'set', 'policy=solo');
    expect([many.code, many.stderr]).toEqual([2, expect.stringContaining('take the others out')]);
    for (const last of ['4', '3', '2']) await done(first, 'node', 'remove', last);
    await writingWhile(first, 5_000, () => done(first, 'config', 'set', 'policy=solo'));
    await query(first, `INSERT INTO entry VALUES (20, 'of one node again')`);
    await first.kill();
    await first.start();
    await query(first, `INSERT INTO entry VALUES (21, 'after a crash')`);
    expect(await query(first, 'SELECT policy, epoch FROM ledger.consensus')).toEqual([
      { policy: 'solo', epoch: '12' },
    ]);
    for (const node of others) {
      await expect(query(node, `INSERT INTO entry VALUES (30, 'late')`)).rejects.toMatchObject({
        code: '25006',
      });
      expect(await query(node, 'SELECT body FROM entry WHERE id = 13')).toEqual([
        { body: 'of four nodes' },
      ]);
    }
    expect(await proven(first, '1', chainId)).toContain('of one node');
    expect(await proven(first, '13', chainId)).toContain('of four nodes');
    expect(await proven(first, '21', chainId)).toContain('epoch 12');

    // Whoever was a member comes again as it is.
    await done(first, 'config', 'set', 'policy=raft');
    await done(first, 'node', 'add', newcomers[0]!.place, '--observer');
    await agreed([first, others[0]!]);
    expect(await query(others[0]!, 'SELECT body FROM entry WHERE id = 21')).toHaveLength(1);

    // No damage, no lost votes, no other results.
    for (const node of nodes) expect(node.output).not.toContain('"alarm"');
    for (const node of nodes) expect(await node.stop()).toBe(0);
    for (const node of nodes) {
      const { code, stdout, stderr } = await node.verify('--chain-id', chainId);
      expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
    }
  },
  TIMEOUT_MS,
);

/**
 * Puts a policy into force, and kills the node.
 *
 * @param afterMs  so many milliseconds after it was told to; null: as soon as it has said that it is in force
 */
async function killedWhile(node: NodeProcess, policy: string, afterMs: number | null) {
  const client = new pg.Client({ connectionString: await node.clearUrl() });
  client.on('error', () => undefined);
  await client.connect();
  const value = async (text: string, ...parameters: string[]): Promise<string> => {
    const { rows } = await client.query<{ value: unknown }>(text, parameters);
    const found = rows[0]!.value;
    return typeof found === 'string' ? found : JSON.stringify(found);
  };
  const state = JSON.parse(await value('SELECT ledger.rules() AS value')) as {
    readonly chainId: string;
    readonly epoch: number;
    readonly rules: object;
  };
  const { chainId, epoch } = state;
  const rules = { ...state.rules, policy };
  const change = { format: 'trustsql rules', version: 1, chainId, epoch, rules, approvals: [] };
  const approve = 'SELECT ledger.approve_rules($1) AS value';
  const approved = await value(approve, JSON.stringify(change));
  const submitted = client.query('SELECT ledger.submit_rules($1)', [approved]);
  submitted.catch(() => undefined);
  if (afterMs === null) await submitted;
  else await new Promise((resolve) => setTimeout(resolve, afterMs));
  await node.kill();
}

test(
  'a node that is killed during the change comes up before it or after it, with all that was acknowledged',
  async () => {
    const { node } = await solo();
    await query(node, 'CREATE TABLE entry (id int PRIMARY KEY)');
    let policy = 'solo';
    for (const [i, afterMs] of [null, 20, null, 60, null].entries()) {
      await query(node, `INSERT INTO entry VALUES (${i})`);
      const wanted = policy === 'solo' ? 'raft' : 'solo';
      await killedWhile(node, wanted, afterMs);
      await node.start();
      const [row] = await query(node, 'SELECT policy FROM ledger.consensus');
      const found = String(row!['policy']);
      expect(afterMs === null ? [wanted] : [policy, wanted]).toContain(found);
      policy = found;
      expect(await query(node, 'SELECT count(*) FROM entry')).toEqual([{ count: String(i + 1) }]);
    }
    await query(node, 'INSERT INTO entry VALUES (99)');
    expect(await node.stop()).toBe(0);
    const { code, stdout, stderr } = await node.verify();
    expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
  },
  TIMEOUT_MS,
);
