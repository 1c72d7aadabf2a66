// The rules of a running cluster change, on all nodes at once, under load: a node more, another policy, a node less.

import { describe, expect, test } from '@jest/globals';
import type { EventEmitter } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { ClusterProcess, query } from './cluster-process.ts';
import { CrashWorkload, seeded } from './crash-workload.ts';
import { findProgram, run, trustsql } from './process.ts';
import type { Finished, NodeProcess } from './process.ts';

const SEED = 20_261_130;
const CLIENTS = 4;

const psql = findProgram('psql');

/** What `ledger.rules()` says. */
interface Rules {
  readonly epoch: number;
  readonly nodes: readonly {
    readonly key: string;
    readonly up: boolean;
    readonly height: number | null;
  }[];
  readonly rules: Readonly<Record<string, unknown>>;
}

/** `trustsql …` against a node. */
function ask(node: NodeProcess, ...parameters: string[]): Promise<Finished> {
  return trustsql(...parameters, '--data', node.data);
}

async function answer<T>(node: NodeProcess, ...parameters: string[]): Promise<T> {
  const { code, stdout, stderr } = await ask(node, ...parameters, '--json');
  if (code !== 0) throw new Error(`trustsql ${parameters.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

async function rulesAt(node: NodeProcess): Promise<Rules> {
  const [row] = await query(node, 'SELECT ledger.rules() AS rules');
  return row!['rules'] as Rules;
}

/** Asks a node until it says so. */
async function until(node: NodeProcess, holds: (rules: Rules) => boolean): Promise<void> {
  const end = Date.now() + 30_000;
  for (;;) {
    const rules = await rulesAt(node);
    if (holds(rules)) return;
    if (Date.now() > end) throw new Error(JSON.stringify(rules));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Waits until all these nodes are in an epoch. @returns its settings, which are the same at all of them */
async function inEpoch(nodes: readonly NodeProcess[], epoch: number): Promise<Rules['rules']> {
  for (const node of nodes) await until(node, (rules) => rules.epoch === epoch);
  const [first, ...others] = await Promise.all(nodes.map(rulesAt));
  for (const other of others) expect(other.rules).toEqual(first!.rules);
  return first!.rules;
}

/** Waits until a node, as another one sees it, has so many blocks. */
function atHeight(node: NodeProcess, place: string, height: number): Promise<void> {
  return until(node, ({ nodes }) => {
    const seen = nodes.find(({ key }) => place.startsWith(key));
    return (seen?.height ?? -1) >= height;
  });
}

/** By what a client tells a node that can be written to from one that cannot. */
async function standbySigns(node: NodeProcess): Promise<unknown[]> {
  const settings = ['in_hot_standby', 'transaction_read_only'];
  const rows = await Promise.all(settings.map((name) => query(node, `SHOW ${name}`)));
  // The first is asked of the analyst, the second where tables are read.
  const [alone] = await query(node, 'SELECT pg_is_in_recovery() AS on');
  const [beside] = await query(node, 'SELECT pg_is_in_recovery() AS on FROM ledger.nodes LIMIT 1');
  return [...rows.map(([row], place) => row![settings[place]!]), alone!['on'], beside!['on']];
}

/** A session, and what ParameterStatus has told it. */
class Watcher {
  readonly told = new Map<string, string>();
  readonly #client: pg.Client;

  private constructor(url: string) {
    this.#client = new pg.Client({ connectionString: url });
  }

  static async of(node: NodeProcess): Promise<Watcher> {
    const watcher = new Watcher(await node.clearUrl());
    const { connection } = watcher.#client as unknown as { connection: EventEmitter };
    connection.on('parameterStatus', ({ parameterName, parameterValue }: Told) =>
      watcher.told.set(parameterName, parameterValue),
    );
    await watcher.#client.connect();
    return watcher;
  }

  /** Asks once more, and leaves. */
  async end(): Promise<void> {
    await this.#client.query('SELECT 1');
    await this.#client.end();
  }
}

type Told = { readonly parameterName: string; readonly parameterValue: string };

/** The member that psql connects to when it is given two nodes and wants to write. */
async function writableOf(one: NodeProcess, other: NodeProcess): Promise<string> {
  const url = (await one.clearUrl()).replace(
    `:${one.port}/`,
    `:${one.port},127.0.0.1:${other.port}/`,
  );
  const text = 'SELECT member FROM ledger.nodes WHERE this_node';
  const session = `${url}?target_session_attrs=read-write`;
  return (await run(psql!, ['-AtX', session, '-c', text])).stdout.trim();
}

/** Waits until the role of a node's `admin.url` is known there. */
async function loggedIn(node: NodeProcess): Promise<void> {
  const end = Date.now() + 60_000;
  for (;;) {
    try {
      await query(node, 'SELECT 1');
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== '28P01' || Date.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

describe('the rules of a cluster', () => {
  test('change under load: a fifth node, bft mode, a node less', async () => {
    await using cluster = await ClusterProcess.start(4, 'raft');
    const { nodes } = cluster;
    const [first, second, third, last] = nodes as [
      NodeProcess,
      NodeProcess,
      NodeProcess,
      NodeProcess,
    ];
    const workload = new CrashWorkload(() => cluster.urls(), seeded(SEED));
    await workload.prepare();
    await cluster.agreed();
    const fifth = await cluster.newcomer('eve');

    // A plan changes nothing, and says what follows.
    const { plans } = await answer<{
      plans: { after: Record<string, number>; refusals: string[] }[];
    }>(first, 'node', 'add', fifth.place, '--plan');
    expect(plans.map(({ refusals }) => refusals)).toEqual([[], []]);
    expect(plans[1]!.after).toMatchObject({ members: 5, report: 4, fast: 4, f: 1, reachable: 5 });
    expect((await rulesAt(first)).epoch).toBe(0);

    // Nobody votes who has not got the blocks, whatever sends the rules.
    const file = path.join(cluster.directory, 'direct.json');
    const forced = await ask(first, 'node', 'add', fifth.place, '--force', '--out', file);
    expect([forced.code, forced.stderr]).toEqual([0, '']);
    const direct = await readFile(file, 'utf8');
    await expect(query(first, `SELECT ledger.submit_rules('${direct}')`)).rejects.toMatchObject({
      code: '55000',
      message: expect.stringContaining('is not connected'),
    });
    expect((await rulesAt(first)).epoch).toBe(0);

    await workload.loadWhile(CLIENTS, async () => {
      const added = await answer<{ steps: { epoch: number }[] }>(
        second,
        'node',
        'add',
        fifth.place,
      );
      expect(added.steps.map(({ epoch }) => epoch)).toEqual([1, 2]);
    });
    await inEpoch(nodes, 2);
    const five = await answer<Pick<Rules, 'nodes'>>(third, 'node', 'status');
    expect(five.nodes.map(({ up }) => up)).toEqual([true, true, true, true, true]);
    expect(fifth.place).toContain(five.nodes[4]!.key);

    // Its administrator logs in there, with the password that only that node knows.
    expect((await ask(first, 'role', 'admit', fifth.part, '--superuser')).code).toBe(0);
    await loggedIn(fifth.node);
    await query(fifth.node, 'CREATE TABLE of_the_fifth (id int PRIMARY KEY)');
    const again = await ask(first, 'role', 'admit', fifth.part);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('42710')]);

    await workload.loadWhile(CLIENTS, async () => {
      const set = await ask(last, 'config', 'set', 'policy=bft', 'window_blocks=8');
      expect([set.code, set.stderr]).toEqual([0, '']);
      expect(set.stdout).toContain('policy: raft → bft');
    });
    const inForce = await inEpoch([...nodes, fifth.node], 3);
    expect(inForce).toMatchObject({ policy: 'bft', window_blocks: 8, f: 1 });
    await cluster.agreed();
    for (const url of await cluster.urls()) expect(await workload.check(url)).toEqual([]);

    const watcher = await Watcher.of(last);
    expect(watcher.told.get('in_hot_standby')).toBe('off');
    const removed = await ask(first, 'node', 'remove', '4');
    expect([removed.code, removed.stderr]).toEqual([0, '']);
    await inEpoch(nodes, 4);
    expect(last.output).toContain('this node votes no longer');
    // It can be read, and does not pretend to write; who is connected is told with the next answer.
    await watcher.end();
    expect(watcher.told.get('in_hot_standby')).toBe('on');
    await expect(query(last, 'SELECT count(*) FROM ledger.blocks')).resolves.toHaveLength(1);
    await expect(query(last, 'CREATE TABLE late (id int)')).rejects.toMatchObject({
      code: '25006',
    });
    expect(await standbySigns(last)).toEqual(['on', 'on', true, true]);
    expect(await standbySigns(first)).toEqual(['off', 'off', false, false]);
    if (psql !== undefined) expect(await writableOf(last, first)).toBe('0');
    await query(first, 'CREATE TABLE after_all (id int PRIMARY KEY)');
    const height = await cluster.agreed([first, second, third]);
    await atHeight(first, fifth.place, height);

    // What the nodes that are left could not confirm is not begun.
    expect([await second.stop(), await third.stop()]).toEqual([0, 0]);
    const refused = await ask(first, 'node', 'remove', '2');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('3 of the 4 members must confirm the change, and 2 can be');
    expect((await rulesAt(first)).epoch).toBe(4);

    for (const node of [first, last, fifth.node]) expect(await node.stop()).toBe(0);
    for (const node of [...nodes, fifth.node]) {
      const { code, stdout, stderr } = await node.verify();
      expect([code, stdout + stderr]).toEqual([0, expect.any(String)]);
    }
    // Each keeps the votes that it has seen first: the certificates may differ, and nothing else.
    const block = async (node: NodeProcess): Promise<object> => {
      const shown = await trustsql('inspect', 'block', String(height), '--data', node.data);
      const { hash, header, bundles, system } = JSON.parse(shown.stdout) as Record<string, unknown>;
      return { hash, header, bundles, system };
    };
    expect(await block(fifth.node)).toEqual(await block(first));
  }, 300_000);

  test('need the approvals that the governance asks for', async () => {
    await using cluster = await ClusterProcess.start(2, 'adaptive');
    const [first, second] = cluster.nodes as [NodeProcess, NodeProcess];
    const file = path.join(cluster.directory, 'change.json');
    // A node that could never be reached is not waited for.
    const taken = (await rulesAt(first)).nodes[1]!.key;
    const { members } = (await rulesAt(first)).rules as { members: { address: string }[] };
    const added = await ask(first, 'node', 'add', `${'ab'.repeat(32)}@${members[1]!.address}`);
    expect([added.code, added.stderr]).toEqual([2, expect.stringContaining(`of node ${taken}`)]);
    const nobody = await ask(first, 'node', 'add', `${'ab'.repeat(32)}@127.0.0.1:1`, '--plan');
    expect(nobody.stderr).toContain('nobody answers at 127.0.0.1:1 from here (ECONNREFUSED)');
    const written = await ask(first, 'config', 'set', 'complaints_threshold=9', '--out', file);
    expect([written.code, written.stderr]).toEqual([0, '']);
    const change = JSON.parse(await readFile(file, 'utf8')) as {
      rules: Record<string, unknown>;
      approvals: object[];
    };
    expect(change.approvals).toHaveLength(1);
    const submit = (changed: object): Promise<unknown> =>
      query(first, `SELECT ledger.submit_rules('${JSON.stringify(changed)}')`);

    await expect(submit({ ...change, approvals: [] })).rejects.toMatchObject({
      code: '42501',
      message: '0 of the 1 approvals needed are there',
    });
    // What was signed is not what is asked for.
    const other = { ...change, rules: { ...change.rules, complaints_threshold: 1 } };
    await expect(submit(other)).rejects.toMatchObject({ code: '42501' });
    await expect(submit({ ...change, epoch: 7 })).rejects.toMatchObject({ code: '55000' });
    const foreign = { ...change, chainId: '00'.repeat(32) };
    await expect(submit(foreign)).rejects.toMatchObject({ code: '22023' });
    const wrong = { ...change, rules: { ...change.rules, window_blocks: 65 } };
    await expect(submit(wrong)).rejects.toMatchObject({
      code: '22023',
      message: 'window_blocks: a whole number from 1 to 64 is expected, not 65',
    });
    await expect(
      query(first, 'BEGIN', `SELECT ledger.submit_rules('${JSON.stringify(change)}')`),
    ).rejects.toMatchObject({ code: '25001' });
    await query(first, 'CREATE ROLE clerk');
    await expect(
      query(first, 'SET ROLE clerk', `SELECT ledger.approve_rules('${JSON.stringify(change)}')`),
    ).rejects.toMatchObject({ code: '42501' });
    // A superuser who is none of those that govern.
    await query(first, `CREATE ROLE chief SUPERUSER LOGIN PASSWORD 'none of them'`);
    const url = new URL(await first.clearUrl());
    url.username = 'chief';
    url.password = 'none of them';
    const chief = await trustsql('config', 'approve', file, '--url', url.href);
    expect([chief.code, chief.stderr]).toEqual([1, expect.stringContaining('42501')]);
    expect(await answer<number>(second, 'config', 'get', 'complaints_threshold')).toBe(3);

    const submitted = await ask(second, 'config', 'submit', file);
    expect([submitted.code, submitted.stderr]).toEqual([0, '']);
    expect(await inEpoch(cluster.nodes, 1)).toMatchObject({ complaints_threshold: 9 });
    // Once in force it cannot be brought up again.
    const again = await ask(second, 'config', 'submit', file);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('in force already')]);

    // Two of two: the other administrator is known to the second node alone.
    await query(second, `CREATE ROLE deputy SUPERUSER LOGIN PASSWORD 'of the second'`);
    const [{ key }] = (await query(
      second,
      `SELECT encode(public_key, 'hex') AS key FROM ledger.accounts WHERE name = 'deputy'`,
    )) as [{ key: string }];
    const keys = await answer<string[]>(first, 'config', 'get', 'governance_keys');
    const governed = [`governance_keys=${[...keys, key].join(',')}`, 'governance_needed=2'];
    expect((await ask(first, 'config', 'set', ...governed)).code).toBe(0);
    await inEpoch(cluster.nodes, 2);
    const alone = await ask(first, 'config', 'set', 'policy=raft');
    expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining('--out')]);
    expect((await ask(first, 'config', 'set', 'policy=raft', '--out', file)).code).toBe(0);
    const early = await ask(first, 'config', 'submit', file);
    expect(early.stderr).toContain('1 of the 2 approvals needed are there');
    const deputy = new URL(await second.clearUrl());
    deputy.username = 'deputy';
    deputy.password = 'of the second';
    const approved = await trustsql('config', 'approve', file, '--url', deputy.href);
    expect([approved.code, approved.stdout]).toEqual([
      0,
      expect.stringContaining('2 of 2 approvals'),
    ]);
    expect((await ask(first, 'config', 'submit', file)).code).toBe(0);
    expect(await inEpoch(cluster.nodes, 3)).toMatchObject({ policy: 'raft' });
    await writeFile(file, '{}');
    const broken = await ask(first, 'config', 'approve', file);
    expect([broken.code, broken.stderr]).toEqual([
      2,
      expect.stringContaining(`${file}: not a text of the format "trustsql rules"`),
    ]);
    for (const node of cluster.nodes) expect(await node.stop()).toBe(0);
    for (const node of cluster.nodes) expect((await node.verify()).code).toBe(0);
  }, 300_000);
});
