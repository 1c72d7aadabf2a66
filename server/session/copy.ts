// COPY: what is to be copied, and which way. Shell.
//
// Names, types and privileges are the planner's business: COPY t TO is `SELECT columns FROM t`, COPY t FROM is
// `INSERT INTO t (columns) VALUES …` with the rows read here.

import type { Relation, Table } from '../../ledger/catalog.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { copyOptions } from '../../sql/copy/options.ts';
import type { CopyOptions } from '../../sql/copy/options.ts';
import { innerText } from '../../sql/inner-statement.ts';
import type { ParsedStatement, RawNode } from '../../sql/parse.ts';
import type { SessionContext } from './context.ts';
import { copyFrom } from './copy-from.ts';
import { copyTo } from './copy-to.ts';
import type { Outcome } from './execute.ts';
import type { Prepared } from './plan.ts';
import type { Session } from './session.ts';

interface Named {
  readonly schemaname?: string;
  readonly relname: string;
}

/**
 * Carries out a CopyStmt.
 *
 * @throws SqlError
 */
export async function executeCopy(session: Session, statement: ParsedStatement): Promise<Outcome> {
  const { context } = session;
  const { tree } = statement;
  if (tree['filename'] !== undefined) throw refuseFile(context, tree);
  if (tree['query'] !== undefined) return copyQuery(session, statement);
  const named = tree['relation'] as Named;
  const relation = await relationOf(context, named, tree['is_from'] === true);
  const listed = listedColumns(tree);
  if (relation?.kind === 'table') checkColumns(relation, listed);
  if (tree['is_from'] === true) {
    if (relation?.kind !== 'table') throw refuseCatalog(named);
    context.checkWritable('COPY FROM');
    const columns = listed ?? copied(relation);
    const options = copyOptions(statement);
    checkLists(options, relation.name, allNames(relation), columns);
    return copyFrom(context, { statement, table: relation, columns, options });
  }
  const columns = listed ?? (relation?.kind === 'table' ? copied(relation) : null);
  const list = columns === null ? '*' : columns.map(quoted).join(', ');
  // Zero columns are a legal list for SELECT too.
  const prepared = await planned(context, `SELECT ${list} FROM ${qualified(named)}`);
  const options = copyOptions(statement);
  const names = prepared.columns!.map(({ name }) => name);
  checkLists(
    options,
    named.relname,
    relation?.kind === 'table' ? allNames(relation) : names,
    names,
  );
  return copyTo(session, prepared, options);
}

/** COPY (query) TO. */
async function copyQuery(session: Session, statement: ParsedStatement): Promise<Outcome> {
  const [[kind, query]] = Object.entries(statement.tree['query'] as RawNode) as [[string, RawNode]];
  if (kind === 'SelectStmt' && query['intoClause'] !== undefined) {
    throw new SqlError(SQLSTATE.featureNotSupported, 'COPY (SELECT INTO) is not supported');
  }
  const { text, start } = innerText(statement);
  let prepared: Prepared;
  try {
    prepared = await session.context.services.planner.prepare(text, [], session.context);
  } catch (error) {
    throw moved(error, statement.text, start);
  }
  if (prepared.columns === null) {
    throw new SqlError(SQLSTATE.featureNotSupported, 'COPY query must have a RETURNING clause');
  }
  const options = copyOptions(statement);
  const names = prepared.columns.map(({ name }) => name);
  for (const name of options.forceQuote === '*' ? [] : options.forceQuote) {
    if (names.includes(name)) continue;
    throw new SqlError(SQLSTATE.undefinedColumn, `column "${name}" does not exist`);
  }
  return copyTo(session, prepared, options);
}

/** Positions in the query count from its beginning; the client counts from that of the statement. */
function moved(error: unknown, text: string, start: number): unknown {
  const { sqlstate, message, fields } = error as SqlError;
  if (fields?.position === undefined) return error;
  const position = fields.position + [...text.slice(0, start)].length;
  return new SqlError(sqlstate, message, { ...fields, position });
}

/** Plans a text made here; positions in it mean nothing to the client. */
export async function planned(session: SessionContext, text: string): Promise<Prepared> {
  try {
    return await session.services.planner.prepare(text, [], session);
  } catch (error) {
    const { sqlstate, message, fields } = error as SqlError;
    if (fields?.position === undefined) throw error;
    const { position: _, ...others } = fields;
    throw new SqlError(sqlstate, message, others);
  }
}

/** The relation; undefined for one of the system catalogs and the ledger's own views. */
async function relationOf(
  session: SessionContext,
  { schemaname, relname }: Named,
  from: boolean,
): Promise<Relation | undefined> {
  const { analyst } = session.services;
  const id = await analyst.relationId(schemaname, relname, session.analysisContext());
  const relation = session.catalog.relations.get(id);
  if (relation === undefined || relation.kind === 'table') return relation;
  throw new SqlError(
    SQLSTATE.wrongObjectType,
    `cannot copy ${from ? 'to' : 'from'} ${relation.kind} "${relname}"`,
    relation.kind !== 'view'
      ? {}
      : from
        ? { hint: 'To enable copying to a view, provide an INSTEAD OF INSERT trigger.' }
        : { hint: 'Try the COPY (SELECT ...) TO variant.' },
  );
}

function listedColumns(tree: RawNode): string[] | null {
  const list = tree['attlist'] as readonly { String: { sval: string } }[] | undefined;
  return list === undefined ? null : list.map(({ String: name }) => name.sval);
}

function allNames(table: Table): string[] {
  return table.columns.map(({ name }) => name);
}

/** Columns that COPY copies when none are named. */
function copied(table: Table): string[] {
  return table.columns.filter(({ generated }) => generated === null).map(({ name }) => name);
}

function checkColumns(table: Table, listed: readonly string[] | null): void {
  for (const [index, name] of (listed ?? []).entries()) {
    const column = table.columns.find((each) => each.name === name);
    if (column === undefined) throw undefinedColumn(table.name, name);
    if (column.generated !== null) {
      throw new SqlError(
        SQLSTATE.invalidColumnReference,
        `column "${name}" is a generated column`,
        {
          detail: 'Generated columns cannot be used in COPY.',
        },
      );
    }
    if (listed!.indexOf(name) < index) {
      throw new SqlError(SQLSTATE.duplicateColumn, `column "${name}" specified more than once`);
    }
  }
}

/** FORCE_QUOTE and its like name columns that are copied. */
function checkLists(
  options: CopyOptions,
  relation: string,
  all: readonly string[],
  columns: readonly string[],
): void {
  const lists = [
    ['FORCE_QUOTE', options.forceQuote === '*' ? [] : options.forceQuote],
    ['FORCE_NOT_NULL', options.forceNotNull],
    ['FORCE_NULL', options.forceNull],
  ] as const;
  for (const [option, names] of lists) {
    for (const name of names) {
      if (!all.includes(name)) throw undefinedColumn(relation, name);
      if (columns.includes(name)) continue;
      throw new SqlError(
        SQLSTATE.invalidColumnReference,
        `${option} column "${name}" not referenced by COPY`,
      );
    }
  }
}

function undefinedColumn(relation: string, name: string): SqlError {
  return new SqlError(
    SQLSTATE.undefinedColumn,
    `column "${name}" of relation "${relation}" does not exist`,
  );
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function qualified({
  schemaname,
  relname,
}: Pick<Named, 'relname'> & { schemaname?: string | undefined }): string {
  return schemaname === undefined ? quoted(relname) : `${quoted(schemaname)}.${quoted(relname)}`;
}

function refuseCatalog({ relname }: Named): SqlError {
  return new SqlError(
    SQLSTATE.insufficientPrivilege,
    `permission denied: "${relname}" is a system catalog`,
  );
}

/** The node's files and programs are nobody's business over SQL. */
function refuseFile(session: SessionContext, tree: RawNode): SqlError {
  const from = tree['is_from'] === true;
  const hint =
    "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.";
  if (session.settings.get('is_superuser') === 'on') {
    const what = tree['is_program'] === true ? 'a program' : 'a file';
    const message = `COPY ${from ? 'from' : 'to'} ${what} is not supported`;
    return new SqlError(SQLSTATE.featureNotSupported, message, { hint });
  }
  const [role, what] =
    tree['is_program'] === true
      ? ['pg_execute_server_program', 'to or from an external program']
      : from
        ? ['pg_read_server_files', 'from a file']
        : ['pg_write_server_files', 'to a file'];
  return new SqlError(
    SQLSTATE.insufficientPrivilege,
    `must be superuser or have privileges of the ${role} role to COPY ${what}`,
    { hint },
  );
}
