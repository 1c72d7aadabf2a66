// Lies that a replica holds the proof of, and has not found, or has forgotten. Pure.

import { equal, hex } from '../../ledger/bytes.ts';
import { decodeHeader } from '../../ledger/encoding.ts';
import { leaderOf } from '../../ledger/epoch.ts';
import { decodeEvidence } from '../../consensus/core/codec.ts';
import type { Evidence } from '../../consensus/core/message.ts';
import type { State } from '../../consensus/core/state.ts';
import { isInvalid } from './node.ts';

/** @returns one that nobody has been accused of, after a step, or null */
export function unnoticedLie(s: State): string | null {
  const free = (member: number): boolean =>
    !s.proven.has(member) && !s.config.suspended.includes(member);
  return falseHealth(s, free) ?? unsoundBlock(s, free);
}

/** Something else than is confirmed. */
function falseHealth(s: State, free: (member: number) => boolean): string | null {
  for (const { height, hash, result } of s.marks) {
    for (const said of s.health.values()) {
      if (said.height !== height || !free(said.member)) continue;
      const same = result === null || equal(said.receiptsRoot, result.receiptsRoot);
      if (!same || !equal(said.hash, hash)) return `member ${said.member} lies about ${height}`;
    }
  }
  return null;
}

/** A block known to be invalid by its body, and votes for it. */
function unsoundBlock(s: State, free: (member: number) => boolean): string | null {
  for (const { verdict, bundles, header, hash } of s.tree.blocks()) {
    if (verdict !== 'invalid' || !isInvalid(bundles)) continue;
    const leader = leaderOf(s.config, header.term);
    if (free(leader)) return `member ${leader} proposes an invalid block ${header.height}`;
    for (const member of s.config.members.keys()) {
      if (!free(member)) continue;
      for (const vote of s.votes.acknowledgements(member)) {
        if (equal(vote.hash, hash)) return `member ${member} acknowledges an invalid block`;
      }
    }
  }
  return null;
}

/** @returns the keys of those that are proven to have lied in the epoch of now */
export function liarsOfEpoch(s: State): string[] {
  const of = [...s.proven].filter(([, proof]) => epochOf(decodeEvidence(proof)) === s.config.epoch);
  return of.map(([member]) => hex(s.nodeOf(member)));
}

/** @param liars  of the epoch before. @returns one that is a member still, neither suspended nor accused, or null */
export function forgottenLie({ config, proven }: State, liars: readonly string[]): string | null {
  for (const [member, { publicKey }] of config.members.entries()) {
    const named = proven.has(member) || config.suspended.includes(member);
    if (!named && liars.includes(hex(publicKey))) return `member ${member} has lied`;
  }
  return null;
}

function epochOf(evidence: Evidence): number {
  switch (evidence.kind) {
    case 'proposals':
      return decodeHeader(evidence.first.header).epoch;
    case 'votes':
      return evidence.first.epoch;
    case 'report':
      return evidence.report.epoch;
    case 'newTerm':
      return evidence.newTerm.epoch;
    case 'block':
      return decodeHeader(evidence.block.header).epoch;
    case 'health':
      return evidence.health.epoch;
  }
}
