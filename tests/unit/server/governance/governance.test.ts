// Rules as settings, changes as files, and what a plan says of them.

import { describe, expect, test } from '@jest/globals';
import { decodeChange, encodeChange } from '../../../../consensus/rules-change.ts';
import { hex } from '../../../../ledger/bytes.ts';
import { encodeRules } from '../../../../ledger/encoding-vote.ts';
import { genesisConfig, soloFault } from '../../../../ledger/epoch.ts';
import type { Member, Rules } from '../../../../ledger/epoch.ts';
import { faultsMax } from '../../../../ledger/quorum.ts';
import { formatChange, parseChange } from '../../../../server/governance/change.ts';
import {
  CAUGHT_UP_BLOCKS,
  planOf,
  withNode,
  withMembers,
} from '../../../../server/governance/plan.ts';
import type { Seen, Standing } from '../../../../server/governance/plan.ts';
import {
  faultOfRules,
  rulesOfSettings,
  settingsOf,
  textOfSetting,
  withSetting,
} from '../../../../server/governance/rule-settings.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';

const HEIGHT = 1_000;

function keyOf(number: number): Uint8Array {
  return crypto.publicKeyOf(new Uint8Array(32).fill(number));
}

function members(count: number): Member[] {
  return Array.from({ length: count }, (_, i) => ({
    publicKey: keyOf(i + 1),
    address: `node${i + 1}.example:5533`,
  }));
}

function rulesOf(count: number, changes: Partial<Rules> = {}): Rules {
  const catalog = [] as const;
  const config = genesisConfig({
    nodes: members(count),
    consensus: 'adaptive',
    catalog,
    createdMs: 0,
  });
  const { observers, f, policy, window, thresholds, timers } = config;
  const governance = { keys: [keyOf(90), keyOf(91)], needed: 1 };
  const rules = { observers, f, policy, window, thresholds, timers, governance };
  return { ...rules, members: config.members, ...changes };
}

/** All of so many nodes at the tip, but those that are said to be otherwise. */
function standing(
  rules: Rules,
  nodes: number,
  others: Record<number, Partial<Seen>> = {},
): Standing {
  return {
    rules,
    leader: hex(keyOf(1)),
    height: HEIGHT,
    nodes: Array.from({ length: nodes }, (_, i) => {
      const key = hex(keyOf(i + 1));
      return { key, up: true, height: HEIGHT, ...others[i + 1] };
    }),
  };
}

const DOWN = { up: false, height: null };

describe('settings', () => {
  test('say all of the rules: what is read back is the same', () => {
    const observer = { publicKey: keyOf(9), address: '' };
    const rules = rulesOf(4, { observers: [observer], window: 7 });
    const read = rulesOfSettings(JSON.parse(JSON.stringify(settingsOf(rules))));
    expect(encodeRules(read)).toEqual(encodeRules(rules));
    expect(textOfSetting(settingsOf(rules)['observers'])).toBe(hex(keyOf(9)));
  });

  test('each can be given as text, and changes itself alone', () => {
    const rules = rulesOf(7);
    const before = settingsOf(rules);
    for (const [name, value] of Object.entries(before)) {
      if (typeof value !== 'number') continue;
      const next = value === 2 ? 1 : 2;
      expect(settingsOf(withSetting(rules, name, String(next)))).toEqual({
        ...before,
        [name]: next,
      });
    }
    expect(withSetting(rules, 'policy', 'bft').policy).toBe('bft');
    const keys = [keyOf(5), keyOf(6)];
    expect(withSetting(rules, 'governance_keys', keys.map(hex).join(', ')).governance).toEqual({
      keys,
      needed: 1,
    });
  });

  test.each([
    ['policy', 'none', 'policy: solo, raft, bft, adaptive are possible, "none" is not'],
    ['f', '-1', 'f: a whole number from 0 to 85 is expected, not "-1"'],
    ['window_blocks', '65', 'window_blocks: a whole number from 1 to 64 is expected, not 65'],
    ['heartbeat_ms', '1e3', 'heartbeat_ms: a whole number from 1 to 86400000'],
    ['heartbeat_ms', '', 'heartbeat_ms: a whole number'],
    ['governance_keys', 'ab', 'governance_keys: "ab" is not a public key'],
    ['governance_keys', '01'.padEnd(64, '0'), 'governance_keys: '],
    ['members', '', 'members: trustsql node add, remove and replace change it'],
    [
      'policies',
      'bft',
      'policies: there is no such setting; there are policy, governance_keys, f,',
    ],
  ])('%s cannot be %j', (name, text, message) => {
    expect(() => withSetting(rulesOf(4), name, text)).toThrow(message);
  });

  test.each<[string, unknown, string]>([
    ['window_blocks', undefined, 'window_blocks: a whole number'],
    ['window_blocks', 1.5, 'window_blocks: a whole number'],
    ['governance_keys', 'all', 'governance_keys: a list'],
    [
      'members',
      [{ key: hex(keyOf(1)), address: 'nowhere' }],
      'members: "nowhere" is not <host>:<port>',
    ],
    ['members', [null], 'members: nothing is not a public key'],
    ['more', 1, 'more: there is no such setting'],
  ])('of a file: %s as %j is refused', (name, value, message) => {
    expect(() => rulesOfSettings({ ...settingsOf(rulesOf(4)), [name]: value })).toThrow(message);
  });

  test('of a file must all be there', () => {
    const { f: _, ...others } = settingsOf(rulesOf(4));
    expect(() => rulesOfSettings(others)).toThrow('f is missing');
    expect(() => rulesOfSettings(null)).toThrow('rules are missing');
  });
});

describe('rules', () => {
  test.each<[string, Partial<Rules>, string | null]>([
    ['that hold', {}, null],
    ['without members', { members: [] }, 'members: there must be one'],
    ['with a node that is both', { observers: members(1) }, 'members: a node is listed twice'],
    [
      'with more that lie than can be borne',
      { f: 2 },
      'f: 4 members cannot bear 2 that lie, but 1',
    ],
    [
      'that nobody could ever change',
      { governance: { keys: [keyOf(90)], needed: 2 } },
      'governance_needed: 2 of 1 keys could never approve anything',
    ],
    [
      'where one key counts twice',
      { governance: { keys: [keyOf(90), keyOf(90)], needed: 2 } },
      'governance_keys: a key is listed twice',
    ],
    [
      'where a leader is suspected between two heartbeats',
      { timers: { ...rulesOf(4).timers, heartbeatMs: 201 } },
      'heartbeat_ms: 2 heartbeats must fit',
    ],
  ])('%s', (_name, changes, fault) => {
    const found = faultOfRules(rulesOf(4, changes));
    if (fault === null) expect(found).toBeNull();
    else expect(found).toContain(fault);
  });
});

describe('solo', () => {
  const solo = rulesOf(1, { policy: 'solo' });
  const raft = rulesOf(1, { policy: 'raft' });
  const [one, two] = members(2) as [Member, Member];
  test.each<[string, Rules, Rules, string | null]>([
    ['becomes a cluster of its member', solo, raft, null],
    ['follows a cluster of its member', raft, solo, null],
    [
      'keeps its member at another address',
      solo,
      withNode(solo, keyOf(1), { address: 'a:1' }),
      null,
    ],
    ['has no second member', solo, rulesOf(2), 'policy=raft has room'],
    ['has no other member', solo, { ...solo, members: [two] }, 'policy=raft has room'],
    ['has nobody who observes', solo, { ...solo, observers: [two] }, 'policy=raft has room'],
    ['does not follow several', rulesOf(2), solo, 'take the others out first'],
    ['does not follow another', { ...raft, members: [two] }, solo, 'take the others out first'],
    ['says nothing of clusters', rulesOf(4), rulesOf(2), null],
  ])('%s', (_name, before, after, fault) => {
    const found = soloFault(before, after);
    if (fault === null) expect(found).toBeNull();
    else expect(found).toContain(fault);
  });

  test('is planned as any other policy, with what it means', () => {
    const plan = planOf(standing(raft, 1), solo);
    expect(plan.refusals).toEqual([]);
    expect(plan.risks).toEqual([
      'all members that can be reached are needed: the ledger stops with the next one',
      expect.stringContaining('one node signs alone'),
    ]);
    expect(planOf(standing(solo, 1), raft).after).toMatchObject({ members: 1, needed: 1 });
  });

  test('and a cluster take another address of a node', () => {
    const observed = { ...rulesOf(1), observers: [two] };
    const moved = withNode(withNode(observed, keyOf(2), { address: 'b:2' }), keyOf(1), {
      address: 'a:1',
    });
    expect(moved.members).toEqual([{ ...one, address: 'a:1' }]);
    expect(moved.observers).toEqual([{ ...two, address: 'b:2' }]);
  });
});

describe('a change', () => {
  const change = {
    chainId: new Uint8Array(32).fill(1),
    epoch: 3,
    rules: rulesOf(4),
    approvals: [{ key: keyOf(90), signature: new Uint8Array(64).fill(2) }],
  };

  test('is read as it was written', () => {
    expect(parseChange(formatChange(change))).toEqual(change);
  });

  test.each<[string, unknown, string]>([
    ['format', 'trustsql node', 'not a text of the format "trustsql rules", version 1'],
    ['version', 2, 'not a text of the format'],
    ['epoch', -1, 'epoch: a whole number is expected'],
    ['chainId', 'ab', 'chainId: 64 hexadecimal digits are expected'],
    ['approvals', {}, 'approvals: a list'],
    ['approvals', [{ key: hex(keyOf(90)), signature: 'ab' }], 'approvals: 128 hexadecimal digits'],
    ['approvals', [null], 'approvals: 64 hexadecimal digits'],
    ['rules', {}, 'policy is missing'],
  ])('with another %s is refused', (name, value, message) => {
    const fields = JSON.parse(formatChange(change)) as object;
    expect(() => parseChange(JSON.stringify({ ...fields, [name]: value }))).toThrow(message);
    expect(() => parseChange('{')).toThrow('not a text of the format');
  });

  test('travels between nodes, and nothing else in its place', () => {
    const { rules, approvals } = change;
    const encoded = encodeChange({ rules, approvals });
    expect(decodeChange(encoded)).toMatchObject({ rules, approvals });
    expect(decodeChange(encoded.subarray(1))).toBeNull();
    expect(decodeChange(new Uint8Array(300_000))).toBeNull();
    expect(decodeChange(new Uint8Array([0x80]))).toBeNull();
  });
});

describe('a plan', () => {
  test('of a fifth member says the quorums before and after', () => {
    const rules = rulesOf(4);
    const five = withMembers(rules, members(5));
    const plan = planOf(standing(rules, 5), five);
    expect(plan.before).toEqual({
      policy: 'adaptive',
      members: 4,
      f: 1,
      report: 3,
      fast: 3,
      needed: 3,
      reachable: 4,
    });
    expect(plan.after).toMatchObject({ members: 5, f: 1, report: 4, fast: 4, reachable: 5 });
    expect(plan.changes.map(({ setting }) => setting)).toEqual(['members']);
    expect([plan.refusals, plan.risks, plan.unreachable]).toEqual([[], [], []]);
  });

  test('refuses a member that is not there, or is behind', () => {
    const rules = rulesOf(4);
    const five = withMembers(rules, members(5));
    const key = hex(keyOf(5));
    expect(planOf(standing(rules, 4), five).refusals).toEqual([`${key} is not connected`]);
    const near = HEIGHT - CAUGHT_UP_BLOCKS;
    expect(planOf(standing(rules, 5, { 5: { height: near } }), five).refusals).toEqual([]);
    for (const height of [near - 1, null]) {
      expect(planOf(standing(rules, 5, { 5: { height } }), five).refusals).toEqual([
        expect.stringContaining(`${key} has not caught up: it is at block ${height ?? 0} of 1000`),
      ]);
    }
  });

  test('lets a member be renewed that has the blocks, and counts it as silent until it is back', () => {
    const renewedOf = (count: number) => {
      const rules = rulesOf(count);
      const [first, ...others] = members(count);
      const renewed = hex(keyOf(9));
      const after = { ...rules, members: [{ ...first!, publicKey: keyOf(9) }, ...others] };
      return planOf({ ...standing(rules, count), renewed }, after);
    };
    const four = renewedOf(4);
    expect([four.refusals, four.after.reachable]).toEqual([[], 3]);
    expect(four.risks).toContain('the node with the new key is silent until it is started again');
    expect(renewedOf(2).refusals).toEqual([
      'the ledger would stop: 2 of 2 members are needed then, and 1 can be reached',
    ]);
  });

  test('refuses what the nodes that are there could not carry on with', () => {
    const rules = rulesOf(4);
    const three = withMembers(rules, members(4).slice(1));
    expect(planOf(standing(rules, 4), three)).toMatchObject({ refusals: [], after: { f: 0 } });
    // Two of three are there: they are the majority, and the last one.
    const one = planOf(standing(rules, 4, { 2: DOWN }), three);
    expect(one.refusals).toEqual([]);
    expect(one.risks).toContain(
      'all members that can be reached are needed: the ledger stops with the next one',
    );
    expect(one.unreachable).toEqual([hex(keyOf(2))]);
    // One of three, and two of four cannot even confirm the change.
    const two = planOf(standing(rules, 4, { 2: DOWN, 3: DOWN }), three);
    expect(two.refusals).toEqual([
      '3 of the 4 members must confirm the change, and 2 can be reached',
      'the ledger would stop: 2 of 3 members are needed then, and 1 can be reached',
    ]);
  });

  test('counts the bigger quorum of raft mode where no other mode can follow', () => {
    const rules = rulesOf(7);
    const seen = standing(rules, 7, { 6: DOWN, 7: DOWN });
    expect(planOf(seen, { ...rules, policy: 'raft' }).refusals).toEqual([
      'the ledger would stop: 6 of 7 members are needed then, and 5 can be reached',
    ]);
    expect(planOf(seen, { ...rules, policy: 'bft' }).refusals).toEqual([]);
    const one = planOf(
      standing(rulesOf(10), 10, { 9: DOWN, 10: DOWN }),
      rulesOf(10, { window: 5 }),
    );
    expect(one.risks).toContain(
      'raft mode needs 9 members, and 8 can be reached: bft mode follows',
    );
  });

  test('names what could break', () => {
    const rules = rulesOf(4);
    const risks = (next: Rules): readonly string[] => planOf(standing(rules, 5), next).risks;
    expect(risks(withMembers(rules, members(4).slice(1)))).toEqual([
      'f falls from 1 to 0: a lying node is then seen and proven, not prevented',
      'the member that leads is taken out: another one takes over',
    ]);
    expect(risks({ ...rules, f: 0 })).toContain('f is 0, and 4 members could bear 1 that lie');
    const governance = { keys: [keyOf(90), keyOf(91)], needed: 2 };
    expect(risks({ ...rules, governance })).toEqual([
      'all governing keys are needed: with one that is lost the rules stay for ever',
    ]);
    expect(risks({ ...rules, governance: { keys: [keyOf(80)], needed: 1 } })).toEqual([
      'those who govern now can no longer change the rules by themselves',
    ]);
  });

  test('lets follow what followed from the number of members, and nothing that was chosen', () => {
    for (let n = 1; n <= 10; n++) {
      for (let next = 1; next <= 10; next++) {
        const changed = withMembers(rulesOf(n), members(next));
        expect(changed).toMatchObject({ f: faultsMax(next) });
        expect(changed.thresholds).toEqual(rulesOf(next).thresholds);
        expect(faultOfRules(changed)).toBeNull();
      }
    }
    const thresholds = { ...rulesOf(7).thresholds, faults: 5 };
    const chosen = withMembers(rulesOf(7, { f: 1, thresholds }), members(10));
    expect(chosen).toMatchObject({ f: 1, thresholds });
    expect(withMembers(rulesOf(7, { f: 1 }), members(3)).f).toBe(0);
  });
});
