// From one epoch to the next, at a confirmed barrier. Pure.
//
// Whatever was said in the old epoch counts for nothing in the new one: nothing was acknowledged on top of the
// barrier, so the new epoch begins with it alone, whichever term has confirmed it. Proofs of lies alone are kept: they are
// judged anew, since members may have other places now.

import { nextConfig, quorumsOf } from '../../ledger/epoch.ts';
import type { Candidate } from './block-tree.ts';
import { BlockTree } from './block-tree.ts';
import { decodeEvidence } from './codec.ts';
import { anchorOf, voterOf } from './context.ts';
import { beginAmnesia, probeAgain } from './recovery.ts';
import type { State } from './state.ts';
import { Votes } from './votes.ts';

export function beginEpoch(s: State, barrier: Candidate): void {
  const config = nextConfig(s.config, barrier.header, barrier.system);
  s.before = { config: s.config, anchor: s.anchor };
  s.config = config;
  s.quorums = quorumsOf(config);
  s.self = voterOf(config, s.options.publicKey);
  s.anchor = anchorOf(config, s.root.hash);
  s.tree = new BlockTree(s.options.chainId, s.root, config);
  s.term = 0;
  s.recordedTerm = -1;
  s.led = null;
  s.leads = false;
  s.highest = s.anchor;
  s.lastAck = null;
  s.tail = null;
  s.wantBft = config.mode === 'bft';
  s.votes = new Votes();
  s.wishes.clear();
  s.wish = 0;
  s.reports.clear();
  s.opened = null;
  s.waiting = [];
  s.found.push(...Array.from(s.proven.values(), decodeEvidence));
  s.proven.clear();
  s.health.clear();
  s.suspicions.clear();
  s.marks.length = 0;
  s.complainers.clear();
  s.pendingRules = null;
  s.lastProposed = null;
  s.askedFor = '';
  s.ownAck = null;
  s.ownCommit = null;
  s.confirming = null;
  s.fetching.clear();
  s.failedTerms = 0;
  s.times.unconfirmed = null;
  s.times.enteredTerm = s.times.now;
  s.times.opened = s.times.now;
  s.times.leaderHeard = s.times.now;
  s.times.heard.clear();
  s.heights.clear();
  s.effects.push({ kind: 'epochChanged', config });
  if (s.recovering) beginAmnesia(s);
  probeAgain(s);
}
