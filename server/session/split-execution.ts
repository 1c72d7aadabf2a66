// Runs queries whose session functions have been taken out of them (split-read.ts). Shell.
//
// The reader delivers rows, the session does its work on each as it is asked for: a LIMIT or a client that
// stops reading keeps the rest from being touched. What a function has to wait for (a lock, pg_sleep) is
// waited for before the next row.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import type { Scalar } from '../../sql/ir.ts';
import { dataRowEncoder } from '../../sql/value/data-row.ts';
import type { ReaderQuery } from '../readers/reader-pool.ts';
import type { RowBatch, RowSource } from '../readers/row-source.ts';
import type { SessionContext } from './context.ts';
import { compileEdge, valueOf, valuesOf } from './edge-expression.ts';
import type { EdgeExpression, Surroundings } from './edge-expression.ts';
import type { ReadPlan } from './plan.ts';
import { planRead } from './plan-read.ts';
import { reserveDraws } from './sequence-functions.ts';
import { runEffects } from './sql-functions.ts';
import { ANSWER_PARAMETERS, DELIVERED_ENTRY, splitQuery } from './split-read.ts';
import type { RowWork, SplitQuery } from './split-read.ts';
import { valueContext } from './value-context.ts';

const NEGATIVE_LIMIT = [SQLSTATE.invalidRowCountInLimit, 'LIMIT must not be negative'] as const;
const NEGATIVE_OFFSET = [SQLSTATE.invalidRowCountInOffset, 'OFFSET must not be negative'] as const;

/** Bytes of a batch, about. */
const BATCH_BYTES = 64 * 1024;

/** A split query, compiled. */
export interface SplitPlan {
  /** What a reader runs. */
  readonly plan: ReadPlan;
  readonly answers: readonly EdgeExpression[];
  readonly work: {
    readonly conditions: readonly EdgeExpression[];
    readonly columns: readonly EdgeExpression[];
    readonly offset: EdgeExpression | null;
    readonly limit: EdgeExpression | null;
    readonly shown: readonly EdgeExpression[] | null;
  } | null;
  readonly split: SplitQuery;
}

/** Plans live as long as their catalog. */
const known = new WeakMap<ReadPlan, SplitPlan>();

/** Null when the query calls no session functions, or is quick enough to run where they are. */
export function splitPlanOf(session: SessionContext, plan: ReadPlan): SplitPlan | null {
  if (plan.compiled.bounded || plan.compiled.sessionFunctions.length === 0) return null;
  let found = known.get(plan);
  if (found === undefined) known.set(plan, (found = makePlan(session, plan)));
  return found;
}

function makePlan(session: SessionContext, plan: ReadPlan): SplitPlan {
  const split = splitQuery(plan.query);
  const { catalog } = session;
  const edge = (scalar: Scalar): EdgeExpression =>
    compileEdge(scalar, { catalog, entry: DELIVERED_ENTRY });
  const optional = (scalar: Scalar | null): EdgeExpression | null => scalar && edge(scalar);
  const work = split.work && {
    conditions: split.work.conditions.map(edge),
    columns: split.work.columns.map(edge),
    offset: optional(split.work.offset),
    limit: optional(split.work.limit),
    shown: split.work.shown?.map(edge) ?? null,
  };
  return {
    plan: planRead(plan.analysis, split.query, session),
    answers: split.answers.map(edge),
    work,
    split,
  };
}

/** The statement's parameters, followed by the answers. */
export async function withAnswers(
  session: SessionContext,
  { answers, split }: SplitPlan,
  parameters: readonly Datum[],
): Promise<readonly Datum[]> {
  const all = [...parameters];
  for (const [i, answer] of answers.entries()) {
    await reserveDraws(session, [split.answers[i]!], 1);
    all[ANSWER_PARAMETERS + i] = await valueOf(answer, { session, parameters: all });
    await settled(session);
  }
  return all;
}

async function settled(session: SessionContext): Promise<void> {
  if (session.effects.length > 0) await runEffects(session);
}

/** Rows of a split query that the session has worked on. */
export class WorkedRows implements RowSource {
  readonly #session: SessionContext;
  readonly #query: ReaderQuery;
  readonly #work: NonNullable<SplitPlan['work']>;
  /** All that may draw from a sequence. */
  readonly #scalars: readonly Scalar[];
  readonly #parameters: readonly Datum[];
  readonly #columns: readonly { readonly type: SqlType; readonly format: 0 | 1 }[];
  /** Rows delivered and not yet looked at, from #next on. */
  #rows: readonly Row[] = [];
  #next = 0;
  #delivered = false;
  /** Rows still to be left out, and to be shown; null: as many as there are. */
  #skip = 0;
  #left: number | null = null;

  constructor(
    session: SessionContext,
    query: ReaderQuery,
    { work, split }: SplitPlan,
    parameters: readonly Datum[],
    columns: readonly { readonly type: SqlType; readonly format: 0 | 1 }[],
  ) {
    this.#session = session;
    this.#query = query;
    this.#work = work!;
    this.#scalars = scalarsOf(split.work!);
    this.#parameters = parameters;
    this.#columns = columns;
  }

  /** Takes the snapshot, so that a plan of yesterday is found before the answer begins. */
  async begin(): Promise<this> {
    const { offset, limit } = this.#work;
    this.#skip = (await this.#count(offset, NEGATIVE_OFFSET)) ?? 0;
    this.#left = await this.#count(limit, NEGATIVE_LIMIT);
    await this.#deliver();
    return this;
  }

  async #count(
    expression: EdgeExpression | null,
    [sqlstate, message]: readonly [string, string],
  ): Promise<number | null> {
    if (expression === null) return null;
    const surroundings = { session: this.#session, parameters: this.#parameters };
    const value = await valueOf(expression, surroundings);
    if (value !== null && (value as bigint) < 0n) throw new SqlError(sqlstate, message);
    return value === null ? null : Number(value);
  }

  async read(rowsMax: number): Promise<RowBatch> {
    try {
      return await this.#batch(rowsMax);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #batch(rowsMax: number): Promise<RowBatch> {
    const encoder = dataRowEncoder(this.#columns, valueContext(this.#session));
    let count = 0;
    while (rowsMax === 0 ? encoder.size < BATCH_BYTES : count < rowsMax) {
      const row = await this.row();
      if (row === null) return { bytes: encoder.take(), count, done: true };
      encoder.append(row);
      count += 1;
    }
    return { bytes: encoder.take(), count, done: false };
  }

  /** The next row that is shown; null after the last. */
  async row(): Promise<Row | null> {
    const { conditions, columns, shown } = this.#work;
    while (this.#left !== 0) {
      if (this.#next === this.#rows.length) {
        if (this.#delivered) break;
        await this.#deliver();
        continue;
      }
      this.#session.stop.check();
      const delivered = this.#rows[this.#next]!;
      this.#next += 1;
      const surroundings: Surroundings = {
        session: this.#session,
        parameters: this.#parameters,
        row: reading(delivered),
      };
      if (!(await this.#holds(conditions, surroundings))) continue;
      if (this.#skip > 0) {
        this.#skip -= 1;
        continue;
      }
      if (this.#left !== null) this.#left -= 1;
      let values = await valuesOf(columns, surroundings);
      if (shown !== null) values = await valuesOf(shown, { ...surroundings, row: reading(values) });
      await settled(this.#session);
      return values;
    }
    this.close();
    return null;
  }

  async #holds(
    conditions: readonly EdgeExpression[],
    surroundings: Surroundings,
  ): Promise<boolean> {
    for (const condition of conditions) {
      const holds = await valueOf(condition, surroundings);
      await settled(this.#session);
      if (holds !== 1n) return false;
    }
    return true;
  }

  async #deliver(): Promise<void> {
    const { rows, done } = await this.#query.nextValues();
    this.#rows = rows;
    this.#next = 0;
    this.#delivered = done;
    try {
      if (!done) this.#query.park();
      await reserveDraws(this.#session, this.#scalars, rows.length);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#query.close();
  }
}

function reading(row: Row): (column: number) => Datum {
  return (column) => row[column - 1] ?? null;
}

function scalarsOf({ conditions, columns, shown }: RowWork): Scalar[] {
  return [...conditions, ...columns, ...(shown ?? [])];
}
