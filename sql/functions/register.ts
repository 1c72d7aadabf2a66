// Gives a SQLite connection the functions that compiled queries call. Shell.
//
// (1) An error thrown in a function passes through SQLite unchanged, so a SqlError arrives as itself.
// (2) Integers are bigint on both sides: the connection must be set to safe integers.

import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { PREFIX } from '../compile/registered.ts';
import { FOLDS } from './aggregate.ts';
import { readSignature } from './function.ts';
import { EDGE_FUNCTIONS } from './registry.ts';
import { SERIES } from './set-returning.ts';
import type { Datum } from '../../ledger/type.ts';
import type { EdgeFunction, SessionFunctions, Signature } from './function.ts';
import type { SetReturning } from './set-returning.ts';

/** What is used of a better-sqlite3 connection. */
export interface FunctionHost {
  function(name: string, options: object, run: (...args: never[]) => unknown): unknown;
  aggregate(name: string, options: object): unknown;
  table(name: string, definition: object): unknown;
}

const NO_SIGNATURE: Signature = {
  args: [],
  result: { base: 'unknown', typmod: -1, array: false, userType: null },
  variadic: false,
};

/**
 * Registers all functions, aggregates and virtual tables.
 *
 * @param session  asked at every call; its fields may change between statements
 */
export function registerFunctions(database: FunctionHost, session: SessionFunctions): void {
  for (const [name, fn] of EDGE_FUNCTIONS) {
    const options = { varargs: true, deterministic: fn.volatile !== true && fn.session !== true };
    database.function(`${PREFIX}${name}`, options, wrapped(fn, session));
  }
  for (const [name, fold] of Object.entries(FOLDS)) {
    database.aggregate(`${PREFIX}${name}`, {
      ...fold,
      varargs: name === 'collect',
      deterministic: true,
    });
  }
  for (const [name, series] of Object.entries(SERIES)) {
    database.table(`${PREFIX}${name}`, virtualTable(series, session));
  }
}

function wrapped(fn: EdgeFunction, session: SessionFunctions): (...args: Datum[]) => Datum {
  const { impl, nullable, typed } = fn;
  if (typed !== true) {
    return (...args) =>
      nullable !== true && args.includes(null) ? null : impl(args, session, NO_SIGNATURE);
  }
  return (signature, ...args) =>
    nullable !== true && args.includes(null)
      ? null
      : impl(args, session, readSignature(signature as string));
}

function virtualTable(series: SetReturning, session: SessionFunctions): object {
  const columns = Array.from({ length: series.columns }, (_, at) => `v${at + 1}`);
  const parameters = Array.from({ length: series.parameters }, (_, at) => `a${at + 1}`);
  return {
    columns: ['ord', ...columns],
    parameters,
    safeIntegers: true,
    *rows(...args: Datum[]) {
      let ord = 0n;
      for (const row of series.rows(args, session)) {
        ord += 1n;
        const missing = series.columns - row.length;
        yield missing === 0 ? [ord, ...row] : [ord, ...row, ...Array<null>(missing).fill(null)];
      }
    },
  };
}

const FRAME_ERROR = /^frame (starting|ending) offset must be a non-negative/;
/** invalid_preceding_or_following_size */
const INVALID_FRAME_OFFSET = '22013';

/** Runs SQLite work; what SQLite itself raises about values becomes the SqlError Postgres would raise. */
export function runSql<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const message = Error.isError(error) && !isSqlError(error) ? error.message : '';
    if (message === 'integer overflow') {
      throw new SqlError(SQLSTATE.numericValueOutOfRange, 'bigint out of range');
    }
    const frame = FRAME_ERROR.exec(message);
    if (frame !== null) {
      throw new SqlError(INVALID_FRAME_OFFSET, `frame ${frame[1]} offset must not be negative`);
    }
    throw error;
  }
}
