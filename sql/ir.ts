// The resolved statement: our own small, closed form of the tree that Postgres' parse analysis makes. Pure types.
//
// sql/node-tree.ts is the only file that knows Postgres' text of it; sql/compile/ turns it into SQLite text,
// sql/plan/ into row operations, and sql/to-expression.ts into the ledger's expression language.
//
// (1) Every name, operator, function, type and implicit cast is resolved. Functions and operators are named
//     by Postgres' symbol: pg_proc.prosrc for functions of language internal, otherwise proname.
// (2) Range table indexes are 1-based, as in Postgres; `levelsUp` counts enclosing queries.
// (3) Views are expanded: a view in FROM is a `subquery` entry. Relations are ledger ids.

import type { Datum, SqlType } from '../ledger/type.ts';

export interface FunctionRef {
  /** pg_proc.oid: the same in every Postgres for built-in functions (below 16384). */
  readonly oid: number;
  /** proname, e.g. `length`. */
  readonly name: string;
  /** prosrc of an internal function, e.g. `textlen`; else the same as `name`. */
  readonly symbol: string;
  readonly volatility: 'immutable' | 'stable' | 'volatile';
  readonly strict: boolean;
  readonly returnsSet: boolean;
}

export type Scalar =
  /** `relation`: ledger id of the relation that a regclass constant names. */
  | {
      readonly kind: 'const';
      readonly type: SqlType;
      readonly value: Datum;
      readonly relation?: number;
    }
  /** $n, 1-based. */
  | { readonly kind: 'param'; readonly type: SqlType; readonly number: number }
  /** Column `column` (attribute number; 0 is the whole row) of range table entry `entry`, `levelsUp` queries out. */
  | {
      readonly kind: 'var';
      readonly type: SqlType;
      readonly entry: number;
      readonly column: number;
      readonly levelsUp: number;
    }
  /** Function or operator call, and casts that are functions. `format` tells how it was written. */
  | {
      readonly kind: 'call';
      readonly type: SqlType;
      readonly fn: FunctionRef;
      readonly args: readonly Scalar[];
      readonly variadic: boolean;
      readonly format: 'call' | 'operator' | 'cast';
    }
  /** A cast through the types' text forms (CoerceViaIO), to or from text usually. */
  | { readonly kind: 'viaText'; readonly type: SqlType; readonly arg: Scalar }
  /** Same bytes, other type (RelabelType), and casts to a domain, whose checks apply. */
  | { readonly kind: 'relabel' | 'toDomain'; readonly type: SqlType; readonly arg: Scalar }
  | {
      readonly kind: 'arrayCoerce';
      readonly type: SqlType;
      readonly arg: Scalar;
      /** element cast; its input is `caseValue` */ readonly element: Scalar;
    }
  | {
      readonly kind: 'and' | 'or' | 'coalesce' | 'greatest' | 'least';
      readonly type: SqlType;
      readonly args: readonly Scalar[];
    }
  | {
      readonly kind:
        | 'not'
        | 'isNull'
        | 'isNotNull'
        | 'isTrue'
        | 'isNotTrue'
        | 'isFalse'
        | 'isNotFalse'
        | 'isUnknown'
        | 'isNotUnknown';
      readonly type: SqlType;
      readonly arg: Scalar;
    }
  | {
      readonly kind: 'distinct' | 'nullIf';
      readonly type: SqlType;
      readonly equal: FunctionRef;
      readonly left: Scalar;
      readonly right: Scalar;
    }
  /** `arg op ANY|ALL (array)`. */
  | {
      readonly kind: 'anyOf';
      readonly type: SqlType;
      readonly any: boolean;
      readonly fn: FunctionRef;
      readonly arg: Scalar;
      readonly array: Scalar;
    }
  /** `operand` null: searched CASE. Otherwise each `when` refers to it as `caseValue`. */
  | {
      readonly kind: 'case';
      readonly type: SqlType;
      readonly operand: Scalar | null;
      readonly whens: readonly { readonly when: Scalar; readonly then: Scalar }[];
      readonly otherwise: Scalar | null;
    }
  | { readonly kind: 'caseValue'; readonly type: SqlType }
  | {
      readonly kind: 'array';
      readonly type: SqlType;
      readonly elements: readonly Scalar[];
      readonly nested: boolean;
    }
  | {
      readonly kind: 'subscript';
      readonly type: SqlType;
      readonly arg: Scalar;
      readonly lower: readonly (Scalar | null)[];
      readonly upper: readonly (Scalar | null)[];
      readonly slice: boolean;
    }
  /** ROW(…); `names` of its fields where it stands for the row of a table, else null: f1, f2, … */
  | {
      readonly kind: 'row';
      readonly type: SqlType;
      readonly args: readonly Scalar[];
      readonly names: readonly string[] | null;
    }
  /** (a,b) < (c,d); `equal` when op is = or <>. */
  | {
      readonly kind: 'rowCompare';
      readonly type: SqlType;
      readonly op: '<' | '<=' | '>=' | '>';
      readonly fns: readonly FunctionRef[];
      readonly left: readonly Scalar[];
      readonly right: readonly Scalar[];
    }
  | { readonly kind: 'field'; readonly type: SqlType; readonly arg: Scalar; readonly field: number }
  /** current_user, current_date, … (SQLValueFunction), lower-case without brackets. */
  | { readonly kind: 'session'; readonly type: SqlType; readonly name: string }
  | {
      readonly kind: 'aggregate';
      readonly type: SqlType;
      readonly fn: FunctionRef;
      readonly args: readonly Scalar[];
      readonly star: boolean;
      readonly distinct: boolean;
      readonly order: readonly SortKey[];
      /** arguments before WITHIN GROUP */ readonly direct: readonly Scalar[];
      readonly filter: Scalar | null;
      readonly levelsUp: number;
    }
  | { readonly kind: 'grouping'; readonly type: SqlType; readonly args: readonly Scalar[] }
  /** `window` indexes Query.windows. */
  | {
      readonly kind: 'window';
      readonly type: SqlType;
      readonly fn: FunctionRef;
      readonly args: readonly Scalar[];
      readonly star: boolean;
      readonly filter: Scalar | null;
      readonly window: number;
      readonly aggregate: boolean;
    }
  /** `test` of ANY/ALL compares `param` (subParam n = n-th column of the subquery) with the left side. */
  | {
      readonly kind: 'subquery';
      readonly type: SqlType;
      readonly link: 'exists' | 'scalar' | 'any' | 'all' | 'array' | 'rowCompare';
      readonly query: Query;
      readonly test: Scalar | null;
    }
  | { readonly kind: 'subParam'; readonly type: SqlType; readonly number: number }
  /** DEFAULT in VALUES or SET. */
  | { readonly kind: 'default'; readonly type: SqlType };

type MemberOf<M, K> = M extends { readonly kind: infer Own }
  ? [K & Own] extends [never]
    ? never
    : M
  : never;

/** The scalars of some kinds; kinds that share a shape come together. */
export type ScalarOf<K extends Scalar['kind']> = MemberOf<Scalar, K>;

export interface SortKey {
  readonly expression: Scalar;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

/** The same, where the key is a target list entry (index into Query.targets). */
export interface SortRef {
  readonly target: number;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export interface Target {
  readonly expression: Scalar;
  readonly name: string;
  /** Used for sorting or grouping only; not part of the result. */
  readonly hidden: boolean;
  /** Ledger relation and column it comes from, when it is one plainly; 0 otherwise. */
  readonly relation: number;
  readonly column: number;
  /** Target column id in INSERT and UPDATE; else 0. */
  readonly assign: number;
}

export type RangeEntry =
  | {
      readonly kind: 'relation';
      readonly alias: string;
      readonly relation: number;
      readonly relationKind: 'table' | 'sequence' | 'ledgerView' | 'history' | 'excluded';
      /** Names by attribute number - 1; dropped ones are ''. */ readonly columns: readonly string[];
    }
  | {
      readonly kind: 'subquery';
      readonly alias: string;
      readonly query: Query;
      readonly lateral: boolean;
      readonly columns: readonly string[];
    }
  /** Columns of a join: each is an expression over its inputs (for USING and alias references). */
  | {
      readonly kind: 'join';
      readonly alias: string;
      readonly join: JoinType;
      readonly aliasVars: readonly (Scalar | null)[];
      readonly columns: readonly string[];
    }
  | {
      readonly kind: 'values';
      readonly alias: string;
      readonly rows: readonly (readonly Scalar[])[];
      readonly types: readonly SqlType[];
      readonly columns: readonly string[];
    }
  | {
      readonly kind: 'function';
      readonly alias: string;
      readonly calls: readonly {
        readonly call: Scalar;
        readonly columnCount: number;
        readonly columnTypes: readonly SqlType[];
      }[];
      readonly ordinality: boolean;
      readonly lateral: boolean;
      readonly columns: readonly string[];
    }
  | {
      readonly kind: 'cte';
      readonly alias: string;
      readonly name: string;
      readonly levelsUp: number;
      readonly recursive: boolean;
      readonly types: readonly SqlType[];
      readonly columns: readonly string[];
    }
  /** Rows that the session lays beside the query, columns from 1 on (server/session/plan-with.ts). */
  | {
      readonly kind: 'given';
      readonly alias: string;
      readonly relation: number;
      readonly columns: readonly string[];
    }
  /** PG 18's grouping step; group expressions by column number. */
  | { readonly kind: 'group'; readonly expressions: readonly Scalar[] }
  /** FROM (nothing): INSERT … DEFAULT VALUES. */
  | { readonly kind: 'result' };

export type JoinType = 'inner' | 'left' | 'right' | 'full';

/** FROM as a tree; `entry` is a range table index. */
export type FromItem =
  | { readonly kind: 'ref'; readonly entry: number }
  | {
      readonly kind: 'join';
      readonly join: JoinType;
      readonly left: FromItem;
      readonly right: FromItem;
      readonly on: Scalar | null;
      /** its range table entry, 0 without */ readonly entry: number;
      readonly using: boolean;
    };

export interface Window {
  readonly partition: readonly SortRef[];
  readonly order: readonly SortRef[];
  readonly mode: 'range' | 'rows' | 'groups';
  readonly start: FrameBound;
  readonly end: FrameBound;
  readonly exclude: 'none' | 'current row' | 'group' | 'ties';
}
export type FrameBound =
  | { readonly kind: 'unboundedPreceding' | 'currentRow' | 'unboundedFollowing' }
  | { readonly kind: 'preceding' | 'following'; readonly offset: Scalar };

export type SetOperation =
  | { readonly kind: 'ref'; readonly entry: number }
  | {
      readonly kind: 'union' | 'intersect' | 'except';
      readonly all: boolean;
      readonly left: SetOperation;
      readonly right: SetOperation;
      readonly types: readonly SqlType[];
    };

export interface Cte {
  readonly name: string;
  /** INSERT, UPDATE and DELETE: in a whole statement only; the planner takes them out. */
  readonly query: Query;
  readonly recursive: boolean;
  readonly materialized: 'default' | 'always' | 'never';
  readonly columns: readonly string[];
  readonly types: readonly SqlType[];
}

/** Privileges one relation must grant before the statement may run (RTEPERMISSIONINFO). */
export interface RequiredPrivilege {
  readonly relation: number;
  /** ACL letters: r select, a insert, w update, d delete. */
  readonly privileges: string;
  readonly selectColumns: readonly number[];
  readonly insertColumns: readonly number[];
  readonly updateColumns: readonly number[];
  /** Role to check as (owner of the view it is reached through), or null for the session's. */
  readonly checkAs: number | null;
}

export interface Query {
  readonly command: 'select' | 'insert' | 'update' | 'delete';
  readonly entries: readonly RangeEntry[];
  /** Range table index of the table written, or 0. */
  readonly target: number;
  readonly from: readonly FromItem[];
  readonly where: Scalar | null;
  readonly targets: readonly Target[];
  readonly returning: readonly Target[];
  readonly group: readonly SortRef[];
  readonly groupDistinct: boolean;
  /** Each set lists indexes into `targets`; null without GROUPING SETS / ROLLUP / CUBE (already expanded). */
  readonly groupingSets: readonly (readonly number[])[] | null;
  readonly having: Scalar | null;
  readonly aggregates: boolean;
  readonly windows: readonly Window[];
  readonly distinct: readonly SortRef[];
  readonly distinctOn: boolean;
  readonly sort: readonly SortRef[];
  readonly offset: Scalar | null;
  readonly limit: Scalar | null;
  readonly withTies: boolean;
  readonly set: SetOperation | null;
  readonly ctes: readonly Cte[];
  readonly locks: readonly {
    readonly entry: number;
    readonly strength: 'update' | 'noKeyUpdate' | 'share' | 'keyShare';
    readonly wait: 'block' | 'nowait' | 'skip';
  }[];
  readonly onConflict: OnConflict | null;
  /** OVERRIDING { SYSTEM | USER } VALUE. */
  readonly overriding: 'none' | 'user' | 'system';
  readonly privileges: readonly RequiredPrivilege[];
}

export interface OnConflict {
  /** Ledger index id, or null for any index. */
  readonly index: number | null;
  readonly action: 'nothing' | 'update';
  readonly set: readonly Target[];
  readonly where: Scalar | null;
  /** Range table index that means EXCLUDED. */
  readonly excluded: number;
}
