// What a replica says of a chain that it catches up with, and of its own records when they are lost.

import { describe, expect, test } from '@jest/globals';
import { encodeMessage } from '../../../consensus/core/codec.ts';
import type { Effect } from '../../../consensus/core/event.ts';
import type { CertifiedBlock } from '../../../consensus/core/message.ts';
import { Replica } from '../../../consensus/core/replica.ts';
import type { Restored } from '../../../consensus/core/replica.ts';
import type { Block, Header } from '../../../ledger/block.ts';
import { hex } from '../../../ledger/bytes.ts';
import { encodeBody, encodeHeader } from '../../../ledger/encoding.ts';
import { encodeCertificate } from '../../../ledger/encoding-vote.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import type { EpochConfig } from '../../../ledger/epoch.ts';
import { bodyHash, headerHash } from '../../../ledger/hash.ts';
import { HistoryTree } from '../../../ledger/history-tree.ts';
import { signHeader } from '../../../ledger/signing.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';
import { certify, makeChain, NODE_SEED } from '../ledger/chain-fixture.ts';

const NEWCOMER_SEED = new Uint8Array(32).fill(9);

const chain = makeChain(crypto);
const ORDERER = crypto.publicKeyOf(NODE_SEED);

/** Of a node that has block 0 alone. */
function restored(changes: Partial<EpochConfig>, records: Restored['records']): Restored {
  const { header } = chain.blocks[0]!;
  const hash = chain.hashes[0]!;
  const history = new HistoryTree(crypto);
  history.append(hash);
  const config = { ...genesisConfig(chain.genesis), ...changes };
  const certificate = chain.genesisCertificate;
  const results = [header.executed];
  const epoch = { anchor: hash, config, before: null };
  return { header, hash, history, certificate, ...epoch, results, records };
}

function replicaOf(seed: Uint8Array, begin: Restored): Replica {
  const options = {
    crypto,
    chainId: chain.chainId,
    seed,
    publicKey: crypto.publicKeyOf(seed),
    validate: () => 'valid' as const,
    bodyIsSound: () => true,
    ackFanout: true,
    incarnation: 1,
  };
  return new Replica(options, begin);
}

function stored({ header, bundles, system, certificate }: Block): CertifiedBlock {
  return {
    header: encodeHeader(header),
    body: encodeBody({ bundles, system }),
    certificate: encodeCertificate(certificate),
  };
}

/** The same block with another header, signed anew by the node that orders. */
function signedAnew(block: Block, changes: Partial<Header>): Block {
  const header = { ...block.header, ...changes };
  return { ...block, header, certificate: certify(crypto, header) };
}

function alarmsIn(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) =>
    effect.kind === 'alarm' ? [`${effect.alarm}: ${effect.message}`] : [],
  );
}

function tell(replica: Replica, blocks: readonly Block[]): readonly Effect[] {
  const bytes = encodeMessage({ kind: 'blocks', blocks: blocks.map(stored) });
  return replica.step({ kind: 'receive', from: ORDERER, bytes });
}

describe('a node that catches up with solo', () => {
  const [, first, second, third] = chain.blocks as [Block, Block, Block, Block];

  test('takes what its node has signed', () => {
    const replica = replicaOf(NEWCOMER_SEED, restored({}, []));
    const effects = tell(replica, [first, second, third]);
    expect(replica.status.height).toBe(3);
    expect(alarmsIn(effects)).toEqual([]);
  });

  test.each<[what: string, changes: Partial<Header>, fault: string]>([
    ['root of the transactions', { transactionsRoot: new Uint8Array(32) }, 'transactions root'],
    ['root of the history', { historyRoot: new Uint8Array(32) }, 'header does not follow'],
    ['parent', { parent: new Uint8Array(32) }, 'header does not follow'],
    ['epoch', { epoch: 1 }, 'header does not follow'],
  ])('stops at a signed block with another %s, and says so once', (_, changes, fault) => {
    const replica = replicaOf(NEWCOMER_SEED, restored({}, []));
    const wrong = signedAnew(second, changes);
    const [alarm, ...more] = alarmsIn(tell(replica, [first, wrong, third]));
    expect(more).toEqual([]);
    expect(alarm).toContain(
      `invalid: block 2, ${hex(headerHash(crypto, encodeHeader(wrong.header)))}`,
    );
    expect(alarm).toContain(fault);
    expect(alarm).toContain('stays at block 1');
    expect(alarmsIn(tell(replica, [wrong]))).toEqual([]);
    expect(replica.status.height).toBe(1);
    // Another one in its place may be right.
    expect(alarmsIn(tell(replica, [second]))).toEqual([]);
    expect(replica.status.height).toBe(2);
  });

  test('stops at a signed block whose body is none, and says so once', () => {
    const replica = replicaOf(NEWCOMER_SEED, restored({}, []));
    tell(replica, [first]);
    const body = new Uint8Array([0xff]);
    const wrong = signedAnew(second, { bodyHash: bodyHash(crypto, body) });
    const bytes = encodeMessage({ kind: 'blocks', blocks: [{ ...stored(wrong), body }] });
    const receive = { kind: 'receive', from: ORDERER, bytes } as const;
    const [alarm, ...more] = alarmsIn(replica.step(receive));
    expect(more).toEqual([]);
    expect(alarm).toContain(
      `invalid: block 2, ${hex(headerHash(crypto, encodeHeader(wrong.header)))}`,
    );
    expect(alarm).toContain('body cannot be decoded');
    expect(alarmsIn(replica.step(receive))).toEqual([]);
    expect(alarmsIn(tell(replica, [second]))).toEqual([]);
    expect(replica.status.height).toBe(2);
  });

  test.each<[what: string, block: CertifiedBlock]>([
    ['another body than the signed one', { ...stored(second), body: new Uint8Array([0xff]) }],
    ['no header', { ...stored(second), header: new Uint8Array([0xff]) }],
    ['no certificate', { ...stored(second), certificate: new Uint8Array([0xff]) }],
  ])('says nothing of who sends %s', (_, block) => {
    const replica = replicaOf(NEWCOMER_SEED, restored({}, []));
    tell(replica, [first]);
    const bytes = encodeMessage({ kind: 'blocks', blocks: [block] });
    expect(alarmsIn(replica.step({ kind: 'receive', from: ORDERER, bytes }))).toEqual([]);
    expect(replica.status.height).toBe(1);
  });

  test('says nothing of what its node has not signed', () => {
    const replica = replicaOf(NEWCOMER_SEED, restored({}, []));
    const forged = { ...second, header: { ...second.header, timeMs: second.header.timeMs + 1 } };
    expect(alarmsIn(tell(replica, [first, forged]))).toEqual([]);
    const proposer = crypto.publicKeyOf(NEWCOMER_SEED);
    const header = { ...second.header, proposer };
    const signature = signHeader(
      ...([crypto, NEWCOMER_SEED, chain.chainId] as const),
      headerHash(crypto, encodeHeader(header)),
    );
    const stranger = { ...second, header, certificate: { kind: 'proposer', signature } as const };
    expect(alarmsIn(tell(replica, [stranger]))).toEqual([]);
    expect(replica.status.height).toBe(1);
  });
});

test('the only member says how to go on when its records are lost, at each start, and signs nothing', () => {
  const alone = { policy: 'raft' as const };
  const lost = replicaOf(NODE_SEED, restored(alone, null));
  const effects = lost.step({ kind: 'tick', nowMs: 0 });
  const [, how] = alarmsIn(effects);
  expect(how).toMatch(
    /^amnesia: this node is the only member .* consensus\/ too, that was made when it did not run$/,
  );
  expect(lost.status.recovering).toBe(true);

  const kept = effects.flatMap((effect) => (effect.kind === 'persist' ? effect.records : []));
  const again = replicaOf(NODE_SEED, restored(alone, kept));
  expect(alarmsIn(again.step({ kind: 'tick', nowMs: 0 }))).toEqual([how]);
  expect(again.status.recovering).toBe(true);

  // One that has never run has forgotten nothing.
  const fresh = replicaOf(NODE_SEED, restored(alone, []));
  expect(alarmsIn(fresh.step({ kind: 'tick', nowMs: 0 }))).toEqual([]);
  expect(fresh.status.recovering).toBe(false);
});
