// What the mirror's OIDs mean: one reading of its catalogs, matched with the ledger's by name. Pure, but for
// the Postgres it reads.
//
// An OID is this mirror's own. Everything that leaves the analyst speaks of ledger ids.

import type { Catalog, Table } from '../../ledger/catalog.ts';
import { ledgerViewId } from '../ledger-schema.ts';
import type { Postgres } from './postgres.ts';

/** OIDs below this are Postgres' own objects. */
export const FIRST_USER_OID = 16_384;

/** Column ids of history's own columns begin here; see HISTORY_COLUMNS. */
export const HISTORY_COLUMN_BASE = 10_001;

export interface NamedRelation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** pg_class.relkind */
  readonly kind: string;
  /** OID of the owner. */
  readonly owner: number;
  readonly securityInvoker: boolean;
  /** Names by attribute number - 1; '' for dropped columns. */
  readonly columns: readonly string[];
  /** Ledger id: the base table's for history, negative for ledger views, 0 when the ledger has none. */
  readonly id: number;
}

export interface NamedType {
  readonly oid: number;
  readonly arrayOid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'enum' | 'domain';
  readonly id: number;
}

/** The mirror's user objects at one moment. */
export interface Names {
  readonly relations: ReadonlyMap<number, NamedRelation>;
  readonly types: ReadonlyMap<number, NamedType>;
  /** OIDs of the row types of relations, and of the arrays over them (true). */
  readonly rowTypes: ReadonlyMap<number, boolean>;
  readonly enumLabels: ReadonlyMap<number, string>;
  /** Role ids by OID, and the other way. */
  readonly roles: ReadonlyMap<number, number>;
  readonly roleNames: ReadonlyMap<number, string>;
  readonly superusers: ReadonlySet<string>;
  /** Schema ids by OID. */
  readonly schemas: ReadonlyMap<number, number>;
  /** Index names by OID. */
  readonly indexes: ReadonlyMap<number, string>;
  /** Constraint name and relation by constraint OID. */
  readonly constraints: ReadonlyMap<number, { readonly relation: number; readonly name: string }>;
}

const RELATIONS = `
  select c.oid, n.nspname, c.relname, c.relkind, c.relowner,
    coalesce('security_invoker=true' = any (c.reloptions), false),
    coalesce((select json_agg(case when a.attisdropped then '' else a.attname end order by a.attnum)
       from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0), '[]')
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.oid >= ${FIRST_USER_OID} and c.relkind in ('r', 'v', 'S') and n.nspname not like 'pg\\_%'`;

const TYPES = `
  select t.oid, t.typarray, n.nspname, t.typname, t.typtype
  from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where t.oid >= ${FIRST_USER_OID} and t.typtype in ('e', 'd') and n.nspname not like 'pg\\_%'`;

const ROW_TYPES = `
  select t.oid, t.typarray from pg_catalog.pg_type t join pg_catalog.pg_class c on c.oid = t.typrelid
  where t.oid >= ${FIRST_USER_OID} and c.relkind in ('r', 'v')`;

const ENUM_LABELS = 'select oid, enumlabel from pg_catalog.pg_enum';
const ROLES = 'select oid, rolname, rolsuper from pg_catalog.pg_authid';
const CONSTRAINTS = `
  select oid, conrelid, conname from pg_catalog.pg_constraint
  where oid >= ${FIRST_USER_OID}`;
const SCHEMAS = 'select oid, nspname from pg_catalog.pg_namespace';
const INDEXES = `
  select indexrelid, relname from pg_catalog.pg_index join pg_catalog.pg_class c on c.oid = indexrelid
  where indexrelid >= ${FIRST_USER_OID}`;

type TextRow = readonly (string | null)[];

function cells(row: TextRow): string[] {
  return row.map((value) => value ?? '');
}

/** Reads the mirror's objects and matches them with `catalog` by name. */
export function readNames(postgres: Postgres, catalog: Catalog): Names {
  const ids = idsByName(catalog);
  const roleIds = new Map([...catalog.roles.values()].map(({ name, id }) => [name, id]));
  const schemaIds = new Map([...catalog.schemas.values()].map(({ name, id }) => [name, id]));
  const roles = postgres.run(ROLES).rows.map(cells);
  return {
    relations: readRelations(postgres, ids),
    types: readTypes(postgres, catalog),
    rowTypes: new Map(
      postgres
        .run(ROW_TYPES)
        .rows.map(cells)
        .flatMap(([oid = '', array = '']) => [
          [Number(oid), false],
          [Number(array), true],
        ]),
    ),
    enumLabels: new Map(
      postgres
        .run(ENUM_LABELS)
        .rows.map(cells)
        .map(([oid = '', label = '']) => [Number(oid), label]),
    ),
    roles: new Map(roles.map(([oid = '', name = '']) => [Number(oid), roleIds.get(name) ?? 0])),
    roleNames: new Map(roles.map(([oid = '', name = '']) => [Number(oid), name])),
    schemas: new Map(
      postgres
        .run(SCHEMAS)
        .rows.map(cells)
        .map(([oid = '', name = '']) => [Number(oid), schemaIds.get(name) ?? 0]),
    ),
    indexes: new Map(
      postgres
        .run(INDEXES)
        .rows.map(cells)
        .map(([oid = '', name = '']) => [Number(oid), name]),
    ),
    superusers: new Set(
      roles.flatMap(([, name = '', superuser]) => (superuser === 't' ? name : [])),
    ),
    constraints: new Map(
      postgres
        .run(CONSTRAINTS)
        .rows.map(cells)
        .map(([oid = '', relation = '', name = '']) => [
          Number(oid),
          { relation: Number(relation), name },
        ]),
    ),
  };
}

/** Relation ids by schema and name; the history of a table has the table's. */
function idsByName(catalog: Catalog): Map<string, number> {
  const ids = new Map<string, number>();
  for (const relation of catalog.relations.values()) {
    const schema = catalog.schemas.get(relation.schema)?.name ?? '';
    ids.set(key(schema, relation.name), relation.id);
    if (relation.kind === 'table') {
      ids.set(key('history', historyName(schema, relation.name)), relation.id);
    }
  }
  return ids;
}

function key(schema: string, name: string): string {
  return `${schema}\0${name}`;
}

/** Name of a table's shadow in schema history. */
export function historyName(schema: string, name: string): string {
  return schema === 'public' ? name : `${schema}_${name}`;
}

function readRelations(
  postgres: Postgres,
  ids: ReadonlyMap<string, number>,
): Map<number, NamedRelation> {
  const relations = new Map<number, NamedRelation>();
  for (const row of postgres.run(RELATIONS).rows.map(cells)) {
    const [oid = '', schema = '', name = '', kind = '', owner = '', invoker = '', columns = ''] =
      row;
    relations.set(Number(oid), {
      oid: Number(oid),
      schema,
      name,
      kind,
      owner: Number(owner),
      securityInvoker: invoker === 't',
      columns: JSON.parse(columns) as string[],
      id: schema === 'ledger' ? ledgerViewId(name) : (ids.get(key(schema, name)) ?? 0),
    });
  }
  return relations;
}

function readTypes(postgres: Postgres, catalog: Catalog): Map<number, NamedType> {
  const ids = new Map(
    [...catalog.types.values()].map(({ schema, name, id }) => [
      key(catalog.schemas.get(schema)?.name ?? '', name),
      id,
    ]),
  );
  const types = new Map<number, NamedType>();
  for (const [oid = '', arrayOid = '', schema = '', name = '', kind = ''] of postgres
    .run(TYPES)
    .rows.map(cells)) {
    types.set(Number(oid), {
      oid: Number(oid),
      arrayOid: Number(arrayOid),
      schema,
      name,
      kind: kind === 'e' ? 'enum' : 'domain',
      id: ids.get(key(schema, name)) ?? 0,
    });
  }
  return types;
}

/** A table's column ids by attribute number - 1 of its shadow in schema history. */
export function historyColumnIds(shadow: readonly string[], table: Table): number[] {
  const byName = new Map(table.columns.map(({ name, id }) => [name, id]));
  const own = shadow.length - HISTORY_COLUMNS.length;
  return shadow.map((name, i) =>
    i < own ? (byName.get(name) ?? 0) : HISTORY_COLUMN_BASE + (i - own),
  );
}

/** What the history of a table shows of each version, after the table's own columns. */
// prettier-ignore
export const HISTORY_COLUMNS = [
  ['_row_id', 'int8'], ['_valid_from', 'int8'], ['_valid_to', 'int8'],
  ['_valid_from_time', 'timestamptz'], ['_transaction', 'bytea'], ['_operation', 'text'],
  ['_author', 'name'],
] as const;
