// Sequences at the edge: values handed out from ranges that this node has reserved on the chain. Shell.
//
// (1) A value is handed out only when the chain says that everything up to it is taken: a crash leaves a gap,
//     never a repetition. Gaps are as with CACHE in Postgres.
// (2) `next` is synchronous, because SQL functions are; callers reserve before they evaluate (`ensure`).
// (3) A reservation names the state that it was computed from. Of two nodes that reserve at once one conflicts,
//     looks again and reserves behind the other.

import type { Catalog, Relation, Sequence } from '../ledger/catalog.ts';
import { isSqlError, SqlError } from '../ledger/error.ts';
import type { Operation, SequenceState } from '../ledger/operation.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { RETRIES_MAX } from './limits.ts';

/** A move of a sequence that is on its way to the chain. */
interface Move {
  readonly done: Promise<void>;
  /** The sequence was set or changed meanwhile: what the move reserves is not handed out. */
  void: boolean;
}

interface Range {
  next: bigint;
  /** How many values are left, `next` included. */
  left: bigint;
}

/** Values reserved at a time; grows with use up to the maximum. */
const RESERVE_MIN = 32n;
const RESERVE_MAX = 4096n;

export interface SequencesOptions {
  readonly stateOf: (sequence: number) => SequenceState | undefined;
  /** Submits in the name of a role. */
  readonly submit: (author: number, operation: Operation) => Promise<unknown>;
}

export class Sequences {
  readonly #options: SequencesOptions;
  readonly #ranges = new Map<number, Range>();
  readonly #moves = new Map<number, Move>();
  readonly #sizes = new Map<number, bigint>();

  constructor(options: SequencesOptions) {
    this.#options = options;
  }

  /** Makes sure that `count` calls of `next` will not lack values. */
  ensure(sequence: Sequence, count: number, author: number): void | Promise<void> {
    const range = this.#ranges.get(sequence.id);
    if (range !== undefined && range.left >= BigInt(count)) return undefined;
    return this.#reserve(sequence, count, author);
  }

  /**
   * The next value.
   *
   * @throws SqlError 55000 at the end of a sequence that does not cycle; 40001 when nothing was reserved
   */
  next(sequence: Sequence): bigint {
    const range = this.#ranges.get(sequence.id);
    if (range === undefined || range.left === 0n) throw notReserved(sequence.name);
    const value = range.next;
    range.left -= 1n;
    range.next += sequence.increment;
    return value;
  }

  /** Where a sequence stands on the chain. */
  stateOf(sequence: Sequence): SequenceState {
    return this.#options.stateOf(sequence.id) ?? { last: sequence.start, called: false };
  }

  /** setval: moves the sequence on the chain; what was reserved is void. */
  async set(sequence: Sequence, value: bigint, called: boolean, author: number): Promise<void> {
    if (value < sequence.min || value > sequence.max) {
      throw new SqlError(
        SQLSTATE.numericValueOutOfRange,
        `setval: value ${value} is out of bounds for sequence "${sequence.name}" (${sequence.min}..${sequence.max})`,
      );
    }
    while (this.#moves.has(sequence.id)) await this.#moves.get(sequence.id)!.done;
    this.#ranges.delete(sequence.id);
    // Whoever lacks values meanwhile must reserve them behind this one.
    await this.#move(sequence, async () => {
      await this.#options.submit(author, {
        kind: 'sequence',
        sequence: sequence.id,
        from: null,
        last: value,
        called,
      });
    });
  }

  /** Forgets what is reserved: the sequence has been changed, dropped or restarted. */
  forget(sequence: number): void {
    this.#ranges.delete(sequence);
    this.#sizes.delete(sequence);
    const move = this.#moves.get(sequence);
    if (move !== undefined) move.void = true;
  }

  /** Forgets what is reserved of sequences that an executed transaction, also another node's, has set elsewhere. */
  follow(operations: readonly Operation[]): void {
    for (const operation of operations) {
      if (operation.kind === 'sequence' && operation.from === null) this.forget(operation.sequence);
    }
  }

  /** Forgets sequences that are gone or were redefined. */
  catalogChanged(before: Catalog, after: Catalog): void {
    for (const id of new Set([...this.#ranges.keys(), ...this.#moves.keys()])) {
      if (!sameSequence(before.relations.get(id), after.relations.get(id))) this.forget(id);
    }
  }

  async #reserve(sequence: Sequence, count: number, author: number): Promise<void> {
    while (this.#moves.has(sequence.id)) {
      await this.#moves.get(sequence.id)!.done;
      const range = this.#ranges.get(sequence.id);
      if (range !== undefined && range.left >= BigInt(count)) return;
    }
    await this.#move(sequence, (move) => this.#reserveNow(sequence, BigInt(count), author, move));
  }

  /** One at a time for each sequence. */
  async #move(sequence: Sequence, work: (move: Move) => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const move: Move = { done: promise, void: false };
    this.#moves.set(sequence.id, move);
    try {
      await work(move);
    } finally {
      this.#moves.delete(sequence.id);
      resolve();
    }
  }

  async #reserveNow(sequence: Sequence, count: bigint, author: number, move: Move): Promise<void> {
    let size = this.#sizes.get(sequence.id) ?? 0n;
    size = size === 0n ? bigMax(RESERVE_MIN, sequence.cache) : bigMin(size * 2n, RESERVE_MAX);
    this.#sizes.set(sequence.id, size);
    const { first, taken } = await this.#take(sequence, bigMax(size, count), author, move);
    const range = this.#ranges.get(sequence.id);
    // What is left of the old range is contiguous with the new one unless the sequence was moved, here or by another
    // node, or has cycled.
    const contiguous =
      range !== undefined &&
      range.left > 0n &&
      range.next + range.left * sequence.increment === first;
    this.#ranges.set(
      sequence.id,
      contiguous ? { next: range.next, left: range.left + taken } : { next: first, left: taken },
    );
  }

  /** Sets values aside on the chain: at most `size`, fewer at the sequence's end. */
  async #take(
    sequence: Sequence,
    size: bigint,
    author: number,
    move: Move,
  ): Promise<{ readonly first: bigint; readonly taken: bigint }> {
    for (let attempt = 1; ; attempt += 1) {
      move.void = false;
      const from = this.stateOf(sequence);
      const first = firstAfter(sequence, from);
      const taken = bigMin(size, roomFrom(sequence, first));
      const last = first + (taken - 1n) * sequence.increment;
      try {
        await this.#options.submit(author, {
          kind: 'sequence',
          sequence: sequence.id,
          from,
          last,
          called: true,
        });
        if (!move.void) return { first, taken };
        if (attempt >= RETRIES_MAX) throw notReserved(sequence.name);
      } catch (error) {
        if (!isConflict(error) || attempt >= RETRIES_MAX) throw error;
      }
    }
  }
}

/** Whether what is reserved still holds: a catalog read anew has other objects of the same content. */
function sameSequence(before: Relation | undefined, after: Relation | undefined): boolean {
  if (before?.kind !== 'sequence' || after?.kind !== 'sequence') return false;
  const fields = ['type', 'start', 'increment', 'min', 'max', 'cycle', 'cache'] as const;
  return fields.every((field) => before[field] === after[field]);
}

/**
 * The value that comes after a state.
 *
 * @throws SqlError 2200H at the end of a sequence that does not cycle
 */
export function firstAfter(sequence: Sequence, { last, called }: SequenceState): bigint {
  const next = called ? last + sequence.increment : last;
  if (!beyond(sequence, next)) return next;
  if (!sequence.cycle) throw exhausted(sequence);
  return sequence.increment > 0n ? sequence.min : sequence.max;
}

/** Whether `next` failed for want of reserved values. */
export function isNotReserved(error: unknown): boolean {
  return isSqlError(error) && error.message.endsWith(NOT_RESERVED);
}

/** How many values there are from `first` to the sequence's end. */
function roomFrom({ increment, min, max }: Sequence, first: bigint): bigint {
  return (increment > 0n ? max - first : first - min) / abs(increment) + 1n;
}

function isConflict(error: unknown): boolean {
  return isSqlError(error) && error.sqlstate === SQLSTATE.serializationFailure;
}

function beyond(sequence: Sequence, value: bigint): boolean {
  return value > sequence.max || value < sequence.min;
}

function exhausted(sequence: Sequence): SqlError {
  const [word, bound] =
    sequence.increment > 0n ? ['maximum', sequence.max] : ['minimum', sequence.min];
  return new SqlError(
    SQLSTATE.sequenceGeneratorLimitExceeded,
    `nextval: reached ${word} value of sequence "${sequence.name}" (${bound})`,
  );
}

const NOT_RESERVED = ' is reserved here';

function notReserved(name: string): SqlError {
  return new SqlError(
    SQLSTATE.serializationFailure,
    `no value of sequence "${name}"${NOT_RESERVED}`,
    {
      hint: 'Run the statement again.',
    },
  );
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}
function bigMin(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
function bigMax(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
