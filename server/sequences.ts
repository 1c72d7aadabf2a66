// Sequences at the edge: values handed out from ranges that this node has reserved on the chain. Shell.
//
// (1) A value is handed out only when the chain says that everything up to it is taken: a crash leaves a gap,
//     never a repetition. Gaps are as with CACHE in Postgres.
// (2) `next` is synchronous, because SQL functions are; callers reserve before they evaluate (`ensure`).

import type { Catalog, Relation, Sequence } from '../ledger/catalog.ts';
import { isSqlError, SqlError } from '../ledger/error.ts';
import type { Operation } from '../ledger/operation.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';

/** Where a sequence stands on the chain. */
export interface SequenceState {
  readonly last: bigint;
  /** `last` has been handed out; if not, it is the next value. */
  readonly called: boolean;
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
  readonly #reserving = new Map<number, Promise<void>>();
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
    while (this.#reserving.has(sequence.id)) await this.#reserving.get(sequence.id);
    this.#ranges.delete(sequence.id);
    const work = this.#options.submit(author, {
      kind: 'sequence',
      sequence: sequence.id,
      last: value,
      called,
    });
    // Whoever lacks values meanwhile must reserve them behind this one.
    this.#reserving.set(
      sequence.id,
      Promise.resolve(work).then(
        () => {},
        () => {},
      ),
    );
    try {
      await work;
    } finally {
      this.#reserving.delete(sequence.id);
    }
  }

  /** Forgets what is reserved: the sequence has been changed, dropped or restarted. */
  forget(sequence: number): void {
    this.#ranges.delete(sequence);
    this.#sizes.delete(sequence);
  }

  /** Forgets sequences that are gone or were redefined. */
  catalogChanged(before: Catalog, after: Catalog): void {
    for (const id of this.#ranges.keys()) {
      if (!sameSequence(before.relations.get(id), after.relations.get(id))) this.forget(id);
    }
  }

  async #reserve(sequence: Sequence, count: number, author: number): Promise<void> {
    for (;;) {
      const other = this.#reserving.get(sequence.id);
      if (other === undefined) break;
      await other;
      const range = this.#ranges.get(sequence.id);
      if (range !== undefined && range.left >= BigInt(count)) return;
    }
    const work = this.#reserveNow(sequence, BigInt(count), author);
    this.#reserving.set(
      sequence.id,
      work.catch(() => {}),
    );
    try {
      await work;
    } finally {
      this.#reserving.delete(sequence.id);
    }
  }

  async #reserveNow(sequence: Sequence, count: bigint, author: number): Promise<void> {
    const range = this.#ranges.get(sequence.id);
    let size = this.#sizes.get(sequence.id) ?? 0n;
    size = size === 0n ? bigMax(RESERVE_MIN, sequence.cache) : bigMin(size * 2n, RESERVE_MAX);
    this.#sizes.set(sequence.id, size);
    size = bigMax(size, count);
    const first = firstAfter(sequence, this.stateOf(sequence));
    const room =
      (sequence.increment > 0n ? sequence.max - first : first - sequence.min) /
        abs(sequence.increment) +
      1n;
    const taken = bigMin(size, room);
    const last = first + (taken - 1n) * sequence.increment;
    await this.#options.submit(author, {
      kind: 'sequence',
      sequence: sequence.id,
      last,
      called: true,
    });
    // What was left of the old range is contiguous with the new one unless the sequence was moved or cycled.
    const contiguous =
      range !== undefined &&
      range.left > 0n &&
      range.next + range.left * sequence.increment === first;
    this.#ranges.set(
      sequence.id,
      contiguous ? { next: range.next, left: range.left + taken } : { next: first, left: taken },
    );
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
