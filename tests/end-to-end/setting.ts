// What end-to-end tests share under Jest: a node for a whole file, and tests that need programs. Shell.

import { afterAll, beforeAll, test } from '@jest/globals';
import { findProgram, NodeProcess } from './process.ts';

/** Making a data directory and starting a node may take so long, in ms. */
const START_TIMEOUT_MS = 90_000;

/** A server for all tests of a file. */
export interface Served {
  /** For drivers: without TLS. */
  readonly url: () => string;
  /** For psql and its family: as the node prints it. */
  readonly adminUrl: () => string;
  readonly node: () => NodeProcess;
}

/** Starts a node before the tests of a file and ends it after them; GOLDEN_URL names one that runs already. */
export function serve(): Served {
  const running = process.env['GOLDEN_URL'];
  let node: NodeProcess | undefined;
  let url = running ?? '';
  let adminUrl = running ?? '';
  beforeAll(async () => {
    if (running !== undefined) return;
    node = await NodeProcess.start();
    url = await node.clearUrl();
    adminUrl = await node.adminUrl();
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await node?.[Symbol.asyncDispose]();
  }, START_TIMEOUT_MS);
  return {
    url: () => url,
    adminUrl: () => adminUrl,
    node: () => {
      if (node === undefined) throw new Error('this test needs a node of its own');
      return node;
    },
  };
}

/**
 * `test` when everything it needs is there. Otherwise it is skipped, and says so by its name; where CI is
 * set nothing may be missing, and it runs and fails.
 *
 * @param needs  programs, or names of environment variables in capitals
 */
export function testWith(...needs: readonly string[]): typeof test {
  const missing = needs.filter((need) =>
    /^[A-Z_]+$/.test(need) ? process.env[need] === undefined : findProgram(need) === undefined,
  );
  if (missing.length === 0 || process.env['CI'] !== undefined) return test;
  const skip = (name: string): void => test.skip(`${name} (needs ${missing.join(', ')})`, () => {});
  return skip as unknown as typeof test;
}
