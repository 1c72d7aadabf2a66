// An open transaction of a session: its operations, overlay, savepoints and snapshot. Pure.
//
// The truth of an open transaction is its list of operations (architecture 5); the overlay is derived from
// it. COMMIT submits all of them at once; until then nobody else knows of it.

import type { Catalog } from '../../ledger/catalog.ts';
import { assert, SqlError } from '../../ledger/error.ts';
import type { Operation, OperationOf, SequenceState } from '../../ledger/operation.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import type { DdlRecord } from '../../sql/analysis.ts';
import type { OverlayImage } from '../readers/query-runner.ts';
import type { StoredRow } from '../../storage/table-shape.ts';
import { DeferredConstraints } from './deferred-constraints.ts';
import type { DeferredMark } from './deferred-constraints.ts';
import { sameDatum } from './edge-table.ts';
import { Overlay } from './overlay.ts';
import type { Portal } from './portal.ts';

export type Isolation = 'read committed' | 'repeatable read' | 'serializable';

/** A row program whose result nobody has seen yet: no lock, no version; it runs when applied. */
export interface UnseenProgram {
  /** Index into `operations`. */
  readonly operation: number;
  readonly relation: number;
  readonly rowId: bigint;
  readonly trial: Trial;
}

/** How a program was tried when its statement ran. */
export interface Trial {
  readonly row: StoredRow;
  /** SessionContext.services.appliedStamp() from before the row was read. */
  readonly since: bigint;
  /** New values of a row. */
  readonly run: (before: readonly Datum[]) => Datum[];
}

/** A sequence that moves with the transaction: where it stands, and the operation that says so. */
interface OwnSequence {
  readonly state: SequenceState;
  /** As in the operation. */
  readonly from: SequenceState | null;
  readonly operation: number;
}

/** A statement of several parts (execute-with.ts), while it runs. */
interface Parts {
  /** Newest stamp visible to all parts at READ COMMITTED; null: whatever is there. */
  readonly stamp: bigint | null;
  /** Rows of the parts that are done. */
  readonly given: OverlayImage[];
}

/** The name of the savepoint before such a statement; a client's are not empty. */
const BEFORE_PARTS = '';

interface Savepoint {
  readonly name: string;
  readonly operations: number;
  readonly inserted: number;
  readonly ddl: number;
  readonly catalog: Catalog | null;
  readonly settings: number;
  /** LockTable.mark */
  readonly locks: number;
  readonly cursors: number;
  readonly constraints: DeferredMark;
}

export class OpenTransaction {
  readonly operations: Operation[] = [];
  readonly overlay = new Overlay();
  /** Statement texts, in order: the transaction's text for human readers. */
  readonly texts: string[] = [];
  /** DDL so far, for the analyst. */
  readonly pendingDdl: DdlRecord[] = [];
  /** The catalog as the transaction's own DDL has made it, or null. */
  catalog: Catalog | null = null;
  isolation: Isolation;
  /** Its name as the client gave it: READ UNCOMMITTED is READ COMMITTED under another. */
  isolationName: string;
  readOnly: boolean;
  /** A query has run: what decides how it sees the ledger is settled. */
  queried = false;
  /** Newest stamp visible above READ COMMITTED; null until the first statement needs it. */
  snapshot: bigint | null = null;
  /** Tables read by a SERIALIZABLE transaction. */
  readonly tablesRead = new Set<number>();
  /** Rows read by key by a SERIALIZABLE transaction, with their versions, by relation. */
  readonly rowsRead = new Map<number, Map<bigint, bigint>>();
  /** By id; see SessionContext.ownsSequence. */
  readonly sequences = new Map<number, OwnSequence>();
  /** Cursors declared so far; they end when it is rolled back, WITH HOLD or not. */
  readonly cursors: Portal[] = [];
  /** Foreign keys whose check waits for COMMIT. */
  readonly constraints = new DeferredConstraints();
  /** The statement of several parts that is running. */
  parts: Parts | null = null;
  failed = false;
  /** Microseconds since 2000-01-01 at its start: now(). */
  readonly startedMicros: bigint;
  /** Opened by BEGIN, as opposed to the implicit one of a query string or pipeline. */
  explicit: boolean;
  /** Tables with rows that lie in chunks, not in the overlay; with the operation that first says so. */
  readonly spooled = new Map<number, number>();
  readonly #programs: UnseenProgram[] = [];
  readonly #savepoints: Savepoint[] = [];
  #inserted = 0;

  constructor(isolation: Isolation, readOnly: boolean, explicit: boolean, startedMicros: bigint) {
    this.isolation = isolation;
    this.isolationName = isolation;
    this.readOnly = readOnly;
    this.explicit = explicit;
    this.startedMicros = startedMicros;
  }

  /** Tag for the overlay changes of the operation that comes next. */
  get tag(): number {
    return this.operations.length;
  }

  push(operation: Operation): void {
    this.operations.push(operation);
  }

  /** Rows of a table that have gone ahead in chunks. */
  pushSpooled(relation: number, operation: OperationOf<'chunks'>): void {
    if (!this.spooled.has(relation)) this.spooled.set(relation, this.operations.length);
    this.operations.push(operation);
  }

  /** Row id, inside this transaction, of the next row it inserts. */
  nextInsertedId(): bigint {
    this.#inserted += 1;
    return BigInt(-this.#inserted);
  }

  pushProgram(operation: OperationOf<'program'>, trial: Trial): void {
    const { relation } = operation;
    const { rowId } = trial.row;
    this.#programs.push({ operation: this.operations.length, relation, rowId, trial });
    this.operations.push(operation);
  }

  /** The row of an unseen program that finds it by this key. */
  programRow(relation: number, index: number, key: readonly Datum[]): bigint | undefined {
    return this.#programs.find((program) => {
      const operation = this.operations[program.operation] as OperationOf<'program'>;
      return (
        program.relation === relation &&
        operation.index === index &&
        operation.key.every((value, i) => sameDatum(value, key[i]!))
      );
    })?.rowId;
  }

  /** Moves a sequence of the transaction's own, wherever it stands on the chain by then. */
  moveSequence(sequence: number, state: SequenceState): void {
    this.#move(sequence, null, state);
  }

  /** Draws from a sequence of the transaction's own. @param before where it stands for the transaction */
  drawSequence(sequence: number, before: SequenceState, state: SequenceState): void {
    const own = this.sequences.get(sequence);
    this.#move(sequence, own === undefined ? before : own.from, state);
  }

  /** One operation holds where the sequence stands. */
  #move(sequence: number, from: SequenceState | null, state: SequenceState): void {
    const operation = this.sequences.get(sequence)?.operation ?? this.operations.length;
    this.operations[operation] = { kind: 'sequence', sequence, from, ...state };
    this.sequences.set(sequence, { state, from, operation });
  }

  /** Takes out the unseen programs of a table (of one row, when given), oldest first. */
  takePrograms(relation: number, rowId?: bigint): UnseenProgram[] {
    const taken: UnseenProgram[] = [];
    for (let index = 0; index < this.#programs.length;) {
      const program = this.#programs[index]!;
      if (program.relation === relation && (rowId === undefined || program.rowId === rowId)) {
        taken.push(program);
        this.#programs.splice(index, 1);
      } else index += 1;
    }
    return taken;
  }

  unseenPrograms(): readonly UnseenProgram[] {
    return this.#programs;
  }

  hasPrograms(relation: number): boolean {
    return this.#programs.some((program) => program.relation === relation);
  }

  /** The operation at `index` becomes `operation`: a program that has been made an image. */
  replace(index: number, operation: Operation): void {
    assert(index < this.operations.length, 'replaced operation exists');
    this.operations[index] = operation;
  }

  /** Whether queries see a snapshot, so that rows that have changed since must not be written. */
  get seesSnapshot(): boolean {
    return this.isolation !== 'read committed' || (this.parts?.stamp ?? null) !== null;
  }

  /** All parts of the statement that begins see what was there before it, and constraints wait for its end. */
  beginParts(stamp: bigint | null): void {
    this.savepoint(BEFORE_PARTS, 0, 0);
    this.parts = { stamp, given: [] };
    this.overlay.hold();
    this.constraints.postpone();
  }

  /** The statement of several parts is over; one that has failed leaves nothing. */
  endParts(failed: boolean): void {
    this.constraints.forget();
    this.overlay.release();
    this.parts = null;
    if (failed) this.rollbackTo(BEFORE_PARTS);
    this.release(BEFORE_PARTS);
  }

  savepoint(name: string, settings: number, locks: number): void {
    this.#savepoints.push({
      name,
      operations: this.operations.length,
      inserted: this.#inserted,
      ddl: this.pendingDdl.length,
      catalog: this.catalog,
      settings,
      locks,
      cursors: this.cursors.length,
      constraints: this.constraints.mark(),
    });
  }

  /** Whether a savepoint is open. */
  get nested(): boolean {
    return this.#savepoints.length > 0;
  }

  /** LockTable.mark of the newest savepoint, or of the beginning. */
  get lockMark(): number {
    return this.#savepoints.at(-1)?.locks ?? 0;
  }

  release(name: string): void {
    this.#savepoints.length = this.#find(name);
  }

  /** @returns the marks of the savepoint, which stays */
  rollbackTo(name: string): {
    readonly settings: number;
    readonly locks: number;
    readonly cursors: number;
  } {
    const index = this.#find(name);
    const savepoint = this.#savepoints[index]!;
    this.#savepoints.length = index + 1;
    this.operations.length = savepoint.operations;
    this.overlay.rollbackTo(savepoint.operations);
    for (const [id, { operation }] of this.sequences) {
      if (operation >= savepoint.operations) this.sequences.delete(id);
    }
    for (const [relation, operation] of this.spooled) {
      if (operation >= savepoint.operations) this.spooled.delete(relation);
    }
    this.#inserted = savepoint.inserted;
    this.pendingDdl.length = savepoint.ddl;
    this.catalog = savepoint.catalog;
    this.constraints.rollbackTo(savepoint.constraints);
    for (let at = this.#programs.length - 1; at >= 0; at -= 1) {
      if (this.#programs[at]!.operation >= savepoint.operations) this.#programs.splice(at, 1);
    }
    return savepoint;
  }

  #find(name: string): number {
    const index = this.#savepoints.findLastIndex((savepoint) => savepoint.name === name);
    if (index < 0) {
      throw new SqlError(SQLSTATE.savepointException, `savepoint "${name}" does not exist`);
    }
    return index;
  }
}
