// Random queries on a node and on PostgreSQL 15: the same rows, or an error of the same class. Shell; run by .ci/run.
//
//     PGTEST_URL=… node tests/slow/differential.ts [--queries 3000] [--seed n]
//
// Prints its seed and each query that differs. A refusal (0A000) is no difference, but is counted and named.

import { parseArgs } from 'node:util';
import pg from 'pg';
import { seeded } from '../end-to-end/crash-workload.ts';
import { NodeProcess } from '../end-to-end/process.ts';
import { QueryGenerator, SETUP } from '../differential/random-queries.ts';

const { values: flags } = parseArgs({
  options: {
    queries: { type: 'string', default: '3000' },
    // One and the same in CI, where a finding must not depend on the day; by hand, any: --seed $RANDOM.
    seed: { type: 'string', default: '228121' },
  },
});
const SHOWN_MAX = 20;

interface Answer {
  readonly text: string;
  /** SQLSTATE, or empty. */
  readonly code: string;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, types: { getTypeParser: () => String } });
  await client.connect();
  for (const statement of SETUP) await client.query(statement);
  return client;
}

async function ask(client: pg.Client, text: string): Promise<Answer> {
  try {
    const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' });
    return {
      text: rows.map((row) => row.map((value) => value ?? '∅').join('|')).join('\n'),
      code: '',
    };
  } catch (error) {
    const { code, message } = error as pg.DatabaseError;
    return { text: `${code}: ${message}`, code: code ?? 'lost' };
  }
}

/** Which data error comes first is not defined, so those of class 22 are one. */
function same(left: Answer, right: Answer): boolean {
  if (left.code === '' && right.code === '') return left.text === right.text;
  const [one, other] = [left.code, right.code].map((code) => (code.startsWith('22') ? '22' : code));
  return one === other;
}

async function main(): Promise<number> {
  const reference = process.env['PGTEST_URL'];
  if (reference === undefined) {
    console.log('skipped: PGTEST_URL names no PostgreSQL');
    return process.env['CI'] === undefined ? 0 : 1;
  }
  const given = process.env['GOLDEN_URL'];
  await using node = given === undefined ? await NodeProcess.start() : undefined;
  const ours = await connect(given ?? (await node?.clearUrl()) ?? '');
  const theirs = await connect(reference);
  console.log(`differential: ${flags.queries} queries, seed ${flags.seed}`);
  const generator = new QueryGenerator(seeded(Number(flags.seed)));
  const refused = new Map<string, number>();
  let differing = 0;
  for (let n = 0; n < Number(flags.queries); n += 1) {
    const text = generator.query();
    const [answer, expected] = [await ask(ours, text), await ask(theirs, text)];
    if (answer.code === '0A000' && expected.code !== '0A000') {
      refused.set(answer.text, (refused.get(answer.text) ?? 0) + 1);
      continue;
    }
    if (same(answer, expected)) continue;
    differing += 1;
    if (differing > SHOWN_MAX) continue;
    console.log(`\n${text}\n${firstDifference(expected.text, answer.text)}`);
  }
  await ours.end();
  await theirs.end();
  for (const [message, count] of refused) console.log(`refused ${count} times: ${message}`);
  console.log(`${differing} of ${flags.queries} queries differ`);
  return differing === 0 ? 0 : 1;
}

function firstDifference(expected: string, actual: string): string {
  const [left, right] = [expected.split('\n'), actual.split('\n')];
  const at = left.findIndex((line, index) => line !== right[index]);
  const line = at < 0 ? left.length : at;
  return `  row ${line}\n  - ${left[line] ?? '(no more rows)'}\n  + ${right[line] ?? '(no more rows)'}`;
}

process.exitCode = await main();
