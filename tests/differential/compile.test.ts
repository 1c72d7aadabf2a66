// What the compiler and SQLite answer is what PostgreSQL 15 answers, statement by statement.

import { beforeAll, describe, expect, test } from '@jest/globals';
import { Ledger } from './compile.ts';
import { CORPORA, readAnswers, readCorpus } from './reference.ts';
import type { Answer } from './compile.ts';

/** Rows in their order where the statement asks for one, else as a bag. */
function comparable(statement: string, { error, rows }: Answer): unknown {
  const texts = rows.map((row) => JSON.stringify(row));
  return { error, rows: /order by/i.test(statement) ? texts : texts.sort() };
}

/** What follows from the order of rows where none is asked for, which is not that of a table that lies whole. */
const BY_ORDER: ReadonlySet<string> = new Set([
  'select n, count(*) from a group by n order by n',
  'select nums2, nums2[1], 1.1 = any(nums2), array_agg(n38) over () from p order by id',
  'select name::int from u',
]);

const WAYS = CORPORA.flatMap((name) => [
  [name, 'whole'],
  [name, 'spread'],
]) as [(typeof CORPORA)[number], string][];

describe.each(WAYS)('%s, tables that lie %s', (name, way) => {
  const corpus = readCorpus(name);
  const answers = readAnswers(name);
  let ledger: Ledger;

  beforeAll(async () => {
    ledger = await Ledger.start(way === 'spread');
    ledger.setUp(corpus.setUp);
  }, 60_000);

  const asked = corpus.statements.filter((text) => way === 'whole' || !BY_ORDER.has(text));
  test.each(asked)('%s', (statement) => {
    const expected = answers[statement];
    expect(expected).toBeDefined();
    const { error, rows } = ledger.answer(statement);
    expect(comparable(statement, { error, rows })).toEqual(comparable(statement, expected!));
  });
});
