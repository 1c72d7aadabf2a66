// The epochs of a chain, found without reading all of it.

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { decodeBody, decodeGenesis, decodeHeader } from '../../../ledger/encoding.ts';
import type { SystemRecord } from '../../../ledger/system.ts';
import { configAfter, configOf, epochsProof, epochsUpTo } from '../../../storage/epochs.ts';
import { BLOCK_MS, EpochChain, MEMBERS } from './epoch-chain.ts';
import { START_MS } from './ledger-fixture.ts';

const FRAUD: SystemRecord = { kind: 'evidence', accused: 2, proof: new Uint8Array([7]) };
const TO_BFT: SystemRecord = { kind: 'mode', mode: 'bft', statements: [] };

let chain: EpochChain;

beforeEach(() => {
  chain = new EpochChain();
});

afterEach(() => {
  chain[Symbol.dispose]();
});

/** Appends plain blocks. */
function plain(count: number): void {
  for (let i = 0; i < count; i += 1) chain.append();
}

test('a chain without barriers has the epoch of its genesis record', () => {
  plain(3);
  const epochs = epochsUpTo(chain.blocks, 3);
  expect(epochs).toHaveLength(1);
  expect(epochs[0]).toMatchObject({ from: 0, system: [], sinceMs: START_MS });
  expect(epochs[0]!.config).toMatchObject({ epoch: 0, policy: 'adaptive', mode: 'raft', f: 1 });
  expect(epochsUpTo(chain.blocks, 0)).toEqual(epochs);
});

test('an epoch begins after its barrier, with what that says', () => {
  plain(5);
  const first = chain.append([FRAUD, TO_BFT]);
  // An epoch of one block.
  const second = chain.append([{ kind: 'mode', mode: 'raft', statements: [] }], { mode: 'bft' });
  plain(9);
  const epochs = epochsUpTo(chain.blocks, chain.blocks.tip);
  expect(epochs.map(({ from, config }) => [from, config.epoch, config.mode])).toEqual([
    [0, 0, 'raft'],
    [first + 1, 1, 'bft'],
    [second + 1, 2, 'raft'],
  ]);
  expect(epochs[1]!.system).toEqual([FRAUD, TO_BFT]);
  expect(epochs[1]!.sinceMs).toBe(START_MS + first * BLOCK_MS);
  expect(epochs.map(({ config }) => config.suspended)).toEqual([[], [2], [2]]);
  for (const { from, config } of epochs) {
    expect(configOf(chain.blocks, from)).toEqual(config);
    expect(configAfter(chain.blocks, Math.max(from - 1, 0))).toEqual(config);
  }
});

test('a barrier at the tip has begun the next epoch, and what is known is carried on', () => {
  plain(2);
  const barrier = chain.append([FRAUD]);
  expect(epochsUpTo(chain.blocks, barrier - 1)).toHaveLength(1);
  const known = epochsUpTo(chain.blocks, barrier);
  expect(known.map(({ from }) => from)).toEqual([0, barrier + 1]);
  expect(epochsUpTo(chain.blocks, barrier, known)).toEqual(known);
  plain(40);
  chain.append([TO_BFT]);
  plain(1);
  const all = epochsUpTo(chain.blocks, chain.blocks.tip);
  expect(all).toHaveLength(3);
  expect(epochsUpTo(chain.blocks, chain.blocks.tip, known)).toEqual(all);
});

test('what shows the members of a block are the barriers before it', () => {
  plain(5);
  const first = chain.append([FRAUD, TO_BFT]);
  const second = chain.append([{ kind: 'mode', mode: 'raft', statements: [] }], { mode: 'bft' });
  plain(3);
  const epochs = epochsUpTo(chain.blocks, chain.blocks.tip);
  const shown = (height: number): number[] =>
    epochsProof(chain.blocks, height, epochs).barriers.map(
      ({ header }) => decodeHeader(header).height,
    );
  expect(shown(first - 1)).toEqual([]);
  // A barrier is confirmed by the members of the epoch that it ends.
  expect(shown(first)).toEqual([]);
  expect(shown(second)).toEqual([first]);
  expect(shown(chain.blocks.tip)).toEqual([first, second]);
  const { genesis, barriers } = epochsProof(chain.blocks, chain.blocks.tip, epochs);
  expect(decodeGenesis(genesis).nodes.map(({ publicKey }) => publicKey)).toEqual(MEMBERS);
  expect(decodeBody(barriers[0]!.body).system).toEqual([FRAUD, TO_BFT]);
});

test('few blocks are read', () => {
  plain(500);
  chain.append([FRAUD]);
  plain(500);
  const read = jest.spyOn(chain.blocks, 'read');
  expect(epochsUpTo(chain.blocks, chain.blocks.tip)).toHaveLength(2);
  expect(read.mock.calls.length).toBeLessThan(20);
});
