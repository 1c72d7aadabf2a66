// The shape of one ledger table: where its columns are, its expressions compiled, the keys of its indexes. Pure.
//
// What is stored besides a row's own values — hidden keys, predicates — is computed here from the row, so
// that the apply path and the edge decide alike under which key a row lies.

import { SqlError } from '../ledger/error.ts';
import { compileExpression } from '../ledger/evaluate.ts';
import { SQLSTATE } from '../ledger/sqlstate.ts';
import { foldKey, hiddenKeyName, keyIsHidden, nullKey, predicateName } from './names.ts';
import type { Expression } from '../ledger/expression.ts';
import type { Index, Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';

/** A current row. */
export interface StoredRow {
  readonly rowId: bigint;
  /** Stamp of the transaction that wrote it. */
  readonly version: bigint;
  readonly values: Datum[];
}

/** An expression over one row, and over the row proposed for insertion where there is one. */
export type RowExpression = (values: readonly Datum[], excluded?: readonly Datum[]) => Datum;

/** An index with its keys and predicate compiled. */
export interface IndexShape {
  readonly index: Index;
  /** Positions in the physical row of every column the index depends on. */
  readonly positions: ReadonlySet<number>;
  /** The values SQLite finds in the index for a row, or null when the row is not in it. */
  key(values: readonly Datum[]): Datum[] | null;
  /** The same for key values as the catalog's types hold them, in key order. */
  keyOf(values: readonly Datum[]): Datum[];
}

/** A stored column that is computed from the row. */
export interface Hidden {
  readonly name: string;
  readonly value: RowExpression;
}

export class TableShape {
  readonly table: Table;
  readonly indexes: readonly IndexShape[];
  readonly hidden: readonly Hidden[];
  readonly #position: number[] = [];

  constructor(table: Table) {
    this.table = table;
    table.columns.forEach((column, position) => (this.#position[column.id] = position));
    const hidden: Hidden[] = [];
    this.indexes = table.indexes.map((index) => this.#compileIndex(index, hidden));
    this.hidden = hidden;
  }

  /** Position of a column in a row; undefined for a column the table does not have. */
  position(column: number): number | undefined {
    return this.#position[column];
  }

  /** @throws SqlError also where the expression is none that an edge of ours would make */
  compile(expression: Expression): RowExpression {
    const evaluate = typed(() => compileExpression(expression));
    let values: readonly Datum[] = [];
    let excluded: readonly Datum[] = [];
    const position = this.#position;
    const column = (id: number): Datum => values[position[id]!] ?? null;
    const proposed = (id: number): Datum => excluded[position[id]!] ?? null;
    return (row, other) => {
      values = row;
      excluded = other ?? row;
      return typed(() => evaluate(column, proposed));
    };
  }

  index(id: number): IndexShape | undefined {
    return this.indexes.find(({ index }) => index.id === id);
  }

  /** The stored hidden values of a row, by column name; what a schema change fills. */
  hiddenValues(values: readonly Datum[]): ReadonlyMap<string, Datum> {
    return new Map(this.hidden.map(({ name, value }) => [name, value(values)]));
  }

  #compileIndex(index: Index, hidden: Hidden[]): IndexShape {
    const positions = new Set<number>();
    const width = this.table.columns.length;
    const parts = index.keys.map((key, position): RowExpression => {
      const plain = this.#position[key.column ?? -1] ?? -1;
      const expression = key.expression === null ? null : this.compile(key.expression);
      const value: RowExpression = (values) => expression?.(values) ?? values[plain] ?? null;
      if (!keyIsHidden(index, key)) {
        positions.add(plain);
        return value;
      }
      const filler = index.nullsNotDistinct ? nullKey(key.type) : null;
      const folded: RowExpression = (values) => foldKey(value(values), key.type) ?? filler;
      positions.add(width + hidden.length);
      hidden.push({ name: hiddenKeyName(index.id, position), value: folded });
      return folded;
    });
    let included: RowExpression | null = null;
    if (index.predicate !== null) {
      const predicate = this.compile(index.predicate);
      included = (values) => (predicate(values) === 1n ? 1n : null);
      positions.add(width + hidden.length);
      hidden.push({ name: predicateName(index.id), value: included });
    }
    return {
      index,
      positions,
      key: (values) =>
        included !== null && included(values) === null ? null : parts.map((part) => part(values)),
      keyOf: (values) =>
        index.keys.map(({ type }, i) => {
          const folded = foldKey(values[i] ?? null, type);
          return folded ?? (index.nullsNotDistinct ? nullKey(type) : null);
        }),
    };
  }
}

/**
 * Runs part of the evaluator. An expression signed elsewhere may call a function with arguments that it was
 * not made for; what JavaScript says then is an outcome like any other, not a fault of this node.
 */
function typed<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!Error.isError(error) || (error.name !== 'TypeError' && error.name !== 'RangeError')) {
      throw error;
    }
    throw new SqlError(SQLSTATE.datatypeMismatch, 'expression does not fit its arguments');
  }
}
