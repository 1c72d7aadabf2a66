// ledger.digest(), ledger.proof(table, key…), ledger.receipt(transaction), ledger.transaction_status(transaction,
// until), and those that tell and change the rules of the consensus: functions that take time. Shell.
//
// SQLite cannot wait, so they are called before the query runs, and it sees what they gave as constants.
// Therefore their arguments may not depend on rows.

import { decodeArray, flatten } from '../../ledger/array-value.ts';
import { tryFromHex } from '../../ledger/bytes.ts';
import { SqlError } from '../../ledger/error.ts';
import { SQLSTATE } from '../../ledger/sqlstate.ts';
import { sqlType } from '../../ledger/type.ts';
import type { Datum } from '../../ledger/type.ts';
import { compileQuery } from '../../sql/compile/query.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { Scalar } from '../../sql/ir.ts';
import { formatText, parseText } from '../../sql/value/text.ts';
import { demandTable, isSuperuser } from '../../storage/privileges.ts';
import { compileOptions } from './compile-options.ts';
import { roleNamed } from './context.ts';
import type { SessionContext } from './context.ts';
import { compileEdge, valueOf } from './edge-expression.ts';
import { mapQuery } from './map-scalar.ts';
import { relationNamed } from './name-lookup.ts';
import type { ReadPlan } from './plan.ts';
import { valueContext } from './value-context.ts';

type Call = Extract<Scalar, { kind: 'call' }>;

const RULES: ReadonlySet<string> = new Set(['rules', 'approve_rules', 'submit_rules']);
const NAMES: ReadonlySet<string> = new Set([
  'digest',
  'proof',
  'receipt',
  'transaction_status',
  ...RULES,
]);
const ID_BYTES = 32;
/** Milliseconds from 1970 to 2000. */
const EPOCH_2000_MS = 946_684_800_000;

/** Whether a query calls one of them. */
export function asksLedger(sessionFunctions: readonly string[]): boolean {
  return sessionFunctions.some((name) => NAMES.has(name));
}

/** The plan with every call replaced by what it gives. */
export async function withLedgerAnswers(
  session: SessionContext,
  plan: ReadPlan,
  parameters: readonly Datum[],
): Promise<ReadPlan> {
  const calls: Call[] = [];
  contains(plan.query, (node) => {
    if (!('command' in node) && node.kind === 'call' && NAMES.has(node.fn.name)) calls.push(node);
    return false;
  });
  const answers = new Map<Scalar, Scalar>();
  for (const call of calls) {
    if (call.fn.name === 'submit_rules') checkSubmission(session, plan);
    const value = await answerOf(session, call, parameters);
    answers.set(call, { kind: 'const', type: call.type, value });
  }
  const query = mapQuery(plan.query, (node) => answers.get(node));
  const compiled = compileQuery(query, compileOptions(session.catalog, 'current', new Set()));
  return { ...plan, query, compiled, variants: new Map() };
}

async function answerOf(
  session: SessionContext,
  call: Call,
  parameters: readonly Datum[],
): Promise<Datum> {
  const { evidence } = session.services;
  const texts: (string | null)[] = [];
  for (const arg of call.args) texts.push(...(await textsOf(session, call, arg, parameters)));
  if (call.fn.name === 'digest') return evidence.digest();
  if (RULES.has(call.fn.name)) return rulesAnswer(session, call, texts);
  if (call.fn.name === 'transaction_status') {
    const [id, until] = texts as [string | null, string | null];
    return id === null ? null : evidence.status(idOf(id), millisecondsOf(session, until));
  }
  if (texts.includes(null)) return null;
  if (call.fn.name === 'receipt') return evidence.receipt(idOf(texts[0]!));
  const [name, ...key] = texts as string[];
  return proofOf(session, name!, key);
}

/**
 * Of ledger.rules(), approve_rules(change) and submit_rules(change, force). The role that has logged in approves, whichever it
 * has assumed: its key is the one that this node signs with.
 */
async function rulesAnswer(
  session: SessionContext,
  call: Call,
  [change = null, force = null]: readonly (string | null)[],
): Promise<Datum> {
  const { name } = call.fn;
  const { governor } = session.services;
  const role = roleNamed(session.catalog, session.currentRole);
  if (role === undefined || !isSuperuser(session.catalog, role.id)) {
    const message = `permission denied for function ${name}`;
    throw new SqlError(SQLSTATE.insufficientPrivilege, message);
  }
  if (name === 'rules') return governor.describe();
  if (change === null) return null;
  if (name === 'submit_rules') return BigInt(await governor.submit(change, force === 't'));
  return governor.approve(change, session.services.signerOf(session.sessionRole.id));
}

/**
 * Rules that are in force are not rolled back, nor does a row that is not shown keep them out.
 *
 * @throws SqlError 25001 in a transaction block, 25006 in a read-only transaction, 0A000 in a greater query
 */
function checkSubmission(session: SessionContext, { query }: ReadPlan): void {
  session.checkWritable('ledger.submit_rules');
  if (session.transaction?.explicit === true) {
    const message = 'ledger.submit_rules cannot run inside a transaction block';
    throw new SqlError(SQLSTATE.activeSqlTransaction, message);
  }
  const alone =
    query.from.length === 0 && query.where === null && query.set === null && query.limit === null;
  if (alone && query.targets.some(({ expression }) => isSubmission(expression))) return;
  const message = 'ledger.submit_rules is called on its own: SELECT ledger.submit_rules(…)';
  throw new SqlError(SQLSTATE.featureNotSupported, message);
}

function isSubmission(expression: Scalar): boolean {
  return expression.kind === 'call' && expression.fn.name === 'submit_rules';
}

/** @throws SqlError 22023 */
function idOf(text: string): Uint8Array {
  const id = tryFromHex(text.replace(/^\\x/, ''));
  if (id?.length === ID_BYTES) return id;
  const message = 'a transaction id has 64 hexadecimal digits';
  throw new SqlError(SQLSTATE.invalidParameterValue, message);
}

/** Milliseconds since 1970 of a timestamp, as this session writes one. */
function millisecondsOf(session: SessionContext, text: string | null): number | null {
  if (text === null) return null;
  const micros = parseText(text, sqlType('timestamptz'), valueContext(session)) as bigint;
  return Number(micros / 1_000n) + EPOCH_2000_MS;
}

/** An argument as text; the elements of one that is an array. */
async function textsOf(
  session: SessionContext,
  call: Call,
  arg: Scalar,
  parameters: readonly Datum[],
): Promise<(string | null)[]> {
  if (arg.kind === 'array') {
    const texts: (string | null)[] = [];
    for (const each of arg.elements)
      texts.push(...(await textsOf(session, call, each, parameters)));
    return texts;
  }
  if (contains(arg, (node) => 'command' in node || node.kind === 'var')) {
    const message = `arguments of ledger.${call.fn.name} must not depend on rows`;
    throw new SqlError(SQLSTATE.featureNotSupported, message);
  }
  const scope = { catalog: session.catalog, sequenceOf: () => undefined, entry: 0 };
  const value = await valueOf(compileEdge(arg, scope), { session, parameters });
  const { type } = arg;
  const values =
    type.array && value !== null ? flatten(decodeArray(value as string, type.base)) : [value];
  const context = valueContext(session);
  return values.map((each) =>
    each === null ? null : formatText(each, { ...type, array: false }, context),
  );
}

async function proofOf(
  session: SessionContext,
  name: string,
  key: readonly string[],
): Promise<Datum> {
  const table = relationNamed(session, name);
  if (table.kind !== 'table') {
    throw new SqlError(SQLSTATE.wrongObjectType, `"${table.name}" is not a table`);
  }
  checkReadable(session, table.id);
  const index = table.indexes.find(({ primary }) => primary);
  if (index === undefined || index.keys.length !== key.length) {
    const columns =
      index?.keys.map(({ column }) => table.columns.find(({ id }) => id === column)!.name) ?? [];
    throw new SqlError(
      SQLSTATE.invalidParameterValue,
      index === undefined
        ? `table "${table.name}" has no primary key`
        : `the primary key of table "${table.name}" has ${index.keys.length} columns (${columns.join(', ')})`,
    );
  }
  const context = valueContext(session);
  const values = index.keys.map(({ type }, i) => parseText(key[i]!, type, context));
  const allow = (relation: number): void => checkReadable(session, relation);
  return session.services.evidence.proof(table, index.id, values, allow);
}

/** @throws SqlError 42501 unless the role may read every column of the table */
function checkReadable(session: SessionContext, relation: number): void {
  const role = roleNamed(session.catalog, session.currentRole);
  const table = session.catalog.relations.get(relation);
  if (role === undefined || isSuperuser(session.catalog, role.id)) return;
  if (table?.kind === 'table') demandTable(session.catalog, role.id, table, 'r', []);
  else
    throw new SqlError(
      SQLSTATE.insufficientPrivilege,
      'permission denied for a table that is gone',
    );
}
