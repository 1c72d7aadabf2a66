// Random changes with one right answer: constraints, conflicts, transactions with savepoints; and extremes of each type. Pure.
//
// A grammar says it all: each name in braces is replaced by one of its forms. What Postgres leaves open is
// not asked: statements that touch several rows cannot break two different rules, since either may come first;
// and keys are moved one row at a time, because Postgres checks them while it goes.

import { pick } from './random-queries.ts';

/** Parents, children that refer to them in each way, and a row of each type's extremes. */
export const CHANGES_SETUP: readonly string[] = [
  `CREATE TYPE mood AS ENUM ('low', 'mid', 'high')`,
  'CREATE DOMAIN positive AS int CHECK (VALUE > 0)',
  `CREATE TABLE p (id int PRIMARY KEY, k text UNIQUE, v numeric(6,2) CHECK (v >= 0), n smallint NOT NULL DEFAULT 7,
    w varchar(5) DEFAULT 'dflt', c char(3), b bigint, m mood DEFAULT 'mid', o positive,
    twice int GENERATED ALWAYS AS (id * 2) STORED, CONSTRAINT both_matter CHECK (v < 500 OR n > 0))`,
  'CREATE UNIQUE INDEX p_b ON p (b) WHERE n > 5',
  `CREATE TABLE c (a int, s text, PRIMARY KEY (a, s), up int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE,
    later int REFERENCES p DEFERRABLE INITIALLY DEFERRED, gone int DEFAULT 3 REFERENCES p ON DELETE SET NULL,
    k text REFERENCES p (k) ON UPDATE CASCADE ON DELETE RESTRICT, d date NOT NULL DEFAULT '2020-01-01',
    j jsonb, l int[], CHECK (up <> later))`,
  `CREATE TABLE x (id int PRIMARY KEY, i2 int2, i4 int4, i8 int8, n numeric, m numeric(8,3), f4 real, f8 float8, s text,
    vc varchar(6), ch char(4), b bool, y bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, u uuid,
    j jsonb, ia int[], ta text[])`,
  `INSERT INTO x VALUES
    (1, 32767, 2147483647, 9223372036854775807, 99999999999999999999.99, 99999.999, '3.4e38', '1.7e308', '32768', 'a€z', 'ab',
      true, '\\x00', '5874897-12-31', '24:00', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999Z',
      '178000000 years', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{"a": 1e400}', '{2147483647,NULL}', '{NULL,"",x}'),
    (2, -32768, -2147483648, -9223372036854775808, -1e-20, -99999.999, '1e-45', '5e-324', ' -12 ', '', '',
      false, '\\xff00', '4713-01-01 BC', '00:00', '4713-01-01 00:00 BC', '4713-01-01 00:00Z BC',
      '-178000000 years', '00000000-0000-0000-0000-000000000000', '[]', '{}', '{}'),
    (3, 0, 0, 0, 0, 0, '0', '0', '', ' ', ' ', NULL, '', '2000-01-01', '12:00', '2000-01-01', '2000-01-01Z', '0',
      NULL, 'null', '{0}', '{a}'),
    (4, -1, -1, -1, 'NaN', -0.001, 'NaN', 'NaN', 'NaN', 'true', 'off', true, 'a', 'infinity', '23:59:59.999999', 'infinity',
      'infinity', '1 mon -1 day', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '"t"', '{1,2,3}', '{NULL}'),
    (5, 1, 1, 1, 'Infinity', 0.001, 'Infinity', '-Infinity', '2020-02-30', '1e3', 'yes', false, '\\x80', '-infinity', '01:02:03.5',
      '-infinity', '-infinity', '-00:00:00.000001', NULL, '{"a": {"b": [1, null]}, "c": false}', '{-1}', '{b,a}'),
    (6, 2, 100, 4294967296, 1.50, 2.5, '16777217', '9007199254740993', '2024-02-29 23:59:60', '12:34', '0x1F', NULL, '\\x5c',
      '2024-02-29', '06:30', '2024-02-29 12:34:56.789', '2024-03-10 07:30Z', '30 days 24:00', NULL, '[1, 1.0, "1"]', '{NULL,NULL}', '{"a,b","c\\"d"}'),
    (7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (8, 12, 65, 1000, -2.5, 12345.678, '2.5', '-2.5', '[1, 2]', '-3', '{1}', true, '\\x313233', '1970-01-01', '12:34:56', '1969-12-31 23:59:59.5',
      '1969-12-31 23:59:59.5Z', '1 year 2 mons 3 days 04:05:06.7', '6ecd8c99-4036-403d-bf84-cf8400f67836', '3.70', '{5,4}', '{x,NULL,z}')`,
];

/** What makes the tables of changes as they were, where the servers have come to differ. */
export const CHANGES_RESET: readonly string[] = [
  'TRUNCATE p, c',
  'DELETE FROM x WHERE id = 9',
  `INSERT INTO p (id, k, v, b) SELECT k, 'k' || k, k, k FROM generate_series(1, 6) k`,
  `INSERT INTO c (a, s, up, later, gone) VALUES (1, 'a', 1, 2, 3), (2, 'b', 2, NULL, 4), (3, 'c', NULL, 5, NULL)`,
];

const GRAMMAR: Readonly<Record<string, readonly string[]>> = {
  change: ['{insert}', '{insert}', '{update}', '{update}', '{delete}', '{child}', '{child}', '{with}', '{read}', '{wrong}', '{edit}'],
  key: ['1', '2', '3', '4', '5', '6', '7', '8', '9'],
  name: [`'k1'`, `'k2'`, `'k3'`, `'k4'`, `'k7'`, `'k8'`, `''`, `'K1'`, 'NULL'],
  amount: ['0', '1.005', '12.5', '499.995', '500', '9999.99', '-0.01', '-0.001', 'NULL', '1e3', 'DEFAULT'],
  money: ['{amount}', '{amount}', '9999.995'],
  small: ['0', '1', '6', '7', '32767', '32768', '-1', 'NULL', 'DEFAULT', `'8'`, '2.5'],
  short: [`'abc'`, `'abcde'`, `'abcdef'`, `'abc     '`, `''`, 'NULL', 'DEFAULT', `'äöü€x'`],
  big: ['1', '2', '3', '9223372036854775807', 'NULL', 'NULL', `'-5'`],
  mood: [`'low'`, `'high'`, `'none'`, 'NULL', 'DEFAULT'],
  positive: ['1', '0', '-1', 'NULL', '5'],
  row: ['({key}, {name}, {money}, {small}, {short}, {short}, {big}, {mood}, {positive})'],
  plain: [`({key}, {name}, 1, 7, 'x', 'y', NULL, 'low', 1)`],
  bare: [`({key}, NULL, 1, 7, 'x', 'y', NULL, 'low', 1)`],
  columns: ['(id, k, v, n, w, c, b, m, o)'],
  insert: [
    'INSERT INTO p {columns} VALUES {row}{conflict}{returning}', 'INSERT INTO p {columns} VALUES {row}{conflict}{returning}',
    'INSERT INTO p {columns} VALUES {plain}{conflict}{returning}', 'INSERT INTO p {columns} VALUES {bare}, {bare}, {bare}{conflict}{returning}',
    'INSERT INTO p (id, {one}) VALUES ({key}, NULL){conflict}{returning}', 'INSERT INTO p (id) VALUES ({key}){conflict}{returning}',
    'INSERT INTO p (id, n) SELECT {key} + g, g FROM generate_series(0, 2) g{conflict}{returning}',
    `INSERT INTO p (id, k) SELECT id + 3, k || '+' FROM p WHERE {where}{conflict}{returning}`,
    'INSERT INTO p {columns} VALUES {row} ON CONFLICT DO NOTHING', 'INSERT INTO p AS q (id, v) VALUES ({key}, {amount}) ON CONFLICT (id) DO UPDATE SET v = q.v + excluded.v, n = q.n + 1 RETURNING q.id, v, n',
    'INSERT INTO p DEFAULT VALUES', 'INSERT INTO p (id) VALUES ({key}) ON CONFLICT (v) DO NOTHING', 'INSERT INTO p (id) VALUES ({key}) ON CONFLICT ON CONSTRAINT nobody DO NOTHING', 'INSERT INTO p (id, twice) VALUES ({key}, {twice}){conflict}',
  ],
  twice: ['4', 'DEFAULT', 'NULL'],
  one: ['k', 'v', 'n', 'w', 'c', 'b', 'm', 'o'],
  conflict: [
    '', '', '', ' ON CONFLICT DO NOTHING', ' ON CONFLICT (id) DO NOTHING', ' ON CONFLICT (k) DO NOTHING', ' ON CONFLICT (b) WHERE n > 5 DO NOTHING',
    ' ON CONFLICT (id) DO UPDATE SET {conflictset}', ' ON CONFLICT (id) DO UPDATE SET {conflictset} WHERE p.n {compare} excluded.n',
    ' ON CONFLICT (k) DO UPDATE SET {conflictset}', ' ON CONFLICT ON CONSTRAINT p_pkey DO UPDATE SET {conflictset}',
  ],
  conflictset: [
    'v = excluded.v', 'v = p.v + 1', 'n = p.n + excluded.n', 'k = excluded.k', '(w, c) = (excluded.c, p.w)', 'v = DEFAULT, n = DEFAULT', 'b = p.b * 2',
    `w = p.w || 'z'`, 'v = (SELECT max(v) FROM p)', 'm = excluded.m, o = excluded.o', 'id = excluded.id', 'id = p.id + 10', 'twice = 4', 'm = DEFAULT, w = DEFAULT', 'w = left(to_jsonb(p)::text, 5)', 'w = right(excluded::text, 4)',
  ],
  compare: ['<', '<=', '=', '<>', 'IS DISTINCT FROM'],
  returning: ['', ' RETURNING *', ' RETURNING id', ` RETURNING id, {value} AS r`, ' RETURNING p.*, v IS NULL', ' RETURNING count(*)'],
  value: [
    'v * 2', 'n + 1', 'n * 10000', 'twice - id', 'k || w', 'upper(w)', 'c', `c || '|'`, 'length(c)', 'm', 'm::text', 'o', 'o + 1', 'b / nullif(n, 0)', 'b + b', 'coalesce(v, n)', 'row(id, k, m)',
    '(SELECT count(*) FROM c WHERE c.up = p.id)', 'CASE WHEN n > 5 THEN v END', 'v::int', 'round(v, 1)', 'm > \'low\'', 'n::numeric / 3', 'to_jsonb(k)', 'ARRAY[id, n]', 'p', 'to_jsonb(p)', 'p IS NULL', `'lit'`, 'NULL', '1.5', 'k IS NULL',
  ],
  where: [
    'id = {key}', 'id = {key}', 'id = {key}', 'id IN ({key}, {key})', 'k = {name}', 'id BETWEEN {key} AND {key}', 'n {compare} 7', 'v IS NULL', 'id > {key} AND w IS NOT NULL',
    'EXISTS (SELECT 1 FROM c WHERE c.up = p.id)', 'id IN (SELECT later FROM c)', 'id NOT IN (SELECT up FROM c)', 'b = {big}', `m = 'low'`, 'false', 'true', 'id = {key} AND n = 7', `c = 'y'`, 'id = {key} OR id = {key}', 'm < \'high\'',
  ],
  update: [
    'UPDATE p SET {set} WHERE {where}{returning}', 'UPDATE p SET {set} WHERE {where}{returning}', 'UPDATE p SET {risky} WHERE id = {key}{returning}', 'UPDATE p SET {risky} WHERE id = {key}',
    'UPDATE p SET {set}, {risky} WHERE id = {key}{returning}', 'UPDATE p SET v = c.a, w = c.s FROM c WHERE c.up = p.id AND c.a = {key} RETURNING p.id, c.a, v, w', 'UPDATE p AS q SET n = q.n + 1 WHERE q.id = {key} RETURNING q.*',
    'UPDATE ONLY p SET v = DEFAULT WHERE {where}', 'UPDATE p SET (n, v) = (SELECT count(*), max(a) FROM c WHERE c.up = p.id) WHERE {where}{returning}',
  ],
  set: ['n = n', 'n = 8', `w = left(coalesce(w, '') || 'q', 5)`, `m = 'high'`, 'v = id', 'o = id', 'c = k::char(3)', 'n = abs(n % 100) + 1', 'w = DEFAULT, c = DEFAULT', 'n = least(n, 100) + 1', 'v = round(least(v, 300) * 1.1, 3)', 'w = NULL', `c = left(w, 2)`],
  risky: [
    'id = {key}', 'k = {name}', 'v = {amount}', 'n = n * 5000', `w = w || 'def'`, 'c = w', 'b = {big}', 'm = {mood}', 'o = {positive}', 'v = v - 5', 'v = v + 9999.995', 'n = DEFAULT', 'w = k || w || k', 'v = v * v', 'n = n + 32000', 'n = n - 8', 'b = b + 9223372036854775800', 'b = b / (n - 7)', 'w = w || w', 'twice = {twice}',
    'o = o - 1', 'k = NULL', 'id = NULL', 'id = id + 1', 'n = NULL, v = -1', 'n = v', 'n = b', 'id = b', 'v = n / (n - 7)', 'w = k', 'm = w::mood', 'k = k, k = k', 'nothing = 1', 'v = sqrt(v - 3)', 'b = k::bigint', `v = 'x'`,
  ],
  delete: ['DELETE FROM p WHERE id = {key}{returning}', 'DELETE FROM p WHERE id = {key}{returning}', 'DELETE FROM p WHERE {where}', 'DELETE FROM c WHERE a = {key} RETURNING *', 'DELETE FROM p USING c WHERE c.later = p.id AND c.a = {key} RETURNING p.id, c.s', 'DELETE FROM c', 'DELETE FROM c WHERE {ofchild}', 'DELETE FROM c WHERE {ofchild}'],
  ofchild: ['up IS NULL', 'later = {key}', `s = {letter}`, 'a > {key}', 'k IS NOT NULL', '(a, s) = ({key}, {letter})', 'j IS NOT NULL'],
  letter: [`'a'`, `'b'`, `'c'`],
  parent: ['{key}', '{key}', '{key}', 'NULL', '99'],
  child: [
    'INSERT INTO c (a, s, up) VALUES ({key}, {letter}, {parent}){cconflict} RETURNING *', 'INSERT INTO c (a, s, later) VALUES ({key}, {letter}, {parent}){cconflict}', 'INSERT INTO c (a, s, gone, k) VALUES ({key}, {letter}, {parent}, {name})', 'INSERT INTO c (a, s, up, later) VALUES ({key}, {letter}, {key}, {key})',
    'INSERT INTO c (a, s) VALUES ({key}, NULL)', 'INSERT INTO c VALUES ({key}, {letter}, {parent}, {parent}, {parent}, {name}, {date})', 'UPDATE c SET up = {parent} WHERE a = {key} RETURNING a, s, up', 'UPDATE c SET later = {parent} WHERE a = {key}',
    'UPDATE c SET gone = {parent}, k = {name} WHERE (a, s) = ({key}, {letter}) RETURNING *', 'UPDATE c SET up = later, later = up WHERE a = {key} RETURNING up, later', 'UPDATE c SET d = {date} WHERE a = {key} RETURNING d', 'UPDATE c SET gone = DEFAULT WHERE a = {key}',
    'UPDATE c SET j = {json} WHERE a = {key} RETURNING a, j', 'UPDATE c SET l = {list} WHERE a = {key} RETURNING a, l', 'UPDATE c SET l[{key}] = 5 WHERE a = {key} AND l IS NOT NULL RETURNING l', 'UPDATE c SET l = l || up WHERE a = {key} RETURNING l',
    'INSERT INTO c (a, s, up) SELECT id, {letter}, id FROM p WHERE {where}{cconflict} RETURNING a, s, up',
  ],
  date: [`'2020-02-29'`, `'2021-02-29'`, 'NULL', 'DEFAULT', `date '2020-01-31' + 1`, `'infinity'`, `timestamp '2020-01-01 23:59'`],
  json: [`'{"a": [1, 2]}'`, `j || '{"b": null}'`, `'[1'`, 'NULL', 'to_jsonb(c)', `jsonb_set(j, '{a,0}', '9')`, `'"x"'`],
  list: [`'{1,2,3}'`, 'ARRAY[a, up, NULL]', 'NULL', `'{}'`, `'{1,x}'`, 'array_append(l, a)'],
  cconflict: ['', '', ' ON CONFLICT DO NOTHING', ' ON CONFLICT (a, s) DO UPDATE SET up = excluded.up', ' ON CONFLICT (s, a) DO UPDATE SET later = c.up, d = c.d + 1'],
  with: [
    'WITH gone AS (DELETE FROM c WHERE a = {key} RETURNING *) SELECT count(*), min(s), max(up) FROM gone', 'WITH n AS (INSERT INTO p (id, k) VALUES ({key}, {name}) RETURNING id) SELECT id, (SELECT count(*) FROM p) FROM n',
    'WITH moved AS (UPDATE p SET n = 9 WHERE {where} RETURNING id, n) SELECT * FROM moved ORDER BY id', `WITH q AS (SELECT max(id) AS id FROM p) UPDATE p SET w = 'top' FROM q WHERE q.id = p.id RETURNING p.id, w`, 'WITH q AS (SELECT {key} AS id) INSERT INTO p (id) SELECT id FROM q{conflict}{returning}',
    'WITH q AS (SELECT id FROM p WHERE {where}) DELETE FROM c USING q WHERE c.up = q.id RETURNING c.a, q.id',
  ],
  read: [
    'SELECT * FROM p ORDER BY id', 'SELECT * FROM c ORDER BY a, s', 'SELECT id, {value} AS r FROM p WHERE {where} ORDER BY id', 'SELECT id, {value} AS r FROM p WHERE id = {key}', 'SELECT m, count(*), sum(v) FROM p GROUP BY m ORDER BY m', 'SELECT p.id, c.* FROM p LEFT JOIN c ON c.up = p.id ORDER BY 1, a, s',
    'SELECT * FROM p WHERE id = {key} FOR UPDATE', 'SELECT p FROM p WHERE {where} ORDER BY id', 'SELECT up, later, count(*) FROM c GROUP BY ROLLUP (up, later) ORDER BY 1, 2', 'TABLE p ORDER BY id DESC LIMIT 3', 'SELECT id FROM p WHERE {where} UNION SELECT up FROM c ORDER BY 1',
    'SELECT p.id, c.s, q.k FROM p JOIN c ON c.up = p.id LEFT JOIN p q ON q.id = c.later WHERE p.n > 0 ORDER BY 1, 2', 'SELECT * FROM p NATURAL JOIN c ORDER BY id, a, s', 'SELECT * FROM c c1 JOIN c c2 USING (up) ORDER BY c1.a, c1.s, c2.a, c2.s',
  ],
  wrong: ['SELECT 1 / 0', 'SELECT nothing FROM p', 'SELECT * FROM nowhere', 'INSERT INTO p VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)', 'UPDATE p SET id = 1 WHERE', `SELECT 'x'::int`, 'DELETE FROM p WHERE id = \'a\'', 'SELECT v FROM p GROUP BY k', 'INSERT INTO p (id, id) VALUES (1, 1)', 'SELECT (SELECT id FROM p)', 'SELECT abs(k) FROM p', 'SELECT id / (id - id) FROM p WHERE id = {key}'],
  step: ['{change}', '{change}', '{change}', '{change}', '{change}', 'SAVEPOINT {point}', 'ROLLBACK TO {point}', 'RELEASE {point}', '{constraints}'],
  point: ['a', 'a', 'b'],
  constraints: ['SET CONSTRAINTS ALL IMMEDIATE', 'SET CONSTRAINTS ALL DEFERRED', 'SET CONSTRAINTS c_later_fkey IMMEDIATE', 'SET CONSTRAINTS c_up_fkey DEFERRED', 'SET CONSTRAINTS nobody IMMEDIATE'],
  begin: ['BEGIN', 'BEGIN', 'START TRANSACTION', 'BEGIN ISOLATION LEVEL REPEATABLE READ'],
  end: ['COMMIT', 'COMMIT', 'COMMIT', 'END', 'ROLLBACK', 'COMMIT AND CHAIN', 'ROLLBACK AND CHAIN'],
  alone: ['{change}', '{change}', '{change}', '{change}', '{extreme}', '{extreme}', '{extreme}', 'SAVEPOINT a', 'COMMIT', 'ROLLBACK', 'SET CONSTRAINTS ALL IMMEDIATE'],
  // One operation on one row, so that there is one error at most.
  at: ['id = 1', 'id = 2', 'id = 3', 'id = 4', 'id = 5', 'id = 6', 'id = 7', 'id = 8'],
  extreme: ['SELECT {operation} AS r FROM x WHERE {at}', 'SELECT {operation} AS r FROM x WHERE {at}', 'SELECT {operation} AS r FROM x WHERE {at}', 'SELECT {aggregate} AS r FROM x WHERE id {compare} 4', 'SELECT id, {order} FROM x ORDER BY 2 {way}, 1'],
  edit: ['UPDATE x SET {number} = {operation} WHERE id = 9 RETURNING *', 'UPDATE x SET {column} = {column} WHERE {at} RETURNING *', 'INSERT INTO x (id, {column}) SELECT 9, {column} FROM x WHERE {at} RETURNING *', 'DELETE FROM x WHERE id = 9 RETURNING *', 'INSERT INTO x (id, {number}) SELECT 9, {number} FROM x WHERE {at} ON CONFLICT (id) DO UPDATE SET s = \'again\' RETURNING *'],
  way: ['', 'DESC', 'NULLS FIRST', 'DESC NULLS LAST'],
  order: ['{column}', '{number}', '{moment}'],
  number: ['i2', 'i4', 'i8', 'n', 'm', 'f4', 'f8'],
  whole: ['i2', 'i4', 'i8'],
  exact: ['i2', 'i4', 'i8', 'n', 'm'],
  moment: ['d', 'ts', 'tz', 'tm', 'iv'],
  string: ['s', 'vc', 'ch'],
  column: ['{number}', '{moment}', '{string}', 'b', 'y', 'u', 'j', 'ia', 'ta'],
  type: ['int2', 'int4', 'int8', 'numeric', 'numeric(5,2)', 'numeric(20,0)', 'float4', 'float8', 'text', 'varchar(3)', 'char(3)', 'bool', 'bytea', 'date', 'time', 'timestamp', 'timestamptz', 'interval', 'timestamp(0)', 'time(1)', 'interval(0)', 'uuid', 'jsonb', 'int[]', 'text[]', 'oid'],
  constant: ['0', '1', '-1', '2', '32767', '2147483647', '-9223372036854775808', '0.5', '1e10', '31', '64', '100'],
  span: [`interval '1 month'`, `interval '-1 day'`, `interval '100 years'`, `interval '0.000001 seconds'`, `interval '170000 years'`],
  unit: ['microseconds', 'second', 'minute', 'hour', 'day', 'dow', 'doy', 'isodow', 'week', 'isoyear', 'month', 'quarter', 'year', 'decade', 'century', 'millennium', 'epoch', 'julian'],
  operation: [
    '{number} {arithmetic} {number}', '{number} {arithmetic} {number}', '{number} {arithmetic} {constant}', '{constant} {arithmetic} {number}', '{whole} {bits} {whole}', '{whole} {shift} {constant}::int', '{number} {test} {number}', '{number} {test} {constant}', '- {number}', '~ {whole}',
    '{function}({number})', '{function}({number})', 'round({number}::numeric, {digits})', 'trunc({number}::numeric, {digits})', 'mod({number}::numeric, {constant}::numeric)', 'gcd({whole}, {whole})', 'lcm({whole}, {whole})', 'div({number}::numeric, {constant}::numeric)',
    '{column}::{type}', '{column}::{type}', '{string}::{type}', '{string}::{type}', '{number}::{type}', '{moment}::{type}', '({column}::text)::{type}', '{column} = {column}', '{column} {test} {column}', '{moment} + {span}', '{moment} - {span}', '{moment} - {moment}', '{moment} + {moment}', 'd + {constant}::int', 'd - i4', 'iv * {constant}', 'iv / {constant}', 'iv * f8', 'iv / f8', '- iv', 'extract({unit} FROM {moment})', `date_part('{unit}', {moment})`, `date_trunc('{unit}', {moment})`,
    'CASE WHEN isfinite(ts) THEN age(ts, {span} + timestamp \'2000-01-01\') END', 'justify_interval(iv)', 'justify_days(iv)', 'justify_hours(iv)', 'isfinite({moment})', 'to_timestamp({number})', 'make_date({whole}::int, {digits}, 1)', 'make_time({digits}, 0, f8)', 'make_interval(0, {digits}, {digits})', `ts AT TIME ZONE 'Asia/Tokyo'`, `tz AT TIME ZONE 'America/New_York'`, `tz AT TIME ZONE interval '-03:30'`,
    'length({string})', 'upper({string})', 'left({string}, {whole}::int)', 'right({string}, {digits})', 'substr({string}, {whole}::int, 2)', 'substring({string} FROM {digits} FOR {whole}::int)', `repeat({string}, i2)`, 'lpad({string}, {digits}, \'xy\')', `split_part({string}, '-', {digits})`, 'chr(i4)', 'ascii({string})', 'to_hex({whole})', 'md5({string})', 'strpos({string}, \'2\')', 'overlay({string} PLACING \'zz\' FROM {digits})', `{string} || {number}`, `{string} || {moment}`, `{string} || {string}`, 'octet_length({string})', 'reverse({string})', `to_char({exact}, '{format}')`, `to_number({string}, '{format}')`, `to_date({string}, 'YYYY-MM-DD')`, `to_char({moment}, '{pattern}')`, `decode({string}, 'hex')`, `convert_from(y, 'UTF8')`, `encode(y, 'escape')`, 'get_byte(y, {digits})', 'set_byte(y, {digits}, 300)', 'get_bit(y, {digits})', 'substr(y, {digits}, {digits})', 'length(y)', 'y || y', 'y {test} y',
    'ia[{digits}]', 'ia[{digits}:{digits}]', 'ia || {whole}::int', 'array_length(ia, {digits})', 'array_upper(ta, 1)', 'array_remove(ia, NULL)', 'array_position(ta, \'x\')', 'array_to_string(ta, \',\')', 'cardinality(ta)', 'ia {test} ia', 'ia @> ARRAY[1]', 'i4 = ANY (ia)', 'i4 <> ALL (ia)', 'array_fill(i2, ARRAY[{digits}])', 'trim_array(ia, {digits})', 'ta || s', 'array_cat(ia, ia)',
    `j -> 'a'`, `j ->> 'a'`, 'j -> {digits}', 'j ->> {digits}', `j #> '{a,b}'`, `j - 'a'`, 'j - {digits}', 'j || j', `j @> '[1]'`, `j ? 'a'`, 'jsonb_typeof(j)', 'jsonb_array_length(j)', 'j::text', `jsonb_set(j, '{a}', '1')`, `jsonb_insert(j, '{0}', '1')`, `j #- '{a,b}'`, 'j::{type}', `(j -> 'a')::{type}`, 'to_jsonb({column})', 'to_json({column})', 'jsonb_build_object({string}, {column})', 'width_bucket({number}::numeric, 0, 10, {digits})', 'greatest({number}, {number})', 'least({moment}, {moment})', 'nullif({number}, {number})', 'coalesce({number}, {number})', '{number} BETWEEN {constant} AND {number}', '{number} IN ({constant}, {number})', '{number} IS DISTINCT FROM {number}', 'CASE WHEN b THEN {number} ELSE {number} END', 'ROW({number}, {string}) < ROW({number}, {string})', 'concat({column}, {column})', `format('%s %L', {column}, {column})`, 'quote_nullable({column})', 'quote_literal({column})', 'pg_typeof({column})', 'num_nonnulls({column}, {column})',
    '{string} LIKE {string}', `{string} ~ '{regex}'`, `regexp_replace({string}, '{regex}', '<\\&>')`, `regexp_matches({string}, '{regex}')`, `regexp_split_to_array({string}, '{regex}')`, `regexp_count({string}, '{regex}')`, `regexp_substr({string}, '{regex}')`, `substring({string} FROM '{regex}')`, `{string} SIMILAR TO '%[0-9]+'`, `string_to_array({string}, '-')`, `translate({string}, '12', 'a')`, `btrim({string}, ' 0')`, 'initcap({string})', 'lower({string}) = upper({string})', 'sha256(y)', '{string} {test} {string}', '{string} COLLATE "C" {test} {string}', 'date_bin(interval \'7 days\', ts, timestamp \'2001-01-01\')', 'generate_series({digits}, i2 % 5)',
  ],
  digits: ['0', '1', '2', '3', '-1', '5'],
  regex: ['[0-9]+', '^.', '(\\d)(\\d)', '\\s', 'a|b', '.*?2', '[[:alpha:]]', '('],
  format: ['9999', 'FM999.00', '0000S', 'S9.9EEEE', 'RN', '9,999.99', 'MI99', 'L99', '99V9', '999PR', 'S9PR', '9.9EEEE', 'FM9.99EEEE'],
  pattern: ['YYYY-MM-DD', 'HH12:MI:SS.US AM', 'Day, DDth Month Y,YYY BC', 'IYYY-IW-ID', 'J Q CC WW', 'TZH:TZM', 'SSSS', 'FMMon FMDD', 'DDD "x" RM'],
  arithmetic: ['+', '-', '*', '/', '%'],
  bits: ['&', '|', '#'],
  shift: ['<<', '>>'],
  test: ['=', '<', '>=', '<>'],
  function: ['abs', 'sign', 'ceil', 'floor', 'round', 'trunc', 'sqrt', 'scale', 'min_scale', 'trim_scale', 'factorial', 'radians'],
  aggregate: ['sum({number})', 'avg({number})', 'min({number})', 'max({number})', 'min({moment})', 'max({string})', 'max(ia)', 'min(ta)', 'count({column})', 'count(DISTINCT {column})', 'variance({whole})', 'stddev({whole})', 'bool_and(b)', 'sum(iv)', 'avg(iv)', 'array_agg({number} ORDER BY id)', 'array_agg({string} ORDER BY id)', `string_agg({string}, '/' ORDER BY id)`, 'bit_and({whole})', 'bit_or({whole})', 'bit_xor({whole})', 'jsonb_agg({column} ORDER BY id)', 'jsonb_object_agg(id, {column})', 'sum(DISTINCT {number})', 'percentile_disc(0.5) WITHIN GROUP (ORDER BY {number})', 'percentile_cont(0.5) WITHIN GROUP (ORDER BY {number})', 'mode() WITHIN GROUP (ORDER BY {column})'],
}; // prettier-ignore

/** Makes changes, one or a transaction of them at a time, from a source of numbers in [0, 1). */
export class ChangeGenerator {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Statements to be run one after the other; no transaction is open after them. */
  episode(): string[] {
    if (this.#random() < 0.75) return [this.#expand('{alone}')];
    const steps = Array.from({ length: 2 + Math.floor(this.#random() * 7) }, () => '{step}');
    const end = this.#expand('{end}');
    const chained = end.endsWith('CHAIN') ? [this.#expand('{change}'), 'COMMIT'] : [];
    const inside = [...steps.map((step) => this.#expand(step))];
    return [this.#expand('{begin}'), ...inside, end, ...chained];
  }

  #expand(text: string): string {
    return text.replaceAll(/\{([a-z0-9]+)\}/g, (all, name: string) => {
      const forms = GRAMMAR[name];
      return forms === undefined ? all : this.#expand(pick(this.#random, forms));
    });
  }
}
