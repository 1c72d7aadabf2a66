import { describe, expect, test } from '@jest/globals';
import { isSqlError } from '../../../ledger/error.ts';
import type { SqlError } from '../../../ledger/error.ts';
import {
  parseStatements,
  passwordOf,
  redactSecrets,
  replaceParameters,
  takeStorageOptions,
  useCatalogViews,
  usingOf,
  withoutConcurrently,
} from '../../../sql/parse.ts';
import type { ParsedStatement } from '../../../sql/parse.ts';

function failure(text: string): SqlError {
  try {
    parseStatements(text);
  } catch (error) {
    if (isSqlError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

function only(text: string): ParsedStatement {
  return parseStatements(text)[0] as ParsedStatement;
}

describe('statements', () => {
  test('a text is split where Postgres splits it, in UTF-16 units', () => {
    const text = "select 'ä;😀' ; -- x;\n insert into t values (1) ;;";
    const statements = parseStatements(text);
    expect(statements.map(({ kind }) => kind)).toEqual(['SelectStmt', 'InsertStmt']);
    for (const { text: piece, start } of statements) {
      expect(text.slice(start, start + piece.length)).toBe(piece);
    }
    expect(statements[0]?.text).toBe("select 'ä;😀'");
  });

  test('an empty text and a comment have no statements', () => {
    expect(parseStatements('')).toEqual([]);
    expect(parseStatements(' -- nothing\n ;')).toEqual([]);
  });

  test('a syntax error has its position in characters from 1', () => {
    const error = failure("select '😀é' wher x y");
    expect(error.sqlstate).toBe('42601');
    expect(error.message).toBe('syntax error at or near "x"');
    expect(error.fields.position).toBe(18);
  });

  test('a NUL is refused', () => {
    expect(failure('select 1\0').sqlstate).toBe('22021');
  });

  test('a statement too deep is 54001, again and again, and the parser goes on', async () => {
    const deep = `select ${'1+'.repeat(30_000)}1`;
    for (let i = 0; i < 6; i += 1) expect(failure(deep).sqlstate).toBe('54001');
    expect(only('select 1').kind).toBe('SelectStmt');
  });
});

describe('secrets', () => {
  test('a password is known and taken out by its place', () => {
    const statement = only("create role ä login password 'it''s' valid until '2030-01-01'");
    expect(passwordOf(statement)).toBe("it's");
    expect(redactSecrets(statement)).toBe(
      "create role ä login password NULL    valid until '2030-01-01'",
    );
  });

  test('an alter without a password stays as it is', () => {
    const statement = only("alter role a valid until 'infinity'");
    expect(passwordOf(statement)).toBeUndefined();
    expect(redactSecrets(statement)).toBe(statement.text);
    expect(passwordOf(only('alter role a password null'))).toBeNull();
  });

  test('a unicode string with its own escape character is taken out whole', () => {
    const statement = only("alter user a password U&'p!0061ss' uescape '!' login");
    expect(redactSecrets(statement)).toMatch(/^alter user a password NULL +login$/);
  });
});

describe('storage options', () => {
  test.each([
    ['create table t (a int) with (ledger = append_only, shard = 2)', 'create table t (a int)'],
    [
      'create table t (a int) with (shard = 2, fillfactor = 70)',
      'create table t (a int) with ( fillfactor = 70)',
    ],
    [
      'create table t (a int) with (fillfactor = 70, shard = 2)',
      'create table t (a int) with (fillfactor = 70 )',
    ],
    [
      'alter table t set (shard = 2), add b int',
      'alter table t RESET (log_autovacuum_min_duration), add b int',
    ],
  ])('%s', (text, rest) => {
    const taken = takeStorageOptions(text);
    expect(taken.text.replaceAll(/ +/g, ' ').trim()).toBe(rest);
    expect(taken.options.get('shard')).toBe('2');
  });

  test('a table called ledger has none', () => {
    const text = 'create table ledger (shard int)';
    expect(takeStorageOptions(text)).toEqual({ text, options: new Map() });
  });
});

describe('rewriting by place', () => {
  test('catalogs that have changed since 15 are read through their views', () => {
    expect(useCatalogViews("select 'pg_constraint', c.oid from pg_catalog.pg_constraint c")).toBe(
      "select 'pg_constraint', c.oid from pg_catalog.pg_constraint_15 c",
    );
    expect(useCatalogViews('select pg_database.oid from pg_database')).toBe(
      'select pg_database.oid from pg_database_15 AS pg_database',
    );
    expect(useCatalogViews('select xmin from pg_attribute')).toBe(
      'select xmin from pg_attribute_15_system AS pg_attribute',
    );
    const own = 'with pg_constraint as (select 1) select * from pg_constraint';
    expect(useCatalogViews(own)).toBe(own);
  });

  test('columns of those catalogs lose the schema that the alias of the view has not', () => {
    expect(
      useCatalogViews(
        'select pg_catalog.pg_constraint.conname, pg_catalog.pg_class.relname from ' +
          'pg_catalog.pg_class join pg_catalog.pg_constraint on ' +
          '"pg_catalog" . pg_constraint.conrelid = pg_catalog.pg_class.oid',
      ),
    ).toBe(
      'select            pg_constraint.conname, pg_catalog.pg_class.relname from ' +
        'pg_catalog.pg_class join pg_catalog.pg_constraint_15 AS pg_constraint on ' +
        '               pg_constraint.conrelid = pg_catalog.pg_class.oid',
    );
    const nested =
      'select (select pg_catalog.pg_database.* from pg_class limit 1) from pg_catalog.pg_database';
    expect(useCatalogViews(nested)).toBe(
      'select (select            pg_database.* from pg_class limit 1) from pg_catalog.pg_database_15 AS pg_database',
    );
    const own = 'select pg_catalog.pg_constraint.a from public.pg_constraint';
    expect(useCatalogViews(own)).toBe(own);
  });

  test('parameters are replaced, strings are not', () => {
    expect(replaceParameters("select $1, '$1', $12", (n) => `<${n}>`)).toBe(
      "select <1>, '$1', <12>",
    );
  });

  test('the conversion of a column is what stands after USING', () => {
    const statement = only(
      'alter table t alter a type int using f(a, 1), alter b type text using b || $$, using$$',
    );
    expect(usingOf(statement, 'a')).toBe('f(a, 1)');
    expect(usingOf(statement, 'b')).toBe('b || $$, using$$');
    expect(usingOf(only('alter table t alter a type int'), 'a')).toBeUndefined();
  });

  test('CONCURRENTLY is left out of indexes only', () => {
    expect(withoutConcurrently('create index concurrently i on t (a)')).toBe(
      'create index              i on t (a)',
    );
    const text = 'create index i on concurrently_t (a)';
    expect(withoutConcurrently(text)).toBe(text);
  });
});
