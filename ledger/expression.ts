// The expression language of the apply path: row programs, CHECK, generated columns, index expressions and
// predicates, upserts. Pure types; the evaluator is ledger/evaluate.ts, the bytes are ledger/encoding.ts.
//
// Closed and versioned: every node computes the same on every machine for ever. No ICU, no time zones, no
// libm, no locale. What does not fit here becomes a row image at the edge, or 0A000 for a constraint.
//
// (1) A function's name is Postgres' own symbol for it (pg_proc.prosrc of the internal function: int4pl,
//     numeric_add, texteq), so that the analyst's tree, this language and the SQLite compiler share one
//     vocabulary. The list of names allowed here is ledger/functions.ts; it only grows.
// (2) The representation of a node's value follows from its `type` (ledger/type.ts). An argument that is a
//     scaled numeric is widened to the general form before a numeric function sees it.
// (3) Functions are strict (a NULL argument gives NULL) unless they are one of the special forms below.

import type { Datum, SqlType } from './type.ts';

export type Expression =
  | { readonly kind: 'const'; readonly type: SqlType; readonly value: Datum }
  /** A column of the row at hand, by column id. */
  | { readonly kind: 'column'; readonly type: SqlType; readonly column: number }
  /** A column of the row proposed for insertion (EXCLUDED), by column id. */
  | { readonly kind: 'excluded'; readonly type: SqlType; readonly column: number }
  | {
      readonly kind: 'call';
      readonly type: SqlType;
      readonly name: string;
      readonly args: readonly Expression[];
    }
  | {
      readonly kind: 'and' | 'or' | 'coalesce' | 'greatest' | 'least';
      readonly type: SqlType;
      readonly args: readonly Expression[];
    }
  | {
      readonly kind:
        'not' | 'isNull' | 'isNotNull' | 'isTrue' | 'isNotTrue' | 'isFalse' | 'isNotFalse';
      readonly type: SqlType;
      readonly arg: Expression;
    }
  /** `equal` is the equality function of the two arguments' type. */
  | {
      readonly kind: 'distinct' | 'nullIf';
      readonly type: SqlType;
      readonly equal: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  /** `x op ANY (list)` when `any`, else `x op ALL (list)`; the list's elements are spelt out. */
  | {
      readonly kind: 'anyOf';
      readonly type: SqlType;
      readonly any: boolean;
      readonly name: string;
      readonly arg: Expression;
      readonly list: readonly Expression[];
    }
  /** Searched CASE; the simple form is rewritten to it. */
  | {
      readonly kind: 'case';
      readonly type: SqlType;
      readonly whens: readonly { readonly when: Expression; readonly then: Expression }[];
      readonly otherwise: Expression | null;
    };
