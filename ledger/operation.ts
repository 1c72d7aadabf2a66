// Row operations: what a transaction asks of the ledger. Pure types; the bytes are ledger/encoding.ts.
//
// A statement is evaluated once, at the edge; what is ordered is what should happen to which rows, so that
// applying is deterministic, bounded and independent of the storage engine.
//
// Row ids. A row gets a permanent id (bigint from 1, per table) from the chain when it is inserted. An
// operation of the same transaction names a row inserted earlier in it by -n: the n-th row (from 1) that the
// transaction inserted, over all its tables.
//
// Versions. A row version is named by its stamp, height * 65536 + position of its transaction in the block
// (bigint). An image names the stamp it has seen; 0 means "written by this very transaction". If another
// stamp is found the transaction aborts with 40001.

import type { CatalogChange } from './catalog.ts';
import type { Expression } from './expression.ts';
import type { Row } from './type.ts';

export interface Assignment {
  readonly column: number;
  readonly value: Expression;
}

/** ON CONFLICT. */
export interface ConflictClause {
  /** Arbiter index id, or null for any (DO NOTHING only). */
  readonly index: number | null;
  /** null: DO NOTHING. Else DO UPDATE; expressions see the existing row and EXCLUDED. */
  readonly update: {
    readonly set: readonly Assignment[];
    readonly where: Expression | null;
  } | null;
}

/** Where a sequence stands; one that has never moved stands at its start, not called. */
export interface SequenceState {
  readonly last: bigint;
  /** `last` has been handed out; if not, it is the next value. */
  readonly called: boolean;
}

export type Operation =
  /** New rows; every column of the schema version but the generated ones, in `columns` order. */
  | {
      readonly kind: 'insert';
      readonly relation: number;
      readonly schemaVersion: number;
      readonly columns: readonly number[];
      readonly rows: readonly Row[];
      readonly conflict: ConflictClause | null;
    }
  /**
   * UPDATE or DELETE of the row found by a unique key, whose expressions read only that row and constants.
   * No such row, or `where` not true: nothing happens and the count is 0; with `required` the transaction
   * aborts with 40001 instead (an open transaction has told its client that the row was there).
   */
  | {
      readonly kind: 'program';
      readonly relation: number;
      readonly schemaVersion: number;
      readonly index: number;
      /** Key values in the order of the index's keys; none is null. */
      readonly key: Row;
      readonly where: Expression | null;
      /** null: delete the row. */
      readonly set: readonly Assignment[] | null;
      readonly required: boolean;
    }
  /** Rows replaced: `values` holds new values of `columns`, in that order; the others stay. */
  | {
      readonly kind: 'update';
      readonly relation: number;
      readonly schemaVersion: number;
      readonly columns: readonly number[];
      readonly rows: readonly {
        readonly rowId: bigint;
        readonly version: bigint;
        readonly values: Row;
      }[];
    }
  | {
      readonly kind: 'delete';
      readonly relation: number;
      readonly rows: readonly { readonly rowId: bigint; readonly version: bigint }[];
    }
  /** Aborts with 40001 unless the rows still hold these versions (FOR UPDATE, REPEATABLE READ). */
  | {
      readonly kind: 'require';
      readonly relation: number;
      readonly rows: readonly { readonly rowId: bigint; readonly version: bigint }[];
    }
  /** Aborts with 40001 if the table was written after `stamp` (SERIALIZABLE reads). */
  | { readonly kind: 'requireTable'; readonly relation: number; readonly stamp: bigint }
  /** Deletes every row of the tables, recorded row by row in history. */
  | { readonly kind: 'truncate'; readonly relations: readonly number[] }
  /**
   * A sequence moves: values up to and including `last` are handed out (`called`), or `last` is the next (not `called`).
   * What was computed from where it stood says so in `from`: aborts with 40001 if it stands elsewhere by now, since
   * another node may have handed out the same values. null: wherever it stands (setval, RESTART).
   */
  | {
      readonly kind: 'sequence';
      readonly sequence: number;
      readonly from: SequenceState | null;
      readonly last: bigint;
      readonly called: boolean;
    }
  /**
   * DDL, roles, grants. Aborts with 40001 unless the catalog is at version `base`.
   * `role`, `searchPath` and `text` are what the mirror replays; `text` has its secrets redacted.
   */
  | {
      readonly kind: 'catalog';
      readonly base: number;
      readonly changes: readonly CatalogChange[];
      readonly role: string;
      readonly searchPath: string;
      readonly text: string;
    }
  /** Operations too large for a block, stored before it: chunk hashes in order, each chunk an encoded list of operations. */
  | { readonly kind: 'chunks'; readonly hashes: readonly Uint8Array[]; readonly bytes: number };

/** What one operation did, in the order of the operations; chunks count as their operations. */
export interface OperationCounts {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

export type OperationOf<K extends Operation['kind']> = Extract<Operation, { kind: K }>;

/** Stamps per block: positions 0 … 65535. */
export const STAMP_POSITIONS = 65_536n;

export function stampOf(height: number, position: number): bigint {
  return BigInt(height) * STAMP_POSITIONS + BigInt(position);
}

export function heightOf(stamp: bigint): number {
  return Number(stamp / STAMP_POSITIONS);
}

export function positionOf(stamp: bigint): number {
  return Number(stamp % STAMP_POSITIONS);
}
