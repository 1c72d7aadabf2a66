// Whole rows where there is a row at hand and no range table: RETURNING, DO UPDATE. Pure.

import type { Table } from '../../ledger/catalog.ts';
import type { Scalar } from '../../sql/ir.ts';
import { mapScalar } from './map-scalar.ts';

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
