// Functions of the ledger's expression language as SQLite functions. Pure.

import { FUNCTIONS } from '../../ledger/functions.ts';
import type { Datum } from '../../ledger/type.ts';
import type { EdgeFunction } from './function.ts';

/** By Postgres' symbol. */
export const LEDGER_FUNCTIONS: ReadonlyMap<string, EdgeFunction> = new Map(
  [...FUNCTIONS].map(([symbol, { impl }]) => [
    symbol,
    { impl: (args) => (impl as (...values: readonly Datum[]) => Datum)(...args) },
  ]),
);
