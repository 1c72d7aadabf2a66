// The plan of a statement with INSERT, UPDATE or DELETE in WITH: a plan for each of its parts (split-with.ts).
// Shell: asks the analyst for defaults.

import type { Table } from '../../ledger/catalog.ts';
import { contains } from '../../sql/compile/scope.ts';
import type { Query } from '../../sql/ir.ts';
import type { SessionContext } from './context.ts';
import type { ReadPlan } from './plan.ts';
import { planInsert } from './plan-insert.ts';
import type { InsertPlan } from './plan-insert.ts';
import { planModify } from './plan-modify.ts';
import type { ModifyPlan } from './plan-modify.ts';
import { planRead } from './plan-read.ts';
import { splitWith } from './split-with.ts';
import type { SplitPart } from './split-with.ts';

export type PartPlan = ReadPlan | InsertPlan | ModifyPlan;

export interface WithPart extends SplitPart {
  readonly plan: PartPlan;
}

export interface WithPlan {
  readonly kind: 'with';
  readonly query: Query;
  /** In the order in which they run. */
  readonly before: readonly WithPart[];
  readonly main: PartPlan;
  readonly after: readonly WithPart[];
  /** Ids of the tables it reads or writes. */
  readonly tables: readonly number[];
  readonly written: readonly Table[];
  /** Several of its queries read tables: they must see the same state of them. */
  readonly severalRead: boolean;
}

export async function planWith(query: Query, session: SessionContext): Promise<WithPlan> {
  const { before, main, after } = splitWith(query);
  const planned = async (parts: readonly SplitPart[]): Promise<WithPart[]> => {
    const all: WithPart[] = [];
    for (const part of parts) all.push({ ...part, plan: await planPart(part.query, session) });
    return all;
  };
  const [first, last] = [await planned(before), await planned(after)];
  const mainPlan = await planPart(main, session);
  const plans = [...first, ...last].map(({ plan }) => plan).concat(mainPlan);
  const queries = [...before, ...after].map((part) => part.query).concat(main);
  return {
    kind: 'with',
    query,
    before: first,
    main: mainPlan,
    after: last,
    tables: [...new Set(queries.flatMap(tablesOf))],
    written: plans.flatMap((plan) => (plan.kind === 'read' ? [] : [plan.table])),
    severalRead: queries.filter(readsTables).length > 1,
  };
}

async function planPart(query: Query, session: SessionContext): Promise<PartPlan> {
  if (query.command === 'insert') return planInsert(query, session);
  if (query.command !== 'select') return planModify(query, session);
  return planRead({ parameters: [], columns: null, query, catalogOnly: false }, query, session);
}

function tablesOf(query: Query): number[] {
  const tables: number[] = [];
  contains(query, (node) => {
    for (const entry of 'command' in node ? node.entries : []) {
      if (entry.kind === 'relation' && entry.relationKind === 'table') tables.push(entry.relation);
    }
    return false;
  });
  return tables;
}

/** An INSERT names the table it writes, but does not read it. */
function readsTables(query: Query): boolean {
  const read =
    query.command === 'insert'
      ? { ...query, entries: query.entries.filter(({ kind }) => kind !== 'relation') }
      : query;
  return contains(
    read,
    (node) => 'command' in node && node.entries.some(({ kind }) => kind === 'relation'),
  );
}
