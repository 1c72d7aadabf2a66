// Certificates of a cluster: which votes confirm which block, alone or through a descendant.

import { describe, expect, test } from '@jest/globals';
import type { Header } from '../../../ledger/block.ts';
import { checkCertificateOf, checkCovered, checkVotes } from '../../../ledger/certificate-check.ts';
import { encodeHeader } from '../../../ledger/encoding.ts';
import { genesisConfig, isBarrier, leaderOf, nextConfig } from '../../../ledger/epoch.ts';
import { headerHash } from '../../../ledger/hash.ts';
import { LIMITS } from '../../../ledger/limits.ts';
import { signVote } from '../../../ledger/signing.ts';
import type { Ballot, VoteCertificate } from '../../../ledger/vote.ts';
import { votesOf } from '../../../ledger/vote.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';
import { makeChain } from './chain-fixture.ts';

const chain = makeChain(crypto);
const { chainId } = chain;
const seeds = [21, 22, 23, 24].map((fill) => new Uint8Array(32).fill(fill));
const nodes = seeds.map((seed) => crypto.publicKeyOf(seed));
const members = nodes.map((publicKey) => ({ publicKey, address: '' }));
const config = genesisConfig({ ...chain.genesis, nodes: members, consensus: 'adaptive' });
const context = { crypto, chainId, config };

const template = chain.blocks[2]!.header;
const header: Header = { ...template, proposer: nodes[2]!, term: 2 };
const hash = headerHash(crypto, encodeHeader(header));
const ballot: Ballot = { epoch: 0, term: 2, mode: 'raft', height: 2, hash };

function certificate(
  kind: VoteCertificate['kind'],
  members: readonly number[],
  changes: Partial<Ballot> = {},
): VoteCertificate {
  const about = { ...ballot, ...changes };
  const vote = { kind: votesOf(kind), ...about };
  const signatures = members.map((member) => {
    const { signature } = signVote(crypto, seeds[member]!, chainId, { ...vote, member });
    return { member, signature };
  });
  return { kind, ...about, signatures };
}

const check = (given: VoteCertificate, of: Header = header) =>
  checkCertificateOf(context, of, headerHash(crypto, encodeHeader(of)), given);

test('votes of a quorum confirm, in one round or in two', () => {
  expect(check(certificate('fast', [0, 1, 3]))).toBeNull();
  expect(check(certificate('commit', [1, 2, 3]))).toBeNull();
  expect(check(certificate('commit', [1, 2, 3], { term: 3, mode: 'bft' }))).toBeNull();
});

describe('refused', () => {
  test.each<[string, VoteCertificate]>([
    ['too few', certificate('fast', [0, 1])],
    ['acknowledgements only', certificate('quorum', [0, 1, 2])],
    ['fast in another term', certificate('fast', [0, 1, 2], { term: 3 })],
    ['fast in bft mode', certificate('fast', [0, 1, 2], { mode: 'bft' })],
    ['an earlier term', certificate('commit', [0, 1, 2], { term: 1 })],
    ['another epoch', certificate('commit', [0, 1, 2], { epoch: 1 })],
    ['another block', certificate('commit', [0, 1, 2], { hash: chain.hashes[1]! })],
    ['an earlier block', certificate('commit', [0, 1, 2], { height: 1 })],
    ['votes of the other kind', { ...certificate('fast', [0, 1, 2]), kind: 'commit' }],
  ])('%s', (_name, given) => {
    expect(check(given)).not.toBeNull();
  });

  test('one member twice, members out of order, no member', () => {
    const { signatures, ...rest } = certificate('commit', [0, 1, 2]);
    const [a, b, c] = signatures as [(typeof signatures)[0], (typeof signatures)[0], never];
    for (const given of [
      [a, a, b],
      [b, a, c],
      [a, b, { ...b, member: 4 }],
      [a, b, { ...b, member: 2 }],
    ]) {
      expect(checkVotes(context, { ...rest, signatures: given })).not.toBeNull();
    }
  });
});

describe('a descendant', () => {
  const child: Header = { ...header, height: 3, parent: hash };
  const childHash = headerHash(crypto, encodeHeader(child));
  const later = certificate('fast', [0, 1, 2], { height: 3, hash: childHash });

  test('confirms its ancestors, each of which has its certificate', () => {
    expect(check(later)).toBeNull();
    expect(check(later, child)).toBeNull();
    expect(checkCovered(header, later, later)).toBeNull();
    const other = certificate('fast', [0, 1, 2], { height: 3, hash: chain.hashes[1]! });
    expect(checkCovered(header, other, later)).not.toBeNull();
    expect(checkCovered(header, certificate('fast', [0, 1, 2]), later)).toBeNull();
  });

  test('is not too far', () => {
    const of = (height: number) => check(certificate('commit', [0, 1, 2], { height }));
    expect(of(1 + LIMITS.certificateSpanMax)).toBeNull();
    expect(of(2 + LIMITS.certificateSpanMax)).not.toBeNull();
  });
});

describe('epochs', () => {
  const mode = (to: 'raft' | 'bft') => ({ kind: 'mode', mode: to, statements: [] }) as const;

  test('end with a block of system records, and go on with its leader', () => {
    expect(isBarrier([])).toBe(false);
    expect(nextConfig(config, header, [])).toBe(config);
    const next = nextConfig(config, header, [mode('bft')]);
    expect(next).toMatchObject({ epoch: 1, mode: 'bft', switched: { height: 2, level: 0 } });
    expect(leaderOf(next, 0)).toBe(leaderOf(config, header.term));
    expect(leaderOf(next, 1)).toBe(leaderOf(config, header.term + 1));
  });

  test('leave out whoever was proven to lie, until new rules rename it', () => {
    const evidence = { kind: 'evidence', accused: 2, proof: new Uint8Array([1]) } as const;
    const next = nextConfig(config, header, [evidence, mode('bft')]);
    expect(next).toMatchObject({ suspended: [2], eligible: [0, 1, 3] });
    const members = next.members.toReversed();
    const rules = { ...next, members };
    const after = nextConfig(next, header, [{ kind: 'rules', rules, approvals: [] }]);
    expect(after).toMatchObject({ epoch: 2, suspended: [1], eligible: [0, 2, 3] });
  });

  test('a change to bft soon after a return raises the level, an hour of quiet lowers it', () => {
    const at = (height: number, minutes: number): Header => ({
      ...header,
      height,
      timeMs: header.timeMs + minutes * 60_000,
    });
    let now = nextConfig(config, at(10, 0), [mode('bft')]);
    now = nextConfig(now, { ...at(500, 5), mode: 'bft' }, [mode('raft')]);
    now = nextConfig(now, at(510, 6), [mode('bft')]);
    expect(now.switched).toMatchObject({ height: 510, level: 1 });
    now = nextConfig(now, { ...at(900, 20), mode: 'bft' }, [mode('raft')]);
    now = nextConfig(now, at(910, 90), [mode('bft')]);
    expect(now.switched).toMatchObject({ height: 910, level: 0 });
  });
});
