// Consensus of several nodes: carries out what the replica asks for, and feeds it what happens. Shell.
//
// The replica (consensus/core) decides; here are its clock, network, log, ledger, and the bundles it orders. A
// node sends the bundles of its sessions to all nodes, so that whoever leads can order them.
//
// (1) What the replica persists, and the blocks it has confirmed, become durable in the order in which it said so.
// (2) What depends on something durable is sent when that is.
// (3) A failed disk ends this consensus and the node with it: nobody knows what is on it.

import { equal, fromHex, hex } from '../ledger/bytes.ts';
import { chunksIn, chunksNamedBy } from '../ledger/chunks.ts';
import type { Crypto } from '../ledger/crypto.ts';
import {
  decodeBundle,
  encodeBundle,
  readTransactions,
  transactionIdOf,
} from '../ledger/encoding.ts';
import { SqlError, tryDecode } from '../ledger/error.ts';
import { isListed, ordersAlone } from '../ledger/epoch.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import { merkleRoot } from '../ledger/merkle.ts';
import { LIMITS } from '../ledger/limits.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { Bundle } from '../ledger/transaction.ts';
import { Agreement, encodeResult, tryDecodeResult } from './agreement.ts';
import { AwakeClock } from './awake-clock.ts';
import type { Chunks } from './chunks.ts';
import { keyOfBundle } from './bundle-pool.ts';
import type { BundleKey, BundlePool } from './bundle-pool.ts';
import type {
  Confirm,
  Consensus,
  ExecutedBlock,
  Ledger,
  Outcome,
  Proposal,
  Tip,
} from './consensus.ts';
import { DurableOrder } from './durable-order.ts';
import type { ConsensusLog } from './durable-order.ts';
import { encodeMessage } from './core/codec.ts';
import type { AlarmKind, Effect, ReplicaEvent } from './core/event.ts';
import type { CertifiedBlock } from './core/message.ts';
import type { Replica } from './core/replica.ts';
import { isApproved } from './core/system-check.ts';
import { Gathering } from './gathering.ts';
import { HandedOver } from './handover.ts';
import { Reads } from './reads.ts';
import { RulesChange, decodeChange, encodeChange, unapprovedError } from './rules-change.ts';
import type { ApprovedRules } from './rules-change.ts';
import { stoppedError } from './stopped.ts';
import { proposable } from './validate.ts';

/** How soon a message should go: votes before blocks before what helps a node that is behind. */
export type Lane = 'vote' | 'block' | 'sync';

/** Connections to the other nodes; server/peers fits it. Nodes are named by their public keys. */
export interface Network {
  /** @param to null for all */
  send(to: Uint8Array | null, lane: Lane, bytes: Uint8Array): void;
  /** Whom to talk to from now on. */
  setMembers(config: EpochConfig): void;
}

export interface ClusterOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  /** Of this node. */
  readonly publicKey: Uint8Array;
  readonly ledger: Ledger;
  /** Key of a role as of the newest block executed; null if it may not sign. */
  readonly keyOf: (role: number) => Uint8Array | null;
  /** Blocks from a height on, as many as an answer may hold. */
  readonly blocksFrom: (height: number) => readonly CertifiedBlock[];
  readonly network: Network;
  readonly chunks: Chunks;
  readonly log: ConsensusLog;
  /** Empty; the replica's checks look into it. */
  readonly pool: BundlePool;
  /** Made for the end of the ledger and the records of the log. */
  readonly replica: Replica;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds that never go back. */
  readonly monotonic: () => number;
  /** Quiet time before an empty block proves the last results, in milliseconds. */
  readonly idleProofMs: number;
  /** Called with every block executed, before its proposers hear of it. */
  readonly onExecuted: (executed: ExecutedBlock) => void;
  /** Rules by which this node orders alone are in force; everything up to them is executed. */
  readonly onHandover: () => void;
  readonly onAlarm: (alarm: AlarmKind, message: string) => void;
  /** The disk failed, or confirmed blocks contradict each other; the node must stop. */
  readonly onFailure: (error: unknown) => void;
}

/** Between two looks at the clock, in ms. */
const TICK_MS = 20;
/** Bundles of this node are sent again after so long, in ms, to who may have come up meanwhile. */
const RESEND_MS = 1_000;
/** Bundles that no block has ordered in this time, in ms, are no longer valid, and their outcome is not waited for. */
const POOL_AGE_MAX_MS = 75_000;
/** What a client waits for other nodes to say that they got the same results, in ms. */
const AGREE_MS_MAX = 10_000;
/** What a linearizable read waits for a quorum to answer, and for the blocks that it names to be executed, in ms. */
const READ_MS_MAX = 10_000;
/** What a node that stops still waits for its own bundles, in ms. */
const STOP_MS_MAX = 5_000;

/** Longer messages of the replica are blocks with content. */
const SHORT_BYTES = 8_192;

/** An encoded bundle that a block has room for. */
const BUNDLE_BYTES_MAX = LIMITS.blockBodyBytesMax - 512;

/** First byte of a message: for the replica, a bundle, approved rules, or about the results of a block. */
const REPLICA_MESSAGE = 0;
const BUNDLE_MESSAGE = 1;
const RULES_MESSAGE = 2;
const RESULT_MESSAGE = 3;

type EffectOf<Kind extends Effect['kind']> = Extract<Effect, { readonly kind: Kind }>;

interface Waiting {
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

export class Cluster implements Consensus {
  readonly #options: ClusterOptions;
  readonly #pool: BundlePool;
  readonly #order: DurableOrder;
  readonly #gathering = new Gathering();
  readonly #agreement: Agreement;
  readonly #reads: Reads;
  /** Proposers of this node, by key of their bundle. */
  readonly #waiting = new Map<BundleKey, Waiting>();
  #events: ReplicaEvent[] = [];
  #handling = false;
  /** Everything persisted up to this token is durable. */
  #durable = 0;
  /** What waits for something to be durable. */
  #held: EffectOf<'send' | 'readReady'>[] = [];
  /** The replica leads and has room for a block. */
  #wanted: EffectOf<'wantBlock'> | null = null;
  /** Confirmed blocks that are not handed to the ledger yet. */
  #unstored = 0;
  /** Chunks of blocks that are confirmed and not yet executed, by height. */
  readonly #unexecuted = new Map<number, readonly Uint8Array[]>();
  /** Blocks handed to the ledger and not yet executed. */
  #executing = 0;
  readonly #awake = new AwakeClock();
  #proposeTimer: NodeJS.Timeout | null = null;
  #proposeSoon: NodeJS.Immediate | null = null;
  #demand = false;
  /** Approved rules are on their way into a block. */
  #rulesAhead = false;
  /** Those that this node was given itself. */
  #change: RulesChange | null = null;
  #provenAsked = false;
  #lastExecutedMs = 0;
  #lastResendMs = 0;
  readonly #ticker: NodeJS.Timeout;
  #executedWaiters: (() => void)[] = [];
  /** `ended`: rules are confirmed by which this node orders alone; it does when their block is executed. */
  #state: 'open' | 'ended' | 'stopping' | 'failed' = 'open';

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#pool = options.pool;
    const { covered, uncovered } = options.ledger.tip;
    this.#agreement = new Agreement([covered, ...uncovered]);
    this.#reads = new Reads(options.ledger.tip.height);
    this.#order = new DurableOrder({
      log: options.log,
      height: options.ledger.tip.height,
      onDurable: (token) => this.#becameDurable(token),
      onFailure: (error) => this.#fail(error),
    });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    setImmediate(() => this.#tick());
  }

  /** Where the consensus stands: for `ledger.consensus`. */
  get replica(): Replica {
    return this.#options.replica;
  }

  async propose(proposal: Proposal): Promise<Outcome> {
    this.#checkOpen();
    const key = keyOfBundle(proposal.bundle);
    const encoded = encodeBundle(proposal.bundle);
    const arrivedMs = this.#options.monotonic();
    const { bundle, ids } = proposal;
    const transactions = readTransactions(bundle, ids);
    const bytes = encoded.length;
    this.#pool.add({ ...proposal, transactions, key, bytes, from: null, arrivedMs });
    const outcome = new Promise<Outcome>((resolve, reject) => {
      this.#waiting.set(key, { resolve, reject });
    });
    this.#options.network.send(null, 'block', tagged(BUNDLE_MESSAGE, encoded));
    this.#pooled();
    return outcome;
  }

  async changeRules(change: ApprovedRules, timeoutMs: number): Promise<EpochConfig> {
    this.#checkOpen();
    if (this.#change !== null) {
      throw new SqlError(SQLSTATE.objectInUse, 'another change of the rules is on its way');
    }
    const message = tagged(RULES_MESSAGE, encodeChange(change));
    const pending = new RulesChange(change.rules, message, this.#options.monotonic() + timeoutMs);
    this.#change = pending;
    if (!this.#takeRules(change)) {
      this.#change = null;
      throw unapprovedError(this.replica.config);
    }
    this.#options.network.send(null, 'block', message);
    return pending.outcome;
  }

  async prove(): Promise<void> {
    while (this.#tip.unproved && !this.#isStopping) {
      this.#checkOpen();
      this.#provenAsked = true;
      this.#propose();
      await this.#nextExecuted();
    }
  }

  agreed(height: number, confirm: Confirm): Promise<void> {
    const { config, status } = this.#options.replica;
    const { members, f } = config;
    const others = new Map(members.map(({ publicKey }, place) => [hex(publicKey), place]));
    if (status.self >= 0) others.delete(hex(members[status.self]!.publicKey));
    const needed = (confirm === 'all' ? members.length : f + 1) - (members.length - others.size);
    if (needed <= 0) return Promise.resolve();
    const untilMs = this.#options.monotonic() + (this.#state === 'open' ? AGREE_MS_MAX : 0);
    const agreed = this.#agreement.wait({ height, others, needed, untilMs });
    this.#sayResult(null, height, null);
    return agreed;
  }

  async caughtUp(): Promise<void> {
    if (this.#state === 'open' && !this.#isListed) throw uninformedError(this.replica.config);
    this.#checkOpen();
    const { id, outcome } = this.#reads.begin(this.#options.monotonic() + READ_MS_MAX);
    this.#handle({ kind: 'read', id });
    return outcome;
  }

  async stop(): Promise<void> {
    // One that has ended stays so: what comes while it is stopped is for its successor.
    if (this.#state === 'open') this.#state = 'stopping';
    const end = this.#options.monotonic() + STOP_MS_MAX;
    while (this.#waiting.size > 0 && this.#options.monotonic() < end) await this.#nextExecuted();
    clearInterval(this.#ticker);
    if (this.#proposeTimer !== null) clearTimeout(this.#proposeTimer);
    if (this.#proposeSoon !== null) clearImmediate(this.#proposeSoon);
    this.#agreement.expire(Infinity);
    this.#reads.expire(Infinity);
    this.#forgetOwn(unknownError());
    this.#options.chunks.stop();
    await this.#order.idle();
    while (this.#executing > 0 && (this.#state as string) !== 'failed') await this.#nextExecuted();
  }

  /** Chunks that must not go: of what other nodes want to be ordered, of blocks that may yet be confirmed, and to be executed. */
  *chunksInUse(): Generator<Uint8Array> {
    yield* this.#pool.chunks();
    for (const { bundles } of this.replica.candidates) yield* chunksNamedBy(bundles);
    for (const hashes of this.#unexecuted.values()) yield* hashes;
  }

  /** What was wanted is here: blocks may have waited for it. */
  chunksArrived(): void {
    this.#handle({ kind: 'available' });
  }

  /** Takes a message of a node. What it cannot be is ignored: the transport knows who sent it. */
  receive(from: Uint8Array, bytes: Uint8Array): void {
    if (this.#state === 'ended' || this.#state === 'failed') return;
    const content = bytes.subarray(1);
    if (bytes[0] === REPLICA_MESSAGE) this.#handle({ kind: 'receive', from, bytes: content });
    else if (bytes[0] === BUNDLE_MESSAGE) this.#receiveBundle(from, content);
    else if (bytes[0] === RULES_MESSAGE) this.#receiveRules(content);
    else if (bytes[0] === RESULT_MESSAGE) this.#receiveResult(from, content);
  }

  /** @throws SqlError 57P03 or of a halted ledger, 25006 at a node without a part; HandedOver */
  #checkOpen(): void {
    if (this.#state === 'ended') throw new HandedOver();
    if (this.#state !== 'open') throw stoppedError(this.#state === 'failed');
    if (!this.#isListed) throw unlistedError(this.replica.config);
  }

  get #isStopping(): boolean {
    return this.#state === 'stopping' || this.#state === 'failed';
  }

  /** Whether blocks come to this node, and what it sends goes to others. */
  get #isListed(): boolean {
    return isListed(this.replica.config, this.#options.publicKey);
  }

  #receiveRules(encoded: Uint8Array): void {
    const change = decodeChange(encoded);
    if (change !== null) this.#takeRules(change);
  }

  /** Whoever leads puts them into a block; that they are approved is what makes their absence the leader's fault. */
  #takeRules(change: ApprovedRules): boolean {
    if (!isApproved(this.#options, this.replica.config, change)) return false;
    this.#rulesAhead = true;
    this.#sayDemand();
    this.#handle({ kind: 'rules', ...change });
    return true;
  }

  #epochChanged(config: EpochConfig): void {
    this.#options.network.setMembers(config);
    this.#rulesAhead = false;
    this.#change?.begun(config);
    this.#change = null;
    if (ordersAlone(config, this.#options.publicKey) && this.#state === 'open') {
      this.#state = 'ended';
      this.#events = [];
    }
  }

  get #tip(): Tip {
    return this.#options.ledger.tip;
  }

  #receiveBundle(from: Uint8Array, encoded: Uint8Array): void {
    const { crypto, monotonic } = this.#options;
    if (encoded.length > BUNDLE_BYTES_MAX) return;
    const bundle = tryDecode(() => decodeBundle(encoded));
    if (bundle === null) return;
    const key = keyOfBundle(bundle);
    // Of a role that this node has not heard of yet it will come again; strangers' would only fill the chain.
    if (this.#pool.has(key) || !this.#mayWrite(bundle)) return;
    const transactions = proposable(this.#options, bundle);
    if (transactions === null) return;
    // It will come again. Whoever waits for it to be confirmed must be able to order it.
    const chunks = chunksIn(transactions);
    if (!this.#options.chunks.has(chunks)) return this.#options.chunks.want(chunks, from);
    const ids = transactions.map(({ id }) => id);
    const what = { bundle, ids, root: merkleRoot(crypto, ids), transactions };
    const bytes = encoded.length;
    const pooled = { ...what, key, bytes, from: hex(from), arrivedMs: monotonic() };
    if (this.#pool.add(pooled)) this.#pooled();
  }

  #receiveResult(from: Uint8Array, content: Uint8Array): void {
    const message = tryDecodeResult(content);
    if (message === null) return;
    const { height, receiptsRoot } = message;
    if (receiptsRoot === null) {
      const result = this.#agreement.asked(hex(from), height);
      if (result !== null) this.#sayResult(from, height, result);
      return;
    }
    const differing = this.#agreement.told(hex(from), height, receiptsRoot);
    if (differing === null) return;
    const text = `member ${differing} has other results of block ${height} than this node`;
    this.#options.onAlarm('divergence', text);
  }

  /** @param receiptsRoot  null asks for it */
  #sayResult(to: Uint8Array | null, height: number, receiptsRoot: Uint8Array | null): void {
    const message = tagged(RESULT_MESSAGE, encodeResult(height, receiptsRoot));
    this.#options.network.send(to, 'vote', message);
  }

  /** What comes in one turn of the event loop is looked at together: of many roles each brings a bundle of its own. */
  #pooled(): void {
    this.#sayDemand();
    this.#proposeSoon ??= setImmediate(() => {
      this.#proposeSoon = null;
      this.#propose();
    });
  }

  #sayDemand(): void {
    const waiting = this.#pool.size > 0 || this.#rulesAhead;
    if (waiting === this.#demand) return;
    this.#demand = waiting;
    this.#handle({ kind: 'demand', waiting });
  }

  /** Events that come up while one is handled wait for it. */
  #handle(event: ReplicaEvent): void {
    if (this.#state === 'ended' || this.#state === 'failed') return;
    this.#events.push(event);
    if (this.#handling) return;
    this.#handling = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const effect of this.#options.replica.step(next)) this.#carryOut(effect);
      }
    } catch (error) {
      // The replica contradicts itself: better no node than one that votes on.
      this.#fail(error);
    } finally {
      this.#handling = false;
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'send':
      case 'readReady':
        if (effect.after <= this.#durable) this.#letGo(effect);
        else this.#held.push(effect);
        return;
      case 'persist':
        return this.#order.persist(effect.token, effect.records);
      case 'confirmed':
        return this.#confirmed(effect);
      case 'epochChanged':
        return this.#epochChanged(effect.config);
      case 'wantBlock':
        this.#wanted = effect;
        // In a turn of its own: the rest of what this step asks for comes first.
        queueMicrotask(() => this.#propose());
        return;
      case 'serve':
        return this.#serve(effect);
      case 'proposed':
        return;
      case 'alarm':
        this.#options.onAlarm(effect.alarm, effect.message);
        if (effect.alarm === 'fork') this.#fail(new Error(effect.message));
        return;
      default:
        return effect satisfies never;
    }
  }

  #letGo(effect: EffectOf<'send' | 'readReady'>): void {
    if (effect.kind === 'readReady') {
      this.#reads.ready(effect.id, effect.height);
      return;
    }
    const { to, bytes } = effect;
    this.#options.network.send(to, laneOf(bytes), tagged(REPLICA_MESSAGE, bytes));
  }

  #becameDurable(token: number): void {
    this.#durable = Math.max(this.#durable, token);
    const ready = this.#held.filter(({ after }) => after <= this.#durable);
    this.#held = this.#held.filter(({ after }) => after > this.#durable);
    for (const effect of ready) this.#letGo(effect);
    this.#handle({ kind: 'persisted', token: this.#durable });
  }

  #serve({ to, height }: EffectOf<'serve'>): void {
    const blocks = this.#options.blocksFrom(height);
    if (blocks.length === 0) return;
    const bytes = encodeMessage({ kind: 'blocks', blocks });
    this.#options.network.send(to, 'sync', tagged(REPLICA_MESSAGE, bytes));
  }

  #confirmed({ block, hash, signed }: EffectOf<'confirmed'>): void {
    const { ledger, crypto } = this.#options;
    const keys = block.bundles.map(keyOfBundle);
    const pooled = block.bundles.map((bundle) => this.#pool.find(bundle));
    const transactions = block.bundles.flatMap(
      (bundle, i) =>
        pooled[i]?.transactions ?? readTransactions(bundle, idsOf(crypto, bundle.transactions)),
    );
    this.#gathering.confirmed(pooled.filter((bundle) => bundle !== undefined));
    this.#pool.confirmed(keys);
    const { height } = block.header;
    const chunks = chunksIn(transactions);
    if (chunks.length > 0) this.#unexecuted.set(height, chunks);
    this.#unstored += 1;
    this.#order.store(height, async () => {
      if (chunks.length > 0 && !(await this.#options.chunks.fetch(chunks))) return false;
      this.#unstored -= 1;
      this.#executing += 1;
      const stored = Promise.withResolvers<void>();
      const bytes = { headerBytes: signed.header, bodyBytes: signed.body };
      ledger.append({ block, hash, ...bytes, transactions }, stored.resolve).then(
        (executed) => this.#executed(executed, keys),
        (error: unknown) => {
          stored.reject(error);
          this.#fail(error);
        },
      );
      await stored.promise;
      return true;
    });
    this.#sayDemand();
  }

  #executed(executed: ExecutedBlock, keys: readonly BundleKey[]): void {
    this.#executing -= 1;
    this.#lastExecutedMs = this.#options.monotonic();
    this.#gathering.executed(this.#lastExecutedMs);
    const { height } = executed.block.header;
    const chunks = this.#unexecuted.get(height);
    if (chunks !== undefined) this.#options.chunks.executed(chunks);
    this.#unexecuted.delete(height);
    const result = executed.tip.uncovered.find((each) => each.height === height)!;
    this.#options.onExecuted(executed);
    for (const peer of this.#agreement.executed(height, result.receiptsRoot)) {
      this.#sayResult(fromHex(peer), height, result.receiptsRoot);
    }
    let position = 0;
    executed.block.bundles.forEach(({ transactions }, i) => {
      const end = position + transactions.length;
      const receipts = executed.receipts.slice(position, end);
      this.#waiting.get(keys[i]!)?.resolve({ executed, receipts, position });
      this.#waiting.delete(keys[i]!);
      position = end;
    });
    this.#reads.executed(height);
    for (const wake of this.#executedWaiters.splice(0)) wake();
    if (this.#state === 'ended' && height === this.replica.config.start) return this.#handOver();
    this.#handle({ kind: 'executed', height, receiptsRoot: result.receiptsRoot });
    this.#propose();
  }

  /** Everything ordered is executed; what still waits is in no block, and this node alone could have ordered it. */
  #handOver(): void {
    this.#forgetOwn(new HandedOver());
    this.#reads.end(new HandedOver());
    this.#options.onHandover();
  }

  /** Confirmed blocks are not executed yet. */
  get #isExecuting(): boolean {
    return this.#unstored + this.#executing > 0;
  }

  /** Proposes a block if the replica wants one and there is something to order, or to prove. */
  #propose(): void {
    const wanted = this.#wanted;
    if (wanted === null || this.#state === 'ended' || this.#state === 'failed') return;
    const taken = new Set(this.#options.replica.bundlesAhead().map(keyOfBundle));
    if (!wanted.urgent && this.#gathers(taken)) return;
    const bundles = wanted.urgent
      ? []
      : this.#pool.take(taken, ({ bundle }) => this.#mayWrite(bundle));
    if (bundles.length === 0 && !wanted.urgent && !this.#proofIsDue()) return;
    const ids = bundles.flatMap((bundle) => bundle.ids);
    this.#gathering.proposed(this.#options.monotonic());
    this.#wanted = null;
    this.#provenAsked = false;
    this.#handle({
      kind: 'propose',
      timeMs: this.#options.now(),
      bundles: bundles.map(({ bundle }) => bundle),
      transactionsRoot:
        bundles.length === 1 ? bundles[0]!.root : merkleRoot(this.#options.crypto, ids),
      transactionCount: ids.length,
    });
  }

  /** More is on its way, and had better be in the same block. @param taken  bundles in blocks that are on their way */
  #gathers(taken: ReadonlySet<BundleKey>): boolean {
    const waiting = this.#pool.waiting(taken);
    const underway = taken.size > 0 || this.#isExecuting;
    const waitMs = this.#gathering.waitMs(this.#options.monotonic(), waiting, underway);
    if (waitMs <= 0) return false;
    this.#proposeTimer ??= setTimeout(() => {
      this.#proposeTimer = null;
      this.#propose();
    }, waitMs);
    return true;
  }

  #mayWrite({ author, publicKey }: Bundle): boolean {
    const key = this.#options.keyOf(author);
    return key !== null && equal(key, publicKey);
  }

  /** Results that no header carries yet are proved when they are asked for, or when nothing has come for a while. */
  #proofIsDue(): boolean {
    if (!this.#tip.unproved || this.#isExecuting) return false;
    const quietMs = this.#options.monotonic() - this.#lastExecutedMs;
    return this.#provenAsked || quietMs >= this.#options.idleProofMs;
  }

  #tick(): void {
    const nowMs = this.#options.monotonic();
    this.#handle({ kind: 'tick', nowMs: this.#awake.tick(nowMs) });
    this.#agreement.expire(nowMs);
    this.#reads.expire(nowMs);
    if (nowMs - this.#lastResendMs >= RESEND_MS) {
      this.#lastResendMs = nowMs;
      this.#resend(nowMs);
    }
    this.#propose();
    if (this.#state !== 'open') for (const wake of this.#executedWaiters.splice(0)) wake();
  }

  #resend(nowMs: number): void {
    for (const { key } of this.#pool.expire(nowMs - POOL_AGE_MAX_MS)) {
      this.#waiting.get(key)?.reject(unknownError());
      this.#waiting.delete(key);
    }
    for (const { bundle, arrivedMs } of this.#pool.own()) {
      if (nowMs - arrivedMs < RESEND_MS) continue;
      const message = tagged(BUNDLE_MESSAGE, encodeBundle(bundle));
      this.#options.network.send(null, 'block', message);
    }
    if (this.#change?.isOver(nowMs) === true) this.#change = null;
    else if (this.#change !== null) {
      this.#options.network.send(null, 'block', this.#change.message);
    }
    for (const height of this.#agreement.open) this.#sayResult(null, height, null);
    this.#sayDemand();
  }

  /** Resolves after the next block is executed, or a moment later when this consensus stops. */
  #nextExecuted(): Promise<void> {
    return new Promise((resolve) => this.#executedWaiters.push(resolve));
  }

  #forgetOwn(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#change?.fail(error);
    this.#change = null;
  }

  #fail(error: unknown): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    clearInterval(this.#ticker);
    this.#agreement.expire(Infinity);
    this.#reads.expire(Infinity);
    this.#forgetOwn(unknownError());
    for (const wake of this.#executedWaiters.splice(0)) wake();
    this.#options.onFailure(error);
  }
}

/** Votes, and whatever else is short, go before blocks. */
function laneOf(message: Uint8Array): Lane {
  return message.length <= SHORT_BYTES ? 'vote' : 'block';
}

function tagged(tag: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(content.length + 1);
  bytes[0] = tag;
  bytes.set(content, 1);
  return bytes;
}

function idsOf(crypto: Crypto, transactions: readonly Uint8Array[]): Uint8Array[] {
  return transactions.map((bytes) => transactionIdOf(crypto, bytes));
}

function unknownError(): SqlError {
  return new SqlError(
    SQLSTATE.statementCompletionUnknown,
    'the outcome of this transaction is not known: the nodes have not confirmed it in time',
  );
}

function unlistedError({ epoch }: EpochConfig): SqlError {
  return new SqlError(
    SQLSTATE.readOnlySqlTransaction,
    `this node has no part in the ledger as of epoch ${epoch}, so it can only be read here`,
    { hint: 'Connect to another node. An administrator gives it a part: trustsql node add.' },
  );
}

function uninformedError({ epoch }: EpochConfig): SqlError {
  return new SqlError(
    SQLSTATE.cannotConnectNow,
    `this node has no part in the ledger as of epoch ${epoch}, so it does not hear what is confirmed`,
    { hint: 'Connect to another node.' },
  );
}
