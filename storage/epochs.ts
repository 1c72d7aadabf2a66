// Which epoch's configuration holds at a height, read from the chain. Shell.
//
// Epochs never fall with the height, so the barrier before each is found by halving. A chain that has never
// changed its rules, as all of solo, costs one header.

import { decodeBody, decodeGenesis, decodeHeader } from '../ledger/encoding.ts';
import { genesisConfig, nextConfig } from '../ledger/epoch.ts';
import { StorageError } from '../ledger/error.ts';
import { BlockStore } from './block-store.ts';
import { decoded } from './decoded-block.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import type { Genesis, Header } from '../ledger/block.ts';
import type { StoredBlock } from './block-store.ts';

/**
 * The configuration by which the block of `height` was ordered.
 *
 * @throws StorageError damaged when the blocks on the way to it cannot be read
 */
export function configOf(blocks: BlockStore, height: number): EpochConfig {
  return later(blocks, genesisConfig(genesisOf(blocks)), headerAt(blocks, height).epoch, 0, height);
}

/** The record that the chain begins with. @throws StorageError damaged */
export function genesisOf(blocks: BlockStore): Genesis {
  return decoded(() => decodeGenesis(stored(blocks, 0).body), blocks.fileOf(0), 0);
}

/** The same, of a data directory. */
export function readGenesis(directory: string): Genesis {
  const blocks = new BlockStore(directory, { readonly: true });
  try {
    return genesisOf(blocks);
  } finally {
    blocks.close();
  }
}

/** The configuration after a block, that of the next one. */
export function configAfter(blocks: BlockStore, height: number): EpochConfig {
  const config = configOf(blocks, height);
  return height === 0 ? config : afterBarrier(blocks, config, height);
}

/** @param from  height in the epoch of `config`, or right before it; @param to in `epoch` */
function later(
  blocks: BlockStore,
  config: EpochConfig,
  epoch: number,
  from: number,
  to: number,
): EpochConfig {
  if (config.epoch >= epoch) return config;
  let [low, high] = [from, to];
  // The last block of the epoch lies from `low` to before `high`.
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (headerAt(blocks, middle).epoch <= config.epoch) low = middle;
    else high = middle;
  }
  const next = afterBarrier(blocks, config, low);
  if (next.epoch > config.epoch) return later(blocks, next, epoch, low, to);
  throw new StorageError('damaged', `${blocks.fileOf(low)}: block ${low} does not end an epoch`);
}

function afterBarrier(blocks: BlockStore, config: EpochConfig, height: number): EpochConfig {
  const header = headerAt(blocks, height);
  const { body } = stored(blocks, height);
  const { system } = decoded(() => decodeBody(body), blocks.fileOf(height), height);
  return nextConfig(config, header, system);
}

function headerAt(blocks: BlockStore, height: number): Header {
  const { header } = stored(blocks, height);
  return decoded(() => decodeHeader(header), blocks.fileOf(height), height);
}

function stored(blocks: BlockStore, height: number): StoredBlock {
  const found = blocks.read(height);
  if (found !== null) return found;
  throw new StorageError('damaged', `${blocks.fileOf(height)}: block ${height} is missing`);
}
