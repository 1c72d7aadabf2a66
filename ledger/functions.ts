// The functions of the ledger's expression language, by Postgres' symbol. Pure.
//
// (1) The list only grows: a chain that used a name needs its meaning for ever.
// (2) An answer depends on the arguments alone: no zone, locale, clock or libm.
// (3) What each function answers is compared with PostgreSQL (tests/vectors/functions.json).

import type { FunctionDefinition } from './function.ts';
import { COMPARISON_FUNCTIONS } from './functions-comparison.ts';
import { DATETIME_FUNCTIONS, JSONB_FUNCTIONS } from './functions-datetime.ts';
import { NUMBER_FUNCTIONS } from './functions-number.ts';
import { TEXT_FUNCTIONS } from './functions-text.ts';

export const FUNCTIONS: ReadonlyMap<string, FunctionDefinition> = new Map(
  [
    NUMBER_FUNCTIONS,
    TEXT_FUNCTIONS,
    DATETIME_FUNCTIONS,
    JSONB_FUNCTIONS,
    COMPARISON_FUNCTIONS,
  ].flatMap((table) => Object.entries(table)),
);

/** Whether a function may be used where every node computes it: in row programs, constraints, indexes. */
export function supports(name: string): boolean {
  return FUNCTIONS.has(name);
}
