// Bytes of catalog objects and their changes. Pure, browser-safe. Described in docs/formats/transaction.md.

import type {
  Catalog,
  CatalogChange,
  Check,
  Column,
  DomainType,
  EnumType,
  ForeignKey,
  ForeignKeyAction,
  Grant,
  Index,
  IndexKey,
  Relation,
  Role,
  Schema,
  Sequence,
  Spread,
  Table,
  UserType,
  View,
} from './catalog.ts';
import type { CborReader, CborWriter } from './cbor.ts';
import type { Codec } from './codec.ts';
import {
  bool,
  bytes,
  hash,
  int64,
  integer,
  list,
  nullable,
  oneOf,
  record,
  text,
  uint,
  variants,
} from './codec.ts';
import { PUBLIC_KEY_BYTES } from './crypto.ts';
import { datum, expressionCodec, name, sqlTypeCodec } from './encoding-expression.ts';
import { FormatError } from './error.ts';
import { LIMITS } from './limits.ts';

const grant = record<Grant>({
  grantee: uint,
  grantor: uint,
  privileges: text(32),
  grantable: text(32),
});
const grants = list(grant);

const schema = record<Schema>({ id: uint, name, owner: uint, grants });

const column = record<Column>({
  id: integer(1),
  name,
  type: sqlTypeCodec,
  notNull: bool,
  identity: nullable(oneOf(['always', 'byDefault'])),
  defaultText: nullable(text()),
  generated: nullable(expressionCodec),
  missing: datum,
  grants,
});

const indexKey = record<IndexKey>({
  column: nullable(uint),
  expression: nullable(expressionCodec),
  type: sqlTypeCodec,
  descending: bool,
  nullsFirst: bool,
});

const index = record<Index>({
  id: uint,
  name,
  unique: bool,
  nullsNotDistinct: bool,
  primary: bool,
  constraint: bool,
  keys: list(indexKey, LIMITS.indexKeysMax),
  predicate: nullable(expressionCodec),
});

const check = record<Check>({ id: uint, name, expression: expressionCodec });

const action: Codec<ForeignKeyAction> = oneOf([
  'noAction',
  'restrict',
  'cascade',
  'setNull',
  'setDefault',
]);

const foreignKey = record<ForeignKey>({
  id: uint,
  name,
  columns: list(uint, LIMITS.indexKeysMax),
  references: uint,
  referencedColumns: list(uint, LIMITS.indexKeysMax),
  index: uint,
  onDelete: action,
  onUpdate: action,
  matchFull: bool,
  deferrable: bool,
  initiallyDeferred: bool,
});

/** A table as it is written: one field says in which shard it lies, or how it is spread. */
type TableRecord = Omit<Table, 'shard' | 'spread'> & { readonly shard: number | Spread };

const spread = record<Spread>({ column: integer(1), parts: integer(1, LIMITS.stateShardsMax) });

/** A number or an array, so that tables that lie whole have the bytes that they had before there were others. */
const placement: Codec<number | Spread> = {
  write: (writer, value) =>
    typeof value === 'number' ? uint.write(writer, value) : spread.write(writer, value),
  read: (reader) => (reader.atArray() ? spread.read(reader) : uint.read(reader)),
};

const recordCodec: Codec<TableRecord | View | Sequence> = variants<
  TableRecord | View | Sequence,
  'kind'
>('kind', {
  table: [
    0,
    {
      id: uint,
      schema: uint,
      name,
      owner: uint,
      schemaVersion: uint,
      columns: list(column, LIMITS.columnsMax),
      indexes: list(index),
      checks: list(check),
      foreignKeys: list(foreignKey),
      appendOnly: bool,
      shard: placement,
      grants,
    },
  ],
  view: [1, { id: uint, schema: uint, name, owner: uint, grants }],
  sequence: [
    2,
    {
      id: uint,
      schema: uint,
      name,
      owner: uint,
      type: oneOf(['int2', 'int4', 'int8']),
      start: int64,
      increment: int64,
      min: int64,
      max: int64,
      cycle: bool,
      cache: int64,
      ownedBy: nullable(record<NonNullable<Sequence['ownedBy']>>({ relation: uint, column: uint })),
      grants,
    },
  ],
});

const relationCodec: Codec<Relation> = {
  write(writer, relation) {
    if (relation.kind !== 'table') return recordCodec.write(writer, relation);
    const { spread: parts, ...whole } = relation;
    recordCodec.write(writer, { ...whole, shard: parts ?? whole.shard });
  },
  read(reader) {
    const read = recordCodec.read(reader);
    if (read.kind !== 'table') return read;
    const { shard } = read;
    return typeof shard === 'number'
      ? { ...read, shard, spread: null }
      : { ...read, shard: 0, spread: shard };
  },
};

const userTypeCodec: Codec<UserType> = variants<UserType, 'kind'>('kind', {
  enum: [
    0,
    { id: uint, schema: uint, name, owner: uint, labels: list(name) } satisfies Fields<EnumType>,
  ],
  domain: [
    1,
    {
      id: uint,
      schema: uint,
      name,
      owner: uint,
      type: sqlTypeCodec,
      notNull: bool,
      defaultText: nullable(text()),
      checks: list(check),
    } satisfies Fields<DomainType>,
  ],
});

type Fields<T> = { readonly [K in Exclude<keyof T, 'kind'>]: Codec<T[K]> };

const roleCodec = record<Role>({
  id: uint,
  name,
  superuser: bool,
  login: bool,
  inherit: bool,
  createRole: bool,
  createDatabase: bool,
  connectionLimit: integer(-1),
  validUntil: nullable(int64),
  memberOf: list(record<Role['memberOf'][number]>({ role: uint, admin: bool })),
  publicKey: nullable(bytes(PUBLIC_KEY_BYTES)),
  custody: nullable(oneOf(['hosted', 'own'])),
  verifierCommitment: nullable(hash),
});

const SORTS = ['schema', 'relation', 'type', 'role'] as const;
const sort = oneOf(SORTS);
const objects = { schema, relation: relationCodec, type: userTypeCodec, role: roleCodec } as const;

const PUT = 0;
const DROP = 1;

/** `[0, sort, object]` puts, `[1, sort, id]` drops. */
const changeCodec: Codec<CatalogChange> = {
  write(writer: CborWriter, change) {
    writer.array(3);
    if ('put' in change) {
      writer.uint(PUT);
      sort.write(writer, change.put);
      (objects[change.put] as Codec<unknown>).write(writer, change.object);
    } else {
      writer.uint(DROP);
      sort.write(writer, change.drop);
      uint.write(writer, change.id);
    }
  },
  read(reader: CborReader) {
    const { offset } = reader;
    if (reader.array() !== 3) throw new FormatError('a catalog change expected', offset);
    const verb = reader.uint(DROP);
    const what = sort.read(reader);
    if (verb === DROP) return { drop: what, id: uint.read(reader) };
    return { put: what, object: objects[what].read(reader) } as CatalogChange;
  },
};

export const changesCodec = list(changeCodec);

/** A whole catalog: version, next id, then the objects of each sort in order of id. */
interface CatalogRecord {
  readonly version: number;
  readonly nextId: number;
  readonly schemas: readonly Schema[];
  readonly relations: readonly Relation[];
  readonly types: readonly UserType[];
  readonly roles: readonly Role[];
}

const catalogRecord = record<CatalogRecord>({
  version: uint,
  nextId: uint,
  schemas: list(schema),
  relations: list(relationCodec),
  types: list(userTypeCodec),
  roles: list(roleCodec),
});

function byId<T extends { readonly id: number }>(map: ReadonlyMap<number, T>): readonly T[] {
  return [...map.values()].sort((a, b) => a.id - b.id);
}

function toMap<T extends { readonly id: number }>(items: readonly T[]): ReadonlyMap<number, T> {
  let last = -1;
  for (const { id } of items) {
    if (id <= last) throw new FormatError('catalog objects are not in order of id');
    last = id;
  }
  return new Map(items.map((item) => [item.id, item]));
}

export const catalogCodec: Codec<Catalog> = {
  write(writer, catalog) {
    catalogRecord.write(writer, {
      version: catalog.version,
      nextId: catalog.nextId,
      schemas: byId(catalog.schemas),
      relations: byId(catalog.relations),
      types: byId(catalog.types),
      roles: byId(catalog.roles),
    });
  },
  read(reader) {
    const read = catalogRecord.read(reader);
    return {
      version: read.version,
      nextId: read.nextId,
      schemas: toMap(read.schemas),
      relations: toMap(read.relations),
      types: toMap(read.types),
      roles: toMap(read.roles),
    };
  },
};
