// One schedule: members, a network that misbehaves, disks that forget, liars, and the end when all must be well.
// Pure: the same options give the same run.

import { FORMAT_VERSION } from '../../ledger/block.ts';
import type { Genesis } from '../../ledger/block.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import { encodeGenesis, encodeHeader } from '../../ledger/encoding.ts';
import { encodeRules } from '../../ledger/encoding-vote.ts';
import { genesisConfig, quorumsOf } from '../../ledger/epoch.ts';
import type { EpochConfig, Rules } from '../../ledger/epoch.ts';
import { genesisHeader } from '../../ledger/genesis.ts';
import { headerHash } from '../../ledger/hash.ts';
import { faultsMax } from '../../ledger/quorum.ts';
import { signHeader } from '../../ledger/signing.ts';
import type { Bundle } from '../../ledger/transaction.ts';
import { decodeMessage } from '../../consensus/core/codec.ts';
import { signStatement } from '../../consensus/core/context.ts';
import type { Effect } from '../../consensus/core/event.ts';
import { rulesStatement } from '../../consensus/core/system-check.ts';
import { nativeCrypto } from '../../storage/native-crypto.ts';
import { Adversary } from './adversary.ts';
import { FORBIDDEN_WINDOW, Invariants, Violation } from './invariants.ts';
import type { Beginning, Surroundings } from './node.ts';
import { CHUNKED, SimNode } from './node.ts';
import { mutated } from './mutator.ts';
import type { Options } from './options.ts';
import { Stream } from './random.ts';
import { Schedule } from './schedule.ts';
import { tokenCrypto } from './token-crypto.ts';

const START_MS = 1_760_000_000_000;
const STRANGER = new Uint8Array(32).fill(0xee);
const ADMIN = new Uint8Array(32).fill(0xad);
/** How wrong a clock may be. */
const FAR_MS = 3 * 3_600_000;
/** Simulated time in which all must be well once faults have ended. */
const EPILOGUE_MS = 90_000;

const TIMERS = {
  heartbeatMs: 160,
  electionMs: 480,
  progressMs: 500,
  openMs: 300,
  fastMs: 200,
  timeoutMaxMs: 4_000,
  dwellMs: 800,
  dwellBlocks: 6,
};

export interface Outcome {
  readonly events: number;
  readonly height: number;
  readonly terms: number;
  readonly epochs: number;
  readonly failure: string | null;
}

export class Simulation {
  readonly options: Options;
  readonly schedule = new Schedule();
  readonly nodes: SimNode[] = [];
  /** Second instances of members that lie by being two. */
  readonly twins = new Map<number, SimNode>();
  readonly beginning: Beginning;
  readonly invariants: Invariants;
  readonly #network: Stream;
  readonly #faults: Stream;
  readonly #workload: Stream;
  readonly #chunks: Stream;
  readonly #clocks: Stream;
  /** Searches for chunks that are under way. */
  readonly #searches = new Set<string>();
  readonly #adversary: Adversary;
  #cut: (from: number, to: number) => boolean = () => false;
  #calm = false;
  #submitted = 0;
  #reads = 0;
  events = 0;

  constructor(options: Options) {
    this.options = options;
    this.#network = new Stream(options.seed, 'network');
    this.#faults = new Stream(options.seed, 'faults');
    this.#workload = new Stream(options.seed, 'workload');
    this.#chunks = new Stream(options.seed, 'chunks');
    this.#clocks = new Stream(options.seed, 'clocks');
    this.beginning = begin(options);
    this.invariants = new Invariants(this);
    const { n, spare, seed } = options;
    for (let index = 0; index < n + spare; index++) {
      this.nodes.push(this.#makeNode(index, `disk ${index}`));
    }
    this.#adversary = new Adversary(this, new Stream(seed, 'adversary'));
    if (options.liar === 'twin') {
      for (const index of options.liars) this.twins.set(index, this.#makeNode(index, 'twin'));
    }
  }

  #makeNode(index: number, name: string): SimNode {
    const { options, schedule } = this;
    const world: Surroundings = {
      schedule,
      random: new Stream(options.seed, name),
      ackFanout: options.ackFanout,
      fsyncMs: options.fsyncMs,
      executeMs: options.executeMs,
      wallMs: () => START_MS + Math.floor(schedule.nowMs),
      careless: !this.isHonest(index),
      damaged: options.damaged.includes(index),
      findChunk: (node, name) => this.#findChunk(node, name),
      send: (from, to, bytes) => this.#sent(from, to, bytes),
      onEffect: (node, effect) => this.#onEffect(node, effect),
      afterStep: (node) => {
        if (this.isHonest(node.index)) this.invariants.afterStep(node);
      },
    };
    return new SimNode(index, seedOf(index), this.beginning, world);
  }

  isHonest(index: number): boolean {
    return !this.options.liars.includes(index);
  }

  #onEffect(node: SimNode, effect: Effect): void {
    if (this.isHonest(node.index)) this.invariants.onEffect(node, effect);
  }

  /** Everything that a correct replica lets out; of liars only what they let pass. */
  #sent(from: SimNode, to: Uint8Array | null, bytes: Uint8Array): void {
    const { liar, silence } = this.options;
    if (this.isHonest(from.index)) {
      const message = decodeMessage(bytes);
      this.invariants.onSend(from, message);
      this.#adversary.observe(message);
    } else {
      this.invariants.onLiar(bytes);
      if (liar === 'silent' && this.#network.chance(silence)) return;
    }
    const lies = !this.isHonest(from.index) && liar === 'mutator';
    for (const [index, { key }] of this.nodes.entries()) {
      if (index === from.index || (to !== null && !equal(to, key))) continue;
      const sent = lies ? mutated(this.#network, from, this.beginning, bytes) : bytes;
      if (sent !== null) this.transmit(from.index, index, sent);
    }
  }

  transmit(from: number, to: number, bytes: Uint8Array): void {
    const { loss, duplication, delayMs } = this.options;
    const random = this.#network;
    if (!this.#calm && (this.#cut(from, to) || random.chance(loss))) return;
    const copies = !this.#calm && random.chance(duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const delay = this.#calm ? 2 : random.below(delayMs) + random.below(delayMs);
      this.schedule.after(delay, () => this.#deliver(from, to, bytes));
    }
  }

  #deliver(from: number, to: number, bytes: Uint8Array): void {
    this.events += 1;
    const event = { kind: 'receive', from: this.nodes[from]!.key, bytes } as const;
    const twin = this.twins.get(to);
    if (twin === undefined) return this.nodes[to]!.step(event);
    const which = this.#network.below(3);
    if (which !== 1) this.nodes[to]!.step(event);
    if (which !== 0) twin.step(event);
  }

  run(): Outcome {
    let failure: string | null = null;
    try {
      for (const node of [...this.nodes, ...this.twins.values()]) node.start();
      this.#schedulePeriodic();
      while (this.events < this.options.events && this.schedule.step());
      this.#epilogue();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failure = error instanceof Violation ? error.message : (error.stack ?? error.message);
    }
    const heights = this.nodes.map(({ height }) => height);
    const { terms, epochs } = this.invariants;
    return { events: this.events, height: Math.max(...heights), terms, epochs, failure };
  }

  #schedulePeriodic(): void {
    const { load } = this.options;
    this.#every(
      () => 1_000 / load,
      () => this.#submit(),
    );
    this.#every(
      () => 20,
      () => this.#crashes(),
    );
    this.#every(
      () => 300 + this.#faults.below(900),
      () => this.#partition(),
    );
    this.#every(
      () => 40 + this.#workload.below(160),
      () => this.#read(),
    );
    this.#every(
      () => 200,
      () => this.#complain(),
    );
    if (this.options.clockSpreadMs > 0 || this.options.jumping.length > 0) {
      this.#every(
        () => 100 + this.#clocks.below(900),
        () => this.#setClocks(),
      );
    }
    if (this.options.liar === 'adversary') {
      this.#every(
        () => 10 + this.#faults.below(40),
        () => this.#calm || this.#adversary.act(),
      );
    }
    if (this.options.membershipChanges) {
      this.#every(
        () => 1_500 + this.#workload.below(2_000),
        () => this.#calm || this.#change(),
      );
    }
  }

  #every(delayMs: () => number, run: () => void): void {
    const again = (): void => {
      this.events += 1;
      run();
      this.schedule.after(delayMs(), again);
    };
    this.schedule.after(delayMs(), again);
  }

  #submit(): void {
    const number = ++this.#submitted;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(4, number);
    const bundle: Bundle = {
      author: 1,
      publicKey: ADMIN,
      signature: new Uint8Array(64),
      transactions: [bytes],
    };
    if (this.#chunks.chance(this.options.chunked)) this.#giveChunk(bytes);
    // A gateway sends its bundles to all nodes.
    for (const node of this.nodes) node.submit(bundle);
  }

  /** A bundle of a chunk that all nodes are given, or some, or, by a gateway that lies, none. */
  #giveChunk(bytes: Uint8Array): void {
    bytes[0] = CHUNKED;
    const given = this.#chunks.pick([0, 0.3, 0.7, 1]);
    for (const node of this.nodes) {
      if (node.up && this.#chunks.chance(given)) node.chunks.add(hex(bytes));
    }
  }

  #findChunk(node: SimNode, name: string): void {
    const search = `${node.index} ${node.incarnation} ${name}`;
    if (this.#searches.has(search)) return;
    this.#searches.add(search);
    this.schedule.after(this.#chunks.below(4 * this.options.delayMs), () => {
      this.#searches.delete(search);
      const found = this.nodes.some(
        ({ index, up, chunks }) => up && this.isHonest(index) && chunks.has(name),
      );
      if (found && node.up) node.gotChunk(name);
    });
  }

  #crashes(): void {
    if (this.#calm) return;
    const random = this.#faults;
    const { crashRate, forgetful, rotting } = this.options;
    for (const node of this.nodes) {
      if (!node.up) {
        if (random.chance(0.05)) node.start();
      } else if (random.chance(crashRate * 4)) {
        node.crash();
        this.invariants.onCrash(node);
      }
    }
    for (const index of forgetful) {
      const node = this.nodes[index]!;
      if (!random.chance(0.004) || node.disk.log.length === 0) continue;
      node.loseDisk();
      this.invariants.onLoss(node);
      node.start();
    }
    for (const index of rotting) {
      const node = this.nodes[index]!;
      if (!node.up || !random.chance(0.004) || !node.disk.rot(random)) continue;
      node.crash();
      this.invariants.onCrash(node);
    }
  }

  /** Clocks of day; what ticks goes on evenly. */
  #setClocks(): void {
    const random = this.#clocks;
    const { clockSpreadMs, jumping } = this.options;
    for (const node of random.some(this.nodes)) {
      const far = jumping.includes(node.index) && random.chance(0.5);
      const farMs = random.pick([-1, 1]) * random.below(FAR_MS);
      node.clockAheadMs = this.#calm ? 0 : far ? farMs : random.below(clockSpreadMs + 1);
    }
  }

  #partition(): void {
    const random = this.#faults;
    const count = this.nodes.length;
    const sides = this.nodes.map(() => random.chance(0.5));
    const lonely = random.below(count);
    const quiet = random.chance(0.5);
    switch (quiet ? 'none' : this.options.partitions) {
      case 'none':
        this.#cut = () => false;
        return;
      case 'uniform':
        this.#cut = (from, to) => sides[from] !== sides[to];
        return;
      case 'isolate':
        this.#cut = (from, to) => from === lonely || to === lonely;
        return;
      case 'one-way':
        this.#cut = (from, to) => sides[from] === true && sides[to] === false;
    }
  }

  #read(): void {
    const node = this.#workload.pick(this.nodes);
    if (!node.up || !this.isHonest(node.index)) return;
    const id = ++this.#reads;
    this.invariants.readBegins(id);
    node.step({ kind: 'read', id });
  }

  #complain(): void {
    const random = this.#workload;
    if (this.#calm || !random.chance(this.options.complaints)) return;
    for (const node of random.some(this.nodes)) {
      for (let client = 0; client < 3; client++) {
        const term = node.replica?.status.term ?? 0;
        node.step({ kind: 'complaint', client: new Uint8Array([client]), term });
      }
    }
  }

  /** An administrator changes who the members are, or how they agree. */
  #change(): void {
    const random = this.#workload;
    const newest = this.nodes.reduce((a, b) => (b.height > a.height ? b : a));
    const config = newest.replica?.config;
    if (config === undefined) return;
    // Now and then somebody tries who may not.
    const stranger = random.chance(0.3);
    const wanted = this.#newRules(config, random);
    const rules = stranger ? { ...wanted, window: FORBIDDEN_WINDOW } : wanted;
    const statement = rulesStatement(config.epoch, encodeRules(rules));
    const seed = stranger ? STRANGER : ADMIN;
    const signature = signStatement({ ...this.beginning, seed }, 'rules', statement);
    const key = this.beginning.crypto.publicKeyOf(seed);
    for (const node of this.nodes) {
      node.step({ kind: 'rules', rules, approvals: [{ key, signature }] });
    }
  }

  #newRules(config: EpochConfig, random: Stream): Rules {
    const { n, spare, policy } = this.options;
    const spares = this.nodes.slice(n).filter(() => random.chance(0.5));
    const members = [...this.nodes.slice(0, n), ...spares].map(({ key }) => ({
      publicKey: key,
      address: '',
    }));
    const all = this.nodes.slice(n, n + spare).filter((node) => !spares.includes(node));
    const observers = all.map(({ key }) => ({ publicKey: key, address: '' }));
    const f = Math.min(this.options.f, faultsMax(members.length));
    return { ...config, members, observers, f, policy, window: config.window };
  }

  /** Faults end; from now on what was promised must come. */
  #epilogue(): void {
    this.#calm = true;
    for (const node of this.nodes) if (!node.up) node.start();
    // Liars are silent at last: they owe nothing.
    for (const index of this.options.liars) this.nodes[index]!.crash();
    for (const twin of this.twins.values()) twin.crash();
    const owing = this.nodes.filter(({ index }) => this.#owes(index));
    const config = this.nodes.find(({ index }) => this.isHonest(index))!.replica!.config;
    if (!this.#canProgress(config, owing.length)) return;
    const goal = Math.max(...owing.map(({ height }) => height)) + 3;
    const end = this.schedule.nowMs + EPILOGUE_MS;
    while (owing.some(({ height }) => height < goal)) {
      if (!this.schedule.step() || this.schedule.nowMs > end) {
        const states = owing.map(
          ({ index, replica }) => `${index}: ${JSON.stringify(replica?.status)}`,
        );
        throw new Violation(`stuck below height ${goal}\n${states.join('\n')}`);
      }
    }
  }

  #owes(index: number): boolean {
    return (
      index < this.options.n &&
      this.isHonest(index) &&
      ![...this.options.forgetful, ...this.options.rotting].includes(index)
    );
  }

  /** Fixed raft mode asks for a fast quorum; anything else for a quorum. */
  #canProgress(config: EpochConfig, honest: number): boolean {
    const { fast, report } = quorumsOf(config);
    return honest >= (config.policy === 'raft' ? fast : report);
  }
}

function seedOf(index: number): Uint8Array {
  return new Uint8Array(32).fill(index + 1);
}

function begin(options: Options): Beginning {
  const crypto = options.realCrypto ? nativeCrypto : tokenCrypto;
  const nodes = Array.from({ length: options.n }, (_, index) => crypto.publicKeyOf(seedOf(index)));
  const genesis: Genesis = {
    version: FORMAT_VERSION,
    database: 'ledger',
    createdMs: START_MS,
    nonce: new Uint8Array(32),
    nodes: nodes.map((publicKey) => ({ publicKey, address: '' })),
    consensus: options.policy,
    stateShards: 1,
    catalog: [],
  };
  const header = genesisHeader(crypto, genesis, encodeGenesis(genesis), nodes[0]!);
  const hash = headerHash(crypto, encodeHeader(header));
  const { chainId } = header;
  const signature = signHeader(crypto, seedOf(0), chainId, hash);
  const observers = Array.from({ length: options.spare }, (_, index) => ({
    publicKey: crypto.publicKeyOf(seedOf(options.n + index)),
    address: '',
  }));
  const rules = genesisConfig(genesis);
  const config: EpochConfig = {
    ...rules,
    thresholds: { ...rules.thresholds, faults: options.faults ?? rules.thresholds.faults },
    observers,
    window: options.window,
    timers: TIMERS,
    governance: { keys: [crypto.publicKeyOf(ADMIN)], needed: 1 },
  };
  return { crypto, chainId, header, hash, certificate: { kind: 'proposer', signature }, config };
}
