// pgbench with its own scripts, unmodified: a million-row load in one transaction is tests/slow's and the
// benchmark's; here scale 1 and a few seconds show that every statement works and none fails.

import { describe, expect } from '@jest/globals';
import pg from 'pg';
import { findProgram, run, type Finished } from './process.ts';
import { serve, testWith } from './setting.ts';

const test = testWith('pgbench');

describe('pgbench', () => {
  const server = serve();
  const pgbench = (...flags: string[]): Promise<Finished> =>
    run(findProgram('pgbench') ?? 'pgbench', [...flags, server.adminUrl()]);

  test('initialises, with primary keys and foreign keys', async () => {
    const made = await pgbench('-i', '-s', '1', '--foreign-keys');
    expect(made.stderr).toContain('done in');
    expect(made.code).toBe(0);
  }, 120_000);

  const runs = [
    ['-S, prepared', '-S', '-M', 'prepared', '-c', '8', '-j', '2'],
    ['-S, simple', '-S', '-M', 'simple', '-c', '4'],
    ['-S, extended', '-S', '-M', 'extended', '-c', '4'],
    ['TPC-B, simple', '-M', 'simple', '-c', '4', '-j', '2'],
    ['TPC-B, prepared', '-M', 'prepared', '-c', '8', '-j', '2'],
    ['simple update', '-N', '-M', 'prepared', '-c', '4'],
  ] as const;
  for (const [name, ...flags] of runs) {
    test(`${name}: no transaction fails`, async () => {
      const { code, stdout, stderr } = await pgbench('-n', '-T', '2', ...flags);
      expect(stderr.replaceAll(/^pgbench \(.*\n/gm, '')).toBe('');
      expect(stdout).toContain('number of failed transactions: 0 (0.000%)');
      expect(Number(/actually processed: (\d+)/.exec(stdout)?.[1])).toBeGreaterThan(0);
      expect(code).toBe(0);
    }, 60_000);
  }

  test('and the sums agree afterwards', async () => {
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    const { rows } = await client.query(
      `SELECT (SELECT sum(abalance) FROM pgbench_accounts) AS accounts,
              (SELECT sum(tbalance) FROM pgbench_tellers) AS tellers,
              (SELECT sum(bbalance) FROM pgbench_branches) AS branches`,
    );
    const deltas = await client.query('SELECT count(*) > 0 AS some FROM pgbench_history');
    await client.end();
    expect(deltas.rows).toEqual([{ some: true }]);
    const [{ accounts, tellers, branches }] = rows as [Record<string, string>];
    expect(accounts).not.toBeNull();
    // -N leaves tellers and branches alone, so only those two must agree.
    expect(tellers).toBe(branches);
  });
});
