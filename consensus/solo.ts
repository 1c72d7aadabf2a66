// Consensus of one: the node orders what it is given and certifies it alone. Shell.
//
// A block is cut when the one before it is durable and executed, never on a timer, so that under load many
// transactions share one fsync and without load none waits. When the chain goes idle with a result whose
// root no header carries yet, one empty block is appended after `idleProofMs` (lagged roots).
//
// (1) At most one block is on its way to the ledger.
// (2) A failed append ends this consensus: everything proposed from then on is answered with 40003 or 57P03.

import type { Header } from '../ledger/block.ts';
import { FORMAT_VERSION } from '../ledger/block.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { encodeBody, encodeHeader, transactionIdOf } from '../ledger/encoding.ts';
import { SqlError } from '../ledger/error.ts';
import { bodyHash, headerHash } from '../ledger/hash.ts';
import { LIMITS } from '../ledger/limits.ts';
import { merkleRoot } from '../ledger/merkle.ts';
import { signHeader } from '../ledger/signing.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { Bundle, Receipt } from '../ledger/transaction.ts';
import type { Consensus, ExecutedBlock, Ledger, OrderedBlock, Tip } from './consensus.ts';

export interface SoloOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  readonly nodeSeed: Uint8Array;
  readonly nodePublicKey: Uint8Array;
  readonly ledger: Ledger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Quiet time before an empty block proves the last results, in milliseconds. */
  readonly idleProofMs: number;
  /** The ledger failed; the node must stop. */
  readonly onFailure: (error: unknown) => void;
}

type Proposal = {
  readonly bundle: Bundle;
  readonly bytes: number;
  readonly resolve: (outcome: { executed: ExecutedBlock; receipts: readonly Receipt[] }) => void;
  readonly reject: (error: unknown) => void;
};

export class Solo implements Consensus {
  readonly #options: SoloOptions;
  #queue: Proposal[] = [];
  #busy = false;
  #stopping = false;
  #failed = false;
  #idleTimer: NodeJS.Timeout | null = null;
  #idleWaiters: (() => void)[] = [];

  constructor(options: SoloOptions) {
    this.#options = options;
    if (this.#tip.unproved) this.#armIdleProof();
  }

  get #tip(): Tip {
    return this.#options.ledger.tip;
  }

  propose(bundle: Bundle): Promise<{ executed: ExecutedBlock; receipts: readonly Receipt[] }> {
    if (this.#failed || this.#stopping) return Promise.reject(stoppedError(this.#failed));
    return new Promise((resolve, reject) => {
      let bytes = 0;
      for (const transaction of bundle.transactions) bytes += transaction.length;
      this.#queue.push({ bundle, bytes, resolve, reject });
      if (!this.#busy) void this.#run();
    });
  }

  /** Appends an empty block if the newest results are not covered by a header yet. */
  async prove(): Promise<void> {
    if (this.#tip.unproved && !this.#busy) await this.#run(true);
    while (this.#busy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    if (this.#tip.unproved && !this.#failed && !this.#stopping) await this.#run(true);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    while (this.#busy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Cuts blocks until the queue is empty. Never rejects: a failure goes to the proposers and `onFailure`. */
  async #run(empty = false): Promise<void> {
    this.#busy = true;
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
    // Bundles of several authors, proposed in this turn, share the block.
    await Promise.resolve();
    while ((this.#queue.length > 0 || empty) && !this.#failed) {
      empty = false;
      const proposals = this.#take();
      try {
        const bundles = proposals.map((proposal) => proposal.bundle);
        const block = buildBlock(this.#options, this.#tip, bundles);
        const executed = await this.#options.ledger.append(block);
        let position = 0;
        for (const { bundle, resolve } of proposals) {
          const end = position + bundle.transactions.length;
          resolve({ executed, receipts: executed.receipts.slice(position, end) });
          position = end;
        }
      } catch (error) {
        this.#fail(error, proposals);
      }
    }
    this.#busy = false;
    for (const wake of this.#idleWaiters.splice(0)) wake();
    if (this.#tip.unproved && !this.#stopping && !this.#failed) this.#armIdleProof();
  }

  /** As many proposals as a block may hold, in order. */
  #take(): Proposal[] {
    let bytes = 0;
    let transactions = 0;
    let count = 0;
    for (const proposal of this.#queue) {
      bytes += proposal.bytes;
      transactions += proposal.bundle.transactions.length;
      if (
        count > 0 &&
        (bytes > LIMITS.blockBodyBytesMax / 2 || transactions > LIMITS.blockTransactionsMax)
      )
        break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  #fail(error: unknown, proposals: readonly Proposal[]): void {
    this.#failed = true;
    const unknown = new SqlError(
      SQLSTATE.statementCompletionUnknown,
      'the ledger stopped before the outcome of this transaction was known',
      { hint: 'Ask for the transaction by its id after the node has been started again.' },
    );
    for (const proposal of proposals) proposal.reject(unknown);
    for (const proposal of this.#queue.splice(0)) proposal.reject(stoppedError(true));
    this.#options.onFailure(error);
  }

  #armIdleProof(): void {
    this.#idleTimer = setTimeout(() => {
      this.#idleTimer = null;
      if (!this.#busy && this.#tip.unproved) void this.#run(true);
    }, this.#options.idleProofMs);
    this.#idleTimer.unref();
  }
}

function stoppedError(failed: boolean): SqlError {
  return failed
    ? new SqlError(SQLSTATE.ledgerHalted, 'the ledger has stopped because its storage failed')
    : new SqlError(SQLSTATE.cannotConnectNow, 'the node is shutting down');
}

/** The next block over `bundles`, certified by the node alone. */
function buildBlock(options: SoloOptions, tip: Tip, bundles: readonly Bundle[]): OrderedBlock {
  const { crypto } = options;
  const ids = bundles.flatMap((bundle) =>
    bundle.transactions.map((bytes) => transactionIdOf(crypto, bytes)),
  );
  const bodyBytes = encodeBody(bundles);
  const header: Header = {
    version: FORMAT_VERSION,
    chainId: options.chainId,
    height: tip.height + 1,
    parent: tip.hash,
    timeMs: Math.max(options.now(), tip.timeMs),
    transactionsRoot: merkleRoot(crypto, ids),
    transactionCount: ids.length,
    bodyHash: bodyHash(crypto, bodyBytes),
    executed: tip.executed,
    historyRoot: tip.historyRoot,
    proposer: options.nodePublicKey,
    term: 0,
  };
  const headerBytes = encodeHeader(header);
  const hash = headerHash(crypto, headerBytes);
  const signature = signHeader(crypto, options.nodeSeed, options.chainId, hash);
  const certificate = { signatures: [{ node: options.nodePublicKey, signature }] };
  return { block: { header, bundles, certificate }, hash, headerBytes, bodyBytes };
}
