// Ways to break the consensus core: all of them, and here those of votes, terms, crashes, blocks and reads. Pure.

import { FOUR, LYING_RAFT, SOUND, among, core } from './mutation.ts';
import type { Mutation } from './mutation.ts';
import { STATEMENTS } from './mutations-of-statements.ts';
import type { Options } from './options.ts';

const QUORUM_TEST = 'tests/unit/ledger/quorum.test.ts';
const CRASHING: Partial<Options> = { n: 4, crashRate: 0.01, complaints: 0.5 };
const FORGETFUL: Partial<Options> = {
  ...SOUND,
  n: 4,
  liars: [],
  liar: 'none',
  forgetful: [1],
  complaints: 0.5,
};

const ROTTING: Partial<Options> = { ...FORGETFUL, forgetful: [], rotting: [1] };
/** A clock that is hours ahead, and then is not, at a node that nobody can correct. */
const JUMPING: Partial<Options> = { ...SOUND, n: 1, jumping: [0] };

/** Much to and fro between the modes. */
const RETURNING: Partial<Options> = {
  ...SOUND,
  n: 4,
  policy: 'adaptive',
  liars: [],
  liar: 'none',
  forgetful: [],
  partitions: 'none',
  delayMs: 40,
  loss: 0.02,
  load: 60,
  complaints: 0.5,
  membershipChanges: false,
};

const VOTING: readonly Mutation[] = [
  among(
    LYING_RAFT,
    core(
      'acknowledges siblings',
      'voting.ts',
      '  if (last === null || last.term !== s.term) return true;',
      '  return true;',
    ),
  ),
  among(
    LYING_RAFT,
    core(
      'acknowledges in a term that is not open',
      'voting.ts',
      '  if (s.isMute || !s.open) return;',
      '  if (s.isMute) return;',
    ),
  ),
  among(
    FOUR,
    core(
      'acknowledges beyond the window',
      'voting.ts',
      '  if (block.height > s.root.height + s.config.window) return false;',
      '',
    ),
  ),
  among(
    { ...FOUR, membershipChanges: true },
    core(
      'acknowledges on an unconfirmed barrier',
      'voting.ts',
      '  if (path.slice(0, -1).some(({ barrier }) => barrier)) return false;',
      '',
    ),
  ),
  core(
    'acknowledges before it is durable',
    'voting.ts',
    "    s.persist();\n    s.ownAck = castVote(s, 'ack', s.lastAck);",
    "    s.ownAck = castVote(s, 'ack', s.lastAck);",
  ),
  core(
    'commits before it is durable',
    'voting.ts',
    '  s.persist();\n  s.ownCommit',
    '  s.ownCommit',
  ),
  core(
    'commits for an earlier term',
    'voting.ts',
    '  if (s.isMute || certificate.term !== s.term) return;',
    '  if (s.isMute) return;',
  ),
  among(
    LYING_RAFT,
    core(
      'keeps no tail',
      'voting.ts',
      "    if (mode === 'raft' && isAboveHighest(s, block)) s.tail = block.key;",
      '',
    ),
  ),
  among(
    { liar: 'mutator', n: 4 },
    core(
      'believes unsigned certificates',
      'voting.ts',
      '  if (!isCertified(s.context, certificate, s.anchor)) return;',
      '',
    ),
  ),
  among(
    { liar: 'mutator', n: 4, ackFanout: false },
    core('believes unsigned votes', 'voting.ts', '  if (!isCast(s, vote)) return;', ''),
  ),
  among(FOUR, {
    name: 'takes blocks of whoever is no leader',
    edits: [
      {
        file: 'consensus/core/voting.ts',
        find: '  if (!equal(header.proposer, leader)) return;',
        replace: '',
      },
      {
        file: 'consensus/core/voting.ts',
        find: '  if (!verifyHeader(crypto, leader,',
        replace: '  if (!verifyHeader(crypto, header.proposer,',
      },
    ],
  }),
  core(
    'confirms a certificate per vote, not per quorum',
    'voting.ts',
    "    found.push(s.votes.certificate(vote, 'commit', report));",
    "    found.push(s.votes.certificate(vote, 'commit', report - 1));",
  ),
  core(
    'never commits an opening',
    'voting.ts',
    '  const isOpening = block.header.term !== certificate.term;',
    '  const isOpening = false;',
  ),
];

const CERTIFICATES: readonly Mutation[] = [
  {
    name: 'acknowledgements of an opening confirm',
    edits: [
      {
        file: 'ledger/certificate-check.ts',
        find: "  if (kind === 'fast' && (header.term !== term || header.mode !== 'raft' || mode !== 'raft')) {",
        replace: '  if (false) {',
      },
    ],
  },
  {
    name: 'fewer signatures do',
    options: { liar: 'mutator', n: 4 },
    edits: [
      {
        file: 'ledger/certificate-check.ts',
        find: '  if (signatures.length !== needed)',
        replace: '  if (signatures.length < 1)',
      },
    ],
  },
  {
    name: 'acknowledgements confirm in bft mode',
    options: { policy: 'bft', n: 7 },
    edits: [
      {
        file: 'consensus/core/voting.ts',
        find: "    const quick = vote.mode === 'raft' ? s.votes.certificate(vote, 'fast', fast) : null;",
        replace: "    const quick = s.votes.certificate(vote, 'fast', fast);",
      },
      {
        file: 'ledger/certificate-check.ts',
        find: "  if (kind === 'fast' && mode !== 'raft') return 'fast certificate outside raft mode';",
        replace: '',
      },
      {
        file: 'ledger/certificate-check.ts',
        find: "  if (kind === 'fast' && (header.term !== term || header.mode !== 'raft' || mode !== 'raft')) {",
        replace: "  if (kind === 'fast' && header.term !== term) {",
      },
    ],
  },
  {
    name: 'the fast quorum is one less',
    test: QUORUM_TEST,
    edits: [
      {
        file: 'ledger/quorum.ts',
        find: 'Math.floor((n + 3 * f) / 2)',
        replace: 'Math.floor((n + 3 * f) / 2) - 1',
      },
    ],
  },
  {
    name: 'one report more is needed to keep a block',
    options: LYING_RAFT,
    edits: [
      {
        file: 'ledger/quorum.ts',
        find: '    keep: Math.max(1, fast + report - n - f),',
        replace: '    keep: 1 + Math.max(1, fast + report - n - f),',
      },
    ],
  },
  {
    name: 'one wish makes a member wish',
    test: QUORUM_TEST,
    edits: [
      {
        file: 'ledger/quorum.ts',
        find: '    join: Math.max(1, report - f),',
        replace: '    join: 1,',
      },
    ],
  },
  {
    name: 'a majority is enough for reports',
    test: QUORUM_TEST,
    edits: [
      {
        file: 'ledger/quorum.ts',
        find: '  const report = f > 0 ? n - f : Math.floor(n / 2) + 1;',
        replace: '  const report = Math.floor(n / 2) + 1;',
      },
    ],
  },
];

const TERMS: readonly Mutation[] = [
  among(
    FOUR,
    core(
      'does not compute the selection again',
      'term-change.ts',
      '  if (reports === null || !followsFrom(s.context, newTerm, reports)) {',
      '  if (reports === null) {',
    ),
  ),
  core(
    'acknowledges an opening before it is durable',
    'term-change.ts',
    '  s.lastAck = { term, mode, height, hash };\n  s.persist();',
    '  s.lastAck = { term, mode, height, hash };',
  ),
  core(
    'reports before the term is durable',
    'term-change.ts',
    '  if (s.recordedTerm !== s.term) s.persist();',
    '',
  ),
  core(
    'opens a term before that is durable',
    'term-change.ts',
    '  s.leads = true;\n  s.persist();',
    '  s.leads = true;',
  ),
  core(
    'one wish is enough to enter',
    'term-change.ts',
    '  const entered = terms[report - 1]!;',
    '  const entered = terms[0]!;',
  ),
  core(
    'reports no tail',
    'term-change.ts',
    '      .filter(({ height }) => height > s.highest.height)',
    '      .filter(() => false)',
  ),
  among(
    FOUR,
    core(
      'opens on fewer reports',
      'evidence.ts',
      '  if (reports.length !== quorumsOf(context.config).report) return null;',
      '  if (reports.length < 1) return null;',
    ),
  ),
  among(
    FOUR,
    core(
      'one member reports for several',
      'evidence.ts',
      '  if (members.size !== reports.length) return null;',
      '',
    ),
  ),
  among(LYING_RAFT, {
    name: 'a leader proven to lie is not left out',
    edits: [
      {
        file: 'consensus/core/select.ts',
        find: '  if (forked && reports.some(({ report }) => report.member === leader)) return { excluded: leader };',
        replace: '',
      },
      { file: 'consensus/core/select.ts', find: 'forked ? keepForked : keep', replace: 'keep' },
    ],
  }),
  core(
    'selects by height, not by term',
    'context.ts',
    '  return a.term !== b.term ? a.term > b.term : a.height > b.height;',
    '  return a.height > b.height;',
  ),
  among(
    { policy: 'adaptive', n: 4, complaints: 0.5 },
    core(
      'falls back to raft mode within an epoch',
      'select.ts',
      "  return highest.mode === 'bft' || wishes >= config.f + 1 ? 'bft' : 'raft';",
      "  return wishes >= config.f + 2 ? 'bft' : 'raft';",
    ),
  ),
];

const CRASHES: readonly Mutation[] = [
  among(
    CRASHING,
    core(
      'a crash loses the highest certificate',
      'recovery.ts',
      '    if (isHigher(highest, s.highest)) s.highest = highest;',
      '',
    ),
  ),
  among(
    { ...LYING_RAFT, crashRate: 0.02, complaints: 0.5 },
    core(
      'a crash loses the last acknowledgement',
      'recovery.ts',
      '  Object.assign(s, { led, lastAck, wantBft: wantBft || s.wantBft, recovering });',
      '  Object.assign(s, { led, wantBft: wantBft || s.wantBft, recovering });',
    ),
  ),
  among(
    CRASHING,
    core(
      'a crash loses the tail',
      'recovery.ts',
      '  if (tail !== null && s.tree.get(tail) !== undefined && s.tree.isLinked(tail)) s.tail = tail;',
      '',
    ),
  ),
  among(
    CRASHING,
    core(
      'a crash loses the term',
      'recovery.ts',
      '  s.term = Math.max(s.term, term);\n  s.recordedTerm',
      '  s.recordedTerm',
    ),
  ),
  among(
    CRASHING,
    core(
      'leads again after a restart',
      'proposing.ts',
      '  if (!s.leads && (s.term > 0 || s.led !== null)) return null;',
      '',
    ),
  ),
  core(
    'proposes before it is durable',
    'proposing.ts',
    '    s.leads = true;\n    s.persist();',
    '    s.leads = true;',
  ),
  among(
    FORGETFUL,
    core(
      'a lost disk is nothing to it',
      'replica.ts',
      "      s.alarm('amnesia', 'the records of votes were lost');\n      beginAmnesia(s);",
      '',
    ),
  ),
  among(
    ROTTING,
    core(
      'votes that have rotted are nothing to it',
      'replica.ts',
      "      s.alarm('amnesia', 'the records of votes were lost');\n      beginAmnesia(s);",
      '',
    ),
  ),
  among(JUMPING, {
    name: 'a clock put right stops the ledger until it has caught up',
    edits: [
      {
        file: 'consensus/validate.ts',
        find: '  return Math.max(nowMs + DRIFT_MS_MAX, tipMs);',
        replace: '  return nowMs + DRIFT_MS_MAX;',
      },
    ],
  }),
  among(
    FORGETFUL,
    core(
      'amnesia ends with any certificate',
      'recovery.ts',
      '  if (!laterTerm && !higher) return;',
      '',
    ),
  ),
  among(
    FORGETFUL,
    core(
      'signs while it has forgotten',
      'state.ts',
      '    return this.self < 0 || this.recovering || this.highest.height < this.root.height;',
      '    return this.self < 0;',
    ),
  ),
  among(
    { ...FORGETFUL, crashRate: 0.01 },
    core(
      'a second crash ends amnesia',
      'state.ts',
      "    return { kind: 'state', epoch, term, led, highest, lastAck, tail, wantBft, recovering };",
      "    return { kind: 'state', epoch, term, led, highest, lastAck, tail, wantBft, recovering: false };",
    ),
  ),
];

const BLOCKS: readonly Mutation[] = [
  among(
    FOUR,
    core(
      'does not compare results',
      'judge.ts',
      "  if (equal(own.receiptsRoot, receiptsRoot)) return 'valid';",
      "  return 'valid';",
    ),
  ),
  among(
    FOUR,
    core(
      'does not ask whether a block is valid',
      'judge.ts',
      "  return verdicts.includes('wait') ? 'wait' : s.options.validate(block);",
      "  return 'valid';",
    ),
  ),
  among(
    { ...FOUR, policy: 'raft', complaints: 0.5 },
    core(
      'a term need not say what opened it',
      'judge.ts',
      "  return none === first ? 'invalid' : 'valid';",
      "  return 'valid';",
    ),
  ),
  {
    name: 'a change of mode is not in the chain',
    options: { policy: 'adaptive', n: 4, complaints: 0.5 },
    edits: [
      {
        file: 'consensus/core/system-check.ts',
        find: "  if (header.mode !== config.mode && modes[0]?.mode !== header.mode) return 'invalid';",
        replace: '',
      },
      {
        file: 'consensus/core/system-check.ts',
        find: '  if (s.highest.mode !== config.mode) return [];',
        replace: '',
      },
    ],
  },
  {
    name: 'anybody may change the rules',
    options: { membershipChanges: true, n: 4 },
    edits: [
      {
        file: 'consensus/core/system-check.ts',
        find: "    if (!known || !verifyStatement(options, key, 'rules', statement, signature)) return false;",
        replace: '',
      },
    ],
  },
  among(
    { policy: 'adaptive', n: 4, complaints: 0.1 },
    core(
      'returns to raft mode at once',
      'system-check.ts',
      '  if (config.suspended.length > 0 || !hasDwelt(config, header)) return false;',
      '  if (config.suspended.length > 0) return false;',
    ),
  ),
  among(
    { ...FOUR, policy: 'adaptive' },
    core(
      'returns to raft mode with a member suspended',
      'system-check.ts',
      '  if (config.suspended.length > 0 || !hasDwelt(config, header)) return false;',
      '  if (!hasDwelt(config, header)) return false;',
    ),
  ),
  among(
    RETURNING,
    core(
      'health of different heights will do',
      'system-check.ts',
      '  return a.height === b.height && equal(a.hash, b.hash) && equal(a.receiptsRoot, b.receiptsRoot);',
      '  return true;',
    ),
  ),
];

const READS: readonly Mutation[] = [
  core('a read asks nobody', 'recovery.ts', '  if (reached.length < s.quorums.report) return;', ''),
  core(
    'a read does not wait',
    'recovery.ts',
    '  if (height <= root.height) return true;',
    '  return true;',
  ),
  among(
    { n: 3, delayMs: 120, load: 60, loss: 0.1, partitions: 'none' },
    core(
      'answers to an earlier probe count',
      'recovery.ts',
      '    if (probe?.nonce === nonce && !probe.floors.has(member)) {',
      '    if (probe !== null && !probe.floors.has(member)) {',
    ),
  ),
];

export const MUTATIONS: readonly Mutation[] = [
  ...VOTING,
  ...CERTIFICATES,
  ...TERMS,
  ...CRASHES,
  ...BLOCKS,
  ...STATEMENTS,
  ...READS,
];
