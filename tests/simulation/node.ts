// A simulated node: a replica, a disk, an executor that hashes, and the shell's part in between. Pure.
//
// It does what docs/consensus.md asks of a shell: effects in order, `send` after what it waits for is durable.

import type { Block, Body, Executed, Header } from '../../ledger/block.ts';
import { concat, equal, hex } from '../../ledger/bytes.ts';
import type { Crypto } from '../../ledger/crypto.ts';
import { encodeHeader } from '../../ledger/encoding.ts';
import { encodeCertificate } from '../../ledger/encoding-vote.ts';
import { nextConfig } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { HistoryTree } from '../../ledger/history-tree.ts';
import { merkleRoot } from '../../ledger/merkle.ts';
import type { Bundle } from '../../ledger/transaction.ts';
import type { Certificate } from '../../ledger/vote.ts';
import type { Candidate } from '../../consensus/core/block-tree.ts';
import { encodeMessage } from '../../consensus/core/codec.ts';
import type { Effect, ReplicaEvent } from '../../consensus/core/event.ts';
import type { CertifiedBlock } from '../../consensus/core/message.ts';
import { Replica } from '../../consensus/core/replica.ts';
import { CONSENSUS_LIMITS } from '../../consensus/limits.ts';
import { latestTimeMs } from '../../consensus/validate.ts';
import { Disk } from './disk.ts';
import type { Stream } from './random.ts';
import type { Schedule } from './schedule.ts';

/** Block 0 and the rules of epoch 0. */
export interface Beginning {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  readonly header: Header;
  readonly hash: Uint8Array;
  readonly certificate: Certificate;
  readonly config: EpochConfig;
}

/** What a node needs of the world around it. */
export interface Surroundings {
  readonly schedule: Schedule;
  readonly random: Stream;
  readonly ackFanout: boolean;
  readonly fsyncMs: number;
  readonly executeMs: number;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** It lies: it votes and proposes whatever chunks it has. */
  readonly careless: boolean;
  /** It gets other results than it should. */
  readonly damaged: boolean;
  /** Looks for a chunk at the other nodes; `gotChunk` follows if one has it. */
  readonly findChunk: (node: SimNode, name: string) => void;
  readonly send: (from: SimNode, to: Uint8Array | null, bytes: Uint8Array) => void;
  readonly onEffect: (node: SimNode, effect: Effect) => void;
  readonly afterStep: (node: SimNode) => void;
}

export const TICK_MS = 40;
/** A damaged node is wrong about so many blocks; some of them are heights at which health is said. */
const DAMAGE_EVERY_BLOCKS = 16;
/** A transaction that begins with this byte is invalid to everyone. */
export const INVALID = 0xff;
/** One that begins with this byte names a chunk of its own. */
export const CHUNKED = 0xfe;

/** Names of the chunks that bundles name. */
export function chunksOf(bundles: readonly Bundle[]): string[] {
  return bundles
    .flatMap(({ transactions }) => transactions)
    .filter((bytes) => bytes[0] === CHUNKED)
    .map(hex);
}

export function isInvalid(bundles: readonly Bundle[]): boolean {
  return bundles.some(({ transactions }) => transactions.some((bytes) => bytes[0] === INVALID));
}

export class SimNode {
  readonly index: number;
  readonly key: Uint8Array;
  readonly seed: Uint8Array;
  readonly disk = new Disk();
  replica: Replica | null = null;
  /** Confirmed blocks since block 0, in memory and on disk. */
  chain: { readonly block: Block; readonly hash: Uint8Array }[] = [];
  /** Results by height, from 0. */
  roots: Uint8Array[] = [];
  queue: Bundle[] = [];
  /** Chunks on its disk. */
  readonly chunks = new Set<string>();
  /** Bundles that came before their chunks. */
  #early: Bundle[] = [];
  /** Increases with each start; whatever was scheduled for an earlier one is void. */
  incarnation = 0;
  clockRate = 1;
  /** What its clock is ahead of the others', in ms. */
  clockAheadMs = 0;
  /** The records were lost with the disk or by rot, and nothing of votes is there since. */
  lost = false;
  /** Greatest token that is durable. */
  durable = 0;
  readonly #beginning: Beginning;
  readonly #world: Surroundings;
  #held: Extract<Effect, { after: number }>[] = [];
  #syncing = false;

  constructor(index: number, seed: Uint8Array, beginning: Beginning, world: Surroundings) {
    this.index = index;
    this.seed = seed;
    this.key = beginning.crypto.publicKeyOf(seed);
    this.#beginning = beginning;
    this.#world = world;
  }

  get height(): number {
    return this.chain.length;
  }

  get up(): boolean {
    return this.replica !== null;
  }

  start(): void {
    this.incarnation += 1;
    this.durable = 0;
    this.#held = [];
    this.#syncing = false;
    this.lost ||= this.disk.dropRotten();
    this.chain = [...this.disk.blocks()];
    this.roots = this.chain.reduce(
      (roots, { block }) => [...roots, this.#execute(roots.at(-1)!, block)],
      [this.#beginning.header.executed.receiptsRoot],
    );
    const { crypto, chainId } = this.#beginning;
    const options = {
      crypto,
      chainId,
      seed: this.seed,
      publicKey: this.key,
      validate: (block: Candidate) => this.#validate(block),
      bodyIsSound: ({ bundles }: Body) => !isInvalid(bundles),
      ackFanout: this.#world.ackFanout,
      incarnation: this.incarnation,
    };
    const written = [...this.disk.records()];
    const records = this.lost && written.length === 0 ? null : written;
    this.replica = new Replica(options, { ...this.#restored(), records });
    this.#tick(this.incarnation);
  }

  #restored() {
    const { crypto, header, hash, certificate, config } = this.#beginning;
    const history = new HistoryTree(crypto);
    history.append(hash);
    let tip = { header, hash, certificate, config };
    let ended: EpochConfig | null = null;
    for (const { block, hash: own } of this.chain) {
      history.append(own);
      const next = nextConfig(tip.config, block.header, block.system);
      if (next !== tip.config) ended = tip.config;
      tip = { header: block.header, hash: own, certificate: block.certificate, config: next };
    }
    const hashAt = (height: number) => (height === 0 ? hash : this.chain[height - 1]!.hash);
    const anchor = hashAt(tip.config.start);
    const before = ended === null ? null : { config: ended, anchor: hashAt(ended.start) };
    return { ...tip, anchor, before, history, results: this.#results(tip.header.executed.height) };
  }

  #results(from: number): Executed[] {
    return this.roots
      .map((receiptsRoot, height) => ({ height, receiptsRoot }))
      .filter(({ height }) => height >= from && height > 0);
  }

  #execute(before: Uint8Array, { header }: Block): Uint8Array {
    return this.#beginning.crypto.sha256(concat(before, header.bodyHash));
  }

  /** Milliseconds since 1970. */
  #wallMs(): number {
    return this.#world.wallMs() + this.clockAheadMs;
  }

  /** Of the newest block executed. */
  #tipMs(): number {
    const executed = this.chain[this.roots.length - 2]?.block.header;
    return (executed ?? this.#beginning.header).timeMs;
  }

  #validate({ header, bundles }: Candidate): 'valid' | 'wait' | 'invalid' {
    if (header.timeMs > latestTimeMs(this.#wallMs(), this.#tipMs())) return 'wait';
    if (isInvalid(bundles)) return 'invalid';
    return this.#has(bundles) ? 'valid' : 'wait';
  }

  /** Whether the chunks are here; if not, they are looked for. */
  #has(bundles: readonly Bundle[]): boolean {
    if (this.#world.careless) return true;
    const missing = chunksOf(bundles).filter((name) => !this.chunks.has(name));
    for (const name of missing) this.#world.findChunk(this, name);
    return missing.length === 0;
  }

  gotChunk(name: string): void {
    if (this.chunks.has(name)) return;
    this.chunks.add(name);
    for (const bundle of this.#early.splice(0)) this.submit(bundle);
    this.step({ kind: 'available' });
  }

  crash(): void {
    this.replica = null;
    this.incarnation += 1;
    this.disk.crash(this.#world.random);
  }

  loseDisk(): void {
    this.crash();
    this.disk.lose();
    this.chunks.clear();
    this.lost = true;
  }

  #tick(incarnation: number): void {
    if (incarnation !== this.incarnation) return;
    this.step({ kind: 'tick', nowMs: Math.floor(this.#world.schedule.nowMs * this.clockRate) });
    this.#later(TICK_MS, () => this.#tick(incarnation));
  }

  /** Unless the node has crashed by then. */
  #later(delayMs: number, run: () => void): void {
    const { incarnation } = this;
    this.#world.schedule.after(delayMs, () => {
      if (incarnation === this.incarnation) run();
    });
  }

  submit(bundle: Bundle): void {
    if (!this.#has([bundle])) {
      this.#early.push(bundle);
      return;
    }
    this.queue.push(bundle);
    this.step({ kind: 'demand', waiting: true });
    this.#later(1, () => this.#propose());
  }

  step(event: ReplicaEvent): void {
    if (this.replica === null) return;
    for (const effect of this.replica.step(event)) this.#carryOut(effect);
    this.#world.afterStep(this);
  }

  #carryOut(effect: Effect): void {
    this.#world.onEffect(this, effect);
    switch (effect.kind) {
      case 'persist':
        this.disk.append({ kind: 'records', token: effect.token, records: effect.records });
        return this.#sync();
      case 'confirmed':
        return this.#confirm(effect);
      case 'send':
      case 'readReady':
        if (effect.after > this.durable) this.#held.push(effect);
        else this.#release(effect);
        return;
      case 'wantBlock':
        if (effect.urgent || this.queue.length > 0)
          this.#later(1, () => this.#propose(effect.urgent));
        return;
      case 'proposed':
        this.queue = [];
        return;
      case 'serve':
        return this.#serve(effect.to, effect.height);
      case 'epochChanged':
      case 'alarm':
        return;
    }
    effect satisfies never;
  }

  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    const { fsyncMs, random } = this.#world;
    this.#later(fsyncMs === 0 ? 0 : random.below(2 * fsyncMs), () => {
      this.#syncing = false;
      const token = this.disk.sync(this.disk.log.length);
      if (token > this.durable) this.#becameDurable(token);
    });
  }

  #becameDurable(token: number): void {
    this.durable = token;
    const held = this.#held;
    this.#held = held.filter(({ after }) => after > token);
    for (const effect of held) if (effect.after <= token) this.#release(effect);
    this.step({ kind: 'persisted', token });
  }

  #release(effect: Extract<Effect, { after: number }>): void {
    if (effect.kind === 'send') this.#world.send(this, effect.to, effect.bytes);
  }

  #confirm({ block, hash, signed }: Extract<Effect, { kind: 'confirmed' }>): void {
    this.disk.append({ kind: 'block', block, hash, signed });
    this.#sync();
    this.chain.push({ block, hash });
    const ids = block.bundles.map(({ transactions }) => transactions[0]!);
    this.queue = this.queue.filter(
      ({ transactions }) => !ids.some((id) => equal(id, transactions[0]!)),
    );
    this.#later(this.#world.executeMs, () => this.#executeNext());
  }

  #executeNext(): void {
    const height = this.roots.length;
    const next = this.chain[height - 1];
    if (next === undefined) return;
    if (!this.#has(next.block.bundles)) {
      this.#later(TICK_MS, () => this.#executeNext());
      return;
    }
    const receiptsRoot = this.#execute(this.roots.at(-1)!, next.block);
    this.roots.push(receiptsRoot);
    this.step({ kind: 'executed', height, receiptsRoot: this.#told(height, receiptsRoot) });
    if (this.queue.length === 0) this.step({ kind: 'demand', waiting: false });
  }

  /** What it believes to have got. */
  #told(height: number, receiptsRoot: Uint8Array): Uint8Array {
    const wrong = this.#world.damaged && height % DAMAGE_EVERY_BLOCKS === 0;
    return wrong ? this.#beginning.crypto.sha256(receiptsRoot) : receiptsRoot;
  }

  #propose(urgent = false): void {
    const bundles = urgent ? [] : this.queue.slice(0, 8);
    // Only the leader is heard; roots for nothing would take a quarter of a schedule.
    if ((bundles.length === 0 && !urgent) || this.replica?.inspected.isLeader !== true) return;
    const ids = bundles.flatMap(({ transactions }) => transactions);
    const { crypto } = this.#beginning;
    const transactionsRoot = merkleRoot(
      crypto,
      ids.map((id) => crypto.sha256(id)),
    );
    this.step({
      kind: 'propose',
      timeMs: Math.max(this.#wallMs(), this.#tipMs()),
      bundles,
      transactionsRoot,
      transactionCount: ids.length,
    });
  }

  #serve(to: Uint8Array, from: number): void {
    const blocks: CertifiedBlock[] = this.disk.log
      .filter((entry) => entry.kind === 'block')
      .slice(from - 1, from - 1 + CONSENSUS_LIMITS.syncBlocksMax)
      .map(({ block, signed }) => ({
        header: encodeHeader(block.header),
        body: signed.body,
        certificate: encodeCertificate(block.certificate),
      }));
    if (blocks.length === 0) return;
    this.#world.send(this, to, encodeMessage({ kind: 'blocks', blocks }));
  }
}
