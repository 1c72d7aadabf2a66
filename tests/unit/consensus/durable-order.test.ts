// Votes and blocks become durable in the order in which the replica said so.

import { describe, expect, test } from '@jest/globals';
import { encodeDurable } from '../../../consensus/core/codec.ts';
import { DurableOrder } from '../../../consensus/durable-order.ts';
import type { ConsensusLog } from '../../../consensus/durable-order.ts';
import { encodeBody, encodeHeader } from '../../../ledger/encoding.ts';
import type { VoteCertificate } from '../../../ledger/vote.ts';
import { nativeCrypto } from '../../../storage/native-crypto.ts';
import { makeChain } from '../ledger/chain-fixture.ts';

const chain = makeChain(nativeCrypto);

/** Of the block of that height. */
function blockRecord(at: number): Uint8Array {
  const block = chain.blocks[at]!;
  const [header, body] = [encodeHeader(block.header), encodeBody(block)];
  return encodeDurable({ kind: 'block', block: { header, body, signature: new Uint8Array(64) } });
}

function stateRecord(term: number): Uint8Array {
  const highest: VoteCertificate = {
    kind: 'quorum',
    epoch: 0,
    term: 0,
    mode: 'raft',
    height: 0,
    hash: new Uint8Array(32),
    signatures: [],
  };
  return encodeDurable({
    kind: 'state',
    epoch: 0,
    term,
    led: null,
    highest,
    lastAck: null,
    tail: null,
    wantBft: false,
    recovering: false,
  });
}

/** A log that notes what it is told, and is on disk when it is let. */
class Disk implements ConsensusLog {
  readonly records: readonly Uint8Array[] = [];
  readonly sound = true;
  readonly notes: string[] = [];
  full = false;
  restarted: readonly Uint8Array[] = [];
  fails = false;

  isFull(): boolean {
    return this.full;
  }

  async append(records: readonly Uint8Array[]): Promise<void> {
    this.notes.push(`append ${records.length}`);
    await new Promise((resolve) => setImmediate(resolve));
    if (this.fails) throw new Error('no disk');
    this.notes.push('on disk');
  }

  async restart(records: readonly Uint8Array[]): Promise<void> {
    this.notes.push(`restart ${records.length}`);
    await new Promise((resolve) => setImmediate(resolve));
    this.restarted = records;
    this.notes.push('begun anew');
  }
}

function make() {
  const disk = new Disk();
  const errors: unknown[] = [];
  const order = new DurableOrder({
    log: disk,
    height: 0,
    onDurable: (token) => disk.notes.push(`durable ${token}`),
    onFailure: (error) => errors.push(error),
  });
  return { disk, order, errors };
}

describe('what must be durable', () => {
  test('becomes so in order, and what comes together shares a sync', async () => {
    const { disk, order } = make();
    order.persist(1, [stateRecord(1)]);
    order.persist(2, [stateRecord(2)]);
    order.store(1, async () => {
      disk.notes.push('block 1');
      await new Promise((resolve) => setImmediate(resolve));
      disk.notes.push('block 1 on disk');
      return true;
    });
    order.persist(3, [stateRecord(3)]);
    await order.idle();
    expect(disk.notes).toEqual([
      ...['append 2', 'on disk', 'durable 2'],
      ...['block 1', 'block 1 on disk'],
      ...['append 1', 'on disk', 'durable 3'],
    ]);
  });

  test('is kept in a new log: the newest state, and blocks that the ledger does not hold', async () => {
    const { disk, order } = make();
    order.persist(1, [blockRecord(1), stateRecord(1)]);
    order.persist(2, [blockRecord(2), stateRecord(2)]);
    await order.idle();
    order.store(1, async () => true);
    await order.idle();
    disk.full = true;
    order.persist(3, [stateRecord(3)]);
    await order.idle();
    expect(disk.restarted).toEqual([blockRecord(2), stateRecord(3)]);
    expect(disk.notes.slice(-3)).toEqual(['restart 2', 'begun anew', 'durable 3']);
  });

  test('nothing more is written or said after a block that the node does not wait for', async () => {
    const { disk, order, errors } = make();
    order.store(1, async () => false);
    order.persist(1, [stateRecord(1)]);
    await order.idle();
    order.persist(2, [stateRecord(2)]);
    await order.idle();
    expect(disk.notes).toEqual([]);
    expect(errors).toEqual([]);
  });

  test('nothing more is written or said after the disk has failed', async () => {
    const { disk, order, errors } = make();
    disk.fails = true;
    order.persist(1, [stateRecord(1)]);
    order.store(1, async () => disk.notes.push('block') > 0);
    await order.idle();
    order.persist(2, [stateRecord(2)]);
    await order.idle();
    expect(disk.notes).toEqual(['append 1']);
    expect(errors).toHaveLength(1);
  });
});
