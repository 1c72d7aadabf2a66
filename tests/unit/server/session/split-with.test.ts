// What becomes of WITH when parts of it write.

import { describe, expect, test } from '@jest/globals';
import { sqlType } from '../../../../ledger/type.ts';
import { splitWith, writesInWith } from '../../../../server/session/split-with.ts';
import { EMPTY_SELECT } from '../../../../sql/empty-select.ts';
import type { Cte, Query } from '../../../../sql/ir.ts';

const TYPES = [sqlType('int4')];

/** A query that reads queries of a WITH `levelsUp` queries out. */
const reading = (names: readonly string[], levelsUp: number): Query => ({
  ...EMPTY_SELECT,
  entries: names.map((name) => {
    return { kind: 'cte', alias: '', name, levelsUp, recursive: false, types: TYPES, columns: [] };
  }),
  from: names.map((_, i) => ({ kind: 'ref', entry: i + 1 })),
});

const cte = (name: string, query: Query): Cte => {
  const columns = ['n'];
  return { name, query, recursive: false, materialized: 'default', columns, types: TYPES };
};

const writing = (query: Query): Query => ({ ...query, command: 'delete' });

/** Names that a query of its own WITH goes by, and the numbers of given rows among them. */
const own = ({ ctes }: Query): (string | number)[] =>
  ctes.map(({ name, query }) => {
    const entry = query.entries[0];
    return entry?.kind === 'given' ? entry.relation : name.replace('\0', 'outer ');
  });

describe('a statement that writes in WITH', () => {
  test('is one in which a query of WITH is no SELECT', () => {
    expect(writesInWith({ ...EMPTY_SELECT, ctes: [cte('a', EMPTY_SELECT)] })).toBe(false);
    expect(writesInWith({ ...EMPTY_SELECT, ctes: [cte('a', writing(EMPTY_SELECT))] })).toBe(true);
  });

  test('gives the rows of its parts to those that read them', () => {
    const ctes = [cte('a', writing(EMPTY_SELECT)), cte('b', writing(reading(['a'], 1)))];
    const { before, main, after } = splitWith({ ...reading(['b'], 0), ctes });
    expect(before.map(({ name, width }) => [name, width])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
    expect(after).toEqual([]);
    const [a, b] = before;
    expect(own(a!.query)).toEqual([]);
    expect(own(b!.query)).toEqual([a!.relation]);
    expect(own(main)).toEqual([b!.relation]);
    expect(b!.query.entries).toMatchObject([{ name: '\0a', levelsUp: 0 }]);
    expect(main.entries).toMatchObject([{ name: '\0b', levelsUp: 0 }]);
  });

  test('takes plain queries along with the one that reads them', () => {
    const ctes = [
      cte('p', EMPTY_SELECT),
      cte('q', reading(['p'], 1)),
      cte('unread', EMPTY_SELECT),
      cte('d', writing(reading(['q'], 1))),
    ];
    const { after, main } = splitWith({ ...EMPTY_SELECT, ctes });
    expect(after.map(({ name }) => name)).toEqual(['d']);
    expect(own(after[0]!.query)).toEqual(['outer p', 'outer q']);
    expect(own(main)).toEqual([]);
  });

  test('runs a plain query once that several read', () => {
    const ctes = [cte('p', EMPTY_SELECT), cte('d', writing(reading(['p'], 1)))];
    const { before, main, after } = splitWith({ ...reading(['p'], 0), ctes });
    const [p, d] = [before[0], after[0]];
    expect([p?.name, d?.name]).toEqual(['p', 'd']);
    expect(own(p!.query)).toEqual(['outer p']);
    expect(own(d!.query)).toEqual([p!.relation]);
    expect(own(main)).toEqual([p!.relation]);
  });

  test('runs what the main statement does not need after it', () => {
    const ctes = [cte('a', writing(EMPTY_SELECT)), cte('b', writing(EMPTY_SELECT))];
    const { before, after } = splitWith({ ...writing(reading(['b'], 0)), ctes });
    expect(before.map(({ name }) => name)).toEqual(['b']);
    expect(after.map(({ name }) => name)).toEqual(['a']);
  });

  test('tells its names from those of a WITH within', () => {
    const inner = { ...reading(['x'], 0), ctes: [cte('x', reading(['x'], 2))] };
    const ctes = [cte('x', writing(EMPTY_SELECT)), cte('d', writing(inner))];
    const [x, d] = splitWith({ ...EMPTY_SELECT, ctes }).after;
    expect(own(d!.query)).toEqual([x!.relation, 'x']);
    expect(d!.query.entries).toMatchObject([{ name: 'x', levelsUp: 0 }]);
    expect(d!.query.ctes[1]!.query.entries).toMatchObject([{ name: '\0x', levelsUp: 1 }]);
  });
});
