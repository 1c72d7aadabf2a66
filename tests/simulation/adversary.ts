// All liars as one, who sees every message and knows what honest members have signed. Pure.
//
// It proposes siblings, votes for whatever might be confirmed, reports what it likes, opens terms on chosen
// reports, makes every certificate there is, and shows each to whom it likes.

import { equal, hex } from '../../ledger/bytes.ts';
import { decodeHeader, encodeBody, encodeHeader } from '../../ledger/encoding.ts';
import { leaderOf, memberOf, quorumsOf } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { bodyHash, headerHash } from '../../ledger/hash.ts';
import { signHeader, signVote } from '../../ledger/signing.ts';
import type { SystemRecord } from '../../ledger/system.ts';
import type { Ballot, Vote, VoteCertificate, VoteKind } from '../../ledger/vote.ts';
import { votesOf } from '../../ledger/vote.ts';
import type { Candidate } from '../../consensus/core/block-tree.ts';
import {
  encodeEvidence,
  encodeMessage,
  encodeSuspicion,
  encodeUnsignedNewTerm,
  encodeUnsignedReport,
  encodeUnsignedSuspicion,
} from '../../consensus/core/codec.ts';
import { signStatement } from '../../consensus/core/context.ts';
import type {
  Evidence,
  Health,
  Message,
  Report,
  SignedBlock,
} from '../../consensus/core/message.ts';
import { nextHeader } from '../../consensus/core/proposing.ts';
import { openReport, select } from '../../consensus/core/select.ts';
import type { State } from '../../consensus/core/state.ts';
import { INVALID } from './node.ts';
import type { SimNode } from './node.ts';
import type { Stream } from './random.ts';
import type { Simulation } from './simulation.ts';

/** Bytes of which no body is made. */
const NO_BODY = new Uint8Array([0xff]);

export class Adversary {
  readonly #simulation: Simulation;
  readonly #random: Stream;
  /** Signatures of honest members by ballot, and those of all made for it. */
  readonly #ballots = new Map<
    string,
    { ballot: Ballot; kind: VoteKind; votes: Map<number, Vote> }
  >();
  readonly #reports = new Map<string, Map<number, Report>>();
  readonly #proposed: SignedBlock[] = [];
  /** The newest of each honest member. */
  readonly #health = new Map<number, Health>();

  constructor(simulation: Simulation, random: Stream) {
    this.#simulation = simulation;
    this.#random = random;
  }

  get #active(): boolean {
    return this.#simulation.options.liar === 'adversary';
  }

  observe(message: Message): void {
    if (!this.#active) return;
    if (message.kind === 'vote') this.#keepVote(message.vote);
    if (message.kind === 'report') this.#keepReport(message.report);
    if (message.kind === 'block') this.#keepBlock(message.block);
    if (message.kind === 'health') this.#health.set(message.health.member, message.health);
  }

  #keepBlock(block: SignedBlock): void {
    if (this.#proposed.some(({ header }) => equal(header, block.header))) return;
    this.#proposed.push(block);
    if (this.#proposed.length > 24) this.#proposed.shift();
  }

  #keepVote(vote: Vote): void {
    const { kind, epoch, term, mode, height, hash, member } = vote;
    const name = `${kind}/${epoch}/${term}/${mode}/${height}/${hex(hash)}`;
    const known = this.#ballots.get(name);
    if (known !== undefined) {
      known.votes.set(member, vote);
      return;
    }
    const ballot = { epoch, term, mode, height, hash };
    this.#ballots.set(name, { ballot, kind, votes: new Map([[member, vote]]) });
    if (this.#ballots.size > 64) this.#ballots.delete(this.#ballots.keys().next().value!);
  }

  #keepReport(report: Report): void {
    const name = `${report.epoch}/${report.term}`;
    const known = this.#reports.get(name);
    if (known !== undefined) known.set(report.member, report);
    else this.#reports.set(name, new Map([[report.member, report]]));
  }

  /** A liar's own replica tells what is going on. */
  act(): void {
    const { options, nodes } = this.#simulation;
    const liar = nodes[this.#random.pick(options.liars)];
    const s = liar?.replica?.inspected;
    if (liar === undefined || s === undefined) return;
    const member = memberOf(s.config, liar.key);
    if (member < 0) return;
    switch (this.#random.below(7)) {
      case 0:
        return this.#proposeSiblings(liar, s);
      case 1:
        return this.#vote(liar, s.config, member);
      case 2:
        return this.#report(liar, s, member);
      case 3:
        return this.#openTerm(liar, s, member);
      case 4:
        return this.#certify(liar, s.config);
      case 5:
        return this.#accuse(liar, s);
      default:
        return this.#resend(liar, s);
    }
  }

  #send(liar: SimNode, message: Message, to: readonly number[]): void {
    const bytes = encodeMessage(message);
    for (const index of to)
      if (index !== liar.index) this.#simulation.transmit(liar.index, index, bytes);
  }

  #anyone(): number[] {
    return this.#random.some(this.#simulation.nodes.map(({ index }) => index));
  }

  /** Two different blocks in one place of a term that a liar leads, each for some; also before it is open. */
  #proposeSiblings(liar: SimNode, s: State): void {
    const terms = [s.term, s.term, s.highest.term];
    const term = this.#random.pick(terms);
    const leads = equal(s.nodeOf(leaderOf(s.config, term)), liar.key);
    if (!leads && !this.#random.chance(0.1)) return;
    const linked = [...s.tree.blocks()].filter(({ history }) => history !== null);
    const parent = this.#random.pick([s.root, ...linked]);
    // Sometimes one for all, that is wrong in itself.
    const one = this.#random.chance(0.3);
    const halves = this.#simulation.nodes.map(() => one || this.#random.chance(0.5));
    for (const side of [0, 1]) {
      const block = this.#makeBlock(liar, s, term, parent as Candidate, side);
      const to = halves.flatMap((first, index) => (first === (side === 0) ? [index] : []));
      this.#simulation.invariants.register(block);
      this.#keepBlock(block);
      this.#support(s, block, to);
      this.#send(
        liar,
        { kind: 'block', block, highest: certified(s), confirming: s.confirming },
        to,
      );
    }
  }

  /** Other liars acknowledge what one of them proposes. */
  #support({ config }: State, block: SignedBlock, to: readonly number[]): void {
    const { crypto, chainId } = this.#simulation.beginning;
    const { epoch, term, mode, height } = decodeHeader(block.header);
    const hash = headerHash(crypto, block.header);
    for (const index of this.#simulation.options.liars) {
      const node = this.#simulation.nodes[index]!;
      const member = memberOf(config, node.key);
      if (member < 0 || !this.#random.chance(0.5)) continue;
      const ballot = { kind: 'ack', epoch, term, mode, height, hash, member } as const;
      const vote = signVote(crypto, node.seed, chainId, ballot);
      this.#send(node, { kind: 'vote', vote }, to);
    }
  }

  #makeBlock(liar: SimNode, s: State, term: number, parent: Candidate, side: number): SignedBlock {
    const { crypto, chainId } = this.#simulation.beginning;
    const bundle = { author: 1, publicKey: liar.key, signature: new Uint8Array(64) };
    const invalid = { ...bundle, transactions: [new Uint8Array([INVALID, side])] };
    const bundles = this.#random.chance(0.1) ? [invalid] : [];
    const system = this.#random.chance(0.1) ? [this.#switchToBft(liar, s)] : [];
    const body = this.#random.chance(0.03) ? NO_BODY : encodeBody({ bundles, system });
    const begins =
      term > 0 && (parent.header.epoch !== s.config.epoch || parent.header.term !== term);
    const hidden = this.#random.chance(0.5);
    const named = begins && !hidden ? (s.opened?.hash ?? new Uint8Array(32)) : new Uint8Array(32);
    const header = nextHeader(
      { header: parent.header, hash: parent.hash, historyRoot: parent.history!.root() },
      {
        timeMs: parent.header.timeMs + side + this.#random.below(3),
        transactionsRoot: this.#simulation.beginning.header.transactionsRoot,
        transactionCount: bundles.length,
        bodyHash: bodyHash(crypto, body),
        executed: this.#results(parent),
        proposer: liar.key,
        epoch: s.config.epoch,
        term,
        mode: s.highest.mode,
        newTermHash: named,
      },
    );
    const encoded = encodeHeader(header);
    const signature = signHeader(crypto, liar.seed, chainId, headerHash(crypto, encoded));
    return { header: encoded, body, signature };
  }

  /** Suspicions against more members than are borne, too few of each, or of members that have said no such thing. */
  #switchToBft(liar: SimNode, { config, root }: State): SystemRecord {
    const forges = this.#random.chance(0.5);
    const signer = { ...this.#simulation.beginning, seed: liar.seed };
    const self = memberOf(config, liar.key);
    const statements: Uint8Array[] = [];
    for (let at = 0; at <= config.thresholds.faults; at++) {
      const peer = (self + 1 + at) % config.members.length;
      for (let other = 0; other <= (forges ? config.f : 0); other++) {
        const member = (self - other + config.members.length) % config.members.length;
        const unsigned = {
          epoch: config.epoch,
          member,
          peer,
          reason: 'silent',
          height: root.height,
        } as const;
        const signature = signStatement(signer, 'suspicion', encodeUnsignedSuspicion(unsigned));
        statements.push(encodeSuspicion({ ...unsigned, signature }));
      }
    }
    return { kind: 'mode', mode: 'bft', statements };
  }

  /** What the parent says, or a lie about the block after that. */
  #results({ header: { executed, height } }: Candidate): Candidate['header']['executed'] {
    if (executed.height >= height || !this.#random.chance(0.2)) return executed;
    return {
      height: executed.height + 1,
      receiptsRoot: new Uint8Array(32).fill(this.#random.below(2)),
    };
  }

  /** Proofs that prove nothing, against whoever has said something. */
  #accuse(liar: SimNode, s: State): void {
    const ballots = [...this.#ballots.values()].filter(
      ({ ballot }) => ballot.epoch === s.config.epoch,
    );
    if (ballots.length === 0 || this.#proposed.length === 0) return;
    const { votes } = this.#random.pick(ballots);
    const vote = this.#random.pick([...votes.values()]);
    const first = this.#random.pick(this.#proposed);
    const made: Evidence[] = [
      { kind: 'votes', first: vote, second: vote },
      { kind: 'proposals', first, second: first },
      { kind: 'block', block: first, vote: null },
      { kind: 'block', block: first, vote },
      { kind: 'block', block: { ...first, body: NO_BODY }, vote: null },
    ];
    for (const reports of this.#reports.values()) {
      const report = reports.get(vote.member);
      const block = this.#proposed.find(({ header }) =>
        equal(headerHash(this.#simulation.beginning.crypto, header), vote.hash),
      );
      if (report === undefined || block === undefined) continue;
      made.push({ kind: 'report', vote, headers: [block.header], report });
    }
    made.push(...this.#denials(s));
    const evidence = encodeEvidence(this.#random.pick(made));
    this.#send(liar, { kind: 'evidence', evidence }, this.#anyone());
  }

  /** Headers that say otherwise than an honest member's health, as if they were confirmed. */
  #denials({ confirming, highest }: State): Evidence[] {
    const { crypto } = this.#simulation.beginning;
    const made: Evidence[] = [];
    for (const health of this.#health.values()) {
      for (const { header: encoded } of this.#proposed) {
        const header = decodeHeader(encoded);
        const about = header.height === health.height || header.executed.height === health.height;
        if (!about || confirming === null) continue;
        const executed = { ...header.executed, receiptsRoot: health.hash };
        const lie = encodeHeader({ ...header, timeMs: header.timeMs + 1, executed });
        const { height } = header;
        const forged = { ...confirming, height, hash: headerHash(crypto, lie) };
        const certified = this.#proposed.find((block) =>
          equal(headerHash(crypto, block.header), confirming.hash),
        );
        made.push(
          { kind: 'health', health, headers: [encoded], certificate: highest },
          { kind: 'health', health, headers: [lie], certificate: confirming },
          { kind: 'health', health, headers: [lie], certificate: forged },
        );
        if (certified === undefined) continue;
        const headers = [lie, certified.header];
        made.push({ kind: 'health', health, headers, certificate: confirming });
      }
    }
    return made;
  }

  /** For anything that somebody has voted for. */
  #vote(liar: SimNode, config: EpochConfig, member: number): void {
    const entries = [...this.#ballots.values()].filter(
      ({ ballot }) => ballot.epoch === config.epoch,
    );
    if (entries.length === 0) return;
    const { ballot, kind } = this.#random.pick(entries);
    const { crypto, chainId } = this.#simulation.beginning;
    const vote = signVote(crypto, liar.seed, chainId, { kind, ...ballot, member });
    this.#keepVote(vote);
    this.#send(liar, { kind: 'vote', vote }, this.#anyone());
  }

  #report(liar: SimNode, s: State, member: number): void {
    const term = s.term + this.#random.below(2);
    if (term === 0) return;
    this.#makeReport(liar, s, term, member);
    const report = this.#reports.get(`${s.config.epoch}/${term}`)?.get(member);
    if (report === undefined) return;
    const leader = s.nodeOf(leaderOf(s.config, term));
    const to = this.#simulation.nodes
      .filter(({ key }) => equal(key, leader))
      .map(({ index }) => index);
    this.#send(liar, { kind: 'report', report }, to);
    this.#send(
      liar,
      { kind: 'wish', epoch: s.config.epoch, term, wantBft: this.#random.chance(0.3) },
      this.#anyone(),
    );
  }

  /** The anchor, the certificate it holds, or one with a tail of a sibling. */
  #makeReport(liar: SimNode, s: State, term: number, member: number): void {
    const highest = this.#random.pick([s.anchor, s.highest, s.highest]);
    if (highest.term >= term) return;
    const siblings = this.#proposed.filter(({ header }) => {
      const block = s.tree.get(hex(headerHash(this.#simulation.beginning.crypto, header)));
      return (
        block !== undefined &&
        block.header.term === highest.term &&
        equal(block.header.parent, highest.hash)
      );
    });
    const tail =
      siblings.length > 0 && highest.mode === 'raft' && this.#random.chance(0.7)
        ? [this.#random.pick(siblings)].map(({ header, signature }) => ({ header, signature }))
        : [];
    const unsigned = {
      epoch: s.config.epoch,
      term,
      member,
      highest,
      tail,
      wantBft: this.#random.chance(0.2),
    };
    const signer = { ...this.#simulation.beginning, seed: liar.seed };
    const signature = signStatement(signer, 'report', encodeUnsignedReport(unsigned));
    this.#keepReport({ ...unsigned, signature });
  }

  /** Opens a term on reports chosen so that as little as possible is taken over. */
  #openTerm(liar: SimNode, s: State, member: number): void {
    const { term, config } = s;
    if (term === 0 || leaderOf(config, term) !== member) return;
    this.#makeReport(liar, s, term, member);
    const held = [...(this.#reports.get(`${config.epoch}/${term}`)?.values() ?? [])];
    const { report: needed } = quorumsOf(config);
    const context = { ...this.#simulation.beginning, config };
    let least: { height: number; message: Message } | null = null;
    const lie = this.#random.below(4);
    for (let attempt = 0; attempt < 6; attempt++) {
      const some = this.#random.some(held);
      // Too few, or one that counts several times.
      const count = lie === 0 ? needed - 1 : needed;
      const own = held.find((report) => report.member === member);
      while (lie === 1 && own !== undefined && some.length < needed) some.push(own);
      const chosen = some.slice(0, count);
      const opened = chosen.map((report) => openReport(context, s.anchor, report));
      if (chosen.length < count || count === 0 || opened.some((each) => each === null)) continue;
      const selection = select(
        config,
        opened.map((each) => each!),
      );
      if ('excluded' in selection) continue;
      if (least !== null && least.height <= selection.height) continue;
      const given = lie === 2 ? this.#random.pick(chosen).highest : selection;
      const { height, hash } = given;
      const unsigned = {
        epoch: config.epoch,
        term,
        reports: chosen,
        height,
        hash,
        mode: selection.mode,
      };
      const signer = { ...this.#simulation.beginning, seed: liar.seed };
      const signature = signStatement(signer, 'new term', encodeUnsignedNewTerm(unsigned));
      least = {
        height: selection.height,
        message: { kind: 'newTerm', newTerm: { ...unsigned, signature } },
      };
    }
    if (least !== null) this.#send(liar, least.message, this.#anyone());
  }

  /** Every certificate that honest votes and all liars' make. */
  #certify(liar: SimNode, config: EpochConfig): void {
    const { crypto, chainId } = this.#simulation.beginning;
    const { report, fast } = quorumsOf(config);
    for (const { ballot, kind, votes } of this.#ballots.values()) {
      if (ballot.epoch !== config.epoch || !this.#random.chance(0.3)) continue;
      for (const index of this.#simulation.options.liars) {
        const node = this.#simulation.nodes[index]!;
        const member = memberOf(config, node.key);
        if (member >= 0)
          votes.set(member, signVote(crypto, node.seed, chainId, { kind, ...ballot, member }));
      }
      for (const made of ['quorum', 'fast', 'commit'] as const) {
        const needed = made === 'fast' ? fast : report;
        if (votesOf(made) !== kind || votes.size < needed) continue;
        const certificate: VoteCertificate = {
          kind: made,
          ...ballot,
          signatures: firstOf(votes, needed),
        };
        this.#send(liar, { kind: 'certificate', certificate }, this.#anyone());
      }
    }
  }

  #resend(liar: SimNode, s: State): void {
    if (this.#proposed.length === 0) return;
    const block = this.#random.pick(this.#proposed);
    this.#send(
      liar,
      { kind: 'block', block, highest: certified(s), confirming: s.confirming },
      this.#anyone(),
    );
  }
}

function certified(s: State): VoteCertificate | null {
  return s.highest.signatures.length > 0 ? s.highest : null;
}

function firstOf(votes: ReadonlyMap<number, Vote>, needed: number) {
  return [...votes.values()]
    .sort((a, b) => a.member - b.member)
    .slice(0, needed)
    .map(({ member, signature }) => ({ member, signature }));
}
