import { expect, test } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { logBytes, openDatabase } from '../../../storage/sqlite.ts';

/** Where the kernel lists locks. */
const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('looking at the length of a log leaves SQLite its locks', () => {
  const directory = mkdtempSync(join(tmpdir(), 'trustsql-sqlite-'));
  const path = join(directory, 'file.sqlite');
  const database = openDatabase(path);
  database.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1)');
  const { ino } = statSync(`${path}-shm`);
  const locks = (): string[] =>
    readFileSync('/proc/locks', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`:${ino} `))
      .map((line) => line.slice(line.indexOf(':')));
  const before = locks();
  expect(before.length).toBeGreaterThan(0);
  const bytes = logBytes(path);
  expect(bytes).toBeGreaterThan(0);
  expect(logBytes(path)).toBe(bytes);
  expect(locks()).toEqual(before);
  database.close();
  // Made anew under the same name, it is the new one that is looked at.
  const again = openDatabase(path);
  expect(logBytes(path)).toBe(0);
  again.exec('INSERT INTO t VALUES (2)');
  expect(logBytes(path)).toBeGreaterThan(0);
  expect(locks).not.toThrow();
  again.close();
  rmSync(directory, { recursive: true });
});
