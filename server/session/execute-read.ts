// SELECT over ledger tables: inline when it is sure to take few steps, else in a reader process. Shell.

import { MICROS_PER_DAY, MICROS_PER_SECOND } from '../../ledger/datetime.ts';
import type { Catalog } from '../../ledger/catalog.ts';
import type { Datum, Row, SqlType } from '../../ledger/type.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import type { CompiledQuery } from '../../sql/query.ts';
import { DataRowEncoder, rowWriters } from '../../sql/value/data-row.ts';
import type { RowWriter } from '../../sql/value/data-row.ts';
import { tryTimeZone } from '../../sql/value/time-zone.ts';
import { INLINE_OVERLAY_ROWS_MAX } from '../limits.ts';
import type { QueryRequest } from '../readers/query-runner.ts';
import { BufferedRows } from '../readers/row-source.ts';
import type { ReaderQuery } from '../readers/reader-pool.ts';
import type { RowSource } from '../readers/row-source.ts';
import { checkTablesThen } from './as-of.ts';
import { compileOptions } from './compile-options.ts';
import type { SessionContext } from './context.ts';
import type { Outcome } from './execute.ts';
import { asksLedger, withLedgerAnswers } from './ledger-functions.ts';
import { locked, takesLocks } from './lock-rows.ts';
import type { ReadPlan } from './plan.ts';
import { drawsValues, withSequences } from './sequence-functions.ts';
import { mapQuery } from './map-scalar.ts';
import { pointRow, showPrograms } from './show-programs.ts';
import { splitPlanOf, withAnswers, WorkedRows } from './split-execution.ts';
import type { SplitPlan } from './split-execution.ts';
import { releaseTransactionLocks } from './transaction-commands.ts';
import { sessionImage, valueContext } from './value-context.ts';

/** Parameters of one SQLite statement, with some to spare for our own; its limit (SQLITE_MAX_VARIABLE_NUMBER) is 32,766. */
const VARIABLES_MAX = 32_700;

export function executeRead(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Outcome | Promise<Outcome> {
  const { transaction } = session;
  if (takesLocks(plan.query)) {
    const shown = locked(session, plan, parameters).then((fixed) =>
      show(session, fixed, parameters, formats),
    );
    // A statement on its own is a transaction on its own: its locks end with it.
    return transaction === null ? shown.finally(() => releaseTransactionLocks(session)) : shown;
  }
  if (transaction !== null) {
    const shown = showPrograms(session, plan, parameters);
    if (shown !== undefined) return shown.then(() => show(session, plan, parameters, formats));
  }
  if (asksLedger(plan.compiled.sessionFunctions)) {
    const answered = withLedgerAnswers(session, plan, parameters);
    return answered.then((known) => executeRead(session, known, parameters, formats));
  }
  return show(session, plan, parameters, formats);
}

/** Shows the rows; what only the session can answer is taken out of what a reader runs. */
function show(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Outcome | Promise<Outcome> {
  const { sessionFunctions } = plan.compiled;
  if (sessionFunctions.length === 0) return start(session, plan, parameters, formats);
  const split = splitPlanOf(session, plan);
  if (split !== null) return showSplit(session, plan, split, parameters, formats);
  if (!drawsValues(sessionFunctions)) return start(session, plan, parameters, formats);
  return withSequences(session, plan.query, () => start(session, plan, parameters, formats));
}

async function showSplit(
  session: SessionContext,
  plan: ReadPlan,
  split: SplitPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Promise<Outcome> {
  const all = await withAnswers(session, split, parameters);
  if (split.work === null) return start(session, split.plan, all, formats);
  const columns = columnsOf(plan.compiled, formats);
  const source = new WorkedRows(
    session,
    readerValues(session, split.plan, all),
    split,
    all,
    columns,
  );
  return rowsOutcome(await source.begin());
}

function start(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
  formats: readonly number[],
): Outcome | Promise<Outcome> {
  const { compiled, request } = requestFor(session, plan, parameters);
  if (runsInline(plan, request))
    return rowsOutcome(inlineRows(session, compiled, request, formats));
  return readerRows(session, request, columnsOf(compiled, formats)).begin().then(rowsOutcome);
}

function rowsOutcome(source: RowSource): Outcome {
  return { kind: 'rows', columns: null, source, tag: selectTag };
}

export function selectTag(count: number): string {
  return `SELECT ${count}`;
}

/**
 * What a SERIALIZABLE transaction has read must not have changed when it is applied: a row found by its key by
 * its version, anything else by its table.
 */
function remember(session: SessionContext, plan: ReadPlan, parameters: readonly Datum[]): void {
  const { transaction } = session;
  if (transaction?.isolation !== 'serializable') return;
  const keyed = plan.compiled.pointRead !== null && plan.compiled.bounded;
  const row = keyed ? pointRow(session, plan, parameters) : null;
  if (row !== null && row.version === 0n) return;
  if (row === null || row.version > (transaction.snapshot ?? 0n)) {
    for (const table of plan.compiled.tables) transaction.tablesRead.add(table);
    return;
  }
  const { relation } = plan.compiled.pointRead!;
  const rows = transaction.rowsRead.get(relation) ?? new Map<bigint, bigint>();
  transaction.rowsRead.set(relation, rows.set(row.rowId, row.version));
}

/** The compilation that fits what the session sees. */
function variantOf(session: SessionContext, plan: ReadPlan, stamp: bigint | null): CompiledQuery {
  const { transaction } = session;
  const overlaid =
    transaction === null
      ? []
      : plan.compiled.tables.filter((id) => transaction.overlay.shown(id) !== undefined);
  const catalog: Catalog = session.catalog;
  if (stamp === null && overlaid.length === 0) return plan.compiled;
  const visibility = stamp === null ? 'current' : 'asOf';
  const key = `${visibility}:${overlaid.join()}`;
  let variant = plan.variants.get(key);
  if (variant === undefined) {
    variant = compileQuery(
      plan.query,
      compileOptions(catalog, visibility, new Set(overlaid), session.services.retypings()),
    );
    plan.variants.set(key, variant);
  }
  return variant;
}

export function requestOf(
  session: SessionContext,
  compiled: Pick<CompiledQuery, 'text' | 'parameters' | 'tables' | 'catalogVersion'>,
  parameters: readonly Datum[],
  stamp: bigint | null,
): QueryRequest {
  const named: Record<string, Datum> = {};
  for (const name of compiled.parameters)
    named[name] = parameterValue(session, name, parameters, stamp);
  return session.request(compiled.text, named, compiled.tables, compiled.catalogVersion);
}

function parameterValue(
  session: SessionContext,
  name: string,
  parameters: readonly Datum[],
  stamp: bigint | null,
): Datum {
  switch (name) {
    case 'as_of':
      return stamp ?? session.services.appliedStamp();
    case 'now':
      return session.nowMicros;
    case 'today':
      return today(session);
    case 'user':
      return session.currentRole;
    case 'session_user':
      return session.sessionRole.name;
    case 'ledger_nodes':
      return JSON.stringify(session.services.status().nodes);
    case 'ledger_consensus':
      return JSON.stringify([session.services.status().consensus]);
    case 'ledger_alarms':
      return JSON.stringify(session.services.status().alarms);
    case 'ledger_files':
      return JSON.stringify(session.services.shardFiles());
    default:
      return parameters[Number(name.slice(1)) - 1] ?? null;
  }
}

/** current_date: the day in the session's time zone. */
function today(session: SessionContext): bigint {
  const now = session.nowMicros;
  const zone = tryTimeZone(session.settings.get('timezone'));
  const local = now + BigInt(zone?.offset(now) ?? 0) * MICROS_PER_SECOND;
  return (local - (((local % MICROS_PER_DAY) + MICROS_PER_DAY) % MICROS_PER_DAY)) / MICROS_PER_DAY;
}

/** Whether the query may run on the main thread. */
function runsInline(plan: ReadPlan, request: QueryRequest): boolean {
  if (!plan.compiled.bounded) return false;
  return request.overlay.every((image) => image.rows.length <= INLINE_OVERLAY_ROWS_MAX);
}

type Column = { readonly type: SqlType; readonly format: 0 | 1 };

function columnsOf({ columns }: CompiledQuery, formats: readonly number[]): Column[] {
  return columns.map(({ type }, index) => ({ type, format: formats[index] === 1 ? 1 : 0 }));
}

type Written = { readonly formats: readonly number[]; readonly writers: readonly RowWriter[] };

/** The writers of the formats a query was last asked for. */
const written = new WeakMap<CompiledQuery, Written>();

function writersOf(compiled: CompiledQuery, formats: readonly number[]): readonly RowWriter[] {
  const known = written.get(compiled);
  if (known !== undefined && sameFormats(known.formats, formats)) return known.writers;
  const writers = rowWriters(columnsOf(compiled, formats));
  written.set(compiled, { formats, writers });
  return writers;
}

function sameFormats(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((format, i) => format === b[i]);
}

function inlineRows(
  session: SessionContext,
  compiled: CompiledQuery,
  request: QueryRequest,
  formats: readonly number[],
): RowSource {
  const encoder = new DataRowEncoder(writersOf(compiled, formats), valueContext(session));
  let count = 0;
  for (const row of session.services.inline.all(session, request)) {
    encoder.append(row);
    count += 1;
  }
  return new BufferedRows(encoder.take(), count);
}

function readerRows(
  session: SessionContext,
  request: QueryRequest,
  columns: readonly Column[],
): ReaderQuery {
  const run = { kind: 'run' as const, request, session: sessionImage(session), columns };
  return session.services.readers.query(session.catalog, run, session.stop);
}

/** All rows of a query, as values. */
export function readValues(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): Row[] | Promise<Row[]> {
  const { sessionFunctions } = plan.compiled;
  const split = sessionFunctions.length === 0 ? null : splitPlanOf(session, plan);
  if (split !== null) return splitValues(session, split, parameters);
  const { compiled, request } = requestFor(session, plan, parameters);
  if (!runsInline(plan, request)) {
    const run = { kind: 'run' as const, request, session: sessionImage(session), columns: null };
    return session.services.readers.values(session.catalog, run, session.stop);
  }
  const run = () => session.services.inline.all(session, request);
  return drawsValues(compiled.sessionFunctions) ? withSequences(session, plan.query, run) : run();
}

async function splitValues(
  session: SessionContext,
  split: SplitPlan,
  parameters: readonly Datum[],
): Promise<Row[]> {
  const all = await withAnswers(session, split, parameters);
  if (split.work === null) return readValues(session, split.plan, all);
  const source = new WorkedRows(session, readerValues(session, split.plan, all), split, all, []);
  try {
    await source.begin();
    const rows: Row[] = [];
    for (let row = await source.row(); row !== null; row = await source.row()) rows.push(row);
    return rows;
  } finally {
    source.close();
  }
}

/** The query in a reader, whose rows come as values. */
function readerValues(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): ReaderQuery {
  const { request } = requestFor(session, plan, parameters);
  const run = { kind: 'run' as const, request, session: sessionImage(session), columns: null };
  return session.services.readers.query(session.catalog, run, session.stop);
}

function requestFor(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): { readonly compiled: CompiledQuery; readonly request: QueryRequest } {
  const stamp = session.visibleStamp();
  if (stamp !== null) checkTablesThen(session, plan.compiled.tables, stamp);
  remember(session, plan, parameters);
  const many = plan.compiled.parameters.length > VARIABLES_MAX;
  const compiled = variantOf(session, many ? withValues(session, plan, parameters) : plan, stamp);
  return { compiled, request: requestOf(session, compiled, parameters, stamp) };
}

/** The plan with the values of its parameters in its text: SQLite cannot bind so many. */
function withValues(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): ReadPlan {
  const query = mapQuery(plan.query, (node) =>
    node.kind === 'param'
      ? { kind: 'const', type: node.type, value: parameters[node.number - 1] ?? null }
      : undefined,
  );
  const compiled = compileQuery(query, compileOptions(session.catalog, 'current', new Set()));
  return { ...plan, query, compiled, variants: new Map() };
}
