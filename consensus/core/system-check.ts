// Whether the system records of a block are justified by what they hold, and which a leader puts in. Pure.
//
// (1) Everything is judged by the chain and the records alone, no member's opinion: all honest members agree.
// (2) A block of a mode other than the epoch's says so in a record: each change of mode is in the chain.

import { equal, hex } from '../../ledger/bytes.ts';
import type { Header } from '../../ledger/block.ts';
import { encodeRules } from '../../ledger/encoding-vote.ts';
import { soloFault } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { isFormatError, tryDecode } from '../../ledger/error.ts';
import type { SystemRecord } from '../../ledger/system.ts';
import type { Mode } from '../../ledger/vote.ts';
import type { Candidate } from './block-tree.ts';
import { decodeEvidence, decodeHealth, encodeHealth } from './codec.ts';
import type { ReplicaOptions } from './context.ts';
import { STATEMENT_AGE_BLOCKS, verifyStatement } from './context.ts';
import { accusedNow } from './evidence.ts';
import { isHealth } from './health.ts';
import type { Health } from './message.ts';
import type { State } from './state.ts';
import { areSuspected, suspicionsFor } from './suspicion.ts';

/** Frauds recorded by one block: their proofs must fit into it. */
const EVIDENCE_PER_BLOCK = 2;
const DWELL_MS_MAX = 3_600_000;

export function checkSystem(
  s: State,
  { header, system }: Pick<Candidate, 'header' | 'system'>,
): Candidate['verdict'] {
  const { config } = s;
  const modes = system.filter((record) => record.kind === 'mode');
  const rules = system.filter((record) => record.kind === 'rules');
  if (modes.length > 1 || rules.length > 1) return 'invalid';
  if (header.mode !== config.mode && modes[0]?.mode !== header.mode) return 'invalid';
  const justified = system.every((record) => isJustified(s, header, system, record));
  return justified ? 'valid' : 'invalid';
}

function isJustified(
  s: State,
  header: Header,
  system: readonly SystemRecord[],
  record: SystemRecord,
): boolean {
  switch (record.kind) {
    case 'evidence':
      return isProof(s, system, record);
    case 'mode':
      return isModeJustified(s, header, system, record);
    case 'rules':
      return isApproved(s.options, s.config, record);
  }
}

type EvidenceRecord = Extract<SystemRecord, { kind: 'evidence' }>;
type ModeRecord = Extract<SystemRecord, { kind: 'mode' }>;
type RulesRecord = Extract<SystemRecord, { kind: 'rules' }>;

function isProof(s: State, system: readonly SystemRecord[], record: EvidenceRecord): boolean {
  const { accused, proof } = record;
  if (s.config.suspended.includes(accused)) return false;
  const same = system.filter((other) => other.kind === 'evidence' && other.accused === accused);
  if (same.length > 1) return false;
  try {
    return accusedNow(s, decodeEvidence(proof)) === accused;
  } catch (error) {
    if (!isFormatError(error)) throw error;
    return false;
  }
}

function isModeJustified(
  s: State,
  header: Header,
  system: readonly SystemRecord[],
  { mode, statements }: ModeRecord,
): boolean {
  const { config } = s;
  if (config.policy !== 'adaptive') return false;
  if (mode === 'raft') return mayReturn(s.options, config, header, system, statements);
  if (config.mode === 'bft') return false;
  if (statements.length > 0) return areSuspected(s.context, header.height, statements);
  // The term itself was put into bft mode by its reports, or there is proof enough.
  const proofs = system.filter((record) => record.kind === 'evidence').length;
  return header.mode === 'bft' || proofs >= config.thresholds.fraud;
}

/** All members are well, none is suspended, and bft mode has lasted. */
function mayReturn(
  options: ReplicaOptions,
  config: EpochConfig,
  header: Header,
  system: readonly SystemRecord[],
  statements: readonly Uint8Array[],
): boolean {
  if (config.mode !== 'bft' || header.mode !== 'bft' || system.length !== 1) return false;
  if (config.suspended.length > 0 || !hasDwelt(config, header)) return false;
  const health = statements.map((bytes) => tryDecode(() => decodeHealth(bytes)));
  if (health.length !== config.members.length) return false;
  const first = health[0];
  if (first === null || first === undefined) return false;
  if (first.height > header.height || first.height < header.height - STATEMENT_AGE_BLOCKS)
    return false;
  return health.every(
    (each, member) =>
      each?.member === member && agrees(each, first) && isHealth({ ...options, config }, each),
  );
}

export function hasDwelt({ switched, timers }: EpochConfig, header: Header): boolean {
  const ms = Math.min(timers.dwellMs * 2 ** switched.level, DWELL_MS_MAX);
  return (
    header.height - switched.height >= timers.dwellBlocks && header.timeMs - switched.timeMs >= ms
  );
}

function agrees(a: Health, b: Health): boolean {
  return a.height === b.height && equal(a.hash, b.hash) && equal(a.receiptsRoot, b.receiptsRoot);
}

/** New rules are signed for this epoch, so that none can be brought up again later. */
export function rulesStatement(epoch: number, encodedRules: Uint8Array): Uint8Array {
  const statement = new Uint8Array(8 + encodedRules.length);
  new DataView(statement.buffer).setBigUint64(0, BigInt(epoch));
  statement.set(encodedRules, 8);
  return statement;
}

export function isApproved(
  options: Pick<ReplicaOptions, 'crypto' | 'chainId'>,
  config: EpochConfig,
  { rules, approvals }: Pick<RulesRecord, 'rules' | 'approvals'>,
): boolean {
  if (soloFault(config, rules) !== null) return false;
  const { keys, needed } = config.governance;
  const statement = rulesStatement(config.epoch, encodeRules(rules));
  const signers = new Set<string>();
  for (const { key, signature } of approvals) {
    const known = keys.some((governor) => equal(governor, key));
    if (!known || !verifyStatement(options, key, 'rules', statement, signature)) return false;
    signers.add(hex(key));
  }
  return signers.size >= needed;
}

/** What the leader has to record, in the mode of its term; empty when nothing. */
export function pendingSystem(s: State, next: { height: number; timeMs: number }): SystemRecord[] {
  const { config } = s;
  const records: SystemRecord[] = [];
  for (const [accused, proof] of s.proven) {
    if (config.suspended.includes(accused) || records.length >= EVIDENCE_PER_BLOCK) continue;
    records.push({ kind: 'evidence', accused, proof });
  }
  const proofs = records.length;
  const reasons = reasonsForBft(s, proofs, next.height);
  if (reasons !== null) records.unshift(toMode('bft', reasons));
  if (records.length === 0 && s.pendingRules !== null) {
    records.push({ kind: 'rules', ...s.pendingRules });
  }
  if (records.length === 0) records.push(...returnToRaft(s, next));
  return records;
}

/** @returns statements for the change to bft mode, none if it needs none; null when there is no reason for it */
function reasonsForBft(s: State, proofs: number, height: number): Uint8Array[] | null {
  const { config } = s;
  if (s.highest.mode !== config.mode) return [];
  if (config.mode === 'bft' || config.policy !== 'adaptive') return null;
  if (proofs >= config.thresholds.fraud) return [];
  const suspicions = suspicionsFor(s, height);
  return suspicions.length > 0 ? suspicions : null;
}

function toMode(mode: Mode, statements: readonly Uint8Array[]): SystemRecord {
  return { kind: 'mode', mode, statements };
}

function returnToRaft(s: State, next: { height: number; timeMs: number }): SystemRecord[] {
  const { config, health } = s;
  if (config.policy !== 'adaptive' || config.mode !== 'bft') return [];
  if (health.size < config.members.length) return [];
  const all = config.members.map((_, member) => health.get(member)!);
  const record = toMode('raft', all.map(encodeHealth));
  if (record.kind !== 'mode') return [];
  const header = { ...s.root.header, ...next, mode: 'bft' as const };
  return mayReturn(s.options, config, header, [record], record.statements) ? [record] : [];
}
