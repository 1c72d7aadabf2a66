// What a function registered with SQLite looks like. Types and the reading of signatures. Pure.
//
// A typed function gets the types of its arguments and result as a first, constant argument, written by the
// compiler: `int4,text[];jsonb;v` (v: called with VARIADIC).

import type { Catalog } from '../../ledger/catalog.ts';
import type { BaseType, Datum, SqlType } from '../../ledger/type.ts';
import type { Epoch } from '../../storage/epochs.ts';
import type { ValueContext } from '../value/context.ts';

/** What functions may ask of the session that runs them. */
export interface SessionFunctions {
  /** Settings in force. */
  readonly values: ValueContext;
  readonly catalog: Catalog;
  /** Answers nextval, current_setting and the like, by Postgres' symbol; only the session's process can. */
  readonly call: (symbol: string, args: readonly Datum[]) => Datum;
  /** Text of the transaction with that stamp, or null when it is erased; where blocks can be read. */
  readonly statementText?: (stamp: bigint) => string | null;
  /** All epochs up to that of the block after a height; where blocks can be read. */
  readonly epochs?: (height: number) => readonly Epoch[];
}

export interface Signature {
  readonly args: readonly SqlType[];
  readonly result: SqlType;
  readonly variadic: boolean;
}

export interface EdgeFunction {
  /** `signature` is null unless the function is typed. */
  readonly impl: (args: readonly Datum[], session: SessionFunctions, signature: Signature) => Datum;
  readonly typed?: true;
  /** Called with NULL arguments too. */
  readonly nullable?: true;
  readonly volatile?: true;
  /** Needs the session's own process. */
  readonly session?: true;
}

export type FunctionTable = Readonly<Record<string, EdgeFunction>>;

const SIGNATURES = new Map<string, Signature>();
const TYPES = new Map<string, SqlType>();
const CODE = /^([a-z0-9]+)(?::(-?\d+))?(?:#(\d+))?(\[\])?$/;

export function readType(code: string): SqlType {
  const known = TYPES.get(code);
  if (known !== undefined) return known;
  const [, base, typmod, user, array] = CODE.exec(code)!;
  const type: SqlType = {
    base: base as BaseType,
    typmod: typmod === undefined ? -1 : Number(typmod),
    array: array !== undefined,
    userType: user === undefined ? null : Number(user),
  };
  TYPES.set(code, type);
  return type;
}

export function readTypes(codes: string): readonly SqlType[] {
  return codes === '' ? [] : codes.split(',').map(readType);
}

export function readSignature(text: string): Signature {
  const known = SIGNATURES.get(text);
  if (known !== undefined) return known;
  const [args, result, flags] = text.split(';') as [string, string, string | undefined];
  const signature = { args: readTypes(args), result: readType(result), variadic: flags === 'v' };
  SIGNATURES.set(text, signature);
  return signature;
}
