// Which epoch's configuration holds at a height, read from the chain. Shell.
//
// Epochs never fall with the height, so the barrier before each is found by halving. A chain that has never
// changed its rules, as all of solo, costs one header.

import { decodeBody, decodeGenesis, decodeHeader } from '../ledger/encoding.ts';
import { genesisConfig, nextConfig } from '../ledger/epoch.ts';
import { StorageError } from '../ledger/error.ts';
import { BlockStore } from './block-store.ts';
import { decoded } from './decoded-block.ts';
import type { EpochsProof } from '../ledger/epoch-check.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { Genesis, Header } from '../ledger/block.ts';
import type { SystemRecord } from '../ledger/system.ts';
import type { StoredBlock } from './block-store.ts';

/** Whatever holds the blocks of a chain. */
type Blocks = Pick<BlockStore, 'read' | 'fileOf'>;

export interface Epoch {
  readonly config: EpochConfig;
  /** Height of its first block, which need not be there yet. */
  readonly from: number;
  /** Why it began: the records of the block before it. Empty in epoch 0. */
  readonly system: readonly SystemRecord[];
  /** When it began: the time of that block, or of block 0; milliseconds since 1970. */
  readonly sinceMs: number;
}

/**
 * The configuration by which the block of `height` was ordered.
 *
 * @throws StorageError damaged when the blocks on the way to it cannot be read
 */
export function configOf(blocks: Blocks, height: number): EpochConfig {
  const { epoch } = headerAt(blocks, height);
  let last = firstEpoch(blocks);
  while (last.config.epoch < epoch) last = nextEpoch(blocks, last, height);
  return last.config;
}

/** The record that the chain begins with. @throws StorageError damaged */
export function genesisOf(blocks: Blocks): Genesis {
  return decoded(() => decodeGenesis(stored(blocks, 0).body), blocks.fileOf(0), 0);
}

/** Block 0 of a data directory, whose node may run. @throws StorageError damaged */
export function readBlockZero(directory: string): {
  readonly block: StoredBlock;
  readonly genesis: Genesis;
} {
  return reading(directory, (blocks) => ({ block: stored(blocks, 0), genesis: genesisOf(blocks) }));
}

/** All epochs of a data directory, up to that of the next block. @throws StorageError damaged */
export function readEpochs(directory: string): readonly Epoch[] {
  return reading(directory, (blocks) => epochsUpTo(blocks, blocks.tip));
}

function reading<T>(directory: string, read: (blocks: BlockStore) => T): T {
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    return read(blocks);
  } finally {
    blocks.close();
  }
}

/** The configuration after a block, that of the next one. */
export function configAfter(blocks: Blocks, height: number): EpochConfig {
  const config = configOf(blocks, height);
  return height === 0 ? config : (afterBarrier(blocks, config, height)?.config ?? config);
}

/**
 * All epochs up to that of the block after `height`.
 *
 * @param known  the first of them, as they were given before; what follows costs some twenty headers each
 * @throws StorageError damaged when the blocks on the way to it cannot be read
 */
export function epochsUpTo(
  blocks: Blocks,
  height: number,
  known: readonly Epoch[] = [],
): readonly Epoch[] {
  const epochs = known.length > 0 ? [...known] : [firstEpoch(blocks)];
  const { epoch } = headerAt(blocks, height);
  while (epochs.at(-1)!.config.epoch < epoch) {
    epochs.push(nextEpoch(blocks, epochs.at(-1)!, height));
  }
  const { config, from } = epochs.at(-1)!;
  const next = height === 0 || from > height ? null : afterBarrier(blocks, config, height);
  return next === null ? epochs : [...epochs, next];
}

/**
 * Shows who the members are that have confirmed the block of `height`.
 *
 * @param epochs  at least up to that block
 */
export function epochsProof(blocks: Blocks, height: number, epochs: readonly Epoch[]): EpochsProof {
  const later = epochs.filter(({ from }) => from > 0 && from <= height);
  return {
    genesis: stored(blocks, 0).body,
    barriers: later.map(({ from }) => {
      const { header, body, certificate } = stored(blocks, from - 1);
      return { header, body, certificate };
    }),
  };
}

function firstEpoch(blocks: Blocks): Epoch {
  const genesis = genesisOf(blocks);
  return { config: genesisConfig(genesis), from: 0, system: [], sinceMs: genesis.createdMs };
}

/** @param to  height of a block in a later epoch */
function nextEpoch(blocks: Blocks, { config, from }: Epoch, to: number): Epoch {
  let [low, high] = [from, to];
  // The last block of the epoch lies from `low` to before `high`.
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (headerAt(blocks, middle).epoch <= config.epoch) low = middle;
    else high = middle;
  }
  const next = afterBarrier(blocks, config, low);
  if (next !== null) return next;
  throw new StorageError('damaged', `${blocks.fileOf(low)}: block ${low} does not end an epoch`);
}

/** The epoch that begins after a block of `config`; null unless that is a barrier. */
function afterBarrier(blocks: Blocks, config: EpochConfig, height: number): Epoch | null {
  const header = headerAt(blocks, height);
  const { body } = stored(blocks, height);
  const { system } = decoded(() => decodeBody(body), blocks.fileOf(height), height);
  const next = nextConfig(config, header, system);
  if (next.epoch === config.epoch) return null;
  return { config: next, from: height + 1, system, sinceMs: header.timeMs };
}

function headerAt(blocks: Blocks, height: number): Header {
  const { header } = stored(blocks, height);
  return decoded(() => decodeHeader(header), blocks.fileOf(height), height);
}

function stored(blocks: Blocks, height: number): StoredBlock {
  const found = blocks.read(height);
  if (found !== null) return found;
  throw new StorageError('damaged', `${blocks.fileOf(height)}: block ${height} is missing`);
}
