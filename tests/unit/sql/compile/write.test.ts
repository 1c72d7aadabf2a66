// INSERT, UPDATE and DELETE as the edge sees them: sources, images, programs, RETURNING.

import { beforeAll, describe, expect, test } from '@jest/globals';
import nodeSqlParser from 'node-sql-parser';
import { Ledger } from '../../../differential/compile.ts';
import { bindProgram, programOf } from '../../../../sql/compile/program.ts';
import {
  compileConflictUpdate,
  compileInsertSource,
  compileReturning,
  compileWrite,
} from '../../../../sql/compile/write.ts';
import type { CompiledQuery } from '../../../../sql/query.ts';
import type { Datum } from '../../../../ledger/type.ts';

const SCHEMA = `
  create table a (id int primary key, o text unique, b numeric(12,2), n numeric);
  create table c (x int, a int);
  insert into a values (1, 'x', 5, null), (2, 'y', 7, 1);
  insert into c values (1, 1), (2, 1), (3, 2)`;

let ledger: Ledger;

beforeAll(async () => {
  ledger = await Ledger.start();
  ledger.setUp(SCHEMA);
}, 60_000);

function rows(query: CompiledQuery, values: Readonly<Record<string, Datum>> = {}): unknown[] {
  const bound = Object.fromEntries(query.parameters.map((name) => [name, values[name] ?? null]));
  return ledger.database.prepare(query.text).raw().all(bound);
}

describe('UPDATE and DELETE', () => {
  test('each target row comes once, however often FROM matches it', () => {
    const { query } = ledger.analyse(
      'update a set b = a.b + c.x from c where c.a = a.id returning c.x',
    );
    const write = compileWrite(query!, ledger.options);
    const found = rows(write.query) as Datum[][];
    expect(found.map((row) => row[0])).toEqual([1n, 2n]);
    expect(write.set).toEqual([3]);
    expect(write.extras).toHaveLength(1);
  });

  test('old values come before new ones, in the representation of their columns', () => {
    const { query } = ledger.analyse("update a set b = 1.005, o = default where o = 'x'");
    const write = compileWrite(query!, ledger.options);
    expect(rows(write.query)).toEqual([[1n, 1n, 1n, 'x', 500n, null, 101n, null]]);
    expect(write.defaults).toEqual([2]);
  });

  test('RETURNING sees the row as it was made', () => {
    const { query } = ledger.analyse(
      'delete from a using c where c.a = a.id returning a.o, c.x + 1',
    );
    const returning = compileReturning(query!, ledger.options);
    expect(rows(returning, { c2: 'z', x1: 41n })).toEqual([['z', 42n]]);
  });
});

describe('row programs', () => {
  const program = (text: string): ReturnType<typeof programOf> =>
    programOf(ledger.analyse(text).query!, ledger.catalog);

  test.each([
    'update a set b = b - $1 where id = $2 and b >= $1',
    "update a set o = 'new' where o = $1",
    'delete from a where id = $1 + 1',
  ])('%s', (text) => {
    const found = program(text);
    expect(found).not.toBeNull();
    expect(bindProgram(found!, () => 1n)?.key).toHaveLength(1);
  });

  test.each([
    'update a set b = 1',
    'update a set b = 1 where id > 3',
    'update a set b = c.x from c where a.id = 1',
    'update a set b = (select max(x) from c) where id = 1',
    'update a set n = random() where id = 1',
    'delete from a where id = 1 or id = 2',
  ])('not a program: %s', (text) => {
    expect(program(text)).toBeNull();
  });
});

describe('INSERT', () => {
  test('DEFAULT is reported by its place', () => {
    const { query } = ledger.analyse("insert into a (o, id) values ('k', default), (default, 2)");
    const source = compileInsertSource(query!, ledger.options);
    expect(source.columns).toEqual([2, 1]);
    expect(source.defaults).toEqual([
      { row: 0, column: 1 },
      { row: 1, column: 0 },
    ]);
    expect(source.rows).toHaveLength(2);
  });

  test('a SELECT gives rows in target order', () => {
    const { query } = ledger.analyse(
      "insert into a (o, id) select 'r' || x, x + 10 from c order by x",
    );
    const source = compileInsertSource(query!, ledger.options);
    expect(source.rows).toBeNull();
    expect(rows(source.query)).toEqual([
      ['r1', 11n],
      ['r2', 12n],
      ['r3', 13n],
    ]);
  });

  test('ON CONFLICT DO UPDATE sees both rows', () => {
    const { query } = ledger.analyse(
      'insert into a values (1) on conflict (id) do update set b = a.b + excluded.b where a.b < 10',
    );
    const update = compileConflictUpdate(query!, ledger.options);
    expect(rows(update, { c3: 500n, e3: 250n })).toEqual([[1n, 750n]]);
  });
});

describe('point reads', () => {
  test.each(['select o from a where id = $1', 'select * from a where o = $1 and b > 3 limit 1'])(
    '%s',
    (text) => {
      expect(ledger.compileText(text).pointRead).not.toBeNull();
    },
  );

  test.each([
    'select o from a where id = 1 or id = 2',
    'select o from a where n = 1',
    'select o from a, c where id = 1',
    'select (select max(x) from c) from a where id = 1',
    'select generate_series(1, 1000000) from a where id = 1',
  ])('not one: %s', (text) => {
    expect(ledger.compileText(text).pointRead).toBeNull();
  });
});

describe('the text for SQLite', () => {
  test.each([
    ['select o, b from a where id = 1', ['r100']],
    ['select a.o, c.x from a left join c on c.a = a.id where a.b > 3', ['r100', 'r103']],
    ['select count(*) from c group by a having count(*) > 1', ['r103']],
    ['select id from a where exists (select 1 from c where c.a = a.id)', ['r100', 'r103']],
  ])('an independent reader finds the tables of %s', (text, expected) => {
    const parser = new nodeSqlParser.Parser();
    // That reader's grammar knows neither IS TRUE nor NULLS; these statements need neither.
    const found = parser.tableList(ledger.compileText(text).text, { database: 'sqlite' });
    const names = found.map((item) => item.split('::')[2]!).sort();
    expect(names).toEqual(expected);
  });

  test('text of a user is only ever a quoted constant', () => {
    const { text } = ledger.compileText('select \'it\'\'s; drop table r100 --\' as "x""y" from a');
    expect(text).toBe("SELECT 'it''s; drop table r100 --' AS c1 FROM r100 AS t1");
  });
});
