// Answers of a real PostgreSQL to the corpus, recorded so that the tests run without one. Shell.
//
// `PGTEST_URL=postgres://… node tests/differential/record.ts` writes them anew.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { Answer } from './compile.ts';

export const CORPORA = ['queries', 'values', 'reports'] as const;

const SEPARATOR = '\n-- queries\n';

export interface Corpus {
  readonly setUp: string;
  readonly statements: readonly string[];
}

export function corpusPath(name: string, extension: string): string {
  return fileURLToPath(new URL(`./corpus/${name}.${extension}`, import.meta.url));
}

export function readCorpus(name: string): Corpus {
  const [setUp = '', rest = ''] = readFileSync(corpusPath(name, 'sql'), 'utf8').split(SEPARATOR);
  const statements = rest
    .split(/;\s*\n/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
  return { setUp, statements };
}

/** Answers by statement. */
export function readAnswers(name: string): Readonly<Record<string, Answer>> {
  return JSON.parse(readFileSync(corpusPath(name, 'json'), 'utf8')) as Record<string, Answer>;
}

/** Runs a corpus in a schema of its own, which is dropped again. */
export async function askPostgres(url: string, corpus: Corpus): Promise<Record<string, Answer>> {
  const types = { getTypeParser: () => (value: unknown) => value };
  const client = new pg.Client({ connectionString: url, types: types as never });
  await client.connect();
  try {
    await client.query('create schema differential');
    await client.query("set search_path = differential; set timezone = 'UTC'");
    await client.query(corpus.setUp);
    const answers: Record<string, Answer> = {};
    for (const text of corpus.statements) {
      try {
        const { rows } = await client.query({ text, rowMode: 'array' });
        answers[text] = { rows: rows as (string | null)[][], error: null };
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        answers[text] = { rows: [], error: `${code} ${message}` };
      }
    }
    return answers;
  } finally {
    await client.query('drop schema if exists differential cascade');
    await client.end();
  }
}
