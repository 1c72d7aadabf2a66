// What the compiler makes of a SELECT: SQLite text and how to bind and read it. Pure types.

import type { SqlType } from '../ledger/type.ts';

/** How a query sees the tables of the ledger. */
export type Visibility =
  /** The newest state, in one SQLite snapshot. */
  | 'current'
  /** The state after a height, through history; the stamp is bound as `:as_of`. */
  | 'asOf';

export interface ResultColumn {
  readonly name: string;
  /** The value's representation follows from this type (ledger/type.ts). */
  readonly type: SqlType;
  /** Ledger relation and column it comes from plainly; 0 otherwise. */
  readonly relation: number;
  readonly column: number;
}

/** How much of a spread table is read. */
export interface SpreadRead {
  readonly relation: number;
  /** How many parts it has. */
  readonly parts: number;
  /** SQLite expression that gives the one part that is read, by the column the table is spread by; null: all are. */
  readonly part: string | null;
}

export interface CompiledQuery {
  /**
   * One SQLite SELECT. Parameters are named: `:p1` … for the statement's `$1` …, `:as_of` (stamp), `:now`
   * (microseconds since 2000-01-01), `:today` (days), `:user`, `:session_user` (text), and `:ledger_nodes`,
   * `:ledger_consensus`, `:ledger_alarms`, `:ledger_files` (rows as a JSON array of objects) where used.
   */
  readonly text: string;
  /** Named parameters that occur in `text`, without the colon. */
  readonly parameters: readonly string[];
  readonly columns: readonly ResultColumn[];
  /** Version of the catalog it was compiled for. */
  readonly catalogVersion: number;
  /** Ledger tables it reads, by id, each once. */
  readonly tables: readonly number[];
  /** Spread tables it reads, each time that it does. */
  readonly spread: readonly SpreadRead[];
  /**
   * Set when the query returns at most one row, found by equality on all keys of a unique index of its only
   * table, with no subquery.
   */
  readonly pointRead: { readonly relation: number; readonly index: number } | null;
  /** A few steps are all it takes, whatever its arguments and the tables hold: it may run on the main thread. */
  readonly bounded: boolean;
  /** SQL functions it calls that only the session can answer (nextval, current_setting …). */
  readonly sessionFunctions: readonly string[];
}
