// What the main thread and a reader process say to each other. Types only.
//
// A reader runs one query at a time and sends a batch for each `more`, so a slow client slows its reader and
// nothing piles up. There is no message to stop a running query: the pool kills the process.

import type { Catalog } from '../../ledger/catalog.ts';
import type { SqlErrorFields } from '../../ledger/error.ts';
import type { Row, SqlType } from '../../ledger/type.ts';
import type { ValueContext } from '../../sql/value/context.ts';
import type { QueryRequest } from './query-runner.ts';

/** The settings of a session that a query depends on: a ValueContext without its functions. */
export type SessionImage = Omit<ValueContext, 'enumLabels' | 'objectName' | 'objectOid'>;

export interface Run {
  readonly kind: 'run';
  readonly request: QueryRequest;
  readonly session: SessionImage;
  /** Columns to encode as DataRows, with their formats; null: send the values themselves. */
  readonly columns: readonly { readonly type: SqlType; readonly format: 0 | 1 }[] | null;
}

export type ToReader =
  /** The catalog that the next queries are compiled for. */
  | { readonly kind: 'catalog'; readonly catalog: Catalog }
  | Run
  | { readonly kind: 'more'; readonly rowsMax: number }
  | { readonly kind: 'close' };

export type FromReader =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'rows';
      readonly bytes: Uint8Array;
      readonly count: number;
      readonly done: boolean;
    }
  | { readonly kind: 'values'; readonly rows: readonly Row[]; readonly done: boolean }
  | {
      readonly kind: 'error';
      readonly sqlstate: string;
      readonly message: string;
      readonly fields: SqlErrorFields;
    };
