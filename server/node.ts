// The composition root: store, analyst, consensus, readers, sessions and listener make one node. Shell.
//
// The only place where sql/ and consensus/ meet.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutedBlock, Ledger, OrderedBlock, Tip } from '../consensus/consensus.ts';
import { keyFor } from '../identity/node-key.ts';
import { verifierOfPassword } from '../identity/password.ts';
import type { Catalog, Role } from '../ledger/catalog.ts';
import { encodeCertificate } from '../ledger/encoding-vote.ts';
import { isSqlError, SqlError } from '../ledger/error.ts';
import { isListed, ordersAlone } from '../ledger/epoch.ts';
import type { HistoryTree } from '../ledger/history-tree.ts';
import type { Operation } from '../ledger/operation.ts';
import { stampOf } from '../ledger/operation.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { DdlRecord } from '../sql/analysis.ts';
import { Analyst } from '../sql/analyst/analyst.ts';
import { isDataDirectory, readDataDirectory } from '../storage/data-directory.ts';
import { nativeCrypto } from '../storage/native-crypto.ts';
import { StateReader } from '../storage/snapshot.ts';
import { shardFiles } from '../storage/state-files.ts';
import { Writer } from '../storage/writer.ts';
import { Alarms } from './alarms.ts';
import { NodeBackend } from './backend.ts';
import { systemClock } from './clock.ts';
import { clusterStatus } from './cluster-status.ts';
import { openCluster, prepareCluster } from './cluster.ts';
import type { Config } from './config.ts';
import { damageArchive } from './damage-archive.ts';
import { ddlHistory, ddlOf } from './ddl-history.ts';
import { Evidence } from './evidence.ts';
import { ADMIN } from './founding/genesis.ts';
import { Gateway } from './gateway.ts';
import { Governor } from './governance/governor.ts';
import { initialise, openSecrets, readAdminUrl, writeAdminUrl } from './initialise.ts';
import type { NodeSecrets } from './initialise.ts';
import { Inline } from './inline.ts';
import { rotatedKey } from './key-rotation.ts';
import { LockTable } from './lock-table.ts';
import type { Log } from './log.ts';
import { makeLog } from './log.ts';
import { Ordering } from './ordering.ts';
import type { OrderingPart } from './ordering.ts';
import { requireOpenFiles } from './open-files.ts';
import { peerOptionsOf } from './peer-options.ts';
import type { Peers } from './peers/requests.ts';
import { makeEncryption } from './pgwire/encryption.ts';
import { Listener } from './pgwire/listener.ts';
import { Repair } from './repair.ts';
import { Scrubber } from './scrubber.ts';
import { ReaderPool } from './readers/reader-pool.ts';
import { statementTexts } from './readers/statement-texts.ts';
import { Sequences } from './sequences.ts';
import { openSolo } from './solo.ts';
import { stampOfText } from './session/as-of.ts';
import { Planner } from './session/planner.ts';
import type { NodeServices } from './session/services.ts';

export interface RunningNode {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** The connection string with the password; only at the first start, which has made it. */
  readonly adminUrl: string | undefined;
  readonly firstStart: boolean;
  /** Resolves when the node has stopped by itself, with the reason. */
  readonly failed: Promise<unknown>;
  /** Drains and stops. */
  stop(): Promise<void>;
}

/** Microseconds from 1970 to 2000. */
const EPOCH_2000_MICROS = 946_684_800_000_000n;

/** How often, and how many milliseconds apart, a session looks whether the catalog has followed the files. */
const SETTLE_TRIES = 3_000;
const SETTLE_MS = 10;

/** Of the key that seals the analyst's images. */
const IMAGE_KEY_PURPOSE = 'trustsql analyst image v1';

const HOUR_MS = 3_600_000;

/** How long a transaction made here stays valid, in milliseconds (architecture 5). */
const VALID_FOR_MS = 60_000;

/**
 * Starts a node, after making its data directory if there is none.
 *
 * @throws StorageError locked, foreign, damaged, full or io; a system error of the listener (EADDRINUSE); ConfigError
 */
export async function startNode(config: Config): Promise<RunningNode> {
  const firstStart = !isDataDirectory(config.data);
  peerOptionsOf(config);
  requireOpenFiles(config.maxConnections);
  const made = firstStart ? initialise(config, nativeCrypto, systemClock) : null;
  const log = openLog(config);
  const core = await openCore(config, log);
  const { services, secrets } = core;
  try {
    const backend = new NodeBackend({
      services,
      defaults: new Map([
        ['statement_timeout', String(config.statementTimeoutMs)],
        ['idle_in_transaction_session_timeout', String(config.idleInTransactionSessionTimeoutMs)],
      ]),
      onHostedElsewhere: (role) =>
        log.warn('login refused: this node does not host the role', { role }),
    });
    core.sessions = backend;
    const listener = await Listener.listen({
      backend,
      host: config.host,
      port: config.port,
      connectionsMax: config.maxConnections,
      secret: secrets.nodeKey.seed,
      log: (event, fields) => log.error(event, fields),
      ...(secrets.tls === null
        ? {}
        : { encryption: makeEncryption(secrets.tls.key, secrets.tls.certificate) }),
    });
    log.info('listening', {
      host: config.host,
      port: listener.port,
      chain: Buffer.from(services.chainId).toString('hex'),
    });
    return {
      host: config.host,
      port: listener.port,
      database: services.database,
      adminUrl: adminUrl(config, listener.port, made?.adminUrl),
      firstStart,
      failed: core.failed,
      stop: async () => {
        const atMostMs = config.shutdownTimeoutMs;
        await listener.close(atMostMs, (sessions) =>
          log.info('waiting for statements that run', { sessions, atMostMs }),
        );
        await core.close();
        log.info('stopped');
      },
    };
  } catch (error) {
    await core.close();
    throw error;
  }
}

function openLog(config: Config): Log {
  const human =
    config.logFormat === 'human' || (config.logFormat === 'auto' && process.stderr.isTTY);
  return makeLog({
    level: config.logLevel,
    format: human ? 'human' : 'json',
    clock: systemClock,
    write: (line) => void process.stderr.write(line),
  });
}

/** admin.url names the port that clients connect to, also when it was chosen or changed at this start. */
function adminUrl(config: Config, port: number, fresh: string | undefined): string | undefined {
  const login = readAdminUrl(config);
  if (login === null || login.port === port) return fresh;
  const written = writeAdminUrl(config, { ...login, port });
  return fresh === undefined ? undefined : written;
}

interface Core {
  readonly services: NodeServices;
  readonly secrets: NodeSecrets;
  readonly failed: Promise<unknown>;
  sessions: NodeBackend | null;
  close(): Promise<void>;
}

/** Everything of a node but its listener. What was opened is closed again when something cannot be, else nothing ends. */
async function openCore(config: Config, log: Log): Promise<Core> {
  await using opening = new AsyncDisposableStack();
  const core = await openParts(config, log, opening);
  const opened = opening.move();
  return Object.assign(core, { close: () => opened.disposeAsync() });
}

/** @param opened  what it has opened, to be closed in reverse */
async function openParts(
  config: Config,
  log: Log,
  opened: AsyncDisposableStack,
): Promise<Omit<Core, 'close'>> {
  const crypto = nativeCrypto;
  const { promise: failed, resolve: fail } = Promise.withResolvers<unknown>();
  const onFailure = (error: unknown): void => {
    log.error('the node has failed', { error: (error as Error).message });
    fail(error);
  };
  const alarms = new Alarms(systemClock, log);
  const startedMs = systemClock.now();
  const sealed = openSecrets(config, crypto, systemClock);
  opened.defer(() => sealed.keyring.close());
  const writer = await Writer.open(config.data, sealed.nodeKey.publicKey, onFailure);
  opened.defer(() => writer.close());
  const nodeKey = rotatedKey(config, crypto, sealed.nodeKey, writer.epochConfig, log);
  const secrets = { ...sealed, nodeKey };
  const { chainId } = secrets.data;
  const { database } = writer.genesis;
  const reader = StateReader.open(config.data);
  opened.defer(() => reader.close());
  const settle = (): void => writer.settle();
  const newestState = (): StateReader => {
    settle();
    return reader;
  };
  const inline = new Inline(
    writer.database,
    () => writer.tip.height,
    writer,
    statementTexts(config.data),
  );
  opened.defer(() => inline.close());
  writer.beforeWrite = () => inline.renew();
  const analyst = await Analyst.start({
    database,
    images: {
      directory: join(config.data, 'analyst'),
      key: keyFor(secrets.nodeKey, IMAGE_KEY_PURPOSE),
      onFault: (what, file) => alarms.raise('analyst', `${what} (${file})`),
    },
  });
  opened.defer(() => analyst.close());
  let catalog: Catalog = reader.catalog();
  // It comes up while clients connect: what they ask waits for it.
  const { stateShards } = reader.data;
  analyst.load(catalog, ddlHistory(config.data, inline), stateShards).catch((error: unknown) => {
    // Closed before it was up: nothing has failed.
    if (!isSqlError(error)) onFailure(error);
  });
  // The mirror follows before anybody plans by the new catalog; all bundles of a block wait for the same work.
  let newest = catalog;
  let following: Promise<void> = Promise.resolve();
  const follow = (executed: ExecutedBlock): void | Promise<void> => {
    // The tip says so without a look at the files, which would cost as much as two point reads a block.
    if (executed.tip.catalogVersion !== newest.version) {
      const after = catalogOf(newestState(), executed);
      newest = after;
      following = following.then(async () => {
        await mirrorDdl(analyst, config, inline, alarms, executed, after);
        sequences.catalogChanged(catalog, after);
        catalog = after;
      });
      // A node whose mirror is lost must not say of durable transactions that they failed.
      following.catch(onFailure);
    }
    return newest === catalog ? undefined : following;
  };
  const scrubber = new Scrubber(config.data);
  opened.defer(() => scrubber.close());
  const open = async (onHandover: () => void): Promise<OrderingPart> => {
    const ledger = ledgerOver(writer, await writer.durableHistory());
    const rules = writer.epochConfig;
    const parts = { config, secrets, writer, ledger, onHandover, onFailure };
    if (ordersAlone(rules, secrets.nodeKey.publicKey)) return openSolo({ ...parts, rules });
    return openCluster({
      ...parts,
      log,
      answer: (question) => {
        settle();
        return scrubber.answer(question);
      },
      onExecuted: (executed) => {
        for (const operations of operationsIn(executed)) sequences.follow(operations);
        // Whoever waits for the mirror does so in the gateway.
        void follow(executed);
      },
      onAlarm: (kind, message) => alarms.raise(kind, message),
    });
  };
  const ordering = await Ordering.start({
    open,
    prepare: () => prepareCluster(config, writer),
    onFailure,
  });
  opened.defer(() => ordering.stop());
  const repair = repairOf(config, writer, scrubber, () => peersOf(ordering), {
    log,
    alarms,
    onFailure,
  });
  opened.defer(() => repair?.stop());
  const gateway = new Gateway({
    crypto,
    chainId,
    consensus: ordering,
    signerOf: (id) => signerOf(catalog, secrets, id),
    // A clock that was ahead and is set back must not make every transaction expired at its birth.
    now: () => Math.max(systemClock.now(), writer.tip.timeMs),
    randomBytes: (count) => new Uint8Array(randomBytes(count)),
    validForMs: VALID_FOR_MS,
    onExecuted: follow,
  });
  const sequences = new Sequences({
    stateOf: (id) => newestState().sequence(id) ?? undefined,
    submit: (author, operation) => gateway.submit(author, [operation], ''),
  });
  const readers = new ReaderPool({
    dataDirectory: config.data,
    readersMax: config.readers,
    memoryMib: config.readerMemoryMb,
    onAnswer: () => inline.renew(),
    settle,
    onDeath: (code, signal) => log.warn('reader ended', { code, signal }),
  });
  opened.defer(() => readers.close());
  readers.warm();
  const evidence = new Evidence({
    crypto,
    chainId,
    dataDirectory: config.data,
    nodeSeed: secrets.nodeKey.seed,
    history: () => writer.durableHistory(),
    blockTime: () => writer.tip.timeMs,
    settle,
    prove: () => ordering.prove(),
  });
  opened.defer(() => evidence.close());
  const services: NodeServices = {
    database,
    chainId,
    catalog: () => catalog,
    catalogSettled: async () => {
      // The writer is ahead of its message to this thread by a moment, and the mirror follows that.
      for (let i = 0; reader.catalog() !== catalog && i < SETTLE_TRIES; i += 1) {
        await Promise.all([following, delay(SETTLE_MS)]);
      }
    },
    retypings: () => reader.retypings(),
    appliedStamp: () => stampOf(writer.tip.height, 65_535),
    stampOfText: (text, session) => stampOfText(text, session, newestState()),
    catalogAt: (stamp) => reader.catalogAt(stamp),
    analyst,
    planner: new Planner(),
    gateway,
    locks: new LockTable(),
    readers,
    inline,
    sequences,
    keyring: secrets.keyring,
    evidence,
    governor: new Governor({
      crypto,
      chainId,
      publicKey: secrets.nodeKey.publicKey,
      consensus: ordering,
      state: () => ordering.state(),
    }),
    signerOf: (id) => signerOf(catalog, secrets, id),
    prove: () => ordering.prove(),
    agreed: (height, confirm) => ordering.agreed(height, confirm),
    caughtUp: async () => {
      await ordering.caughtUp();
      await following;
    },
    isReadOnly: () => !isListed(ordering.state().config, secrets.nodeKey.publicKey),
    admit: () => repair?.admit(),
    putChunk: (bytes) => ordering.putChunk(bytes),
    dropChunks: (hashes) => ordering.dropChunks(hashes),
    settleChunks: (hashes) => ordering.settleChunks(hashes),
    status: () =>
      clusterStatus({
        ...ordering.state(),
        publicKey: secrets.nodeKey.publicKey,
        startedMs,
        executedHeight: writer.tip.height,
        alarms: alarms.kept,
      }),
    shardFiles: () => shardFiles(reader.database, secrets.data),
    nowMicros: () => BigInt(systemClock.now()) * 1000n - EPOCH_2000_MICROS,
    roleOf: (processId) => core.sessions?.roleOf(processId) ?? null,
    activity: (role) => core.sessions?.activity(role) ?? [],
    cancelSession: (processId) => core.sessions?.cancelSession(processId) ?? false,
    terminate: (processId) => core.sessions?.terminate(processId) ?? false,
  };
  const core: Omit<Core, 'close'> = { services, secrets, failed, sessions: null };
  return core;
}

/** Replays DDL in the mirror. A mirror that cannot follow is built anew: the chain is right, whatever it says. */
async function mirrorDdl(
  analyst: Analyst,
  config: Config,
  inline: Inline,
  alarms: Alarms,
  executed: ExecutedBlock,
  catalog: Catalog,
): Promise<void> {
  try {
    await analyst.applyDdl(ddlIn(executed), catalog);
  } catch (error) {
    const reason = (error as Error).message;
    alarms.raise('analyst', `the analyst could not follow the chain: ${reason}`);
    const { height } = executed.block.header;
    const { stateShards } = readDataDirectory(config.data);
    await analyst.load(catalog, ddlHistory(config.data, inline, height), stateShards);
  }
}

/** After a block: where many are executed at once, the files are ahead of it. */
function catalogOf(state: StateReader, { tip, block }: ExecutedBlock): Catalog {
  const newest = state.catalog();
  if (newest.version === tip.catalogVersion) return newest;
  return state.catalogAt(stampOf(block.header.height, 65_535));
}

function signerOf(catalog: Catalog, secrets: NodeSecrets, id: number) {
  const role = catalog.roles.get(id);
  const key =
    role?.publicKey === null || role === undefined
      ? undefined
      : secrets.keyring.keyOf(role.publicKey);
  if (key !== undefined) return key;
  throw new SqlError(
    SQLSTATE.invalidAuthorizationSpecification,
    `this node does not hold the key of role "${role?.name ?? id}"`,
    { hint: 'Connect to a node of the organisation that hosts the role.' },
  );
}

/** Who can be asked for what is damaged; null while nobody is there. */
function peersOf({ network }: Ordering): Peers | null {
  return network === null || network.peers().length === 0 ? null : network;
}

/** Who looks after the files; nobody when the setting says so. */
function repairOf(
  { data, scrubMs, scrubPeriodHours }: Config,
  writer: Writer,
  scrubber: Scrubber,
  peers: () => Peers | null,
  {
    log,
    alarms,
    onFailure,
  }: {
    readonly log: Log;
    readonly alarms: Alarms;
    readonly onFailure: (error: unknown) => void;
  },
): Repair | null {
  if (scrubMs === 0) return null;
  return new Repair({
    scrubber,
    writer,
    crypto: nativeCrypto,
    peers,
    keep: damageArchive(data, systemClock, (place) => log.warn('no room for evidence', { place })),
    log,
    clock: systemClock,
    scrubMs,
    periodMs: scrubPeriodHours * HOUR_MS,
    onAlarm: (kind, message) => alarms.raise(kind, message),
    onFailure,
  });
}

/** The writer as the consensus wants its ledger. */
function ledgerOver(writer: Writer, history: HistoryTree): Ledger {
  return {
    history,
    get tip(): Tip {
      return writer.tip;
    },
    append: async (ordered: OrderedBlock, onStored?: () => void): Promise<ExecutedBlock> => {
      const { block, hash, transactions } = ordered;
      const { header } = block;
      const stored = {
        height: header.height,
        header: ordered.headerBytes,
        body: ordered.bodyBytes,
        certificate: encodeCertificate(block.certificate),
      };
      const { tip, receipts } = await writer.append(
        { ...block, stored, hash, transactions },
        onStored,
      );
      return { block, transactions, receipts: receipts.map(({ receipt }) => receipt), tip };
    },
  };
}

/** DDL that a block has committed. */
function ddlIn(executed: ExecutedBlock): DdlRecord[] {
  return [...operationsIn(executed)].flatMap(ddlOf);
}

/** Of the transactions that a block has committed, in order. */
function* operationsIn({ transactions, receipts }: ExecutedBlock): Generator<readonly Operation[]> {
  for (const [position, { transaction }] of transactions.entries()) {
    if (receipts[position]?.abort === null) yield transaction.operations;
  }
}

/**
 * Gives a role a new password, while no node runs on the data directory.
 *
 * @throws StorageError as startNode; SqlError 42704 for an unknown role
 */
export async function resetPassword(config: Config, name: string, password: string): Promise<void> {
  const core = await openCore(config, openLog(config));
  try {
    const { services, secrets } = core;
    const catalog = services.catalog();
    const role = [...catalog.roles.values()].find((each) => each.name === name);
    if (role === undefined)
      throw new SqlError(SQLSTATE.undefinedObject, `role "${name}" does not exist`);
    const verifierCommitment = secrets.keyring.putVerifier(verifierOfPassword(password));
    const object: Role = { ...role, verifierCommitment };
    const quoted = `"${name.replaceAll('"', '""')}"`;
    const operation = {
      kind: 'catalog' as const,
      base: catalog.version,
      changes: [{ put: 'role' as const, object }],
      role: role.name,
      searchPath: 'public',
      text: `ALTER ROLE ${quoted} PASSWORD NULL`,
    };
    await services.gateway.submit(role.id, [operation], operation.text);
    const { database } = services;
    const login = readAdminUrl(config) ?? { role: ADMIN, database };
    if (role.superuser && name === login.role) {
      writeAdminUrl(config, { ...login, password, port: config.port });
    }
  } finally {
    await core.close();
  }
}
