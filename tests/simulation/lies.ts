// Lies that a replica holds the proof of, and has not found. Pure.

import { equal } from '../../ledger/bytes.ts';
import { leaderOf } from '../../ledger/epoch.ts';
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
