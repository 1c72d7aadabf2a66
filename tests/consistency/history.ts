// What clients did to lists, and when: the words of the workload and of its checker. Pure.

/** Of a transaction of one client at one node. */
export interface Operation {
  /** The node it was sent to, from 0. */
  readonly node: number;
  /** When it was sent, and when its answer came, by one clock, in milliseconds. */
  readonly invokedMs: number;
  readonly returnedMs: number;
  /** `unknown`: the connection went down, or the answer said so; it may still happen after `returnedMs`. */
  readonly outcome: 'done' | 'refused' | 'unknown';
  /** Whether it had to see everything that any node had confirmed before. */
  readonly linearizable: boolean;
  /** In this order: everything it has read, then everything it has appended. */
  readonly reads: readonly Read[];
  readonly appends: readonly Append[];
}

export interface Read {
  readonly list: string;
  readonly values: readonly number[];
}

export interface Append {
  readonly list: string;
  /** No other operation appends it to any list. */
  readonly value: number;
}

/** A transaction of one session, for the checker of isolation levels. */
export interface Transaction {
  readonly session: number;
  readonly invokedMs: number;
  readonly returnedMs: number;
  /** `refused`: it has failed, or was rolled back. */
  readonly outcome: 'done' | 'refused';
  readonly steps: readonly Step[];
}

/** One statement has read lists; a value was appended; a rollback to a savepoint has taken back what was appended since. */
export type Step =
  | { readonly kind: 'read'; readonly reads: readonly Read[] }
  | { readonly kind: 'append'; readonly append: Append }
  | { readonly kind: 'undo'; readonly appends: readonly Append[] };
