// Rows of ledger.config and ledger.evidence, of the epochs of a chain. Pure.
//
// A field is a column in camel case: `time` is `timeMs`, bytes are hexadecimal (sql/ledger-source.ts).

import { hex } from '../../ledger/bytes.ts';
import type { EpochConfig, Member } from '../../ledger/epoch.ts';
import type { SystemRecord } from '../../ledger/system.ts';
import type { Epoch } from '../../storage/epochs.ts';

/** A value of a setting and the blocks for which it holds, as row versions do in history. */
interface ConfigRow {
  readonly setting: string;
  readonly value: string | null;
  /** The first epoch with it. */
  readonly epoch: number;
  readonly validFrom: number;
  /** null: in force. */
  readonly validTo: number | null;
}

/** What the members have put on the chain themselves. */
interface EvidenceRow {
  readonly height: number;
  readonly position: number;
  readonly timeMs: number;
  /** That of the block. */
  readonly epoch: number;
  readonly kind: SystemRecord['kind'];
  /** The accused. */
  readonly member: number | null;
  readonly publicKey: string | null;
  /** To which the record, or its rules, have changed it. */
  readonly mode: string | null;
  readonly proof: string | null;
  /** Of a change of mode, what has justified it; of rules, the settings that they change. */
  readonly reason: string | null;
}

/** The values that each setting has had, in the order of the chain. */
export function configRows(epochs: readonly Epoch[]): ConfigRow[] {
  const rows = new Map<string, ConfigRow[]>();
  for (const { config, from } of epochs) {
    for (const [setting, value] of settingsOf(config)) {
      const values = rows.get(setting) ?? [];
      rows.set(setting, values);
      const last = values.at(-1);
      if (last?.value === value) continue;
      if (last !== undefined) values[values.length - 1] = { ...last, validTo: from };
      values.push({ setting, value, epoch: config.epoch, validFrom: from, validTo: null });
    }
  }
  return [...rows.values()].flat();
}

/** Addresses are left out: where a node is reached is a matter of the moment, and shown by ledger.nodes. */
function settingsOf(config: EpochConfig): [string, string | null][] {
  const { policy, mode, members, observers, suspended, f, window, governance } = config;
  return [
    ['policy', policy],
    ['mode', policy === 'solo' ? null : mode],
    ['members', keys(members)],
    ['observers', keys(observers)],
    ['suspended', JSON.stringify(suspended)],
    ['f', String(f)],
    ['window_blocks', String(window)],
    ['governance_keys', JSON.stringify(governance.keys.map(hex))],
    ['governance_needed', String(governance.needed)],
    ...Object.entries(config.thresholds).map(each('_threshold')),
    ...Object.entries(config.timers).map(each('')),
    ['dwell_level', String(config.switched.level)],
  ];
}

function keys(members: readonly Member[]): string {
  return JSON.stringify(members.map(({ publicKey }) => hex(publicKey)));
}

/** `timeoutMaxMs` is setting `timeout_max_ms`. */
function each(suffix: string) {
  return ([name, value]: [string, number]): [string, string] => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) + suffix,
    String(value),
  ];
}

/** All system records, in the order of the chain. */
export function evidenceRows(epochs: readonly Epoch[]): EvidenceRow[] {
  return epochs.slice(1).flatMap(({ config: after, from, system, sinceMs }, i) => {
    const { config } = epochs[i]!;
    return system.map((record, position) => {
      const member = record.kind === 'evidence' ? record.accused : null;
      const accused = member === null ? undefined : config.members[member];
      return {
        height: from - 1,
        position,
        timeMs: sinceMs,
        epoch: config.epoch,
        kind: record.kind,
        member,
        publicKey: accused === undefined ? null : hex(accused.publicKey),
        mode: modeOf(record, config, after),
        proof: record.kind === 'evidence' ? hex(record.proof) : null,
        reason: reasonOf(record, system, config, after),
      };
    });
  });
}

function modeOf(record: SystemRecord, before: EpochConfig, after: EpochConfig): string | null {
  if (record.kind === 'mode') return record.mode;
  return record.kind === 'rules' && after.mode !== before.mode ? after.mode : null;
}

function reasonOf(
  record: SystemRecord,
  system: readonly SystemRecord[],
  before: EpochConfig,
  after: EpochConfig,
): string | null {
  switch (record.kind) {
    case 'evidence':
      return null;
    case 'mode': {
      if (record.mode === 'raft') return 'health';
      if (record.statements.length > 0) return 'suspicions';
      // As the members judge it (consensus/core/system-check.ts): what is no proof beside it was the change of term.
      const proofs = system.filter(({ kind }) => kind === 'evidence').length;
      return proofs >= before.thresholds.fraud ? 'evidence' : 'term';
    }
    case 'rules':
      return changedBy(before, after).join(', ');
  }
}

/** Settings that follow from others, or from the blocks: nobody sets them. */
const DERIVED: ReadonlySet<string> = new Set(['mode', 'suspended', 'dwell_level']);

function changedBy(before: EpochConfig, after: EpochConfig): string[] {
  const old = new Map(settingsOf(before));
  const changed = settingsOf(after)
    .filter(([name, value]) => !DERIVED.has(name) && old.get(name) !== value)
    .map(([name]) => name);
  const places = new Map(listed(before).map(({ publicKey, address }) => [hex(publicKey), address]));
  const hasMoved = ({ publicKey, address }: Member): boolean =>
    (places.get(hex(publicKey)) ?? address) !== address;
  return listed(after).some(hasMoved) ? [...changed, 'addresses'] : changed;
}

function listed({ members, observers }: EpochConfig): Member[] {
  return [...members, ...observers];
}
