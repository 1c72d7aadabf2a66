import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { isSqlError } from '../../../../ledger/error.ts';
import type { SqlError } from '../../../../ledger/error.ts';
import type { Table } from '../../../../ledger/catalog.ts';
import { decodeInterval } from '../../../../ledger/datetime.ts';
import { decodeNumeric, formatNumeric } from '../../../../ledger/numeric.ts';
import type { Analysis, AnalysisContext } from '../../../../sql/analysis.ts';
import { Mirror } from '../../../../sql/analyst/mirror.ts';
import type { Query, Scalar } from '../../../../sql/ir.ts';
import { FollowedMirror, contextOf, ddlRecord } from './fixture.ts';

const START_TIMEOUT_MS = 120_000;

let followed: FollowedMirror;

const SCHEMA = [
  "create type mood as enum ('sad', 'ok', 'happy')",
  'create domain posint as int check (value > 0)',
  `create table customers (id bigserial primary key, name text not null, email varchar(200) unique,
     mood mood default 'ok', age posint, created timestamptz not null default now(), tags text[])`,
  `create table orders (id int generated always as identity primary key,
     customer bigint not null references customers (id) on delete cascade,
     total numeric(12,2) check (total >= 0), quantity int,
     double int generated always as (quantity * 2) stored)`,
  'create view big_orders as select id, total from orders where total > 100',
  'create role bob login',
  'grant select on big_orders to bob',
  'grant select (id, name), update (name) on customers to bob',
];

beforeAll(async () => {
  followed = await FollowedMirror.start();
  for (const text of SCHEMA) followed.ddl(text);
}, START_TIMEOUT_MS);

afterAll(() => followed.mirror.close());

function analyse(text: string, context: Partial<AnalysisContext> = {}): Analysis {
  return followed.mirror.analyse(text, [], contextOf(context));
}

function query(text: string): Query {
  const { query: resolved } = analyse(text);
  if (resolved === null) throw new Error('no query');
  return resolved;
}

function failure(work: () => unknown): SqlError {
  try {
    work();
  } catch (error) {
    if (isSqlError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

function constant(expression: string): unknown {
  const [target] = query(`select ${expression}`).targets;
  const scalar = target?.expression as Scalar;
  if (scalar.kind !== 'const') throw new Error(`${expression} is a ${scalar.kind}`);
  return scalar.value;
}

describe('statements', () => {
  test('parameters and columns are described as Postgres does', () => {
    const { parameters, columns } = analyse(
      'select name, total * $1 as t from customers c join orders o on o.customer = c.id where c.id = $2',
    );
    expect(parameters.map(({ type }) => type.base)).toEqual(['numeric', 'int8']);
    expect(columns?.map(({ name, type }) => [name, type.base])).toEqual([
      ['name', 'text'],
      ['t', 'numeric'],
    ]);
    expect(columns?.[0]?.columnNumber).toBe(2);
  });

  test('errors are those of Postgres, with the position in the text given', () => {
    const error = failure(() => analyse('\n select nam from customers'));
    expect(error.sqlstate).toBe('42703');
    expect(error.message).toBe('column "nam" does not exist');
    expect(error.fields.position).toBe(10);
    expect(error.fields.hint).toMatch(/customers.name/);
  });

  test('names are resolved to ledger ids, types keep their modifiers', () => {
    const orders = followed.relation('orders');
    const resolved = query('select total from orders where id = 5');
    expect(resolved.entries[0]).toMatchObject({
      kind: 'relation',
      relation: orders.id,
      relationKind: 'table',
    });
    expect(resolved.targets[0]).toMatchObject({ relation: orders.id, column: 3, name: 'total' });
    expect(resolved.targets[0]?.expression.type).toMatchObject({ base: 'numeric', typmod: 786438 });
    expect(resolved.where).toMatchObject({
      kind: 'call',
      fn: { symbol: 'int4eq' },
      format: 'operator',
    });
  });

  test('a view is expanded and its tables are read as its owner', () => {
    const [entry] = query('select * from big_orders').entries;
    expect(entry).toMatchObject({
      kind: 'subquery',
      query: { entries: [{ relation: followed.relation('orders').id }] },
    });
    if (entry?.kind === 'subquery') expect(entry.query.privileges[0]?.checkAs).toBe(10);
  });

  test('ON CONFLICT finds its index by columns and by name', () => {
    const { indexes } = followed.relation('customers') as Table;
    const email = indexes.find(({ name }) => name === 'customers_email_key')?.id;
    const insert = "insert into customers (name, email) values ('a', 'b') on conflict ";
    expect(query(`${insert}(email) do nothing`).onConflict?.index).toBe(email);
    expect(
      query(`${insert}on constraint customers_email_key do update set name = excluded.name`)
        .onConflict,
    ).toMatchObject({ index: email, action: 'update' });
    expect(failure(() => analyse(`${insert}(name) do nothing`)).sqlstate).toBe('42P10');
  });

  test('grouping sets, windows and row assignments are spelt out', () => {
    expect(
      query('select customer, quantity from orders group by rollup (customer, quantity)')
        .groupingSets,
    ).toEqual([[0, 1], [0], []]);
    expect(
      query(
        'select sum(total) over (order by id rows between 2 preceding and current row) from orders',
      ).windows[0],
    ).toMatchObject({ mode: 'rows', start: { kind: 'preceding' }, end: { kind: 'currentRow' } });
    const { targets } = query('update orders set (quantity, total) = (select 1, 2.5) where id = 1');
    expect(targets.map(({ assign, expression }) => [assign, expression.kind])).toEqual([
      [4, 'subquery'],
      [3, 'call'],
    ]);
  });

  test('more parameters than a function may have', () => {
    const rows = Array.from({ length: 150 }, (_, i) => `($${2 * i + 1}, $${2 * i + 2})`);
    const { parameters, query: resolved } = analyse(
      `insert into customers (id, name) values ${rows.join()}`,
    );
    expect(parameters).toHaveLength(300);
    const values = resolved?.entries.find(({ kind }) => kind === 'values');
    if (values?.kind !== 'values') throw new Error('no VALUES');
    expect(values.rows[149]).toMatchObject([
      { kind: 'param', number: 299, type: { base: 'int8' } },
      { kind: 'param', number: 300 },
    ]);
  });

  test('what is not supported says so', () => {
    for (const text of [
      'update big_orders set total = 1',
      'select ctid from orders',
      'select tableoid from orders',
      'select count(*) from orders, pg_catalog.pg_class',
    ]) {
      expect(failure(() => analyse(text)).sqlstate).toBe('0A000');
    }
  });

  test('a text that would break out of the analysis is refused', () => {
    for (const text of [
      'end',
      'commit',
      'select 1; end; drop table orders',
      'select 1\n; end; commit; begin',
    ]) {
      expect(isSqlError(failure(() => analyse(text)))).toBe(true);
    }
    expect(analyse('select 1 from orders').columns).toHaveLength(1);
  });
});

describe('constants', () => {
  test.each([
    ['7', 7n],
    ["'9223372036854775807'::int8", 9223372036854775807n],
    ["'2000-01-02'::date", 1n],
    ["'{1,NULL,3}'::int[]", '[1,null,3]'],
    ['\'{{a,b},{c,"d e"}}\'::text[]', '[["a","b"],["c","d e"]]'],
    ["'happy'::mood", 'happy'],
    ["'NaN'::float8", 'NaN'],
    [
      '\'{"b": [1.50, {"c": null}], "a": "x\\n"}\'::jsonb',
      '{"a": "x\\n", "b": [1.50, {"c": null}]}',
    ],
    ["'{}'::jsonb", '{}'],
    ["'12.5'::jsonb", '12.5'],
    ['true', 1n],
  ])('%s', (expression, value) => {
    expect(constant(expression)).toBe(value);
  });

  test.each(['0', '-12345678901234567890.000100', '1e-20', '100000000', '0.5', 'NaN', '-Infinity'])(
    'numeric %s',
    (text) => {
      const shown = formatNumeric(decodeNumeric(constant(`'${text}'::numeric`) as Uint8Array));
      expect(shown).toBe(text === '1e-20' ? '0.00000000000000000001' : text);
    },
  );

  test('interval', () => {
    const bytes = constant("'1 year 2 days -3.5 s'::interval") as Uint8Array;
    expect(decodeInterval(bytes)).toEqual({ months: 12, days: 2, micros: -3_500_000n });
  });
});

describe('permissions', () => {
  const bob = { role: 'bob', sessionRole: 'bob' };

  test('what is granted works, what is not is 42501 in the words of Postgres', () => {
    expect(analyse('select id, name from customers', bob).columns).toHaveLength(2);
    expect(analyse('select total from big_orders', bob).columns).toHaveLength(1);
    expect(analyse("update customers set name = 'x' where id = 1", bob).query?.command).toBe(
      'update',
    );
    for (const [text, message] of [
      ['select email from customers', 'permission denied for table customers'],
      ['select * from orders', 'permission denied for table orders'],
      ['delete from customers', 'permission denied for table customers'],
      ['select 1 from big_orders b, orders', 'permission denied for table orders'],
      [
        'select id from history.customers where email is null',
        'permission denied for view customers',
      ],
    ]) {
      const error = failure(() => analyse(text as string, bob));
      expect([error.sqlstate, error.message]).toEqual(['42501', message]);
    }
  });
});

describe('DDL', () => {
  test('nothing of an analysis stays', () => {
    followed.mirror.analyseDdl('create table gone (a int)', contextOf());
    expect(failure(() => analyse('select * from gone')).sqlstate).toBe('42P01');
  });

  test('a table with all its parts', () => {
    const orders = followed.relation('orders') as Table;
    expect(orders.columns.map(({ name, identity, notNull }) => [name, identity, notNull])).toEqual([
      ['id', 'always', true],
      ['customer', null, true],
      ['total', null, false],
      ['quantity', null, false],
      ['double', null, false],
    ]);
    expect(orders.columns[4]?.generated).toMatchObject({ kind: 'call', name: 'int4mul' });
    expect(orders.checks[0]).toMatchObject({
      name: 'orders_total_check',
      expression: { name: 'numeric_ge' },
    });
    expect(orders.foreignKeys[0]).toMatchObject({
      onDelete: 'cascade',
      columns: [2],
      referencedColumns: [1],
    });
  });

  test('a foreign key says whether its check may wait', () => {
    followed.ddl(`create table late (a int references orders deferrable initially deferred,
      b int references orders deferrable, c int references orders)`);
    expect(
      (followed.relation('late') as Table).foreignKeys.map((key) => [
        key.deferrable,
        key.initiallyDeferred,
      ]),
    ).toEqual([
      [true, true],
      [true, false],
      [false, false],
    ]);
    followed.ddl('drop table late');
  });

  test('pending DDL is seen by its session only, with the ids it will get', () => {
    const pendingDdl = [
      ddlRecord('create table pending (a int unique)'),
      ddlRecord('alter table pending add b text'),
    ];
    const resolved = analyse("insert into pending values (1, 'x') on conflict (a) do nothing", {
      pendingDdl,
    }).query;
    expect(resolved?.entries[0]).toMatchObject({
      relation: followed.catalog.nextId,
      columns: ['a', 'b'],
    });
    expect(resolved?.onConflict?.index).toBe(followed.catalog.nextId + 1);
    expect(failure(() => analyse('select * from pending')).sqlstate).toBe('42P01');
  });

  test('what must be checked against rows is listed', () => {
    followed.ddl('create table checked (a int, b text, c int)');
    const id = followed.relation('checked').id;
    const { rowChecks } = followed.ddl(
      `alter table checked alter a set not null, add unique (b), add check (a > 0),
         alter c type text using 'x' || c, add d int not null, add e int default 5,
         add f uuid default gen_random_uuid()`,
    );
    // The table is rewritten, so the constant default is filled in like the volatile one.
    expect(rowChecks.map(({ kind }) => kind).sort()).toEqual([
      'check',
      'fill',
      'fill',
      'notNull',
      'notNull',
      'rewrite',
      'unique',
    ]);
    expect(rowChecks.find(({ kind }) => kind === 'rewrite')).toEqual({
      kind: 'rewrite',
      relation: id,
      column: 3,
      using: "'x' || c",
    });
    expect((followed.relation('checked') as Table).schemaVersion).toBe(2);
  });

  test('a constant default of an added column is the value of the rows before it', () => {
    followed.ddl('create table older (a int)');
    followed.ddl(
      "alter table older add b numeric(10,3) default 7.5, add c mood default 'sad', add d int[] default '{1,2}'",
    );
    expect(
      (followed.relation('older') as Table).columns.slice(1).map(({ missing }) => missing),
    ).toEqual([7500n, 'sad', '[1,2]']);
  });

  test('renaming keeps ids, dropping gives them up', () => {
    const { id } = followed.relation('older');
    followed.ddl('alter table older rename to elder');
    expect(followed.relation('elder').id).toBe(id);
    expect(followed.ddl('drop table elder').changes).toEqual([{ drop: 'relation', id }]);
  });

  test('storage options reach the table', () => {
    followed.ddl('create table log (a int) with (ledger = append_only, shard = 3)');
    expect(followed.relation('log')).toMatchObject({ appendOnly: true, shard: 3 });
    followed.ddl('alter table log set (ledger = updatable)');
    expect(followed.relation('log')).toMatchObject({ appendOnly: false });
  });

  describe('rows are spread', () => {
    beforeAll(() => {
      followed.ddl("create table spread (a int, b text) with (shard_by = 'b', shards = 3)");
    });

    test('over as many shards as is said, or all of them', () => {
      expect(followed.relation('spread')).toMatchObject({ spread: { column: 2, parts: 3 } });
      followed.ddl('create table wide (a int) with (shard_by = a)');
      expect(followed.relation('wide')).toMatchObject({ spread: { column: 1, parts: 4 } });
      followed.ddl('alter table wide rename column a to c');
      expect(followed.relation('wide')).toMatchObject({ spread: { column: 1, parts: 4 } });
    });

    test.each([
      ["create table x (a int) with (shard_by = 'b')", '42703'],
      ['create table x (a int) with (shard_by = a, shards = 5)', '22023'],
      ['create table x (a int) with (shard_by = a, shards = 0)', '22023'],
      ['create table x (a int) with (shard_by = a, shard = 1)', '22023'],
      ['create table x (a int) with (shards = 2)', '22023'],
      ['create table x (a int[]) with (shard_by = a)', '0A000'],
      ['alter table spread set (shards = 2)', '0A000'],
      ['alter table spread reset (shard_by)', '0A000'],
      ["alter table orders set (shard_by = 'id')", '0A000'],
      ['alter table spread drop column b', '42P16'],
      ['alter table spread alter column b type varchar(5)', '42P16'],
    ])('but not by %s', (text, sqlstate) => {
      expect(failure(() => followed.ddl(text)).sqlstate).toBe(sqlstate);
    });
  });

  test.each([
    'create table x (a money)',
    'create temp table x (a int)',
    'create unlogged table x (a int)',
    'create table x (a int) partition by list (a)',
    'create table x (a int, exclude (a with =))',
    'create table x (a int unique deferrable)',
    'create index on orders using hash (id)',
    'create materialized view x as select 1',
    "create function f() returns int language sql as 'select 1'",
    'create extension pgcrypto',
    'alter table orders enable row level security',
    'create table x () inherits (orders)',
    'create type pair as (a int, b int)',
  ])('%s is refused', (text) => {
    const error = failure(() => followed.mirror.analyseDdl(text, contextOf()));
    expect(error.sqlstate).toBe('0A000');
  });

  test(
    'the chain’s DDL rebuilds the same mirror',
    async () => {
      followed.ddl('create view versions as select id, _operation from history.orders');
      const again = await Mirror.start('ledger');
      const oids = again.load(followed.catalog, followed.records, 4);
      expect(oids.relations.map(([, id]) => id).sort((a, b) => a - b)).toEqual(
        followed.mirror
          .oids()
          .relations.map(([, id]) => id)
          .sort((a, b) => a - b),
      );
      expect(oids.relations.every(([, id]) => id !== 0)).toBe(true);
      await again.close();
      followed.ddl('drop view versions');
    },
    START_TIMEOUT_MS,
  );
});

describe('catalogs', () => {
  function ask(text: string): string {
    const { dataRows } = followed.mirror.catalogQuery(text, [], [], [], [], contextOf());
    return new TextDecoder().decode(dataRows);
  }

  test('they speak as PostgreSQL 15 of this ledger', () => {
    expect(ask('select version()')).toMatch(/PostgreSQL 15\.\d+ \(TrustSQL/);
    expect(ask("select current_setting('server_version_num')")).toMatch(/1500\d\d/);
    expect(ask('select current_database(), current_user')).toMatch(/ledger.*admin/s);
    expect(ask('select datname, daticulocale from pg_database')).toMatch(/ledger/);
    expect(ask("select count(*) from pg_constraint where contype = 'n'")).toMatch(/0$/);
  });

  test('a statement over catalogs alone is for the analyst', () => {
    expect(analyse('select relname from pg_class').catalogOnly).toBe(true);
    expect(analyse('select name from customers').catalogOnly).toBe(false);
    expect(analyse('select height from ledger.blocks').catalogOnly).toBe(false);
    expect(analyse("select nextval('customers_id_seq')").catalogOnly).toBe(false);
  });

  test.each([
    "select set_config('role', 'admin', false)",
    "select pg_read_file('/etc/passwd')",
    'select lo_create(1)',
    'select pg_sleep(1)',
    "select pg_ls_dir('.')",
  ])('%s does not run', (text) => {
    expect(failure(() => ask(text)).sqlstate).toBe('42501');
  });

  test('history and the ledger’s own views resolve', () => {
    const customers = followed.relation('customers');
    const resolved = query('select _row_id, name, _valid_to from history.customers');
    expect(resolved.entries[0]).toMatchObject({ relationKind: 'history', relation: customers.id });
    expect(resolved.targets.map(({ column }) => column)).toEqual([10_001, 2, 10_003]);
    expect(query('select height from ledger.blocks').entries[0]).toMatchObject({
      relationKind: 'ledgerView',
      relation: -1,
    });
  });

  test('defaults are resolved, sequences by ledger id', () => {
    const defaults = followed.mirror.defaults(followed.relation('customers').id, contextOf());
    expect(defaults.map(({ column }) => column).sort((a, b) => a - b)).toEqual([1, 4, 6]);
    const [serial] = defaults.filter(({ column }) => column === 1);
    expect(serial?.expression).toMatchObject({
      kind: 'call',
      fn: { name: 'nextval' },
      args: [{ kind: 'const', relation: followed.relation('customers_id_seq').id }],
    });
  });
});
