// COPY FROM STDIN: rows become insert operations. Shell.
//
// A statement of its own is one transaction, whatever its size: what is too much for memory goes ahead in
// chunks while the data still comes. Inside a transaction few rows join the overlay, so that the transaction
// sees them; many are spooled, and the table cannot be looked at until COMMIT (OpenTransaction.spooled).

import type { Table } from '../../ledger/catalog.ts';
import { isSqlError, SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Datum } from '../../ledger/type.ts';
import { positionOf } from '../../sql/copy/options.ts';
import type { CopyOptions } from '../../sql/copy/options.ts';
import { CopyReader } from '../../sql/copy/row-reader.ts';
import { scan } from '../../sql/parse.ts';
import type { ParsedStatement, RawNode } from '../../sql/parse.ts';
import { rulesOf, uniqueError } from '../../storage/constraints.ts';
import { CHUNK_BYTES, COPY_OVERLAY_ROWS_MAX, COPY_ROWS_HELD_MAX } from '../limits.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import type { SessionContext } from './context.ts';
import { planned, quoted } from './copy.ts';
import { compileEdge } from './edge-expression.ts';
import type { EdgeExpression } from './edge-expression.ts';
import { EdgeTables } from './edge-table.ts';
import { insertOperation, reserve } from './execute-insert.ts';
import type { Outcome } from './execute.ts';
import { uniqueKeys } from './key-locks.ts';
import type { InsertPlan } from './plan-insert.ts';
import type { Prepared } from './plan.ts';
import { showProgramsOf } from './show-programs.ts';
import { Spool } from './spool.ts';
import { submit } from './transaction-commands.ts';
import { turns } from './turns.ts';
import { valueContext } from './value-context.ts';
import { insertRows } from './write-rows.ts';

export interface CopyFrom {
  readonly statement: ParsedStatement;
  readonly table: Table;
  /** Names of the columns that the data has, in its order. */
  readonly columns: readonly string[];
  readonly options: CopyOptions;
}

/** @throws SqlError 42501 and others before any data is asked for */
export async function copyFrom(session: SessionContext, copy: CopyFrom): Promise<Outcome> {
  const plan = await insertPlan(session, copy);
  const where = await whereOf(session, copy);
  const run = async (sink: ResultSink): Promise<string> => {
    try {
      return await receive(session, copy, plan, where, sink);
    } finally {
      // A transaction names them later; without one, what is not on its way by now never will be.
      if (session.transaction === null) session.chunks.release();
    }
  };
  return { kind: 'talk', run };
}

/** The values of columns that are copied are read from the data, so their parameters stand for nothing. */
async function insertPlan(
  session: SessionContext,
  { table, columns }: CopyFrom,
): Promise<InsertPlan> {
  const schema = session.catalog.schemas.get(table.schema)!.name;
  const into = `INSERT INTO ${quoted(schema)}.${quoted(table.name)}`;
  const text =
    columns.length === 0
      ? `${into} DEFAULT VALUES`
      : `${into} (${columns.map(quoted).join(', ')}) OVERRIDING SYSTEM VALUE VALUES (${columns
          .map((_, i) => `$${i + 1}`)
          .join(', ')})`;
  const { plan } = await planned(session, text);
  if (plan?.kind === 'insert') return plan;
  throw new SqlError(SQLSTATE.internalError, 'COPY has no plan');
}

/** COPY FROM … WHERE, as a condition on full rows. */
async function whereOf(
  session: SessionContext,
  { statement, table }: CopyFrom,
): Promise<EdgeExpression | null> {
  if (statement.tree['whereClause'] === undefined) return null;
  const subquery = subqueryIn(statement.tree['whereClause']);
  if (subquery !== null) {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      'cannot use subquery in COPY FROM WHERE condition',
      { position: positionOf(statement, subquery['location'] as number) },
    );
  }
  const schema = session.catalog.schemas.get(table.schema)!.name;
  const head = `SELECT FROM ${quoted(schema)}.${quoted(table.name)} WHERE`;
  const { text, start } = whereText(statement);
  let prepared: Prepared;
  try {
    prepared = await session.services.planner.prepare(head + text, [], session);
  } catch (error) {
    throw inCopy(error, [...statement.text.slice(0, start)].length - [...head].length);
  }
  const { plan } = prepared;
  if (plan?.kind !== 'read' || plan.query.where === null) {
    throw new SqlError(SQLSTATE.internalError, 'COPY FROM WHERE has no plan');
  }
  const scope = { catalog: session.catalog, sequenceOf: () => undefined, entry: 1 };
  const where = compileEdge(plan.query.where, scope);
  if (where.query === null) return where;
  throw tooLong('a condition');
}

/** Each row is judged while it is read, on the main thread. */
function tooLong(what: string): SqlError {
  return new SqlError(
    SQLSTATE.featureNotSupported,
    `${what} that may take long is not supported in COPY FROM`,
    {
      detail: 'Regular expressions, and functions whose arguments decide how long they take, may.',
      hint: 'Load into a table of its own, then use INSERT … SELECT.',
    },
  );
}

function subqueryIn(node: unknown): RawNode | null {
  if (typeof node !== 'object' || node === null) return null;
  for (const [kind, inner] of Object.entries(node)) {
    const found = kind === 'SubLink' ? (inner as RawNode) : subqueryIn(inner);
    if (found !== null) return found;
  }
  return null;
}

/** An error of the condition, as COPY words it and where the statement has it. */
function inCopy(error: unknown, shift: number): unknown {
  if (!isSqlError(error)) return error;
  const { sqlstate, message, fields } = error;
  const worded = message.replace(
    /not allowed in WHERE$/,
    'not allowed in COPY FROM WHERE conditions',
  );
  if (fields.position === undefined) return new SqlError(sqlstate, worded, fields);
  return new SqlError(sqlstate, worded, { ...fields, position: fields.position + shift });
}

/** What follows the WHERE outside of brackets, and where it begins, in UTF-16 units. */
function whereText({ text }: ParsedStatement): { text: string; start: number } {
  let depth = 0;
  let from = 0;
  for (const token of scan(text)) {
    if (token.text === '(') depth += 1;
    else if (token.text === ')') depth -= 1;
    else if (depth === 0 && token.text.toLowerCase() === 'where' && from === 0) from = token.end;
  }
  // Offsets of tokens count UTF-8 bytes.
  const start = new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, from)).length;
  return { text: text.slice(start), start };
}

async function receive(
  session: SessionContext,
  copy: CopyFrom,
  plan: InsertPlan,
  where: EdgeExpression | null,
  sink: ResultSink,
): Promise<string> {
  const { table, columns, options } = copy;
  const load = new Load(session, plan, columns, where);
  const targets = columns.map((name) => {
    const position = table.columns.findIndex((column) => column.name === name);
    return { name, type: table.columns[position]!.type, position };
  });
  const context = valueContext(session);
  const reader = new CopyReader(
    table.name,
    targets,
    table.columns.length,
    options,
    context,
    (values, line) => load.take(values, line),
  );
  const format = options.format === 'binary' ? 1 : 0;
  const input = sink.copyIn(
    format,
    columns.map(() => format),
  );
  session.stop.onStop(() => void input.return?.());
  for await (const chunk of input) {
    if (plan.sequences.size === 0) reader.push(chunk);
    else {
      // The bytes are only ours until something is awaited.
      const bytes = chunk.slice();
      await reserve(session, plan, rowsAtMost(bytes, format, columns.length));
      reader.push(bytes);
    }
    await load.relieve(chunk.length);
  }
  session.stop.check();
  if (plan.sequences.size > 0) await reserve(session, plan, 1);
  reader.finish();
  return `COPY ${await load.finish(copy.statement.text)}`;
}

/** How many rows may end in these bytes. */
function rowsAtMost(bytes: Uint8Array, format: number, columns: number): number {
  if (format === 1) return Math.ceil(bytes.length / (2 + 4 * columns));
  let count = 1;
  for (const byte of bytes) if (byte === 0x0a || byte === 0x0d) count += 1;
  return count;
}

/** The rows of one COPY on their way into the table. */
class Load {
  readonly #session: SessionContext;
  readonly #plan: InsertPlan;
  readonly #where: EdgeExpression | null;
  readonly #defaults: readonly { readonly position: number; readonly value: EdgeExpression }[];
  readonly #complete: (values: Datum[]) => void;
  /** By column id, for WHERE. */
  readonly #positions: ReadonlyMap<number, number>;
  #rows: Datum[][] = [];
  /** The lines that #rows end in. */
  #lines: number[] = [];
  /** Bytes of data that #rows came from. */
  #bytes = 0;
  #count = 0;
  #spool: Spool | null = null;

  constructor(
    session: SessionContext,
    plan: InsertPlan,
    columns: readonly string[],
    where: EdgeExpression | null,
  ) {
    const { table } = plan;
    this.#session = session;
    this.#plan = plan;
    this.#where = where;
    this.#positions = new Map(table.columns.map(({ id }, position) => [id, position]));
    const values = plan.values![0]!;
    this.#defaults = table.columns.flatMap(({ name }, position) => {
      const value = values[position];
      return columns.includes(name) || value === null || value === undefined
        ? []
        : [{ position, value }];
    });
    if (this.#defaults.some(({ value }) => value.query !== null)) throw tooLong('a default');
    const rules = rulesOf(new EdgeTables(session).table(table), session.catalog);
    this.#complete = (row) => rules.complete(row);
  }

  /** A row as it was read: its defaults are filled in and its own constraints checked. */
  take(values: Datum[], line: number): void {
    const session = this.#session;
    const surroundings = { session, parameters: [] };
    for (const { position, value } of this.#defaults)
      values[position] = value.evaluate(surroundings);
    if (this.#where !== null) {
      const row = (id: number) => values[this.#positions.get(id)!] ?? null;
      if (this.#where.evaluate({ ...surroundings, row }) !== 1n) return;
    }
    this.#complete(values);
    this.#rows.push(values);
    this.#lines.push(line);
    this.#count += 1;
  }

  /** After each piece of data: rows that are too many to be held go ahead. */
  async relieve(bytes: number): Promise<void> {
    this.#bytes += bytes;
    const { transaction } = this.#session;
    if (
      this.#spool === null &&
      transaction !== null &&
      !transaction.spooled.has(this.#plan.table.id)
    ) {
      if (this.#rows.length <= COPY_OVERLAY_ROWS_MAX) return;
    } else if (this.#rows.length < COPY_ROWS_HELD_MAX && this.#bytes < CHUNK_BYTES) return;
    await this.#relieveNow();
  }

  async #relieveNow(): Promise<Spool> {
    this.#spool ??= new Spool(this.#session.chunks.put);
    const rows = this.#rows;
    this.#rows = [];
    this.#lines = [];
    this.#bytes = 0;
    if (rows.length > 0) await this.#spool.add(insertOperation(this.#plan, rows, null));
    return this.#spool;
  }

  /** The data has ended. @returns the number of rows */
  async finish(text: string): Promise<number> {
    const session = this.#session;
    const { transaction } = session;
    const { table } = this.#plan;
    if (transaction !== null) transaction.texts.push(text);
    if (this.#count === 0) return 0;
    if (this.#spool === null && transaction === null) {
      const written = submit(session, [insertOperation(this.#plan, this.#rows, null)], text);
      await written.catch(async (error: unknown) => {
        throw await this.#found(error);
      });
    } else if (this.#spool === null && !transaction!.spooled.has(table.id)) {
      await showProgramsOf(session, transaction!, [table.id]);
      await insertRows(session, transaction!, table, this.#rows, (error, row) =>
        this.#inLine(error, row),
      );
    } else {
      const operation = (await (await this.#relieveNow()).take())!;
      if (transaction === null) await submit(session, [operation], text);
      else transaction.pushSpooled(table.id, operation);
    }
    return this.#count;
  }

  /** A key that was found taken when the rows were applied, with the line it is in: the first that has it once more. */
  async #found(error: unknown): Promise<unknown> {
    if (!isSqlError(error) || error.sqlstate !== SQLSTATE.uniqueViolation) return error;
    const { catalog } = this.#session;
    const edge = new EdgeTables(this.#session).table(this.#plan.table);
    const pause = turns(this.#session);
    const before = new Set<string>();
    for (const [row, values] of this.#rows.entries()) {
      const keys = uniqueKeys(edge, values);
      if (keys.some((key) => before.has(key)) || uniqueError(edge, catalog, values, null) !== null)
        return this.#inLine(error, row);
      for (const key of keys) before.add(key);
      const wait = pause();
      if (wait !== undefined) await wait;
    }
    return error;
  }

  #inLine({ sqlstate, message, fields }: SqlError, row: number): SqlError {
    const where = `COPY ${this.#plan.table.name}, line ${this.#lines[row]}`;
    return new SqlError(sqlstate, message, { ...fields, where });
  }
}
