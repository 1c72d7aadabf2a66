// A block that everybody can see to be invalid convicts its leader at whoever gets it, and nobody else; in the next epoch too.

import { describe, expect, test } from '@jest/globals';
import { accusedBy, accusedNow } from '../../../consensus/core/evidence.ts';
import { decodeEvidence, encodeEvidence, encodeMessage } from '../../../consensus/core/codec.ts';
import type { Evidence, SignedBlock } from '../../../consensus/core/message.ts';
import { State } from '../../../consensus/core/state.ts';
import { checkSystem } from '../../../consensus/core/system-check.ts';
import { hex } from '../../../ledger/bytes.ts';
import { encodeBody, encodeHeader } from '../../../ledger/encoding.ts';
import type { EpochConfig } from '../../../ledger/epoch.ts';
import { bodyHash, headerHash } from '../../../ledger/hash.ts';
import { HistoryTree } from '../../../ledger/history-tree.ts';
import { signHeader, signVote } from '../../../ledger/signing.ts';
import { INVALID } from '../../simulation/node.ts';
import { optionsOf } from '../../simulation/options.ts';
import { Simulation } from '../../simulation/simulation.ts';

const { beginning, nodes } = new Simulation(
  optionsOf(1, { n: 4, liars: [0], liar: 'silent', forgetful: [], damaged: [] }),
);
const { crypto, chainId, header: genesis } = beginning;
const context = {
  ...beginning,
  bodyIsSound: ({ bundles }: { readonly bundles: readonly unknown[] }) => bundles.length === 0,
};
const options = {
  ...context,
  seed: nodes[1]!.seed,
  publicKey: nodes[1]!.key,
  validate: (): 'valid' => 'valid',
  ackFanout: true,
  incarnation: 1,
} as const;
const anchor = {
  kind: 'quorum',
  epoch: 0,
  term: 0,
  mode: 'raft',
  height: 0,
  hash: beginning.hash,
  signatures: [],
} as const;

const bundle = {
  author: 1,
  publicKey: nodes[0]!.key,
  signature: new Uint8Array(64),
  transactions: [new Uint8Array([INVALID])],
};
const SOUND = encodeBody({ bundles: [], system: [] });
const UNSOUND = encodeBody({ bundles: [bundle], system: [] });
const NO_BODY = new Uint8Array([0xff]);

/** Of the first member, who leads term 0, unless another signs it. */
function block(body: Uint8Array, signer = 0): SignedBlock {
  const fields = { height: 1, parent: beginning.hash, bodyHash: bodyHash(crypto, body) };
  const header = encodeHeader({ ...genesis, ...fields, proposer: nodes[0]!.key });
  const hash = headerHash(crypto, header);
  return { header, body, signature: signHeader(crypto, nodes[signer]!.seed, chainId, hash) };
}

function accused(signed: SignedBlock, vote: Extract<Evidence, { kind: 'block' }>['vote'] = null) {
  return accusedBy(context, anchor, { kind: 'block', block: signed, vote });
}

function ack(signed: SignedBlock, kind: 'ack' | 'commit' = 'ack') {
  const hash = headerHash(crypto, signed.header);
  const ballot = { epoch: 0, term: 0, mode: 'raft', height: 1, hash, member: 2 } as const;
  return signVote(crypto, nodes[2]!.seed, chainId, { kind, ...ballot });
}

describe('an invalid block', () => {
  test.each([
    ['a bundle that is none', UNSOUND],
    ['no body', NO_BODY],
  ])('%s: its leader has lied, and whoever acknowledges it', (_name, body) => {
    expect(accused(block(body))).toBe(0);
    expect(accused(block(body), ack(block(body)))).toBe(2);
  });

  test('shows nothing when it is sound, signed by another, or beside another body', () => {
    expect(accused(block(SOUND))).toBeNull();
    expect(accused(block(UNSOUND, 1))).toBeNull();
    expect(accused({ ...block(SOUND), body: UNSOUND })).toBeNull();
    expect(accused({ ...block(SOUND), body: NO_BODY })).toBeNull();
  });

  test('shows nothing against who has voted for another one, or only committed', () => {
    expect(accused(block(UNSOUND), ack(block(SOUND)))).toBeNull();
    expect(accused(block(UNSOUND), ack(block(UNSOUND), 'commit'))).toBeNull();
    const forged = { ...ack(block(UNSOUND)), signature: new Uint8Array(64) };
    expect(accused(block(UNSOUND), forged)).toBeNull();
  });
});

describe('a proof of the epoch before', () => {
  const lie: Evidence = { kind: 'block', block: block(UNSOUND), vote: null };
  const { members } = beginning.config;
  const before = { config: beginning.config, anchor };

  function epochOne(changes: Partial<EpochConfig>): State {
    const root = { header: genesis, height: 0, hash: beginning.hash, key: hex(beginning.hash) };
    const config = { ...beginning.config, epoch: 1, ...changes };
    const history = new HistoryTree(crypto);
    const s = new State(options, { ...root, history }, beginning.hash, config, []);
    s.before = before;
    return s;
  }

  test('names the member by the place that it has now, in a block too', () => {
    const s = epochOne({ members: members.toReversed() });
    expect(accusedNow(s, lie)).toBe(3);
    const record = (accused: number) =>
      ({ kind: 'evidence', accused, proof: encodeEvidence(lie) }) as const;
    const verdictOf = (accused: number) =>
      checkSystem(s, { header: genesis, system: [record(accused)] });
    expect(verdictOf(3)).toBe('valid');
    expect(verdictOf(0)).toBe('invalid');
  });

  test('counts no more against who is no member, after another epoch, nor if one node ordered alone', () => {
    expect(accusedNow(epochOne({ members: members.slice(1) }), lie)).toBeNull();
    const later = epochOne({ epoch: 2 });
    later.before = { config: epochOne({}).config, anchor: { ...anchor, epoch: 1 } };
    expect(accusedNow(later, lie)).toBeNull();
    const alone = epochOne({});
    alone.before = { ...before, config: { ...beginning.config, policy: 'solo' } };
    expect(accusedNow(alone, lie)).toBeNull();
  });
});

test('a member that gets what is no block goes on, and has the proof', () => {
  const [leader, member] = nodes;
  member!.start();
  const message = {
    kind: 'block',
    block: block(NO_BODY),
    highest: null,
    confirming: null,
  } as const;
  member!.step({ kind: 'receive', from: leader!.key, bytes: encodeMessage(message) });
  const { proven } = member!.replica!.inspected;
  expect([...proven.keys()]).toEqual([0]);
  expect(accusedBy(context, anchor, decodeEvidence(proven.get(0)!))).toBe(0);
});
