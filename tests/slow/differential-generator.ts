// Random queries that have one right answer: no ties left open, no order of evaluation that matters. Pure.
//
// Every query is made of typed pieces, so nearly all are accepted. What could overflow or divide by zero is
// kept small or guarded, because which of two errors comes first is not defined.

/** The types that expressions are made of. */
export type Kind = 'int' | 'big' | 'num' | 'float' | 'text' | 'bool' | 'date' | 'stamp' | 'uuid';

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
};

const LITERALS: Readonly<Record<Kind, readonly string[]>> = {
  int: ['0', '1', '-1', '3', '7', '100', 'NULL::int'],
  big: ['5000000000', '-1::bigint', '0::bigint'],
  num: ['0.5', '1.000', '-2.25', '1e3', '0.0001'],
  float: ['0.5::float8', '-2::float8', `'NaN'::float8`, `'Infinity'::float8`],
  text: [`''`, `'a'`, `'Ab'`, `'A%'`, `'xyz '`, 'NULL::text'],
  bool: ['true', 'false', 'NULL::bool'],
  date: [`date '2020-02-29'`, `date '2020-03-31'`, `'infinity'::date`],
  stamp: [`timestamp '2020-02-29 00:00'`, `timestamp '2020-03-01 12:34:56.789'`],
  uuid: [`'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid`],
};

/** For each type, the forms an expression can take; upper-case names in braces are expressions of that type. */
const FORMS: Readonly<Record<Kind, readonly string[]>> = {
  int: [
    '{int} % 10 + {int} % 10', '{int} % 100 - {int} % 100', '({int} % 50) * ({int} % 50)', '{int} / nullif({int}, 0)',
    '{int} % nullif({int}, 0)', '-({int})', 'abs({int})', 'length({text})', 'octet_length({text})', 'strpos({text}, {text})',
    'greatest({int}, {int})', 'least({int}, {int}, {int})', '{int} & {int}', '{int} | {int}', '{int} # {int}', 'ascii({text})',
    '({bool})::int', 'sign({int})::int', 'extract(month FROM {stamp})::int', '{date} - date \'2020-01-01\'',
  ],
  big: ['{big} / nullif({int}, 0)', '{big} % 1000003', '{int} % 1000 * 1000000::bigint', '{int}::bigint', '{big} - {int}'],
  num: [
    '{num} + {num}', '{num} - {num}', '{num} * ({int} % 1000)', '{num} / nullif({num}, 0)', 'round({num}, 2)', 'round({num})',
    'trunc({num}, 1)', 'ceil({num})', 'floor({num})', 'abs({num})', '-({num})', '{int}::numeric', '{num}::numeric(30,1)',
    '{num} % nullif({int}, 0)::numeric', 'greatest({num}, {num})', '{big}::numeric / 7', 'extract(epoch FROM {stamp})',
  ],
  float: ['{float} + 1', '{float} * 2', '{float} / 4', '-({float})', 'abs({float})', '{int}::float8', 'floor({float})', 'round({float})'],
  text: [
    '{text} || {text}', 'upper({text})', 'lower({text})', 'substr({text}, 2, 2)', 'left({text}, 2)', 'right({text}, 1)',
    'btrim({text})', `replace({text}, 'a', 'bb')`, 'reverse({text})', `lpad(left({text}, 8), 4, '*')`, '({int})::text', '({num})::text',
    '({bool})::text', '({date})::text', '({stamp})::text', `split_part({text}, 'a', 1)`, 'initcap({text})', `concat({text}, '-', {int})`,
    'repeat(left({text}, 3), 2)', 'md5({text})', '({float})::text', '({uuid})::text', `translate({text}, 'abc', 'x')`,
  ],
  bool: [
    '{int} = {int}', '{int} < {int}', '{num} >= {int}', '{num} <> {num}', '{text} = {text}', '{text} < {text}', '{text} >= {text}',
    '{text} LIKE {text}', `{text} ILIKE 'a%'`, `{text} NOT LIKE '%b'`, '{bool} AND {bool}', '{bool} OR {bool}', 'NOT ({bool})',
    '({int}) IS NULL', '({text}) IS NOT NULL', '{int} IS DISTINCT FROM {int}', '{num} BETWEEN {num} AND {num}', '{int} IN (1, {int}, 3)',
    '{int} NOT IN ({int}, 5)', '{date} < {date}', '{stamp} > {date}', '{float} < {num}', '{uuid} = {uuid}', '({bool}) IS TRUE',
    '({bool}) IS NOT FALSE', '{big} > {int}', '{int} = ANY (ARRAY[1, 2, {int}])',
    '{text} ~ \'^[A-M]\'', '({int}, {text}) < ({int}, {text})',
    'EXISTS (SELECT 1 FROM e WHERE e.g = d.g AND e.id > {int})', '{int} IN (SELECT e.g FROM e WHERE e.g IS NOT NULL)',
  ],
  date: ['{date} + {int} % 100', '{date} - 30', '{stamp}::date', 'greatest({date}, {date})', `date_trunc('month', {stamp})::date`],
  stamp: [
    `{stamp} + interval '1 month'`, `{stamp} - interval '1 day 02:03:04.5'`,
    `date_trunc('hour', {stamp})`, `{stamp} + ({int} % 100) * interval '1 minute'`,
  ],
  uuid: ['coalesce({uuid}, {uuid})'],
}; // prettier-ignore

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
    ];
    return this.#pick(shapes)();
  }

  #plain(): string {
    const list = [this.#expression(2), this.#expression(3)].join(', ');
    const limit = this.#random() < 0.2 ? ' LIMIT 7 OFFSET 3' : '';
    return `SELECT id, ${list} FROM d WHERE ${this.#of('bool', 3)} ORDER BY id${limit}`;
  }

  #grouped(): string {
    const key = this.#pick(['g', 'j', 'x', 'i % 3', 'upper(left(s, 1))', 'd', 'y']);
    const aggregates = [
      'count(*)', `count(${this.#expression(1)})`, `sum(${this.#of('int', 2)})`, `sum(${this.#of('num', 2)})`,
      `min(${this.#of('text', 2)})`, `max(${this.#of('date', 1)})`, `avg(${this.#of('int', 1)})`, `bool_or(${this.#of('bool', 2)})`,
      `count(DISTINCT ${this.#of('text', 1)})`, `sum(${this.#of('int', 1)}) FILTER (WHERE ${this.#of('bool', 1)})`,
      `string_agg(${this.#of('text', 1)}, ',' ORDER BY id)`, `array_agg(${this.#of('int',
      1)} ORDER BY id DESC)`, `avg(${this.#of('num', 1)})`,
    ]; // prettier-ignore
    const list = [this.#pick(aggregates), this.#pick(aggregates)].join(', ');
    const having = this.#random() < 0.3 ? ' HAVING count(*) > 3' : '';
    const where = this.#of('bool', 2);
    return `SELECT ${key}, ${list} FROM d WHERE ${where} GROUP BY 1${having} ORDER BY 1 NULLS FIRST`;
  }

  #joined(): string {
    const join = this.#pick(['JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN']);
    const on = this.#pick(['d.g = e.g', 'd.id = e.id', 'd.g = e.g AND d.id > e.id', 'd.j = e.g']);
    const where = this.#random() < 0.5 ? '' : ` WHERE d.g IS NULL OR e.id IS NULL OR d.id % 2 = 0`;
    return `SELECT d.id, e.id, d.s, e.s, coalesce(d.n, e.n) FROM d ${join} e ON ${on}${where} ORDER BY d.id, e.id`;
  }

  #windowed(): string {
    const order = this.#pick(['id', 'i, id', 's DESC NULLS LAST, id', 'n, id', 'd, id DESC']);
    const functions = [
      'row_number()', 'rank()', 'count(*)', `sum(${this.#of('int', 1)})`, `max(${this.#of('text', 1)})`, `lag(${this.#of('num', 1)})`,
      `lead(i, 2, 0)`, `first_value(${this.#of('text', 1)})`, 'ntile(3)',
    ]; // prettier-ignore
    const call = this.#pick(functions);
    const frame = this.#pick(['', '', ' ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING']);
    const window = `PARTITION BY g ORDER BY ${order}${frame}`;
    return `SELECT id, ${call} OVER (${window}) FROM d WHERE ${this.#of('bool', 1)} ORDER BY id`;
  }

  #combined(): string {
    const kind = this.#pick(['int', 'text', 'num'] as const);
    const operation = this.#pick(['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL']);
    const side = (): string =>
      `SELECT ${this.#of(kind, 1)} AS c FROM d WHERE ${this.#of('bool', 1)}`;
    return `SELECT c::text FROM (${side()} ${operation} ${side()}) AS q ORDER BY c::text NULLS FIRST`;
  }

  #distinct(): string {
    const expression = this.#of(this.#pick(['int', 'text', 'bool', 'date'] as const), 2);
    if (this.#random() < 0.5) return `SELECT DISTINCT ${expression} AS c FROM d ORDER BY c`;
    return `SELECT DISTINCT ON (g, j) g, j, id, ${expression} FROM d ORDER BY g, j, id DESC`;
  }

  #expression(depth: number): string {
    return this.#of(this.#pick(KINDS), depth);
  }

  /** An expression of a type; deeper ones are made of shallower ones. */
  #of(kind: Kind, depth: number): string {
    const choice = this.#random();
    if (depth <= 0 || choice < 0.15) {
      return this.#pick(
        this.#random() < 0.75 ? COLUMNS[kind].map((name) => `d.${name}`) : LITERALS[kind],
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
    return choices[Math.floor(this.#random() * choices.length)]!;
  }
}
