// The parts of a node that is one of several: log of votes, replica, network. Shell.
//
// Consensus knows nodes by their keys as bytes, the network by the same keys in hexadecimal.

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { BundlePool } from '../consensus/bundle-pool.ts';
import { Cluster } from '../consensus/cluster.ts';
import type { ClusterOptions, Lane, Network } from '../consensus/cluster.ts';
import type { ExecutedBlock, Ledger } from '../consensus/consensus.ts';
import { Replica } from '../consensus/core/replica.ts';
import { CONSENSUS_LIMITS } from '../consensus/limits.ts';
import { latestTimeMs, validator } from '../consensus/validate.ts';
import { checkBody } from '../ledger/block-check.ts';
import { remembering } from '../consensus/verified.ts';
import { markNodeKeyUsed } from '../identity/node-key.ts';
import { fromHex, hex } from '../ledger/bytes.ts';
import { decodeHeader } from '../ledger/encoding.ts';
import { decodeQuestion, encodeAnswer } from '../ledger/encoding-repair.ts';
import { decodeCertificate } from '../ledger/encoding-vote.ts';
import { memberOf, quorumsOf } from '../ledger/epoch.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import { SqlError, StorageError } from '../ledger/error.ts';
import { headerHash } from '../ledger/hash.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { StoredBlock } from '../storage/block-store.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { VoteLog } from '../storage/vote-log.ts';
import type { Writer } from '../storage/writer.ts';
import { ChunkKeeper } from './chunks/keeper.ts';
import { ChunkSpread } from './chunks/spread.ts';
import type { Needed } from './chunks/spread.ts';
import { systemClock } from './clock.ts';
import { flagOf } from './config.ts';
import type { Config } from './config.ts';
import type { NodeSecrets } from './initialise.ts';
import { KnownAddresses } from './known-addresses.ts';
import { PEER_FAREWELL_MS } from './limits.ts';
import type { Log } from './log.ts';
import type { OrderingPart } from './ordering.ts';
import { addressesOfMember, peerOptionsOf } from './peer-options.ts';
import type { PeerOptions } from './peer-options.ts';
import { PeerNetwork } from './peers/network.ts';
import type { PeerMember, PeerNetworkOptions } from './peers/network.ts';
import { PeerError } from './peers/requests.ts';
import type { Peers } from './peers/requests.ts';
import { loadTls } from './tls.ts';

export interface ClusterPartsOptions {
  readonly config: Config;
  readonly secrets: NodeSecrets;
  readonly writer: Writer;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly onExecuted: (executed: ExecutedBlock) => void;
  /** Looks up what a peer asks for. */
  readonly answer: (question: Uint8Array) => Promise<Uint8Array>;
  readonly onHandover: () => void;
  readonly onAlarm: (
    kind: Parameters<ClusterOptions['onAlarm']>[0] | 'twin',
    message: string,
  ) => void;
  readonly onFailure: (error: unknown) => void;
}

/**
 * What must hold before a node that orders alone becomes one of several: once the rules are on the chain there is no way
 * back for it.
 *
 * @throws SqlError 55006 while a transaction is under way of which only this node has all parts, 55000 when it could not
 *   listen for peers
 */
export async function prepareCluster(config: Config, writer: Writer): Promise<void> {
  if (await writer.hasUnnamedChunks()) {
    const message = 'a transaction of more than one block is under way';
    throw new SqlError(SQLSTATE.objectInUse, message, { hint: 'Try again when it has ended.' });
  }
  const { host, port } = peerOptionsOf(config);
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    const message = `this node cannot listen for peers: ${(error as Error).message}`;
    const hint = `Start it with another ${flagOf('peerHost')} or ${flagOf('peerPort')}.`;
    throw new SqlError(SQLSTATE.objectNotInPrerequisiteState, message, { hint });
  }
  server.close();
  await once(server, 'close');
}

/** @throws StorageError; the system's error when the port for peers cannot be had */
export async function openCluster(options: ClusterPartsOptions): Promise<OrderingPart> {
  const { config, secrets, writer } = options;
  markNodeKeyUsed(config.data);
  const peers = peerOptionsOf(config);
  await using opening = new AsyncDisposableStack();
  const votes = opening.adopt(new VoteLog(config.data), (log) => log.close());
  let cluster: Cluster | null = null;
  let network: PeerNetwork | null = null;
  const chunkPeers = peersOf(() => network);
  const keeper = new ChunkKeeper({
    crypto: nativeCrypto,
    storage: writer,
    adopted: await writer.adoptChunks(),
    peers: chunkPeers,
    clock: systemClock,
    log: options.log,
    inUse: () => cluster?.chunksInUse() ?? null,
    onArrived: () => cluster?.chunksArrived(),
  });
  opening.defer(() => keeper.stop());
  network = await startNetwork(options, peers, {
    onMessage: (from, bytes) => cluster?.receive(fromHex(from), bytes),
    onRequest: (from, encoded, signal) => answerTo(options, keeper, from, encoded, signal),
  });
  opening.defer(() => network?.stop());
  const members = new MemberNetwork(network, peers, options);
  opening.defer(() => members.stop());
  const crypto = remembering(nativeCrypto);
  const { chainId } = secrets.data;
  const pool = new BundlePool();
  const keyOf = (role: number): Uint8Array | null => writer.keyOf(role);
  const latestMs = (): number => latestTimeMs(systemClock.now(), writer.tip.timeMs);
  cluster = new Cluster({
    crypto,
    chainId,
    publicKey: secrets.nodeKey.publicKey,
    ledger: options.ledger,
    keyOf,
    blocksFrom: (height) => blocksFrom(writer, height),
    network: members,
    chunks: keeper,
    log: votes,
    pool,
    replica: new Replica(
      {
        crypto,
        chainId,
        ...secrets.nodeKey,
        bodyIsSound: (block) => checkBody({ crypto, chainId }, block) === null,
        validate: validator({ crypto, chainId }, pool, latestMs, keeper),
        ackFanout: true,
        incarnation: randomInt(2 ** 31),
      },
      restored(writer, options.ledger, votes, secrets.nodeKey.publicKey),
    ),
    now: () => Math.max(systemClock.now(), writer.tip.timeMs),
    monotonic: () => performance.now(),
    idleProofMs: config.idleProofMs,
    onExecuted: options.onExecuted,
    onHandover: options.onHandover,
    onAlarm: options.onAlarm,
    onFailure: options.onFailure,
  });
  const running = cluster;
  const connected = network;
  const own = secrets.nodeKey.publicKey;
  opening.defer(() => running.stop());
  const spread = new ChunkSpread({
    keeper,
    peers: chunkPeers,
    needed: () => neededBy(running.replica, own),
  });
  opening.defer(() => spread.stop());
  const opened = opening.move();
  return {
    consensus: running,
    network: connected,
    // Whether it is confirmed or not: the keeper knows what a block may yet name.
    chunks: {
      put: (bytes) => spread.put(bytes),
      drop: async (hashes) => spread.drop(hashes),
      settle: (hashes) => spread.drop(hashes),
    },
    state: () => ({
      config: running.replica.config,
      replica: running.replica.status,
      peers: connected.peers(),
      heights: running.replica.heights,
    }),
    stop: () => opened.disposeAsync(),
  };
}

/** The network to be: what is asked before it is there has nobody to answer. */
function peersOf(network: () => PeerNetwork | null): Peers {
  return {
    connected: () => network()?.connected() ?? [],
    request: (key, bytes, timeoutMs, signal) =>
      network()?.request(key, bytes, timeoutMs, signal) ?? Promise.reject(new PeerError('down')),
  };
}

/** Chunks are looked up here, where it is known which are held; what is to be repaired, in a thread. */
async function answerTo(
  { answer }: ClusterPartsOptions,
  keeper: ChunkKeeper,
  from: string,
  encoded: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const question = decodeQuestion(encoded);
  const isOfChunks = question.kind === 'chunk' || question.kind === 'hold';
  if (!isOfChunks) return answer(encoded);
  return encodeAnswer(await keeper.answer(from, question, signal));
}

/** As many members as must vote for a block in the mode of now, without this node. */
function neededBy({ config, status }: Replica, publicKey: Uint8Array): Needed {
  const { report, fast } = quorumsOf(config);
  const own = hex(publicKey);
  const keys = config.members.map((member) => hex(member.publicKey));
  const members = keys.filter((key) => key !== own);
  const votes = status.mode === 'raft' ? fast : report;
  return { members, count: votes - (keys.length - members.length) };
}

/** Where the replica goes on: the end of the durable chain, and the votes since. */
function restored(writer: Writer, ledger: Ledger, votes: VoteLog, publicKey: Uint8Array) {
  const { height, covered, uncovered } = ledger.tip;
  const stored = storedBlock(writer, height);
  const config = writer.epochConfig;
  const certificate = decodeCertificate(stored.certificate);
  // A member without votes has lost them, unless nobody has voted yet: on block 0, and where solo has ended. Who is no
  // member has cast no vote that still counts.
  const unused =
    !votes.begun && (certificate.kind === 'proposer' || memberOf(config, publicKey) < 0);
  return {
    header: decodeHeader(stored.header),
    hash: ledger.tip.hash,
    history: ledger.history.copy(),
    certificate,
    anchor: hashAt(writer, config.start),
    config,
    before: config.epoch === 0 ? null : epochOf(writer, config.start),
    results: [covered, ...uncovered],
    records: votes.sound && (votes.records.length > 0 || unused) ? votes.records : null,
  };
}

/** The rules by which a block was ordered, and the hash of the block before the first of that epoch. */
function epochOf(writer: Writer, height: number) {
  const config = writer.configOf(height);
  return { config, anchor: hashAt(writer, config.start) };
}

function hashAt(writer: Writer, height: number): Uint8Array {
  return headerHash(nativeCrypto, storedBlock(writer, height).header);
}

function storedBlock(writer: Writer, height: number): StoredBlock {
  const stored = writer.block(height);
  if (stored !== null) return stored;
  throw new StorageError('damaged', `block ${height} is missing`);
}

/** As many as one answer may hold. */
function blocksFrom(writer: Writer, height: number): StoredBlock[] {
  const blocks: StoredBlock[] = [];
  let bytes = 0;
  for (let at = height; at <= writer.tip.height; at++) {
    const block = storedBlock(writer, at);
    bytes += block.header.length + block.body.length + block.certificate.length;
    const full =
      blocks.length >= CONSENSUS_LIMITS.syncBlocksMax || bytes > CONSENSUS_LIMITS.syncBytesMax;
    if (full && blocks.length > 0) break;
    blocks.push(block);
  }
  return blocks;
}

function startNetwork(
  { config, secrets, writer, log, onAlarm }: ClusterPartsOptions,
  peers: PeerOptions,
  handlers: {
    readonly onMessage: (from: string, bytes: Uint8Array) => void;
    readonly onRequest: PeerNetworkOptions['onRequest'];
  },
): Promise<PeerNetwork> {
  const epoch = writer.epochConfig;
  const own = hex(secrets.nodeKey.publicKey);
  const listed = [...epoch.members, ...epoch.observers];
  const member = listed.find(({ publicKey }) => hex(publicKey) === own);
  const known = new KnownAddresses(config.data);
  const others = membersOf(epoch, peers).filter(({ key }) => key !== own);
  if (
    others.length > 0 &&
    known.announcements.length === 0 &&
    others.every((each) => each.addresses.length === 0)
  ) {
    const hint = `${flagOf('peers')} says where one is; otherwise this node waits for them`;
    log.warn('no address of another node is known', { nodes: others.map(({ key }) => key), hint });
  }
  return PeerNetwork.start({
    chainId: secrets.data.chainId,
    nodeKey: secrets.nodeKey,
    crypto: nativeCrypto,
    clock: systemClock,
    log,
    // Peers always speak TLS, also where clients need not.
    tls: secrets.tls ?? loadTls(config.data, { certificate: '', key: '' }, [], systemClock.now()),
    host: peers.host,
    port: peers.port,
    announce: member === undefined || member.address === '' ? null : member.address,
    addresses: [],
    proxy: peers.proxy,
    members: membersOf(epoch, peers),
    announcements: known.announcements,
    store: (key, announcement) => known.keep(key, announcement),
    onMessage: (key, _traffic, bytes) => handlers.onMessage(key, bytes),
    onTwin: (key) => onAlarm('twin', `two nodes with the key ${key} run: one is a copy, stop it`),
    onRequest: handlers.onRequest,
  });
}

/**
 * The network as consensus wants it. Who is taken out of the members is still connected for a while: otherwise it would
 * never hear of the block that says so.
 */
class MemberNetwork implements Network {
  readonly #network: PeerNetwork;
  readonly #peers: PeerOptions;
  readonly #options: ClusterPartsOptions;
  #config: EpochConfig;
  #farewell: NodeJS.Timeout | undefined;

  constructor(network: PeerNetwork, peers: PeerOptions, options: ClusterPartsOptions) {
    this.#network = network;
    this.#peers = peers;
    this.#options = options;
    this.#config = options.writer.epochConfig;
  }

  send(to: Uint8Array | null, lane: Lane, bytes: Uint8Array): void {
    if (to === null) this.#network.broadcast(lane, bytes);
    else this.#network.send(hex(to), lane, bytes);
  }

  setMembers(config: EpochConfig): void {
    const members = membersOf(config, this.#peers);
    const keys = new Set(members.map(({ key }) => key));
    const leaving = membersOf(this.#config, this.#peers).filter(({ key }) => !keys.has(key));
    this.#say(this.#config, config);
    this.#config = config;
    this.#network.setMembers([...members, ...leaving]);
    this.stop();
    if (leaving.length === 0) return;
    this.#farewell = setTimeout(() => this.#network.setMembers(members), PEER_FAREWELL_MS);
  }

  /** Forgets whom it still had to part with. */
  stop(): void {
    clearTimeout(this.#farewell);
  }

  #say(before: EpochConfig, { epoch, mode, policy, f, ...config }: EpochConfig): void {
    const { log, secrets } = this.#options;
    const { publicKey } = secrets.nodeKey;
    const part = partOf(config, publicKey);
    const members = config.members.length;
    log.info('epoch', { epoch, policy, mode, members, f, part });
    const was = partOf(before, publicKey);
    if (was === 'member' && part !== 'member') {
      log.warn('this node votes no longer', { epoch, part });
    } else if (was === 'observer' && part === 'none') {
      log.warn('this node observes no longer', { epoch, part });
    }
  }
}

/** What a node is in a configuration. */
function partOf(
  config: Pick<EpochConfig, 'members' | 'observers'>,
  publicKey: Uint8Array,
): 'member' | 'observer' | 'none' {
  if (memberOf(config, publicKey) >= 0) return 'member';
  return memberOf({ members: config.observers }, publicKey) >= 0 ? 'observer' : 'none';
}

function membersOf(config: EpochConfig, peers: PeerOptions): PeerMember[] {
  return [...config.members, ...config.observers].map((member) => ({
    key: hex(member.publicKey),
    addresses: addressesOfMember(peers, member),
  }));
}
