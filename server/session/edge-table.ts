// A table as an open transaction sees it: the newest committed rows under the transaction's own. Shell.
//
// Constraints are checked here statement by statement, with the rules that apply them on the chain, so that
// 23505 comes where Postgres gives it; applying checks them again (architecture 5). Constraints look at the
// newest committed rows whatever the isolation level, as in Postgres.

import { hex } from '../../ledger/bytes.ts';
import type { Catalog, Table } from '../../ledger/catalog.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import { overlayTable } from '../../sql/compile/from.ts';
import {
  columnName,
  foldedText,
  foldKey,
  indexColumns,
  predicateName,
} from '../../storage/names.ts';
import type { RowLookup } from '../../storage/constraints.ts';
import { isIndexed } from '../../storage/foreign-keys.ts';
import { partsOf } from '../../storage/parts.ts';
import { TableShape } from '../../storage/table-shape.ts';
import type { IndexShape, StoredRow } from '../../storage/table-shape.ts';
import { spansShards } from './context.ts';
import type { SessionContext } from './context.ts';
import type { OpenTransaction } from './open-transaction.ts';
import type { OverlayImage } from '../readers/query-runner.ts';
import { nextRevision } from './overlay.ts';
import type { OverlayRow } from './overlay.ts';
import { turns } from './turns.ts';
import { sessionImage } from './value-context.ts';

/** Keys that are looked up one by one in an index: each takes microseconds. */
const LOOK_UPS_MAX = 100;

/** Keys lie in an overlay table of their own; no relation has this id. */
const KEYS_RELATION = 0;

export class EdgeTable extends TableShape implements RowLookup {
  readonly #session: SessionContext;
  readonly #columns: string;
  /** Texts that find a row by its id, and by a key of each index that was asked for. */
  readonly #byId: string;
  readonly #byKey = new Map<IndexShape, string>();
  /** Row ids by key, of the overlay's rows, for each index that was asked for: as of one revision of it. */
  readonly #keys = new Map<IndexShape, Map<string, bigint>>();
  #keysRevision = -1;

  constructor(session: SessionContext, table: Table) {
    super(table);
    this.#session = session;
    this.#columns = ['_id', '_v', ...table.columns.map((column) => columnName(column.id))].join(
      ', ',
    );
    this.#byId = this.#select(['_id = :id']);
  }

  /** Row id under a key of an index, or null. */
  find(index: IndexShape, key: readonly Datum[]): bigint | null {
    return this.findRow(index, key)?.rowId ?? null;
  }

  /** The row under a key of an index, or null. */
  findRow(index: IndexShape, key: readonly Datum[]): StoredRow | null {
    if (key.includes(null)) return null;
    const own = this.#overlayKeys(index)?.get(keyText(key));
    if (own !== undefined) return this.row(own);
    if (this.#truncated()) return null;
    const parameters: Record<string, Datum> = {};
    for (let i = 0; i < key.length; i += 1) parameters[`k${i}`] = key[i]!;
    const found = this.#base(this.#selectBy(index), parameters);
    return found.find((row) => !this.#hidden(row.rowId)) ?? null;
  }

  #selectBy(shape: IndexShape): string {
    let text = this.#byKey.get(shape);
    if (text === undefined) {
      const { index } = shape;
      const conditions = indexColumns(index).map((name, i) => `${name} = :k${i}`);
      if (index.predicate !== null) conditions.push(`${predicateName(index.id)} = 1`);
      this.#byKey.set(shape, (text = this.#select(conditions)));
    }
    return text;
  }

  /** Puts a row into the overlay; what is known of its keys goes on being known. */
  put({ overlay, tag }: OpenTransaction, row: OverlayRow): void {
    const { id } = this.table;
    const before = overlay.row(id, row.rowId);
    const known = overlay.table(id)?.revision === this.#keysRevision;
    overlay.put(tag, id, row);
    if (!known) return;
    for (const [index, keys] of this.#keys) {
      if (before !== undefined && !before.deleted) dropKey(keys, index, before);
      if (!row.deleted) addKey(keys, index, row);
    }
    this.#keysRevision = overlay.table(id)!.revision;
  }

  row(rowId: bigint): StoredRow | null {
    const own = this.#session.transaction?.overlay.row(this.table.id, rowId);
    if (own !== undefined)
      return own.deleted ? null : { rowId, version: own.version, values: [...own.values] };
    if (rowId < 0n || this.#truncated()) return null;
    return this.#base(this.#byId, { id: rowId })[0] ?? null;
  }

  /** Rows whose columns hold these values, none of which is null. */
  rowsWhere(columns: readonly number[], values: readonly Datum[]): StoredRow[] {
    const types = columns.map((id) => this.#typeOf(id));
    const sought = values.map((value, i) => foldKey(value, types[i]!));
    const found = this.committedWhere(columns, values).filter((row) => !this.#hidden(row.rowId));
    for (const row of this.#overlayRows()) {
      if (row.deleted) continue;
      const matches = columns.every((id, i) =>
        sameDatum(foldKey(row.values[this.position(id)!] ?? null, types[i]!), sought[i] ?? null),
      );
      if (matches) found.push({ rowId: row.rowId, version: row.version, values: [...row.values] });
    }
    return found;
  }

  /**
   * The same for each of several keys: one by one where an index finds the rows, else all by one scan, which a
   * reader process makes.
   */
  async rowsWhereAny(
    columns: readonly number[],
    keys: readonly (readonly Datum[])[],
  ): Promise<StoredRow[][]> {
    if (keys.length <= LOOK_UPS_MAX && isIndexed(this.table, columns))
      return keys.map((key) => this.rowsWhere(columns, key));
    const types = columns.map((id) => this.#typeOf(id));
    const folded = keys.map((key) => key.map((value, i) => foldKey(value, types[i]!)));
    const byKey = new Map<string, StoredRow[]>();
    const found = folded.map((key) => {
      const rows = byKey.get(keyText(key)) ?? [];
      byKey.set(keyText(key), rows);
      return rows;
    });
    const positions = columns.map((id) => this.position(id)!);
    const pause = turns(this.#session);
    const take = (row: StoredRow): void => {
      const key = positions.map((at, i) => foldKey(row.values[at] ?? null, types[i]!));
      if (!key.includes(null)) byKey.get(keyText(key))?.push(row);
    };
    await this.#session.services.locks.unlocked.settled(this.table.id);
    for (const row of await this.#scan(columns, folded)) {
      if (!this.#hidden(row.rowId)) take(row);
      const wait = pause();
      if (wait !== undefined) await wait;
    }
    for (const row of this.#overlayRows()) {
      if (!row.deleted) take({ ...row, values: [...row.values] });
      const wait = pause();
      if (wait !== undefined) await wait;
    }
    return found;
  }

  /** Committed rows that hold one of the keys, found by a reader. */
  async #scan(
    columns: readonly number[],
    keys: readonly (readonly Datum[])[],
  ): Promise<StoredRow[]> {
    const session = this.#session;
    if (this.#truncated()) return [];
    session.refuseSpooled([this.table.id]);
    const image: OverlayImage = {
      relation: KEYS_RELATION,
      revision: nextRevision(),
      truncated: false,
      columns,
      rows: keys.map((values, i) => ({ rowId: BigInt(i), version: 0n, deleted: false, values })),
    };
    const held = columns.map((id) => foldedText(columnName(id), this.#typeOf(id))).join(', ');
    const sought = columns.map(columnName).join(', ');
    const text = this.#rowsWhere(
      `(${held}) IN (SELECT ${sought} FROM ${overlayTable(KEYS_RELATION)})`,
    );
    const standIns = session.standInsOf([this.table.id]);
    const request = {
      text,
      parameters: {},
      overlay: [image],
      standIns,
      catalogVersion: null,
      aligned: spansShards(session.catalog, [this.table.id]),
    };
    const run = { kind: 'run' as const, request, session: sessionImage(session), columns: null };
    const rows = await session.services.readers.values(session.catalog, run, session.stop);
    return rows.map(storedRow);
  }

  #typeOf(column: number): SqlType {
    return this.table.columns.find(({ id }) => id === column)!.type;
  }

  /** Committed rows whose columns hold these values, whatever the transaction has made of them. */
  committedWhere(columns: readonly number[], values: readonly Datum[]): StoredRow[] {
    const [conditions, parameters] = this.#holding(columns, values);
    return this.#base(this.#select(conditions), parameters);
  }

  #holding(
    columns: readonly number[],
    values: readonly Datum[],
  ): [string[], Record<string, Datum>] {
    const types = columns.map((id) => this.#typeOf(id));
    const conditions = columns.map((id, i) => `${foldedText(columnName(id), types[i]!)} = :k${i}`);
    return [
      conditions,
      Object.fromEntries(values.map((value, i) => [`k${i}`, foldKey(value, types[i]!)])),
    ];
  }

  #select(conditions: readonly string[]): string {
    return this.#rowsWhere(conditions.join(' AND '));
  }

  /** Unqualified names: something temporary stands in for a table that the transaction has changed. */
  #rowsWhere(condition: string): string {
    return partsOf(this.table)
      .map(({ rows }) => `SELECT ${this.#columns} FROM ${rows} WHERE ${condition}`)
      .join(' UNION ALL ');
  }

  #base(text: string, parameters: Readonly<Record<string, Datum>>): StoredRow[] {
    const tables = [this.table.id];
    this.#session.refuseSpooled(tables);
    const standIns = this.#session.standInsOf(tables);
    const { inline } = this.#session.services;
    const request = { text, parameters, overlay: [], standIns, catalogVersion: null };
    return inline.all(this.#session, { ...request, aligned: true }).map(storedRow);
  }

  #overlayKeys(index: IndexShape): ReadonlyMap<string, bigint> | undefined {
    const overlay = this.#session.transaction?.overlay.table(this.table.id);
    if (overlay === undefined) return undefined;
    if (overlay.revision !== this.#keysRevision) this.#keys.clear();
    this.#keysRevision = overlay.revision;
    let keys = this.#keys.get(index);
    if (keys === undefined) {
      this.#keys.set(index, (keys = new Map()));
      for (const row of overlay.rows.values()) {
        if (!row.deleted) addKey(keys, index, row);
      }
    }
    return keys;
  }

  /** Whether the transaction has its own version of a base row. */
  #hidden(rowId: bigint): boolean {
    return (
      this.#truncated() ||
      this.#session.transaction?.overlay.row(this.table.id, rowId) !== undefined
    );
  }

  #truncated(): boolean {
    return this.#session.transaction?.overlay.table(this.table.id)?.truncated === true;
  }

  #overlayRows(): Iterable<OverlayRow> {
    return this.#session.transaction?.overlay.table(this.table.id)?.rows.values() ?? [];
  }
}

type Keys = Map<string, bigint>;

function addKey(keys: Keys, index: IndexShape, { rowId, values }: OverlayRow): void {
  const key = index.key(values);
  if (key !== null && !key.includes(null)) keys.set(keyText(key), rowId);
}

/** Another row may have taken the key meanwhile. */
function dropKey(keys: Keys, index: IndexShape, { rowId, values }: OverlayRow): void {
  const key = index.key(values);
  if (key === null || key.includes(null)) return;
  const text = keyText(key);
  if (keys.get(text) === rowId) keys.delete(text);
}

/** Equal for equal keys only. */
function keyText(key: readonly Datum[]): string {
  let text = '';
  for (const value of key) {
    text += value instanceof Uint8Array ? `bytes ${hex(value)}\0` : `${typeof value} ${value}\0`;
  }
  return text;
}

function storedRow(row: Row): StoredRow {
  return { rowId: row[0] as bigint, version: row[1] as bigint, values: row.slice(2) };
}

/** Compiling a table's expressions and keys costs more than most statements: it is done once for a session. */
const compiled = new WeakMap<SessionContext, WeakMap<Table, EdgeTable>>();

/** The tables of a session, as the foreign-key rules want them. */
export class EdgeTables {
  readonly #session: SessionContext;

  constructor(session: SessionContext) {
    this.#session = session;
  }

  get catalog(): Catalog {
    return this.#session.catalog;
  }

  table(table: Table): EdgeTable {
    let known = compiled.get(this.#session);
    if (known === undefined) compiled.set(this.#session, (known = new WeakMap()));
    let edge = known.get(table);
    if (edge === undefined) known.set(table, (edge = new EdgeTable(this.#session, table)));
    return edge;
  }
}

export function sameDatum(a: Datum, b: Datum): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
