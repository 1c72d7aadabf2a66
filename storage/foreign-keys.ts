// Foreign keys, checked at the end of a transaction against what it leaves behind. Shell.
//
// Cascades are expanded into operations at the edge, in whatever order; so between the operations of one
// transaction a reference may dangle, and only the final state counts. (Statement by statement, the edge has
// checked already.) A child row that a cascade should have reached and did not was written meanwhile by
// somebody else: 40001, and the edge tries again.

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';
import { numericScale } from '../ledger/type.ts';
import { decodeNumeric, scaleNumeric, widenNumeric } from '../ledger/numeric.ts';
import { describeKey, tableFields } from './constraints.ts';
import { hex } from '../ledger/bytes.ts';
import { ROW_ID, columnName, foldKey, foldedText, keyIsHidden } from './names.ts';
import type { StateStore } from './state-store.ts';
import type { Catalog, ForeignKey, Table } from '../ledger/catalog.ts';
import type { RowLookup } from './constraints.ts';
import type { TableShape } from './table-shape.ts';
import type { Datum, SqlType } from '../ledger/type.ts';
import type { TableStore } from './table-store.ts';

interface ChildCheck {
  readonly table: number;
  readonly rowId: bigint;
}

interface ParentCheck {
  readonly child: number;
  readonly foreignKey: ForeignKey;
  readonly key: readonly Datum[];
  readonly deleted: boolean;
}

/** The tables that references are checked in: those of the state, or as an open transaction sees them. */
export interface References {
  readonly catalog: Catalog;
  table(table: Table): RowLookup;
}

/** The checks that one transaction owes. */
export class ForeignKeyChecks {
  readonly #children: ChildCheck[] = [];
  readonly #parents: ParentCheck[] = [];

  /** A row was written; `before` is what it was, or null for a new one. */
  rowWritten(
    store: StateStore,
    table: TableStore,
    rowId: bigint,
    before: readonly Datum[] | null,
    after: readonly Datum[],
  ): void {
    if (before === null && table.table.foreignKeys.length === 0) return;
    const changed = ({ columns }: ForeignKey): boolean =>
      before === null || differs(table, columns, before, after);
    if (table.table.foreignKeys.some(changed)) {
      this.#children.push({ table: table.table.id, rowId });
    }
    if (before === null) return;
    for (const { child, foreignKey } of store.incoming(table.table.id)) {
      if (!differs(table, foreignKey.referencedColumns, before, after)) continue;
      this.#owe(table, child.id, foreignKey, before, false);
    }
  }

  rowDeleted(store: StateStore, table: TableStore, before: readonly Datum[]): void {
    for (const { child, foreignKey } of store.incoming(table.table.id)) {
      this.#owe(table, child.id, foreignKey, before, true);
    }
  }

  #owe(
    table: TableStore,
    child: number,
    foreignKey: ForeignKey,
    before: readonly Datum[],
    deleted: boolean,
  ): void {
    const key = pick(table, foreignKey.referencedColumns, before);
    if (!key.includes(null)) this.#parents.push({ child, foreignKey, key, deleted });
  }

  /** @throws SqlError 23503, or 40001 for a child that a cascade has missed */
  run(store: StateStore): void {
    for (const check of this.#children) {
      const table = store.catalog.relations.get(check.table);
      if (table?.kind !== 'table') continue;
      const tableStore = store.table(table);
      const row = tableStore.row(check.rowId);
      if (row !== null) checkChild(store, tableStore, row.values);
    }
    const absent = absentKeys(store, this.#parents);
    for (const check of this.#parents) if (!absent.has(check)) checkParent(store, check);
  }
}

/** Keys that are sought one by one in a child without a fitting index; more are sought in one scan. */
const SCANS_MAX = 4;

/** Those of the checks that one scan of the child has shown to be kept. */
function absentKeys(store: StateStore, checks: readonly ParentCheck[]): ReadonlySet<ParentCheck> {
  const absent = new Set<ParentCheck>();
  for (const [id, group] of Map.groupBy(checks, ({ foreignKey }) => foreignKey.id)) {
    const { child, foreignKey } = group[0]!;
    const table = store.catalog.relations.get(child);
    const parent = store.catalog.relations.get(foreignKey.references);
    if (table?.kind !== 'table' || parent?.kind !== 'table' || group.length <= SCANS_MAX) continue;
    const { columns } = foreignKey;
    if (!table.foreignKeys.some((each) => each.id === id) || isIndexed(table, columns)) continue;
    const unseen = new Map<string, ParentCheck[]>();
    for (const check of group) {
      const key = keyText(soughtKey(table, parent, check));
      unseen.set(key, [...(unseen.get(key) ?? []), check]);
    }
    const texts = columns.map((column) => foldedText(columnName(column), typeOf(table, column)));
    const rows = store.database.prepare(
      `SELECT ${texts.join(', ')} FROM ${store.table(table).rows}`,
    );
    for (const row of rows.raw(true).iterate()) {
      unseen.delete(keyText(row as Datum[]));
      if (unseen.size === 0) break;
    }
    for (const check of [...unseen.values()].flat()) absent.add(check);
  }
  return absent;
}

/** Whether an index leads to the rows that hold given values in these columns. */
export function isIndexed(table: Table, columns: readonly number[]): boolean {
  return table.indexes.some((index) => {
    const [first] = index.keys;
    const plain = index.predicate === null && first !== undefined && !keyIsHidden(index, first);
    return plain && columns.includes(first.column ?? -1);
  });
}

/** Equal for equal keys only. */
function keyText(key: readonly Datum[]): string {
  return key
    .map((value) => (value instanceof Uint8Array ? `x${hex(value)}` : `${typeof value} ${value}`))
    .join('\0');
}

/** Checks every foreign key of one row against the tables it refers to; those that Postgres checks at COMMIT come last. */
export function checkChild(store: StateStore, child: TableStore, values: readonly Datum[]): void {
  for (const deferred of [false, true]) {
    for (const foreignKey of child.table.foreignKeys) {
      if (foreignKey.initiallyDeferred === deferred)
        checkReference(store, child, foreignKey, values);
    }
  }
}

/** @throws SqlError 23503 when the row refers to nothing */
export function checkReference(
  store: References,
  child: TableShape,
  foreignKey: ForeignKey,
  values: readonly Datum[],
): void {
  const key = pick(child, foreignKey.columns, values);
  const nulls = key.filter((value) => value === null).length;
  if (nulls === key.length || (nulls > 0 && !foreignKey.matchFull)) return;
  const parent = store.catalog.relations.get(foreignKey.references);
  let detail: string;
  if (nulls > 0) {
    detail = 'MATCH FULL does not allow mixing of null and nonnull key values.';
  } else if (
    parent?.kind === 'table' &&
    parentExists(store, parent, foreignKey, child.table, key)
  ) {
    return;
  } else {
    const shown = describeKey(child.table, foreignKey.columns, key);
    detail = `Key ${shown} is not present in table "${parent?.name ?? ''}".`;
  }
  throw new SqlError(
    SQLSTATE.foreignKeyViolation,
    `insert or update on table "${child.table.name}" violates foreign key constraint "${foreignKey.name}"`,
    { detail, ...tableFields(store.catalog, child.table), constraint: foreignKey.name },
  );
}

function parentExists(
  store: References,
  parent: Table,
  foreignKey: ForeignKey,
  child: Table,
  key: readonly Datum[],
): boolean {
  const parentStore = store.table(parent);
  const index = parentStore.index(foreignKey.index);
  if (index === undefined) return false;
  // The index may have its keys in another order than the constraint lists them.
  const ordered = index.index.keys.map(({ column, type }) => {
    const at = foreignKey.referencedColumns.indexOf(column ?? -1);
    return convert(key[at] ?? null, typeOf(child, foreignKey.columns[at] ?? -1), type);
  });
  return parentStore.find(index, index.keyOf(ordered)) !== null;
}

function checkParent(store: StateStore, { child, foreignKey, key, deleted }: ParentCheck): void {
  const table = store.catalog.relations.get(child);
  const parent = store.catalog.relations.get(foreignKey.references);
  if (table?.kind !== 'table' || parent?.kind !== 'table') return;
  if (!table.foreignKeys.some(({ id }) => id === foreignKey.id)) return;
  const { columns, referencedColumns, name } = foreignKey;
  const sought = soughtKey(table, parent, { foreignKey, key });
  const conditions = columns.map((id) => `${foldedText(columnName(id), typeOf(table, id))}=?`);
  const childStore = store.table(table);
  const found = store.database
    .prepare(`SELECT ${ROW_ID} FROM ${childStore.rows} WHERE ${conditions.join(' AND ')} LIMIT 1`)
    .get(sought);
  if (found === undefined) return;
  // Another row may have taken the key that this one gave up.
  const again = columns.map((id, i) =>
    convert(key[i]!, typeOf(parent, referencedColumns[i]!), typeOf(table, id)),
  );
  if (parentExists(store, parent, foreignKey, table, again)) return;
  const action = deleted ? foreignKey.onDelete : foreignKey.onUpdate;
  if (action !== 'noAction' && action !== 'restrict') {
    throw new SqlError(
      SQLSTATE.serializationFailure,
      'could not serialize access due to concurrent update',
    );
  }
  const shown = describeKey(parent, referencedColumns, key);
  throw new SqlError(
    SQLSTATE.foreignKeyViolation,
    `update or delete on table "${parent.name}" violates foreign key constraint "${name}" on table "${table.name}"`,
    {
      detail: `Key ${shown} is still referenced from table "${table.name}".`,
      ...tableFields(store.catalog, table),
      constraint: name,
    },
  );
}

/** The key as the child holds it. */
function soughtKey(
  child: Table,
  parent: Table,
  { foreignKey, key }: Pick<ParentCheck, 'foreignKey' | 'key'>,
): Datum[] {
  const { columns, referencedColumns } = foreignKey;
  return key.map((value, i) => {
    const type = typeOf(child, columns[i]!);
    return foldKey(convert(value, typeOf(parent, referencedColumns[i]!), type), type);
  });
}

function pick(table: TableShape, columns: readonly number[], values: readonly Datum[]): Datum[] {
  return columns.map((id) => values[table.position(id) ?? -1] ?? null);
}

function differs(
  table: TableStore,
  columns: readonly number[],
  before: readonly Datum[],
  after: readonly Datum[],
): boolean {
  return columns.some((id) => {
    const at = table.position(id) ?? -1;
    const [a, b] = [before[at] ?? null, after[at] ?? null];
    if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) !== 0;
    return a !== b;
  });
}

function typeOf(table: Table, column: number): SqlType {
  return table.columns.find(({ id }) => id === column)!.type;
}

/** A value in the representation of the column it is compared with; only numerics have two. */
function convert(value: Datum, from: SqlType, to: SqlType): Datum {
  const [scale, wanted] = [numericScale(from), numericScale(to)];
  if (value === null || from.base !== 'numeric' || to.base !== 'numeric' || scale === wanted) {
    return value;
  }
  const wide = typeof value === 'bigint' ? widenNumeric(value, scale!) : (value as Uint8Array);
  if (wanted === null) return wide;
  const precision = ((to.typmod - 4) >> 16) & 0xffff;
  return scaleNumeric(decodeNumeric(wide), precision, wanted);
}
