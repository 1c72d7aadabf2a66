// Runs compiled queries on one read-only connection: in the main thread and in every reader process. Shell.
//
// (1) Nothing here writes to a file: the connection is read-only, uncommitted rows of a session are laid over
//     it in temporary tables (o<relation>), which hide base rows of the same id.
// (2) Each query sees the newest state, or while a snapshot is held, all see that one.
// (3) A NULL id in an overlay table hides the whole base table (`_id NOT IN (…, NULL)` is never true): that is
//     how TRUNCATE inside a transaction looks.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, Row } from '../../ledger/type.ts';
import type { Database, Statement } from '../../storage/sqlite.ts';
import { columnName } from '../../storage/names.ts';
import type { OverlayRow } from '../session/overlay.ts';
import type { StandIn } from './stand-in.ts';

const STATEMENTS_MAX = 500;

/** Tries to find all files at one height. */
const ALIGNED_TRIES_MAX = 1_000;

/** Characters of a text whose statement is kept: all that are kept, with their programs, must be small beside a reader's memory. */
const STATEMENT_CHARACTERS_MAX = 50_000;

/** How SQLite's compiler says that a statement exceeds a limit of its own. */
const COMPILER_LIMITS =
  /^(too many|at most \d+ tables|Expression tree is too large|parser stack overflow|Recursion limit)/;

function changed(): SqlError {
  return new SqlError(SQLSTATE.catalogChanged, 'the schema has changed meanwhile', {
    hint: 'Run the statement again.',
  });
}

/** A table that is in no file is on its way from one to another: each commits for itself (storage/move-table.ts). */
function asMoved(error: unknown): unknown {
  const message = Error.isError(error) ? error.message : '';
  return /^no such table: (\w+\.)?[rh]\d+$/.test(message) ? changed() : error;
}

/** Uncommitted rows of one table. */
export interface OverlayImage {
  readonly relation: number;
  /** Unique for this content, in this process. */
  readonly revision: number;
  readonly truncated: boolean;
  /** Column ids, in the order of the rows' values. */
  readonly columns: readonly number[];
  readonly rows: readonly OverlayRow[];
}

export interface QueryRequest {
  readonly text: string;
  /** Named parameters, without the colon; exactly those the text uses. */
  readonly parameters: Readonly<Record<string, Datum>>;
  readonly overlay: readonly OverlayImage[];
  readonly standIns: readonly StandIn[];
  /**
   * Version of the catalog that the text was compiled for, checked in the snapshot of the answer; null: any.
   * The writer changes the files before the main thread has followed, and old text on new files reads
   * values of another type.
   */
  readonly catalogVersion: number | null;
  /** The text reads several shard files: they must stand at one height. */
  readonly aligned: boolean;
}

/** An overlay table: the shape it was made in, the revision of its rows, and how they are replaced. */
interface Loaded {
  readonly shape: string;
  revision: number;
  readonly clear: Statement;
  readonly insert: Statement;
}

export class QueryRunner {
  readonly #database: Database;
  /** Least recently used first. */
  readonly #statements = new Map<string, Statement>();
  /** What lies in each overlay table. */
  readonly #loaded = new Map<number, Loaded>();

  readonly #version: Statement;
  readonly #begin: Statement;
  readonly #end: Statement;
  readonly #knownVersion: () => number | null;
  /** Version of the catalog in the snapshot that is held; null: none is. */
  #held: number | null = null;
  /** The snapshot is a transaction of ours, not one that writes. */
  #began = false;
  /** Stand-ins in place, by their text. */
  readonly #standIns = new Map<string, StandIn>();

  /** @param knownVersion version of the catalog, where it is known without asking the files */
  constructor(database: Database, knownVersion: () => number | null = () => null) {
    this.#database = database;
    this.#knownVersion = knownVersion;
    this.#begin = database.prepare('BEGIN');
    this.#end = database.prepare('COMMIT');
    const files = database.pragma('database_list') as { readonly name: string }[];
    // The snapshot of every file is taken before the version is read: files may be older than it says, not newer.
    const shards = files.filter(({ name }) => /^(s\d+|main)$/.test(name));
    const heights = shards.map(
      ({ name }) => `(SELECT value FROM ${name}._meta WHERE key='height')`,
    );
    const columns = [...heights, '(SELECT max(version) FROM main._catalog)'];
    this.#version = database.prepare(`SELECT ${columns.join(', ')}`).raw(true);
  }

  /**
   * Takes a snapshot for all queries until `release`, in which all files stand at one height; an open transaction
   * is one.
   *
   * @throws SqlError 58030 when they are not found so: between the commits of one block they lie apart for microseconds
   */
  hold(): void {
    for (let attempt = 1; ; attempt++) {
      this.#began = !this.#database.inTransaction;
      if (this.#began) this.#begin.run();
      try {
        const { version, aligned } = this.#stateNow();
        if (aligned || !this.#began) {
          this.#held = version;
          return;
        }
        if (attempt === ALIGNED_TRIES_MAX)
          throw new SqlError(SQLSTATE.ioError, 'no snapshot: the shards lie apart');
      } catch (error) {
        if (this.#began) this.#undone();
        throw error;
      }
      this.#end.run();
    }
  }

  /** Lets go of the snapshot; nothing happens without one. */
  release(): void {
    if (this.#held === null) return;
    this.#held = null;
    if (!this.#began) return;
    try {
      this.#end.run();
    } catch {
      this.#undone();
    }
  }

  /** What was laid over the files was undone: the disk is full, or worse. */
  #undone(): void {
    if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
    this.#held = null;
    this.#loaded.clear();
    this.#stand([]);
    this.#statements.clear();
  }

  #versionNow(): number {
    return this.#stateNow().version;
  }

  /** Where the version is known nobody else writes, so that the files never lie apart. */
  #stateNow(): { readonly version: number; readonly aligned: boolean } {
    const known = this.#knownVersion();
    if (known !== null) return { version: known, aligned: true };
    const found = this.#version.get() as bigint[];
    const heights = found.slice(0, -1);
    return {
      version: Number(found.at(-1)!),
      aligned: heights.every((height) => height === heights[0]),
    };
  }

  /** All rows of the answer. A query over several files wants a snapshot held. */
  all(request: QueryRequest): Row[] {
    try {
      this.#load(request);
      const rows = this.#statement(request.text).all(request.parameters) as Row[];
      this.check(request);
      return rows;
    } catch (error) {
      if (this.#held !== null && !this.#database.inTransaction) this.#undone();
      throw asMoved(error);
    }
  }

  /**
   * Versions only grow, so one that is right after the answer was right for it.
   *
   * @throws SqlError TL005
   */
  check({ catalogVersion }: QueryRequest): void {
    if (catalogVersion === null) return;
    if ((this.#held ?? this.#versionNow()) === catalogVersion) return;
    throw changed();
  }

  first(request: QueryRequest): Row | undefined {
    this.#load(request);
    return this.#statement(request.text).get(request.parameters) as Row | undefined;
  }

  /** The answer row by row. The connection is busy until the iterator is done or returned. */
  iterate(request: QueryRequest): IterableIterator<Row> {
    this.#load(request);
    if (request.aligned && this.#held === null) return this.#iterateHeld(request);
    const rows = this.#statement(request.text).iterate(request.parameters) as IterableIterator<Row>;
    // Not a generator around it, which costs as much as a column.
    const next = (): IteratorResult<Row> => {
      let first: IteratorResult<Row>;
      try {
        first = rows.next();
      } catch (error) {
        throw asMoved(error);
      }
      try {
        // The catalog is checked when the first row has taken the snapshot.
        this.check(request);
      } catch (error) {
        rows.return?.();
        throw error;
      }
      checked.next = () => rows.next();
      return first;
    };
    const checked = {
      next,
      return: () => rows.return?.() ?? { done: true as const, value: undefined },
      [Symbol.iterator]: () => checked,
    };
    return checked;
  }

  /** The same in a snapshot of its own, which ends with the iterator. */
  #iterateHeld(request: QueryRequest): IterableIterator<Row> {
    this.hold();
    let rows: IterableIterator<Row>;
    try {
      rows = this.iterate(request);
    } catch (error) {
      this.release();
      throw error;
    }
    const ended = (): IteratorResult<Row> => {
      rows.return?.();
      this.release();
      return { done: true, value: undefined };
    };
    const held: IterableIterator<Row> = {
      next: () => {
        let row: IteratorResult<Row>;
        try {
          row = rows.next();
        } catch (error) {
          this.release();
          throw error;
        }
        return row.done === true ? ended() : row;
      },
      return: ended,
      [Symbol.iterator]: () => held,
    };
    return held;
  }

  /** Forgets every prepared statement: after a change of the schema. */
  clear(): void {
    this.#statements.clear();
  }

  #statement(text: string): Statement {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#prepare(text);
      if (text.length > STATEMENT_CHARACTERS_MAX) return statement;
      if (this.#statements.size >= STATEMENTS_MAX) {
        this.#statements.delete(this.#statements.keys().next().value!);
      }
    } else this.#statements.delete(text);
    this.#statements.set(text, statement);
    return statement;
  }

  /** @throws SqlError 54001 for what exceeds a limit of SQLite that Postgres has not */
  #prepare(text: string): Statement {
    try {
      return this.#database.prepare(text).raw(true) as Statement;
    } catch (error) {
      const message = Error.isError(error) ? error.message : '';
      if (!COMPILER_LIMITS.test(message)) throw asMoved(error);
      throw new SqlError(SQLSTATE.statementTooComplex, 'the statement is too complex', {
        detail: `SQLite: ${message}.`,
      });
    }
  }

  #load({ overlay, standIns }: QueryRequest): void {
    for (const image of overlay) this.#loadOne(image);
    if (standIns.length > 0 || this.#standIns.size > 0) this.#stand(standIns);
  }

  /** Puts the stand-ins of a request in place, and takes those of another away. */
  #stand(standIns: readonly StandIn[]): void {
    for (const [text, old] of this.#standIns) {
      if (standIns.some((each) => each.text === text)) continue;
      this.#database.exec(old.drop);
      this.#standIns.delete(text);
      this.#statements.clear();
    }
    for (const standIn of standIns) {
      if (this.#standIns.has(standIn.text)) continue;
      this.#database.exec(standIn.text);
      this.#standIns.set(standIn.text, standIn);
      this.#statements.clear();
    }
  }

  #loadOne(image: OverlayImage): void {
    const shape = image.columns.join();
    let loaded = this.#loaded.get(image.relation);
    if (loaded?.revision === image.revision && loaded.shape === shape) return;
    if (loaded?.shape === shape) loaded.clear.run();
    else this.#loaded.set(image.relation, (loaded = this.#makeOverlay(image, shape)));
    const { insert } = loaded;
    if (image.truncated) insert.run(null, null, ...image.columns.map(() => null), 1n);
    for (const row of image.rows) {
      insert.run(row.rowId, row.version, ...row.values, row.deleted ? 1n : 0n);
    }
    loaded.revision = image.revision;
  }

  #makeOverlay({ relation, columns }: OverlayImage, shape: string): Loaded {
    const table = `temp.o${relation}`;
    const names = ['_id', '_v', ...columns.map(columnName), '_deleted'];
    this.#statements.clear();
    this.#database.exec(`DROP TABLE IF EXISTS ${table}`);
    this.#database.exec(`CREATE TABLE ${table}(${names.join(', ')})`);
    this.#database.exec(`CREATE INDEX temp.o${relation}_id ON o${relation}(_id)`);
    return {
      shape,
      revision: -1,
      clear: this.#database.prepare(`DELETE FROM ${table}`),
      insert: this.#database.prepare(
        `INSERT INTO ${table} VALUES (${names.map(() => '?').join(', ')})`,
      ),
    };
  }
}
