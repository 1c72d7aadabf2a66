// Random statements on a node and on PostgreSQL 15: the same rows, columns, types, command tag, SQLSTATE and state of the
// transaction. Shell; run by .ci/run.
//
//     PGTEST_URL=… node tests/slow/differential.ts [--statements 24000] [--seed n] [--only queries|changes] [--spread]
//
// With --spread the tables with a primary key are spread over four shards (tests/golden/spread.ts).
//
// Prints its seed and each statement that differs. A refusal (0A000) is no difference, but is counted and named.

import { once } from 'node:events';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { seeded } from '../end-to-end/crash-workload.ts';
import { NodeProcess } from '../end-to-end/process.ts';
import { CHANGES_RESET, CHANGES_SETUP, ChangeGenerator } from '../differential/random-changes.ts';
import { QueryGenerator, SETUP } from '../differential/random-queries.ts';
import { spreadTables } from '../golden/spread.ts';

const { values: flags } = parseArgs({
  options: {
    statements: { type: 'string', default: '24000' },
    // One and the same in CI, where a finding must not depend on the day; by hand, any: --seed $RANDOM.
    seed: { type: 'string', default: '228121' },
    only: { type: 'string' },
    spread: { type: 'boolean', default: false },
  },
});
const SHOWN_MAX = 20;
/** Of the statements, those that are part of changes. */
const CHANGES_SHARE = 0.5;
/** OIDs from here on are those of types that the tables made, and differ from server to server. */
const USER_OID_MIN = 16_384;

interface Answer {
  /** Columns with their types, rows, command tag; or the error. */
  readonly text: string;
  /** SQLSTATE, or empty. */
  readonly code: string;
}

/** Statements that belong together: where one differs, the next cannot be compared. */
interface Episode {
  readonly statements: readonly string[];
  /** Whether each has one error at most, so that the very SQLSTATE counts. */
  readonly exact: boolean;
}

async function connect(url: string, spread: boolean): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, types: { getTypeParser: () => String } });
  await client.connect();
  for (const statement of [...SETUP, ...CHANGES_SETUP, ...CHANGES_RESET])
    await client.query(spread ? spreadTables(statement) : statement);
  return client;
}

async function ask(client: pg.Client, text: string): Promise<Answer> {
  // An error is told before the server is ready again, and says how the transaction is.
  const ready = once(client, 'drain');
  const answer = await client
    .query<unknown[]>({ text, rowMode: 'array' })
    .then((result) => ({ text: printResult(text, result), code: '' }))
    .catch(({ code = 'lost', message, constraint = '' }: pg.DatabaseError) => ({
      text: `${code}: ${message}\n${constraint}`,
      code,
    }));
  await ready;
  return { ...answer, text: `${answer.text}\ntransaction ${client.getTransactionStatus()}` };
}

function printResult(text: string, result: pg.QueryArrayResult): string {
  const lines = result.rows.map((row) => row.map((value) => value ?? '∅').join('|'));
  // The order is open where nothing says it.
  if (!text.includes('ORDER BY')) lines.sort();
  // The modifier of a type is left out: it depends on how much of an expression was computed beforehand.
  const heads = result.fields.map(({ name, dataTypeID }) => {
    return `${name}:${dataTypeID < USER_OID_MIN ? dataTypeID : 'user'}`;
  });
  return [heads.join('|'), ...lines, `${result.command} ${result.rowCount ?? ''}`].join('\n');
}

/** Which error of data comes first is not always defined: then those of class 22 are one. */
function same(left: Answer, right: Answer, exact: boolean): boolean {
  if (left.code === '' && right.code === '') return left.text === right.text;
  if (exact) return left.code === right.code && lastLines(left) === lastLines(right);
  const [one, other] = [left.code, right.code].map((code) => (code.startsWith('22') ? '22' : code));
  return one === other;
}

/** Of an error all but its message, whose words are those of another version. */
function lastLines({ text }: Answer): string {
  return text.split('\n').slice(-2).join('\n');
}

function* episodes(seed: number): Generator<Episode> {
  const random = seeded(seed);
  const [queries, changes] = [new QueryGenerator(random), new ChangeGenerator(random)];
  let [asked, changed] = [0, 0];
  for (;;) {
    const share = { queries: 0, changes: 1 }[flags.only ?? ''] ?? CHANGES_SHARE;
    const change = changed < asked * share || share === 1;
    const statements = change ? changes.episode() : [queries.query()];
    asked += statements.length;
    if (change) changed += statements.length;
    yield { statements, exact: change };
  }
}

class Comparison {
  asked = 0;
  differing = 0;
  readonly #refused = new Map<string, number>();
  readonly #ours: pg.Client;
  readonly #theirs: pg.Client;

  constructor(ours: pg.Client, theirs: pg.Client) {
    this.#ours = ours;
    this.#theirs = theirs;
  }

  async run({ statements, exact }: Episode): Promise<void> {
    for (const [at, text] of statements.entries()) {
      this.asked += 1;
      const [answer, expected] = await Promise.all([
        ask(this.#ours, text),
        ask(this.#theirs, text),
      ]);
      if (same(answer, expected, exact)) continue;
      if (answer.code === '0A000') {
        const [message = ''] = answer.text.split('\n');
        this.#refused.set(message, (this.#refused.get(message) ?? 0) + 1);
      } else {
        this.differing += 1;
        if (this.differing <= SHOWN_MAX) show(statements.slice(0, at + 1), expected, answer);
      }
      if (exact) await this.#reset();
      return;
    }
  }

  async #reset(): Promise<void> {
    for (const client of [this.#ours, this.#theirs]) {
      if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK');
      for (const statement of CHANGES_RESET) await client.query(statement);
    }
  }

  report(): void {
    for (const [message, count] of this.#refused) console.log(`refused ${count} times: ${message}`);
    console.log(`${this.differing} of ${this.asked} statements differ`);
  }
}

function show(statements: readonly string[], expected: Answer, actual: Answer): void {
  const [left, right] = [expected.text.split('\n'), actual.text.split('\n')];
  const at = left.findIndex((line, index) => line !== right[index]);
  const line = at < 0 ? left.length : at;
  console.log(`\n${statements.join(';\n')}\n  line ${line}`);
  console.log(`  - ${left[line] ?? '(no more)'}\n  + ${right[line] ?? '(no more)'}`);
}

async function main(): Promise<number> {
  const reference = process.env['PGTEST_URL'];
  if (reference === undefined) {
    console.log('skipped: PGTEST_URL names no PostgreSQL');
    return process.env['CI'] === undefined ? 0 : 1;
  }
  const given = process.env['GOLDEN_URL'];
  await using node =
    given === undefined ? await NodeProcess.start('--state-shards', '4') : undefined;
  const ours = await connect(given ?? (await node?.clearUrl()) ?? '', flags.spread);
  const theirs = await connect(reference, false);
  console.log(`differential: ${flags.statements} statements, seed ${flags.seed}`);
  const comparison = new Comparison(ours, theirs);
  for (const episode of episodes(Number(flags.seed))) {
    await comparison.run(episode);
    if (comparison.asked >= Number(flags.statements)) break;
  }
  await ours.end();
  await theirs.end();
  comparison.report();
  return comparison.differing === 0 ? 0 : 1;
}

process.exitCode = await main();
