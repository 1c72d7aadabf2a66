// Members of later epochs: what follows from the genesis record, and every forgery that does not.

import { describe, expect, test } from '@jest/globals';
import type { Header } from '../../../ledger/block.ts';
import { encodeBody, encodeGenesis, encodeHeader } from '../../../ledger/encoding.ts';
import { encodeCertificate } from '../../../ledger/encoding-vote.ts';
import { checkConfirmed, checkEpochs } from '../../../ledger/epoch-check.ts';
import type { Barrier } from '../../../ledger/epoch-check.ts';
import { genesisConfig, nextConfig } from '../../../ledger/epoch.ts';
import { bodyHash, chainIdOf, headerHash } from '../../../ledger/hash.ts';
import { signHeader, signVote } from '../../../ledger/signing.ts';
import type { SystemRecord } from '../../../ledger/system.ts';
import type { Ballot, VoteCertificate } from '../../../ledger/vote.ts';
import { votesOf } from '../../../ledger/vote.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';
import { makeChain } from './chain-fixture.ts';

const chain = makeChain(crypto);
const seeds = [31, 32, 33, 34, 35].map((fill) => new Uint8Array(32).fill(fill));
const keys = seeds.map((seed) => crypto.publicKeyOf(seed));
const [first, later] = [seeds.slice(0, 4), seeds.slice(1)];
const nodes = keys.slice(0, 4).map((publicKey) => ({ publicKey, address: '' }));
const genesis = { ...chain.genesis, nodes, consensus: 'adaptive' as const };
const record = encodeGenesis(genesis);
const chainId = chainIdOf(crypto, record);
const config = genesisConfig(genesis);

/** A header with votes for it by `signers`, as members of the epoch in that order. */
function confirmed(
  header: Header,
  signers: readonly Uint8Array[],
  members: readonly number[] = [0, 1, 2],
  changes: Partial<Ballot & Pick<VoteCertificate, 'kind'>> = {},
) {
  const encoded = encodeHeader(header);
  const { kind = 'commit', ...rest } = changes;
  const { epoch, term, mode, height } = header;
  const hash = headerHash(crypto, encoded);
  const ballot = { epoch, term, mode, height, hash, ...rest };
  const signatures = members.map((member) => {
    const vote = { kind: votesOf(kind), ...ballot, member };
    const { signature } = signVote(crypto, signers[member]!, chainId, vote);
    return { member, signature };
  });
  return { header: encoded, certificate: encodeCertificate({ kind, ...ballot, signatures }) };
}

function headerOf(height: number, epoch: number, system: readonly SystemRecord[] = []): Header {
  const body = encodeBody({ bundles: [], system });
  const template = chain.blocks[2]!.header;
  return { ...template, chainId, height, epoch, bodyHash: bodyHash(crypto, body) };
}

function barrier(
  height: number,
  epoch: number,
  system: readonly SystemRecord[],
  ...votes: Parameters<typeof confirmed> extends [Header, ...infer Rest] ? Rest : never
): Barrier {
  const body = encodeBody({ bundles: [], system });
  return { ...confirmed(headerOf(height, epoch, system), ...votes), body };
}

const toBft: SystemRecord = { kind: 'mode', mode: 'bft', statements: [] };
const rules = {
  ...config,
  members: keys.slice(1).map((publicKey) => ({ publicKey, address: '' })),
};
const renewed: SystemRecord = { kind: 'rules', rules, approvals: [] };
const barriers = [barrier(5, 0, [toBft], first), barrier(9, 1, [renewed], first)];

const check = (given: readonly Barrier[], of = record) =>
  checkEpochs(crypto, chainId, { genesis: of, barriers: given });

test('follow from the genesis record by one certificate for each change', () => {
  const configs = check(barriers);
  expect(configs.map(({ epoch }) => epoch)).toEqual([0, 1, 2]);
  expect(configs[0]).toEqual(config);
  expect(configs[1]).toEqual(nextConfig(config, headerOf(5, 0, [toBft]), [toBft]));
  expect(configs[2]!.members.map(({ publicKey }) => publicKey)).toEqual(keys.slice(1));
});

test('confirm a block of their epoch, and members of another do not', () => {
  const newest = check(barriers).at(-1)!;
  const header = headerOf(12, 2);
  const by = (...votes: Parameters<typeof confirmed>) =>
    checkConfirmed(crypto, chainId, newest, confirmed(...votes));
  expect(by(header, later)).toBeNull();
  expect(by(header, first)).toMatch('signature of member 0');
  expect(by(header, later, [0, 1])).toMatch('2 signatures, 3 needed');
  expect(by(headerOf(12, 1), later)).toMatch('header of epoch 1, not 2');
  expect(by(header, later, [0, 1, 2], { epoch: 1 })).toMatch('another epoch');
  expect(by(header, later, [0, 1, 2], { hash: chain.hashes[1]! })).toMatch('another block');
  expect(by(header, later, [0, 1, 2], { height: 13 })).toMatch('a later block');
  expect(by(header, later, [0, 1, 2], { kind: 'quorum' })).toMatch('confirm nothing');
});

test('of a cluster are not spoken for by one node', () => {
  const header = { ...headerOf(0, 0), proposer: keys[0]! };
  const encoded = encodeHeader(header);
  const hash = headerHash(crypto, encoded);
  const signature = signHeader(crypto, seeds[0]!, chainId, hash);
  const certificate = encodeCertificate({ kind: 'proposer', signature });
  expect(checkConfirmed(crypto, chainId, config, { header: encoded, certificate })).toMatch(
    'members have not voted',
  );
});

describe('where one node signs alone', () => {
  const alone = { ...genesis, nodes: nodes.slice(0, 1), consensus: 'solo' as const };
  const aloneRecord = encodeGenesis(alone);
  const aloneChain = chainIdOf(crypto, aloneRecord);
  const start = genesisConfig(alone);
  const toRaft: SystemRecord = {
    kind: 'rules',
    rules: { ...start, policy: 'raft' },
    approvals: [],
  };
  const toSolo: SystemRecord = { kind: 'rules', rules: start, approvals: [] };

  function signed(
    height: number,
    epoch: number,
    system: readonly SystemRecord[],
    seed: Uint8Array,
  ) {
    const proposer = crypto.publicKeyOf(seed);
    const header = { ...headerOf(height, epoch, system), chainId: aloneChain, proposer };
    const encoded = encodeHeader(header);
    const signature = signHeader(crypto, seed, aloneChain, headerHash(crypto, encoded));
    const certificate = encodeCertificate({ kind: 'proposer', signature });
    return { header: encoded, body: encodeBody({ bundles: [], system }), certificate };
  }

  function voted(height: number, epoch: number, system: readonly SystemRecord[]): Barrier {
    const header = { ...headerOf(height, epoch, system), chainId: aloneChain, proposer: keys[0]! };
    const encoded = encodeHeader(header);
    const { term, mode } = header;
    const hash = headerHash(crypto, encoded);
    const ballot = { epoch, term, mode, height, hash };
    const vote = { kind: 'ack' as const, ...ballot, member: 0 };
    const { signature } = signVote(crypto, seeds[0]!, aloneChain, vote);
    const signatures = [{ member: 0, signature }];
    const certificate = encodeCertificate({ kind: 'fast', ...ballot, signatures });
    return { header: encoded, body: encodeBody({ bundles: [], system }), certificate };
  }

  const follow = (...given: Barrier[]) =>
    checkEpochs(crypto, aloneChain, { genesis: aloneRecord, barriers: given });

  test('a cluster begins with its signature, and ends with votes', () => {
    const configs = follow(signed(5, 0, [toRaft], seeds[0]!), voted(9, 1, [toSolo]));
    expect(configs.map(({ policy }) => policy)).toEqual(['solo', 'raft', 'solo']);
    const last = configs.at(-1)!;
    const block = signed(10, 2, [], seeds[0]!);
    expect(checkConfirmed(crypto, aloneChain, last, block)).toBeNull();
    expect(checkConfirmed(crypto, aloneChain, last, voted(10, 2, []))).toMatch('signs alone');
    expect(checkConfirmed(crypto, aloneChain, last, signed(10, 2, [], seeds[1]!))).toMatch(
      'the proposer is no member',
    );
  });

  test('neither stands for the other', () => {
    expect(() => follow(voted(5, 0, [toRaft]))).toThrow('votes where one node signs alone');
    const [first, second] = [
      signed(5, 0, [toRaft], seeds[0]!),
      signed(9, 1, [toSolo], seeds[0]!),
    ] as const;
    expect(() => follow(first, second)).toThrow('members have not voted');
    expect(() => follow(signed(5, 0, [toRaft], seeds[1]!))).toThrow('the proposer is no member');
  });
});

describe('are refused', () => {
  const [one, two] = barriers as [Barrier, Barrier];
  test.each<[string, readonly Barrier[], string]>([
    ['with too few votes', [barrier(5, 0, [toBft], first, [0, 1])], '2 signatures, 3 needed'],
    ['with votes of others', [barrier(5, 0, [toBft], later)], 'signature of member 0'],
    [
      'with votes in another epoch',
      [barrier(5, 0, [toBft], first, [0, 1, 2], { epoch: 1 })],
      'another epoch',
    ],
    ['with a change left out', [two], 'header of epoch 1, not 0'],
    ['with a change twice', [one, one], 'header of epoch 0, not 1'],
    ['with another body', [{ ...one, body: two.body }], 'another body'],
    ['with a block that changes nothing', [barrier(5, 0, [], first)], 'has no record'],
  ])('%s', (_name, given, message) => {
    expect(() => check(given)).toThrow(message);
  });

  test('of another genesis', () => {
    expect(() => check([], chain.genesisBytes)).toThrow('of another chain');
  });
});
