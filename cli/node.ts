// `trustsql node`: who the members are, and how nodes come, go and are replaced. Shell.
//
// A node becomes a member in two epochs: as an observer it fetches the blocks, then it is given a vote. So the quorums
// never count on a node that has nothing yet.

import { setTimeout as delay } from 'node:timers/promises';
import { hex } from '../ledger/bytes.ts';
import { acceptablePublicKey, PUBLIC_KEY_BYTES } from '../ledger/crypto.ts';
import type { Member, Rules } from '../ledger/epoch.ts';
import { isCaughtUp, withMembers, withNode } from '../server/governance/plan.ts';
import { isPeerAddress } from '../server/peer-options.ts';
import { sayIfSilent } from './address-check.ts';
import type { Connection } from './connect.ts';
import { CommandError, EXIT, hexOf } from './exit.ts';
import {
  carryOut,
  checkAllowed,
  planned,
  say,
  showPlans,
  showSteps,
  stateOf,
  onNode,
} from './governance.ts';
import type { ChangeFlags, NodeFlags, State, Step } from './governance.ts';
import { jsonText } from './json.ts';
import { formatTable } from './table.ts';

export interface JoiningFlags extends ChangeFlags {
  /** Seconds for a new node to catch up. */
  readonly timeout: string;
}

/** How often, in ms, it is asked how far a new node is, and how often that is said. */
const LOOK_MS = 250;
const SAY_MS = 5_000;

export function runNodeStatus(flags: NodeFlags): Promise<void> {
  return onNode(flags, async (connection) => {
    const state = await stateOf(connection);
    const nodes = rowsOf(state);
    const { epoch, term, height } = state;
    const mode = state.rules.policy === 'solo' ? null : state.mode;
    if (flags.json === true) {
      process.stdout.write(jsonText({ epoch, term, mode, height, nodes }));
      return;
    }
    const columns = ['node', 'role', 'up', 'height', 'address', 'key'].map((name, at) => ({
      name,
      rightAligned: at === 3,
    }));
    const rows = nodes.map(({ node, role, up, height: at, address, key }) => [
      node === null ? null : String(node),
      role,
      up ? 'yes' : 'no',
      at === null ? null : String(at),
      address,
      key,
    ]);
    process.stdout.write(
      `${formatTable({ columns, rows })}\n` +
        `Epoch ${epoch}, ${mode === null ? 'solo' : `term ${term}, ${mode} mode`}, block ${height}.\n`,
    );
  });
}

function rowsOf({ rules, nodes, leader, suspended }: State) {
  const row = ({ publicKey, address }: Member, node: number | null) => {
    const key = hex(publicKey);
    const seen = nodes.find((each) => each.key === key);
    return {
      node,
      role: 'observer',
      up: seen?.up ?? false,
      height: seen?.height ?? null,
      address,
      key,
    };
  };
  return [
    ...rules.members.map((member, index) => {
      const key = hex(member.publicKey);
      const voting = suspended.includes(key) ? 'suspended' : 'member';
      const leading = rules.policy === 'solo' ? 'solo' : 'leader';
      return { ...row(member, index + 1), role: key === leader ? leading : voting };
    }),
    ...rules.observers.map((observer) => row(observer, null)),
  ];
}

export function runNodeAdd(
  text: string,
  flags: JoiningFlags & { readonly observer?: boolean },
): Promise<void> {
  const newcomer = newcomerOf(text);
  return onNode(flags, async (connection) => {
    const { rules } = await stateOf(connection);
    if (has(rules.members, newcomer)) {
      throw new CommandError(EXIT.usage, 'this node is a member already');
    }
    checkAddress(rules, newcomer);
    const voting =
      flags.observer === true
        ? null
        : (now: Rules): Rules => withMembers(without(now, newcomer), [...now.members, newcomer]);
    await join(connection, newcomer, voting, flags);
  });
}

export function runNodeReplace(old: string, text: string, flags: JoiningFlags): Promise<void> {
  const newcomer = newcomerOf(text);
  return onNode(flags, async (connection) => {
    const { rules } = await stateOf(connection);
    const place = listedAs(rules, old);
    if (place.role !== 'member') throw new CommandError(EXIT.usage, `${old} is no member`);
    if (has(rules.members, newcomer)) {
      throw new CommandError(EXIT.usage, 'the new node is a member already');
    }
    const { member } = place;
    await join(
      connection,
      newcomer,
      (now) => ({
        ...without(now, newcomer),
        members: now.members.map((each) => (isSame(each, member) ? newcomer : each)),
      }),
      flags,
    );
  });
}

export function runNodeRemove(
  node: string,
  flags: ChangeFlags & { readonly observer?: boolean },
): Promise<void> {
  return onNode(flags, async (connection) => {
    const state = await stateOf(connection);
    const { role, member } = listedAs(state.rules, node);
    if (role === 'observer' && flags.observer === true) {
      throw new CommandError(EXIT.usage, `${node} is an observer already`);
    }
    const others = without(state.rules, member);
    const members = others.members.filter((each) => !isSame(each, member));
    if (members.length === 0) {
      throw new CommandError(EXIT.usage, 'the last member cannot be taken out');
    }
    const observers = flags.observer === true ? [...others.observers, member] : others.observers;
    const rules = withMembers({ ...others, observers }, members);
    if (flags.plan === true) return showPlans([planned(state, rules)], flags);
    showSteps([await carryOut(connection, state, rules, flags)], flags);
  });
}

export function runNodeMove(node: string, address: string, flags: ChangeFlags): Promise<void> {
  if (!isPeerAddress(address)) {
    throw new CommandError(EXIT.usage, `"${address}" is not <host>:<port>`);
  }
  return onNode(flags, async (connection) => {
    const state = await stateOf(connection);
    const { publicKey } = listedAs(state.rules, node).member;
    checkAddress(state.rules, { publicKey, address });
    const rules = withNode(state.rules, publicKey, { address });
    if (flags.plan === true) return showPlans([planned(state, rules)], flags);
    showSteps([await carryOut(connection, state, rules, flags)], flags);
  });
}

/** Two nodes at one address: one of them would be waited for in vain. @throws CommandError 2 */
function checkAddress({ members, observers }: Rules, node: Member): void {
  const tenant = [...members, ...observers].find(
    (each) => each.address === node.address && !isSame(each, node),
  );
  if (tenant === undefined) return;
  const key = hex(tenant.publicKey);
  throw new CommandError(EXIT.usage, `${node.address} is the address of node ${key}`);
}

/** Makes a node an observer, waits until it has the blocks, then gives it its vote; what is done already is left out. */
async function join(
  connection: Connection,
  newcomer: Member,
  voting: ((rules: Rules) => Rules) | null,
  flags: JoiningFlags,
): Promise<void> {
  const seconds = Number(flags.timeout);
  if (!(seconds > 0)) {
    throw new CommandError(EXIT.usage, '--timeout: a number of seconds is expected');
  }
  const state = await stateOf(connection);
  const observes = has(state.rules.observers, newcomer);
  const observing: Rules = {
    ...state.rules,
    observers: [...without(state.rules, newcomer).observers, newcomer],
  };
  // With all blocks, as it will be when it is given its vote.
  const later = voting === null ? [] : [planned(present(state, newcomer), voting(state.rules))];
  await sayIfSilent(newcomer.address);
  if (flags.plan === true) {
    return showPlans(observes ? later : [planned(state, observing), ...later], flags);
  }
  for (const plan of later) checkAllowed(plan, flags);
  const steps: Step[] = [];
  const direct = voting !== null && (flags.force === true || observes);
  if (!direct) steps.push(await carryOut(connection, state, observing, flags));
  if (voting !== null && (direct || flags.out === undefined)) {
    if (flags.force !== true) await caughtUp(connection, newcomer, seconds);
    const now = await stateOf(connection);
    steps.push(await carryOut(connection, now, voting(now.rules), flags));
  }
  showSteps(steps, flags);
  if (voting !== null && !direct && flags.out !== undefined) {
    say('Once it observes, do the same again: that gives it its vote.');
  }
}

function present(state: State, { publicKey }: Member): State {
  const key = hex(publicKey);
  const others = state.nodes.filter((node) => node.key !== key);
  return { ...state, nodes: [...others, { key, up: true, height: state.height }] };
}

async function caughtUp(connection: Connection, node: Member, seconds: number): Promise<void> {
  const key = hex(node.publicKey);
  const end = performance.now() + seconds * 1_000;
  let saidAt = -Infinity;
  for (;;) {
    const { nodes, height } = await stateOf(connection);
    const seen = nodes.find((each) => each.key === key);
    if (isCaughtUp(seen, height)) return;
    const where = seen?.up === true ? `at block ${seen.height ?? 0} of ${height}` : 'not connected';
    const now = performance.now();
    if (now > end) {
      throw new CommandError(
        EXIT.unavailable,
        `the new node has not caught up in ${seconds} s: it is ${where}. ` +
          'It stays an observer; the same command goes on from here.',
      );
    }
    if (now - saidAt >= SAY_MS) {
      saidAt = now;
      say(`waiting for the new node to catch up: ${where}`);
    }
    await delay(LOOK_MS);
  }
}

/** @throws CommandError 2 */
function newcomerOf(text: string): Member {
  const [, key, address] = /^([^@]*)@(.*)$/.exec(text) ?? [];
  if (key === undefined || !isPeerAddress(address!)) {
    const form = '<64 hexadecimal digits of the node key>@<host>:<port>';
    throw new CommandError(EXIT.usage, `"${text}" is not ${form}`);
  }
  const publicKey = hexOf('node key', key, PUBLIC_KEY_BYTES);
  if (acceptablePublicKey(publicKey)) return { publicKey, address: address! };
  throw new CommandError(EXIT.usage, `${key} is not a key that can sign`);
}

/** A member by its number in `node status` or by its key, or an observer by its key. */
function listedAs(
  { members, observers }: Rules,
  text: string,
): { readonly role: 'member' | 'observer'; readonly member: Member } {
  const named = ({ publicKey }: Member): boolean => hex(publicKey) === text.toLowerCase();
  const numbered = /^\d{1,3}$/.test(text) ? members[Number(text) - 1] : undefined;
  const member = numbered ?? members.find(named);
  if (member !== undefined) return { role: 'member', member };
  const observer = observers.find(named);
  if (observer !== undefined) return { role: 'observer', member: observer };
  throw new CommandError(
    EXIT.usage,
    `${text}: there is no such node; give its number or its key, as trustsql node status shows them`,
  );
}

function isSame(a: Member, b: Member): boolean {
  return hex(a.publicKey) === hex(b.publicKey);
}

function has(members: readonly Member[], member: Member): boolean {
  return members.some((each) => isSame(each, member));
}

/** Rules in which a node does not observe. */
function without(rules: Rules, node: Member): Rules {
  return { ...rules, observers: rules.observers.filter((each) => !isSame(each, node)) };
}
