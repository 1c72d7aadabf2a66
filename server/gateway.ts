// From operations to receipts: makes, signs and submits the transactions of this node's sessions. Shell.
//
// Transactions that arrive while others are on their way leave together: one bundle for each author, signed
// once (architecture 5), so a signature is paid per author and block, not per transaction. What would only wait
// behind a block had better become part of the next: one flight is on its way at a time, unless it is late.

import type { Consensus, ExecutedBlock, Outcome, Proposal } from '../consensus/consensus.ts';
import { hex } from '../ledger/bytes.ts';
import type { Crypto } from '../ledger/crypto.ts';
import { encodeTransaction } from '../ledger/encoding.ts';
import { isSqlError, SqlError } from '../ledger/error.ts';
import { LIMITS } from '../ledger/limits.ts';
import { partCommitment } from '../ledger/hash.ts';
import type { Operation, OperationCounts } from '../ledger/operation.ts';
import { stampOf } from '../ledger/operation.ts';
import { merkleRoot } from '../ledger/merkle.ts';
import { signBundle } from '../ledger/signing.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';

/** Who signs for a hosted role: its public key, and its seed as long as the call lasts. */
export interface RoleSigner {
  readonly publicKey: Uint8Array;
  readonly seed: Uint8Array;
}

export interface GatewayOptions {
  readonly crypto: Crypto;
  readonly chainId: Uint8Array;
  readonly consensus: Consensus;
  /** Throws SqlError 28000 when this node does not host the role's key. */
  readonly signerOf: (role: number) => RoleSigner;
  readonly now: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  /** How long a transaction stays valid, in milliseconds. */
  readonly validForMs: number;
  /** Called with every executed block before the sessions hear of it. */
  readonly onExecuted: (executed: ExecutedBlock) => void | Promise<void>;
}

/** A committed transaction as its session sees it. */
export interface Committed {
  readonly id: Uint8Array;
  readonly height: number;
  readonly stamp: bigint;
  readonly counts: readonly OperationCounts[];
}

type Pending = {
  readonly author: number;
  readonly id: Uint8Array;
  readonly bytes: Uint8Array;
  readonly validUntilMs: number;
  readonly resolve: (committed: Committed) => void;
  readonly reject: (error: unknown) => void;
};

/**
 * Turns of the event loop that a flight waits while open transactions go on: a block costs as much as several
 * transactions, and where many sessions are at work more commits are near. A turn that brings nothing ends the wait,
 * unless those that have just got their answers are still to come: nine in ten of them and of those who wait.
 */
const BOARDING_TURNS_MAX = 60;
const BOARDING_SHARE = 0.9;

/** A flight that takes longer, in ms, no longer keeps the next one waiting: it may lack what only others can bring. */
const LATE_MS = 250;
/** Flights on their way at once. */
const FLIGHTS_MAX = 8;

/** Random bytes asked for at a time. */
const RANDOM_POOL_BYTES = 8_192;

const textEncoder = new TextEncoder();

export class Gateway {
  readonly #options: GatewayOptions;
  #pending: Pending[] = [];
  /** Flights on their way. */
  #flights = 0;
  /** The newest of them is late. */
  #late = false;
  #lateTimer: NodeJS.Timeout | null = null;
  /** Transactions that may be expected for the next flight. */
  #expected = 0;
  #scheduled = false;
  /** Statements begun so far in open transactions of all sessions. */
  #statements = 0;
  #pool: Uint8Array = new Uint8Array(0);
  #poolUsed = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /**
   * Submits one transaction; resolves when it is durable and applied.
   *
   * @param author  role id; its key signs
   * @param text    statement text for human readers, secrets redacted
   * @throws SqlError the abort of its receipt (40001, 23505, …), 40003 when the outcome is unknown
   */
  submit(author: number, operations: readonly Operation[], text: string): Promise<Committed> {
    const { crypto, chainId, now, validForMs } = this.#options;
    const salt = this.#random(16);
    const value = textBytes(text);
    const validUntilMs = now() + validForMs;
    const { id, bytes } = encodeTransaction(crypto, {
      chainId,
      author,
      idempotencyKey: this.#random(16),
      validUntilMs,
      operations,
      text: { salt, value },
      textCommitment: partCommitment(crypto, salt, value),
    });
    return new Promise((resolve, reject) => {
      this.#pending.push({ author, id, bytes, validUntilMs, resolve, reject });
      this.#schedule();
    });
  }

  /** Bytes out of a pool: asking the system for 16 at a time takes 5 µs. */
  #random(count: number): Uint8Array {
    if (this.#pool.length - this.#poolUsed < count) {
      this.#pool = this.#options.randomBytes(RANDOM_POOL_BYTES);
      this.#poolUsed = 0;
    }
    const bytes = this.#pool.slice(this.#poolUsed, this.#poolUsed + count);
    this.#poolUsed += count;
    return bytes;
  }

  /** A session has begun a statement of an open transaction, which may soon commit. */
  transactionGoesOn(): void {
    this.#statements += 1;
  }

  /** Departs at the end of a turn of the event loop, so that what arrived together leaves together. */
  #schedule(): void {
    if (this.#scheduled || !this.#mayDepart()) return;
    this.#scheduled = true;
    this.#board(this.#statements, BOARDING_TURNS_MAX);
  }

  #board(begun: number, turns: number): void {
    setImmediate(() => {
      const awaited = this.#expected * BOARDING_SHARE;
      const more = this.#statements !== begun || this.#pending.length < awaited;
      if (more && turns > 1) return this.#board(this.#statements, turns - 1);
      this.#scheduled = false;
      void this.#depart();
    });
  }

  #mayDepart(): boolean {
    if (this.#pending.length === 0) return false;
    return this.#flights === 0 || (this.#late && this.#flights < FLIGHTS_MAX);
  }

  async #depart(): Promise<void> {
    if (!this.#mayDepart()) return;
    const flight = this.#pending;
    this.#pending = [];
    this.#flights += 1;
    this.#watch();
    await Promise.all(byAuthor(flight).map((list) => this.#propose(list)));
    this.#flights -= 1;
    // Whoever has an answer now may come again, and ought to leave with those who wait: else there are two groups for
    // good, and twice the blocks.
    this.#expected = flight.length + this.#pending.length;
    if (this.#flights === 0) this.#watch();
    this.#schedule();
  }

  /** From now on the newest flight has its time. */
  #watch(): void {
    this.#late = false;
    if (this.#lateTimer !== null) clearTimeout(this.#lateTimer);
    this.#lateTimer = null;
    if (this.#flights === 0) return;
    this.#lateTimer = setTimeout(() => {
      this.#late = true;
      this.#schedule();
    }, LATE_MS).unref();
  }

  async #propose(list: readonly Pending[]): Promise<void> {
    try {
      const outcome = await this.#options.consensus.propose(this.#sign(list));
      const following = this.#options.onExecuted(outcome.executed);
      if (following !== undefined) await following;
      settle(list, outcome);
    } catch (error) {
      for (const pending of list) pending.reject(named(error, pending));
    }
  }

  #sign(list: readonly Pending[]): Proposal {
    const { crypto, chainId, signerOf } = this.#options;
    const { author } = list[0]!;
    const signer = signerOf(author);
    const ids = list.map(({ id }) => id);
    const root = merkleRoot(crypto, ids);
    const bundle = {
      author,
      publicKey: signer.publicKey,
      signature: signBundle(crypto, signer.seed, chainId, signer.publicKey, list.length, root),
      transactions: list.map(({ bytes }) => bytes),
    };
    return { bundle, ids, root };
  }
}

/** Whoever does not know the outcome of a transaction must know what to ask for. */
function named(error: unknown, { id, validUntilMs }: Pending): unknown {
  if (!isSqlError(error) || error.sqlstate !== SQLSTATE.statementCompletionUnknown) return error;
  const until = new Date(validUntilMs).toISOString();
  return new SqlError(error.sqlstate, error.message, {
    detail: `Transaction ${hex(id)}, valid until ${until}.`,
    hint: `Any node tells what became of it: SELECT ledger.transaction_status('${hex(id)}', '${until}')`,
  });
}

/** The bundles of a flight. */
function byAuthor(flight: readonly Pending[]): (readonly Pending[])[] {
  const lists = new Map<number, Pending[]>();
  for (const pending of flight) {
    const list = lists.get(pending.author);
    if (list === undefined) lists.set(pending.author, [pending]);
    else list.push(pending);
  }
  return [...lists.values()].flatMap((list) => [...bundled(list)]);
}

/** Cut so that a bundle fits well into a block. */
function* bundled(list: readonly Pending[]): Generator<readonly Pending[]> {
  let start = 0;
  let bytes = 0;
  for (const [index, pending] of list.entries()) {
    const full =
      bytes + pending.bytes.length > LIMITS.blockBodyBytesMax / 4 ||
      index - start >= LIMITS.blockTransactionsMax / 4;
    if (full && index > start) {
      yield list.slice(start, index);
      start = index;
      bytes = 0;
    }
    bytes += pending.bytes.length;
  }
  yield list.slice(start);
}

/** UTF-8 of a text, cut at the limit between two characters. */
function textBytes(text: string): Uint8Array {
  const bytes = textEncoder.encode(text);
  if (bytes.length <= LIMITS.textPartBytesMax) return bytes;
  let end = LIMITS.textPartBytesMax;
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.slice(0, end);
}

function settle(list: readonly Pending[], { executed, receipts, position }: Outcome): void {
  const { height } = executed.block.header;
  list.forEach((pending, index) => {
    const receipt = receipts[index];
    if (receipt === undefined) {
      pending.reject(new SqlError(SQLSTATE.internalError, 'a receipt is missing'));
    } else if (receipt.abort !== null) {
      const { sqlstate, message, fields } = receipt.abort;
      pending.reject(new SqlError(sqlstate, message, fields));
    } else {
      pending.resolve({
        id: pending.id,
        height,
        stamp: stampOf(height, position + index),
        counts: receipt.counts,
      });
    }
  });
}
