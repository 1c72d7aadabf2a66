// What a node says of its cluster, from what its parts know.

import { describe, expect, test } from '@jest/globals';
import { hex } from '../../../ledger/bytes.ts';
import { genesisConfig } from '../../../ledger/epoch.ts';
import type { EpochConfig } from '../../../ledger/epoch.ts';
import { clusterStatus, soloState } from '../../../server/cluster-status.ts';
import type { Known, NodeStatus } from '../../../server/cluster-status.ts';
import type { PeerState } from '../../../server/peers/network.ts';

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const SINCE_MS = 1_760_000_000_000;

function config(members: number, more: Partial<EpochConfig> = {}): EpochConfig {
  const nodes = Array.from({ length: members }, (_, i) => ({
    publicKey: key(i),
    address: i === 3 ? 'four.example:7000' : '',
  }));
  const genesis = { nodes, consensus: 'adaptive' as const, catalog: [], createdMs: SINCE_MS };
  return { ...genesisConfig(genesis), ...more };
}

function peer(byte: number, more: Partial<PeerState> = {}): PeerState {
  return {
    key: hex(key(byte)),
    address: `10.0.0.${byte}:7000`,
    connectedSinceMs: SINCE_MS + byte,
    role: 'initiator',
    roundTripMs: 1.234_567_8,
    bytesIn: 10,
    bytesOut: 20,
    queueBytes: 30,
    dropped: 40,
    lastError: null,
    ...more,
  };
}

/** Node 1 of four, led by 2; 3 cannot be reached. */
function known(more: Partial<Known> = {}): Known {
  return {
    config: config(4),
    publicKey: key(1),
    startedMs: SINCE_MS,
    replica: { epoch: 5, term: 6, mode: 'raft', leader: 2, open: true, height: 100 },
    executedHeight: 98,
    peers: [
      peer(0),
      peer(2),
      peer(3, { address: null, connectedSinceMs: null, roundTripMs: null, lastError: 'refused' }),
    ],
    heights: new Map([
      [hex(key(0)), 99],
      [hex(key(2)), 101],
    ]),
    alarms: [],
    ...more,
  };
}

function roles(status: { readonly nodes: readonly NodeStatus[] }): unknown[] {
  return status.nodes.map(({ member, role }) => [member, role]);
}

describe('nodes', () => {
  test('are the members in their order, whether they are up, and how far they are', () => {
    const { nodes } = clusterStatus(known());
    expect(roles({ nodes })).toEqual([
      [0, 'follower'],
      [1, 'follower'],
      [2, 'leader'],
      [3, 'follower'],
    ]);
    expect(nodes.map(({ up, upSinceMs }) => [up, upSinceMs])).toEqual([
      [true, SINCE_MS],
      [true, SINCE_MS],
      [true, SINCE_MS + 2],
      [false, null],
    ]);
    expect(nodes.map(({ height }) => height)).toEqual([99, 100, 101, null]);
    expect(nodes[0]).toMatchObject({
      publicKey: hex(key(0)),
      address: '10.0.0.0:7000',
      thisNode: false,
      roundTripMs: 1.235,
      bytesIn: 10,
      bytesOut: 20,
      queueBytes: 30,
      dropped: 40,
      lastError: null,
    });
    expect(nodes[1]).toMatchObject({ thisNode: true, address: null, bytesIn: null });
    // Where it would be reached, as the chain says.
    expect(nodes[3]).toMatchObject({ address: 'four.example:7000', lastError: 'refused' });
  });

  test('that are suspended, observe or only may connect say so', () => {
    const observers = [
      { publicKey: key(8), address: 'auditor:7000' },
      { publicKey: key(0), address: '' },
    ];
    const peers = [...known().peers, peer(9)];
    const status = clusterStatus(
      known({ config: config(4, { suspended: [0], observers }), peers }),
    );
    expect(roles(status)).toEqual([
      [0, 'suspended'],
      [1, 'follower'],
      [2, 'leader'],
      [3, 'follower'],
      [null, 'observer'],
      [null, null],
    ]);
    expect(status.nodes[4]).toMatchObject({ address: 'auditor:7000', up: false, bytesIn: 0 });
    expect(status.nodes[5]).toMatchObject({ publicKey: hex(key(9)), up: true });
    expect(status.consensus.reachable).toBe(3);
  });

  test('include this one when it is no member', () => {
    const { nodes, consensus } = clusterStatus(known({ publicKey: key(7), peers: [] }));
    expect(nodes.map(({ up }) => up)).toEqual([false, false, false, false, true]);
    expect(nodes[4]).toMatchObject({ member: null, role: null, thisNode: true });
    expect(consensus.reachable).toBe(0);
  });
});

describe('consensus', () => {
  test('says who leads, how far it is, and what it bears', () => {
    expect(clusterStatus(known()).consensus).toEqual({
      policy: 'adaptive',
      mode: 'raft',
      epoch: 5,
      term: 6,
      leader: hex(key(2)),
      height: 100,
      executedHeight: 98,
      members: 4,
      f: 1,
      reportQuorum: 3,
      fastQuorum: 3,
      silentTolerated: 1,
      reachable: 3,
      byzantineTolerance: true,
      windowBlocks: 4,
    });
  });

  test('bears as many silent members as its mode does', () => {
    const seven = { config: config(7) };
    const { replica } = known();
    const bft = { ...seven, replica: { ...replica, mode: 'bft' as const } };
    expect(clusterStatus(known(seven)).consensus).toMatchObject({
      fastQuorum: 6,
      silentTolerated: 1,
    });
    expect(clusterStatus(known(bft)).consensus).toMatchObject({ mode: 'bft', silentTolerated: 2 });
  });

  test('of three members bears no lies', () => {
    const { consensus } = clusterStatus(known({ config: config(3) }));
    expect(consensus).toMatchObject({ f: 0, byzantineTolerance: false, silentTolerated: 1 });
  });

  test('has no leader while nobody has opened the term', () => {
    const replica = { ...known().replica, open: false };
    const status = clusterStatus(known({ replica }));
    expect(status.consensus.leader).toBeNull();
    expect(status.nodes.map(({ role }) => role)).not.toContain('leader');
  });

  test('of one node is solo', () => {
    const state = soloState(config(1, { policy: 'solo' }), 3);
    const more = { ...state, publicKey: key(0), executedHeight: 3 };
    const status = clusterStatus(known(more));
    expect(roles(status)).toEqual([[0, 'solo']]);
    expect(status.consensus).toMatchObject({
      policy: 'solo',
      mode: null,
      height: 3,
      leader: hex(key(0)),
      members: 1,
      reachable: 1,
      silentTolerated: 0,
      byzantineTolerance: false,
    });
  });
});
