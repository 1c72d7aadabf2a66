// The golden files of SQL against a node, and against PostgreSQL 15 where PGTEST_URL names one. Shell.
//
// GOLDEN_URL names a node that runs already; without it one is started here. Each file runs twice, over the
// simple and over the extended protocol. tests/golden/main.ts does the same by hand, and rewrites.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { globSync } from 'node:fs';
import path from 'node:path';
import { NodeProcess } from '../end-to-end/process.ts';
import { differences, GOLDEN_DIRECTORY, runFile } from './run.ts';
import type { Protocol, Server } from './walk.ts';

const FILES = globSync('**/*.test', { cwd: GOLDEN_DIRECTORY }).sort();
const PROTOCOLS: readonly Protocol[] = ['simple', 'extended'];
const FILE_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 90_000;

function runFiles(server: Server, url: () => string): void {
  for (const file of FILES) {
    for (const protocol of PROTOCOLS) {
      test(
        `${file} ${protocol}`,
        async () => {
          const target = { server, url: url() };
          const outcome = await runFile(path.join(GOLDEN_DIRECTORY, file), target, protocol);
          expect(differences(outcome).join('\n')).toBe('');
        },
        FILE_TIMEOUT_MS,
      );
    }
  }
}

describe('TrustSQL answers as the golden files say', () => {
  let node: NodeProcess | undefined;
  let url = process.env['GOLDEN_URL'];
  beforeAll(async () => {
    if (url !== undefined) return;
    node = await NodeProcess.start();
    url = await node.clearUrl();
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await node?.[Symbol.asyncDispose]();
  });
  runFiles('trustsql', () => url ?? '');
});

const reference = process.env['PGTEST_URL'];
if (reference !== undefined) {
  describe('PostgreSQL answers as the golden files say', () => runFiles('postgres', () => reference));
}
