// Consensus of one: the node orders what it is given and certifies it alone. Shell.
//
// A block is cut when there is something to order and room on the way, never on a timer, so that under load
// many transactions share one fsync and without load none waits. While one block is executed the next may wait
// behind it: its header says what was executed by the time it was made (lagged roots). When the chain goes idle
// with results whose root no header carries yet, empty blocks are appended after `idleProofMs`.
//
// (1) Blocks go to the ledger in order of height, at most ON_THE_WAY_MAX ahead of what is executed.
// (2) A header says the next result, or the same as its parent: no height is passed over, so each can be proved.
// (3) New rules are a block of their own, the last of an epoch. If another kind of consensus is to follow, nothing is made
//     on top of it: what waits, and what comes, is refused as HandedOver.
// (4) A failed append ends this consensus: everything proposed from then on is answered with 40003 or 57P03.

import type { Executed, Header } from '../ledger/block.ts';
import { FORMAT_VERSION } from '../ledger/block.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import { encodeBody, encodeHeader, readTransactions } from '../ledger/encoding.ts';
import { nextConfig, ordersAlone } from '../ledger/epoch.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import { SqlError } from '../ledger/error.ts';
import { bodyHash, headerHash } from '../ledger/hash.ts';
import type { HistoryTree } from '../ledger/history-tree.ts';
import { LIMITS } from '../ledger/limits.ts';
import { merkleRoot } from '../ledger/merkle.ts';
import { signHeader } from '../ledger/signing.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { SystemRecord } from '../ledger/system.ts';
import { isApproved } from './core/system-check.ts';
import { HandedOver } from './handover.ts';
import { unapprovedError } from './rules-change.ts';
import type { ApprovedRules } from './rules-change.ts';
import { stoppedError } from './stopped.ts';
import type {
  Consensus,
  ExecutedBlock,
  Ledger,
  OrderedBlock,
  Outcome,
  Proposal,
  Tip,
} from './consensus.ts';

export interface SoloOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  readonly nodeSeed: Uint8Array;
  readonly nodePublicKey: Uint8Array;
  readonly ledger: Ledger;
  /** In force after the newest block of the ledger. */
  readonly config: EpochConfig;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Quiet time before an empty block proves the last results, in milliseconds. */
  readonly idleProofMs: number;
  /** Rules by which this node does not order alone are in force; everything up to them is executed. */
  readonly onHandover: () => void;
  /** The ledger failed; the node must stop. */
  readonly onFailure: (error: unknown) => void;
}

/** Blocks handed to the ledger and not yet executed: one at work, one behind it so that the ledger never idles. */
const ON_THE_WAY_MAX = 2;

const NO_HASH = new Uint8Array(HASH_BYTES);

type Waiting = Proposal & {
  readonly bytes: number;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
};

interface Change {
  readonly rules: ApprovedRules;
  resolve(config: EpochConfig): void;
  reject(error: unknown): void;
}

export class Solo implements Consensus {
  readonly #options: SoloOptions;
  /** Over all headers made so far. */
  readonly #history: HistoryTree;
  /** The newest block made: what the next one follows. */
  #parent: { height: number; hash: Uint8Array; timeMs: number; executed: Executed };
  /** Of the next block. */
  #config: EpochConfig;
  #queue: Waiting[] = [];
  #change: Change | null = null;
  #onTheWay = 0;
  #cutScheduled = false;
  #stopping = false;
  #failed = false;
  #idleTimer: NodeJS.Timeout | null = null;
  #idleWaiters: (() => void)[] = [];

  constructor(options: SoloOptions) {
    this.#options = options;
    const { height, hash, timeMs, covered } = this.#tip;
    this.#history = options.ledger.history;
    this.#parent = { height, hash, timeMs, executed: covered };
    this.#config = options.config;
    if (this.#tip.unproved) this.#armIdleProof();
  }

  get #tip(): Tip {
    return this.#options.ledger.tip;
  }

  /** The rules by which the next block is ordered. */
  get config(): EpochConfig {
    return this.#config;
  }

  async propose(proposal: Proposal): Promise<Outcome> {
    this.#checkOpen();
    return new Promise((resolve, reject) => {
      let bytes = 0;
      for (const transaction of proposal.bundle.transactions) bytes += transaction.length;
      this.#queue.push({ ...proposal, bytes, resolve, reject });
      this.#scheduleCut();
    });
  }

  async changeRules(change: ApprovedRules): Promise<EpochConfig> {
    this.#checkOpen();
    if (this.#change !== null) {
      throw new SqlError(SQLSTATE.objectInUse, 'another change of the rules is on its way');
    }
    if (!isApproved(this.#options, this.#config, change)) throw unapprovedError(this.#config);
    return new Promise((resolve, reject) => {
      this.#change = { rules: change, resolve, reject };
      this.#scheduleCut();
    });
  }

  async prove(): Promise<void> {
    await this.#idle();
    while (this.#tip.unproved && !this.#failed && !this.#stopping) {
      this.#checkOpen();
      this.#send([]);
      await this.#idle();
    }
  }

  /** @throws SqlError 57P03 or of a halted ledger; HandedOver */
  #checkOpen(): void {
    // It is stopped after it has ended: what comes in between is for its successor as well.
    if (this.#ended && !this.#failed) throw new HandedOver();
    if (this.#failed || this.#stopping) throw stoppedError(this.#failed);
  }

  get #ended(): boolean {
    return !ordersAlone(this.#config, this.#options.nodePublicKey);
  }

  agreed(): Promise<void> {
    return Promise.resolve();
  }

  /** A block is confirmed when its proposer is told, and by then it is executed. */
  caughtUp(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#disarmIdleProof();
    await this.#idle();
  }

  async #idle(): Promise<void> {
    while (this.#onTheWay > 0 || this.#queue.length > 0 || this.#change !== null) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
  }

  /** Bundles of several authors, proposed in this turn, share the block. */
  #scheduleCut(): void {
    if (this.#cutScheduled) return;
    this.#cutScheduled = true;
    queueMicrotask(() => {
      this.#cutScheduled = false;
      this.#cut();
    });
  }

  #cut(): void {
    while (this.#onTheWay < ON_THE_WAY_MAX && !this.#failed) {
      if (this.#change !== null) this.#sendRules(this.#change);
      else if (this.#queue.length > 0) this.#send(this.#take());
      else return;
    }
  }

  #sendRules(change: Change): void {
    this.#change = null;
    this.#send([], change);
    if (!this.#ended) return;
    for (const proposal of this.#queue.splice(0)) proposal.reject(new HandedOver());
  }

  /** Makes the block of these proposals and hands it over. A failure goes to the proposers and `onFailure`. */
  #send(proposals: readonly Waiting[], change: Change | null = null): void {
    this.#disarmIdleProof();
    this.#onTheWay += 1;
    this.#append(proposals, change).then(
      (executed) => {
        this.#onTheWay -= 1;
        settle(proposals, executed);
        if (change !== null) this.#changed(change);
        this.#cut();
        this.#rest();
      },
      (error: unknown) => {
        this.#onTheWay -= 1;
        this.#fail(error, proposals, change);
        this.#rest();
      },
    );
  }

  async #append(proposals: readonly Proposal[], change: Change | null): Promise<ExecutedBlock> {
    const system: SystemRecord[] = change === null ? [] : [{ kind: 'rules', ...change.rules }];
    return this.#options.ledger.append(this.#build(proposals, system));
  }

  #changed({ resolve }: Change): void {
    resolve(this.#config);
    if (this.#ended) this.#options.onHandover();
  }

  /** After the last block on the way. */
  #rest(): void {
    if (this.#onTheWay > 0 || this.#queue.length > 0 || this.#change !== null) return;
    for (const wake of this.#idleWaiters.splice(0)) wake();
    if (this.#tip.unproved && !this.#stopping && !this.#failed && !this.#ended) {
      this.#armIdleProof();
    }
  }

  /** As many proposals as a block may hold, in order. */
  #take(): Waiting[] {
    let bytes = 0;
    let transactions = 0;
    let count = 0;
    for (const proposal of this.#queue) {
      bytes += proposal.bytes;
      transactions += proposal.ids.length;
      if (
        count > 0 &&
        (bytes > LIMITS.blockBodyBytesMax / 2 || transactions > LIMITS.blockTransactionsMax)
      )
        break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  /** The next block, certified by the node alone. */
  #build(proposals: readonly Proposal[], system: readonly SystemRecord[]): OrderedBlock {
    const { crypto, chainId, nodeSeed, nodePublicKey, now } = this.#options;
    const bundles = proposals.map(({ bundle }) => bundle);
    const alone = proposals.length === 1 ? proposals[0]! : null;
    const ids = alone?.ids ?? proposals.flatMap((each) => each.ids);
    const bodyBytes = encodeBody({ bundles, system });
    const parent = this.#parent;
    const header: Header = {
      version: FORMAT_VERSION,
      chainId,
      height: parent.height + 1,
      parent: parent.hash,
      timeMs: Math.max(now(), parent.timeMs),
      transactionsRoot: alone?.root ?? merkleRoot(crypto, ids),
      transactionCount: ids.length,
      bodyHash: bodyHash(crypto, bodyBytes),
      executed: this.#nextExecuted(parent.executed),
      historyRoot: this.#history.root(),
      proposer: nodePublicKey,
      epoch: this.#config.epoch,
      term: 0,
      mode: 'raft',
      newTermHash: NO_HASH,
    };
    const headerBytes = encodeHeader(header);
    const hash = headerHash(crypto, headerBytes);
    const signature = signHeader(crypto, nodeSeed, chainId, hash);
    const certificate = { kind: 'proposer', signature } as const;
    this.#history.append(hash);
    this.#parent = {
      height: header.height,
      hash,
      timeMs: header.timeMs,
      executed: header.executed,
    };
    this.#config = nextConfig(this.#config, header, system);
    return {
      block: { header, bundles, system, certificate },
      hash,
      headerBytes,
      bodyBytes,
      transactions: bundles.flatMap((bundle, i) => readTransactions(bundle, proposals[i]!.ids)),
    };
  }

  #nextExecuted(last: Executed): Executed {
    return this.#tip.uncovered.find(({ height }) => height === last.height + 1) ?? last;
  }

  #fail(error: unknown, proposals: readonly Waiting[], change: Change | null): void {
    this.#failed = true;
    const unknown = new SqlError(
      SQLSTATE.statementCompletionUnknown,
      'the ledger stopped before the outcome of this transaction was known',
      { hint: 'Ask for the transaction by its id after the node has been started again.' },
    );
    for (const each of [...proposals, ...(change === null ? [] : [change])]) each.reject(unknown);
    this.#change?.reject(stoppedError(true));
    this.#change = null;
    for (const proposal of this.#queue.splice(0)) proposal.reject(stoppedError(true));
    this.#options.onFailure(error);
  }

  #armIdleProof(): void {
    this.#idleTimer ??= setTimeout(() => {
      this.#idleTimer = null;
      if (this.#onTheWay === 0 && this.#tip.unproved && !this.#stopping) this.#send([]);
    }, this.#options.idleProofMs).unref();
  }

  #disarmIdleProof(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
  }
}

/** Gives each proposer the receipts of its own transactions. */
function settle(proposals: readonly Waiting[], executed: ExecutedBlock): void {
  let position = 0;
  for (const { ids, resolve } of proposals) {
    const end = position + ids.length;
    resolve({ executed, receipts: executed.receipts.slice(position, end), position });
    position = end;
  }
}
