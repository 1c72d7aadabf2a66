// Joins of spread tables, part by part: the join of all rows is the UNION ALL of the joins of the parts. Pure.
//
// (1) SQLite takes a UNION ALL in FROM apart where nothing is aggregated, each with each. So a join below an aggregate
//     would read whole tables, and tables spread alike by what they are joined on would meet in parts that share no row.
// (2) Rows of tables whose columns of the shard key must be equal lie in parts of one number. A LEFT JOIN may add one to
//     them on its right: what it finds lies where the row on its left does.
// (3) FROM and WHERE go into one SELECT for each part, and the columns that the query asks for come out of it.

import { partsOf, shardColumn } from '../../storage/parts.ts';
import { plainColumn, termsOf } from './point-read.ts';
import { comparisonOf } from './call.ts';
import { fromText } from './from.ts';
import { condition } from './scalar.ts';
import { computesAnew, hashesAlike, spreadTable } from './spread.ts';
import { newAlias } from './scope.ts';
import type { FromItem, Query, Scalar } from '../ir.ts';
import type { Scope, Source } from './scope.ts';

/** Text for FROM that gives the rows of a join, WHERE included; null where the query is read as it stands. */
export function partByPart(scope: Scope): string | null {
  const { query, shared } = scope;
  if (query.from.length === 1 && query.from[0]!.kind === 'ref') return null;
  if (shared.options.overlay.size > 0) return null;
  if (computesAnew(query)) return null;
  const together = largestGroup(scope);
  // One table alone is read part by part only for the sake of what stands above, and beside what costs nothing to repeat.
  const alone = together.size === 1 && !(gathers(query) && joinsTables(query));
  if (together.size === 0 || alone) return null;
  const used = usedColumns(query);
  if (used === null) return null;
  const [first] = together;
  const alias = newAlias(shared, 't');
  let sources = new Map<number, Source>();
  const arms = partsOf(spreadTable(first!, scope)!).map((_, part) => {
    const arm: Scope = { ...scope, sources: new Map(), together: { entries: together, part } };
    const from = fromText(arm);
    const where = query.where === null ? '' : ` WHERE ${condition(query.where, arm)}`;
    sources = arm.sources;
    return `SELECT ${columnsOf(sources, used).join(', ')} FROM ${from}${where}`;
  });
  for (const [entry, { presence }] of sources) {
    scope.sources.set(entry, {
      column: (column) => `${alias}.${outName(entry, column)}`,
      presence: presence === null ? null : `${alias}.${presenceName(entry)}`,
      table: null,
      alias,
    });
  }
  return `(${arms.join(' UNION ALL ')}) AS ${alias}`;
}

/** Whether SQLite computes something over the rows, so that it does not look into what they come from. */
function gathers({ aggregates, group, having, distinct, windows }: Query): boolean {
  return aggregates || group.length + distinct.length + windows.length > 0 || having !== null;
}

/** Whether FROM has tables only. */
function joinsTables({ entries }: Query): boolean {
  return entries.every(({ kind }) => kind === 'relation' || kind === 'join' || kind === 'group');
}

const outName = (entry: number, column: number): string =>
  `e${entry}_${column < 0 ? `s${-column}` : column}`;
const presenceName = (entry: number): string => `e${entry}_p`;

function columnsOf(
  sources: ReadonlyMap<number, Source>,
  used: ReadonlyMap<number, ReadonlySet<number>>,
): string[] {
  const columns = [...sources].flatMap(([entry, { column, presence }]) => [
    ...[...(used.get(entry) ?? [])].map((id) => `${column(id)} AS ${outName(entry, id)}`),
    ...(presence === null ? [] : [`${presence} AS ${presenceName(entry)}`]),
  ]);
  return columns.length === 0 ? ['1'] : columns;
}

/** Columns of each entry that the query or one below it refers to; null when it refers to a whole row. */
function usedColumns(query: Query): ReadonlyMap<number, ReadonlySet<number>> | null {
  const used = new Map<number, Set<number>>();
  let whole = false;
  const visit = (node: unknown, depth: number): void => {
    if (node === null || typeof node !== 'object' || node instanceof Uint8Array) return;
    if (Array.isArray(node)) {
      for (const item of node) visit(item, depth);
      return;
    }
    const at = node as Partial<Extract<Scalar, { kind: 'var' }>> & { readonly command?: string };
    if (at.kind === 'var' && at.levelsUp === depth) {
      whole ||= at.column === 0;
      used.set(at.entry!, (used.get(at.entry!) ?? new Set()).add(at.column!));
    }
    const below = at.command === undefined ? depth : depth + 1;
    for (const value of Object.values(node)) visit(value, below);
  };
  for (const value of Object.values(query)) visit(value, 0);
  return whole ? null : used;
}

/** What is known of FROM: spread tables whose rows all come through, and what must hold for those that do. */
interface Joined {
  readonly kept: number[];
  readonly terms: Scalar[];
  /** Tables right of a LEFT JOIN, with the condition it finds them by. */
  readonly found: { readonly entry: number; readonly terms: readonly Scalar[] }[];
}

function gather(item: FromItem, scope: Scope, into: Joined): void {
  if (item.kind === 'ref') {
    if (spreadTable(item.entry, scope) !== null) into.kept.push(item.entry);
    return;
  }
  if (item.join === 'inner') {
    into.terms.push(...termsOf(item.on));
    gather(item.left, scope, into);
    gather(item.right, scope, into);
  } else if (item.join === 'left') {
    gather(item.left, scope, into);
    const { right } = item;
    if (right.kind === 'ref' && spreadTable(right.entry, scope) !== null)
      into.found.push({ entry: right.entry, terms: termsOf(item.on) });
  } else if (item.join === 'right') {
    gather(item.right, scope, into);
  }
}

/** The most tables whose parts of one number meet only each other. */
function largestGroup(scope: Scope): ReadonlySet<number> {
  const joined: Joined = { kept: [], terms: [...termsOf(scope.query.where)], found: [] };
  for (const item of scope.query.from) gather(item, scope, joined);
  let largest = new Set<number>();
  for (const start of joined.kept) {
    const group = new Set([start]);
    const meets = (entry: number, terms: readonly Scalar[]): boolean =>
      [...group].some((other) => terms.some((term) => joinsParts(term, entry, other, scope)));
    for (let size = 0; size < group.size;) {
      size = group.size;
      for (const entry of joined.kept) if (meets(entry, joined.terms)) group.add(entry);
    }
    for (const { entry, terms } of joined.found) if (meets(entry, terms)) group.add(entry);
    if (group.size > largest.size) largest = group;
  }
  return largest;
}

/** Whether a term says that the columns two tables are spread by are equal, and so that their parts are. */
function joinsParts(term: Scalar, one: number, other: number, scope: Scope): boolean {
  if (term.kind !== 'call' || term.args.length !== 2 || comparisonOf(term.fn) !== '=') return false;
  const [left, right] = [spreadTable(one, scope)!, spreadTable(other, scope)!];
  if (left.spread!.parts !== right.spread!.parts) return false;
  const [key, otherKey] = [shardColumn(left)!, shardColumn(right)!];
  if (!hashesAlike(key.type, otherKey.type)) return false;
  const [a, b] = term.args as [Scalar, Scalar];
  const is = (x: Scalar, y: Scalar): boolean =>
    plainColumn(x, one) === key.id && plainColumn(y, other) === otherKey.id;
  return is(a, b) || is(b, a);
}
