// What the node does with a statement, worked out once and kept. Types only.

import type { Catalog } from '../../ledger/catalog.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { Analysis } from '../../sql/analysis.ts';
import type { Query } from '../../sql/ir.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import type { CompiledQuery } from '../../sql/query.ts';
import type { ColumnDescription } from '../pgwire/backend.ts';
import type { InsertPlan } from './plan-insert.ts';
import type { ModifyPlan } from './plan-modify.ts';
import type { WithPlan } from './plan-with.ts';

export interface ReadPlan {
  readonly kind: 'read';
  readonly query: Query;
  readonly analysis: Analysis;
  /** The query as of the newest state, without an overlay. */
  readonly compiled: CompiledQuery;
  /** Further compilations, by visibility and the tables with an overlay. */
  readonly variants: Map<string, CompiledQuery>;
}

export interface CatalogPlan {
  readonly kind: 'catalog';
  readonly text: string;
  readonly analysis: Analysis;
}

export interface UtilityPlan {
  readonly kind: 'utility';
  readonly statement: ParsedStatement;
}

export type Plan = ReadPlan | CatalogPlan | InsertPlan | ModifyPlan | WithPlan | UtilityPlan;

/** A statement after Parse: its plan and how the protocol describes it. */
export interface Prepared {
  readonly text: string;
  /** null: an empty statement. */
  readonly statement: ParsedStatement | null;
  readonly plan: Plan | null;
  readonly parameterOids: readonly number[];
  readonly parameterTypes: readonly SqlType[];
  /** null: no rows, or known only when described (utility statements). */
  readonly columns: readonly ColumnDescription[] | null;
  /** Types of `columns`. */
  readonly columnTypes: readonly SqlType[];
  /** What else its text was read by: role, search_path and the like (planner.ts scopeOf). */
  readonly scope: string;
  /** Version of the chain's catalog it was made for. */
  readonly catalogVersion: number;
  /** The catalog it was made for, with the transaction's own changes. */
  readonly catalog: Catalog;
  /** The statement (PREPARE, …) that it stands in, and where: positions of errors count from its start. */
  readonly outer?: { readonly text: string; readonly start: number };
}

/** A statement with the values of its parameters. */
export interface Bound {
  readonly prepared: Prepared;
  readonly parameters: readonly Datum[];
}
