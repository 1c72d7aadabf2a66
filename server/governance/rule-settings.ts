// The rules of a chain as settings with names and texts: what a person reads, changes, and finds in a file. Pure.
//
// (1) Names are those of `ledger.config`.
// (2) Rules that pass `faultOfRules` can be put on the chain, and can be changed again by those who govern it.

import { hex, tryFromHex } from '../../ledger/bytes.ts';
import { acceptablePublicKey, PUBLIC_KEY_BYTES } from '../../ledger/crypto.ts';
import type { Member, Rules, Thresholds, Timers } from '../../ledger/epoch.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { faultsMax } from '../../ledger/quorum.ts';
import { isPeerAddress } from '../peer-options.ts';

/** What is wrong with a setting; the message begins with its name. */
export class SettingError extends Error {
  override readonly name = 'SettingError';
}

export function isSettingError(error: unknown): error is SettingError {
  return Error.isError(error) && error.name === 'SettingError';
}

const POLICIES = ['solo', 'raft', 'bft', 'adaptive'] as const;

/** Longest of the timers: a day. */
const MS_MAX = 86_400_000;
const BLOCKS_MAX = 1_000_000_000;
/** Of clients whose complaints are counted at all (consensus/limits.ts). */
const COMPLAINTS_MAX = 1_024;

interface NumberSetting {
  readonly min: number;
  readonly max: number;
  readonly read: (rules: Rules) => number;
  readonly write: (rules: Rules, value: number) => Rules;
}

function timer(name: keyof Timers, min = 1, max = MS_MAX): NumberSetting {
  return {
    min,
    max,
    read: ({ timers }) => timers[name],
    write: (rules, value) => ({ ...rules, timers: { ...rules.timers, [name]: value } }),
  };
}

function threshold(name: keyof Thresholds, min: number, max: number): NumberSetting {
  return {
    min,
    max,
    read: ({ thresholds }) => thresholds[name],
    write: (rules, value) => ({ ...rules, thresholds: { ...rules.thresholds, [name]: value } }),
  };
}

const NUMBERS: Readonly<Record<string, NumberSetting>> = {
  f: {
    min: 0,
    max: faultsMax(LIMITS.nodesMax),
    read: ({ f }) => f,
    write: (rules, f) => ({ ...rules, f }),
  },
  window_blocks: {
    min: 1,
    max: LIMITS.windowMax,
    read: ({ window }) => window,
    write: (rules, window) => ({ ...rules, window }),
  },
  governance_needed: {
    min: 1,
    max: LIMITS.nodesMax,
    read: ({ governance }) => governance.needed,
    write: (rules, needed) => ({ ...rules, governance: { ...rules.governance, needed } }),
  },
  fraud_threshold: threshold('fraud', 1, LIMITS.nodesMax),
  faults_threshold: threshold('faults', 0, LIMITS.nodesMax),
  complaints_threshold: threshold('complaints', 1, COMPLAINTS_MAX),
  heartbeat_ms: timer('heartbeatMs'),
  election_ms: timer('electionMs'),
  progress_ms: timer('progressMs'),
  open_ms: timer('openMs'),
  fast_ms: timer('fastMs'),
  timeout_max_ms: timer('timeoutMaxMs'),
  dwell_ms: timer('dwellMs', 0),
  dwell_blocks: timer('dwellBlocks', 0, BLOCKS_MAX),
};

/** Timeouts after which a leader is suspected: several heartbeats must fit into each. */
const TIMEOUTS = ['electionMs', 'progressMs', 'openMs'] as const;
const HEARTBEATS_MIN = 2;

/** All rules by name, as JSON takes them. */
export function settingsOf(rules: Rules): Record<string, unknown> {
  const { policy, members, observers, governance } = rules;
  return {
    policy,
    members: members.map(shownMember),
    observers: observers.map(shownMember),
    governance_keys: governance.keys.map(hex),
    ...Object.fromEntries(Object.entries(NUMBERS).map(([name, { read }]) => [name, read(rules)])),
  };
}

function shownMember({ publicKey, address }: Member): { key: string; address: string } {
  return { key: hex(publicKey), address };
}

/** The value of a setting in one line. */
export function textOfSetting(value: unknown): string {
  if (!Array.isArray(value)) return String(value);
  const texts = value.map((each: unknown) => {
    if (typeof each === 'string') return each;
    const { key, address } = each as { key: string; address: string };
    return address === '' ? key : `${key}@${address}`;
  });
  return texts.join(',');
}

const BLANK: Rules = {
  members: [],
  observers: [],
  f: 0,
  policy: 'raft',
  window: 1,
  governance: { keys: [], needed: 1 },
  thresholds: { fraud: 1, faults: 0, complaints: 1 },
  timers: {
    heartbeatMs: 1,
    electionMs: 1,
    progressMs: 1,
    openMs: 1,
    fastMs: 1,
    timeoutMaxMs: 1,
    dwellMs: 0,
    dwellBlocks: 0,
  },
};

/** The rules that `settingsOf` gave; each setting must be there, and no other. @throws SettingError */
export function rulesOfSettings(value: unknown): Rules {
  if (typeof value !== 'object' || value === null) throw new SettingError('rules are missing');
  const given = value as Readonly<Record<string, unknown>>;
  const known = Object.keys(settingsOf(BLANK));
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new SettingError(`${unknown}: there is no such setting`);
  const missing = known.find((name) => !(name in given));
  if (missing !== undefined) throw new SettingError(`${missing} is missing`);
  let rules: Rules = {
    ...BLANK,
    policy: policyOf(given['policy']),
    members: listOf('members', given['members'], memberOf),
    observers: listOf('observers', given['observers'], memberOf),
    governance: { keys: listOf('governance_keys', given['governance_keys'], keyOf), needed: 1 },
  };
  for (const [name, { write }] of Object.entries(NUMBERS)) {
    rules = write(rules, numberOf(name, given[name]));
  }
  return rules;
}

/** The rules with one setting given as text, as on a command line. @throws SettingError */
export function withSetting(rules: Rules, name: string, text: string): Rules {
  const number = NUMBERS[name];
  if (number !== undefined) {
    return number.write(rules, numberOf(name, /^\d+$/.test(text) ? Number(text) : text));
  }
  if (name === 'policy') return { ...rules, policy: policyOf(text) };
  if (name === 'governance_keys') {
    const keys = text.split(',').map((key) => keyOf(name, key.trim()));
    return { ...rules, governance: { ...rules.governance, keys } };
  }
  if (name === 'members' || name === 'observers') {
    throw new SettingError(`${name}: trustsql node add, remove and replace change it`);
  }
  const names = ['policy', 'governance_keys', ...Object.keys(NUMBERS)].join(', ');
  throw new SettingError(`${name}: there is no such setting; there are ${names}`);
}

function policyOf(value: unknown): Rules['policy'] {
  const policy = POLICIES.find((each) => each === value);
  if (policy !== undefined) return policy;
  throw new SettingError(`policy: ${POLICIES.join(', ')} are possible, ${said(value)} is not`);
}

function numberOf(name: string, value: unknown): number {
  const { min, max } = NUMBERS[name]!;
  if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) {
    return Number(value);
  }
  throw new SettingError(
    `${name}: a whole number from ${min} to ${max} is expected, not ${said(value)}`,
  );
}

function listOf<T>(name: string, value: unknown, read: (name: string, each: unknown) => T): T[] {
  if (Array.isArray(value) && value.length <= LIMITS.nodesMax) {
    return value.map((each: unknown) => read(name, each));
  }
  throw new SettingError(`${name}: a list of at most ${LIMITS.nodesMax} is expected`);
}

function keyOf(name: string, value: unknown): Uint8Array {
  const key = typeof value === 'string' ? tryFromHex(value) : null;
  if (key?.length === PUBLIC_KEY_BYTES && acceptablePublicKey(key)) return key;
  throw new SettingError(`${name}: ${said(value)} is not a public key in hexadecimal`);
}

function memberOf(name: string, value: unknown): Member {
  const { key, address } = (value ?? {}) as { key?: unknown; address?: unknown };
  const publicKey = keyOf(name, key);
  if (typeof address === 'string' && (address === '' || isPeerAddress(address))) {
    return { publicKey, address };
  }
  throw new SettingError(`${name}: ${said(address)} is not <host>:<port>`);
}

/** A value in a message, short enough for one line. */
function said(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}

/** What keeps rules, each of whose settings is in its range, from being rules; null when nothing does. */
export function faultOfRules(rules: Rules): string | null {
  const { members, observers, f, governance, timers } = rules;
  const n = members.length;
  if (n === 0) return 'members: there must be one';
  if (twice([...members, ...observers].map(({ publicKey }) => hex(publicKey)))) {
    return 'members: a node is listed twice';
  }
  if (f > faultsMax(n)) return `f: ${n} members cannot bear ${f} that lie, but ${faultsMax(n)}`;
  if (twice(governance.keys.map(hex))) return 'governance_keys: a key is listed twice';
  if (governance.needed > governance.keys.length) {
    const { needed, keys } = governance;
    return `governance_needed: ${needed} of ${keys.length} keys could never approve anything`;
  }
  const shortest = TIMEOUTS.find((name) => timers[name] < HEARTBEATS_MIN * timers.heartbeatMs);
  if (shortest !== undefined) {
    return `heartbeat_ms: ${HEARTBEATS_MIN} heartbeats must fit into election_ms, progress_ms and open_ms`;
  }
  return null;
}

function twice(names: readonly string[]): boolean {
  return new Set(names).size < names.length;
}
