// DDL, roles and grants: checked in the analyst, ordered as a catalog operation, with what it does to rows. Shell.
//
// One session at a time changes the catalog; another waits for its transaction to end, as for Postgres' locks.

import { equal } from '../../ledger/bytes.ts';
import { applyChanges } from '../../ledger/catalog.ts';
import type { Catalog, CatalogChange, Role, Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import type { Datum, SqlType } from '../../ledger/type.ts';
import { applyTypmod } from '../../ledger/typmod.ts';
import { typeName } from '../../sql/value/oid.ts';
import type { DdlAnalysis, DdlRecord, RowCheck } from '../../sql/analysis.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import type { Query, Target } from '../../sql/ir.ts';
import { innerText } from '../../sql/inner-statement.ts';
import { passwordOf, redactSecrets } from '../../sql/parse.ts';
import { partsOf } from '../../storage/parts.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import { verifierOfPassword } from '../../identity/password.ts';
import { compileOptions } from './compile-options.ts';
import { roleNamed, spansShards } from './context.ts';
import type { SessionContext } from './context.ts';
import { compileEdge, valueOf } from './edge-expression.ts';
import type { Outcome } from './execute.ts';
import { readValues } from './execute-read.ts';
import type { OpenTransaction } from './open-transaction.ts';
import { ROW_ID_ATTRIBUTE, VERSION_ATTRIBUTE } from './plan-modify.ts';
import type { ReadPlan } from './plan.ts';
import { checkRows } from './row-checks.ts';
import type { Session } from './session.ts';
import { keyOfSetting } from './role-key.ts';
import { restartSequences } from './sequence-restart.ts';
import { showProgramsOf } from './show-programs.ts';
import { commitTransaction, rollbackTransaction } from './transaction-commands.ts';
import { executeInsert } from './execute-insert.ts';
import { sessionImage } from './value-context.ts';

// prettier-ignore
const KINDS = new Set([
  'CreateStmt', 'CreateTableAsStmt', 'CreateSchemaStmt', 'CreateSeqStmt', 'CreateEnumStmt', 'CreateDomainStmt',
  'CreateRoleStmt', 'CreateExtensionStmt', 'CreateFunctionStmt', 'CreateTrigStmt', 'CreatePolicyStmt', 'CreatedbStmt',
  'CompositeTypeStmt', 'CreateRangeStmt', 'DefineStmt', 'IndexStmt', 'ViewStmt', 'RuleStmt', 'CommentStmt',
  'AlterTableStmt', 'AlterSeqStmt', 'AlterEnumStmt', 'AlterDomainStmt', 'AlterRoleStmt', 'AlterRoleSetStmt',
  'AlterOwnerStmt', 'AlterObjectSchemaStmt', 'AlterDefaultPrivilegesStmt', 'AlterDatabaseStmt', 'AlterDatabaseSetStmt',
  'AlterExtensionStmt', 'RenameStmt', 'DropStmt', 'DropRoleStmt', 'DropOwnedStmt', 'ReassignOwnedStmt', 'DropdbStmt',
  'GrantStmt', 'GrantRoleStmt', 'DoStmt', 'RefreshMatViewStmt', 'ReindexStmt', 'CreateStatsStmt', 'SecLabelStmt',
  'CreateCastStmt', 'CreateAmStmt', 'CreateFdwStmt', 'CreateForeignTableStmt', 'CreateForeignServerStmt',
  'CreatePublicationStmt', 'CreateSubscriptionStmt', 'CreateTableSpaceStmt', 'CreateEventTrigStmt', 'AlterFunctionStmt',
]);

export function isDdl(kind: string): boolean {
  return KINDS.has(kind);
}

export async function executeDdl(session: Session, statement: ParsedStatement): Promise<Outcome> {
  const { context } = session;
  const alone = context.transaction === null;
  const transaction = context.begin(false);
  try {
    const tag = await runDdl(context, transaction, statement);
    if (alone) await commitTransaction(context);
    return { kind: 'complete', tag };
  } catch (error) {
    if (alone && context.transaction === transaction) await rollbackTransaction(context);
    throw error;
  }
}

async function runDdl(
  session: SessionContext,
  transaction: OpenTransaction,
  statement: ParsedStatement,
): Promise<string> {
  session.checkWritable(/^\w+(\s+\w+)?/.exec(statement.text)![0].toUpperCase());
  await session.lock('ddl', 'update');
  const text = redactSecrets(statement);
  const analysis = await session.services.analyst.analyseDdl(text, session.analysisContext());
  for (const { severity, sqlstate, message } of analysis.notices) {
    session.notice(severity === 'WARNING' ? 'WARNING' : 'NOTICE', sqlstate, message);
  }
  // What a rewrite reads must be read before the catalog changes.
  const rewrites = await readRewrites(session, transaction, analysis);
  const changes = withPassword(
    session,
    statement,
    analysis.changes.map((change) => withKeys(session, change)),
  );
  const record: DdlRecord = {
    role: session.currentRole,
    searchPath: session.settings.get('search_path'),
    text,
  };
  const before = session.catalog;
  transaction.push({ kind: 'catalog', base: before.version, changes, ...record });
  transaction.catalog = applyChanges(before, changes);
  transaction.pendingDdl.push(record);
  transaction.texts.push(text);
  for (const change of changes) reshapeOverlay(transaction, before, change);
  await restartSequences(session, transaction, statement);
  for (const rewrite of rewrites) pushImages(transaction, rewrite);
  for (const check of analysis.rowChecks)
    if (check.kind === 'fill') await fill(session, transaction, check);
  if (transaction.explicit) await checkRows(session, analysis);
  if (statement.kind === 'CreateTableAsStmt') return insertQuery(session, statement, analysis);
  return analysis.tag;
}

// ── Roles ────────────────────────────────────────────────────────────────────────────────────────

/** A role that can log in gets a key: one made here, or the one that another node has made for it. */
function withKeys(session: SessionContext, change: CatalogChange): CatalogChange {
  if (!('put' in change) || change.put !== 'role') return change;
  const role = change.object;
  if (!role.login || role.publicKey !== null) return change;
  const elsewhere = keyOfSetting(session.settings.get('ledger.role_key'));
  if (elsewhere !== null) {
    for (const { name, publicKey } of session.catalog.roles.values()) {
      if (publicKey === null || !equal(publicKey, elsewhere.publicKey)) continue;
      throw new SqlError(SQLSTATE.duplicateObject, `the key is that of role "${name}" already`);
    }
    return { put: 'role', object: { ...role, ...elsewhere, custody: 'hosted' } };
  }
  const publicKey = session.services.keyring.makeKey();
  return { put: 'role', object: { ...role, publicKey, custody: 'hosted' } };
}

/**
 * The password of CREATE or ALTER ROLE becomes a verifier that only this node keeps. It belongs to the role
 * that the statement names and to no other that it changes; the mirror, which never sees it, may find nothing
 * changed at all.
 */
function withPassword(
  session: SessionContext,
  statement: ParsedStatement,
  changes: readonly CatalogChange[],
): readonly CatalogChange[] {
  const password = passwordOf(statement);
  if (password === undefined) return changes;
  const name = nameOfRole(session, statement);
  const put = changes.find(
    (change) => 'put' in change && change.put === 'role' && change.object.name === name,
  );
  const role = (put as { object: Role } | undefined)?.object ?? roleNamed(session.catalog, name);
  if (role === undefined)
    throw new SqlError(SQLSTATE.undefinedObject, `role "${name}" does not exist`);
  const { keyring } = session.services;
  const { publicKey, custody } = role;
  const elsewhere = custody === 'hosted' && publicKey !== null && !keyring.keyOf(publicKey);
  if (password !== null && elsewhere) {
    throw hostedElsewhere(name);
  }
  const verifierCommitment =
    password === null ? null : keyring.putVerifier(verifierOfPassword(password));
  const changed: CatalogChange = { put: 'role', object: { ...role, verifierCommitment } };
  return [...changes.filter((change) => change !== put), changed];
}

/** A password that only this node can check would lock the role out where its key is, and sign for nothing here. */
function hostedElsewhere(name: string): SqlError {
  return new SqlError(
    SQLSTATE.invalidAuthorizationSpecification,
    `this node does not hold the key of role "${name}"`,
    { hint: 'Set its password at a node of the organisation that hosts the role.' },
  );
}

/** The role that CREATE ROLE or ALTER ROLE is about. */
function nameOfRole(session: SessionContext, { tree }: ParsedStatement): string {
  const role = tree['role'] as string | { roletype?: string; rolename?: string };
  if (typeof role === 'string') return role;
  if (role.roletype === 'ROLESPEC_SESSION_USER') return session.sessionRole.name;
  return role.rolename ?? session.currentRole;
}

// ── Rows that a change of the schema rewrites ────────────────────────────────────────────────────

interface Rewrite {
  readonly table: Table;
  readonly columns: readonly number[];
  readonly rows: readonly {
    readonly rowId: bigint;
    readonly version: bigint;
    readonly values: readonly Datum[];
  }[];
}

/** ALTER COLUMN … TYPE: the new values of every row, in terms of the old ones. */
async function readRewrites(
  session: SessionContext,
  transaction: OpenTransaction,
  analysis: DdlAnalysis,
): Promise<Rewrite[]> {
  const byTable = new Map<number, Extract<RowCheck, { kind: 'rewrite' }>[]>();
  for (const check of analysis.rowChecks) {
    if (check.kind !== 'rewrite') continue;
    byTable.set(check.relation, [...(byTable.get(check.relation) ?? []), check]);
  }
  const rewrites: Rewrite[] = [];
  for (const [relation, checks] of byTable) {
    const table = tableOf(session, relation);
    await showProgramsOf(session, transaction, [relation]);
    const schema = session.catalog.schemas.get(table.schema)!.name;
    const after = analysis.changes.find(
      (change) => 'put' in change && change.put === 'relation' && change.object.id === relation,
    );
    const changed = after !== undefined && 'put' in after ? (after.object as Table) : table;
    const types = checks.map(({ column }) => changed.columns.find(({ id }) => id === column)!.type);
    const values = checks.map(
      ({ using }, i) => `CAST((${using}) AS ${typeText(types[i]!, session.catalog)})`,
    );
    const text = `SELECT ${values.join(', ')} FROM ${quoted(schema)}.${quoted(table.name)}`;
    const { query } = await session.services.analyst.analyse(text, [], session.analysisContext());
    if (query === null) throw new SqlError(SQLSTATE.internalError, 'a rewrite reads no table');
    const rows = await readValues(session, withRowIds(query, session), []);
    rewrites.push({
      table: changed,
      columns: checks.map((check) => check.column),
      rows: rows.map((row) => ({
        rowId: row[0] as bigint,
        version: row[1] as bigint,
        // An assignment, not a cast: a text that is too long is refused, not cut.
        values: types.map((type, i) => applyTypmod(row[2 + i]!, type, false)),
      })),
    });
  }
  return rewrites;
}

/** A type as CAST wants it, without its modifier. */
function typeText(type: SqlType, catalog: Catalog): string {
  const own = type.userType === null ? undefined : catalog.types.get(type.userType);
  const name =
    own === undefined
      ? typeName(type.base)
      : `${quoted(catalog.schemas.get(own.schema)!.name)}.${quoted(own.name)}`;
  // Bare CHARACTER means character(1).
  const plain = type.base === 'bpchar' && own === undefined ? 'bpchar' : name;
  return type.array ? `${plain}[]` : plain;
}

function withRowIds(query: Query, session: SessionContext): ReadPlan {
  const item = query.from[0];
  const entry = item?.kind === 'ref' ? item.entry : 1;
  const system = (column: number): Target => ({
    expression: { kind: 'var', type: sqlType('int8'), entry, column, levelsUp: 0 },
    name: '',
    hidden: false,
    relation: 0,
    column: 0,
    assign: 0,
  });
  const select: Query = {
    ...query,
    targets: [system(ROW_ID_ATTRIBUTE), system(VERSION_ATTRIBUTE), ...query.targets],
  };
  const compiled = compileQuery(select, compileOptions(session.catalog, 'current', new Set()));
  const analysis = { parameters: [], columns: null, query: select, catalogOnly: false };
  return { kind: 'read', query: select, analysis, compiled, variants: new Map() };
}

function pushImages(transaction: OpenTransaction, { table, columns, rows }: Rewrite): void {
  if (rows.length === 0) return;
  transaction.push({
    kind: 'update',
    relation: table.id,
    schemaVersion: table.schemaVersion,
    columns,
    rows,
  });
}

/** ADD COLUMN with a volatile default, or generated: every row gets its own value. */
async function fill(
  session: SessionContext,
  transaction: OpenTransaction,
  check: Extract<RowCheck, { kind: 'fill' }>,
): Promise<void> {
  const table = tableOf(session, check.relation);
  const before = session.services.catalog().relations.get(check.relation);
  if (before?.kind !== 'table') return;
  const { analyst } = session.services;
  const selects = partsOf(table).map(({ rows }) => `SELECT _id, _v FROM ${rows}`);
  const found = await session.services.readers.values(
    session.services.catalog(),
    {
      kind: 'run',
      request: {
        text: `${selects.join(' UNION ALL ')} ORDER BY 1`,
        parameters: {},
        overlay: [],
        standIns: [],
        catalogVersion: null,
        aligned: spansShards(session.catalog, [table.id]),
      },
      session: sessionImage(session),
      columns: null,
    },
    session.stop,
  );
  const column = table.columns.find(({ id }) => id === check.column)!;
  const defaults = await analyst.defaults(table.id, session.analysisContext());
  const scalar = defaults.find((each) => each.column === check.column)?.expression;
  const scope = { catalog: session.catalog, entry: 0 };
  const edge = scalar === undefined ? null : compileEdge(scalar, scope);
  for (const id of edge?.sequences ?? []) {
    const sequence = session.catalog.relations.get(id);
    if (sequence?.kind === 'sequence') await session.reserve(sequence, found.length);
  }
  const columns = column.generated === null && edge !== null ? [column.id] : [];
  const values: Datum[][] = [];
  for (const _ of found) {
    values.push(columns.length === 0 ? [] : [await valueOf(edge!, { session, parameters: [] })]);
  }
  transaction.push({
    kind: 'update',
    relation: table.id,
    schemaVersion: table.schemaVersion,
    columns,
    rows: found.map((row, i) => ({
      rowId: row[0] as bigint,
      version: row[1] as bigint,
      values: values[i]!,
    })),
  });
}

function tableOf(session: SessionContext, relation: number): Table {
  const table = session.catalog.relations.get(relation);
  if (table?.kind === 'table') return table;
  throw new SqlError(SQLSTATE.internalError, `relation ${relation} is not a table`);
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Rows that the transaction has written already get the table's new columns. */
function reshapeOverlay(
  transaction: OpenTransaction,
  before: Catalog,
  change: CatalogChange,
): void {
  if (!('put' in change) || change.put !== 'relation' || change.object.kind !== 'table') return;
  const after = change.object;
  const old = before.relations.get(after.id);
  if (old?.kind !== 'table' || transaction.overlay.table(after.id) === undefined) return;
  const from = after.columns.map((column) => old.columns.findIndex(({ id }) => id === column.id));
  transaction.overlay.reshape(transaction.tag, after.id, (values) =>
    from.map((at, i) => (at < 0 ? after.columns[i]!.missing : (values[at] ?? null))),
  );
}

// ── CREATE TABLE AS ──────────────────────────────────────────────────────────────────────────────

/** The rows of CREATE TABLE … AS: an INSERT of the query into the table just made. */
async function insertQuery(
  session: SessionContext,
  statement: ParsedStatement,
  analysis: DdlAnalysis,
): Promise<string> {
  const into = statement.tree['into'] as { skipData?: boolean };
  const known = session.services.catalog().relations;
  const made = analysis.changes.find(
    (change) => 'put' in change && change.put === 'relation' && !known.has(change.object.id),
  );
  if (made === undefined || !('put' in made)) return analysis.tag;
  if (into.skipData === true) return 'CREATE TABLE AS';
  const table = made.object as Table;
  const schema = session.catalog.schemas.get(table.schema)!.name;
  const query = innerText(statement).text.replace(/\s+with(\s+no)?\s+data\s*$/i, '');
  const insert = `INSERT INTO ${quoted(schema)}.${quoted(table.name)} ${query}`;
  const prepared = await session.services.planner.prepare(insert, [], session);
  if (prepared.plan?.kind !== 'insert') throw new SqlError(SQLSTATE.internalError, 'not an INSERT');
  const outcome = await executeInsert(session, prepared, prepared.plan, [], []);
  return outcome.kind === 'complete' ? outcome.tag.replace(/^INSERT 0/, 'SELECT') : 'SELECT 0';
}
