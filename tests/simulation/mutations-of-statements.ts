// Ways to break what members say of each other: evidence, health, suspicions. Pure.

import { FOUR, LYING_RAFT, among, core } from './mutation.ts';
import type { Mutation } from './mutation.ts';
import type { Options } from './options.ts';

const EVIDENCE_TEST = 'tests/unit/consensus/evidence.test.ts';
const SUSPICION_TEST = 'tests/unit/consensus/suspicion.test.ts';

const EVIDENCE: readonly Mutation[] = [
  among(
    FOUR,
    core('one vote is two', 'evidence.ts', '    !equal(first.hash, second.hash);', '    true;'),
  ),
  among(
    FOUR,
    core(
      'one proposal is two',
      'evidence.ts',
      '  if (a === null || b === null || equal(first.header, second.header)) return null;',
      '  if (a === null || b === null) return null;',
    ),
  ),
  among(
    FOUR,
    core(
      'an honest report is a denial',
      'evidence.ts',
      '  if (opened === null || admits(opened, vote)) return null;',
      '  if (opened === null) return null;',
    ),
  ),
  among(
    { ...LYING_RAFT, window: 2, ackFanout: false, delayMs: 120, loss: 0.1 },
    core(
      'what was given up is denied',
      'evidence.ts',
      '  if (highest.term === vote.term && !lead(context, highest.hash, headers)) return null;',
      '',
    ),
  ),
];

/** Of two liars one can acknowledge what the other proposes. */
const SEVEN: Partial<Options> = { ...FOUR, n: 7, liars: [0, 1] };

/** An epoch ends with the proof against one liar while another is found out. */
const TWO_FOUND: Partial<Options> = { ...SEVEN, liar: 'mutator', load: 60 };

const EPOCH_BEFORE: readonly Mutation[] = [
  among(
    TWO_FOUND,
    core(
      'what was proven is forgotten with the epoch',
      'epoch-change.ts',
      '  s.found.push(...Array.from(s.proven.values(), decodeEvidence));',
      '',
    ),
  ),
  among(
    TWO_FOUND,
    core(
      'evidence of the epoch before proves nothing',
      'evidence.ts',
      '  if (accused !== null || s.before === null) return accused;',
      '  return accused;',
    ),
  ),
  among(
    { ...TWO_FOUND, crashRate: 0.004 },
    core(
      'who restarts does not know the epoch before',
      'replica.ts',
      '    if (before !== null) {',
      '    if (false) {',
    ),
  ),
  {
    ...core(
      'the accused keeps its place over epochs',
      'evidence.ts',
      '  return member < 0 ? null : member;',
      '  return before;',
    ),
    test: EVIDENCE_TEST,
  },
];

const INVALID_BLOCKS: readonly Mutation[] = [
  among(
    FOUR,
    core(
      'who proposes an invalid block is not accused',
      'judge.ts',
      "  s.found.push({ kind: 'block', block: block.signed, vote: null });",
      '',
    ),
  ),
  among(
    SEVEN,
    core(
      'who has acknowledged an invalid block is not accused',
      'judge.ts',
      '      if (equal(vote.hash, block.hash)) denounceVoter(s, block, vote);',
      '',
    ),
  ),
  among(
    SEVEN,
    core(
      'who acknowledges an invalid block is not accused',
      'voting.ts',
      "  if (block !== undefined && vote.kind === 'ack') denounceVoter(s, block, vote);",
      '',
    ),
  ),
  among(
    FOUR,
    core(
      'a sound block is a proof',
      'evidence.ts',
      '  if (body !== null && context.bodyIsSound({ header, ...body })) return null;',
      '',
    ),
  ),
  among(
    FOUR,
    core(
      'any body beside a header is a proof',
      'evidence.ts',
      '  if (!equal(header.bodyHash, bodyHash(crypto, block.body))) return null;',
      '',
    ),
  ),
  among(
    FOUR,
    core(
      'a block that its leader has not signed is a proof',
      'evidence.ts',
      '  if (!verifyHeader(crypto, publicKey, block.signature, chainId, hash)) return null;',
      '',
    ),
  ),
  among(
    FOUR,
    core(
      'any vote is one for the invalid block',
      'evidence.ts',
      "  const acknowledged = vote.kind === 'ack' && equal(vote.hash, hash);",
      '  const acknowledged = true;',
    ),
  ),
  among(
    FOUR,
    core(
      'a body that is none ends the node',
      'voting.ts',
      '  const block = tryDecode(() => decodeCandidate(crypto, signed));',
      '  const block = decodeCandidate(crypto, signed);',
    ),
  ),
];

/** What members say of themselves. */
const HEALTH: readonly Mutation[] = [
  among(
    { n: 4, liar: 'mutator', liars: [0], forgetful: [], load: 60 },
    core(
      'nobody compares what members say of themselves',
      'health.ts',
      '  if (mark !== undefined) compare(s, mark, health);',
      '',
    ),
  ),
  among(
    { n: 4, liar: 'mutator', liars: [0], forgetful: [], load: 60 },
    core(
      'what was said before it was confirmed is not compared',
      'health.ts',
      '  for (const health of s.health.values()) compare(s, mark, health);',
      '',
    ),
  ),
  among(
    { n: 4, liar: 'none', liars: [], forgetful: [], damaged: [1], load: 60 },
    core(
      'signs what it has got, not what is confirmed',
      'health.ts',
      '  if (!equal(own, result.receiptsRoot)) {',
      '  if (false) {',
    ),
  ),
  among(
    { ...FOUR, load: 60 },
    core(
      'health is denied by a header that votes do not name',
      'evidence.ts',
      '  if (!named || checkConfirms(certificate, last) !== null) return null;',
      '',
    ),
  ),
  among(
    { ...FOUR, load: 60 },
    core(
      'health is denied by votes that nobody has cast',
      'evidence.ts',
      '  return checkVotes(context, certificate) === null ? health.member : null;',
      '  return health.member;',
    ),
  ),
  among(
    { ...FOUR, load: 60 },
    core(
      'health is denied by a header that is not below the confirmed one',
      'evidence.ts',
      '  if (!lead(context, first.parent, headers)) return null;',
      '',
    ),
  ),
];

/** A liar that proposes the change to bft mode, where one suspected member is reason enough for it. */
const TOUCHY: Partial<Options> = { ...FOUR, policy: 'adaptive', faults: 0, window: 4 };

const SUSPICIONS: readonly Mutation[] = [
  among(
    TOUCHY,
    core(
      'one suspicion is enough',
      'suspicion.ts',
      '({ size }) => size >= f + 1);',
      '({ size }) => size >= 1);',
    ),
  ),
  among(
    TOUCHY,
    core(
      'believes unsigned suspicions',
      'suspicion.ts',
      '    if (!isSuspicion(context, suspicion)) return false;',
      '',
    ),
  ),
  {
    ...core(
      'suspicions never grow old',
      'suspicion.ts',
      '    if (suspicion === null || !isFresh(suspicion, height)) return false;',
      '    if (suspicion === null) return false;',
    ),
    test: SUSPICION_TEST,
  },
  {
    ...core(
      'fewer suspected members are reason enough',
      'suspicion.ts',
      '  return suspected.length > thresholds.faults;',
      '  return suspected.length > 0;',
    ),
    test: SUSPICION_TEST,
  },
  {
    ...core('nobody says whom it suspects', 'timers.ts', '  saySuspicions(s);', ''),
    test: SUSPICION_TEST,
  },
  {
    ...core(
      'a leader does not act on suspicions',
      'system-check.ts',
      '  return suspicions.length > 0 ? suspicions : null;',
      '  return null;',
    ),
    test: SUSPICION_TEST,
  },
];

export const STATEMENTS: readonly Mutation[] = [
  ...EVIDENCE,
  ...EPOCH_BEFORE,
  ...INVALID_BLOCKS,
  ...HEALTH,
  ...SUSPICIONS,
];
