// Constraints of one table: what a row must satisfy before it is written, with Postgres' words. Shell.
//
// Order of Postgres: generated columns, representation, NOT NULL, CHECK by name; unique indexes as SQLite
// writes them. Foreign keys are checked at the end of the transaction (storage/foreign-keys.ts).

import { SQLSTATE } from '../ledger/sqlstate.ts';
import { SqlError } from '../ledger/error.ts';
import { hex } from '../ledger/bytes.ts';
import { compileExpression } from '../ledger/evaluate.ts';
import { conforms } from './conform.ts';
import { describeRow, describeValue } from './describe-value.ts';
import type { SqlErrorFields } from '../ledger/error.ts';
import type { Catalog, Column, DomainType, Table } from '../ledger/catalog.ts';
import type { Datum } from '../ledger/type.ts';
import type { IndexShape, RowExpression, TableShape } from './table-shape.ts';

interface NamedRule {
  readonly name: string;
  readonly holds: RowExpression;
}

interface DomainRule {
  readonly position: number;
  readonly domain: DomainType;
  readonly checks: readonly { readonly name: string; readonly holds: (value: Datum) => Datum }[];
}

/** A table whose rows can be looked up by key: in its shard, or under the changes of an open transaction. */
export interface RowLookup extends TableShape {
  /** Row id under a key as IndexShape.key gives it, or null. */
  find(index: IndexShape, key: readonly Datum[]): bigint | null;
}

/** The constraints of a table, compiled. */
export class RowRules {
  readonly #store: TableShape;
  readonly #catalog: Catalog;
  readonly #generated: readonly { readonly position: number; readonly value: RowExpression }[];
  readonly #checks: readonly NamedRule[];
  readonly #domains: readonly DomainRule[];

  constructor(store: TableShape, catalog: Catalog) {
    const { table } = store;
    this.#store = store;
    this.#catalog = catalog;
    this.#generated = table.columns.flatMap((column, position) =>
      column.generated === null ? [] : [{ position, value: store.compile(column.generated) }],
    );
    this.#checks = table.checks
      .map(({ name, expression }) => ({ name, holds: store.compile(expression) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#domains = table.columns.flatMap((column, position) => {
      const domain = catalog.types.get(column.type.userType ?? -1);
      if (domain?.kind !== 'domain' || column.type.array) return [];
      const checks = domain.checks.map(({ name, expression }) => {
        const evaluate = compileExpression(expression);
        return { name, holds: (value: Datum) => evaluate(() => value) };
      });
      return [{ position, domain, checks }];
    });
  }

  /**
   * Fills in generated columns and checks the row.
   *
   * @param values changed in place
   * @throws SqlError 42804, 23502, 23514, and what the expressions raise
   */
  complete(values: Datum[]): void {
    const { columns } = this.#store.table;
    // Before anything is computed from them: functions rely on the types of their arguments.
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i]!;
      if (column.generated === null) demandType(column, values[i]!);
    }
    for (const { position, value } of this.#generated) {
      values[position] = value(values);
      demandType(columns[position]!, values[position]);
    }
    for (const rule of this.#domains) checkDomain(rule, values[rule.position]!, this.#catalog);
    for (let i = 0; i < columns.length; i++) {
      if (columns[i]!.notNull && values[i] === null) throw this.#nullError(i, values);
    }
    for (const { name, holds } of this.#checks) {
      if (holds(values) === 0n) throw this.#checkError(name, values);
    }
  }

  #nullError(position: number, values: readonly Datum[]): SqlError {
    const { table } = this.#store;
    const column = table.columns[position]!.name;
    return new SqlError(
      SQLSTATE.notNullViolation,
      `null value in column "${column}" of relation "${table.name}" violates not-null constraint`,
      { detail: this.#failingRow(values), ...tableFields(this.#catalog, table), column },
    );
  }

  #checkError(constraint: string, values: readonly Datum[]): SqlError {
    const { table } = this.#store;
    return new SqlError(
      SQLSTATE.checkViolation,
      `new row for relation "${table.name}" violates check constraint "${constraint}"`,
      { detail: this.#failingRow(values), ...tableFields(this.#catalog, table), constraint },
    );
  }

  #failingRow(values: readonly Datum[]): string {
    const types = this.#store.table.columns.map(({ type }) => type);
    return `Failing row contains ${describeRow(values, types)}.`;
  }
}

const compiled = new WeakMap<Catalog, WeakMap<TableShape, RowRules>>();

/** The rules of a table under a catalog; compiled once. */
export function rulesOf(store: TableShape, catalog: Catalog): RowRules {
  let known = compiled.get(catalog);
  if (known === undefined) compiled.set(catalog, (known = new WeakMap()));
  let rules = known.get(store);
  if (rules === undefined) known.set(store, (rules = new RowRules(store, catalog)));
  return rules;
}

function demandType({ name, type }: Column, value: Datum): void {
  if (conforms(value, type)) return;
  throw new SqlError(
    SQLSTATE.datatypeMismatch,
    `value of column "${name}" is not of type ${type.base}${type.array ? '[]' : ''}`,
  );
}

function checkDomain({ domain, checks }: DomainRule, value: Datum, catalog: Catalog): void {
  const schema = catalog.schemas.get(domain.schema)?.name ?? '';
  if (value === null && domain.notNull) {
    throw new SqlError(
      SQLSTATE.notNullViolation,
      `domain ${domain.name} does not allow null values`,
      { schema, dataType: domain.name },
    );
  }
  for (const { name, holds } of checks) {
    if (holds(value) !== 0n) continue;
    throw new SqlError(
      SQLSTATE.checkViolation,
      `value for domain ${domain.name} violates check constraint "${name}"`,
      { schema, dataType: domain.name, constraint: name },
    );
  }
}

/** The schema and table fields of an error. */
export function tableFields(catalog: Catalog, table: Table): SqlErrorFields {
  return { schema: catalog.schemas.get(table.schema)?.name ?? '', table: table.name };
}

/** `(a, b)=(1, 2)`, as the details of key errors have it. */
export function describeKey(
  table: Table,
  columns: readonly (number | null)[],
  values: readonly Datum[],
): string {
  const names = columns.map((id) => table.columns.find((c) => c.id === id)?.name ?? 'expression');
  const shown = columns.map((id, i) => {
    const column = table.columns.find((c) => c.id === id);
    return column === undefined ? String(values[i]) : describeValue(values[i]!, column.type);
  });
  return `(${names.join(', ')})=(${shown.join(', ')})`;
}

/**
 * The error for a row that SQLite refused: names the first unique index, in the catalog's order, under
 * whose key another row lies.
 *
 * @param rowId the row itself when it is being updated, else null
 */
export function uniqueError(
  store: RowLookup,
  catalog: Catalog,
  values: readonly Datum[],
  rowId: bigint | null,
): SqlError | null {
  for (const indexStore of store.indexes) {
    if (!indexStore.index.unique) continue;
    const key = indexStore.key(values);
    const other = key === null ? null : store.find(indexStore, key);
    if (other === null || other === rowId) continue;
    return new SqlError(
      SQLSTATE.uniqueViolation,
      `duplicate key value violates unique constraint "${indexStore.index.name}"`,
      {
        detail: `Key ${describeIndexKey(store, indexStore, values)} already exists.`,
        ...tableFields(catalog, store.table),
        constraint: indexStore.index.name,
      },
    );
  }
  return null;
}

/** The key of an index as the row's own values show it. */
export function describeIndexKey(
  store: TableShape,
  { index }: IndexShape,
  values: readonly Datum[],
): string {
  const columns = index.keys.map(({ column }) => column);
  const shown = index.keys.map(({ column, expression, type }) =>
    expression === null
      ? values[store.position(column!)!]!
      : describeValue(store.compile(expression)(values), type),
  );
  return describeKey(store.table, columns, shown);
}

// ── Rows that are there when a constraint is added: Postgres words these differently ─────────────

export function containsNulls(catalog: Catalog, table: Table, column: string): SqlError {
  return new SqlError(
    SQLSTATE.notNullViolation,
    `column "${column}" of relation "${table.name}" contains null values`,
    { ...tableFields(catalog, table), column },
  );
}

export function violatedBySomeRow(catalog: Catalog, table: Table, constraint: string): SqlError {
  return new SqlError(
    SQLSTATE.checkViolation,
    `check constraint "${constraint}" of relation "${table.name}" is violated by some row`,
    { ...tableFields(catalog, table), constraint },
  );
}

/** @param values a row whose key another has, or null when it is not known */
export function duplicated(
  catalog: Catalog,
  store: TableShape,
  index: IndexShape,
  values: readonly Datum[] | null,
): SqlError {
  const { name } = index.index;
  const key = values === null ? '' : describeIndexKey(store, index, values);
  return new SqlError(SQLSTATE.uniqueViolation, `could not create unique index "${name}"`, {
    detail: key === '' ? '' : `Key ${key} is duplicated.`,
    ...tableFields(catalog, store.table),
    constraint: name,
  });
}

/** A key as text, equal for equal keys; null when it collides with none. */
export function comparableKey(key: readonly Datum[] | null): string | null {
  if (key === null || key.includes(null)) return null;
  return key
    .map((value) => {
      if (value instanceof Uint8Array) return hex(value);
      return typeof value === 'string' ? JSON.stringify(value) : String(value);
    })
    .join();
}
