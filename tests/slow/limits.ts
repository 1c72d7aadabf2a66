// What a node does at its limits, and beyond them. Shell; run by .ci/run. Linux.
//
//     node tests/slow/limits.ts [--only <part of a name>]
//
// Every case says what was seen. Statements are taken by a PostgreSQL 15 as well where PGTEST_URL names one: the same
// must come out, or the case says why not. After each case the node must still serve others: nobody starts it again.

import { database } from '../consistency/sessions.ts';
import { NodeProcess } from '../end-to-end/process.ts';
import { served, Skipped, withClient } from '../limits/case.ts';
import type { Case } from '../limits/case.ts';
import { CONNECTION_CASES, CONNECTION_FLAGS } from '../limits/connections.ts';
import { MACHINE_CASES } from '../limits/machine.ts';
import { STATEMENTS_AT_LIMITS } from '../limits/statements.ts';
import type { Statements } from '../limits/statements.ts';

const REFERENCE = process.env['PGTEST_URL'];
/** Of what comes out, so many characters are shown. */
const SHOWN_CHARACTERS_MAX = 300;

function fault(expected: string, found: string, where: string): void {
  if (found === expected) return;
  const [wanted, had] = [expected, found].map((text) => text.slice(0, SHOWN_CHARACTERS_MAX));
  throw new Error(`${where}: ${had}; expected ${wanted}`);
}

function comparison(url: string, reference: string | null, each: Statements): Case {
  return {
    name: each.name,
    run: async () => {
      fault(each.expected, await withClient(url, each.run), 'the node');
      if (reference !== null) {
        const expected = each.postgres?.expected ?? each.expected;
        fault(expected, await withClient(reference, each.run), 'PostgreSQL');
      }
      return each.expected;
    },
  };
}

/** @returns whether it holds */
async function tried({ name, run }: Case, after: () => Promise<void>): Promise<boolean> {
  const began = performance.now();
  const seconds = (): string => `${((performance.now() - began) / 1_000).toFixed(1)} s`;
  try {
    const seen = await run();
    await after();
    console.log(`${name}: ${seen.slice(0, SHOWN_CHARACTERS_MAX)} (${seconds()})`);
    return true;
  } catch (error) {
    const skipped = Error.isError(error) && error.name === Skipped.name;
    console.log(`${name}: ${skipped ? 'skipped' : 'FAILED'}, ${String(error)} (${seconds()})`);
    return skipped;
  }
}

/** Cases that share a node, and whose statements the reference takes as well. */
async function ofOneNode(cases: (url: string, node: NodeProcess) => Promise<void>): Promise<void> {
  await using node = await NodeProcess.start(...CONNECTION_FLAGS);
  const url = await node.clearUrl();
  await served(url);
  await cases(url, node);
}

async function main(): Promise<number> {
  const only = process.argv[2] === '--only' ? (process.argv[3] ?? '') : '';
  const wanted = <T extends { readonly name: string }>(cases: readonly T[]): readonly T[] =>
    cases.filter(({ name }) => name.includes(only));
  let failed = 0;
  let count = 0;
  const all = async (cases: readonly Case[], after: () => Promise<void>): Promise<void> => {
    for (const each of cases) {
      count += 1;
      if (!(await tried(each, after))) failed += 1;
    }
  };
  const statements = wanted(STATEMENTS_AT_LIMITS);
  if (statements.length > 0) {
    await ofOneNode(async (url) => {
      const compared = async (reference: string | null): Promise<void> => {
        if (reference !== null) await served(reference);
        const cases = statements.map((each) => comparison(url, reference, each));
        await all(cases, () => served(url));
      };
      if (REFERENCE === undefined) await compared(null);
      else await database(REFERENCE, compared);
    });
  }
  const connections = wanted(CONNECTION_CASES);
  if (connections.length > 0) {
    await ofOneNode(async (url, node) => {
      const cases = connections.map(({ name, run }) => ({ name, run: () => run(url, node) }));
      await all(cases, () => served(url));
    });
  }
  await all(wanted(MACHINE_CASES), () => Promise.resolve());
  console.log(`${count - failed} of ${count} cases hold`);
  return failed === 0 && count > 0 ? 0 : 1;
}

process.exitCode = await main();
