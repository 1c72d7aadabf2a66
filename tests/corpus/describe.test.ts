// Statements of real clients: the node describes them as PostgreSQL 15 does, parameters and columns.
//
// client_queries.jsonl holds one statement a line, with what PostgreSQL 15 said of it on fixture.sql. Parts of
// the fixture go beyond what a ledger does: those are refused with 0A000, and statements that need them
// are counted apart. PGTEST_URL, when set, is asked the same, so that the file stays honest.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { NodeProcess } from '../end-to-end/process.ts';

interface Described {
  readonly params: readonly string[];
  readonly columns: readonly (readonly [string, string])[];
}

interface Entry {
  readonly source: string;
  readonly name: string;
  readonly sql: string;
  readonly pg15?: Described;
}

const ENTRIES = readFileSync(path.join(import.meta.dirname, 'client_queries.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Entry);
const FIXTURE = readFileSync(path.join(import.meta.dirname, 'fixture.sql'), 'utf8');

/** What the fixture has that a ledger refuses; a statement that names one of these cannot be described. */
const REFUSED = /\b(mv|part1?|addone|trg)\b/;

/** Relations that a client makes for itself and the fixture has not; catalog queries may name them in strings. */
const ABSENT = new RegExp(
  [
    'drizzle_migrations',
    '(from|into) "(knex|kysely)_migration',
    '(FROM|JOIN) "Users"',
    'pgboss[.](queue|job|inst|version)',
    '(FROM|INTO) (su\\b|"auth_|"django_)',
    '(into|UPDATE|INTO) pgbench_',
  ].join('|'),
);

/** Differences from PostgreSQL 15 that are meant, by "source | name", with the reason. */
const MEANT: ReadonlyMap<string, string> = new Map([
  ['postgres.js | extended #13', 'pg_notify is refused, as NOTIFY is: a ledger has no channels'],
  [
    'dbeaver | captured #15 (datafusion-postgres tests/dbeaver.rs)',
    'pg_class.* is that of PostgreSQL 18: it has relallfrozen too',
  ],
  [
    'tableau | select into check (crate#10213)',
    'SELECT … INTO and temporary tables are refused: every table is part of the ledger',
  ],
]);

type Wire = {
  parse(statement: { text: string }, more: boolean): void;
  describe(what: { type: 'S' }, more: boolean): void;
  sync(): void;
  once(event: string, listener: (message: never) => void): void;
};

/** Parse and Describe of a statement: OIDs of parameters, names and OIDs of columns; or the error. */
class Description {
  parameters: readonly number[] = [];
  columns: readonly { name: string; dataTypeID: number }[] = [];
  readonly #text: string;
  readonly #resolve: (error?: { code?: string; message: string }) => void;

  constructor(text: string, resolve: (error?: { code?: string; message: string }) => void) {
    this.#text = text;
    this.#resolve = resolve;
  }

  submit(wire: Wire): void {
    wire.once('parameterDescription', (message: { dataTypeIDs: number[] }) => {
      this.parameters = message.dataTypeIDs;
    });
    wire.parse({ text: this.#text }, true);
    wire.describe({ type: 'S' }, true);
    wire.sync();
  }

  handleRowDescription(message: { fields: { name: string; dataTypeID: number }[] }): void {
    this.columns = message.fields;
  }

  handleError(error: { code?: string; message: string }): void {
    this.#resolve(error);
  }

  handleReadyForQuery(): void {
    this.#resolve();
  }
}

class Describer {
  readonly #client: pg.Client;
  readonly #names = new Map<number, string>();

  constructor(url: string) {
    this.#client = new pg.Client({ connectionString: url });
  }

  /** Connects, makes the fixture, and returns what was refused of it. */
  async open(): Promise<string[]> {
    await this.#client.connect();
    const refused: string[] = [];
    for (const statement of FIXTURE.split(/;\n|; (?=CREATE TABLE app)/)) {
      if (statement.trim() === '') continue;
      await this.#client.query(statement).catch((error: pg.DatabaseError) => {
        refused.push(`${error.code}: ${statement.slice(0, 60)}`);
      });
    }
    return refused;
  }

  async describe(text: string): Promise<Described | string> {
    let description: Description | undefined;
    const error = await new Promise<{ code?: string; message: string } | undefined>((resolve) => {
      description = new Description(text, resolve);
      this.#client.query(description as unknown as pg.Submittable);
    });
    if (error !== undefined) return `${error.code}: ${error.message}`;
    const { parameters, columns } = description!;
    await this.#learn([...parameters, ...columns.map((column) => column.dataTypeID)]);
    const name = (oid: number): string => this.#names.get(oid) ?? String(oid);
    return {
      params: parameters.map(name),
      columns: columns.map((column) => [column.name, name(column.dataTypeID)]),
    };
  }

  async #learn(oids: readonly number[]): Promise<void> {
    const unknown = oids.filter((oid) => !this.#names.has(oid));
    if (unknown.length === 0) return;
    const { rows } = await this.#client.query<{ oid: number; name: string }>(TYPE_NAMES, [unknown]);
    for (const { oid, name } of rows) this.#names.set(oid, name);
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

/** As the corpus writes them: an array type as its element's name and [], the vectors of the catalogs too. */
const TYPE_NAMES = `
  SELECT oid, CASE WHEN typcategory = 'A' THEN ltrim(typname, '_') || '[]' ELSE typname END AS name
  FROM pg_catalog.pg_type WHERE oid = ANY ($1::oid[])`;

async function differencesOf(describer: Describer): Promise<string[]> {
  const found: string[] = [];
  for (const { source, name, sql, pg15 } of ENTRIES) {
    if (pg15 === undefined || REFUSED.test(sql) || ABSENT.test(sql)) continue;
    if (MEANT.has(`${source} | ${name}`)) continue;
    const actual = await describer.describe(sql);
    if (JSON.stringify(actual) === JSON.stringify(pg15)) continue;
    const text = sql.replaceAll(/\s+/g, ' ').slice(0, 100);
    found.push(
      `${source} | ${name} | ${text}\n  - ${JSON.stringify(pg15)}\n  + ${JSON.stringify(actual)}`,
    );
  }
  return found;
}

const TIMEOUT_MS = 120_000;

/** So many of the corpus must remain after what cannot be asked. */
const ASKED_MIN = 350;

describe('statements of real clients', () => {
  let node: NodeProcess | undefined;
  let describer: Describer;
  let refused: string[] = [];
  beforeAll(async () => {
    node = process.env['GOLDEN_URL'] === undefined ? await NodeProcess.start() : undefined;
    describer = new Describer(process.env['GOLDEN_URL'] ?? (await node!.clearUrl()));
    refused = await describer.open();
  }, TIMEOUT_MS);
  afterAll(async () => {
    await describer.close();
    await node?.[Symbol.asyncDispose]();
  });

  test('what the node does not do of the fixture is refused with 0A000', () => {
    expect(refused.filter((line) => !line.startsWith('0A000'))).toEqual([]);
  });

  test(
    'are described as PostgreSQL 15 describes them',
    async () => {
      const asked = ENTRIES.filter(
        ({ sql, pg15 }) => pg15 !== undefined && !REFUSED.test(sql) && !ABSENT.test(sql),
      );
      expect(asked.length).toBeGreaterThan(ASKED_MIN);
      const found = await differencesOf(describer);
      expect(found.join('\n')).toBe('');
    },
    TIMEOUT_MS,
  );
});
