// What a function of the ledger's expression language is, and the words its tables are written in. Pure.

import type { Decimal } from './numeric.ts';
import { decodeNumeric, encodeNumeric } from './numeric.ts';
import type { BaseType, Datum } from './type.ts';

/** A value that is not NULL; functions are strict. */
export type Value = bigint | number | string | Uint8Array;

/** Arguments and result in the representation of their base type; a numeric always in the general form. */
export interface FunctionDefinition {
  readonly args: readonly BaseType[];
  /** Arguments that may be left out at the end. */
  readonly optional: number;
  readonly result: BaseType;
  /** Never sees NULL; may answer NULL. @throws SqlError */
  readonly impl: (...args: never[]) => Datum;
}

export type FunctionTable = Readonly<Record<string, FunctionDefinition>>;

/** @param impl  takes the arguments in the TypeScript types that hold `args` */
export function define(
  args: readonly BaseType[],
  result: BaseType,
  impl: (...args: never[]) => Datum,
  optional = 0,
): FunctionDefinition {
  return { args, result, impl, optional };
}

export function toBool(value: boolean): bigint {
  return value ? 1n : 0n;
}

/** A function of one numeric. */
export function onDecimal(impl: (value: Decimal) => Decimal): FunctionDefinition {
  return define(['numeric'], 'numeric', (value: Uint8Array) =>
    encodeNumeric(impl(decodeNumeric(value))),
  );
}

/** A function of two numerics. */
export function onDecimals(impl: (left: Decimal, right: Decimal) => Decimal): FunctionDefinition {
  return define(['numeric', 'numeric'], 'numeric', (left: Uint8Array, right: Uint8Array) =>
    encodeNumeric(impl(decodeNumeric(left), decodeNumeric(right))),
  );
}
