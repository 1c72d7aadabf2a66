// Takes a statement with INSERT, UPDATE or DELETE in WITH apart, so that each part can be run by itself. Pure.
//
// (1) A part is what WITH writes, or a query of WITH that several others read: it runs once.
// (2) Whoever reads a part finds its rows under a number that no table has, laid beside the query as the
//     uncommitted rows of a transaction are. Any other query of WITH goes along with the one that reads it.
// (3) Parts that the main statement does not need run after it, as in Postgres.

import { EMPTY_SELECT } from '../../sql/empty-select.ts';
import type { Cte, Query, RangeEntry, Target } from '../../sql/ir.ts';
import { mapEntries } from './map-scalar.ts';

export interface SplitPart {
  readonly name: string;
  /** Needs nothing but rows of other parts. */
  readonly query: Query;
  /** The number that its rows go by. */
  readonly relation: number;
  /** Columns of its rows. */
  readonly width: number;
}

export interface SplitWith {
  /** In the order in which they run. */
  readonly before: readonly SplitPart[];
  readonly main: Query;
  readonly after: readonly SplitPart[];
}

/** Rows of parts go by numbers from here on; no relation has such an id. */
const GIVEN_RELATIONS = 4_000_000_000;

/** The main statement among those that read a query of WITH, whose names are not empty. */
const MAIN = '';

export function writesInWith({ ctes }: Query): boolean {
  return ctes.some(({ query }) => query.command !== 'select');
}

export function splitWith(whole: Query): SplitWith {
  const main: Query = { ...whole, ctes: [] };
  const readers = readersOf(whole.ctes, main);
  const given = new Map<string, number>();
  for (const [i, { name, query }] of whole.ctes.entries()) {
    const part = query.command !== 'select' || readers.get(name)!.size > 1;
    if (part) given.set(name, GIVEN_RELATIONS + i);
  }
  const parts = whole.ctes.flatMap((cte): SplitPart[] => {
    const { name, types } = cte;
    const relation = given.get(name);
    if (relation === undefined) return [];
    const query =
      cte.query.command === 'select'
        ? standalone(rowsOf(cte), 0, whole.ctes, without(given, name))
        : standalone(cte.query, 1, whole.ctes, given);
    return [{ name, query, relation, width: types.length }];
  });
  const needed = new Set([MAIN]);
  for (const { name } of parts.toReversed()) {
    if ([...readers.get(name)!].some((reader) => needed.has(reader))) needed.add(name);
  }
  return {
    before: parts.filter(({ name }) => needed.has(name)),
    main: standalone(main, 0, whole.ctes, given),
    after: parts.filter(({ name }) => !needed.has(name)),
  };
}

/** Which parts, or the main statement, read each query of WITH, be it through others that are no parts. */
function readersOf(ctes: readonly Cte[], main: Query): Map<string, Set<string>> {
  const readers = new Map(ctes.map(({ name }) => [name, new Set<string>()]));
  for (const name of namesRead(main, 0)) readers.get(name)?.add(MAIN);
  // A query of WITH is read by later ones only.
  for (const { name, query } of ctes.toReversed()) {
    const own = readers.get(name)!;
    const part = query.command !== 'select' || own.size > 1;
    for (const read of namesRead(query, 1)) {
      if (read === name) continue;
      for (const reader of part ? [name] : own) readers.get(read)?.add(reader);
    }
  }
  return readers;
}

/** Whether an entry names a query of the statement's WITH; `level` counts from the statement to the query at depth 0. */
function namesOuter(
  entry: RangeEntry,
  depth: number,
  level: number,
): entry is Extract<RangeEntry, { kind: 'cte' }> {
  return entry.kind === 'cte' && entry.levelsUp === depth + level;
}

function namesRead(query: Query, level: number): Set<string> {
  const names = new Set<string>();
  mapEntries(query, (entry, depth) => {
    if (namesOuter(entry, depth, level)) names.add(entry.name);
    return undefined;
  });
  return names;
}

/** The query with those of the statement's WITH that it needs as its own. */
function standalone(
  query: Query,
  level: number,
  ctes: readonly Cte[],
  given: ReadonlyMap<string, number>,
): Query {
  const needed = namesRead(query, level);
  for (const { name, query: inner } of ctes.toReversed()) {
    if (!needed.has(name) || given.has(name)) continue;
    for (const read of namesRead(inner, 1)) needed.add(read);
  }
  const own = mapEntries(query, (entry, depth) =>
    namesOuter(entry, depth, level)
      ? { ...entry, name: outerName(entry.name), levelsUp: depth }
      : undefined,
  );
  const outer = ctes.flatMap((cte): Cte[] => {
    if (!needed.has(cte.name)) return [];
    const relation = given.get(cte.name);
    const name = outerName(cte.name);
    if (relation !== undefined)
      return [{ ...cte, name, recursive: false, query: givenRows(cte, relation) }];
    const renamed = mapEntries(cte.query, (entry, depth) =>
      namesOuter(entry, depth, 1) ? { ...entry, name: outerName(entry.name) } : undefined,
    );
    return [{ ...cte, name, query: renamed }];
  });
  return { ...own, ctes: [...outer, ...own.ctes] };
}

/** A name that the query's own WITH cannot hold. */
function outerName(name: string): string {
  return `\0${name}`;
}

/** SELECT of all rows of a query of WITH, from beside the statement. */
function givenRows(cte: Cte, relation: number): Query {
  return rowsFrom(cte, { kind: 'given', alias: '', relation, columns: cte.columns });
}

/** The same, which runs it; it may be recursive. */
function rowsOf(cte: Cte): Query {
  const { name, types, columns } = cte;
  return rowsFrom(cte, {
    kind: 'cte',
    alias: '',
    name,
    levelsUp: 0,
    recursive: false,
    types,
    columns,
  });
}

function rowsFrom({ columns, types }: Cte, entry: RangeEntry): Query {
  const targets = types.map((type, i): Target => {
    const column = i + 1;
    return {
      expression: { kind: 'var', type, entry: 1, column, levelsUp: 0 },
      name: columns[i] ?? '',
      hidden: false,
      relation: 0,
      column: 0,
      assign: 0,
    };
  });
  return { ...EMPTY_SELECT, entries: [entry], from: [{ kind: 'ref', entry: 1 }], targets };
}

function without(given: ReadonlyMap<string, number>, name: string): Map<string, number> {
  return new Map([...given].filter(([each]) => each !== name));
}
