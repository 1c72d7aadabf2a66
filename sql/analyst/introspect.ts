// Reads the ledger's catalog objects out of the mirror's system catalogs. Shell.
//
// (1) Objects that exist keep their ids: found by OID, or by name within their table when Postgres has
//     rebuilt them. New ones get the next ids in the order in which they were created.
// (2) Expressions that run at apply must fit the ledger's language; what does not is 0A000.

import { ID } from '../../ledger/catalog.ts';
import type {
  Catalog,
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
  Table,
  UserType,
  View,
} from '../../ledger/catalog.ts';
import type { Expression } from '../../ledger/expression.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import type { Scalar } from '../ir.ts';
import { readExpression } from '../node-tree.ts';
import { unsupported } from '../node-tree-scalar.ts';
import { parseTree } from '../node-tree-text.ts';
import type { TreeNode } from '../node-tree-text.ts';
import { toExpression } from '../to-expression.ts';
import { constantOf } from './lookup.ts';
import { readNames } from './names.ts';
import type { MirrorState } from './mirror.ts';
import type { Postgres } from './postgres.ts';
import { CatalogResolver } from './resolver.ts';
import type { Builtins } from './resolver.ts';

type Json = { readonly [name: string]: unknown };

const ACL = (column: string): string =>
  `coalesce((select json_agg(json_build_array(grantee::bigint, grantor::bigint, privilege_type, is_grantable)
     order by grantee, grantor, privilege_type) from aclexplode(${column})), '[]')`;
/** Of a `pg_namespace n`: it belongs to the ledger. */
export const USER_SCHEMA = `n.nspname not like 'pg\\_%' and n.nspname not in ('information_schema', 'history', 'ledger')`;

const SCHEMAS = `select json_build_object('oid', oid::bigint, 'name', nspname, 'owner', nspowner::bigint,
    'acl', ${ACL('nspacl')}) from pg_namespace n where ${USER_SCHEMA} order by oid`;
const ROLES = `select json_build_object('oid', oid::bigint, 'name', rolname, 'superuser', rolsuper,
    'login', rolcanlogin, 'inherit', rolinherit, 'createRole', rolcreaterole, 'createDatabase', rolcreatedb,
    'connectionLimit', rolconnlimit, 'validUntil', case when rolvaliduntil = 'infinity' then null
      else (extract(epoch from rolvaliduntil) * 1000000)::bigint::text end,
    'memberOf', coalesce((select json_agg(json_build_object('role', roleid::bigint, 'admin', admin_option)
      order by roleid) from pg_auth_members m where m.member = r.oid), '[]'))
  from pg_authid r where rolname not like 'pg\\_%' order by oid`;
const TYPES = `select json_build_object('oid', t.oid::bigint, 'name', typname, 'schema', typnamespace::bigint,
    'owner', typowner::bigint, 'kind', typtype, 'base', typbasetype::bigint, 'typmod', typtypmod, 'notNull', typnotnull,
    'default', pg_get_expr(typdefaultbin, 0),
    'labels', coalesce((select json_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = t.oid), '[]'),
    'checks', coalesce((select json_agg(json_build_object('oid', c.oid::bigint, 'name', conname, 'tree', conbin::text)
      order by c.oid) from pg_constraint c where contypid = t.oid and contype = 'c'), '[]'))
  from pg_type t join pg_namespace n on n.oid = typnamespace where typtype in ('e', 'd') and ${USER_SCHEMA} order by t.oid`;
const RELATIONS = `select json_build_object('oid', c.oid::bigint, 'name', relname, 'schema', relnamespace::bigint,
    'owner', relowner::bigint, 'kind', relkind, 'acl', ${ACL('relacl')})
  from pg_class c join pg_namespace n on n.oid = relnamespace where relkind in ('r', 'v', 'S') and ${USER_SCHEMA} order by c.oid`;
const COLUMNS = `select json_build_object('relation', attrelid::bigint, 'number', attnum, 'name', attname,
    'type', atttypid::bigint, 'typmod', atttypmod, 'notNull', attnotnull, 'identity', attidentity, 'generated', attgenerated,
    'default', pg_get_expr(adbin, adrelid), 'tree', adbin::text, 'typeName', format_type(atttypid, null),
    'missing', case when atthasmissing then (attmissingval::text::text[])[1] end, 'acl', ${ACL('attacl')})
  from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where relkind = 'r' and attnum > 0 and not attisdropped and ${USER_SCHEMA} order by attrelid, attnum`;
const CONSTRAINTS = `select json_build_object('relation', conrelid::bigint, 'oid', r.oid::bigint, 'name', conname,
    'kind', contype, 'columns', conkey, 'references', confrelid::bigint, 'referenced', confkey, 'onDelete', confdeltype,
    'onUpdate', confupdtype, 'match', confmatchtype, 'index', conindid::bigint, 'tree', conbin::text,
    'deferrable', condeferrable, 'deferred', condeferred, 'validated', convalidated, 'deleteColumns', confdelsetcols)
  from pg_constraint r join pg_class c on c.oid = conrelid join pg_namespace n on n.oid = relnamespace
  where contype in ('c', 'f', 'p', 'u', 'x') and relkind = 'r' and ${USER_SCHEMA} order by r.oid`;
const INDEXES = `select json_build_object('relation', indrelid::bigint, 'oid', indexrelid::bigint, 'name', c.relname,
    'unique', indisunique, 'nullsNotDistinct', indnullsnotdistinct, 'primary', indisprimary,
    'constraint', exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u')),
    'keys', (string_to_array(indkey::text, ' ')::int[])[1:indnkeyatts], 'options', string_to_array(indoption::text, ' ')::int[],
    'expressions', indexprs::text, 'predicate', indpred::text, 'method', amname)
  from pg_index join pg_class c on c.oid = indexrelid join pg_class t on t.oid = indrelid
    join pg_am m on m.oid = c.relam join pg_namespace n on n.oid = c.relnamespace
  where t.relkind = 'r' and ${USER_SCHEMA} order by indexrelid`;
const SEQUENCES = `select json_build_object('relation', seqrelid::bigint, 'type', seqtypid::bigint, 'start', seqstart::text,
    'increment', seqincrement::text, 'min', seqmin::text, 'max', seqmax::text, 'cycle', seqcycle, 'cache', seqcache::text,
    'table', (select refobjid::bigint from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = seqrelid
       and d.refclassid = 'pg_class'::regclass and deptype in ('a', 'i') and refobjsubid > 0 limit 1),
    'column', (select refobjsubid from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = seqrelid
       and d.refclassid = 'pg_class'::regclass and deptype in ('a', 'i') and refobjsubid > 0 limit 1)) from pg_sequence`;

/** Everything the mirror holds now, as a catalog; `state` is what it held before. */
export function readCatalog(postgres: Postgres, builtins: Builtins, state: MirrorState): Catalog {
  return new CatalogReader(postgres, builtins, state).read();
}

const PUBLIC_SCHEMA_OID = 2200;
const ADMIN_OID = 10;
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n;
const ACL_LETTERS: Readonly<Record<string, string>> = {
  INSERT: 'a',
  SELECT: 'r',
  UPDATE: 'w',
  DELETE: 'd',
  TRUNCATE: 'D',
  REFERENCES: 'x',
  TRIGGER: 't',
  USAGE: 'U',
  CREATE: 'C',
};
const ACTIONS: Readonly<Record<string, ForeignKeyAction>> = {
  a: 'noAction',
  r: 'restrict',
  c: 'cascade',
  n: 'setNull',
  d: 'setDefault',
};

type Head = Pick<View, 'id' | 'schema' | 'name' | 'owner' | 'grants'>;

class CatalogReader {
  readonly #postgres: Postgres;
  readonly #builtins: Builtins;
  readonly #state: MirrorState;
  #nextId: number;
  readonly #schemaIds = new Map<number, number>();
  readonly #roleIds = new Map<number, number>([[0, 0]]);
  readonly #relationIds = new Map<number, number>();

  constructor(postgres: Postgres, builtins: Builtins, state: MirrorState) {
    this.#postgres = postgres;
    this.#builtins = builtins;
    this.#state = state;
    this.#nextId = state.catalog.nextId;
  }

  read(): Catalog {
    const { catalog: before, names } = this.#state;
    const roleRows = this.#rows(ROLES);
    for (const { oid } of roleRows) {
      const known = oid === ADMIN_OID ? ID.adminRole : names.roles.get(oid as number);
      this.#roleIds.set(oid as number, known === undefined || known === 0 ? this.#take() : known);
    }
    const roles = mapOf(roleRows.map((row) => this.#role(row)));
    const schemaRows = this.#rows(SCHEMAS);
    for (const { oid } of schemaRows) {
      const known = oid === PUBLIC_SCHEMA_OID ? ID.publicSchema : names.schemas.get(oid as number);
      this.#schemaIds.set(oid as number, known === undefined || known === 0 ? this.#take() : known);
    }
    const schemas = mapOf(schemaRows.map((row) => this.#schema(row)));
    const types = this.#types(schemas, roles);
    const relationRows = this.#rows(RELATIONS);
    for (const { oid } of relationRows) {
      const known = names.relations.get(oid as number)?.id ?? 0;
      this.#relationIds.set(oid as number, known === 0 ? this.#take() : known);
    }
    const named = mapOf(relationRows.map((row) => ({ ...this.#head(row), kind: 'view' as const })));
    const resolver = this.#resolver({ ...before, schemas, types, roles, relations: named });
    const relations = this.#relations(relationRows, resolver);
    const version = before.version + 1;
    return { version, nextId: this.#nextId, schemas, roles, types, relations };
  }

  #rows(query: string): Json[] {
    return this.#postgres.run(query).rows.map(([text]) => JSON.parse(text ?? 'null') as Json);
  }

  #take(): number {
    const id = this.#nextId;
    this.#nextId += 1;
    return id;
  }

  #resolver(catalog: Catalog): CatalogResolver {
    return new CatalogResolver(
      this.#postgres,
      this.#builtins,
      readNames(this.#postgres, catalog),
      catalog,
    );
  }

  #roleId(oid: unknown): number {
    // The database's owner owns schema public; that is the admin.
    return this.#roleIds.get(oid as number) ?? ID.adminRole;
  }

  #grants(acl: unknown): Grant[] {
    const grants = new Map<
      string,
      { grantee: number; grantor: number; all: string[]; option: string[] }
    >();
    for (const [grantee, grantor, privilege, grantable] of acl as [
      number,
      number,
      string,
      boolean,
    ][]) {
      const letter = ACL_LETTERS[privilege];
      if (letter === undefined) continue;
      const key = `${grantee} ${grantor}`;
      const grant = grants.get(key) ?? {
        grantee: grantee === 0 ? 0 : this.#roleId(grantee),
        grantor: this.#roleId(grantor),
        all: [],
        option: [],
      };
      grant.all.push(letter);
      if (grantable) grant.option.push(letter);
      grants.set(key, grant);
    }
    return [...grants.values()].map(({ grantee, grantor, all, option }) => ({
      grantee,
      grantor,
      privileges: all.sort().join(''),
      grantable: option.sort().join(''),
    }));
  }

  #role(row: Json): Role {
    const id = this.#roleId(row['oid']);
    const before = this.#state.catalog.roles.get(id);
    const micros = row['validUntil'] as string | null;
    const members = row['memberOf'] as { role: number; admin: boolean }[];
    return {
      id,
      name: row['name'] as string,
      superuser: row['superuser'] as boolean,
      login: row['login'] as boolean,
      inherit: row['inherit'] as boolean,
      createRole: row['createRole'] as boolean,
      createDatabase: row['createDatabase'] as boolean,
      connectionLimit: row['connectionLimit'] as number,
      validUntil: micros === null ? null : BigInt(micros) - POSTGRES_EPOCH_MICROS,
      memberOf: members.flatMap(({ role, admin }) => {
        const group = this.#roleIds.get(role);
        return group === undefined ? [] : [{ role: group, admin }];
      }),
      publicKey: before?.publicKey ?? null,
      custody: before?.custody ?? null,
      verifierCommitment: before?.verifierCommitment ?? null,
    };
  }

  #schema(row: Json): Schema {
    const oid = row['oid'] as number;
    // Postgres' own first grants on public are part of every mirror, not of the chain.
    const id = this.#schemaIds.get(oid) ?? 0;
    const before = this.#state.catalog.schemas.get(id);
    const grants = this.#grants(row['acl']);
    const owner = this.#roleId(row['owner']);
    const name = row['name'] as string;
    return { id, name, owner: before?.owner ?? owner, grants };
  }

  #types(schemas: Catalog['schemas'], roles: Catalog['roles']): Map<number, UserType> {
    const rows = this.#rows(TYPES);
    const types = new Map<number, UserType>();
    for (const row of rows) {
      const known = this.#state.names.types.get(row['oid'] as number)?.id ?? 0;
      const head = {
        id: known === 0 ? this.#take() : known,
        schema: this.#schemaIds.get(row['schema'] as number) ?? 0,
        name: row['name'] as string,
        owner: this.#roleId(row['owner']),
      };
      if (row['kind'] === 'e') {
        const type: EnumType = { kind: 'enum', ...head, labels: row['labels'] as string[] };
        types.set(head.id, type);
        continue;
      }
      // A domain may stand on one made before it: types are read in the order of their making.
      const catalog = { ...this.#state.catalog, schemas, roles, types };
      const resolver = this.#resolver(catalog);
      types.set(head.id, this.#domain(head, row, resolver, catalog));
    }
    return types;
  }

  #domain(
    head: Omit<DomainType, 'kind' | 'type' | 'notNull' | 'defaultText' | 'checks'>,
    row: Json,
    resolver: CatalogResolver,
    catalog: Catalog,
  ): DomainType {
    const base = resolver.storedType(row['base'] as number, row['typmod'] as number);
    const under = base.userType === null ? undefined : catalog.types.get(base.userType);
    const inherited = under?.kind === 'domain' ? under : null;
    const before = this.#state.catalog.types.get(head.id);
    const checks = (row['checks'] as Json[]).map((check): Check => {
      const name = check['name'] as string;
      const known =
        before?.kind === 'domain' ? before.checks.find((old) => old.name === name) : undefined;
      const expression = this.#expression(
        check['tree'] as string,
        resolver,
        `check constraint "${name}"`,
      );
      return { id: known?.id ?? this.#take(), name, expression };
    });
    return {
      kind: 'domain',
      ...head,
      type: inherited === null ? base : inherited.type,
      notNull: (row['notNull'] as boolean) || (inherited?.notNull ?? false),
      defaultText: (row['default'] as string | null) ?? inherited?.defaultText ?? null,
      checks: [...(inherited?.checks ?? []), ...checks],
    };
  }

  #head(row: Json): Head {
    return {
      id: this.#relationIds.get(row['oid'] as number) ?? 0,
      schema: this.#schemaIds.get(row['schema'] as number) ?? 0,
      name: row['name'] as string,
      owner: this.#roleId(row['owner']),
      grants: this.#grants(row['acl']),
    };
  }

  #relations(rows: readonly Json[], resolver: CatalogResolver): Map<number, Relation> {
    const by = (query: string): Map<number, Json[]> =>
      Map.groupBy(this.#rows(query), (row) => row['relation'] as number);
    const [columns, constraints, indexes, sequences] = [
      by(COLUMNS),
      by(CONSTRAINTS),
      by(INDEXES),
      by(SEQUENCES),
    ];
    const indexIds = this.#indexIds(indexes);
    const relations = new Map<number, Relation>();
    for (const row of rows) {
      const oid = row['oid'] as number;
      const head = this.#head(row);
      if (row['kind'] === 'v') relations.set(head.id, { kind: 'view', ...head } satisfies View);
      else if (row['kind'] === 'S')
        relations.set(head.id, this.#sequence(head, sequences.get(oid)?.[0] ?? {}));
      else {
        const own = constraints.get(oid) ?? [];
        relations.set(
          head.id,
          this.#table(
            head,
            columns.get(oid) ?? [],
            own,
            indexes.get(oid) ?? [],
            indexIds,
            resolver,
          ),
        );
      }
    }
    return relations;
  }

  /** Index ids by OID: kept by name within the table, since Postgres rebuilds indexes. */
  #indexIds(indexes: ReadonlyMap<number, readonly Json[]>): Map<number, number> {
    const ids = new Map<number, number>();
    for (const row of [...indexes.values()].flat()) {
      const table = this.#before(row['relation'] as number);
      const known = table?.indexes.find(({ name }) => name === row['name']);
      const renamed = this.#state.names.indexes.get(row['oid'] as number);
      const same =
        renamed === undefined ? undefined : table?.indexes.find(({ name }) => name === renamed);
      ids.set(row['oid'] as number, (same ?? known)?.id ?? this.#take());
    }
    return ids;
  }

  #before(oid: number): Table | undefined {
    const relation = this.#state.catalog.relations.get(this.#relationIds.get(oid) ?? 0);
    return relation?.kind === 'table' ? relation : undefined;
  }

  #sequence(
    head: Omit<
      Sequence,
      'kind' | 'type' | 'start' | 'increment' | 'min' | 'max' | 'cycle' | 'cache' | 'ownedBy'
    >,
    row: Json,
  ): Sequence {
    const type = ({ 20: 'int8', 21: 'int2', 23: 'int4' } as const)[row['type'] as 20 | 21 | 23];
    const big = (name: string): bigint => BigInt(row[name] as string);
    const table = row['table'] as number | null;
    return {
      kind: 'sequence',
      ...head,
      type,
      start: big('start'),
      increment: big('increment'),
      min: big('min'),
      max: big('max'),
      cycle: row['cycle'] as boolean,
      cache: big('cache'),
      ownedBy:
        table === null
          ? null
          : { relation: this.#relationIds.get(table) ?? 0, column: row['column'] as number },
    };
  }

  #table(
    head: Head,
    columnRows: readonly Json[],
    constraintRows: readonly Json[],
    indexRows: readonly Json[],
    indexIds: ReadonlyMap<number, number>,
    resolver: CatalogResolver,
  ): Table {
    const relation = this.#state.catalog.relations.get(head.id);
    const before = relation?.kind === 'table' ? relation : undefined;
    const columns = columnRows.map((row) => this.#column(row, before, resolver));
    const idOf = (
      list: readonly { name: string; id: number }[] | undefined,
      name: string,
      oid: number,
    ): number => {
      const old = this.#state.names.constraints.get(oid)?.name;
      return (
        (list?.find((item) => item.name === old) ?? list?.find((item) => item.name === name))?.id ??
        this.#take()
      );
    };
    const checks: Check[] = [];
    const foreignKeys: ForeignKey[] = [];
    for (const row of constraintRows) {
      const name = row['name'] as string;
      const oid = row['oid'] as number;
      if (row['deferrable'] === true && (row['kind'] === 'p' || row['kind'] === 'u'))
        throw unsupported(
          'a deferrable unique constraint',
          'Only foreign keys can wait for COMMIT.',
        );
      if (row['validated'] === false)
        throw unsupported('a constraint NOT VALID', 'Leave NOT VALID out.');
      if (row['kind'] === 'x') throw unsupported('an exclusion constraint');
      if (row['kind'] === 'c') {
        const expression = this.#expression(
          row['tree'] as string,
          resolver,
          `check constraint "${name}"`,
        );
        checks.push({ id: idOf(before?.checks, name, oid), name, expression });
      } else if (row['kind'] === 'f') {
        if (row['deleteColumns'] !== null) throw unsupported('a column list of ON DELETE SET');
        foreignKeys.push({
          id: idOf(before?.foreignKeys, name, oid),
          name,
          columns: row['columns'] as number[],
          references: this.#relationIds.get(row['references'] as number) ?? 0,
          referencedColumns: row['referenced'] as number[],
          index: indexIds.get(row['index'] as number) ?? 0,
          onDelete: ACTIONS[row['onDelete'] as string] ?? 'noAction',
          onUpdate: ACTIONS[row['onUpdate'] as string] ?? 'noAction',
          matchFull: row['match'] === 'f',
          deferrable: row['deferrable'] as boolean,
          initiallyDeferred: row['deferred'] as boolean,
        });
      }
    }
    const indexes = indexRows.map((row) => this.#index(row, indexIds, columns, resolver));
    return {
      kind: 'table',
      ...head,
      schemaVersion: before?.schemaVersion ?? 1,
      columns,
      indexes,
      checks,
      foreignKeys,
      appendOnly: before?.appendOnly ?? false,
      shard: before?.shard ?? 0,
      spread: before?.spread ?? null,
    };
  }

  #column(row: Json, before: Table | undefined, resolver: CatalogResolver): Column {
    const id = row['number'] as number;
    const old = before?.columns.find((column) => column.id === id);
    const type = resolver.storedType(row['type'] as number, row['typmod'] as number);
    if (type.base === 'record') throw unsupported('a column of a composite type');
    const generated = row['generated'] as string;
    if (generated === 'v')
      throw unsupported('a virtual generated column', 'Use GENERATED ALWAYS AS (…) STORED.');
    const missing = row['missing'] as string | null;
    return {
      id,
      name: row['name'] as string,
      type,
      notNull: row['notNull'] as boolean,
      identity: ({ a: 'always', d: 'byDefault' } as const)[row['identity'] as 'a' | 'd'] ?? null,
      defaultText: generated === 's' ? null : (row['default'] as string | null),
      generated:
        generated === 's'
          ? this.#expression(
              row['tree'] as string,
              resolver,
              `generated column "${row['name'] as string}"`,
            )
          : null,
      missing:
        old === undefined
          ? this.#missing(missing, row['typeName'] as string, type, resolver)
          : old.missing,
      grants: this.#grants(row['acl']),
    };
  }

  /** Text of a value → Datum, through the constant that Postgres makes of it. */
  #missing(text: string | null, typeName: string, type: SqlType, resolver: CatalogResolver): Datum {
    if (text === null) return null;
    return constantOf(this.#postgres, text, typeName, type, resolver);
  }

  #index(
    row: Json,
    ids: ReadonlyMap<number, number>,
    columns: readonly Column[],
    resolver: CatalogResolver,
  ): Index {
    const name = row['name'] as string;
    if (row['method'] !== 'btree') {
      throw unsupported(`access method "${row['method'] as string}"`, 'Use btree, the default.');
    }
    const trees =
      row['expressions'] === null
        ? []
        : (parseTree(row['expressions'] as string) as readonly TreeNode[]);
    const options = row['options'] as number[];
    let next = 0;
    const keys = (row['keys'] as number[]).map((number, i): IndexKey => {
      const option = options[i] ?? 0;
      const order = { descending: (option & 1) !== 0, nullsFirst: (option & 2) !== 0 };
      const column = columns.find(({ id }) => id === number);
      if (column !== undefined)
        return { column: number, expression: null, type: column.type, ...order };
      const expression = this.#fit(
        readExpression(trees[next++] as TreeNode, resolver),
        `index "${name}"`,
      );
      return { column: null, expression, type: expression.type, ...order };
    });
    const predicate = row['predicate'] as string | null;
    return {
      id: ids.get(row['oid'] as number) ?? 0,
      name,
      unique: row['unique'] as boolean,
      nullsNotDistinct: row['nullsNotDistinct'] as boolean,
      primary: row['primary'] as boolean,
      constraint: row['constraint'] as boolean,
      keys,
      predicate:
        predicate === null ? null : this.#expression(predicate, resolver, `index "${name}"`),
    };
  }

  #expression(tree: string, resolver: CatalogResolver, where: string): Expression {
    const parsed = parseTree(tree);
    const scalars = (Array.isArray(parsed) ? parsed : [parsed]).map((node) =>
      readExpression(node as TreeNode, resolver),
    );
    const [first] = scalars;
    const scalar: Scalar =
      scalars.length === 1 && first !== undefined
        ? first
        : { kind: 'and', type: resolver.type(16, -1), args: scalars };
    return this.#fit(scalar, where);
  }

  #fit(scalar: Scalar, where: string): Expression {
    const expression = toExpression(scalar, () => undefined);
    if (expression === null) {
      throw unsupported(
        `this expression in ${where}`,
        'It must compute the same on every node for ever; see docs/sql.md for what it may use.',
      );
    }
    return expression;
  }
}

function mapOf<T extends { readonly id: number }>(objects: readonly T[]): Map<number, T> {
  return new Map(objects.map((object) => [object.id, object]));
}
