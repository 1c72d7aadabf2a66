// The anomalies that levels are told apart by, at a node and at PostgreSQL 15; then seeded histories of both for the checker.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { seeded } from '../end-to-end/crash-workload.ts';
import { NodeProcess } from '../end-to-end/process.ts';
import { testWith } from '../end-to-end/setting.ts';
import { ANOMALIES, LEVELS } from './anomalies.ts';
import type { Level } from './anomalies.ts';
import { isolationHistory } from './isolation-workload.ts';
import { isolationFaults } from './isolation.ts';
import { database, take } from './sessions.ts';

const TIMEOUT_MS = 300_000;
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const WORK = { clients: 4, transactions: 60 };
/** Without so many that commit a history says nothing. */
const COMMITTED_MIN = 20;

async function histories(url: string): Promise<void> {
  for (const level of LEVELS) {
    const history = await isolationHistory(url, level, seeded(SEED), WORK);
    const committed = history.filter(({ outcome }) => outcome === 'done').length;
    expect(committed).toBeGreaterThan(COMMITTED_MIN);
    expect({ seed: SEED, level, faults: isolationFaults(history, level) }).toEqual({
      seed: SEED,
      level,
      faults: [],
    });
  }
}

const CASES = ANOMALIES.flatMap((anomaly) =>
  LEVELS.map((level): [string, Level, (typeof ANOMALIES)[number]] => [
    anomaly.name,
    level,
    anomaly,
  ]),
);

describe('a node', () => {
  let node: NodeProcess;
  let url = '';
  beforeAll(async () => {
    node = await NodeProcess.start();
    url = await node.clearUrl();
  }, TIMEOUT_MS);
  afterAll(() => node[Symbol.asyncDispose](), TIMEOUT_MS);

  test.each(CASES)(
    '%s, %s',
    async (_, level, anomaly) => {
      const expected = anomaly.node?.answers[level] ?? anomaly.answers[level];
      expect(await take(url, anomaly, level)).toBe(expected);
    },
    TIMEOUT_MS,
  );

  test(`seeded histories are what their level promises`, () => histories(url), TIMEOUT_MS);
});

describe('PostgreSQL', () => {
  testWith('PGTEST_URL')(
    'answers the same, but where it says so',
    () =>
      database(process.env['PGTEST_URL']!, async (url) => {
        for (const [name, level, anomaly] of CASES) {
          expect([name, level, await take(url, anomaly, level)]).toEqual([
            name,
            level,
            anomaly.answers[level],
          ]);
        }
        await histories(url);
      }),
    TIMEOUT_MS,
  );
});
