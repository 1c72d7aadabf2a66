// DDL: what is allowed, what it changes, and which rows must be looked at. Shell, inside a transaction of the
// caller's.
//
// (1) What TrustSQL does not do is refused by the kind of statement before it runs, or by what it left in
//     the catalogs afterwards; never silently.
// (2) The mirror is empty, so what Postgres would have checked against rows is listed in `rowChecks`.

import type { Catalog, CatalogChange, Column, Relation, Table } from '../../ledger/catalog.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { SqlError } from '../../ledger/error.ts';
import type { DdlAnalysis, DdlRecord, RowCheck } from '../analysis.ts';
import { unsupported } from '../node-tree-scalar.ts';
import {
  commandName,
  parseStatement,
  takeStorageOptions,
  usingOf,
  withoutConcurrently,
} from '../parse.ts';
import type { ParsedStatement, RawNode } from '../parse.ts';
import { refuseCollations } from './collation.ts';
import { readCatalog } from './introspect.ts';
import { literal } from './make-up.ts';
import type { MirrorState } from './mirror.ts';
import type { Postgres } from './postgres.ts';
import { ownObjects, refuseReserved } from './reserved.ts';
import { stable } from './resolver.ts';
import type { Builtins } from './resolver.ts';
import { keepShardColumns, spreadOf } from './spread.ts';

/** DDL that the mirror runs. */
const ALLOWED: ReadonlySet<string> = new Set([
  'CreateStmt',
  'CreateTableAsStmt',
  'AlterTableStmt',
  'RenameStmt',
  'AlterObjectSchemaStmt',
  'AlterOwnerStmt',
  'DropStmt',
  'IndexStmt',
  'ViewStmt',
  'CreateSeqStmt',
  'AlterSeqStmt',
  'CreateSchemaStmt',
  'CreateEnumStmt',
  'AlterEnumStmt',
  'CreateDomainStmt',
  'AlterDomainStmt',
  'CommentStmt',
  'GrantStmt',
  'GrantRoleStmt',
  'CreateRoleStmt',
  'AlterRoleStmt',
  'DropRoleStmt',
  'DropOwnedStmt',
  'ReassignOwnedStmt',
  'AlterDefaultPrivilegesStmt',
  'CreateExtensionStmt',
  'ReindexStmt',
  'SelectStmt',
]);

const REFUSED: Readonly<Record<string, readonly [string, string]>> = {
  CreateTrigStmt: ['CREATE TRIGGER', 'Use constraints and generated columns.'],
  CreateFunctionStmt: ['CREATE FUNCTION', 'Keep the logic in the client.'],
  DoStmt: ['DO', 'Keep the logic in the client.'],
  RuleStmt: ['CREATE RULE', 'Use a view.'],
  CreatePolicyStmt: ['CREATE POLICY', 'Use grants and views.'],
  AlterPolicyStmt: ['ALTER POLICY', 'Use grants and views.'],
  CreateForeignTableStmt: ['CREATE FOREIGN TABLE', 'Copy the data into a table.'],
  CreatePublicationStmt: ['CREATE PUBLICATION', 'See docs/sql.md.'],
  CreateSubscriptionStmt: ['CREATE SUBSCRIPTION', 'See docs/sql.md.'],
  CompositeTypeStmt: ['CREATE TYPE … AS (…)', 'Use a table, or jsonb.'],
  CreateRangeStmt: ['CREATE TYPE … AS RANGE', 'Use two columns.'],
  CreatedbStmt: ['CREATE DATABASE', 'A node holds one ledger. Use a schema.'],
  DropdbStmt: ['DROP DATABASE', 'A node holds one ledger.'],
  AlterRoleSetStmt: ['ALTER ROLE … SET', 'Set it in the connection string.'],
  AlterDatabaseSetStmt: ['ALTER DATABASE … SET', 'Set it in the connection string.'],
  CreateTableSpaceStmt: ['CREATE TABLESPACE', 'Use WITH (shard = n).'],
};

const ALTERATIONS_REFUSED: Readonly<Record<string, string>> = {
  AT_EnableRowSecurity: 'row level security',
  AT_ForceRowSecurity: 'row level security',
  AT_AttachPartition: 'partitioning',
  AT_DetachPartition: 'partitioning',
  AT_AddInherit: 'table inheritance',
  AT_SetUnLogged: 'an unlogged table',
  AT_SetTableSpace: 'a tablespace',
  AT_AddOf: 'a typed table',
  AT_SetCompression: 'a compression method',
  AT_EnableTrig: 'ENABLE TRIGGER',
  AT_DisableTrig: 'DISABLE TRIGGER',
  AT_DisableTrigAll: 'DISABLE TRIGGER',
  AT_ReplicaIdentity: 'REPLICA IDENTITY',
};

/** The statement as the mirror runs it, and its storage options. Empty text: nothing to run. */
export function runnableDdl(text: string): {
  readonly text: string;
  readonly options: ReadonlyMap<string, string | null>;
  readonly statement: ParsedStatement;
} {
  const statement = parseStatement(text);
  const { text: own, options } = takeStorageOptions(statement.text);
  if (statement.kind === 'ReindexStmt') return { text: '', options, statement };
  return { text: withoutConcurrently(own), options, statement };
}

/** Runs one DDL statement in the open transaction and reads what it changed. */
export function analyseChange(
  postgres: Postgres,
  builtins: Builtins,
  record: DdlRecord,
  state: MirrorState,
): { readonly analysis: DdlAnalysis; readonly catalog: Catalog } {
  const { text, options, statement } = runnableDdl(record.text);
  refuse(statement);
  refuseCollations(record.text);
  const own = ownObjects(postgres);
  postgres.run(
    `select pg_catalog.trustsql_set('search_path', ${literal(record.searchPath)}, true), ` +
      `pg_catalog.trustsql_set('role', ${literal(record.role)}, true)`,
  );
  const answer = text === '' ? { tag: 'REINDEX', notices: [] } : postgres.run(text);
  postgres.run(
    `set local session authorization default; set local role none; set local search_path = pg_catalog`,
  );
  refuseReserved(postgres, own);
  refuseLeftovers(postgres);
  const read = readCatalog(postgres, builtins, state);
  const stored = withStorage(state, read, options, statement);
  keepShardColumns(state.catalog, stored);
  const { catalog, changes } = differences(state.catalog, stored);
  const rowChecks = checksOf(state.catalog, catalog, statement);
  const { tag, notices } = answer;
  return { analysis: { changes, tag, notices, rowChecks }, catalog };
}

function refuse(statement: ParsedStatement): void {
  const { kind, tree } = statement;
  const refused = REFUSED[kind];
  if (refused !== undefined) throw unsupported(...refused);
  if (!ALLOWED.has(kind)) throw unsupported(commandName(statement), 'See docs/sql.md.');
  if (kind === 'AlterEnumStmt' && tree['oldVal'] !== undefined) {
    throw unsupported(
      'ALTER TYPE … RENAME VALUE',
      'Rows hold the value by its name. Add a new value and update the rows.',
    );
  }
  const relation = (tree['relation'] ?? (tree['view'] as unknown)) as RawNode | undefined;
  const into = (tree['into'] ?? tree['intoClause']) as { rel?: RawNode } | undefined;
  const persistence = relation?.['relpersistence'] ?? into?.rel?.['relpersistence'];
  if (kind !== 'AlterTableStmt' && persistence === 'u')
    throw unsupported('an unlogged table', 'Every table of a ledger is logged.');
  if (persistence === 't')
    throw unsupported('a temporary table', 'Use WITH, or a table of the ledger.');
  if (tree['partspec'] !== undefined || tree['partbound'] !== undefined) {
    throw unsupported('partitioning', 'Use WITH (shard = n).');
  }
  if (tree['inhRelations'] !== undefined)
    throw unsupported('table inheritance', 'Use a foreign key.');
  if (tree['tablespacename'] !== undefined)
    throw unsupported('a tablespace', 'Use WITH (shard = n).');
  if (tree['objtype'] === 'OBJECT_MATVIEW') throw unsupported('a materialized view', 'Use a view.');
  if (kind === 'CreateExtensionStmt' && tree['extname'] !== 'plpgsql') {
    throw unsupported(
      `extension "${tree['extname'] as string}"`,
      'See docs/sql.md for the functions there are.',
    );
  }
  for (const { AlterTableCmd } of (tree['cmds'] ?? []) as { AlterTableCmd?: RawNode }[]) {
    const what = ALTERATIONS_REFUSED[(AlterTableCmd?.['subtype'] as string | undefined) ?? ''];
    if (what !== undefined) throw unsupported(what, 'See docs/sql.md.');
  }
}

/** What may have come in by a road that the statement's kind does not show. */
function refuseLeftovers(postgres: Postgres): void {
  const { rows } = postgres.run(`
    select case when relkind = 'm' then 'a materialized view' when relkind in ('p', 'I') then 'partitioning'
      when relkind = 'f' then 'a foreign table' when relkind = 'c' then 'a composite type'
      when relpersistence = 't' then 'a temporary table' else 'an unlogged table' end
    from pg_class where oid >= 16384 and (relkind in ('m', 'p', 'I', 'f', 'c') or relpersistence <> 'p')
      and relnamespace not in (select oid from pg_namespace where nspname like 'pg\\_toast%')
    union all select 'table inheritance' from pg_inherits
    union all select 'a trigger' from pg_trigger where not tgisinternal
    union all select 'a rule' from pg_rewrite where oid >= 16384 and ev_type <> '1'
    union all select 'row level security' from pg_policy
    limit 1`);
  const what = rows[0]?.[0];
  if (what !== undefined && what !== null) throw unsupported(what, 'See docs/sql.md.');
}

/** Puts the storage options of the statement onto the table it makes or alters. */
function withStorage(
  { catalog: before, stateShards }: MirrorState,
  after: Catalog,
  options: ReadonlyMap<string, string | null>,
  statement: ParsedStatement,
): Catalog {
  if (options.size === 0) return after;
  for (const name of options.keys()) {
    if (name === 'erasable')
      throw unsupported(
        `storage option "${name}"`,
        'There are ledger, shard, shard_by and shards.',
      );
  }
  const named = (statement.tree['relation'] ??
    (statement.tree['into'] as RawNode)['rel']) as RawNode;
  const table = [...after.relations.values()].find(
    (relation): relation is Table =>
      relation.kind === 'table' &&
      relation.name === named['relname'] &&
      (statement.kind === 'AlterTableStmt' || !before.relations.has(relation.id)) &&
      (named['schemaname'] === undefined ||
        after.schemas.get(relation.schema)?.name === named['schemaname']),
  );
  if (table === undefined) return after;
  const mode = options.get('ledger');
  if (mode !== undefined && mode !== null && mode !== 'append_only' && mode !== 'updatable') {
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      `invalid value for enum option "ledger": ${mode}`,
      {
        detail: 'Valid values are "append_only" and "updatable".',
      },
    );
  }
  const shard = options.get('shard');
  if (shard !== undefined && shard !== null && !/^\d{1,4}$/.test(shard)) {
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      `invalid value for integer option "shard": ${shard}`,
    );
  }
  if (shard !== undefined && table.spread !== null) {
    throw unsupported(
      'moving a table whose rows are spread over several shards',
      'Make a new table WITH (shard = n) and copy.',
    );
  }
  const changed: Table = {
    ...table,
    appendOnly: mode === undefined ? table.appendOnly : mode === 'append_only',
    shard: shard === undefined ? table.shard : Number(shard ?? 0),
    spread: spreadOf(table, options, !before.relations.has(table.id), stateShards),
  };
  return { ...after, relations: new Map(after.relations).set(changed.id, changed) };
}

/** The changes that lead from one catalog to the other, and the other with its schema versions grown. */
function differences(
  before: Catalog,
  after: Catalog,
): { readonly catalog: Catalog; readonly changes: readonly CatalogChange[] } {
  const relations = new Map<number, Relation>();
  for (const relation of after.relations.values()) {
    const old = before.relations.get(relation.id);
    const same = old !== undefined && stable(old) === stable(relation);
    relations.set(relation.id, same ? old : grown(old, relation));
  }
  const catalog = { ...after, relations };
  const put = <T extends { id: number }>(
    old: ReadonlyMap<number, T>,
    now: ReadonlyMap<number, T>,
  ): T[] => [...now.values()].filter((object) => stable(old.get(object.id)) !== stable(object));
  const drop = (old: ReadonlyMap<number, unknown>, now: ReadonlyMap<number, unknown>): number[] =>
    [...old.keys()].filter((id) => !now.has(id));
  const changes: CatalogChange[] = [
    ...put(before.roles, after.roles).map((object) => ({ put: 'role', object }) as const),
    ...put(before.schemas, after.schemas).map((object) => ({ put: 'schema', object }) as const),
    ...put(before.types, after.types).map((object) => ({ put: 'type', object }) as const),
    ...put(before.relations, relations).map((object) => ({ put: 'relation', object }) as const),
    ...drop(before.relations, relations).map((id) => ({ drop: 'relation', id }) as const),
    ...drop(before.types, after.types).map((id) => ({ drop: 'type', id }) as const),
    ...drop(before.schemas, after.schemas).map((id) => ({ drop: 'schema', id }) as const),
    ...drop(before.roles, after.roles).map((id) => ({ drop: 'role', id }) as const),
  ];
  return { catalog, changes };
}

/**
 * The next schema version for a table whose rows or files are affected by the change, and for one that is
 * renamed, or its columns: row versions carry the version, and a proof that names a value must not be able to
 * choose between the names it has had. Names of constraints, grants and defaults change nothing of that.
 */
function grown(old: Relation | undefined, now: Relation): Relation {
  if (now.kind !== 'table' || old?.kind !== 'table') return now;
  const unnamed = <T extends { name: string }>(object: T): T => ({ ...object, name: '' });
  const shape = (table: Table): string =>
    stable([
      table.name,
      table.columns.map((column) => ({ ...column, grants: null, defaultText: null })),
      table.indexes.map(unnamed),
      table.checks.map(unnamed),
      table.foreignKeys.map(unnamed),
    ]);
  return shape(old) === shape(now) ? now : { ...now, schemaVersion: old.schemaVersion + 1 };
}

function checksOf(before: Catalog, after: Catalog, statement: ParsedStatement): RowCheck[] {
  const checks: RowCheck[] = [];
  for (const table of after.relations.values()) {
    const old = before.relations.get(table.id);
    if (table.kind !== 'table' || old?.kind !== 'table' || old === table) continue;
    const relation = table.id;
    for (const column of table.columns) checks.push(...columnChecks(old, table, column, statement));
    const fresh = <T extends { id: number }>(list: readonly T[], known: readonly T[]): T[] =>
      list.filter(({ id }) => !known.some((item) => item.id === id));
    checks.push(
      ...fresh(table.checks, old.checks).map(
        ({ id }) => ({ kind: 'check', relation, check: id }) as const,
      ),
      ...fresh(table.indexes, old.indexes)
        .filter(({ unique }) => unique)
        .map(({ id }) => ({ kind: 'unique', relation, index: id }) as const),
      ...fresh(table.foreignKeys, old.foreignKeys).map(
        ({ id }) => ({ kind: 'foreignKey', relation, foreignKey: id }) as const,
      ),
    );
  }
  return checks;
}

/** Types whose values are held alike: going from an earlier to a later one changes no row. */
const WIDENINGS = [
  ['int2', 'int4', 'int8'],
  ['varchar', 'text'],
] as const;

function columnChecks(
  old: Table,
  table: Table,
  column: Column,
  statement: ParsedStatement,
): RowCheck[] {
  const relation = table.id;
  const was = old.columns.find(({ id }) => id === column.id);
  if (was === undefined) {
    // A default that is not one value for all rows, an identity or a generated column: every row is filled.
    const filled =
      column.generated !== null ||
      column.identity !== null ||
      (column.defaultText !== null &&
        column.missing === null &&
        !/^NULL\b/i.test(column.defaultText));
    if (filled) return [{ kind: 'fill', relation, column: column.id }];
    return column.notNull && column.missing === null
      ? [{ kind: 'notNull', relation, column: column.id }]
      : [];
  }
  const checks: RowCheck[] = [];
  const using = usingOf(statement, was.name);
  if (using !== undefined || (stable(was.type) !== stable(column.type) && !widened(was, column))) {
    const name = `"${was.name.replaceAll('"', '""')}"`;
    checks.push({ kind: 'rewrite', relation, column: column.id, using: using ?? name });
  }
  if (column.notNull && !was.notNull) checks.push({ kind: 'notNull', relation, column: column.id });
  return checks;
}

function widened(was: Column, now: Column): boolean {
  if (was.type.array || now.type.array) return false;
  const family = WIDENINGS.find((types) => (types as readonly string[]).includes(was.type.base)) as
    readonly string[] | undefined;
  if (family === undefined || !family.includes(now.type.base)) return false;
  const longer =
    now.type.typmod === -1 || (was.type.typmod !== -1 && now.type.typmod >= was.type.typmod);
  return longer && family.indexOf(now.type.base) >= family.indexOf(was.type.base);
}
