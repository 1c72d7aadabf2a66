// What the main thread asks of the analyst's worker, and how it answers. Types only.

import type { Catalog } from '../../ledger/catalog.ts';
import type { SqlErrorFields } from '../../ledger/error.ts';
import type { Datum } from '../../ledger/type.ts';
import type { Analysis, AnalysisContext, DdlAnalysis, DdlRecord } from '../analysis.ts';
import type { ImageOptions } from './image.ts';
import type { CatalogAnswer, ColumnDefault, OidTable } from './mirror.ts';

/** Methods of the worker by name: arguments and result, all of them fit for structured clone. */
export interface Calls {
  load: { arguments: [Catalog, readonly DdlRecord[], number]; result: OidTable };
  analyse: { arguments: [string, readonly number[], AnalysisContext]; result: Analysis };
  defaults: { arguments: [number, AnalysisContext]; result: readonly ColumnDefault[] };
  analyseDdl: { arguments: [string, AnalysisContext]; result: DdlAnalysis };
  applyDdl: { arguments: [readonly DdlRecord[], Catalog]; result: OidTable };
  relationId: { arguments: [string | undefined, string, AnalysisContext]; result: number };
  typeOids: { arguments: [readonly string[], AnalysisContext]; result: readonly number[] };
  evaluate: {
    arguments: [string, readonly number[], AnalysisContext];
    result: readonly Datum[];
  };
  catalogQuery: {
    arguments: [
      string,
      readonly number[],
      readonly (Uint8Array | null)[],
      readonly number[],
      readonly number[],
      AnalysisContext,
    ];
    result: CatalogAnswer;
  };
}

export type CallName = keyof Calls;

export interface Request<N extends CallName = CallName> {
  readonly id: number;
  readonly name: N;
  readonly arguments: Calls[N]['arguments'];
}

/** What a worker is started with. */
export interface WorkerSettings {
  readonly database: string;
  readonly images: Omit<ImageOptions, 'onFault'> | null;
}

export type Response =
  /** See ImageOptions. */
  | { readonly imageFault: string; readonly file: string }
  /** The worker is up. */
  | { readonly id: 0 }
  | { readonly id: number; readonly result: unknown }
  | {
      readonly id: number;
      readonly sqlError: {
        readonly sqlstate: string;
        readonly message: string;
        readonly fields: SqlErrorFields;
      };
    }
  /** Anything else that was thrown: the mirror may be damaged. */
  | { readonly id: number; readonly failure: string };
