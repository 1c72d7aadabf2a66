// The ledger's catalog: schemas, relations, types, roles. Pure types and the one function that changes it.
//
// (1) The catalog is a value. A catalog operation carries changes that put or drop whole objects; applying
//     them to the catalog of height h gives the catalog of height h+1, on every node alike.
// (2) Ids are assigned by the chain, never reused, and shared by all kinds of object. Column ids are unique
//     within a relation and never reused (they are Postgres' attribute numbers).
// (3) Nothing here knows an OID: those are a node's own.

import { SQLSTATE } from './sqlstate.ts';
import { SqlError } from './error.ts';
import type { Expression } from './expression.ts';
import type { Datum, SqlType } from './type.ts';

/** Ids of the objects that exist at genesis. */
export const ID = { adminRole: 10, publicSchema: 20, firstFree: 100 } as const;

/** What a grantee may do; letters are those of Postgres' ACL (arwdDxtUCcT). */
export interface Grant {
  /** Role id, or 0 for PUBLIC. */
  readonly grantee: number;
  readonly grantor: number;
  /** ACL letters, sorted. */
  readonly privileges: string;
  /** The subset of `privileges` held WITH GRANT OPTION. */
  readonly grantable: string;
}

export interface Schema {
  readonly id: number;
  readonly name: string;
  readonly owner: number;
  readonly grants: readonly Grant[];
}

export interface Column {
  readonly id: number;
  readonly name: string;
  readonly type: SqlType;
  readonly notNull: boolean;
  readonly identity: 'always' | 'byDefault' | null;
  /** Text of DEFAULT as Postgres prints it, evaluated at the edge; null if there is none. */
  readonly defaultText: string | null;
  /** GENERATED ALWAYS AS (…) STORED, evaluated when applied. */
  readonly generated: Expression | null;
  /** Value of the column in rows written before it was added. */
  readonly missing: Datum;
  readonly grants: readonly Grant[];
}

export interface IndexKey {
  /** The column, or null when the key is an expression. */
  readonly column: number | null;
  readonly expression: Expression | null;
  readonly type: SqlType;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export interface Index {
  readonly id: number;
  readonly name: string;
  readonly unique: boolean;
  readonly nullsNotDistinct: boolean;
  readonly primary: boolean;
  /** Backs a PRIMARY KEY or UNIQUE constraint of the same name. */
  readonly constraint: boolean;
  readonly keys: readonly IndexKey[];
  readonly predicate: Expression | null;
}

export interface Check {
  readonly id: number;
  readonly name: string;
  readonly expression: Expression;
}

export type ForeignKeyAction = 'noAction' | 'restrict' | 'cascade' | 'setNull' | 'setDefault';

export interface ForeignKey {
  readonly id: number;
  readonly name: string;
  readonly columns: readonly number[];
  /** Relation referenced, and its columns in the same order; `index` is the unique index they form. */
  readonly references: number;
  readonly referencedColumns: readonly number[];
  readonly index: number;
  readonly onDelete: ForeignKeyAction;
  readonly onUpdate: ForeignKeyAction;
  readonly matchFull: boolean;
  /** May be checked at COMMIT instead of by the statement, and is unless SET CONSTRAINTS says otherwise. */
  readonly deferrable: boolean;
  readonly initiallyDeferred: boolean;
}

/** Rows lie in the part that a hash of one column says (storage/parts.ts). */
export interface Spread {
  readonly column: number;
  readonly parts: number;
}

export interface Table {
  readonly kind: 'table';
  readonly id: number;
  readonly schema: number;
  readonly name: string;
  readonly owner: number;
  /** Grows with every change of the table's shape. Row versions carry it. */
  readonly schemaVersion: number;
  /** In order of position; dropped columns are gone from the list, their ids are not reused. */
  readonly columns: readonly Column[];
  readonly indexes: readonly Index[];
  readonly checks: readonly Check[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly appendOnly: boolean;
  /** Number of the state shard that holds the table; 0 where it is spread. */
  readonly shard: number;
  /** How its rows are spread over the shards 0 … parts - 1; null: they lie whole in `shard`. */
  readonly spread: Spread | null;
  readonly grants: readonly Grant[];
}

export interface View {
  readonly kind: 'view';
  readonly id: number;
  readonly schema: number;
  readonly name: string;
  readonly owner: number;
  readonly grants: readonly Grant[];
}

export interface Sequence {
  readonly kind: 'sequence';
  readonly id: number;
  readonly schema: number;
  readonly name: string;
  readonly owner: number;
  readonly type: 'int2' | 'int4' | 'int8';
  readonly start: bigint;
  readonly increment: bigint;
  readonly min: bigint;
  readonly max: bigint;
  readonly cycle: boolean;
  readonly cache: bigint;
  /** Table and column that own it (serial, identity), or null. */
  readonly ownedBy: { readonly relation: number; readonly column: number } | null;
  readonly grants: readonly Grant[];
}

export type Relation = Table | View | Sequence;

export interface EnumType {
  readonly kind: 'enum';
  readonly id: number;
  readonly schema: number;
  readonly name: string;
  readonly owner: number;
  /** In sort order. */
  readonly labels: readonly string[];
}

export interface DomainType {
  readonly kind: 'domain';
  readonly id: number;
  readonly schema: number;
  readonly name: string;
  readonly owner: number;
  /** The base type, with its modifier; never a domain itself (nested ones are flattened). */
  readonly type: SqlType;
  readonly notNull: boolean;
  readonly defaultText: string | null;
  /** VALUE is `{kind: 'column', column: 0}`. */
  readonly checks: readonly Check[];
}

export type UserType = EnumType | DomainType;

export interface Role {
  readonly id: number;
  readonly name: string;
  readonly superuser: boolean;
  readonly login: boolean;
  readonly inherit: boolean;
  readonly createRole: boolean;
  readonly createDatabase: boolean;
  /** -1 for no limit. */
  readonly connectionLimit: number;
  /** Microseconds since 2000-01-01, or null. */
  readonly validUntil: bigint | null;
  /** Roles this one is a member of. */
  readonly memberOf: readonly { readonly role: number; readonly admin: boolean }[];
  /** Ed25519 public key, 32 bytes; null for a role that has never been able to log in. */
  readonly publicKey: Uint8Array | null;
  readonly custody: 'hosted' | 'own' | null;
  /** SHA-256 commitment to the salted SCRAM verifier, 32 bytes, or null without a password. */
  readonly verifierCommitment: Uint8Array | null;
}

export interface Catalog {
  /** Number of catalog operations applied since genesis. */
  readonly version: number;
  /** The next id to assign. */
  readonly nextId: number;
  readonly schemas: ReadonlyMap<number, Schema>;
  readonly relations: ReadonlyMap<number, Relation>;
  readonly types: ReadonlyMap<number, UserType>;
  readonly roles: ReadonlyMap<number, Role>;
}

/** One change of a catalog operation. Changes are applied in order; the result must be closed under references. */
export type CatalogChange =
  | { readonly put: 'schema'; readonly object: Schema }
  | { readonly put: 'relation'; readonly object: Relation }
  | { readonly put: 'type'; readonly object: UserType }
  | { readonly put: 'role'; readonly object: Role }
  | { readonly drop: 'schema' | 'relation' | 'type' | 'role'; readonly id: number };

export const EMPTY_CATALOG: Catalog = {
  version: 0,
  nextId: ID.firstFree,
  schemas: new Map(),
  relations: new Map(),
  types: new Map(),
  roles: new Map(),
};

/**
 * The catalog after `changes`.
 *
 * @throws SqlError 42704 when a change drops what does not exist, 42710 when an id is put that was never
 *   assigned in order
 */
export function applyChanges(catalog: Catalog, changes: readonly CatalogChange[]): Catalog {
  const maps = {
    schema: new Map(catalog.schemas),
    relation: new Map(catalog.relations),
    type: new Map(catalog.types),
    role: new Map(catalog.roles),
  };
  let nextId = catalog.nextId;
  for (const change of changes) {
    if ('put' in change) {
      const map = maps[change.put] as Map<number, unknown>;
      const { id } = change.object;
      if (!map.has(id) && id < catalog.nextId && catalog.version > 0) {
        throw new SqlError(SQLSTATE.duplicateObject, `catalog id ${id} has been used before`);
      }
      map.set(id, change.object);
      nextId = Math.max(nextId, ...idsOf(change).map((used) => used + 1));
    } else if (!maps[change.drop].delete(change.id)) {
      throw new SqlError(SQLSTATE.undefinedObject, `catalog object ${change.id} does not exist`);
    }
  }
  return {
    version: catalog.version + 1,
    nextId,
    schemas: maps.schema,
    relations: maps.relation,
    types: maps.type,
    roles: maps.role,
  };
}

/** The ids an object takes up: its own, and those of its indexes and constraints. */
function idsOf(change: Extract<CatalogChange, { put: string }>): number[] {
  const { object } = change;
  if (change.put === 'type' && change.object.kind === 'domain') {
    return [object.id, ...change.object.checks.map(({ id }) => id)];
  }
  if (change.put !== 'relation' || change.object.kind !== 'table') return [object.id];
  const { indexes, checks, foreignKeys } = change.object;
  return [object.id, ...[...indexes, ...checks, ...foreignKeys].map(({ id }) => id)];
}
