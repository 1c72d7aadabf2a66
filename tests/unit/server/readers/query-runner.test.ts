import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { QueryRunner } from '../../../../server/readers/query-runner.ts';
import { openDatabase } from '../../../../storage/sqlite.ts';
import type { QueryRequest } from '../../../../server/readers/query-runner.ts';
import type { Database } from '../../../../storage/sqlite.ts';

let database: Database;
let runner: QueryRunner;

beforeEach(() => {
  database = openDatabase(':memory:');
  database.exec('CREATE TABLE _catalog (version); INSERT INTO _catalog VALUES (1)');
  database.exec("CREATE TABLE _meta (key, value); INSERT INTO _meta VALUES ('height', 0)");
  database.exec('CREATE TABLE r7 (_id); INSERT INTO r7 VALUES (1)');
  runner = new QueryRunner(database);
});

afterEach(() => void database.close());

const request: QueryRequest = {
  text: 'SELECT _id FROM r7',
  parameters: {},
  overlay: [],
  standIns: [],
  catalogVersion: 1,
  aligned: false,
};

/** As a reader sees it that comes between the commits of the two files. */
test('a table that is in no file is on its way from one to another: the statement runs again', () => {
  expect(runner.all(request)).toEqual([[1n]]);
  database.exec('DROP TABLE r7');
  const changed = expect.objectContaining({ sqlstate: 'TL005' });
  expect(() => runner.all(request)).toThrow(changed);
  expect(() => runner.iterate(request).next()).toThrow(changed);
  runner.clear();
  expect(() => runner.all(request)).toThrow(changed);
  const other = { ...request, text: 'SELECT _id FROM other' };
  expect(() => runner.all(other)).toThrow('no such table: other');
});

test('a snapshot of its own ends with the query, also with one that fails', () => {
  database.function('refuse', () => {
    throw new Error('refused');
  });
  const failing = { ...request, text: 'SELECT refuse() FROM r7', aligned: true };
  expect(() => [...runner.iterate(failing)]).toThrow('refused');
  expect(database.inTransaction).toBe(false);
  expect([...runner.iterate({ ...request, aligned: true })]).toEqual([[1n]]);
  expect(database.inTransaction).toBe(false);
});
