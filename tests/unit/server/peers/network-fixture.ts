// Networks of several nodes in this process, on real sockets; and what waits for things to happen to them.

import { hex, utf8 } from '../../../../ledger/bytes.ts';
import { systemClock } from '../../../../server/clock.ts';
import { makeLog } from '../../../../server/log.ts';
import { PeerNetwork } from '../../../../server/peers/network.ts';
import type { PeerNetworkOptions } from '../../../../server/peers/network.ts';
import { makeCertificate } from '../../../../server/tls.ts';
import { nativeCrypto as crypto } from '../../../../storage/native-crypto.ts';

export const CHAIN = new Uint8Array(32).fill(7);
const TLS = makeCertificate(['localhost'], Date.now());

export interface NodeKeyPair {
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Hexadecimal. */
  readonly key: string;
}

/** Keys by number; the same every time. In the order of their public keys when they are sorted by `key`. */
export function keyOf(n: number): NodeKeyPair {
  const seed = new Uint8Array(32).fill(n);
  const publicKey = crypto.publicKeyOf(seed);
  return { seed, publicKey, key: hex(publicKey) };
}

/** Two keys, the smaller first: its connection is the one that stays. */
export function smallAndLarge(): [NodeKeyPair, NodeKeyPair] {
  const keys = [keyOf(1), keyOf(2)];
  keys.sort((a, b) => (a.key < b.key ? -1 : 1));
  return [keys[0]!, keys[1]!];
}

/** Resolves when `condition` holds; the test's own time-out ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

export interface TestNode {
  readonly key: string;
  readonly address: string;
  readonly network: PeerNetwork;
  /** `key up`, `key down`, `key twin`. */
  readonly events: string[];
  readonly received: { key: string; traffic: string; bytes: Uint8Array }[];
  readonly logged: Record<string, unknown>[];
  readonly stored: Map<string, Uint8Array>;
}

const running: PeerNetwork[] = [];

/** A node with the key; nobody is a member and nothing is dialled unless the changes say so. */
export async function startNode(
  own: NodeKeyPair,
  changes: Partial<PeerNetworkOptions> = {},
): Promise<TestNode> {
  const events: string[] = [];
  const received: TestNode['received'] = [];
  const logged: Record<string, unknown>[] = [];
  const stored = new Map<string, Uint8Array>();
  const write = (line: string): void => {
    const entry = JSON.parse(line) as Record<string, unknown>;
    logged.push(entry);
    const state = /^peer (up|down)$/.exec(String(entry['event']))?.[1];
    if (state !== undefined) events.push(`${String(entry['peer'])} ${state}`);
  };
  const network = await PeerNetwork.start({
    chainId: CHAIN,
    nodeKey: own,
    crypto,
    clock: systemClock,
    log: makeLog({ level: 'debug', format: 'json', clock: systemClock, write }),
    tls: TLS,
    host: '127.0.0.1',
    port: 0,
    announce: null,
    addresses: [],
    proxy: null,
    members: [],
    announcements: [],
    store: (key, bytes) => stored.set(key, bytes),
    onMessage: (key, traffic, bytes) => received.push({ key, traffic, bytes }),
    onTwin: (key) => events.push(`${key} twin`),
    onRequest: async (_, bytes) => bytes,
    ...changes,
  });
  running.push(network);
  const address = `127.0.0.1:${network.port}`;
  return { key: own.key, address, network, events, received, logged, stored };
}

/** Ends what a test has started. */
export async function stopNodes(): Promise<void> {
  await Promise.all(running.splice(0).map(async (network) => network.stop()));
}

export function isUp(node: TestNode, key: string): boolean {
  return node.network.peers().some((peer) => peer.key === key && peer.connectedSinceMs !== null);
}

export function member(key: string, ...addresses: string[]): { key: string; addresses: string[] } {
  return { key, addresses };
}

/** Two nodes that are connected; `a` has dialled. */
export async function startPair(
  changesA: Partial<PeerNetworkOptions> = {},
  changesB: Partial<PeerNetworkOptions> = {},
): Promise<{ a: TestNode; b: TestNode }> {
  const [keyA, keyB] = smallAndLarge();
  const b = await startNode(keyB, { members: [member(keyA.key)], ...changesB });
  const a = await startNode(keyA, { members: [member(keyB.key, b.address)], ...changesA });
  await until(() => isUp(a, b.key) && isUp(b, a.key));
  return { a, b };
}

/** What the log says about connections that were refused. */
export function refusals(node: TestNode): string[] {
  return node.logged
    .filter(({ event }) => event === 'peer refused')
    .map(({ reason }) => String(reason));
}

export function text(value: string): Uint8Array {
  return utf8(value);
}
