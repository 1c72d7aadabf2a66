// Where the views of schema ledger, the sequences and the histories of tables come from: SQLite text. Pure.
//
// The text stands in FROM. The main file is shard 0, other shards are s1 …, the block index is `chain`. What
// the index does not hold is read out of encoded headers, receipts and blocks (sql/functions/ledger-view.ts);
// what only the node at the moment knows is a parameter (sql/query.ts).

import type { Catalog, Relation, Sequence, Table } from '../ledger/catalog.ts';
import { assert } from '../ledger/error.ts';
import { STAMP_POSITIONS } from '../ledger/operation.ts';
import type { Datum } from '../ledger/type.ts';
import { columnName, FROM, indexName, ROW_ID, shardSchema, TO, VERSION } from '../storage/names.ts';
import { partsOf } from '../storage/parts.ts';
import { HISTORY_COLUMN_BASE } from './analyst/names.ts';
import { isSuperuser, rolesOf } from '../storage/privileges.ts';
import { closedColumn } from './compile/closed-column.ts';
import { call } from './compile/registered.ts';
import { literal } from './compile/representation.ts';
import type { Retyping } from '../storage/retyped.ts';
import { idInReceipt } from '../storage/state-schema.ts';
import { ledgerView, LEDGER_VIEWS } from './ledger-schema.ts';
import type { LedgerColumn } from './ledger-schema.ts';

/**
 * A view of schema ledger, or a sequence.
 *
 * @param relation  id of the view (negative) or of the sequence
 * @returns a SELECT in brackets with columns c1, c2 …
 */
export function ledgerViewSource(relation: number, catalog: Catalog): string {
  if (relation > 0) {
    const sequence = catalog.relations.get(relation);
    assert(sequence?.kind === 'sequence', 'a relation of this kind is no view');
    return sequenceSource(sequence);
  }
  const view = ledgerView(relation);
  assert(view !== undefined, 'an unknown view of schema ledger');
  return SOURCES[view.name]!(catalog);
}

/** Microseconds since 2000-01-01 of milliseconds since 1970. */
function instant(ms: string): string {
  return `(${ms} * 1000 - 946684800000000)`;
}

/** A SELECT in brackets of the columns given. */
function select(columns: readonly string[], rest: string): string {
  return `(SELECT ${columns.map((column, i) => `${column} AS c${i + 1}`).join(', ')} ${rest})`;
}

/** Rows known when the query is compiled. */
function constant(width: number, rows: readonly (readonly Datum[])[]): string {
  const columns = Array.from({ length: width }, (_, i) => `column${i + 1}`);
  if (rows.length === 0)
    return select(
      columns.map(() => 'NULL'),
      'WHERE 0',
    );
  const values = rows.map((row) => `(${row.map(literal).join(', ')})`);
  return select(columns, `FROM (VALUES ${values.join(', ')})`);
}

const height = (stamp: string): string => `(${stamp} / ${STAMP_POSITIONS})`;
const position = (stamp: string): string => `(${stamp} % ${STAMP_POSITIONS})`;
const role = (id: string): string => call('role_name', [id]);
const fromHeader = (field: string): string => call('header_field', ['b.header', literal(field)]);
const fromReceipt = (field: string): string => call('receipt_field', ['r.receipt', literal(field)]);
const APPLIED = "(SELECT value FROM main._meta WHERE key = 'height')";

/**
 * Whether the role that asks may read what an author wrote: statements and messages hold values of tables.
 * The author, whoever is a member of the author's role, and superusers may.
 */
function mayRead(catalog: Catalog, author: string): string {
  const pairs = [...catalog.roles.values()].flatMap((reader) =>
    reader.superuser
      ? [`(${literal(reader.name)}, NULL)`]
      : [...rolesOf(catalog, reader.id)].map((id) => `(${literal(reader.name)}, ${id})`),
  );
  const match = `(column2 IS NULL OR column2 = ${author})`;
  return `EXISTS (SELECT 1 FROM (VALUES ${pairs.join(', ')}) WHERE column1 = :user AND ${match})`;
}

/** Whether the role that asks may read what tells of the node's surroundings. */
function superuserAsks(catalog: Catalog): string {
  const names = [...catalog.roles.values()].filter(({ id }) => isSuperuser(catalog, id));
  return `:user IN (${names.map((role) => literal(role.name)).join(', ')})`;
}

/**
 * Rows that are made outside of SQLite: a JSON array of objects, read once a query.
 *
 * @param columnOf  the value of a column in such a row, `value`
 */
function fromJson(name: string, json: string, columnOf = fromField): string {
  const { columns } = LEDGER_VIEWS.find((view) => view.name === name)!;
  const rows = select(columns.map(columnOf), `FROM json_each(${json})`);
  return `(WITH r AS MATERIALIZED ${rows} SELECT * FROM r)`;
}

/** Fields are named as the columns, in camel case; keys and the like are hexadecimal. */
function fromField({ name, type }: LedgerColumn): string {
  const field = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
  const value = (key: string): string => `(value ->> '$.${key}')`;
  switch (type) {
    case 'timestamptz':
      return instant(value(`${field}Ms`));
    case 'bytea':
      return `unhex(${value(field)})`;
    case 'float8':
      return `CAST(${value(field)} AS REAL)`;
    default:
      return value(field);
  }
}

/** As `fromField`; columns that only superusers see. */
function fromFieldFor(catalog: Catalog, guarded: readonly string[]) {
  return (column: LedgerColumn): string =>
    guarded.includes(column.name)
      ? `CASE WHEN ${superuserAsks(catalog)} THEN ${fromField(column)} END`
      : fromField(column);
}

/** By name; columns as in sql/ledger-schema.ts. */
const SOURCES: Readonly<Record<string, (catalog: Catalog) => string>> = {
  blocks: () =>
    select(
      [
        'b.height',
        'b.hash',
        fromHeader('parent'),
        instant('b.time_ms'),
        'b.transactions',
        fromHeader('transactions_root'),
        fromHeader('executed_height'),
        fromHeader('receipts_root'),
        fromHeader('history_root'),
        fromHeader('proposer'),
      ],
      'FROM chain.block b',
    ),
  transactions: (catalog) =>
    select(
      [
        height('t.stamp'),
        position('t.stamp'),
        idInReceipt('t.receipt'),
        role('t.author'),
        instant('b.time_ms'),
        "CASE WHEN t.sqlstate IS NULL THEN 'committed' ELSE 'aborted' END",
        `CASE WHEN ${mayRead(catalog, 't.author')} THEN ${call('statement_text', ['t.stamp'])} END`,
      ],
      `FROM main._receipt t JOIN chain.block b ON b.height = ${height('t.stamp')}`,
    ),
  receipts: (catalog) =>
    select(
      [
        height('r.stamp'),
        position('r.stamp'),
        idInReceipt('r.receipt'),
        'r.sqlstate',
        `CASE WHEN ${mayRead(catalog, 'r.author')} THEN ${fromReceipt('message')} END`,
        ...['inserted', 'updated', 'deleted', 'versions', 'versions_root'].map(fromReceipt),
      ],
      'FROM main._receipt r',
    ),
  accounts: (catalog) =>
    constant(
      4,
      [...catalog.roles.values()]
        .filter(({ publicKey }) => publicKey !== null)
        .map(({ id, name, publicKey, custody }) => [BigInt(id), name, publicKey, custody]),
    ),
  shards: shardsSource,
  nodes: (catalog) =>
    fromJson('nodes', ':ledger_nodes', fromFieldFor(catalog, ['address', 'last_error'])),
  consensus: () => fromJson('consensus', ':ledger_consensus'),
  alarms: (catalog) => fromJson('alarms', ':ledger_alarms', fromFieldFor(catalog, ['message'])),
  config: () => fromJson('config', call('config_rows', [APPLIED])),
  evidence: () => fromJson('evidence', call('evidence_rows', [APPLIED])),
  chain: () =>
    select(
      [fromHeader('chain_id'), 'b.height', 'b.hash', instant('b.time_ms')],
      `FROM chain.block b WHERE b.height = ${APPLIED}`,
    ),
  relations: relationsSource,
};

/** Rows and bytes are counted page by page, and only if they are asked for. */
function relationsSource(catalog: Catalog): string {
  const rows = [...catalog.relations.values()].map((relation) => [
    ...describe(catalog, relation),
    ...filesOf(relation),
  ]);
  const pages = (what: string, list: string, where: string): string => {
    const place = 'd.schema = n.value ->> 0 AND d.name = n.value ->> 1';
    const found = `SELECT coalesce(sum(d.${what}), 0) FROM dbstat d WHERE ${place} AND ${where}`;
    return `(SELECT sum((${found})) FROM json_each(${list}) n)`;
  };
  return select(
    [
      ...Array.from({ length: 7 }, (_, i) => `r.c${i + 1}`),
      pages('ncell', 'r.c8', "d.pagetype = 'leaf'"),
      pages('pgsize', 'r.c9', 'd.aggregate = 1'),
    ],
    `FROM ${constant(9, rows)} r`,
  );
}

/** Shard and name that SQLite has for the rows of a table, part by part, and for all that belongs to it. */
function filesOf(relation: Relation): [rows: string | null, all: string | null] {
  if (relation.kind !== 'table') return [null, null];
  const indexes = relation.indexes.map(({ id }) => indexName(id));
  const parts = partsOf(relation);
  const all = parts.flatMap(({ schema, rows, history }) =>
    [rows, history, ...indexes].map((name) => [schema, name]),
  );
  return [JSON.stringify(parts.map(({ schema, rows }) => [schema, rows])), JSON.stringify(all)];
}

function describe(catalog: Catalog, relation: Relation): Datum[] {
  const table = relation.kind === 'table' ? relation : null;
  return [
    BigInt(relation.id),
    catalog.schemas.get(relation.schema)?.name ?? null,
    relation.name,
    relation.kind,
    table === null || table.spread !== null ? null : BigInt(table.shard),
    table === null ? null : BigInt(table.schemaVersion),
    table === null ? null : table.appendOnly ? 1n : 0n,
  ];
}

/** One row for each file attached as a shard; those without tables have applied what the first has. */
function shardsSource(catalog: Catalog): string {
  const counts = new Map<number, number>();
  for (const relation of catalog.relations.values()) {
    if (relation.kind !== 'table') continue;
    for (const { shard } of partsOf(relation)) counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  const shard = "(CASE d.name WHEN 'main' THEN 0 ELSE CAST(substr(d.name, 2) AS INTEGER) END)";
  const own = [...counts].map(([number]) => {
    const schema = shardSchema(number);
    return `WHEN '${schema}' THEN (SELECT value FROM ${schema}._meta WHERE key = 'height') `;
  });
  const tables = [...counts].map(
    ([number, count]) => `WHEN '${shardSchema(number)}' THEN ${count} `,
  );
  const fileField = (field: string): string =>
    `(:ledger_files -> CAST(${shard} AS INTEGER) ->> '$.${field}')`;
  const choice = (cases: readonly string[], otherwise: string): string =>
    cases.length === 0 ? otherwise : `CASE d.name ${cases.join('')}ELSE ${otherwise} END`;
  return select(
    [
      shard,
      `printf('state/shard-%02d.sqlite', ${shard})`,
      '(SELECT page_count FROM pragma_page_count(d.name)) * (SELECT page_size FROM pragma_page_size(d.name))',
      choice(own, APPLIED),
      choice(tables, '0'),
      fileField('free'),
      fileField('log'),
    ],
    "FROM pragma_database_list d WHERE d.name = 'main' OR d.name GLOB 's[0-9]*'",
  );
}

/** As Postgres shows a sequence: `last_value` is the newest that may have been handed out. */
function sequenceSource({ id, start }: Sequence): string {
  const newest = `SELECT last, called FROM main._sequence WHERE id = ${id} ORDER BY _from DESC LIMIT 1`;
  return select(
    [`coalesce(s.last, ${start})`, '0', 'coalesce(s.called, 0)'],
    `FROM (SELECT 1) LEFT JOIN (${newest}) s`,
  );
}

/**
 * The history of a table: one row for each version a row has had, and one for its end.
 *
 * A version says who wrote it (`insert` or `update`) and from which block to which it held; the end of a row
 * (`delete`) shows its last values, who deleted it, and holds for no time: `_valid_to` is `_valid_from`.
 *
 * @returns a SELECT in brackets with columns c<id>, c10001 … (HISTORY_COLUMNS) and `_id`
 */
export function historySource(
  table: Table,
  retyped: ReadonlyMap<number, readonly Retyping[]> | undefined,
): string {
  const parts = partsOf(table);
  const all = (names: readonly string[]): string =>
    names.length === 1
      ? names[0]!
      : `(${names.map((name) => `SELECT * FROM ${name}`).join(' UNION ALL ')})`;
  // Unqualified, as in sql/compile/from.ts: the file may not have yet what the transaction's DDL has made of the table.
  const rows = all(parts.map((part) => part.rows));
  const closed = all(parts.map((part) => part.history));
  const own = table.columns.map(({ id }) => `, v.${columnName(id)}`).join('');
  const past = table.columns
    .map(
      (column) =>
        `, ${closedColumn('v.', column, retyped?.get(column.id))} AS ${columnName(column.id)}`,
    )
    .join('');
  const version = (from: string, to: string, deed: string, source: string): string =>
    `SELECT v.${ROW_ID}, ${from} AS f, ${to} AS t, ${deed} AS deed${to === 'NULL' ? own : past} FROM ${source}`;
  const deed = (from: string): string => {
    const before = `SELECT 1 FROM ${closed} p WHERE p.${ROW_ID} = v.${ROW_ID} AND p.${TO} = v.${from}`;
    return `CASE WHEN EXISTS (${before}) THEN 'update' ELSE 'insert' END`;
  };
  const ended =
    `${closed} v WHERE NOT EXISTS (SELECT 1 FROM ${closed} n WHERE n.${ROW_ID} = v.${ROW_ID} AND n.${FROM} = v.${TO})` +
    ` AND NOT EXISTS (SELECT 1 FROM ${rows} n WHERE n.${ROW_ID} = v.${ROW_ID} AND n.${VERSION} = v.${TO})`;
  const versions = [
    version(`v.${VERSION}`, 'NULL', deed(VERSION), `${rows} v`),
    version(`v.${FROM}`, `v.${TO}`, deed(FROM), `${closed} v`),
    version(`v.${TO}`, `v.${TO}`, "'delete'", ended),
  ];
  const about = [
    `v.${ROW_ID}`,
    height('v.f'),
    height('v.t'),
    instant('b.time_ms'),
    idInReceipt('x.receipt'),
    'v.deed',
    role('x.author'),
  ].map((text, i) => `${text} AS ${columnName(HISTORY_COLUMN_BASE + i)}`);
  return (
    `(SELECT v.${ROW_ID}${own}, ${about.join(', ')} FROM (${versions.join(' UNION ALL ')}) v` +
    ` LEFT JOIN main._receipt x ON x.stamp = v.f LEFT JOIN chain.block b ON b.height = ${height('v.f')})`
  );
}
