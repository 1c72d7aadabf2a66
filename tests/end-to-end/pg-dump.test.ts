// pg_dump 15: what it writes of a node's schema loads into PostgreSQL 15 and means the same there.

import { describe, expect } from '@jest/globals';
import pg from 'pg';
import { findProgram, run } from './process.ts';
import { serve, testWith } from './setting.ts';

const test = testWith('pg_dump', 'psql', 'PGTEST_URL');
const toolTest = testWith('pg_dumpall', 'vacuumdb');

const SCHEMA = `
CREATE SCHEMA shop;
CREATE TYPE shop.status AS ENUM ('new', 'paid', 'sent');
CREATE DOMAIN shop.money AS numeric(12,2) CHECK (VALUE >= 0);
CREATE SEQUENCE shop.invoice START 1000 INCREMENT 10;
CREATE TABLE shop.customer (id serial PRIMARY KEY, name varchar(80) NOT NULL,
  email text UNIQUE, since date DEFAULT CURRENT_DATE);
CREATE TABLE shop.item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer int NOT NULL REFERENCES shop.customer ON DELETE CASCADE,
  price shop.money NOT NULL, qty int DEFAULT 1 CHECK (qty > 0),
  total numeric GENERATED ALWAYS AS (qty * 2) STORED, state shop.status DEFAULT 'new',
  tags text[] DEFAULT '{}', UNIQUE (customer, price));
CREATE INDEX item_open ON shop.item (customer) WHERE state = 'new';
CREATE INDEX customer_lower ON shop.customer (lower(email));
CREATE VIEW shop.open AS SELECT c.name, count(*) AS items FROM shop.customer c
  JOIN shop.item i ON i.customer = c.id GROUP BY c.name;
COMMENT ON TABLE shop.customer IS 'who buys';
COMMENT ON COLUMN shop.item.price IS 'of one piece'`;

describe('tools that go through all databases', () => {
  const server = serve();

  async function tool(name: string, ...flags: string[]): Promise<string> {
    const url = new URL(server.adminUrl());
    // pg_dumpall does not hand the password of its URL on to pg_dump.
    const env = { PGPASSWORD: decodeURIComponent(url.password) };
    const ended = await run(findProgram(name) ?? name, [...flags, '-d', url.href], { env });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    return ended.stdout;
  }

  toolTest(
    'pg_dumpall and vacuumdb find the ledger, its catalogs, and nothing else',
    async () => {
      const client = new pg.Client({ connectionString: server.url() });
      await client.connect();
      await client.query('CREATE TABLE IF NOT EXISTS dumped_by_all (a int)');
      await client.end();
      const dumped = await tool('pg_dumpall', '-l', 'ledger');
      expect(dumped).toContain('CREATE TABLE public.dumped_by_all');
      expect(dumped.match(/^\\connect .*/gm)).toEqual(['\\connect ledger']);
      await tool('vacuumdb', '--analyze', '--quiet');
    },
    120_000,
  );
});

describe('pg_dump --schema-only', () => {
  const server = serve();

  test('of a node loads into PostgreSQL 15 and is dumped the same from there', async () => {
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    await client.query('DROP SCHEMA IF EXISTS shop CASCADE');
    for (const statement of SCHEMA.split(';\n')) await client.query(statement);
    await client.end();
    const dumped = await dump(server.adminUrl());
    expect(dumped).toContain('CREATE TABLE shop.item');
    expect(dumped).not.toContain('SET STATISTICS');
    expect(await dump(server.adminUrl(), '--no-owner')).not.toContain('pg_catalog.pg_');

    const reference = new URL(process.env['PGTEST_URL'] ?? '');
    const admin = new pg.Client({ connectionString: reference.href });
    await admin.connect();
    try {
      await admin.query('DROP DATABASE IF EXISTS trustsql_dump');
      await admin.query('CREATE DATABASE trustsql_dump');
      reference.pathname = '/trustsql_dump';
      const flags = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', reference.href];
      const loaded = await run(findProgram('psql') ?? 'psql', flags, { input: dumped });
      expect(loaded).toMatchObject({ code: 0, stderr: '' });
      expect(comparable(await dump(reference.href))).toEqual(comparable(dumped));
    } finally {
      await admin.query('DROP DATABASE IF EXISTS trustsql_dump');
      await admin.end();
    }
  }, 60_000);
});

const OF_SHOP = ['--no-owner', '--no-privileges', '--schema', 'shop'];

async function dump(url: string, ...flags: string[]): Promise<string> {
  const chosen = flags.length === 0 ? OF_SHOP : flags;
  const program = findProgram('pg_dump') ?? 'pg_dump';
  const dumped = await run(program, ['--schema-only', ...chosen, url]);
  expect(dumped.stderr).toBe('');
  expect(dumped.code).toBe(0);
  return dumped.stdout;
}

/** The statements of a dump, without comments and the session's settings. */
function comparable(text: string): string[] {
  return text.split('\n').filter((line) => !/^(--|SET |SELECT pg_catalog|\\|$)/.test(line));
}
