// What a node knows of its cluster at this moment, as the views of schema ledger show it. Pure.
//
// (1) It is one node's word: another one may see other connections, a newer term or a greater height.
// (2) A field is a column in camel case: `up_since` is `upSinceMs`, keys are hexadecimal (sql/ledger-source.ts).

import { hex } from '../ledger/bytes.ts';
import { quorumsOf } from '../ledger/epoch.ts';
import type { EpochConfig, Member } from '../ledger/epoch.ts';
import type { Mode } from '../ledger/vote.ts';
import type { Alarm } from './alarms.ts';
import type { PeerState } from './peers/network.ts';

/** A row of ledger.nodes. */
export interface NodeStatus {
  /** Its place in the configuration; null for those that do not vote. */
  readonly member: number | null;
  readonly publicKey: string;
  readonly address: string | null;
  /** null: it may connect, and has no part in the consensus. */
  readonly role: 'solo' | 'leader' | 'follower' | 'suspended' | 'observer' | null;
  readonly thisNode: boolean;
  /** Whether there is a connection; this node is always up. */
  readonly up: boolean;
  /** Since when there is that connection, or since when this node runs; milliseconds since 1970. */
  readonly upSinceMs: number | null;
  readonly roundTripMs: number | null;
  /** Newest confirmed height heard of it. */
  readonly height: number | null;
  /** What this node has received from it and sent to it, since it runs. Null for this node. */
  readonly bytesIn: number | null;
  readonly bytesOut: number | null;
  readonly queueBytes: number | null;
  readonly dropped: number | null;
  readonly lastError: string | null;
}

/** The row of ledger.consensus. */
export interface ConsensusStatus {
  readonly policy: EpochConfig['policy'];
  /** How the term agrees; null in solo. */
  readonly mode: Mode | null;
  readonly epoch: number;
  readonly term: number;
  /** Its key; null while no leader has opened the term. */
  readonly leader: string | null;
  readonly height: number;
  readonly executedHeight: number;
  readonly members: number;
  readonly f: number;
  readonly reportQuorum: number;
  readonly fastQuorum: number;
  /** Members that may be silent, in this mode, with blocks still confirmed. */
  readonly silentTolerated: number;
  /** Members that are up, this node among them. */
  readonly reachable: number;
  /** Whether members may lie without a confirmed block being lost; otherwise lies are only seen and proven. */
  readonly byzantineTolerance: boolean;
  readonly windowBlocks: number;
}

export interface ClusterStatus {
  /** Members in their order, then observers, then others that may connect. */
  readonly nodes: readonly NodeStatus[];
  readonly consensus: ConsensusStatus;
  /** The newest ones, the oldest of them first. */
  readonly alarms: readonly Alarm[];
}

/** How far this node's part of the consensus is. */
export interface ReplicaState {
  readonly epoch: number;
  readonly term: number;
  readonly mode: Mode;
  /** Index of the member that leads the term. */
  readonly leader: number;
  /** Whether it has opened the term: until then nothing is proposed. */
  readonly open: boolean;
  /** Newest confirmed height. */
  readonly height: number;
}

/** What those who order blocks know. */
export interface OrderingState {
  /** In force. */
  readonly config: EpochConfig;
  readonly replica: ReplicaState;
  readonly peers: readonly PeerState[];
  /** Newest confirmed height that each peer has told of, by its key in hexadecimal. */
  readonly heights: ReadonlyMap<string, number>;
}

export interface Known extends OrderingState {
  /** Of this node, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** When it has started, in milliseconds since 1970. */
  readonly startedMs: number;
  readonly executedHeight: number;
  readonly alarms: readonly Alarm[];
}

/** Of a node on its own. */
export function soloState(config: EpochConfig, height: number): OrderingState {
  const { epoch } = config;
  const replica = { epoch, term: 0, mode: 'raft', leader: 0, open: true, height } as const;
  return { config, replica, peers: [], heights: new Map() };
}

export function clusterStatus(known: Known): ClusterStatus {
  const nodes = nodesOf(known);
  return { nodes, consensus: consensusOf(known, nodes), alarms: known.alarms };
}

function nodesOf({ config, publicKey, peers, ...known }: Known): NodeStatus[] {
  const { members, observers } = config;
  const own = hex(publicKey);
  const states = new Map(peers.map((peer) => [peer.key, peer]));
  const listed = new Map<string, Member>();
  for (const each of [...members, ...observers]) {
    const key = hex(each.publicKey);
    if (!listed.has(key)) listed.set(key, each);
  }
  const others = [own, ...states.keys()].filter((key) => !listed.has(key));
  return [...listed.keys(), ...others].map((key, place) => {
    const member = place < members.length ? place : null;
    const configured = listed.get(key)?.address ?? '';
    const thisNode = key === own;
    const node = {
      member,
      publicKey: key,
      address: states.get(key)?.address ?? (configured === '' ? null : configured),
      role: member !== null ? roleOf(config, known.replica, member) : roleOfOther(listed.has(key)),
      thisNode,
    };
    if (thisNode) return { ...node, ...here(known) };
    return { ...node, ...there(states.get(key)), height: known.heights.get(key) ?? null };
  });
}

function roleOf(config: EpochConfig, replica: ReplicaState, member: number): NodeStatus['role'] {
  if (config.policy === 'solo') return 'solo';
  if (replica.open && replica.leader === member) return 'leader';
  return config.suspended.includes(member) ? 'suspended' : 'follower';
}

function roleOfOther(listed: boolean): NodeStatus['role'] {
  return listed ? 'observer' : null;
}

function here({ startedMs, replica }: Pick<Known, 'startedMs' | 'replica'>) {
  return {
    up: true,
    upSinceMs: startedMs,
    roundTripMs: null,
    height: replica.height,
    bytesIn: null,
    bytesOut: null,
    queueBytes: null,
    dropped: null,
    lastError: null,
  };
}

/** @param peer  undefined: the network does not know it yet */
function there(peer: PeerState | undefined) {
  const since = peer?.connectedSinceMs ?? null;
  return {
    up: since !== null,
    upSinceMs: since,
    roundTripMs: toMicroseconds(peer?.roundTripMs ?? null),
    bytesIn: peer?.bytesIn ?? 0,
    bytesOut: peer?.bytesOut ?? 0,
    queueBytes: peer?.queueBytes ?? 0,
    dropped: peer?.dropped ?? 0,
    lastError: peer?.lastError ?? null,
  };
}

/** A clock says more digits than it knows. */
function toMicroseconds(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1_000) / 1_000;
}

function consensusOf(
  { config, replica, executedHeight }: Known,
  nodes: readonly NodeStatus[],
): ConsensusStatus {
  const { policy, members, window } = config;
  const { n, f, report, fast, silent } = quorumsOf(config);
  const { epoch, term, mode, leader, open, height } = replica;
  return {
    policy,
    mode: policy === 'solo' ? null : mode,
    epoch,
    term,
    leader: open ? hex(members[leader]!.publicKey) : null,
    height,
    executedHeight,
    members: n,
    f,
    reportQuorum: report,
    fastQuorum: fast,
    silentTolerated: mode === 'bft' ? n - report : silent,
    reachable: nodes.filter(({ member, up }) => member !== null && up).length,
    byzantineTolerance: f > 0,
    windowBlocks: window,
  };
}
