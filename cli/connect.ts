// The CLI as a client of a running node: the door of `pg`. Shell.
//
// Every value travels as text, exactly as the node wrote it: a JavaScript number never stands between.
// With a data directory at hand the node's own certificate is pinned; a URL says by sslmode what it wants.

import type { EventEmitter } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { tlsFiles } from '../server/tls.ts';
import { CommandError, EXIT } from './exit.ts';

export interface Field {
  readonly name: string;
  readonly oid: number;
}

/** What one statement answered. */
export interface Answer {
  /** The command tag, as `INSERT 0 1` or `CREATE TABLE`; empty for an empty statement. */
  readonly tag: string;
  readonly fields: readonly Field[];
  readonly rows: readonly (readonly (string | null)[])[];
}

export interface Connection {
  /**
   * Runs a text of one or more statements, or one statement with parameters.
   *
   * Several statements in one text are one transaction, unless they say otherwise.
   *
   * @throws CommandError 1 with the node's refusal, as psql shows it
   */
  query(text: string, parameters?: readonly string[]): Promise<readonly Answer[]>;
  close(): Promise<void>;
}

export interface Target {
  /** A postgresql:// URL; when absent, the one in `<data>/admin.url`. */
  readonly url?: string | undefined;
  readonly data: string;
  /** Receives notices of the node. */
  readonly onNotice: (text: string) => void;
}

const TEXT_ONLY = { getTypeParser: () => (value: unknown) => value };

/** @throws CommandError when no URL is to be had or the node refuses; the socket's error when nobody answers */
export async function connect(target: Target): Promise<Connection> {
  const { connectionString, ssl } = settingsOf(target);
  const client = new pg.Client({ connectionString, ssl, application_name: 'trustsql' });
  client.on('notice', (notice) => target.onNotice(`${notice.severity}:  ${notice.message}`));
  // A connection that dies between two queries reports it by the next query.
  client.on('error', () => undefined);
  const tags = tagsOf(client);
  await refusing('', client.connect());
  return {
    async query(text, parameters) {
      tags.length = 0;
      const request = { text, rowMode: 'array' as const, types: TEXT_ONLY };
      const running =
        parameters === undefined
          ? client.query(request)
          : client.query({ ...request, values: [...parameters] });
      const result = await refusing(text, running);
      const results: readonly pg.QueryArrayResult[] = Array.isArray(result) ? result : [result];
      return results.map((one, index) => answerOf(one, tags[index] ?? ''));
    },
    close: () => client.end(),
  };
}

/** `pg` keeps a tag's first word only; its connection tells the whole of it. */
function tagsOf(client: pg.Client): string[] {
  const tags: string[] = [];
  const { connection } = client as unknown as { connection: EventEmitter };
  connection.on('commandComplete', ({ text }: { text: string }) => tags.push(text));
  connection.on('emptyQuery', () => tags.push(''));
  return tags;
}

function answerOf(result: pg.QueryArrayResult, tag: string): Answer {
  return {
    tag,
    fields: result.fields.map(({ name, dataTypeID }) => ({ name, oid: dataTypeID })),
    rows: result.rows as (string | null)[][],
  };
}

function settingsOf(target: Target): { connectionString: string; ssl: ConnectionOptions | false } {
  const file = join(target.data, 'admin.url');
  if (target.url === undefined && !existsSync(file)) {
    throw new CommandError(
      EXIT.unavailable,
      `${file} is missing: name the data directory with --data, or a node with --url`,
    );
  }
  const url = parseUrl(target.url ?? readFileSync(file, 'utf8').trim());
  const mode = url.searchParams.get('sslmode') ?? 'prefer';
  url.searchParams.delete('sslmode');
  return { connectionString: url.href, ssl: sslOf(mode, target, url) };
}

function sslOf(mode: string, target: Target, url: URL): ConnectionOptions | false {
  if (mode === 'disable') return false;
  if (mode === 'verify-full') return { servername: url.hostname };
  if (mode === 'verify-ca') return { checkServerIdentity: () => undefined };
  const { certificate } = tlsFiles(target.data);
  if (target.url === undefined && existsSync(certificate)) {
    const ca = readFileSync(certificate, 'utf8');
    return { ca, checkServerIdentity: () => undefined };
  }
  // libpq's meaning of `require`: encrypted, but any certificate.
  return mode === 'require' ? { rejectUnauthorized: false } : false;
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new CommandError(
      EXIT.usage,
      'a URL of the form postgresql://user@host:port/database is expected',
    );
  }
  return url;
}

/** Turns the node's refusal into the end of the command; other errors pass. */
async function refusing<T>(text: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const refusal = describeRefusal(error, text);
    throw refusal === undefined ? error : new CommandError(EXIT.negative, refusal);
  }
}

/** As psql with VERBOSITY=verbose shows it; undefined for any other error. */
function describeRefusal(error: unknown, text: string): string | undefined {
  if (!Error.isError(error)) return undefined;
  const fault = error as Partial<pg.DatabaseError> & Error;
  if (fault.severity === undefined || fault.code === undefined) return undefined;
  const lines = [`${fault.severity}:  ${fault.code}: ${fault.message}`];
  if (fault.position !== undefined) lines.push(...caret(text, Number(fault.position)));
  if (fault.detail !== undefined) lines.push(`DETAIL:  ${fault.detail}`);
  if (fault.hint !== undefined) lines.push(`HINT:  ${fault.hint}`);
  return lines.join('\n');
}

/** @param position  1-based, in characters */
function caret(text: string, position: number): string[] {
  const characters = [...text];
  const before = characters.slice(0, position - 1).join('');
  const number = before.split('\n').length;
  const line = text.split('\n')[number - 1] ?? '';
  const column = before.length - (before.lastIndexOf('\n') + 1);
  const label = `LINE ${number}: `;
  return [`${label}${line}`, `${' '.repeat(label.length + column)}^`];
}
