// Holds a chain against what whoever checks it knows from elsewhere: a digest, the chain id, node keys. Pure.
//
// Whoever walks the chain asks at each step whether it still fits; a fault is a sentence without full stop.

import { parseCheckpoint } from '../ledger/checkpoint.ts';
import { StorageError, isFormatError } from '../ledger/error.ts';
import { equal, hex } from '../ledger/bytes.ts';
import type { Checkpoint } from '../ledger/checkpoint.ts';
import type { HistoryTree } from '../ledger/history-tree.ts';
import type { Member } from '../ledger/epoch.ts';

/** What whoever asks knows of the ledger, and the files must answer to. */
export interface Pins {
  readonly chainId?: Uint8Array;
  /** Public keys: no other node may sign. */
  readonly nodeKeys?: readonly Uint8Array[];
  /** A checkpoint note that was kept elsewhere. */
  readonly digest?: string;
}

export class PinCheck {
  readonly pins: Pins;
  /** What the digest says; null when there is none. */
  readonly checkpoint: Checkpoint | null;
  readonly #members: Uint8Array[] = [];

  /** @throws StorageError io: the digest is none */
  constructor(pins: Pins) {
    this.pins = pins;
    this.checkpoint = pins.digest === undefined ? null : read(pins.digest);
  }

  /** Public keys of all members that there have been, in order. */
  get nodeKeys(): readonly Uint8Array[] {
    return this.#members;
  }

  /** Why this is not the chain; null: it may be. */
  chainFault(chainId: Uint8Array): string | null {
    if (this.checkpoint !== null && !equal(this.checkpoint.chainId, chainId)) {
      return 'the digest is of another chain';
    }
    const pinned = this.pins.chainId;
    if (pinned === undefined || equal(pinned, chainId)) return null;
    return `the chain is ${hex(chainId)}, not the one that was pinned: ${hex(pinned)}`;
  }

  /** Why the members that a block names may not sign; null: they may. */
  membersFault(members: readonly Member[], height: number): string | null {
    const pinned = this.pins.nodeKeys;
    for (const { publicKey } of members) {
      if (pinned !== undefined && !has(pinned, publicKey)) {
        return `node key ${hex(publicKey)} of block ${height} is none of those that were pinned`;
      }
      if (!has(this.#members, publicKey)) this.#members.push(publicKey);
    }
    return null;
  }

  /** Why the chain up to here is another one; to be asked after each block. */
  historyFault(history: HistoryTree): string | null {
    const { checkpoint } = this;
    if (checkpoint?.size !== history.size || equal(checkpoint.root, history.root())) return null;
    return 'the chain up to here is not the one that the digest speaks of';
  }

  /** Why the chain may not end with the block of this height. */
  endFault(height: number): string | null {
    const { checkpoint } = this;
    if (checkpoint === null || checkpoint.size <= height + 1) return null;
    return `the digest speaks of ${checkpoint.size} blocks, and only ${height + 1} are here`;
  }
}

function read(digest: string): Checkpoint {
  try {
    return parseCheckpoint(digest);
  } catch (error) {
    if (!isFormatError(error)) throw error;
    throw new StorageError('io', `the digest cannot be read: ${error.message}`);
  }
}

function has(keys: readonly Uint8Array[], key: Uint8Array): boolean {
  return keys.some((each) => equal(each, key));
}
