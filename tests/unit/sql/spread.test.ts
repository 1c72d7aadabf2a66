// What is compiled for spread tables: guards where the part is known, joins part by part. Rows: tests/differential.

import { beforeAll, describe, expect, test } from '@jest/globals';
import { Ledger } from '../../differential/compile.ts';

let ledger: Ledger;

beforeAll(async () => {
  ledger = await Ledger.start();
  ledger.setUp(`
    create table a (id int8 primary key, g int, n numeric) with (shard_by = 'id', shards = 3);
    create table b (aid int4, v int, primary key (aid, v)) with (shard_by = 'aid', shards = 3);
    create table c (aid int8, v int) with (shard_by = 'aid', shards = 2);
    create table w (id int8 primary key, g int);
    create table m (s numeric(8,2)) with (shard_by = 's', shards = 3);
    insert into a select i, i % 5, i from generate_series(1, 60) i;
    insert into b select i, k from generate_series(1, 60) i, generate_series(1, 2) k;
    insert into c select i, i from generate_series(1, 60, 3) i;
    insert into w select i, i from generate_series(1, 60, 7) i;`);
}, 60_000);

const guards = (text: string): number => text.split('pg_part_of(').length - 1;

/** Numbers of the parts of a table that a text reads, in order. */
function partsNamed(text: string, name: string): number[] {
  const { id } = [...ledger.catalog.relations.values()].find((each) => each.name === name)!;
  const found = text.matchAll(new RegExp(`\\br${id}(?:_(\\d))? AS`, 'g'));
  return [...found].map(([, part]) => Number(part ?? 0));
}

describe('the part is known', () => {
  test.each([
    'select * from a where id = 5',
    'select * from a where 5::int2 = id and g = 1',
    'select count(*) from a where id = 2 + 3',
    'select * from m where s = 5.00::numeric(8,2)',
  ])('%s', (query) => {
    const { text, spread } = ledger.compileText(query);
    expect(guards(text)).toBe(3);
    expect(spread).toHaveLength(1);
    expect(spread[0]!.part).toContain('pg_part_of(');
  });

  test.each([
    'select * from a where id > 5',
    'select * from a where id = 5 or g = 1',
    'select * from a where g = 5',
    'select * from a where id = g',
    // The two are held in different ways.
    'select * from m where s = 5.000',
    'select * from a where id = floor(random() * 5)::int8',
  ])('but not by %s', (query) => {
    const { text, spread } = ledger.compileText(query);
    expect(guards(text)).toBe(0);
    expect(spread).toMatchObject([{ parts: 3, part: null }]);
  });

  test('by the row of a query around it', () => {
    const query = 'select id, (select count(*) from b where b.aid = w.id) from w';
    expect(guards(ledger.compileText(query).text)).toBe(3);
  });
});

describe('joins', () => {
  test.each([
    'select a.g, b.v from a join b on a.id = b.aid',
    'select count(*) from a, b where b.aid = a.id',
    'select count(b.v) from a left join b on a.id = b.aid and b.v = 1',
    'select count(*) from a join b on a.id = b.aid join w on w.id = b.aid',
    'select count(*) from a x join b on x.id = b.aid where x.g = 1',
  ])('part by part: %s', (query) => {
    const { text } = ledger.compileText(query);
    const arms = text.split(/ UNION ALL (?=SELECT \w+\.\w+ AS e|SELECT 1 FROM|SELECT t\d+)/);
    expect(arms.map((arm) => partsNamed(arm, 'a'))).toEqual([[0], [1], [2]]);
    expect(arms.map((arm) => partsNamed(arm, 'b'))).toEqual([[0], [1], [2]]);
  });

  test('a condition on one table says which part of the other', () => {
    const query = 'select count(*) from a join b on a.id = b.aid where a.id = 7';
    const { spread } = ledger.compileText(query);
    expect(spread.map(({ part }) => part)).toEqual([spread[0]!.part, spread[0]!.part]);
    expect(spread[0]!.part).not.toBeNull();
  });

  test('what is random beside a spread table is one for all parts', () => {
    for (const from of [
      'a, (select random() r) x',
      'a join b on a.id = b.aid, (select random() r) x',
    ]) {
      expect(ledger.answer(`select count(*) from (select distinct r from ${from}) y`).rows).toEqual(
        [['1']],
      );
    }
  });

  test.each([
    ['select count(*) from a join b on a.id = b.aid', '120'],
    ['select count(*) from a join b on a.g = b.aid', '96'],
    ['select count(*) from a join c on a.id = c.aid', '20'],
    ['select count(*) from a left join c on a.id = c.aid', '60'],
    ['select count(*) from a full join c on a.id = c.v + 59', '79'],
    ['select count(*) from b right join a on a.id = b.aid and b.v > 1', '60'],
    ['select count(*) from w left join b on b.aid = w.id', '18'],
    ['select count(*) from a left join b on a.id = b.aid and b.v = 9 where b.v is null', '60'],
    ['select count(*) from a x join a y on x.id = y.id join b on b.aid = y.id', '120'],
    [
      'select count(*) from a join lateral (select v from b where b.aid = a.id limit 1) l on true',
      '60',
    ],
    ['select count(distinct a) from a join b on a.id = b.aid', '60'],
    ['select count(*) filter (where (a.*) is not null) from a join b on a.id = b.aid', '120'],
    [
      'select count(*) from a where exists (select from b join c on b.aid = c.aid where b.aid = a.id)',
      '20',
    ],
    ['select count(*) from a join b on a.id = b.aid where a.id = 7', '2'],
    ['select max(a.id) from a join b on a.id = b.aid having count(*) > 100', '60'],
    [
      'select count(*) from (select a.g from a join b on a.id = b.aid group by rollup (a.g)) x',
      '6',
    ],
  ])('%s', (query, count) => {
    expect(ledger.answer(query)).toMatchObject({ rows: [[count]], error: null });
  });
});
