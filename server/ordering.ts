// Who orders the blocks: this node alone, or several. Takes the other kind when new rules say so, while it runs. Shell.
//
// (1) Which kind it is follows from the end of the chain alone, at a start as at a change: so a crash anywhere between the
//     block with the rules and the change itself leaves nothing to repair.
// (2) What one kind has not ordered when it ends is put up again with the next: clients see a pause.

import type { Confirm, Consensus, Proposal } from '../consensus/consensus.ts';
import { isHandedOver } from '../consensus/handover.ts';
import type { ApprovedRules } from '../consensus/rules-change.ts';
import { stoppedError } from '../consensus/stopped.ts';
import type { EpochConfig } from '../ledger/epoch.ts';
import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import type { OrderingState } from './cluster-status.ts';
import type { PeerNetwork } from './peers/network.ts';

/** Chunks of large transactions of this node's sessions. */
export interface SessionChunks {
  /** Makes one durable wherever it must be before a block may name it; resolves to its hash. @throws SqlError */
  put(bytes: Uint8Array): Promise<Uint8Array>;
  /** Takes back what no transaction will name: each as often as it was put. */
  drop(hashes: readonly Uint8Array[]): Promise<void>;
  /** The transaction that names them was put up, whatever became of it. */
  settle(hashes: readonly Uint8Array[]): void;
}

/** One kind at work. */
export interface OrderingPart {
  readonly consensus: Consensus;
  /** Null where this node orders alone. */
  readonly network: PeerNetwork | null;
  readonly chunks: SessionChunks;
  state(): OrderingState;
  stop(): Promise<void>;
}

export interface OrderingOptions {
  /** Opens what the end of the chain asks for. @param onHandover  called once, when that asks for the other kind */
  readonly open: (onHandover: () => void) => Promise<OrderingPart>;
  /** Called before a node that orders alone takes rules by which it does not. @throws SqlError it cannot */
  readonly prepare: () => Promise<void>;
  /** The next kind could not be opened: the node must stop. */
  readonly onFailure: (error: unknown) => void;
}

export class Ordering implements Consensus {
  readonly #options: OrderingOptions;
  #part!: OrderingPart;
  /** Resolves when the part that comes after this one is there. */
  #next = Promise.withResolvers<void>();
  #changing: Promise<void> = Promise.resolve();
  #leavesSolo = false;
  #failed = false;
  #stopping = false;

  private constructor(options: OrderingOptions) {
    this.#options = options;
  }

  /** @throws whatever `open` does */
  static async start(options: OrderingOptions): Promise<Ordering> {
    const ordering = new Ordering(options);
    await ordering.#open();
    return ordering;
  }

  /** Connections to the other nodes; null where this node orders alone. */
  get network(): PeerNetwork | null {
    return this.#part.network;
  }

  /** As `SessionChunks.put`. @throws SqlError 55006 while a node that orders alone becomes one of several */
  async putChunk(bytes: Uint8Array): Promise<Uint8Array> {
    if (this.#part.network !== null || !this.#leavesSolo) return this.#part.chunks.put(bytes);
    const message = 'the ledger is about to be ordered by other nodes too';
    throw new SqlError(SQLSTATE.objectInUse, message, { hint: 'Try again in a moment.' });
  }

  dropChunks(hashes: readonly Uint8Array[]): Promise<void> {
    return this.#part.chunks.drop(hashes);
  }

  settleChunks(hashes: readonly Uint8Array[]): void {
    this.#part.chunks.settle(hashes);
  }

  state(): OrderingState {
    return this.#part.state();
  }

  propose(proposal: Proposal): ReturnType<Consensus['propose']> {
    return this.#through((consensus) => consensus.propose(proposal));
  }

  async changeRules(change: ApprovedRules, timeoutMs: number): Promise<EpochConfig> {
    const leaves = this.#part.network === null && change.rules.policy !== 'solo';
    if (!leaves) return this.#through((consensus) => consensus.changeRules(change, timeoutMs));
    this.#leavesSolo = true;
    try {
      await this.#options.prepare();
      return await this.#through((consensus) => consensus.changeRules(change, timeoutMs));
    } catch (error) {
      this.#leavesSolo = false;
      throw error;
    }
  }

  prove(): Promise<void> {
    return this.#through((consensus) => consensus.prove());
  }

  agreed(height: number, confirm: Confirm): Promise<void> {
    return this.#part.consensus.agreed(height, confirm);
  }

  caughtUp(): Promise<void> {
    return this.#through((consensus) => consensus.caughtUp());
  }

  /** A change under way is made first; one that comes while the part at work stops is left to the next start. */
  async stop(): Promise<void> {
    await this.#changing;
    this.#stopping = true;
    if (!this.#failed) await this.#part.stop();
    this.#next.promise.catch(() => undefined);
    this.#next.reject(stoppedError(this.#failed));
  }

  /** Asks the part at work, and the one after it when that one has ended. */
  async #through<T>(work: (consensus: Consensus) => Promise<T>): Promise<T> {
    for (;;) {
      const next = this.#next.promise;
      try {
        return await work(this.#part.consensus);
      } catch (error) {
        if (!isHandedOver(error)) throw error;
        await next;
      }
    }
  }

  async #open(): Promise<void> {
    this.#part = await this.#options.open(() => {
      if (!this.#stopping) this.#changing = this.#change();
    });
    this.#leavesSolo = false;
  }

  async #change(): Promise<void> {
    const { resolve, reject, promise } = this.#next;
    // Nobody may be waiting.
    promise.catch(() => undefined);
    try {
      await this.#part.stop();
      await this.#open();
      this.#next = Promise.withResolvers();
      resolve();
    } catch (error) {
      this.#failed = true;
      reject(stoppedError(true));
      this.#options.onFailure(error);
    }
  }
}
