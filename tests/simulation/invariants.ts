// What must hold after every event, seen from outside. Pure.
//
//   agreement     what votes of honest members, with all votes liars could add, may confirm is one chain
//   certificates  in one term they are on one chain
//   validity      confirmed blocks follow one another, say the right results, hold no transaction twice
//   votes         an honest member votes once at a place, never for a term it has left, within its window,
//                 never on an unconfirmed barrier
//   durability    what is sent stands on what is durable
//   progress      term, highest certificate, height and epoch never fall
//   evidence      accuses liars only, and of what they did in the epoch before too; nothing found is forgotten
//   reads         see everything that was confirmed before they began
//   bounds        nobody makes a node hold more than the limits say

import type { Block, Header } from '../../ledger/block.ts';
import { equal, hex } from '../../ledger/bytes.ts';
import { checkCertificateOf } from '../../ledger/certificate-check.ts';
import { decodeBody, decodeHeader } from '../../ledger/encoding.ts';
import { tryDecode } from '../../ledger/error.ts';
import { isBarrier, leaderOf, quorumsOf } from '../../ledger/epoch.ts';
import type { EpochConfig } from '../../ledger/epoch.ts';
import { headerHash } from '../../ledger/hash.ts';
import { voteMessage } from '../../ledger/signing.ts';
import type { SystemRecord } from '../../ledger/system.ts';
import type { Bundle } from '../../ledger/transaction.ts';
import type { Vote, VoteCertificate } from '../../ledger/vote.ts';
import { decodeHealth, decodeMessage, decodeSuspicion } from '../../consensus/core/codec.ts';
import type { Effect } from '../../consensus/core/event.ts';
import type { Health, Message, NewTerm, SignedBlock } from '../../consensus/core/message.ts';
import { openReport, select } from '../../consensus/core/select.ts';
import { CONSENSUS_LIMITS } from '../../consensus/limits.ts';
import { forgottenLie, liarsOfEpoch, unnoticedLie } from './lies.ts';
import { INVALID, chunksOf } from './node.ts';
import type { SimNode } from './node.ts';
import type { Simulation } from './simulation.ts';

/** The window of rules that no administrator has signed. */
export const FORBIDDEN_WINDOW = 63;

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
  /** The greatest height it has confirmed. */
  reached: number;
  /** Epoch and term of what it has signed last. */
  last: readonly [epoch: number, term: number];
  /** Keys of those that it can prove to have lied in its epoch. */
  proven: readonly string[];
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
  /** Members suspected by honest ones: epoch, who says so, whom it names. */
  readonly #suspected = new Set<string>();
  /** Terms that an honest member has wished for. */
  readonly #wished = new Set<string>();
  #newest = 0;
  terms = 0;
  epochs = 0;
  /** Changes to bft mode that were ordered for suspicions. */
  ordered = 0;

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
    const body = tryDecode(() => decodeBody(signed.body));
    const barrier = body !== null && isBarrier(body.system);
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
  onSend(node: SimNode, message: Message): void {
    if (message.kind === 'block') {
      const { header } = this.register(message.block);
      // Whoever has lost its disk may still be asked for what it proposed before.
      const own = equal(header.proposer, node.key) && !node.lost;
      if (own) this.#checkLed(node, header.epoch, header.term);
    }
    if (message.kind === 'vote') this.#onVote(node, message.vote);
    if (message.kind === 'certificate') this.#checkSignatures(message.certificate);
    if (message.kind === 'wish') this.#wished.add(`${message.epoch}/${message.term}`);
    if (message.kind === 'report') {
      const { epoch, term } = message.report;
      this.#signedIn(node, epoch, term);
      const state = node.disk.state(epoch);
      if (state === null && node.replica?.config.epoch !== epoch) return;
      this.#check(
        state !== null && state.term >= term,
        `${node.index} reports before it is durable`,
      );
    }
    if (message.kind === 'newTerm') this.#onNewTerm(node, message.newTerm);
    if (message.kind === 'health') this.#onHealth(node, message.health);
    if (message.kind === 'suspicion') {
      const { epoch, member, peer } = message.suspicion;
      this.#suspected.add(`${epoch}/${member}/${peer}`);
    }
  }

  /** Nobody honest signs anything else than is confirmed, whatever its disk has made of it. */
  #onHealth(node: SimNode, { height, hash, receiptsRoot, member, epoch }: Health): void {
    // What others have said may be passed on.
    if (!equal(this.#configs.get(epoch)!.members[member]!.publicKey, node.key)) return;
    const same =
      this.#confirmed.get(height) === hex(hash) && equal(node.roots[height]!, receiptsRoot);
    this.#check(same, `${node.index} says it has something else at ${height} than is confirmed`);
  }

  /** A term after one in bft mode is in bft mode, as far as the reports show. */
  #onNewTerm(node: SimNode, { epoch, term, mode, reports }: NewTerm): void {
    this.#checkLed(node, epoch, term);
    const [highest] = reports
      .map((report) => report.highest)
      .sort((a, b) => b.term - a.term || b.height - a.height);
    const { policy } = this.#configs.get(epoch)!;
    const falls = policy === 'adaptive' && highest?.mode === 'bft' && mode === 'raft';
    this.#check(!falls, `term ${term} falls back to raft mode`);
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
    if (kind === 'ack') this.#checkOneOpening(node, vote);
    this.#signedIn(node, epoch, term);
    this.#checkDurable(node, vote);
    if (kind === 'ack' && before === undefined) {
      this.#checkPlace(node, config, vote);
      this.#checkOpening(node, config, vote);
    }
    if (before === undefined) this.#count(config, `${place}/${mode}/${hash}`, vote, node.index);
  }

  /** Nothing is signed for a term that was left. */
  #signedIn(node: SimNode, epoch: number, term: number): void {
    const standing = this.#standing(node);
    const [lastEpoch, lastTerm] = standing.last;
    const later = epoch > lastEpoch || (epoch === lastEpoch && term >= lastTerm);
    this.#check(
      later || epoch < lastEpoch,
      `${node.index} signs for term ${term} after ${lastTerm}`,
    );
    if (later) standing.last = [epoch, term];
  }

  /** In one term a member acknowledges one opening. */
  #checkOneOpening(node: SimNode, { epoch, term, hash }: Vote): void {
    const block = this.#blocks.get(hex(hash));
    if (block === undefined || (block.header.term === term && block.header.epoch === epoch)) return;
    const { signed } = this.#standing(node);
    const place = `opening/${epoch}/${term}`;
    const before = signed.get(place);
    this.#check(
      before === undefined || before === block.key,
      `${node.index} opens ${epoch}/${term} twice`,
    );
    signed.set(place, block.key);
  }

  /** What a new term takes over follows from what a quorum has reported. */
  #checkOpening(node: SimNode, config: EpochConfig, { epoch, term, hash }: Vote): void {
    const s = node.replica?.inspected;
    const message = s?.opened?.message;
    if (s?.config.epoch !== epoch || message?.term !== term || !equal(message.hash, hash)) return;
    const reporters = new Set(message.reports.map(({ member }) => member));
    const quorum = reporters.size >= quorumsOf(config).report;
    this.#check(quorum, `${node.index} opens term ${term} on ${reporters.size} reports`);
    const context = { ...this.#simulation.beginning, config };
    const reports = message.reports.map((report) => openReport(context, s.anchor, report));
    const sound = reports.filter((report) => report !== null);
    this.#check(sound.length === reports.length, `${node.index} believes a report that is none`);
    const selection = select(config, sound);
    const follows = !('excluded' in selection) && equal(selection.hash, hash);
    this.#check(follows, `${node.index} opens term ${term} with what does not follow`);
  }

  /** Within the window, on no unconfirmed barrier. */
  #checkPlace(node: SimNode, config: EpochConfig, vote: Vote): void {
    const block = this.#blocks.get(hex(vote.hash));
    if (block === undefined || node.replica?.config.epoch !== vote.epoch) return;
    // A crash may have taken confirmed blocks back since, and what a new term takes over may be further.
    const { reached } = this.#standing(node);
    const within = block.header.term !== vote.term || vote.height <= reached + config.window;
    this.#check(within, `${node.index} acknowledges ${vote.height} above ${reached}`);
    let at = this.#blocks.get(hex(block.header.parent));
    while (at !== undefined && at.header.height > reached) {
      this.#check(!at.barrier, `${node.index} acknowledges on an unconfirmed barrier`);
      at = this.#blocks.get(hex(at.header.parent));
    }
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
      this.#check(effect.config.window !== FORBIDDEN_WINDOW, 'rules that nobody has approved');
      for (const accused of effect.config.suspended) this.#checkAccused(effect.config, accused);
    }
    if (effect.kind === 'alarm') {
      const { alarm, message } = effect;
      this.#check(alarm !== 'fork', `${node.index}: ${message}`);
      const { liars, damaged } = this.#simulation.options;
      const expected = liars.length + damaged.length > 0;
      this.#check(alarm !== 'divergence' || expected, message);
    }
    if (effect.kind === 'readReady') {
      const began = this.#reads.get(effect.id) ?? 0;
      this.#check(effect.height >= began, `read at ${effect.height}, confirmed was ${began}`);
    }
  }

  #onConfirmed(node: SimNode, { block, hash }: Extract<Effect, { kind: 'confirmed' }>): void {
    const { header, bundles } = block;
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
      this.#checkReturn(header, block.system);
      this.#checkOrdered(header, block.system);
    }
    this.#checkCertificate(block);
    // What is stored must pass the check of every later start, and of whoever verifies the chain.
    const context = { ...this.#simulation.beginning, config: this.#configs.get(header.epoch)! };
    const wrong = checkCertificateOf(context, header, hash, block.certificate);
    this.#check(wrong === null, `block ${height}: ${wrong}`);
    this.#newest = Math.max(this.#newest, height);
    const root = node.roots[header.executed.height];
    this.#check(
      root === undefined || equal(root, header.executed.receiptsRoot),
      `block ${height} says wrong results`,
    );
  }

  /** By itself, whatever the core thinks of it. */
  #checkCertificate({ header, certificate }: Block): void {
    this.#check(certificate.kind !== 'proposer', 'confirmed by its proposer alone');
    const { kind, epoch, term, mode, signatures } = certificate;
    this.#check(kind !== 'quorum', 'confirmed by acknowledgements of a quorum');
    const config = this.#configs.get(epoch);
    this.#check(config !== undefined && epoch === header.epoch, 'confirmed by another epoch');
    const { report, fast } = quorumsOf(config);
    const signers = new Set(signatures.map(({ member }) => member));
    this.#check(signers.size >= (kind === 'fast' ? fast : report), 'confirmed by too few');
    const named = this.#blocks.get(hex(certificate.hash))?.header;
    const ofTerm = named === undefined || (named.term === term && named.mode === 'raft');
    this.#check(kind !== 'fast' || (mode === 'raft' && ofTerm), 'confirmed by an opening');
    this.#checkSignatures(certificate);
  }

  #checkSignatures(certificate: VoteCertificate): void {
    const config = this.#configs.get(certificate.epoch)!;
    const { crypto, chainId } = this.#simulation.beginning;
    const kind = certificate.kind === 'commit' ? 'commit' : 'ack';
    const cast = { ...certificate, kind } as const;
    for (const { member, signature } of certificate.signatures) {
      const key = config.members[member]!.publicKey;
      const good = crypto.verify(key, voteMessage(chainId, { ...cast, member }), signature);
      this.#check(good, 'a certificate with a forged signature');
    }
  }

  #checkNew(header: Header, bundles: readonly Bundle[], key: string): void {
    const { height, epoch, mode } = header;
    const parent = this.#confirmed.get(height - 1);
    const first = height === 1 ? hex(this.#simulation.beginning.hash) : parent;
    this.#check(first === hex(header.parent), `block ${height} does not follow`);
    const config = this.#configs.get(epoch)!;
    this.#checkProposer(header, config);
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
    this.#checkChunks(height, config, bundles);
  }

  /** Whatever a confirmed block names is with so many that it can be had although f of them are lost. */
  #checkChunks(height: number, config: EpochConfig, bundles: readonly Bundle[]): void {
    const keys = new Set(config.members.map(({ publicKey }) => hex(publicKey)));
    const honest = this.#simulation.nodes.filter(
      ({ index, key }) => this.#simulation.isHonest(index) && keys.has(hex(key)),
    );
    for (const name of chunksOf(bundles)) {
      const holders = honest.filter(({ chunks }) => chunks.has(name)).length;
      const enough = holders >= quorumsOf(config).join;
      this.#check(enough, `a chunk of block ${height} is at ${holders} members`);
    }
  }

  #checkProposer(header: Header, config: EpochConfig): void {
    const { height, epoch, term, proposer, newTermHash } = header;
    const leader = config.members[leaderOf(config, term)]!.publicKey;
    this.#check(equal(proposer, leader), `block ${height} is not of its leader`);
    const parent = this.#blocks.get(hex(header.parent))?.header;
    const begins =
      term > 0 && parent !== undefined && (parent.epoch !== epoch || parent.term !== term);
    const named = newTermHash.some((byte) => byte !== 0);
    this.#check(!begins || named, `block ${height} does not say what opened its term`);
  }

  /** The return to raft mode has its reasons in the chain. */
  #checkReturn(header: Header, system: readonly SystemRecord[]): void {
    const config = this.#configs.get(header.epoch)!;
    for (const record of system) {
      if (record.kind !== 'mode' || record.mode !== 'raft') continue;
      const health = record.statements.map(decodeHealth);
      const heights = new Set(health.map(({ height }) => height));
      const members = new Set(health.map(({ member }) => member));
      this.#check(members.size === config.members.length, 'a return to raft without all');
      this.#check(heights.size === 1, 'a return to raft by different heights');
      this.#check(config.suspended.length === 0, 'a return to raft with a member suspended');
      const { switched, timers } = config;
      const ms = timers.dwellMs * 2 ** switched.level;
      this.#check(header.timeMs - switched.timeMs >= ms, 'a return to raft too early');
      const blocks = header.height - switched.height;
      this.#check(blocks >= timers.dwellBlocks, 'a return to raft after too few blocks');
    }
  }

  /** An ordered change to bft mode has its reasons in the chain: honest members have said so, and enough of them. */
  #checkOrdered({ epoch, mode, height }: Header, system: readonly SystemRecord[]): void {
    const config = this.#configs.get(epoch)!;
    const change = system.find((record) => record.kind === 'mode');
    if (change === undefined || change.mode === 'raft' || mode === 'bft') return;
    const proofs = system.filter((record) => record.kind === 'evidence').length;
    if (proofs >= config.thresholds.fraud) return;
    const accusers = new Map<number, Set<number>>();
    for (const { peer, member, ...said } of change.statements.map(decodeSuspicion)) {
      accusers.set(peer, (accusers.get(peer) ?? new Set()).add(member));
      const honest = this.#isHonestMember(config, member);
      const meant = said.epoch === epoch && this.#suspected.has(`${epoch}/${member}/${peer}`);
      this.#check(!honest || meant, `block ${height} has a suspicion that nobody has`);
    }
    const named = [...accusers.values()].filter((members) =>
      [...members].some((member) => this.#isHonestMember(config, member)),
    );
    const enough = named.length > config.thresholds.faults;
    this.#check(enough, `block ${height} changes to bft mode without a reason`);
    this.ordered += 1;
  }

  #isHonestMember({ members }: EpochConfig, member: number): boolean {
    const { nodes } = this.#simulation;
    const index = nodes.findIndex(({ key }) => equal(key, members[member]!.publicKey));
    return this.#simulation.isHonest(index);
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
    const last = [0, 0] as const;
    const fresh = {
      epoch: 0,
      term: 0,
      highestTerm: 0,
      highestHeight: 0,
      height: 0,
      reached: 0,
      signed,
      last,
      proven: [],
    };
    this.#standings.set(node.index, fresh);
    return fresh;
  }

  onLoss(node: SimNode): void {
    const { signed, last, reached } = this.#standing(node);
    const nothing = { epoch: 0, term: 0, highestTerm: 0, highestHeight: 0, height: 0, proven: [] };
    this.#standings.set(node.index, { ...nothing, signed, last, reached });
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
      this.#check(term >= standing.term, `${node.index}: term falls to ${term}`);
      const wished = term === standing.term || term === 0 || this.#isWished(epoch, term);
      this.#check(wished, `${node.index} enters term ${term}, which only liars wish for`);
      this.#check(higher, `${node.index}: highest certificate falls`);
    } else {
      this.#check(epoch > standing.epoch, `${node.index}: epoch falls`);
      this.#checkEpochBefore(node, standing);
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
    const lie = unnoticedLie(s);
    this.#check(lie === null, `${node.index} does not notice: ${lie}`);
    Object.assign(standing, {
      epoch,
      term,
      highestTerm: highest.term,
      highestHeight: highest.height,
      height: s.root.height,
      reached: Math.max(standing.reached, s.root.height),
      proven: liarsOfEpoch(s),
    });
    this.terms = Math.max(this.terms, term);
  }

  /** However it came into its epoch: all judge the evidence of the one before alike. */
  #checkEpochBefore(node: SimNode, standing: Standing): void {
    const s = node.replica!.inspected;
    const { epoch } = s.config;
    const before = this.#configs.get(epoch - 1);
    const same = JSON.stringify(s.before?.config) === JSON.stringify(before);
    this.#check(same, `${node.index} does not know the epoch before`);
    const lie = epoch === standing.epoch + 1 ? forgottenLie(s, standing.proven) : null;
    this.#check(lie === null, `${node.index} has forgotten: ${lie}`);
  }

  /** A crash takes back what was not durable. */
  onCrash(node: SimNode): void {
    this.onLoss(node);
  }

  #isWished(epoch: number, term: number): boolean {
    for (const wish of this.#wished) {
      const [of, wanted] = wish.split('/').map(Number);
      if (of === epoch && wanted! >= term) return true;
    }
    // Its own wish may not have left it yet.
    return this.#simulation.nodes.some(({ index, replica }) => {
      const s = replica?.inspected;
      return (
        s !== undefined &&
        this.#simulation.isHonest(index) &&
        s.config.epoch === epoch &&
        s.wish >= term
      );
    });
  }

  readBegins(id: number): void {
    this.#reads.set(id, this.#newest);
  }
}
