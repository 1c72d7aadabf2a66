// psql 15: what a person types. Its backslash commands are catalog queries; the errors show the place.

import { beforeAll, describe, expect } from '@jest/globals';
import { findProgram, run, type Finished } from './process.ts';
import { serve, testWith } from './setting.ts';

const test = testWith('psql');

const SCHEMA = `
SET client_min_messages TO warning;
DROP SCHEMA IF EXISTS e2e_psql CASCADE;
CREATE SCHEMA e2e_psql;
SET search_path TO e2e_psql;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL, email varchar(50) UNIQUE, m mood DEFAULT 'happy');
CREATE TABLE orders (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer int NOT NULL REFERENCES customer ON DELETE CASCADE,
  total numeric(12,2) CHECK (total >= 0),
  placed timestamptz NOT NULL DEFAULT now());
CREATE INDEX orders_big ON orders (total DESC) WHERE total > 100;
CREATE VIEW big AS SELECT * FROM orders WHERE total > 100;
COMMENT ON TABLE customer IS 'who buys';
INSERT INTO customer (name) VALUES ('ann'), ('bob');
INSERT INTO orders (customer, total) VALUES (1, 10), (2, 200);
`;

describe('psql', () => {
  const server = serve();

  async function psql(input: string, ...flags: string[]): Promise<Finished> {
    const program = findProgram('psql') ?? 'psql';
    const parameters = ['-X', '-v', 'VERBOSITY=default', ...flags, server.adminUrl()];
    const env = { PGOPTIONS: '-c search_path=e2e_psql', LC_ALL: 'C.UTF-8', PAGER: 'cat' };
    return run(program, parameters, { input, env });
  }

  beforeAll(async () => {
    if (findProgram('psql') === undefined) return;
    const made = await psql(SCHEMA, '-q', '-v', 'ON_ERROR_STOP=1');
    expect(made.stderr).toBe('');
  });

  test('\\d of a table shows columns, keys, checks, references', async () => {
    const { stdout, stderr } = await psql('\\d orders\n\\d customer\n');
    expect(stderr).toBe('');
    expect(stdout).toContain('Table "e2e_psql.orders"');
    expect(stdout).toMatch(/ id +\| integer +\| +\| not null \| generated always as identity/);
    expect(stdout).toMatch(/ total +\| numeric\(12,2\)/);
    expect(stdout).toContain('"orders_pkey" PRIMARY KEY, btree (id)');
    expect(stdout).toContain('"orders_big" btree (total DESC) WHERE total > 100::numeric');
    expect(stdout).toContain('"orders_total_check" CHECK (total >= 0::numeric)');
    expect(stdout).toContain(
      '"orders_customer_fkey" FOREIGN KEY (customer) REFERENCES customer(id) ON DELETE CASCADE',
    );
    expect(stdout).toContain(`nextval('customer_id_seq'::regclass)`);
    expect(stdout).toContain('"customer_email_key" UNIQUE CONSTRAINT, btree (email)');
    expect(stdout).toMatch(/Referenced by:\n +TABLE "orders" CONSTRAINT "orders_customer_fkey"/);
  });

  test('the listing commands answer without an error', async () => {
    const commands = [
      '\\d', '\\dt', '\\di', '\\dv', '\\ds', '\\dt+', '\\d+ customer', '\\dT', '\\dD', '\\dn', '\\dn+',
      '\\du', '\\dp', '\\l', '\\l+', '\\df', '\\dd', '\\db', '\\dx', '\\conninfo', '\\encoding', '\\sv big',
    ]; // prettier-ignore
    const { stdout, stderr } = await psql(commands.join('\n'));
    expect(stderr).toBe('');
    expect(stdout).toMatch(/e2e_psql \| customer +\| table/);
    expect(stdout).toMatch(/e2e_psql \| big +\| view/);
    expect(stdout).toContain('List of roles');
    expect(stdout).toContain('List of databases');
    expect(stdout).toContain('who buys');
  });

  test('an error shows the line and the place', async () => {
    const { stderr } = await psql('SELECT nam FROM customer;\nSELECT 1 +;\n');
    expect(stderr).toContain(
      'ERROR:  column "nam" does not exist\nLINE 1: SELECT nam FROM customer;\n               ^',
    );
    expect(stderr).toContain('HINT:  Perhaps you meant to reference the column "customer.name".');
    expect(stderr).toContain(
      'ERROR:  syntax error at or near ";"\nLINE 1: SELECT 1 +;\n                  ^',
    );
  });

  test('results are shown as PostgreSQL shows them', async () => {
    const { stdout } = await psql(
      'SELECT id, name, m FROM customer ORDER BY id;\n\\x\nSELECT total FROM orders WHERE id = 2;\n',
    );
    expect(stdout).toContain(
      ' id | name |   m   \n----+------+-------\n  1 | ann  | happy\n  2 | bob  | happy\n(2 rows)\n',
    );
    expect(stdout).toContain('-[ RECORD 1 ]-\ntotal | 200.00\n');
  });

  test('a failed transaction says so until it ends', async () => {
    const { stdout } = await psql(
      String.raw`BEGIN;
SELECT 1/0;
\echo :ERROR :LAST_ERROR_SQLSTATE
SELECT 1;
\echo :LAST_ERROR_SQLSTATE
COMMIT;
`,
    );
    expect(stdout).toContain('true 22012');
    expect(stdout).toContain('25P02');
    expect(stdout).toContain('ROLLBACK');
  });

  test('\\copy, \\gset, \\gdesc, \\crosstabview and single transactions', async () => {
    const { stdout, stderr } = await psql(
      `SELECT count(*) AS n FROM customer \\gset
\\echo n is :n
SELECT id, name FROM customer \\gdesc
\\copy customer (name) FROM pstdin
cyd
\\.
\\copy (SELECT name FROM customer ORDER BY name) TO pstdout
SELECT 'a' AS x, 'b' AS y, 1 AS v \\crosstabview
`,
    );
    expect(stderr).toBe('');
    expect(stdout).toContain('n is 2');
    expect(stdout).toMatch(/ id +\| integer/);
    expect(stdout).toContain('ann\nbob\ncyd\n');
  });

  test('what tab completion asks is answered', async () => {
    const { stdout, stderr } = await psql(COMPLETIONS);
    expect(stderr).toBe('');
    expect(stdout).toContain('customer');
    expect(stdout).toContain('orders');
  });
});

/** The queries of psql 15 behind SELECT * FROM c<TAB>, … WHERE <TAB>, SET s<TAB>, GRANT … TO <TAB>. */
const COMPLETIONS = `
SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p')
 AND substring(pg_catalog.quote_ident(c.relname),1,1)='c' AND pg_catalog.pg_table_is_visible(c.oid)
 AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog')
UNION ALL SELECT NULL::pg_catalog.text LIMIT 1000;
SELECT pg_catalog.quote_ident(n.nspname) || '.' FROM pg_catalog.pg_namespace n
 WHERE substring(pg_catalog.quote_ident(n.nspname) || '.',1,1)='e' LIMIT 1000;
SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c
 WHERE c.oid = a.attrelid AND a.attnum > 0 AND NOT a.attisdropped AND (c.relname) LIKE 'orders' LIMIT 1000;
SELECT name FROM (SELECT pg_catalog.lower(name) AS name FROM pg_catalog.pg_settings UNION ALL SELECT 'all') ss
 WHERE substring(name,1,1)='s' LIMIT 1000;
SELECT pg_catalog.quote_ident(rolname) FROM pg_catalog.pg_roles
 WHERE substring(pg_catalog.quote_ident(rolname),1,0)='' LIMIT 1000;
SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname LIKE 'ord%' AND c.relkind = 'r';
`;
