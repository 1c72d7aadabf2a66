// What a verdict on a ledger stands on, and what it cannot see. Pure.
//
// A data directory answers for itself: its marker says which chain it is, its blocks which node keys sign. So the
// files alone cannot show that the newest blocks were cut off, that the holder of the node's key has rewritten the
// chain, or that another chain lies in its place. What was kept elsewhere can: a digest, the chain id, node keys.

import { hex } from '../ledger/bytes.ts';
import { signersOf } from '../ledger/checkpoint.ts';
import { isOfLater } from '../ledger/certificate-check.ts';
import type { Certificate } from '../ledger/vote.ts';
import type { Header } from '../ledger/block.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { PinCheck } from './pins.ts';

/** A chain in which no damage was found. */
export interface SoundChain {
  readonly crypto: Crypto;
  /** Of the newest block. */
  readonly header: Header;
  readonly certificate: Certificate;
  /** What it was found to agree with. */
  readonly known: PinCheck;
}

/** The state of a ledger in which no damage was found. */
export interface SoundState {
  /** Of the newest block. */
  readonly header: Header;
  /** Blocks applied by each state shard, and in the block index. */
  readonly shardHeights: readonly number[];
  readonly indexHeight: number;
}

/** Sentences without full stop. */
export function chainEvidence(chain: SoundChain): string[] {
  const { header, certificate } = chain;
  const sentences = [...pinEvidence(chain), digestEvidence(chain)];
  if (isOfLater(certificate, header)) {
    sentences.push(
      `the newest blocks, up to ${header.height}, were confirmed by votes for a later block, which is not here: nobody vouches for them yet`,
    );
  }
  return sentences;
}

function pinEvidence({ header, known: { nodeKeys, pins } }: SoundChain): string[] {
  const keys = nodeKeys.map((key) => hex(key)).join(', ');
  const named = header.epoch === 0 ? 'that block 0 itself names' : 'that the chain itself names';
  return [
    pins.chainId === undefined
      ? 'the chain id is the one that the directory itself names'
      : `the chain id was pinned from outside: ${hex(header.chainId)}`,
    pins.nodeKeys === undefined
      ? `the blocks are signed by the node keys ${named}: ${keys}`
      : `the blocks are signed by node keys that were pinned from outside: ${keys}`,
  ];
}

/** Sentences without full stop. */
export function stateEvidence({ header, shardHeights, indexHeight }: SoundState): string[] {
  const sentences: string[] = [];
  if (header.executed.height < header.height) {
    sentences.push(
      `no later header covers the results of blocks after ${header.executed.height} yet`,
    );
  }
  const lowest = Math.min(...shardHeights);
  if (shardHeights.some((height) => height > lowest)) {
    sentences.push(
      `the state shards stand at blocks ${shardHeights.join(', ')}; the node brings them together when it starts`,
    );
  } else if (lowest < header.height) {
    sentences.push(
      `the state stands at block ${lowest}; the node applies the blocks after it when it starts`,
    );
  }
  if (indexHeight < header.height) {
    sentences.push(
      `the block index stands at block ${indexHeight}; the node completes it when it starts`,
    );
  }
  return sentences;
}

function digestEvidence({ crypto, known: { nodeKeys, checkpoint, pins } }: SoundChain): string {
  if (checkpoint === null) {
    const unseen =
      pins.chainId === undefined
        ? 'another chain in the place of this one'
        : "blocks rewritten with the node's key";
    return `no outside digest was given: blocks cut off at the end, or ${unseen}, cannot be seen`;
  }
  const signers = signersOf(crypto, checkpoint, nodeKeys).map((key) => hex(key));
  const by =
    signers.length === 0 ? 'not signed by a node of this chain' : `signed by ${signers.join(', ')}`;
  return `the outside digest of ${checkpoint.size} blocks (${by}) matches: nothing up to block ${checkpoint.size - 1} was cut off or rewritten`;
}
