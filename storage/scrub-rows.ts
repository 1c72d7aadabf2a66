// Compares the rows that transactions have left with the leaves of their receipts, in both directions. Shell.
//
// (1) A version without a leaf was never written, or not so. A leaf without a version was written and is gone.
// (2) Closed versions are read before current ones: of two copies of a version the current one is too many.
// (3) A closed version must have been followed by another one, or by a deletion, at the stamp where it ends.
// (4) A row inserted and deleted by one transaction has a leaf and no version: its id is found among those that no row has.

import { encodeRowVersion } from '../ledger/encoding.ts';
import { equal } from '../ledger/bytes.ts';
import { HASH_BYTES } from '../ledger/crypto.ts';
import { heightOf, positionOf, stampOf } from '../ledger/operation.ts';
import { decodeBody, decodeTransaction } from '../ledger/encoding.ts';
import { shardFile } from './data-directory.ts';
import { FROM, ROW_ID, TO, VERSION, columnName, shardSchema } from './names.ts';
import { partOfRow, partsOf } from './parts.ts';
import { latin1, valuesOf, versionOf } from './row-shapes.ts';
import { TableShape } from './table-shape.ts';
import type { Table } from '../ledger/catalog.ts';
import type { FoundVersion } from '../ledger/encoding-repair.ts';
import type { Datum } from '../ledger/type.ts';
import type { BlockStore } from './block-store.ts';
import type { Finding } from './finding.ts';
import type { NamedRow, RowShapes } from './row-shapes.ts';
import type { ReceiptRow, SeenBlocks } from './scrub-blocks.ts';
import type { StateReader } from './snapshot.ts';
import type { Database } from './sqlite.ts';

/** Findings of one look; the rest is found by the next one. */
export const FINDINGS_MAX = 1_000;
/** Hashes that are tried in one look to explain leaves as of rows that came and went. */
const GAP_TRIES_MAX = 200_000;
/** Leaves explained that are remembered. */
const EXPLAINED_MAX = 100_000;
/** Bytes of versions in one answer to a peer. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

/** Stamps from the first to before the second; null: to the end, and all that is no stamp. */
interface Stamps {
  readonly from: bigint;
  readonly to: bigint | null;
}

type RowFinding = Extract<Finding, { readonly kind: 'row' }>;

/** A closed version that ends where nothing follows it. */
interface Unfollowed {
  readonly finding: RowFinding;
  readonly leaf: Uint8Array;
  readonly from: bigint;
  readonly to: bigint | null;
}

export class RowScrub {
  readonly #reader: StateReader;
  readonly #blocks: BlockStore;
  /** Leaves of rows that came and went. */
  readonly #explained = new Set<string>();

  constructor(reader: StateReader, blocks: BlockStore) {
    this.#reader = reader;
    this.#blocks = blocks;
  }

  /** Compares the versions of a range of blocks, in the snapshot of the reader. @param open nothing follows the range */
  check(from: number, to: number, open: boolean, seen: SeenBlocks, shapes: RowShapes): Finding[] {
    const stamps = { from: stampOf(from, 0), to: open ? null : stampOf(to + 1, 0) };
    const files = { reader: this.#reader, blocks: this.#blocks };
    return new Comparison(files, shapes, seen, stamps, this.#explained).run();
  }

  /** Versions that the transactions of a range of stamps have written, by their leaves. */
  find(
    from: bigint,
    to: bigint,
    leaves: readonly Uint8Array[],
    shapes: RowShapes,
  ): readonly FoundVersion[] {
    const wanted = new Set(leaves.map(latin1));
    const found: FoundVersion[] = [];
    let bytes = 0;
    const take = (
      shape: Table | null,
      rowId: bigint,
      stamp: bigint,
      row: NamedRow | null,
      closed: bigint | null,
    ): void => {
      if (shape === null || bytes > ANSWER_BYTES_MAX) return;
      if (!wanted.delete(latin1(shapes.leaf(shape, rowId, stamp, row)))) return;
      const version = encodeRowVersion(versionOf(shape, rowId, stamp, row));
      bytes += version.length;
      found.push({ version, closed });
    };
    for (const table of shapes.ever) {
      for (const { rowId, stamp, to: closed, row } of versions(this.#reader, table, { from, to })) {
        if (wanted.size === 0) return found;
        if (rowId === null || stamp === null) continue;
        take(shapes.at(table.id, stamp), rowId, stamp, row, closed ?? null);
        if (typeof closed === 'bigint')
          take(shapes.at(table.id, closed), rowId, closed, null, null);
      }
    }
    return found;
  }
}

/** A stored version; what is no integer where one belongs is null. */
interface Version {
  readonly rowId: bigint | null;
  readonly stamp: bigint | null;
  /** Where it ends; undefined: it is current. */
  readonly to: bigint | null | undefined;
  /** Which of the table's parts it lies in. */
  readonly part: number;
  readonly row: NamedRow;
}

/** Versions that begin or end in a range, closed ones first. */
function* versions(reader: StateReader, table: Table, stamps: Stamps): Generator<Version> {
  const bounds = [...(stamps.from === 0n ? [] : [stamps.from])];
  if (stamps.to !== null) bounds.push(stamps.to);
  const within = (name: string): string => {
    const parts: string[] = [];
    if (stamps.from !== 0n) parts.push(`${name}>=?`);
    if (stamps.to !== null) parts.push(`${name}<?`);
    const text = parts.length === 0 ? 'true' : parts.join(' AND ');
    return stamps.to === null ? `(${text} OR ${name} IS NULL)` : `(${text})`;
  };
  const { database } = reader;
  const parts = partsOf(table);
  for (const [part, { schema, history }] of parts.entries()) {
    const closed = database
      .prepare(`SELECT * FROM ${schema}.${history} WHERE ${within(FROM)} OR ${within(TO)}`)
      .iterate(...bounds, ...bounds) as Iterable<Record<string, Datum>>;
    for (const row of closed) {
      const [rowId, stamp, to] = [ROW_ID, FROM, TO].map((name) => integer(row[name]));
      yield { rowId: rowId!, stamp: stamp!, to: to!, part, row };
    }
  }
  for (const [part, { schema, rows }] of parts.entries()) {
    const current = database
      .prepare(`SELECT * FROM ${schema}.${rows} WHERE ${within(VERSION)}`)
      .iterate(...bounds) as Iterable<Record<string, Datum>>;
    for (const row of current) {
      yield { rowId: integer(row[ROW_ID]), stamp: integer(row[VERSION]), to: undefined, part, row };
    }
  }
}

class Comparison {
  readonly #reader: StateReader;
  readonly #blocks: BlockStore;
  readonly #shapes: RowShapes;
  readonly #seen: SeenBlocks;
  readonly #stamps: Stamps;
  readonly #explained: Set<string>;
  readonly #findings: Finding[] = [];
  /** Leaves that no version was found for, as latin1, with the stamp that is part of what each is the hash of. */
  readonly #leaves = new Map<string, bigint>();
  #unfollowed: Unfollowed[] = [];

  constructor(
    files: { readonly reader: StateReader; readonly blocks: BlockStore },
    shapes: RowShapes,
    seen: SeenBlocks,
    stamps: Stamps,
    explained: Set<string>,
  ) {
    this.#reader = files.reader;
    this.#blocks = files.blocks;
    this.#shapes = shapes;
    this.#seen = seen;
    this.#stamps = stamps;
    this.#explained = explained;
  }

  run(): Finding[] {
    for (const rows of this.#seen.receipts.values()) for (const row of rows) this.#expect(row);
    for (const table of this.#shapes.ever) {
      this.#compare(table);
      if (this.#findings.length >= FINDINGS_MAX) return this.#findings;
    }
    this.#explainLeft();
    this.#judgeUnfollowed();
    for (const [name, stamp] of this.#leaves) this.#missing(stamp, Buffer.from(name, 'latin1'));
    return this.#findings.slice(0, FINDINGS_MAX);
  }

  #expect({ stamp, leaves }: ReceiptRow): void {
    const names = latin1(leaves);
    for (let at = 0; at < names.length; at += HASH_BYTES) {
      this.#leaves.set(names.slice(at, at + HASH_BYTES), stamp);
    }
  }

  #compare(table: Table): void {
    const hidden = this.#shapes.isCurrent(table) ? new TableShape(table) : null;
    for (const version of versions(this.#reader, table, this.#stamps)) {
      if (version.to !== undefined) this.#compareClosed(table, version);
      else this.#compareCurrent(table, version, hidden);
      if (this.#findings.length >= FINDINGS_MAX) return;
    }
  }

  #compareCurrent(table: Table, version: Version, hidden: TableShape | null): void {
    const { rowId, stamp, row } = version;
    if (!this.#matches(table, version)) {
      this.#findings.push(this.#finding(table, version));
    } else if (!this.#isUnknown(stamp!) && !hiddenFits(hidden, row)) {
      this.#findings.push(this.#finding(table, version));
      // It is right but for what indexes go by, and is to be fetched to be written anew.
      this.#missing(stamp!, this.#leafOf(table, rowId, stamp, row)!);
    }
  }

  /** Whether the version has a leaf, which then is no other's; also where that cannot be said. */
  #matches(table: Table, version: Version): boolean {
    const { stamp } = version;
    if (stamp !== null && this.#isUnknown(stamp)) return true;
    const leaf = this.#leafInPlace(table, version);
    return leaf !== null && this.#take(stamp!, leaf);
  }

  #compareClosed(table: Table, version: Version): void {
    const { rowId, stamp, to } = version;
    const leaf = this.#leafInPlace(table, version);
    const begins = stamp === null || this.#isWithin(stamp);
    const finding = this.#finding(table, version);
    if (leaf === null) {
      if (begins) this.#findings.push(finding);
      return;
    }
    if (!this.#isFollowed(table, rowId!, stamp!, to ?? null)) {
      this.#unfollowed.push({ finding, leaf, from: stamp!, to: to ?? null });
    } else if (begins && !this.#isUnknown(stamp!) && !this.#take(stamp!, leaf)) {
      this.#findings.push(finding);
    }
  }

  /** Whether something follows a closed version where it ends; also where that cannot be said. */
  #isFollowed(table: Table, rowId: bigint, from: bigint, to: bigint | null): boolean {
    if (to === null || to <= from) return false;
    if (!this.#isWithin(to) || this.#isUnknown(to)) return true;
    if (beginsAt(this.#reader.database, table, rowId, to)) return true;
    const shape = this.#shapes.at(table.id, to);
    return shape !== null && this.#take(to, this.#shapes.leaf(shape, rowId, to, null));
  }

  /** What ends where something else is missing is right; else it has another end than it had. */
  #judgeUnfollowed(): void {
    for (const { finding, leaf, from, to } of this.#unfollowed) {
      if (to === null || !this.#isLeft(to)) {
        this.#findings.push(finding);
        // It is to be fetched although its leaf lies in another range.
        if (!this.#isWithin(from)) this.#missing(from, leaf);
      } else if (this.#isWithin(from) && !this.#isUnknown(from) && !this.#take(from, leaf)) {
        // A copy of it stands where the current version should.
        this.#findings.push({ ...finding, history: false });
      }
    }
  }

  #leafOf(
    table: Table,
    rowId: bigint | null,
    stamp: bigint | null,
    row: NamedRow,
  ): Uint8Array | null {
    if (rowId === null || stamp === null) return null;
    const shape = this.#shapes.at(table.id, stamp);
    return shape === null ? null : this.#shapes.leaf(shape, rowId, stamp, row);
  }

  /** As `#leafOf`; null also for a version that lies in a part where its value does not belong. */
  #leafInPlace(table: Table, { rowId, stamp, part, row }: Version): Uint8Array | null {
    const own = partOfRow(table, (column) => row[columnName(column)] ?? null);
    return own === part ? this.#leafOf(table, rowId, stamp, row) : null;
  }

  #take(stamp: bigint, leaf: Uint8Array): boolean {
    const name = latin1(leaf);
    return this.#leaves.get(name) === stamp && this.#leaves.delete(name);
  }

  /** Whether something that the transaction of a stamp has written was not found. */
  #isLeft(stamp: bigint): boolean {
    for (const each of this.#leaves.values()) if (each === stamp) return true;
    return false;
  }

  #isWithin(stamp: bigint): boolean {
    const { from, to } = this.#stamps;
    return (stamp >= from || from === 0n) && (to === null || stamp < to);
  }

  /** Whether what the transaction of a stamp has written is not known now: its block or receipts are damaged. */
  #isUnknown(stamp: bigint): boolean {
    if (!this.#isWithin(stamp) || stamp < 0n) return false;
    const height = heightOf(stamp);
    if (!this.#seen.blocks.has(height)) return height <= this.#reader.height();
    const { authors } = this.#seen.blocks.get(height)!;
    return authors.length > 0 && !this.#seen.receipts.has(height);
  }

  #finding(table: Table, { rowId, stamp, to, part }: Version): RowFinding {
    const file = shardFile(this.#reader.data.path, partsOf(table)[part]!.shard);
    const history = to !== undefined;
    const place = {
      relation: table.id,
      table: table.name,
      part,
      rowId: rowId ?? -1n,
      stamp,
      history,
    };
    return { kind: 'row', file, ...place };
  }

  #missing(stamp: bigint, leaf: Uint8Array): void {
    const tables = this.#writtenBy(stamp);
    const shard = tables[0]?.shard ?? 0;
    const file = shardFile(this.#reader.data.path, shard);
    const names = tables.map(({ name }) => name);
    this.#findings.push({ kind: 'missing', file, stamp, leaf: leaf.slice(), tables: names });
  }

  /** Tables that a transaction says it writes to; none where that is not known. */
  #writtenBy(stamp: bigint): Table[] {
    if (!this.#seen.blocks.has(heightOf(stamp))) return [];
    const { bundles } = decodeBody(this.#blocks.read(heightOf(stamp))!.body);
    const bytes = bundles.flatMap(({ transactions }) => transactions)[positionOf(stamp)]!;
    const relations = new Set<number>();
    for (const operation of decodeTransaction(bytes).operations) {
      if ('relation' in operation) relations.add(operation.relation);
      if ('relations' in operation) for (const each of operation.relations) relations.add(each);
    }
    const tables = [...relations].map((relation) => this.#shapes.at(relation, stamp));
    return tables.filter((table) => table !== null);
  }

  /** Takes leaves of rows that came and went in one transaction. */
  #explainLeft(): void {
    for (const name of this.#leaves.keys())
      if (this.#explained.has(name)) this.#leaves.delete(name);
    if (this.#leaves.size === 0) return;
    const left = new Map<bigint, number>();
    for (const stamp of this.#leaves.values()) left.set(stamp, (left.get(stamp) ?? 0) + 1);
    let tries = 0;
    for (const table of this.#shapes.ever) {
      const open = [...left.keys()].flatMap((stamp) => {
        const shape = this.#shapes.at(table.id, stamp);
        return shape === null ? [] : [{ stamp, shape }];
      });
      if (open.length === 0) continue;
      for (const rowId of freeIds(this.#reader, table)) {
        for (const { stamp, shape } of open) {
          const count = left.get(stamp)!;
          if (count === 0) continue;
          const name = latin1(this.#shapes.leaf(shape, rowId, stamp, null));
          if (this.#leaves.delete(name)) {
            left.set(stamp, count - 1);
            this.#explain(name);
          }
          if (++tries < GAP_TRIES_MAX) continue;
          // What is left is not known to be missing. What was explained is remembered: the next look comes further.
          this.#leaves.clear();
          return;
        }
      }
    }
  }

  #explain(name: string): void {
    if (this.#explained.size >= EXPLAINED_MAX) this.#explained.clear();
    this.#explained.add(name);
  }
}

/** Whether a version of a row begins at a stamp, in whichever part. */
export function beginsAt(database: Database, table: Table, rowId: bigint, stamp: bigint): boolean {
  const has = (name: string, stampName: string): boolean =>
    database
      .prepare(`SELECT 1 FROM ${name} WHERE ${ROW_ID}=? AND ${stampName}=?`)
      .get(rowId, stamp) !== undefined;
  return partsOf(table).some(
    ({ schema, rows, history }) =>
      has(`${schema}.${rows}`, VERSION) || has(`${schema}.${history}`, FROM),
  );
}

/** Ids that the table has given and no row has, nor had. */
function* freeIds(reader: StateReader, table: Table): Generator<bigint> {
  const parts = partsOf(table);
  const used = parts.flatMap(({ schema, rows, history }) =>
    [rows, history].map((name) => `SELECT ${ROW_ID} FROM ${schema}.${name}`),
  );
  const ids = reader.database
    .prepare(`${used.join(' UNION ')} ORDER BY 1`)
    .pluck()
    .iterate() as Iterable<Datum>;
  let next = 1n;
  for (const id of ids) {
    if (typeof id !== 'bigint') continue;
    for (; next < id; next++) yield next;
    next = id + 1n;
  }
  const given = reader.database
    .prepare(`SELECT max(next_row) FROM ${shardSchema(table.shard)}._table WHERE relation=?`)
    .pluck()
    .get(BigInt(table.id)) as bigint | null;
  for (; next < (given ?? 0n); next++) yield next;
}

function hiddenFits(shape: TableShape | null, row: NamedRow): boolean {
  if (shape === null || shape.hidden.length === 0) return true;
  const values = valuesOf(shape.table, row);
  return shape.hidden.every(({ name, value }) => same(value(values), row[name] ?? null));
}

function same(a: Datum, b: Datum): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return equal(a, b);
  return Object.is(a, b);
}

function integer(value: Datum | undefined): bigint | null {
  return typeof value === 'bigint' ? value : null;
}
