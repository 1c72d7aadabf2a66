// Solo with new rules: the block that ends an epoch, what follows it, and a replica that catches up with all of it.

import { describe, expect, test } from '@jest/globals';
import type { ExecutedBlock, Ledger, OrderedBlock, Tip } from '../../../consensus/consensus.ts';
import { encodeMessage } from '../../../consensus/core/codec.ts';
import { signStatement } from '../../../consensus/core/context.ts';
import type { Effect } from '../../../consensus/core/event.ts';
import { Replica } from '../../../consensus/core/replica.ts';
import { rulesStatement } from '../../../consensus/core/system-check.ts';
import type { ApprovedRules } from '../../../consensus/rules-change.ts';
import { Solo } from '../../../consensus/solo.ts';
import { HASH_BYTES } from '../../../ledger/crypto.ts';
import { encodeBody, encodeHeader, transactionIdOf } from '../../../ledger/encoding.ts';
import { encodeCertificate, encodeRules } from '../../../ledger/encoding-vote.ts';
import type { EpochConfig, Rules } from '../../../ledger/epoch.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import { bodyHash, headerHash } from '../../../ledger/hash.ts';
import { HistoryTree } from '../../../ledger/history-tree.ts';
import { merkleRoot } from '../../../ledger/merkle.ts';
import { signHeader } from '../../../ledger/signing.ts';
import { nativeCrypto as crypto } from '../../../storage/native-crypto.ts';
import { ADMIN_SEED, ALICE_SEED, makeChain, NODE_SEED } from '../ledger/chain-fixture.ts';

const { chainId, genesis, blocks, hashes } = makeChain(crypto);
const config = genesisConfig(genesis);
const node = crypto.publicKeyOf(NODE_SEED);
const newcomerSeed = new Uint8Array(32).fill(77);
const root = new Uint8Array(HASH_BYTES).fill(5);

function historyOfGenesis(): HistoryTree {
  const history = new HistoryTree(crypto);
  history.append(hashes[0]!);
  return history;
}

/** A ledger in memory, above block 0. */
class MemoryLedger implements Ledger {
  readonly history = historyOfGenesis();
  readonly ordered: OrderedBlock[] = [];
  tip: Tip = {
    height: 0,
    hash: hashes[0]!,
    timeMs: genesis.createdMs,
    covered: blocks[0]!.header.executed,
    uncovered: [],
    unproved: false,
    catalogVersion: 1,
  };
  /** Blocks wait until it is resolved. */
  gate: Promise<unknown> = Promise.resolve();

  async append(ordered: OrderedBlock): Promise<ExecutedBlock> {
    this.ordered.push(ordered);
    await this.gate;
    const { header } = ordered.block;
    const { height, timeMs, executed } = header;
    const uncovered = [...this.tip.uncovered, { height, receiptsRoot: root }].filter(
      (each) => each.height > executed.height,
    );
    this.tip = { ...this.tip, height, hash: ordered.hash, timeMs, covered: executed, uncovered };
    const { block, transactions } = ordered;
    return { block, transactions, receipts: [], tip: this.tip };
  }
}

function soloOn(ledger: MemoryLedger) {
  const calls = { handovers: 0 };
  const solo = new Solo({
    crypto,
    chainId,
    nodeSeed: NODE_SEED,
    nodePublicKey: node,
    ledger,
    config,
    now: () => genesis.createdMs + 10_000,
    idleProofMs: 60_000,
    onHandover: () => (calls.handovers += 1),
    onFailure: (error) => {
      throw error;
    },
  });
  return { solo, calls };
}

function approved(epoch: number, rules: Rules, seed = ADMIN_SEED): ApprovedRules {
  const { members, observers, f, policy, window, governance, thresholds, timers } = rules;
  const plain = { members, observers, f, policy, window, governance, thresholds, timers };
  const statement = rulesStatement(epoch, encodeRules(plain));
  const signature = signStatement({ crypto, chainId, seed }, 'rules', statement);
  return { rules: plain, approvals: [{ key: crypto.publicKeyOf(seed), signature }] };
}

const bundle = blocks[1]!.bundles[0]!;
const proposal = { bundle, ids: [root], root: merkleRoot(crypto, [root]) };
const moved = { ...config, members: [{ publicKey: node, address: 'a.example:1' }] };
const toRaft: Rules = { ...moved, policy: 'raft' };

describe('solo', () => {
  test('goes on in the next epoch when it orders alone by the new rules too', async () => {
    const ledger = new MemoryLedger();
    const { solo, calls } = soloOn(ledger);
    const next = await solo.changeRules(approved(0, moved));
    expect(next).toMatchObject({ epoch: 1, start: 1, policy: 'solo', members: moved.members });
    await solo.propose(proposal);
    expect(ledger.ordered.map(({ block }) => block.header.epoch)).toEqual([0, 1]);
    expect(calls.handovers).toBe(0);
  });

  test('ends with the block of other rules: what is in no block can be put up elsewhere', async () => {
    const ledger = new MemoryLedger();
    const { solo, calls } = soloOn(ledger);
    const { promise, resolve } = Promise.withResolvers();
    ledger.gate = promise;
    const ordered = solo.propose(proposal);
    await Promise.resolve();
    const changed = solo.changeRules(approved(0, toRaft));
    const waiting = expect(solo.propose(proposal)).rejects.toMatchObject({ name: 'HandedOver' });
    expect(await Promise.race([waiting, changed.then(() => 'changed')])).not.toBe('changed');
    expect(calls.handovers).toBe(0);
    resolve(null);
    expect((await changed).policy).toBe('raft');
    await expect(ordered).resolves.toBeDefined();
    expect(calls.handovers).toBe(1);
    await expect(solo.propose(proposal)).rejects.toMatchObject({ name: 'HandedOver' });
    await expect(solo.prove()).resolves.toBeUndefined();
    // Also while its successor is made.
    await solo.stop();
    await expect(solo.propose(proposal)).rejects.toMatchObject({ name: 'HandedOver' });
    expect(ledger.ordered.map(({ block }) => block.system.length)).toEqual([0, 1]);
  });

  test('takes only rules that those who govern have approved, for this epoch and this member', async () => {
    const ledger = new MemoryLedger();
    const { solo } = soloOn(ledger);
    const other = { publicKey: crypto.publicKeyOf(newcomerSeed), address: '' };
    for (const change of [
      approved(0, toRaft, ALICE_SEED),
      approved(1, toRaft),
      { ...approved(0, toRaft), approvals: [] },
      approved(0, { ...toRaft, members: [...toRaft.members, other] }),
      approved(0, { ...moved, members: [other] }),
      approved(0, { ...moved, observers: [other] }),
    ]) {
      await expect(solo.changeRules(change)).rejects.toMatchObject({ sqlstate: '42501' });
    }
    expect(ledger.ordered).toEqual([]);
  });
});

describe('a replica that catches up', () => {
  function replica(): Replica {
    const { header, certificate } = blocks[0]!;
    const [first] = hashes as [Uint8Array];
    return new Replica(
      {
        crypto,
        chainId,
        seed: newcomerSeed,
        publicKey: crypto.publicKeyOf(newcomerSeed),
        validate: () => 'valid',
        bodyIsSound: () => true,
        ackFanout: true,
        incarnation: 1,
      },
      {
        header,
        hash: first,
        history: historyOfGenesis(),
        certificate,
        anchor: first,
        config,
        before: null,
        results: [header.executed],
        records: [],
      },
    );
  }

  const stored = ({ headerBytes, bodyBytes, block }: OrderedBlock) => ({
    header: headerBytes,
    body: bodyBytes,
    certificate: encodeCertificate(block.certificate),
  });

  function fed(taken: readonly ReturnType<typeof stored>[]): {
    readonly config: EpochConfig;
    readonly confirmed: number[];
    readonly effects: readonly Effect[];
  } {
    const follower = replica();
    const bytes = encodeMessage({ kind: 'blocks', blocks: taken });
    const effects = follower.step({ kind: 'receive', from: node, bytes });
    const confirmed = effects.flatMap((effect) =>
      effect.kind === 'confirmed' ? [effect.block.header.height] : [],
    );
    return { config: follower.config, confirmed, effects };
  }

  /** A block, the rules, a block after them, the end of solo. */
  async function chain(): Promise<OrderedBlock[]> {
    const ledger = new MemoryLedger();
    const { solo } = soloOn(ledger);
    await solo.propose({ ...proposal, ...idsOf(blocks[1]!) });
    await solo.changeRules(approved(0, moved));
    await solo.propose({ ...proposal, ...idsOf(blocks[1]!) });
    await solo.changeRules(approved(1, toRaft));
    return ledger.ordered;
  }

  function idsOf({ header }: { readonly header: { readonly transactionsRoot: Uint8Array } }) {
    const ids = bundle.transactions.map((bytes) => transactionIdOf(crypto, bytes));
    expect(merkleRoot(crypto, ids)).toEqual(header.transactionsRoot);
    return { ids, root: header.transactionsRoot };
  }

  test('follows solo into the cluster that it becomes', async () => {
    const { config: now, confirmed, effects } = fed((await chain()).map(stored));
    expect(confirmed).toEqual([1, 2, 3, 4]);
    expect(now).toMatchObject({ epoch: 2, start: 4, policy: 'raft' });
    expect(effects.filter(({ kind }) => kind === 'epochChanged')).toHaveLength(2);
  });

  test.each<[string, (block: OrderedBlock) => Partial<ReturnType<typeof stored>>]>([
    ['another has signed', ({ hash }) => ({ certificate: signed(newcomerSeed, hash) })],
    [
      'another has made and signed',
      ({ block }) => {
        const header = { ...block.header, proposer: crypto.publicKeyOf(newcomerSeed) };
        const encoded = encodeHeader(header);
        return {
          header: encoded,
          certificate: signed(newcomerSeed, headerHash(crypto, encoded)),
        };
      },
    ],
    [
      'holds a transaction that its author has not signed',
      ({ block }) => {
        const [one] = block.bundles;
        const bundles = [{ ...one!, signature: new Uint8Array(64) }];
        return resigned(block, { bundles, system: [] });
      },
    ],
    [
      'changes rules that nobody has approved',
      ({ block }) =>
        resigned(block, {
          bundles: block.bundles,
          system: [{ kind: 'rules', ...approved(0, moved, ALICE_SEED) }],
        }),
    ],
  ])('refuses a block that %s', async (_name, change) => {
    const [first] = await chain();
    expect(fed([stored(first!)]).confirmed).toEqual([1]);
    expect(fed([{ ...stored(first!), ...change(first!) }]).confirmed).toEqual([]);
  });

  function signed(seed: Uint8Array, hash: Uint8Array): Uint8Array {
    const signature = signHeader(crypto, seed, chainId, hash);
    return encodeCertificate({ kind: 'proposer', signature });
  }

  /** The block with another body, signed by the one member all the same. */
  function resigned({ header }: OrderedBlock['block'], content: Parameters<typeof encodeBody>[0]) {
    const body = encodeBody(content);
    const encoded = encodeHeader({ ...header, bodyHash: bodyHash(crypto, body) });
    const certificate = signed(NODE_SEED, headerHash(crypto, encoded));
    return { header: encoded, body, certificate };
  }
});
