// EXPLAIN: what the node does with a statement, and how SQLite finds the rows. Shell.
//
// (1) The first line has the form of PostgreSQL's, because tools look for `(cost=…)` in it. Nothing is
//     estimated here: costs and rows are 0.
// (2) EXPLAIN ANALYZE runs the statement and measures it; it refuses to run one that writes.

import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import type { Table } from '../../ledger/catalog.ts';
import type { Row } from '../../ledger/type.ts';
import type { ParsedStatement } from '../../sql/parse.ts';
import type { CompiledQuery, SpreadRead } from '../../sql/query.ts';
import { shardColumn } from '../../storage/parts.ts';
import type { ResultSink } from '../pgwire/backend.ts';
import type { OverlayImage } from '../readers/query-runner.ts';
import type { SessionContext } from './context.ts';
import { execute, isWrite } from './execute.ts';
import type { Outcome } from './execute.ts';
import { imageOf } from './execute-with.ts';
import { requestOf } from './execute-read.ts';
import type { Plan, Prepared } from './plan.ts';
import type { WithPlan } from './plan-with.ts';
import { formatsFor } from './portal.ts';
import { prepareInner } from './prepare-inner.ts';
import type { Session } from './session.ts';
import { rowsOutcome, textColumns } from './text-rows.ts';

interface Options {
  readonly analyze: boolean;
  readonly verbose: boolean;
  readonly costs: boolean;
  readonly timing: boolean;
  readonly summary: boolean;
  readonly json: boolean;
}

/** One step of a plan. */
interface Step {
  readonly node: string;
  readonly relation: string | null;
  /** Lines below it. */
  readonly details: readonly string[];
}

interface Measured {
  readonly rows: number;
  readonly ms: number;
}

export async function explain(
  session: Session,
  statement: ParsedStatement,
  formats: readonly number[],
  sink: ResultSink,
): Promise<Outcome> {
  const { context } = session;
  const options = optionsOf(statement);
  const begun = performance.now();
  const prepared = await prepareInner(context, statement);
  const planningMs = performance.now() - begun;
  const { plan } = prepared;
  if (plan === null || plan.kind === 'utility') {
    throw new SqlError(SQLSTATE.featureNotSupported, 'EXPLAIN of this statement is not supported', {
      hint: 'SELECT, VALUES, INSERT, UPDATE and DELETE can be explained.',
    });
  }
  const step = stepOf(context, plan, options.verbose);
  const measured = options.analyze ? await measure(session, prepared, sink) : null;
  const lines = options.json
    ? [jsonOf(step, options, measured, planningMs)]
    : textOf(step, options, measured, planningMs);
  const rows = lines.map((line): Row => [line]);
  return rowsOutcome(context, textColumns('QUERY PLAN'), formats, rows, 'EXPLAIN');
}

// ── Options ──────────────────────────────────────────────────────────────────────────────────────

const IGNORED = new Set(['buffers', 'settings', 'wal']);

function optionsOf(statement: ParsedStatement): Options {
  const flags = new Map<string, boolean>();
  let json = false;
  for (const { DefElem } of (statement.tree['options'] as
    readonly { DefElem: Element }[] | undefined) ?? []) {
    const name = DefElem.defname;
    if (name === 'format') json = isJson(textOfArgument(DefElem));
    else if (KNOWN.has(name)) flags.set(name, isOn(name, textOfArgument(DefElem)));
    else if (!IGNORED.has(name)) {
      throw new SqlError(SQLSTATE.syntaxError, `unrecognized EXPLAIN option "${name}"`);
    }
  }
  const analyze = flags.get('analyze') ?? false;
  if (flags.get('timing') === true && !analyze) {
    throw new SqlError(SQLSTATE.invalidParameterValue, 'EXPLAIN option TIMING requires ANALYZE');
  }
  return {
    analyze,
    verbose: flags.get('verbose') ?? false,
    costs: flags.get('costs') ?? true,
    timing: flags.get('timing') ?? true,
    summary: flags.get('summary') ?? analyze,
    json,
  };
}

const KNOWN = new Set(['analyze', 'verbose', 'costs', 'timing', 'summary']);

interface Element {
  readonly defname: string;
  readonly arg?: {
    readonly String?: { readonly sval?: string };
    readonly Integer?: { readonly ival?: number };
    readonly Boolean?: { readonly boolval?: boolean };
  };
}

function textOfArgument({ arg }: Element): string {
  if (arg === undefined) return 'on';
  if (arg.String !== undefined) return (arg.String.sval ?? '').toLowerCase();
  if (arg.Integer !== undefined) return String(arg.Integer.ival ?? 0);
  return arg.Boolean?.boolval === true ? 'on' : 'off';
}

function isOn(name: string, text: string): boolean {
  if (['on', 'true', '1', 'yes'].includes(text)) return true;
  if (['off', 'false', '0', 'no'].includes(text)) return false;
  throw new SqlError(SQLSTATE.syntaxError, `${name} requires a Boolean value`);
}

function isJson(format: string): boolean {
  if (format === 'json') return true;
  if (format === 'text') return false;
  if (format === 'xml' || format === 'yaml') {
    throw new SqlError(SQLSTATE.featureNotSupported, `EXPLAIN format ${format} is not supported`, {
      hint: 'Use TEXT or JSON.',
    });
  }
  throw new SqlError(
    SQLSTATE.invalidParameterValue,
    `unrecognized value for EXPLAIN option "format": "${format}"`,
  );
}

// ── Plans ────────────────────────────────────────────────────────────────────────────────────────

function stepOf(
  session: SessionContext,
  plan: Exclude<Plan, { kind: 'utility' }>,
  verbose: boolean,
  given: readonly OverlayImage[] = [],
): Step {
  const name = (id: number): string => session.catalog.relations.get(id)?.name ?? String(id);
  switch (plan.kind) {
    case 'catalog':
      return { node: 'Catalog Query', relation: null, details: ['Answered by: the analyst'] };
    case 'read': {
      const { compiled } = plan;
      const details = sqliteLines(session, compiled, verbose, given);
      const { pointRead, tables } = compiled;
      if (pointRead !== null)
        return { node: 'Point Read', relation: name(pointRead.relation), details };
      if (tables.length === 0) return { node: 'Result', relation: null, details };
      return { node: 'Reader Query', relation: tables.map(name).join(', '), details };
    }
    case 'with':
      return withStep(session, plan, verbose);
    case 'insert': {
      const source = plan.source === null ? null : plan.source.read.compiled;
      const details = source === null ? [] : sqliteLines(session, source, verbose, given);
      return { node: 'Insert', relation: plan.table.name, details };
    }
    case 'modify': {
      const word = plan.query.command === 'update' ? 'Update' : 'Delete';
      if (plan.program !== null) {
        const index = plan.table.indexes.find(({ id }) => id === plan.program!.index);
        const key = `Key: one row by ${index?.name ?? 'a unique index'}, evaluated when applied`;
        return { node: `${word} by Row Program`, relation: plan.table.name, details: [key] };
      }
      const details = sqliteLines(session, plan.images.compiled, verbose, given);
      return { node: `${word} by Row Images`, relation: plan.table.name, details };
    }
  }
}

/** The main statement's step, the parts before its lines as CTEs are in PostgreSQL. */
function withStep(session: SessionContext, plan: WithPlan, verbose: boolean): Step {
  const parts = [...plan.before, ...plan.after];
  const given = parts.map((part) => imageOf(part, []));
  const main = stepOf(session, plan.main, verbose, given);
  const details = parts.flatMap((part) => {
    const { node, relation, details: below } = stepOf(session, part.plan, verbose, given);
    const on = relation === null ? '' : ` on ${relation}`;
    return [`CTE ${part.name}`, `  ->  ${node}${on}`, ...below.map((line) => `        ${line}`)];
  });
  return { ...main, details: [...details, ...main.details] };
}

/** SQLite's own plan, indented by its nesting. */
function sqliteLines(
  session: SessionContext,
  compiled: CompiledQuery,
  verbose: boolean,
  given: readonly OverlayImage[],
): string[] {
  const { text, parameters, tables, catalogVersion } = compiled;
  const request = requestOf(
    session,
    { text: `EXPLAIN QUERY PLAN ${text}`, parameters, tables, catalogVersion },
    [],
    null,
  );
  const depths = new Map<bigint, number>([[0n, 0]]);
  const beside = { ...request, overlay: [...request.overlay, ...given] };
  const lines = session.services.inline.all(session, beside).map((row) => {
    const [id, parent, , detail] = row as [bigint, bigint, bigint, string];
    const depth = depths.get(parent) ?? 0;
    depths.set(id, depth + 1);
    return `${'  '.repeat(depth)}->  ${named(session, detail)}`;
  });
  const all = [...compiled.spread.map((read) => partsLine(session, read)), ...lines];
  return verbose ? [...all, `SQLite: ${text}`] : all;
}

/** Which parts of a spread table are read, as far as it is known before the statement runs. */
function partsLine(session: SessionContext, { relation, parts, part }: SpreadRead): string {
  const table = session.catalog.relations.get(relation) as Table;
  if (part === null) return `Parts of ${table.name}: ${parts} of ${parts}`;
  const by = `by ${shardColumn(table)!.name}`;
  // A parameter, a column of a query around it, a function of the session: they have no value yet.
  if (/[:.]/.test(part) || /pg_(?!part_of\()/.test(part))
    return `Parts of ${table.name}: 1 of ${parts}, ${by}`;
  const [row] = session.services.inline.all(session, session.request(`SELECT ${part}`, {}, []));
  return `Parts of ${table.name}: 1 of ${parts}, number ${String(row![0])}, ${by}`;
}

/** SQLite knows tables and indexes by their ids (storage/names.ts). */
function named(session: SessionContext, detail: string): string {
  return detail.replace(/\b([rhi])(\d+)\b/g, (word, kind: string, digits: string) => {
    const id = Number(digits);
    if (kind !== 'i') {
      const found = session.catalog.relations.get(id)?.name;
      return found === undefined ? word : kind === 'h' ? `history.${found}` : found;
    }
    for (const relation of session.catalog.relations.values()) {
      const index =
        relation.kind === 'table' ? relation.indexes.find((each) => each.id === id) : undefined;
      if (index !== undefined) return index.name;
    }
    return word;
  });
}

// ── Running ──────────────────────────────────────────────────────────────────────────────────────

async function measure(session: Session, prepared: Prepared, sink: ResultSink): Promise<Measured> {
  if (isWrite(prepared)) {
    throw new SqlError(
      SQLSTATE.featureNotSupported,
      'EXPLAIN ANALYZE of a statement that writes is not supported',
      {
        hint: 'What it writes would be on the chain for good.',
      },
    );
  }
  const begun = performance.now();
  const outcome = await execute(session, prepared, [], formatsFor([], prepared.columns), sink);
  let rows = 0;
  if (outcome.kind === 'rows') {
    try {
      for (let done = false; !done;) {
        const batch = await outcome.source.read(0);
        session.context.stop.check();
        rows += batch.count;
        done = batch.done;
      }
    } finally {
      outcome.source.close();
    }
  }
  return { rows, ms: performance.now() - begun };
}

// ── Output ───────────────────────────────────────────────────────────────────────────────────────

function textOf(
  step: Step,
  options: Options,
  measured: Measured | null,
  planningMs: number,
): string[] {
  const on = step.relation === null ? '' : ` on ${step.relation}`;
  const costs = options.costs ? '  (cost=0.00..0.00 rows=0 width=0)' : '';
  const time = options.timing && measured !== null ? `time=0.000..${measured.ms.toFixed(3)} ` : '';
  const actual = measured === null ? '' : ` (actual ${time}rows=${measured.rows} loops=1)`;
  const lines = [`${step.node}${on}${costs}${actual}`, ...step.details.map((line) => `  ${line}`)];
  if (options.summary) lines.push(`Planning Time: ${planningMs.toFixed(3)} ms`);
  if (options.summary && measured !== null)
    lines.push(`Execution Time: ${measured.ms.toFixed(3)} ms`);
  return lines;
}

function jsonOf(
  step: Step,
  options: Options,
  measured: Measured | null,
  planningMs: number,
): string {
  const rounded = (ms: number): number => Number(ms.toFixed(3));
  const plan = {
    'Node Type': step.node,
    ...(step.relation === null ? {} : { 'Relation Name': step.relation }),
    ...(options.costs
      ? { 'Startup Cost': 0, 'Total Cost': 0, 'Plan Rows': 0, 'Plan Width': 0 }
      : {}),
    ...(measured === null
      ? {}
      : {
          ...(options.timing
            ? { 'Actual Startup Time': 0, 'Actual Total Time': rounded(measured.ms) }
            : {}),
          'Actual Rows': measured.rows,
          'Actual Loops': 1,
        }),
    Details: step.details,
  };
  const whole = {
    Plan: plan,
    ...(options.summary ? { 'Planning Time': rounded(planningMs) } : {}),
    ...(options.summary && measured !== null ? { 'Execution Time': rounded(measured.ms) } : {}),
  };
  return JSON.stringify([whole], null, 2);
}
