// Statements at the limits of SQL: each gives the same at a node and at a PostgreSQL 15, or says why not. Shell.

import type pg from 'pg';
import { codeOf, expect } from './case.ts';

export interface Statements {
  readonly name: string;
  /** What came out, for comparing: SQLSTATEs, counts. The client is at the database `postgres` knows nothing of yet. */
  readonly run: (client: pg.Client) => Promise<string>;
  /** What must come out. */
  readonly expected: string;
  /** What comes out at PostgreSQL, where that is something else, and why. */
  readonly postgres?: { readonly expected: string; readonly why: string };
}

function list(count: number, text: (n: number) => string, separator = ', '): string {
  return Array.from({ length: count }, (_, i) => text(i + 1)).join(separator);
}

/** The one value of a query. */
async function value(client: pg.Client, text: string, values?: unknown[]): Promise<string> {
  const { rows } = await client.query<unknown[]>({ text, values: values ?? [], rowMode: 'array' });
  return String(rows[0]?.[0]);
}

async function codes(client: pg.Client, texts: readonly string[]): Promise<string> {
  const found: string[] = [];
  for (const text of texts) found.push(await codeOf(client.query(text)));
  return found.join(' ');
}

const COLUMNS = 1_600;
const ROWS = 100_000;
const STATEMENTS = 10_000;

export const STATEMENTS_AT_LIMITS: readonly Statements[] = [
  {
    name: 'a table of 1,600 columns',
    expected: '1600 1601 54011 54011',
    run: async (client) => {
      await client.query(`CREATE TABLE wide (${list(COLUMNS, (n) => `c${n} int`)})`);
      await client.query(`INSERT INTO wide VALUES (${list(COLUMNS, String)})`);
      await client.query(`INSERT INTO wide SELECT ${list(COLUMNS, (n) => `c${n} + 1`)} FROM wide`);
      await client.query(`UPDATE wide SET ${list(COLUMNS, (n) => `c${n} = c${n}`)}`);
      await client.query('UPDATE wide SET c1600 = c1600 + 0 WHERE c1 = 1');
      const { rows, fields } = await client.query<unknown[]>({
        text: 'SELECT * FROM wide ORDER BY c1',
        rowMode: 'array',
      });
      expect(fields.length === COLUMNS && rows.length === 2, 'not all columns came back');
      const refused = await codes(client, [
        'ALTER TABLE wide ADD COLUMN c1601 int',
        `CREATE TABLE wider (${list(COLUMNS + 1, (n) => `c${n} int`)})`,
      ]);
      return `${rows[0]![COLUMNS - 1]} ${rows[1]![COLUMNS - 1]} ${refused}`;
    },
  },
  {
    name: '1,664 columns in a result, and one more',
    expected: 'ok 54011',
    run: (client) =>
      codes(client, [`SELECT ${list(1_664, String)}`, `SELECT ${list(1_665, String)}`]),
  },
  {
    name: '1,000 columns of a join',
    expected: '1000',
    run: async (client) => {
      for (const table of ['left_half', 'right_half']) {
        await client.query(
          `CREATE TABLE ${table} (id int PRIMARY KEY, ${list(499, (n) => `v${n} int`)})`,
        );
        await client.query(`INSERT INTO ${table} VALUES (1, ${list(499, String)})`);
      }
      const { fields } = await client.query(
        'SELECT * FROM left_half l JOIN right_half r ON l.id = r.id',
      );
      return String(fields.length);
    },
  },
  {
    name: 'names of more than 63 bytes',
    expected: `${'n'.repeat(63)} 42P07 42701 ${'é'.repeat(31)}`,
    run: async (client) => {
      const long = 'n'.repeat(63);
      await client.query(`CREATE TABLE ${long}xyz (${long}c int, "${'é'.repeat(40)}" int)`);
      const name = await value(client, `SELECT relname FROM pg_class WHERE relname LIKE 'nnn%'`);
      const refused = await codes(client, [
        `CREATE TABLE ${long}abc (a int)`,
        `ALTER TABLE ${long} ADD COLUMN ${long}d int`,
      ]);
      const { fields } = await client.query(`SELECT * FROM ${long}zzz`);
      return `${name} ${refused} ${fields[1]!.name}`;
    },
  },
  {
    name: 'a statement of 10 MB',
    expected: '10000000 10000000',
    run: async (client) => {
      const text = 'x'.repeat(10_000_000);
      await client.query('CREATE TABLE big (v text)');
      await client.query(`INSERT INTO big VALUES ('${text}')`);
      return `${await value(client, `SELECT length('${text}')`)} ${await value(client, 'SELECT length(v) FROM big')}`;
    },
  },
  {
    name: '65,535 parameters, and one more',
    expected: '13107 2147385345 1 42P18',
    run: async (client) => {
      await client.query('CREATE TABLE five (a int, b int, c int, d int, e int)');
      const rows = list(13_107, (n) => `(${list(5, (i) => `$${5 * (n - 1) + i}`)})`);
      const values = Array.from({ length: 65_535 }, (_, i) => i);
      await client.query(`INSERT INTO five VALUES ${rows}`, values);
      const sums = 'SELECT count(*), sum(a::int8 + b + c + d + e) FROM five';
      const { rows: found } = await client.query<unknown[]>({ text: sums, rowMode: 'array' });
      // More than SQLite can bind.
      const bound = list(40_000, (n) => `$${n}`);
      const inList = `SELECT count(*) FROM five WHERE a IN (${bound}) AND a > 39990 AND a < 39999`;
      const counted = await value(client, inList, values.slice(0, 40_000));
      // The driver counts in 16 bits: it announces no value, and sends 65,536.
      const more = codeOf(client.query(`SELECT $65536::int`, [...values, 0]));
      return `${found[0]!.join(' ')} ${counted} ${await more}`;
    },
  },
  {
    name: 'lists of 10,000 elements in IN',
    expected: '10000 10000 0',
    run: async (client) => {
      await client.query('CREATE TABLE listed (n int PRIMARY KEY)');
      await client.query('INSERT INTO listed SELECT generate_series(1, 20000)');
      const numbers = list(10_000, (n) => String(2 * n));
      const counted = await value(client, `SELECT count(*) FROM listed WHERE n IN (${numbers})`);
      const parameters = list(10_000, (n) => `$${n}`);
      const values = Array.from({ length: 10_000 }, (_, i) => 2 * i + 1);
      const bound = await value(
        client,
        `SELECT count(*) FROM listed WHERE n IN (${parameters})`,
        values,
      );
      await client.query(`DELETE FROM listed WHERE n IN (${numbers})`);
      const left = await value(client, 'SELECT count(*) FROM listed WHERE n % 2 = 0');
      return `${counted} ${bound} ${left}`;
    },
  },
  {
    name: 'deep nesting',
    expected: 'ok ok ok ok 54001 54001 54001 54001 54001',
    postgres: {
      expected: 'ok ok ok ok 54001 54001 42601 42601 42601',
      why: 'its parser gives up with 42601 (memory exhausted), which says nothing of the reason',
    },
    run: (client) => {
      const depth = 50_000;
      return codes(client, [
        `SELECT ${'('.repeat(500)}1${')'.repeat(500)}`,
        `SELECT ${'1 + '.repeat(500)}1`,
        `SELECT ${'abs('.repeat(500)}1${')'.repeat(500)}`,
        list(100, (n) => `SELECT ${n} AS n FROM served`, ' UNION ALL '),
        `SELECT ${'1 + '.repeat(depth)}1`,
        `SELECT ${`'a' || `.repeat(depth)}'b'`,
        `SELECT ${'('.repeat(depth)}1${')'.repeat(depth)}`,
        `SELECT ${'NOT '.repeat(depth)}true`,
        `SELECT ${'CASE WHEN true THEN '.repeat(depth)}1${' END'.repeat(depth)}`,
      ]);
    },
  },
  {
    name: 'joins and unions beyond what SQLite compiles',
    expected: '54001 54001',
    postgres: { expected: 'ok ok', why: 'docs/sql.md, "Limits"' },
    run: (client) => {
      const others = list(64, (n) => `JOIN served s${n} ON s${n}.n = s0.n`, ' ');
      return codes(client, [
        `SELECT count(*) FROM (SELECT n FROM served LIMIT 1) AS s0 ${others} WHERE s0.n < 0`,
        list(600, (n) => `SELECT ${n} AS n FROM served`, ' UNION ALL '),
      ]);
    },
  },
  {
    name: '10,000 statements in one transaction',
    expected: '10000 10000',
    run: async (client) => {
      await client.query('CREATE TABLE counted (id int PRIMARY KEY, n int)');
      await client.query('INSERT INTO counted VALUES (0, 0)');
      await client.query('BEGIN');
      for (let n = 1; n <= STATEMENTS / 2; n += 1) {
        await client.query('INSERT INTO counted VALUES ($1, 1)', [n]);
        await client.query('UPDATE counted SET n = n + 2 WHERE id = 0');
      }
      await client.query('COMMIT');
      const sum = await value(client, 'SELECT n FROM counted WHERE id = 0');
      return `${sum} ${Number(await value(client, 'SELECT count(*) FROM counted WHERE n = 1')) * 2}`;
    },
  },
  {
    name: 'a transaction that inserts, updates and deletes 100,000 rows',
    expected: '100000 50000 5000150000 50000',
    run: async (client) => {
      await client.query('CREATE TABLE rows (id int PRIMARY KEY, v int)');
      await client.query('BEGIN');
      await client.query(`INSERT INTO rows SELECT n, n FROM generate_series(1, ${ROWS}) n`);
      await client.query('COMMIT');
      await client.query('BEGIN');
      const { rowCount: updated } = await client.query('UPDATE rows SET v = v + 1');
      const { rowCount: deleted } = await client.query('DELETE FROM rows WHERE id % 2 = 0');
      await client.query('ROLLBACK');
      await client.query('BEGIN');
      await client.query('UPDATE rows SET v = v + 1');
      const sum = await value(client, 'SELECT sum(v) FROM rows');
      await client.query('DELETE FROM rows WHERE id % 2 = 0');
      await client.query('COMMIT');
      return `${updated} ${deleted} ${sum} ${await value(client, 'SELECT count(*) FROM rows')}`;
    },
  },
  {
    name: '10,000 savepoints in one transaction',
    expected: '7500 3B001',
    run: async (client) => {
      await client.query('CREATE TABLE saved (n int)');
      await client.query('BEGIN');
      for (let n = 0; n < STATEMENTS; n += 1) {
        await client.query(`SAVEPOINT s${n}`);
        await client.query('INSERT INTO saved VALUES ($1)', [n]);
      }
      await client.query('ROLLBACK TO s7500');
      await client.query('RELEASE s5000');
      const refused = await codeOf(client.query('ROLLBACK TO s6000'));
      await client.query('ROLLBACK TO s100').catch(() => undefined);
      await client.query('ROLLBACK');
      await client.query('BEGIN');
      for (let n = 0; n < STATEMENTS; n += 1) {
        await client.query(`SAVEPOINT s`);
        await client.query('INSERT INTO saved VALUES ($1)', [n]);
        await client.query(n % 4 === 0 ? 'ROLLBACK TO s' : 'RELEASE s');
      }
      await client.query('COMMIT');
      return `${await value(client, 'SELECT count(*) FROM saved')} ${refused}`;
    },
  },
  {
    name: 'commands that a ledger has not',
    expected: '0A000 0A000 ok 0A000 0A000',
    postgres: {
      expected: 'ok ok ok ok ok',
      why: 'docs/sql.md: what is not supported is refused, never ignored',
    },
    run: (client) =>
      codes(client, [
        'LISTEN channel',
        `NOTIFY channel, 'x'`,
        'UNLISTEN *',
        `SELECT pg_notify('channel', 'x')`,
        `PREPARE TRANSACTION 'x'`,
      ]),
  },
];
