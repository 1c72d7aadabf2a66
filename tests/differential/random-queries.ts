// Random queries that have one right answer: no ties left open, no order of evaluation that matters. Pure.
//
// Every query is made of typed pieces, so nearly all are accepted. What could overflow or divide by zero is
// kept small or guarded, because which of two errors comes first is not defined.

/** The types that expressions are made of. */
export type Kind =
  | 'int' | 'big' | 'num' | 'float' | 'text' | 'bool' | 'date' | 'stamp' | 'uuid'
  | 'zoned' | 'span' | 'time' | 'json' | 'ints' | 'texts' | 'bytes'; // prettier-ignore

const KINDS: readonly Kind[] = [
  'int',
  'big',
  'num',
  'float',
  'text',
  'bool',
  'date',
  'stamp',
  'uuid',
  'zoned',
  'span',
  'time',
  'json',
  'ints',
  'texts',
  'bytes',
];

/** The table that all queries read, in both servers; `copies` makes a second, smaller one to join. */
export const SETUP: readonly string[] = [
  'DROP SCHEMA IF EXISTS differential CASCADE',
  'CREATE SCHEMA differential',
  'SET search_path TO differential',
  `CREATE TABLE d (id int PRIMARY KEY, i int, j int, b bigint, n numeric(12,3), m numeric, f float8,
    s text, t varchar(10), x bool, y bool, d date, ts timestamp, u uuid, g int NOT NULL)`,
  `INSERT INTO d SELECT k, nullif(k * 7 % 23, 5) - 8, nullif(k % 5, 2), k::bigint * 1000003 * (1 - k % 2 * 2),
    nullif((k * 37 % 101) / 8.0, 0.5), k * 0.0001 * (1 - k % 3), nullif(k * 0.25, 2.5) - 3,
    CASE WHEN k % 6 = 0 THEN NULL WHEN k % 7 = 0 THEN '' ELSE chr(65 + k * 5 % 26) || repeat(chr(97 + k % 26), k % 4) END,
    nullif(left(md5(k::text), k % 11), ''), CASE k % 3 WHEN 0 THEN true WHEN 1 THEN false END, k % 4 = 1,
    nullif(date '2020-02-27' + k % 9 * 17, '2020-02-27'), timestamp '2020-02-28 22:00' + k * interval '37 minutes 1.5 seconds',
    CASE WHEN k % 5 > 0 THEN md5((k % 8)::text)::uuid END, k % 4 FROM generate_series(1, 40) k`,
  `CREATE TABLE w (id int PRIMARY KEY, z timestamptz, v interval, tm time, q jsonb, a int[], c text[], o bytea)`,
  `INSERT INTO w SELECT k, nullif(timestamptz '2020-03-28 23:30Z' + k * interval '7 hours 13 minutes', '2020-03-29 13:56Z'),
    CASE WHEN k % 6 > 0 THEN make_interval(months => k % 4 - 1, days => k % 35 - 3, secs => k * 3601.25) END,
    CASE WHEN k % 7 > 0 THEN time '23:10' + k * interval '11 minutes 0.5 seconds' END,
    CASE k % 5 WHEN 0 THEN NULL WHEN 1 THEN to_jsonb(k) WHEN 2 THEN jsonb_build_array(k, 'x', NULL, k % 2 = 0)
      ELSE jsonb_build_object('a', k % 3, 'b', jsonb_build_object('c', left(md5(k::text), 3)), 'n', k / 4.0) END,
    CASE WHEN k % 4 = 0 THEN NULL WHEN k % 9 = 0 THEN '{}' ELSE (ARRAY[k % 3, NULL, k, -k])[1:k % 5] END,
    CASE WHEN k % 5 > 0 THEN (ARRAY[chr(65 + k % 26), left('a b', k % 4), md5(k::text)])[1:k % 3 + 1] END,
    CASE WHEN k % 8 > 0 THEN decode(left(md5(k::text), k % 5 * 2), 'hex') END FROM generate_series(1, 40) k`,
  'CREATE TABLE e (id int PRIMARY KEY, g int, s text, n numeric(12,3))',
  `INSERT INTO e SELECT k, nullif(k % 6, 4), chr(65 + k * 3 % 26), k / 4.0 FROM generate_series(1, 12) k`,
  'CREATE INDEX d_g ON d (g, i)',
];

const COLUMNS: Readonly<Record<Kind, readonly string[]>> = {
  int: ['i', 'j', 'id', 'g'],
  big: ['b'],
  num: ['n', 'm'],
  float: ['f'],
  text: ['s', 't'],
  bool: ['x', 'y'],
  date: ['d'],
  stamp: ['ts'],
  uuid: ['u'],
  zoned: ['z'],
  span: ['v'],
  time: ['tm'],
  json: ['q'],
  ints: ['a'],
  texts: ['c'],
  bytes: ['o'],
};

/** Every query reads both tables. */
const FROM = 'd JOIN w ON w.id = d.id';

/** What only table w has; d has the others. */
const WIDE: ReadonlySet<string> = new Set(['z', 'v', 'tm', 'q', 'a', 'c', 'o']);

const LITERALS: Readonly<Record<Kind, readonly string[]>> = {
  int: ['0', '1', '-1', '3', '7', '100', 'NULL::int'],
  big: ['5000000000', '-1::bigint', '0::bigint'],
  num: ['0.5', '1.000', '-2.25', '1e3', '0.0001'],
  float: ['0.5::float8', '-2::float8', `'NaN'::float8`, `'Infinity'::float8`],
  text: [`''`, `'a'`, `'Ab'`, `'A%'`, `'xyz '`, 'NULL::text'],
  bool: ['true', 'false', 'NULL::bool'],
  date: [`date '2020-02-29'`, `date '2020-03-31'`],
  stamp: [`timestamp '2020-02-29 00:00'`, `timestamp '2020-03-01 12:34:56.789'`],
  uuid: [`'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid`],
  zoned: [`timestamptz '2020-03-29 01:30Z'`, `'-infinity'::timestamptz`],
  span: [`interval '1 mon -3 days 04:05:06.7'`, `interval '0'`, `interval '25 hours'`],
  time: [`time '00:00'`, `time '12:34:56.789'`],
  json: [
    `'{"a": 1, "b": {"c": "x"}}'::jsonb`,
    `'[1, 2.50, "z", null]'::jsonb`,
    `'null'::jsonb`,
    `'"t"'::jsonb`,
  ],
  ints: [`'{}'::int[]`, `ARRAY[1, 2, NULL]`, `ARRAY[3]`],
  texts: [`ARRAY['a', 'B c', NULL, '']`, `'{}'::text[]`],
  bytes: [`'\\x'::bytea`, `'\\x00ff41'::bytea`],
};

/** For each type, the forms an expression can take; upper-case names in braces are expressions of that type. */
const FORMS: Readonly<Record<Kind, readonly string[]>> = {
  int: [
    '{int} % 10 + {int} % 10', '{int} % 100 - {int} % 100', '({int} % 50) * ({int} % 50)', '{int} / nullif({int}, 0)',
    '{int} % nullif({int}, 0)', '-({int})', 'abs({int})', 'length({text})', 'octet_length({text})', 'strpos({text}, {text})',
    'greatest({int}, {int})', 'least({int}, {int}, {int})', '{int} & {int}', '{int} | {int}', '{int} # {int}', 'ascii({text})',
    '({bool})::int', 'sign({int})::int', 'extract(month FROM {stamp})::int', '{date} - date \'2020-01-01\'',
    'cardinality({ints})', 'array_length({texts}, 1)', 'array_position({ints}, {int})', '({ints})[1]', '({ints})[{int}]', 'length({bytes})', `({json} ->> 'a')::int`,
    'extract(dow FROM {zoned})::int', 'extract(day FROM {span})::int', 'position({text} IN {text})', 'char_length({text})', `jsonb_array_length('[1,2]'::jsonb)`,
    'width_bucket({num}, 0, 10, 5)', 'gcd({int}, {int})', '({int})::smallint + 1', 'num_nulls({int}, {text}, {json})', '({num})::int', '(least(greatest({float}, -9), 9) / 2)::int', 'extract(week FROM {date})::int',
    '(SELECT max(e.id) FROM e WHERE e.g = {int})', '(SELECT count(*)::int FROM e WHERE e.s > {text})', 'get_byte({bytes} || \'a\'::bytea, 0)', '({int}) << 2', '({int}) >> 1', '~ ({int})',
  ],
  big: ['{big} / nullif({int}, 0)', '{big} % 1000003', '{int} % 1000 * 1000000::bigint', '{int}::bigint', '{big} - {int}'],
  num: [
    '{num} + {num}', '{num} - {num}', '{num} * ({int} % 1000)', '{num} / nullif({num}, 0)', 'round({num}, 2)', 'round({num})',
    'trunc({num}, 1)', 'ceil({num})', 'floor({num})', 'abs({num})', '-({num})', '{int}::numeric', '{num}::numeric(30,1)',
    '{num} % nullif({int}, 0)::numeric', 'greatest({num}, {num})', '{big}::numeric / 7', 'extract(epoch FROM {stamp})',
    'extract(epoch FROM {span})', 'extract(epoch FROM {zoned})', `({json} ->> 'n')::numeric`, '{num}::numeric(8,2)', 'mod({num}, 7)', 'sign({num})', 'div({num}, 3)', 'power({num} % 10, 2)', 'round({num}, -1)',
    'sqrt(abs({num}))', '(SELECT sum(e.n) FROM e WHERE e.g = d.g)', '(SELECT avg(e.id) FROM e WHERE e.id > {int})', 'trim_scale({num})', 'scale({num})::numeric',
    'coalesce({num}, {int})', '({float} / 1e6)::numeric', 'extract(second FROM {time})', 'date_part(\'hour\', {stamp})::numeric',
  ],
  float: ['{float} + 1', '{float} * 2', '{float} / 4', '-({float})', 'abs({float})', '{int}::float8', 'floor({float})', 'round({float})', '{num}::float8', '{float} - {int}', 'sqrt(abs({float}))', 'ceil({float})',
    'trunc({float})', 'sign({float})', 'least({float}, {float})', '{float}::float4', 'date_part(\'epoch\', {span})', '{big}::float8', 'radians({float})', '{float} * {float}'],
  text: [
    '{text} || {text}', 'upper({text})', 'lower({text})', 'substr({text}, 2, 2)', 'left({text}, 2)', 'right({text}, 1)',
    'btrim({text})', `replace({text}, 'a', 'bb')`, 'reverse({text})', `lpad(left({text}, 8), 4, '*')`, '({int})::text', '({num})::text',
    '({bool})::text', '({date})::text', '({stamp})::text', `split_part({text}, 'a', 1)`, 'initcap({text})', `concat({text}, '-', {int})`,
    'repeat(left({text}, 3), 2)', 'md5({text})', '({float})::text', '({uuid})::text', `translate({text}, 'abc', 'x')`,
    '({span})::text', '({zoned})::text', '({time})::text', '({json})::text', `{json} ->> 'b'`, `{json} #>> '{b,c}'`, '({ints})::text', '({texts})::text', '({texts})[1]', '({bytes})::text',
    `encode({bytes}, 'hex')`, `encode({bytes}, 'base64')`, `to_char({num}, 'FM999,990.00')`, `to_char({stamp}, 'YYYY-MM-DD HH24:MI:SS.MS Day')`, `to_char({zoned}, 'Dy DD Mon IYYY IW TZH')`,
    `to_char({int}, '0000S')`, `array_to_string({texts}, ',', '*')`, 'quote_literal({text})', 'quote_ident({text})', `format('%s-%I', {int}, coalesce({text}, ''))`, `regexp_replace({text}, '[a-c]+', 'Z', 'g')`,
    `substring({text} FROM '[B-Y].')`, 'jsonb_typeof({json})', `overlay({text} PLACING 'qq' FROM 2)`, `concat_ws('/', {text}, {num}, {date})`, `trim(both 'a' from {text})`, '({num})::varchar(3)', '({text})::char(4)::text',
    'chr(64 + abs({int} % 60))', `to_hex({int})`, `rpad(left({text}, 5), 7, 'xy')`, 'starts_with({text}, {text})::text', `({date})::timestamp::text`, 'jsonb_pretty({json})',
    `(SELECT string_agg(x::text, '+' ORDER BY x) FROM unnest({ints}) AS x)`, `(SELECT min(e.s) FROM e WHERE e.id > {int})`, 'row({int}, {text}, {date})::text', 'pg_typeof({num})::text',
  ],
  bool: [
    '{int} = {int}', '{int} < {int}', '{num} >= {int}', '{num} <> {num}', '{text} = {text}', '{text} < {text}', '{text} >= {text}',
    '{text} LIKE {text}', `{text} ILIKE 'a%'`, `{text} NOT LIKE '%b'`, '{bool} AND {bool}', '{bool} OR {bool}', 'NOT ({bool})',
    '({int}) IS NULL', '({text}) IS NOT NULL', '{int} IS DISTINCT FROM {int}', '{num} BETWEEN {num} AND {num}', '{int} IN (1, {int}, 3)',
    '{int} NOT IN ({int}, 5)', '{date} < {date}', '{stamp} > {date}', '{float} < {num}', '{uuid} = {uuid}', '({bool}) IS TRUE',
    '({bool}) IS NOT FALSE', '{big} > {int}', '{int} = ANY (ARRAY[1, 2, {int}])',
    '{text} ~ \'^[A-M]\'', '({int}, {text}) < ({int}, {text})',
    'EXISTS (SELECT 1 FROM e WHERE e.g = d.g AND e.id > {int})', '{int} IN (SELECT e.g FROM e WHERE e.g IS NOT NULL)',
    '{span} < {span}', '{span} = {span}', '{zoned} <= {stamp}', '{zoned} = {zoned}', '{time} >= {time}', '{json} @> {json}', '{json} ? \'a\'', '{json} = {json}', '{ints} @> {ints}', '{ints} && {ints}',
    '{ints} < {ints}', '{ints} = {ints}', '{texts} = {texts}', '{texts} < {texts}', '{bytes} < {bytes}', '{int} = ANY ({ints})', '{int} <> ALL ({ints})', '{text} = ANY ({texts})', '{int} > ANY (SELECT e.id FROM e)',
    '{num} < ALL (SELECT e.n FROM e WHERE e.g = d.g)', '{int} NOT IN (SELECT e.g FROM e WHERE e.id > 3)', '({int}, {text}) IN (SELECT e.id, e.s FROM e)', '{text} SIMILAR TO \'(A|B)%\'', '{text} ~* \'b+\'',
    '{json} IS NULL', '({date}, {date}) OVERLAPS ({date}, interval \'10 days\')', '{float} = {float}', '{float} > {float}', '{num} = {float}', '{num} IN ({num}, {num})', 'isfinite({date})', '({text}, {num}) IS NULL',
    '{text} LIKE (left({text}, 1) || \'%\')', '{text} BETWEEN {text} AND {text}', '{text} COLLATE "C" > {text}', '{date} = ANY (ARRAY[{date}, {date}])', '{uuid} < {uuid}', '{date} <> {stamp}',
  ],
  date: ['{date} + {int} % 100', '{date} - 30', '{stamp}::date', 'greatest({date}, {date})', `date_trunc('month', {stamp})::date`, '({zoned})::date', 'make_date(2020, 1 + abs({int} % 12), 3)', `to_date('2020-02-' || (1 + abs({int} % 28)), 'YYYY-MM-DD')`],
  stamp: [
    `{stamp} + interval '1 month'`, `{stamp} - interval '1 day 02:03:04.5'`,
    `date_trunc('hour', {stamp})`, `{stamp} + ({int} % 100) * interval '1 minute'`,
    '{stamp} + {span}', '{stamp} - {span}', '({zoned})::timestamp', `{zoned} AT TIME ZONE 'Asia/Kolkata'`, '{date} + {time}', 'least({stamp}, {stamp})', `date_bin('15 minutes', {stamp}, timestamp '2020-01-01')`,
  ],
  uuid: ['coalesce({uuid}, {uuid})'],
  zoned: [
    `{zoned} + interval '1 day'`, '{zoned} - {span}', '{stamp}::timestamptz', `{stamp} AT TIME ZONE 'Europe/Berlin'`, '{date}::timestamptz',
    `date_trunc('day', {zoned})`, `date_trunc('week', {zoned}, 'America/New_York')`, 'greatest({zoned}, {zoned})',
  ],
  span: [
    '{span} + {span}', '{span} * 2', '{span} / 3', '-({span})', 'greatest({stamp}, timestamp \'2020-01-01\') - greatest({stamp}, timestamp \'2020-01-01\')', 'justify_hours({span})', 'justify_days({span})', 'age(greatest({stamp}, timestamp \'2020-01-01\'), greatest({stamp}, timestamp \'2020-01-01\'))',
    'justify_interval({span})', 'make_interval(hours => {int} % 50, mins => {int} % 7)', '{time} - {time}', `date_trunc('hour', {span})`, '{time}::interval',
  ],
  time: ['{time} + {span}', '{stamp}::time', 'make_time(abs({int} % 24), 5, 7.5)', '{span}::time', `date_trunc('minute', {time}::interval)::time`],
  json: [
    `{json} -> 'b'`, `{json} -> 0`, `{json} #> '{b,c}'`, '{json} || {json}', `jsonb_build_object('a', {int}, 'z', {json}) - 'a'`, 'to_jsonb({int})', 'to_jsonb({text})', 'to_jsonb({ints})', 'to_jsonb({num})',
    'to_jsonb({date})', 'to_jsonb({stamp})', `jsonb_build_object('k', {text}, 'v', {bool})`, 'jsonb_build_array({num}, {span}, {zoned})', 'jsonb_strip_nulls({json})',
    `jsonb_set(jsonb_build_object('a', {num}), ARRAY['a'], to_jsonb({int}))`, 'array_to_json({ints})::jsonb', '{json}::text::jsonb',
  ],
  ints: [
    '{ints} || {ints}', 'array_append({ints}, {int})', 'array_prepend({int}, {ints})', 'array_remove({ints}, {int})', 'ARRAY[{int}, {int}]', '({ints})[1:2]',
    'array_replace({ints}, {int}, {int})', 'array_positions({ints}, {int})', `string_to_array('1,2,3', ',')::int[]`,
    'ARRAY(SELECT e.id FROM e WHERE e.g = d.g ORDER BY e.id DESC)',
  ],
  texts: [
    '{texts} || {text}', `string_to_array({text}, 'a')`, 'ARRAY[{text}, {text}]', '{ints}::text[]', 'array_cat({texts}, {texts})', `regexp_split_to_array({text}, '[ab]')`,
  ],
  bytes: ['{bytes} || {bytes}', `convert_to({text}, 'UTF8')`, 'substr({bytes}, 2)', `decode(md5({text}), 'hex')`, 'sha256({bytes})', `'\\x0102'::bytea || {bytes}`],
}; // prettier-ignore

/** One of the choices. */
export function pick<T>(random: () => number, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)]!;
}

/** Makes queries from a source of numbers in [0, 1). */
export class QueryGenerator {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  query(): string {
    const shapes = [
      () => this.#plain(),
      () => this.#plain(),
      () => this.#grouped(),
      () => this.#joined(),
      () => this.#windowed(),
      () => this.#combined(),
      () => this.#distinct(),
      () => this.#nested(),
      () => this.#nested(),
      () => this.#whole(),
    ];
    return this.#pick(shapes)();
  }

  #plain(): string {
    const list = [this.#expression(2), this.#expression(3)].join(', ');
    const limit = this.#random() < 0.2 ? ' LIMIT 7 OFFSET 3' : '';
    return `SELECT d.id, ${list} FROM ${FROM} WHERE ${this.#of('bool', 3)} ORDER BY d.id${limit}`;
  }

  #grouped(): string {
    const key = this.#pick([
      'g',
      'j',
      'x',
      'i % 3',
      'upper(left(s, 1))',
      'd.d',
      'y',
      'w.a',
      'w.v',
      'n',
      'm',
      'w.c',
    ]);
    const aggregates = [
      'count(*)', `count(${this.#expression(1)})`, `sum(${this.#of('int', 2)})`, `sum(${this.#of('num', 2)})`,
      `min(${this.#of('text', 2)})`, `max(${this.#of('date', 1)})`, `avg(${this.#of('int', 1)})`, `bool_or(${this.#of('bool', 2)})`,
      `count(DISTINCT ${this.#of('text', 1)})`, `sum(${this.#of('int', 1)}) FILTER (WHERE ${this.#of('bool', 1)})`,
      `string_agg(${this.#of('text', 1)}, ',' ORDER BY d.id)`, `json_agg(${this.#expression(1)} ORDER BY d.id)`, `jsonb_object_agg(d.id, ${this.#expression(1)})`,
      `sum(${this.#of('span', 1)})`, `max(${this.#of('ints', 1)})`, `min(${this.#of('zoned', 1)})`, `array_agg(${this.#of('num', 1)} ORDER BY d.id)`, `variance(${this.#of('int', 1)})`,
      `mode() WITHIN GROUP (ORDER BY d.g)`, `percentile_disc(0.5) WITHIN GROUP (ORDER BY ${this.#of('int', 1)})`, `count(DISTINCT ${this.#of('num', 1)})`, `sum(DISTINCT ${this.#of('num', 1)})`, `max(${this.#of('num', 1)})`, `every(${this.#of('bool', 1)})`, `array_agg(${this.#of('int',
      1)} ORDER BY d.id DESC)`, `avg(${this.#of('num', 1)})`,
    ]; // prettier-ignore
    const list = [this.#pick(aggregates), this.#pick(aggregates)].join(', ');
    const having = this.#random() < 0.3 ? ' HAVING count(*) > 3' : '';
    const where = this.#of('bool', 2);
    return `SELECT ${key}, ${list} FROM ${FROM} WHERE ${where} GROUP BY 1${having} ORDER BY 1 NULLS FIRST`;
  }

  #joined(): string {
    const join = this.#pick(['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN']);
    const on = this.#pick(['d.g = e.g', 'd.id = e.id', 'd.g = e.g AND d.id > e.id', 'd.j = e.g']);
    const where = this.#random() < 0.5 ? '' : ` WHERE d.g IS NULL OR e.id IS NULL OR d.id % 2 = 0`;
    return `SELECT d.id, e.id, d.s, e.s, coalesce(d.n, e.n) FROM d ${join} e ON ${on}${where} ORDER BY d.id, e.id`;
  }

  #windowed(): string {
    const order = this.#pick([
      'd.id',
      'i, d.id',
      's DESC NULLS LAST, d.id',
      'n, d.id',
      'd.d, d.id DESC',
      'w.v, d.id',
      'm DESC, d.id',
    ]);
    const functions = [
      'row_number()', 'rank()', 'count(*)', `sum(${this.#of('int', 1)})`, `max(${this.#of('text', 1)})`, `lag(${this.#of('num', 1)})`,
      `lead(i, 2, 0)`, `first_value(${this.#of('text', 1)})`, 'ntile(3)', 'dense_rank()', 'percent_rank()', 'cume_dist()', `last_value(${this.#expression(1)})`, `nth_value(${this.#of('num', 1)}, 2)`,
      `sum(${this.#of('num', 1)})`, `array_agg(${this.#of('int', 1)})`, `avg(${this.#of('num', 1)}) FILTER (WHERE ${this.#of('bool', 1)})`,
    ]; // prettier-ignore
    const call = this.#pick(functions);
    const frame = this.#pick([
      '',
      '',
      ' ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING',
      ' ROWS UNBOUNDED PRECEDING',
      ' GROUPS 1 PRECEDING',
      ' RANGE UNBOUNDED PRECEDING EXCLUDE CURRENT ROW',
    ]);
    const window = `PARTITION BY g ORDER BY ${order}${frame}`;
    return `SELECT d.id, ${call} OVER (${window}) FROM ${FROM} WHERE ${this.#of('bool', 1)} ORDER BY d.id`;
  }

  #combined(): string {
    const kind = this.#pick([
      'int',
      'text',
      'num',
      'span',
      'ints',
      'json',
      'zoned',
      'bool',
    ] as const);
    const operation = this.#pick(['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL']);
    // Which of two equal numerics a set operation shows, 0 or 0.00, is nobody's promise.
    const shown = (): string =>
      kind === 'num' ? `trim_scale(${this.#of(kind, 1)})` : this.#of(kind, 1);
    const side = (): string => `SELECT ${shown()} AS c FROM ${FROM} WHERE ${this.#of('bool', 1)}`;
    return `SELECT c::text FROM (${side()} ${operation} ${side()}) AS q ORDER BY c::text NULLS FIRST`;
  }

  #distinct(): string {
    const expression = this.#of(
      this.#pick([
        'int',
        'text',
        'bool',
        'date',
        'span',
        'ints',
        'json',
        'uuid',
        'bytes',
        'time',
      ] as const),
      2,
    );
    if (this.#random() < 0.5) return `SELECT DISTINCT ${expression} AS c FROM ${FROM} ORDER BY c`;
    return `SELECT DISTINCT ON (g, j) g, j, d.id, ${expression} FROM ${FROM} ORDER BY g, j, d.id DESC`;
  }

  /** Derived tables, CTEs, LATERAL, functions of FROM, grouping sets. */
  #nested(): string {
    const [one, other] = [this.#expression(2), this.#of('int', 2)];
    const where = this.#of('bool', 1);
    return this.#pick([
      `SELECT q.id, q.c, q.n FROM (SELECT d.id, ${one} AS c, ${other} AS n FROM ${FROM} WHERE ${where}) AS q WHERE q.n IS NULL OR q.n % 2 = 0 ORDER BY 1`,
      `WITH q AS (SELECT d.id, ${one} AS c, ${other} AS n FROM ${FROM}) SELECT a.id, a.c, b.n FROM q a JOIN q b ON a.n = b.id ORDER BY 1, 3`,
      `SELECT d.id, x.c, x.n FROM ${FROM} CROSS JOIN LATERAL (SELECT ${one} AS c, e.id + ${other} AS n FROM e WHERE e.g = d.g) AS x ORDER BY 1, 3, x.c::text`,
      `SELECT d.id, x.* FROM ${FROM}, LATERAL (SELECT count(*), max(e.n) FROM e WHERE e.id < ${other}) AS x ORDER BY 1`,
      `SELECT d.id, k, k * ${other} FROM ${FROM}, generate_series(1, d.g) AS k WHERE ${where} ORDER BY 1, 2`,
      `SELECT d.id, x.v, x.n FROM ${FROM}, unnest(${this.#of('texts', 1)}) WITH ORDINALITY AS x (v, n) ORDER BY 1, 3`,
      `SELECT d.id, x.key, x.value FROM ${FROM}, jsonb_each(jsonb_build_object('k', ${one})) AS x ORDER BY 1, 2`,
      `SELECT g, j, count(*), sum(${other}) FROM ${FROM} WHERE ${where} GROUP BY ROLLUP (g, j) ORDER BY 1, 2, 3`,
      `SELECT g, x, grouping(g, x), max(${this.#of('text', 1)}) FROM ${FROM} GROUP BY GROUPING SETS ((g), (x), ()) ORDER BY 3, 1, 2`,
      `WITH RECURSIVE r (n, s) AS (SELECT 1, ''::text UNION ALL SELECT n + 1, r.s || d.g FROM r JOIN d ON d.id = r.n WHERE n < 9) SELECT * FROM r ORDER BY n`,
      `SELECT v.a, v.b, d.id FROM (VALUES (1, 'x'), (2, NULL), (3, 'y')) AS v (a, b) LEFT JOIN ${FROM} ON d.g = v.a AND ${where} ORDER BY 1, 3`,
      `SELECT d.id, (SELECT x.c FROM (SELECT ${one} AS c, e.id FROM e) AS x ORDER BY x.id LIMIT 1) FROM ${FROM} ORDER BY 1`,
      `SELECT d.id, ${one} FROM ${FROM} ORDER BY ${this.#of('num', 1)} DESC NULLS LAST, d.id FETCH FIRST 9 ROWS ONLY`,
      `SELECT id, unnest(ARRAY[g, j, ${other}]) AS k FROM d JOIN w USING (id) ORDER BY 1, 2`,
    ]);
  }

  /** Rows as values. */
  #whole(): string {
    const where = this.#of('bool', 2);
    return this.#pick([
      `SELECT w FROM ${FROM} WHERE ${where} ORDER BY w.id`,
      `SELECT row_to_json(w), to_jsonb(d) FROM ${FROM} WHERE ${where} ORDER BY w.id`,
      `SELECT json_agg(q) FROM (SELECT d.id, ${this.#expression(2)} AS c FROM ${FROM} WHERE ${where} ORDER BY 1) AS q`,
      `SELECT count(w), count(DISTINCT d) FROM ${FROM} WHERE ${where}`,
      `SELECT d.id, e FROM d LEFT JOIN e ON e.id = d.j JOIN w ON w.id = d.id WHERE e IS NULL OR ${where} ORDER BY 1`,
    ]);
  }

  #expression(depth: number): string {
    return this.#of(this.#pick(KINDS), depth);
  }

  /** An expression of a type; deeper ones are made of shallower ones. */
  #of(kind: Kind, depth: number): string {
    const choice = this.#random();
    if (depth <= 0 || choice < 0.15) {
      return this.#pick(
        this.#random() < 0.75
          ? COLUMNS[kind].map((name) => `${WIDE.has(name) ? 'w' : 'd'}.${name}`)
          : LITERALS[kind],
      );
    }
    if (choice < 0.22) {
      const [test, yes, no] = [
        this.#of('bool', depth - 1),
        this.#of(kind, depth - 1),
        this.#of(kind, depth - 1),
      ];
      return `CASE WHEN ${test} THEN ${yes} ELSE ${no} END`;
    }
    if (choice < 0.28)
      return `coalesce(${this.#of(kind, depth - 1)}, ${this.#of(kind, depth - 1)})`;
    if (choice < 0.32) return `nullif(${this.#of(kind, depth - 1)}, ${this.#of(kind, depth - 1)})`;
    const form = this.#pick(FORMS[kind]);
    const filled = form.replaceAll(
      /\{(\w+)\}/g,
      (_, inner: Kind) => `(${this.#of(inner, depth - 1)})`,
    );
    return `(${filled})`;
  }

  #pick<T>(choices: readonly T[]): T {
    return pick(this.#random, choices);
  }
}
