// What the analyst knows of a statement. Types only; sql/analyst/ makes them.

import type { CatalogChange } from '../ledger/catalog.ts';
import type { SqlType } from '../ledger/type.ts';
import type { Query } from './ir.ts';

/** DDL as the mirror replays it: the text, and who ran it with which search_path. */
export interface DdlRecord {
  readonly role: string;
  /** As SHOW search_path prints it. */
  readonly searchPath: string;
  readonly text: string;
}

/** In what light a statement is read: names and permissions depend on it. */
export interface AnalysisContext {
  /** Current role's name (SET ROLE counts). */
  readonly role: string;
  readonly sessionRole: string;
  /** As SHOW search_path prints it. */
  readonly searchPath: string;
  /** DDL of the open transaction, oldest first, replayed before the analysis. */
  readonly pendingDdl: readonly DdlRecord[];
  /** Settings that change how texts are read or shown: TimeZone, DateStyle, IntervalStyle, standard_conforming_strings, …; lower-case names. */
  readonly settings: ReadonlyMap<string, string>;
}

/** A result column as Postgres describes it. */
export interface DescribedColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typmod: number;
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly type: SqlType;
}

export interface DescribedParameter {
  readonly typeOid: number;
  readonly type: SqlType;
}

/** A statement after parse analysis. */
export interface Analysis {
  readonly parameters: readonly DescribedParameter[];
  /** null: returns no rows. */
  readonly columns: readonly DescribedColumn[] | null;
  /** The resolved statement; null for catalog-only SELECTs that the analyst itself runs (`catalogOnly`). */
  readonly query: Query | null;
  /** It touches no ledger table, view or function: the analyst may answer it. */
  readonly catalogOnly: boolean;
}

/** DDL, checked in the mirror and rolled back there. */
export interface DdlAnalysis {
  readonly changes: readonly CatalogChange[];
  readonly tag: string;
  readonly notices: readonly {
    readonly severity: string;
    readonly sqlstate: string;
    readonly message: string;
  }[];
  /** Relations and columns whose existing rows must be checked or rewritten, by kind. */
  readonly rowChecks: readonly RowCheck[];
}

export type RowCheck =
  | { readonly kind: 'notNull'; readonly relation: number; readonly column: number }
  | { readonly kind: 'check'; readonly relation: number; readonly check: number }
  | { readonly kind: 'unique'; readonly relation: number; readonly index: number }
  | { readonly kind: 'foreignKey'; readonly relation: number; readonly foreignKey: number }
  /** ALTER COLUMN … TYPE: every row gets a new version; `using` is the conversion in terms of the old row. */
  | {
      readonly kind: 'rewrite';
      readonly relation: number;
      readonly column: number;
      readonly using: string;
    }
  /** ADD COLUMN with a volatile or generated default. */
  | { readonly kind: 'fill'; readonly relation: number; readonly column: number };
