// Every static check of a block: what is as it should be passes, every single change is named.

import { describe, expect, test } from '@jest/globals';
import type { Block, Header } from '../../../ledger/block.ts';
import type { BlockProblem, CheckContext } from '../../../ledger/block-check.ts';
import { checkBlock, checkGenesis } from '../../../ledger/block-check.ts';
import { decodeTransaction, encodeTransaction } from '../../../ledger/encoding.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import { quorumOf } from '../../../ledger/genesis.ts';
import { HistoryTree } from '../../../ledger/history-tree.ts';
import { bodyHash } from '../../../ledger/hash.ts';
import { encodeBody } from '../../../ledger/encoding.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';
import { certify, makeChain } from './chain-fixture.ts';

const chain = makeChain(crypto);
const context: CheckContext = { crypto, chainId: chain.chainId };

function parentOf(height: number) {
  const history = new HistoryTree(crypto);
  for (const hash of chain.hashes.slice(0, height)) history.append(hash);
  const { header, certificate } = chain.blocks[height - 1]!;
  const config = genesisConfig(chain.genesis);
  return { header, hash: chain.hashes[height - 1]!, history, certificate, config };
}

function check(block: Block, height = 2, given = context): BlockProblem | null {
  return checkBlock(given, parentOf(height), block);
}

const block = chain.blocks[2]!;
const other = new Uint8Array(32).fill(0xee);

/** The block with another header, certified anew. */
function withHeader(changes: Partial<Header>): Block {
  const header = { ...block.header, ...changes };
  return { ...block, header, certificate: certify(crypto, header) };
}

/** The block with other bundles, and the header's body hash made to fit. */
function withBundles(bundles: Block['bundles']): Block {
  return {
    ...withHeader({ bodyHash: bodyHash(crypto, encodeBody({ bundles, system: [] })) }),
    bundles,
  };
}

test('every block of a sound chain passes', () => {
  for (let height = 1; height < chain.blocks.length; height++) {
    expect(check(chain.blocks[height]!, height)).toBeNull();
  }
  const { header } = chain.blocks[0]!;
  expect(checkGenesis(crypto, chain.genesis, header, chain.genesisCertificate)).toBeNull();
});

test.each<[keyof Header, Partial<Header>]>([
  ['version', { version: 1 }],
  ['chainId', { chainId: other }],
  ['height', { height: 3 }],
  ['parent', { parent: other }],
  ['timeMs', { timeMs: 5 }],
  ['proposer', { proposer: other }],
  ['historyRoot', { historyRoot: other }],
  ['epoch', { epoch: 1 }],
  ['executed', { executed: { height: 2, receiptsRoot: other } }],
  ['bodyHash', { bodyHash: other }],
  ['transactionCount', { transactionCount: 4 }],
  ['transactionsRoot', { transactionsRoot: other }],
])('a wrong %s is named', (field, changes) => {
  // A header of another version cannot be certified: it has no encoding.
  const wrong =
    field === 'version'
      ? { ...block, header: { ...block.header, ...changes } }
      : withHeader(changes);
  expect(check(wrong)?.what).toBe(field);
});

test('execution goes neither back nor twice to one height with another result', () => {
  const wrong = (executed: Header['executed']) =>
    checkBlock(context, parentOf(3), {
      ...chain.blocks[3]!,
      header: { ...chain.blocks[3]!.header, executed },
    });
  expect(wrong({ height: 0, receiptsRoot: other })?.what).toBe('executed');
  expect(wrong({ height: 1, receiptsRoot: other })?.what).toBe('executed');
});

describe('bundles', () => {
  const [alice, admin] = block.bundles as [Block['bundles'][number], Block['bundles'][number]];

  test('another key, another signature', () => {
    const forged = { ...admin, publicKey: alice.publicKey };
    expect(check(withBundles([alice, forged]))).toMatchObject({ what: 'bundle', position: 1 });
    const unsigned = { ...alice, signature: new Uint8Array(64) };
    expect(check(withBundles([unsigned, admin]))).toMatchObject({ what: 'bundle', position: 0 });
    const reordered = { ...alice, transactions: alice.transactions.toReversed() };
    expect(check(withBundles([reordered, admin]))).toMatchObject({ what: 'bundle', position: 0 });
  });

  test('a transaction of another author, of another chain, with another text, or none', () => {
    const first = decodeTransaction(alice.transactions[0]!);
    const change = (changes: Partial<typeof first>) => {
      const { bytes } = encodeTransaction(crypto, { ...first, ...changes });
      return { ...alice, transactions: [alice.transactions[1]!, bytes] };
    };
    const second = { what: 'transaction', position: 1 };
    expect(check(withBundles([change({ author: 10 }), admin]))).toMatchObject(second);
    expect(check(withBundles([change({ chainId: other }), admin]))).toMatchObject(second);
    const text = { salt: new Uint8Array(16), value: new Uint8Array(3) };
    expect(check(withBundles([change({ text }), admin]))).toMatchObject(second);
    const garbage = { ...alice, transactions: [new Uint8Array(9)] };
    expect(check(withBundles([garbage, admin]))).toMatchObject({
      what: 'transaction',
      position: 0,
    });
  });
});

test('the proposer signs for itself in solo, and no one else', () => {
  const forged = { kind: 'proposer', signature: new Uint8Array(64) } as const;
  expect(check({ ...block, certificate: forged })?.what).toBe('certificate');
  const parent = parentOf(2);
  const config = { ...parent.config, policy: 'raft' } as const;
  expect(checkBlock(context, { ...parent, config }, block)?.what).toBe('certificate');
});

test('the fewest signatures that confirm', () => {
  const node = { publicKey: other, address: '' };
  const nodes = (count: number) => Array.from({ length: count }, () => node);
  expect(quorumOf({ consensus: 'solo', nodes: nodes(1) })).toBe(1);
  const of = (consensus: 'raft' | 'bft', n: number) => quorumOf({ consensus, nodes: nodes(n) });
  expect([1, 3, 4, 5, 7].map((n) => of('raft', n))).toEqual([1, 2, 3, 4, 6]);
  expect([1, 3, 4, 7].map((n) => of('bft', n))).toEqual([1, 2, 3, 5]);
});

test('a genesis header that is not the one of the record is named', () => {
  const { header } = chain.blocks[0]!;
  const wrong = (changes: Partial<Header>) => {
    const changed = { ...header, ...changes };
    return checkGenesis(crypto, chain.genesis, changed, certify(crypto, changed))?.what;
  };
  expect(wrong({ chainId: other })).toBe('chainId');
  expect(wrong({ timeMs: 1 })).toBe('height');
  expect(wrong({ proposer: other })).toBe('proposer');
  const unsigned = checkGenesis(crypto, chain.genesis, header, {
    kind: 'proposer',
    signature: new Uint8Array(64),
  });
  expect(unsigned?.what).toBe('certificate');
});
