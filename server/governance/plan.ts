// What a change of the rules does to the cluster, said before it is done: quorums, faults borne, who is there. Pure.
//
// (1) It is judged by what one node sees at one moment.
// (2) Refused is what the nodes that are there could not carry on with, or could not even confirm.

import { equal, hex } from '../../ledger/bytes.ts';
import type { Member, Rules } from '../../ledger/epoch.ts';
import { quorumsOf } from '../../ledger/epoch.ts';
import { faultsMax, quorums } from '../../ledger/quorum.ts';
import { settingsOf, textOfSetting } from './rule-settings.ts';

/** A new member may be so many blocks behind: less than a second of a busy ledger, and within one answer to `sync`. */
export const CAUGHT_UP_BLOCKS = 64;

/** A node as another one sees it. */
export interface Seen {
  /** Public key in hexadecimal. */
  readonly key: string;
  readonly up: boolean;
  /** Newest confirmed height that it has told of; null when it has told of none. */
  readonly height: number | null;
}

/** Where a cluster stands, by the word of one node. */
export interface Standing {
  readonly rules: Rules;
  /** Key of the member that leads, in hexadecimal; null while none does. */
  readonly leader: string | null;
  /** Newest confirmed height of the node asked. */
  readonly height: number;
  readonly nodes: readonly Seen[];
  /** Key that a node with all the blocks has once it is started again. */
  readonly renewed?: string | undefined;
}

/** What members bear under rules. */
export interface Bearing {
  readonly policy: Rules['policy'];
  readonly members: number;
  readonly f: number;
  /** Members that confirm new terms and new rules, and blocks in bft mode. */
  readonly report: number;
  /** Members that confirm blocks in raft mode. */
  readonly fast: number;
  /** Members without which the ledger stops: `fast` where there is no bft mode, else `report`. */
  readonly needed: number;
  /** Members that are there now. */
  readonly reachable: number;
}

export interface Plan {
  readonly before: Bearing;
  readonly after: Bearing;
  /** Settings that change. */
  readonly changes: readonly {
    readonly setting: string;
    readonly from: string;
    readonly to: string;
  }[];
  /** Keys of members to be that are not there. */
  readonly unreachable: readonly string[];
  /** What could break. */
  readonly risks: readonly string[];
  /** Why it is not done unless it is forced; empty when it may be done. */
  readonly refusals: readonly string[];
}

export function planOf(standing: Standing, rules: Rules): Plan {
  const { rules: old } = standing;
  const up = new Set(standing.nodes.filter((node) => node.up).map(({ key }) => key));
  const before = bearingOf(old, up);
  const after = bearingOf(rules, up);
  const keys = rules.members.map(keyOf);
  return {
    before,
    after,
    changes: changesOf(old, rules),
    unreachable: keys.filter((key) => !up.has(key)),
    risks: risksOf(standing, rules, before, after),
    refusals: [...quorumRefusals(before, after), ...newcomerRefusals(standing, rules)],
  };
}

function keyOf({ publicKey }: Member): string {
  return hex(publicKey);
}

function bearingOf(rules: Rules, up: ReadonlySet<string>): Bearing {
  const { policy, members, f } = rules;
  const { report, fast } = quorumsOf(rules);
  const needed = policy === 'raft' ? fast : report;
  const reachable = members.filter((member) => up.has(keyOf(member))).length;
  return { policy, members: members.length, f, report, fast, needed, reachable };
}

function changesOf(old: Rules, rules: Rules): Plan['changes'] {
  const before = settingsOf(old);
  return Object.entries(settingsOf(rules))
    .map(([setting, value]) => ({
      setting,
      from: textOfSetting(before[setting]),
      to: textOfSetting(value),
    }))
    .filter(({ from, to }) => from !== to);
}

function quorumRefusals(before: Bearing, after: Bearing): string[] {
  const refusals: string[] = [];
  if (before.reachable < before.report) {
    refusals.push(
      `${before.report} of the ${before.members} members must confirm the change, ` +
        `and ${before.reachable} can be reached`,
    );
  }
  if (after.reachable < after.needed) {
    refusals.push(
      `the ledger would stop: ${after.needed} of ${after.members} members are needed then, ` +
        `and ${after.reachable} can be reached`,
    );
  }
  return refusals;
}

/** Who becomes a member must be there, and have the blocks. */
export function newcomerRefusals(
  { rules, height, nodes, renewed }: Omit<Standing, 'leader'>,
  { members: next }: Pick<Rules, 'members'>,
): string[] {
  const members = new Set(rules.members.map(keyOf));
  return next
    .map(keyOf)
    .filter((key) => !members.has(key) && key !== renewed)
    .flatMap((key) => {
      const seen = nodes.find((node) => node.key === key);
      if (seen?.up !== true) return [`${key} is not connected`];
      if (isCaughtUp(seen, height)) return [];
      const at = seen.height ?? 0;
      return [
        `${key} has not caught up: it is at block ${at} of ${height}, and may lack ${CAUGHT_UP_BLOCKS}`,
      ];
    });
}

/** Whether a node has so many of the blocks that it may become a member. */
export function isCaughtUp(seen: Seen | undefined, height: number): boolean {
  return seen?.up === true && seen.height !== null && seen.height + CAUGHT_UP_BLOCKS >= height;
}

function risksOf(standing: Standing, rules: Rules, before: Bearing, after: Bearing): string[] {
  const { governance } = rules;
  const risks: string[] = [];
  if (after.f < before.f) {
    risks.push(
      after.f === 0
        ? `f falls from ${before.f} to 0: a lying node is then seen and proven, not prevented`
        : `f falls from ${before.f} to ${after.f}: fewer lying nodes are borne`,
    );
  }
  const highest = faultsMax(after.members);
  if (after.f < highest) {
    risks.push(`f is ${after.f}, and ${after.members} members could bear ${highest} that lie`);
  }
  if (after.reachable === after.needed) {
    risks.push('all members that can be reached are needed: the ledger stops with the next one');
  } else if (after.reachable < after.fast && after.reachable >= after.needed) {
    risks.push(
      after.policy === 'bft'
        ? `${after.members - after.reachable} members are silent already`
        : `raft mode needs ${after.fast} members, and ${after.reachable} can be reached: bft mode follows`,
    );
  }
  const { leader, renewed } = standing;
  if (renewed !== undefined) {
    risks.push('the node with the new key is silent until it is started again');
  }
  if (after.policy === 'solo' && before.policy !== 'solo') {
    risks.push(
      'one node signs alone: nobody else checks what it orders, or has it when its disk is lost',
    );
  }
  if (leader !== null && !rules.members.some((member) => keyOf(member) === leader)) {
    risks.push('the member that leads is taken out: another one takes over');
  }
  if (governance.needed === governance.keys.length && governance.keys.length > 1) {
    risks.push('all governing keys are needed: with one that is lost the rules stay for ever');
  }
  const { keys } = standing.rules.governance;
  const kept = governance.keys.filter((key) => keys.some((old) => hex(old) === hex(key)));
  if (kept.length < governance.needed && kept.length < keys.length) {
    risks.push('those who govern now can no longer change the rules by themselves');
  }
  return risks;
}

/** The rules with another address or key of a member or an observer, in its place. */
export function withNode(rules: Rules, publicKey: Uint8Array, changes: Partial<Member>): Rules {
  const changed = (nodes: readonly Member[]): Member[] =>
    nodes.map((node) => (equal(node.publicKey, publicKey) ? { ...node, ...changes } : node));
  return { ...rules, members: changed(rules.members), observers: changed(rules.observers) };
}

/** Other members; what followed from their number follows it: f, and the faults that justify bft mode. */
export function withMembers(rules: Rules, members: readonly Member[]): Rules {
  const [n, next] = [rules.members.length, members.length];
  const f = rules.f === faultsMax(n) ? faultsMax(next) : Math.min(rules.f, faultsMax(next));
  const derived = rules.thresholds.faults === quorums(n, rules.f).silent;
  const faults = derived ? quorums(next, f).silent : rules.thresholds.faults;
  return { ...rules, members, f, thresholds: { ...rules.thresholds, faults } };
}
