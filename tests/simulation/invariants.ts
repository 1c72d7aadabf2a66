// What must hold after every event, seen from outside. Pure.
//
//   agreement     what votes of honest members, with all votes liars could add, may confirm is one chain
//   certificates  in one term they are on one chain
//   validity      confirmed blocks follow one another, say the right results, hold no transaction twice
//   votes         an honest member votes once at a place, never for a term it has left, within its window,
//                 never on an unconfirmed barrier
//   durability    what is sent stands on what is durable
//   progress      term, highest certificate, height and epoch never fall
//   evidence      accuses liars only
//   reads         see everything that was confirmed before they began
//   bounds        nobody makes a node hold more than the limits say

import type { Header } from '../../ledger/block.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import { checkCertificateOf } from '../../ledger/certificate-check.ts';
import { decodeBody, decodeHeader } from '../../ledger/encoding.ts';
import { isBarrier, quorumsOf } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { headerHash } from '../../ledger/hash.ts';
import type { Vote } from '../../ledger/vote.ts';
import { decodeMessage } from '../../consensus/core/codec.ts';
import type { Effect } from '../../consensus/core/event.ts';
import type { SignedBlock } from '../../consensus/core/message.ts';
import { CONSENSUS_LIMITS } from '../../consensus/limits.ts';
import { INVALID } from './node.ts';
import type { SimNode } from './node.ts';
import type { Simulation } from './simulation.ts';

export class Violation extends Error {
  override readonly name = 'Violation';
}

interface Known {
  readonly header: Header;
  readonly key: string;
  readonly barrier: boolean;
}

interface Standing {
  epoch: number;
  term: number;
  highestTerm: number;
  highestHeight: number;
  height: number;
  /** What it has signed for, by place. */
  readonly signed: Map<string, string>;
}

export class Invariants {
  readonly #simulation: Simulation;
  /** Every block that was ever proposed, by hash. */
  readonly #blocks = new Map<string, Known>();
  readonly #configs = new Map<number, EpochConfig>();
  /** Honest voters by what they voted for. */
  readonly #voters = new Map<string, Set<number>>();
  /** Confirmable blocks by height. */
  readonly #confirmable = new Map<number, string>();
  /** The highest block of each term that may be certified. */
  readonly #certified = new Map<string, Known>();
  readonly #confirmed = new Map<number, string>();
  readonly #standings = new Map<number, Standing>();
  readonly #transactions = new Map<string, number>();
  readonly #reads = new Map<number, number>();
  #newest = 0;
  terms = 0;
  epochs = 0;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    const { header, hash, config } = simulation.beginning;
    this.#blocks.set(hex(hash), { header, key: hex(hash), barrier: false });
    this.#confirmable.set(0, hex(hash));
    this.#configs.set(0, config);
  }

  #check(condition: boolean, message: string): asserts condition {
    if (!condition) throw new Violation(message);
  }

  register(signed: SignedBlock): Known {
    const key = hex(headerHash(this.#simulation.beginning.crypto, signed.header));
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    const barrier = isBarrier(decodeBody(signed.body).system);
    const block = { header: decodeHeader(signed.header), key, barrier };
    this.#blocks.set(key, block);
    return block;
  }

  blocks(): Known[] {
    return [...this.#blocks.values()];
  }

  /** What a liar lets out: its blocks may be confirmed all the same. */
  onLiar(bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    if (message.kind === 'block') this.register(message.block);
  }

  /** What an honest member lets out. */
  onSend(node: SimNode, bytes: Uint8Array): void {
    const message = decodeMessage(bytes);
    if (message.kind === 'block') {
      const { header } = this.register(message.block);
      const own = equal(header.proposer, node.key);
      if (own) this.#checkLed(node, header.epoch, header.term);
    }
    if (message.kind === 'vote') this.#onVote(node, message.vote);
    if (message.kind === 'report') {
      const { epoch, term } = message.report;
      const state = node.disk.state(epoch);
      if (state === null && node.replica?.config.epoch !== epoch) return;
      this.#check(
        state !== null && state.term >= term,
        `${node.index} reports before it is durable`,
      );
    }
    if (message.kind === 'newTerm')
      this.#checkLed(node, message.newTerm.epoch, message.newTerm.term);
  }

  #checkLed(node: SimNode, epoch: number, term: number): void {
    const state = node.disk.state(epoch);
    if (state === null && node.replica?.config.epoch !== epoch) return;
    this.#check(
      state !== null && (state.led ?? -1) >= term,
      `${node.index} leads before it is durable`,
    );
  }

  #onVote(node: SimNode, vote: Vote): void {
    const config = this.#configs.get(vote.epoch)!;
    if (!equal(config.members[vote.member]!.publicKey, node.key)) return;
    const { kind, epoch, term, height, mode } = vote;
    const hash = hex(vote.hash);
    const standing = this.#standing(node);
    const place = `${kind}/${epoch}/${term}/${height}`;
    const before = standing.signed.get(place);
    this.#check(before === undefined || before === hash, `${node.index} votes twice at ${place}`);
    standing.signed.set(place, hash);
    this.#checkDurable(node, vote);
    if (before === undefined) this.#count(config, `${place}/${mode}/${hash}`, vote, node.index);
  }

  #checkDurable(node: SimNode, vote: Vote): void {
    const state = node.disk.state(vote.epoch);
    // After a barrier nothing of the old epoch matters any more.
    if (state === null && node.replica?.config.epoch !== vote.epoch) return;
    this.#check(state !== null && state.term >= vote.term, `${node.index}: vote before its term`);
    const { lastAck, highest } = state;
    const at = vote.kind === 'ack' ? lastAck : highest;
    const covered =
      at !== null && (at.term > vote.term || (at.term === vote.term && at.height >= vote.height));
    this.#check(covered, `${node.index} ${vote.kind}s before it is durable`);
  }

  #count(config: EpochConfig, ballot: string, vote: Vote, member: number): void {
    const voters = this.#voters.get(ballot) ?? new Set();
    this.#voters.set(ballot, voters);
    voters.add(member);
    const { report, fast } = quorumsOf(config);
    const count = voters.size + this.#liarsIn(config);
    const block = this.#blocks.get(hex(vote.hash));
    if (block === undefined || count < report) return;
    if (vote.kind === 'ack') this.#onCertifiable(vote, block);
    const ofTerm = block.header.term === vote.term && block.header.epoch === vote.epoch;
    const fastly = vote.kind === 'ack' && vote.mode === 'raft' && ofTerm && count >= fast;
    if (vote.kind === 'commit' || fastly) this.#onConfirmable(block);
  }

  #liarsIn(config: EpochConfig): number {
    const { liars } = this.#simulation.options;
    const { nodes } = this.#simulation;
    const faulty = liars.filter((index) =>
      config.members.some(({ publicKey }) => equal(publicKey, nodes[index]!.key)),
    );
    return faulty.length;
  }

  #onCertifiable({ epoch, term }: Vote, block: Known): void {
    const name = `${epoch}/${term}`;
    const other = this.#certified.get(name);
    if (other === undefined) {
      this.#certified.set(name, block);
      return;
    }
    const [low, high] = other.header.height < block.header.height ? [other, block] : [block, other];
    this.#check(this.#ancestor(high, low.header.height) === low.key, `two chains in term ${name}`);
    this.#certified.set(name, high);
  }

  #ancestor(block: Known, height: number): string | null {
    let at: Known | undefined = block;
    while (at !== undefined && at.header.height > height)
      at = this.#blocks.get(hex(at.header.parent));
    return at?.key ?? null;
  }

  #onConfirmable(block: Known): void {
    let at: Known | undefined = block;
    while (at !== undefined) {
      const known = this.#confirmable.get(at.header.height);
      if (known === at.key) return;
      this.#check(known === undefined, `two blocks of height ${at.header.height} may be confirmed`);
      this.#confirmable.set(at.header.height, at.key);
      at = this.#blocks.get(hex(at.header.parent));
    }
  }

  onEffect(node: SimNode, effect: Effect): void {
    if (effect.kind === 'confirmed') this.#onConfirmed(node, effect);
    if (effect.kind === 'epochChanged') {
      this.#configs.set(effect.config.epoch, effect.config);
      this.epochs = Math.max(this.epochs, effect.config.epoch);
      for (const accused of effect.config.suspended) this.#checkAccused(effect.config, accused);
    }
    if (effect.kind === 'alarm') {
      const { alarm, message } = effect;
      this.#check(alarm !== 'fork', `${node.index}: ${message}`);
      this.#check(alarm !== 'divergence' || this.#simulation.options.liars.length > 0, message);
    }
    if (effect.kind === 'readReady') {
      const began = this.#reads.get(effect.id) ?? 0;
      this.#check(effect.height >= began, `read at ${effect.height}, confirmed was ${began}`);
    }
  }

  #onConfirmed(node: SimNode, { block, hash }: Extract<Effect, { kind: 'confirmed' }>): void {
    const { header, bundles, certificate } = block;
    const { height } = header;
    this.#check(
      height === node.height + 1,
      `${node.index} confirms ${height} after ${node.height}`,
    );
    const key = hex(hash);
    const other = this.#confirmed.get(height);
    this.#check(other === undefined || other === key, `block ${height} is confirmed twice`);
    if (other === undefined) {
      this.#confirmed.set(height, key);
      this.#checkNew(header, bundles, key);
    }
    // What is stored must pass the check of every later start, and of whoever verifies the chain.
    const context = { ...this.#simulation.beginning, config: this.#configs.get(header.epoch)! };
    const wrong = checkCertificateOf(context, header, hash, certificate);
    this.#check(wrong === null, `block ${height}: ${wrong}`);
    this.#newest = Math.max(this.#newest, height);
    const root = node.roots[header.executed.height];
    this.#check(
      root === undefined || equal(root, header.executed.receiptsRoot),
      `block ${height} says wrong results`,
    );
  }

  #checkNew(
    header: Header,
    bundles: readonly { readonly transactions: readonly Uint8Array[] }[],
    key: string,
  ): void {
    const { height, epoch, mode } = header;
    const parent = this.#confirmed.get(height - 1);
    const first = height === 1 ? hex(this.#simulation.beginning.hash) : parent;
    this.#check(first === hex(header.parent), `block ${height} does not follow`);
    const config = this.#configs.get(epoch)!;
    const known = this.#blocks.get(key);
    // Alone, a node need not send what it proposes.
    const proposed = known !== undefined || this.#simulation.options.n === 1;
    this.#check(proposed, `block ${height} was never proposed`);
    this.#check(known?.barrier === true || mode === config.mode, `block ${height} hides its mode`);
    const fixed = config.policy === 'adaptive' || config.policy === mode;
    this.#check(fixed, `block ${height} in ${mode} mode`);
    for (const { transactions } of bundles) {
      for (const bytes of transactions) {
        this.#check(bytes[0] !== INVALID, `block ${height} has an invalid transaction`);
        this.#transactions.set(hex(bytes), height);
      }
    }
  }

  #checkAccused({ members }: EpochConfig, accused: number): void {
    const { nodes, isHonest } = this.#simulation;
    const index = nodes.findIndex(({ key }) => equal(key, members[accused]!.publicKey));
    this.#check(!isHonest.call(this.#simulation, index), `honest member ${index} is suspended`);
  }

  #standing(node: SimNode): Standing {
    const known = this.#standings.get(node.index);
    if (known !== undefined) return known;
    const signed = new Map<string, string>();
    const fresh = { epoch: 0, term: 0, highestTerm: 0, highestHeight: 0, height: 0, signed };
    this.#standings.set(node.index, fresh);
    return fresh;
  }

  onLoss(node: SimNode): void {
    const { signed } = this.#standing(node);
    this.#standings.set(node.index, {
      epoch: 0,
      term: 0,
      highestTerm: 0,
      highestHeight: 0,
      height: 0,
      signed,
    });
  }

  afterStep(node: SimNode): void {
    const s = node.replica!.inspected;
    const standing = this.#standing(node);
    const { epoch } = s.config;
    const { term, highest } = s;
    const higher =
      highest.term > standing.highestTerm ||
      (highest.term === standing.highestTerm && highest.height >= standing.highestHeight);
    if (epoch === standing.epoch) {
      this.#check(term >= standing.term || !node.up, `${node.index}: term falls to ${term}`);
      this.#check(higher, `${node.index}: highest certificate falls`);
    } else {
      this.#check(epoch > standing.epoch, `${node.index}: epoch falls`);
    }
    this.#check(highest.term <= term, `${node.index}: certificate of a term not entered`);
    this.#check(
      s.tree.size <= CONSENSUS_LIMITS.candidatesMax,
      `${node.index} holds too many blocks`,
    );
    this.#check(
      s.waiting.length <= CONSENSUS_LIMITS.waitingCertificatesMax,
      `${node.index} holds too many certificates`,
    );
    for (const accused of s.proven.keys()) this.#checkAccused(s.config, accused);
    Object.assign(standing, {
      epoch,
      term,
      highestTerm: highest.term,
      highestHeight: highest.height,
      height: s.root.height,
    });
    this.terms = Math.max(this.terms, term);
  }

  /** A crash takes back what was not durable. */
  onCrash(node: SimNode): void {
    this.onLoss(node);
  }

  readBegins(id: number): void {
    this.#reads.set(id, this.#newest);
  }
}
