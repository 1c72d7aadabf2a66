// Linearizable reads of this node: each waits until everything is executed that was confirmed before it began. Pure.
//
// Up to which height that is the replica finds out (core/recovery.ts): one question to all members serves all reads
// that began before it was sent.

import { SqlError } from '../ledger/error.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';

interface Read {
  /** What must be executed; null until the replica has said so. */
  height: number | null;
  /** When it is given up, by the clock of `expire`. */
  readonly untilMs: number;
  resolve(): void;
  reject(error: Error): void;
}

export class Reads {
  readonly #reads = new Map<number, Read>();
  #lastId = 0;
  /** Newest block executed. */
  #height: number;

  constructor(height: number) {
    this.#height = height;
  }

  /**
   * @returns what the replica is asked by, and what resolves in the end
   * @throws SqlError 57P03 when the time is up
   */
  begin(untilMs: number): { readonly id: number; readonly outcome: Promise<void> } {
    const id = ++this.#lastId;
    const { promise: outcome, resolve, reject } = Promise.withResolvers<void>();
    this.#reads.set(id, { height: null, untilMs, resolve, reject });
    return { id, outcome };
  }

  /** The replica knows how far a read must see. */
  ready(id: number, height: number): void {
    const read = this.#reads.get(id);
    if (read === undefined) return;
    read.height = height;
    if (height <= this.#height) this.#serve(id, read);
  }

  executed(height: number): void {
    this.#height = height;
    for (const [id, read] of this.#reads) {
      if (read.height !== null && read.height <= height) this.#serve(id, read);
    }
  }

  /** Gives up what has waited until now; everything when `nowMs` is Infinity. */
  expire(nowMs: number): void {
    for (const [id, read] of this.#reads) {
      if (read.untilMs > nowMs) continue;
      this.#reads.delete(id);
      read.reject(read.height === null ? unansweredError() : behindError(read.height));
    }
  }

  /** Refuses what waits. */
  end(error: Error): void {
    for (const { reject } of this.#reads.values()) reject(error);
    this.#reads.clear();
  }

  #serve(id: number, { resolve }: Read): void {
    this.#reads.delete(id);
    resolve();
  }
}

const HINT =
  "Ask another node, or SET ledger.read_consistency = 'session' to read what this node has.";

// Nothing has happened, the session is sound, and another node may answer: what 57P03 tells drivers and pools.
function unansweredError(): SqlError {
  return new SqlError(
    SQLSTATE.cannotConnectNow,
    'this node cannot tell whether it has everything that is confirmed: too few members answer it',
    { hint: HINT },
  );
}

function behindError(height: number): SqlError {
  return new SqlError(
    SQLSTATE.cannotConnectNow,
    `this node is behind: it has not executed block ${height} in time`,
    { hint: HINT },
  );
}
