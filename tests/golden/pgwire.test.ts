// The golden conversations with a node, and with PostgreSQL 15 where PGTEST_URL names one. Shell.
//
// GOLDEN_URL names a node that runs already. REWRITE=1 takes PostgreSQL's answers into the files.

import { globSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { serve } from '../end-to-end/setting.ts';
import { converse, rewrite } from './pgwire-walk.ts';

const DIRECTORY = path.join(path.dirname(fileURLToPath(import.meta.url)), 'pgwire');
const FILES = globSync('*.pgtest', { cwd: DIRECTORY }).sort();
const reference = process.env['PGTEST_URL'];

if (reference !== undefined) {
  test.each(FILES)('PostgreSQL in %s', async (name) => {
    const file = path.join(DIRECTORY, name);
    if (process.env['REWRITE'] === '1') await rewrite(file, reference);
    expect(await converse(file, reference)).toBe(readFileSync(file, 'utf8'));
  });
}

const TIMEOUT_MS = 60_000;

describe('TrustSQL', () => {
  const node = serve();
  test.each(FILES)(
    'in %s',
    async (name) => {
      const file = path.join(DIRECTORY, name);
      expect(await converse(file, node.url())).toBe(readFileSync(file, 'utf8'));
    },
    // The first statement waits for a fresh node's analyst.
    TIMEOUT_MS,
  );
});
