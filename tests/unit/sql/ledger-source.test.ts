// Views of schema ledger whose rows are made outside of SQLite: what comes out of their text, and for whom.

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Catalog, Role } from '../../../ledger/catalog.ts';
import { EMPTY_CATALOG } from '../../../ledger/catalog.ts';
import { hex } from '../../../ledger/bytes.ts';
import { configAfter } from '../../../storage/epochs.ts';
import type { SystemRecord } from '../../../ledger/system.ts';
import type { ConsensusStatus, NodeStatus } from '../../../server/cluster-status.ts';
import { epochList } from '../../../server/readers/epoch-list.ts';
import { registerFunctions } from '../../../sql/functions/register.ts';
import { LEDGER_VIEWS } from '../../../sql/ledger-schema.ts';
import { ledgerViewSource } from '../../../sql/ledger-source.ts';
import { DEFAULT_CONTEXT } from '../../../sql/value/context.ts';
import { openDatabase } from '../../../storage/sqlite.ts';
import type { Database } from '../../../storage/sqlite.ts';
import { BLOCK_MS, EpochChain, MEMBERS } from '../storage/epoch-chain.ts';
import { role, START_MS } from '../storage/ledger-fixture.ts';

const KEY = new Uint8Array(32).fill(0xa5);
const MICROS_2000 = 946_684_800_000_000n;

const ROLES: readonly Role[] = [
  role(10, 'admin', true, KEY),
  role(11, 'admin of "others"', true, KEY),
  role(12, 'bob', false, KEY),
];
const catalog: Catalog = {
  ...EMPTY_CATALOG,
  roles: new Map(ROLES.map((each) => [each.id, each])),
};

let directory: string;
let database: Database;
let chain: EpochChain;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trustsql-views-'));
  database = openDatabase(join(directory, 'state.sqlite'));
  database.exec('CREATE TABLE _meta (key TEXT PRIMARY KEY, value)');
  chain = new EpochChain();
  registerFunctions(database, {
    values: DEFAULT_CONTEXT,
    catalog,
    call: () => null,
    epochs: epochList(chain.directory),
  });
});

afterEach(() => {
  database.close();
  chain[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

/** Rows of a view by the names of its columns. */
function rows(name: string, parameters: Readonly<Record<string, string>> = {}): unknown[] {
  const view = LEDGER_VIEWS.find((each) => each.name === name)!;
  const list = view.columns.map((column, i) => `c${i + 1} AS "${column.name}"`);
  const text = `SELECT ${list.join(', ')} FROM ${ledgerViewSource(view.id, catalog)}`;
  return database.prepare(text).all(parameters);
}

/** The state is applied up to the newest block. */
function applied(height = chain.blocks.tip): void {
  database.prepare(`INSERT OR REPLACE INTO _meta VALUES('height', ?)`).run(BigInt(height));
}

const micros = (ms: number): bigint => BigInt(ms) * 1_000n - MICROS_2000;

const NODE: NodeStatus = {
  member: 3,
  publicKey: hex(KEY),
  address: '10.0.0.1:7000',
  role: 'leader',
  thisNode: false,
  up: true,
  upSinceMs: START_MS,
  roundTripMs: 2,
  height: 2 ** 40,
  bytesIn: 1,
  bytesOut: 2,
  queueBytes: 3,
  dropped: 4,
  lastError: `it's "gone"`,
};

describe('ledger.nodes', () => {
  const down = { ...NODE, member: null, up: false, upSinceMs: null, roundTripMs: null };
  const parameters = { ledger_nodes: JSON.stringify([NODE, down]) };

  test('shows what the node knows, in the representation of each type', () => {
    const [first, second] = rows('nodes', { ...parameters, user: 'admin' });
    expect(first).toEqual({
      member: 3n,
      public_key: Buffer.from(KEY),
      address: '10.0.0.1:7000',
      role: 'leader',
      this_node: 0n,
      up: 1n,
      up_since: micros(START_MS),
      round_trip_ms: 2,
      height: 2n ** 40n,
      bytes_in: 1n,
      bytes_out: 2n,
      queue_bytes: 3n,
      dropped: 4n,
      last_error: `it's "gone"`,
    });
    const nothing = { member: null, up: 0n, up_since: null, round_trip_ms: null };
    expect(second).toMatchObject(nothing);
  });

  test.each([
    ['admin', true],
    ['admin of "others"', true],
    ['bob', false],
  ])('where nodes are: to %s %p', (user, shown) => {
    const address = shown ? NODE.address : null;
    const last_error = shown ? NODE.lastError : null;
    expect(rows('nodes', { ...parameters, user })[0]).toMatchObject({
      member: 3n,
      up: 1n,
      address,
      last_error,
    });
  });
});

test('ledger.consensus is one row', () => {
  const status: ConsensusStatus = {
    policy: 'adaptive',
    mode: 'bft',
    epoch: 1,
    term: 2,
    leader: hex(KEY),
    height: 3,
    executedHeight: 4,
    members: 5,
    f: 6,
    reportQuorum: 7,
    fastQuorum: 8,
    silentTolerated: 9,
    reachable: 10,
    byzantineTolerance: true,
    windowBlocks: 11,
  };
  expect(rows('consensus', { ledger_consensus: JSON.stringify([status]) })).toEqual([
    {
      policy: 'adaptive',
      mode: 'bft',
      epoch: 1n,
      term: 2n,
      leader: Buffer.from(KEY),
      height: 3n,
      executed_height: 4n,
      members: 5n,
      f: 6n,
      report_quorum: 7n,
      fast_quorum: 8n,
      silent_tolerated: 9n,
      reachable: 10n,
      byzantine_tolerance: 1n,
      window_blocks: 11n,
    },
  ]);
});

test('ledger.alarms hides its messages from those who are no superusers', () => {
  const alarm = { number: 7, timeMs: START_MS, kind: 'fraud', message: 'member 2 has lied' };
  const ledger_alarms = JSON.stringify([alarm]);
  const shown = { number: 7n, time: micros(START_MS), kind: 'fraud', message: alarm.message };
  expect(rows('alarms', { ledger_alarms, user: 'admin' })).toEqual([shown]);
  expect(rows('alarms', { ledger_alarms, user: 'bob' })).toEqual([{ ...shown, message: null }]);
});

describe('of the chain', () => {
  const fraud: SystemRecord = { kind: 'evidence', accused: 2, proof: new Uint8Array([7, 8]) };
  const toBft: SystemRecord = { kind: 'mode', mode: 'bft', statements: [] };

  test('ledger.evidence has every system record', () => {
    applied();
    expect(rows('evidence')).toEqual([]);
    chain.append();
    const first = chain.append([fraud, toBft]);
    chain.append();
    const { epoch, ...rules } = configAfter(chain.blocks, chain.blocks.tip);
    const changed = { ...rules, members: rules.members.slice(0, 3), f: 0 };
    const second = chain.append([{ kind: 'rules', rules: changed, approvals: [] }], {
      mode: 'bft',
    });
    applied();
    const nothing = { member: null, public_key: null, mode: null, proof: null, reason: null };
    const common = { height: BigInt(first), epoch: 0n, time: micros(START_MS + first * BLOCK_MS) };
    expect(rows('evidence')).toEqual([
      {
        ...common,
        position: 0n,
        kind: 'evidence',
        member: 2n,
        public_key: Buffer.from(MEMBERS[2]!),
        mode: null,
        proof: Buffer.from([7, 8]),
        reason: null,
      },
      { ...nothing, ...common, position: 1n, kind: 'mode', mode: 'bft', reason: 'evidence' },
      {
        ...nothing,
        height: BigInt(second),
        position: 0n,
        time: micros(START_MS + second * BLOCK_MS),
        epoch: 1n,
        kind: 'rules',
        reason: 'members, f',
      },
    ]);
    expect(epoch).toBe(1);
    // A reader with an older snapshot sees what was there.
    applied(second - 1);
    expect(rows('evidence')).toHaveLength(2);
    applied(first - 1);
    expect(rows('evidence')).toEqual([]);
  });

  test('ledger.evidence tells why the mode has changed', () => {
    chain.append([toBft], { mode: 'bft' });
    const said = [new Uint8Array([1])];
    chain.append([{ kind: 'mode', mode: 'raft', statements: said }], { mode: 'bft' });
    chain.append([{ kind: 'mode', mode: 'bft', statements: said }]);
    const { epoch: _, ...rules } = configAfter(chain.blocks, chain.blocks.tip);
    for (const policy of ['raft', 'bft', 'adaptive'] as const) {
      const changed = { ...rules, policy };
      const { mode } = configAfter(chain.blocks, chain.blocks.tip);
      chain.append([{ kind: 'rules', rules: changed, approvals: [] }], { mode });
    }
    const [first, ...others] = rules.members;
    const moved = { ...rules, members: [{ ...first!, address: 'moved:1' }, ...others] };
    chain.append([{ kind: 'rules', rules: moved, approvals: [] }], { mode: 'bft' });
    applied();
    const told = rows('evidence') as Record<string, unknown>[];
    expect(told.map((row) => [row['kind'], row['mode'], row['reason']])).toEqual([
      ['mode', 'bft', 'term'],
      ['mode', 'raft', 'health'],
      ['mode', 'bft', 'suspicions'],
      ['rules', 'raft', 'policy'],
      ['rules', 'bft', 'policy'],
      ['rules', null, 'policy'],
      ['rules', null, 'addresses'],
    ]);
  });

  test('ledger.config has a row for each value that a setting has had', () => {
    chain.append();
    const barrier = chain.append([fraud, toBft]);
    chain.append();
    applied();
    const all = rows('config') as { setting: string; value: string; valid_to: bigint | null }[];
    const of = (setting: string) => all.filter((row) => row.setting === setting);
    const before = { epoch: 0n, valid_from: 0n, valid_to: BigInt(barrier + 1) };
    const after = { epoch: 1n, valid_from: BigInt(barrier + 1), valid_to: null };
    expect(of('mode')).toEqual([
      { setting: 'mode', value: 'raft', ...before },
      { setting: 'mode', value: 'bft', ...after },
    ]);
    expect(of('suspended')).toEqual([
      { setting: 'suspended', value: '[]', ...before },
      { setting: 'suspended', value: '[2]', ...after },
    ]);
    const kept = { epoch: 0n, valid_from: 0n, valid_to: null };
    expect(of('members')).toEqual([
      { setting: 'members', value: JSON.stringify(MEMBERS.map(hex)), ...kept },
    ]);
    expect(of('timeout_max_ms')).toEqual([{ setting: 'timeout_max_ms', value: '10000', ...kept }]);
    expect(of('fraud_threshold')).toEqual([{ setting: 'fraud_threshold', value: '1', ...kept }]);
    const inForce = all.filter((row) => row.valid_to === null).map(({ setting }) => setting);
    expect(new Set(inForce).size).toBe(inForce.length);
  });
});
