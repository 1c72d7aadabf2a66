// Every function a compiled query may call, by Postgres' symbol or by the compiler's own name. Pure.

import { AGGREGATE_FINALS, AGGREGATE_HELPERS } from './aggregate.ts';
import { ARRAY } from './array.ts';
import { ARRAY_ASSIGN } from './array-assign.ts';
import { BYTES } from './bytes.ts';
import { CORE } from './core.ts';
import { DATETIME } from './datetime.ts';
import { FORMAT_DATETIME } from './format-datetime.ts';
import { FORMAT_NUMBER } from './format-number.ts';
import { JSON_FUNCTIONS } from './json.ts';
import { LEDGER_FUNCTIONS } from './ledger.ts';
import { LEDGER_VIEW } from './ledger-view.ts';
import { NUMBER } from './number.ts';
import { REGEX } from './regex.ts';
import { SESSION } from './session.ts';
import { TEXT } from './text.ts';
import { SERIES, SET_ROWS } from './set-returning.ts';
import type { EdgeFunction } from './function.ts';

// prettier-ignore
const TABLES = [
  CORE, ARRAY, ARRAY_ASSIGN, BYTES, TEXT, NUMBER, REGEX, JSON_FUNCTIONS, DATETIME, FORMAT_DATETIME,
  FORMAT_NUMBER, SESSION, LEDGER_VIEW, AGGREGATE_HELPERS, AGGREGATE_FINALS, SET_ROWS,
];

/** The ledger's own first; what is added here may depend on settings, zones and the random. */
export const EDGE_FUNCTIONS: ReadonlyMap<string, EdgeFunction> = new Map([
  ...LEDGER_FUNCTIONS,
  ...TABLES.flatMap((table) => Object.entries(table)),
]);

export const FINALS: ReadonlySet<string> = new Set(Object.keys(AGGREGATE_FINALS));

/** What the compiler must know of a set-returning function. */
export const SET_RETURNING: ReadonlyMap<
  string,
  { readonly parameters: number; readonly typed: boolean; readonly nullable?: boolean }
> = new Map(Object.entries(SERIES));

export function isKnownFunction(symbol: string): boolean {
  return EDGE_FUNCTIONS.has(symbol);
}
