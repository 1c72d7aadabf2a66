// Bytes of row operations. Pure, browser-safe. Described in docs/formats/transaction.md.
//
// The columns of an insert or update are listed once and the values of all rows follow, so a row of a
// multi-row statement costs its values and one byte.

import type { Codec } from './codec.ts';
import {
  bool,
  checked,
  hash,
  int64,
  list,
  nullable,
  record,
  text,
  uint,
  uint63,
  variants,
} from './codec.ts';
import { changesCodec } from './encoding-catalog.ts';
import { expressionCodec, name, row } from './encoding-expression.ts';
import { LIMITS } from './limits.ts';
import type {
  Assignment,
  ConflictClause,
  Operation,
  OperationOf,
  SequenceState,
} from './operation.ts';
import type { Row } from './type.ts';

const columns = list(uint, LIMITS.columnsMax);

const assignment = record<Assignment>({ column: uint, value: expressionCodec });

const conflict = record<ConflictClause>({
  index: nullable(uint),
  update: nullable(
    record<NonNullable<ConflictClause['update']>>({
      set: list(assignment, LIMITS.columnsMax),
      where: nullable(expressionCodec),
    }),
  ),
});

const rowAt = record<OperationOf<'delete'>['rows'][number]>({ rowId: int64, version: uint63 });

const rowImage = record<OperationOf<'update'>['rows'][number]>({
  rowId: int64,
  version: uint63,
  values: row,
});

const sequenceState = record<SequenceState>({ last: int64, called: bool });

const variant: Codec<Operation> = variants<Operation, 'kind'>('kind', {
  insert: [
    0,
    { relation: uint, schemaVersion: uint, columns, rows: list(row), conflict: nullable(conflict) },
  ],
  program: [
    1,
    {
      relation: uint,
      schemaVersion: uint,
      index: uint,
      key: row,
      where: nullable(expressionCodec),
      set: nullable(list(assignment, LIMITS.columnsMax)),
      required: bool,
    },
  ],
  update: [2, { relation: uint, schemaVersion: uint, columns, rows: list(rowImage) }],
  delete: [3, { relation: uint, rows: list(rowAt) }],
  require: [4, { relation: uint, rows: list(rowAt) }],
  requireTable: [5, { relation: uint, stamp: uint63 }],
  truncate: [6, { relations: list(uint) }],
  sequence: [7, { sequence: uint, from: nullable(sequenceState), last: int64, called: bool }],
  catalog: [8, { base: uint, changes: changesCodec, role: name, searchPath: text(), text: text() }],
  chunks: [9, { hashes: list(hash, LIMITS.chunksMax, 1), bytes: uint }],
});

function everyRowHas(count: number, rows: readonly Row[]): boolean {
  return rows.every((values) => values.length === count);
}

/** What no reader of an operation should have to check again. */
function fault(operation: Operation): string | null {
  switch (operation.kind) {
    case 'insert':
      return everyRowHas(operation.columns.length, operation.rows)
        ? null
        : 'a row has another number of values than columns';
    case 'update':
      return operation.rows.every(({ values }) => values.length === operation.columns.length)
        ? null
        : 'a row has another number of values than columns';
    case 'program':
      return operation.key.length > 0 && !operation.key.includes(null)
        ? null
        : 'a key is empty or has a null';
    default:
      return null;
  }
}

const operationCodec: Codec<Operation> = checked(variant, fault);

export const operationsCodec: Codec<readonly Operation[]> = list(operationCodec);
