// Whole rows and xmax where there is a row at hand and no range table: RETURNING, DO UPDATE. Pure.

import type { Table } from '../../ledger/catalog.ts';
import type { Scalar } from '../../sql/ir.ts';
import { XMAX_ATTRIBUTE } from '../../sql/node-tree-scalar.ts';
import { mapScalar } from './map-scalar.ts';

/**
 * xmax of a row as it is, and of one that the statement has taken: locked to update it by ON CONFLICT, or deleted. Postgres
 * has the number of the transaction there, which a transaction here has not before it commits.
 */
export const XMAX = { current: 0n, taken: 1n } as const;

/** The scalar with the whole row of range table entry `entry`, which is `table`, spelt out column by column. */
export function spellRows(scalar: Scalar, entry: number, table: Table): Scalar {
  return mapScalar(scalar, (node, depth) =>
    node.kind === 'var' && node.entry === entry && node.levelsUp === depth && node.column === 0
      ? {
          kind: 'row',
          type: node.type,
          args: table.columns.map(({ id, type }) => ({ ...node, column: id, type })),
          names: table.columns.map(({ name }) => name),
        }
      : undefined,
  );
}

/** The scalar with a value for xmax of range table entry `entry`. */
export function spellXmax(scalar: Scalar, entry: number, value: bigint): Scalar {
  return mapScalar(scalar, (node, depth) =>
    node.kind === 'var' &&
    node.entry === entry &&
    node.levelsUp === depth &&
    node.column === XMAX_ATTRIBUTE
      ? { kind: 'const', type: node.type, value }
      : undefined,
  );
}
