// What must be true of a block before it is acknowledged, besides its place. Pure.
//
// All of it is static: nothing is executed for it. What the block says about results of earlier blocks is
// compared with what this node has got; until it has them the block waits.

import { equal } from '../../ledger/bytes.ts';
import { merkleRoot } from '../../ledger/merkle.ts';
import type { Vote } from '../../ledger/vote.ts';
import type { Candidate } from './block-tree.ts';
import type { State } from './state.ts';
import { checkSystem } from './system-check.ts';

export function judge(s: State, block: Candidate): Candidate['verdict'] {
  if (block.verdict !== 'wait') return block.verdict;
  block.verdict = verdictOf(s, block);
  if (block.verdict === 'invalid') denounce(s, block);
  return block.verdict;
}

/** Whoever has signed for a body that everybody can see to be wrong. */
function denounce(s: State, block: Candidate): void {
  block.unsound = !s.options.bodyIsSound(block);
  if (!block.unsound) return;
  s.found.push({ kind: 'block', block: block.signed, vote: null });
  for (const member of s.config.members.keys()) {
    for (const vote of s.votes.acknowledgements(member)) {
      if (equal(vote.hash, block.hash)) denounceVoter(s, block, vote);
    }
  }
}

/** @param vote  for the block */
export function denounceVoter(s: State, block: Candidate, vote: Vote): void {
  if (block.unsound) s.found.push({ kind: 'block', block: block.signed, vote });
}

function verdictOf(s: State, block: Candidate): Candidate['verdict'] {
  const parent = s.tree.find(block.parentKey);
  if (parent === undefined) return 'wait';
  const verdicts = [
    checkTermBeginning(block, parent.header.epoch, parent.header.term),
    checkResults(s, block),
    checkCount(s, block),
    checkSystem(s, block),
  ];
  if (verdicts.includes('invalid')) return 'invalid';
  return verdicts.includes('wait') ? 'wait' : s.options.validate(block);
}

/**
 * The first block of a term names what opened it; blocks of an epoch's first term, and others, name nothing.
 * Whether it is the message that was seen here is not asked: a leader may have shown several, and what some
 * members find valid and others not could never be taken over.
 */
function checkTermBeginning(
  { header }: Candidate,
  parentEpoch: number,
  parentTerm: number,
): Candidate['verdict'] {
  const none = header.newTermHash.every((byte) => byte === 0);
  const first = header.term > 0 && (parentEpoch !== header.epoch || parentTerm !== header.term);
  return none === first ? 'invalid' : 'valid';
}

/** What it says about an executed block is what this node has got. */
function checkResults(s: State, { header }: Candidate): Candidate['verdict'] {
  const { height, receiptsRoot } = header.executed;
  const confirmed = s.root.header.executed;
  if (height <= confirmed.height) return 'valid';
  const own = s.results.find((result) => result.height === height);
  if (own === undefined) return 'wait';
  if (equal(own.receiptsRoot, receiptsRoot)) return 'valid';
  s.alarm('divergence', `block ${header.height} says other results of block ${height}`);
  return 'invalid';
}

/** An empty block says so. What its transactions are the shell checks. */
function checkCount(s: State, { header, bundles }: Candidate): Candidate['verdict'] {
  let count = 0;
  for (const { transactions } of bundles) count += transactions.length;
  if (count !== header.transactionCount) return 'invalid';
  if (count > 0) return 'valid';
  return equal(header.transactionsRoot, merkleRoot(s.options.crypto, [])) ? 'valid' : 'invalid';
}
