// Runs one golden file against a server, over one protocol. Shell.
//
// Every file has a schema of its own, named after its path, dropped and made anew before it starts and
// dropped when it ends: one server serves all files, at once if need be.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { GoldenSession, type Request } from './session.ts';
import { spreadTables } from './spread.ts';
import { parse, type GoldenRecord, type Protocol, type Server } from './walk.ts';

export interface Target {
  readonly server: Server;
  /** postgresql://user:password@host:port/database */
  readonly url: string;
  /** Tables are spread over the shards of the node (tests/golden/spread.ts). */
  readonly spread?: boolean;
}

/** The folder of the golden files of SQL. */
export const GOLDEN_DIRECTORY = path.join(import.meta.dirname, 'sql');

/** A file's records, each with the answer it got; undefined where this run does not ask it. */
export type Outcome = readonly {
  readonly record: GoldenRecord;
  readonly answer: readonly string[] | undefined;
}[];

/** Runs `file` and returns what the server answered. @throws Error when it cannot connect. */
export async function runFile(file: string, target: Target, protocol: Protocol): Promise<Outcome> {
  const records = parse(await readFile(file, 'utf8'));
  const schema = schemaOf(file);
  const sessions = new Map<string, GoldenSession>();
  const waiting = new Map<string, Promise<string[]>>();
  const sessionOf = async (name: string): Promise<GoldenSession> => {
    const open = sessions.get(name) ?? (await openSession(target, schema, sessions.size === 0));
    sessions.set(name, open);
    return open;
  };
  const answerOf = async (record: GoldenRecord): Promise<readonly string[] | undefined> => {
    if (record.server !== undefined && record.server !== target.server) return undefined;
    if (record.finish !== undefined) return (await waiting.get(record.finish)) ?? ['(not waiting)'];
    if (record.sql === '') return undefined;
    const request = requestOf(record, protocol, target.spread ?? false);
    if (request === undefined) return undefined;
    const session = await sessionOf(record.session);
    if (!record.background) return session.run(request);
    waiting.set(record.session, session.run(request));
    await delay(BACKGROUND_START_MS);
    return ['(in the background)'];
  };
  const outcome: { record: GoldenRecord; answer: readonly string[] | undefined }[] = [];
  try {
    for (const record of records) outcome.push({ record, answer: await answerOf(record) });
  } finally {
    for (const [name, session] of sessions) if (name !== 'a') await session.close();
    await sessions.get('a')?.run(command('ROLLBACK'));
    await sessions.get('a')?.run(command(`DROP SCHEMA IF EXISTS ${schema} CASCADE`));
    await sessions.get('a')?.close();
  }
  return outcome;
}

/**
 * What differs from the file, as text for a person: nothing when all is as it should be.
 *
 * @param anyOrder  rows may come in any order where the statement asks for none
 */
export function differences(outcome: Outcome, anyOrder = false): string[] {
  const wrong = outcome.filter(({ record, answer }) => {
    const loose = anyOrder && !/order\s+by/i.test(record.sql);
    const text = (lines: readonly string[]): string =>
      (loose ? lines.toSorted() : lines).join('\n');
    return answer !== undefined && text(answer) !== text(record.answer);
  });
  return wrong.map(({ record, answer }) => {
    const expected = record.answer.map((line) => `  - ${line}`);
    const actual = answer?.map((line) => `  + ${line}`) ?? [];
    const title = record.sql === '' ? `@finish ${record.finish}` : record.sql;
    return [`line ${record.line}: ${title}`, ...expected, ...actual].join('\n');
  });
}

/** A statement in the background is given this long, in ms, to reach the lock it waits for. */
const BACKGROUND_START_MS = 200;

function requestOf(
  record: GoldenRecord,
  protocol: Protocol,
  spread: boolean,
): Request | undefined {
  if (record.protocol !== undefined && record.protocol !== protocol) return undefined;
  const { copyData, parameters, sort, hide } = record;
  const sql = spread ? spreadTables(record.sql) : record.sql;
  return { sql, copyData, parameters, protocol, sort, hide };
}

async function openSession(target: Target, schema: string, first: boolean): Promise<GoldenSession> {
  const session = await GoldenSession.connect(target.url);
  const setUp = first ? [`DROP SCHEMA IF EXISTS ${schema} CASCADE`, `CREATE SCHEMA ${schema}`] : [];
  for (const text of [...setUp, `SET search_path TO ${schema}`, `SET TimeZone TO 'UTC'`]) {
    const answer = await session.run(command(text));
    const failure = answer.find((line) => /^(ERROR|FATAL|CONNECTION|TIMEOUT)/.test(line));
    if (failure === undefined) continue;
    await session.close();
    throw new Error(`${text}: ${failure}`);
  }
  return session;
}

function command(sql: string): Request {
  const plain = { copyData: [], parameters: undefined, sort: false, hide: false };
  return { sql, ...plain, protocol: 'simple' };
}

function schemaOf(file: string): string {
  const inside = path.relative(GOLDEN_DIRECTORY, file).replace(/\.test$/, '');
  return inside.replaceAll(/\W/g, '_').toLowerCase();
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
