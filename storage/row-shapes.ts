// How the rows of each table are read as the versions that their leaves are made of. Shell.
//
// A version is hashed with the columns that its table had after the transaction that wrote it, so all catalogs there ever
// were are kept. Tables that were dropped keep their rows and history, and are among them.

import { EMPTY_CATALOG, applyChanges } from '../ledger/catalog.ts';
import { decodeChanges } from '../ledger/encoding.ts';
import { VersionHasher } from '../ledger/version-hasher.ts';
import { columnName } from './names.ts';
import type { Catalog, Table } from '../ledger/catalog.ts';
import type { Crypto } from '../ledger/crypto.ts';
import type { RowVersion } from '../ledger/transaction.ts';
import type { Datum } from '../ledger/type.ts';
import type { Database } from './sqlite.ts';

/** A stored row by the names of its columns in SQLite. */
export type NamedRow = Readonly<Record<string, Datum>>;

export class RowShapes {
  readonly #crypto: Crypto;
  /** With the stamp from which each held. */
  readonly #catalogs: { readonly stamp: bigint; readonly catalog: Catalog }[] = [];
  readonly #hashers = new WeakMap<Table, VersionHasher>();

  /** @param database a connection whose main file is shard 0 */
  constructor(database: Database, crypto: Crypto) {
    this.#crypto = crypto;
    const rows = database
      .prepare('SELECT stamp, changes FROM main._catalog ORDER BY version')
      .all() as { stamp: bigint; changes: Uint8Array }[];
    let catalog = EMPTY_CATALOG;
    for (const { stamp, changes } of rows) {
      catalog = applyChanges(catalog, decodeChanges(changes));
      this.#catalogs.push({ stamp, catalog });
    }
  }

  /** Of the newest catalog. */
  get version(): number {
    return this.#newest.version;
  }

  /** Tables of the newest catalog. */
  get current(): readonly Table[] {
    return tablesIn(this.#newest);
  }

  /** Every table there ever was, each as it was last. */
  get ever(): readonly Table[] {
    const tables = new Map<number, Table>();
    for (const { catalog } of this.#catalogs) {
      for (const table of tablesIn(catalog)) tables.set(table.id, table);
    }
    return [...tables.values()];
  }

  /** Whether the newest catalog has the table. */
  isCurrent(table: Table): boolean {
    return this.#newest.relations.get(table.id) === table;
  }

  /** The table as it was after the transaction of a stamp; null when it was not there. */
  at(relation: number, stamp: bigint): Table | null {
    const found = this.#catalogs.findLast((entry) => entry.stamp <= stamp);
    const table = found?.catalog.relations.get(relation);
    return table?.kind === 'table' ? table : null;
  }

  /** The leaf of a version. @param shape as `at` gives it for the stamp; @param row null when it is deleted */
  leaf(shape: Table, rowId: bigint, stamp: bigint, row: NamedRow | null): Uint8Array {
    let hasher = this.#hashers.get(shape);
    if (hasher === undefined) {
      const columns = shape.columns.map(({ id }) => id);
      const { id: relation, schemaVersion } = shape;
      hasher = new VersionHasher(this.#crypto, { relation, schemaVersion, columns });
      this.#hashers.set(shape, hasher);
    }
    return hasher.hash(rowId, stamp, row === null ? null : valuesOf(shape, row));
  }

  get #newest(): Catalog {
    return this.#catalogs.at(-1)?.catalog ?? EMPTY_CATALOG;
  }
}

/** What `RowShapes.leaf` hashes. */
export function versionOf(
  shape: Table,
  rowId: bigint,
  stamp: bigint,
  row: NamedRow | null,
): RowVersion {
  const { id: relation, schemaVersion, columns } = shape;
  const of = { relation, schemaVersion, rowId, stamp };
  if (row === null) return { ...of, deleted: true, columns: [], values: [] };
  const ids = columns.map(({ id }) => id);
  return { ...of, deleted: false, columns: ids, values: valuesOf(shape, row) };
}

const columnNames = new WeakMap<Table, readonly string[]>();

/** The values of a row in the order of the columns. */
export function valuesOf(table: Table, row: NamedRow): Datum[] {
  let names = columnNames.get(table);
  if (names === undefined) {
    names = table.columns.map(({ id }) => columnName(id));
    columnNames.set(table, names);
  }
  return names.map((name) => row[name] ?? null);
}

function tablesIn({ relations }: Catalog): Table[] {
  return [...relations.values()].filter((relation) => relation.kind === 'table');
}

/** A leaf as a key of maps. */
export function latin1(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('latin1');
}
