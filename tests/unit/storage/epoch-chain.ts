// A chain whose epochs end where a test says. Headers and bodies are real; nobody has signed or executed them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FORMAT_VERSION } from '../../../ledger/block.ts';
import type { Header } from '../../../ledger/block.ts';
import { encodeBody, encodeHeader } from '../../../ledger/encoding.ts';
import type { SystemRecord } from '../../../ledger/system.ts';
import { BlockStore } from '../../../storage/block-store.ts';
import { createLedger } from '../../../storage/create-ledger.ts';
import { crypto, genesis, NODE_SEED, START_MS } from './ledger-fixture.ts';

/** Public keys of the members. */
export const MEMBERS = [1, 2, 3, 4].map((byte) =>
  crypto.publicKeyOf(new Uint8Array(32).fill(byte)),
);
export const BLOCK_MS = 1_000;

const HASH = new Uint8Array(32);

export class EpochChain {
  readonly directory = mkdtempSync(join(tmpdir(), 'trustsql-epochs-'));
  readonly blocks: BlockStore;
  #epoch = 0;

  /** Four members, adaptive. */
  constructor() {
    const nodes = MEMBERS.map((publicKey) => ({ publicKey, address: '' }));
    const record = { ...genesis(), nodes, consensus: 'adaptive' as const };
    createLedger(this.directory, record, crypto, NODE_SEED);
    this.blocks = new BlockStore(this.directory);
  }

  /** Appends a block, a barrier if it has records. @returns its height */
  append(system: readonly SystemRecord[] = [], more: Partial<Header> = {}): number {
    const height = this.blocks.tip + 1;
    const header: Header = {
      version: FORMAT_VERSION,
      chainId: HASH,
      height,
      parent: HASH,
      timeMs: START_MS + height * BLOCK_MS,
      transactionsRoot: HASH,
      transactionCount: 0,
      bodyHash: HASH,
      executed: { height: 0, receiptsRoot: HASH },
      historyRoot: HASH,
      proposer: MEMBERS[0]!,
      epoch: this.#epoch,
      term: 0,
      mode: 'raft',
      newTermHash: HASH,
      ...more,
    };
    if (system.length > 0) this.#epoch += 1;
    const body = encodeBody({ bundles: [], system });
    this.blocks.append({ height, header: encodeHeader(header), body, certificate: HASH });
    return height;
  }

  [Symbol.dispose](): void {
    this.blocks.close();
    rmSync(this.directory, { recursive: true });
  }
}
