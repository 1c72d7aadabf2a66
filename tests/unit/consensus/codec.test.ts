// Whatever arrives is a message or a FormatError, costs little before a signature is checked, and never harms a
// replica.

import { describe, expect, test } from '@jest/globals';
import { equal } from '../../../ledger/bytes.ts';
import { checkVotes } from '../../../ledger/certificate-check.ts';
import { FormatError, isFormatError } from '../../../ledger/error.ts';
import { quorumsOf } from '../../../ledger/epoch.ts';
import { signVote } from '../../../ledger/signing.ts';
import type { VoteCertificate } from '../../../ledger/vote.ts';
import { isCertified } from '../../../consensus/core/context.ts';
import {
  decodeDurable,
  decodeEvidence,
  decodeMessage,
  encodeDurable,
  encodeEvidence,
  encodeMessage,
} from '../../../consensus/core/codec.ts';
import type { Evidence, Message } from '../../../consensus/core/message.ts';
import { CONSENSUS_LIMITS } from '../../../consensus/limits.ts';
import { Random } from '../ledger/random.ts';
import { messagesOfSchedules } from '../../simulation/messages.ts';
import { optionsOf } from '../../simulation/options.ts';
import { Simulation } from '../../simulation/simulation.ts';

const samples = messagesOfSchedules();
const simulation = new Simulation(
  optionsOf(4, { n: 4, liar: 'none', liars: [], policy: 'adaptive' }),
);
simulation.run();
const { beginning, nodes } = simulation;
const hash = new Uint8Array(32).fill(7);
const signature = new Uint8Array(64).fill(8);
const vote = {
  kind: 'ack',
  epoch: 0,
  term: 3,
  mode: 'raft',
  height: 9,
  hash,
  member: 2,
  signature,
} as const;

/** Decodes, or throws a FormatError: what it gives encodes to the same bytes. */
function holds<T>(bytes: Uint8Array, decode: (b: Uint8Array) => T, encode: (v: T) => Uint8Array) {
  try {
    // Not `toEqual`, which takes a second for a thousand bodies.
    if (!equal(encode(decode(bytes)), bytes)) throw new Error('decoded, but not to the same bytes');
  } catch (error) {
    if (!isFormatError(error)) throw error;
  }
}

test('every kind of message was seen, but those that need an accident', () => {
  const kinds: Message['kind'][] = [
    'block',
    'vote',
    'certificate',
    'wish',
    'report',
    'newTerm',
    'status',
    'sync',
    'blocks',
    'probe',
    'floor',
    'health',
  ];
  for (const kind of kinds) expect([...samples.keys()]).toContain(kind);
});

describe('bytes', () => {
  const random = new Random(99);

  test.each([...samples])('of %s: each other byte is another message or none', (_kind, all) => {
    for (const bytes of all) {
      expect(equal(encodeMessage(decodeMessage(bytes)), bytes)).toBe(true);
      for (let round = 0; round < 200; round++) {
        const wrong = Uint8Array.from(bytes);
        for (let flips = 0; flips <= random.below(3); flips++) {
          wrong[random.below(wrong.length)] = random.below(256);
        }
        holds(wrong, decodeMessage, encodeMessage);
      }
    }
  });

  test.each([...samples])('of %s: no beginning and no longer text is one', (_kind, all) => {
    const [bytes] = all;
    for (let end = 0; end < bytes!.length; end += 1 + Math.floor(bytes!.length / 300)) {
      expect(() => decodeMessage(bytes!.subarray(0, end))).toThrow(FormatError);
    }
    expect(() => decodeMessage(Uint8Array.from([...bytes!, 0]))).toThrow(FormatError);
  });

  test('at random', () => {
    for (let round = 0; round < 20_000; round++) {
      const bytes = random.bytes(random.below(80));
      // Half of them begin as messages do.
      if (bytes.length > 1 && round % 2 === 0) [bytes[0], bytes[1]] = [0x82, random.below(16)];
      holds(bytes, decodeMessage, encodeMessage);
      holds(bytes, decodeEvidence, encodeEvidence);
      holds(bytes, decodeDurable, encodeDurable);
    }
  });

  test('lists that say they are long cost nothing', () => {
    // A message of blocks, a report's tail, a certificate's signatures: 2^32-1 of them.
    const heads = [
      [0x82, 0x09, 0x9a, 0xff, 0xff, 0xff, 0xff],
      [0x82, 0x05, 0x87, 0x00, 0x01, 0x9a, 0xff, 0xff, 0xff, 0xff],
      [0x82, 0x02, 0x87, 0x01, 0x00, 0x00, 0x00, 0x00, 0x9a, 0xff, 0xff, 0xff, 0xff],
    ];
    const before = process.memoryUsage().heapUsed;
    for (const head of heads) {
      const bytes = new Uint8Array(600).fill(0x80);
      bytes.set(head);
      expect(() => decodeMessage(bytes)).toThrow(FormatError);
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1_000_000);
    const long = new Uint8Array(CONSENSUS_LIMITS.messageBytesMax + 1);
    expect(() => decodeMessage(long)).toThrow('too long');
  });
});

test('evidence and durable records come back as they were', () => {
  const report = decodeMessage(samples.get('report')![0]!);
  const newTerm = decodeMessage(samples.get('newTerm')![0]!);
  const block = decodeMessage(samples.get('block')![0]!);
  if (report.kind !== 'report' || newTerm.kind !== 'newTerm' || block.kind !== 'block')
    throw report;
  const { header } = block.block;
  const first = { header, signature };
  const made: Evidence[] = [
    { kind: 'votes', first: vote, second: { ...vote, hash: signature.subarray(0, 32) } },
    { kind: 'proposals', first, second: first },
    { kind: 'report', vote, headers: [header], report: report.report },
    { kind: 'newTerm', newTerm: newTerm.newTerm },
    { kind: 'block', block: block.block, vote: null },
    { kind: 'block', block: block.block, vote },
    {
      kind: 'health',
      health: { epoch: 0, member: 1, height: 8, hash, receiptsRoot: hash, signature },
      headers: [header],
      certificate: {
        kind: 'commit',
        epoch: 0,
        term: 3,
        mode: 'raft',
        height: 9,
        hash,
        signatures: [{ member: 2, signature }],
      },
    },
  ];
  for (const evidence of made) expect(decodeEvidence(encodeEvidence(evidence))).toEqual(evidence);
  for (const { disk } of nodes) {
    for (const bytes of disk.records()) expect(encodeDurable(decodeDurable(bytes))).toEqual(bytes);
  }
});

describe('certificates', () => {
  const { crypto, chainId, config } = beginning;
  const context = { crypto, chainId, config };
  const { report } = quorumsOf(config);
  const ballot = { epoch: 0, term: 3, mode: 'raft', height: 9, hash } as const;
  const votes = nodes.map(({ seed }, member) =>
    signVote(crypto, seed, chainId, { kind: 'ack', ...ballot, member }),
  );
  const good: VoteCertificate = { kind: 'quorum', ...ballot, signatures: votes.slice(0, report) };
  const anchor: VoteCertificate = { ...good, term: 0, height: 0, signatures: [] };

  test('of a quorum is one', () => {
    expect(checkVotes(context, good)).toBeNull();
    expect(isCertified(context, good, anchor)).toBe(true);
    expect(isCertified(context, anchor, anchor)).toBe(true);
  });

  test.each<[string, Partial<VoteCertificate>]>([
    ['one signature too few', { signatures: votes.slice(0, report - 1) }],
    ['one too many', { signatures: votes.slice(0, report + 1) }],
    ['one twice', { signatures: [votes[0]!, votes[0]!, votes[1]!] }],
    ['out of order', { signatures: [votes[1]!, votes[0]!, votes[2]!] }],
    ['a stranger', { signatures: [votes[0]!, votes[1]!, { ...votes[2]!, member: 200 }] }],
    ['another epoch', { epoch: 1 }],
    ['another term', { term: 4 }],
    ['another height', { height: 10 }],
    ['the other mode', { mode: 'bft' }],
    ['the other kind of vote', { kind: 'commit' }],
    ['no signatures, and not the anchor', { signatures: [] }],
  ])('%s: none', (_name, changes) => {
    expect(checkVotes(context, { ...good, ...changes })).not.toBeNull();
    expect(isCertified(context, { ...good, ...changes }, anchor)).toBe(false);
  });
});

test('a replica takes whatever comes, and goes on', () => {
  const random = new Random(7);
  const replica = nodes[0]!.replica!;
  const all = [...samples.values()].flat();
  for (let round = 0; round < 6_000; round++) {
    const bytes = Uint8Array.from(random.pick(all));
    for (let flips = 0; flips <= random.below(4); flips++) {
      bytes[random.below(bytes.length)] = random.below(256);
    }
    replica.step({ kind: 'receive', from: random.pick(nodes).key, bytes });
  }
  const { tree, waiting, votes } = replica.inspected;
  expect(tree.size).toBeLessThanOrEqual(CONSENSUS_LIMITS.candidatesMax);
  expect(waiting.length).toBeLessThanOrEqual(CONSENSUS_LIMITS.waitingCertificatesMax);
  for (const member of nodes.keys()) {
    const held = [...votes.acknowledgements(member)].length;
    expect(held).toBeLessThanOrEqual(CONSENSUS_LIMITS.votesPerMemberMax);
  }
});

test('votes without end push out their own', () => {
  const { crypto, chainId } = beginning;
  const replica = nodes[1]!.replica!;
  const { votes, term } = replica.inspected;
  const { epoch } = replica.config;
  const liar = nodes[3]!;
  for (let height = 1; height <= 2 * CONSENSUS_LIMITS.votesPerMemberMax; height++) {
    const lie = signVote(crypto, liar.seed, chainId, {
      kind: 'ack',
      epoch,
      term: term + 1,
      mode: 'raft',
      height,
      hash,
      member: 3,
    });
    replica.step({
      kind: 'receive',
      from: liar.key,
      bytes: encodeMessage({ kind: 'vote', vote: lie }),
    });
  }
  const held = [...votes.acknowledgements(3)].length;
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThanOrEqual(CONSENSUS_LIMITS.votesPerMemberMax);
});
