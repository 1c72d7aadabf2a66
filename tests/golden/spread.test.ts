// The golden files of SQL on a node whose tables are spread over several shards: the same answers. Shell.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { globSync } from 'node:fs';
import path from 'node:path';
import { NodeProcess } from '../end-to-end/process.ts';
import { differences, GOLDEN_DIRECTORY, runFile } from './run.ts';
import { spreadTables } from './spread.ts';

const FILE_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 90_000;

/** Files whose answers depend on how rows lie, and why. */
const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ['ddl/alter_drop_column.test', 'drops the primary key, which rows are spread by'],
  ['type/numeric_rows.test', 'groups 1.5 and 1.50, and shows whichever comes first'],
]);

test('CREATE TABLE is spread by the first column of its primary key', () => {
  const made = [
    ['CREATE TABLE t (a int PRIMARY KEY)', "CREATE TABLE t (a int PRIMARY KEY) WITH (shard_by = 'a')"],
    [
      "CREATE TABLE ä (b text, a int, PRIMARY KEY (a, b)); SELECT 'ö'",
      "CREATE TABLE ä (b text, a int, PRIMARY KEY (a, b)) WITH (shard_by = 'a'); SELECT 'ö'",
    ],
    ['CREATE TABLE t (a int)', 'CREATE TABLE t (a int)'],
    ['CREATE TABLE t (a int[] PRIMARY KEY)', 'CREATE TABLE t (a int[] PRIMARY KEY)'],
    ['CREATE TABLE (', 'CREATE TABLE ('],
  ];
  for (const [text, spread] of made) expect(spreadTables(text!)).toBe(spread);
});

describe('a node with spread tables answers as the golden files say', () => {
  let node: NodeProcess;
  let url: string;
  beforeAll(async () => {
    node = await NodeProcess.start('--state-shards', '4');
    url = await node.clearUrl();
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await node[Symbol.asyncDispose]();
  });
  for (const file of globSync('**/*.test', { cwd: GOLDEN_DIRECTORY }).sort()) {
    if (EXCEPTIONS.has(file)) continue;
    test(
      file,
      async () => {
        const target = { server: 'trustsql', url, spread: true } as const;
        const outcome = await runFile(path.join(GOLDEN_DIRECTORY, file), target, 'extended');
        expect(differences(outcome, true).join('\n')).toBe('');
      },
      FILE_TIMEOUT_MS,
    );
  }
});
