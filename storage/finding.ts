// What a look through the files of a node may find: each damage by its place. Types, and their sentence. Pure.

import { hex } from '../ledger/bytes.ts';
import { heightOf, positionOf } from '../ledger/operation.ts';

/** Where a version of a row lies. */
export interface RowPlace {
  readonly relation: number;
  /** Name of the table. */
  readonly table: string;
  /** Which of the table's parts (storage/parts.ts); 0 where it lies whole. */
  readonly part: number;
  readonly rowId: bigint;
  /** As it is stored, which may be no stamp. */
  readonly stamp: bigint | null;
  /** Whether it lies among the closed versions. */
  readonly history: boolean;
}

export type Finding =
  /** A block that is missing or is not the one that the chain has. */
  | {
      readonly kind: 'block';
      readonly file: string;
      readonly height: number;
      readonly what: string;
    }
  /** A chunk of a large transaction that is not what its hash says. */
  | { readonly kind: 'chunk'; readonly file: string; readonly hash: Uint8Array }
  /** The block index does not have the block as it is. */
  | { readonly kind: 'index'; readonly file: string; readonly height: number }
  | { readonly kind: 'receipts'; readonly file: string; readonly height: number }
  /** A version that no transaction wrote, or not so. */
  | ({ readonly kind: 'row'; readonly file: string } & RowPlace)
  /** A version that a transaction wrote and that is not there; `tables` are those that it has written to. */
  | {
      readonly kind: 'missing';
      readonly file: string;
      readonly stamp: bigint;
      readonly leaf: Uint8Array;
      readonly tables: readonly string[];
    }
  /** A file that SQLite cannot read, or that has what does not belong there: not to be repaired in parts. */
  | { readonly kind: 'file'; readonly message: string };

/** A sentence without full stop, the file first. */
export function sentenceOf(finding: Finding): string {
  if (finding.kind === 'file') return finding.message;
  return `${finding.file}: ${whatIs(finding)}`;
}

function whatIs(finding: Exclude<Finding, { kind: 'file' }>): string {
  switch (finding.kind) {
    case 'block':
      return `block ${finding.height}: ${finding.what}`;
    case 'chunk':
      return `chunk ${hex(finding.hash)} has other content`;
    case 'index':
      return `the entry of block ${finding.height} was changed`;
    case 'receipts':
      return `receipts of block ${finding.height} were changed`;
    case 'row': {
      const { rowId, table, stamp, history } = finding;
      const version = history ? 'a closed version of row' : 'row';
      const writer = stamp === null || stamp < 0n ? '' : ` as block ${heightOf(stamp)} wrote it`;
      return `${version} ${rowId} of table ${table} is not${writer}`;
    }
    case 'missing': {
      const { stamp, leaf, tables } = finding;
      const of = tables.length === 0 ? '' : ` of table ${tables.join(' or ')}`;
      const by = `transaction ${positionOf(stamp)} of block ${heightOf(stamp)}`;
      return `a row${of} that ${by} wrote is missing or was changed (leaf ${hex(leaf.subarray(0, 8))})`;
    }
    default:
      return finding satisfies never;
  }
}
