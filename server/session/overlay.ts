// What an open transaction has written and nobody else can see yet. Pure.
//
// (1) The overlay is a cache of the transaction's operations: rows by table and row id, with the values they
//     have inside the transaction. Rows inserted by the transaction have negative ids, in order: -1, -2, …
// (2) Every change is tagged with the number of operations before it, so that a savepoint, which is a number
//     of operations, can be rolled back to.
// (3) While it is held, queries go on seeing what was there then; constraints look at what is there now.

import type { Datum } from '../../ledger/type.ts';

export interface OverlayRow {
  readonly rowId: bigint;
  /** Stamp of the version that an operation must name; 0 for a row this transaction has written. */
  readonly version: bigint;
  readonly deleted: boolean;
  /** By position in Table.columns. */
  readonly values: readonly Datum[];
}

export interface TableOverlay {
  readonly rows: Map<bigint, OverlayRow>;
  /** Rows of the base are gone: only `rows` count. */
  truncated: boolean;
  /** Grows with every change. */
  revision: number;
}

type Change = {
  readonly tag: number;
  readonly relation: number;
  readonly rowId: bigint | null;
  readonly before: OverlayRow | undefined;
};

let revisions = 0;

/** A number that no content of an overlay table has had in this process. */
export function nextRevision(): number {
  revisions += 1;
  return revisions;
}

export class Overlay {
  readonly #tables = new Map<number, TableOverlay>();
  readonly #changes: Change[] = [];
  /** Tables that have changed since `hold`, as they were then; undefined: as in the files. */
  #held: Map<number, TableOverlay | undefined> | null = null;

  table(relation: number): TableOverlay | undefined {
    return this.#tables.get(relation);
  }

  row(relation: number, rowId: bigint): OverlayRow | undefined {
    return this.#tables.get(relation)?.rows.get(rowId);
  }

  /** From here on queries do not see what changes, until `release`. */
  hold(): void {
    this.#held = new Map();
  }

  release(): void {
    this.#held = null;
  }

  /** A table as queries see it. */
  shown(relation: number): TableOverlay | undefined {
    return this.#held?.has(relation) === true
      ? this.#held.get(relation)
      : this.#tables.get(relation);
  }

  /** Whether a row has been written since `hold`. */
  writtenSince(relation: number, rowId: bigint): boolean {
    if (this.#held?.has(relation) !== true) return false;
    return this.shown(relation)?.rows.get(rowId) !== this.row(relation, rowId);
  }

  /** Tables with changes. */
  relations(): ReadonlySet<number> {
    return new Set(this.#tables.keys());
  }

  put(tag: number, relation: number, row: OverlayRow): void {
    const table = this.#open(relation);
    this.#changes.push({ tag, relation, rowId: row.rowId, before: table.rows.get(row.rowId) });
    table.rows.set(row.rowId, row);
  }

  /** Hides every row of the base and of the overlay. */
  truncate(tag: number, relation: number): void {
    const table = this.#open(relation);
    for (const row of table.rows.values()) {
      this.#changes.push({ tag, relation, rowId: row.rowId, before: row });
    }
    table.rows.clear();
    if (!table.truncated) this.#changes.push({ tag, relation, rowId: null, before: undefined });
    table.truncated = true;
  }

  /** Gives every row of a table other values: its columns have changed. */
  reshape(
    tag: number,
    relation: number,
    reshaped: (values: readonly Datum[]) => readonly Datum[],
  ): void {
    for (const row of [...(this.#tables.get(relation)?.rows.values() ?? [])]) {
      this.put(tag, relation, { ...row, values: reshaped(row.values) });
    }
  }

  /** Undoes every change tagged `tag` or later. */
  rollbackTo(tag: number): void {
    for (let index = this.#changes.length - 1; index >= 0; index -= 1) {
      const change = this.#changes[index]!;
      if (change.tag < tag) continue;
      this.#changes.splice(index, 1);
      const table = this.#open(change.relation);
      if (change.rowId === null) table.truncated = false;
      else if (change.before === undefined) table.rows.delete(change.rowId);
      else table.rows.set(change.rowId, change.before);
    }
  }

  #open(relation: number): TableOverlay {
    let table = this.#tables.get(relation);
    if (this.#held?.has(relation) === false) {
      this.#held.set(relation, table && { ...table, rows: new Map(table.rows) });
    }
    if (table === undefined) {
      table = { rows: new Map(), truncated: false, revision: 0 };
      this.#tables.set(relation, table);
    }
    table.revision = nextRevision();
    return table;
  }
}
