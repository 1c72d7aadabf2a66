// Functions of the ledger's expression language as SQLite functions. Pure.

import { COMPARISON_FUNCTIONS } from '../../ledger/functions-comparison.ts';
import { NUMBER_FUNCTIONS } from '../../ledger/functions-number.ts';
import type { Datum } from '../../ledger/type.ts';
import type { EdgeFunction } from './function.ts';

const FUNCTIONS = new Map(Object.entries({ ...COMPARISON_FUNCTIONS, ...NUMBER_FUNCTIONS }));

/** By Postgres' symbol. */
export const LEDGER_FUNCTIONS: ReadonlyMap<string, EdgeFunction> = new Map(
  [...FUNCTIONS].map(([symbol, { impl }]) => [
    symbol,
    { impl: (args) => (impl as (...values: readonly Datum[]) => Datum)(...args) },
  ]),
);
