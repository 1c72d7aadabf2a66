// FROM: tables, subqueries, joins, VALUES, functions. Pure.

import { assert } from '../../ledger/error.ts';
import {
  columnName,
  hiddenKeyName,
  historyTable,
  keyIsStored,
  rowTable,
  ROW_ID,
  VERSION,
  FROM,
  TO,
} from '../../storage/names.ts';
import { XMAX_ATTRIBUTE } from '../node-tree-scalar.ts';
import { VIEW_PARAMETERS } from '../ledger-schema.ts';
import { closedColumn } from './closed-column.ts';
import { selectText, visibleTargets } from './query.ts';
import { functionSource, lateralTable } from './set-returning.ts';
import { spreadText } from './spread.ts';
import { as, condition } from './scalar.ts';
import { contains, newAlias, notSupported, outerScope, parameter, tableOf } from './scope.ts';
import type { Table } from '../../ledger/catalog.ts';
import type { FromItem, RangeEntry } from '../ir.ts';
import type { Scope, Source } from './scope.ts';

/** ` FROM …` of a query, or nothing. Registers every source in the scope. */
export function fromText(scope: Scope): string {
  const items = scope.query.from.map((item, at) => fromItem(item, scope, at > 0));
  return items.join(', ');
}

const JOIN_WORDS = {
  inner: 'JOIN',
  left: 'LEFT JOIN',
  right: 'RIGHT JOIN',
  full: 'FULL JOIN',
} as const;

/** @param nested  the item stands where a bare join would bind to what is left of it */
function fromItem(item: FromItem, scope: Scope, nested: boolean): string {
  if (item.kind === 'ref') return source(item.entry, scope);
  const left = fromItem(item.left, scope, false);
  // Inner joins need no order of their own, so they are written flat and SQLite may reorder them.
  const flat = item.right.kind === 'join' && onlyInner(item.right) && item.join === 'inner';
  const right = fromItem(item.right, scope, !flat);
  const on =
    item.on === null ? (item.join === 'inner' ? '' : ' ON 1') : ` ON ${condition(item.on, scope)}`;
  const text = `${left} ${JOIN_WORDS[item.join]} ${right}${on}`;
  return nested ? `(${text})` : text;
}

function onlyInner(item: FromItem): boolean {
  return (
    item.kind === 'ref' || (item.join === 'inner' && onlyInner(item.left) && onlyInner(item.right))
  );
}

function source(number: number, scope: Scope): string {
  const entry = scope.query.entries[number - 1];
  assert(entry !== undefined, 'FROM refers to no range table entry');
  const { text, source: made } = sourceOf(entry, number, scope);
  scope.sources.set(number, made);
  return text;
}

function sourceOf(
  entry: RangeEntry,
  number: number,
  scope: Scope,
): { text: string; source: Source } {
  const { shared } = scope;
  switch (entry.kind) {
    case 'relation':
      return relation(entry, number, scope);
    case 'subquery': {
      const alias = newAlias(shared, 't');
      if (entry.lateral && referencesSiblings(entry, scope)) {
        const columns = visibleTargets(entry.query).length;
        const text = lateralTable(selectText(entry.query, scope), columns, alias, scope);
        return { text, source: byPosition(alias, 'v', `${alias}.ord`) };
      }
      return {
        text: `(${selectText(entry.query, scope)}) AS ${alias}`,
        source: byPosition(alias, 'c', null),
      };
    }
    case 'cte': {
      const alias = newAlias(shared, 't');
      const name = outerScope(scope, entry.levelsUp).ctes.get(entry.name);
      assert(name !== undefined, 'a CTE is referred to before it is known');
      return { text: `${name} AS ${alias}`, source: byPosition(alias, 'c', null) };
    }
    case 'given': {
      const alias = newAlias(shared, 't');
      return {
        text: `${overlayTable(entry.relation)} AS ${alias}`,
        source: byPosition(alias, 'c', null),
      };
    }
    case 'values':
      return values(entry, scope);
    case 'function':
      return functionSource(entry, scope);
    case 'result':
      return { text: '(SELECT 1)', source: byPosition('', 'c', null) };
    case 'join':
    case 'group':
      throw notSupported('this kind of range table entry in FROM');
  }
}

/** SQLite takes VALUES out of its place, where references to the query around it mean nothing: those are SELECTs. */
function values(
  entry: Extract<RangeEntry, { kind: 'values' }>,
  scope: Scope,
): { text: string; source: Source } {
  const alias = newAlias(scope.shared, 't');
  const rows = entry.rows.map((row) => row.map((cell, at) => as(cell, entry.types[at]!, scope)));
  const correlated = contains(entry.rows, (node) => 'kind' in node && node.kind === 'var');
  const named = (row: readonly string[]): string =>
    row.map((cell, at) => `${cell} AS column${at + 1}`).join(', ');
  const text = correlated
    ? rows.map((row) => `SELECT ${named(row)}`).join(' UNION ALL ')
    : `VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')}`;
  return { text: `(${text}) AS ${alias}`, source: byPosition(alias, 'column', null) };
}

/** Whether a subquery of FROM refers to the query it stands in: any reference one level out of it. */
function referencesSiblings(
  entry: Extract<RangeEntry, { kind: 'subquery' }>,
  scope: Scope,
): boolean {
  const visit = (node: unknown, depth: number): boolean => {
    if (node === null || typeof node !== 'object' || node instanceof Uint8Array) return false;
    if (Array.isArray(node)) return node.some((item) => visit(item, depth));
    const at = node as { kind?: string; levelsUp?: number; command?: string };
    if (at.kind === 'var' && at.levelsUp === depth) return true;
    const below = at.command === undefined ? depth : depth + 1;
    return Object.values(node).some((value) => visit(value, below));
  };
  return contains(scope.query, () => true) && visit(entry.query, 0);
}

function byPosition(alias: string, letter: string, presence: string | null): Source {
  return { column: (column) => `${alias}.${letter}${column}`, presence, table: null, alias };
}

type RelationEntry = Extract<RangeEntry, { kind: 'relation' }>;

function relation(
  entry: RelationEntry,
  number: number,
  scope: Scope,
): { text: string; source: Source } {
  const { shared } = scope;
  const { options } = shared;
  const alias = newAlias(shared, 't');
  if (entry.relationKind === 'ledgerView' || entry.relationKind === 'sequence') {
    const view = options.ledgerView(entry.relation);
    for (const name of VIEW_PARAMETERS) if (view.includes(`:${name}`)) parameter(shared, name);
    return {
      text: `${view} AS ${alias}`,
      source: byPosition(alias, 'c', null),
    };
  }
  const table = tableOf(options.catalog, entry.relation);
  shared.tables.add(table.id);
  const column = (id: number): string =>
    id < 0 ? systemColumn(id, alias) : `${alias}.${columnName(id)}`;
  const made = { column, presence: `${alias}.${ROW_ID}`, table, alias };
  if (entry.relationKind === 'history') {
    return { text: `${options.historyView(table)} AS ${alias}`, source: { ...made, table: null } };
  }
  if (options.visibility === 'current' && !options.overlay.has(table.id)) {
    addStoredKeys(table, alias, shared.storedKeys);
  }
  const text =
    table.spread === null ? tableText(table, scope) : partsText(table, number, made, scope);
  return { text: `${text} AS ${alias}`, source: made };
}

/** The rows of a spread table: committed ones part by part, and those of the session's overlay. */
function partsText(table: Table, entry: number, source: Source, scope: Scope): string {
  if (!scope.shared.options.overlay.has(table.id))
    return spreadText(table, entry, source, scope, null);
  const own = overlayTable(table.id);
  const hide = `${ROW_ID} NOT IN (SELECT ${ROW_ID} FROM ${own})`;
  const base = spreadText(table, entry, source, scope, hide);
  const names = table.columns.map((column) => columnName(column.id));
  const columns = [ROW_ID, VERSION, ...names].join(', ');
  return `(SELECT ${columns} FROM ${base} UNION ALL SELECT ${columns} FROM ${own} WHERE NOT _deleted)`;
}

/** Where the table itself is read, comparisons of folded types may use what its indexes hold. */
function addStoredKeys(table: Table, alias: string, storedKeys: Map<string, string>): void {
  for (const index of table.indexes) {
    for (const [position, key] of index.keys.entries()) {
      if (!keyIsStored(index, key)) continue;
      storedKeys.set(
        `${alias}.${columnName(key.column!)}`,
        `${alias}.${hiddenKeyName(index.id, position)}`,
      );
    }
  }
}

/** ctid is the row id, xmin the stamp of the version, xmax 0 where there is a row; the others have no counterpart. */
function systemColumn(id: number, alias: string): string {
  if (id === SYSTEM_CTID) return `${alias}.${ROW_ID}`;
  if (id === SYSTEM_XMIN) return `${alias}.${VERSION}`;
  if (id === XMAX_ATTRIBUTE) return `(${alias}.${ROW_ID} & 0)`;
  throw notSupported('this system column');
}

const SYSTEM_CTID = -1;
const SYSTEM_XMIN = -2;

/** Where the rows of a table are found: as they are now, in the session's overlay, or at a height. */
function tableText(table: Table, scope: Scope): string {
  const { options } = scope.shared;
  // Unqualified: a temporary table or view of that name stands in for it while a transaction's DDL is open.
  const [rows, history] = [rowTable(table.id), historyTable(table.id)];
  const columns = [ROW_ID, VERSION, ...table.columns.map((column) => columnName(column.id))].join(
    ', ',
  );
  let text = rows;
  if (options.visibility === 'asOf') {
    const at = parameter(scope.shared, 'as_of');
    const retyped = options.retyped(table.id);
    const closed = [
      ROW_ID,
      `${FROM} AS ${VERSION}`,
      ...table.columns.map(
        (column) =>
          `${closedColumn('', column, retyped?.get(column.id))} AS ${columnName(column.id)}`,
      ),
    ];
    text =
      `(SELECT ${columns} FROM ${rows} WHERE ${VERSION} <= ${at} UNION ALL ` +
      `SELECT ${closed.join(', ')} FROM ${history} WHERE ${FROM} <= ${at} AND ${TO} > ${at})`;
  }
  if (!options.overlay.has(table.id)) return text;
  const own = overlayTable(table.id);
  const base = text === rows ? rows : text;
  return (
    `(SELECT ${columns} FROM ${base} WHERE ${ROW_ID} NOT IN (SELECT ${ROW_ID} FROM ${own}) UNION ALL ` +
    `SELECT ${columns} FROM ${own} WHERE NOT _deleted)`
  );
}

/** The session's own changes of a table: columns of the table and `_deleted`. */
export function overlayTable(relation: number): string {
  return `temp.o${relation}`;
}
